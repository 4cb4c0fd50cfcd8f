//! From rows and their places to a draft of a mapping: names, tags, the time, the fields.

use super::draft::{Draft, Field, Key, Tag};
use super::guess::{self, Guess, Moment};
use super::naming::{self, Names};
use super::objects::{Leaf, Rows};
use super::shape::{Said, UNIT_KEYS};
use super::times::Written;
use super::{words, write};
use crate::message::Time;

/// Fields of one mapping; more are a device that makes up keys.
const MAX_FIELDS: usize = 150;
/// Sources of the time that are listed.
const MAX_TIMES: usize = 3;
/// Identifiers that are told apart before a tag is one too many.
const MAX_IDENTITIES: usize = 8;

/// What is known of the topics that a draft is for.
pub(super) struct Context<'a> {
    /// Names that the topic catches and that are tags.
    pub captures: &'a [String],
    /// Payloads that were looked at.
    pub payloads: u64,
    pub near: Time,
    pub zone: Option<&'a str>,
}

/// A place that bears a moment.
struct Clock {
    rank: u32,
    path: String,
    moment: Moment,
    /// Payloads that had it.
    seen: u64,
    /// Position among the leaves, if it is of this row.
    leaf: Option<usize>,
    evidence: String,
}

/// The draft for `all[at]`, without name and topics.
pub(super) fn draft(all: &[Rows], at: usize, context: &Context<'_>) -> Draft {
    let rows = &all[at];
    let mut draft = Draft::default();
    let mut names = Names::default();
    for capture in context.captures.iter().chain(&rows.captures) {
        names.take(std::slice::from_ref(capture));
    }
    if !rows.path.is_empty() {
        draft.key("rows", write::string(&rows.path), "");
    }
    if let ([capture], false) = (rows.captures.as_slice(), rows.only.is_empty()) {
        let labels: Vec<String> = rows.only.iter().map(|label| write::string(&label.replace('*', "?"))).collect();
        draft.key("when", format!("{{ {capture} = [{}] }}", labels.join(", ")), "");
    }
    let guesses: Vec<Guess> = rows.leaves.iter().map(|leaf| guess_leaf(leaf, context.near)).collect();
    let used = time(&mut draft, all, at, &guesses, context);
    let in_rows = !rows.path.is_empty();
    let may_tag = in_rows || context.captures.is_empty();
    for (index, (leaf, guess)) in rows.leaves.iter().zip(&guesses).enumerate() {
        if !used.contains(&index) && is_tag(leaf, in_rows, may_tag, context) {
            let name = names.take(&naming::of_keys(&keys(leaf)));
            draft.tags.push(Tag { name, value: write::string(&leaf.path), note: evidence(leaf) });
            continue;
        }
        if used.contains(&index) {
            continue;
        }
        field(&mut draft, &mut names, leaf, guess, context.zone);
    }
    // Where there is nothing but moments, they are what is told.
    if draft.fields.is_empty() && !used.is_empty() {
        draft.keys.retain(|key| key.key != "time");
        for index in &used {
            field(&mut draft, &mut names, &rows.leaves[*index], &guesses[*index], context.zone);
        }
    }
    draft.fields.sort_by_key(|field| field.off.is_some());
    draft.head.extend(rows.passed.iter().take(12).map(|passed| format!("left out: {passed}")));
    draft
}

fn keys(leaf: &Leaf) -> Vec<&str> {
    leaf.keys.iter().map(String::as_str).collect()
}

fn evidence(leaf: &Leaf) -> String {
    let values = guess::evidence(&leaf.shape);
    format!("{}: {values}", leaf.shape.seen)
}

fn guess_leaf(leaf: &Leaf, near: Time) -> Guess {
    if leaf.is_json {
        let field = guess::Field { keys: vec![("type", write::string("json"))], notes: Vec::new() };
        let is_words = leaf.shape.is_scalar()
            && leaf.shape.texts.count > 0
            && leaf.shape.texts.longest <= 40
            && leaf.shape.texts.distinct.len() <= 12;
        return if is_words {
            Guess::Field(field)
        } else {
            Guess::Doubtful(field, "an array: rows of it are another mapping".to_owned())
        };
    }
    guess::guess(leaf.key(), &leaf.shape, near)
}

/// Whether a place names who sent it, and few enough of them.
fn is_tag(leaf: &Leaf, in_rows: bool, may_tag: bool, context: &Context<'_>) -> bool {
    const OF_ROWS: [&str; 9] = ["name", "n", "key", "label", "tag", "sensor", "item", "channel", "model"];
    const WITHOUT_CAPTURE: [&str; 3] = ["model", "channel", "sensor"];
    let key = leaf.key();
    let is_listed = |list: &[&str]| list.iter().any(|listed| key.eq_ignore_ascii_case(listed));
    let is_unit = UNIT_KEYS.iter().any(|unit| key.eq_ignore_ascii_case(unit));
    let named = words::is_identity(key)
        || in_rows && is_listed(&OF_ROWS)
        || may_tag && is_listed(&WITHOUT_CAPTURE)
        || in_rows && is_unit;
    let shape = &leaf.shape;
    let is_text = shape.is_scalar()
        && shape.bools() == 0
        && shape.texts.longest < 200
        && shape.scalars() > 0
        && shape.numbers.are_whole();
    let distinct = shape.texts.distinct.len() + shape.numbers.examples.len();
    let is_another_each_time = distinct >= MAX_IDENTITIES && distinct as u64 >= shape.scalars() || shape.texts.more;
    // 1, 2, 3 and so on is the number of a message: each would be a series of its own.
    #[expect(clippy::cast_precision_loss, reason = "counts of a sample")]
    let is_running = shape.texts.count == 0
        && shape.numbers.count > 2
        && shape.numbers.max - shape.numbers.min + 1.0 == shape.numbers.count as f64;
    let texts_are_plain = shape.texts.distinct.iter().all(|text| !text.chars().any(char::is_control));
    may_tag
        && named
        && is_text
        && texts_are_plain
        && !leaf.is_json
        && (in_rows || !is_running)
        && (!is_another_each_time || in_rows && shape.seen > context.payloads)
}

fn field(draft: &mut Draft, names: &mut Names, leaf: &Leaf, guess: &Guess, zone: Option<&str>) {
    if UNIT_KEYS.iter().any(|unit| leaf.key().eq_ignore_ascii_case(unit))
        && leaf.keys.len() < 3
        && leaf.shape.numbers.count == 0
        && draft_has_unit(draft, leaf)
    {
        return;
    }
    let wanted = naming::of_keys(&keys(leaf));
    let (field, off) = match guess {
        Guess::Field(field) => (field.clone(), None),
        Guess::Doubtful(field, why) => (field.clone(), Some(why.clone())),
        Guess::Moment(moment) => moment_field(*moment, zone),
        Guess::Nothing(why) => (guess::Field::default(), Some(why.clone())),
    };
    let off = off.or_else(|| (draft.fields.len() >= MAX_FIELDS).then(|| "too many fields for one mapping".to_owned()));
    if draft.fields.len() >= MAX_FIELDS * 2 {
        return;
    }
    let name = names.take(&wanted);
    let path = (name != leaf.path).then(|| leaf.path.clone());
    draft.fields.push(Field { name, path, field, evidence: evidence(leaf), off });
}

/// Whether the unit at `leaf` is in the field that it is of.
fn draft_has_unit(draft: &Draft, leaf: &Leaf) -> bool {
    let Said::Nothing = leaf.shape.unit else { return false };
    draft.fields.iter().any(|field| field.field.notes.iter().any(|note| note.contains("beside it")))
}

/// A moment that is not the time of the row.
pub(super) fn moment_field(moment: Moment, zone: Option<&str>) -> (guess::Field, Option<String>) {
    let field = guess::Field { keys: vec![("type", write::string("time"))], notes: Vec::new() };
    match moment {
        Moment::Epoch | Moment::Text(Written::Zoned) => (field, None),
        Moment::Text(Written::Local) if zone.is_some() => (field, None),
        Moment::Text(Written::Local) => (field, Some("a local time: the mapping needs a `zone`".to_owned())),
        Moment::Text(Written::Format(_)) => {
            let text = guess::Field { keys: vec![("type", write::string("text"))], notes: Vec::new() };
            (text, Some("a time that fields cannot read".to_owned()))
        }
    }
}

/// States the time of the rows, and gives the positions of the leaves that need not be fields then.
fn time(draft: &mut Draft, all: &[Rows], at: usize, guesses: &[Guess], context: &Context<'_>) -> Vec<usize> {
    let mut clocks: Vec<Clock> = Vec::new();
    for (index, (leaf, guess)) in all[at].leaves.iter().zip(guesses).enumerate() {
        clocks.extend(clock(leaf, guess, leaf.path.clone(), Some(index), 0));
    }
    // Of a row within rows the time may stand in what it is in.
    let mut within = all[at].within;
    let mut distance = 1000;
    while let Some(outer) = within.filter(|_| clocks.is_empty()) {
        for leaf in &all[outer].leaves {
            let path = format!("$.{}", super::objects::join(&all[outer].path, &leaf.path));
            if !all[outer].path.contains('*') && !leaf.path.starts_with("$.") {
                clocks.extend(clock(leaf, &guess_leaf(leaf, context.near), path, None, distance));
            }
        }
        within = all[outer].within;
        distance += 1000;
    }
    clocks.sort_by_key(|clock| clock.rank);
    let Some(best) = clocks.first() else { return Vec::new() };
    // A time with its zone is better than one without, if every payload has it.
    let best = if matches!(best.moment, Moment::Text(Written::Local | Written::Format(_))) {
        clocks
            .iter()
            .find(|clock| {
                matches!(clock.moment, Moment::Epoch | Moment::Text(Written::Zoned))
                    && clock.seen >= best.seen
                    && clock.rank % 1000 < 60
            })
            .unwrap_or(best)
    } else {
        best
    };
    let mut listed: Vec<&Clock> = vec![best];
    let mut covered = best.seen;
    for clock in &clocks {
        if covered < context.payloads
            && listed.len() < MAX_TIMES
            && clock.rank / 1000 == best.rank / 1000
            && !listed.iter().any(|listed| listed.path == clock.path)
        {
            covered += clock.seen;
            listed.push(clock);
        }
    }
    let is_local = |clock: &&Clock| matches!(clock.moment, Moment::Text(Written::Local | Written::Format(_)));
    let (local, sure): (Vec<&Clock>, Vec<&Clock>) = listed.iter().copied().partition(is_local);
    let said: Vec<&str> = listed.iter().map(|clock| clock.evidence.as_str()).collect();
    let said = said.join("; ");
    match (sure.is_empty(), local.is_empty(), context.zone) {
        (_, true, _) => draft.key("time", sources(&sure), said),
        (_, false, Some(zone)) => {
            draft.key("time", sources(&listed), said);
            draft.key("zone", write::string(zone), "");
        }
        (sure_is_empty, false, None) => {
            if !sure_is_empty {
                draft.key("time", sources(&sure), "");
            }
            let note = format!("local times ({said}): in which zone? Then take `# ` away from both lines");
            let whole = if sure_is_empty { note } else { format!("{note}, and the line above") };
            draft.keys.push(Key { key: "time", value: sources(&listed), note: whole, off: true });
            draft.keys.push(Key { key: "zone", value: write::string("Europe/Lisbon"), note: String::new(), off: true });
        }
    }
    listed.iter().filter_map(|clock| clock.leaf).collect()
}

fn sources(clocks: &[&Clock]) -> String {
    let texts: Vec<String> = clocks
        .iter()
        .map(|clock| match clock.moment {
            Moment::Text(Written::Format(format)) => {
                format!("{{ path = {}, format = {} }}", write::string(&clock.path), write::string(format))
            }
            _ => write::string(&clock.path),
        })
        .collect();
    match texts.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

fn clock(leaf: &Leaf, guess: &Guess, path: String, index: Option<usize>, distance: u32) -> Option<Clock> {
    let Guess::Moment(moment) = guess else { return None };
    // Cells of a line have no names: the first that bears a moment.
    let rank = if leaf.path.starts_with('[') { 50 } else { words::time_rank(leaf.key())? };
    // Deep in the payload stand the times of others: of a gateway, of a picture.
    let around = &leaf.keys[..leaf.keys.len().saturating_sub(1)];
    let depth = around.iter().filter(|key| !words::is_wrapper(key)).count();
    if depth > 1 {
        return None;
    }
    let depth = if depth > 0 { 60 } else { 5 * u32::from(!around.is_empty()) };
    Some(Clock {
        rank: rank + depth + distance,
        path,
        moment: *moment,
        seen: leaf.shape.scalars(),
        leaf: index,
        evidence: evidence(leaf),
    })
}
