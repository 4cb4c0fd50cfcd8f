use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::row::TimeSource;
use crate::schema::{Field, Kind, Measurement, OnDuplicate, Type};

/// `m (device; v 0.5, state 0, other)`, with a heartbeat of ten minutes for `v`.
fn schema() -> Schema {
    let field = |name: &str, r#type, deadband| Field {
        name: name.to_owned(),
        kind: Kind::Gauge,
        r#type,
        unit: None,
        description: None,
        decimals: None,
        min: None,
        max: None,
        deadband,
    };
    let band = |amount, heartbeat| Some(Deadband { amount, heartbeat });
    let fields = vec![
        field("v", Type::Float, band(0.5, Some(Duration::from_secs(600)))),
        field("state", Type::Text, band(0.0, None)),
        field("other", Type::Int, None),
    ];
    let measurement = |name: &str, fields| {
        let (name, tags) = (name.to_owned(), vec!["device".to_owned()]);
        Measurement {
            name,
            tags,
            fields,
            max_series: 10,
            own: None,
            on_duplicate: OnDuplicate::Keep,
            retention: None,
            compress: None,
            others: false,
        }
    };
    let plain = vec![field("v", Type::Float, None)];
    Schema { measurements: vec![measurement("plain", plain), measurement("m", fields)] }
}

fn deadbands() -> Deadbands {
    Deadbands::new(&schema())
}

#[test]
fn what_is_known_outlives_a_change_of_the_mapping_where_series_and_type_stay() {
    let stored = || {
        let mut deadbands = deadbands();
        deadbands.stored(&batch(vec![row("a", 0, vec![Some(Value::Float(20.0)), text("on"), None])]), &[]);
        deadbands
    };
    // Another place, another order, one more.
    let mut next = schema();
    let mut measurement = next.measurements.remove(1);
    measurement.fields.swap(0, 1);
    measurement.fields.insert(0, measurement.fields[2].clone());
    measurement.fields[0].name = "new".to_owned();
    next.measurements.insert(0, measurement);
    let mut deadbands = stored();
    deadbands.follow(&schema(), &next);
    let moved =
        |v, state| Row { measurement: 0, ..row("a", 1, vec![Some(Value::Int(1)), state, Some(Value::Float(v)), None]) };
    let mut batch_of_next = batch(vec![moved(20.1, text("on")), moved(21.0, text("off"))]);
    deadbands.leave_out(&mut batch_of_next, Trust::Stored);
    let left: Vec<Vec<bool>> =
        batch_of_next.rows.iter().map(|(_, row)| row.fields.iter().map(Option::is_some).collect()).collect();
    assert_eq!(left, [[true, false, false, false], [true, true, true, false]]);
    assert_eq!(deadbands.bytes, stored().bytes + size_of::<Option<Last>>());
    // Other tags are other series.
    let mut next = schema();
    next.measurements[1].tags = vec!["place".to_owned()];
    let mut deadbands = stored();
    deadbands.follow(&schema(), &next);
    let mut all = batch(vec![v("a", 1, 20.0)]);
    assert!(deadbands.leave_out(&mut all, Trust::Stored).is_empty());
}

fn row(device: &str, second: i64, fields: Vec<Option<Value>>) -> Row {
    Row {
        measurement: 1,
        mapping: Arc::from("m"),
        time: Time(second * 1_000_000),
        time_source: TimeSource::Payload,
        tags: Tags::new([device]),
        fields,
        others: vec![],
    }
}

/// A row with a number only.
fn v(device: &str, second: i64, value: f64) -> Row {
    row(device, second, vec![Some(Value::Float(value)), None, None])
}

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.into()))
}

/// A message for each row.
fn batch(rows: Vec<Row>) -> Batch {
    Batch::of(rows.into_iter().map(|row| vec![row]))
}

/// The messages whose rows are left.
fn left(batch: &Batch) -> Vec<usize> {
    batch.rows.iter().map(|(origin, _)| *origin).collect()
}

/// Stores a batch of these rows; the messages whose rows were left.
fn store(deadbands: &mut Deadbands, rows: Vec<Row>) -> Vec<usize> {
    let mut batch = batch(rows);
    deadbands.leave_out(&mut batch, Trust::All);
    deadbands.stored(&batch, &[]);
    left(&batch)
}

#[test]
fn a_value_is_compared_with_the_last_stored_one_in_one_batch_and_over_many_alike() {
    for (what, values, expected) in [
        ("as before", vec![(0, 20.0), (1, 20.0)], vec![0]),
        ("at most the deadband, up and down", vec![(0, 20.0), (1, 20.5), (2, 19.5), (3, 20.51)], vec![0, 3]),
        ("a slow drift is not lost", vec![(0, 20.0), (1, 20.3), (2, 20.6), (3, 20.9)], vec![0, 2]),
        ("there and back", vec![(0, 20.0), (1, 25.0), (2, 20.0)], vec![0, 1, 2]),
        (
            "the heartbeat, from the last stored one",
            vec![(0, 20.0), (599, 20.0), (600, 20.0), (1_199, 20.0)],
            vec![0, 2],
        ),
        (
            "an older row is kept, and does not become the last",
            vec![(9, 20.0), (5, 20.0), (5, 25.0), (10, 20.0)],
            vec![0, 1, 2],
        ),
    ] {
        let rows: Vec<Row> = values.iter().map(|&(second, value)| v("a", second, value)).collect();
        assert_eq!(store(&mut deadbands(), rows.clone()), expected, "{what}");
        let mut deadbands = deadbands();
        let one_by_one =
            rows.into_iter().enumerate().filter(|(_, row)| !store(&mut deadbands, vec![row.clone()]).is_empty());
        assert_eq!(one_by_one.map(|(n, _)| n).collect::<Vec<_>>(), expected, "{what}, one by one");
    }
}

#[test]
fn each_field_is_compared_for_itself_and_a_row_stays_while_something_is_left_of_it() {
    let int = |n| Some(Value::Int(n));
    let float = |value| Some(Value::Float(value));
    let rows = vec![
        row("a", 0, vec![float(1.0), text("on"), None]),
        row("a", 1, vec![float(9.0), text("on"), None]),
        row("a", 2, vec![float(9.1), text("off"), None]),
        row("a", 3, vec![float(9.2), text("off"), None]),
        // Without a deadband all is kept.
        row("a", 4, vec![float(9.3), text("off"), int(1)]),
        row("a", 5, vec![None, None, int(1)]),
        // A field that had no value in between is compared with its last one.
        row("a", 6, vec![None, text("off"), None]),
        // Other series have other last values.
        row("b", 6, vec![float(9.3), None, None]),
    ];
    let mut batch = batch(rows);
    let before = batch.rows.clone();
    let left_out = deadbands().leave_out(&mut batch, Trust::All);
    let left: Vec<(usize, Vec<Option<Value>>)> = batch.rows.iter().map(|(n, row)| (*n, row.fields.clone())).collect();
    let expected = vec![
        (0, vec![float(1.0), text("on"), None]),
        (1, vec![float(9.0), None, None]),
        (2, vec![None, text("off"), None]),
        (4, vec![None, None, int(1)]),
        (5, vec![None, None, int(1)]),
        (7, vec![float(9.3), None, None]),
    ];
    assert_eq!(left, expected);
    assert_eq!(batch.messages.len(), 8, "a message of which no row is left is settled with the others");
    assert_eq!(left_out.counts(&batch), HashMap::from([(1, (1 + 1 + 2 + 2 + 1, 2))]));
    // In the words of the whole batch.
    assert_eq!(left_out.in_whole(vec![(0, ()), (2, ()), (3, ()), (5, ())]), [(0, ()), (2, ()), (4, ()), (7, ())]);
    left_out.put_back(&mut batch);
    assert_eq!(batch.rows, before);
    // So is a value that no field names.
    let others = |second| Row { others: vec![("more".into(), Value::Float(1.0))], ..v("c", second, 1.0) };
    assert_eq!(store(&mut deadbands(), vec![others(0), others(1)]), [0, 1]);
}

#[test]
fn words_truth_values_and_whole_numbers_are_compared_too() {
    let band = |amount| Deadband { amount, heartbeat: None };
    let same = |amount, last, value| is_within(band(amount), (&last, Time(0)), (&value, Time(0)));
    assert!(same(0.0, Value::Bool(true), Value::Bool(true)) && !same(0.0, Value::Bool(true), Value::Bool(false)));
    assert!(same(0.0, Value::Int(i64::MIN), Value::Int(i64::MIN)));
    assert!(!same(0.0, Value::Int(i64::MAX), Value::Int(i64::MAX - 1)));
    assert!(same(3.0, Value::Int(-1), Value::Int(2)) && !same(3.0, Value::Int(-1), Value::Int(3)));
    assert!(!same(5.0, Value::Int(i64::MIN), Value::Int(i64::MAX)));
    // In binary 20.3 − 20.2 is more than 0.1.
    assert!(same(0.1, Value::Float(20.2), Value::Float(20.3)) && !same(0.1, Value::Float(20.2), Value::Float(20.301)));
    assert!(same(0.0, Value::Float(0.0), Value::Float(-0.0)));
    assert!(!same(0.0, Value::Float(1.0), Value::Float(1.0 + f64::EPSILON)));
}

#[test]
fn nothing_is_left_out_because_of_a_row_that_was_not_stored() {
    let mut deadbands = deadbands();
    store(&mut deadbands, vec![v("a", 0, 20.0)]);
    // The store refuses 451; 451.2 would have been left out because of it.
    let mut batch = batch(vec![
        v("a", 1, 20.1),
        v("a", 2, 451.0),
        v("a", 3, 451.2),
        v("a", 4, 20.2),
        v("b", 1, 7.0),
        v("b", 2, 7.0),
    ]);
    let left_out = deadbands.leave_out(&mut batch, Trust::All);
    assert_eq!(left(&batch), [1, 3, 4]);
    left_out.put_back(&mut batch);
    // Now only what is stored counts: the first is as before, whatever becomes of the others.
    deadbands.leave_out(&mut batch, Trust::Stored);
    assert_eq!(left(&batch), [1, 2, 3, 4, 5]);
    deadbands.stored(&batch, &[(0, "no".to_owned()), (3, "no".to_owned())]);
    assert_eq!(store(&mut deadbands, vec![v("a", 5, 20.3), v("b", 3, 7.1)]), [0; 0]);
    assert_eq!(store(&mut deadbands, vec![v("a", 6, 451.0)]), [0]);
}

#[test]
fn a_batch_that_is_not_stored_leaves_no_trace() {
    let mut deadbands = deadbands();
    let mut first = batch(vec![v("a", 0, 20.0)]);
    deadbands.leave_out(&mut first, Trust::All);
    assert_eq!(store(&mut deadbands, vec![v("a", 1, 20.0)]), [0]);
    deadbands.forget();
    assert_eq!(store(&mut deadbands, vec![v("a", 2, 20.0)]), [0]);
}

#[test]
fn an_older_row_that_may_be_refused_makes_the_newest_no_less_sure() {
    let mut deadbands = deadbands();
    store(&mut deadbands, vec![v("a", 10, 20.0)]);
    let mut batch = batch(vec![v("a", 5, 3.0), v("a", 11, 20.0)]);
    deadbands.leave_out(&mut batch, Trust::Stored);
    assert_eq!(left(&batch), [0]);
}

#[test]
fn a_measurement_without_a_deadband_is_neither_compared_nor_remembered() {
    let mut deadbands = deadbands();
    let plain = |second| Row { measurement: 0, fields: vec![Some(Value::Float(1.0))], ..v("a", second, 1.0) };
    assert_eq!(store(&mut deadbands, vec![plain(0), plain(0)]), [0, 1]);
    assert_eq!(deadbands.bytes, 0);
}

#[test]
fn what_is_remembered_is_bounded_and_the_count_is_kept() {
    let mut deadbands = deadbands();
    let mut most = 0;
    for n in 0..60_000_usize {
        // Some come again, with a text of another length.
        let device = format!("{:0>100}", n % 40_000);
        store(&mut deadbands, vec![row(&device, 0, vec![None, text(&"x".repeat(n % 700)), None])]);
        most = most.max(deadbands.bytes);
        if n % 1_000 == 0 {
            let each = deadbands.last[1].iter().map(|(tags, known)| {
                let texts = known.iter().flatten().map(|last| text_bytes(&last.value)).sum::<usize>();
                ENTRY_BYTES + tags.bytes() + known.len() * size_of::<Option<Last>>() + texts
            });
            assert_eq!(each.sum::<usize>(), deadbands.bytes);
        }
    }
    assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&most), "{most}");
}
