//! A stack with something to show: readings of every kind of field over a month, devices that are silent and retired,
//! rejects, all through the real broker and the real `amber run`.

use amber::message::Qos;
use jiff::{SignedDuration, Timestamp};

use super::dashboards::{self, Dashboard};
use super::{Stack, text};
use crate::support::client::Publisher;
use crate::support::sql::Sql;
use crate::support::{equal, eventually};

/// Every type of field, two tags, a time in the payload; beside the mappings of `config.example.toml`.
const TRIAL: &str = r#"
[mapping.trial]
topic = "trial/{place}/{unit}/state"
time = "ts"
[mapping.trial.fields]
level = { unit = "%", min = 0, max = 100, decimals = 1 }
open  = { type = "bool" }
mode  = { type = "text" }
count = { type = "int", unit = "kWh", kind = "total" }
extra = { type = "json" }
seen  = { type = "time" }
"#;

/// Tag values that would break careless queries.
const ODD: [&str; 4] = ["kitchen", "o'brien's \"den\"", "$__timeFilter(x)", "küche, ${room}\\"];

pub(super) fn now() -> Timestamp {
    Timestamp::from_microsecond(amber::message::Time::now().0).expect("it is in range")
}

/// Without a reading yet.
pub(super) fn empty() -> Stack {
    Stack::start_with(&(text("config.example.toml") + TRIAL))
}

/// With readings; Amber runs.
pub(super) fn seeded() -> Stack {
    let stack = empty();
    let mut publisher = Publisher::connect(stack.broker.port, "sensors");
    let mut sent = 0;
    for minutes in [20 * 24 * 60, 20 * 24 * 60 - 60, 12 * 60, 11 * 60, 30, 20, 10, 0] {
        let readings = readings(now() - SignedDuration::from_mins(minutes));
        sent += readings.len();
        let readings = readings.into_iter().map(|(topic, payload)| (topic, payload.into_bytes()));
        publisher.publish_all(Qos::AtLeastOnce, readings);
    }
    eventually("all is stored", || {
        let stored = stack.reader().number(
            "select (select count(*) from amber.climate) + (select count(*) from amber.power)
               + (select count(*) from amber.status) + (select count(*) from amber.weather)
               + (select count(*) from amber.trial) + (select count(*) from amber.rejects)",
        );
        equal(stored, i64::try_from(sent).expect("it is small"))
    });
    eventually("every device is known", || {
        equal(
            stack.reader().number("select count(*) from amber.devices"),
            i64::try_from(4 * ODD.len() + 1).expect("small"),
        )
    });
    stack
}

/// Readings with this time; sparse ones among them, one retained word, two that cannot be read.
fn readings(time: Timestamp) -> Vec<(String, String)> {
    let seconds = time.as_second();
    let mut readings = Vec::new();
    for room in ODD {
        let power = format!(r#"{{"ts": {seconds}, "power": 123.4, "energy": {}, "voltage": 230.1}}"#, seconds / 100);
        let trial = [
            format!(r#"{{"ts": {seconds}, "level": 41.5, "open": true, "mode": "it's \"on\""}}"#),
            format!(
                r#"{{"ts": {seconds}, "count": {}, "open": false, "extra": {{"a": [1]}}, "seen": {seconds}}}"#,
                seconds / 60
            ),
        ];
        readings.extend([
            (format!("home/{room}/climate"), r#"{"temperature": 21.4, "humidity": 48.2, "battery": 97}"#.to_owned()),
            (format!("home/{room}/power"), power),
            (format!("home/{room}/fridge/status"), if seconds % 2 == 0 { "online" } else { "offline" }.to_owned()),
        ]);
        readings.extend(trial.map(|payload| (format!("trial/{room}/a/state"), payload)));
    }
    let weather =
        format!(r#"{{"time": "{time}", "wind": {{"speed": 3.2, "gust": 5.1}}, "rain": 0.2, "pressure": 1013.2}}"#);
    readings.push(("garden/pond/weather".to_owned(), weather));
    readings.push(("home/kitchen/climate".to_owned(), "{\"temperature\": ".to_owned()));
    readings.push(("trial/kitchen/ü\"'/state".to_owned(), "not JSON: ü".to_owned()));
    readings
}

impl Stack {
    /// A connection that may write.
    pub(super) fn owner(&self) -> Sql {
        Sql::postgres(&self.server.url("amber")).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The dashboards that `amber dashboards` makes for the measurements that are there.
    pub(super) fn generated(&self) -> Vec<Dashboard> {
        let output = self.amber.command(&["dashboards", "--out", "generated"]);
        assert!(output.status.success(), "{output:?}");
        dashboards::of_folder(&self.amber.folder().join("generated"))
    }

    /// Ends Amber, and lets time pass for devices: of `trial`, the kitchen's is silent for an hour, the others' were
    /// heard a minute ago. One device of `climate` is retired.
    pub(super) fn let_a_device_fall_silent(&mut self) {
        assert!(self.amber.terminate().success());
        let mut sql = self.owner();
        sql.run(
            "update amber.devices set retired_at = now() where measurement = 'climate' and tags->>'room' = 'kitchen'",
        );
        sql.run(
            "update amber_store.device set gaps = 5, gap_sum = 300, gap_squares = 18000,
               last_seen = now() - case when measurement = 'trial' and series_id =
                 (select min(series_id) from amber_store.device where measurement = 'trial')
                 then interval '1 hour' else interval '1 minute' end",
        );
    }
}
