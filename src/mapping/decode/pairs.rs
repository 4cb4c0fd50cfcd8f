//! `format = "pairs"`: `a=1,b=2`, one object of texts, of which what is wanted is kept.

use std::borrow::Cow;

use crate::config::mapping::Pairs;
use crate::mapping::document::{Doc, Want, last_of_each};
use crate::mapping::run::MAX_ROWS;

/// Reads all pieces: those with a name are members, the others stand at their position among all.
pub(super) fn document<'t>(text: &'t str, settings: &Pairs, want: &Want) -> Doc<'t> {
    let (mut members, mut items) = (Vec::new(), Vec::new());
    let mut take = |position: usize, piece: &'t str| match piece.split_once(&settings.assign) {
        Some((name, value)) => {
            let name = name.trim();
            if want.keeps() || want.of_key(name).is_some() {
                members.push((Cow::Borrowed(name), Doc::Text(Cow::Borrowed(value.trim()))));
            }
        }
        None => {
            let wanted = want.of_index(position).filter(|_| items.len() <= MAX_ROWS);
            if wanted.is_some() && !piece.is_empty() {
                items.push((position, Doc::Text(Cow::Borrowed(piece))));
            }
        }
    };
    let text = text.trim();
    if settings.separator == " " {
        text.split_whitespace().enumerate().for_each(|(position, piece)| take(position, piece));
    } else {
        let pieces = text.split(&settings.separator).map(str::trim);
        pieces.enumerate().for_each(|(position, piece)| take(position, piece));
    }
    last_of_each(&mut members);
    // An empty value is none, also where it is the last of several.
    members.retain(|(_, value)| !matches!(value, Doc::Text(text) if text.is_empty()));
    Doc::Object { json: None, members, items }
}
