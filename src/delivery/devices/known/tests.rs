//! The bounds of what is known, and what comes back.

use std::sync::Arc;

use super::*;
use crate::schema::{Field, Kind as FieldKind, MAX_SERIES, Type};

fn schema(fields: &[&str]) -> Schema {
    Schema { measurements: vec![measurement("m", fields)] }
}

/// With one tag.
pub(in super::super) fn measurement(name: &str, fields: &[&str]) -> Measurement {
    let field = |name: &&str| Field {
        name: (*name).to_owned(),
        kind: FieldKind::Gauge,
        r#type: Type::Int,
        unit: None,
        description: None,
        decimals: None,
        min: None,
        max: None,
        deadband: None,
    };
    Measurement {
        name: name.into(),
        tags: vec!["device".into()],
        fields: fields.iter().map(field).collect(),
        max_series: MAX_SERIES,
        retention: None,
        compress: None,
        on_duplicate: OnDuplicate::Keep,
        others: false,
        own: None,
    }
}

/// A row of each device, received and measured at this second, with this value in the first of two fields.
fn heard(devices: impl IntoIterator<Item = String>, second: i64, value: i64) -> Heard {
    let row = |device: String| Row {
        measurement: 0,
        mapping: Arc::from("m"),
        time: Time(second * 1_000_000),
        time_source: TimeSource::Payload,
        tags: Tags::new([device.as_str()]),
        fields: vec![Some(Value::Int(value)), None],
        others: vec![],
    };
    let rows: Vec<(usize, Row)> = devices.into_iter().map(|device| (0, row(device))).collect();
    let receipts = vec![(Time(second * 1_000_000), false)];
    Heard { rows, unchanged: vec![], receipts, refused: vec![], _room: None }
}

/// Looks up all that lack it in a table that has nothing.
fn look(known: &mut Known) {
    for asked in known.without_base(known.generation).unwrap() {
        let found = (0..asked.devices.len()).map(|place| (place, Base::default())).collect();
        known.looked_up(asked, found);
    }
}

fn one(known: &mut Known) -> Taken {
    let mut taken = known.take(known.generation).unwrap();
    assert_eq!(taken.len(), 1);
    let mut of = taken.remove(0);
    assert_eq!(of.devices.len(), 1);
    of.devices.remove(0)
}

#[test]
fn memory_is_bounded_whatever_is_heard_and_what_is_written_makes_room() {
    let mut known = Known::new(schema(&["a", "b"]));
    let all = |known: &Known| known.bytes + known.new_bytes + known.taken_bytes;
    let mut most = 0;
    for round in 0..200 {
        known.hear(heard((0..1_000).map(|n| format!("{round}/{n:0>50}")), round, 1));
        assert!(all(&known) <= MAX_BYTES);
        let kind = &known.kinds[0].devices;
        let counted: usize = kind.keys().map(|tags| BYTES.0 + tags.bytes()).sum();
        let news: usize = kind.values().filter_map(|device| device.news.as_deref()).map(weight).sum();
        assert_eq!((counted, news), (known.bytes, known.new_bytes), "the count is kept");
        most = most.max(all(&known));
    }
    assert!(most > MAX_BYTES * 9 / 10 && known.is_urgent());
    assert!(known.take_missed() && !known.take_missed());
    look(&mut known);
    let written: usize = known.take(known.generation).unwrap().iter().map(|of| of.devices.len()).sum();
    known.written(vec![]);
    assert!(written > 20_000, "{written} devices in {MAX_BYTES} bytes");
    // What is written is forgotten for what is new.
    known.hear(heard((0..20_000).map(|n| format!("new {n:0>50}")), 1_000, 1));
    assert!(
        !known.take_missed()
            && known.kinds[0].devices.keys().any(|tags| tags.iter().next().unwrap().starts_with("new 0"))
    );
    assert!(all(&known) <= MAX_BYTES);
}

#[test]
fn what_could_not_be_written_comes_back_and_is_newer_than_nothing_that_came_meanwhile() {
    let mut known = Known::new(schema(&["a", "b"]));
    known.hear(heard(["d".into()], 10, 1));
    look(&mut known);
    let taken = known.take(known.generation).unwrap();
    known.hear(heard(["d".into()], 20, 2));
    known.hear(heard(["d".into()], 15, 3));
    known.written(taken);
    let (_, base, news) = one(&mut known);
    assert_eq!(base.last_time, None, "nothing is in the table");
    assert_eq!(news.fields[0], Some((Time(20_000_000), Value::Int(2))));
    assert_eq!((news.first_seen, news.last_time), (Some(Time(10_000_000)), Some(Time(20_000_000))));
    assert_eq!(news.gaps.count, 1, "10 to 20; the clock was set back then");
    known.written(vec![]);
    known.hear(heard(["d".into()], 30, 4));
    assert_eq!(one(&mut known).1.last_time, Some(Time(20_000_000)));
}

#[test]
fn the_gaps_go_on_from_what_the_table_has_however_late_it_is_looked_up() {
    let mut known = Known::new(schema(&["a", "b"]));
    for second in [70, 130, 190] {
        known.hear(heard(["d".into()], second, second));
    }
    let asked = known.without_base(known.generation).unwrap().remove(0);
    known.hear(heard(["d".into()], 250, 250));
    let gaps = Gaps { count: 20, sum: 600.0, squares: 36_000.0 };
    let last = Some(Time(10_000_000));
    known.looked_up(asked, vec![(0, Base { last_seen: last, last_time: last, gaps })]);
    let (_, base, news) = one(&mut known);
    assert_eq!((base.last_seen, news.gaps.count, news.last_seen), (last, 24, Some(Time(250_000_000))));
    assert!((news.gaps.usual().unwrap() - 60.0).abs() < 0.001);
}

#[test]
fn a_device_that_the_store_does_not_know_is_forgotten_and_refused_rows_are_not_heard() {
    let mut known = Known::new(schema(&["a", "b"]));
    known.hear(Heard { refused: vec![0], ..heard(["bad".into(), "gone".into(), "good".into()], 10, 1) });
    let asked = known.without_base(known.generation).unwrap().remove(0);
    assert_eq!(asked.devices.len(), 2);
    let good = asked.devices.iter().position(|tags| *tags == Tags::new(["good"])).unwrap();
    known.looked_up(asked, vec![(good, Base::default())]);
    assert_eq!(one(&mut known).0, Tags::new(["good"]));
    assert_eq!(known.kinds[0].devices.len(), 1);
}

#[test]
fn what_is_new_is_not_written_through_a_store_that_has_opened_another_schema() {
    let two = |first: &str, second: &str| Schema {
        measurements: vec![measurement(first, &["a"]), measurement(second, &["a"])],
    };
    let mut known = Known::new(two("m", "n"));
    known.hear(heard(["d".into()], 10, 1));
    let (opened, _) = known.schema();
    // While the store is opening, they change places.
    known.follow(two("n", "m"));
    assert!(known.without_base(opened).is_none());
    look(&mut known);
    assert!(known.take(opened).is_none() && known.has_news());
    let (opened, schema) = known.schema();
    assert_eq!(schema.measurements[1].name, "m");
    let taken = known.take(opened).unwrap();
    assert_eq!((taken.len(), taken[0].measurement, taken[0].devices.len()), (1, 1, 1));
}

#[test]
fn under_another_schema_values_keep_their_names_and_what_was_being_written_is_found_in_the_data() {
    let mut known = Known::new(schema(&["a", "b"]));
    known.hear(heard(["d".into()], 10, 1));
    look(&mut known);
    assert!(!known.take_missed());
    known.follow(schema(&["c", "a", "b"]));
    assert!(known.take_missed(), "there may be tables of before that are ours now");
    known.hear(heard(["d".into()], 20, 2));
    let taken = known.take(known.generation).unwrap();
    let news = &taken[0].devices[0].2;
    assert_eq!(news.others["a"], (Time(10_000_000), Value::Int(1)));
    assert_eq!(news.fields[0], Some((Time(20_000_000), Value::Int(2))));
    known.follow(Schema::default());
    known.written(taken);
    assert!(known.take_missed());
}
