//! Where in the payload something was found, for people.

use super::{MAX_DETAILS, Run, Taken};
use crate::mapping::compiled::{Field, Located, Wanted};
use crate::mapping::explain::Part;

/// Values of a condition that are listed.
const MAX_WANTED: usize = 8;

/// `, and one of `a`, `b` is wanted`: those that are most like `found` first.
pub(super) fn wanted(found: &str, values: &[Wanted]) -> String {
    let found: String = found.chars().take(100).flat_map(char::to_lowercase).collect();
    let mut near: Vec<&str> = values.iter().map(Wanted::text).collect();
    if near.len() > MAX_WANTED {
        near.sort_by_key(|text| strsim::osa_distance(&found, &text.to_lowercase()));
    }
    let more = if near.len() > MAX_WANTED { format!(" and {} more", near.len() - MAX_WANTED) } else { String::new() };
    let listed: Vec<String> = near.iter().take(MAX_WANTED).map(|text| format!("`{text}`")).collect();
    match listed.as_slice() {
        [] => String::new(),
        [one] => format!(", and {one} is wanted"),
        list => format!(", and one of {}{more} is wanted", list.join(", ")),
    }
}

/// How far `found` is from the nearest of what a condition wants.
pub(super) fn far_from(found: &str, values: &[Wanted]) -> usize {
    let found: Vec<char> = found.chars().take(60).flat_map(char::to_lowercase).collect();
    let distance = |wanted: &Wanted| {
        let text: String = wanted.text().chars().take(60).flat_map(char::to_lowercase).collect();
        // What a star at the end stands for is no difference.
        let (text, length) = match text.strip_suffix('*') {
            Some(start) => (start, start.chars().count().min(found.len())),
            None => (&*text, found.len()),
        };
        strsim::osa_distance(&found[..length].iter().collect::<String>(), text)
    };
    values.iter().map(distance).min().unwrap_or(usize::MAX)
}

impl Run<'_, '_> {
    pub(super) fn detail(&self, field: &Field, located: Option<&Located>, what: &str) -> String {
        match located {
            Some(located) => format!("field `{}` at `{}` got {what}", field.name, self.place(located)),
            None => format!("field `{}` got {what}", field.name),
        }
    }

    /// Keeps for an explanation what could not be read.
    pub(super) fn failed(&mut self, part: Part, detail: &str, located: Option<&Located>) {
        if self.explain && self.made.failures.len() < MAX_DETAILS {
            let path = located.map(|located| self.place(located));
            self.made.failures.push((part, detail.to_owned(), path));
        }
    }

    /// Where a path leads to, from the root.
    pub(super) fn place(&self, located: &Located) -> String {
        if located.path.root {
            return located.path.text.to_string();
        }
        let mut place = self.row_place();
        // Under a pivot a field's path begins with a name; the value is what stands somewhere.
        let path = self.mapping.pivot.as_ref().map_or(&located.path, |pivot| &pivot.value.path);
        if !path.is_whole() {
            if !path.text.starts_with('[') {
                place.push('.');
            }
            place.push_str(&path.text);
        }
        place
    }

    pub(super) fn row_place(&self) -> String {
        let mut place = String::from("$");
        for taken in &self.taken {
            match taken {
                Taken::Key(key) => {
                    place.push('.');
                    place.push_str(&shown_key(key));
                }
                Taken::Index(index) => place.push_str(&format!("[{index}]")),
                Taken::Inside => place.push_str(" > $"),
                Taken::Zipped(index) => place.push_str(&format!(".*[{index}]")),
            }
        }
        place
    }

    /// ` in row `…``, or nothing where the row is the payload.
    pub(super) fn at_row(&self) -> String {
        if self.taken.is_empty() { String::new() } else { format!(" in row `{}`", self.row_place()) }
    }
}

/// A key as a report shows it: devices choose keys, so they are cut and stripped of what no store or terminal takes.
pub(in crate::mapping) fn shown_key(key: &str) -> String {
    key.chars().take(60).map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
