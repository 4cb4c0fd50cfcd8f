//! `[store] ddl = false`: an administrator makes the tables by the SQL that is printed, and Amber changes none.

use amber::config::{Secret, StoreUrl};
use amber::row::{Reason, Reject};
use amber::schema::{Schema, Type};

use super::subject::{Home, Subject, batch, climate, field, message, push_reject, row, standing, temperatures};
use crate::support::postgres::Database;

/// What docs/operation.md grants.
fn grants(role: &str) -> String {
    let text = include_str!("../../../docs/operation.md");
    let (_, rest) = text.split_once("in Amber's database: the least that it needs -->\n```sql\n").unwrap();
    let (block, _) = rest.split_once("\n```").unwrap();
    block.replace(" to amber;", &format!(" to {role};"))
}

/// Names of roles are quoted in what is told.
fn without_quotes(text: &str) -> String {
    text.replace('"', "")
}

/// A store that changes no table, of a role without any right.
fn poor(home: &Home) -> Subject {
    let url = match home {
        Home::Postgres(database) => StoreUrl::Postgres(vec![Secret::new(url_of(database))]),
        Home::Sqlite(_) => home.store_url(),
    };
    Subject::with(url, 1, false)
}

fn role_of(database: &Database) -> String {
    format!("writer_{}", database.name)
}

fn url_of(database: &Database) -> String {
    database.url().replace("postgres@", &format!("{}@", role_of(database)))
}

/// An administrator runs what `amber check` prints.
fn administer(home: &Home, schema: &Schema) {
    let statements = home.store(99).plan(schema).unwrap().statements;
    if let Home::Sqlite(folder) = home
        && !folder.join("store.db").exists()
    {
        folder.write("store.db", "");
    }
    home.sql().run(&format!("begin; {}; commit", statements.join(";\n")));
}

#[test]
fn without_ddl_nothing_is_made_and_the_sql_run_by_somebody_else_with_the_least_grants_is_enough() {
    for home in Home::both() {
        if let Home::Postgres(database) = &home {
            home.sql().run(&format!("create role {} login", role_of(database)));
        }
        let mut store = poor(&home);
        let text = standing(store.prepare(&climate()));
        assert!(text.contains("`[store] ddl = false`") && text.contains("`amber check"), "{text}");
        match &home {
            Home::Postgres(_) => {
                let schemas = "select count(*) from pg_namespace where nspname like 'amber%'";
                assert_eq!(home.sql().number(schemas), Ok(0));
            }
            Home::Sqlite(folder) => assert!(!folder.join("store.db").exists()),
        }
        administer(&home, &climate());
        if let Home::Postgres(database) = &home {
            let text = standing(store.prepare(&climate()));
            let grants = grants(&role_of(database));
            assert!(text.contains("permission denied for schema amber_store"), "{text}");
            assert!(without_quotes(&text).contains(grants.replace('\n', " ").trim_end_matches(';')), "{text}");
            home.sql().run("grant usage on schema amber_store to public");
            let text = standing(store.prepare(&climate()));
            assert!(text.contains("permission denied for table"), "{text}");
            assert!(without_quotes(&text).contains("grant update on amber_store.delivery"), "{text}");
            home.sql().run("revoke usage on schema amber_store from public");
            home.sql().run(&grants);
        }
        store.prepare(&climate()).unwrap();
        store.adopt().unwrap();
        let mut first = temperatures([21.5]);
        let reject = Reject { mapping: None, reason: Reason::Payload, detail: "no JSON".to_owned() };
        push_reject(&mut first, message("home/kitchen/t1", b"{"), reject);
        store.write(&first, 1).unwrap();
        store.write_apart(&temperatures([22.5]), 2).unwrap();
        store.runtime.block_on(store.store.write_ledger(b"\x01")).unwrap();
        store.runtime.block_on(store.store.write_filters("[]")).unwrap();
        store.runtime.block_on(store.store.ask()).unwrap();
        assert_eq!((home.count("climate"), home.count("rejects")), (2, 1));

        let mut more = climate();
        more.measurements[0].fields.push(field("humidity", Type::Float));
        more.measurements[0].tags.push("floor".to_owned());
        let text = standing(store.prepare(&more));
        assert!(text.contains("`alter table"), "{text}");
        store.write(&temperatures([23.5]), 3).unwrap();
        administer(&home, &more);
        store.prepare(&more).unwrap();
        store.write(&batch(vec![row(0, &["kitchen", "t1", "2"], vec![None, None])]), 4).unwrap();
        assert_eq!(home.count("climate"), 4);
        // A new measurement needs no new grant.
        more.measurements.push(super::subject::measurement("power", &["id"], vec![field("w", Type::Float)]));
        administer(&home, &more);
        store.prepare(&more).unwrap();
        store.write(&batch(vec![row(1, &["m1"], vec![None])]), 5).unwrap();
        assert_eq!(home.count("power"), 1);
        // Another type, too, comes by the SQL that is printed.
        more.measurements[1].fields.push(field("n", Type::Int));
        administer(&home, &more);
        store.prepare(&more).unwrap();
        more.measurements[1].fields[1].r#type = Type::Float;
        standing(store.prepare(&more));
        administer(&home, &more);
        store.prepare(&more).unwrap();
    }
}

#[test]
fn without_ddl_a_column_that_is_gone_is_standing_until_an_administrator_makes_it_again() {
    for home in Home::both() {
        home.ready(&climate());
        let mut store = Subject::with(home.store_url(), 2, false);
        store.prepare(&climate()).unwrap();
        store.adopt().unwrap();
        let view = home.view("climate");
        home.sql()
            .run(&format!("drop view {view}; alter table {} drop column temperature", home.table("climate_data")));
        standing(store.write(&temperatures([1.0]), 1));
        let text = standing(store.write(&temperatures([1.0]), 1));
        assert!(text.contains("ddl = false") && text.contains("add column \"temperature\""), "{text}");
        administer(&home, &climate());
        store.write(&temperatures([1.0]), 1).unwrap();
        assert_eq!(home.count("climate"), 1);
    }
}

#[test]
fn a_comment_that_is_missing_keeps_nobody_from_writing() {
    let home = Home::postgres();
    home.ready(&climate());
    let Home::Postgres(database) = &home else { unreachable!() };
    home.sql().run(&format!("create role {} login", role_of(database)));
    home.sql().run(&grants(&role_of(database)));
    let mut other = climate();
    other.measurements[0].fields[0].unit = Some("K".to_owned());
    let mut store = poor(&home);
    store.prepare(&other).unwrap();
    let unit = "select unit from amber.fields where name = 'temperature'";
    assert_eq!(home.sql().value(unit), Ok("K".to_owned()), "the catalogue follows the mapping all the same");
}
