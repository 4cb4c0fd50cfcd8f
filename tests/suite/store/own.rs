//! A table of the user's own: what goes into it, what keeps rows out of it, and that Amber leaves it as it is.

use std::thread;

use amber::batch::Batch;
use amber::config::StoreUrl;
use amber::message::Time;
use amber::row::{Row, Value};
use amber::schema::{Field, Own, Schema, TableName, Type};
use amber::store::WriteError;

use super::subject::{Home, NOON, Subject, away, batch, field, measurement, refused, row, standing};
use crate::support::postgres;
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::{equal, eventually};

/// An empty file of SQLite, into which a person puts a table before Amber comes.
fn file() -> Home {
    let home = Home::sqlite();
    if let StoreUrl::Sqlite(path) = home.store_url() {
        std::fs::File::create(path).unwrap();
    }
    home
}

fn both() -> [Home; 2] {
    [Home::postgres(), file()]
}

/// What feeds `readings`: our tags and fields with their columns. `at`: that of the time.
fn own(at: &str, tags: &[(&str, Option<&str>)], fields: &[(Field, &str)]) -> Schema {
    let names: Vec<&str> = tags.iter().map(|(name, _)| *name).collect();
    let mut one = measurement("climate", &names, fields.iter().map(|(field, _)| field.clone()).collect());
    one.own = Some(Own {
        table: TableName { schema: None, name: "readings".to_owned() },
        time: at.to_owned(),
        received_at: None,
        tags: tags.iter().map(|(_, column)| column.map(str::to_owned)).collect(),
        fields: fields.iter().map(|(_, column)| (*column).to_owned()).collect(),
    });
    Schema { measurements: vec![one] }
}

/// `temperature` in `temp_c`, `room` in `room_name`.
fn plain() -> Schema {
    own("ts", &[("room", Some("room_name"))], &[(field("temperature", Type::Float), "temp_c")])
}

/// The table that it fits.
fn create(home: &Home, more: &str) {
    let (time, float) = if home.is_postgres() { ("timestamptz", "double precision") } else { ("INTEGER", "REAL") };
    home.sql().run(&format!("create table readings (ts {time} not null, room_name text, temp_c {float}{more})"));
}

fn temperatures(values: impl IntoIterator<Item = f64>) -> Batch {
    batch(values.into_iter().map(|value| row(0, &["kitchen"], vec![Some(Value::Float(value))])).collect())
}

fn count(home: &Home) -> i64 {
    home.sql().number("select count(*) from readings").unwrap()
}

#[test]
fn rows_go_flat_into_a_table_that_amber_neither_makes_nor_changes() {
    for home in both() {
        let mut schema = plain();
        schema.measurements.push(measurement("power", &["room"], vec![field("w", Type::Float)]));
        drop(home.ready(&Schema::default()));
        create(&home, ", note text default 'by hand'");
        let mut store = home.store(1);
        let plan = store.plan(&schema).unwrap();
        assert!(plan.conflicts.is_empty() && plan.statements.iter().all(|sql| !sql.contains("readings")), "{plan:?}");
        assert_eq!(plan.notes, ["writes into readings (not changed by Amber)"]);
        store.prepare(&schema).unwrap();
        store.adopt().unwrap();
        let mut rows: Vec<_> = [1.5, 2.5].map(|t| row(0, &["kitchen"], vec![Some(Value::Float(t))])).to_vec();
        rows.push(row(0, &["hall"], vec![None]));
        rows.push(row(1, &["hall"], vec![Some(Value::Float(5.0))]));
        let written = store.write(&batch(rows), 1).unwrap();
        assert_eq!((written.rows, written.rejects), (4, 0));
        let micros = if home.is_postgres() { "(extract(epoch from ts) * 1000000)::int8" } else { "ts" };
        let stored =
            home.sql().rows(&format!("select {micros}, room_name, temp_c, note from readings order by temp_c"));
        let text = |text: &str| Some(text.to_owned());
        let line = |room: &str, t: Option<&str>| {
            vec![text(&NOON.0.to_string()), text(room), t.map(str::to_owned), text("by hand")]
        };
        let mut stored = stored.unwrap();
        stored.sort();
        let mut expected = [line("hall", None), line("kitchen", Some("1.5")), line("kitchen", Some("2.5"))];
        expected.sort();
        assert_eq!(stored, expected, "{home}");
        assert_eq!(home.count("power"), 1);
        // The catalogue names views, of which there is none here.
        let named = format!("select count(*) from {} where name = 'climate'", home.view("measurements"));
        assert_eq!(home.sql().number(&named), Ok(0));
        assert!(store.plan(&schema).unwrap().is_empty(), "nothing is left to do");
    }
}

/// A row of one field, in the room `kitchen`.
fn one(value: Option<Value>) -> Row {
    row(0, &["kitchen"], vec![value])
}

fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.into()))
}

fn json(text: &str) -> Option<Value> {
    Some(Value::Json(text.into()))
}

/// One field, in the column `v`; and the room in `room`, which takes any text.
fn of_type(r#type: Type) -> Schema {
    own("ts", &[("room", Some("room"))], &[(field("v", r#type), "v")])
}

#[test]
fn postgresql_takes_each_value_in_every_type_that_holds_it() {
    let home = Home::postgres();
    home.sql()
        .run("create type mode as enum ('off', 'auto'); create domain celsius as numeric(4, 1) check (value < 100)");
    let float = |value| Some(Value::Float(value));
    let int = |value| Some(Value::Int(value));
    for (r#type, column, value, expected) in [
        (Type::Float, "double precision", float(21.123_456_789_012_345), "21.123456789012344"),
        (Type::Float, "real", float(21.5), "21.5"),
        (Type::Float, "numeric", float(0.1), "0.1"),
        (Type::Float, "numeric", float(21.123_456_789_012_345), "21.123456789012344"),
        (Type::Float, "numeric(4, 1)", float(21.56), "21.6"),
        (Type::Float, "celsius", float(21.56), "21.6"),
        (Type::Int, "bigint", int(i64::MAX), "9223372036854775807"),
        (Type::Int, "integer", int(-7), "-7"),
        (Type::Int, "smallint", int(32_767), "32767"),
        (Type::Int, "numeric(20, 0)", int(i64::MIN), "-9223372036854775808"),
        (Type::Int, "double precision", int(7), "7"),
        (Type::Bool, "boolean", Some(Value::Bool(true)), "true"),
        (Type::Text, "text", text("°C"), "°C"),
        (Type::Text, "varchar(3)", text("abc"), "abc"),
        (Type::Text, "char(3)", text("ab"), "ab"),
        (Type::Text, "mode", text("auto"), "auto"),
        (Type::Text, "uuid", text("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (Type::Text, "inet", text("10.0.0.7"), "10.0.0.7/32"),
        (Type::Text, "macaddr", text("08002b010203"), "08:00:2b:01:02:03"),
        (Type::Json, "jsonb", json("{\"b\":1,  \"a\":2}"), "{\"a\": 2, \"b\": 1}"),
        (Type::Json, "json", json("{\"b\":1,  \"a\":2}"), "{\"b\":1,  \"a\":2}"),
        (Type::Json, "text", json("[1,  2]"), "[1,  2]"),
        (Type::Time, "timestamptz", Some(Value::Time(NOON)), "2026-11-25 12:00:00+00"),
        (Type::Time, "timestamptz(0)", Some(Value::Time(Time(NOON.0 + 400_000))), "2026-11-25 12:00:00+00"),
    ] {
        let mut sql = home.sql();
        sql.run(&format!(
            "drop table if exists readings; create table readings (ts timestamptz, room text, v {column})"
        ));
        let mut store = home.ready(&of_type(r#type));
        let number = store.adopt().unwrap().seq + 1;
        assert_eq!(store.write(&batch(vec![one(value), one(None)]), number).unwrap().rows, 2, "{column}");
        let stored = sql.rows("set timezone = 'UTC'; select v::text from readings order by v is null").unwrap();
        assert_eq!(stored, [[Some(expected.to_owned())], [None]], "{column}");
    }
}

#[test]
fn a_tag_goes_into_texts_and_into_columns_that_a_text_can_name() {
    for home in both() {
        home.sql().run(if home.is_postgres() {
            "create type floor as enum ('attic', 'cellar');
             create table readings (ts timestamptz, a text, b integer, c uuid, d floor, v double precision)"
        } else {
            "create table readings (ts integer, a text, b integer, c text, d varchar(3), v real)"
        });
        let tags = ["a", "b", "c", "d"].map(|tag| (tag, Some(tag)));
        let mut store = home.ready(&own("ts", &tags, &[(field("v", Type::Float), "v")]));
        let uuid = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        let value = || vec![Some(Value::Float(1.0))];
        let rows = vec![row(0, &["x", "017", uuid, "attic"], value()), row(0, &["", "", "", ""], value())];
        store.write(&batch(rows), 1).unwrap();
        let stored = home
            .sql()
            .rows("select a, cast(b as text), cast(c as text), cast(d as text) from readings order by b is null");
        let some = |text: &str| Some(text.to_owned());
        // What is no text has no empty value.
        let empty = if home.is_postgres() { None } else { some("") };
        let expected =
            [vec![some("x"), some("17"), some(uuid), some("attic")], vec![some(""), None, empty.clone(), empty]];
        assert_eq!(stored.unwrap(), expected, "{home}");
    }
}

#[test]
fn sqlite_takes_each_value_as_the_declared_type_has_it() {
    let home = file();
    let float = Some(Value::Float(21.5));
    let time = Some(Value::Time(Time(NOON.0 + 500_000)));
    let utc = "2026-11-25T12:00:00.500000Z";
    for (r#type, column, value, expected) in [
        (Type::Float, "REAL", float.clone(), ["real", "21.5"]),
        (Type::Float, "double precision", float.clone(), ["real", "21.5"]),
        (Type::Float, "numeric", float.clone(), ["real", "21.5"]),
        (Type::Float, "", float, ["real", "21.5"]),
        (Type::Int, "INTEGER", Some(Value::Int(i64::MAX)), ["integer", "9223372036854775807"]),
        (Type::Int, "decimal(9)", Some(Value::Int(7)), ["integer", "7"]),
        (Type::Bool, "BOOLEAN", Some(Value::Bool(true)), ["integer", "1"]),
        (Type::Text, "varchar(3)", text("007 is no number"), ["text", "007 is no number"]),
        (Type::Text, "text", text("007"), ["text", "007"]),
        (Type::Json, "JSON", json("[1,  2]"), ["text", "[1,  2]"]),
        (Type::Time, "bigint", time.clone(), ["integer", "1795608000500000"]),
        (Type::Time, "text", time.clone(), ["text", utc]),
        (Type::Time, "datetime", time.clone(), ["text", utc]),
        (Type::Time, "TIMESTAMP", time.clone(), ["text", utc]),
        (Type::Time, "real", time, ["real", "1795608000.5"]),
    ] {
        let mut sql = home.sql();
        // The time of a row and its receipt are written as a field's.
        let at = if r#type == Type::Time { column } else { "integer" };
        sql.run(&format!(
            "drop table if exists readings; create table readings (ts {at}, got {at}, room text, v {column})"
        ));
        let mut schema = of_type(r#type);
        schema.measurements[0].own.as_mut().unwrap().received_at = Some("got".to_owned());
        let mut store = home.ready(&schema);
        let number = store.adopt().unwrap().seq + 1;
        store.write(&batch(vec![one(value)]), number).unwrap();
        let stored =
            sql.rows("select typeof(v), cast(v as text), typeof(ts) = typeof(got), ts < got from readings").unwrap();
        let [kind, value] = expected.map(|text| Some(text.to_owned()));
        let yes = Some("1".to_owned());
        assert_eq!(stored, [[kind, value, yes.clone(), yes]], "{column}");
    }
}

#[test]
fn a_strict_table_of_sqlite_takes_rows_and_refuses_what_is_not_of_its_types() {
    let home = file();
    home.sql().run("create table readings (ts INTEGER not null, room INTEGER, v ANY check (v < 100)) strict");
    let mut store = home.ready(&of_type(Type::Float));
    let rows = vec![
        row(0, &["7"], vec![Some(Value::Float(1.0))]),
        row(0, &["kitchen"], vec![Some(Value::Float(1.0))]),
        row(0, &["7"], vec![Some(Value::Float(451.0))]),
    ];
    refused(store.write(&batch(rows.clone()), 1));
    let written = store.write_apart(&batch(rows), 1).unwrap();
    assert_eq!((written.rows, written.rejects), (1, 2));
    assert!(written.refused[0].1.contains("column `room` takes integers"), "{written:?}");
    assert!(written.refused[1].1.contains("CHECK"), "{written:?}");
}

#[test]
fn a_column_that_does_not_take_the_values_is_standing_with_the_remedy() {
    let postgres = [
        (Type::Float, "text", "`text`, and field `v`, which goes there, is `float`"),
        (Type::Float, "integer", "alter column \"v\" type double precision"),
        (Type::Int, "real", "give the field another `type`"),
        (Type::Bool, "integer", "`bool`"),
        (Type::Text, "integer", "`text`"),
        (Type::Text, "bytea", "`text`"),
        (Type::Text, "text[]", "`text[]`"),
        (Type::Json, "integer", "`json`"),
        (
            Type::Time,
            "timestamp",
            "alter table \"public\".\"readings\" alter column \"v\" type timestamptz using \"v\" at time zone '…'",
        ),
        (Type::Time, "date", "type timestamptz using \"v\"::timestamp at time zone '…'"),
        (Type::Time, "bigint", "`time`"),
        (Type::Float, "double precision generated always as (1.0) stored", "the database makes them"),
        (Type::Int, "bigint generated always as identity", "the database makes them"),
        (
            Type::Float,
            "double precision, note text not null",
            "column \"note\" of readings takes no null and has no default",
        ),
    ];
    let sqlite = [
        (Type::Float, "integer", "`INTEGER`, and field `v`, which goes there, is `float`"),
        (Type::Float, "text", "declared REAL"),
        (Type::Text, "UUID", "declared TEXT"),
        (Type::Text, "integer", "give the field another `type`"),
        (Type::Bool, "real", "declared INTEGER"),
        (Type::Time, "date", "INTEGER (µs since 1970), TEXT (RFC 3339) or REAL (seconds)"),
        (Type::Time, "", "is `without a type`"),
        (Type::Float, "real as (1.0)", "the database makes them"),
        (Type::Float, "real, note text not null", "column \"note\" of readings takes no null and has no default"),
    ];
    for home in both() {
        let cases = if home.is_postgres() { &postgres[..] } else { &sqlite[..] };
        let time = if home.is_postgres() { "timestamptz" } else { "integer" };
        for (r#type, column, expected) in cases {
            home.sql().run(&format!(
                "drop table if exists readings; create table readings (ts {time}, room text, v {column})"
            ));
            let mut store = home.store(1);
            let said = standing(store.prepare(&of_type(*r#type)));
            assert!(said.contains(expected), "{home}, {column}: {said}");
            let plan = store.plan(&of_type(*r#type)).unwrap();
            assert!(plan.conflicts.len() == 1 && said.contains(&plan.conflicts[0]), "{home}, {column}: {plan:?}");
        }
        home.sql().run(&format!(
            "drop table readings; create table readings (ts {time}, id integer primary key, room text, v integer, note text not null default '')"
        ));
        if home.is_postgres() {
            home.sql().run("alter table readings alter column id add generated by default as identity");
        }
        home.ready(&of_type(Type::Int)).write(&batch(vec![one(Some(Value::Int(1)))]), 1).unwrap();
        assert_eq!(count(&home), 1, "{home}: what has a default needs no value");
    }
}

#[test]
fn a_table_that_is_not_there_is_waited_for_and_its_sql_makes_one_that_fits() {
    for home in both() {
        drop(home.ready(&Schema::default()));
        let mut store = home.store(1);
        let said = standing(store.prepare(&plain()));
        assert!(said.contains("table readings, which `table` of measurement `climate` names, is not there"), "{said}");
        let (_, sql) = said.split_once("or run: `").unwrap();
        home.sql().run(sql.trim_end_matches('`'));
        store.prepare(&plain()).unwrap();
        store.adopt().unwrap();
        store.write(&temperatures([1.0]), 1).unwrap();
        assert_eq!(count(&home), 1, "{home}");
        // As `amber check` has it without a connection.
        let proposed = store.store.plan_for_empty(&plain());
        assert!(proposed.conflicts.is_empty(), "{proposed:?}");
        assert!(proposed.notes.iter().any(|note| note.contains(sql.trim_end_matches('`'))), "{proposed:?}");
    }
}

#[test]
fn a_file_of_sqlite_that_is_not_there_has_no_table_either() {
    let home = Home::sqlite();
    let plan = home.store(1).plan(&plain()).unwrap();
    assert!(plan.conflicts.len() == 1 && plan.conflicts[0].contains("is not there"), "{plan:?}");
}

#[test]
fn names_in_quotes_are_to_the_letter() {
    for home in both() {
        let (schema, time) = if home.is_postgres() { ("\"My Schema\".", "timestamptz") } else { ("", "text") };
        if home.is_postgres() {
            home.sql().run("create schema \"My Schema\"");
        }
        home.sql().run(&format!(
            "create table {schema}\"Read\"\"ings 1\" (\"Time \"\"UTC\"\"\" {time}, \"select\" text, \"Temp °C\" double precision)"
        ));
        let mut schema_of = own("Time \"UTC\"", &[("room", Some("select"))], &[(field("t", Type::Float), "Temp °C")]);
        schema_of.measurements[0].own.as_mut().unwrap().table =
            TableName { schema: home.is_postgres().then(|| "My Schema".to_owned()), name: "Read\"ings 1".to_owned() };
        let mut store = home.ready(&schema_of);
        store.write(&temperatures([1.0]), 1).unwrap();
        store.write_apart(&temperatures([2.0]), 2).unwrap();
        let sum = format!(
            "select cast(sum(\"Temp °C\") as integer) from {schema}\"Read\"\"ings 1\" where \"select\" = 'kitchen'"
        );
        assert_eq!(home.sql().number(&sum), Ok(3), "{home}");
    }
}

#[test]
fn a_name_that_differs_in_capitals_only_is_told() {
    let home = Home::postgres();
    home.sql().run("create table \"Readings\" (ts timestamptz, \"Room_Name\" text, temp_c double precision)");
    let said = standing(home.store(1).prepare(&plain()));
    assert!(said.contains("(there is public.\"Readings\": write `table = 'public.\"Readings\"'`)"), "{said}");
    let mut schema = plain();
    schema.measurements[0].own.as_mut().unwrap().table.name = "Readings".to_owned();
    let said = standing(home.store(1).prepare(&schema));
    assert!(said.contains("no column \"room_name\" (there is `Room_Name`) for tag `room`"), "{said}");
    assert!(said.contains("leave the tag out (`columns = { room = false }`)"), "{said}");
}

#[test]
fn a_table_without_a_schema_is_looked_for_on_the_search_path_of_the_connection() {
    let database = postgres::database();
    database.sql().run(&format!(
        "create schema plant; create table plant.readings (ts timestamptz, room_name text, temp_c double precision);
         alter database {} set search_path = plant, public",
        database.name
    ));
    let home = Home::Postgres(database);
    home.ready(&plain()).write(&temperatures([1.0]), 1).unwrap();
    assert_eq!(home.sql().number("select count(*) from plant.readings"), Ok(1));
}

#[test]
fn a_file_of_sqlite_has_but_one_schema_and_amber_keeps_out_of_its_own_tables() {
    let home = file();
    create(&home, "");
    let mut schema = plain();
    let mut named = |schema_part: Option<&str>, name: &str| {
        let table = TableName { schema: schema_part.map(str::to_owned), name: name.to_owned() };
        schema.measurements[0].own.as_mut().unwrap().table = table;
        home.store(1).prepare(&schema)
    };
    named(Some("main"), "readings").unwrap();
    let said = standing(named(Some("public"), "readings"));
    assert!(said.contains("write the name alone: `table = 'readings'`"), "{said}");
    let said = standing(named(None, "store_reject"));
    assert!(said.contains("of Amber's or of SQLite's own tables"), "{said}");
}

#[test]
fn a_row_that_the_table_refuses_is_a_reject_with_the_databases_words_and_its_neighbours_are_stored() {
    let home = Home::postgres();
    home.sql().run("create type mode as enum ('off', 'auto')");
    let float = |value| Some(Value::Float(value));
    let cases = [
        (Type::Int, "smallint", Some(Value::Int(1)), Some(Value::Int(40_000)), "smallint out of range"),
        (Type::Int, "integer", Some(Value::Int(1)), Some(Value::Int(1 << 40)), "integer out of range"),
        (Type::Float, "numeric(4, 1)", float(1.0), float(1e6), "numeric field overflow"),
        (Type::Float, "real", float(1.0), float(1e200), "value out of range: overflow"),
        (Type::Text, "varchar(3)", text("abc"), text("abcd"), "too long for type character varying(3)"),
        (Type::Text, "char(3)", text("abc"), text("abcd"), "too long for type character(3)"),
        (Type::Text, "mode", text("off"), text("fast"), "invalid input value for enum mode"),
        (Type::Text, "inet", text("::1"), text("kitchen"), "invalid input syntax for type inet"),
        (Type::Float, "double precision not null", float(1.0), None, "not-null constraint"),
        (Type::Float, "double precision check (v < 100)", float(1.0), float(451.0), "readings_v_check"),
        (Type::Int, "bigint unique", Some(Value::Int(1)), Some(Value::Int(2)), "readings_v_key"),
    ];
    for (r#type, column, good, bad, words) in cases {
        home.sql().run(&format!(
            "drop table if exists readings; create table readings (ts timestamptz, room text, v {column})"
        ));
        let mut store = home.ready(&of_type(r#type));
        let number = store.adopt().unwrap().seq + 1;
        // A unique column refuses the second of two alike.
        let rows = if words == "readings_v_key" {
            vec![one(good), one(bad.clone()), one(bad)]
        } else {
            vec![one(good), one(bad)]
        };
        let stored = rows.len() as u64 - 1;
        let batch = batch(rows);
        refused(store.write(&batch, number));
        assert_eq!(count(&home), 0, "{column}: nothing is stored by halves");
        let written = store.write_apart(&batch, number).unwrap();
        assert_eq!((written.rows, written.rejects, written.refused[0].0 as u64), (stored, 1, stored), "{column}");
        assert!(written.refused[0].1.contains(words), "{column}: {written:?}");
        let kept = format!("select count(*) from amber.rejects where reason = 'refused' and detail like '%{words}%'");
        assert_eq!(home.sql().number(&kept), Ok(1), "{column}");
    }
}

#[test]
fn a_partitioned_table_takes_rows_and_refuses_one_without_a_partition() {
    let home = Home::postgres();
    home.sql().run(
        "create table readings (ts timestamptz not null, room_name text, temp_c double precision) partition by range (ts);
         create table readings_2026 partition of readings for values from ('2026-01-01 00:00Z') to ('2027-01-01 00:00Z')",
    );
    let mut store = home.ready(&plain());
    let mut batch = temperatures([1.0, 2.0]);
    store.write(&batch, 1).unwrap();
    batch.rows[1].1.time = Time(0);
    refused(store.write(&batch, 2));
    let written = store.write_apart(&batch, 2).unwrap();
    assert_eq!((written.rows, written.rejects), (1, 1));
    assert!(written.refused[0].1.contains("no partition of relation"), "{written:?}");
    assert_eq!(home.sql().number("select count(*) from readings_2026"), Ok(3));
}

#[test]
fn a_trigger_that_keeps_rows_away_is_told_and_they_are_rejects() {
    for home in both() {
        create(&home, "");
        let mut store = home.ready(&plain());
        home.sql().run(if home.is_postgres() {
            "create function drop_it() returns trigger language plpgsql as 'begin return null; end';
             create trigger drop_heat before insert on readings for each row when (new.temp_c >= 100) execute function drop_it()"
        } else {
            "create trigger drop_heat before insert on readings when new.temp_c >= 100 begin select raise(ignore); end"
        });
        let batch = temperatures([1.0, 451.0, 2.0]);
        let said = refused(store.write(&batch, 1));
        assert!(said.contains("a trigger on ") && said.contains("readings\" keeps rows away"), "{said}");
        let written = store.write_apart(&batch, 1).unwrap();
        assert_eq!((written.rows, written.rejects, count(&home)), (2, 1, 2), "{home}");
        // A table that takes none of many is for a person.
        let said = standing(store.write_apart(&temperatures((0..64).map(|_| 451.0)), 2));
        assert!(said.contains("readings\" takes no row at all"), "{said}");
    }
}

#[test]
fn a_view_is_written_into_where_the_database_counts_what_it_takes() {
    let home = Home::postgres();
    home.sql().run(
        "create table behind (at timestamptz, room text, t double precision);
         create view readings as select at as ts, room as room_name, t as temp_c from behind",
    );
    home.ready(&plain()).write(&temperatures([1.0]), 1).unwrap();
    assert_eq!(home.sql().number("select count(*) from behind"), Ok(1));
    home.sql()
        .run("create or replace view readings as select at as ts, room as room_name, t as temp_c from behind limit 5");
    let said = standing(home.store(1).prepare(&plain()));
    assert!(said.contains("is a view that takes no rows"), "{said}");
    home.sql().run(
        "create function put() returns trigger language plpgsql as 'begin insert into behind values (new.ts, new.room_name, new.temp_c); return new; end';
         create trigger put instead of insert on readings for each row execute function put()",
    );
    let mut store = home.ready(&plain());
    store.write(&temperatures([2.0]), 2).unwrap();
    assert_eq!(home.sql().number("select count(*) from behind"), Ok(2));
    let home = file();
    home.sql().run("create table behind (at integer, t real); create view readings as select at as ts, '' as room_name, t as temp_c from behind");
    let said = standing(home.store(1).prepare(&plain()));
    assert!(said.contains("is a view that takes no rows"), "{said}");
}

#[test]
fn a_permission_that_is_missing_is_standing_with_the_grant_and_insert_alone_is_enough() {
    let database = postgres::database();
    let role = format!("writer_{}", database.name);
    let mut sql = database.sql();
    sql.run(&format!(
        "create role {role} login; grant create on database {} to {role};
         create schema plant; create table plant.readings (id bigint generated always as identity, ts timestamptz, room_name text, temp_c double precision)",
        database.name
    ));
    let mut schema = plain();
    schema.measurements[0].own.as_mut().unwrap().table.schema = Some("plant".to_owned());
    let mut store = Subject::postgres(&database.url().replace("postgres@", &format!("{role}@")), 1);
    let said = standing(store.prepare(&schema));
    let grants = format!(
        "`grant usage on schema \"plant\" to \"{role}\"; grant insert on \"plant\".\"readings\" to \"{role}\"`"
    );
    assert!(said.contains(&grants), "{said}");
    sql.run(grants.trim_matches('`'));
    store.prepare(&schema).unwrap();
    store.adopt().unwrap();
    store.write(&temperatures([1.0]), 1).unwrap();
    store.write_apart(&temperatures([2.0]), 2).unwrap();
    sql.run(&format!("revoke insert on plant.readings from {role}"));
    let said = standing(store.write(&temperatures([3.0]), 3));
    assert!(said.contains("permission denied for table readings") && said.contains("`grant insert on … to"), "{said}");
    // Once it has looked, it knows which.
    let said = standing(store.write(&temperatures([3.0]), 3));
    assert!(said.contains(&format!("grant insert on \"plant\".\"readings\" to \"{role}\"")), "{said}");
    sql.run(&format!("grant insert (ts, room_name, temp_c) on plant.readings to {role}"));
    store.write(&temperatures([3.0]), 3).unwrap();
    assert_eq!(sql.number("select count(*) from plant.readings"), Ok(3));
}

#[test]
fn a_column_or_table_that_is_dropped_is_standing_until_it_is_back() {
    for home in both() {
        create(&home, "");
        let mut store = home.ready(&plain());
        store.write(&temperatures([1.0]), 1).unwrap();
        let float = if home.is_postgres() { "double precision" } else { "real" };
        home.sql().run("alter table readings drop column temp_c");
        standing(store.write(&temperatures([2.0]), 2));
        let said = standing(store.write(&temperatures([2.0]), 2));
        assert!(said.contains("readings has no column \"temp_c\" for field `temperature`"), "{said}");
        home.sql().run(&format!("alter table readings add column temp_c {float}"));
        store.write(&temperatures([2.0]), 2).unwrap();
        home.sql().run("drop table readings");
        standing(store.write(&temperatures([3.0]), 3));
        let said = standing(store.write(&temperatures([3.0]), 3));
        assert!(said.contains("is not there"), "{said}");
        create(&home, "");
        store.write(&temperatures([3.0]), 3).unwrap();
        assert_eq!(count(&home), 1, "{home}");
    }
}

#[test]
fn a_number_is_taken_once_there_too() {
    for home in both() {
        create(&home, "");
        let mut store = home.ready(&plain());
        store.write(&temperatures([1.0]), 1).unwrap();
        assert!(matches!(store.write(&temperatures([1.0]), 1), Err(WriteError::Fenced)));
        assert_eq!(store.adopt().unwrap().seq, 1);
        assert!(matches!(store.write_apart(&temperatures([1.0]), 1), Err(WriteError::Fenced)));
        assert_eq!(count(&home), 1, "{home}");
    }
}

#[test]
fn a_batch_whose_commit_is_not_answered_is_not_stored_again() {
    let database = postgres::database();
    let proxy = Proxy::to(database.port);
    let mut sql = database.sql();
    sql.run("create table readings (ts timestamptz, room_name text, temp_c double precision)");
    let mut store = Subject::postgres(&database.url_through(proxy.port), 1);
    store.prepare(&plain()).unwrap();
    store.adopt().unwrap();
    proxy.swallow_answer_to("keys of the first");
    thread::scope(|scope| {
        let writing = scope.spawn(|| store.write_packets(&temperatures([1.0]), 1, b"\x01keys of the first"));
        eventually("the row is stored", || equal(sql.number("select count(*) from readings"), 1));
        proxy.cut(Cut::Reset);
        assert!(away(writing.join().unwrap()).0);
    });
    proxy.set(Mode::Pass);
    assert_eq!(store.adopt().unwrap().seq, 1, "it is stored, and known to be");
    assert_eq!(store.store.take_doubtful().unwrap().rows, 1);
    store.write(&temperatures([2.0]), 2).unwrap();
    assert_eq!(sql.number("select count(*) from readings"), Ok(2));
}

#[test]
fn a_file_whose_table_ends_the_transaction_for_one_row_is_for_a_person_with_the_remedy() {
    for (table, more, expected) in [
        (", unique (temp_c) ON  CONFLICT\n ROLLBACK", "", "has `on conflict rollback`"),
        (
            "",
            "create trigger hot after insert on readings when new.temp_c > 50 begin select raise(rollback, 'hot'); end",
            "trigger \"hot\" of \"readings\", which `table` of measurement `climate` names, has `raise ( rollback`",
        ),
        (
            "",
            "create trigger log before insert on readings begin insert or rollback into room values ('x'); end",
            "`or rollback`",
        ),
        (
            ", foreign key (room_name) references room (name) deferrable initially deferred",
            "",
            "that is not `initially deferred`",
        ),
    ] {
        let home = file();
        home.sql().run("create table room (name text primary key)");
        create(&home, table);
        home.sql().run(more);
        let said = standing(home.store(1).prepare(&plain()));
        assert!(said.contains(expected) && said.contains("one row would end the transaction of all"), "{said}");
        let plan = home.store(1).plan(&plain()).unwrap();
        assert_eq!(plan.conflicts.len(), 1, "{plan:?}");
    }
    // What comes with no row is no matter.
    let home = file();
    create(&home, "");
    home.sql().run("create trigger keep before delete on readings begin select raise(rollback, 'no'); end");
    home.ready(&plain()).write(&temperatures([1.0]), 1).unwrap();
}

#[test]
fn a_row_that_ends_the_transaction_from_afar_is_told_with_table_and_cause() {
    let home = file();
    create(&home, "");
    // Behind a trigger of the table there is another's constraint.
    home.sql().run(
        "create table seen (t real unique on conflict rollback);
         create trigger keep after insert on readings begin insert into seen values (new.temp_c); end",
    );
    let mut store = home.ready(&plain());
    store.write(&temperatures([1.0]), 1).unwrap();
    refused(store.write(&temperatures([2.0, 1.0]), 2));
    for _ in 0..2 {
        store.adopt().unwrap();
        let said = standing(store.write_apart(&temperatures([2.0, 1.0]), 2));
        assert!(said.contains("\"readings\" ends the transaction of the whole batch because of one row"), "{said}");
        assert!(said.contains("UNIQUE constraint failed: seen.t") && said.contains("look for `rollback`"), "{said}");
    }
    assert_eq!(count(&home), 1);
    home.sql().run("drop trigger keep");
    store.adopt().unwrap();
    store.write_apart(&temperatures([2.0, 1.0]), 2).unwrap();
    assert_eq!(count(&home), 3);
}

#[test]
fn a_tag_that_is_no_integer_is_refused_by_a_column_of_integers_in_both_stores() {
    for home in both() {
        let (time, int) = if home.is_postgres() { ("timestamptz", "bigint") } else { ("INTEGER", "INTEGER") };
        home.sql().run(&format!("create table readings (ts {time} not null, room {int}, v text)"));
        let mut store = home.ready(&of_type(Type::Text));
        let rows = ["7", "kitchen", "", "-8", "7.5"].map(|room| row(0, &[room], vec![text("x")]));
        refused(store.write(&batch(rows.to_vec()), 1));
        if !store.store.is_adopted() {
            store.adopt().unwrap();
        }
        let written = store.write_apart(&batch(rows.to_vec()), 1).unwrap();
        let refused: Vec<usize> = written.refused.iter().map(|(position, _)| *position).collect();
        assert_eq!(refused, [1, 4], "{home}");
        assert!(home.is_postgres() || !written.refused[0].1.contains("kitchen"), "the log has no data: {written:?}");
        let stored = home.sql().number("select count(*) from readings where room in (7, -8) or room is null");
        assert_eq!((stored, count(&home)), (Ok(3), 3), "{home}");
    }
}

#[test]
fn check_says_where_a_table_keeps_less_than_it_is_given() {
    let notes = |home: &Home, r#type: Type, column: &str| {
        let time = if home.is_postgres() { "timestamptz" } else { "INTEGER" };
        let mut sql = home.sql();
        sql.run("drop table if exists readings");
        sql.run(&format!("create table readings (ts {time}, room text, v {column})"));
        home.store(1).plan(&of_type(r#type)).unwrap().notes.split_off(1)
    };
    let int = "where `v` goes: integers beyond 2^53 are rounded";
    let home = Home::postgres();
    assert_eq!(notes(&home, Type::Int, "float8"), [format!("column \"v\" of readings is `double precision`, {int}")]);
    assert_eq!(
        notes(&home, Type::Float, "float4"),
        ["column \"v\" of readings is `real`, where `v` goes: values are rounded to some 7 digits"]
    );
    for (r#type, column) in [(Type::Int, "numeric"), (Type::Float, "float8"), (Type::Float, "numeric")] {
        assert_eq!(notes(&home, r#type, column), [""; 0]);
    }
    let home = file();
    assert_eq!(notes(&home, Type::Int, "double"), [format!("column \"v\" of readings is `double`, {int}")]);
    assert_eq!(notes(&home, Type::Int, "INTEGER"), [""; 0]);
    assert_eq!(notes(&home, Type::Float, "REAL"), [""; 0]);
}

#[test]
fn check_says_that_a_foreign_table_is_committed_apart() {
    let home = Home::postgres();
    home.sql().run(
        "create extension postgres_fdw; create server far foreign data wrapper postgres_fdw;
         create foreign table readings (ts timestamptz, room_name text, temp_c double precision) server far",
    );
    let plan = home.store(1).plan(&plain()).unwrap();
    assert!(plan.notes.iter().any(|note| note.contains("readings is a foreign table")), "{plan:?}");
}

#[test]
fn two_measurements_may_go_to_one_table() {
    for home in both() {
        create(&home, "");
        let mut schema = plain();
        schema.measurements.extend(plain().measurements);
        schema.measurements[1].name = "other".to_owned();
        let mut store = home.ready(&schema);
        let rows = (0..10).map(|n| row(n % 2, &["kitchen"], vec![Some(Value::Float(1.0))]));
        store.write(&batch(rows.collect()), 1).unwrap();
        assert_eq!(count(&home), 10, "{home}");
    }
}
