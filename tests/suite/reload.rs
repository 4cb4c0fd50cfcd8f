//! A configuration that is edited while Amber runs: it is in force without a restart, and no message is lost or doubled by
//! it; one that is wrong is refused, and the one before it keeps running.

mod grows;
mod mounted;
mod tables;

use std::fs;
use std::time::Duration;

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load};
use crate::support::process::Signal;
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::{Random, equal, eventually, pause_for};

const APPLIED: &str = "amber_reloads_total{outcome=\"applied\"}";
const REFUSED: &str = "amber_reloads_total{outcome=\"refused\"}";

/// Writes `config.toml` as editors do that replace the file.
fn replace(amber: &Amber, config: &str) {
    let new = amber.folder().join("config.toml.new");
    fs::write(&new, config).unwrap();
    fs::rename(&new, amber.folder().join("config.toml")).unwrap();
}

/// Waits until a metric has this value.
#[track_caller]
fn wait_for(amber: &Amber, metric: &str, value: f64) {
    eventually(metric, || equal(amber.metric(metric), value));
}

/// Replaces the configuration, and waits until it is in force.
#[track_caller]
fn apply(amber: &Amber, config: &str) {
    let before = amber.metric(APPLIED).unwrap();
    replace(amber, config);
    wait_for(amber, APPLIED, before + 1.0);
}

/// Waits until `/ready` says so; it says 200 all the while.
#[track_caller]
fn wait_for_ready_to_say(amber: &Amber, text: &str) -> String {
    eventually(text, || match amber.get("/ready") {
        Ok((200, body)) if body.contains(text) => Ok(body),
        other => Err(format!("{other:?}")),
    })
}

#[track_caller]
fn publish(broker: &Mosquitto, topic: &str, payload: &str) {
    Publisher::connect(broker.port, "device").publish(topic, payload, Qos::AtLeastOnce);
}

#[track_caller]
fn wait_for_rows(home: &Home, view: &str, condition: &str, rows: i64) {
    let count = format!("select count(*) from {} where {condition}", home.view(view));
    eventually(&count, || equal(home.sql().number(&count), rows));
}

/// The mapping of the numbers with fields `f0` to `f<edit>`, all of which have the number; another filter with each edit;
/// over MQTT 5 also one that crosses that of the numbers, with some.
fn edited(edit: usize, crosses: bool) -> String {
    let fields: String = (0..=edit).map(|n| format!("f{n} = {{ path = \"n\", type = \"int\" }}\n")).collect();
    let crossing = if crosses && edit % 2 == 1 {
        "[mapping.across]\ntopic = \"{place}/1\"\nfields = { n = { type = \"int\" } }\n"
    } else {
        ""
    };
    format!(
        "\n[mapping.numbers]\ntopic = \"n/{{device}}\"\n[mapping.numbers.fields]\nn = {{ type = \"int\" }}\n{fields}\
         [mapping.edits]\ntopic = \"edit/{edit}/{{device}}\"\nfields = {{ n = {{ type = \"int\" }} }}\n{crossing}"
    )
}

/// Edits under load, among cuts and kills.
#[track_caller]
fn edited_under_load(home: &Home, protocol: &str) {
    let edits = if std::env::var_os("AMBER_LONG").is_some() { 120 } else { 9 };
    let broker = Mosquitto::start();
    let proxy = Proxy::to(broker.port);
    let url = format!("mqtt://127.0.0.1:{}", proxy.port);
    let settings = numbers::settings(&url, &home.url(), &format!("qos = 2\nprotocol = \"{protocol}\""));
    let config = |edit: usize| settings.clone() + &edited(edit, protocol == "5");
    let mut amber = Amber::run(&config(0));
    let load = Load::start(broker.port, Duration::from_millis(5));
    let mut random = Random(7);
    for edit in 1..edits {
        load.wait_for(50);
        let before = amber.metric(APPLIED).unwrap();
        replace(&amber, &config(edit));
        amber.signal(Signal::Hangup);
        match edit % 3 {
            0 => wait_for(&amber, APPLIED, before + 1.0),
            1 => {
                pause_for(Duration::from_millis(random.between(0, 40)));
                proxy.cut(Cut::Reset);
                wait_for(&amber, APPLIED, before + 1.0);
            }
            _ => {
                pause_for(Duration::from_millis(random.between(0, 40)));
                amber.kill();
                amber.start();
                amber.wait_ready();
            }
        }
        publish(&broker, &format!("edit/{edit}/d"), &format!("{{\"n\":{edit}}}"));
        if edit >= 2 {
            // Nobody listens to it any more.
            publish(&broker, &format!("edit/{}/d", edit - 2), "{\"n\":0}");
        }
    }
    load.wait_for(100);
    let messages = numbers::assert_exactly_once(&load.end(), broker.port, &mut amber, home);
    let view = home.view("numbers");
    for edit in 0..edits {
        let filled = format!("select count(*) from {view} where f{edit} is not null");
        assert!(home.sql().number(&filled).unwrap() > 0, "f{edit} has no values");
        let wrong = format!("select count(*) from {view} where f{edit} <> n");
        assert_eq!(home.sql().number(&wrong).unwrap(), 0, "f{edit} has values of another column");
    }
    println!(
        "{home_kind}, MQTT {protocol}: {messages} messages over {edits} edits",
        home_kind = home.url().split(':').next().unwrap()
    );
}

#[test]
fn edits_under_load_lose_and_double_no_message_over_mqtt_5_into_postgresql() {
    edited_under_load(&Home::postgres(), "5");
}

#[test]
fn edits_under_load_lose_and_double_no_message_over_mqtt_5_into_sqlite() {
    edited_under_load(&Home::sqlite(), "5");
}

#[test]
fn edits_under_load_lose_and_double_no_message_over_mqtt_3_1_1_into_postgresql() {
    edited_under_load(&Home::postgres(), "3.1.1");
}

#[test]
fn edits_under_load_lose_and_double_no_message_over_mqtt_3_1_1_into_sqlite() {
    edited_under_load(&Home::sqlite(), "3.1.1");
}

#[test]
fn filters_that_take_the_place_of_one_another_under_load_lose_nothing_and_double_almost_nothing() {
    for protocol in ["5", "3.1.1"] {
        let (home, broker) = (Home::sqlite(), Mosquitto::start());
        let settings = numbers::settings(&broker.url(), &home.url(), &format!("qos = 2\nprotocol = \"{protocol}\""));
        let config = |topic: &str| {
            settings.clone()
                + &format!("[mapping.numbers]\ntopic = \"{topic}\"\nfields = {{ n = {{ type = \"int\" }} }}\n")
        };
        let (narrow, wide) = (config("n/{device}"), config("n/{device}/#"));
        let mut amber = Amber::run(&narrow);
        let load = Load::start(broker.port, Duration::from_millis(1));
        for edit in 0..10 {
            load.wait_for(100);
            apply(&amber, if edit % 2 == 0 { &wide } else { &narrow });
        }
        load.wait_for(100);
        let sent = load.end();
        numbers::come_to_rest(broker.port, &mut amber, &home);
        let stored = numbers::stored(&home);
        let lost: Vec<_> = sent.acknowledged.iter().filter(|n| !stored.contains_key(n)).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let twice = stored.values().filter(|&&count| count > 1).count();
        println!("MQTT {protocol}: {twice} of {} messages are there twice, over 10 edits", sent.acknowledged.len());
        // What comes within the moment in which the broker has both; a round trip in it would be hundreds.
        assert!(twice <= 40, "{twice}");
    }
}

#[test]
fn what_is_wrong_on_disk_is_refused_and_named_and_what_was_before_keeps_running() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let good = numbers::config(&broker.url(), &home.url(), "");
        let amber = Amber::run(&good);
        // Half of the file, as if the disk were full: refused after some looks, and once.
        replace(&amber, &good[..good.len() - 10]);
        let body = wait_for_ready_to_say(&amber, "the configuration on disk is refused");
        assert!(body.starts_with("ready\n") && body.contains("\nconfig.toml:11:24: not TOML:"), "{body}");
        assert_eq!(amber.metric("amber_configuration_refused").unwrap(), 1.0);
        assert_eq!(amber.metric(REFUSED).unwrap(), 1.0);
        publish(&broker, "n/1", "{\"n\":1}");
        wait_for_rows(&home, "numbers", "n = 1", 1);
        // Asked again, nothing else is to be said of it; but it is said.
        amber.signal(Signal::Hangup);
        wait_for(&amber, REFUSED, 2.0);
        // All faults at once, each with its place.
        replace(&amber, &(good.clone() + "[mapping.a]\ntopic = \"a/#/b\"\n[mapping.b]\ntopik = \"b\"\n"));
        let body = wait_for_ready_to_say(&amber, "mapping.b");
        assert!(body.contains("config.toml:12:10: mapping.a.fields:") && body.contains("did you mean"), "{body}");
        // A field of another type is a conflict with the table that is there.
        replace(&amber, &good.replace("type = \"int\"", "type = \"text\""));
        let body = wait_for_ready_to_say(&amber, "the mapping wants `text`");
        assert!(body.contains("name the field otherwise") && body.contains("or run"), "{body}");
        // Gone, and back again.
        fs::remove_file(amber.folder().join("config.toml")).unwrap();
        wait_for_ready_to_say(&amber, "cannot be read");
        publish(&broker, "n/1", "{\"n\":2}");
        wait_for_rows(&home, "numbers", "n = 2", 1);
        apply(&amber, &good);
        assert_eq!(amber.get("/ready").unwrap(), (200, "ready\n".to_owned()));
        assert_eq!(amber.metric("amber_configuration_refused").unwrap(), 0.0);
        // Emptied of its mappings.
        replace(&amber, &numbers::settings(&broker.url(), &home.url(), ""));
        wait_for_ready_to_say(&amber, "no mapping is left");
        publish(&broker, "n/1", "{\"n\":3}");
        wait_for_rows(&home, "numbers", "n = 3", 1);
        let log = amber.log();
        assert_eq!(log.matches("the mapping wants `text`").count(), 1, "{log}");
        assert_eq!(log.matches("config.toml:12:10: mapping.a.fields:").count(), 1, "{log}");
    }
}

#[test]
fn what_cannot_change_is_named_and_the_rest_is_in_force() {
    let (home, broker) = (Home::sqlite(), Mosquitto::start());
    let config = numbers::config(&broker.url(), &home.url(), "");
    let amber = Amber::run(&config);
    let other =
        config.replace(&broker.url(), "mqtt://127.0.0.1:1").replace("[store]", "client_id = \"other\"\n[store]");
    apply(&amber, &(other + "[mapping.more]\ntopic = \"more\"\nfields = { v = \".\" }\n"));
    let body = wait_for_ready_to_say(&amber, "after a restart");
    assert_eq!(body, "ready\nchanged on disk, and take effect after a restart: broker.url, broker.client_id\n");
    publish(&broker, "more", "1.5");
    wait_for_rows(&home, "more", "v = 1.5", 1);
    apply(&amber, &config);
    assert_eq!(amber.get("/ready").unwrap(), (200, "ready\n".to_owned()));
}

#[test]
fn a_new_included_file_and_a_folder_that_is_another_one_are_seen() {
    let (home, broker) = (Home::sqlite(), Mosquitto::start());
    let config = format!("include = [\"mappings/*.toml\"]\n{}", numbers::config(&broker.url(), &home.url(), ""));
    let mut amber = Amber::new(&config);
    let at = |name: &str| amber.folder().join(name);
    let mapping = |name: &str| format!("[mapping.{name}]\ntopic = \"{name}\"\nfields = {{ v = \".\" }}\n");
    for (version, name) in [("v1", "first"), ("v2", "second")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("a.toml"), mapping(name)).unwrap();
    }
    std::os::unix::fs::symlink("v1", at("mappings")).unwrap();
    amber.start();
    amber.wait_ready();
    let at = |name: &str| amber.folder().join(name);
    fs::write(at("mappings/b.toml"), mapping("new")).unwrap();
    wait_for(&amber, APPLIED, 1.0);
    publish(&broker, "new", "1");
    publish(&broker, "first", "1");
    wait_for_rows(&home, "new", "v = 1", 1);
    wait_for_rows(&home, "first", "v = 1", 1);
    // As Kubernetes does it.
    std::os::unix::fs::symlink("v2", at("turned")).unwrap();
    fs::rename(at("turned"), at("mappings")).unwrap();
    wait_for(&amber, APPLIED, 2.0);
    publish(&broker, "second", "1");
    wait_for_rows(&home, "second", "v = 1", 1);
    // A folder that is not there is no wish to store nothing.
    fs::remove_file(at("mappings")).unwrap();
    wait_for_ready_to_say(&amber, "is gone, and its mappings with it");
    publish(&broker, "second", "2");
    wait_for_rows(&home, "second", "v = 2", 1);
}

#[test]
fn a_change_waits_for_a_store_that_is_away_and_a_newer_one_takes_its_place() {
    let home = Home::postgres();
    let Home::Postgres(database) = &home else { unreachable!() };
    let proxy = Proxy::to(database.port);
    let broker = Mosquitto::start();
    let config = numbers::config(&broker.url(), &database.url_through(proxy.port), "");
    let amber = Amber::run(&config);
    let with = |field: &str| config.replace("fields = {", &format!("fields = {{ {field} = {{ path = \"n\" }},"));
    proxy.set(Mode::Refuse);
    proxy.cut(Cut::Reset);
    publish(&broker, "n/1", "{\"n\":1}");
    replace(&amber, &with("older"));
    eventually("it waits", || match amber.get("/ready") {
        Ok((503, body)) if body.contains("waits to be applied") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let waits = "the configuration on disk waits for the store";
    replace(&amber, &with("newer"));
    eventually("the newer one waits", || equal(Ok(amber.log().matches(waits).count()), 2));
    publish(&broker, "n/1", "{\"n\":2}");
    assert_eq!(amber.metric(APPLIED).unwrap(), 0.0);
    proxy.set(Mode::Pass);
    wait_for(&amber, APPLIED, 1.0);
    publish(&broker, "n/1", "{\"n\":3}");
    wait_for_rows(&home, "numbers", "newer = 3", 1);
    wait_for_rows(&home, "numbers", "n in (1, 2, 3)", 3);
    let older = "select count(*) from amber.fields where name = 'older'";
    assert_eq!(home.sql().number(older).unwrap(), 0, "what was superseded is in the tables");
}

#[test]
fn a_change_while_the_broker_is_away_is_in_force_when_it_comes_back_and_a_stop_in_a_change_ends_cleanly() {
    let (home, mut broker) = (Home::sqlite(), Mosquitto::start());
    let config = |topic: &str| {
        numbers::settings(&broker.url(), &home.url(), "")
            + &format!("[mapping.m]\ntopic = \"{topic}\"\nfields = {{ v = \".\" }}\n")
    };
    let (old, new, last) = (config("old"), config("new"), config("last"));
    let mut amber = Amber::run(&old);
    broker.stop();
    apply(&amber, &new);
    broker.start_again();
    amber.wait_ready();
    publish(&broker, "old", "1");
    publish(&broker, "new", "2");
    wait_for_rows(&home, "m", "v = 2", 1);
    assert_eq!(home.count("m"), 1, "what left the configuration is not listened to");
    replace(&amber, &last);
    amber.signal(Signal::Hangup);
    let status = amber.terminate();
    assert!(status.success(), "{status}");
    amber.start();
    amber.wait_ready();
    publish(&broker, "new", "3");
    publish(&broker, "last", "4");
    wait_for_rows(&home, "m", "v = 4", 1);
    assert_eq!(home.count("m"), 2);
}

#[test]
fn a_filter_that_is_new_brings_its_retained_messages_and_the_others_do_not_again() {
    for protocol in ["5", "3.1.1"] {
        let (home, broker) = (Home::sqlite(), Mosquitto::start());
        let mapping = |name: &str| {
            format!("[mapping.{name}]\ntopic = \"{name}/{{d}}\"\nretained = \"store\"\nfields = {{ v = \".\" }}\n")
        };
        for topic in ["one/a", "two/a"] {
            Publisher::connect(broker.port, "device").publish_retained(topic, "1", Qos::AtLeastOnce);
        }
        let settings = numbers::settings(&broker.url(), &home.url(), &format!("protocol = \"{protocol}\""));
        let one = settings + &mapping("one");
        let amber = Amber::run(&one);
        wait_for_rows(&home, "one", "v = 1", 1);
        apply(&amber, &(one + &mapping("two")));
        wait_for_rows(&home, "two", "v = 1", 1);
        publish(&broker, "one/a", "2");
        wait_for_rows(&home, "one", "v = 2", 1);
        assert_eq!(home.count("one"), 2, "MQTT {protocol}");
    }
}
