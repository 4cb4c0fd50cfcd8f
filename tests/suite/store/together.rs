//! Writers of two client ids on one store.

use std::sync::Barrier;
use std::thread;

use amber::schema::{Schema, Type};

use super::subject::{Home, Subject, batch, field, measurement, row};

const ROUNDS: i64 = 20;
const NEW: i64 = 300;

/// The same two measurements, in the orders that two configurations may have.
fn schema(other: bool) -> Schema {
    let tags: &[&str] = if other { &["device", "room"] } else { &["room", "device"] };
    let mut measurements = vec![
        measurement("climate", tags, vec![field("t", Type::Float)]),
        measurement("power", &["meter"], vec![field("w", Type::Float)]),
    ];
    if other {
        measurements.reverse();
    }
    Schema { measurements }
}

/// New series of both measurements, the last first for the other.
fn rows(round: i64, other: bool) -> amber::batch::Batch {
    let (climate, power) = if other { (1, 0) } else { (0, 1) };
    let mut rows = Vec::new();
    for n in round * NEW..(round + 1) * NEW {
        let (room, device, meter) = (format!("r{}", n % 7), format!("d{n}"), format!("m{n}"));
        let tags = if other { [&*device, &*room] } else { [&*room, &*device] };
        rows.push(row(climate, &tags, vec![None]));
        rows.push(row(power, &[&meter], vec![None]));
    }
    if other {
        rows.reverse();
    }
    batch(rows)
}

#[test]
fn two_writers_that_make_the_same_series_at_once_in_other_orders_never_wait_for_each_other() {
    for home in Home::both() {
        let mut stores = ["one", "other"].map(|writer| Subject::of(writer, home.store_url(), 1, true));
        for (store, other) in stores.iter_mut().zip([false, true]) {
            store.prepare(&schema(other)).unwrap();
            store.adopt().unwrap();
        }
        let barrier = Barrier::new(2);
        let failed: Vec<String> = thread::scope(|scope| {
            let running = stores.iter_mut().zip([false, true]).map(|(store, other)| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let write = |round| {
                        let batch = rows(round, other);
                        barrier.wait();
                        store.write(&batch, round + 1).err().map(|error| format!("{round}: {error:?}"))
                    };
                    (0..ROUNDS).filter_map(write).collect::<Vec<_>>()
                })
            });
            let running: Vec<_> = running.collect();
            running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(failed, [""; 0], "{home}");
        let series = |name: &str| home.sql().number(&format!("select count(*) from {}", home.table(name)));
        assert_eq!((series("climate_series"), series("power_series")), (Ok(ROUNDS * NEW), Ok(ROUNDS * NEW)), "{home}");
        assert_eq!((home.count("climate"), home.count("power")), (2 * ROUNDS * NEW, 2 * ROUNDS * NEW), "{home}");
    }
}
