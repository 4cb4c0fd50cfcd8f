//! The shape of dashboards, by the rules that keep them working over Grafana's versions and pleasant to read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dashboards::{self, Dashboard, is_prometheus, list, word};

/// The provisioned data sources: type and uid.
const SOURCES: [(&str, &str); 2] =
    [("grafana-postgresql-datasource", "amber-postgres"), ("prometheus", "amber-prometheus")];

/// Panels that ask no data source of ours.
const WITHOUT_QUERY: [&str; 4] = ["row", "dashlist", "alertlist", "text"];

/// Tables and views that stay small or are found by an index, so that they need no range of time.
const BOUNDED: [&str; 6] = ["devices", "measurements", "fields", "device", "measurement", "field"];

pub(super) fn is_known_source(source: &Value) -> bool {
    SOURCES.contains(&(word(source, "type"), word(source, "uid")))
}

/// What is wrong with the shape of a dashboard, all at once.
pub(super) fn faults(dashboard: &Dashboard) -> Vec<String> {
    let mut faults = Faults(Vec::new());
    frame(&dashboard.json, &mut faults);
    places(dashboard, &mut faults);
    for panel in dashboard.panels() {
        let title = word(panel, "title");
        if !WITHOUT_QUERY.contains(&word(panel, "type")) {
            look(panel, &mut faults);
        }
        if word(panel, "type") != "row" {
            faults.unless(!word(panel, "description").is_empty(), format!("{title}: no description"));
        }
        links(panel, &mut faults);
    }
    for variable in dashboard.variables() {
        let name = word(variable, "name");
        faults.unless(!word(variable, "label").is_empty(), format!("variable {name}: no label"));
        match word(variable, "type") {
            "textbox" => {}
            "query" => {
                faults.unless(is_known_source(&variable["datasource"]), format!("variable {name}: data source"));
                let raw = variable.get("allValue").is_some_and(|value| !value.is_null());
                faults.unless(is_prometheus(variable) || !raw, format!("variable {name}: allValue goes in unquoted"));
                let query = dashboards::variable_query(variable);
                let wanted = if query.contains("$__timeFilter") { 2 } else { 1 };
                let refresh = variable["refresh"].as_u64();
                faults.unless(refresh >= Some(wanted), format!("variable {name}: refresh {refresh:?}"));
            }
            other => faults.0.push(format!("variable {name}: type {other} is not known here")),
        }
    }
    faults.0
}

struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, right: bool, what: String) {
        if !right {
            self.0.push(what);
        }
    }
}

/// What surrounds the panels.
fn frame(json: &Value, faults: &mut Faults) {
    for key in ["elements", "layout", "spec", "__inputs", "__requires"] {
        faults.unless(json.get(key).is_none(), format!("`{key}` belongs to another kind of file"));
    }
    faults.unless(json["schemaVersion"] == 42, "schemaVersion is not 42".to_owned());
    faults.unless(json["editable"] == false, "editable is not false".to_owned());
    faults.unless(json["id"].is_null(), "it has an id of some instance".to_owned());
    faults.unless(json["timezone"] == "browser", "timezone is not browser".to_owned());
    faults.unless(json["graphTooltip"] == 1, "graphTooltip is not 1".to_owned());
    faults.unless(
        !word(json, "title").is_empty() && !word(json, "description").is_empty(),
        "title, description".to_owned(),
    );
    let uid = word(json, "uid");
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    faults.unless(!uid.is_empty() && uid.len() <= 40 && uid.chars().all(plain), format!("uid `{uid}`"));
    let tags: Vec<&str> = list(json, "tags").filter_map(Value::as_str).collect();
    faults.unless(tags.contains(&"amber"), "no tag `amber`".to_owned());
    let is_generated = tags.contains(&"amber-measurement");
    faults.unless(uid.starts_with("amber-m-") == is_generated, "uid and tag of a generated one".to_owned());
    faults.unless(["", "30s", "1m"].contains(&word(json, "refresh")), format!("refresh {}", json["refresh"]));
    let to_others = list(json, "links").any(|link| {
        word(link, "type") == "dashboards"
            && list(link, "tags").any(|tag| tag == "amber")
            && ["asDropdown", "keepTime", "includeVars"].into_iter().all(|key| link[key] == true)
    });
    faults.unless(to_others, "no links to the other dashboards".to_owned());
    let text = json.to_string();
    faults.unless(!text.contains("${DS_"), "`${DS_…}` belongs to an export".to_owned());
}

/// Ids, and where the panels lie.
fn places(dashboard: &Dashboard, faults: &mut Faults) {
    let mut ids = BTreeSet::new();
    let mut taken: BTreeMap<(u64, u64), String> = BTreeMap::new();
    for panel in dashboard.panels() {
        let title = word(panel, "title");
        faults.unless(!title.is_empty(), format!("panel {} has no title", panel["id"]));
        faults.unless(ids.insert(panel["id"].as_u64()) && panel["id"].is_u64(), format!("{title}: id {}", panel["id"]));
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap_or_else(|| panic!("{title}: gridPos.{key}"));
        let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
        faults.unless(x + w <= 24 && w > 0 && h > 0, format!("{title}: beyond 24 columns"));
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            if let Some(other) = taken.insert(cell, title.to_owned()) {
                faults.unless(other == title, format!("{title} lies on {other}"));
            }
        }
    }
}

/// A panel that shows data.
fn look(panel: &Value, faults: &mut Faults) {
    let title = word(panel, "title");
    faults.unless(is_known_source(&panel["datasource"]), format!("{title}: data source {}", panel["datasource"]));
    let defaults = &panel["fieldConfig"]["defaults"];
    let mapped = list(defaults, "mappings").next().is_some();
    faults.unless(mapped || !word(defaults, "unit").is_empty(), format!("{title}: no unit"));
    faults.unless(!word(defaults, "noValue").is_empty(), format!("{title}: no text for no value"));
    let first = defaults["thresholds"]["steps"][0].get("value");
    faults.unless(first == Some(&Value::Null), format!("{title}: first threshold"));
    if ["gauge", "bargauge"].contains(&word(panel, "type")) {
        let bounded = defaults["min"].is_number() && defaults["max"].is_number();
        faults.unless(bounded, format!("{title}: a gauge without min and max"));
    }
    if word(panel, "type") == "timeseries" {
        let options = &panel["options"];
        let legend = options["legend"]["showLegend"] == true && options["legend"]["displayMode"] == "table";
        faults.unless(legend, format!("{title}: legend"));
        let tooltip = options["tooltip"]["mode"] == "multi" && options["tooltip"]["sort"] == "desc";
        faults.unless(tooltip, format!("{title}: tooltip"));
        faults.unless(defaults["custom"]["spanNulls"] == false, format!("{title}: spanNulls bridges outages"));
    }
    let mut refs = BTreeSet::new();
    let mut statements = 0;
    for target in list(panel, "targets") {
        let name = word(target, "refId");
        faults.unless(!name.is_empty() && refs.insert(name), format!("{title}: refId `{name}`"));
        faults.unless(is_known_source(&target["datasource"]), format!("{title}: data source of {name}"));
        if is_prometheus(target) {
            faults.unless(!word(target, "legendFormat").is_empty(), format!("{title}: {name} has no legend"));
            promql(title, word(target, "expr"), faults);
        } else {
            statements += 1;
            let raw = target["rawQuery"] == true && word(target, "editorMode") == "code";
            faults.unless(raw, format!("{title}: {name} is not a raw query"));
            sql(title, panel, target, faults);
        }
    }
    faults.unless(!refs.is_empty(), format!("{title}: no query"));
    faults.unless(statements <= 1, format!("{title}: {statements} queries of SQL"));
}

fn sql(title: &str, panel: &Value, target: &Value, faults: &mut Faults) {
    let sql = word(target, "rawSql");
    let lower = sql.to_lowercase();
    let format = word(target, "format");
    faults.unless(["table", "time_series"].contains(&format), format!("{title}: format `{format}`"));
    faults.unless(format != "time_series" || lower.contains("order by 1"), format!("{title}: not in order of time"));
    let plain = !lower.contains("select *") && !sql.contains("--") && !sql.contains("/*") && !sql.contains(';');
    faults.unless(plain, format!("{title}: `*`, comment or `;`"));
    let in_range = ["$__timeFilter(", "$__timeFrom()"].into_iter().any(|range| sql.contains(range));
    faults.unless(in_range || is_bounded(&lower), format!("{title}: not bound to the range shown"));
    if word(panel, "type") == "table" {
        faults.unless(lower.contains("limit "), format!("{title}: a table without LIMIT"));
    }
}

/// Whether it reads nothing but what stays small.
fn is_bounded(sql: &str) -> bool {
    let words: Vec<&str> = sql.split(|c: char| c.is_whitespace() || c == '(' || c == ')').collect();
    let tables = words.windows(2).filter(|pair| pair[0] == "from" || pair[0] == "join").map(|pair| pair[1]);
    tables
        .filter_map(|table| table.strip_prefix("amber.").or_else(|| table.strip_prefix("amber_store.")))
        .all(|table| BOUNDED.contains(&table))
}

fn promql(title: &str, expression: &str, faults: &mut Faults) {
    for function in ["rate(", "increase("] {
        let calls = expression.matches(function).count();
        // `deriv` and others have no such suffix.
        faults.unless(
            calls <= expression.matches("[$__rate_interval]").count() + expression.matches("[$__range]").count(),
            format!("{title}: `{function}` without [$__rate_interval]"),
        );
    }
    let bare = expression.contains("_total") && !["rate(", "increase("].iter().any(|call| expression.contains(call));
    faults.unless(!bare, format!("{title}: a counter is shown raw"));
}

/// Links lead to a dashboard that is there, and hand on no text of a tag unescaped.
fn links(panel: &Value, faults: &mut Faults) {
    let title = word(panel, "title");
    let text = panel.to_string();
    for url in text.split("\"url\":\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()) {
        let Some(rest) = url.strip_prefix("/d/") else {
            faults.unless(url.is_empty(), format!("{title}: a link to `{url}`"));
            continue;
        };
        let uid = rest.split(['?', '/']).next().unwrap_or_default();
        let known = ["amber-home", "amber-explore", "amber-service", "amber-rejects"].contains(&uid);
        faults.unless(known || uid.starts_with("amber-m-"), format!("{title}: a link to `{uid}`"));
        faults.unless(rest.contains("${__url_time_range}"), format!("{title}: a link that forgets the range"));
    }
}

#[test]
fn every_dashboard_has_the_shape_that_grafana_keeps() {
    let mut uids = BTreeSet::new();
    for dashboard in dashboards::written() {
        assert_eq!(faults(&dashboard), [""; 0], "{}", dashboard.name);
        assert!(uids.insert(word(&dashboard.json, "uid").to_owned()), "{}: uid used twice", dashboard.name);
    }
}

#[test]
fn a_dashboard_that_breaks_a_rule_is_found() {
    let whole = dashboards::written().into_iter().find(|dashboard| dashboard.name == "home.json").expect("it is there");
    let broken = |pointer: &str, value: Value| {
        let mut json = whole.json.clone();
        *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        faults(&Dashboard { name: whole.name.clone(), json })
    };
    let sql = |text: &str| broken("/panels/2/targets/0/rawSql", text.into());
    assert_eq!(broken("/editable", false.into()), [""; 0]);
    for faults in [
        broken("/uid", "Amber Home".into()),
        broken("/schemaVersion", 39.into()),
        broken("/panels/2/id", 1.into()),
        broken("/panels/2/gridPos/x", 0.into()),
        broken("/panels/2/datasource/uid", "${DS_POSTGRES}".into()),
        broken("/panels/2/fieldConfig/defaults/unit", "".into()),
        broken("/panels/2/description", "".into()),
        sql("select * from amber.devices"),
        sql("select count(*) from amber.climate"),
        sql("select count(*) from amber.devices; drop table x"),
    ] {
        assert!(!faults.is_empty());
    }
}

#[test]
fn the_data_sources_that_dashboards_name_are_provisioned() {
    let text = super::text("grafana/provisioning/datasources/amber.yaml");
    let all: Value = serde_yaml_ng::from_str(&text).expect("it is YAML");
    let found: Vec<(&str, &str)> =
        list(&all, "datasources").map(|source| (word(source, "type"), word(source, "uid"))).collect();
    assert_eq!(found, SOURCES);
}
