//! How a field is shown: as a line, as states, as growth, or only in the table; its unit, decimals and range.

use serde_json::{Value, json};

use super::name::shown;
use super::unit;
use crate::schema::{Field, Kind, Type};

/// What a field gets panels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A number over time.
    Line,
    /// A number that only grows: what it grows by.
    Counter,
    /// Yes or no.
    Switch,
    /// Words.
    Words,
    /// No panel of its own.
    Table,
    /// Nothing: documents do not fit into a cell.
    Nowhere,
}

pub(super) fn look(field: &Field) -> Look {
    match (field.r#type, field.kind) {
        (Type::Float | Type::Int, Kind::Gauge) => Look::Line,
        (Type::Float | Type::Int, Kind::Total) => Look::Counter,
        (Type::Bool, _) => Look::Switch,
        (Type::Text, _) => Look::Words,
        (Type::Time, _) => Look::Table,
        (Type::Json, _) => Look::Nowhere,
    }
}

/// Keys of `fieldConfig.defaults` for the numbers of a field.
pub(super) fn number(field: &Field) -> Value {
    let mut config = json!({
        "unit": unit::id(field.unit.as_deref(), field.decimals.is_some()),
        "noValue": "–",
        "thresholds": thresholds(field),
    });
    if let Some(decimals) = field.decimals {
        config["decimals"] = decimals.into();
    }
    config
}

/// The same for what a counter grows by, in all or an hour.
pub(super) fn growth(field: &Field, an_hour: bool) -> Value {
    let unit = if an_hour { unit::per_hour(field.unit.as_deref()) } else { field.unit.clone() };
    let mut config = json!({
        "unit": unit::id(unit.as_deref(), field.decimals.is_some()),
        "noValue": "–",
        "min": 0,
        "thresholds": plain_thresholds(),
    });
    if let Some(decimals) = field.decimals {
        config["decimals"] = decimals.into();
    }
    config
}

/// Whether the mapping states what values are sensible.
pub(super) fn has_range(field: &Field) -> bool {
    field.min.is_some() || field.max.is_some()
}

/// Green within the range that the mapping states, red outside of it.
fn thresholds(field: &Field) -> Value {
    let base = if field.min.is_some() { "red" } else { "green" };
    let mut steps = vec![json!({"color": base, "value": null})];
    if let Some(min) = field.min {
        steps.push(json!({"color": "green", "value": min}));
    }
    // A threshold includes its value, a range its end.
    if let Some(max) = field.max.map(f64::next_up).filter(|max| max.is_finite()) {
        steps.push(json!({"color": "red", "value": max}));
    }
    json!({"mode": "absolute", "steps": steps})
}

pub(super) fn plain_thresholds() -> Value {
    json!({"mode": "absolute", "steps": [{"color": "green", "value": null}]})
}

/// What the field means, in its panel's own words, and how the panel shows it.
pub(super) fn description(field: &Field, how: &str) -> String {
    match field.description.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => format!("{}\n\n{how}", shown(text)),
        None => how.to_owned(),
    }
}

/// The mappings of a bool.
pub(super) fn switch() -> Value {
    json!([{
        "type": "value",
        "options": {
            "0": {"text": "no", "color": "#6e7687", "index": 0},
            "1": {"text": "yes", "color": "blue", "index": 1},
        },
    }])
}
