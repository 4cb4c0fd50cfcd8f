//! Every metric that a dashboard or an alert names is one that a running Amber shows, with the labels that it is asked for,
//! and no metric is on none.

use std::collections::{BTreeMap, BTreeSet};

use super::dashboards::{self, Kind, is_prometheus, variable_query};
use super::{alerts, seed};
use crate::support::eventually;

/// Labels that Prometheus adds.
const ADDED: [&str; 2] = ["job", "instance"];

/// The metrics of a query with the labels that it names, in matchers and in `by (…)`.
pub(super) fn named(expression: &str) -> Vec<(String, BTreeSet<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut grouped = BTreeSet::new();
    for rest in expression.split(" by (").skip(1) {
        let inner = rest.split(')').next().unwrap_or_default();
        grouped.extend(inner.split(',').map(|label| label.trim().to_owned()));
    }
    let mut metrics = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"') {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').map_or("", |(_, rest)| rest);
            continue;
        }
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        if !["amber_", "process_", "up"].iter().any(|start| name.starts_with(start)) || name == "upper" {
            continue;
        }
        let mut labels = grouped.clone();
        if let Some((matchers, _)) = after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            labels.extend(
                matchers.split(',').filter_map(|matcher| Some(matcher.split(['=', '!']).next()?.trim().to_owned())),
            );
        }
        metrics.push((name.to_owned(), labels));
    }
    metrics
}

/// What stands at `/metrics`: names with their labels.
fn shown(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).expect("a sample has a value");
        let labels = shown.entry(name.to_owned()).or_default();
        if line.as_bytes()[name.len()] == b'{' {
            labels.extend(rest.split("\",").filter_map(|label| Some(label.split_once("=\"")?.0.to_owned())));
        }
    }
    shown
}

#[test]
fn every_metric_that_a_dashboard_or_an_alert_names_is_shown_by_a_running_amber() {
    let stack = seed::seeded();
    let text = eventually("rows are counted", || {
        let (_, text) = stack.amber.get("/metrics")?;
        if text.contains("amber_rows_written_total{measurement=\"trial\"}") { Ok(text) } else { Err(text) }
    });
    let shown = shown(&text);
    // Shown once they have counted something, which `docs/metrics.md` declares.
    let declared: BTreeMap<&str, BTreeSet<String>> = amber::metrics::DECLARED
        .iter()
        .map(|metric| (metric.name, metric.labels.iter().map(|&label| label.to_owned()).collect()))
        .collect();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    let mut check = |place: String, expression: &str| {
        let metrics = named(expression);
        if metrics.is_empty() {
            faults.push(format!("{place}: no metric in `{expression}`"));
        }
        for (name, labels) in metrics {
            seen.insert(name.clone());
            if name == "up" {
                continue;
            }
            let open = declared
                .get(name.as_str())
                .filter(|labels| labels.contains("mapping") || labels.contains("measurement"));
            let Some(known) = shown.get(&name).or(open) else {
                faults.push(format!("{place}: {name} is not shown"));
                continue;
            };
            let unknown: Vec<&String> =
                labels.iter().filter(|label| !ADDED.contains(&label.as_str()) && !known.contains(*label)).collect();
            if !unknown.is_empty() {
                faults.push(format!("{place}: {name} has no label {unknown:?}"));
            }
        }
    };
    for dashboard in dashboards::written() {
        for query in dashboard.queries().into_iter().filter(|query| query.kind == Kind::Prometheus) {
            check(format!("{}: {}", dashboard.name, query.place), &query.text);
        }
        for variable in dashboard.variables().filter(|variable| is_prometheus(variable)) {
            check(format!("{}: variable", dashboard.name), variable_query(variable));
        }
    }
    for (title, expression) in alerts::expressions() {
        check(title, &expression);
    }
    assert_eq!(faults, [""; 0]);
    let unseen: Vec<&str> = declared
        .keys()
        .filter(|name| !["", "_bucket", "_sum", "_count"].iter().any(|end| seen.contains(&format!("{name}{end}"))))
        .copied()
        .collect();
    assert_eq!(unseen, [""; 0], "on no dashboard and in no alert");
}

#[test]
fn metrics_and_labels_are_found_in_queries() {
    let labels = |labels: &[&str]| labels.iter().map(|&label| label.to_owned()).collect::<BTreeSet<String>>();
    assert_eq!(
        named(
            r#"60 * sum by (reason) (rate(amber_rejects_total{job="amber",instance=~"$instance"}[$__rate_interval])) or up"#
        ),
        [
            ("amber_rejects_total".to_owned(), labels(&["reason", "job", "instance"])),
            ("up".to_owned(), labels(&["reason"]))
        ]
    );
    let shown = shown("# HELP a b\namber_x 1\namber_y{a=\"1\",b=\"2,\"} 3\n");
    assert_eq!(shown["amber_y"], labels(&["a", "b"]));
    assert!(shown["amber_x"].is_empty());
}
