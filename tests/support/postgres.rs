//! A real PostgreSQL: one server that tests share, each with a database of its own, and servers of their own for
//! those tests that stop, kill or pause them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::folder::Folder;
use super::process::{self, Process, Program, Signal};
use super::sql::Sql;
use super::{eventually, ports, tail};

/// PostgreSQL refuses to run as root; its packages make this user.
pub const USER: Option<&str> = Some("postgres");

static DATABASES: AtomicU32 = AtomicU32::new(1);

/// A server.
pub struct Postgres {
    pub port: u16,
    folder: Folder,
    process: Option<Process>,
}

/// An empty database of a server.
pub struct Database {
    pub name: String,
    pub port: u16,
}

/// An empty database on the server that this test binary shares.
pub fn database() -> Database {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start).database()
}

impl Postgres {
    /// Starts a server of its own.
    pub fn start() -> Self {
        let folder = Folder::new();
        give_away(folder.path());
        run(process::as_user(USER).args(["cp", "-a", "--reflink=auto"]).arg(template()).arg(folder.join("data")));
        let mut server = Self { port: ports::free(), folder, process: None };
        server.start_again();
        server
    }

    /// Starts a standby that follows `primary`.
    #[track_caller]
    pub fn standby_of(primary: &Self) -> Self {
        let folder = Folder::new();
        give_away(folder.path());
        let port = primary.port.to_string();
        run(process::as_user(USER)
            .arg(program("pg_basebackup"))
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "--checkpoint=fast", "--write-recovery-conf"])
            .args(["--wal-method=stream", "--no-sync", "-D"])
            .arg(folder.join("data")));
        let mut server = Self { port: ports::free(), folder, process: None };
        server.start_again();
        server
    }

    /// Commits only what a standby has, too, from now on.
    #[track_caller]
    pub fn wait_for_standby(&self) {
        self.sql().run("alter system set synchronous_standby_names = '*'");
        self.reload();
    }

    /// Starts it on the same port and data, and waits until it answers.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let socket_folder = self.folder.path().display().to_string();
        let data = self.folder.join("data").display().to_string();
        // -F spares the sync, which matters only for power loss: what a killed server wrote, the kernel keeps.
        let args = ["-D", &data, "-k", &socket_folder, "-h", "127.0.0.1", "-p", &self.port.to_string(), "-F"];
        let settings = ["shared_buffers=32MB", "max_connections=60", "jit=off", "checkpoint_timeout=1h"];
        let process = Process::start(Program {
            path: program("postgres"),
            args: args
                .into_iter()
                .chain(settings.into_iter().flat_map(|setting| ["-c", setting]))
                .map(str::to_owned)
                .collect(),
            envs: vec![],
            folder: PathBuf::from("/tmp"),
            log: self.log_path(),
            user: USER,
            at_death: Signal::Int,
        });
        eventually("PostgreSQL answers", || match Sql::postgres(&self.url("postgres")) {
            Ok(_) => Ok(()),
            Err(error) => {
                assert!(process.exit_status().is_none(), "PostgreSQL has ended:\n{}", self.log());
                Err(error)
            }
        });
        self.process = Some(process);
    }

    /// Ends it, not waiting for its clients.
    #[track_caller]
    pub fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::Int);
        process.wait();
    }

    /// Ends it at once: what it has not written, it finds in its log at the next start.
    #[track_caller]
    pub fn quit(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::Quit);
        process.wait();
    }

    /// `kill -9` of the server and all its processes.
    #[track_caller]
    pub fn kill(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::Stop);
        process::signal(Signal::Kill, &process.children());
        process.kill();
    }

    /// `SIGSTOP` to the server and all its processes: connections stay, nothing answers.
    pub fn pause(&self) {
        let process = self.process.as_ref().expect("it runs");
        // The server first: it then starts no further ones.
        process.signal(Signal::Stop);
        process::signal(Signal::Stop, &process.children());
    }

    pub fn resume(&self) {
        let process = self.process.as_ref().expect("it runs");
        process::signal(Signal::Continue, &process.children());
        process.signal(Signal::Continue);
    }

    /// The server and its processes.
    pub fn processes(&self) -> Vec<u32> {
        let process = self.process.as_ref().expect("it runs");
        [vec![process.pid], process.children()].concat()
    }

    /// Makes an empty database.
    pub fn database(&self) -> Database {
        let name = format!("amber_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.sql().run(&format!("create database {name} strategy wal_log"));
        Database { name, port: self.port }
    }

    /// From now on it offers TLS, with this certificate and its key.
    #[track_caller]
    pub fn offer_tls(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.folder.join("data").join(name);
            std::fs::write(&path, text).expect("the folder is writable");
            give_away(&path);
            run(Command::new("chmod").arg("600").arg(&path));
        }
        self.sql().run("alter system set ssl = on");
        self.reload();
    }

    /// Lets it read its configuration anew, and waits until it has.
    #[track_caller]
    fn reload(&self) {
        let loaded = "select pg_conf_load_time()";
        let mut sql = self.sql();
        let before = sql.value(loaded);
        sql.run("select pg_reload_conf()");
        eventually("PostgreSQL has read its configuration", || {
            let now = self.sql().value(loaded);
            if now == before { Err(format!("{now:?}")) } else { Ok(()) }
        });
    }

    /// From now on `role` needs a password.
    #[track_caller]
    pub fn ask_for_password(&self, role: &str) {
        let path = self.folder.join("data/pg_hba.conf");
        let text = std::fs::read_to_string(&path).expect("initdb wrote it");
        std::fs::write(&path, format!("host all {role} 127.0.0.1/32 scram-sha-256\n{text}")).expect("it is writable");
        self.reload();
    }

    /// From now on everybody needs a password over TCP, and nobody on the socket, whose folder is given.
    #[track_caller]
    pub fn ask_everybody_for_passwords(&self) -> String {
        let mut sql = self.sql();
        let path = self.folder.join("data/pg_hba.conf");
        std::fs::write(&path, "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
            .expect("it is writable");
        sql.run("select pg_reload_conf()");
        eventually("nobody comes in without a password", || match Sql::postgres(&self.url("postgres")) {
            Ok(_) => Err("somebody does".to_owned()),
            Err(_) => Ok(()),
        });
        self.folder.path().display().to_string()
    }

    /// A connection of its superuser.
    #[track_caller]
    pub fn sql(&self) -> Sql {
        Sql::postgres(&self.url("postgres")).unwrap_or_else(|error| panic!("{error}\n{}", self.log()))
    }

    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            // Killed, it would leave its shared memory behind; what is paused must go on to end.
            process::signal(Signal::Continue, &process.children());
            process.signal(Signal::Continue);
            process.signal(Signal::Int);
            if process.wait_within(super::DEADLINE).is_none() {
                eprintln!("PostgreSQL on port {} does not end", self.port);
            }
        }
        if std::thread::panicking() {
            eprintln!("--- PostgreSQL on port {}:\n{}", self.port, tail(&self.log(), 60));
        }
    }
}

impl Database {
    pub fn url(&self) -> String {
        url(self.port, &self.name)
    }

    /// The same through a proxy.
    pub fn url_through(&self, port: u16) -> String {
        url(port, &self.name)
    }

    /// The same as `role`, and with more parameters.
    pub fn url_as(&self, role: &str, parameters: &str) -> String {
        format!("{}{parameters}", self.url().replace("postgres@", &format!("{role}@")))
    }

    /// Makes a role of Amber's own that may make its tables here, and returns its name.
    #[track_caller]
    pub fn role(&self) -> String {
        let role = format!("writer_{}", self.name);
        self.sql().run(&format!("create role {role} login; grant create on database {} to {role}", self.name));
        role
    }

    /// Ends the connections of Amber to this database.
    #[track_caller]
    pub fn terminate(&self) {
        self.sql().run(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and application_name = 'amber'",
        );
    }

    /// A backup, by `pg_dump`.
    #[track_caller]
    pub fn dump(&self, file: &Path) {
        let mut dump = Command::new(program("pg_dump"));
        run(dump.args(["--format=custom", "--file"]).arg(file).arg(self.url()));
    }

    /// Puts it back to a backup, by `pg_restore`, in one transaction.
    #[track_caller]
    pub fn restore(&self, file: &Path) {
        let mut restore = Command::new(program("pg_restore"));
        restore.args(["--clean", "--if-exists", "--single-transaction", "--dbname"]);
        run(restore.arg(self.url()).arg(file));
    }

    /// A connection for assertions.
    #[track_caller]
    pub fn sql(&self) -> Sql {
        Sql::postgres(&self.url()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// The data folder that every server begins with: `initdb` takes ten times as long as a copy.
fn template() -> PathBuf {
    static TEMPLATE: OnceLock<Folder> = OnceLock::new();
    let folder = TEMPLATE.get_or_init(|| {
        let folder = Folder::new();
        give_away(folder.path());
        run(process::as_user(USER).arg(program("initdb")).arg("-D").arg(folder.join("data")).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]));
        folder
    });
    folder.join("data")
}

/// Lets PostgreSQL's user write `folder`, if we are root.
fn give_away(folder: &Path) {
    if let Some(user) = USER
        && process::is_root()
    {
        run(Command::new("chown").arg(user).arg(folder));
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.current_dir("/tmp").output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {words}", output.status);
}

/// A program of the newest PostgreSQL that is installed.
fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("AMBER_TEST_PG_BIN") {
        let path = PathBuf::from(folder).join(name);
        assert!(path.exists(), "AMBER_TEST_PG_BIN: there is no {}", path.display());
        return path;
    }
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name))))
        .filter(|(_, path)| path.exists())
        .collect();
    versions.sort();
    versions.pop().map_or_else(
        || process::find("AMBER_TEST_PG_BIN", &[name], "install the package postgresql (version 14 or later)"),
        |(_, path)| path,
    )
}
