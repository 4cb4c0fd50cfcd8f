//! Identifiers and literals: the one place that quotes.

/// A quoted identifier; both databases double the quotation mark.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal, for statements that take no parameters (comments, remedies). Holds no NUL: names and units are
/// checked by the configuration, and this leaves out what is left.
pub(super) fn literal(text: &str) -> String {
    let text = text.replace('\0', "");
    // A backslash is an ordinary character: both databases have standard strings, PostgreSQL by default since 9.1.
    format!("'{}'", text.replace('\'', "''"))
}

/// A statement of the database's own making in one line: what breaks it outside of quotes is a blank.
pub(super) fn one_line(statement: &str) -> String {
    let mut line = String::with_capacity(statement.len());
    let mut quote = None;
    for c in statement.trim().chars() {
        match quote {
            None if c.is_ascii_whitespace() => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
                continue;
            }
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            None | Some(_) => {}
        }
        line.push(c);
    }
    line
}

/// `"a", "b"`
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quote).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_in_names_and_texts_are_doubled() {
        assert_eq!(quote("plain"), "\"plain\"");
        assert_eq!(quote("a\"b; drop"), "\"a\"\"b; drop\"");
        assert_eq!(literal("it's \\ °C"), "'it''s \\ °C'");
        assert_eq!(list(["a", "select"]), "\"a\", \"select\"");
    }

    #[test]
    fn lines_are_joined_outside_of_quotes_only() {
        let text = " select  'a\n  ''b\n', \"c\n\"\n   from d";
        assert_eq!(one_line(text), "select 'a\n  ''b\n', \"c\n\" from d");
    }
}
