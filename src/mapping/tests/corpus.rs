//! Real messages beside the rows that a sensible user wants: of each ecosystem `mappings/NAME.toml`, as users include it,
//! and `tests/corpus/NAME.jsonl`, a message a line: `topic`, `payload`, `retain`, `received_at` where the message bears a
//! later time than `RECEIVED_AT`, `expect` (as `lines` gives them), and `why` where nothing is stored. Where all of an
//! ecosystem is to be ignored, it has messages and no mappings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::*;
use crate::topic;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    topic: String,
    payload: String,
    #[serde(default)]
    retain: bool,
    received_at: Option<String>,
    /// In a few words, why no row is wanted.
    why: Option<String>,
    expect: Vec<String>,
}

impl Case {
    fn message(&self) -> Message {
        let message = Message { retain: self.retain, ..message(&self.topic, &self.payload) };
        let Some(text) = &self.received_at else { return message };
        Message { received_at: Time(text.parse::<jiff::Timestamp>().unwrap().as_microsecond()), ..message }
    }
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The names of the files of `folder` that end in `ending`.
fn names(in_folder: &str, ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder(in_folder)).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

fn ecosystems() -> BTreeSet<String> {
    names("tests/corpus", ".jsonl")
}

/// What a configuration beside the project's folders makes of `mappings/FILES`.
fn included(files: &str) -> Mapping {
    let text = format!(
        "include = [\"mappings/{files}\"]\n[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n"
    );
    let loaded = config::load_text(folder("config.toml").to_str().unwrap(), &text, []);
    let (mapping, faults) = Mapping::new(&loaded.config.unwrap().mappings);
    let faults: Vec<String> = loaded.faults.iter().chain(&faults).map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    mapping.unwrap()
}

/// The mappings of `ecosystem`; all there are, if it has none of its own.
fn mappings_of(ecosystem: &str) -> Mapping {
    let file = format!("{ecosystem}.toml");
    included(if folder("mappings").join(&file).exists() { &file } else { "*.toml" })
}

fn cases(ecosystem: &str) -> Vec<Case> {
    let path = folder("tests/corpus").join(format!("{ecosystem}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    let case = |(number, line)| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{ecosystem}.jsonl:{}: {error}", number + 1))
    };
    text.lines().enumerate().map(case).collect()
}

#[test]
fn every_mapping_has_messages_and_every_message_that_is_stored_a_mapping() {
    let (mappings, ecosystems) = (names("mappings", ".toml"), ecosystems());
    assert!(mappings.is_subset(&ecosystems), "{mappings:?}");
    for ecosystem in ecosystems.difference(&mappings) {
        assert!(cases(ecosystem).iter().all(|case| case.why.is_some()), "{ecosystem}");
    }
}

#[test]
fn real_messages_become_the_rows_wanted() {
    let mut wrong = String::new();
    for ecosystem in ecosystems() {
        let mapping = mappings_of(&ecosystem);
        for (number, case) in cases(&ecosystem).iter().enumerate() {
            let message = case.message();
            let lines = lines(&mapping, &message);
            if lines != case.expect {
                let (got, wanted) = (lines.join("\n  "), case.expect.join("\n  "));
                let place = format!("{ecosystem}.jsonl:{} {}", number + 1, case.topic);
                wrong.push_str(&format!("{place}\n got\n  {got}\n wanted\n  {wanted}\n"));
            }
            assert_eq!(mapping.explain(&message).mapped, mapping.map(&message));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn where_nothing_is_stored_the_corpus_says_why() {
    for ecosystem in ecosystems() {
        for (number, case) in cases(&ecosystem).iter().enumerate() {
            let place = format!("{ecosystem}.jsonl:{}", number + 1);
            let stored = !case.expect.iter().all(|line| line.starts_with("ignored ") || line.starts_with("rejected "));
            let words = case.why.as_ref().map(|why| why.split_whitespace().count());
            match (stored, words) {
                (true, None) | (false, Some(1..=10)) => {}
                (true, Some(_)) => panic!("{place}: `why`, and yet there are rows"),
                (false, _) => panic!("{place}: `why` is wanted, of at most ten words"),
            }
        }
    }
}

/// Rows by the names in them: the order of tags and fields depends on which mappings feed the measurement.
fn said(mapping: &Mapping, message: &Message) -> Vec<String> {
    let Outcome::Rows { rows, rejects } = mapping.map(message).outcome else {
        // Whether others listen there too is not the question.
        let lines = lines(mapping, message);
        return lines.into_iter().filter(|line| !line.starts_with("ignored ")).collect();
    };
    let row = |row: &Row| {
        let measurement = &mapping.schema().measurements[row.measurement];
        let tags: BTreeMap<_, _> =
            measurement.tags.iter().zip(row.tags.iter()).filter(|tag| !tag.1.is_empty()).collect();
        let fields = measurement.fields.iter().zip(&row.fields);
        let fields = fields.filter_map(|(field, value)| Some((field.name.as_str(), value.as_ref()?)));
        let others = row.others.iter().map(|(name, value)| (&**name, value));
        let fields: BTreeMap<_, _> = fields.chain(others).collect();
        format!("{} {tags:?} {fields:?} {} {:?}", measurement.name, row.time, row.time_source)
    };
    let mut said: Vec<String> = rows.iter().map(row).collect();
    said.extend(rejects.iter().map(|reject| reject.detail.to_string()));
    said.sort();
    said
}

#[test]
fn the_ecosystems_do_not_disturb_one_another() {
    let all = included("*.toml");
    for ecosystem in ecosystems() {
        let alone = mappings_of(&ecosystem);
        for case in cases(&ecosystem) {
            let message = case.message();
            assert_eq!(said(&all, &message), said(&alone, &message), "{ecosystem}: {}", case.topic);
        }
    }
}

#[test]
fn filters_of_ecosystems_cross_only_where_the_first_level_is_the_device() {
    let reduced = topic::reduce(&included("*.toml").subscriptions());
    for (one, other) in &reduced.crossing {
        assert!([one, other].iter().any(|filter| filter.to_string().starts_with("+/")), "`{one}` and `{other}`");
    }
}

#[test]
fn no_message_of_the_corpus_is_missing() {
    let count: usize = ecosystems().iter().map(|ecosystem| cases(ecosystem).len()).sum();
    assert_eq!((ecosystems().len(), count), (32, 235));
}
