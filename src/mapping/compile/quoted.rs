//! Braces in quotes: there they are letters of a key, which nobody means who catches something of that name.

use super::Compiler;
use crate::fault::{Fault, Place};
use crate::mapping::path::{Path, Step};
use crate::mapping::pattern::{Piece, pieces};

impl Compiler<'_, '_> {
    pub(super) fn warn_of_quoted_braces(&mut self, path: &Path, place: &Place, key: &str) {
        // Without quotes a step with braces is no plain key.
        let quoted = path.steps.iter().find_map(|step| match step {
            Step::Key(quoted) => {
                pieces(quoted).ok()?.iter().any(|piece| !matches!(piece, Piece::Text(_))).then_some(quoted)
            }
            _ => None,
        });
        if let Some(quoted) = quoted {
            let what = format!("the key `{quoted}` is in quotes, in which braces are letters and put nothing in");
            let remedy =
                "leave the quotes out, or let `rows` catch the whole key: `rows = \"{key}\"`, `when = { key = \"…\" }`";
            self.faults.push(Fault::warning(place, self.path(key), what, remedy));
        }
    }
}
