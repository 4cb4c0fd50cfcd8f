//! The real binary, in a folder of its own.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use super::folder::Folder;
use super::process::{Process, Program, Signal};
use super::{DEADLINE, eventually, ports, tail};

const BINARY: &str = env!("CARGO_BIN_EXE_amber");

/// `amber run` with a configuration, started, stopped, killed and started again in the same folder.
pub struct Amber {
    folder: Folder,
    http_port: u16,
    envs: BTreeMap<String, String>,
    process: Option<Process>,
}

impl Amber {
    /// A folder with `config` as its `config.toml`; not started. `[http] listen` comes by the environment.
    pub fn new(config: &str) -> Self {
        let folder = Folder::new();
        folder.write("config.toml", config);
        let http_port = ports::free();
        let envs = BTreeMap::from([
            ("AMBER__HTTP__LISTEN".to_owned(), format!("127.0.0.1:{http_port}")),
            ("AMBER__LOG__LEVEL".to_owned(), "debug".to_owned()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ]);
        Self { folder, http_port, envs, process: None }
    }

    /// The same, started and ready.
    #[track_caller]
    pub fn run(config: &str) -> Self {
        let mut amber = Self::new(config);
        amber.start();
        amber.wait_ready();
        amber
    }

    /// Sets an environment variable for what is started from now on.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.envs.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Replaces the configuration.
    pub fn configure(&mut self, config: &str) -> &mut Self {
        self.folder.write("config.toml", config);
        self
    }

    /// Where it runs: relative paths of its configuration begin here.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts `amber run`; does not wait.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.process = Some(Process::start(Program {
            path: PathBuf::from(BINARY),
            args: vec!["run".into()],
            envs: self.envs.clone().into_iter().collect(),
            folder: self.folder.path().to_owned(),
            log: self.log_path(),
            user: None,
            at_death: Signal::Kill,
        }));
    }

    /// Runs another command in its folder with its environment, to its end.
    #[track_caller]
    pub fn command(&self, args: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command.args(args).envs(&self.envs).current_dir(self.folder.path()).stdin(Stdio::null());
        command.output().expect("amber starts")
    }

    /// Waits until `/ready` says 200.
    #[track_caller]
    pub fn wait_ready(&self) {
        let process = self.process();
        eventually("amber is ready", || {
            if let Some(status) = process.exit_status() {
                panic!("amber has ended with {status}:\n{}", self.log());
            }
            match self.get("/ready") {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{status}: {body}")),
                Err(error) => Err(error),
            }
        });
    }

    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.exit_status().is_none())
    }

    pub fn pid(&self) -> u32 {
        self.process().pid
    }

    /// `kill -9`; returns when it is gone.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// SIGTERM, and waits for its end.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.process().signal(Signal::Term);
        self.wait()
    }

    /// The most memory that it ever had at a time, in bytes.
    #[track_caller]
    pub fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        1024 * peak.and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok()).expect("Linux tells it")
    }

    pub fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let process = self.process.take().expect("it runs");
        let Some(status) = process.wait_within(DEADLINE) else {
            panic!("amber has not ended in {DEADLINE:?}:\n{}", tail(&self.log(), 60))
        };
        status
    }

    /// What it has logged, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where it listens, on loopback.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// The address of `path` for a browser that calls it `host`.
    pub fn url_of(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.http_port)
    }

    /// `GET path`: status and body.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn get(&self, path: &str) -> Result<(u16, String), String> {
        get(self.http_port, path)
    }

    /// A metric by its name with labels, as `/metrics` writes it: `amber_rejects_total{reason="payload"}`. One that
    /// is not there is 0, as a counter with labels is before its first count.
    ///
    /// # Errors
    /// If `/metrics` cannot be read.
    pub fn metric(&self, name: &str) -> Result<f64, String> {
        let (status, text) = self.get("/metrics")?;
        if status != 200 {
            return Err(format!("/metrics says {status}"));
        }
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(Ok(0.0), |value| value.parse().map_err(|_| format!("{name}: `{value}`")))
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("amber.log")
    }
}

impl Drop for Amber {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- amber in {}:\n{}", self.folder.path().display(), tail(&self.log(), 200));
        }
    }
}

/// Runs the binary in `folder` with an environment without any `AMBER_…`, to its end.
#[track_caller]
pub fn command(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AMBER_") {
            command.env_remove(name);
        }
    }
    command.args(args).current_dir(folder).stdin(Stdio::null()).output().expect("amber starts")
}

/// `GET path` of a server on loopback: status and body.
///
/// # Errors
/// What went wrong, for people.
pub fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| format!("GET {path}: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| format!("no HTTP: {head}"))?, body.to_owned()))
}
