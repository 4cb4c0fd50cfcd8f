//! The measurements that a mapping feeds: one, or those that a template may name.

use super::{Compiler, DraftTarget, MAX_MEASUREMENTS};
use crate::config::mapping::Word;
use crate::fault::Place;
use crate::mapping::names::Role;
use crate::mapping::path::list;
use crate::mapping::pattern::{Pattern, Piece, pieces};

impl Compiler<'_, '_> {
    pub(super) fn target(&mut self) -> Option<DraftTarget> {
        let config = self.config;
        let Some(template) = &config.measurement else {
            self.name(Role::Measurement, &config.name.value, &config.name.place, "measurement");
            return Some(DraftTarget::One(config.name.value.clone()));
        };
        let parts = self.ok(pieces(&template.value), &template.place, "measurement")?;
        let mut holes = Vec::new();
        for piece in &parts {
            if let Piece::Hole(name) = piece {
                holes.push((name.clone(), self.listed(name, &template.place)?));
            }
        }
        if holes.is_empty() {
            self.name(Role::Measurement, &template.value, &template.place, "measurement");
            return Some(DraftTarget::One(template.value.clone()));
        }
        let mut measurements = vec![String::new()];
        for piece in &parts {
            let endings = match piece {
                Piece::Text(text) => vec![text.clone()],
                Piece::Hole(name) => holes.iter().find(|(hole, _)| hole == name).map(|(_, words)| words.clone())?,
            };
            measurements =
                measurements.iter().flat_map(|start| endings.iter().map(move |end| format!("{start}{end}"))).collect();
            if measurements.len() > MAX_MEASUREMENTS {
                self.fault(
                    &template.place,
                    "measurement",
                    format!("`{}` stands for more than {MAX_MEASUREMENTS} measurements", template.value),
                    "make the capture a tag instead",
                );
                return None;
            }
        }
        measurements.sort_unstable();
        measurements.dedup_by_key(|name| name.to_lowercase());
        for name in &measurements {
            self.name(Role::Measurement, name, &template.place, "measurement");
        }
        let names = &self.names;
        let used = &mut self.used;
        let pattern = Pattern::new(&parts, |name| {
            let slot = names.find(name).ok_or(())?;
            used.push(slot);
            Ok::<_, ()>(slot)
        });
        Some(DraftTarget::Of(pattern.ok()?, measurements))
    }

    /// The values that `when` allows for a capture that names measurements.
    fn listed(&mut self, capture: &str, place: &Place) -> Option<Vec<String>> {
        if self.names.find(capture).is_none() {
            let known = list(&self.names.0);
            self.fault(
                place,
                "measurement",
                format!("`{{{capture}}}` is caught nowhere"),
                format!("captures are {known}"),
            );
            return None;
        }
        let condition = self.config.when.iter().find(|condition| condition.key.value == capture);
        let words: Vec<String> = condition
            .iter()
            .flat_map(|condition| &condition.values)
            .filter_map(|word| match &word.value {
                Word::Text(text) => Some(text.clone()).filter(|text| !text.contains('*') && !text.is_empty()),
                Word::Int(number) => Some(number.to_string()),
                Word::Float(_) | Word::Bool(_) => None,
            })
            .collect();
        let all = condition.map_or(0, |condition| condition.values.len());
        if words.is_empty() || words.len() < all {
            self.fault(
                place,
                "measurement",
                format!("`{{{capture}}}` would name measurements by what devices send, and tables are made at start"),
                format!("list the names: `when = {{ {capture} = [\"climate\", \"power\"] }}`, without `*`"),
            );
            return None;
        }
        Some(words)
    }
}
