//! What a person sees: a text in, a configuration or faults out.

use super::*;

const MINIMAL: &str = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:a.db\"\n";

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.faults.iter().map(ToString::to_string).collect()
}

/// Loads `text` below the minimal settings (four lines), which must give no fault.
fn good(text: &str) -> Config {
    let loaded = load_text("config.toml", &format!("{MINIMAL}{text}"), []);
    assert_eq!(lines(&loaded), Vec::<String>::new());
    loaded.config.unwrap()
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_minimal_file_works() {
    let loaded = load_text("config.toml", minimal(), []);
    assert_eq!(lines(&loaded), Vec::<String>::new());
    let config = loaded.config.unwrap();
    assert_eq!(config.broker.url.value, BrokerUrl { host: "localhost".into(), port: 1883 });
    assert_eq!(config.store.url.value, StoreUrl::Sqlite("amber.db".into()));
    assert_eq!(config.mappings[0].name.value, "climate");
}

#[test]
fn show() {
    let text = include_str!("../../tests/config/faulty.toml");
    let loaded = load_text(
        "tests/config/faulty.toml",
        text,
        environment(&[
            ("AMBER__BROKER__QOS", "7"),
            ("AMBER__BROKR__URL", "x"),
            ("AMBER__MAPPING__X", "y"),
            ("AMBER_STORE_URL", "z"),
            ("AMBER__SPOOL__MAX", "z"),
        ]),
    );
    for fault in &loaded.faults {
        println!("{fault}");
    }
    good("[mapping.a]\ntopic='x'\nfields=['a']");
}
