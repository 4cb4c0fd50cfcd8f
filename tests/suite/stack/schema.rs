//! Dashboards against Grafana's own types (tests/grafana-schema): Grafana ignores in silence what it does not know, so
//! a misspelt or outdated option is found here or never.

use serde_json::Value;

use super::dashboards::{self, Dashboard, list, word};
use super::text;

/// One of the files of tests/grafana-schema, and the part of it that is meant.
fn schema(file: &str, part: &str) -> Option<Value> {
    let path = super::path(&format!("tests/grafana-schema/{file}.json"));
    assert!(path.exists(), "there is no schema for {file}: add it in tests/grafana-schema/generate.mjs");
    let mut all: Value = serde_json::from_str(&text(&format!("tests/grafana-schema/{file}.json"))).expect("it is JSON");
    Some(all[part].take()).filter(|schema| !schema.is_null())
}

/// What in `value` is not as `schema` says, with its place; `root` has the definitions.
fn faults(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let mut faults_here = Vec::new();
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        match keyword.as_str() {
            "definitions" | "additionalProperties" => {}
            "$ref" => {
                let pointer = rule.as_str().and_then(|rule| rule.strip_prefix('#')).expect("within the file");
                // Names of generic types are escaped as in a URL.
                let pointer = pointer.replace("%3C", "<").replace("%3E", ">").replace("%2C", ",").replace("%22", "\"");
                let target = root.pointer(&pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
                faults_here.extend(faults(root, target, value, place));
            }
            "type" => {
                let is = |name: &Value| match name.as_str().expect("a type is a word") {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "number" => value.is_number(),
                    "integer" => value.is_i64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => panic!("type {other} is not known here"),
                };
                let fits = rule.as_array().map_or_else(|| is(rule), |names| names.iter().any(is));
                if !fits {
                    faults_here.push(format!("{place}: {value} is no {rule}"));
                }
            }
            "const" if rule != value => faults_here.push(format!("{place}: {value} is not {rule}")),
            "enum" if !rule.as_array().expect("a list").contains(value) => {
                faults_here.push(format!("{place}: {value} is none of {rule}"));
            }
            "const" | "enum" => {}
            "anyOf" => {
                let each = rule.as_array().expect("a list").iter().map(|one| faults(root, one, value, place));
                let best = each.min_by_key(Vec::len).expect("there are some");
                faults_here.extend(best);
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    faults_here.extend(faults(root, rule, item, &format!("{place}[{n}]")));
                }
            }
            "properties" => {}
            other => panic!("keyword {other} is not known here"),
        }
    }
    let empty = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for (key, inner) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{key}");
        match (properties.get(key), schema.get("additionalProperties")) {
            (Some(rule), _) => faults_here.extend(faults(root, rule, inner, &place)),
            (None, Some(Value::Bool(false))) => faults_here.push(format!("{place} is not known to Grafana")),
            (None, Some(rule)) if rule.is_object() => faults_here.extend(faults(root, rule, inner, &place)),
            (None, _) => {}
        }
    }
    faults_here
}

/// What Grafana's types do not know of a dashboard.
pub(super) fn unknown(dashboard: &Dashboard) -> Vec<String> {
    let whole = schema("dashboard", "dashboard").expect("it has one");
    let mut all = faults(&whole, &whole, &dashboard.json, "");
    for panel in dashboard.panels().into_iter().filter(|panel| word(panel, "type") != "row") {
        let (title, kind) = (word(panel, "title"), word(panel, "type"));
        let options = schema(kind, "options").unwrap_or_else(|| panic!("{kind} has options"));
        all.extend(faults(&options, &options, &panel["options"], &format!("{title}: options")));
        let custom = schema(kind, "custom");
        let field = &panel["fieldConfig"];
        match &custom {
            Some(custom) if !field["defaults"]["custom"].is_null() => {
                all.extend(faults(custom, custom, &field["defaults"]["custom"], &format!("{title}: custom")));
            }
            Some(_) => {}
            None if field["defaults"]["custom"].is_null() => {}
            None => all.push(format!("{title}: {kind} has no custom options")),
        }
        for property in list(field, "overrides").flat_map(|override_| list(override_, "properties")) {
            let (id, value) = (word(property, "id"), &property["value"]);
            let place = format!("{title}: override {id}");
            // `custom.hideFrom.viz` becomes {"hideFrom": {"viz": …}}.
            let (root, path) = match (id.strip_prefix("custom."), &custom) {
                (Some(path), Some(custom)) => (custom.clone(), path),
                (Some(_), None) => {
                    all.push(format!("{place}: {kind} has no custom options"));
                    continue;
                }
                (None, _) => {
                    let mut root = whole.clone();
                    root["$ref"] = "#/definitions/FieldConfig".into();
                    (root, id)
                }
            };
            let nested = path.rsplit('.').fold(value.clone(), |inner, key| serde_json::json!({ key: inner }));
            all.extend(faults(&root, &root, &nested, &place));
        }
    }
    all
}

#[test]
fn every_option_of_every_dashboard_is_known_to_grafana() {
    for dashboard in dashboards::written() {
        assert_eq!(unknown(&dashboard), [""; 0], "{}", dashboard.name);
    }
}

#[test]
fn the_schemas_are_those_of_the_grafana_that_the_stack_runs() {
    let image =
        super::values("image:").into_iter().find_map(|image| Some(image.split_once("grafana/grafana:")?.1.to_owned()));
    let image = image.expect("the stack has Grafana");
    for file in std::fs::read_dir(super::path("tests/grafana-schema")).expect("it is there") {
        let path = file.expect("it is read").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let all: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(all["source"], format!("@grafana/schema {image}, Apache-2.0"), "{}", path.display());
        }
    }
}

#[test]
fn a_misspelt_option_is_found() {
    let whole = dashboards::written().into_iter().find(|dashboard| dashboard.name == "home.json").expect("it is there");
    for (pointer, key, value) in [
        ("", "autorefresh", Value::from("5s")),
        ("/panels/2", "titel", "x".into()),
        ("/panels/2/options", "graphMode", "areas".into()),
        ("/panels/2/options", "sparkline", true.into()),
        ("/panels/2/fieldConfig/defaults", "units", "short".into()),
        ("/panels/9/fieldConfig/defaults/custom", "fill", 1.into()),
        ("/panels/6/fieldConfig/overrides/0/properties/0", "id", "custom.hidden".into()),
        ("/panels/2/gridPos", "x", "0".into()),
    ] {
        let mut json = whole.json.clone();
        let place = json.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{pointer}"));
        place.insert(key.to_owned(), value);
        assert!(!unknown(&Dashboard { name: String::new(), json }).is_empty(), "{pointer}/{key}");
    }
}
