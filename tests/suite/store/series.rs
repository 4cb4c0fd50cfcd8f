//! `max_series`: what is known goes on being stored, what is new is refused, in both stores.

use amber::row::Value;
use amber::schema::Schema;
use amber::store::WriteError;

use super::subject::{Home, Subject, batch, climate, row};

fn bounded(max_series: u64) -> Schema {
    let mut schema = climate();
    schema.measurements[0].max_series = max_series;
    schema
}

/// Writes a row of each device; positions of those that are of too many series. They are left out then.
fn write(store: &mut Subject, devices: &[&str], number: i64) -> Vec<usize> {
    let row = |device: &&str| row(0, &["kitchen", device], vec![Some(Value::Float(1.0))]);
    let mut batch = batch(devices.iter().map(row).collect());
    let mut left_out = Vec::new();
    match store.write(&batch, number) {
        Err(WriteError::TooManySeries(rows)) => {
            left_out.extend(rows.iter().map(|(position, _)| *position));
            let rejects = batch.reject(rows, amber::row::Reason::TooManySeries);
            assert_eq!(rejects.len(), left_out.len());
            batch.add_rejects(rejects);
            let written = store.write(&batch, number).unwrap();
            assert_eq!(written.rows as usize, devices.len() - left_out.len());
        }
        written => assert_eq!(written.unwrap().rows as usize, devices.len()),
    }
    left_out
}

#[test]
fn a_new_series_beyond_the_bound_is_refused_and_its_neighbours_and_the_known_ones_are_stored() {
    for home in Home::both() {
        let mut store = home.ready(&bounded(3));
        assert_eq!(write(&mut store, &["a", "b"], 1), [0; 0]);
        assert_eq!(write(&mut store, &["c", "a", "d", "b", "d", "e"], 2), [2, 4, 5]);
        assert_eq!(write(&mut store, &["a", "b", "c"], 3), [0; 0]);
        assert_eq!(write(&mut store, &["f", "c"], 4), [0]);
        assert_eq!((home.count("climate"), home.count("rejects")), (9, 4), "{home}");
        let count = format!("select count(*) from {}", home.table("climate_series"));
        assert_eq!(home.sql().number(&count), Ok(3));
        let detail = format!(
            "select count(*) from {} where reason = 'too_many_series' and mapping = 'plant'
             and detail like '%`max_series` allows (3)%room=\"kitchen\" device=\"f\"%'",
            home.view("rejects")
        );
        assert_eq!(home.sql().number(&detail), Ok(1));
    }
}

#[test]
fn a_new_process_counts_what_is_there_and_what_is_retired_makes_room_and_is_known() {
    for home in Home::both() {
        let mut store = home.ready(&bounded(3));
        write(&mut store, &["broken", "b", "c"], 1);
        let documented = include_str!("../../../docs/operation.md").split("\n## Too many series\n").nth(1).unwrap();
        let retire = documented.split("```sql\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert!(retire.contains("'broken'"), "{retire}");
        // As the service keeps them, beside the store.
        home.sql().run(&format!(
            "insert into {} (measurement, series_id, device, tags) select 'climate', series_id, device, {} from {}",
            home.table("device"),
            if home.is_postgres() { "jsonb_build_object('device', device)" } else { "json_object('device', device)" },
            home.table("climate_series")
        ));
        home.sql().run(&if home.is_postgres() {
            retire.to_owned()
        } else {
            retire.replace("amber.devices", "store_device").replace("now()", "unixepoch() * 1000000")
        });
        let mut next = home.store(2);
        next.prepare(&bounded(3)).unwrap();
        next.adopt().unwrap();
        // One may come for it, and no more; it is still known.
        assert_eq!(write(&mut next, &["d", "broken", "e"], 2), [2], "{home}");
        // A bound that was lowered takes nothing away.
        let mut last = home.store(3);
        last.prepare(&bounded(1)).unwrap();
        last.adopt().unwrap();
        assert_eq!(write(&mut last, &["broken", "b", "c", "d", "e"], 3), [4], "{home}");
        assert_eq!(home.count("climate"), 9);
    }
}
