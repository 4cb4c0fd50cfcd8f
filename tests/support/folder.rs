//! Temporary folders: short paths under `/tmp`, removed with the test, and with the test binary if that is killed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// A folder that lasts as long as its value.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one. The path is short, because a socket's may have 107 bytes.
    pub fn new() -> Self {
        Self::within(Path::new("/tmp"))
    }

    /// Makes one in `parent`.
    pub fn within(parent: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("amber-").tempdir_in(parent).expect("the parent takes a folder");
        janitor(folder.path());
        Self { path: folder.keep() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file into it and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("{} stays: {error}", self.path.display());
        }
    }
}

/// Removes `path` once this process is gone, however it ends: a shell notes what it reads from a pipe that only we
/// hold, and acts when that ends.
///
/// Statics are never dropped, and a process that is killed runs no destructor.
fn janitor(path: &Path) {
    const SCRIPT: &str = "trap '' INT TERM HUP; set --; while read -r path; do set -- \"$@\" \"$path\"; done; \
        for _ in 1 2 3 4 5; do rm -rf \"$@\" && sleep 0.2 && rm -rf \"$@\" && exit 0; sleep 1; done";
    static PIPE: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    #[expect(clippy::zombie_processes, reason = "it ends after us")]
    let pipe = PIPE.get_or_init(|| {
        let mut janitor = Command::new("sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is a shell");
        Mutex::new(janitor.stdin.take().expect("it was asked for"))
    });
    writeln!(pipe.lock().expect("nobody panics holding it"), "{}", path.display()).expect("the janitor reads");
}
