//! Every word that the configuration knows, the nearest one to a word that it does not, and what comes later.

use super::mapping::Format;

/// The sections of settings and their keys. The environment has the same: `AMBER__BROKER__URL`.
pub(super) const SETTINGS: &[(&str, &[&str])] = &[
    (
        "broker",
        &[
            "url",
            "client_id",
            "username",
            "password",
            "password_file",
            "qos",
            "protocol",
            "overlap",
            "session_expiry",
            "keep_alive",
            "max_payload",
            "ca",
            "cert",
            "key",
            "server_name",
            "alpn",
            "verify",
            "status",
        ],
    ),
    ("store", &["url", "password", "password_file", "commit_interval", "devices_interval", "ddl"]),
    ("store.timescale", &["hypertable", "chunk", "compress_after"]),
    ("rejects", &["keep", "max", "per_minute"]),
    ("dashboards", &["dir"]),
    ("http", &["listen", "token", "token_file", "open", "hosts"]),
    ("log", &["level", "format"]),
];

/// The keys of a section that are sections themselves: `timescale` of `store`.
pub(super) fn inner(section: &str) -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(move |(name, _)| name.strip_prefix(section)?.strip_prefix('.'))
}

/// What else may stand at the top of a file.
pub(super) const TOP: &[&str] =
    &["include", "defaults", "mapping", "broker", "store", "rejects", "dashboards", "http", "log"];

/// What may stand at the top of an included file.
pub(super) const INCLUDED: &[&str] = &["defaults", "mapping"];

pub(super) const MAPPING: &[&str] = &[
    "topic",
    "except",
    "measurement",
    "when",
    "fallback",
    "format",
    "encoding",
    "rows",
    "pivot",
    "others",
    "time",
    "zone",
    "not_before",
    "not_after",
    "outside",
    "tags",
    "fields",
    "missing",
    "retained",
    "qos",
    "redelivery",
    "max_series",
    "on_duplicate",
    "retention",
    "compress_after",
    "table",
    "columns",
    "example",
];

pub(super) const FIELD: &[&str] = &[
    "path",
    "type",
    "unit",
    "description",
    "kind",
    "decimals",
    "words",
    "missing",
    "decode",
    "pattern",
    "bit",
    "scale",
    "offset",
    "min",
    "max",
    "range",
    "deadband",
    "heartbeat",
    "required",
];

pub(super) const TAG: &[&str] = &["path", "value", "words", "required"];
pub(super) const TIME: &[&str] = &["path", "format", "zone", "unit", "since"];
pub(super) const PIVOT: &[&str] = &["name", "value"];
pub(super) const EXAMPLE: &[&str] =
    &["topic", "payload", "payload_base64", "retain", "received_at", "rows", "outcome", "reason"];
pub(super) const EXAMPLE_ROW: &[&str] = &["mapping", "measurement", "time", "time_source", "tags", "fields"];

pub(super) const ROWS: &[&str] = &["path", "decode", "encoding", "format", "rows"];

/// The keys of `format = { … }`, by the format.
pub(super) fn format_settings(format: &Format) -> &'static [&'static str] {
    match format {
        Format::Auto | Format::Json | Format::Text | Format::Cbor | Format::MsgPack | Format::Xml => &["type"],
        Format::Csv(_) => &["type", "separator", "header", "columns"],
        Format::Pairs(_) => &["type", "separator", "assign"],
    }
}

/// Words that are decided and not built: where they stand, and the word. An entry goes when its feature comes.
pub(super) const LATER: &[(&str, &str)] = &[("top", "spool"), ("format", "senml")];

pub(super) fn comes_later(place: &str, word: &str) -> bool {
    LATER.contains(&(place, word))
}

/// What other programs call it.
const SYNONYMS: &[(&str, &str)] = &[
    ("string", "text"),
    ("str", "text"),
    ("varchar", "text"),
    ("integer", "int"),
    ("bigint", "int"),
    ("number", "float"),
    ("double", "float"),
    ("real", "float"),
    ("boolean", "bool"),
    ("jsonb", "json"),
    ("gz", "gzip"),
    ("deflate", "zlib"),
    ("tsv", "csv"),
    ("delimiter", "separator"),
    ("sep", "separator"),
    ("names", "columns"),
    ("timestamp", "time"),
    ("datetime", "time"),
    ("counter", "total"),
    ("topics", "topic"),
    ("filter", "topic"),
    ("exclude", "except"),
    ("timezone", "zone"),
    ("tz", "zone"),
    ("timestamp", "time"),
    ("precision", "decimals"),
    ("factor", "scale"),
    ("map", "words"),
    ("retain", "retained"),
    ("user", "username"),
    ("clientid", "client_id"),
    ("cafile", "ca"),
    ("ca_file", "ca"),
    ("certfile", "cert"),
    ("cert_file", "cert"),
    ("keyfile", "key"),
    ("key_file", "key"),
    ("sni", "server_name"),
    ("address", "listen"),
    ("database", "store"),
    ("mqtt", "broker"),
    ("mappings", "mapping"),
    ("default", "defaults"),
    ("includes", "include"),
];

/// What to write instead of `word`: the nearest of `known`, or else all of them.
pub(super) fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", list(known)),
    }
}

pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase().replace('-', "_");
    let same =
        SYNONYMS.iter().filter(|(other, _)| *other == word).find_map(|(_, ours)| known.iter().find(|k| *k == ours));
    same.copied().or_else(|| {
        let near =
            known.iter().map(|known| (strsim::osa_distance(&word, known), *known)).min_by_key(|&(far, _)| far)?;
        let length = word.chars().count().max(near.1.len());
        // Any two words of one or two letters are a letter or two apart.
        let bound = if length > 2 { (length / 3).max(1) } else { 0 };
        (near.0 <= bound).then_some(near.1)
    })
}

/// `a`, `b`, `c`
pub(super) fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_or_two_letters_are_never_near() {
        assert_eq!(suggest("x", &["v", "id"]), "known here: `v`, `id`");
        assert_eq!(suggest("tz", &["s", "ms"]), "known here: `s`, `ms`");
        assert_eq!(suggest("qs", &["qos"]), "did you mean `qos`?");
        assert_eq!(suggest("pth", &["path", "type"]), "did you mean `path`?");
    }
}
