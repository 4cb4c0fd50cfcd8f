//! Groups of mappings that read a payload together: Tasmota's sensors may be ten mappings on one topic.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use super::compiled::Compiled;
use super::decode::{self, Form, Unreadable};
use super::document::{Doc, Kept, Want};
use crate::config::mapping::Format;

/// Mappings that read a payload together.
#[derive(Debug)]
pub(super) struct Group {
    /// What the forms of all have in common.
    form: Form,
    /// What the payload is read for.
    want: Want,
}

/// Puts mappings that share a topic template and read it in one form into one group, so that a payload is read once
/// for all of them.
pub(super) fn group(mappings: &mut [Compiled]) -> Vec<Group> {
    let mut by_template: HashMap<(Form, &str), usize> = HashMap::new();
    let mut parents: Vec<usize> = (0..mappings.len()).collect();
    for (index, mapping) in mappings.iter().enumerate() {
        let form = mapping.form.reads_like();
        for template in &mapping.topics {
            if let Some(other) = by_template.insert((form.clone(), &template.text), index) {
                let (one, other) = (find(&mut parents, index), find(&mut parents, other));
                parents[one.max(other)] = one.min(other);
            }
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    for (index, mapping) in mappings.iter_mut().enumerate() {
        let group = *numbers.entry(find(&mut parents, index)).or_insert_with(|| {
            groups.push(Group { form: mapping.form.reads_like(), want: Want::default() });
            groups.len() - 1
        });
        mapping.group = group;
        mapping.add_to(&mut groups[group].want);
        let mut own = Want::default();
        mapping.add_to(&mut own);
        if let (Some(inside), Some(mut want)) = (&mut mapping.inside, own.into_inside()) {
            want.finish();
            if inside.form.format == Format::Xml {
                want.alone_is_a_list();
            }
            inside.want = want;
        }
    }
    for Group { form, want } in &mut groups {
        want.finish();
        if form.format == Format::Xml {
            want.alone_is_a_list();
        }
    }
    groups
}

/// A payload as text, for one group.
#[derive(Debug)]
pub(super) struct Text<'m> {
    group: usize,
    form: &'m Form,
    text: Result<Cow<'m, str>, Unreadable>,
    /// What is read in its place, if it cannot be read itself.
    mended: OnceCell<Option<String>>,
}

/// A payload as one group reads it.
#[derive(Debug)]
pub(super) struct Document<'t> {
    pub group: usize,
    pub read: Result<Read<'t>, Unreadable>,
}

#[derive(Debug)]
pub(super) struct Read<'t> {
    pub text: &'t str,
    pub root: Result<Doc<'t>, Unreadable>,
    /// What it is as a text.
    pub plain: Doc<'t>,
}

/// The payload as text, once for each group of `readers`. The documents are made of these texts, so they stay as long.
pub(super) fn texts<'m, 'c>(
    payload: &'m [u8],
    readers: impl Iterator<Item = &'c Compiled>,
    groups: &'m [Group],
) -> Vec<Text<'m>> {
    let mut texts: Vec<Text<'m>> = Vec::with_capacity(1);
    for Compiled { group, .. } in readers {
        if !texts.iter().any(|known| known.group == *group) {
            let form = &groups[*group].form;
            texts.push(Text { group: *group, text: decode::text(payload, form), form, mended: OnceCell::new() });
        }
    }
    texts
}

/// Each of `texts`, read as far as its group wants it.
pub(super) fn documents<'t>(texts: &'t [Text<'_>], groups: &[Group], kept: &Kept) -> Vec<Document<'t>> {
    let read = |Text { group, form, text, mended }: &'t Text<'_>| {
        let document = |text| decode::document(text, &form.format, &groups[*group].want, kept);
        let read = |text: &'t str| Read {
            text,
            root: document(text).or_else(|error| {
                let mended = mended.get_or_init(|| decode::mended(text, &form.format));
                mended.as_deref().and_then(|mended| document(mended).ok()).ok_or(error)
            }),
            plain: Doc::Text(Cow::Borrowed(text)),
        };
        Document { group: *group, read: text.as_deref().map(read).map_err(Clone::clone) }
    };
    texts.iter().map(read).collect()
}

/// The representative of a group (union-find, with paths halved).
fn find(parents: &mut [usize], mut index: usize) -> usize {
    while parents[index] != index {
        parents[index] = parents[parents[index]];
        index = parents[index];
    }
    index
}
