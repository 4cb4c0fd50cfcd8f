//! The scripts of `stack/` that make passwords, users and certificates, run as the compose file runs them, with openssl and
//! with a real Mosquitto on the stack's own configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{path, text};
use crate::support::binary::Amber;
use crate::support::client::python;
use crate::support::eventually;
use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::process;
use crate::support::sql::Sql;
use crate::support::{binary, ports};

/// What the volumes `secrets` and `access` are to the stack.
pub(super) struct Volumes {
    pub(super) secrets: Folder,
    access: Folder,
}

impl Volumes {
    pub(super) fn new() -> Self {
        Self { secrets: Folder::new(), access: Folder::new() }
    }

    /// Runs a script of the stack, and gives what it prints.
    #[track_caller]
    pub(super) fn run(&self, script: &str, args: &[&str], envs: &[(&str, &str)]) -> Output {
        self.run_with(script, args, envs, Stdio::null())
    }

    #[track_caller]
    pub(super) fn run_with(
        &self,
        script: &str,
        args: &[&str],
        envs: &[(&str, &str)],
        input: impl Into<Stdio>,
    ) -> Output {
        let mut command = Command::new("sh");
        command.arg(path("stack").join(script)).args(args).stdin(input);
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
    pub(super) fn done(&self, script: &str, args: &[&str], envs: &[(&str, &str)]) -> String {
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

    pub(super) fn secret(&self, name: &str) -> String {
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
            // To a file, older ones write stdout only when a page is full.
            .replace("log_dest stdout\n", "log_dest stderr\n")
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
        (&["home"], "`home` begins the topics of many devices"),
        (&["zigbee2mqtt", "x/#"], "`zigbee2mqtt` begins the topics of many devices"),
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

#[test]
fn names_are_compared_as_they_are_and_not_as_patterns_or_numbers() {
    let volumes = Volumes::made();
    let (broker, _) = broker(&volumes);
    let pid = broker.pid().to_string();
    let device = |args: &[&str]| volumes.run("device.sh", args, &[("BROKER_PID", &pid)]);
    for name in ["plug_1", "1", "1e0", "plug.1", "1.0"] {
        assert!(device(&[name, &format!("of_{name}/#")]).status.success());
    }
    for other in ["ambe.", "kitche.", "plug.2", "01"] {
        let output = device(&["--remove", other]);
        assert_eq!(output.status.code(), Some(2), "{other}: {output:?}");
    }
    for name in ["plug.1", "1.0"] {
        assert!(device(&[name]).status.success(), "a new password");
        assert!(device(&["--remove", name]).status.success());
    }
    assert_eq!(String::from_utf8(device(&["--list"]).stdout).unwrap(), "kitchen\nplug_1\n1\n1e0\n");
    let users = std::fs::read_to_string(volumes.access.join("passwords")).unwrap();
    assert!(["amber:", "health:", "simulate:"].iter().all(|user| users.contains(user)), "{users}");
    let acl = std::fs::read_to_string(volumes.access.join("devices.acl")).unwrap();
    let users: Vec<&str> = acl.lines().filter_map(|line| line.strip_prefix("user ")).collect();
    assert_eq!(users, ["plug_1", "1", "1e0"], "{acl}");
}

#[test]
fn devices_that_are_added_at_the_same_time_are_all_there() {
    let volumes = Volumes::made();
    let (broker, _) = broker(&volumes);
    let pid = broker.pid().to_string();
    let names: Vec<String> = (0..6).map(|n| format!("plug{n}")).collect();
    std::thread::scope(|threads| {
        for name in &names {
            threads.spawn(|| volumes.done("device.sh", &[name, "x/#"], &[("BROKER_PID", &pid)]));
        }
    });
    let listed = volumes.done("device.sh", &["--list"], &[]);
    let acl = std::fs::read_to_string(volumes.access.join("acl")).unwrap();
    for name in &names {
        assert!(listed.lines().any(|line| line == name), "{listed}");
        assert!(acl.contains(&format!("user {name}\ntopic readwrite x/#\n")), "{acl}");
    }
}

#[test]
fn a_password_that_cannot_be_hashed_stays_in_no_file() {
    let volumes = Volumes::made();
    let before = volumes.files();
    let folder = Folder::new();
    std::fs::create_dir(folder.join("tmp")).unwrap();
    folder.write("mosquitto_passwd", "#!/bin/sh\ncat \"$2\" > \"$SEEN\"\necho 'no space' >&2\nexit 1\n");
    let program = folder.join("mosquitto_passwd");
    assert!(Command::new("chmod").arg("0755").arg(&program).status().unwrap().success());
    let search = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let (tmp, seen) = (folder.join("tmp"), folder.join("seen"));
    let envs = [
        ("PATH", search.as_str()),
        ("TMPDIR", tmp.to_str().unwrap()),
        ("SEEN", seen.to_str().unwrap()),
        ("BROKER_PID", "no process"),
    ];
    let output = volumes.run("device.sh", &["bath"], &envs);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("the password of `bath` could not be hashed"));
    assert!(std::fs::read_to_string(&seen).unwrap().starts_with("bath:"), "it was asked");
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0, "nothing is left");
    assert_eq!(volumes.files(), before);
}

#[test]
fn a_login_that_is_refused_stands_in_the_log_of_the_broker() {
    let volumes = Volumes::made();
    let (broker, _) = broker(&volumes);
    let refused = publish(&broker, "kitchen", "wrong", "home/kitchen/climate");
    assert!(!refused.status.success(), "{refused:?}");
    eventually("the log says so", || match broker.log() {
        log if log.contains("disconnected, not authorised") => Ok(()),
        log => Err(log),
    });
}

#[test]
fn the_password_of_another_broker_does_not_take_the_place_of_the_stacks_own() {
    let volumes = Volumes::made();
    let own = volumes.secret("broker_amber");
    volumes.done("init.sh", &[], &[("BROKER_PASSWORD", "it's $HOME \"x\"")]);
    volumes.done("init.sh", &[], &[]);
    assert_eq!(volumes.secret("broker_amber_own"), "it's $HOME \"x\"", "kept when it is not given again");
    assert_eq!(volumes.secret("broker_amber"), own);
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
    // It stands for no file.
    let output = volumes.run("certificates.sh", &[], &[("MQTT_HOST", "/*")]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("MQTT_HOST: `/*` is neither"));
}

#[test]
fn the_publisher_of_the_documents_is_a_device() {
    let volumes = Volumes::made();
    let (broker, tls) = broker(&volumes);
    let amber = amber(&volumes, &broker);
    let pid = broker.pid().to_string();
    let printed = volumes.done("device.sh", &["balcony"], &[("BROKER_PID", &pid)]);
    let password = printed.lines().find_map(|line| line.strip_prefix("password: ")).unwrap();
    eventually("the broker has read its files", || match publish(&broker, "balcony", password, "balcony/x") {
        output if output.status.success() && output.stderr.is_empty() => Ok(()),
        output => Err(format!("{output:?}")),
    });
    let ca = volumes.access.join("ca.pem").display().to_string();
    for (port, authority) in [(broker.port, None), (tls, Some(&ca))] {
        let mut command = Command::new(python());
        command.arg(path("docs/publish.py")).arg("3").env_remove("MQTT_CA").env("MQTT_PORT", port.to_string());
        command.env("MQTT_USER", "balcony").env("MQTT_PASSWORD", password).env_remove("MQTT_HOST");
        command.envs(authority.map(|ca| ("MQTT_CA", ca)));
        let output = command.stdin(Stdio::null()).output().expect("Python starts");
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("the broker says: Success"), "{output:?}");
    }
    let file = amber.folder().join("amber.db");
    eventually("six readings", || {
        match Sql::sqlite(&file)?.number("select count(*) from climate where room = 'balcony'")? {
            6 => Ok(()),
            rows => Err(rows.to_string()),
        }
    });
}
