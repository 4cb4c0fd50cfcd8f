//! What the live page reads, of both stores: pages, plots, rejects; and what it is told when there is nothing to read.

use std::collections::BTreeMap;
use std::time::Duration;

use amber::config;
use amber::message::Time;
use amber::row::{Reason, Reject, Value};
use amber::schema::{Measurement, Own, Schema, TableName, Type};
use amber::store::reader::{Counts, HistoryAsked, Plot, RejectsAsked, SHOWN_BYTES, SeriesAsked, SeriesPage};
use amber::store::{ReadError, Reader};
use tokio::runtime::Runtime;

use super::subject::{Home, NOON, field, measurement, message, push_reject};
use crate::support::{Random, eventually};

/// A reader and what drives it.
struct Reading {
    runtime: Runtime,
    reader: Reader,
}

impl Home {
    fn reading(&self, devices_interval: u64, limit: Duration) -> Reading {
        let devices_interval = Duration::from_secs(devices_interval);
        let reader = Reader::new(&config::Store { devices_interval, ..self.store_config() }).with_limit(limit);
        Reading { runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(), reader }
    }

    fn reader(&self) -> Reading {
        self.reading(5, Duration::from_secs(5))
    }

    /// Instants of a statement.
    fn at(&self, micros: &str) -> String {
        if self.is_postgres() {
            format!("timestamptz 'epoch' + ({micros}) * interval '1 microsecond'")
        } else {
            format!("({micros})")
        }
    }

    /// `n` from 1 to `count`.
    fn numbers(&self, count: u64) -> String {
        if self.is_postgres() {
            format!("(select n::bigint from generate_series(1, {count}) n) numbers")
        } else {
            format!(
                "(with recursive r(n) as (select 1 union all select n + 1 from r where n < {count}) select n from r) numbers"
            )
        }
    }

    /// Devices of `air`, as Amber would have written them: number, name; heard a minute ago, or an hour ago if `silent`.
    fn add_device(&self, id: i64, name: &str, silent: bool) {
        let heard = self.at(&format!("{} - {}", Time::now().0, if silent { 3_600_000_000_i64 } else { 60_000_000 }));
        let name = name.replace('\'', "''");
        self.sql().run(&format!(
            "insert into {} (measurement, series_id, device, tags, first_seen, last_seen, last_time, gap_sum, gap_squares, gaps, last_values)
             values ('air', {id}, '{name}', '{{\"device\":\"x\",\"room\":\"\"}}', {}, {heard}, {heard}, 300, 9000, 10, '{{\"t\":21.5,\"b\":true}}')",
            self.table("device"),
            self.at(&NOON.0.to_string()),
        ));
    }
}

impl Reading {
    fn counts(&mut self, schema: &Schema) -> Result<Vec<Counts>, ReadError> {
        self.runtime.block_on(self.reader.counts(schema))
    }

    fn series(&mut self, asked: &SeriesAsked) -> Result<SeriesPage, ReadError> {
        self.runtime.block_on(self.reader.series(asked))
    }

    fn history(&mut self, schema: &Schema, asked: &HistoryAsked) -> Result<Vec<Plot>, ReadError> {
        self.runtime.block_on(self.reader.history(schema, asked))
    }

    fn found(&mut self, search: &str) -> Vec<i64> {
        let page = self.series(&SeriesAsked { search: search.to_owned(), ..all() }).unwrap();
        assert_eq!(page.total, page.series.len() as u64);
        page.series.iter().map(|device| device.series_id).collect()
    }
}

fn all() -> SeriesAsked {
    SeriesAsked { limit: 200, ..SeriesAsked::default() }
}

fn air() -> Measurement {
    let fields = vec![
        field("t", Type::Float),
        field("n", Type::Int),
        field("b", Type::Bool),
        field("it's \"x\"", Type::Float),
        field("note", Type::Text),
    ];
    measurement("air", &["room", "device"], fields)
}

fn schema() -> Schema {
    let table = TableName { schema: None, name: "mine".to_owned() };
    let own = Own { table, time: "time".into(), received_at: None, tags: vec![], fields: vec![] };
    let own = Measurement { own: Some(own), ..measurement("mine", &[], vec![]) };
    Schema { measurements: vec![air(), measurement("empty", &[], vec![field("x", Type::Int)]), own] }
}

/// Without the one whose table Amber would not make.
fn ours() -> Schema {
    Schema { measurements: schema().measurements.into_iter().filter(|one| one.own.is_none()).collect() }
}

fn asked(series: Vec<i64>, fields: &[&str], from: i64, to: i64, points: u32) -> HistoryAsked {
    let fields = fields.iter().map(|&field| field.to_owned()).collect();
    HistoryAsked { measurement: "air".into(), series, fields, from: Time(from), to: Time(to), points }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, ReadError>) -> String {
    match answer {
        Err(ReadError::Refused(error)) => format!("{error:#}"),
        other => panic!("{other:?} instead of refused"),
    }
}

#[track_caller]
fn away<T: std::fmt::Debug>(answer: Result<T, ReadError>) -> String {
    match answer {
        Err(ReadError::Away(error)) => format!("{error:#}"),
        other => panic!("{other:?} instead of away"),
    }
}

#[test]
fn series_are_found_by_what_their_names_contain_in_upper_or_lower_case_and_without_wildcards() {
    for home in Home::both() {
        home.ready(&ours());
        let names = ["Kitchen / t1", "kitchen%", "k_tchen", "Küche", "GÄSTE", "it's \\ \"x\"", "100 %_"];
        for (n, name) in names.iter().enumerate() {
            home.add_device(n as i64 + 1, name, n % 2 == 1);
        }
        let mut reading = home.reader();
        for (search, expected) in [
            ("", vec![7, 5, 1, 4, 6, 3, 2]),
            ("KITCHEN", vec![1, 2]),
            ("  kitchen ", vec![1, 2]),
            ("%", vec![7, 2]),
            ("_", vec![7, 3]),
            ("k_t", vec![3]),
            ("küche", vec![4]),
            ("KÜCHE", vec![4]),
            ("gäste", vec![5]),
            ("\\", vec![6]),
            ("'s \\ \"x", vec![6]),
            ("' or 1=1 --", vec![]),
            ("AIR", vec![7, 5, 1, 4, 6, 3, 2]),
        ] {
            assert_eq!(reading.found(search), expected, "{search}: {home}");
        }
        let page = reading.series(&SeriesAsked { silent_only: true, limit: 2, offset: 1, ..all() }).unwrap();
        assert_eq!(page.total, 3);
        let names: Vec<&str> = page.series.iter().map(|device| device.device.as_str()).collect();
        assert_eq!(names, ["it's \\ \"x\"", "kitchen%"], "{home}");
        let elsewhere = SeriesAsked { measurement: Some("empty".to_owned()), ..all() };
        assert_eq!(reading.series(&elsewhere).unwrap(), SeriesPage::default());
        let device = reading.series(&SeriesAsked { search: "k_t".into(), ..all() }).unwrap().series.remove(0);
        assert_eq!(device.tags, [("device".to_owned(), "x".to_owned()), ("room".to_owned(), String::new())]);
        assert_eq!(device.first_seen, Some(NOON), "{home}");
        assert_eq!((device.usual_interval_s, device.silent, device.retired), (Some(30.0), false, false));
        let last: BTreeMap<String, String> = device.last.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
        assert_eq!(last, BTreeMap::from([("b".into(), "true".into()), ("t".into(), "21.5".into())]));
    }
}

#[test]
fn counts_and_pages_agree_with_the_view_of_devices_over_ten_thousand_of_them() {
    for home in Home::both() {
        home.ready(&ours());
        let (now, text) = (Time::now().0, if home.is_postgres() { "n::text" } else { "n" });
        home.sql().run(&format!(
            "insert into {} (measurement, series_id, device, tags, last_seen, last_time, gap_sum, gap_squares, gaps, retired_at)
             select 'air', n, 'device ' || {text}, '{{}}', {}, {}, 300, 9000, n % 7, case when n % 5 = 0 then {} end from {}",
            home.table("device"),
            home.at(&format!("{now} - n % 3 * 2000000000")),
            home.at(&NOON.0.to_string()),
            home.at(&NOON.0.to_string()),
            home.numbers(10_000),
        ));
        let mut reading = home.reader();
        let silent = home.sql().number(&format!("select count(*) from {} where silent", home.view("devices"))).unwrap();
        let counts = reading.counts(&schema()).unwrap();
        let air =
            Counts { measurement: "air".into(), series: 10_000, silent: silent.unsigned_abs(), last_time: Some(NOON) };
        let empty = Counts { measurement: "empty".into(), series: 0, silent: 0, last_time: None };
        assert_eq!(counts, [air, empty], "a table of somebody's own has no series: {home}");
        assert!(silent > 1_000, "{silent}");
        let mut seen = Vec::new();
        for offset in (0..10_000).step_by(200) {
            let page = reading.series(&SeriesAsked { offset, ..all() }).unwrap();
            assert_eq!(page.total, 10_000);
            seen.extend(page.series.into_iter().map(|device| device.series_id));
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(1..=10_000), "each on one page: {home}");
        let page = reading.series(&SeriesAsked { silent_only: true, ..all() }).unwrap();
        assert_eq!(page.total, silent.unsigned_abs(), "{home}");
        assert!(page.series.iter().all(|device| device.silent && !device.retired), "{home}");
        assert_eq!(reading.found("device 7777"), [7_777], "{home}");
    }
}

#[test]
fn where_nobody_keeps_the_devices_series_are_listed_without_times() {
    for home in Home::both() {
        home.ready(&ours());
        let table = home.table("air_series");
        home.sql().run(&format!(
            "insert into {table} (room, device) values ('attic', 't2'), ('', 't1'), ('Küche', 't3'), ('', '')"
        ));
        let mut reading = home.reading(0, Duration::from_secs(5));
        let counts = reading.counts(&schema()).unwrap();
        assert_eq!(
            counts.iter().map(|counts| (counts.series, counts.last_time)).collect::<Vec<_>>(),
            [(4, None), (0, None)]
        );
        let page = reading.series(&SeriesAsked { offset: 1, limit: 2, ..all() }).unwrap();
        let names: Vec<&str> = page.series.iter().map(|device| device.device.as_str()).collect();
        assert_eq!((page.total, names), (4, vec!["air", "attic / t2"]), "{home}");
        assert_eq!(page.series[1].tags, [("device".into(), "t2".into()), ("room".into(), "attic".into())]);
        assert_eq!(reading.found("küche"), [3], "{home}");
        assert_eq!(reading.series(&SeriesAsked { silent_only: true, ..all() }).unwrap(), SeriesPage::default());
    }
}

/// A row: series, time in µs after noon, values.
type Reading1 = (i64, i64, Option<f64>, Option<i64>, Option<bool>);

/// Rows of two series at random times of an hour, one of them a second apart at times.
fn random_rows() -> Vec<Reading1> {
    let mut random = Random(7);
    let row = |n: u64| {
        let time = random.between(0, 3_600_000_000).cast_signed();
        let t = (random.between(0, 4) > 0).then(|| random.between(0, 1_000) as f64 / 8.0);
        let n = (!n.is_multiple_of(3)).then(|| random.between(0, 100).cast_signed() - 50);
        (random.between(1, 3).cast_signed(), time, t, n, (time % 5 > 0).then_some(time % 2 == 0))
    };
    (0..500).map(row).collect()
}

/// The beginning of each step in s, and mean, least and greatest value.
type Steps = Vec<(f64, f64, f64, f64)>;

fn by_hand(rows: &[Reading1], id: i64, of: impl Fn(&Reading1) -> Option<f64>, asked: &HistoryAsked) -> Steps {
    let step = i64::try_from(asked.step().as_micros()).unwrap();
    let mut steps: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.0 == id) {
        let time = NOON.0 + row.1;
        if let Some(value) = of(row).filter(|_| (asked.from.0..asked.to.0).contains(&time)) {
            steps.entry((time.div_euclid(step) * step).max(asked.from.0)).or_default().push(value);
        }
    }
    let step = |(begin, values): (i64, Vec<f64>)| {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        let (min, max) = (values.iter().copied().fold(min, f64::min), values.iter().copied().fold(max, f64::max));
        (begin as f64 / 1e6, values.iter().sum::<f64>() / values.len() as f64, min, max)
    };
    steps.into_iter().map(step).collect()
}

fn steps(plot: &Plot) -> Steps {
    (0..plot.times_s.len()).map(|n| (plot.times_s[n], plot.avg[n], plot.min[n], plot.max[n])).collect()
}

#[track_caller]
fn assert_close(seen: &Steps, expected: &Steps, what: &str) {
    assert_eq!(seen.len(), expected.len(), "{what}");
    for (seen, expected) in seen.iter().zip(expected) {
        let is_close = (seen.1 - expected.1).abs() < 1e-9;
        assert!(
            is_close && (seen.0, seen.2, seen.3) == (expected.0, expected.2, expected.3),
            "{what}: {seen:?} {expected:?}"
        );
    }
}

#[test]
fn a_plot_has_mean_least_and_greatest_value_of_each_step_and_nothing_from_outside_its_range() {
    for home in Home::both() {
        home.ready(&ours());
        let rows = random_rows();
        let value = |value: Option<String>| value.unwrap_or_else(|| "null".into());
        let truth = |b: bool| if home.is_postgres() { b.to_string() } else { u8::from(b).to_string() };
        let values: Vec<String> = rows
            .iter()
            .map(|(id, time, t, n, b)| {
                let at = home.at(&(NOON.0 + time).to_string());
                let (t, n) = (value(t.map(|t| format!("{t:?}"))), value(n.map(|n| n.to_string())));
                format!("({at}, {id}, {at}, {t}, {n}, {})", value(b.map(truth)))
            })
            .collect();
        let into = format!("insert into {} (time, series_id, received_at, t, n, b) values", home.table("air_data"));
        home.sql().run(&format!("{into} {}", values.join(", ")));
        let mut reading = home.reader();
        let hour = 3_600_000_000;
        // A step of less than a row; of many; a range that begins and ends within steps; one point.
        for (from, to, points) in [(0, hour, 2_000), (0, hour, 60), (1_234_567, hour - 7_654_321, 7), (0, hour, 1)] {
            let asked = asked(vec![2, 1, 3, 2], &["n", "t", "b"], NOON.0 + from, NOON.0 + to, points);
            let plots = reading.history(&schema(), &asked).unwrap();
            let names: Vec<(i64, &str)> = plots.iter().map(|plot| (plot.series_id, plot.field.as_str())).collect();
            assert_eq!(names[..4], [(2, "n"), (2, "t"), (2, "b"), (1, "n")]);
            assert_eq!(names.len(), 9);
            let of = |field: &str, row: &Reading1| match field {
                "n" => row.3.map(|n| n as f64),
                "t" => row.2,
                _ => row.4.map(f64::from),
            };
            for plot in &plots {
                let expected = by_hand(&rows, plot.series_id, |row| of(&plot.field, row), &asked);
                assert!(expected.len() <= points as usize);
                let what = format!("{} of {} with {points} points: {home}", plot.field, plot.series_id);
                assert_close(&steps(plot), &expected, &what);
            }
            assert!(plots.iter().map(|plot| plot.times_s.len()).sum::<usize>() > 0);
        }
    }
}

#[test]
fn values_of_any_size_and_names_of_any_kind_are_drawn() {
    for home in Home::both() {
        home.ready(&ours());
        let at = |second: i64| home.at(&(NOON.0 + second * 1_000_000).to_string());
        home.sql().run(&format!(
            "insert into {} (time, series_id, received_at, t, n, \"it's \"\"x\"\"\") values
             ({a}, 1, {a}, 1.7e308, 9223372036854775807, 1e-300), ({a}, 1, {a}, 1.7e308, 9223372036854775807, null)",
            home.table("air_data"),
            a = at(1)
        ));
        let mut reading = home.reader();
        let asked = asked(vec![1], &["t", "n", "it's \"x\""], NOON.0, NOON.0 + 10_000_000, 10);
        let plots = reading.history(&schema(), &asked).unwrap();
        assert_eq!((plots[0].avg.as_slice(), plots[0].max.as_slice()), (&[1e300][..], &[1.7e308][..]), "{home}");
        // SQLite writes 15 digits.
        assert!((plots[1].avg[0] / 9_223_372_036_854_775_807_f64 - 1.0).abs() < 1e-14, "{plots:?}: {home}");
        assert_eq!(plots[2].max, [1e-300], "{home}");
    }
}

#[test]
fn a_question_for_what_is_not_there_or_for_too_much_is_refused_with_what_to_do() {
    for home in Home::both() {
        home.ready(&ours());
        let mut reading = home.reader();
        let (from, to) = (NOON.0, NOON.0 + 1_000_000);
        let good = || asked(vec![1], &["t"], from, to, 60);
        for (asked, why) in [
            (HistoryAsked { measurement: "air\"; drop".into(), ..good() }, "there is no measurement `air\"; drop`"),
            (HistoryAsked { measurement: "mine".into(), ..good() }, "a table of your own, which has no series"),
            (asked(vec![1], &["t\" from x --"], from, to, 60), "`air` has no field `t\" from x --`"),
            (asked(vec![1], &["series_id"], from, to, 60), "`air` has no field `series_id`"),
            (asked(vec![1], &["note"], from, to, 60), "`note` is of type text, which cannot be drawn"),
            (asked(vec![1], &["t"], to, from, 60), "is no range of time"),
            (asked(vec![1], &["t"], i64::MIN, i64::MAX, 60), "is no range of time"),
            (asked(vec![1], &["t"], from, to, 0), "0 points; ask for 1 to 2000"),
            (asked(vec![1], &["t"], from, to, 2_001), "2001 points; ask for 1 to 2000"),
            (asked((0..201).collect(), &["t"], from, to, 60), "201 series and 1 fields; ask for 200 and 32"),
            (asked((0..200).collect(), &["t"], from, to, 2_000), "are more than 100000; ask for fewer at once"),
        ] {
            let told = refused(reading.history(&schema(), &asked));
            assert!(told.contains(why), "{told}");
        }
        assert_eq!(reading.history(&schema(), &asked(vec![], &["t"], from, to, 60)).unwrap(), []);
        assert_eq!(reading.history(&schema(), &good()).unwrap()[0].times_s, [0.0; 0], "{home}");
    }
}

#[test]
fn rejects_come_newest_first_in_pages_with_counts_by_reason_and_mapping() {
    for home in Home::both() {
        let mut store = home.ready(&ours());
        let mut batch = amber::batch::Batch::default();
        for n in 0..5_u8 {
            let mut message = message("home/x", &[n; 5_000]);
            message.received_at = Time(NOON.0 + i64::from(n));
            message.retain = n == 4;
            let (mapping, reason) =
                if n % 2 == 0 { (Some("plant".into()), Reason::Payload) } else { (None, Reason::Topic) };
            push_reject(&mut batch, message, Reject { mapping, reason, detail: format!("bad {n}") });
        }
        store.write(&batch, 1).unwrap();
        let mut reading = home.reader();
        let mut rejects = |asked: RejectsAsked| reading.runtime.block_on(reading.reader.rejects(&asked)).unwrap();
        let page = rejects(RejectsAsked { limit: 2, ..RejectsAsked::default() });
        let details = |page: &amber::store::reader::RejectsPage| -> Vec<String> {
            page.rejects.iter().map(|reject| reject.detail.clone()).collect()
        };
        assert_eq!((details(&page), page.more), (vec!["bad 4".to_owned(), "bad 3".to_owned()], true), "{home}");
        let counts: Vec<_> = page
            .counts
            .iter()
            .map(|count| (count.reason.as_str(), count.mapping.as_deref(), count.count, count.last_at.0 - NOON.0))
            .collect();
        assert_eq!(counts, [("payload", Some("plant"), 3, 4), ("topic", None, 2, 3)]);
        assert_eq!((page.counted, page.counted_all), (5, true));
        let first = &page.rejects[0];
        assert_eq!((first.payload.len(), first.payload_bytes, first.retain, first.qos), (SHOWN_BYTES, 5_000, true, 1));
        assert_eq!((first.received_at, first.topic.as_str()), (Time(NOON.0 + 4), "home/x"));
        let before = Some(page.rejects[1].id);
        let page = rejects(RejectsAsked { before, limit: 3, ..RejectsAsked::default() });
        assert_eq!((details(&page).len(), page.more), (3, false));
        let page = rejects(RejectsAsked { mapping: Some(String::new()), limit: 9, ..RejectsAsked::default() });
        assert_eq!(details(&page), ["bad 3", "bad 1"]);
        let reason = Some("payload".to_owned());
        let page = rejects(RejectsAsked { mapping: Some("plant".into()), reason, before, limit: 9 });
        assert_eq!(details(&page), ["bad 2", "bad 0"]);
        let id = page.rejects[0].id;
        let whole = reading.runtime.block_on(reading.reader.reject(id)).unwrap().unwrap();
        assert_eq!(whole.payload, [2; 5_000]);
        assert_eq!(reading.runtime.block_on(reading.reader.reject(id + 1_000)).unwrap(), None);
    }
}

#[test]
fn a_store_without_tables_or_that_was_away_is_said_to_be_and_found_again() {
    for home in Home::both() {
        let mut reading = home.reader();
        let told = away(reading.counts(&ours()));
        let expected = if home.is_postgres() { "are not there as yet" } else { "is not there" };
        assert!(told.contains(expected), "{told}");
        let mut store = home.ready(&ours());
        assert_eq!(reading.found(""), [0; 0], "{home}");
        home.add_device(1, "one", false);
        assert_eq!(reading.found(""), [1], "{home}");
        match &home {
            Home::Postgres(_) => {
                home.sql().run(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid()",
                );
                away(reading.series(&all()));
            }
            // Another file in its place: what is read is there, not in the one that was opened.
            Home::Sqlite(folder) => {
                store.runtime.block_on(store.store.close());
                let (path, old) = (folder.join("store.db"), folder.join("old.db"));
                std::fs::rename(&path, &old).unwrap();
                away(reading.series(&all()));
                home.ready(&ours());
                assert_eq!(reading.found(""), [0; 0]);
                home.add_device(1, "one", false);
            }
        }
        assert_eq!(reading.found(""), [1], "{home}");
        // Nobody holds it up who writes.
        let mut writer = home.sql();
        writer.run(if home.is_postgres() { "begin" } else { "begin immediate" });
        writer.run(&format!("update {} set gaps = 1", home.table("device")));
        assert_eq!(reading.found(""), [1], "{home}");
    }
}

#[test]
fn what_takes_longer_than_it_may_is_ended_for_real_and_so_is_what_nobody_waits_for() {
    for home in Home::both() {
        let mut store = home.ready(&ours());
        let device = home.table("device");
        // A table of devices that never comes to its end.
        let endless = if home.is_postgres() {
            "pg_sleep(600) as x"
        } else {
            "(with recursive r(n) as (select 1 union all select n + 1 from r) select max(n) as m from r) as x"
        };
        home.add_device(1, "one", false);
        if home.is_postgres() {
            home.sql().run(&format!("alter table {device} rename to slow"));
            home.sql().run(&format!("create view {device} as select slow.* from amber_store.slow, {endless}"));
        } else {
            home.sql().run(&format!(
                "drop view devices; alter table {device} rename to slow;
                 create view {device} as select slow.* from slow cross join {endless} where x.m > slow.gaps"
            ));
        }
        let mut reading = home.reading(5, Duration::from_millis(400));
        let told = refused(reading.series(&all()));
        assert!(told.contains("ask for a shorter time"), "{told}");
        // Nothing holds the log of SQLite, so that it can begin anew; nothing runs in PostgreSQL.
        let is_free = || if home.is_postgres() { runs_nothing(&home) } else { log_is_free(&home) };
        is_free().unwrap();
        // Cancelled long before its limit.
        let mut reading = home.reading(5, Duration::from_secs(600));
        let Reading { runtime, reader } = &mut reading;
        let cancelled =
            runtime.block_on(async { tokio::time::timeout(Duration::from_millis(200), reader.series(&all())).await });
        assert!(cancelled.is_err(), "{cancelled:?}");
        if !home.is_postgres() {
            // Now there is something to move out of the log.
            store
                .write(
                    &super::subject::batch(vec![super::subject::row(
                        0,
                        &["a", "b"],
                        vec![Some(Value::Float(1.0)), None, None, None, None],
                    )]),
                    1,
                )
                .unwrap();
            eventually("the log is free", is_free);
        }
    }
}

fn log_is_free(home: &Home) -> Result<(), String> {
    let rows = home.sql().rows("pragma wal_checkpoint(truncate)")?;
    if rows[0][0].as_deref() == Some("0") { Ok(()) } else { Err(format!("{rows:?}")) }
}

fn runs_nothing(home: &Home) -> Result<(), String> {
    let running = home.sql().number(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state = 'active' and pid <> pg_backend_pid()",
    )?;
    if running == 0 { Ok(()) } else { Err(format!("{running} run")) }
}

#[test]
fn a_role_that_may_not_read_is_told_what_to_grant() {
    let home = Home::postgres();
    home.ready(&ours());
    let Home::Postgres(database) = &home else { unreachable!("it was made one") };
    let url = config::StoreUrl::Postgres(vec![config::Secret::new(database.url_as(&database.role(), ""))]);
    let url = amber::fault::At::new(url, amber::fault::Place::Default);
    let config = config::Store { url, devices_interval: Duration::from_secs(5), ..home.store_config() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(Reader::new(&config).series(&all()));
    let Err(ReadError::Standing(why)) = answer else { panic!("{answer:?}") };
    assert!(format!("{why:#}").contains("grant usage"), "{why:#}");
}
