//! Where in the payload something was found, for people.

use super::{Run, Taken};
use crate::mapping::compiled::{Field, Located};

impl Run<'_, '_> {
    pub(super) fn detail(&self, field: &Field, located: Option<&Located>, what: &str) -> String {
        match located {
            Some(located) => format!("field `{}` at `{}` got {what}", field.name, self.place(located)),
            None => format!("field `{}` got {what}", field.name),
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
fn shown_key(key: &str) -> String {
    key.chars().take(60).map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}
