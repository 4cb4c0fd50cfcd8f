//! Files that a command makes for people: whole or not at all, and never in place of another.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// For all to read, its owner to write.
pub(super) const PUBLIC: u32 = 0o644;
/// For its owner alone: it holds a password.
pub(super) const PRIVATE: u32 = 0o600;

/// Makes the file `path` with `text` in it. It appears whole, under its name, or not at all.
///
/// # Errors
/// There is one of that name already, or why it cannot be written.
pub(super) fn create(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let aside = Aside::write(path, text.as_bytes(), mode)?;
    // A link never takes the place of a file, as a rename does.
    match fs::hard_link(&aside.path, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("`{}` is there already, and is not overwritten", path.display())
        }
        // A file system without links (a FAT stick).
        Err(_) => written(path, |options| options.write(true).create_new(true).mode(mode), text.as_bytes())
            .with_context(|| format!("`{}` cannot be written", path.display())),
    }
}

/// Adds `text` to the end of the file, which has the bytes `old` and keeps them as they are.
///
/// # Errors
/// It has changed meanwhile, or why it cannot be written.
pub(super) fn append(path: &Path, old: &[u8], text: &str) -> anyhow::Result<()> {
    let mode = fs::metadata(path).map_or(PUBLIC, |metadata| metadata.permissions().mode() & 0o7777);
    // A link to the file stays one.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let aside = Aside::write(&target, &[old, text.as_bytes()].concat(), mode)?;
    let now = fs::read(&target).with_context(|| format!("`{}` cannot be read again", path.display()))?;
    if now != old {
        bail!("`{}` has changed meanwhile, and nothing is added", path.display());
    }
    fs::rename(&aside.path, &target).with_context(|| format!("`{}` cannot be written", path.display()))
}

/// What is to become a file, beside it; it is gone when this is.
struct Aside {
    path: PathBuf,
}

impl Aside {
    fn write(beside: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<Self> {
        let Some(name) = beside.file_name() else { bail!("`{}` is no name of a file", beside.display()) };
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let aside = Self { path: beside.with_file_name(name) };
        let made = written(&aside.path, |options| options.write(true).create(true).truncate(true).mode(PRIVATE), bytes)
            // Whatever the umask says.
            .and_then(|()| fs::set_permissions(&aside.path, Permissions::from_mode(mode)));
        made.with_context(|| format!("`{}` cannot be written", beside.display()))?;
        Ok(aside)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // After a rename it is gone already.
        drop(fs::remove_file(&self.path));
    }
}

fn written(
    path: &Path,
    open: impl FnOnce(&mut fs::OpenOptions) -> &mut fs::OpenOptions,
    bytes: &[u8],
) -> io::Result<()> {
    let mut file: File = open(&mut fs::OpenOptions::new()).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_made_once_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        create(&path, "one", PUBLIC).unwrap();
        assert_eq!(mode(&path), 0o644);
        let error = create(&path, "two", PUBLIC).unwrap_err().to_string();
        assert!(error.ends_with("is there already, and is not overwritten"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        let secret = folder.path().join("secret");
        create(&secret, "word", PRIVATE).unwrap();
        assert_eq!(mode(&secret), 0o600);
        assert_eq!(names(folder.path()).len(), 2, "nothing is left beside them: {:?}", names(folder.path()));
        assert!(create(&folder.path().join("absent/a"), "", PUBLIC).is_err());
    }

    #[test]
    fn what_is_added_leaves_the_bytes_before_it_and_the_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        create(&path, "old\r\n", PRIVATE).unwrap();
        append(&path, b"old\r\n", "new\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old\r\nnew\n");
        assert_eq!(mode(&path), 0o600);
        let error = append(&path, b"old\r\n", "more").unwrap_err().to_string();
        assert!(error.contains("has changed meanwhile"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old\r\nnew\n");
        assert_eq!(names(folder.path()), ["a"]);
    }
}
