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
        if !located.path.is_whole() && self.mapping.pivot.is_none() {
            if !located.path.text.starts_with('[') {
                place.push('.');
            }
            place.push_str(&located.path.text);
        }
        place
    }

    fn row_place(&self) -> String {
        let mut place = String::from("$");
        for taken in &self.taken {
            match taken {
                Taken::Key(key) => {
                    place.push('.');
                    place.push_str(key);
                }
                Taken::Index(index) => place.push_str(&format!("[{index}]")),
            }
        }
        place
    }

    /// ` in row `…``, or nothing where the row is the payload.
    pub(super) fn at_row(&self) -> String {
        if self.taken.is_empty() { String::new() } else { format!(" in row `{}`", self.row_place()) }
    }
}
