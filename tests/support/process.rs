//! Child processes that end with the test binary, by `setpriv --pdeathsig`.
//!
//! The kernel sends that signal when the *thread* ends that started the child. So each child has a keeper thread,
//! which starts it and waits for it: a server that many tests share outlives the test that asked for it first.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// What is sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Kill,
    Term,
    Int,
    Quit,
    Stop,
    Continue,
    Hangup,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Quit => "QUIT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
            Self::Hangup => "HUP",
        }
    }
}

/// Sends `signal` to `pids`; those that are gone are passed over.
pub fn signal(signal: Signal, pids: &[u32]) {
    // The shell's own `kill`: everywhere there, and nothing unsafe.
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let script = format!("kill -s {} {} 2>/dev/null; true", signal.word(), pids.join(" "));
    let status = Command::new("sh").args(["-c", &script]).status().expect("there is a shell");
    assert!(status.success(), "`{script}` gave {status}");
}

/// How a program is started.
pub struct Program {
    pub path: PathBuf,
    pub args: Vec<String>,
    pub envs: Vec<(String, String)>,
    pub folder: PathBuf,
    /// Takes standard output and error, appended.
    pub log: PathBuf,
    /// As whom, if we are root.
    pub user: Option<&'static str>,
    /// What the kernel sends when the test binary ends.
    pub at_death: Signal,
}

/// A running child. Dropped, it is killed.
pub struct Process {
    pub pid: u32,
    exited: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
}

impl Process {
    /// Starts `program`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: Program) -> Self {
        let exited = Arc::new((Mutex::new(None), Condvar::new()));
        let (report, pid) = mpsc::sync_channel(1);
        let keeper_exited = Arc::clone(&exited);
        let name = program.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        std::thread::Builder::new()
            .name(format!("keeper of {name}"))
            .spawn(move || {
                let mut child = match program.command().spawn() {
                    Ok(child) => child,
                    Err(error) => return report.send(Err(error)).expect("start() waits for it"),
                };
                report.send(Ok(child.id())).expect("start() waits for it");
                let status = child.wait().expect("it is our child");
                let (slot, bell) = &*keeper_exited;
                *slot.lock().expect("nobody panics holding it") = Some(status);
                bell.notify_all();
            })
            .expect("a thread can be started");
        match pid.recv().expect("the keeper reports") {
            Ok(pid) => Self { pid, exited },
            Err(error) => panic!("cannot start {name} (is setpriv of util-linux installed?): {error}"),
        }
    }

    /// `Some` once it has ended.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exited.0.lock().expect("nobody panics holding it")
    }

    pub fn signal(&self, what: Signal) {
        if self.exit_status().is_none() {
            signal(what, &[self.pid]);
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// After [`DEADLINE`].
    #[track_caller]
    pub fn wait(&self) -> ExitStatus {
        self.wait_within(DEADLINE).unwrap_or_else(|| panic!("process {} has not ended in {DEADLINE:?}", self.pid))
    }

    /// Waits for its end; `None` if it has not come.
    pub fn wait_within(&self, deadline: Duration) -> Option<ExitStatus> {
        let (slot, bell) = &*self.exited;
        let end = Instant::now() + deadline;
        let mut status = slot.lock().expect("nobody panics holding it");
        while status.is_none() {
            let left = end.checked_duration_since(Instant::now())?;
            status = bell.wait_timeout(status, left).expect("nobody panics holding it").0;
        }
        *status
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&self) {
        self.signal(Signal::Kill);
        self.wait();
    }

    /// The processes that it started and that are still there.
    pub fn children(&self) -> Vec<u32> {
        let mut children = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("Linux").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
            // pid (name) state parent …; the name may hold anything, so begin after the last parenthesis.
            let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
            if parent.and_then(|parent| parent.parse().ok()) == Some(self.pid) {
                children.push(pid);
            }
        }
        children
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exit_status().is_none() {
            // Also what is stopped obeys this one.
            signal(Signal::Kill, &[self.pid]);
            if self.wait_within(DEADLINE).is_none() {
                eprintln!("process {} does not end", self.pid);
            }
        }
    }
}

impl Program {
    fn command(&self) -> Command {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log).expect("the log is writable");
        let mut command = as_user(self.user);
        command
            .args(["--pdeathsig", self.at_death.word(), "--"])
            .arg(&self.path)
            .args(&self.args)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a handle can be cloned"))
            .stderr(log);
        command
    }
}

/// `setpriv`, with the options to become `user` if we are root.
pub fn as_user(user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user
        && is_root()
    {
        command.args(["--reuid", user, "--regid", user, "--init-groups", "--reset-env"]);
    }
    command
}

/// Whether we are root: Mosquitto and PostgreSQL behave differently then.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").expect("Linux").uid() == 0
}

/// A program from an environment variable, or the first of `places` that is there.
///
/// # Panics
/// If there is none, with what to install.
pub fn find(variable: &str, places: &[&str], install: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.exists(), "{variable} says {}, which is not there", path.display());
        return path;
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    for place in places {
        if place.starts_with('/') {
            if Path::new(place).exists() {
                return PathBuf::from(place);
            }
        } else if let Some(found) =
            std::env::split_paths(&on_path).map(|dir| dir.join(place)).find(|path| path.exists())
        {
            return found;
        }
    }
    panic!("{} is not installed; {install}, or name it in {variable}", places[0])
}
