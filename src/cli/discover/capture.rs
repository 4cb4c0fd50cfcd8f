//! Captured messages: JSON lines, or the lines of `mosquitto_sub -v`. A bad line is told, and the others are used.

use std::io::{BufRead, Read as _};
use std::path::Path;

use anyhow::{Context as _, bail};

use super::super::explain::captured;
use crate::discover::Sample;
use crate::explain::message;
use crate::message::{Message, Time};
use crate::topic::{self, TopicFilter};

/// Longer lines are told and passed over: a payload is kept up to 64 KiB.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// Bad lines that are told one by one.
const TOLD: usize = 5;

/// Reads the file, `-` for standard input, into `sample`; `now` is the time of messages that bear none.
///
/// # Errors
/// It cannot be read, or no line of it is a message.
pub(super) fn read(
    file: &Path,
    filters: &[TopicFilter],
    now: Time,
    sample: &mut Sample,
    tell: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let name = file.display();
    if file.as_os_str() == "-" {
        return lines("standard input", std::io::stdin().lock(), filters, now, sample, tell);
    }
    let opened = std::fs::File::open(file).with_context(|| format!("`{name}` cannot be opened"))?;
    lines(&name.to_string(), std::io::BufReader::new(opened), filters, now, sample, tell)
}

fn lines(
    name: &str,
    mut from: impl BufRead,
    filters: &[TopicFilter],
    now: Time,
    sample: &mut Sample,
    tell: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let (mut good, mut bad) = (0_u64, 0);
    let mut form = None;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = from.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        if read.with_context(|| format!("{name} cannot be read"))? == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n") || (line.len() as u64) < MAX_LINE_BYTES;
        if line.trim_ascii().is_empty() {
            continue;
        }
        // A topic hardly begins with a brace, and a capture does not change its form.
        let form =
            *form.get_or_insert(if line.trim_ascii_start().starts_with(b"{") { Form::Json } else { Form::Verbose });
        let parsed = if is_whole {
            form.parse(&line, now)
        } else {
            skip_line(&mut from).with_context(|| format!("{name} cannot be read"))?;
            Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20))
        };
        match parsed {
            Ok(message) => {
                good += 1;
                if filters.is_empty() || filters.iter().any(|filter| filter.matches(&message.topic)) {
                    sample.take(&message);
                }
            }
            Err(why) => {
                bad += 1;
                if bad <= TOLD {
                    tell(format!("{name}:{number}: {why}; the line is passed over"));
                }
            }
        }
    }
    if bad > TOLD {
        tell(format!("{name}: {} more lines are no messages, and are passed over", bad - TOLD));
    }
    match (good, bad) {
        (0, 0) => bail!("{name} has no lines; a message a line is wanted: `{{\"topic\": …, \"payload\": …}}`"),
        (0, _) => bail!(
            "no line of {name} is a message; what is read is `{{\"topic\": …, \"payload\": …}}` a line, \
             and what `mosquitto_sub -v` or `mosquitto_sub -F %j` prints"
        ),
        _ => Ok(()),
    }
}

/// Passes over the rest of a line.
fn skip_line(from: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let buffer = from.fill_buf()?;
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        let is_done = end.is_some() || buffer.is_empty();
        from.consume(used);
        if is_done {
            return Ok(());
        }
    }
}

/// How the lines are written.
#[derive(Clone, Copy)]
enum Form {
    Json,
    /// Topic, a blank, payload: `mosquitto_sub -v`.
    Verbose,
}

impl Form {
    fn parse(self, line: &[u8], now: Time) -> Result<Message, String> {
        match self {
            Self::Json => {
                let captured = captured::parse(line.trim_ascii())?;
                named(&captured.topic)?;
                let at = captured.received_at.unwrap_or(now);
                Ok(message(&captured.topic, captured.payload, captured.retain, at))
            }
            Self::Verbose => {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let what = || {
                    "the line is not a topic, a blank and a payload; where payloads have several lines, capture with \
                     `mosquitto_sub -F %j`"
                        .to_owned()
                };
                let blank = line.iter().position(|&byte| byte == b' ').ok_or_else(what)?;
                let topic = std::str::from_utf8(&line[..blank]).map_err(|_| "the topic is not UTF-8".to_owned())?;
                // The middle of a payload that has several lines.
                if topic.is_empty() || topic.starts_with(['"', '\'', '\t', '}', ']', '{', '[', '<']) {
                    return Err(what());
                }
                named(topic)?;
                // What it prints where there is no payload.
                let payload = Some(&line[blank + 1..]).filter(|payload| payload != b"(null)").unwrap_or_default();
                Ok(message(topic, payload.to_vec(), false, now))
            }
        }
    }
}

fn named(topic: &str) -> Result<(), String> {
    topic::no_name(topic).map_or(Ok(()), |why| Err(format!("`{}`: {why}", topic.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_704_067_200_000_000);

    /// Topic and payload of what was taken, then what was told.
    fn taken(text: &[u8]) -> (Vec<String>, Vec<String>, Result<(), String>) {
        let (mut sample, mut told) = (Sample::default(), Vec::new());
        let result = lines("in", text, &[], NOW, &mut sample, &mut |line| told.push(line));
        let taken = sample.topics().flat_map(|heard| heard.as_messages());
        let taken = taken.map(|m| format!("{} {} {}", m.topic, String::from_utf8_lossy(&m.payload), m.received_at));
        (taken.collect(), told, result.map_err(|error| format!("{error:#}")))
    }

    #[test]
    fn json_lines_and_those_of_mosquitto_sub_are_read() {
        let json = br#"{"topic": "a/b", "payload": "1", "received_at": "2026-01-01T00:00:00Z"}
            {"tst":"2026-01-01T01:00:05.250000+0100","topic":"a/c","qos":0,"retain":1,"payloadlen":2,"payload":"ON"}

            {"tst":"2026-01-01T00:00:06.000000Z+0000","topic":"a/d","qos":0,"retain":0,"payload":{"t":1}}
            {"topic": "b", "payload_base64": "AAE="}"#;
        let (messages, told, result) = taken(json);
        assert_eq!(
            messages,
            [
                "a/b 1 2026-01-01T00:00:00Z",
                "a/c ON 2026-01-01T00:00:05.25Z",
                "a/d {\"t\":1} 2026-01-01T00:00:06Z",
                "b \0\u{1} 2024-01-01T00:00:00Z"
            ]
        );
        assert_eq!((told, result), (vec![], Ok(())));
        let verbose = b"home/kitchen 21.5\r\nhome/\xc3\xa4 {\"t\": 1}\nhome/bad\nhome/gone (null)\n\"t\": 5\n";
        let (messages, told, _) = taken(verbose);
        assert_eq!(messages, ["home/kitchen 21.5 2024-01-01T00:00:00Z", "home/ä {\"t\": 1} 2024-01-01T00:00:00Z"]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("in:3: the line is not a topic") && told[1].starts_with("in:5: "), "{told:?}");
    }

    #[test]
    fn a_bad_line_is_told_with_its_number_and_the_others_are_used() {
        let (messages, told, result) = taken(
            b"{\"topic\": \"a\", \"payload\": \"1\"}\n{broken\n{\"topic\": \"a/+\", \"payload\": \"1\"}\n{\"topic\": \"b\"}\n",
        );
        assert_eq!((messages.len(), result), (1, Ok(())));
        assert!(told[0].starts_with("in:2: the line is no message"), "{told:?}");
        assert!(told[1].starts_with("in:3: `a/+`: a topic name has no wildcards"), "{told:?}");
        assert!(told[2].starts_with("in:4: the message has neither"), "{told:?}");
        let (_, told, result) = taken("{\n".repeat(9).as_bytes());
        assert_eq!(told.len(), 6);
        assert_eq!(told[5], "in: 4 more lines are no messages, and are passed over");
        assert!(result.unwrap_err().starts_with("no line of in is a message"));
        let (_, _, result) = taken(b"\n \n");
        assert!(result.unwrap_err().starts_with("in has no lines"));
    }

    #[test]
    fn a_line_without_an_end_takes_no_memory_and_is_told() {
        let long = [b"a ", &vec![b'x'; 17 << 20][..], b"\nb 1\n"].concat();
        let (messages, told, result) = taken(&long);
        assert_eq!((messages.len(), result), (1, Ok(())));
        assert_eq!(told, ["in:1: the line is longer than 16 MiB; the line is passed over"]);
    }
}
