//! What mappings make of one another: fallbacks that fall back on nothing, and mappings that are there twice.
//!
//! Warnings, never faults: files that are right alone may be included together.

use std::collections::HashMap;

use super::compiled::{Compiled, Subject};
use super::path::Path;
use super::template::Template;
use crate::config::MappingConfig;
use crate::config::mapping::FieldConfig;
use crate::fault::Fault;
use crate::topic::TopicFilter;

/// All warnings about `mappings`, which stand in the configuration as `configs`.
pub(super) fn doubts(mappings: &[Compiled], configs: &[MappingConfig]) -> Vec<Fault> {
    let mut doubts = fallbacks(mappings, configs);
    doubts.extend(copies(mappings, configs));
    doubts
}

fn fallbacks(mappings: &[Compiled], configs: &[MappingConfig]) -> Vec<Fault> {
    if mappings.iter().all(|mapping| !mapping.fallback) {
        return Vec::new();
    }
    let filter = |template: &Template| TopicFilter::new(&template.topic_filter()).ok();
    let others: Vec<(&Compiled, &MappingConfig)> =
        mappings.iter().zip(configs).filter(|(mapping, _)| !mapping.fallback).collect();
    let filters: Vec<TopicFilter> = others.iter().flat_map(|(mapping, _)| &mapping.topics).filter_map(filter).collect();
    let mut doubts = Vec::new();
    for (mapping, config) in mappings.iter().zip(configs).filter(|(mapping, _)| mapping.fallback) {
        let path = format!("mapping.{}.fallback", config.name.value);
        let place = &config.fallback.place;
        let own: Vec<TopicFilter> = mapping.topics.iter().filter_map(filter).collect();
        if !filters.iter().any(|other| own.iter().any(|own| own.overlaps(other))) {
            let what = "`fallback` does nothing: no other mapping takes a topic that this one takes";
            doubts.push(Fault::warning(place, path, what, "leave it out, or look at `topic`"));
            continue;
        }
        let before = |template: &Template| others.iter().find(|(other, _)| always_takes(other, mapping, template));
        let all: Option<Vec<_>> = mapping.topics.iter().map(before).collect();
        if let Some((_, first)) = all.as_deref().and_then(<[_]>::first) {
            let what = format!(
                "this mapping takes nothing: `mapping.{}` ({}) takes all of its topics, whatever the payload is",
                first.name.value, first.name.place
            );
            let remedy = "leave `fallback` out for rows of both, or give the other a `when`";
            doubts.push(Fault::warning(place, path, what, remedy));
        }
    }
    doubts
}

/// Whether `other` takes every message that `fallback` could have by `template`. A mapping without `when` takes what its
/// topic takes, though it finds no value there.
fn always_takes(other: &Compiled, fallback: &Compiled, template: &Template) -> bool {
    let retained = other.retained || !fallback.retained;
    let whole = other.when.is_empty() && other.except.is_empty();
    whole && retained && other.topics.iter().any(|wide| wide.covers(template))
}

/// Mappings that take the same messages and read the same from them, for one measurement.
fn copies(mappings: &[Compiled], configs: &[MappingConfig]) -> Vec<Fault> {
    let mut first: HashMap<String, (usize, &MappingConfig)> = HashMap::new();
    let mut doubts = Vec::new();
    for (index, (mapping, config)) in mappings.iter().zip(configs).enumerate() {
        let rows = rows_of(mapping, config);
        for (template, topic) in mapping.topics.iter().zip(&config.topic) {
            let (before, original) = *first.entry(format!("{} {rows}", template.shape())).or_insert((index, config));
            if before == index {
                continue;
            }
            let what = format!(
                "`mapping.{}` ({}) reads the same from `{}` for the same measurement, so that each row is stored twice",
                original.name.value, original.name.place, topic.value
            );
            let path = format!("mapping.{}.topic", config.name.value);
            doubts.push(Fault::warning(&topic.place, path, what, "leave one of them out"));
            // The other topics of the two are no news.
            break;
        }
    }
    doubts
}

/// All that decides which rows a message gives, and which fields they have; captures by their position.
fn rows_of(mapping: &Compiled, config: &MappingConfig) -> String {
    let when: Vec<_> = mapping
        .when
        .iter()
        .zip(&config.when)
        .map(|(when, written)| {
            let values: Vec<_> = written.values.iter().map(|value| &value.value).collect();
            let subject = match &when.subject {
                Subject::Capture(slot) => format!("{slot}"),
                Subject::Path(located) => steps(&located.path),
            };
            format!("{subject} {values:?}")
        })
        .collect();
    let read = |field: &FieldConfig| {
        let words: Vec<_> = field.words.iter().map(|(word, value)| (&word.value, &value.value)).collect();
        let missing: Vec<_> = field.missing.iter().map(|word| &word.value).collect();
        let scale = (field.scale.as_ref().map(|at| at.value), field.offset.as_ref().map(|at| at.value));
        let bit = field.bit.as_ref().map(|at| at.value);
        let (decode, pattern) = (field.decode.as_ref().map(|at| at.value), field.pattern.as_ref().map(|at| &at.value));
        format!("{words:?} {missing:?} {scale:?} {bit:?} {decode:?} {pattern:?}")
    };
    let written = config.fields.iter().filter(|field| !field.removed);
    let mut fields: Vec<_> = mapping
        .fields
        .iter()
        .zip(written)
        .map(|(field, written)| {
            let paths: Vec<_> = field.paths.iter().map(|located| steps(&located.path)).collect();
            format!("{} {paths:?} {} {}", field.name, field.required, read(written))
        })
        .collect();
    fields.sort_unstable();
    let measurement = config.measurement.as_ref().map_or(&config.name.value, |measurement| &measurement.value);
    let except: Vec<_> = config.except.iter().map(|except| &except.value).collect();
    let required: Vec<_> = config.tags.iter().filter(|tag| tag.required).map(|tag| &tag.name.value).collect();
    let inside = config.inside.as_ref().map(|at| (&at.value.decode, &at.value.format, &at.value.encoding));
    format!(
        "{measurement:?} {:?} {when:?} {except:?} {} {:?} {:?} {inside:?} {:?} {required:?} {:?} {fields:?}",
        config.table.as_ref().map(|table| &table.value),
        mapping.fallback,
        mapping.form,
        mapping.rows.iter().map(steps).collect::<Vec<_>>(),
        mapping.pivot,
        config.others,
    )
}

/// The path without its text, in which captures have names.
fn steps(path: &Path) -> String {
    format!("{} {:?}", path.root, path.steps)
}
