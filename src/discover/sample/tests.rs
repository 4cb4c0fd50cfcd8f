//! Bounds, shares and what is kept of a topic.

use super::*;

fn message(topic: &str, payload: impl Into<Vec<u8>>, at: i64) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::from(payload.into()),
        qos: Qos::AtMostOnce,
        retain: false,
        received_at: Time(at),
        delivery: None,
        malformed: None,
    }
}

#[test]
fn all_that_fits_is_kept_and_counted() {
    let mut sample = Sample::default();
    sample.take(&message("b", "1", 10));
    sample.take(&Message { retain: true, ..message("a", "x", 20) });
    sample.take(&message("a", "y", 30));
    sample.take(&message("a", "x", 40));
    sample.take(&message("a", "", 50));
    let topics: Vec<&str> = sample.topics().map(|heard| &*heard.topic).collect();
    assert_eq!(topics, ["a", "b"]);
    let a = sample.topics().next().unwrap();
    assert_eq!((a.messages, a.retained, a.empty), (4, 1, 1));
    assert_eq!((a.first_at, a.last_at, a.live), (Time(20), Time(50), Some((Time(30), Time(50)))));
    let payloads: Vec<&[u8]> = a.payloads.iter().map(|payload| &payload.bytes[..]).collect();
    assert_eq!(payloads, [b"x", b"y"]);
    assert_eq!((sample.messages(), sample.topics_heard(), sample.one_in()), (5, 2, 1));
    assert_eq!(sample.span(), Some((Time(10), Time(50))));
    assert_eq!(sample.left_out(), Vec::<String>::new());
}

#[test]
fn of_a_million_topics_a_fair_share_is_kept_with_all_its_messages() {
    // Smaller, and the same: a hundred thousand topics where there is room for a thousand.
    let mut sample = Sample::new(Bounds { bytes: 4 << 20, topics: 1_000 });
    for round in 0..2 {
        for device in 0..100_000 {
            let kind = if device % 10 == 0 { "rare" } else { "often" };
            sample.take(&message(&format!("{kind}/{device}"), format!("{{\"t\": {round}}}"), round));
            assert!(sample.topics.len() <= 1_000);
        }
    }
    assert_eq!(sample.messages(), 200_000);
    assert_eq!(sample.one_in(), 128);
    let kept = sample.topics().count();
    assert!((600..=1_000).contains(&kept), "{kept}");
    let error = sample.topics_heard().abs_diff(100_000);
    assert!(error < 15_000, "{}", sample.topics_heard());
    for heard in sample.topics() {
        assert_eq!((heard.messages, heard.payloads.len()), (2, 2), "{}", heard.topic);
    }
    let rare = sample.topics().filter(|heard| heard.topic.starts_with("rare")).count();
    assert!((kept / 20..kept / 5).contains(&rare), "{rare} of {kept}: a tenth");
    let said = sample.left_out().join("\n");
    assert!(said.contains("topics heard, 1 in 128 kept"), "{said}");
}

#[test]
fn memory_stays_within_its_bound_whatever_comes() {
    // Few topics with long payloads, many topics with short ones, and one topic of the longest name.
    let bounds = Bounds { bytes: 1 << 20, topics: 5_000 };
    let mut sample = Sample::new(bounds);
    let held = |sample: &Sample| -> usize {
        let payloads =
            |heard: &Heard| heard.payloads.iter().map(|p| p.bytes.len() + size_of::<Payload>()).sum::<usize>();
        sample.topics().map(|heard| heard.topic.len() + size_of::<Heard>() + payloads(heard)).sum()
    };
    for turn in 0..400_u32 {
        let payload = vec![b'a' + u8::try_from(turn % 26).unwrap(); 40_000 + turn as usize];
        sample.take(&message(&format!("long/{}", turn % 6), payload, 0));
        assert!(held(&sample) <= bounds.bytes, "{}", held(&sample));
    }
    assert_eq!(sample.one_in(), 1, "payloads go before topics do");
    assert!(sample.left_out()[0].starts_with("of each topic up to"), "{:?}", sample.left_out());
    for device in 0..20_000 {
        sample.take(&message(&format!("short/{device}"), device.to_string(), 0));
    }
    assert!(held(&sample) <= bounds.bytes);
    sample.take(&message(&"x".repeat(65_535), "1", 0));
    assert!(held(&sample) <= bounds.bytes && sample.topics().count() > 100);
    let mut none = Sample::new(Bounds { bytes: 0, topics: 0 });
    none.take(&message("a", "1", 0));
    assert_eq!((none.messages(), none.topics().map(|heard| heard.payloads.len()).sum()), (1, 0));
}

#[test]
fn a_new_structure_takes_the_place_of_one_that_is_there_often() {
    let mut sample = Sample::default();
    for value in 0..1_000 {
        sample.take(&message("a", format!("{{\"t\": {value}.5}}"), value));
    }
    sample.take(&message("a", r#"{"t": 1, "battery": "low"}"#, 1_000));
    sample.take(&message("a", "offline", 1_001));
    for value in 0..1_000 {
        sample.take(&message("a", format!("{{\"t\": {value}.25}}"), 2_000 + value));
    }
    let heard = sample.topics().next().unwrap();
    assert_eq!((heard.messages, heard.payloads.len()), (2_002, 32));
    let has = |text: &str| heard.payloads.iter().any(|payload| &payload.bytes[..] == text.as_bytes());
    assert!(has(r#"{"t": 1, "battery": "low"}"#) && has("offline"));
    let late = heard.payloads.iter().filter(|payload| payload.received_at > Time(1_001)).count();
    assert!((5..=27).contains(&late), "early and late readings are kept: {late} late ones");
}

#[test]
fn too_long_payloads_and_odd_topics_are_counted() {
    let mut sample = Sample::default();
    sample.take(&message("a", vec![0; 100_000], 0));
    let malformed = Some(Malformed::TooLarge { payload_bytes: 5_000_000 });
    sample.take(&Message { malformed, ..message("a", "cut", 0) });
    sample.take(&Message { malformed: Some(Malformed::TopicNotUtf8), ..message("\u{fffd}", "1", 0) });
    let heard = sample.topics().next().unwrap();
    assert_eq!((heard.messages, heard.too_long, heard.largest_bytes, heard.payloads.len()), (2, 2, 5_000_000, 0));
    assert_eq!(sample.topics().count(), 1);
    assert_eq!(
        sample.left_out(),
        [
            "2 messages with a payload longer than 64 KiB counted only (the longest has 5,000,000 bytes)",
            "1 message under what is no topic name (not UTF-8, or `+`, `#` or NUL in it) left out",
        ]
    );
}

#[test]
fn the_structure_of_a_payload_is_its_names_and_not_its_values() {
    let same = [
        (r#"{"a": 1.5, "b": "x"}"#, r#"{"a":-2e9,"b":"long \" text"}"#),
        ("21.5", "-3"),
        ("ON", "off"),
        (r#"[1, {"k": true}]"#, r#"[22, {"k": false}]"#),
    ];
    for (one, other) in same {
        assert_eq!(structure(one.as_bytes()), structure(other.as_bytes()), "{one} {other}");
    }
    let different = [
        (r#"{"a": 1}"#, r#"{"b": 1}"#),
        (r#"{"a": 1}"#, r#"{"a": "1"}"#),
        ("[1]", "[1,2]"),
        ("1", "{}"),
        (r#"""#, "1"),
    ];
    for (one, other) in different {
        assert_ne!(structure(one.as_bytes()), structure(other.as_bytes()), "{one} {other}");
    }
}
