//! JSON read in one pass by serde visitors that skip what no path leads to.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Doc, Kept, MAX_DEPTH, Want};
use crate::mapping::run::MAX_ROWS;

impl Want {
    /// Reads `payload` as JSON.
    ///
    /// # Errors
    /// What is not JSON, with line and column; more than 128 levels. If `kept` are too many then, that is why.
    pub fn read<'p>(&self, payload: &'p str, kept: &Kept) -> Result<Doc<'p>, String> {
        check_depth(payload)?;
        let before = kept.count();
        let read = |careful| {
            kept.back_to(before);
            let mut deserializer = serde_json::Deserializer::from_str(payload);
            let doc = Project { want: self, careful, kept }.deserialize(&mut deserializer)?;
            deserializer.end().map(|()| doc)
        };
        match read(false) {
            // A number beyond f64 where an object was looked for is no fault of the others.
            Err(error) if error.to_string().starts_with("number out of range") => read(true),
            result => result,
        }
        .map_err(|error: serde_json::Error| error.to_string())
    }
}

/// serde_json bounds the depth of what it hands out, not of what it skips or keeps as text.
pub(in crate::mapping) fn check_depth(payload: &str) -> Result<(), String> {
    // Almost no payload has that many brackets. They differ in one bit, and what is counted in bytes is counted sixteen
    // at a time.
    let count = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    let opening: usize = payload.as_bytes().chunks(255).map(|bytes| usize::from(count(bytes))).sum();
    if opening <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in payload.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH} levels at byte {at}"));
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

struct Project<'w> {
    want: &'w Want,
    /// Looks at a value before it is read, so that a number which is not wanted is not converted. Costs a second look
    /// at every object.
    careful: bool,
    kept: &'w Kept,
}

impl<'w> Project<'w> {
    fn part(&self, want: &'w Want) -> Self {
        Self { want, careful: self.careful, kept: self.kept }
    }

    fn keep<E: serde::de::Error>(&self) -> Result<(), E> {
        self.kept.add(1).map_err(|full| E::custom(full.detail))
    }
}

impl<'de> DeserializeSeed<'de> for Project<'_> {
    type Value = Doc<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Doc<'de>, D::Error> {
        if !self.want.keep && !self.careful && self.want.alone.is_none() {
            return deserializer.deserialize_any(self);
        }
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if let Some(alone) = &self.want.alone
            && !json.starts_with('[')
        {
            let mut element = serde_json::Deserializer::from_str(json);
            let doc = self.part(alone).deserialize(&mut element).map_err(D::Error::custom)?;
            return Ok(Doc::Alone(Box::new(doc)));
        }
        if !self.want.wants_parts() || !json.starts_with(['{', '[']) {
            return Ok(if self.want.keep { Doc::Json(json) } else { Doc::Other });
        }
        let keep = self.want.keep;
        // Both the whole and parts of it: rare, so it is read twice rather than the visitors being doubled.
        let mut parts = serde_json::Deserializer::from_str(json);
        let mut doc = parts.deserialize_any(self).map_err(D::Error::custom)?;
        if let Doc::Object { json: whole, .. } | Doc::Array { json: whole, .. } = &mut doc
            && keep
        {
            *whole = Some(Box::new(json));
        }
        Ok(doc)
    }
}

impl<'de> Visitor<'de> for Project<'_> {
    type Value = Doc<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Doc<'de>, E> {
        Ok(Doc::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Doc<'de>, E> {
        Ok(Doc::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Doc<'de>, E> {
        Ok(Doc::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Doc<'de>, E> {
        Ok(Doc::Other)
    }
    fn visit_str<E>(self, _: &str) -> Result<Doc<'de>, E> {
        Ok(Doc::Other)
    }
    fn visit_unit<E>(self) -> Result<Doc<'de>, E> {
        Ok(Doc::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Doc<'de>, A::Error> {
        // What is wanted is there most of the time; a payload cannot make it large.
        let room = if self.kept.are_many() { 0 } else { self.want.keys.len().min(32) };
        let mut members = Vec::with_capacity(room);
        while let Some(wanted) = map.next_key_seed(Key(self.want))? {
            match wanted {
                Some((key, want)) => {
                    self.keep()?;
                    members.push((key, map.next_value_seed(self.part(want))?));
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if self.kept.are_many() {
            members.shrink_to_fit();
        }
        Ok(Doc::object(members, Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Doc<'de>, A::Error> {
        let mut items = Vec::new();
        for index in 0.. {
            // Beyond what gives rows nothing is kept.
            let want = self.want.of_index(index).filter(|_| items.len() <= MAX_ROWS);
            let more = match want {
                Some(want) => match seq.next_element_seed(self.part(want))? {
                    Some(doc) => {
                        self.keep()?;
                        items.push((index, doc));
                        true
                    }
                    None => false,
                },
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        if self.kept.are_many() {
            items.shrink_to_fit();
        }
        Ok(Doc::Array { json: None, items })
    }
}

/// Leaves the last value of a key that comes twice, at the place of the first.
pub(in crate::mapping) fn last_of_each(members: &mut Vec<(Cow<'_, str>, Doc<'_>)>) {
    if members.len() <= 16 {
        let mut index = 1;
        while index < members.len() {
            match (0..index).find(|earlier| members[*earlier].0 == members[index].0) {
                Some(earlier) => members[earlier].1 = members.remove(index).1,
                None => index += 1,
            }
        }
        return;
    }
    // Equal keys beside one another, each key's in their order.
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|one, other| members[*one].0.cmp(&members[*other].0));
    let mut outdated = vec![false; members.len()];
    for same in order.chunk_by(|one, other| members[*one].0 == members[*other].0).collect::<Vec<_>>() {
        if let [first, .., last] = same {
            members[*first].1 = std::mem::replace(&mut members[*last].1, Doc::Other);
            same[1..].iter().for_each(|later| outdated[*later] = true);
        }
    }
    let mut outdated = outdated.into_iter();
    members.retain(|_| outdated.next() != Some(true));
}

/// Tells whether the value of a key is wanted; only then is the key kept.
struct Key<'w>(&'w Want);

impl<'de, 'w> DeserializeSeed<'de> for Key<'w> {
    type Value = Option<(Cow<'de, str>, &'w Want)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, 'w> Visitor<'de> for Key<'w> {
    type Value = Option<(Cow<'de, str>, &'w Want)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(self.0.of_key(key).map(|want| (Cow::Borrowed(key), want)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.of_key(key).map(|want| (Cow::Owned(key.to_owned()), want)))
    }
}
