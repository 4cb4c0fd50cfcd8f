//! `include = ["mappings/*.toml"]`: which files are meant.
//!
//! Relative to the file that names them; `*` and `?` in the last part only; sorted by name; each file once.

use std::path::{Path, PathBuf};

use super::reader::Faults;
use super::tree::{Table, Value};
use crate::fault::{At, Fault, Place};

/// A file to read.
pub(super) struct Included {
    pub path: PathBuf,
    /// As it is shown in faults.
    pub name: String,
    pub named_at: Place,
}

/// The files that `include` of `main` names, in its order.
pub(super) fn files(main: &Path, top: &Table, faults: &mut Faults) -> Vec<Included> {
    let Some(entry) = top.get("include") else { return vec![] };
    if let Value::List(list) = &entry.node.value
        && list.is_empty()
    {
        return vec![];
    }
    let folder = main.parent().unwrap_or(Path::new(""));
    let mut seen: Vec<PathBuf> = main.canonicalize().into_iter().collect();
    let mut files = vec![];
    for pattern in super::reader::texts("include", &entry.node, false, faults) {
        for path in expand(folder, &pattern, faults) {
            // A pattern may find the main file itself, and two patterns the same file.
            let same = path.canonicalize().unwrap_or_else(|_| path.clone());
            if !seen.contains(&same) {
                seen.push(same);
                files.push(Included { name: path.display().to_string(), path, named_at: pattern.place.clone() });
            }
        }
    }
    files
}

/// What `include` of `main` names, from where Amber runs; what is no text is a fault elsewhere.
pub(super) fn patterns(main: &Path, top: &Table) -> Vec<PathBuf> {
    let Some(entry) = top.get("include") else { return vec![] };
    let folder = main.parent().unwrap_or(Path::new(""));
    let texts = super::reader::texts("include", &entry.node, false, &mut Faults::default());
    texts.iter().map(|pattern| folder.join(&pattern.value)).collect()
}

/// The files that there are of one of these, by name.
pub(super) fn found(pattern: &Path) -> Vec<PathBuf> {
    let pattern = At::new(pattern.to_string_lossy().into_owned(), Place::Default);
    expand(Path::new(""), &pattern, &mut Faults::default())
}

fn expand(folder: &Path, pattern: &At<String>, faults: &mut Faults) -> Vec<PathBuf> {
    let mut fault = |what: String, remedy: &str| {
        faults.push(Fault::new(&pattern.place, "include", what, remedy));
        vec![]
    };
    let path = folder.join(&pattern.value);
    let wild = |text: &str| text.contains(['*', '?']);
    if !wild(&pattern.value) {
        return vec![path];
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return fault("names no file".to_owned(), "write `mappings/*.toml`");
    };
    if wild(&parent.to_string_lossy()) {
        return fault("`*` and `?` may stand in the last part only".to_owned(), "name each folder: `mappings/*.toml`");
    }
    let folder = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let what = format!("there is no folder `{}`", folder.display());
            faults.push(Fault::warning(&pattern.place, "include", what, "make it, or mend the path"));
            return vec![];
        }
        Err(error) => return fault(format!("`{}` cannot be read: {error}", folder.display()), ""),
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        // As in a shell: editors leave hidden files about.
        .filter(|found| matches(name, found) && (name.starts_with('.') || !found.starts_with('.')))
        .collect();
    names.sort();
    names.into_iter().map(|name| parent.join(name)).collect()
}

/// Whether `name` matches `pattern`: `*` takes any number of characters, `?` one.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => name.is_empty(),
        Some('*') => {
            let tails = name.char_indices().map(|(index, _)| &name[index..]).chain(std::iter::once(""));
            tails.into_iter().any(|tail| matches(rest.as_str(), tail))
        }
        Some(c) => {
            let mut chars = name.chars();
            chars.next().is_some_and(|first| c == '?' || c == first) && matches(rest.as_str(), chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_takes_any_number_of_characters_and_a_question_mark_one() {
        let cases = [
            ("*.toml", "a.toml", true),
            ("*.toml", ".toml", true),
            ("*.toml", "a.toml~", false),
            ("a?.toml", "ab.toml", true),
            ("a?.toml", "a.toml", false),
            ("*a*b*", "xaxbx", true),
            ("*a*b*", "xbxax", false),
            ("ü?", "üé", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
