//! What is offered, and where it is written.

use super::*;
use crate::explain::message;

fn offer() -> Offer {
    let mut sample = Sample::default();
    for (topic, payload) in [
        ("tele/attic/SENSOR", r#"{"Time": "2026-01-01T00:00:00", "AM2301": {"Temperature": 20.1, "Humidity": 50}}"#),
        ("home/kitchen/climate", r#"{"temperature": 21.5, "humidity": 48}"#),
        ("home/bath/climate", r#"{"temperature": 22.5, "humidity": 58}"#),
    ] {
        sample.take(&message(topic, payload.into(), false, Time(1_767_225_600_000_000)));
    }
    Offer::new(&sample, "a test", None, &[], true)
}

#[test]
fn on_standard_output_the_ready_files_are_comments_that_say_how_to_get_them() {
    let offer = offer();
    let text = offer.text_with_ready();
    assert!(text.contains("#   amber mappings tasmota > mappings/tasmota.toml\n"), "{text}");
    assert!(text.contains("#   its times are local: set `zone`, which says Europe/Zurich, to yours\n"), "{text}");
    assert!(!text.contains("tele/"), "{text}");
    assert!(!offer.is_empty() && text.contains("home/"), "{text}");
    let mut loaded = config::load_text("x.toml", &text, []);
    loaded.needs_no_connections();
    assert!(!loaded.is_faulty(), "{:?}", loaded.faults);
}

#[test]
fn a_ready_file_is_written_once_and_one_that_is_there_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let offer = offer();
    let write = || {
        let mut told = Vec::new();
        offer.write_ready(folder.path(), &mut |line| told.push(line)).unwrap();
        told.join("\n")
    };
    assert!(write().contains("written to "));
    let again = write();
    assert!(again.starts_with("in config.toml: include = ["), "{again}");
    let path = folder.path().join("tasmota.toml");
    std::fs::write(&path, "# mine").unwrap();
    assert!(write().contains("is there already and differs; it is left as it is"));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "# mine");
}

#[test]
fn a_file_that_cannot_be_made_is_said_beforehand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    assert!(cannot_be_made(&path).is_none());
    std::fs::write(&path, "").unwrap();
    assert!(cannot_be_made(&path).unwrap().to_string().contains("is never overwritten"));
    assert!(cannot_be_made(&folder.path().join("no/a.toml")).unwrap().to_string().contains("there is no folder"));
}
