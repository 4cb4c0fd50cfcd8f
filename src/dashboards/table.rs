//! The table of devices: which columns it has, where each comes from, how it looks.

use serde_json::{Value, json};

use super::field::{self, Look};
use super::name::{literal, shown};
use super::panel::device_url;
use crate::schema::{Described, Field, Type};

/// So many fields the table shows; what comes after them has its panel.
const MAX_FIELDS: usize = 24;

/// A column of the table besides those that each has.
pub(super) struct Column<'a> {
    /// Its name in the answer: never the field's own, which may be `time` to Grafana.
    pub(super) alias: String,
    source: Source<'a>,
}

enum Source<'a> {
    Tag(&'a str),
    Field(&'a Field),
}

impl Column<'_> {
    /// The expression over `amber.devices`. Values there are JSON; what is of another type than the field has become
    /// meanwhile is left out.
    pub(super) fn sql(&self) -> String {
        match self.source {
            Source::Tag(tag) => format!("coalesce(tags->>{}, '')", literal(tag)),
            Source::Field(field) => {
                let name = literal(&field.name);
                match field.r#type {
                    Type::Float | Type::Int => format!(
                        "case when jsonb_typeof(last_values->{name}) = 'number' then (last_values->>{name})::float8 end"
                    ),
                    Type::Bool => format!("case last_values->>{name} when 'true' then 1 when 'false' then 0 end"),
                    Type::Text | Type::Time | Type::Json => format!("last_values->>{name}"),
                }
            }
        }
    }

    fn properties(&self) -> Vec<Value> {
        match self.source {
            Source::Tag(tag) => vec![property("displayName", shown(tag)), property("custom.filterable", true)],
            Source::Field(field) => {
                let mut properties = vec![property("displayName", shown(&field.name))];
                match field::look(field) {
                    Look::Line | Look::Counter => {
                        let config = field::number(field);
                        let keys = ["unit", "decimals", "thresholds"];
                        properties.extend(keys.iter().filter_map(|key| Some(property(key, config.get(*key)?.clone()))));
                        let (min, max) = (field.min, field.max);
                        if let (Some(min), Some(max), Look::Line) = (min, max, field::look(field)) {
                            properties.push(property("min", min));
                            properties.push(property("max", max));
                            let gauge = json!({"type": "gauge", "mode": "basic", "valueDisplayMode": "text"});
                            properties.push(property("custom.cellOptions", gauge));
                        } else if field::has_range(field) {
                            properties.push(property("custom.cellOptions", json!({"type": "color-text"})));
                        }
                    }
                    Look::Switch => properties.push(property("mappings", field::switch())),
                    Look::Words | Look::Table | Look::Nowhere => {}
                }
                properties
            }
        }
    }
}

fn property(id: &str, value: impl Into<Value>) -> Value {
    json!({"id": id, "value": value.into()})
}

/// The columns of a measurement's table: its tags, if there is more than one (else the device is the tag), and its fields.
pub(super) fn columns(measurement: &Described) -> Vec<Column<'_>> {
    let tags = measurement.tags.iter().filter(|_| measurement.tags.len() > 1).enumerate();
    let tags = tags.map(|(at, tag)| Column { alias: format!("t{at}"), source: Source::Tag(tag) });
    let fields = measurement.fields.iter().filter(|field| field::look(field) != Look::Nowhere).take(MAX_FIELDS);
    let fields = fields.enumerate().map(|(at, field)| Column { alias: format!("f{at}"), source: Source::Field(field) });
    tags.chain(fields).collect()
}

/// How many fields have no column.
pub(super) fn left_out(measurement: &Described) -> usize {
    let shown = measurement.fields.iter().filter(|field| field::look(field) != Look::Nowhere).count().min(MAX_FIELDS);
    measurement.fields.len() - shown
}

/// How each column looks; a device leads to the dashboard of itself alone.
pub(super) fn overrides(columns: &[Column<'_>], measurement: &str) -> Vec<Value> {
    let own = |name: &str, properties: Vec<Value>| {
        json!({
            "matcher": {"id": "byName", "options": name},
            "properties": properties,
        })
    };
    let url = device_url(measurement, "__data.fields.id");
    let link = json!([{"title": "This device alone", "url": url, "targetBlank": false}]);
    let states = json!([{
        "type": "value",
        "options": {
            "0": {"text": "heard", "color": "green", "index": 0},
            "1": {"text": "new", "color": "blue", "index": 1},
            "2": {"text": "silent", "color": "red", "index": 2},
        },
    }]);
    let mut overrides = vec![
        own(
            "device",
            vec![
                property("displayName", "Device"),
                property("links", link),
                property("custom.filterable", true),
                property("custom.minWidth", 140),
            ],
        ),
        own("id", vec![property("custom.hideFrom.viz", true)]),
        own("last_seen", vec![property("displayName", "Last seen"), property("unit", "dateTimeFromNow")]),
        own(
            "state",
            vec![
                property("displayName", "State"),
                property("mappings", states),
                property("custom.cellOptions", json!({"type": "color-text"})),
                property("custom.width", 80),
            ],
        ),
    ];
    overrides.extend(columns.iter().map(|column| own(&column.alias, column.properties())));
    overrides
}
