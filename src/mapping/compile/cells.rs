//! Paths under csv and pairs, whose payloads have one shape: lines of cells, and pieces.

use std::cmp::Ordering;

use super::Compiler;
use crate::config::mapping::{ColumnNames, Format};
use crate::fault::Place;
use crate::mapping::compiled::Located;
use crate::mapping::path::{Path, Step};
use crate::mapping::pattern::Wrong;
use crate::mapping::words::nearest;

impl Compiler<'_, '_> {
    /// How many steps lead from the payload to a cell; `None` where a payload is as deep as it likes.
    fn depth(&self) -> Option<usize> {
        match self.config.format {
            Format::Auto | Format::Json | Format::Text | Format::Cbor | Format::MsgPack | Format::Xml => None,
            Format::Csv(_) => Some(2),
            Format::Pairs(_) => Some(1),
        }
    }

    /// Checks `rows`, and makes every line of csv a row unless they say otherwise.
    pub(super) fn rows_of_cells(&mut self) {
        let Some(depth) = self.depth() else { return };
        if self.rows.is_empty() && depth == 2 {
            self.rows.push(Path { text: "[]".into(), root: false, steps: vec![Step::Each(None)] });
        }
        for (rows, written) in self.rows.clone().iter().zip(&self.config.rows) {
            if let Some(Wrong { what, remedy }) = self.no_rows(rows, depth) {
                self.fault(&written.place, "rows", what, remedy);
            }
        }
    }

    /// Why `rows` can give none.
    fn no_rows(&self, rows: &Path, depth: usize) -> Option<Wrong> {
        match rows.steps.last() {
            Some(Step::Zip(_)) => {
                Some(Wrong::new("`*[]` takes arrays apart, and here are only cells", "leave `rows` out"))
            }
            _ if rows.steps.len() > depth => Some(no_parts(rows)),
            _ => self.impassable(&rows.steps),
        }
    }

    /// Whether `located` is a cell, for some alternative of `rows`. Reports it otherwise.
    pub(super) fn leads_to_a_cell(&mut self, located: &Located, place: &Place, key: &str) -> bool {
        let Some(depth) = self.depth() else { return true };
        let path = &located.path;
        let mut first = None;
        for row in &self.rows {
            // Said already.
            if self.no_rows(row, depth).is_some() {
                return true;
            }
            let start = if path.root { &[][..] } else { &row.steps };
            let steps: Vec<Step> = start.iter().chain(&path.steps).cloned().collect();
            let wrong = match steps.len().cmp(&depth) {
                Ordering::Greater if start.len() == depth => Some(self.behind_a_cell(path)),
                Ordering::Greater => Some(no_parts(path)),
                Ordering::Equal => self.impassable(&steps),
                Ordering::Less => self.impassable(&steps).or_else(|| Some(self.whole(path))),
            };
            match wrong {
                None => return true,
                wrong => first = first.or(wrong),
            }
        }
        if let Some(Wrong { what, remedy }) = first {
            self.fault(place, key, what, remedy);
        }
        false
    }

    /// A path of the row, where the row is a cell.
    fn behind_a_cell(&self, path: &Path) -> Wrong {
        let other = match self.config.format {
            Format::Csv(_) => "$[].",
            _ => "$.",
        };
        let other = if path.text.starts_with('[') { other.trim_end_matches('.') } else { other };
        Wrong::new(
            format!("`rows` makes a row of a cell, and `{}` would be a part of it", path.text),
            format!("write `.` for the cell itself, `{other}{}` for another one", path.text),
        )
    }

    /// Under a pivot a field's path is a name and what leads on from its value, which is a cell.
    pub(super) fn cell_has_no_parts(&mut self, located: &Located, place: &Place, key: &str) {
        if self.depth().is_some() && located.path.steps.len() > 1 {
            let Wrong { what, remedy } = no_parts(&located.path);
            self.fault(place, key, what, remedy);
        }
    }

    /// Why `steps`, from the payload on, lead nowhere in any payload of the format.
    fn impassable(&self, steps: &[Step]) -> Option<Wrong> {
        let Format::Csv(csv) = &self.config.format else { return None };
        if let Some(Step::Key(_) | Step::CaughtKey(_) | Step::Members(_)) = steps.first() {
            return Some(Wrong::new(
                "csv is a list of lines, and no line has a name",
                "write `[]` for the lines in `rows`, or the number of a line: `$[0].name`",
            ));
        }
        match (steps.get(1)?, &csv.names) {
            (Step::Key(name), ColumnNames::Listed(columns)) if !columns.iter().any(|column| **column == **name) => {
                let remedy = match nearest(name, columns.iter().map(String::as_str)) {
                    Some(near) if !near.is_empty() => format!("did you mean `{near}`?"),
                    _ => "add it to `columns`, or write its position, as in `[2]`".to_owned(),
                };
                Some(Wrong::new(format!("no column is named `{name}`"), remedy))
            }
            (Step::Key(_) | Step::CaughtKey(_) | Step::Members(_), ColumnNames::None) => Some(Wrong::new(
                "a cell is named, and the columns have no names",
                "write its position, as in `[2]`, or name the columns: \
                 `format = { type = \"csv\", header = true }`, or `columns = [\"a\", \"b\"]` in it",
            )),
            _ => None,
        }
    }

    fn whole(&self, path: &Path) -> Wrong {
        match self.config.format {
            Format::Csv(_) => Wrong::new(
                format!("`{}` is a line or all of them, and one cell is needed", path.text),
                "write the name of a column, or a position such as `[2]`",
            ),
            _ => Wrong::new(
                format!("`{}` is all the pairs, and one of them is needed", path.text),
                "write the name of one, or for a piece without a name its position, such as `[0]`",
            ),
        }
    }
}

fn no_parts(path: &Path) -> Wrong {
    let quoted = path.text.trim_start_matches("$.");
    let remedy = if quoted.contains(['[', '\'']) {
        "leave out what leads on from the cell".to_owned()
    } else {
        format!("leave out what leads on from it, or quote a name that has a dot: `\"'{quoted}'\"`")
    };
    Wrong::new(format!("`{}` leads into a cell, and a cell has no parts", path.text), remedy)
}
