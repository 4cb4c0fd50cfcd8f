//! What the store writes about the measurements for dashboards and people: the rows of `measurement` and `field`.
//!
//! Of tables of the user's own nothing is written: each row promises a view of its name with the columns that it
//! names, and dashboards rely on that.

use super::plan::{Appeared, Table};
use crate::schema::{Kind, Schema};

/// The rows, borrowed from the schema.
pub(super) struct Catalogue<'a> {
    pub(super) names: Vec<&'a str>,
    /// JSON arrays, in step with `names`.
    pub(super) tags: Vec<String>,
    /// Seconds, likewise.
    pub(super) retentions: Vec<Option<i64>>,
    pub(super) fields: Vec<FieldRow<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct FieldRow<'a> {
    pub(super) measurement: &'a str,
    pub(super) name: &'a str,
    pub(super) position: i32,
    pub(super) r#type: &'a str,
    pub(super) kind: &'a str,
    pub(super) unit: Option<&'a str>,
    pub(super) description: Option<&'a str>,
    pub(super) decimals: Option<i32>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl<'a> Catalogue<'a> {
    pub(super) fn new(schema: &'a Schema, tables: &[Table]) -> Self {
        let ours = || schema.measurements.iter().filter(|measurement| measurement.own.is_none());
        let names = ours().map(|measurement| measurement.name.as_str()).collect();
        let tags = tables
            .iter()
            .filter(|table| table.own.is_none())
            .map(|table| serde_json::Value::from(table.all_tags().collect::<Vec<_>>()).to_string())
            .collect();
        let fields = ours().flat_map(|measurement| {
            measurement.fields.iter().zip(0..).map(|(field, position)| FieldRow {
                measurement: &measurement.name,
                name: &field.name,
                position,
                r#type: field.r#type.word(),
                kind: match field.kind {
                    Kind::Gauge => "gauge",
                    Kind::Total => "total",
                },
                unit: field.unit.as_deref(),
                description: field.description.as_deref(),
                decimals: field.decimals.map(i32::from),
                min: field.min,
                max: field.max,
            })
        });
        let seconds = |kept: std::time::Duration| i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
        let retentions = ours().map(|measurement| measurement.retention.map(seconds)).collect();
        Self { names, tags, retentions, fields: fields.collect() }
    }

    /// Adds columns that appeared by themselves.
    pub(super) fn add(&mut self, measurement: &'a str, appeared: &'a [Appeared]) {
        let row = |column: &'a Appeared| FieldRow {
            measurement,
            name: &column.name,
            position: column.position,
            r#type: column.r#type.word(),
            kind: "gauge",
            unit: None,
            description: None,
            decimals: None,
            min: None,
            max: None,
        };
        self.fields.extend(appeared.iter().map(row));
    }

    /// One column of the fields.
    pub(super) fn column<T>(&self, value: impl Fn(&FieldRow<'a>) -> T) -> Vec<T> {
        self.fields.iter().map(value).collect()
    }
}
