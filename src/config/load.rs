//! Finds the file, reads it and what it includes, and joins all to a `Loaded`.

use std::path::{Path, PathBuf};

use super::reader::{Faults, check_keys, quoted};
use super::tree::{self, Entry, Table, Value};
use super::{Config, Loaded, MappingConfig, MappingText, Sources, include, language, settings, shown, vocabulary};
use crate::fault::{At, Fault, Place};

/// Where a file is looked for if none is named.
const PLACES: [&str; 2] = ["./config.toml", "/etc/amber/config.toml"];

/// The smallest configuration that works, given a broker on this machine.
#[must_use]
pub fn minimal() -> &'static str {
    "[broker]\n\
     url = \"mqtt://localhost:1883\"\n\
     \n\
     [store]\n\
     url = \"sqlite:amber.db\"\n\
     \n\
     [mapping.climate]\n\
     topic  = \"home/{room}/climate\"\n\
     fields = [\"temperature\", \"humidity\"]\n"
}

/// The variables of this process that are text; others are none of ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Loads the file named by `explicit` (`--config` or `$AMBER_CONFIG`), else the first of `./config.toml` and
/// `/etc/amber/config.toml` that is there, under the settings of `environment`.
pub fn load(explicit: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Loaded {
    load_first(explicit, &PLACES, environment)
}

/// The file that `load` reads.
#[must_use]
pub fn find(explicit: Option<&Path>) -> Option<PathBuf> {
    first(explicit, &PLACES)
}

fn first(explicit: Option<&Path>, places: &[&str]) -> Option<PathBuf> {
    explicit.map(Path::to_owned).or_else(|| places.iter().map(PathBuf::from).find(|path| path.exists()))
}

/// `load` with other places to look at.
pub(super) fn load_first(
    explicit: Option<&Path>,
    places: &[&str],
    environment: impl IntoIterator<Item = (String, String)>,
) -> Loaded {
    let Some(path) = first(explicit, places) else {
        let what = "no configuration file: looked for `--config`, `$AMBER_CONFIG`, `./config.toml` and \
                    `/etc/amber/config.toml`";
        let remedy = format!("a `config.toml` that works:\n\n{}", minimal());
        return Loaded {
            config: None,
            faults: vec![Fault::new(&Place::Default, "", what, remedy)],
            sources: Sources::default(),
            file: String::new(),
            only_mappings: false,
        };
    };
    let name = path.strip_prefix("./").unwrap_or(&path).display().to_string();
    let mut faults = Faults::default();
    let Some(text) = read(&path, &Place::Default, "", &mut faults) else {
        let sources = Sources::of(Path::new(&name));
        return Loaded { config: None, faults: faults.into_list(&name), sources, file: name, only_mappings: false };
    };
    load_text(&name, &text, environment)
}

/// Loads `text` as if it stood in the file `name`; what it includes is looked for beside that.
pub fn load_text(name: &str, text: &str, environment: impl IntoIterator<Item = (String, String)>) -> Loaded {
    let environment: Vec<(String, String)> = environment.into_iter().collect();
    let mut faults = Faults::default();
    let start = Place::File { file: name.into(), line: 1, column: 1 };
    let top = tree::parse(name, text, &mut faults);
    check_top(&top, "top", vocabulary::TOP, &mut faults);
    let included = include::files(Path::new(name), &top, &mut faults);

    let own_defaults = defaults(&top, &mut faults);
    let shown = |name: &str, text: &str| MappingText { name: name.to_owned(), text: shown::mappings_of(text) };
    let mut texts = vec![shown(name, text)];
    let mut mappings = Mappings::default();
    mappings.read(&top, &own_defaults, &mut faults);
    for file in &included {
        let Some(text) = read(&file.path, &file.named_at, "include", &mut faults) else { continue };
        texts.push(shown(&file.name, &text));
        let tree = tree::parse(&file.name, &text, &mut faults);
        check_top(&tree, "included", vocabulary::INCLUDED, &mut faults);
        let mut chain = defaults(&tree, &mut faults);
        chain.extend(&own_defaults);
        mappings.read(&tree, &chain, &mut faults);
    }
    let connects = ["broker", "store"].iter().any(|section| top.section(section).is_some());
    let only_mappings = !connects && !mappings.names.is_empty();
    let settings = settings::read(&top, &environment, &start, &mut faults);
    if mappings.names.is_empty() && !faults.any_syntax() {
        let what = "no mapping: nothing is subscribed to and nothing is stored";
        faults.push(Fault::warning(&start, "mapping", what, "write a `[mapping.<name>]` with `topic` and `fields`"));
    }
    let settings::Settings { broker, store, rejects, dashboards, http, log, secrets } = settings;
    let sources = Sources::new(Path::new(name), &top, secrets);
    for mapping in &mut mappings.list {
        mapping.qos.get_or_insert(broker.qos);
    }
    let config = Config { broker, store, rejects, dashboards, http, log, mappings: mappings.list, texts };
    Loaded { config: Some(config), faults: faults.into_list(name), sources, file: name.to_owned(), only_mappings }
}

/// Reads a file as UTF-8, or says what stands in the way.
fn read(path: &Path, named_at: &Place, key: &str, faults: &mut Faults) -> Option<String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            faults.push(Fault::new(named_at, key, format!("`{}` cannot be read: {error}", path.display()), ""));
            return None;
        }
    };
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let good = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
            let line = good.matches('\n').count() + 1;
            let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let count = |number| u32::try_from(number).unwrap_or(u32::MAX);
            let file = path.display().to_string().into();
            let place = Place::File { file, line: count(line), column: count(column) };
            faults.push(Fault::new(&place, "", "not UTF-8, so not TOML", "save the file as UTF-8"));
            None
        }
    }
}

/// Reports what does not belong at the top of a file.
fn check_top(top: &Table, kind: &str, known: &[&str], faults: &mut Faults) {
    let section = super::reader::Section { path: String::new(), place: Place::Default, table: top };
    if kind == "top" {
        check_keys(&section, kind, known, faults);
        return;
    }
    for Entry { key, .. } in top.entries.iter().filter(|entry| !known.contains(&entry.key.value.as_str())) {
        let (what, remedy) = match key.value.as_str() {
            "include" => ("an included file cannot include others", "name the files in the main file".to_owned()),
            word if vocabulary::TOP.contains(&word) => (
                "an included file holds `[defaults]` and `[mapping.<name>]` only",
                "move it to the main file".to_owned(),
            ),
            word => ("unknown key", vocabulary::suggest(word, known)),
        };
        faults.push(Fault::new(&key.place, quoted(&key.value), what, remedy));
    }
}

/// `[defaults]` of a file, checked; a list, because most have none.
fn defaults<'t>(top: &'t Table, faults: &mut Faults) -> Vec<&'t Table> {
    let Some(entry) = top.section("defaults") else { return vec![] };
    match &entry.node.value {
        Value::Table(table) => {
            language::check_defaults(entry, faults);
            vec![table]
        }
        other => {
            let what = format!("must be a table, not {}", other.kind());
            faults.push(Fault::new(&entry.node.place, "defaults", what, "write `[defaults]` and its keys below"));
            vec![]
        }
    }
}

#[derive(Default)]
struct Mappings {
    list: Vec<MappingConfig>,
    /// All names, also of those that could not be read.
    names: Vec<At<String>>,
}

impl Mappings {
    fn read(&mut self, top: &Table, defaults: &[&Table], faults: &mut Faults) {
        let Some(Entry { node, .. }) = top.section("mapping") else { return };
        let Value::Table(tables) = &node.value else {
            let what = format!("must be a table, not {}", node.value.kind());
            faults.push(Fault::new(&node.place, "mapping", what, "write `[mapping.<name>]` for each"));
            return;
        };
        for Entry { key, node } in &tables.entries {
            let path = format!("mapping.{}", quoted(&key.value));
            let Value::Table(table) = &node.value else {
                let what = format!("must be a table, not {}", node.value.kind());
                let remedy = "a mapping has a name: `[mapping.<name>]`, and its keys below";
                faults.push(Fault::new(&key.place, path, what, remedy));
                continue;
            };
            if key.value.is_empty() {
                faults.push(Fault::new(
                    &key.place,
                    path.as_str(),
                    "the name is empty",
                    "name it after what it measures",
                ));
            }
            if let Some(first) = self.names.iter().find(|name| name.value == key.value) {
                let what = format!("the name is used twice: also at {}", first.place);
                faults.push(Fault::new(&key.place, path, what, "rename one of them"));
            } else {
                self.names.push(key.clone());
                self.list.extend(language::mapping(key, table, defaults, faults));
            }
        }
    }
}
