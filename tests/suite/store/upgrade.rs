//! Stores as earlier versions left them are taken over: `tests/upgrade/` has a dump of each store per version.
//!
//! A dump is never changed. That of a new version is made from a store into which [`fill`] has written, by
//! `pg_dump --inserts --no-owner --no-privileges` and by `.dump` of sqlite3.

use std::sync::Arc;

use amber::row::{Reason, Reject, Value};
use amber::schema::{Field, Schema, Type};

use super::subject::{Home, NOON, Subject, batch, field, measurement, message, push_reject, row};
use crate::support::folder::Folder;
use crate::support::postgres;
use crate::support::sql::Sql;

const POSTGRES: [&str; 1] = [include_str!("../../upgrade/postgres-0.1.0.sql")];
const SQLITE: [&str; 1] = [include_str!("../../upgrade/sqlite-0.1.0.sql")];

/// What was in use when the dumps were made.
fn schema() -> Schema {
    let fields = [
        ("temperature", Type::Float),
        ("count", Type::Int),
        ("open", Type::Bool),
        ("note", Type::Text),
        ("raw", Type::Json),
        ("seen", Type::Time),
    ];
    let fields = fields.map(|(name, r#type)| Field { unit: Some("°C".to_owned()), ..field(name, r#type) });
    let total = measurement("total", &[], vec![field("energy", Type::Float)]);
    Schema { measurements: vec![measurement("climate", &["room", "device"], fields.to_vec()), total] }
}

/// Two batches under numbers `first` and `first + 1`: three rows of `climate`, one of `total`, one reject.
fn fill(store: &mut Subject, first: i64) {
    let values = |t: f64| {
        vec![
            Some(Value::Float(t)),
            Some(Value::Int(i64::MAX)),
            Some(Value::Bool(true)),
            Some(Value::Text("it's °C".into())),
            Some(Value::Json("{\"a\":1}".into())),
            Some(Value::Time(NOON)),
        ]
    };
    let mut one = batch(vec![
        row(0, &["kitchen", "t1"], values(21.5)),
        row(0, &["attic", "t2"], values(-3.25)),
        row(1, &[], vec![Some(Value::Float(1_234.5))]),
    ]);
    let reject =
        Reject { mapping: Some(Arc::from("plant")), reason: Reason::Payload, detail: "no JSON at byte 0".to_owned() };
    push_reject(&mut one, message("home/kitchen/t1", b"\xff{"), reject);
    store.write_packets(&one, first, b"\x01keys").unwrap();
    store.write_packets(&batch(vec![row(0, &["kitchen", "t1"], vec![None; 6])]), first + 1, b"\x01keys").unwrap();
}

fn is_taken_over(home: &Home) {
    let mut store = home.store(99);
    assert_eq!(store.plan(&schema()).unwrap().conflicts, [""; 0]);
    store.prepare(&schema()).unwrap();
    let adopted = store.adopt().unwrap();
    assert_eq!((adopted.seq, &*adopted.packets, &*adopted.filters), (2, &b"\x01keys"[..], "[]"));
    fill(&mut store, 3);
    let mut sql = home.sql();
    let (climate, total) = (home.view("climate"), home.view("total"));
    assert_eq!((home.count("climate"), home.count("total"), home.count("rejects")), (6, 2, 2));
    let old_and_new = format!(
        "select count(*) from {climate} where room = 'attic' and device = 't2' and temperature = -3.25 and open and note = 'it''s °C' and count = 9223372036854775807"
    );
    assert_eq!(sql.number(&old_and_new), Ok(2));
    assert_eq!(sql.number(&format!("select count(*) from {total} where energy = 1234.5")), Ok(2));
    assert_eq!(sql.number(&format!("select count(*) from {}", home.table("climate_series"))), Ok(2));
    // And it grows as any other.
    let mut more = schema();
    more.measurements[0].tags.push("floor".to_owned());
    more.measurements[1].tags.push("meter".to_owned());
    more.measurements[1].fields.push(field("power", Type::Float));
    store.prepare(&more).unwrap();
    let power = row(1, &["m1"], vec![None, Some(Value::Float(5.0))]);
    store.write(&batch(vec![power]), 5).unwrap();
    assert_eq!(sql.number(&format!("select count(*) from {total} where meter = 'm1' and power = 5")), Ok(1));
}

#[test]
fn a_postgresql_store_of_every_version_is_taken_over() {
    for dump in POSTGRES {
        let database = postgres::database();
        // What begins with a backslash is for psql.
        let sql: String = dump.lines().filter(|line| !line.starts_with('\\')).map(|line| format!("{line}\n")).collect();
        database.sql().run(&sql);
        is_taken_over(&Home::Postgres(database));
    }
}

#[test]
fn a_sqlite_store_of_every_version_is_taken_over() {
    for dump in SQLITE {
        let folder = Folder::new();
        std::fs::File::create(folder.join("store.db")).unwrap();
        Sql::sqlite(&folder.join("store.db")).unwrap().run(dump);
        is_taken_over(&Home::Sqlite(folder));
    }
}
