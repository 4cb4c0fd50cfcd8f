//! The alert rules: their shape, their queries on a real PostgreSQL, and that a silent device is found and a retired or
//! lively one is not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::dashboards::{self, list, word};
use super::grafana::Asked;
use super::lint::is_known_source;
use super::{path, seed, text};

/// Every rule of every file.
fn rules() -> Vec<Value> {
    let folder = path("grafana/provisioning/alerting");
    let mut rules = Vec::new();
    for file in std::fs::read_dir(folder).expect("it is there").map(|file| file.expect("it is read").path()) {
        let text = std::fs::read_to_string(&file).expect("it is read");
        let all: Value = serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(all["apiVersion"], 1, "{}", file.display());
        for group in list(&all, "groups") {
            for key in ["name", "folder", "interval"] {
                assert!(!word(group, key).is_empty(), "a group lacks {key}");
            }
            assert_eq!(group["orgId"], 1);
            rules.extend(list(group, "rules").cloned());
        }
    }
    assert!(rules.len() >= 7, "{} rules", rules.len());
    rules
}

/// The queries of Prometheus, each with the title of its rule.
pub(super) fn expressions() -> Vec<(String, String)> {
    let all = rules();
    let queries = all.iter().flat_map(|rule| list(rule, "data").map(move |query| (word(rule, "title"), query)));
    let queries = queries.filter(|(_, query)| word(query, "datasourceUid") == "amber-prometheus");
    queries.map(|(title, query)| (title.to_owned(), word(&query["model"], "expr").to_owned())).collect()
}

/// The queries of SQL, likewise.
fn statements() -> Vec<(String, String)> {
    let all = rules();
    let queries = all.iter().flat_map(|rule| list(rule, "data").map(move |query| (word(rule, "title"), query)));
    let queries = queries.filter(|(_, query)| word(query, "datasourceUid") == "amber-postgres");
    queries.map(|(title, query)| (title.to_owned(), word(&query["model"], "rawSql").to_owned())).collect()
}

#[test]
fn every_rule_has_the_shape_that_grafana_takes() {
    let dashboards = dashboards::written();
    let (mut uids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for rule in rules() {
        let (uid, title) = (word(&rule, "uid"), word(&rule, "title"));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(!uid.is_empty() && uid.len() <= 40 && uid.chars().all(plain), "{title}: uid `{uid}`");
        assert!(uids.insert(uid.to_owned()) && titles.insert(title.to_owned()), "{title}: twice");
        for (key, words) in [
            ("noDataState", &["OK", "Alerting", "NoData"][..]),
            ("execErrState", &["Error"][..]),
            ("for", &["0s", "1m", "2m", "5m"][..]),
        ] {
            assert!(words.contains(&word(&rule, key)), "{title}: {key} {}", rule[key]);
        }
        assert!(["warning", "critical"].contains(&word(&rule["labels"], "severity")), "{title}: severity");
        for key in ["summary", "description"] {
            let text = word(&rule["annotations"], key);
            assert!(!text.is_empty(), "{title}: no {key}");
            // One `$` would be taken for a variable of the environment, and be gone.
            let single = text.replace("$$", "").contains('$');
            assert!(!single, "{title}: a `$` that is not doubled in {key}");
            assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{title}: {key}");
        }
        let sources: Vec<(&str, &str)> =
            list(&rule, "data").map(|query| (word(query, "refId"), word(query, "datasourceUid"))).collect();
        let [("A", source), ("B", "__expr__")] = sources[..] else { panic!("{title}: {sources:?}") };
        let types = ["grafana-postgresql-datasource", "prometheus"];
        let known = types.iter().any(|r#type| is_known_source(&serde_json::json!({"type": r#type, "uid": source})));
        assert!(known, "{title}: data source {source}");
        assert_eq!(word(&rule, "condition"), "B", "{title}");
        let query = &rule["data"][0];
        assert!(query["relativeTimeRange"]["from"].as_u64() > Some(0), "{title}: range");
        assert!(source != "amber-prometheus" || query["model"]["instant"] == true, "{title}: not instant");
        let threshold = &rule["data"][1]["model"];
        assert!(threshold["type"] == "threshold" && threshold["expression"] == "A", "{title}: {threshold}");
        let evaluator = &threshold["conditions"][0]["evaluator"];
        assert!(["gt", "lt"].contains(&word(evaluator, "type")) && evaluator["params"][0].is_number(), "{title}");
        for query in list(&rule, "data") {
            assert_eq!(query["refId"], query["model"]["refId"], "{title}");
        }
        let dashboard = dashboards.iter().find(|dashboard| dashboard.json["uid"] == rule["dashboardUid"]);
        let dashboard = dashboard.unwrap_or_else(|| panic!("{title}: no dashboard {}", rule["dashboardUid"]));
        let panel = dashboard.panels().into_iter().find(|panel| panel["id"] == rule["panelId"]);
        assert!(panel.is_some_and(|panel| panel["type"] != "row"), "{title}: no panel {}", rule["panelId"]);
    }
    for uid in [
        "amber-down",
        "amber-broker-lost",
        "amber-store-away",
        "amber-rejects-rising",
        "amber-retention-hindered",
        "amber-rows-expired",
        "amber-nothing-heard",
        "amber-device-silent",
    ] {
        assert!(uids.contains(uid), "{uid}");
    }
}

#[test]
fn every_rule_is_explained() {
    let page = text("docs/dashboards.md");
    for rule in rules() {
        assert!(page.contains(&format!("| {} |", word(&rule, "title"))), "docs/dashboards.md lacks {}", rule["title"]);
    }
}

/// The title of a rule, and each row of its answer: labels and number.
type Answer = (String, Vec<(Vec<String>, f64)>);

/// The answers to the statements of all rules, as Grafana asks them.
fn answers(stack: &super::Stack) -> Vec<Answer> {
    let range = Asked {
        from: (seed::now() - jiff::SignedDuration::from_mins(5)).to_string(),
        to: seed::now().to_string(),
        interval: "1m".to_owned(),
        timezone: "UTC".to_owned(),
        variables: std::collections::BTreeMap::new(),
    };
    let answer = |(title, sql): (String, String)| {
        let sql = range.expand(&sql).unwrap_or_else(|error| panic!("{title}: {error}"));
        let columns = stack.reader().columns(&sql).unwrap_or_else(|error| panic!("{title}: {error}"));
        let numbers: Vec<usize> =
            columns.iter().enumerate().filter(|(_, column)| column.1 != "TEXT").map(|(n, _)| n).collect();
        let [number] = numbers[..] else { panic!("{title}: not one number: {columns:?}") };
        assert_eq!(columns[number].1, "FLOAT8", "{title}");
        let rows = stack.reader().rows(&sql).unwrap_or_else(|error| panic!("{title}: {error}"));
        let rows: Vec<(Vec<String>, f64)> = rows
            .into_iter()
            .map(|mut row| {
                let number = row.remove(number).expect("a number").parse().expect("a number");
                (row.into_iter().map(|label| label.expect("a label")).collect(), number)
            })
            .collect();
        let labels: BTreeSet<_> = rows.iter().map(|(labels, _)| labels).collect();
        assert_eq!(labels.len(), rows.len(), "{title}: two rows have the same labels");
        (title, rows)
    };
    let all: Vec<_> = statements().into_iter().map(answer).collect();
    let titles: Vec<&str> = all.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles, ["Nothing is heard", "Device silent"]);
    all
}

/// What is over its threshold, 0: titles with the labels.
fn firing(stack: &super::Stack) -> Vec<(String, Vec<String>)> {
    let over = |(title, rows): Answer| {
        rows.into_iter().filter(|(_, number)| *number > 0.0).map(move |(labels, _)| (title.clone(), labels))
    };
    answers(stack).into_iter().flat_map(over).collect()
}

#[test]
fn a_silent_device_raises_an_alert_and_an_outage_one_of_its_own() {
    assert!(answers(&seed::empty()).iter().all(|(_, rows)| rows.is_empty()), "rows of an empty store");
    let mut stack = seed::seeded();
    stack.let_a_device_fall_silent();
    let devices = stack.reader().number("select count(*) from amber.devices where retired_at is null").unwrap();
    let (_, rows) = answers(&stack).pop().unwrap();
    assert_eq!(i64::try_from(rows.len()), Ok(devices), "not a row for each device in use");
    let silent = |stack: &super::Stack| {
        let firing = firing(stack);
        assert!(firing.len() == 1 && firing[0].0 == "Device silent", "{firing:?}");
        assert_eq!(firing[0].1[0], "trial", "{firing:?}");
    };
    silent(&stack);
    assert_eq!(
        stack.reader().number("select count(*) from amber.devices where silent"),
        Ok(1),
        "the view says the same"
    );

    // Amber, the broker or the network has been down for two hours: every device is silent, and one alert more says so.
    let pass = "update amber_store.device set last_seen = last_seen - interval '2 hours'";
    stack.owner().run(pass);
    let both = firing(&stack);
    let titles: Vec<&str> = both.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles, ["Nothing is heard", "Device silent"], "{both:?}");
    assert_eq!(both[1].1[0], "trial", "the one that was silent before: {both:?}");
    // A device that comes once in ten hours gives no reason to wait for thirty.
    stack
        .owner()
        .run("update amber_store.device set gap_sum = 180000, gap_squares = 6480000000 where measurement = 'weather'");
    assert_eq!(firing(&stack), both);
    // Heard again, all of them.
    stack.owner().run("update amber_store.device set last_seen = last_seen + interval '2 hours'");
    silent(&stack);
    // The last device that there is.
    stack.owner().run(
        "update amber.devices set retired_at = now() where measurement <> 'weather';
         update amber_store.device set last_seen = now() - interval '31 hours'",
    );
    let titles: Vec<String> = firing(&stack).into_iter().map(|(title, _)| title).collect();
    assert_eq!(titles, ["Nothing is heard"]);
}
