//! Every word that the code knows is read, documented and shown; what comes later says so.

use super::*;
use crate::config::vocabulary;

#[test]
fn every_key_that_is_known_is_read() {
    let nonsense = "[[]]";
    let said = |keys: &str, key: &str, path: &str| {
        let faults = faults_of(keys);
        let here: Vec<&String> = faults.iter().filter(|line| line.contains(path)).collect();
        assert!(!here.is_empty() && !here.iter().any(|line| line.contains("unknown")), "{key}: {faults:?}");
    };
    for key in vocabulary::MAPPING.iter().filter(|key| !["topic", "fields"].contains(key)) {
        said(&format!("{key} = {nonsense}"), key, &format!("mapping.m.{key}"));
    }
    for key in vocabulary::TIME {
        said(&format!("time = {{ {key} = {nonsense} }}"), key, &format!("mapping.m.time.{key}"));
    }
    for key in vocabulary::PIVOT {
        said(&format!("pivot = {{ {key} = {nonsense} }}"), key, &format!("mapping.m.pivot.{key}"));
    }
    for key in vocabulary::TAG {
        said(&format!("tags = {{ t = {{ {key} = {nonsense} }} }}"), key, &format!("mapping.m.tags.t.{key}"));
    }
    for key in vocabulary::FIELD {
        let text = format!("{MINIMAL}[mapping.m]\ntopic = 'a'\nfields = {{ f = {{ {key} = {nonsense} }} }}");
        let faults = lines(&load_text("c.toml", &text, []));
        assert!(faults.len() == 1 && faults[0].contains(&format!("mapping.m.fields.f.{key}")), "{key}: {faults:?}");
    }
    for (section, keys) in vocabulary::SETTINGS {
        for key in *keys {
            let faults = lines(&load_text("c.toml", &format!("[{section}]\n{key} = {nonsense}"), []));
            assert!(
                faults
                    .iter()
                    .any(|line| line.starts_with(&format!("c.toml:2:{}: {section}.{key}: must", key.len() + 4))),
                "{key}: {faults:?}"
            );
        }
    }
}

#[test]
fn what_comes_later_is_said_to_come_later() {
    for (place, word) in vocabulary::LATER {
        let faults = match *place {
            "top" => lines(&load_text("c.toml", &format!("[{word}]\n{MINIMAL}"), [])),
            "broker" | "store" | "http" => lines(&load_text("c.toml", &format!("[{place}]\n{word} = 1\n"), [])),
            "mapping" => faults_of(&format!("{word} = 1")),
            "field" => lines(&load_text("c.toml", &format!("mapping.a.fields.f.{word} = 1"), [])),
            "scheme" => lines(&load_text("c.toml", &format!("broker.url = '{word}://a'"), [])),
            "value" => faults_of(&format!("{} = {{}}", word.split(' ').next().unwrap())),
            choice => faults_of(&format!("{choice} = {word:?}")),
        };
        assert!(faults.iter().any(|line| line.contains("later version")), "{place} {word}: {faults:?}");
    }
}

#[test]
fn the_example_loads_and_its_commented_settings_are_the_defaults() {
    let example = include_str!("../../../config.example.toml");
    let uncommented: String = example
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let shown = |config: Config| {
        let Config { broker, store, rejects, dashboards, http, log, mappings, texts: _ } = config;
        assert_eq!(mappings.len(), 4);
        // It has no default.
        drop(dashboards);
        format!("{broker:?} {store:?} {rejects:?} {:?} {} {log:?}", http.listen.value, http.open)
    };
    assert_ne!(example, uncommented);
    assert_eq!(shown(good(example, &[])), shown(good(&uncommented, &[])));
    let all = vocabulary::SETTINGS.iter().flat_map(|(_, keys)| keys.iter());
    for key in all {
        assert!(example.contains(&format!("{key} = ")), "the example does not show {key}");
    }
}

#[test]
fn the_documentation_has_every_key_and_no_other() {
    let docs = include_str!("../../../docs/configuration.md");
    let mut variables = 0;
    for (section, keys) in vocabulary::SETTINGS {
        let table =
            docs.split(&format!("\n## `[{section}]`\n")).nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
        for key in *keys {
            let section = section.to_uppercase().replace('.', "__");
            let variable = format!("`AMBER__{section}__{}` |", key.to_uppercase());
            let row = table.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
            assert!(row.is_some_and(|row| row.ends_with(&variable)), "{section}.{key}");
            variables += 1;
        }
    }
    assert_eq!(docs.matches("__` |").count() + docs.matches("| `AMBER__").count(), variables);
    for word in vocabulary::TOP {
        assert!(docs.contains(&format!("`{word}`")) || docs.contains(&format!("`[{word}")), "{word}");
    }
    let tables = [
        ("`[mapping.<name>]`", vocabulary::MAPPING),
        ("a field", vocabulary::FIELD),
        ("a tag", vocabulary::TAG),
        ("a time", vocabulary::TIME),
    ];
    for (title, keys) in tables {
        let start = docs.find(&format!("| {title} | value |")).unwrap();
        let table = docs[start..].split("\n\n").next().unwrap();
        for key in keys {
            assert!(table.contains(&format!("| `{key}`")) || table.contains(&format!(", `{key}` |")), "{title}: {key}");
        }
        assert_eq!(table.lines().count() - 2, keys.len() - usize::from(title == "a field"), "{title} has other keys");
    }
}
