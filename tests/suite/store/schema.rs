//! Tables from the mapping, and what changes of it do to them.

use std::thread;

use amber::row::Value;
use amber::schema::{Field, Kind, Schema, Type};

use super::subject::{Home, batch, climate, field, measurement, row, standing, temperatures};
use crate::support::postgres;

/// Names of the columns of a view, in order.
fn columns(home: &Home, view: &str) -> Vec<String> {
    let sql = if home.is_postgres() {
        format!(
            "select attname from pg_attribute where attrelid = 'amber.\"{view}\"'::regclass and attnum > 0 order by attnum"
        )
    } else {
        format!("select name from pragma_table_xinfo('{view}') order by cid")
    };
    home.sql().rows(&sql).unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect()
}

#[test]
fn a_plan_says_all_that_is_done_and_nothing_once_it_is_done() {
    for home in Home::both() {
        let mut store = home.store(1);
        let plan = store.plan(&climate()).unwrap();
        assert_eq!(plan.conflicts, [""; 0]);
        assert_eq!(plan.statements, store.store.plan_for_empty(&climate()).statements);
        assert!(plan.statements.iter().any(|sql| sql.contains("create view") && sql.contains("climate")));
        if let Home::Sqlite(folder) = &home {
            assert!(!folder.join("store.db").exists(), "a plan makes no file");
        }
        // As an administrator would, and then Amber on top.
        store.prepare(&climate()).unwrap();
        assert_eq!(store.plan(&climate()).unwrap().statements, [""; 0]);
        store.prepare(&climate()).unwrap();
    }
}

#[test]
fn a_plan_changes_nothing_of_a_file_that_is_there() {
    let home = Home::sqlite();
    let Home::Sqlite(folder) = &home else { unreachable!() };
    let files = || {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<_> =
            names.map(|name| (name.clone(), std::fs::read(folder.path().join(&name)).unwrap())).collect();
        files.sort();
        files
    };
    // Somebody's own, in the journal mode that is SQLite's default.
    folder.write("store.db", "");
    home.sql().run("create table note (text TEXT)");
    let before = files();
    assert_eq!(before.len(), 1);
    let plan = home.store(1).plan(&climate()).unwrap();
    assert_eq!(plan.statements, home.store(1).store.plan_for_empty(&climate()).statements);
    assert!(files() == before, "the file was changed");
    // Amber's own.
    let mut store = home.ready(&climate());
    store.runtime.block_on(store.store.close());
    let before = files();
    assert_eq!(home.store(1).plan(&climate()).unwrap().statements, [""; 0]);
    let after = files();
    let names =
        |files: &[(std::ffi::OsString, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert!(after == before, "{:?} became {:?}", names(&before), names(&after));
    // It sees what another process has under way.
    let _running = home.ready(&climate());
    assert_eq!(home.store(1).plan(&climate()).unwrap().statements, [""; 0]);
}

#[test]
fn a_field_and_a_tag_are_added_and_what_was_stored_stays() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        store.write(&temperatures([21.5]), 1).unwrap();
        let mut more = climate();
        more.measurements[0].fields.push(field("humidity", Type::Float));
        more.measurements[0].tags.push("floor".to_owned());
        let plan = store.plan(&more).unwrap();
        assert!(plan.conflicts.is_empty() && !plan.statements.is_empty(), "{plan:?}");
        store.prepare(&more).unwrap();
        assert!(store.store.is_adopted(), "the adoption outlives a change of the tables");
        let values = || vec![Some(Value::Float(22.0)), Some(Value::Float(40.0))];
        store
            .write(&batch(vec![row(0, &["kitchen", "t1", ""], values()), row(0, &["kitchen", "t1", "2"], values())]), 2)
            .unwrap();
        assert_eq!(store.plan(&more).unwrap().statements, [""; 0]);
        let mut sql = home.sql();
        let view = home.view("climate");
        let series = format!("select count(distinct series_id) from {}", home.table("climate_series"));
        assert_eq!(sql.number(&series), Ok(2), "the old series keeps '' and goes on");
        assert_eq!(sql.number(&format!("select count(*) from {view} where floor = ''")), Ok(2));
        assert_eq!(
            sql.number(&format!("select count(*) from {view} where humidity is null and temperature = 21.5")),
            Ok(1)
        );
        let wanted: &[&str] = if home.is_postgres() {
            &["time", "room", "device", "temperature", "received_at", "floor", "humidity"]
        } else {
            &["time", "time_utc", "room", "device", "floor", "temperature", "humidity", "received_at"]
        };
        assert_eq!(columns(&home, "climate"), wanted);
        // The older mapping, in another Amber, still works beside it.
        let mut older = home.store(2);
        older.prepare(&climate()).unwrap();
        assert_eq!(older.plan(&climate()).unwrap().statements, [""; 0]);
        older.adopt().unwrap();
        older.write(&temperatures([23.0]), 3).unwrap();
        assert_eq!(sql.number(&series), Ok(2));
    }
}

#[test]
fn an_amber_that_runs_notices_a_tag_that_another_one_added() {
    for home in Home::both() {
        let mut running = home.ready(&climate());
        running.write(&temperatures([1.0]), 1).unwrap();
        let mut more = climate();
        more.measurements[0].tags.push("floor".to_owned());
        let mut other = home.store(2);
        other.prepare(&more).unwrap();
        // Known series go on.
        running.write(&temperatures([2.0]), 2).unwrap();
        // A new one takes a new plan, which it makes by itself.
        let new_series = batch(vec![row(0, &["attic", "t9"], vec![Some(Value::Float(3.0))])]);
        running.write(&new_series, 3).unwrap();
        let found = format!("select count(*) from {} where room = 'attic' and floor = ''", home.view("climate"));
        assert_eq!(home.sql().number(&found), Ok(1));
    }
}

#[test]
fn a_type_that_somebody_changes_while_amber_runs_is_noticed_within_a_minute() {
    let home = Home::postgres();
    let schema = Schema { measurements: vec![measurement("m", &[], vec![field("n", Type::Float)])] };
    let mut store = home.ready(&schema);
    let value = |number| batch(vec![row(0, &[], vec![Some(Value::Float(number))])]);
    store.write(&value(1.5), 1).unwrap();
    // PostgreSQL goes on and rounds.
    home.sql().run("drop view amber.m; alter table amber_store.m_data alter column n type bigint");
    store.write(&value(2.5), 2).unwrap();
    store.runtime.block_on(async {
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(60)).await;
        tokio::time::resume();
    });
    let text = standing(store.write(&value(3.5), 3));
    assert!(text.contains("bigint") && text.contains("double precision"), "{text}");
    home.sql().run("alter table amber_store.m_data alter column n type double precision");
    store.write(&value(3.5), 3).unwrap();
    assert_eq!(home.count("m"), 3);
}

#[test]
fn types_that_sqlite_stores_alike_are_told_apart_by_the_catalogue() {
    for home in Home::both() {
        let schema = |r#type| Schema { measurements: vec![measurement("door", &["id"], vec![field("open", r#type)])] };
        let mut store = home.ready(&schema(Type::Bool));
        assert_eq!(store.plan(&schema(Type::Int)).unwrap().conflicts.len(), 1);
        assert_eq!(store.plan(&schema(Type::Time)).unwrap().conflicts.len(), 1);
        assert_eq!(store.plan(&schema(Type::Bool)).unwrap().conflicts.len(), 0);
    }
}

#[test]
fn what_belongs_to_somebody_else_is_a_conflict_and_is_not_touched() {
    for home in Home::both() {
        let mut store = home.ready(&climate());
        let mut sql = home.sql();
        sql.run(&format!("create table {} (a text)", home.view("power")));
        sql.run(&format!("create table {} (x text)", home.table("water_data")));
        let text = if home.is_postgres() {
            "alter table amber_store.climate_data add column checked text not null"
        } else {
            "alter table store_climate_data add column checked text not null default ''; select 1"
        };
        sql.run(text);
        let mut more = climate();
        more.measurements.push(measurement("power", &["id"], vec![field("w", Type::Float)]));
        more.measurements.push(measurement("water", &["id"], vec![field("l", Type::Float)]));
        let conflicts = store.plan(&more).unwrap().conflicts.join("\n");
        assert!(conflicts.contains("is a table of somebody else's"), "{conflicts}");
        assert!(conflicts.contains("has no column \"time\""), "{conflicts}");
        assert_eq!(conflicts.contains("drop not null"), home.is_postgres(), "{conflicts}");
        standing(store.prepare(&more));
        assert_eq!(sql.number(&format!("select count(*) from {}", home.view("power"))), Ok(0));
    }
}

#[test]
fn several_stores_prepare_at_once() {
    for home in Home::both() {
        let mut stores: Vec<_> = (0..4).map(|owner| home.store(owner)).collect();
        thread::scope(|scope| {
            let running: Vec<_> = stores.iter_mut().map(|store| scope.spawn(|| store.prepare(&climate()))).collect();
            for prepared in running {
                prepared.join().unwrap().unwrap();
            }
        });
        assert_eq!(home.count("measurements"), 1);
    }
}

#[test]
fn names_that_need_quotes_are_quoted_everywhere() {
    for home in Home::both() {
        let name = "Wet \"ter; drop";
        let tags = ["select", "a.b", "it's"];
        let fields = vec![field("order by", Type::Float), field("größe\\n", Type::Text), field("%s", Type::Bool)];
        let fields: Vec<Field> = fields.into_iter().map(|f| Field { unit: Some("m'/\\s".to_owned()), ..f }).collect();
        let schema =
            |fields: &[Field], tags: &[&str]| Schema { measurements: vec![measurement(name, tags, fields.to_vec())] };
        home.ready(&schema(&fields[..1], &tags[..1]));
        let mut store = home.ready(&schema(&fields, &tags));
        let values = || vec![Some(Value::Float(1.0)), Some(Value::Text("x".into())), Some(Value::Bool(true))];
        store.write(&batch(vec![row(0, &["1", "2", "'3'"], values())]), 1).unwrap();
        let view = home.view(&name.replace('"', "\"\""));
        let found = format!(
            "select count(*) from {view} where \"select\" = '1' and \"a.b\" = '2' and \"it's\" = '''3''' and \"order by\" = 1 and \"größe\\n\" = 'x' and \"%s\""
        );
        assert_eq!(home.sql().number(&found), Ok(1));
        assert_eq!(store.plan(&schema(&fields, &tags)).unwrap().statements, [""; 0]);
    }
}

#[test]
fn the_catalogue_says_what_the_mapping_says_and_follows_it() {
    for home in Home::both() {
        let mut schema = climate();
        let described = Field {
            kind: Kind::Total,
            unit: Some("kWh".to_owned()),
            description: Some("since it was new".to_owned()),
            decimals: Some(1),
            min: Some(0.0),
            max: Some(1e6),
            ..field("energy", Type::Float)
        };
        schema.measurements[0].fields.push(described);
        let mut store = home.ready(&schema);
        let read = |home: &Home| {
            let sql = format!(
                "select name, position, type, kind, unit, description, decimals, min = 0, max > 1 from {} where measurement = 'climate' order by position",
                home.view("fields")
            );
            let yes = if home.is_postgres() { "t" } else { "1" };
            home.sql()
                .rows(&sql)
                .unwrap()
                .into_iter()
                .map(|row| {
                    row.into_iter()
                        .map(|text| text.unwrap_or("-".into()))
                        .map(|text| if text == yes { "yes".into() } else { text })
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect::<Vec<String>>()
        };
        let rows = read(&home);
        assert_eq!(rows[0], "temperature 0 float gauge °C - - - -");
        assert!(rows[1].starts_with("energy ") && rows[1].contains("float total kWh since it was new"), "{rows:?}");
        schema.measurements[0].fields[0].unit = Some("K".to_owned());
        store.prepare(&schema).unwrap();
        assert_eq!(read(&home)[0], "temperature 0 float gauge K - - - -");
        if home.is_postgres() {
            let comment = "select col_description('amber.climate'::regclass, attnum) from pg_attribute where attrelid = 'amber.climate'::regclass and attname = ";
            assert_eq!(home.sql().value(&format!("{comment}'temperature'")), Ok("K".to_owned()));
            assert_eq!(home.sql().value(&format!("{comment}'energy'")), Ok("kWh: since it was new".to_owned()));
            schema.measurements[0].fields[0].unit = None;
            store.prepare(&schema).unwrap();
            let left = format!("select ({comment}'temperature') is null");
            assert_eq!(home.sql().value(&left), Ok("t".to_owned()));
            assert_eq!(store.plan(&schema).unwrap().statements, [""; 0]);
        }
    }
}

#[test]
fn grants_on_a_view_outlive_a_new_field() {
    let home = Home::Postgres(postgres::database());
    let Home::Postgres(database) = &home else { unreachable!() };
    let mut store = home.ready(&climate());
    let role = format!("reader_{}", database.name);
    let mut sql = home.sql();
    sql.run(&format!(
        "create role {role} login; grant usage on schema amber to {role}; grant select on amber.climate to {role}"
    ));
    let mut more = climate();
    more.measurements[0].fields.push(field("humidity", Type::Float));
    store.prepare(&more).unwrap();
    sql.run(&format!("set role {role}"));
    assert_eq!(sql.number("select count(humidity) from amber.climate"), Ok(0));
}

#[test]
fn sqlite_is_set_up_for_durability() {
    let home = Home::Sqlite(crate::support::folder::Folder::new());
    home.ready(&climate());
    let mut sql = home.sql();
    assert_eq!(sql.value("pragma journal_mode"), Ok("wal".to_owned()));
    assert_eq!(sql.number("pragma auto_vacuum"), Ok(2));
    let conflicts = home.store(2).plan(&Schema {
        measurements: vec![measurement("A", &["x"], vec![field("X", Type::Int)]), measurement("a", &[], vec![])],
    });
    assert_eq!(conflicts.unwrap().conflicts.len(), 2);
}
