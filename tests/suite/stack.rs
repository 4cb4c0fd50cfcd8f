//! The compose stack: what can be checked of it without pulling an image.
//!
//! The files are read as text, line by line, which their plain shape allows; whether they hold together as a whole
//! (`docker compose config`, a start) is seen only by running them. What is run here for real: the settings that the
//! compose file gives to Amber, the scripts of `stack/` with a real Mosquitto, openssl and PostgreSQL, and every query
//! of every dashboard, on a PostgreSQL whose tables Amber has made from `config.example.toml`.

mod alerts;
mod compose;
mod dashboards;
mod database;
mod generated;
pub(crate) mod grafana;
mod lint;
mod metrics;
mod queries;
mod schema;
mod scripts;
mod seed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::binary::Amber;
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::postgres::Postgres;
use crate::support::process;

/// A file of the project.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What follows `key` on lines of `docker-compose.yml`, comments and quotes removed.
fn values(key: &str) -> Vec<String> {
    let compose = text("docker-compose.yml");
    let lines = compose.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    lines.filter_map(|line| Some(line.strip_prefix(key)?.trim().trim_matches('"').to_owned())).collect()
}

/// The services with their lines.
fn services() -> Vec<(String, String)> {
    let compose = text("docker-compose.yml");
    let (_, rest) = compose.split_once("\nservices:\n").expect("there are services");
    let (services, _) = rest.split_once("\nvolumes:\n").expect("volumes follow");
    let mut found: Vec<(String, String)> = Vec::new();
    for line in services.lines() {
        match line
            .strip_prefix("  ")
            .and_then(|line| line.strip_suffix(':'))
            .filter(|name| !name.starts_with([' ', '#']))
        {
            Some(name) => found.push((name.to_owned(), String::new())),
            None => {
                if let Some((_, lines)) = found.last_mut() {
                    lines.push_str(line);
                    lines.push('\n');
                }
            }
        }
    }
    found
}

/// `${NAME:-default}` becomes `default`, `${NAME:+text}` nothing.
fn with_defaults(text: &str) -> String {
    let mut text = text.to_owned();
    // The innermost first.
    while let Some(start) = text.rfind("${") {
        let end = start + text[start..].find('}').expect("`${` has its `}`");
        let inner = &text[start + 2..end];
        let default = inner.split_once('-').map_or("", |(_, default)| default).to_owned();
        text.replace_range(start..=end, &default);
    }
    text
}

#[test]
fn images_bear_exact_tags() {
    let images: Vec<String> = values("image:").iter().map(|image| with_defaults(image)).collect();
    assert!(images.len() >= 6, "{images:?}");
    for image in images {
        let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
        assert!(tag.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.'), "{image}");
    }
    let version = env!("CARGO_PKG_VERSION");
    assert!(values("image:").contains(&format!("mqtt-amber:{version}")), "the image bears the version of the package");
}

#[test]
fn every_port_is_bound_to_this_machine() {
    let (given, listed) = (values("ports:"), values("- "));
    let ports = given
        .iter()
        .filter_map(|port| port.strip_prefix("[\""))
        .chain(listed.iter().map(String::as_str).filter(|text| text.contains("BIND")));
    let ports: Vec<String> = ports.map(with_defaults).collect();
    assert_eq!(ports.len(), 5, "{ports:?}");
    for port in ports {
        assert!(port.starts_with("127.0.0.1:"), "{port}");
    }
}

#[test]
fn everything_that_is_mounted_is_there() {
    let mounts: Vec<String> = values("- ").iter().map(|mount| with_defaults(mount)).collect();
    let mounts: Vec<&str> = mounts.iter().filter_map(|mount| mount.strip_prefix("./")).collect();
    assert!(mounts.len() >= 6, "{mounts:?}");
    for mount in mounts {
        let (name, rest) = mount.split_once(':').expect("a mount has a target");
        assert!(path(name).exists(), "{name} is mounted and is not there");
        assert!(rest.ends_with(":ro"), "{name} is mounted writable");
    }
    let home = values("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH:").remove(0);
    let name = home.rsplit('/').next().expect("split gives one");
    assert!(path("grafana/dashboards").join(name).exists(), "{home}");
}

#[test]
fn no_service_keeps_rights_that_it_does_not_need() {
    let compose = text("docker-compose.yml");
    assert_eq!(compose.matches("*service").count(), services().len(), "each service takes the common part");
    assert!(compose.contains("cap_drop: [ALL]") && compose.contains("no-new-privileges:true"));
    let adding: Vec<String> =
        services().into_iter().filter(|(_, lines)| lines.contains("cap_add:")).map(|(name, _)| name).collect();
    assert_eq!(adding, ["init", "certificates"], "only these may give files away");
    assert!(text("Dockerfile").contains("USER 10001:10001"));
}

#[test]
fn amber_accepts_the_settings_that_the_compose_file_gives_it() {
    let folder = Folder::new();
    let password = folder.write("password", "no-secret-and-long-enough-for-a-token");
    let mut command = Command::new(env!("CARGO_BIN_EXE_amber"));
    let mut given = 0;
    let (_, lines) = services().into_iter().find(|(name, _)| name == "amber").expect("there is an amber");
    for line in lines.lines().filter_map(|line| line.trim().strip_prefix("AMBER__")) {
        let (name, value) = line.split_once(": ").expect("a setting has a value");
        let (name, value) = (format!("AMBER__{name}"), with_defaults(value.split(" #").next().unwrap_or(value).trim()));
        command.env(&name, if name.ends_with("_FILE") { password.display().to_string() } else { value });
        given += 1;
    }
    assert!(given >= 6, "{lines}");
    let output = command.current_dir(folder.path()).arg("check").arg("--config").arg(path("config.example.toml"));
    let output = output.output().expect("amber starts");
    assert!(output.status.success(), "{output:?}");
}

/// A PostgreSQL as the compose stack's `database` is after its first start, and Amber on it with the example
/// configuration and a broker.
struct Stack {
    broker: Mosquitto,
    server: Postgres,
    amber: Amber,
}

impl Stack {
    #[track_caller]
    fn start() -> Self {
        Self::start_with(&text("config.example.toml"))
    }

    /// The same with a configuration of one's own.
    #[track_caller]
    fn start_with(config: &str) -> Self {
        let server = Postgres::start();
        let mut sql = crate::support::sql::Sql::postgres(&server.url("postgres")).expect("it answers");
        sql.run("create database amber");
        let secrets = Folder::new();
        for secret in ["role_amber", "role_grafana", "database_superuser"] {
            secrets.write(secret, "it's 'quoted' \"twice\"");
        }
        let psql = process::find("AMBER_TEST_PSQL", &["psql"], "install the package postgresql-client");
        let search =
            format!("{}:{}", psql.parent().expect("it is a file").display(), std::env::var("PATH").unwrap_or_default());
        let environment = BTreeMap::from([
            ("PATH", search),
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", server.port.to_string()),
            ("POSTGRES_DB", "amber".to_owned()),
            ("SECRETS", secrets.path().display().to_string()),
        ]);
        let output = Command::new("sh").arg(path("stack/roles.sh")).envs(environment).output();
        let output = output.expect("there is a shell");
        assert!(output.status.success(), "{output:?}");

        let broker = Mosquitto::start();
        let mut amber = Amber::new(config);
        amber.env("AMBER__BROKER__URL", &broker.url());
        amber.env("AMBER__STORE__URL", &format!("postgres://amber@127.0.0.1:{}/amber?sslmode=disable", server.port));
        amber.start();
        amber.wait_ready();
        Self { broker, server, amber }
    }

    /// A connection with the role that Grafana has.
    #[track_caller]
    fn reader(&self) -> crate::support::sql::Sql {
        let url = format!("postgres://grafana_ro@127.0.0.1:{}/amber?sslmode=disable", self.server.port);
        crate::support::sql::Sql::postgres(&url).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[test]
fn the_role_of_grafana_reads_and_cannot_write() {
    let stack = Stack::start();
    let mut reader = stack.reader();
    assert!(reader.rows("select * from amber.climate").is_ok());
    for sql in [
        "create table amber.x (a int)",
        "set default_transaction_read_only = off; create table amber.x (a int)",
        "begin read write; delete from amber_store.reject",
        "begin read write; create schema x",
    ] {
        assert!(stack.reader().rows(sql).is_err(), "{sql}");
    }
}
