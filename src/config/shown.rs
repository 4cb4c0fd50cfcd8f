//! What of the files may be shown: `[defaults]` and `[mapping.*]` as they are written, comments included.
//!
//! Everything else is left out by not being taken: a line is shown only if it surely belongs to a mapping. The files were
//! parsed already, so this reads valid TOML; where it does not understand a key it leaves it out.
//!
//! A comment belongs to what it stands above or in. Between settings and the first mapping behind them a commented-out
//! setting may stand, so of the comments there only those are shown that read as no setting.

/// The mappings of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingText {
    pub name: String,
    pub text: String,
}

/// The parts of `text` that are mappings.
pub(super) fn mappings_of(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut shown = String::new();
    // Before the first header stand keys of the top.
    let mut section: Option<bool> = None;
    // Comments and empty lines, and where they began: what follows says whether they are shown.
    let mut gap = String::new();
    let mut was_shown = false;
    let mut rest = text;
    while !rest.is_empty() {
        let (statement, after) = rest.split_at(length(rest));
        rest = after;
        let line = statement.trim();
        if line.is_empty() || line.starts_with('#') {
            gap.push_str(statement);
            continue;
        }
        let is_shown = match line.strip_prefix('[') {
            Some(header) => {
                let is_mapping = is_of_mapping(header.trim_start_matches('['));
                section = Some(is_mapping);
                is_mapping
            }
            None => section.unwrap_or_else(|| is_of_mapping(line)),
        };
        if is_shown {
            shown.push_str(if was_shown { &gap } else { harmless(&gap) });
            shown.push_str(statement);
        }
        gap.clear();
        was_shown = is_shown;
    }
    if was_shown {
        shown.push_str(&gap);
    }
    let shown = shown.trim_matches(['\n', '\r']);
    if shown.is_empty() { String::new() } else { format!("{shown}\n") }
}

/// The comment directly above what follows, unless it reads as a setting.
fn harmless(gap: &str) -> &str {
    let start = gap.rfind("\n\n").map(|at| at + 2).or_else(|| gap.rfind("\n\r\n").map(|at| at + 3)).unwrap_or(0);
    let above = &gap[start..];
    let is_detached = start > 0 || gap.starts_with('\n') || gap.starts_with("\r\n");
    let may_be_setting = above.contains('=') || above.contains("://") || above.contains('[');
    if is_detached && !may_be_setting { above } else { "" }
}

/// Whether a key, written as in a header or before `=`, begins with `mapping` or `defaults`.
fn is_of_mapping(key: &str) -> bool {
    let key = key.trim_start();
    let name = match key.chars().next() {
        Some(quote @ ('"' | '\'')) => key[1..].split(quote).next(),
        _ => key.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').next(),
    };
    matches!(name, Some("mapping" | "defaults"))
}

/// Bytes of the statement at the beginning: a line, or as many as its strings and brackets take; its line end included.
fn length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' if depth == 0 => return at + 1,
            b'#' => at += bytes[at..].iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - at),
            b'"' | b'\'' => at += string(&bytes[at..]),
            _ => {
                match byte {
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                at += 1;
            }
        }
    }
    bytes.len()
}

/// Bytes of the string at the beginning, quotes included.
fn string(bytes: &[u8]) -> usize {
    let quote = bytes[0];
    let is_long = bytes.len() >= 3 && bytes[1] == quote && bytes[2] == quote;
    let mut at = if is_long { 3 } else { 1 };
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' => at += 2,
            b'\n' if !is_long => return at,
            _ if byte == quote && !is_long => return at + 1,
            _ if byte == quote && bytes[at..].starts_with(&[quote; 3]) => {
                // Up to two quotes may stand before the three that end it.
                let quotes = bytes[at..].iter().take_while(|&&byte| byte == quote).count();
                return at + quotes.min(5);
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_shown_as_they_are_written_and_nothing_else_is() {
        let text = r##"# My house. password = "geheim1"
include = ["mappings/*.toml", "geheim2"]
broker.password = "geheim3"

[broker]
url = "mqtt://geheim4@host"   # geheim5
# password = "geheim6"

# The sensors of the house.
# Two kinds.
[defaults]   # for all
zone = "Europe/Berlin"

# climate
[mapping.climate]
topic = [
  "home/{room}/climate", # ["broker]
]
note = """
[http]
token = not a token
\""""
[mapping.climate.fields]
a = { path = '[store]', unit = "#" }
# the end of it

[store]
url = '''
[mapping.geheim7]
postgres://geheim8'''
[store.timescale]
# geheim9
[mapping."odd [http]"]
topic = "x"
[[mapping.climate.example]]
payload = '{"token": "of a device"}'
[ http ]
token = "geheim10"
#[mapping.geheim11]
"##;
        let expected = r##"# The sensors of the house.
# Two kinds.
[defaults]   # for all
zone = "Europe/Berlin"

# climate
[mapping.climate]
topic = [
  "home/{room}/climate", # ["broker]
]
note = """
[http]
token = not a token
\""""
[mapping.climate.fields]
a = { path = '[store]', unit = "#" }
[mapping."odd [http]"]
topic = "x"
[[mapping.climate.example]]
payload = '{"token": "of a device"}'
"##;
        assert_eq!(mappings_of(text), expected);
        let dos = text.replace('\n', "\r\n");
        assert_eq!(mappings_of(&dos).replace("\r\n", "\n"), expected);
    }

    #[test]
    fn keys_of_the_top_are_told_apart_too() {
        let text = "mapping.a.topic = 'a'\n\"http\".token = 'geheim'\n'mapping'.a.fields = ['v']\nhttp = { token = 'geheim' }\n\
                    \"m\\u0061pping\".b.topic = 'what is not understood is left out'\nmapping = 1";
        assert_eq!(mappings_of(text), "mapping.a.topic = 'a'\n'mapping'.a.fields = ['v']\nmapping = 1\n");
        for nothing in ["", "\n", "\u{feff}[http]\ntoken = 'x'", "# only\n# comments = 1\n", "[mappings]\na = 1"] {
            assert_eq!(mappings_of(nothing), "", "{nothing}");
        }
    }

    #[test]
    fn a_commented_setting_above_a_mapping_is_not_shown_and_a_comment_of_the_mapping_is() {
        for (gap, shown) in [
            ("# password = 'geheim'\n", ""),
            ("\n# password = 'geheim'\n", ""),
            ("# geheim\n", ""),
            ("\n# mqtt://me:geheim@host\n", ""),
            ("# geheim = 1\n\n# Climate.\n", "# Climate.\n"),
            ("\n\n# Climate.\n# Rooms.\n", "# Climate.\n# Rooms.\n"),
        ] {
            let text = format!("[broker]\nurl = 'a'\n{gap}[mapping.a]\ntopic = 'a'\n");
            assert_eq!(mappings_of(&text), format!("{shown}[mapping.a]\ntopic = 'a'\n"), "{gap}");
        }
    }

    #[test]
    fn whatever_is_cut_is_still_read_as_the_same_mappings() {
        for text in [include_str!("../../config.example.toml"), include_str!("../demo/demo.toml")] {
            let whole: toml::Table = text.parse().unwrap();
            let cut: toml::Table = mappings_of(text).parse().unwrap();
            assert_eq!(cut.get("mapping"), whole.get("mapping"));
            assert!(cut.keys().all(|key| ["mapping", "defaults"].contains(&key.as_str())), "{cut:?}");
        }
    }
}
