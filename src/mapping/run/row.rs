//! A row of what `rows` leads to: conditions held, fields read, or the reason why not.

use std::borrow::Cow;
use std::sync::Arc;

use super::places::{far_from, wanted};
use super::{MAX_COMPARED, MAX_DETAILS, Refused, Run, Unmet};
use crate::mapping::compiled::{Field, Layout, Located, Subject, Target};
use crate::mapping::document::Doc;
use crate::mapping::explain::Part;
use crate::mapping::others::Found as OthersFound;
use crate::mapping::path::{Step, descend};
use crate::mapping::value::{Reading, Scalar};
use crate::row::{Dropped, Reason, Row, Value};
use crate::schema::Type;

impl<'r, 'm> Run<'r, 'm> {
    /// Makes a row of `row`, or says why not.
    pub(super) fn row(&mut self, row: &'r Doc<'m>) {
        if !self.holds(row) {
            return;
        }
        self.made.taken = true;
        let Some(layout) = self.layout() else { return };
        let mapping = self.mapping;
        let pivot = match &mapping.pivot {
            None => None,
            Some(pivot) => {
                let Some(name) = self.subject(&pivot.name, row) else { return };
                let Some(value) = self.locate(&pivot.value, row) else { return };
                if self.explain && self.made.names.len() < MAX_DETAILS && !self.made.names.iter().any(|n| **n == *name)
                {
                    self.made.names.push((*name).into());
                }
                Some((name, value))
            }
        };
        let mut fields = vec![None; layout.width];
        let mut some = false;
        let mut absent_required = None;
        let mut unreadable: Vec<(&Field, Option<&Located>, String)> = Vec::new();
        for (index, (field, slot)) in mapping.fields.iter().zip(&layout.fields).enumerate() {
            let (reading, located) = self.read(field, row, pivot.as_ref());
            match reading {
                Reading::Value(value) => {
                    fields[*slot] = Some(value);
                    some = true;
                }
                Reading::Absent => {
                    if field.required {
                        absent_required = absent_required.or(Some((index, field)));
                    }
                }
                Reading::Unreadable(what) => {
                    if self.explain {
                        let detail = self.detail(field, located, &what);
                        self.failed(Part::Field(index), &detail, located);
                    }
                    unreadable.push((field, located, what));
                }
                Reading::Unstorable(what) => {
                    let detail = self.detail(field, located, &what);
                    self.failed(Part::Field(index), &detail, located);
                    return self.made.refuse(Reason::Unstorable, || detail);
                }
                Reading::OutOfRange(what) => {
                    let detail = self.detail(field, located, &what);
                    self.failed(Part::Field(index), &detail, located);
                    return self.made.refuse(Reason::Field, || detail);
                }
            }
        }
        let mut others = self.others(layout, row, pivot.as_ref());
        if let Some(slot) = layout.others {
            fields[slot] = others.json.take().map(Value::Json);
        }
        some |= !others.columns.is_empty() || layout.others.is_some_and(|slot| fields[slot].is_some());
        if !some && unreadable.is_empty() && others.dropped > 0 && absent_required.is_none() {
            let detail = others.detail.unwrap_or_default();
            let more = if others.dropped > 1 { format!(" (and {} more)", others.dropped - 1) } else { String::new() };
            let at = self.at_row();
            return self.made.refuse(Reason::Field, || format!("no value can be a column{at}: {detail}{more}"));
        }
        if !some && unreadable.is_empty() {
            // A member that only happens to fit the pattern of `rows` is no row that lacks something.
            let found_by_name =
                mapping.rows[self.alternative].steps.iter().any(|step| matches!(step, Step::Members(_)));
            if absent_required.is_none() || found_by_name || mapping.pivot.is_some() {
                return;
            }
        }
        if let Some((field, located, what)) = unreadable.iter().find(|(field, ..)| field.required || !some) {
            let mut detail = self.detail(field, *located, what);
            if unreadable.len() > 1 && !some {
                detail.push_str(&format!(" (and {} more fields)", unreadable.len() - 1));
            }
            return self.made.refuse(Reason::Field, || detail);
        }
        if let Some((index, field)) = absent_required {
            let detail = format!("field `{}` is required and has no value{}", field.name, self.at_row());
            self.failed(Part::Field(index), &detail, field.paths.first());
            return self.made.refuse(Reason::Field, || detail);
        }
        let (time, time_source) = match self.time(row) {
            Ok(time) => time,
            Err(refused) => return self.refuse(refused),
        };
        let tags = match self.tags(layout, row) {
            Ok(tags) => tags,
            Err(refused) => return self.refuse(refused),
        };
        for (field, located, what) in unreadable {
            let detail =
                if self.made.dropped.len() < MAX_DETAILS { self.detail(field, located, &what) } else { String::new() };
            self.made.dropped.push(Dropped {
                mapping: Arc::clone(&mapping.name),
                field: Arc::clone(&field.name),
                detail,
                count: 1,
            });
        }
        if others.dropped > 0 {
            let (count, first) = &mut self.made.others_dropped;
            if *count == 0 {
                *first = others.detail.unwrap_or_default();
            }
            *count += others.dropped;
        }
        let row = Row {
            measurement: layout.measurement,
            mapping: Arc::clone(&mapping.name),
            time,
            time_source,
            tags,
            fields,
            others: others.columns,
        };
        self.made.bytes += row.bytes();
        self.made.rows.push(row);
    }

    fn refuse(&mut self, Refused { part, reason, detail, located }: Refused<'_>) {
        self.failed(part, &detail, located);
        self.made.refuse(reason, || detail);
    }

    /// What of `row`, or of the pivot, no path of the mapping leads to.
    fn others(&self, layout: &Layout, row: &'r Doc<'m>, pivot: Option<&(Cow<'r, str>, &'r Doc<'m>)>) -> OthersFound {
        let Some(others) = &self.mapping.others else { return OthersFound::default() };
        let is_free = |name: &str| !layout.reserved.contains(name);
        match pivot {
            Some((name, value)) => others.of_pivot(name, value, &self.captures, is_free),
            None => others.of_row(row, self.alternative, &self.captures, is_free),
        }
    }

    fn layout(&self) -> Option<&'r Layout> {
        match &self.mapping.target {
            Target::One(layout) => Some(layout),
            Target::Of(pattern, layouts) => layouts.get(&pattern.fill(&self.captures)?.to_lowercase()),
        }
    }

    /// Whether all conditions hold for `row`.
    fn holds(&mut self, row: &'r Doc<'m>) -> bool {
        let mapping = self.mapping;
        let unmet = mapping.when.iter().find(|when| match self.subject(&when.subject, row) {
            Some(text) => !when.values.is_empty() && !when.values.iter().any(|wanted| wanted.is(&text)),
            None => !when.values.is_empty() || !self.is_present(&when.subject, row),
        });
        let Some(unmet) = unmet else { return true };
        if self.explain && self.elements <= MAX_COMPARED {
            let text = self.subject(&unmet.subject, row);
            let distance = text.as_ref().map_or(usize::MAX, |text| far_from(text, &unmet.values));
            // `"Time"` beside `"BME280"` is no row that somebody means, where fields are members of it.
            let far = (row.is_scalar() && !self.mapping.takes_scalars, distance);
            if self.made.unmet.as_ref().is_none_or(|known| far < known.far) {
                let found = match text {
                    Some(text) => {
                        let shown: String = text.chars().take(100).collect();
                        format!("is {shown:?}{}", wanted(&text, &unmet.values))
                    }
                    None => "is not there".to_owned(),
                };
                let detail = format!("`when`: `{}` {found}{}", unmet.key, self.at_row());
                self.made.unmet = Some(Unmet { detail, far });
            }
        }
        false
    }

    /// Objects and arrays are present, though they have no text.
    fn is_present(&self, subject: &Subject, row: &'r Doc<'m>) -> bool {
        match subject {
            Subject::Capture(_) => false,
            Subject::Path(located) => self
                .locate(located, row)
                .is_some_and(|doc| matches!(Scalar::of(doc), Scalar::Composite(_) | Scalar::Broken)),
        }
    }

    /// The text of a capture, or of the scalar at a path.
    pub(super) fn subject(&self, subject: &'r Subject, row: &'r Doc<'m>) -> Option<Cow<'r, str>> {
        match subject {
            Subject::Capture(slot) => self.captures[*slot].clone().filter(|text| !text.is_empty()),
            Subject::Path(located) => match Scalar::of(self.locate(located, row)?) {
                Scalar::Text(text) => Some(text),
                Scalar::Number(digits) => Some(Cow::Borrowed(digits)),
                Scalar::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
                Scalar::Null | Scalar::Composite(_) | Scalar::Broken => None,
            },
        }
    }

    pub(super) fn locate(&self, located: &'r Located, row: &'r Doc<'m>) -> Option<&'r Doc<'m>> {
        if !located.path.root {
            return descend(row, &located.path.steps, &self.captures);
        }
        let shared = located.shared[self.alternative];
        descend(self.trail.get(shared)?, &located.path.steps[shared..], &self.captures)
    }

    /// The first of the field's paths that holds a value. An object or array is one only where a scalar is nowhere.
    fn read(
        &self,
        field: &'r Field,
        row: &'r Doc<'m>,
        pivot: Option<&(Cow<'r, str>, &'r Doc<'m>)>,
    ) -> (Reading, Option<&'r Located>) {
        let mut passed_over = None;
        let mut holds_nothing = false;
        for located in &field.paths {
            let doc = match pivot {
                Some((name, value)) if !located.path.root => match located.path.steps.split_first() {
                    Some((Step::Key(key), rest)) if **key == **name => descend(value, rest, &self.captures),
                    _ => None,
                },
                _ => self.locate(located, row),
            };
            let Some(doc) = doc else { continue };
            match field.reader.read(doc, self.message.received_at) {
                Reading::Absent => holds_nothing = true,
                reading if field.paths.len() > 1 && !doc.is_scalar() && field.reader.r#type != Type::Json => {
                    passed_over = passed_over.or(Some((reading, located)));
                }
                reading => return (reading, Some(located)),
            }
        }
        match passed_over {
            // Of `["value", "."]` the payload is no value where there is one that is null.
            Some((_, located)) if holds_nothing && located.path.is_whole() => (Reading::Absent, None),
            Some((reading, located)) => (reading, Some(located)),
            None => (Reading::Absent, None),
        }
    }
}
