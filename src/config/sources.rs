//! Which files a configuration comes from: for who waits for them to change.

use std::path::{Path, PathBuf};

use super::tree::Table;
use super::{Secret, include};

/// Files, and patterns that find more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    main: PathBuf,
    /// What `include` names, from where Amber runs.
    patterns: Vec<PathBuf>,
    /// What `password_file` names; perhaps it is the password itself, written under the wrong key.
    secrets: Vec<Secret>,
}

impl Sources {
    pub(super) fn new(main: &Path, top: &Table, secrets: Vec<Secret>) -> Self {
        Self { main: main.to_owned(), patterns: include::patterns(main, top), secrets }
    }

    /// Only the main file, of which nothing is known yet.
    pub(super) fn of(main: &Path) -> Self {
        Self { main: main.to_owned(), ..Self::default() }
    }

    #[must_use]
    pub fn main(&self) -> &Path {
        &self.main
    }

    /// All files that there are at present, and those that are named and are not there. Reads folders.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let included = self.patterns.iter().flat_map(|pattern| include::found(pattern));
        let secrets = self.secrets.iter().map(|file| PathBuf::from(file.expose()));
        std::iter::once(self.main.clone()).chain(included).chain(secrets).collect()
    }

    /// The folders that `include` looks through.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        let parents = self.patterns.iter().filter_map(|pattern| pattern.parent());
        parents.filter(|folder| !folder.as_os_str().is_empty())
    }
}
