//! The documents: what they show can be done as it stands.
//!
//! In README.md, docs/delivery.md and docs/operation.md every ```` ```toml ```` block is a whole configuration, and every
//! ```` ```sql ```` block below a comment `<!-- test: … -->` runs.

use std::path::{Path, PathBuf};

use crate::support::folder::Folder;
use crate::support::mosquitto::Mosquitto;
use crate::support::{binary, ports, postgres::Postgres, sql::Sql};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document, with its name.
fn documents() -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = [root().to_owned(), root().join("docs")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("it is there"))
        .map(|file| file.expect("it is read").path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).expect("it is text"))).collect()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The blocks that begin with a fence of `language`, each with the line before the fence.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<(&'t str, &'t str)> {
    let fence = format!("\n```{language}\n");
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(&fence) {
        let (block, after) = after.split_once("\n```").expect("a fence has an end");
        blocks.push((before.lines().last().unwrap_or_default(), block));
        rest = after;
    }
    blocks
}

#[test]
fn every_configuration_shown_is_accepted() {
    let mut seen = 0;
    for name in ["README.md", "docs/delivery.md", "docs/operation.md"] {
        for (before, block) in blocks(&document(name), "toml") {
            // It has a test of its own.
            if before.starts_with("<!-- test:") {
                continue;
            }
            let folder = Folder::new();
            folder.write("config.toml", block);
            let output = binary::command(folder.path(), &["check"]);
            assert!(output.status.success(), "{name}: {output:?}\n{block}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no configuration is shown");
}

/// All source of the tests below `folder`.
fn sources(folder: &Path) -> String {
    let files = std::fs::read_dir(folder).expect("it is there").map(|file| file.expect("it is read").path());
    let text = |path: PathBuf| match path.is_dir() {
        true => sources(&path),
        false => std::fs::read_to_string(&path).unwrap_or_default(),
    };
    files.map(text).collect()
}

#[test]
fn every_test_that_the_tables_of_failures_name_is_there() {
    let text = document("docs/operation.md");
    let tests = sources(&root().join("tests/suite"));
    let (_, section) = text.split_once("## When the store fails").expect("it is there");
    let (section, _) = section.split_once("\n## ").expect("it ends");
    let mut lines = 0;
    for line in section.lines().filter(|line| line.contains("` |") && line.starts_with("| ")) {
        let names = line.trim_end_matches(" |").rsplit(" | ").next().expect("a line has columns");
        for name in names.split(", ") {
            let name = name.trim_matches('`');
            assert!(tests.contains(&format!("#[test]\nfn {name}()")), "{name} is named by docs/operation.md");
        }
        lines += 1;
    }
    assert!(lines > 25, "{lines} lines name tests");
}

#[test]
fn the_recipe_for_tls_works_as_it_stands() {
    let text = document("docs/operation.md");
    let marked = |language: &str, mark: &str| {
        let found = blocks(&text, language).into_iter().find(|(before, _)| *before == format!("<!-- test: {mark} -->"));
        found.unwrap_or_else(|| panic!("no block {mark}")).1.to_owned()
    };
    let folder = Folder::new();
    let made = std::process::Command::new("sh")
        .args(["-ec", &marked("sh", "makes the certificates")])
        .current_dir(folder.path())
        .output()
        .expect("there is a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let port = ports::free();
    let there = format!("{}/", folder.path().display());
    let conf = marked("conf", "in the configuration of Mosquitto").replace("/etc/mosquitto/certs/", &there);
    let broker = Mosquitto::with(&conf.replace("listener 8883", &format!("listener {port} 127.0.0.1")));
    let config = marked("toml", "with the certificates above").replace("/etc/amber/", &there);
    let mut amber = binary::Amber::run(&config.replace(":8883", &format!(":{port}")));
    let known = |line: &str| line.contains("New client connected") && line.contains("u'amber'");
    assert!(broker.log().lines().any(known), "{}", broker.log());
    assert!(amber.terminate().success());
}

#[test]
fn the_message_that_readme_explains_becomes_a_row() {
    let text = document("README.md");
    let folder = Folder::new();
    folder.write("config.toml", blocks(&text, "toml")[0].1);
    let line = text.lines().find_map(|line| line.strip_prefix("amber explain ")).expect("README explains a message");
    let (topic, payload) = line.split_once(' ').expect("a topic and a payload");
    let output = binary::command(folder.path(), &["explain", "--json", topic, payload.trim_matches('\'')]);
    assert!(output.status.success(), "{output:?}");
    let explained: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(explained["outcome"], "rows", "{explained}");
    let row = &explained["rows"][0];
    assert_eq!(row["tags"], serde_json::json!({"room": "kitchen"}));
    assert_eq!(row["fields"], serde_json::json!({"temperature": 21.5, "humidity": 48.0}));
}

#[test]
fn the_statements_for_administrators_run() {
    let text = document("docs/operation.md");
    let blocks: Vec<&str> = blocks(&text, "sql")
        .into_iter()
        .filter_map(|(before, block)| before.starts_with("<!-- test:").then_some(block))
        .collect();
    // What `ddl = false` needs is run by store/ddl.rs.
    let [own, shared, _, reader] = blocks[..] else { panic!("{} blocks are marked", blocks.len()) };
    // Roles belong to the server, so each way has one of its own.
    for way in [own, shared] {
        let server = Postgres::start();
        let mut sql = Sql::postgres(&server.url("postgres")).unwrap();
        let database = if way == own {
            // One statement at a time: `create database` takes no company.
            way.split(';').filter(|statement| !statement.trim().is_empty()).for_each(|statement| sql.run(statement));
            "amber".to_owned()
        } else {
            let database = server.database().name;
            Sql::postgres(&server.url(&database)).unwrap().run(way);
            database
        };
        let folder = Folder::new();
        let url = format!("postgres://amber@127.0.0.1:{}/{database}?sslmode=disable", server.port);
        let store = format!("[store]\nurl = \"{url}\"\n");
        let config = text_with_store(&store);
        folder.write("config.toml", &config);
        let mut amber = binary::Amber::new(&config);
        let broker = crate::support::mosquitto::Mosquitto::start();
        amber.env("AMBER__BROKER__URL", &broker.url());
        amber.start();
        amber.wait_ready();
        Sql::postgres(&server.url(&database)).unwrap().run(reader);
        let mut people = Sql::postgres(&url.replace("amber@", "reader@")).unwrap();
        assert_eq!(people.number("select count(*) from amber.climate"), Ok(0));
        assert!(people.rows("delete from amber.rejects").is_err());
    }
}

/// README's configuration with another store.
fn text_with_store(store: &str) -> String {
    let text = document("README.md");
    let config = blocks(&text, "toml")[0].1;
    let start = config.find("[store]").expect("it has a store");
    let end = start + config[start..].find("\n\n").expect("a blank line ends the section");
    format!("{}{store}{}", &config[..start], &config[end..])
}

#[test]
fn the_broker_settings_that_are_recommended_are_those_of_the_stack() {
    let text = document("docs/delivery.md");
    let stack = document("stack/mosquitto.conf");
    let (_, block) = blocks(&text, "conf")[0];
    for line in block.lines() {
        assert!(stack.lines().any(|other| other == line), "stack/mosquitto.conf lacks `{line}`");
    }
}

#[test]
fn links_lead_to_files_that_are_there() {
    for (file, text) in documents() {
        let folder = file.parent().expect("it is in a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            if !link.is_empty() && !link.contains("://") {
                assert!(folder.join(link).exists(), "{}: {link} is not there", file.display());
            }
        }
    }
}

#[test]
fn metrics_that_the_documents_name_exist() {
    let source = document("src/metrics.rs");
    for (file, text) in documents() {
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            let is_metric = word.starts_with("amber_") && (word.ends_with("_total") || word.ends_with("_seconds"));
            assert!(!is_metric || source.contains(&format!("\"{word}\"")), "{}: {word}", file.display());
        }
    }
}
