//! `amber explain`: what becomes of a message, and why. No broker, no store; the outcome never changes the exit code.

pub(super) mod captured;
#[cfg(test)]
mod documented;

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use anyhow::Context as _;

use crate::explain::{limited, message, write_json, write_text};
use crate::mapping::Mapping;
use crate::message::{Message, Time, base64};
use crate::topic;

/// What a packet holds at most (MQTT 2.2.3): what is longer, a device that never ends included, is no payload.
const MAX_PAYLOAD_BYTES: u64 = (256 << 20) - 1;
/// Of a captured message: such a payload in base64, and its topic.
const MAX_LINE_BYTES: u64 = 384 << 20;

/// Mappings whose topics differ that `--all` tells of, the likest first: a person reads no thousand, a program may.
const MAX_APART: usize = 40;
const MAX_APART_JSON: usize = 1_000;

/// `amber explain TOPIC [PAYLOAD]`
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ExplainArgs {
    /// Topic name, as it is published to
    #[arg(required_unless_present = "file", conflicts_with = "file", value_parser = topic_name)]
    pub topic: Option<String>,
    /// Payload; `-` reads it from standard input, `@FILE` from a file. Without one the payload is empty
    #[arg(allow_negative_numbers = true, conflicts_with = "file")]
    pub payload: Option<String>,
    /// PAYLOAD is in base64, for payloads that are no text
    #[arg(long, requires = "payload")]
    pub base64: bool,
    /// Captured messages, one `{"topic", "payload" | "payload_base64", "retain"?, "received_at"?}` a line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// As if the message were retained
    #[arg(long)]
    pub retain: bool,
    /// Time of receipt, RFC 3339; now unless given
    #[arg(long, value_name = "TIME", value_parser = captured::time)]
    pub received_at: Option<Time>,
    /// Also say of each mapping that does not take the message why not
    #[arg(long)]
    pub all: bool,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Explains the message of `args`, or each of its file, to `out`.
///
/// # Errors
/// A payload or file that cannot be read; a line that is no message, with its number.
pub fn explain(
    args: &ExplainArgs,
    mapping: &Mapping,
    max_payload_bytes: usize,
    out: &mut impl Write,
    colour: bool,
) -> anyhow::Result<()> {
    let Some(file) = &args.file else {
        let topic = args.topic.as_deref().unwrap_or_default();
        let argument = args.payload.as_deref().unwrap_or_default();
        let payload = match args.base64 {
            true => base64(argument).context("the payload is no base64; leave out `--base64` if it is a text")?,
            false => payload(argument)?,
        };
        let received_at = args.received_at.unwrap_or_else(Time::now);
        return one(
            &limited(message(topic, payload, args.retain, received_at), max_payload_bytes),
            args,
            mapping,
            out,
            colour,
        );
    };
    let name = file.display();
    let lines: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("{name} cannot be opened"))?;
        Box::new(std::io::BufReader::new(opened))
    };
    let mut first = true;
    let mut lines = lines;
    for number in 1.. {
        let mut line = Vec::new();
        let read = lines.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.with_context(|| format!("{name} cannot be read"))? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE_BYTES {
            anyhow::bail!("{name}:{number}: the line is longer than any message; a message a line is wanted");
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let captured = captured::parse(&line).map_err(|why| anyhow::anyhow!("{name}:{number}: {why}"))?;
        if !args.json && !std::mem::take(&mut first) {
            writeln!(out)?;
        }
        let received_at = captured.received_at.or(args.received_at).unwrap_or_else(Time::now);
        let message = message(&captured.topic, captured.payload, captured.retain || args.retain, received_at);
        one(&limited(message, max_payload_bytes), args, mapping, out, colour)?;
    }
    Ok(())
}

fn one(
    message: &Message,
    args: &ExplainArgs,
    mapping: &Mapping,
    out: &mut impl Write,
    colour: bool,
) -> anyhow::Result<()> {
    let explanation = mapping.explain(message);
    let most = if args.json { MAX_APART_JSON } else { MAX_APART };
    let apart = args.all.then(|| mapping.apart(&message.topic, &explanation, most));
    if args.json {
        write_json(&explanation, apart.as_ref().map(|(apart, _)| apart.as_slice()), mapping.schema(), out)?;
    } else {
        write_text(message, &explanation, apart, mapping, out, colour)?;
    }
    Ok(())
}

/// An argument that is a topic name.
pub(super) fn topic_name(text: &str) -> Result<String, String> {
    match topic::no_name(text) {
        Some(what) => Err(format!("{what}; write a topic that a device publishes to")),
        None => Ok(text.to_owned()),
    }
}

/// The bytes that the argument stands for.
pub(super) fn payload(argument: &str) -> anyhow::Result<Vec<u8>> {
    if argument == "-" {
        return bounded(std::io::stdin()).context("the payload cannot be read from standard input");
    }
    match argument.strip_prefix('@') {
        Some(file) => std::fs::File::open(file)
            .map_err(Into::into)
            .and_then(bounded)
            .with_context(|| format!("the payload cannot be read from {file}")),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

/// All of `from`, if a PUBLISH could hold it.
fn bounded(from: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut payload = Vec::new();
    from.take(MAX_PAYLOAD_BYTES + 1).read_to_end(&mut payload)?;
    if payload.len() as u64 > MAX_PAYLOAD_BYTES {
        anyhow::bail!("it is longer than {MAX_PAYLOAD_BYTES} bytes, and no MQTT packet holds more (MQTT 2.2.3)");
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPINGS: &str = r#"
        [broker]
        url = "mqtt://localhost"
        [store]
        url = "sqlite:x.db"
        [mapping.climate]
        topic = "home/{room}/climate"
        time = "ts"
        [mapping.climate.fields]
        temperature = { unit = "°C" }
        note = { type = "text" }
        raw = { type = "json" }
        count = { type = "int" }
    "#;

    fn run(args: &[&str]) -> Result<String, String> {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: ExplainArgs,
        }
        let args = ["explain", "--received-at", "2024-01-01T00:00:00Z"].iter().chain(args);
        let args = <Command as clap::Parser>::try_parse_from(args).map_err(|error| error.to_string())?.args;
        let config = crate::config::load_text("config.toml", MAPPINGS, []).config.unwrap();
        let mapping = Mapping::new(&config.mappings).0.unwrap();
        let mut out = Vec::new();
        explain(&args, &mapping, 1 << 20, &mut out, false).map_err(|error| format!("{error:#}"))?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn others_stand_behind_the_fields_by_their_names() {
        let text = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n\
            [mapping.plug]\ntopic = \"plug\"\nothers = \"add\"\nfields = { watt = { unit = \"W\" } }";
        let mapping = Mapping::new(&crate::config::load_text("c.toml", text, []).config.unwrap().mappings).0.unwrap();
        let payload = r#"{"mode": "eco", "time": 1, "watt": 7, "isOn": true}"#.to_owned();
        let args = ExplainArgs { topic: Some("plug".to_owned()), payload: Some(payload), ..ExplainArgs::default() };
        let mut out = Vec::new();
        explain(&args, &mapping, 1 << 20, &mut out, false).unwrap();
        let out = String::from_utf8(out).unwrap();
        let told = |start: &str| out.lines().map(str::trim).filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        assert_eq!(told("field"), ["field watt = 7.0 W float", "field is_on = true bool", "field mode = \"eco\" text"]);
        assert_eq!(told("dropped"), ["dropped plug: others: no column can be called `time` (c.toml:5:10)"]);
    }

    #[test]
    fn json_is_one_object_a_line() {
        for (payload, expected) in [
            (
                r#"{"temperature":21.5,"note":"ä\n","raw":{"b": [1.10, "x y"],
                 "a":1},"count":"x","ts":1700000000}"#,
                concat!(
                    r#"{"outcome":"rows","rows":[{"mapping":"climate","measurement":"climate","time":"2023-11-14T22:13:20Z","#,
                    r#""time_source":"payload","tags":{"room":"bath"},"fields":{"temperature":21.5,"note":"ä\n","#,
                    r#""raw":{"b":[1.10,"x y"],"a":1}}}],"dropped":[{"mapping":"climate","field":"count","detail":"field `count` "#,
                    r#"at `$.count` got \"x\", which is no number: add `type`, or `words`","place":"config.toml:13:9","path":"$.count"}]}"#
                ),
            ),
            (
                r#"{"count":9223372036854775807}"#,
                concat!(
                    r#"{"outcome":"rows","rows":[{"mapping":"climate","measurement":"climate","time":"2024-01-01T00:00:00Z","#,
                    r#""time_source":"received","tags":{"room":"bath"},"fields":{"count":9223372036854775807}}],"dropped":[]}"#
                ),
            ),
            ("", r#"{"outcome":"ignored","rows":[],"ignored":"empty","dropped":[]}"#),
            (
                "-5",
                concat!(
                    r#"{"outcome":"rejected","rows":[],"reject":{"mapping":"climate","reason":"payload","detail":"the payload is "#,
                    r#"one value, and the mapping reads members of an object: write `temperature = { path = \".\" }` "#,
                    r#"if it is the value","place":"config.toml:6:18"},"dropped":[]}"#
                ),
            ),
        ] {
            assert_eq!(run(&["home/bath/climate", payload, "--json"]).unwrap(), format!("{expected}\n"), "{payload}");
        }
    }

    #[test]
    fn text_tells_the_mapping_and_the_row_or_the_reason() {
        let text = run(&["home/bath/climate", r#"{"temperature":21.5,"count":"x"}"#]).unwrap();
        for part in
            ["climate", "home/{room}/climate", "room = bath", "temperature = 21.5 °C", "float", "count", "dropped"]
        {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        let text = run(&["home/bath/clmate", "1"]).unwrap();
        assert!(text.contains("no mapping") && text.contains("home/{room}/climate"), "{text}");
        let text = run(&["home/bath/climate", "{"]).unwrap();
        assert!(text.contains("rejected") && text.contains("not JSON"), "{text}");
    }

    #[test]
    fn a_payload_that_is_no_text_is_given_in_base64() {
        let row = run(&["home/bath/climate", "--base64", "eyJ0ZW1wZXJhdHVyZSI6Mn0=", "--json"]).unwrap();
        assert!(row.contains(r#""fields":{"temperature":2.0}"#), "{row}");
        assert!(run(&["home/bath/climate", "--base64", "{}"]).unwrap_err().contains("no base64"));
        assert!(run(&["home/bath/climate", "--base64"]).is_err());
    }

    #[test]
    fn all_tells_of_each_mapping_why_it_did_not_take_the_message() {
        let text = run(&["home/bath/clmate", "1", "--all"]).unwrap();
        let told =
            "mapping climate (config.toml:6:18) home/{room}/climate: level 3 is \"clmate\", and `climate` is wanted";
        assert!(text.contains(told) && !text.contains("nearest"), "{text}");
        let of = |args: &[&str]| -> serde_json::Value { serde_json::from_str(&run(args).unwrap()).unwrap() };
        let all = of(&["home/bath", "1", "--all", "--json"]);
        assert_eq!(
            all["mappings"],
            serde_json::json!([{"mapping": "climate", "place": "config.toml:6:18", "topic": "home/{room}/climate",
                "verdict": "topic", "detail": "level 3 is not there, and `climate` is wanted"}])
        );
        assert_eq!(of(&["home/bath/climate", r#"{"count": 1}"#, "--all", "--json"])["mappings"][0]["verdict"], "rows");
        assert!(of(&["home/bath", "1", "--json"]).get("mappings").is_none());
    }

    #[test]
    fn thousands_of_mappings_are_told_of_within_bounds_the_likest_first() {
        let mut toml = String::from(MAPPINGS);
        for number in 0..2_000 {
            toml.push_str(&format!("\n[mapping.m{number}]\ntopic = \"other/{number}\"\nfields = [\"v\"]\n"));
        }
        let config = crate::config::load_text("config.toml", &toml, []).config.unwrap();
        let mapping = Mapping::new(&config.mappings).0.unwrap();
        let args = ExplainArgs { topic: Some("home/bath/clmate".to_owned()), all: true, ..ExplainArgs::default() };
        let mut out = Vec::new();
        explain(&args, &mapping, 1 << 20, &mut out, false).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.matches("mapping ").count(), MAX_APART + 1, "and `no mapping`:\n{text}");
        assert!(text.lines().nth(1).unwrap().contains("mapping climate"), "{text}");
        assert!(text.contains("and 1961 more mappings whose topics differ"), "{text}");
    }

    #[test]
    fn payloads_come_from_files_and_captured_messages_from_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("payload");
        std::fs::write(&file, r#"{"temperature":1}"#).unwrap();
        let at = format!("@{}", file.display());
        assert!(run(&["home/bath/climate", &at, "--json"]).unwrap().contains(r#""temperature":1.0"#));
        assert!(run(&["home/bath/climate", "@/no/such/file"]).unwrap_err().contains("/no/such/file"));
        let endless = run(&["home/bath/climate", "@/dev/zero"]).unwrap_err();
        assert!(endless.contains("from /dev/zero: it is longer than 268435455 bytes"), "{endless}");

        std::fs::write(
            &file,
            concat!(
                r#"{"topic":"home/a/climate","payload":"{\"temperature\":1}","qos":1}"#,
                "\n\n",
                r#"{"topic":"home/b/climate","payload_base64":"eyJ0ZW1wZXJhdHVyZSI6Mn0=","received_at":"2025-01-01T00:00:00Z"}"#,
                "\n",
                r#"{"topic":"home/c/climate","payload":"{\"temperature\":1}","retain":true}"#,
                "\n",
            ),
        )
        .unwrap();
        let path = file.display().to_string();
        let lines = run(&["--file", &path, "--json"]).unwrap();
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains(r#""time":"2024-01-01T00:00:00Z""#), "{}", lines[0]);
        assert!(lines[1].contains(r#""room":"b""#) && lines[1].contains("2025-01-01T00:00:00Z"), "{}", lines[1]);
        assert!(lines[2].contains(r#""ignored":"retained""#), "{}", lines[2]);
        assert_eq!(run(&["--file", &path]).unwrap().matches("home/").count(), 6, "topic and template of each");

        for (line, why) in [
            ("{", "is no message"),
            (r#"{"payload":"x"}"#, "`topic`"),
            (r#"{"topic":"a"}"#, "neither `payload` nor `payload_base64`"),
            (r#"{"topic":"a","payload":"x","payload_base64":"eA=="}"#, "both"),
            (r#"{"topic":"a","payload_base64":"e!"}"#, "no base64"),
            (r#"{"topic":"a","payload":"x","received_at":"soon"}"#, "received_at"),
        ] {
            std::fs::write(&file, format!("{{\"topic\":\"a\",\"payload\":\"\"}}\n{line}\n")).unwrap();
            let error = run(&["--file", &path, "--json"]).unwrap_err();
            assert!(error.contains(&format!("{path}:2: ")) && error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn a_topic_or_a_file_is_needed_and_not_both() {
        assert!(run(&[]).is_err());
        assert!(run(&["a", "--file", "x"]).is_err());
    }
}
