//! docs/mapping.md: every example is run. A block of `toml` is followed by one of `sh` with a message a line, and that by
//! one of `json` with what `--json` prints for each: keys may be left out, but `tags` and `fields` are whole.

use serde_json::Value;

use super::{ExplainArgs, explain};
use crate::cli::test::{self, TestArgs};
use crate::config::{self, Config};
use crate::fault::Severity;
use crate::mapping::Mapping;

const DOCUMENT: &str = include_str!("../../../docs/mapping.md");

/// The fenced blocks of the document: language, line, text.
fn blocks() -> Vec<(&'static str, usize, String)> {
    let mut blocks: Vec<(&str, usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in DOCUMENT.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(language) if !open => {
                open = true;
                blocks.push((language, number + 1, String::new()));
            }
            Some(_) => open = false,
            None if open => {
                let block = &mut blocks.last_mut().unwrap().2;
                block.push_str(line);
                block.push('\n');
            }
            None => {}
        }
    }
    blocks
}

fn compiled(toml: &str, line: usize) -> (Config, Mapping) {
    let mut loaded = config::load_text("config.toml", toml, []);
    loaded.needs_no_connections();
    let config = loaded.config.unwrap();
    let (mapping, faults) = Mapping::new(&config.mappings);
    let faults = loaded.faults.iter().chain(&faults).filter(|fault| fault.severity == Severity::Fault);
    let faults: Vec<String> = faults.map(ToString::to_string).collect();
    assert!(faults.is_empty(), "the configuration at line {line}:\n{}", faults.join("\n"));
    (config, mapping.unwrap())
}

/// What `amber test` prints.
fn tested(config: &Config, mapping: &Mapping) -> (String, bool) {
    let mut out = Vec::new();
    let now = super::captured::time("2024-01-01T00:00:00Z").unwrap();
    let passed = test::test(&TestArgs::default(), config, mapping, now, &mut out).is_ok();
    (String::from_utf8(out).unwrap(), passed)
}

fn explained(mapping: &Mapping, command: &str) -> Value {
    let rest = command.strip_prefix("amber explain ").unwrap_or_else(|| panic!("{command}"));
    let (topic, payload) = rest.split_once(' ').unwrap_or((rest, ""));
    let packed = payload.strip_prefix("--base64 ");
    let payload = packed.unwrap_or(payload);
    // `$'…'` is the shell's writing of texts with ends of lines.
    let lines =
        payload.strip_prefix("$'").and_then(|payload| payload.strip_suffix('\'')).map(|p| p.replace("\\n", "\n"));
    let quoted = payload.strip_prefix('\'').and_then(|payload| payload.strip_suffix('\''));
    let payload = lines.as_deref().or(quoted).unwrap_or(payload);
    let args = ExplainArgs {
        topic: Some(topic.to_owned()),
        payload: Some(payload.to_owned()),
        base64: packed.is_some(),
        received_at: Some(super::captured::time("2024-01-01T00:00:00Z").unwrap()),
        json: true,
        ..ExplainArgs::default()
    };
    let mut out = Vec::new();
    explain(&args, mapping, 1 << 20, &mut out, false).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// Whether `found` has all that is documented.
fn agrees(found: &Value, documented: &Value) -> bool {
    match (found, documented) {
        (Value::Object(found), Value::Object(documented)) => documented.iter().all(|(key, documented)| {
            let whole = key == "tags" || key == "fields";
            found.get(key).is_some_and(|found| if whole { found == documented } else { agrees(found, documented) })
        }),
        (Value::Array(found), Value::Array(documented)) => {
            found.len() == documented.len()
                && found.iter().zip(documented).all(|(found, documented)| agrees(found, documented))
        }
        (found, documented) => found == documented,
    }
}

#[test]
fn every_example_of_the_document_gives_what_it_says() {
    let blocks = blocks();
    let mut commands = 0;
    let mut wrong = String::new();
    for (index, (language, line, text)) in blocks.iter().enumerate() {
        if *language != "toml" {
            continue;
        }
        let (_, mapping) = compiled(text, *line);
        let [(sh, _, messages), (json, place, documented)] = &blocks[index + 1..index + 3] else {
            panic!("line {line}")
        };
        assert_eq!((*sh, *json), ("sh", "json"), "the blocks behind line {line}");
        let mut documented = serde_json::Deserializer::from_str(documented).into_iter::<Value>();
        for command in messages.lines() {
            let found = explained(&mapping, command);
            let documented = documented.next().unwrap_or_else(|| panic!("line {place} lacks `{command}`")).unwrap();
            if !agrees(&found, &documented) {
                wrong.push_str(&format!("line {place}: {command}\n   got {found}\nwanted {documented}\n"));
            }
            commands += 1;
        }
        assert!(documented.next().is_none(), "line {place} has more than line {line} shows");
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(commands > 20, "the examples were found");
}

#[test]
fn the_examples_of_the_document_pass_and_what_is_printed_is_shown() {
    let blocks = blocks();
    let of = |language: &'static str| blocks.iter().filter(move |(found, ..)| *found == language);
    let (_, line, toml) = of("toml").find(|(.., text)| text.contains("example]]")).unwrap();
    let printed = |toml: &str| {
        let (config, mapping) = compiled(toml, *line);
        tested(&config, &mapping)
    };
    let shown = |language: &'static str, begin: &str| {
        of(language).find(|(.., text)| text.starts_with(begin)).unwrap().2.clone()
    };
    assert_eq!(printed(toml), (shown("text", "ok "), true));
    let (said, passed) = printed(&toml.replace("scale = 0.1", "scale = 0.01"));
    assert!(!passed && said.starts_with(&shown("diff", "FAIL ")), "{said}");
}

#[test]
fn every_reason_is_documented() {
    for reason in crate::row::Reason::ALL {
        assert!(DOCUMENT.contains(&format!("| `{}` |", reason.word())), "{}", reason.word());
    }
    for why in crate::row::Ignored::ALL {
        assert!(DOCUMENT.contains(&format!("`{}`: ", why.word())), "{}", why.word());
    }
}
