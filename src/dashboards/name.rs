//! Names of the catalogue where Grafana or PostgreSQL read them: in SQL, in uids and files, in titles.
//!
//! A name may be anything of up to 63 bytes. Grafana expands `$x`, `${x}`, `[[x]]` and `$x(…)` wherever they stand in a
//! query, within quotes too, and newer versions drop what looks like a comment. So no such character is written: SQL has
//! escapes for them (`U&"…"`, which PostgreSQL reads whatever the encoding is).

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

/// What names the dashboard of a measurement, in its uid and its file. SQL can say the same:
///
/// `case when name ~ '^[a-z][a-z0-9_]{0,31}$' then replace(name, '_', '-') else 'x-' || left(md5(name), 16) end`
#[must_use]
pub fn slug(measurement: &str) -> String {
    let bytes = measurement.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
    if bytes.len() <= 32 && bytes.first().is_some_and(u8::is_ascii_lowercase) && bytes.iter().all(plain) {
        return measurement.replace('_', "-");
    }
    format!("x-{}", &md5(measurement)[..16])
}

/// As PostgreSQL's `md5`.
pub(super) fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

/// A quoted identifier.
pub(super) fn identifier(name: &str) -> String {
    quoted(name, '"')
}

/// A text literal.
pub(super) fn literal(text: &str) -> String {
    quoted(text, '\'')
}

fn quoted(text: &str, quote: char) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ' ' || (!c.is_ascii() && !c.is_control());
    if text.chars().all(plain) {
        return format!("{quote}{text}{quote}");
    }
    let mut sql = format!("U&{quote}");
    for c in text.chars().filter(|c| *c != '\0') {
        if plain(c) {
            sql.push(c);
        } else {
            write!(sql, "\\{:04X}", u32::from(c)).expect("a String takes every write");
        }
    }
    sql.push(quote);
    sql
}

/// A name or description where people read it: what Grafana would take for a variable is broken by a character of no
/// width.
pub(super) fn shown(text: &str) -> String {
    text.replace('$', "$\u{200b}").replace("[[", "[\u{200b}[")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_fit_into_uids_and_differ() {
        for (name, expected) in [
            ("climate", "climate"),
            ("living_room", "living-room"),
            ("a_", "a-"),
            ("Climate", "x-96ebd2bde492267c"),
            ("küche", "x-9c51ab667e937172"),
            ("1st", "x-"),
            ("", "x-d41d8cd98f00b204"),
        ] {
            let slug = slug(name);
            assert!(slug.starts_with(expected), "{name}: {slug}");
        }
        let long = "a".repeat(32);
        assert_eq!(slug(&long), long);
        assert_eq!(slug(&format!("{long}a")).len(), 18);
        assert_ne!(slug("a-b"), slug("a_b"), "the recommended name keeps the plain slug");
    }

    #[test]
    fn nothing_in_a_name_is_read_by_grafana_or_ends_the_quotes() {
        assert_eq!(identifier("temperature"), "\"temperature\"");
        assert_eq!(identifier("größe in m"), "\"größe in m\"");
        assert_eq!(identifier("a\"b"), "U&\"a\\0022b\"");
        assert_eq!(literal("it's"), "U&'it\\0027s'");
        let wild = identifier("$__timeFilter(x), ${device} [[a]] -- /* \\ ; '");
        assert!(!wild.contains(['$', '[', '(', '-', '*', ';', '\'', ',']), "{wild}");
        assert!(!shown("${device} [[a]] $x").contains("${"));
        assert!(!shown("[[a]]").contains("[["));
    }
}
