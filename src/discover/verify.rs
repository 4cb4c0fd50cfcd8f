//! A proposal is run over what it was made of, before anybody sees it: what it does not read is commented out.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::assemble::Open;
use super::draft::Draft;
use super::payload::{self, Form};
use crate::config;
use crate::fault::{Fault, Severity};
use crate::mapping::Mapping;
use crate::row::Outcome;

/// Topics, and payloads of each, that are tried.
const MAX_TOPICS: usize = 50_000;
const MAX_PAYLOADS: usize = 6;
/// Beyond so many topics two payloads of each must do.
const MANY_TOPICS: usize = 3_000;

/// What stands above mappings in a configuration: they are checked as they will be included.
const ABOVE: &str = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:amber.db\"\n";

/// The mappings of `text`, or what is wrong with it.
fn load(text: &str) -> Result<Mapping, Vec<Fault>> {
    let loaded = config::load_text("mapping.toml", &format!("{ABOVE}{text}"), []);
    let mut faults: Vec<Fault> = loaded.faults;
    let Some(config) = loaded.config else { return Err(faults) };
    let (mapping, more) = Mapping::new(&config.mappings);
    faults.extend(more);
    faults.retain(|fault| fault.severity == Severity::Fault);
    match (mapping, faults.is_empty()) {
        (Some(mapping), true) => Ok(mapping),
        _ => Err(faults),
    }
}

/// Exceptions of one mapping; beyond it is commented out rather than unreadable.
const MAX_EXCEPT: usize = 32;
/// What is commented out changes what others take; after so many rounds all that still disturbs is.
const ROUNDS: usize = 4;

/// Comments out what does not compile and what reads nothing of what was heard, and excepts the topics of others: no
/// value is stored twice. `filters` are those of the topics' templates.
pub(super) fn check(drafts: &mut [Draft], open: &[Open<'_>], filters: &[String]) {
    for _ in 0..ROUNDS {
        let Some(mapping) = compiled(drafts) else { return };
        if !try_out(&mapping, drafts, open, filters) {
            return;
        }
    }
    compiled(drafts);
}

fn joined(drafts: &[Draft]) -> String {
    drafts.iter().filter(|draft| draft.is_on()).map(Draft::text).collect()
}

/// All that compile; those that do not are commented out with their fault.
fn compiled(drafts: &mut [Draft]) -> Option<Mapping> {
    if !drafts.iter().any(Draft::is_on) {
        return None;
    }
    if let Ok(mapping) = load(&joined(drafts)) {
        return Some(mapping);
    }
    for draft in drafts.iter_mut().filter(|draft| draft.is_on()) {
        if let Err(faults) = load(&draft.text()) {
            draft.off = Some(faults.first().map_or_else(|| "it cannot be read".to_owned(), |fault| fault.what.clone()));
        }
    }
    // Each is good by itself; what remains is between two of them, and the fault names one.
    while drafts.iter().any(Draft::is_on) {
        let faults = match load(&joined(drafts)) {
            Ok(mapping) => return Some(mapping),
            Err(faults) => faults,
        };
        let named = drafts.iter_mut().filter(|draft| draft.is_on()).find_map(|draft| {
            let fault = faults.iter().find(|fault| fault.path.split('.').nth(1) == Some(draft.name.as_str()))?;
            Some((draft, fault))
        });
        match named {
            Some((draft, fault)) => draft.off = Some(fault.what.clone()),
            None => drafts.iter_mut().for_each(|draft| {
                draft.off.get_or_insert_with(|| "the mappings do not go together".to_owned());
            }),
        }
    }
    None
}

/// What became of a mapping's messages.
#[derive(Default)]
struct Tried {
    rows: u64,
    rejected: u64,
    why: String,
    dropped: HashMap<String, (u64, String)>,
    /// Filters of topics that are others' to read.
    foreign: BTreeSet<String>,
    /// Rows of payloads that have another form, and another mapping.
    of_another_form: u64,
    /// Rows in which a field had a value.
    read: HashMap<String, u64>,
}

/// Runs what was heard through `mapping`; whether a draft was changed for it.
fn try_out(mapping: &Mapping, drafts: &mut [Draft], open: &[Open<'_>], filters: &[String]) -> bool {
    let mut tried: HashMap<String, Tried> = HashMap::new();
    let own: HashMap<String, HashSet<usize>> =
        drafts.iter().map(|draft| (draft.name.clone(), draft.members.iter().copied().collect())).collect();
    let is_own = |name: &str, topic: usize| own.get(name).is_some_and(|members| members.contains(&topic));
    let step = open.len().div_ceil(MAX_TOPICS).max(1);
    let forms: HashMap<String, Option<Form>> = drafts.iter().map(|draft| (draft.name.clone(), draft.form)).collect();
    let is_of_form = |name: &str, form: Form| forms.get(name).is_none_or(|of| of.is_none() || *of == Some(form));
    let each = if open.len() > MANY_TOPICS { 2 } else { MAX_PAYLOADS };
    for (topic, open) in open.iter().enumerate().step_by(step) {
        for mut message in open.heard.as_messages().take(each) {
            let form = payload::read(&message.payload).form;
            message.retain = false;
            let mapped = mapping.map(&message);
            for dropped in mapped.dropped.iter().filter(|dropped| is_of_form(&dropped.mapping, form)) {
                let of = tried.entry(dropped.mapping.to_string()).or_default();
                let field = of.dropped.entry(dropped.field.to_string()).or_insert((0, dropped.detail.clone()));
                field.0 += dropped.count;
            }
            let rejects = match &mapped.outcome {
                Outcome::Rows { rows, rejects } => {
                    for row in rows {
                        let of = tried.entry(row.mapping.to_string()).or_default();
                        if !is_own(&row.mapping, topic) {
                            of.foreign.insert(filters[topic].clone());
                            continue;
                        }
                        if !is_of_form(&row.mapping, form) {
                            of.of_another_form += 1;
                            continue;
                        }
                        of.rows += 1;
                        for (name, _) in row.named(&mapping.schema().measurements[row.measurement]) {
                            *of.read.entry(name.to_owned()).or_default() += 1;
                        }
                    }
                    rejects.clone()
                }
                Outcome::Rejected(reject) => vec![reject.clone()],
                Outcome::Ignored(_) => Vec::new(),
            };
            for reject in rejects {
                let Some(of) = reject.mapping.as_ref().map(|of| tried.entry(of.to_string()).or_default()) else {
                    continue;
                };
                if !reject.mapping.as_ref().is_some_and(|of| is_own(of, topic)) {
                    of.foreign.insert(filters[topic].clone());
                    continue;
                }
                if !reject.mapping.as_ref().is_some_and(|of| is_of_form(of, form)) {
                    continue;
                }
                of.rejected += 1;
                of.why = reject.detail;
            }
        }
    }
    let mut is_changed = false;
    for draft in drafts.iter_mut().filter(|draft| draft.is_on()) {
        let Some(tried) = tried.get(&draft.name) else { continue };
        let foreign: Vec<&String> = tried.foreign.iter().filter(|filter| !draft.except.contains(filter)).collect();
        if foreign.len() < tried.foreign.len() || draft.except.len() + foreign.len() > MAX_EXCEPT {
            draft.off = Some("it takes topics that others read: name its topics".to_owned());
            is_changed = true;
            continue;
        }
        if tried.of_another_form > 0 {
            draft.off = Some("its topics bear payloads of another form too, which it would read as well".to_owned());
            is_changed = true;
            continue;
        }
        is_changed |= !foreign.is_empty();
        draft.except.extend(foreign.into_iter().cloned());
        for field in draft.fields.iter_mut().filter(|field| field.off.is_none()) {
            let Some((dropped, detail)) = tried.dropped.get(&field.name) else { continue };
            let read = tried.read.get(&field.name).copied().unwrap_or(0);
            if *dropped > read {
                field.off = Some(format!("{dropped} of {} values could not be read: {detail}", dropped + read));
                is_changed = true;
            } else {
                field.field.notes.push(format!("{dropped} of {} values could not be read", dropped + read));
            }
        }
        if tried.rejected > tried.rows {
            draft.off = Some(format!(
                "{} of {} rows were rejected: {}",
                tried.rejected,
                tried.rejected + tried.rows,
                tried.why
            ));
            is_changed = true;
        }
    }
    is_changed
}
