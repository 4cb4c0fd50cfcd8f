//! The dashboards as data: the files of the project, their panels, variables and queries.
//!
//! What must hold of them stands beside: shape in `lint`, what the database answers in `queries`, metrics in `metrics`.

use serde_json::Value;

use super::path;

/// A dashboard and the name of its file.
pub(super) struct Dashboard {
    pub(super) name: String,
    pub(super) json: Value,
}

/// What asks a data source for something.
pub(super) struct Query {
    /// Panel, variable or annotation.
    pub(super) place: String,
    pub(super) text: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// SQL whose rows are shown as they are; the type of the panel is told apart by `lint`.
    Table,
    /// SQL that Grafana makes series of.
    Series,
    Annotation,
    Prometheus,
}

/// The files written by hand.
pub(super) fn written() -> Vec<Dashboard> {
    of_folder(&path("grafana/dashboards"))
}

/// All dashboards of a folder.
pub(super) fn of_folder(folder: &std::path::Path) -> Vec<Dashboard> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("it is there").map(|file| file.expect("it is read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert!(!files.is_empty(), "there is no dashboard in {}", folder.display());
    let read = |file: std::path::PathBuf| {
        let name = file.file_name().expect("it has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("it is read");
        let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Dashboard { name, json }
    };
    files.into_iter().map(read).collect()
}

pub(super) fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

pub(super) fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value[key].as_array().into_iter().flatten()
}

impl Dashboard {
    /// Its panels, those of collapsed rows too.
    pub(super) fn panels(&self) -> Vec<&Value> {
        list(&self.json, "panels").flat_map(|panel| std::iter::once(panel).chain(list(panel, "panels"))).collect()
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = &Value> {
        list(&self.json["templating"], "list")
    }

    /// The queries of panels and annotations. Those of variables are asked in their order, each with what the ones before
    /// it gave: `queries::choices`.
    pub(super) fn queries(&self) -> Vec<Query> {
        let panels = self.panels().into_iter().flat_map(|panel| {
            let title = word(panel, "title");
            list(panel, "targets").map(move |target| Query {
                place: format!("{title} ({})", word(target, "refId")),
                text: text_of(target).to_owned(),
                kind: match word(target, "format") {
                    _ if is_prometheus(target) => Kind::Prometheus,
                    "time_series" => Kind::Series,
                    _ => Kind::Table,
                },
            })
        });
        let annotations = list(&self.json["annotations"], "list").filter(|annotation| annotation["builtIn"] != 1);
        let annotations = annotations.map(|annotation| Query {
            place: format!("annotation {}", word(annotation, "name")),
            text: text_of(&annotation["target"]).to_owned(),
            kind: if is_prometheus(annotation) { Kind::Prometheus } else { Kind::Annotation },
        });
        panels.chain(annotations).collect()
    }
}

/// SQL or PromQL of a target.
fn text_of(target: &Value) -> &str {
    ["rawSql", "expr"].into_iter().map(|key| word(target, key)).find(|text| !text.is_empty()).unwrap_or_default()
}

/// Whether it names Prometheus as its source.
pub(super) fn is_prometheus(with_source: &Value) -> bool {
    word(&with_source["datasource"], "type") == "prometheus"
}

/// The text of a variable's query; that of Prometheus stands in an object.
pub(super) fn variable_query(variable: &Value) -> &str {
    let query = &variable["query"];
    query.as_str().unwrap_or_else(|| word(query, "query"))
}
