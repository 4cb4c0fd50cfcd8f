//! A mapping that is proposed, and its text.
//!
//! What is doubtful stands in it as a comment that is valid once its `# ` is taken away.

use super::guess;
use super::payload::Form;
use super::write;

/// Characters of evidence in a comment.
const EVIDENCE_CHARS: usize = 110;
/// Where comments behind a line begin, if the line is short enough.
const COLUMN: usize = 56;

/// A proposed mapping.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub name: String,
    pub topics: Vec<String>,
    pub except: Vec<String>,
    /// Comments above it.
    pub head: Vec<String>,
    pub keys: Vec<Key>,
    pub tags: Vec<Tag>,
    pub fields: Vec<Field>,
    /// Why all of it is commented out.
    pub off: Option<String>,
    /// The form of the payloads that it is made from.
    pub form: Option<Form>,
    /// Messages that it is made from.
    pub messages: u64,
    /// Positions of its topics in the sample.
    pub members: Vec<usize>,
}

/// A line `key = value` of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub key: &'static str,
    /// As TOML.
    pub value: String,
    pub note: String,
    /// It is commented out; the note says why.
    pub off: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub name: String,
    /// As TOML.
    pub value: String,
    pub note: String,
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: String,
    /// If it is not the name.
    pub path: Option<String>,
    pub field: guess::Field,
    pub evidence: String,
    /// Why it is commented out.
    pub off: Option<String>,
}

impl Draft {
    pub fn key(&mut self, key: &'static str, value: String, note: impl Into<String>) {
        self.keys.push(Key { key, value, note: note.into(), off: false });
    }

    pub fn has_fields(&self) -> bool {
        self.fields.iter().any(|field| field.off.is_none())
    }

    /// Whether it is in the proposal as more than a comment.
    pub fn is_on(&self) -> bool {
        self.off.is_none() && self.has_fields()
    }

    pub fn text(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        let off = self.off.clone().or_else(|| (!self.has_fields()).then(|| "no field is certain".to_owned()));
        for line in &self.head {
            lines.push(format!("# {}", write::comment(line, 160)));
        }
        if let Some(why) = &off {
            lines.push(format!("# Commented out: {}", write::comment(why, 300)));
        }
        let mut body = vec![format!("[mapping.{}]", write::key(&self.name))];
        body.push(match self.topics.as_slice() {
            [topic] => format!("topic = {}", write::string(topic)),
            topics => format!("topic = {}", list(topics)),
        });
        if !self.except.is_empty() {
            body.push(format!("except = {}", list(&self.except)));
        }
        for key in &self.keys {
            let line = format!("{}{} = {}", if key.off { "# " } else { "" }, key.key, key.value);
            body.push(with_note(line, &key.note));
        }
        if !self.tags.is_empty() {
            body.push(format!("[mapping.{}.tags]", write::key(&self.name)));
            body.extend(
                self.tags.iter().map(|tag| with_note(format!("{} = {}", write::key(&tag.name), tag.value), &tag.note)),
            );
        }
        body.push(format!("[mapping.{}.fields]", write::key(&self.name)));
        body.extend(self.fields.iter().map(Field::line));
        let prefix = if off.is_some() { "# " } else { "" };
        lines.extend(body.into_iter().map(|line| format!("{prefix}{line}")));
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Field {
    fn line(&self) -> String {
        let mut keys: Vec<String> = Vec::new();
        if let Some(path) = &self.path {
            keys.push(format!("path = {}", write::string(path)));
        }
        keys.extend(self.field.keys.iter().map(|(key, value)| format!("{key} = {value}")));
        let table = if keys.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", keys.join(", ")) };
        let off = if self.off.is_some() { "# " } else { "" };
        let line = format!("{off}{} = {table}", write::key(&self.name));
        let why = self.off.iter().chain(&self.field.notes).map(String::as_str);
        let said: Vec<&str> =
            std::iter::once(self.evidence.as_str()).chain(why).filter(|said| !said.is_empty()).collect();
        with_note(line, &said.join("; "))
    }
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| write::string(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn with_note(line: String, note: &str) -> String {
    if note.is_empty() {
        return line;
    }
    let note = write::comment(note, EVIDENCE_CHARS + 90);
    format!("{line:<COLUMN$} # {note}")
}
