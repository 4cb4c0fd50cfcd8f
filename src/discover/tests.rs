//! What is heard beside what is proposed.

mod corpus;
mod guesses;
mod properties;

use crate::config;
use crate::discover::{Already, Sample, propose_in};
use crate::fault::Severity;
use crate::mapping::Mapping;
use crate::message::{Message, Qos, Time};

/// 2024-01-01T00:00:00Z, as for the ready mappings.
const RECEIVED_AT: Time = Time(1_704_067_200_000_000);

fn message(topic: &str, payload: impl AsRef<[u8]>) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.as_ref().to_vec().into(),
        qos: Qos::AtMostOnce,
        retain: false,
        received_at: RECEIVED_AT,
        delivery: None,
        malformed: None,
    }
}

fn sample<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Sample {
    let mut sample = Sample::default();
    messages.into_iter().for_each(|message| sample.take(message));
    sample
}

/// The mapping that is proposed for `sample`, read as users would, and its text; `None` where there is nothing to read.
fn proposed(sample: &Sample, zone: Option<&str>) -> (Option<Mapping>, String) {
    let proposal = propose_in(sample, &Already::default(), zone);
    let text = proposal.text();
    let above = "[broker]\nurl = \"mqtt://localhost\"\n[store]\nurl = \"sqlite:x.db\"\n";
    let loaded = config::load_text("mapping.toml", &format!("{above}{text}"), []);
    let (mapping, faults) = Mapping::new(&loaded.config.expect("a configuration").mappings);
    let faults: Vec<String> = loaded
        .faults
        .iter()
        .chain(&faults)
        .filter(|fault| fault.severity == Severity::Fault)
        .map(ToString::to_string)
        .collect();
    assert!(faults.is_empty() && mapping.is_some(), "{text}\n{}", faults.join("\n"));
    (mapping.filter(|_| proposal.mappings() > 0), text)
}
