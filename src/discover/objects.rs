//! What of a tree gives rows, and which places of a row give fields.
//!
//! Each `Rows` becomes a mapping of its own on the same topic. No place is in two of them.

use super::shape::{Members, Shape};
use super::words;

/// Objects in objects that are looked into.
const MAX_DEPTH: usize = 12;
/// Sets of rows of one topic.
const MAX_ROWS: usize = 24;
/// Members of one name and a number that are rows rather than columns.
const MANY: usize = 4;

/// What gives a row, and what is in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// As `rows` says it; empty for the payload itself.
    pub path: String,
    /// Captures of `path`.
    pub captures: Vec<String>,
    /// For names: the keys that lead to it.
    pub keys: Vec<String>,
    /// `{ capture = [...] }` as labels that it may be; empty if it may be any.
    pub only: Vec<String>,
    pub leaves: Vec<Leaf>,
    /// What was passed over, and why.
    pub passed: Vec<String>,
    /// The position of the rows in whose objects these are.
    pub within: Option<usize>,
}

/// A place that may be a field.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub keys: Vec<String>,
    pub path: String,
    pub shape: Shape,
    /// Whether it is kept as JSON.
    pub is_json: bool,
}

impl Leaf {
    pub fn key(&self) -> &str {
        self.keys.last().map_or("value", String::as_str)
    }
}

/// A key as a path writes it; `None` if no path can.
pub(super) fn segment(key: &str) -> Option<String> {
    let is_special = key.is_empty()
        || key.contains(['.', '[', ']', '{', '}', '\'', '"', '*'])
        || key.starts_with('$')
        || key.trim() != key;
    match (is_special, key.contains('\''), key.contains('"')) {
        (false, _, _) => Some(key.to_owned()),
        (true, false, _) => Some(format!("'{key}'")),
        (true, true, false) => Some(format!("\"{key}\"")),
        (true, true, true) => None,
    }
}

/// `base` with one step more.
pub(super) fn join(base: &str, step: &str) -> String {
    if base.is_empty() { step.to_owned() } else { format!("{base}.{step}") }
}

/// All rows of `root`, the payload itself first. `captures` are the names that the topic catches.
pub(super) fn rows(root: &Shape, captures: &[String]) -> Vec<Rows> {
    let mut walk = Walk { rows: Vec::new(), captures };
    if root.objects > 0 {
        walk.rows.push(Rows::default());
        walk.object(root, 0, &[], "", 0);
    }
    if root.arrays > 0
        && let Some(elements) = &root.elements
    {
        walk.array(elements, root.longest, None, "", &[], "", 0);
    }
    walk.rows
}

struct Walk<'c> {
    rows: Vec<Rows>,
    /// Names that the topic catches.
    captures: &'c [String],
}

impl Walk<'_> {
    /// Goes through the members of an object that stands at `path` of row set `at`.
    fn object(&mut self, shape: &Shape, at: usize, keys: &[String], path: &str, depth: usize) {
        if depth > MAX_DEPTH {
            return self.pass(at, path, "it is nested too deep");
        }
        if shape.members.more > 0 {
            self.pass(at, path, "it has too many keys to be columns");
        }
        if let Some(zip) = parallel(&shape.members) {
            return self.zip(shape, &zip, at, keys, path);
        }
        let numbered = numbered_members(&shape.members);
        if let Some((stem, members)) = numbered
            && let Some(of_rows) = self.begin(at, path, &format!("{stem}{{}}"), keys, &stem)
        {
            let mut merged = Shape::default();
            members.iter().for_each(|member| merged.merge(member));
            self.rows[of_rows].leaves.push(Leaf {
                keys: vec![stem.clone()],
                path: ".".to_owned(),
                shape: merged,
                is_json: false,
            });
        }
        let stem = numbered_members(&shape.members).map(|(stem, _)| stem);
        let in_rows = self.members_as_rows(shape, at, keys, path, depth);
        let names: Vec<&str> = shape.members.iter().map(|(name, _)| name).collect();
        for (name, member) in shape.members.iter() {
            if in_rows.contains(&name)
                || stem.as_deref().is_some_and(|stem| is_numbered(name, stem) && member.is_scalar())
            {
                continue;
            }
            let Some(step) = segment(name) else {
                self.pass(at, &join(path, name), "no path can name a key with both kinds of quotes");
                continue;
            };
            if words::is_former(name, names.iter().copied()) && member.objects > 0 {
                self.pass(at, &join(path, &step), "how it was before");
                continue;
            }
            let keys: Vec<String> = keys.iter().cloned().chain([name.to_owned()]).collect();
            self.member(member, at, &keys, &join(path, &step), depth);
        }
    }

    fn member(&mut self, member: &Shape, at: usize, keys: &[String], path: &str, depth: usize) {
        if member.objects > 0 && member.scalars() == 0 {
            self.object(member, at, keys, path, depth + 1);
        } else if member.objects > 0 {
            self.pass(at, path, "sometimes an object and sometimes a value");
            return;
        }
        if member.arrays > 0
            && let Some(elements) = &member.elements
        {
            let base = path.to_owned();
            self.array(elements, member.longest, Some(at), &base, keys, path, depth);
        }
        if member.scalars() > 0 && member.objects == 0 {
            self.rows[at].leaves.push(Leaf {
                keys: keys.to_vec(),
                path: path.to_owned(),
                shape: member.clone(),
                is_json: false,
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "where an array stands has these parts")]
    fn array(
        &mut self,
        elements: &Shape,
        longest: usize,
        at: Option<usize>,
        base: &str,
        keys: &[String],
        path: &str,
        depth: usize,
    ) {
        if longest == 0 || elements.seen == 0 {
            return;
        }
        let key = keys.last().map_or("value", String::as_str);
        if elements.objects > 0 && elements.scalars() == 0 && elements.arrays == 0 {
            let is_named = elements.members.iter().any(|(name, _)| words::is_identity(name) || is_name(name));
            let step = if is_named { "[]" } else { "[{}]" };
            if let Some(of_rows) = self.begin_array(at, base, step, keys) {
                self.object(elements, of_rows, &[], "", depth + 1);
            }
        } else if elements.is_scalar()
            && elements.numbers.count > 0
            && elements.texts.count == 0
            && (at.is_none() || words::is_quantity(key))
        {
            if let Some(of_rows) = self.begin_array(at, base, "[{}]", keys) {
                self.rows[of_rows].leaves.push(Leaf {
                    keys: vec![key.to_owned()],
                    path: ".".to_owned(),
                    shape: elements.clone(),
                    is_json: false,
                });
            }
        } else if let Some(at) = at {
            let mut shape = elements.clone();
            shape.elements = None;
            self.rows[at].leaves.push(Leaf { keys: keys.to_vec(), path: path.to_owned(), shape, is_json: true });
        } else {
            self.rows.push(Rows::default());
            let at = self.rows.len() - 1;
            self.pass(at, ".", "an array of arrays or of words");
        }
    }

    /// Parallel arrays below `path`.
    fn zip(&mut self, shape: &Shape, names: &[&str], at: usize, keys: &[String], path: &str) {
        let step = if path.is_empty() { "*[]".to_owned() } else { format!("{path}.*[]") };
        let base = self.rows[at].path.clone();
        if self.rows.len() >= MAX_ROWS || base.contains('*') {
            return self.pass(at, path, "there are too many arrays");
        }
        let mut of_rows = Rows { path: join(&base, &step), within: Some(at), keys: keys.to_vec(), ..Rows::default() };
        for name in names {
            let (Some(member), Some(path)) = (shape.members.get(name), segment(name)) else { continue };
            let Some(elements) = &member.elements else { continue };
            of_rows.leaves.push(Leaf {
                keys: vec![(*name).to_owned()],
                path,
                shape: (**elements).clone(),
                is_json: false,
            });
        }
        self.rows.push(of_rows);
        let rest: Vec<(&str, &Shape)> = shape.members.iter().filter(|(name, _)| !names.contains(name)).collect();
        for (name, member) in rest {
            let Some(step) = segment(name) else { continue };
            let keys: Vec<String> = keys.iter().cloned().chain([name.to_owned()]).collect();
            if member.arrays == 0 {
                self.member(member, at, &keys, &join(path, &step), MAX_DEPTH - 1);
            }
        }
    }

    /// Members that are alike, as rows; gives their names.
    fn members_as_rows<'s>(
        &mut self,
        shape: &'s Shape,
        at: usize,
        keys: &[String],
        path: &str,
        depth: usize,
    ) -> Vec<&'s str> {
        let objects: Vec<(&str, &Shape)> = shape
            .members
            .iter()
            .filter(|(_, member)| {
                member.objects > 0 && member.arrays == 0 && member.scalars() == 0 && member.members.len() > 0
            })
            .collect();
        let names: Vec<&str> = shape.members.iter().map(|(name, _)| name).collect();
        let open: Vec<(&str, &Shape)> = objects
            .into_iter()
            .filter(|(name, _)| {
                !words::is_former(name, names.iter().copied()) && !is_latter(name, &names) && segment(name).is_some()
            })
            .collect();
        let mut taken = Vec::new();
        for class in classes(&open) {
            let (stem, label) = stem_of(&class.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            let Some(of_rows) = self.begin(at, path, &format!("{stem}{{}}"), keys, &label) else { continue };
            let mut merged = Shape::default();
            class.iter().for_each(|(_, member)| merged.merge(member));
            let first = self.rows.len();
            self.object(&merged, of_rows, &[], "", depth + 1);
            let class_names: Vec<&str> = class.iter().map(|(name, _)| *name).collect();
            let mut others = shape
                .members
                .iter()
                .filter(|(name, member)| !class_names.contains(name) && member.objects > 0 && name.starts_with(&stem));
            if others.any(|(_, other)| self.leads_into(of_rows, first, other)) {
                let only: Vec<String> = class_names.iter().map(|name| name[stem.len()..].to_owned()).collect();
                for rows in std::iter::once(of_rows).chain(first..self.rows.len()) {
                    self.rows[rows].only.clone_from(&only);
                }
            }
            taken.extend(class_names);
        }
        taken
    }

    /// Whether what the rows `of` (and those after `first`, which are in them) read is in `other` as well.
    fn leads_into(&self, of: usize, first: usize, other: &Shape) -> bool {
        let has = |keys: &[String]| {
            let mut shape = other;
            keys.iter().all(|key| match shape.members.get(key) {
                Some(member) => {
                    shape = member;
                    true
                }
                None => false,
            })
        };
        self.rows[of].leaves.iter().any(|leaf| has(&leaf.keys))
            || self.rows[first..].iter().any(|rows| has(&rows.keys[..rows.keys.len().min(1)]))
    }

    /// New rows for the members at `path` of the rows `at`; `{}` in `step` is what they are caught by.
    fn begin(&mut self, at: usize, path: &str, step: &str, keys: &[String], label: &str) -> Option<usize> {
        let base = self.rows[at].path.clone();
        if self.rows.len() >= MAX_ROWS
            || base.contains('*')
            || step.trim_end_matches("{}").contains(['.', '[', ']', '\'', '"', '{', '}', '*', '$'])
        {
            return None;
        }
        let wanted = if label.is_empty() || !step.starts_with("{}") { "n".to_owned() } else { label.to_owned() };
        let name = self.capture(&wanted, &self.rows[at].captures);
        let step = step.replace("{}", &format!("{{{name}}}"));
        let path = join(&base, &if path.is_empty() { step } else { format!("{path}.{step}") });
        let mut captures = self.rows[at].captures.clone();
        captures.push(name);
        let keys = keys.iter().cloned().chain((!label.is_empty()).then(|| label.to_owned())).collect();
        self.rows.push(Rows {
            path,
            captures,
            keys,
            within: Some(at),
            only: self.rows[at].only.clone(),
            ..Rows::default()
        });
        Some(self.rows.len() - 1)
    }

    fn begin_array(&mut self, at: Option<usize>, path: &str, step: &str, keys: &[String]) -> Option<usize> {
        let base = at.map(|at| self.rows[at].path.clone()).unwrap_or_default();
        if self.rows.len() >= MAX_ROWS || base.contains('*') {
            return None;
        }
        let mut captures = at.map(|at| self.rows[at].captures.clone()).unwrap_or_default();
        let step = if step.contains("{}") {
            let name = self.capture("n", &captures);
            let step = step.replace("{}", &format!("{{{name}}}"));
            captures.push(name);
            step
        } else {
            step.to_owned()
        };
        let only = at.map(|at| self.rows[at].only.clone()).unwrap_or_default();
        let path = if path.is_empty() { format!("{base}{step}") } else { format!("{}{step}", join(&base, path)) };
        self.rows.push(Rows { path, captures, keys: keys.to_vec(), within: at, only, ..Rows::default() });
        Some(self.rows.len() - 1)
    }

    /// A name for what is caught, unlike those that the topic and the rows around it catch.
    fn capture(&self, wanted: &str, around: &[String]) -> String {
        let base = super::naming::plain(wanted);
        let mut name = base.clone();
        let mut number = 2;
        while self.captures.contains(&name) || around.contains(&name) {
            name = format!("{base}{number}");
            number += 1;
        }
        name
    }

    fn pass(&mut self, at: usize, path: &str, why: &str) {
        let path = if path.is_empty() { "." } else { path };
        self.rows[at].passed.push(format!("`{path}`: {why}"));
    }
}

fn is_name(key: &str) -> bool {
    ["name", "n", "key", "label", "tag", "sensor", "item", "channel"].iter().any(|name| key.eq_ignore_ascii_case(name))
}

/// Of two members that say how it was and how it is, the one that says how it is.
fn is_latter(name: &str, beside: &[&str]) -> bool {
    beside.iter().any(|former| *former != name && words::is_former(former, std::iter::once(name)))
}

fn is_numbered(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

/// Scalars of one name and a number, if they are many and no other scalars are beside them.
fn numbered_members(members: &Members) -> Option<(String, Vec<&Shape>)> {
    let scalars: Vec<(&str, &Shape)> =
        members.iter().filter(|(_, member)| member.is_scalar() && member.scalars() > 0).collect();
    let (first, _) = scalars.iter().find(|(name, _)| !words::is_time_key(name))?;
    let stem = first.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.is_empty() || stem.len() == first.len() || segment(stem).as_deref() != Some(stem) {
        return None;
    }
    let of_stem: Vec<&Shape> =
        scalars.iter().filter(|(name, _)| is_numbered(name, stem)).map(|(_, member)| *member).collect();
    let others = scalars.iter().filter(|(name, _)| !is_numbered(name, stem) && !words::is_time_key(name)).count();
    let kinds = |shape: &Shape| (shape.numbers.count > 0, shape.bools() > 0, shape.texts.count > 0);
    let alike = of_stem.iter().all(|member| kinds(member) == kinds(of_stem[0]));
    (of_stem.len() >= MANY && others == 0 && alike).then(|| (stem.to_owned(), of_stem))
}

/// The names of members that are arrays of one length, a time among them, or nothing beside them.
fn parallel(members: &Members) -> Option<Vec<&str>> {
    let arrays: Vec<(&str, &Shape)> = members
        .iter()
        .filter(|(_, member)| {
            member.arrays > 0
                && member.objects == 0
                && member.scalars() == 0
                && member.elements.as_ref().is_some_and(|elements| elements.is_scalar())
        })
        .collect();
    let (_, first) = arrays.first()?;
    let is_one_length =
        arrays.iter().all(|(_, member)| member.longest == first.longest && member.arrays == first.arrays);
    let has_time = arrays.iter().any(|(name, _)| words::time_rank(name).is_some());
    (arrays.len() > 1 && first.longest > 1 && is_one_length && has_time)
        .then(|| arrays.iter().map(|(name, _)| *name).collect())
}

/// Members that one capture may take: alike in their keys, or named like sensors and holding quantities.
fn classes<'s>(open: &[(&'s str, &'s Shape)]) -> Vec<Vec<(&'s str, &'s Shape)>> {
    // `{"temperature": {"value": 21}, "humidity": {"value": 48}}` are columns.
    let quantities = open.iter().filter(|(name, _)| words::is_quantity(name)).count();
    if quantities * 2 > open.len() && !open.iter().all(|(name, _)| name.contains(|c: char| c.is_ascii_digit())) {
        return Vec::new();
    }
    let mut classes: Vec<Vec<(&str, &Shape)>> = Vec::new();
    for (name, member) in open {
        let fits = |class: &Vec<(&str, &Shape)>| class.iter().take(8).any(|(_, other)| are_alike(member, other));
        match classes.iter_mut().find(|class| fits(class)) {
            Some(class) => class.push((name, member)),
            None => classes.push(vec![(name, member)]),
        }
    }
    classes.retain(|class| class.len() > 1 || class.iter().all(|(name, member)| is_like_a_sensor(name, member)));
    classes
}

fn are_alike(one: &Shape, other: &Shape) -> bool {
    let keys = |shape: &Shape| -> Vec<String> {
        shape
            .members
            .iter()
            .filter(|(name, member)| member.scalars() > 0 && !words::is_time_key(name))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let (one, other) = (keys(one), keys(other));
    let both: Vec<&String> = one.iter().filter(|key| other.contains(key)).collect();
    let (least, all) = (one.len().min(other.len()), one.len() + other.len() - both.len());
    if both.is_empty() {
        return false;
    }
    let has_quantity = both.iter().any(|key| words::is_quantity(key));
    both.len() * 10 >= all * 6 || has_quantity && both.len() * 2 >= least
}

/// `BME280`, `0x5ADF`, `DS18B20-1`: letters and digits, and quantities in it.
fn is_like_a_sensor(name: &str, member: &Shape) -> bool {
    name.contains(|c: char| c.is_ascii_digit())
        && name.contains(|c: char| c.is_ascii_alphabetic())
        && member
            .members
            .iter()
            .any(|(key, member)| member.is_scalar() && member.numbers.count > 0 && words::is_quantity(key))
}

/// What the names of a class begin with, where numbers follow it; and what to call what is caught.
fn stem_of(names: &[&str]) -> (String, String) {
    let stem = names[0].trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() > 1
        && stem.len() < names[0].len()
        && names.len() > 1
        && names.iter().all(|name| is_numbered(name, stem))
    {
        return (stem.to_owned(), stem.trim_end_matches([':', '_', '-']).to_owned());
    }
    let is_sensor = names.iter().any(|name| name.contains(|c: char| c.is_ascii_digit()));
    (String::new(), if is_sensor { "sensor" } else { "part" }.to_owned())
}
