//! What is stored is what was given: types, nulls, extremes, series, rejects.

use std::sync::Arc;

use amber::message::{Malformed, Time};
use amber::row::{Reason, Reject, Value};
use amber::schema::{Schema, Type};

use super::subject::{Home, NOON, batch, climate, field, measurement, message, push_reject, row, temperatures};

fn all_types() -> Schema {
    let fields = [
        ("f", Type::Float),
        ("i", Type::Int),
        ("b", Type::Bool),
        ("t", Type::Text),
        ("j", Type::Json),
        ("at", Type::Time),
    ];
    let fields = fields.map(|(name, r#type)| field(name, r#type)).to_vec();
    Schema { measurements: vec![measurement("all", &["device"], fields)] }
}

/// First microsecond of PostgreSQL's timestamptz, and the last that 64 bits count from 1970.
const FIRST: Time = Time(-210_866_803_200_000_000);
const LAST: Time = Time(i64::MAX);

#[test]
fn all_types_come_back_with_nulls_and_extremes() {
    for home in Home::both() {
        let mut store = home.ready(&all_types());
        let values = |f, i, b, t: &str, j: &str, at| {
            vec![
                Some(Value::Float(f)),
                Some(Value::Int(i)),
                Some(Value::Bool(b)),
                Some(Value::Text(t.into())),
                Some(Value::Json(j.into())),
                Some(Value::Time(at)),
            ]
        };
        let rows = vec![
            row(0, &["usual"], values(21.5, 7, true, "it's °C \"x\" \\", r#"{"a":[1,null,"ü"]}"#, NOON)),
            row(0, &["low"], values(f64::MIN, i64::MIN, false, "", "null", FIRST)),
            row(0, &["high"], values(f64::MAX, i64::MAX, true, "🦟", "[]", LAST)),
            row(0, &["tiny"], values(f64::MIN_POSITIVE, 0, false, " ", "1e400", Time(0))),
            row(0, &["one"], vec![None, Some(Value::Int(1)), None, None, None, None]),
            row(0, &["null"], vec![None; 6]),
        ];
        let count = rows.len() as u64;
        assert_eq!(store.write(&batch(rows), 1).unwrap().rows, count);
        let mut sql = home.sql();
        let mut is = |device: &str, condition: &str| {
            let view = home.view("all");
            let found = sql.number(&format!("select count(*) from {view} where device = '{device}' and {condition}"));
            assert_eq!(found, Ok(1), "{device}: {condition}");
        };
        let time = |time: Time, postgres: &str| {
            if home.is_postgres() { format!("at = '{postgres}'") } else { format!("at = {}", time.0) }
        };
        is("usual", "f = 21.5 and i = 7 and b and t = 'it''s °C \"x\" \\'");
        is("usual", &time(NOON, "2026-11-25 12:00Z"));
        is("low", "f = -1.7976931348623157e308 and i = -9223372036854775808 and not b and t = ''");
        is("low", &time(FIRST, "4714-11-24 00:00:00 BC +00"));
        is("high", "f = 1.7976931348623157e308 and i = 9223372036854775807 and t = '🦟'");
        is("high", &time(LAST, "294247-01-10 04:00:54.775807+00"));
        is("tiny", "f = 2.2250738585072014e-308 and i = 0 and t = ' '");
        is("one", "f is null and i = 1 and b is null and t is null and j is null and at is null");
        is("null", "f is null and i is null");
        if home.is_postgres() {
            is(
                "usual",
                "j->'a'->>2 = 'ü' and j->'a'->1 = 'null'::jsonb and time = '2026-11-25 12:00Z' and received_at = '2026-11-25 12:00:00.001Z'",
            );
            is("tiny", "length(j::text) = 401");
        } else {
            is("usual", "j->'a'->>2 = 'ü' and time = 1795608000000000 and received_at = 1795608000001000");
            is("usual", "time_utc = '2026-11-25T12:00:00.000Z' and typeof(f) = 'real' and typeof(b) = 'integer'");
        }
    }
}

#[test]
fn times_that_postgresql_would_take_for_infinity_are_refused() {
    let home = Home::Postgres(crate::support::postgres::database());
    let mut store = home.ready(&all_types());
    for (number, at) in
        [Time(i64::MIN), Time(i64::MIN + 946_684_800_000_000), Time(FIRST.0 - 1)].into_iter().enumerate()
    {
        let mut fields = vec![None; 6];
        fields[5] = Some(Value::Time(at));
        let batch = batch(vec![row(0, &["x"], fields)]);
        let number = number as i64 + 1;
        super::subject::refused(store.write(&batch, number));
        let written = store.write_apart(&batch, number).unwrap();
        assert_eq!((written.rows, written.rejects), (0, 1));
    }
    assert_eq!(home.count("rejects"), 3);
}

#[test]
fn batches_of_every_size_are_stored_whole() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        let mut all = 0;
        for (number, size) in [1, 2, 63, 64, 65, 127, 1_000, 5_000, 3].into_iter().enumerate() {
            let written = store.write(&temperatures((0..size).map(f64::from)), number as i64 + 1).unwrap();
            assert_eq!(written.rows, size as u64);
            all += i64::from(size);
            assert_eq!(home.count("climate"), all);
        }
    }
}

#[test]
fn many_tables_and_wide_ones_are_stored_whole() {
    for home in Home::both() {
        let wide = (0..600).map(|n| field(&format!("f{n}"), Type::Float)).collect();
        let mut measurements: Vec<_> =
            (0..20).map(|n| measurement(&format!("m{n}"), &["device"], vec![field("v", Type::Int)])).collect();
        measurements.push(measurement("wide", &[], wide));
        let mut store = home.ready(&Schema { measurements });
        let narrow = |n: usize| row(n, &["d"], vec![Some(Value::Int(n as i64))]);
        let wide = || row(20, &[""], (0..600).map(|n| Some(Value::Float(f64::from(n)))).collect());
        let mut several = batch((0..20).map(narrow).chain((0..100).map(|_| wide())).collect());
        let reject = Reject { mapping: None, reason: Reason::Payload, detail: "no".to_owned() };
        push_reject(&mut several, message("x", b"?"), reject);
        assert_eq!(store.write(&several, 1).unwrap().rows, 120);
        // Few enough for one statement.
        assert_eq!(store.write(&batch(vec![narrow(3), narrow(5), narrow(3)]), 2).unwrap().rows, 3);
        assert_eq!((home.count("m3"), home.count("m5"), home.count("wide")), (3, 2, 100));
        assert_eq!(home.count("rejects"), 1);
        assert_eq!(home.sql().number(&format!("select count(*) from {} where f599 = 599", home.view("wide"))), Ok(100));
        assert_eq!(store.adopt().unwrap().seq, 2);
    }
}

#[test]
fn series_are_made_once_and_found_again_by_every_process() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        let rows = |from: usize, to: usize| {
            let row = |n: usize| row(0, &["room", &format!("device {n}")], vec![Some(Value::Float(n as f64))]);
            batch((from..to).chain(from..to).map(row).collect())
        };
        store.write(&rows(0, 1_500), 1).unwrap();
        store.write(&rows(1_000, 2_000), 2).unwrap();
        let mut other = home.store(2);
        other.prepare(&climate()).unwrap();
        other.adopt().unwrap();
        other.write(&rows(500, 2_001), 3).unwrap();
        let mut sql = home.sql();
        assert_eq!(sql.number(&format!("select count(*) from {}", home.table("climate_series"))), Ok(2_001));
        let wrong = format!(
            "select count(*) from {} where device <> 'device ' || cast(cast(temperature as integer) as text)",
            home.view("climate")
        );
        assert_eq!(sql.number(&wrong), Ok(0));
        assert_eq!(home.count("climate"), 3_000 + 2_000 + 3_002);
    }
}

#[test]
fn a_measurement_without_tags_has_one_series() {
    for home in Home::both() {
        let schema = Schema { measurements: vec![measurement("site", &[], vec![field("power", Type::Float)])] };
        for owner in 1..3 {
            let mut store = home.store(owner);
            store.prepare(&schema).unwrap();
            store.adopt().unwrap();
            store.write(&batch(vec![row(0, &[], vec![Some(Value::Float(1.0))])]), owner).unwrap();
        }
        assert_eq!(home.sql().number(&format!("select count(*) from {}", home.table("site_series"))), Ok(1));
        assert_eq!(home.count("site"), 2);
    }
}

#[test]
fn rejects_keep_topic_reason_and_raw_bytes_within_bounds() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        let mut batch = temperatures([1.0]);
        let bad =
            Reject { mapping: Some(Arc::from("plant")), reason: Reason::Payload, detail: "not \0 JSON".to_owned() };
        push_reject(&mut batch, message("home/k\0itchen", b"\xff\x00{"), bad);
        let mut large = message("home/large", &vec![b'x'; 100_000]);
        large.malformed = Some(Malformed::TooLarge { payload_bytes: 10_000_000 });
        large.retain = true;
        let too_large = Reject { mapping: None, reason: Reason::TooLarge, detail: "10 MB".to_owned() };
        push_reject(&mut batch, large, too_large);
        let written = store.write(&batch, 1).unwrap();
        assert_eq!((written.rows, written.rejects), (1, 2));
        let length = if home.is_postgres() { "octet_length" } else { "length" };
        let hex = if home.is_postgres() { "encode(payload, 'hex')" } else { "lower(hex(payload))" };
        let mut sql = home.sql();
        let rejects = home.view("rejects");
        let rows = sql.rows(&format!(
            "select topic, mapping, reason, detail, {hex}, payload_bytes, qos from {rejects} where reason = 'payload'"
        ));
        let texts = |texts: &[&str]| texts.iter().map(|&text| Some(text.to_owned())).collect::<Vec<_>>();
        assert_eq!(
            rows.unwrap(),
            [texts(&["home/k\u{fffd}itchen", "plant", "payload", "not \u{fffd} JSON", "ff007b", "3", "1"])]
        );
        let kept = format!(
            "select count(*) from {rejects} where mapping is null and retain and {length}(payload) = 65536 and payload_bytes = 10000000"
        );
        assert_eq!(sql.number(&kept), Ok(1));
    }
}

#[test]
fn a_reader_that_does_not_end_lets_the_log_of_sqlite_grow_and_it_is_cut_short_once_it_ends() {
    const LONG_BYTES: u64 = 64 << 20;
    let home = Home::sqlite();
    let Home::Sqlite(folder) = &home else { panic!("it was made so") };
    let log = folder.join("store.db-wal");
    let schema = Schema { measurements: vec![measurement("m", &[], vec![field("text", Type::Text)])] };
    let mut store = home.ready(&schema);
    let text: Value = Value::Text("x".repeat(60_000).into());
    let some = batch((0..100).map(|_| row(0, &[], vec![Some(text.clone())])).collect());
    let mut reader = home.sql();
    reader.run("begin; select count(*) from m");
    let mut number = 0;
    while store.store.log_bytes() <= LONG_BYTES + (8 << 20) {
        number += 1;
        store.write(&some, number).unwrap();
    }
    assert!(std::fs::metadata(&log).unwrap().len() > LONG_BYTES, "no checkpoint passes a reader");
    reader.run("rollback");
    // Between two tries.
    store.runtime.block_on(async {
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(10)).await;
        tokio::time::resume();
    });
    for _ in 0..2 {
        number += 1;
        store.write(&some, number).unwrap();
    }
    let bytes = std::fs::metadata(&log).unwrap().len();
    assert!(bytes <= LONG_BYTES && store.store.log_bytes() == bytes, "the log still has {bytes} bytes");
    assert_eq!(home.count("m"), 100 * number);
}
