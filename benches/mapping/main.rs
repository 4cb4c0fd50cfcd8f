//! What mapping alone costs: `cargo bench --bench mapping`.
//!
//! The reference reads the same payload into a `serde_json::Value` and looks the wanted values up in it, which is what
//! a mapper without a plan does; it makes no row, no tags and no time. Compare within one run.

use std::hint::black_box;

use amber::config;
use amber::mapping::Mapping;
use amber::message::{Message, Qos, Time};
use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use serde_json::Value;

fn main() {
    divan::main();
}

fn mapping(text: &str) -> Mapping {
    let head = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n";
    let loaded = config::load_text("config.toml", &format!("{head}{text}"), []);
    let (mapping, faults) = Mapping::new(&loaded.config.expect("the configuration is right").mappings);
    mapping.unwrap_or_else(|| panic!("{faults:?}"))
}

fn message(topic: &str, payload: String) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::from(payload),
        qos: Qos::AtLeastOnce,
        retain: false,
        received_at: Time(1_700_000_000_000_000),
        delivery: None,
        malformed: None,
    }
}

/// What is mapped, and what the reference looks up.
struct Case {
    mapping: &'static str,
    topic: &'static str,
    payload: fn() -> String,
    look_up: fn(&Value) -> usize,
}

fn numbers(value: &Value, paths: &[&str]) -> usize {
    paths.iter().filter_map(|path| black_box(value.pointer(path)?.as_f64())).count()
}

/// Three values, all wanted, as a small sensor sends them.
const SMALL: Case = Case {
    mapping: r#"
[mapping.climate]
topic = "home/{room}/{device}/climate"
fields = ["temperature", "humidity", "battery"]
"#,
    topic: "home/bath/sensor-7/climate",
    payload: || r#"{"temperature": 21.5, "humidity": 48.2, "battery": 93}"#.to_owned(),
    look_up: |value| numbers(value, &["/temperature", "/humidity", "/battery"]),
};

/// Twenty keys, of which five are wanted.
const TWENTY: Case = Case {
    mapping: r#"
[mapping.meter]
topic = "plant/{line}/{meter}/data"
fields = ["k3", "k7", "k11", "k15", "k19"]
"#,
    topic: "plant/3/pump-17/data",
    payload: || {
        let member = |n: u32| match n % 4 {
            0 => format!(r#""k{n}": "text of {n}""#),
            1 => format!(r#""k{n}": true"#),
            2 => format!(r#""k{n}": {}"#, 1_000 * n),
            _ => format!(r#""k{n}": {}.25"#, 17 * n),
        };
        format!("{{{}}}", (0..20).map(member).collect::<Vec<_>>().join(", "))
    },
    look_up: |value| numbers(value, &["/k3", "/k7", "/k11", "/k15", "/k19"]),
};

/// Deep and wide, 6 kB, as a LoRaWAN server sends an uplink; two values and three of the network's.
const LARGE: Case = Case {
    mapping: r#"
[mapping.soil]
topic = "v3/{app}/devices/{device}/up"
time = "received_at"
rows = "uplink_message"
[mapping.soil.fields]
moisture = "decoded_payload.moisture"
battery = { path = "decoded_payload.bat_mv", scale = 0.001 }
frame = { path = "f_cnt", type = "int" }
rssi = "rx_metadata[0].rssi"
snr = "rx_metadata[0].snr"
"#,
    topic: "v3/farm/devices/probe-12/up",
    payload: || {
        let gateway = |n: u32| {
            format!(
                r#"{{"gateway_ids": {{"gateway_id": "gateway-{n}", "eui": "B827EBFFFE{n:06}"}}, "time": "2023-11-14T22:13:19.5Z", "timestamp": {}, "rssi": -{}, "channel_rssi": -{}, "snr": {}.5, "uplink_token": "{}", "location": {{"latitude": 41.15, "longitude": -8.61, "altitude": 90}}}}"#,
                2_463_457_000_u64 + u64::from(n),
                50 + n,
                50 + n,
                n,
                "Ch0KGwoQZ2F0ZXdheS0xEgi4J+v//gAA".repeat(8),
            )
        };
        let gateways = (1..=10).map(gateway).collect::<Vec<_>>().join(", ");
        format!(
            r#"{{"end_device_ids": {{"device_id": "probe-12", "application_ids": {{"application_id": "farm"}}, "dev_eui": "0004A30B001C0530"}}, "correlation_ids": ["as:up:01E0WZGT6Y7657CPFPE5WEYDSQ"], "received_at": "2023-11-14T22:13:20Z", "uplink_message": {{"f_port": 1, "f_cnt": 42, "frm_payload": "AQIDBAUGBwg=", "decoded_payload": {{"moisture": 31.4, "bat_mv": 3300, "status": "ok"}}, "rx_metadata": [{gateways}], "settings": {{"data_rate": {{"lora": {{"bandwidth": 125000, "spreading_factor": 7}}}}, "frequency": "868300000"}}, "consumed_airtime": "0.056576s"}}}}"#
        )
    },
    look_up: |value| {
        numbers(
            value,
            &[
                "/uplink_message/decoded_payload/moisture",
                "/uplink_message/decoded_payload/bat_mv",
                "/uplink_message/f_cnt",
                "/uplink_message/rx_metadata/0/rssi",
                "/uplink_message/rx_metadata/0/snr",
            ],
        )
    },
};

/// An array of a hundred readings, a row each.
const ROWS: Case = Case {
    mapping: r#"
[mapping.burst]
topic = "burst/{device}"
rows = "readings[]"
time = "ts"
tags = { probe = "id" }
fields = ["t", "h"]
"#,
    topic: "burst/logger-1",
    payload: || {
        let reading = |n: u32| {
            format!(r#"{{"id": "p{}", "ts": {}, "t": {}.5, "h": {}}}"#, n % 10, 1_699_990_000 + n, n % 30, n % 100)
        };
        format!(r#"{{"readings": [{}]}}"#, (0..100).map(reading).collect::<Vec<_>>().join(", "))
    },
    look_up: |value| {
        let readings = value["readings"].as_array().map_or(&[][..], Vec::as_slice);
        readings.iter().map(|reading| numbers(reading, &["/ts", "/t", "/h"])).sum()
    },
};

fn amber(bencher: Bencher<'_, '_>, case: &Case) {
    let (mapping, message) = (mapping(case.mapping), message(case.topic, (case.payload)()));
    bencher.counter(BytesCount::new(message.payload.len())).bench_local(|| mapping.map(black_box(&message)));
}

fn reference(bencher: Bencher<'_, '_>, case: &Case) {
    let payload = (case.payload)();
    bencher.counter(BytesCount::new(payload.len())).bench_local(|| {
        let value: Value = serde_json::from_slice(black_box(payload.as_bytes())).expect("it is JSON");
        (case.look_up)(&value)
    });
}

macro_rules! cases {
    ($($name:ident: $case:ident;)+) => {
        $(
            #[divan::bench_group]
            mod $name {
                use divan::Bencher;

                #[divan::bench(sample_count = 300, sample_size = 100)]
                fn mapping(bencher: Bencher<'_, '_>) {
                    super::amber(bencher, &super::$case);
                }

                #[divan::bench(sample_count = 300, sample_size = 100)]
                fn serde_json_value(bencher: Bencher<'_, '_>) {
                    super::reference(bencher, &super::$case);
                }
            }
        )+
    };
}

cases! {
    small: SMALL;
    twenty_keys_five_wanted: TWENTY;
    large: LARGE;
    hundred_rows: ROWS;
}

/// The same message through one mapping and through ten thousand, each with a topic of its own.
#[divan::bench_group]
mod mappings {
    use std::fmt::Write as _;

    use divan::Bencher;

    fn run(bencher: Bencher<'_, '_>, count: usize) {
        let mut text = String::new();
        for n in 0..count {
            write!(
                text,
                "[mapping.m{n}]\ntopic = \"site/{n}/{{device}}/state\"\nmeasurement = \"m\"\nfields = [\"temperature\", \"humidity\", \"battery\"]\n"
            )
            .expect("a String takes all");
        }
        let mapping = super::mapping(&text);
        let topic = format!("site/{}/sensor-7/state", count / 2);
        let message = super::message(&topic, (super::SMALL.payload)());
        bencher.bench_local(|| mapping.map(std::hint::black_box(&message)));
    }

    #[divan::bench(sample_count = 300, sample_size = 100)]
    fn one(bencher: Bencher<'_, '_>) {
        run(bencher, 1);
    }

    #[divan::bench(sample_count = 300, sample_size = 100)]
    fn ten_thousand(bencher: Bencher<'_, '_>) {
        run(bencher, 10_000);
    }
}
