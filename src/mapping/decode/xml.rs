//! XML as the JSON it stands for: what is inside the root element.
//!
//! An attribute is a member `@name`, an element a member of its name, its text `#text`; an element that has only text is
//! that text, and one that comes again is an array. Names keep their prefixes. A DOCTYPE, and with it every entity of
//! one's own, is refused: nothing is ever expanded or fetched.

use std::borrow::Cow;
use std::collections::HashMap;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::json::Json;
use super::{MAX_DEPTH, Unreadable, utf8};

/// Elements and attributes together; each costs some 100 bytes while it is read.
const MAX_NODES: usize = 100_000;

/// The document in `payload`, as JSON text.
///
/// # Errors
/// What is no XML or no UTF-8, and what is refused on purpose, with the byte at which it stands.
pub(super) fn json(payload: &[u8]) -> Result<String, Unreadable> {
    check_encoding(payload)?;
    let text = utf8(Cow::Borrowed(payload))?;
    let parser = Parser {
        reader: Reader::from_str(&text),
        start: payload.len() - text.len(),
        open: Vec::new(),
        root: None,
        nodes: 0,
    };
    let root = parser.parse()?;
    let mut json = Json::default();
    root.write(&mut json)?;
    Ok(json.finish())
}

/// An element, or an attribute, which has text alone.
#[derive(Default)]
struct Node {
    members: Vec<(String, Node)>,
    text: String,
}

impl Node {
    fn write(&self, json: &mut Json) -> Result<(), Unreadable> {
        // Line breaks and indents around a text are the document's, not the text's.
        let text = self.text.trim_matches([' ', '\t', '\r', '\n']);
        if self.members.is_empty() {
            return json.text(text);
        }
        let mut names: Vec<&str> = Vec::with_capacity(self.members.len());
        let mut of_name: HashMap<&str, Vec<&Node>> = HashMap::with_capacity(self.members.len());
        for (name, node) in &self.members {
            let nodes = of_name.entry(name).or_default();
            if nodes.is_empty() {
                names.push(name);
            }
            nodes.push(node);
        }
        let mut before = "{";
        for name in names {
            json.raw(before)?;
            json.text(name)?;
            json.raw(":")?;
            match of_name[name].as_slice() {
                [node] => node.write(json)?,
                nodes => {
                    let mut before = "[";
                    for node in nodes {
                        json.raw(before)?;
                        node.write(json)?;
                        before = ",";
                    }
                    json.raw("]")?;
                }
            }
            before = ",";
        }
        if !text.is_empty() {
            json.raw(",\"#text\":")?;
            json.text(text)?;
        }
        json.raw("}")
    }
}

struct Parser<'t> {
    reader: Reader<&'t [u8]>,
    /// Bytes before what is parsed: a byte order mark.
    start: usize,
    /// From the root to the innermost element.
    open: Vec<(String, Node)>,
    root: Option<Node>,
    nodes: usize,
}

impl<'t> Parser<'t> {
    fn parse(mut self) -> Result<Node, Unreadable> {
        loop {
            let at = self.at();
            let event = self.reader.read_event().map_err(|error| {
                let at = usize::try_from(self.reader.error_position()).unwrap_or_default() + self.start;
                Unreadable::new(format!("is not XML: {error}, at byte {at}"))
            })?;
            match event {
                Event::Start(start) => self.start(&start, at)?,
                Event::Empty(start) => {
                    self.start(&start, at)?;
                    self.end();
                }
                Event::End(_) => self.end(),
                Event::Text(text) => self.text(&text.xml10_content(), at)?,
                Event::CData(text) => self.text(&text.xml10_content(), at)?,
                Event::GeneralRef(name) => {
                    let character = name
                        .resolve_char_ref()
                        .map_err(|error| Unreadable::new(format!("is not XML: {error}, at byte {at}")))?;
                    match (character, resolve_predefined_entity(&name)) {
                        (Some(character), _) => self.text(character.encode_utf8(&mut [0; 4]), at)?,
                        (None, Some(text)) => self.text(text, at)?,
                        (None, None) => return Err(unknown_entity(at)),
                    }
                }
                Event::DocType(_) => {
                    return Err(Unreadable::new(format!("has a DOCTYPE at byte {at}, and XML is read without one")));
                }
                // The encoding was looked at before.
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Eof => break,
            }
        }
        if let Some((name, _)) = self.open.last() {
            return Err(Unreadable::new(format!("is not XML: it ends before the element `{}` does", shown(name))));
        }
        self.root.ok_or_else(|| Unreadable::new("is not XML: it has no element"))
    }

    fn at(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or_default() + self.start
    }

    fn start(&mut self, start: &BytesStart<'t>, at: usize) -> Result<(), Unreadable> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(Unreadable::new(format!("is not XML: a second root element begins at byte {at}")));
        }
        // The root is no level: its content is the payload.
        if self.open.len() > MAX_DEPTH {
            return Err(Unreadable::new(format!("is nested deeper than {MAX_DEPTH} levels at byte {at}")));
        }
        self.count(at)?;
        let mut node = Node::default();
        // Checking for doubles would compare each attribute with each; two of one name are a list, as elements are.
        for attribute in start.attributes().with_checks(false) {
            let attribute =
                attribute.map_err(|error| Unreadable::new(format!("is not XML: {error}, in the tag at byte {at}")))?;
            self.count(at)?;
            let text =
                attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| unknown_entity(at))?.into_owned();
            node.members.push((format!("@{}", attribute.key.as_ref()), Node { members: Vec::new(), text }));
        }
        self.open.push((start.name().as_ref().to_owned(), node));
        Ok(())
    }

    fn count(&mut self, at: usize) -> Result<(), Unreadable> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let detail = format!("has more than {MAX_NODES} elements and attributes at byte {at}, which is the most");
            return Err(Unreadable::too_large(detail));
        }
        Ok(())
    }

    fn end(&mut self) {
        let Some((name, node)) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some((_, parent)) => parent.members.push((name, node)),
            None => self.root = Some(node),
        }
    }

    fn text(&mut self, text: &str, at: usize) -> Result<(), Unreadable> {
        match self.open.last_mut() {
            Some((_, node)) => node.text.push_str(text),
            None if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            None => {
                return Err(Unreadable::new(format!("is not XML: text stands outside of its element at byte {at}")));
            }
        }
        Ok(())
    }
}

fn unknown_entity(at: usize) -> Unreadable {
    Unreadable::new(format!(
        "has an entity at byte {at} that is none of `&lt;` `&gt;` `&amp;` `&apos;` `&quot;` and no number of a character"
    ))
}

/// A name as a report shows it.
fn shown(name: &str) -> String {
    name.chars().take(60).map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// Looks at the encoding before the text is one: what is Latin-1 shall be told so, and not of a byte that is not UTF-8.
fn check_encoding(payload: &[u8]) -> Result<(), Unreadable> {
    if payload.starts_with(&[0xff, 0xfe]) || payload.starts_with(&[0xfe, 0xff]) {
        return Err(Unreadable::new("is XML in UTF-16, and only UTF-8 is read"));
    }
    let start = payload.strip_prefix("\u{feff}".as_bytes()).unwrap_or(payload);
    let end = start.iter().take(1_000).position(|byte| *byte == b'>').map_or(0, |at| at + 1);
    let declared = |declaration: &BytesDecl<'_>| Some(declaration.encoding()?.ok()?.into_owned());
    if let Ok(declaration) = std::str::from_utf8(&start[..end])
        && let Ok(Event::Decl(declaration)) = Reader::from_str(declaration).read_event()
        && let Some(encoding) = declared(&declaration)
        && !["utf-8", "utf8", "us-ascii", "ascii"].contains(&encoding.to_ascii_lowercase().as_str())
    {
        return Err(Unreadable::new(format!("is XML in the encoding `{}`, and only UTF-8 is read", shown(&encoding))));
    }
    Ok(())
}
