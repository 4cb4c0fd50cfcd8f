use proptest::prelude::*;

use super::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

fn subscription(text: &str, level: u8, retained: bool) -> Subscription {
    Subscription { filter: filter(text), qos: Qos::from_level(level).unwrap(), retained }
}

#[test]
fn a_filter_is_checked_by_the_clauses_of_mqtt() {
    for good in ["a", "/", "//", "+", "#", "a/+/b", "a/#", "+/+", "/+/#", "$SYS/#", "é/ü", "$share/g/a/#", "$share/g//"]
    {
        assert_eq!(filter(good).as_str(), good);
    }
    let cases = [
        ("", FilterError::Empty),
        ("a\0b", FilterError::Nul),
        ("a/#/b", FilterError::HashNotLast),
        ("#/a", FilterError::HashNotLast),
        ("a/b#", FilterError::HashNotAlone("b#".into())),
        ("a+/b", FilterError::PlusNotAlone("a+".into())),
        ("a/++", FilterError::PlusNotAlone("++".into())),
        ("$share", FilterError::Share),
        ("$share/g", FilterError::Share),
        ("$share/g/", FilterError::Share),
        ("$share//a", FilterError::Share),
        ("$share/g+/a", FilterError::Share),
        ("$share/g/a#", FilterError::HashNotAlone("a#".into())),
    ];
    for (bad, error) in cases {
        assert_eq!(TopicFilter::new(bad), Err(error), "`{bad}`");
    }
    assert_eq!(TopicFilter::new(&"a".repeat(65_536)), Err(FilterError::TooLong(65_536)));
}

#[test]
fn a_filter_matches_what_mqtt_says() {
    let cases = [
        ("a/b", "a/b", true),
        ("a/b", "a/B", false),
        ("a/b", "a/b/", false),
        ("a/+", "a/b", true),
        ("a/+", "a/", true),
        ("a/+", "a", false),
        ("a/+", "a/b/c", false),
        ("+", "/a", false),
        ("+/+", "/a", true),
        ("/+", "/a", true),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("a/#", "ab", false),
        ("#", "a/b", true),
        ("#", "/", true),
        ("#", "$SYS/a", false),
        ("+/a", "$SYS/a", false),
        ("$SYS/#", "$SYS/a", true),
        ("$SYS/+", "$SYS/a", true),
        ("a/+", "a/$b", true),
        ("+/b", "éa/b", true),
        ("é/#", "é/日本", true),
        ("$share/g/a/+", "a/b", true),
        ("$share/g/+", "$SYS", false),
    ];
    for (wanted, topic, expected) in cases {
        assert_eq!(filter(wanted).matches(topic), expected, "`{wanted}` and `{topic}`");
    }
}

#[test]
fn a_filter_covers_and_overlaps_what_its_levels_say() {
    let cases = [
        // ours, theirs, covers, overlaps
        ("a/#", "a/b", true, true),
        ("a/#", "a", true, true),
        ("a/#", "a/+/c", true, true),
        ("a/#", "a/#", true, true),
        ("a/b", "a/#", false, true),
        ("a/+", "a/b", true, true),
        ("a/+", "a/#", false, true),
        ("a/+", "+/b", false, true),
        ("a/+/c", "a/b/+", false, true),
        ("a/+", "b/+", false, false),
        ("+/#", "#", true, true),
        ("a/+/#", "a/#", false, true),
        ("#", "$SYS/#", false, false),
        ("+/x", "$SYS/x", false, false),
        ("$share/g/a/#", "$share/g/a/b", true, true),
        ("$share/g/a/#", "$share/h/a/b", false, true),
        ("$share/g/a/#", "a/b", false, true),
    ];
    for (ours, theirs, covers, overlaps) in cases {
        assert_eq!(filter(ours).covers(&filter(theirs)), covers, "`{ours}` covers `{theirs}`");
        assert_eq!(filter(ours).overlaps(&filter(theirs)), overlaps, "`{ours}` overlaps `{theirs}`");
        assert_eq!(filter(theirs).overlaps(&filter(ours)), overlaps, "`{theirs}` overlaps `{ours}`");
    }
}

#[test]
fn a_covered_filter_is_left_out_and_a_crossing_pair_is_named() {
    let wanted = [
        subscription("home/+/climate", 0, false),
        subscription("home/#", 1, false),
        subscription("home/hall/climate", 2, true),
        subscription("+/hall/#", 1, false),
        subscription("home/#", 0, false),
    ];
    let reduced = reduce(&wanted);
    assert_eq!(reduced.subscriptions, [subscription("home/#", 2, true), subscription("+/hall/#", 2, true)]);
    assert_eq!(reduced.crossing, [(filter("home/#"), filter("+/hall/#"))]);
}

#[test]
fn crossing_filters_are_told_by_the_widest_in_a_line_each() {
    let pair = |one: &str, other: &str| (filter(one), filter(other));
    let pairs = [
        pair("+/s", "a/+"),
        pair("b/+", "+/s"),
        pair("x/+/c", "x/y/+"),
        pair("+/s", "c/+"),
        pair("+/s", "d/+"),
        pair("d/+", "+/t"),
    ];
    let said: Vec<String> = crossings(&pairs).iter().map(ToString::to_string).collect();
    let why =
        "over MQTT 3.1.1 a message that both match may come, and be stored, twice; set `[broker] overlap = \"merge\"`";
    assert_eq!(
        said,
        [
            format!(
                "the filter `+/s` crosses 4 others (`a/+`, `b/+`, `c/+`, …): {why}, which subscribes to `+/+` instead, or \
                 narrow `+/s`"
            ),
            format!("the filters `x/+/c` and `x/y/+` cross: {why}, which subscribes to `x/+/+` instead"),
            format!("the filters `d/+` and `+/t` cross: {why}, which subscribes to `+/+` instead"),
        ]
    );
    let shared = crossings(&[pair("$share/g/a/+", "+/b")]);
    assert!(shared[0].to_string().ends_with("twice; leave one of them out"), "{}", shared[0]);
    assert_eq!(crossings(&[]), []);
}

#[test]
fn ten_thousand_filters_are_reduced_without_comparing_all_pairs() {
    let wanted: Vec<_> = (0..10_000).map(|n| subscription(&format!("plant/+/line{n}/+"), 1, false)).collect();
    let reduced = reduce(&wanted);
    assert_eq!((reduced.subscriptions.len(), reduced.crossing.len()), (10_000, 0));
}

/// Every topic of up to three levels over an alphabet that has all special cases.
fn topics() -> Vec<String> {
    let levels = ["a", "b", "", "$s"];
    let mut all: Vec<String> = levels.map(str::to_owned).to_vec();
    for _ in 0..3 {
        let longer: Vec<String> =
            all.iter().flat_map(|topic| levels.iter().map(move |level| format!("{topic}/{level}"))).collect();
        all.extend(longer);
    }
    all.retain(|topic| !topic.is_empty());
    all.sort();
    all.dedup();
    all
}

fn any_filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof![Just("a"), Just("b"), Just("+"), Just(""), Just("$s")];
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_filter_map("valid", |(mut levels, rest)| {
        if rest {
            levels.push("#");
        }
        TopicFilter::new(&levels.join("/")).ok()
    })
}

/// Every filter of up to three levels, and those with `#` after them.
fn filters() -> Vec<TopicFilter> {
    let mut starts = vec![String::new()];
    for _ in 0..3 {
        let longer = starts.iter().flat_map(|start| ["a", "b", "+", "", "$s"].map(|level| format!("{start}{level}/")));
        starts.extend(longer.collect::<Vec<_>>());
        starts.sort();
        starts.dedup();
    }
    let texts = starts.iter().flat_map(|start| [format!("{start}#"), start.strip_suffix('/').unwrap_or("").to_owned()]);
    texts.filter_map(|text| TopicFilter::new(&text).ok()).collect()
}

#[test]
fn covers_and_overlaps_agree_with_all_topics_there_are() {
    let (topics, filters) = (topics(), filters());
    let taken: Vec<Vec<bool>> =
        filters.iter().map(|filter| topics.iter().map(|topic| filter.matches(topic)).collect()).collect();
    for (one, ours) in filters.iter().zip(&taken) {
        for (other, theirs) in filters.iter().zip(&taken) {
            let both = ours.iter().zip(theirs).any(|(ours, theirs)| *ours && *theirs);
            let all = ours.iter().zip(theirs).all(|(ours, theirs)| *ours || !*theirs);
            assert_eq!(one.overlaps(other), both, "`{one}` overlaps `{other}`");
            assert_eq!(one.covers(other), all, "`{one}` covers `{other}`");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_reduced_set_matches_the_same_topics(filters in prop::collection::vec((any_filter(), 0..3u8), 0..8)) {
        let wanted: Vec<_> = filters
            .into_iter()
            .map(|(filter, level)| Subscription { filter, qos: Qos::from_level(level).unwrap(), retained: level == 2 })
            .collect();
        let reduced = reduce(&wanted);
        for topic in topics() {
            let most = |subscriptions: &[Subscription]| {
                let matching = subscriptions.iter().filter(|one| one.filter.matches(&topic));
                matching.map(|one| one.qos).max()
            };
            prop_assert!(most(&reduced.subscriptions) >= most(&wanted));
            prop_assert_eq!(most(&reduced.subscriptions).is_some(), most(&wanted).is_some());
        }
        for (position, one) in reduced.subscriptions.iter().enumerate() {
            for other in &reduced.subscriptions[position + 1..] {
                prop_assert!(!one.filter.covers(&other.filter) && !other.filter.covers(&one.filter));
                let named = reduced.crossing.contains(&(one.filter.clone(), other.filter.clone()));
                prop_assert_eq!(named, one.filter.overlaps(&other.filter));
            }
        }
    }

    #[test]
    fn a_merged_set_brings_all_that_was_wanted_and_nothing_twice(filters in prop::collection::vec(any_filter(), 0..6)) {
        let plain = |filter| Subscription { filter, qos: Qos::AtLeastOnce, retained: false };
        let wanted: Vec<_> = filters.into_iter().map(plain).collect();
        let merged = merge(reduce(&wanted).subscriptions);
        for topic in topics() {
            let count = merged.iter().filter(|one| one.filter.matches(&topic)).count();
            prop_assert!(count <= 1, "{topic} by {merged:?}");
            prop_assert!(count == 1 || !wanted.iter().any(|one| one.filter.matches(&topic)), "{topic} by {merged:?}");
        }
    }

    #[test]
    fn no_text_makes_a_filter_panic(text in "\\PC{0,12}", topic in "\\PC{0,12}") {
        if let Ok(filter) = TopicFilter::new(&text) {
            std::hint::black_box(filter.matches(&topic));
        }
    }
}

#[test]
fn every_amber_has_a_status_topic_and_nobody_else() {
    assert_eq!(crate::topic::status("kitchen"), "amber/kitchen/status");
    for (topic, is_one) in [
        ("amber/kitchen/status", true),
        ("amber//status", true),
        ("amber/a/b/status", false),
        ("amber/status", false),
        ("home/amber/x/status", false),
        ("amber/kitchen/status/x", false),
    ] {
        assert_eq!(crate::topic::is_status(topic), is_one, "{topic}");
    }
}

#[test]
fn a_joined_filter_is_the_smallest_that_brings_both() {
    let cases = [
        ("a/+/c", "a/b/+", Some("a/+/+")),
        ("a/+/c", "+/b/c", Some("+/+/c")),
        ("+/b/#", "a/#", Some("+/#")),
        ("+/b/#", "a/+/c", Some("+/+/#")),
        ("a/b/#", "a/+", Some("a/+/#")),
        ("$SYS/+/x", "$SYS/a/+", Some("$SYS/+/+")),
        ("$share/g/a/+", "$share/g/+/b", Some("$share/g/+/+")),
        ("$share/g/a/+", "+/b", None),
        ("$share/g/a/+", "$share/h/+/b", None),
    ];
    for (one, other, joined) in cases {
        for (one, other) in [(one, other), (other, one)] {
            assert_eq!(join(&filter(one), &filter(other)), joined.map(filter), "`{one}` and `{other}`");
        }
    }
}

#[test]
fn crossing_filters_are_merged_until_none_cross_and_the_others_stay() {
    let wanted = [
        subscription("a/+/c", 1, false),
        subscription("x/y", 0, false),
        subscription("a/b/+", 2, false),
        subscription("+/b/c", 0, true),
        subscription("$share/g/a/b/c", 1, false),
    ];
    let merged = merge(reduce(&wanted).subscriptions);
    let expected =
        [subscription("+/+/+", 2, true), subscription("x/y", 0, false), subscription("$share/g/a/b/c", 1, false)];
    assert_eq!(merged, expected);
}
