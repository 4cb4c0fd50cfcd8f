//! Words for what is no number, as Python and C write them without quotes in what is JSON otherwise.

/// `json` with `null` in the place of `NaN`, `Infinity`, `inf` and `-inf`, in any case; `None` where none of them stands
/// outside of texts, and where the whole is one word, which is a text.
pub(super) fn mended(json: &str) -> Option<String> {
    if !json.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut mended = String::new();
    let (mut at, mut copied) = (0, 0);
    let (mut quoted, mut escaped) = (false, false);
    let bytes = json.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'-' | b'+' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' if !quoted => {
                let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
                let word = &json[at..at + bytes[at..].iter().take_while(|byte| is_of_word(byte)).count()];
                if is_no_number(word) {
                    mended.push_str(&json[copied..at]);
                    mended.push_str("null");
                    copied = at + word.len();
                }
                at += word.len();
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    (copied > 0).then(|| {
        mended.push_str(&json[copied..]);
        mended
    })
}

fn is_no_number(word: &str) -> bool {
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    ["nan", "inf", "infinity"].iter().any(|known| unsigned.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bare_words_become_null_outside_of_texts_only() {
        for (json, expected) in [
            ("[NaN,nan, -nan ,Infinity,-Infinity,inf,-inf,1]", Some("[null,null, null ,null,null,null,null,1]")),
            (
                r#" {"a":NaN,"b NaN \" NaN":"\\","c":[{"d":-INF}]}"#,
                Some(r#" {"a":null,"b NaN \" NaN":"\\","c":[{"d":null}]}"#),
            ),
            (r#"{"a":"NaN"}"#, None),
            (r#"{"a":"é","b":nan}"#, Some(r#"{"a":"é","b":null}"#)),
            ("[NaN1, info, 1nan, +inf, true, 1e-5]", None),
            ("NaN", None),
            ("", None),
            ("[\"NaN", None),
            ("[nan", Some("[null")),
        ] {
            assert_eq!(mended(json).as_deref(), expected, "{json}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_stays(json in r#"\[("(\\"|nan|é)*"|-?[1-9]{1,3}|null)(, ?("nan"|inf|-inf|true)){0,5}\]"#) {
            let mended = mended(&json).unwrap_or_else(|| json.clone());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&mended).is_ok(), "{}", mended);
            prop_assert_eq!(super::mended(&mended), None);
        }

        #[test]
        fn no_text_panics(text in r#"[\[{"\\naif\-é ,:1]{0,30}"#) {
            mended(&text);
        }
    }
}
