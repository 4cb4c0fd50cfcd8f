//! What is asked for and remembered; and that no change of filters, however it is interrupted, loses a message.

mod changes;

use super::*;
use crate::message::Qos;
use crate::session::wire::Version;

fn subscription(filter: &str, retained: bool) -> Subscription {
    Subscription { filter: TopicFilter::new(filter).unwrap(), qos: Qos::AtLeastOnce, retained }
}

fn ask(subscriptions: &mut Subscriptions, session_present: bool) -> (Asked, usize) {
    let mut outgoing = Outgoing::new(Version::V5);
    let asked = subscriptions.ask(session_present, true, &mut outgoing);
    let unsubscribes = asked.unsubscribes();
    (asked, unsubscribes)
}

fn suback(subscriptions: &mut Subscriptions, asked: &mut Asked, packet_id: u16, codes: &[u8]) -> bool {
    subscriptions.suback(asked, packet_id, codes, &mut Outgoing::new(Version::V5))
}

#[test]
fn what_left_the_configuration_is_unsubscribed_and_remembered_until_that_is_answered() {
    let (mut first, _) = Subscriptions::new(vec![subscription("a/#", false)], &[], "", 1);
    let (mut asked, _) = ask(&mut first, false);
    assert!(suback(&mut first, &mut asked, 1, &[1]));
    first.answered(&asked);

    let (mut second, result) = Subscriptions::new(vec![subscription("b/#", false)], &[], &first.text(), 1);
    assert!(result.is_ok());
    let (mut asked, unsubscribes) = ask(&mut second, true);
    assert_eq!(unsubscribes, 1);
    assert!(second.text().contains("a/#") && second.text().contains("b/#"));
    assert!(suback(&mut second, &mut asked, 1, &[1]) && !asked.is_answered());
    assert!(asked.unsuback(2) && asked.is_answered());
    second.answered(&asked);
    assert!(!second.text().contains("a/#"));
}

#[test]
fn a_broker_that_lost_the_session_is_not_asked_to_forget() {
    let (mut subscriptions, _) =
        Subscriptions::new(vec![subscription("b", false)], &[], r#"[{"filter":"a","qos":1,"retained":false}]"#, 1);
    assert_eq!(ask(&mut subscriptions, false).1, 0);
}

#[test]
fn refusals_and_lower_grants_are_told_apart() {
    let wanted = ["a", "b", "c", "d"].map(|filter| subscription(filter, false));
    let (mut subscriptions, _) = Subscriptions::new(wanted.to_vec(), &[], "", 1);
    let (mut asked, _) = ask(&mut subscriptions, false);
    assert!(suback(&mut subscriptions, &mut asked, 1, &[1, 0x87, 0]));
    assert!(!suback(&mut subscriptions, &mut asked, 1, &[1]) && !suback(&mut subscriptions, &mut asked, 9, &[1]));
    let refused: Vec<_> = asked.refused.iter().map(|one| (one.filter.as_str(), one.code)).collect();
    assert_eq!(refused, [("b", 0x87), ("d", 0x80)]);
    assert_eq!(asked.lowered, [(TopicFilter::new("c").unwrap(), 0)]);
    subscriptions.answered(&asked);
    assert!(!subscriptions.text().contains('b') && subscriptions.text().contains('c'));
}

#[test]
fn retained_messages_are_new_only_where_a_filter_or_its_wish_is_new() {
    let old = r#"[{"filter":"a","qos":1,"retained":true},{"filter":"b","qos":1,"retained":false}]"#;
    let wanted = ["a", "b", "c"].map(|filter| subscription(filter, true));
    let (mut subscriptions, _) = Subscriptions::new(wanted.to_vec(), &[], old, 1);
    let (asked, _) = ask(&mut subscriptions, true);
    let new = ["a", "b", "c"].map(|topic| subscriptions.retained_is_new(&asked, topic));
    assert_eq!(new, [false, true, true]);
}

#[test]
fn retained_messages_are_new_until_the_subscribe_for_them_is_answered_and_they_have_come() {
    let wanted = vec![subscription("a", true)];
    let (mut subscriptions, _) = Subscriptions::new(wanted.clone(), &[], "", 1);
    ask(&mut subscriptions, false);
    // The connection is cut, and then the process is killed.
    let (asked, _) = ask(&mut subscriptions, true);
    assert!(subscriptions.retained_is_new(&asked, "a"));
    let (mut subscriptions, result) = Subscriptions::new(wanted, &[], &subscriptions.text(), 1);
    assert!(result.is_ok());
    let (mut asked, _) = ask(&mut subscriptions, true);
    assert!(subscriptions.retained_is_new(&asked, "a"));
    assert!(suback(&mut subscriptions, &mut asked, 1, &[1]));
    subscriptions.answered(&asked);
    // The connection is cut while they come.
    let (mut asked, _) = ask(&mut subscriptions, true);
    assert!(subscriptions.retained_is_new(&asked, "a"));
    assert!(suback(&mut subscriptions, &mut asked, 1, &[1]));
    subscriptions.answered(&asked);
    subscriptions.retained_have_come();
    let (asked, _) = ask(&mut subscriptions, true);
    assert!(!subscriptions.retained_is_new(&asked, "a"));
    assert_eq!(subscriptions.text(), r#"[{"filter":"a","qos":1,"retained":true,"identifier":1}]"#);
}

#[test]
fn a_filter_that_takes_the_place_of_another_is_asked_for_in_the_write_that_lets_the_other_go() {
    for (version, identifiers) in [(Version::V5, true), (Version::V311, false)] {
        let wanted = vec![subscription("home/+/climate", false)];
        let (mut subscriptions, _) = Subscriptions::new(wanted, &[], "", 1);
        let mut outgoing = Outgoing::new(version);
        let mut asked = subscriptions.ask(false, identifiers, &mut outgoing);
        assert!(subscriptions.suback(&mut asked, 1, &[1], &mut outgoing) && asked.is_answered());
        subscriptions.answered(&asked);
        let asked = subscriptions.change(vec![subscription("home/#", false)], &[], &asked, &mut outgoing);
        assert_eq!((asked.outstanding(), asked.unsubscribes()), ((1, 1), 1), "{version}");
    }
}

#[test]
fn damaged_text_is_said() {
    assert!(Subscriptions::new(vec![], &[], "{", 1).1.is_err());
}
