//! `GET /api/mapping`: what the files say of the mappings in force, and what is wrong with what is on disk.
//!
//! The texts hold mappings alone (`config::MappingText`). Whatever a person may have written into one, a secret that the
//! settings have is not shown.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use super::Server;
use super::api::Json;
use crate::config::{Config, StoreUrl};

#[derive(Serialize)]
struct Mapping<'a> {
    number: u64,
    files: Vec<File<'a>>,
    refused: &'a [String],
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    text: String,
}

pub(super) async fn mapping(State(server): State<Arc<Server>>) -> Json {
    let in_force = Arc::clone(&server.shown.in_force.borrow());
    let refused = server.shown.status.files().refused;
    let texts = in_force.config.texts.iter().filter(|text| !text.text.is_empty());
    let files = texts.map(|text| File { name: &text.name, text: without_secrets(&text.text, &in_force.config) });
    Json::of(&Mapping { number: in_force.number, files: files.collect(), refused: &refused })
}

fn without_secrets(text: &str, config: &Config) -> String {
    let mut text = text.to_owned();
    let of_settings = config.broker.password.iter().chain(&config.http.token).map(|secret| secret.expose().to_owned());
    let urls = match &config.store.url.value {
        StoreUrl::Postgres(urls) => &urls[..],
        StoreUrl::Sqlite(_) => &[],
    };
    let of_store = urls.iter().filter_map(|url| url::Url::parse(url.expose()).ok()?.password().map(str::to_owned));
    // What is shorter stands in many words, and guards nothing.
    for secret in of_settings.chain(of_store).filter(|secret| secret.len() >= 4) {
        text = text.replace(&secret, "***");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_somebody_wrote_into_a_mapping_is_not_shown() {
        let text = "[broker]\nurl = 'mqtt://a'\nusername = 'u'\npassword = 'geheim1'\n\
                    [store]\nurl = 'postgres://me:geheim2@db/amber'\n[http]\ntoken = 'geheim3-geheim3-geheim3'\n\
                    [mapping.m]\ntopic = 'a' # geheim1, geheim2, geheim3-geheim3-geheim3\nfields = ['v']";
        let config = crate::config::load_text("config.toml", text, []).config.unwrap();
        assert!(config.texts[0].text.contains("geheim2"));
        let shown = without_secrets(&config.texts[0].text, &config);
        assert_eq!(shown, "[mapping.m]\ntopic = 'a' # ***, ***, ***\nfields = ['v']\n");
    }
}
