//! `format = "pairs"`: `a=1,b=2`, one object of texts, of which what is wanted is kept.

use std::borrow::Cow;

use super::Unreadable;
use crate::config::mapping::Pairs;
use crate::mapping::document::{Doc, Kept, Want};
use crate::mapping::run::MAX_ROWS;

/// Reads all pieces: those with a name are members, the others stand at their position among all.
///
/// # Errors
/// More pieces that are wanted than may be kept.
pub(super) fn document<'t>(text: &'t str, settings: &Pairs, want: &Want, kept: &Kept) -> Result<Doc<'t>, Unreadable> {
    let (mut members, mut items) = (Vec::new(), Vec::new());
    let mut take = |position: usize, piece: &'t str| match piece.split_once(&settings.assign) {
        Some((name, value)) => {
            let name = name.trim();
            if want.keeps() || want.of_key(name).is_some() {
                kept.add(1)?;
                members.push((Cow::Borrowed(name), Doc::Text(Cow::Borrowed(value.trim()))));
            }
            Ok(())
        }
        None => {
            let wanted = want.of_index(position).filter(|_| items.len() <= MAX_ROWS);
            if wanted.is_some() && !piece.is_empty() {
                kept.add(1)?;
                items.push((position, Doc::Text(Cow::Borrowed(piece))));
            }
            Ok(())
        }
    };
    let text = text.trim();
    if settings.separator == " " {
        text.split_whitespace().enumerate().try_for_each(|(position, piece)| take(position, piece))?;
    } else {
        let mut pieces = text.split(&settings.separator).map(str::trim).enumerate();
        pieces.try_for_each(|(position, piece)| take(position, piece))?;
    }
    let mut object = Doc::object(members, items);
    // An empty value is none, also where it is the last of several.
    if let Doc::Object { members, .. } = &mut object {
        members.retain(|(_, value)| !matches!(value, Doc::Text(text) if text.is_empty()));
    }
    Ok(object)
}
