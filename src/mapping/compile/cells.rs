//! Paths under csv and pairs, whose payloads have one shape: lines of cells, and pieces.

use std::cmp::Ordering;

use super::Compiler;
use crate::config::mapping::{ColumnNames, Format};
use crate::fault::{At, Place};
use crate::mapping::compiled::Located;
use crate::mapping::path::{Path, Step};
use crate::mapping::pattern::Wrong;
use crate::mapping::words::nearest;

impl<'c> Compiler<'c, '_> {
    /// The format of what paths of a row lead into: of the payload inside, if there is one.
    pub(super) fn format_of_rows(&self) -> &'c Format {
        self.config.inside.as_ref().map_or(&self.config.format, |inside| &inside.value.format)
    }

    /// The format of what `located` leads into. The root is that of the outer payload.
    fn format_of(&self, located: &Located) -> &'c Format {
        if located.path.root { &self.config.format } else { self.format_of_rows() }
    }

    /// Checks `rows`, and makes every line of csv a row unless they say otherwise.
    pub(super) fn rows_of_cells(&mut self) {
        let config = self.config;
        if self.rows.is_empty() && matches!(config.format, Format::Csv(_)) {
            self.rows.push(Path { text: "[]".into(), root: false, steps: vec![Step::Each(None)] });
        }
        if let Some(inside) = &config.inside {
            if let (Some(rows), Some(written), Some(depth)) =
                (self.rows.first(), config.rows.first(), depth(&config.format))
            {
                let way =
                    Path { steps: outer_part(&rows.steps).to_vec(), text: written.value.as_str().into(), root: false };
                let wrong = match no_rows(&way, &way.steps, &config.format, depth) {
                    None if way.steps.len() < depth => Some(whole(&way, &config.format)),
                    wrong => wrong,
                };
                if let Some(Wrong { what, remedy }) = wrong {
                    return self.fault(&written.place, "rows.path", what, remedy);
                }
            }
            self.check_rows(&inside.value.rows, "rows.rows");
        } else {
            self.check_rows(&config.rows, "rows");
        }
    }

    fn check_rows(&mut self, written: &[At<String>], key: &str) {
        let format = self.format_of_rows();
        let Some(depth) = depth(format) else { return };
        for (rows, written) in self.rows.clone().iter().zip(written) {
            if let Some(Wrong { what, remedy }) = no_rows(rows, inner_part(&rows.steps), format, depth) {
                self.fault(&written.place, key, what, remedy);
            }
        }
    }

    /// Whether `located` is a cell, for some alternative of `rows`. Reports it otherwise.
    pub(super) fn leads_to_a_cell(&mut self, located: &Located, place: &Place, key: &str) -> bool {
        let format = self.format_of(located);
        let Some(depth) = depth(format) else { return true };
        let path = &located.path;
        let mut first = None;
        for row in &self.rows {
            let start = if path.root { &[][..] } else { inner_part(&row.steps) };
            // Said already.
            if no_rows(row, start, format, depth).is_some() {
                return true;
            }
            let steps: Vec<Step> = start.iter().chain(&path.steps).cloned().collect();
            let wrong = match steps.len().cmp(&depth) {
                Ordering::Greater if start.len() == depth => Some(self.behind_a_cell(path, format)),
                Ordering::Greater => Some(no_parts(path)),
                Ordering::Equal => impassable(&steps, format),
                Ordering::Less => impassable(&steps, format).or_else(|| Some(whole(path, format))),
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
    fn behind_a_cell(&self, path: &Path, format: &Format) -> Wrong {
        let what = format!("`rows` makes a row of a cell, and `{}` would be a part of it", path.text);
        if self.config.inside.is_some() {
            return Wrong::new(what, "write `.` for the cell itself, or name fewer parts in `rows`");
        }
        let other = match format {
            Format::Csv(_) => "$[].",
            _ => "$.",
        };
        let other = if path.text.starts_with('[') { other.trim_end_matches('.') } else { other };
        Wrong::new(what, format!("write `.` for the cell itself, `{other}{}` for another one", path.text))
    }

    /// Under a pivot a field's path is a name and what leads on from its value, which is a cell.
    pub(super) fn cell_has_no_parts(&mut self, located: &Located, place: &Place, key: &str) {
        if depth(self.format_of(located)).is_some() && located.path.steps.len() > 1 {
            let Wrong { what, remedy } = no_parts(&located.path);
            self.fault(place, key, what, remedy);
        }
    }
}

/// How many steps lead from a payload to a cell; `None` where a payload is as deep as it likes.
fn depth(format: &Format) -> Option<usize> {
    match format {
        Format::Auto | Format::Json | Format::Text | Format::Cbor | Format::MsgPack | Format::Xml => None,
        Format::Csv(_) => Some(2),
        Format::Pairs(_) => Some(1),
    }
}

/// The steps to the payload inside.
fn outer_part(steps: &[Step]) -> &[Step] {
    let inside = steps.iter().position(|step| *step == Step::Inside);
    &steps[..inside.unwrap_or(steps.len())]
}

/// The steps from the payload inside on, or from the payload.
fn inner_part(steps: &[Step]) -> &[Step] {
    let inside = steps.iter().position(|step| *step == Step::Inside);
    &steps[inside.map_or(0, |at| at + 1)..]
}

/// Why `rows` can give none: `steps` are those of them in a payload of the `format`.
fn no_rows(rows: &Path, steps: &[Step], format: &Format, depth: usize) -> Option<Wrong> {
    match steps.last() {
        Some(Step::Zip(_)) => Some(Wrong::new("`*[]` takes arrays apart, and here are only cells", "leave `rows` out")),
        _ if steps.len() > depth => Some(no_parts(rows)),
        _ => impassable(steps, format),
    }
}

/// Why `steps`, from the payload on, lead nowhere in any payload of the format.
fn impassable(steps: &[Step], format: &Format) -> Option<Wrong> {
    let Format::Csv(csv) = format else { return None };
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

fn whole(path: &Path, format: &Format) -> Wrong {
    match format {
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

fn no_parts(path: &Path) -> Wrong {
    let quoted = path.text.trim_start_matches("$.");
    let remedy = if quoted.contains(['[', '\'']) {
        "leave out what leads on from the cell".to_owned()
    } else {
        format!("leave out what leads on from it, or quote a name that has a dot: `\"'{quoted}'\"`")
    };
    Wrong::new(format!("`{}` leads into a cell, and a cell has no parts", path.text), remedy)
}
