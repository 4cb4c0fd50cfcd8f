//! What the sensors of a house and a garden say, in turn. Pure but for its own random numbers, which begin with a
//! fixed seed: the same times, the same readings.

use std::f64::consts::TAU;

use crate::message::Time;
use crate::session::Outbound;

const ROOMS: [&str; 8] = ["kitchen", "living", "bath", "hall", "office", "bedroom", "nursery", "cellar"];
const STATIONS: [&str; 3] = ["lawn", "roof", "pond"];
/// Every this many rounds a status is said again although nothing has changed.
const STATUS_ROUNDS: u64 = 30;
/// Its climate sensor sends half a JSON document every fifth time.
const BROKEN: &str = "cellar";
/// Its climate sensor has a word for a humidity that it cannot measure.
const WET: &str = "bath";

/// The house. Each round every sensor speaks once, but for the statuses, which speak now and then.
#[derive(Debug)]
pub(super) struct House {
    random: Random,
    /// Position in the round.
    turn: usize,
    round: u64,
    /// kWh of each room.
    energy: [f64; ROOMS.len()],
    /// mm of each station.
    rain: [f64; STATIONS.len()],
    /// Of power of each room, and of weather of each station: when it last spoke.
    last_power: [Time; ROOMS.len()],
    last_weather: [Time; STATIONS.len()],
}

/// Who speaks.
#[derive(Clone, Copy, Debug)]
enum Sensor {
    Climate(usize),
    Power(usize),
    Weather(usize),
    Status(usize),
    /// On a topic that no mapping names.
    Door,
}

impl House {
    pub(super) fn new(now: Time) -> Self {
        // Counters go on over a restart: as if they had run at this pace since 2026 began.
        let since = seconds(now) - 1_767_225_600.0;
        Self {
            random: Random(7),
            turn: 0,
            round: 0,
            energy: std::array::from_fn(|room| since.max(0.0) * (0.05 + 0.02 * index(room)) / 3_600.0),
            rain: [since.max(0.0) / 43_200.0; STATIONS.len()],
            last_power: [now; ROOMS.len()],
            last_weather: [now; STATIONS.len()],
        }
    }

    /// The next message, said at `now`.
    pub(super) fn next(&mut self, now: Time) -> Outbound {
        loop {
            let sensor = self.sensor();
            if let Some(reading) = self.say(sensor, now) {
                return reading;
            }
        }
    }

    /// Whose turn it is.
    fn sensor(&mut self) -> Sensor {
        let turn = self.turn;
        let rooms = ROOMS.len();
        let sensor = match turn {
            _ if turn < rooms => Sensor::Climate(turn),
            _ if turn < 2 * rooms => Sensor::Power(turn - rooms),
            _ if turn < 3 * rooms => Sensor::Status(turn - 2 * rooms),
            _ if turn < 3 * rooms + STATIONS.len() => Sensor::Weather(turn - 3 * rooms),
            _ => Sensor::Door,
        };
        self.turn += 1;
        if matches!(sensor, Sensor::Door) {
            self.turn = 0;
            self.round += 1;
        }
        sensor
    }

    fn say(&mut self, sensor: Sensor, now: Time) -> Option<Outbound> {
        let (topic, payload, retain) = match sensor {
            Sensor::Climate(room) => (format!("home/{}/climate", ROOMS[room]), self.climate(room, now), false),
            Sensor::Power(room) => (format!("home/{}/power", ROOMS[room]), self.power(room, now), false),
            Sensor::Weather(station) => {
                (format!("garden/{}/weather", STATIONS[station]), self.weather(station, now), false)
            }
            Sensor::Status(room) => {
                let online = self.status(room)?;
                (format!("home/{}/thermostat/status", ROOMS[room]), online.to_owned(), true)
            }
            Sensor::Door => ("garage/door/opened".to_owned(), "true".to_owned(), false),
        };
        Some(Outbound { topic, payload, retain })
    }

    fn climate(&mut self, room: usize, now: Time) -> String {
        // Warmest in the afternoon; each room has its own level.
        let temperature = 20.5 + 0.4 * index(room) % 3.0 + 1.5 * daily(now, 15.0) + self.random.around(0.15);
        let humidity = 50.0 - 6.0 * daily(now, 14.0) + self.random.around(1.0);
        let battery = 97 - (day(now) + 9 * room as u64) % 60;
        if ROOMS[room] == WET && self.random.one_in(4) {
            return format!(r#"{{"temperature":{temperature:.1},"humidity":"wet","battery":{battery}}}"#);
        }
        let text = format!(r#"{{"temperature":{temperature:.1},"humidity":{humidity:.1},"battery":{battery}}}"#);
        if ROOMS[room] == BROKEN && self.random.one_in(5) {
            return text[..text.len() / 2].to_owned();
        }
        text
    }

    fn power(&mut self, room: usize, now: Time) -> String {
        // A base load, an evening, and now and then a kettle.
        let evening = daily(now, 20.0).max(0.0);
        let kettle = if self.random.one_in(40) { 1_800.0 } else { 0.0 };
        let power = 35.0 + 12.0 * index(room) + 220.0 * evening + kettle + self.random.around(4.0);
        let hours = now.since(self.last_power[room]).as_secs_f64() / 3_600.0;
        self.last_power[room] = now;
        self.energy[room] += power * hours / 1_000.0;
        let (ts, energy, voltage) = (now.0.div_euclid(1_000_000), self.energy[room], 230.0 + self.random.around(1.5));
        format!(r#"{{"ts":{ts},"power":{power:.1},"energy":{energy:.3},"voltage":{voltage:.1}}}"#)
    }

    fn weather(&mut self, station: usize, now: Time) -> String {
        let speed = (3.0 + 1.5 * daily(now, 14.0) + self.random.around(1.2)).max(0.0);
        let gust = speed * 1.4 + self.random.around(0.5).abs();
        let pressure = 1_013.0 + 8.0 * (seconds(now) / 260_000.0 * TAU).sin() + self.random.around(0.1);
        // Showers: a tenth of all hours.
        let raining = (seconds(now) / 36_000.0).fract() < 0.1;
        let hours = now.since(self.last_weather[station]).as_secs_f64() / 3_600.0;
        self.last_weather[station] = now;
        self.rain[station] += if raining { 4.0 * hours } else { 0.0 };
        let rain = self.rain[station];
        format!(
            r#"{{"time":"{now}","wind":{{"speed":{speed:.1},"gust":{gust:.1}}},"rain":{rain:.1},"pressure":{pressure:.1}}}"#
        )
    }

    /// Now and then, and each room at another time; sometimes offline.
    fn status(&mut self, room: usize) -> Option<&'static str> {
        let due = self.round % STATUS_ROUNDS == (room as u64 * 3) % STATUS_ROUNDS;
        due.then(|| if self.random.one_in(8) { "offline" } else { "online" })
    }
}

fn seconds(time: Time) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "curves need no microseconds")]
    let micros = time.0 as f64;
    micros / 1e6
}

fn day(time: Time) -> u64 {
    u64::try_from(time.0 / 86_400_000_000).unwrap_or(0)
}

fn index(position: usize) -> f64 {
    u32::try_from(position).map_or(0.0, f64::from)
}

/// From -1 to 1 over a day (UTC), 1 at `peak` o'clock.
fn daily(time: Time, peak: f64) -> f64 {
    ((seconds(time) / 3_600.0 - peak) / 24.0 * TAU).cos()
}

/// splitmix64: small, and good enough for noise.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Around 0, mostly within `width`.
    fn around(&mut self, width: f64) -> f64 {
        let mut sum = 0.0;
        for _ in 0..4 {
            let bits = u32::try_from(self.next() >> 32).expect("32 bits are left");
            sum += f64::from(bits) / f64::from(u32::MAX) - 0.5;
        }
        sum * width
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// From an afternoon on, some seconds later each time.
    fn readings(count: i64, seconds: i64) -> Vec<Outbound> {
        let start = Time(1_790_000_000_000_000);
        let mut house = House::new(start);
        (0..count).map(|n| house.next(Time(start.0 + n * seconds * 1_000_000))).collect()
    }

    fn of<'a>(readings: &'a [Outbound], topic: &str) -> Vec<&'a str> {
        readings.iter().filter(|reading| reading.topic == topic).map(|reading| reading.payload.as_str()).collect()
    }

    #[test]
    fn every_sensor_speaks_and_most_of_what_they_say_is_right() {
        let readings = readings(20_000, 1);
        let mut unreadable: BTreeMap<&str, usize> = BTreeMap::new();
        for reading in &readings {
            if !reading.retain && serde_json::from_str::<serde_json::Value>(&reading.payload).is_err() {
                *unreadable.entry(&reading.topic).or_default() += 1;
            }
        }
        assert_eq!(unreadable.keys().copied().collect::<Vec<_>>(), ["home/cellar/climate"]);
        for room in ROOMS {
            assert!(of(&readings, &format!("home/{room}/climate")).len() > 500, "{room}");
            assert!(of(&readings, &format!("home/{room}/power")).len() > 500, "{room}");
            let status = of(&readings, &format!("home/{room}/thermostat/status"));
            assert!(status.contains(&"online") && status.iter().all(|word| ["online", "offline"].contains(word)));
        }
        for station in STATIONS {
            assert!(of(&readings, &format!("garden/{station}/weather")).len() > 500, "{station}");
        }
        assert!(of(&readings, "home/bath/climate").iter().any(|payload| payload.contains(r#""humidity":"wet""#)));
        assert!(!of(&readings, "garage/door/opened").is_empty());
    }

    #[test]
    fn counters_only_grow() {
        let readings = readings(20_000, 10);
        for (topic, member) in [("home/kitchen/power", "energy"), ("garden/roof/weather", "rain")] {
            let values: Vec<f64> = of(&readings, topic)
                .into_iter()
                .map(|payload| serde_json::from_str::<serde_json::Value>(payload).unwrap()[member].as_f64().unwrap())
                .collect();
            assert!(values.is_sorted() && values.first() < values.last(), "{topic}: {values:?}");
        }
    }

    #[test]
    fn readings_look_like_those_of_real_devices() {
        let readings = readings(40, 1);
        let seen = |topic| of(&readings, topic)[0].to_owned();
        assert_eq!(seen("home/kitchen/climate"), r#"{"temperature":22.0,"humidity":43.5,"battery":80}"#);
        assert_eq!(seen("home/kitchen/power"), r#"{"ts":1790000008,"power":52.2,"energy":316.311,"voltage":229.5}"#);
        assert_eq!(
            seen("garden/lawn/weather"),
            r#"{"time":"2026-09-21T14:13:37Z","wind":{"speed":3.9,"gust":5.6},"rain":527.2,"pressure":1007.7}"#
        );
    }
}
