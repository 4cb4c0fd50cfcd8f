//! The time and the tags of a row.

use std::borrow::Cow;

use super::{MAX_TAG_BYTES, Refused, Run};
use crate::mapping::compiled::{Layout, Located, Subject, Tag, TagSource, TimeSource as Written};
use crate::mapping::document::Doc;
use crate::mapping::explain::Part;
use crate::mapping::time::{self, Moment};
use crate::mapping::value::Scalar;
use crate::message::Time;
use crate::row::{Reason, Tags, TimeSource};

/// Why what stands somewhere is no time.
enum TimeRefused {
    /// It is an object or array: another source may have a scalar.
    Passed(String),
    Read(String),
}

impl<'r, 'm> Run<'r, 'm> {
    /// The time of `row` and where it comes from; `Err` says why it cannot be read.
    pub(super) fn time(&self, row: &'r Doc<'m>) -> Result<(Time, TimeSource), Refused<'r>> {
        let received_at = self.message.received_at;
        if self.mapping.times.is_empty() {
            return Ok((received_at, TimeSource::Receipt));
        }
        let mut passed_over = None;
        for (index, source) in self.mapping.times.iter().enumerate() {
            let refused = |located: Option<&'r Located>| {
                move |detail| Refused { part: Part::Time(index), reason: Reason::Time, detail, located }
            };
            let mut scalar = |located: &'r Located| match self.scalar_text(located, row) {
                Ok(text) => Ok(text),
                // An object or array, behind which there may be a scalar.
                Err(TimeRefused::Passed(detail)) => {
                    passed_over.get_or_insert_with(|| refused(Some(located))(detail));
                    Ok(None)
                }
                Err(TimeRefused::Read(detail)) => Err(refused(Some(located))(detail)),
            };
            let since = match &source.since {
                None => None,
                Some(since) => match scalar(since)? {
                    Some(text) => {
                        let moment = self.moment(&text, source.since_format.as_ref(), source, since);
                        Some((moment.map_err(refused(Some(since)))?, text))
                    }
                    None => continue,
                },
            };
            let own = if let Subject::Path(located) = &source.subject { Some(located) } else { None };
            let text = match &source.subject {
                Subject::Capture(slot) => self.captures[*slot].clone().filter(|text| !text.trim().is_empty()),
                Subject::Path(located) => scalar(located)?,
            };
            let moment = match (since, text) {
                (None, None) => continue,
                (Some((base, _)), None) => base,
                (None, Some(text)) => match &source.subject {
                    Subject::Path(located) => self.moment(&text, source.style.as_ref(), source, located),
                    Subject::Capture(slot) => self.moment_of(&text, source.style.as_ref(), source, || {
                        format!("capture `{{{}}}`", self.mapping.captures.0[*slot])
                    }),
                }
                .map_err(refused(own))?,
                (Some((base, since)), Some(text)) => {
                    match (base, time::read_span(text.trim(), source.style.as_ref())) {
                        (Moment::At(base), Some(span)) => {
                            base.0.checked_add(span).map_or(Moment::Beyond, |time| Moment::At(Time(time)))
                        }
                        (Moment::Beyond | Moment::NoZone | Moment::Unreadable, Some(_)) => Moment::Beyond,
                        (_, None) => {
                            let (zone, format) = (source.zone.as_ref(), source.since_format.as_ref());
                            time::on_date(since.trim(), format, text.trim(), zone, received_at).ok_or_else(|| {
                                let shown = Scalar::Text(text).shown();
                                let other =
                                    "no number to count from `since`, and no time of day on a date that stands there";
                                refused(own)(format!("time got {shown}, which is {other}{}", self.at_row()))
                            })?
                        }
                    }
                }
            };
            return self.within(moment).map_err(refused(own));
        }
        passed_over.map_or(Ok((received_at, TimeSource::Absent)), Err)
    }

    /// The policy for times that are too early or too late.
    fn within(&self, moment: Moment) -> Result<(Time, TimeSource), String> {
        let received_at = self.message.received_at;
        let latest = Time(received_at.0.saturating_add(self.mapping.not_after));
        let what = match moment {
            Moment::At(time) if time >= self.mapping.not_before && time <= latest && time::is_storable(time) => {
                return Ok((time, TimeSource::Payload));
            }
            Moment::At(time) if time < self.mapping.not_before => {
                format!("time {time} is before `not_before` ({})", self.mapping.not_before)
            }
            Moment::At(time) => format!("time {time} is later than `not_after` allows ({latest})"),
            Moment::Beyond | Moment::NoZone | Moment::Unreadable => "time is a number beyond any date".to_owned(),
        };
        if self.mapping.reject_outside {
            return Err(format!("{what}{}", self.at_row()));
        }
        Ok((received_at, TimeSource::Outside))
    }

    /// The text of a time; `None` if it is absent, null or empty.
    fn scalar_text(&self, located: &'r Located, row: &'r Doc<'m>) -> Result<Option<Cow<'r, str>>, TimeRefused> {
        let Some(doc) = self.locate(located, row) else { return Ok(None) };
        let text = match Scalar::of(doc) {
            Scalar::Null => return Ok(None),
            Scalar::Text(text) => text,
            Scalar::Number(digits) => Cow::Borrowed(digits),
            other => {
                let unreadable =
                    || format!("time at `{}` got {}, which is no time", self.place(located), other.shown());
                return match other {
                    _ if other.is_empty() => Ok(None),
                    Scalar::Composite(_) => Err(TimeRefused::Passed(unreadable())),
                    _ => Err(TimeRefused::Read(unreadable())),
                };
            }
        };
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }

    fn moment(
        &self,
        text: &str,
        style: Option<&time::Style>,
        source: &Written,
        located: &'r Located,
    ) -> Result<Moment, String> {
        self.moment_of(text, style, source, || format!("`{}`", self.place(located)))
    }

    fn moment_of(
        &self,
        text: &str,
        style: Option<&time::Style>,
        source: &Written,
        place: impl Fn() -> String,
    ) -> Result<Moment, String> {
        let shown = || Scalar::Text(Cow::Borrowed(text)).shown();
        match time::read(text.trim(), style, source.zone.as_ref(), self.message.received_at) {
            Moment::NoZone => Err(format!(
                "time at {} got {}, which bears no zone: add `zone = \"Europe/Lisbon\"` (yours) to `mapping.{}`",
                place(),
                shown(),
                self.mapping.name
            )),
            Moment::Unreadable => Err(format!(
                "time at {} got {}, which is no time{}",
                place(),
                shown(),
                match style {
                    Some(time::Style::Format(format)) => format!(" in the format `{format}`"),
                    Some(time::Style::Unit(_)) => " as a number".to_owned(),
                    None => ": add `format`".to_owned(),
                }
            )),
            moment @ (Moment::At(_) | Moment::Beyond) => Ok(moment),
        }
    }

    fn tag_value(&self, tag: &Tag, source: &'r TagSource, row: &'r Doc<'m>) -> Result<Cow<'_, str>, (Reason, String)> {
        let located = match source {
            TagSource::Value(value) => return Ok(Cow::Borrowed(&**value)),
            TagSource::Capture(slot) => {
                return Ok(self.captures[*slot].as_deref().map(Cow::Borrowed).unwrap_or_default());
            }
            TagSource::Template(pattern) => return Ok(Cow::Owned(pattern.fill_or_empty(&self.captures))),
            TagSource::Path(located) => located,
        };
        let got = |what: &str| format!("tag `{}` at `{}` got {what}", tag.name, self.place(located));
        match self.locate(located, row).map(Scalar::of) {
            None | Some(Scalar::Null) => Ok(Cow::Borrowed("")),
            Some(Scalar::Text(text)) => Ok(text),
            Some(Scalar::Number(digits)) => Ok(Cow::Borrowed(digits)),
            Some(Scalar::Bool(value)) => Ok(Cow::Borrowed(if value { "true" } else { "false" })),
            Some(other) if other.is_empty() => Ok(Cow::Borrowed("")),
            Some(other @ Scalar::Composite(_)) => {
                Err((Reason::Tag, format!("{}, which is no text", got(&other.shown()))))
            }
            Some(other @ Scalar::Broken) => Err((Reason::Unstorable, got(&other.shown()))),
        }
    }

    /// The tag values of `row`, in the order of the measurement.
    pub(super) fn tags(&self, layout: &Layout, row: &'r Doc<'m>) -> Result<Tags, Refused<'r>> {
        let mut values: Vec<Cow<'_, str>> = Vec::with_capacity(self.mapping.tags.len());
        for (index, tag) in self.mapping.tags.iter().enumerate() {
            let refused = |located: Option<&'r Located>| {
                move |(reason, detail)| Refused { part: Part::Tag(index), reason, detail, located }
            };
            let mut value = Cow::Borrowed("");
            let mut passed_over = None;
            for source in &tag.sources {
                let located = if let TagSource::Path(located) = source { Some(located) } else { None };
                value = match self.tag_value(tag, source, row) {
                    // An object or array, behind which there may be a scalar.
                    Err(refusal @ (Reason::Tag, _)) => {
                        passed_over.get_or_insert_with(|| refused(located)(refusal));
                        continue;
                    }
                    value => value.map_err(refused(located))?,
                };
                if !value.is_empty() {
                    break;
                }
            }
            if value.is_empty()
                && let Some(refusal) = passed_over
            {
                return Err(refusal);
            }
            if !tag.words.is_empty()
                && let Some(word) = tag.words.get(value.trim())
            {
                value = Cow::Borrowed(word);
            }
            if value.is_empty() && tag.required {
                let detail = format!("tag `{}` is required and has no value{}", tag.name, self.at_row());
                return Err(refused(None)((Reason::Tag, detail)));
            }
            if value.len() > MAX_TAG_BYTES {
                let detail = format!(
                    "tag `{}` has {} bytes, {MAX_TAG_BYTES} is the most{}",
                    tag.name,
                    value.len(),
                    self.at_row()
                );
                return Err(refused(None)((Reason::Tag, detail)));
            }
            if value.contains('\0') {
                let detail = format!("tag `{}` holds a NUL character{}", tag.name, self.at_row());
                return Err(refused(None)((Reason::Unstorable, detail)));
            }
            values.push(value);
        }
        Ok(Tags::new(layout.tags.iter().map(|tag| tag.map_or("", |index| &*values[index]))))
    }
}
