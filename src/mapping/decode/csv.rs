//! `format = "csv"`: a list of lines, each a list of cells (RFC 4180), of which what is wanted is kept.
//!
//! Blanks around a cell that is not in quotes are no part of it, and an empty one is not there. The csv crate tells
//! neither whether a cell was in quotes nor where it stood, and takes no runs of blanks for one separator; so the cells
//! are found here, and tests compare them with what that crate writes.

use std::borrow::Cow;

use super::Unreadable;
use crate::config::mapping::{ColumnNames, Csv};
use crate::mapping::document::{Doc, Kept, Want};
use crate::mapping::run::MAX_ROWS;

/// Names in a header: a line of nothing but separators must not become a list of them.
const MAX_COLUMNS: usize = 10_000;

/// Reads all lines; what is kept is bounded as it is for arrays of JSON.
///
/// # Errors
/// A quote that is not closed; more cells that are wanted than may be kept; a header of more than `MAX_COLUMNS`.
pub(super) fn document<'t>(text: &'t str, settings: &'t Csv, want: &Want, kept: &Kept) -> Result<Doc<'t>, Unreadable> {
    let mut cells = Cells { text, rest: text, separator: settings.separator };
    let names: Option<Vec<Cow<'t, str>>> = match &settings.names {
        ColumnNames::None => None,
        ColumnNames::Header => {
            let (mut names, mut count) = (Vec::new(), 0);
            cells.line(|_, name| {
                count += 1;
                if count <= MAX_COLUMNS {
                    names.push(name);
                }
            })?;
            if count > MAX_COLUMNS {
                return Err(Unreadable::too_large(format!("has a header of more than {MAX_COLUMNS} columns")));
            }
            Some(names)
        }
        ColumnNames::Listed(names) => Some(names.iter().map(|name| Cow::Borrowed(name.as_str())).collect()),
    };
    let mut lines = Vec::new();
    for index in 0.. {
        // Beyond what gives rows nothing is kept, as in an array of JSON.
        let line_want = want.of_index(index);
        let is_wanted = (want.keeps() || line_want.is_some()) && lines.len() <= MAX_ROWS;
        let keeps = want.keeps() || line_want.is_some_and(Want::keeps);
        let (mut members, mut items) = (Vec::new(), Vec::new());
        let more = cells.line(|position, cell| {
            // Where all of a line is kept and nothing but the position names a cell, an empty one holds its place.
            let holds_place = keeps && names.is_none();
            if !is_wanted || (cell.is_empty() && !holds_place) {
                return;
            }
            let name = names.as_ref().and_then(|names| names.get(position)).filter(|name| !name.is_empty());
            let by_name = |name: &str| keeps || line_want.is_some_and(|want| want.of_key(name).is_some());
            let by_position = holds_place || line_want.is_some_and(|want| want.of_index(position).is_some());
            if let Some(name) = name.filter(|name| by_name(name)) {
                members.push((name.clone(), Doc::Text(cell.clone())));
            }
            if by_position && items.len() <= MAX_ROWS {
                items.push((position, if cell.is_empty() { Doc::Other } else { Doc::Text(cell) }));
            }
        })?;
        if !more {
            break;
        }
        if is_wanted {
            kept.add(1 + members.len() + items.len())?;
            if kept.are_many() {
                members.shrink_to_fit();
                items.shrink_to_fit();
            }
            let line = match &names {
                Some(_) => Doc::object(members, items),
                None => Doc::Array { json: None, items },
            };
            lines.push((index, line));
        }
    }
    Ok(Doc::Array { json: None, items: lines })
}

/// What follows a cell.
#[derive(PartialEq)]
enum After {
    Cell,
    /// The end of the line, or of the text.
    Line,
}

struct Cells<'t> {
    text: &'t str,
    rest: &'t str,
    separator: char,
}

impl<'t> Cells<'t> {
    /// Hands out the cells of the next line that has any; `false` at the end of the text.
    fn line(&mut self, mut cell: impl FnMut(usize, Cow<'t, str>)) -> Result<bool, Unreadable> {
        let separator = self.separator;
        self.rest = self.rest.trim_start_matches(|c| c == '\n' || c == '\r' || is_blank(c, separator));
        if self.rest.is_empty() {
            return Ok(false);
        }
        for position in 0.. {
            let (value, after) = self.cell()?;
            cell(position, value);
            // Blanks at the end of a line separate nothing.
            if after == After::Line || (self.separator == ' ' && self.at_end_of_line()) {
                break;
            }
        }
        Ok(true)
    }

    fn at_end_of_line(&self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        rest.is_empty() || rest.starts_with(['\n', '\r'])
    }

    fn cell(&mut self) -> Result<(Cow<'t, str>, After), Unreadable> {
        let separator = self.separator;
        let blank = |c: char| is_blank(c, separator);
        self.rest = self.rest.trim_start_matches(blank);
        let quoted = match self.rest.strip_prefix('"') {
            None => None,
            Some(inner) => {
                let Some(end) = closing_quote(inner) else {
                    let at = self.text.len() - self.rest.len();
                    return Err(Unreadable::new(format!("is not CSV: the quote at byte {at} is not closed")));
                };
                Some((&inner[..end], &inner[end + 1..]))
            }
        };
        let ends = |c: char| c == '\n' || c == '\r' || c == separator || (separator == ' ' && c == '\t');
        // What goes on behind its closing quote is taken as it stands, quotes and all.
        let from = quoted.map_or(0, |(_, behind)| self.rest.len() - behind.len());
        let end = self.rest[from..].find(ends).map_or(self.rest.len(), |end| from + end);
        let raw = &self.rest[..end];
        let value = match quoted {
            Some((inner, _)) if raw[from..].trim_matches(blank).is_empty() => {
                if inner.contains('"') {
                    Cow::Owned(inner.replace("\"\"", "\""))
                } else {
                    Cow::Borrowed(inner)
                }
            }
            _ => Cow::Borrowed(raw.trim_end_matches(blank)),
        };
        let mut rest = self.rest[end..].chars();
        let after = if rest.next().is_some_and(|c| c != '\n' && c != '\r') { After::Cell } else { After::Line };
        self.rest = rest.as_str();
        Ok((value, after))
    }
}

/// Blanks and tabs, unless they separate.
fn is_blank(c: char, separator: char) -> bool {
    matches!(c, ' ' | '\t') && (c != separator || c == ' ')
}

/// Where the quote is that ends a cell: two of them stand for one.
fn closing_quote(inner: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + inner[from..].find('"')?;
        if !inner[at + 1..].starts_with('"') {
            return Some(at);
        }
        from = at + 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str, separator: char) -> Result<Vec<Vec<String>>, Unreadable> {
        let mut cells = Cells { text, rest: text, separator };
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            if !cells.line(|position, cell| {
                assert_eq!(position, line.len());
                line.push(cell.into_owned());
            })? {
                return Ok(lines);
            }
            lines.push(line);
        }
    }

    #[test]
    fn cells_are_found_in_quotes_and_among_blanks() {
        for (separator, text, expected) in [
            (',', "", &[][..]),
            (',', " \r\n\n", &[]),
            (',', "a", &[&["a"][..]]),
            (',', "a, b ,c\r\n\r\n1,,3\n", &[&["a", "b", "c"], &["1", "", "3"]]),
            (',', ",", &[&["", ""]]),
            (',', "\"a,b\" , \" c \"\n", &[&["a,b", " c "]]),
            (',', "\"say \"\"hi\"\"\",\"two\nlines\"", &[&["say \"hi\"", "two\nlines"]]),
            (',', "\"\",x", &[&["", "x"]]),
            (',', "5\" pipe,\"a\"b,c", &[&["5\" pipe", "\"a\"b", "c"]]),
            (';', "1,5;2", &[&["1,5", "2"]]),
            ('\t', "a\t\tb c\t", &[&["a", "", "b c", ""]]),
            (' ', "  21.5   40\t7  \n\"a b\" c", &[&["21.5", "40", "7"], &["a b", "c"]]),
            ('§', "a§b", &[&["a", "b"]]),
            (',', "a\rb", &[&["a"], &["b"]]),
        ] {
            assert_eq!(lines(text, separator).unwrap(), expected, "{text:?}");
        }
        for (text, at) in [("\"", 0), ("a,\"b", 2), ("a,\"b\"\"\n", 2)] {
            let said = format!("is not CSV: the quote at byte {at} is not closed");
            assert_eq!(lines(text, ',').unwrap_err().detail, said, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_the_csv_crate_writes_in_quotes_reads_back(
            separator in proptest::sample::select(vec![',', ';', '\t', '|', ' ']),
            written in proptest::collection::vec(proptest::collection::vec("[a,;\"\n\r\t |é ]{0,5}", 1..5), 0..5),
        ) {
            let mut writer = csv::WriterBuilder::new()
                .delimiter(u8::try_from(separator).unwrap())
                .quote_style(csv::QuoteStyle::Always)
                .flexible(true)
                .from_writer(Vec::new());
            for line in &written {
                writer.write_record(line).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            prop_assert_eq!(lines(&text, separator).unwrap(), written, "{:?}", text);
        }

        #[test]
        fn what_the_csv_crate_writes_reads_back_as_that_crate_reads_it(
            separator in proptest::sample::select(vec![',', ';', '\t', '|']),
            written in proptest::collection::vec(proptest::collection::vec("[a,;\"|é ]{0,5}", 1..5), 0..5),
        ) {
            let delimiter = u8::try_from(separator).unwrap();
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).flexible(true).from_writer(Vec::new());
            for line in &written {
                writer.write_record(line).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(delimiter)
                .has_headers(false)
                .flexible(true)
                .from_reader(text.as_bytes());
            // That crate keeps blanks, and takes a line of blanks for one of a cell.
            let read = |record: csv::StringRecord| record.iter().map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
            let mut theirs: Vec<Vec<String>> = reader.records().map(|record| read(record.unwrap())).collect();
            let mut ours: Vec<Vec<String>> =
                lines(&text, separator).unwrap().iter().map(|line| line.iter().map(|cell| cell.trim().to_owned()).collect()).collect();
            let blank = |line: &Vec<String>| line.len() != 1 || !line[0].is_empty();
            theirs.retain(blank);
            ours.retain(blank);
            prop_assert_eq!(ours, theirs, "{:?}", text);
        }

        #[test]
        fn no_text_panics_and_no_cell_is_invented(
            text in "[a1,; \t\"\n\ré§]{0,30}|.{0,20}", separator in proptest::sample::select(vec![',', ';', '\t', ' ', '§'])
        ) {
            if let Ok(lines) = lines(&text, separator) {
                let cells: usize = lines.iter().map(Vec::len).sum();
                prop_assert!(cells <= text.chars().count() + 1);
                prop_assert!(lines.iter().flatten().map(String::len).sum::<usize>() <= text.len());
            }
        }
    }
}
