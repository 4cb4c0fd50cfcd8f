//! The scripts of `stack/` for the database, run as the compose file runs them, with a real PostgreSQL that asks for
//! passwords over TCP and not on its socket, as the images have it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::scripts::Volumes;
use super::{Stack, text};
use crate::support::client::mosquitto_pub;
use crate::support::eventually;
use crate::support::folder::Folder;
use crate::support::postgres::Postgres;
use crate::support::process;
use crate::support::sql::Sql;

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
        self.script("roles.sh", host, Stdio::null())
    }

    fn script(&self, script: &str, host: &str, input: impl Into<Stdio>) -> Output {
        let psql = process::find("AMBER_TEST_PSQL", &["psql"], "install the package postgresql-client");
        let folder = psql.parent().expect("it is a file").display();
        let search = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        let port = self.server.port.to_string();
        self.volumes.run_with(script, &[], &[("PATH", &search), ("PGHOST", host), ("PGPORT", &port)], input)
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
        "begin read write; select lo_create(0)",
        "begin read write; select lo_creat(-1)",
        "begin read write; select lo_from_bytea(0, 'x')",
        "begin read write; select lo_put(1, 0, 'x')",
        "begin read write; select lo_import('/etc/passwd')",
        "select pg_advisory_lock(1)",
        "set temp_file_limit = -1",
    ] {
        let mut grafana = roles.login("grafana_ro", "database_grafana").unwrap();
        assert!(grafana.rows(sql).is_err(), "{sql}");
    }
    // Nor may it into the databases beside it.
    for database in ["postgres", "template1"] {
        let password = roles.volumes.secret("database_grafana");
        let port = roles.server.port;
        let url = format!("postgres://grafana_ro:{password}@127.0.0.1:{port}/{database}?sslmode=disable");
        assert!(Sql::postgres(&url).is_err(), "{database}");
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
fn a_backup_is_restored_beside_the_old_database_and_takes_its_place() {
    let roles = Roles::new();
    assert!(roles.run("127.0.0.1").status.success());
    let admin = |database: &str| {
        let password = roles.volumes.secret("database_superuser");
        let port = roles.server.port;
        Sql::postgres(&format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}?sslmode=disable"))
    };
    let mut amber = roles.login("amber", "database_amber").unwrap();
    amber.run("create table amber_store.a (n int); insert into amber_store.a values (1); create view amber.a as select * from amber_store.a");
    let folder = Folder::new();
    let dump = folder.join("amber.dump");
    let made = Command::new("pg_dump")
        .args(["--format=custom", "-h", &roles.socket, "-p", &roles.server.port.to_string(), "-U", "postgres", "amber"])
        .stdout(std::fs::File::create(&dump).unwrap())
        .status();
    assert!(made.expect("pg_dump is there").success());
    amber.run("insert into amber_store.a values (2)");

    let restore = |input: &Path| roles.script("restore.sh", &roles.socket, std::fs::File::open(input).unwrap());
    let output = restore(&dump);
    assert_eq!(output.status.code(), Some(1), "somebody is connected: {output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("docker compose stop amber grafana"));
    drop(amber);
    eventually("it has gone", || {
        match admin("postgres")?.number("select count(*) from pg_stat_activity where datname = 'amber'") {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // Half a backup changes nothing.
    let half = folder.join("half.dump");
    let bytes = std::fs::read(&dump).unwrap();
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let output = restore(&half);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(admin("amber").unwrap().number("select count(*) from amber.a"), Ok(2));

    let output = restore(&dump);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(roles.login("amber", "database_amber").unwrap().number("select count(*) from amber.a"), Ok(1));
    assert_eq!(roles.login("grafana_ro", "database_grafana").unwrap().number("select count(*) from a"), Ok(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let old = said.split('`').nth(1).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(admin(old).unwrap().number("select count(*) from amber.a"), Ok(2));
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
fn what_telegraf_has_stored_is_copied_by_the_statements_of_the_documents() {
    let stack = Stack::start();
    let mut admin = Sql::postgres(&stack.server.url("amber")).unwrap();
    admin.run(
        "create table public.mqtt_consumer (time timestamptz, host text, topic text, temperature float8, humidity float8);
         insert into public.mqtt_consumer
         values ('2026-01-01 00:00Z', 'h', 'home/attic/climate', 1.5, 40), ('2026-01-01 00:01Z', 'h', 'home/attic/climate', 2.5, null),
                ('2026-01-01 00:00Z', 'h', 'home/kitchen/climate', 20, 50), ('2026-01-01 00:00Z', 'h', 'garden/pond/weather', 3, 4)",
    );
    let document = text("docs/stack.md");
    let (_, rest) = document.split_once("<!-- test: copies what Telegraf stored -->\n```sql\n").expect("it is there");
    let (sql, _) = rest.split_once("\n```").expect("it ends");
    // Once more adds nothing.
    admin.run(sql);
    admin.run(sql);
    let rows = admin.rows(
        "select room, count(*), min(temperature), count(humidity) from amber.climate group by room order by room",
    );
    let rows: Vec<String> =
        rows.unwrap().into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(rows, ["attic 2 1.5 1", "kitchen 1 20 1"]);
    // Amber goes on with the same series.
    mosquitto_pub(stack.broker.port, &["-q", "1", "-t", "home/attic/climate", "-m", r#"{"temperature": 3.5}"#]);
    eventually("a row of Amber's own", || {
        match admin.number("select count(*) from amber.climate where room = 'attic'")? {
            3 => Ok(()),
            rows => Err(rows.to_string()),
        }
    });
    assert_eq!(admin.number("select count(*) from amber_store.climate_series"), Ok(2));
}

#[test]
fn the_functions_of_dashboards_do_their_work_in_a_parallel_query() {
    let stack = Stack::start();
    mosquitto_pub(stack.broker.port, &["-q", "1", "-t", "home/attic/climate", "-m", r#"{"temperature": 3.5}"#]);
    mosquitto_pub(stack.broker.port, &["-q", "1", "-t", "home/attic/climate", "-m", "no JSON"]);
    let mut reader = stack.reader();
    eventually("a row and a reject", || {
        match reader
            .number("select (select count(*) from amber.climate) * 10 + (select count(*) from amber_store.reject)")?
        {
            11 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    // Its name is another since PostgreSQL 16. With it, whatever says that it may is run by a worker.
    let set = "select set_config(name, 'on', false) from pg_settings where name in ('force_parallel_mode', 'debug_parallel_query')";
    assert_eq!(reader.rows(set).unwrap().len(), 1);
    let text = reader.rows("select amber.payload_text(payload) from amber_store.reject").unwrap();
    assert_eq!(text, [[Some("no JSON".to_owned())]]);
    // Bytes that are not UTF-8 raise what is caught within.
    let text = reader.rows("select amber.payload_text('\\xff61'::bytea || payload) from amber_store.reject").unwrap();
    assert_eq!(text, [[Some("\\377ano JSON".to_owned())]]);
    let readings = "select value::text from amber.readings('climate', 'temperature', (select array_agg(series_id) from amber.devices), '2000-01-01', '2100-01-01', '1 hour')";
    eventually("the device is known", || match reader.rows(readings)? {
        rows if rows == [[Some("3.5".to_owned())]] => Ok(()),
        rows => Err(format!("{rows:?}")),
    });
}
