//! `GET /api/measurements`: what the mapping makes, and how much of it there is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;

use super::{Answer, Json, key, milliseconds, now};
use crate::config::MappingConfig;
use crate::http::Server;
use crate::in_force::InForce;
use crate::schema::{Field, Kind, Measurement};
use crate::store::reader::Counts;

#[derive(Serialize)]
struct Measurements<'a> {
    measurements: Vec<Shown<'a>>,
    /// Why nothing is known of series.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    /// Which mappings feed it.
    mappings: Vec<&'a str>,
    tags: &'a [String],
    fields: Vec<ShownField<'a>>,
    series: Option<u64>,
    silent: Option<u64>,
    last_time: Option<i64>,
    /// Somebody else's that its rows go into.
    table: Option<String>,
}

#[derive(Serialize)]
struct ShownField<'a> {
    name: &'a str,
    r#type: &'static str,
    unit: Option<&'a str>,
    description: Option<&'a str>,
    decimals: Option<u8>,
    min: Option<f64>,
    max: Option<f64>,
    kind: &'static str,
}

impl<'a> From<&'a Field> for ShownField<'a> {
    fn from(field: &'a Field) -> Self {
        Self {
            name: &field.name,
            r#type: field.r#type.word(),
            unit: field.unit.as_deref(),
            description: field.description.as_deref(),
            decimals: field.decimals,
            min: field.min,
            max: field.max,
            kind: match field.kind {
                Kind::Gauge => "gauge",
                Kind::Total => "total",
            },
        }
    }
}

/// What the mapping says is answered though the store is away.
pub(in crate::http) async fn measurements(State(server): State<Arc<Server>>, uri: Uri) -> Answer {
    let in_force = now(&server);
    let counted = server.stored.ask(key(&uri, &in_force), async |reader| {
        let counts = reader.counts(&in_force.schema).await?;
        Ok(super::super::live::written(&listed(&in_force, &counts, None)))
    });
    match counted.await {
        Ok(json) => Ok(Json(json)),
        Err(unanswered) => Ok(Json::of(&listed(&in_force, &[], Some(unanswered.to_string())))),
    }
}

fn listed<'a>(in_force: &'a InForce, counts: &[Counts], error: Option<String>) -> Measurements<'a> {
    let mappings = &in_force.config.mappings;
    let shown = in_force.schema.measurements.iter().map(|measurement| shown(measurement, mappings, counts));
    Measurements { measurements: shown.collect(), error }
}

fn shown<'a>(measurement: &'a Measurement, mappings: &'a [MappingConfig], counts: &[Counts]) -> Shown<'a> {
    let counts = counts.iter().find(|counts| counts.measurement == measurement.name);
    let feeds = |mapping: &&MappingConfig| {
        let template = mapping.measurement.as_ref().unwrap_or(&mapping.name);
        may_be(&template.value, &measurement.name)
    };
    Shown {
        name: &measurement.name,
        mappings: mappings.iter().filter(feeds).map(|mapping| mapping.name.value.as_str()).collect(),
        tags: &measurement.tags,
        fields: measurement.fields.iter().map(Into::into).collect(),
        series: counts.map(|counts| counts.series),
        silent: counts.map(|counts| counts.silent),
        last_time: counts.and_then(|counts| counts.last_time).map(milliseconds),
        table: measurement.own.as_ref().map(|own| {
            let parts = own.table.schema.iter().chain([&own.table.name]);
            parts.map(String::as_str).collect::<Vec<_>>().join(".")
        }),
    }
}

/// Whether a template can give a name: `{…}` stands for any text in it.
fn may_be(template: &str, name: &str) -> bool {
    let Some((before, rest)) = template.split_once('{') else { return template == name };
    let after = rest.rsplit_once('}').map_or("", |(_, after)| after);
    name.strip_prefix(before).is_some_and(|rest| rest.ends_with(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_told_from_one_of_another_measurement() {
        for (template, name, expected) in [
            ("climate", "climate", true),
            ("climate", "climate_2", false),
            ("{kind}", "climate", true),
            ("plug_{kind}", "plug_power", true),
            ("plug_{kind}", "power", false),
            ("{a}_{b}_x", "p_q_x", true),
            ("{a}_x", "p_y", false),
        ] {
            assert_eq!(may_be(template, name), expected, "{template} {name}");
        }
    }
}
