//! Names of captures, by what stands before them and what they catch.

use std::collections::HashSet;

use heck::ToSnakeCase as _;

use super::{Level, is_address};

/// Levels whose plural stands before the names of such.
const BEFORE: &[&str] = &[
    "sensor",
    "device",
    "room",
    "node",
    "gateway",
    "zone",
    "inverter",
    "thing",
    "user",
    "station",
    "meter",
    "plug",
    "light",
    "relay",
    "channel",
    "machine",
    "line",
    "plant",
    "site",
    "house",
    "building",
    "floor",
    "camera",
    "vehicle",
    "phone",
    "person",
    "application",
    "app",
    "tenant",
    "group",
    "location",
    "area",
    "pump",
    "tank",
    "probe",
    "phase",
    "circuit",
    "loadpoint",
    "battery",
    "string",
    "port",
    "slot",
];
const ROOMS: &[&str] = &[
    "kitchen",
    "bath",
    "bathroom",
    "bedroom",
    "living",
    "livingroom",
    "living_room",
    "office",
    "garage",
    "cellar",
    "basement",
    "attic",
    "hall",
    "hallway",
    "garden",
    "terrace",
    "balcony",
    "laundry",
    "toilet",
    "guest",
    "kids",
    "dining",
    "study",
    "outside",
    "outdoor",
    "roof",
    "loft",
];

/// A name for each capture of `levels`, none of them twice, and none where a level is constant.
pub(crate) fn name_captures(levels: &[Level]) -> Vec<Option<String>> {
    let mut used = HashSet::new();
    let mut names = vec![None; levels.len()];
    let plain: Vec<usize> = (0..levels.len()).filter(|at| is_plain(&levels[*at])).collect();
    for (at, level) in levels.iter().enumerate() {
        let Level::Varies { before, labels, .. } = level else { continue };
        let previous = at.checked_sub(1).and_then(|previous| levels[previous].label());
        let wanted = by_form(before, labels).or_else(|| by_previous(previous)).unwrap_or_else(|| {
            // Of several names that say nothing the last is the device, and what is before it is where it is.
            match plain.iter().rev().position(|plain| *plain == at) {
                Some(0) => "device",
                Some(1) => "place",
                _ => "part",
            }
            .to_owned()
        });
        let mut name = wanted.clone();
        let mut number = 2;
        while !used.insert(name.clone()) {
            name = format!("{wanted}{number}");
            number += 1;
        }
        names[at] = Some(name);
    }
    names
}

fn is_plain(level: &Level) -> bool {
    matches!(level, Level::Varies { before, labels, .. } if by_form(before, labels).is_none())
}

fn by_form(before: &str, labels: &[Box<str>]) -> Option<String> {
    let all = |is: &dyn Fn(&str) -> bool| !labels.is_empty() && labels.iter().all(|label| is(label));
    if !before.is_empty() || all(&|label| label.len() <= 4 && label.chars().all(|c| c.is_ascii_digit())) {
        return Some("n".to_owned());
    }
    if all(&is_address) {
        return Some("mac".to_owned());
    }
    let stem = labels.first().map_or("", |label| label.trim_end_matches(|c: char| c.is_ascii_digit()));
    let is_numbered = |label: &str| {
        label.strip_prefix(stem).is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
    };
    if labels.len() > 1
        && stem.len() > 1
        && stem.len() < 16
        && stem.chars().all(|c| c.is_ascii_lowercase())
        && all(&is_numbered)
    {
        return Some(super::super::naming::plain(stem));
    }
    if labels.iter().filter(|label| ROOMS.contains(&label.to_snake_case().as_str())).count() * 2 > labels.len() {
        return Some("room".to_owned());
    }
    None
}

fn by_previous(previous: Option<&str>) -> Option<String> {
    let previous = previous?.to_snake_case();
    let singular = previous
        .strip_suffix("ies")
        .map(|stem| format!("{stem}y"))
        .unwrap_or_else(|| previous.strip_suffix('s').unwrap_or(&previous).to_owned());
    let found = BEFORE.iter().find(|word| **word == singular || **word == previous)?;
    Some((*found).to_owned())
}
