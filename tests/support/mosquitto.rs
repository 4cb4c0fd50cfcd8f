//! A real Mosquitto: one per test, ready in some milliseconds.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::process::{self, Process, Program, Signal};
use super::{eventually, ports, tail};

/// What docs recommend for a broker of Amber's, but that it saves at once.
const SETTINGS: &str = "\
allow_anonymous true
persistence true
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_type all
";

/// A broker on a port of its own, with persistence in a folder of its own.
pub struct Mosquitto {
    pub port: u16,
    folder: Folder,
    process: Option<Process>,
}

impl Mosquitto {
    /// Starts one with the usual settings.
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts one with further lines in its configuration.
    pub fn with(lines: &str) -> Self {
        let folder = Folder::new();
        let port = ports::free();
        let mut text =
            format!("listener {port} 127.0.0.1\n{SETTINGS}persistence_location {}/\n", folder.path().display());
        if process::is_root() {
            // Otherwise it becomes the user `mosquitto`, who cannot write our folder.
            text.push_str("user root\n");
        }
        writeln!(text, "{lines}").expect("a String takes every write");
        folder.write("mosquitto.conf", &text);
        let mut broker = Self { port, folder, process: None };
        broker.start_again();
        broker
    }

    /// Starts one with a whole configuration of a test's own, given its port and its folder.
    pub fn configured(text: impl FnOnce(u16, &Path) -> String) -> Self {
        let folder = Folder::new();
        let port = ports::free();
        let mut text = text(port, folder.path());
        if process::is_root() {
            text.push_str("\nuser root\n");
        }
        folder.write("mosquitto.conf", &text);
        let mut broker = Self { port, folder, process: None };
        broker.start_again();
        broker
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").pid
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Starts it on the same port and folder, and waits until it listens.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let process = Process::start(Program {
            path: program(),
            args: vec!["-c".into(), self.folder.join("mosquitto.conf").display().to_string()],
            envs: vec![],
            folder: self.folder.path().to_owned(),
            log: self.log_path(),
            user: None,
            at_death: Signal::Kill,
        });
        eventually("mosquitto listens", || match TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)) {
            Ok(_) => Ok(()),
            Err(error) => {
                assert!(process.exit_status().is_none(), "mosquitto has ended:\n{}", self.log());
                Err(error.to_string())
            }
        });
        self.process = Some(process);
    }

    /// Ends it by SIGTERM: it saves its sessions.
    #[track_caller]
    pub fn stop(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal(Signal::Term);
        process.wait();
    }

    /// Ends it by `kill -9`: it rolls back to its last save.
    #[track_caller]
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").kill();
    }

    /// `SIGSTOP`: connections stay, nothing moves.
    pub fn pause(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::Stop);
    }

    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::Continue);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// What it has saved of sessions and messages, once it has stopped.
    pub fn saved(&self) -> Vec<u8> {
        std::fs::read(self.folder.join("mosquitto.db")).expect("it saves when it stops")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join("mosquitto.log")
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- mosquitto on port {}:\n{}", self.port, tail(&self.log(), 60));
        }
    }
}

/// Its version, as numbers that can be compared: `[2, 0, 11]`.
///
/// 2.0.11 does not keep the in-flight window and forgets shared subscriptions; a test that depends on it asks.
pub fn version() -> Vec<u32> {
    let output = std::process::Command::new(program()).arg("-h").output().expect("mosquitto starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    word.unwrap_or_else(|| panic!("no version in: {text}")).split('.').filter_map(|part| part.parse().ok()).collect()
}

fn program() -> PathBuf {
    process::find(
        "AMBER_TEST_MOSQUITTO",
        &["mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"],
        "install the package mosquitto",
    )
}
