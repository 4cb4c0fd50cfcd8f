//! What docs/operation.md says of devices, run as it stands.

use amber::message::Qos;

use super::{CLIMATE, device, payload, started, texts, value};
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::{equal, eventually};

/// The SQL behind a mark, as it is for the store.
fn recipe(home: &Home, mark: &str) -> String {
    let text = include_str!("../../../docs/operation.md");
    let (_, rest) =
        text.split_once(&format!("<!-- run by devices/recipes.rs: {mark} -->\n```sql\n")).expect("it is there");
    let sql = rest.split_once("\n```").expect("it ends").0;
    if home.is_postgres() {
        return sql.to_owned();
    }
    // As the text says.
    sql.replace("update amber.devices", "update store_device")
        .replace("amber_store.", "store_")
        .replace("amber.devices", "devices")
        .replace("now()", "unixepoch() * 1000000")
}

#[test]
fn a_device_is_retired_and_taken_back_by_the_recipe() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, CLIMATE, "50ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for name in ["broken", "well"] {
            publisher.publish(&format!("home/attic/{name}"), payload(0, r#""temperature":1.5"#), Qos::AtLeastOnce);
            eventually("it is known", || device(&home, &format!("attic / {name}"), &["device"]));
        }
        let retired = format!("select count(*) from {} where retired_at is not null", home.view("devices"));
        home.sql().run(&recipe(&home, "retire"));
        assert_eq!(home.sql().number(&retired), Ok(1));
        // It speaks again, and stays retired, because a person said so.
        publisher.publish("home/attic/broken", payload(10, r#""temperature":2.5"#), Qos::AtLeastOnce);
        let temperature = value("temperature");
        eventually("it was heard", || equal(device(&home, "attic / broken", &[&temperature]), texts([Some("2.5")])));
        assert_eq!(home.sql().number(&retired), Ok(1));
        home.sql().run(&recipe(&home, "take back"));
        assert_eq!(home.sql().number(&retired), Ok(0));
        home.sql().rows(&recipe(&home, "silent")).unwrap();
        assert!(amber.terminate().success());
    }
}

#[test]
fn the_series_that_a_new_tag_has_left_behind_are_retired_by_the_recipe_and_no_other() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, CLIMATE, "50ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for name in ["t1", "t2", "plain"] {
            publisher.publish(&format!("home/attic/{name}"), payload(0, r#""count":1"#), Qos::AtLeastOnce);
            eventually("it is known", || device(&home, &format!("attic / {name}"), &["device"]));
        }
        assert!(amber.terminate().success());
        let mapping = CLIMATE.replace("time = \"ts\"", "time = \"ts\"\ntags = { floor = \"floor\" }");
        amber.configure(&(settings(&broker.url(), &home.url(), "") + &mapping)).start();
        amber.wait_ready();
        home.sql().run(&recipe(&home, "retire what a new tag left"));
        let retired =
            format!("select device from {} where retired_at is not null order by device", home.view("devices"));
        assert_eq!(home.sql().rows(&retired).map(|rows| rows.len()), Ok(0), "no device has sent the tag yet");
        for name in ["t1", "t2"] {
            let members = r#""count":2,"floor":"second""#;
            publisher.publish(&format!("home/attic/{name}"), payload(10, members), Qos::AtLeastOnce);
        }
        eventually("each is another series", || equal(Ok(home.count("devices")), 5));
        // It does not know the tag, and is the series that it was.
        publisher.publish("home/attic/plain", payload(20, r#""count":2"#), Qos::AtLeastOnce);
        let count = value("count");
        eventually("it was heard", || equal(device(&home, "attic / plain", &[&count]), texts([Some("2")])));
        home.sql().run(&recipe(&home, "retire what a new tag left"));
        let wanted = [texts([Some("attic / t1")]), texts([Some("attic / t2")])];
        assert_eq!(home.sql().rows(&retired), Ok(wanted.to_vec()), "{home}");
        assert!(amber.terminate().success());
    }
}

#[test]
fn a_device_is_renamed_merged_and_deleted_by_the_recipes() {
    for home in Home::both() {
        let broker = Mosquitto::start();
        let mut amber = started(&broker, &home, CLIMATE, "50ms");
        let mut publisher = Publisher::connect(broker.port, "publisher");
        for (second, name) in [(0, "old"), (10, "broken")] {
            publisher.publish(&format!("home/attic/{name}"), payload(second, r#""temperature":1.5"#), Qos::AtLeastOnce);
            eventually("it is known", || device(&home, &format!("attic / {name}"), &["device"]));
        }
        assert!(amber.terminate().success());
        home.sql().run(&recipe(&home, "rename"));
        home.sql().run(&recipe(&home, "delete"));
        amber.start();
        amber.wait_ready();
        let temperature = value("temperature");
        let renamed = [temperature.as_str(), "tags ->> 'device'"];
        eventually("it has the new name", || {
            equal(device(&home, "attic / new", &renamed), texts([Some("1.5"), Some("new")]))
        });
        assert_eq!((home.count("devices"), home.count("climate")), (1, 1), "{home}");
        // Somebody's old firmware goes on under the old name: another series.
        publisher.publish("home/attic/new", payload(20, r#""count":2"#), Qos::AtLeastOnce);
        publisher.publish("home/attic/old", payload(30, r#""temperature":3.5"#), Qos::AtLeastOnce);
        eventually("both are known", || equal(Ok((home.count("devices"), home.count("climate"))), (2, 3)));
        assert!(amber.terminate().success());
        home.sql().run(&recipe(&home, "merge"));
        amber.start();
        amber.wait_ready();
        let count = value("count");
        let merged = [temperature.as_str(), &count];
        eventually("it is one", || equal(device(&home, "attic / new", &merged), texts([Some("3.5"), Some("2")])));
        assert_eq!((home.count("devices"), home.count("climate")), (1, 3));
        let nameless = format!("select count(*) from {} where device is null", home.view("climate"));
        assert_eq!(home.sql().number(&nameless), Ok(0));
        assert!(amber.terminate().success());
    }
}
