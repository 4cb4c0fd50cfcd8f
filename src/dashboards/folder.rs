//! The folder of the dashboards: writes those that have changed, removes those of measurements that are gone, and leaves
//! alone what is not Amber's.
//!
//! A file is Amber's if its dashboard has the tag of `MARK`; one is removed only if its uid is that of its name, too, so
//! that a copy under another name is never taken for ours. Files appear whole: written beside, synced, renamed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Dashboard, MARK};

/// A larger file is no dashboard of ours.
const MAX_BYTES: u64 = 64 << 20;

/// Where dashboards are written.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub written: usize,
    pub unchanged: usize,
    pub removed: usize,
    /// Files in the place of ours that are not Amber's, each with what to do.
    pub kept: Vec<String>,
}

impl Folder {
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the folder if it is not there, and brings it to `dashboards`. Blocks.
    ///
    /// # Errors
    /// The first thing that cannot be done, one line with what to do; what was done until then stays.
    pub fn write(&self, dashboards: &[Dashboard]) -> Result<Written, String> {
        self.bring_to(dashboards).map_err(|(path, error)| {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "; let the user that Amber runs as write there"
                }
                io::ErrorKind::NotFound => "; make the folder that it is in",
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "; name a folder",
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room",
                _ => "",
            };
            format!("dashboards cannot be written: `{}`: {error}{remedy}", path.display())
        })
    }

    fn bring_to(&self, dashboards: &[Dashboard]) -> Result<Written, (PathBuf, io::Error)> {
        let folder = self.0.as_path();
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        if !folder.is_dir() {
            fs::create_dir(folder).map_err(at(folder))?;
        }
        let mut written = Written::default();
        for dashboard in dashboards {
            let path = folder.join(format!("{}.json", dashboard.slug));
            match self::found(&path).map_err(at(&path))? {
                Found::Nothing => {}
                Found::Ours(text) if text == dashboard.text => {
                    written.unchanged += 1;
                    continue;
                }
                Found::Ours(_) => {}
                Found::Another => {
                    written.kept.push(format!(
                        "`{}` is not written: the file there lacks the tag `{MARK}`, so it is somebody's own; move it to \
                         another folder to have Amber's again",
                        path.display()
                    ));
                    continue;
                }
            }
            replace(&path, &dashboard.text).map_err(at(&path))?;
            written.written += 1;
        }
        for entry in fs::read_dir(folder).map_err(at(folder))? {
            let path = entry.map_err(at(folder))?.path();
            if self::is_left_over(&path, dashboards) {
                fs::remove_file(&path).map_err(at(&path))?;
                written.removed += 1;
            }
        }
        Ok(written)
    }
}

enum Found {
    /// No file, or one without content, as a power cut leaves it.
    Nothing,
    Ours(String),
    Another,
}

fn found(path: &Path) -> io::Result<Found> {
    match fs::metadata(path) {
        Ok(about) if about.is_file() && about.len() <= MAX_BYTES => {}
        Ok(_) => return Ok(Found::Another),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    let bytes = fs::read(path)?;
    if bytes.is_empty() {
        return Ok(Found::Nothing);
    }
    let Ok(text) = String::from_utf8(bytes) else { return Ok(Found::Another) };
    Ok(if marked(&text).is_some() { Found::Ours(text) } else { Found::Another })
}

/// The dashboard in `text`, if it has Amber's mark.
fn marked(text: &str) -> Option<Value> {
    let dashboard: Value = serde_json::from_str(text).ok()?;
    let tags = dashboard.get("tags")?.as_array()?;
    tags.iter().any(|tag| tag == MARK).then_some(dashboard)
}

/// Whether the file is one that Amber wrote for a measurement that is gone. What cannot be read is not.
fn is_left_over(path: &Path, dashboards: &[Dashboard]) -> bool {
    let Some(slug) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json")) else {
        return false;
    };
    if dashboards.iter().any(|dashboard| dashboard.slug == slug) {
        return false;
    }
    let Ok(Found::Ours(text)) = found(path) else { return false };
    marked(&text).is_some_and(|dashboard| dashboard.get("uid").is_some_and(|uid| *uid == format!("amber-m-{slug}")))
}

/// Puts `text` in the place of what is at `path`; whoever reads meanwhile reads either the one or the other.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Grafana reads `*.json` only.
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let put = || {
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    put().inspect_err(|_| drop(fs::remove_file(&beside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dashboard(slug: &str, title: &str) -> Dashboard {
        let text = format!("{{\"uid\":\"amber-m-{slug}\",\"title\":\"{title}\",\"tags\":[\"amber\",\"{MARK}\"]}}\n");
        Dashboard { measurement: slug.to_owned(), slug: slug.to_owned(), text }
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn what_has_changed_is_written_and_nothing_else_is_touched() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("new");
        let folder = Folder::new(&path);
        let both = [dashboard("a", "1"), dashboard("b", "1")];
        assert_eq!(folder.write(&both), Ok(Written { written: 2, ..Written::default() }));
        let before = fs::metadata(path.join("a.json")).unwrap().modified().unwrap();
        let next = [dashboard("a", "1"), dashboard("b", "2")];
        assert_eq!(folder.write(&next), Ok(Written { written: 1, unchanged: 1, ..Written::default() }));
        assert_eq!(fs::metadata(path.join("a.json")).unwrap().modified().unwrap(), before);
        assert_eq!(fs::read_to_string(path.join("b.json")).unwrap(), next[1].text);
        assert_eq!(names(&path), ["a.json", "b.json"], "nothing is left beside");
    }

    #[test]
    fn what_is_not_ambers_stays_and_what_is_gone_goes() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path();
        let folder = Folder::new(path);
        folder.write(&[dashboard("gone", "1"), dashboard("empty", "1")]).unwrap();
        fs::write(path.join("own.json"), "{\"uid\":\"amber-m-own\",\"tags\":[\"amber\",\"amber-measurement\"]}")
            .unwrap();
        fs::write(path.join("text.json"), "no JSON").unwrap();
        fs::write(path.join("copy.json"), dashboard("other", "1").text).unwrap();
        fs::write(path.join("empty.json"), "").unwrap();
        fs::create_dir(path.join("folder.json")).unwrap();
        let wanted = ["own", "text", "empty", "folder"].map(|slug| dashboard(slug, "2"));
        let written = folder.write(&wanted).unwrap();
        assert_eq!((written.written, written.removed, written.kept.len()), (1, 1, 3), "{written:?}");
        assert!(written.kept[0].contains("own.json") && written.kept[0].contains(MARK), "{written:?}");
        assert_eq!(names(path), ["copy.json", "empty.json", "folder.json", "own.json", "text.json"]);
        assert_eq!(fs::read_to_string(path.join("text.json")).unwrap(), "no JSON");
    }

    #[test]
    fn a_folder_that_cannot_be_is_one_clear_line() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        fs::write(&file, "").unwrap();
        for (path, expected) in [
            (file.clone(), "name a folder"),
            (file.join("below"), "name a folder"),
            (temporary.path().join("a/b"), "make the folder"),
        ] {
            let error = Folder::new(&path).write(&[dashboard("a", "1")]).unwrap_err();
            assert!(error.contains(expected) && error.contains(&path.display().to_string()), "{error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
}
