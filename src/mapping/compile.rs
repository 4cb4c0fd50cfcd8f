//! From a mapping as it was written to one that runs; every fault found on the way, not the first.
//!
//! What several mappings must agree on (measurements, types, units) is in `merge`.

mod cells;
mod conditions;
mod doubts;
mod fields;
mod others;
mod quoted;
mod reading;
mod sources;
mod target;

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::compiled::{Compiled, Field, Layout, Located, Pivot, Subject, Tag, Target, When};
use super::decode::Form;
use super::document::Want;
use super::inside::Inside;
use super::names::{self, Role};
use super::own;
use super::path::{Catching, Path, Step, list};
use super::pattern::{CaptureNames, Pattern, Wrong};
use super::template::{Level, Template};
use super::time;
use super::words::nearest;
use crate::config::MappingConfig;
use crate::config::mapping::{Format, Outside, RetainedPolicy};
use crate::fault::{At, Fault, Place, Severity};
use crate::message::Time;
use crate::schema;
use crate::topic::TopicFilter;

/// How far ahead of receipt a time may be: a clock that is wrong by a time zone passes, one wrong by a year does not.
const NOT_AFTER_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// 2000-01-01: before it, a clock was never set.
const NOT_BEFORE: Time = Time(946_684_800_000_000);
/// Measurements that one template may stand for.
const MAX_MEASUREMENTS: usize = 1_000;

/// A mapping compiled as far as it can be alone.
#[derive(Debug)]
pub(super) struct Draft<'c> {
    pub config: &'c MappingConfig,
    pub compiled: Compiled,
    /// As columns; in the order of `Compiled::fields`, and behind them the one that holds all others.
    pub columns: Vec<schema::Field>,
    pub target: DraftTarget,
}

/// The measurements that it feeds.
#[derive(Debug)]
pub(super) enum DraftTarget {
    One(String),
    Of(Pattern, Vec<String>),
}

/// Compiles `config`; `None` if it has faults, which are added to `faults` together with warnings.
pub(super) fn compile<'c>(config: &'c MappingConfig, faults: &mut Vec<Fault>) -> Option<Draft<'c>> {
    let before = faults.iter().filter(|fault| fault.severity == Severity::Fault).count();
    let mut compiler =
        Compiler { config, names: CaptureNames::default(), rows: Vec::new(), zone: None, used: Vec::new(), faults };
    let draft = compiler.compile();
    let after = faults.iter().filter(|fault| fault.severity == Severity::Fault).count();
    draft.filter(|_| before == after)
}

/// A compilation under way.
struct Compiler<'c, 'f> {
    config: &'c MappingConfig,
    names: CaptureNames,
    rows: Vec<Path>,
    zone: Option<TimeZone>,
    /// Captures that are no tags by themselves, because something else uses them.
    used: Vec<usize>,
    faults: &'f mut Vec<Fault>,
}

impl<'c> Compiler<'c, '_> {
    fn compile(&mut self) -> Option<Draft<'c>> {
        let config = self.config;
        let topics = self.topics();
        let except = self.except(&topics);
        own::faults(config, self.faults);
        self.duplicates_have_times();
        self.zone = config.zone.as_ref().and_then(|zone| self.ok(time::zone(&zone.value), &zone.place, "zone"));
        self.rows();
        let pivot = self.pivot();
        let target = self.target();
        let when = config.when.iter().filter_map(|condition| self.when(condition)).collect();
        self.conditions_can_hold(&topics);
        let times = config.time.iter().filter_map(|time| self.time(&time.value)).collect();
        let not_before = config.not_before.as_ref().map_or(Some(NOT_BEFORE), |at| {
            self.ok(time::bound(&at.value, self.zone.as_ref()), &at.place, "not_before")
        });
        let (fields, mut columns) = self.fields(pivot.is_some());
        columns.extend(self.others_column());
        let tags = self.tags();
        self.doubts(&topics);
        self.tag_and_field_names_differ(&tags, &columns);
        let takes_scalars = self.takes_scalars(&fields, pivot.as_ref());
        self.text_has_no_members(&fields, pivot.as_ref());
        let mut draft = Draft {
            config,
            columns,
            target: target?,
            compiled: Compiled {
                name: Arc::from(config.name.value.as_str()),
                topics,
                except,
                fallback: config.fallback.value,
                retained: config.retained == RetainedPolicy::Store,
                captures: self.names.clone(),
                target: Target::One(Layout::default()),
                when,
                form: Form { format: config.format.clone(), encoding: config.encoding },
                takes_scalars,
                rows: self.rows.clone(),
                inside: self.inside(&fields, pivot.as_ref()),
                pivot,
                times,
                not_before: not_before?,
                not_after: config
                    .not_after
                    .map_or(NOT_AFTER_MICROS, |after| i64::try_from(after.as_micros()).unwrap_or(i64::MAX)),
                reject_outside: config.outside == Outside::Reject,
                tags,
                fields,
                others: None,
                group: 0,
            },
        };
        draft.compiled.others = self.others(&draft.compiled);
        Some(draft)
    }

    fn path(&self, key: &str) -> String {
        format!("mapping.{}.{key}", self.config.name.value)
    }

    fn fault(&mut self, place: &Place, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(Fault::new(place, self.path(key), what, remedy));
    }

    /// The value, or a fault.
    fn ok<T>(&mut self, result: Result<T, Wrong>, place: &Place, key: &str) -> Option<T> {
        result.map_err(|wrong| self.fault(place, key, wrong.what, wrong.remedy)).ok()
    }

    fn name(&mut self, role: Role, name: &str, place: &Place, key: &str) {
        // What a table of the user's own calls it is another matter.
        let is_own = self.config.table.is_some();
        if let Some((severity, wrong)) = names::check(role, name)
            && !(is_own && severity == Severity::Warning)
        {
            self.faults.push(Fault { severity, ..Fault::new(place, self.path(key), wrong.what, wrong.remedy) });
        }
    }

    fn topics(&mut self) -> Vec<Template> {
        let config = self.config;
        if config.topic.is_empty() {
            self.fault(&config.name.place, "topic", "there is no topic", "write `topic = \"home/{room}/climate\"`");
        }
        let mut topics: Vec<Template> = Vec::new();
        for topic in &config.topic {
            let parsed = Template::parse(&topic.value, &mut self.names);
            let Some(template) = self.ok(parsed, &topic.place, "topic") else { continue };
            if topics.iter().any(|known| known.text == template.text) {
                self.fault(&topic.place, "topic", format!("`{}` is listed twice", topic.value), "leave one out");
            }
            topics.push(template);
        }
        topics
    }

    fn except(&mut self, topics: &[Template]) -> Vec<Template> {
        let mut except = Vec::new();
        for topic in &self.config.except {
            let parsed = Template::parse(&topic.value, &mut CaptureNames::default());
            if topic.value.starts_with("$share/") {
                let remedy = "leave out `$share/` and the group behind it";
                self.fault(&topic.place, "except", "what is left out is a topic, and not subscribed", remedy);
                continue;
            }
            except.extend(self.ok(parsed, &topic.place, "except"));
        }
        let filters = |templates: &[Template], plain: bool| -> Vec<TopicFilter> {
            templates
                .iter()
                .filter(|template| !plain || template.levels.iter().all(|level| !matches!(level, Level::Part(_))))
                // A tail in the middle takes less than its filter.
                .filter(|template| {
                    !plain || !template.levels.iter().rev().skip(1).any(|level| matches!(level, Level::Tail(_)))
                })
                .filter_map(|template| TopicFilter::new(&template.topic_filter()).ok())
                .collect()
        };
        let excepted = filters(&except, true);
        let wanted = filters(topics, false);
        if !wanted.is_empty()
            && wanted.iter().all(|filter| excepted.iter().any(|except| except.covers(filter)))
            && let Some(first) = self.config.except.first()
        {
            let place = first.place.clone();
            self.fault(
                &place,
                "except",
                "the mapping can never match: `except` leaves out every topic of `topic`",
                "leave it out, or narrow it",
            );
        }
        // A capture is no tag of `except`, so its names do not matter.
        except
    }

    fn rows(&mut self) {
        let topic = self.names.0.len();
        for rows in &self.config.rows {
            let parsed = Path::parse(&rows.value, Catching::New { names: &mut self.names, topic });
            let Some(path) = self.ok(parsed, &rows.place, "rows") else { continue };
            if path.root && !path.is_whole() {
                let plain = rows.value.trim_start_matches("$.").trim_start_matches('$').to_owned();
                self.fault(&rows.place, "rows", "`rows` starts at the root anyway", format!("write `{plain}`"));
            }
            self.warn_of_quoted_braces(&path, &rows.place, "rows");
            self.rows.push(Path { root: false, ..path });
        }
        self.rows_inside();
        let zips = |path: &Path| matches!(path.steps.last(), Some(Step::Zip(_)));
        if self.rows.len() > 1
            && let Some(index) = self.rows.iter().position(zips)
        {
            let place = self.config.rows.get(index).map_or(&self.config.name.place, |rows| &rows.place).clone();
            let remedy = "make two mappings of it that feed one `measurement`";
            self.fault(&place, "rows", "`*[]` stands alone: paths mean something else in its rows", remedy);
        }
        self.rows_of_cells();
        if self.rows.is_empty() {
            self.rows.push(Path { text: ".".into(), root: false, steps: Vec::new() });
        }
    }

    /// Lets `rows` go on in the payload inside.
    fn rows_inside(&mut self) {
        let Some(inside) = &self.config.inside else { return };
        let Some(outer) = self.rows.pop() else { return };
        // What the way there has caught is known inside.
        let topic = self.names.0.len();
        let default = if matches!(inside.value.format, Format::Csv(_)) { "[]" } else { "." };
        let whole = At::new(default.to_owned(), inside.place.clone());
        let rows = if inside.value.rows.is_empty() { std::slice::from_ref(&whole) } else { &*inside.value.rows };
        for rows in rows {
            let parsed = Path::parse(&rows.value, Catching::New { names: &mut self.names, topic });
            let Some(inner) = self.ok(parsed, &rows.place, "rows.rows") else { continue };
            self.warn_of_quoted_braces(&inner, &rows.place, "rows.rows");
            let text =
                if inner.is_whole() { outer.text.clone() } else { format!("{} > {}", outer.text, inner.text).into() };
            let steps = outer.steps.iter().cloned().chain([Step::Inside]).chain(inner.steps).collect();
            self.rows.push(Path { text, root: false, steps });
        }
    }

    fn inside(&self, fields: &[Field], pivot: Option<&Pivot>) -> Option<Inside> {
        let inside = &self.config.inside.as_ref()?.value;
        let whole = self.rows.iter().any(|rows| rows.steps.last() == Some(&Step::Inside));
        let is_row = |located: &Located| located.path.is_whole() && !located.path.root;
        let takes_text = match pivot {
            Some(pivot) => is_row(&pivot.value),
            None => fields.iter().flat_map(|field| &field.paths).any(is_row),
        };
        Some(Inside {
            decode: inside.decode,
            form: Form { format: inside.format.clone(), encoding: inside.encoding },
            takes_text: whole && takes_text,
            want: Want::default(),
        })
    }

    /// A path that leads to one place, and under formats of cells to a cell.
    fn located(&mut self, text: &str, place: &Place, key: &str) -> Option<Located> {
        let path = self.ok(Path::parse(text, Catching::Known(&self.names)), place, key)?;
        self.warn_of_quoted_braces(&path, place, key);
        let path = self.zipped(path);
        let located = self.single(path, place, key)?;
        self.leads_to_a_cell(&located, place, key).then_some(located)
    }

    /// A path of a field; that of a pivot begins with a name, and goes on from one value.
    fn field_path(&mut self, text: &str, place: &Place, key: &str, pivoted: bool) -> Option<Located> {
        if !pivoted {
            return self.located(text, place, key);
        }
        let path = self.ok(Path::parse(text, Catching::Known(&self.names)), place, key)?;
        self.warn_of_quoted_braces(&path, place, key);
        let located = self.single(path, place, key)?;
        if located.path.root {
            return self.leads_to_a_cell(&located, place, key).then_some(located);
        }
        self.cell_has_no_parts(&located, place, key);
        Some(located)
    }

    fn single(&mut self, path: Path, place: &Place, key: &str) -> Option<Located> {
        let text = path.text.clone();
        let located = Located::new(path, &self.rows);
        if located.is_single() {
            return Some(located);
        }
        self.fault(
            place,
            key,
            format!("`[]` in `{text}` leads to several values, and one is needed"),
            "name the elements in `rows` (a row each), or write a position such as `[0]`",
        );
        None
    }

    /// In rows of zipped arrays a path's first key is an array, and the row's position in it is meant.
    fn zipped(&self, mut path: Path) -> Path {
        if let [Path { steps, .. }] = &*self.rows
            && let Some(Step::Zip(slot)) = steps.last()
            && !path.root
            && !path.steps.is_empty()
        {
            path.steps.insert(1, Step::CaughtIndex(*slot));
        }
        path
    }

    /// A capture written as `{name}`, or a path.
    fn subject(&mut self, text: &str, place: &Place, key: &str) -> Option<Subject> {
        let name =
            text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).filter(|name| !name.contains(['{', '}']));
        let Some(name) = name else { return self.located(text, place, key).map(Subject::Path) };
        // Only a capture of the topic takes several levels, and it says so there.
        let name = name.trim_end_matches('#');
        match self.names.find(name) {
            Some(slot) => {
                self.used.push(slot);
                Some(Subject::Capture(slot))
            }
            None => {
                let known: Vec<&str> = self.names.0.iter().map(String::as_str).collect();
                let remedy = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None if known.is_empty() => format!("catch it in `topic`: `home/{{{name}}}`"),
                    None => format!("captures are {}", list(&known)),
                };
                self.fault(place, key, format!("`{{{name}}}` is caught neither in `topic` nor in `rows`"), remedy);
                None
            }
        }
    }

    fn tag_and_field_names_differ(&mut self, tags: &[Tag], columns: &[schema::Field]) {
        for field in &self.config.fields {
            let clash = !field.removed
                && columns.iter().any(|column| column.name == field.name.value)
                && tags.iter().any(|tag| tag.name.to_lowercase() == field.name.value.to_lowercase());
            if clash {
                let name = &field.name.value;
                self.fault(
                    &field.name.place,
                    &format!("fields.{name}"),
                    format!("`{name}` is a tag of this mapping too (captures are tags)"),
                    format!("give one another name, or remove the tag: `tags = {{ {name} = false }}`"),
                );
            }
        }
    }

    /// Whether a payload that is one value can give a row: some field's path ends at the payload itself.
    fn takes_scalars(&self, fields: &[Field], pivot: Option<&Pivot>) -> bool {
        // The payload inside is read from the payload itself.
        if self.rows.iter().any(|rows| rows.steps.first() == Some(&Step::Inside)) {
            return true;
        }
        let whole_row = self.rows.iter().any(Path::is_whole);
        let is_payload = |located: &Located| located.path.is_whole() && (located.path.root || whole_row);
        match pivot {
            Some(pivot) => is_payload(&pivot.value),
            None => fields.iter().flat_map(|field| &field.paths).any(is_payload),
        }
    }

    fn text_has_no_members(&mut self, fields: &[Field], pivot: Option<&Pivot>) {
        let config = self.config;
        let inside = config.inside.as_ref().map(|inside| &inside.value);
        let outer_is_text = config.format == Format::Text;
        let is_text = *self.format_of_rows() == Format::Text;
        let outer_rows = config.rows.iter().map(|rows| (rows, "rows")).filter(|_| outer_is_text);
        let inner_rows = inside.into_iter().flat_map(|inside| &inside.rows).map(|rows| (rows, "rows.rows"));
        let all_rows = outer_rows.chain(inner_rows.filter(|_| is_text));
        if let Some((rows, key)) = all_rows.into_iter().find(|(rows, _)| rows.value != ".") {
            self.fault(
                &rows.place,
                key,
                "a text has no parts, and `format = \"text\"`",
                "leave `rows` out, or use `format = \"json\"`",
            );
        }
        if pivot.is_some() {
            return;
        }
        for (field, written) in fields.iter().zip(config.fields.iter().filter(|field| !field.removed)) {
            let leads_in = |located: &&Located| {
                let into_text = if located.path.root { outer_is_text } else { is_text };
                into_text && !located.path.is_whole()
            };
            if let Some(located) = field.paths.iter().find(leads_in) {
                let key = format!("fields.{}.path", field.name);
                let what = format!(
                    "`{}` leads into the payload, which is one text under `format = \"text\"`",
                    located.path.text
                );
                self.fault(&written.name.place, &key, what, "write `path = \".\"`");
            }
        }
    }
}

/// Whether a path's first step is a name, as a pivot needs it.
fn begins_with_a_name(path: &Path) -> bool {
    path.root || matches!(path.steps.first(), Some(Step::Key(_)))
}

impl Compiler<'_, '_> {
    fn duplicates_have_times(&mut self) {
        let unique = self.config.on_duplicate.as_ref().filter(|said| said.value.is_unique());
        let Some(said) = unique.filter(|_| self.config.time.is_empty() && self.config.table.is_none()) else { return };
        let what = "without `time` a row bears the time of its receipt, and two messages hardly ever have the same";
        let remedy = "name the time that the payload bears (`time = \"ts\"`), or leave `on_duplicate` out";
        self.faults.push(Fault::warning(&said.place, self.path("on_duplicate"), what, remedy));
    }

    fn when(&mut self, condition: &crate::config::mapping::Condition) -> Option<When> {
        let key = &condition.key;
        let subject = match self.names.find(&key.value) {
            Some(slot) => Subject::Capture(slot),
            None => {
                if let Some(near) = nearest(&key.value, self.names.0.iter().map(String::as_str)) {
                    let warning = Fault::warning(
                        &key.place,
                        self.path("when"),
                        format!("`{}` is no capture, so it is taken as a path", key.value),
                        format!("did you mean `{near}`?"),
                    );
                    self.faults.push(warning);
                }
                Subject::Path(self.located(&key.value, &key.place, "when")?)
            }
        };
        let values = condition.values.iter().map(|word| sources::wanted(&word.value)).collect();
        Some(When { key: key.value.as_str().into(), subject, values })
    }
}
