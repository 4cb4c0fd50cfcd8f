//! `amber test`: the examples that stand beside the mappings, run. No broker, no store.
//!
//! An example goes through all mappings of the configuration, as a message does; what it says is compared with what the
//! mapping made that it stands below.

mod compare;
#[cfg(test)]
mod tests;
mod write;

use std::io::Write;

use serde::Serialize;

use super::explain::{captured, payload, topic_name};
use crate::config::Config;
use crate::config::mapping::Example;
use crate::explain::{limited, message};
use crate::mapping::Mapping;
use crate::message::Time;

/// `amber test`
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TestArgs {
    /// Instead of testing, print what the mappings make of a message as examples, ready to paste
    #[arg(long, requires = "topic", conflicts_with = "json")]
    write: bool,
    /// With --write: topic name, as it is published to
    #[arg(requires = "write", value_parser = topic_name)]
    topic: Option<String>,
    /// With --write: payload; `-` reads it from standard input, `@FILE` from a file
    #[arg(requires = "write", allow_negative_numbers = true)]
    payload: Option<String>,
    /// With --write: as if the message were retained
    #[arg(long, requires = "write")]
    retain: bool,
    /// With --write: time of receipt, RFC 3339; now unless given
    #[arg(long, requires = "write", value_name = "TIME", value_parser = captured::time)]
    received_at: Option<Time>,
    /// One JSON object an example
    #[arg(long)]
    json: bool,
}

/// Some examples fail; each has been said.
#[derive(Debug)]
pub(super) struct Failed;

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("examples fail")
    }
}

impl std::error::Error for Failed {}

/// One example run.
#[derive(Serialize)]
struct Ran<'e> {
    mapping: &'e str,
    place: String,
    topic: &'e str,
    passed: bool,
    differences: Vec<String>,
}

/// Runs all examples of `config`, or writes one; `now` is the time of receipt of those that name none.
///
/// # Errors
/// `Failed` if an example fails; a payload that cannot be read.
pub(super) fn test(
    args: &TestArgs,
    config: &Config,
    mapping: &Mapping,
    now: Time,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let max_payload_bytes = config.broker.max_payload_bytes;
    if args.write {
        let topic = args.topic.as_deref().unwrap_or_default();
        let payload = payload(args.payload.as_deref().unwrap_or_default())?;
        let message = message(topic, payload, args.retain, args.received_at.unwrap_or(now));
        return Ok(write::write(&limited(message, max_payload_bytes), mapping, out)?);
    }
    let (mut all, mut mappings, mut failed) = (0, 0, 0);
    for tested in config.mappings.iter().filter(|mapping| !mapping.example.is_empty()) {
        let name = tested.name.value.as_str();
        let before = failed;
        for example in &tested.example {
            let ran = run(name, example, mapping, now, max_payload_bytes);
            failed += usize::from(!ran.passed);
            if args.json {
                serde_json::to_writer(&mut *out, &ran)?;
                writeln!(out)?;
            } else if !ran.passed {
                say(&ran, out)?;
            }
        }
        if !args.json && failed == before {
            writeln!(out, "ok    {name}: {}", count(tested.example.len(), "example"))?;
        }
        all += tested.example.len();
        mappings += 1;
    }
    if !args.json {
        if all == 0 {
            writeln!(
                out,
                "no mapping has an example; `amber test --write TOPIC PAYLOAD` prints one to paste into the configuration"
            )?;
        } else {
            let verdict = match failed {
                0 => "all pass".to_owned(),
                1 => format!("{} pass, 1 fails", all - 1),
                failed => format!("{} pass, {failed} fail", all - failed),
            };
            writeln!(out, "{} of {}: {verdict}", count(all, "example"), count(mappings, "mapping"))?;
        }
    }
    if failed == 0 { Ok(()) } else { Err(Failed.into()) }
}

fn run<'e>(name: &'e str, example: &'e Example, mapping: &Mapping, now: Time, max_payload_bytes: usize) -> Ran<'e> {
    let received_at = example.received_at.unwrap_or(now);
    let topic = example.topic.value.as_str();
    let message = message(topic, example.payload.clone(), example.retain, received_at);
    let explanation = mapping.explain(&limited(message, max_payload_bytes));
    let differences = compare::differences(name, &example.expected, &explanation, mapping.schema());
    Ran { mapping: name, place: example.place.to_string(), topic, passed: differences.is_empty(), differences }
}

fn say(ran: &Ran<'_>, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "FAIL  {}: {}: {}", ran.mapping, ran.place, ran.topic)?;
    for line in &ran.differences {
        writeln!(out, "      {line}")?;
    }
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
