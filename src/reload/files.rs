//! What the files of a configuration hold, to see whether they have changed.
//!
//! Their contents are read and hashed, not their times: an editor may replace a file by another, a folder's link may be
//! turned to another folder (Kubernetes), a single file may be mounted from elsewhere, and there are file systems on which
//! neither inotify nor the time of the last change tells any of that. A configuration is a few short files.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use crate::config::Sources;

/// The files and what each holds, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen(Vec<(PathBuf, Content)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Hash(u128),
    Unreadable(ErrorKind),
    /// A pipe (`--config <(…)`): who reads it again waits for ever, or finds it empty.
    NoFile,
}

/// Looks at all of them. Blocks.
pub(super) fn look(sources: &Sources) -> Seen {
    let look = |path: PathBuf| {
        let content = if is_no_file(&path) {
            Content::NoFile
        } else {
            std::fs::read(&path)
                .map_or_else(|error| Content::Unreadable(error.kind()), |bytes| Content::Hash(xxh3_128(&bytes)))
        };
        (path, content)
    };
    Seen(sources.files().into_iter().map(look).collect())
}

/// Those that bear no name any more, though a path leads to them: a single file that is mounted, and was replaced where it
/// is mounted from. Nobody sees its successor here. Blocks.
pub(super) fn nameless(sources: &Sources) -> Vec<PathBuf> {
    let is_nameless =
        |path: &PathBuf| path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 0);
    sources.files().into_iter().filter(is_nameless).collect()
}

/// Whether something else than a file is there.
pub(super) fn is_no_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::config;

    /// A configuration in `folder`, and where it comes from.
    fn sources(folder: &Path) -> Sources {
        let text = "include = [\"more/*.toml\"]\n[broker]\nurl = \"mqtt://b\"\nusername = \"u\"\npassword_file = \"{}/secret\"\n";
        fs::create_dir_all(folder.join("more")).unwrap();
        fs::write(folder.join("secret"), "one").unwrap();
        fs::write(folder.join("config.toml"), text.replace("{}", folder.to_str().unwrap())).unwrap();
        config::load(Some(&folder.join("config.toml")), []).sources
    }

    #[test]
    fn every_way_to_change_a_file_is_seen_and_what_is_as_before_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let sources = sources(folder.path());
        assert_eq!(look(&sources), look(&sources));
        let changes: [(&str, &dyn Fn()); 8] = [
            ("written over", &|| fs::write(at("config.toml"), "one").unwrap()),
            ("replaced", &|| {
                fs::write(at("new"), "two").unwrap();
                fs::rename(at("new"), at("config.toml")).unwrap();
            }),
            ("a new included file", &|| fs::write(at("more/a.toml"), "").unwrap()),
            ("an included file", &|| fs::write(at("more/a.toml"), "#").unwrap()),
            ("one that is gone", &|| fs::remove_file(at("more/a.toml")).unwrap()),
            ("a password", &|| fs::write(at("secret"), "two").unwrap()),
            ("a link to another folder", &|| {
                fs::create_dir(at("v1")).unwrap();
                fs::write(at("v1/b.toml"), "v1").unwrap();
                fs::remove_dir(at("more")).unwrap();
                symlink("v1", at("more")).unwrap();
            }),
            ("that is turned", &|| {
                fs::create_dir(at("v2")).unwrap();
                fs::write(at("v2/b.toml"), "v2").unwrap();
                symlink("v2", at("turned")).unwrap();
                fs::rename(at("turned"), at("more")).unwrap();
            }),
        ];
        for (what, change) in changes {
            let before = look(&sources);
            change();
            assert_ne!(look(&sources), before, "{what}");
        }
        let before = look(&sources);
        fs::write(at("config.toml"), "two").unwrap();
        fs::write(at("more/b.txt"), "no configuration").unwrap();
        assert_eq!(look(&sources), before, "written again with the same contents");
        fs::remove_file(at("config.toml")).unwrap();
        assert_ne!(look(&sources), before);
    }
}
