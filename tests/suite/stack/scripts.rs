//! The scripts of `stack/`, run as the compose file runs them: with a real Mosquitto on its own configuration, openssl
//! and PostgreSQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{path, text};
use crate::support::binary::Amber;
use crate::support::eventually;
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::postgres::Postgres;
use crate::support::process;
use crate::support::sql::Sql;
use crate::support::{binary, ports};

/// What the volumes `secrets` and `access` are to the stack.
struct Volumes {
    secrets: Folder,
    access: Folder,
}

impl Volumes {
    fn new() -> Self {
        Self { secrets: Folder::new(), access: Folder::new() }
    }

    /// Runs a script of the stack, and gives what it prints.
    #[track_caller]
    fn run(&self, script: &str, args: &[&str], envs: &[(&str, &str)]) -> Output {
        let mut command = Command::new("sh");
        command.arg(path("stack").join(script)).args(args).stdin(Stdio::null());
        for (name, folder) in [("SECRETS", self.secrets.path()), ("ACCESS", self.access.path())] {
            command.env(name, folder);
        }
        command
            .env("STACK", path("stack"))
            .env_remove("MQTT_HOST")
            .env_remove("BROKER_URL")
            .env_remove("BROKER_PASSWORD");
        command.envs(envs.iter().copied()).output().expect("there is a shell")
    }

    /// The same, and it must succeed.
    #[track_caller]
    fn done(&self, script: &str, args: &[&str], envs: &[(&str, &str)]) -> String {
        let output = self.run(script, args, envs);
        assert!(output.status.success(), "{script}: {output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    }

    /// `init` and `certificates`.
    #[track_caller]
    fn made() -> Self {
        let volumes = Self::new();
        volumes.done("init.sh", &[], &[]);
        volumes.done("certificates.sh", &[], &[]);
        volumes
    }

    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.secrets.path().to_owned(), self.access.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is read").path())
            {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false => {
                        let text = std::fs::read_to_string(&entry).expect("it is text");
                        files.insert(entry, text);
                    }
                }
            }
        }
        files
    }

    fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.secrets.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// The broker of the stack, with its own configuration but for ports and places; and its port for TLS.
#[track_caller]
fn broker(volumes: &Volumes) -> (Mosquitto, u16) {
    let tls = ports::free();
    let broker = Mosquitto::configured(|port, folder| {
        text("stack/mosquitto.conf")
            .replace("/access/", &format!("{}/", volumes.access.path().display()))
            .replace("/mosquitto/data/", &format!("{}/", folder.display()))
            .replace("listener 1883\n", &format!("listener {port} 127.0.0.1\n"))
            .replace("listener 8883\n", &format!("listener {tls} 127.0.0.1\n"))
    });
    (broker, tls)
}

/// Amber with the example configuration, into SQLite, logged in as in the stack.
#[track_caller]
fn amber(volumes: &Volumes, broker: &Mosquitto) -> Amber {
    let mut amber = Amber::new(&text("config.example.toml"));
    amber.env("AMBER__BROKER__URL", &broker.url()).env("AMBER__BROKER__USERNAME", "amber");
    amber.env("AMBER__BROKER__PASSWORD_FILE", &volumes.secrets.join("broker_amber").display().to_string());
    amber.start();
    amber.wait_ready();
    amber
}

/// Waits until the rooms of `climate` are these.
#[track_caller]
fn rooms_become(amber: &Amber, rooms: &str) {
    let file = amber.folder().join("amber.db");
    eventually("the rooms that have spoken", || {
        let rows = Sql::sqlite(&file)?
            .rows("select group_concat(room, ' ') from (select distinct room from climate order by room)")?;
        let seen = rows[0][0].clone().unwrap_or_default();
        if seen == rooms { Ok(()) } else { Err(seen) }
    });
}

/// The line that a script prints for trying it, run for real; without what leads into the container.
#[track_caller]
fn try_line(printed: &str, broker: &Mosquitto) -> Output {
    let line = printed.lines().find_map(|line| line.split_once("docker compose exec broker mosquitto_pub "));
    let (_, arguments) = line.unwrap_or_else(|| panic!("no line to try: {printed}"));
    let program =
        process::find("AMBER_TEST_MOSQUITTO_PUB", &["mosquitto_pub"], "install the package mosquitto-clients");
    let line = format!("{} -h 127.0.0.1 -p {} {arguments}", program.display(), broker.port);
    Command::new("sh").args(["-ec", &line]).stdin(Stdio::null()).output().expect("there is a shell")
}

/// `mosquitto_pub` over MQTT 5, where the broker says so if it refuses.
#[track_caller]
fn publish(broker: &Mosquitto, user: &str, password: &str, topic: &str) -> Output {
    let port = broker.port.to_string();
    let program =
        process::find("AMBER_TEST_MOSQUITTO_PUB", &["mosquitto_pub"], "install the package mosquitto-clients");
    let arguments =
        ["-V", "5", "-p", &port, "-u", user, "-P", password, "-q", "1", "-t", topic, "-m", "{\"temperature\": 1}"];
    Command::new(program).args(arguments).stdin(Stdio::null()).output().expect("it starts")
}

#[test]
fn the_first_device_of_the_stack_sends_a_reading_as_init_prints_it() {
    let volumes = Volumes::new();
    let printed = volumes.done("init.sh", &[], &[]);
    volumes.done("certificates.sh", &[], &[]);
    assert!(printed.contains(&format!("first password {}", volumes.secret("grafana_admin"))), "{printed}");
    let (broker, _) = broker(&volumes);
    let amber = amber(&volumes, &broker);
    let output = try_line(&printed, &broker);
    assert!(output.status.success(), "{output:?}");
    rooms_become(&amber, "kitchen");

    // Run again, it changes nothing, and says the same.
    let before = volumes.files();
    let again = volumes.done("init.sh", &[], &[]);
    volumes.done("certificates.sh", &[], &[]);
    assert_eq!(volumes.files(), before);
    assert!(!again.contains("made "), "{again}");
    assert!(try_line(&again, &broker).status.success());

    // No password twice, none short.
    let secrets: Vec<String> =
        ["database_superuser", "grafana_admin", "page_token", "broker_amber", "broker_simulate", "broker_health"]
            .map(|name| volumes.secret(name))
            .into();
    for secret in &secrets {
        assert!(secret.len() == 48 && secrets.iter().filter(|other| *other == secret).count() == 1, "{secrets:?}");
    }
    assert_eq!(volumes.secret("role_amber"), volumes.secret("database_amber"));
    assert_eq!(volumes.secret("role_grafana"), volumes.secret("database_grafana"));
}

#[test]
fn what_is_missing_in_the_volumes_is_made_again() {
    let volumes = Volumes::made();
    std::fs::remove_file(volumes.secrets.join("broker_amber")).unwrap();
    std::fs::remove_file(volumes.secrets.join("role_grafana")).unwrap();
    volumes.done("init.sh", &[], &[]);
    assert_eq!(volumes.secret("role_grafana"), volumes.secret("database_grafana"));
    let (broker, _) = broker(&volumes);
    amber(&volumes, &broker);
}

#[test]
fn a_device_is_added_and_removed_while_the_broker_runs() {
    let volumes = Volumes::made();
    let (broker, _) = broker(&volumes);
    let amber = amber(&volumes, &broker);
    let pid = broker.pid().to_string();
    let device = |args: &[&str]| volumes.run("device.sh", args, &[("BROKER_PID", &pid)]);
    let added = device(&["bath"]);
    assert!(added.status.success(), "{added:?}");
    let printed = String::from_utf8(added.stdout).unwrap();
    eventually("the broker has read its files", || match try_line(&printed, &broker) {
        output if output.status.success() => Ok(()),
        output => Err(format!("{output:?}")),
    });
    rooms_become(&amber, "bath");

    // It writes its own topics and no others.
    let password = printed.lines().find_map(|line| line.strip_prefix("password: ")).unwrap().to_owned();
    let refused = publish(&broker, "bath", &password, "home/kitchen/climate");
    assert!(String::from_utf8_lossy(&refused.stderr).to_lowercase().contains("not authorized"), "{refused:?}");
    for topic in ["home/bath/climate", "bath/anything"] {
        let taken = publish(&broker, "bath", &password, topic);
        assert!(taken.status.success() && taken.stderr.is_empty(), "{taken:?}");
    }
    // But for those of a filter that it is given.
    let printed = String::from_utf8(device(&["bath", "garden/#", "home/+/climate"]).stdout).unwrap();
    let password = printed.lines().find_map(|line| line.strip_prefix("password: ")).unwrap().to_owned();
    eventually("the broker has read its files", || match publish(&broker, "bath", &password, "home/attic/climate") {
        output if output.status.success() && output.stderr.is_empty() => Ok(()),
        output => Err(format!("{output:?}")),
    });
    rooms_become(&amber, "attic bath");

    let listed = device(&["--list"]);
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), "kitchen\nbath\n");
    assert!(device(&["--remove", "bath"]).status.success());
    eventually("bath is shut out", || match publish(&broker, "bath", &password, "home/bath/climate") {
        output if output.status.success() => Err(format!("{output:?}")),
        _ => Ok(()),
    });
    let acl = std::fs::read_to_string(volumes.access.join("acl")).unwrap();
    assert!(!acl.contains("user bath"), "{acl}");

    // Whoever takes the first device away does not get it back.
    assert!(device(&["--remove", "kitchen"]).status.success());
    let printed = volumes.done("init.sh", &[], &[]);
    assert!(!printed.contains("kitchen"), "{printed}");
    assert_eq!(String::from_utf8(device(&["--list"]).stdout).unwrap(), "");
}

#[test]
fn what_is_wrong_with_a_device_is_said_in_one_line_and_changes_nothing() {
    let volumes = Volumes::made();
    let before = volumes.files();
    for (args, said) in [
        (&[][..], "which device?"),
        (&["amber"], "`amber` is a user of the stack itself"),
        (&["a b"], "`a b` is no name for a device"),
        (&["a/b"], "`a/b` is no name for a device"),
        (&["$SYS"], "`$SYS` is no name for a device"),
        (&["a\nb"], "is no name for a device"),
        (&["a", "x/#/y"], "`x/#/y` is no topic filter"),
        (&["a", "x+"], "`x+` is no topic filter"),
        (&["a", "x\nuser amber"], "a topic filter, or one with a control character"),
        (&["--remove", "nobody"], "there is no device `nobody`"),
        (&["--remove", "health"], "`health` is a user of the stack itself"),
    ] {
        let output = volumes.run("device.sh", args, &[("BROKER_PID", "no process")]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(said.trim_start_matches("a ")), "{args:?}: {stderr}");
        assert_eq!(volumes.files(), before, "{args:?}");
    }
}

/// Simulated sensors over TLS, for a moment.
fn simulate(volumes: &Volumes, url: &str, ca: &Path) -> Output {
    let folder = Folder::new();
    let password = volumes.secrets.join("broker_simulate").display().to_string();
    let ca = ca.display().to_string();
    let args =
        ["simulate", "--url", url, "--username", "simulate", "--password-file", &password, "--ca", &ca, "--for", "2s"];
    binary::command(folder.path(), &args)
}

#[test]
fn the_certificate_is_good_for_the_names_it_is_made_for_and_outlives_changes() {
    let volumes = Volumes::made();
    let ca = volumes.access.join("ca.pem");
    let authority = std::fs::read_to_string(&ca).unwrap();
    let first = std::fs::read_to_string(volumes.access.join("server.pem")).unwrap();
    {
        let (_broker, tls) = broker(&volumes);
        let output = simulate(&volumes, &format!("mqtts://localhost:{tls}"), &ca);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("acknowledged=0") && said.contains("acknowledged="), "{said}");
        // Another name of this machine, which it is not made for.
        let output = simulate(&volumes, &format!("mqtts://127.0.0.2:{tls}"), &ca);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("acknowledged=0"), "{said}");
    }
    let said = volumes.done("certificates.sh", &[], &[("MQTT_HOST", "broker.lan,192.168.1.20,fd00::1")]);
    assert!(said.contains("DNS:broker.lan,IP:192.168.1.20,IP:fd00::1"), "{said}");
    let second = std::fs::read_to_string(volumes.access.join("server.pem")).unwrap();
    assert_ne!(first, second);
    assert_eq!(std::fs::read_to_string(&ca).unwrap(), authority, "devices need no change");
    let verify = |name: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["verify", "-purpose", "sslserver", "-x509_strict"]).args(name).arg("-CAfile").arg(&ca);
        command.arg(volumes.access.join("server.pem")).output().expect("openssl is there")
    };
    for name in [["-verify_hostname", "broker.lan"], ["-verify_ip", "192.168.1.20"], ["-verify_hostname", "localhost"]]
    {
        let output = verify(&name);
        assert!(output.status.success(), "{output:?}");
    }
    assert!(!verify(&["-verify_hostname", "other.lan"]).status.success());

    let output = volumes.run("certificates.sh", &[], &[("MQTT_HOST", "broker lan;")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(
        String::from_utf8(output.stderr).unwrap().contains("MQTT_HOST: `lan;` is neither a host name nor an address")
    );
}

/// `roles.sh` against a server that asks for passwords.
struct Roles {
    server: Postgres,
    socket: String,
    volumes: Volumes,
}

impl Roles {
    #[track_caller]
    fn new() -> Self {
        let volumes = Volumes::new();
        volumes.done("init.sh", &[], &[]);
        let server = Postgres::start();
        let mut sql = server.sql();
        sql.run("create database amber");
        sql.run(&format!("alter role postgres password '{}'", volumes.secret("database_superuser")));
        let socket = server.ask_everybody_for_passwords();
        Self { server, socket, volumes }
    }

    fn run(&self, host: &str) -> Output {
        let psql = process::find("AMBER_TEST_PSQL", &["psql"], "install the package postgresql-client");
        let folder = psql.parent().expect("it is a file").display();
        let search = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        let port = self.server.port.to_string();
        self.volumes.run("roles.sh", &[], &[("PATH", &search), ("PGHOST", host), ("PGPORT", &port)])
    }

    /// A connection of that role, with the password that its service has.
    fn login(&self, role: &str, secret: &str) -> Result<Sql, String> {
        let password = self.volumes.secret(secret);
        Sql::postgres(&format!("postgres://{role}:{password}@127.0.0.1:{}/amber?sslmode=disable", self.server.port))
    }
}

#[test]
fn roles_are_made_once_and_given_their_rights_on_what_is_there_and_what_will_come() {
    let roles = Roles::new();
    for _ in 0..2 {
        let output = roles.run("127.0.0.1");
        assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
    }
    let mut amber = roles.login("amber", "database_amber").unwrap();
    amber.run("create table amber_store.a (n int); create view amber.a as select * from amber_store.a; create table public_of_amber (n int)");
    let mut grafana = roles.login("grafana_ro", "database_grafana").unwrap();
    assert!(grafana.rows("select * from a, amber_store.a as b").is_ok());
    for sql in [
        "begin read write; insert into amber_store.a values (1)",
        "begin read write; insert into amber.a values (1)",
        "begin read write; create table amber.x (n int)",
        "begin read write; create temporary table x (n int)",
        "select * from pg_authid",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'true'",
        "set role amber",
    ] {
        let mut grafana = roles.login("grafana_ro", "database_grafana").unwrap();
        assert!(grafana.rows(sql).is_err(), "{sql}");
    }
    for sql in ["select * from pg_authid", "create role x", "create database x"] {
        assert!(amber.rows(sql).is_err(), "{sql}");
    }

    // What was made before the role had its rights, as in a volume of an earlier stack.
    let mut admin = roles.login("postgres", "database_superuser").unwrap();
    admin.run("revoke all on all tables in schema amber, amber_store from grafana_ro");
    assert!(roles.login("grafana_ro", "database_grafana").unwrap().rows("select * from a").is_err());
    assert!(roles.run("127.0.0.1").status.success());
    assert!(roles.login("grafana_ro", "database_grafana").unwrap().rows("select * from a").is_ok());
}

#[test]
fn a_volume_with_other_passwords_is_told_in_one_line_and_mended_on_the_socket() {
    let roles = Roles::new();
    assert!(roles.run("127.0.0.1").status.success());
    // The volume `secrets` is lost.
    for name in ["database_superuser", "role_amber", "role_grafana"] {
        std::fs::remove_file(roles.volumes.secrets.join(name)).unwrap();
    }
    roles.volumes.done("init.sh", &[], &[]);
    let output = roles.run("127.0.0.1");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("docker compose exec database sh /stack/roles.sh"), "{said}");
    assert!(roles.login("amber", "database_amber").is_err());
    // In the container of the database `PGHOST` is not set, and the socket is where psql looks for it.
    let output = roles.run(&roles.socket);
    assert!(output.status.success(), "{output:?}");
    assert!(roles.run("127.0.0.1").status.success());
    for (role, secret) in
        [("amber", "database_amber"), ("grafana_ro", "database_grafana"), ("postgres", "database_superuser")]
    {
        assert!(roles.login(role, secret).is_ok(), "{role}");
    }
}

#[test]
fn a_volume_of_another_image_is_told_in_one_line() {
    let volumes = Volumes::new();
    // One that is not ours: given away if we may, else root's.
    let folder = Folder::new();
    let data = if process::is_root() {
        assert!(Command::new("chown").arg("999").arg(folder.path()).status().unwrap().success());
        folder.path().to_owned()
    } else {
        PathBuf::from("/")
    };
    let output = volumes.run("database.sh", &["postgres"], &[("PGDATA", &data.display().to_string())]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("this volume was made by another image") && said.contains("DATABASE_IMAGE="), "{said}");
}

#[test]
fn every_variable_of_the_compose_file_stands_in_the_environment_file_with_its_default() {
    let (compose, environment) = (text("docker-compose.yml"), text(".env"));
    let mut variables = 0;
    for part in compose.split("${").skip(1) {
        let end = part.find(|c: char| !(c.is_ascii_uppercase() || c == '_')).unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        let line =
            environment.lines().find_map(|line| line.trim_start_matches('#').strip_prefix(name)?.strip_prefix('='));
        // How to give a file rather than a password is told in a comment.
        let documented = line.is_some() || environment.contains(&format!("{name}="));
        assert!(documented, "{name} does not stand in .env");
        if let (Some(line), Some(default)) = (line, rest.strip_prefix(":-").or(rest.strip_prefix('-'))) {
            let default = default.split('}').next().unwrap_or_default();
            assert!(
                line == default || default.is_empty() || default.contains("${"),
                "{name}: `{line}` or `{default}`?"
            );
        }
        variables += 1;
    }
    assert!(variables > 15, "{variables}");
}

#[test]
fn what_services_depend_on_and_mount_is_there() {
    let compose = text("docker-compose.yml");
    let services = super::services();
    let names: Vec<&str> = services.iter().map(|(name, _)| name.as_str()).collect();
    let (_, volumes) = compose.split_once("\nvolumes:\n").unwrap();
    let volumes: Vec<&str> = volumes.lines().map(|line| line.trim().trim_end_matches(':')).collect();
    let mut used = Vec::new();
    for (service, lines) in &services {
        let mut section = "";
        for line in lines.lines().filter(|line| !line.trim_start().starts_with('#')) {
            if !line.starts_with("     ") {
                section = line.trim();
            } else if section == "depends_on:" {
                let other = line.trim().split(':').next().unwrap();
                assert!(names.contains(&other), "{service} depends on {other}");
            } else if section == "volumes:" {
                let mount = line.trim().trim_start_matches("- ");
                if !mount.starts_with(['.', '$']) {
                    let volume = mount.split(':').next().unwrap();
                    assert!(volumes.contains(&volume), "{service} mounts {volume}");
                    used.push(volume);
                }
            }
        }
    }
    assert!(volumes.iter().all(|volume| used.contains(volume)), "{volumes:?} {used:?}");
}
