//! Texts of TOML, whatever stands in them: a payload may hold anything, and the proposal must still be read.

/// A basic string of TOML.
pub(super) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_unseen(c) => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number of TOML that has the amount of `number`.
pub(super) fn number(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 { format!("{number:.0}") } else { format!("{number:?}") }
}

/// A key of TOML.
pub(super) fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_bare { name.to_owned() } else { string(name) }
}

/// Text for a comment: on one line, of at most `chars` characters, and nothing in it that is not seen.
pub(super) fn comment(text: &str, chars: usize) -> String {
    let mut out: String = text.chars().take(chars).map(|c| if is_unseen(c) { '·' } else { c }).collect();
    if text.chars().nth(chars).is_some() {
        out.push('…');
    }
    out
}

/// Control characters, which comments of TOML may not hold, and those that turn the direction of what is read.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}
