//! A small disk of a test's own, that fills up and can be made read-only: a tmpfs in namespaces of its own. It needs no
//! right that an ordinary user lacks, and is gone with whoever holds the namespaces.
//!
//! Either a shell holds them, and other processes of its user reach the disk by `/proc/<pid of the shell>/root`; or the
//! test moves into them altogether ([`alone`]), for SQLite, which takes that path for a link and resolves it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::folder::Folder;
use super::process;

const UNSHARE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];
/// Set where a test is alone.
const ALONE: &str = "AMBER_TEST_ALONE";

/// Runs the test called `name` once more, in a process with namespaces of its own, where `body` gets a disk of
/// `megabytes`.
///
/// # Panics
/// If it fails there, or cannot be run there.
#[track_caller]
pub fn alone(name: &str, megabytes: u32, body: impl FnOnce(Disk)) {
    if std::env::var_os(ALONE).is_some() {
        let mut disk = Disk::held_by(&mut Command::new("sh"));
        disk.mount(megabytes);
        return body(disk);
    }
    let binary = std::env::current_exe().expect("Linux knows it");
    let mut command = process::as_user(None);
    command.args(["--pdeathsig", "KILL", "--"]).args(UNSHARE).arg(binary);
    let output = command.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().expect("setpriv starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("test result: ok. 1 passed"),
        "`{name}`, alone: {}\n{said}{}\n{NEEDED}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What a small disk needs.
const NEEDED: &str = "A small disk needs user namespaces, `unshare --user --map-root-user --mount`: allow them (sysctl \
     user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; in a \
     container: its seccomp profile)";

pub struct Disk {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where the shell's namespaces begin for others; empty if they are ours.
    root: String,
    mounted_at: String,
    _mounted_at: Folder,
}

impl Disk {
    /// One of `megabytes` that belongs to `user`, if we are root and there is one; else to us.
    ///
    /// # Panics
    /// Where the kernel does not let users make namespaces: the test cannot be run there, and must not seem to.
    #[track_caller]
    pub fn new(megabytes: u32, user: Option<&str>) -> Self {
        let mut disk =
            Self::held_by(process::as_user(user).args(["--pdeathsig", "KILL", "--"]).args(UNSHARE).arg("sh"));
        disk.root = format!("/proc/{}/root", disk.shell.id());
        disk.mount(megabytes);
        disk
    }

    fn held_by(shell: &mut Command) -> Self {
        let folder = Folder::new();
        shell.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("there is a shell, and setpriv");
        let input = shell.stdin.take().expect("it was asked for");
        let output = BufReader::new(shell.stdout.take().expect("it was asked for"));
        let mounted_at = folder.path().display().to_string();
        Self { shell, input, output, root: String::new(), mounted_at, _mounted_at: folder }
    }

    #[track_caller]
    fn mount(&mut self, megabytes: u32) {
        self.run(&format!("mount -t tmpfs -o size={megabytes}m,mode=0700 tmpfs {}", self.mounted_at));
    }

    /// Where it is, for processes of its user.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("{}{}", self.root, self.mounted_at))
    }

    /// Makes a folder on it.
    #[track_caller]
    pub fn folder(&mut self, name: &str) -> PathBuf {
        self.run(&format!("mkdir {}/{name}", self.mounted_at));
        self.path().join(name)
    }

    /// Takes all the room that is left.
    #[track_caller]
    pub fn fill(&mut self) {
        // It ends when there is no room for more.
        self.run(&format!("{{ cat /dev/zero >{}/filler; }} 2>/dev/null || true", self.mounted_at));
    }

    /// Gives it back.
    #[track_caller]
    pub fn free(&mut self) {
        self.run(&format!("rm {}/filler", self.mounted_at));
    }

    /// Nobody can write it. No file on it may be open for writing.
    #[track_caller]
    pub fn make_read_only(&mut self) {
        self.run(&format!("mount -o remount,ro {}", self.mounted_at));
    }

    #[track_caller]
    pub fn make_writable(&mut self) {
        self.run(&format!("mount -o remount,rw {}", self.mounted_at));
    }

    #[track_caller]
    fn run(&mut self, command: &str) {
        let mut line = String::new();
        // A shell that is gone cannot be written to, and says nothing.
        if writeln!(self.input, "{command} && echo done").is_ok() {
            self.output.read_line(&mut line).expect("a pipe can be read");
        }
        assert_eq!(line, "done\n", "`{command}` failed. {NEEDED}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = self.shell.kill().and_then(|()| self.shell.wait()) {
            eprintln!("the shell that holds {} stays: {error}", self.mounted_at);
        }
    }
}
