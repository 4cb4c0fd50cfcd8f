//! The live page in a real browser: what it shows, whom it asks, and what it does not let in.
//!
//! With `AMBER_SCREENSHOTS=DIR` the same tests leave pictures of the page for docs.

use std::path::PathBuf;
use std::time::Duration;

use amber::message::{Qos, Time};

use crate::support::binary::Amber;
use crate::support::browser::{Browser, FOREIGN, browser};
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::{equal, eventually, eventually_within, pause_for};

const MAPPING: &str = r#"
[mapping.climate]
topic = "home/{room}/{device}"
[mapping.climate.fields]
temperature = { unit = "°C", decimals = 1 }
humidity    = { unit = "%", decimals = 0 }
open        = { type = "bool" }
note        = { type = "text" }
"#;

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

/// A broker, a store, Amber over them, and somebody who publishes.
struct House {
    broker: Mosquitto,
    home: Home,
    amber: Amber,
}

impl House {
    fn new(lines: &str) -> Self {
        let (broker, home) = (Mosquitto::start(), Home::sqlite());
        let config = settings(&broker.url(), &home.url(), "") + MAPPING + lines;
        let mut amber = Amber::new(&config);
        amber.env("AMBER__STORE__DEVICES_INTERVAL", "50ms");
        amber.start();
        amber.wait_ready();
        Self { broker, home, amber }
    }

    fn publish(&self, topic: &str, payload: &str) {
        Publisher::connect(self.broker.port, "publisher").publish(topic, payload, Qos::AtLeastOnce);
    }

    fn page(&self, path: &str) -> String {
        self.amber.url_of("127.0.0.1", path)
    }

    /// Goes to a view, and waits until Amber's state is shown.
    fn open(&self, browser: &Browser, view: &str) {
        browser.go(&self.page(&format!("/{view}")));
        browser.wait_for("#state-page .word", "live");
        browser.wait_for("#state-broker .word", "up");
    }
}

/// A picture for docs, if they are wanted.
fn picture(browser: &Browser, name: &str) {
    if let Some(folder) = std::env::var_os("AMBER_SCREENSHOTS") {
        browser.picture(&PathBuf::from(folder).join(format!("{name}.png")));
    }
}

#[track_caller]
fn assert_says_nothing_on_the_console(browser: &Browser) {
    let said = browser.console();
    assert!(said.is_empty(), "{said:#?}");
}

#[test]
fn a_row_that_was_just_published_is_shown_by_itself_and_nobody_but_amber_is_asked() {
    let house = House::new("");
    let browser = browser();
    house.publish("home/kitchen/t1", r#"{"temperature":20.5,"open":true}"#);
    house.open(&browser, "");
    let row = "[data-series='climate/1']";
    browser.wait_for(&format!("{row} .device"), "kitchen / t1");
    browser.wait_for(&format!("{row} [data-field=temperature] .reading"), "20.5 °C");
    browser.run("window.kept = true");
    house.publish("home/kitchen/t1", r#"{"temperature":21.75}"#);
    browser.wait_for(&format!("{row} [data-field=temperature] .reading"), "21.8 °C");
    house.publish("home/attic/t2", r#"{"humidity":48}"#);
    browser.wait_for("[data-series='climate/2'] .device", "attic / t2");
    browser.wait_for("#total-rows", "3 in all");
    eventually("the throughput is drawn", || equal(Ok(browser.count("#plot-throughput .uplot canvas")), 1));
    eventually("the last minutes are drawn", || {
        equal(Ok(browser.count(&format!("{row} [data-field=temperature] .spark canvas"))), 1)
    });
    for (view, shown) in [("rejects", "Rejects"), ("ignored", "Ignored topics"), ("mapping", "Mapping in force")] {
        browser.click(&format!("nav.views a[data-view={view}]"));
        browser.wait_for(&format!("#title-{view}"), shown);
    }
    browser.wait_for("#mapping-files", "home/{room}/{device}");
    assert!(!browser.shown().contains("mqtt://"), "only mappings are shown: {}", browser.shown());
    assert_eq!(browser.run("return window.kept"), true, "it was not loaded anew");
    assert_says_nothing_on_the_console(&browser);
    let requests = browser.requests();
    let own = house.page("/");
    assert!(requests.iter().any(|url| url.starts_with(&house.page("/api/history?"))), "{requests:#?}");
    let foreign: Vec<&String> =
        requests.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}

#[test]
fn the_page_survives_a_restart_of_amber_and_goes_on_by_itself() {
    let mut house = House::new("");
    let browser = browser();
    house.publish("home/kitchen/t1", r#"{"temperature":20.5}"#);
    house.open(&browser, "");
    browser.wait_for("[data-series='climate/1'] .device", "kitchen / t1");
    browser.run("window.kept = true");
    house.amber.kill();
    browser.wait_for("#state-page .word", "not connected since");
    browser.wait_for("[data-banner=page]", "goes on by itself");
    browser.wait_for("[data-series='climate/1'] .device", "kitchen / t1");
    house.amber.start();
    house.amber.wait_ready();
    browser.wait_for("#state-page .word", "live");
    eventually("the banner is gone", || equal(Ok(browser.count("[data-banner=page]")), 0));
    house.publish("home/attic/t2", r#"{"temperature":3.5}"#);
    browser.wait_for("[data-series='climate/2'] [data-field=temperature] .reading", "3.5 °C");
    assert_eq!(browser.run("return window.kept"), true, "it was not loaded anew");
}

/// Would be run if it became part of the page.
const HOSTILE: &str = "<script>window.hacked=1</script><img src=x onerror=\"window.hacked=1;alert(1)\">";
/// The same in a level of a topic, which has no slash.
const HOSTILE_LEVEL: &str = "<img src=x onerror=window.hacked=1>";

#[test]
fn markup_in_topics_tags_values_and_payloads_stays_text() {
    let house = House::new("");
    let browser = browser();
    let note = serde_json::json!({ "note": HOSTILE, "temperature": 1 }).to_string();
    house.publish(&format!("home/{HOSTILE_LEVEL}/t1"), &note);
    house.publish(&format!("home/{HOSTILE_LEVEL}/t2"), HOSTILE);
    house.publish(&format!("home/{HOSTILE_LEVEL}/t3"), "{}");
    house.open(&browser, "");
    browser.wait_for("[data-series='climate/1'] .device", HOSTILE_LEVEL);
    browser.wait_for("[data-series='climate/1'] [data-field=note] .value", HOSTILE);
    browser.click("[data-series='climate/1'] .device");
    browser.wait_for("#detail-title", HOSTILE_LEVEL);
    browser.wait_for("#detail-others", HOSTILE);
    browser.click("#detail-close");
    browser.click("nav.views a[data-view=rejects]");
    browser.wait_for("#rejects-list .topic", HOSTILE_LEVEL);
    browser.wait_for("#rejects-list .payload", HOSTILE);
    browser.click("#rejects-list button.explain");
    browser.wait_for("#rejects-list .answer", "It is rejected.");
    browser.click("nav.views a[data-view=ignored]");
    browser.wait_for("#ignored-list .topic", HOSTILE_LEVEL);
    browser.click("nav.views a[data-view=explain]");
    browser.write("#explain-topic", &format!("home/{HOSTILE_LEVEL}/t4"));
    browser.write("#explain-payload", &note);
    browser.click("#explain-run");
    browser.wait_for("#explain-answer .outcome", "It becomes rows.");
    browser.wait_for("#explain-answer pre", HOSTILE_LEVEL);
    browser.click("#explain-answer summary");
    browser.wait_for("#explain-answer details pre", "<script>");
    // A link that somebody sends.
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("topic", HOSTILE_LEVEL)
        .append_pair("payload", HOSTILE)
        .finish();
    house.open(&browser, &format!("#explain?{query}"));
    browser.wait_for("#explain-answer", "ignored");
    assert_eq!(browser.count("main img, main script, dialog img, dialog script"), 0);
    assert_eq!(browser.run("return window.hacked ?? null"), serde_json::Value::Null);
    assert!(!browser.has_dialog());
    // A policy that has to hold something back says so there.
    assert_says_nothing_on_the_console(&browser);
}

#[test]
fn a_foreign_name_is_refused_and_a_token_that_is_missing_is_asked_for() {
    let house = House::new("\n[http]\ntoken = \"correct-horse-battery-staple\"\n");
    let browser = browser();
    browser.go(&house.amber.url_of(FOREIGN, "/"));
    assert!(browser.shown().contains("is no name of this Amber"), "{}", browser.shown());
    let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
    assert_eq!(browser.run(status), 421);
    browser.go(&house.page("/"));
    assert_eq!(browser.address(), house.page("/login"));
    let api = "return fetch('/api/measurements').then(answer => answer.status)";
    assert_eq!(browser.run(api), 401);
    assert_eq!(browser.run("return fetch('/events').then(answer => answer.status)"), 401);
    browser.write("#token", "correct-horse");
    browser.press(&[ENTER]);
    browser.wait_for("body", "That is not the token.");
    browser.go("about:blank");
    browser.go(&house.page("/login"));
    assert!(!browser.shown().contains("That is not the token."), "{}", browser.shown());
    browser.write("#token", "correct-horse-battery-staple");
    browser.press(&[ENTER]);
    eventually("the page is shown", || equal(Ok(browser.address()), house.page("/")));
    browser.wait_for("#state-page .word", "live");
    assert_eq!(browser.run(api), 200);
    assert_eq!(browser.run("return document.cookie"), "", "no script can read the token");
}

#[test]
fn on_a_telephone_nothing_is_wider_than_the_screen() {
    let house = House::new("");
    let browser = browser();
    let long = "a_name_that_is_as_long_as_names_of_devices_become_when_they_are_made_of_addresses";
    house.publish(&format!("home/kitchen/{long}"), r#"{"temperature":20.5,"humidity":48,"open":true,"note":"dry"}"#);
    house.publish(&format!("home/{long}/t2"), &"no JSON ".repeat(40));
    house.publish(&format!("home/{long}/t3"), "{}");
    browser.size(360, 740);
    house.open(&browser, "");
    browser.wait_for("[data-series='climate/1'] [data-field=temperature] .reading", "20.5 °C");
    let fits = |what: &str| {
        let width = browser.run("return document.documentElement.scrollWidth").as_i64().unwrap();
        let seen = browser.run(
            "return ['h1', 'nav.views', 'main', '#figure-rows'].filter(css => {
               const box = document.querySelector(css).getBoundingClientRect();
               return box.width === 0 || box.left < 0 || box.right > 360;
             })",
        );
        assert_eq!((width, seen), (360, serde_json::json!([])), "{what}");
    };
    fits("series");
    browser.click("[data-series='climate/1'] .device");
    eventually("the plot is drawn", || equal(Ok(browser.count("#detail-plot .uplot canvas")), 1));
    let wide = "const dialog = document.querySelector('dialog'); return dialog.scrollWidth - dialog.clientWidth";
    assert_eq!(browser.run(wide), 0);
    fits("the plot");
    browser.click("#detail-close");
    for (view, css, part) in [
        ("rejects", "#rejects-list .payload", "no JSON"),
        ("ignored", "#ignored-list .topic", long),
        ("explain", "#title-explain", "Explain"),
        ("mapping", "#mapping-files pre", "topic"),
    ] {
        browser.click(&format!("nav.views a[data-view={view}]"));
        browser.wait_for(css, part);
        fits(view);
    }
}

#[test]
fn of_ten_thousand_series_the_first_are_shown_at_once_and_any_is_found() {
    let house = House::new("");
    let browser = browser();
    let now = Time::now().0;
    house.home.sql().run(&format!(
        "with recursive r(n) as (select 1 union all select n + 1 from r where n < 10000)
         insert into store_device (measurement, series_id, device, tags, first_seen, last_seen, last_time, gap_sum, gap_squares, gaps, last_values)
         select 'climate', n, 'room ' || (n % 100) || ' / sensor ' || n, json_object('room', 'room ' || (n % 100), 'device', 'sensor ' || n),
           {now}, {now} - n % 2 * 7200000000, {now}, 600, 36000, 10, json_object('temperature', n / 100.0) from r"
    ));
    house.open(&browser, "");
    eventually_within(Duration::from_secs(10), "the first series are shown", || {
        equal(Ok(browser.count("#series-groups [data-series]")), 25)
    });
    browser.wait_for("#page-place", "1–25 of 10,000");
    browser.click("#page-next");
    browser.wait_for("#page-place", "26–50 of 10,000");
    browser.write("#search", "Sensor 7777");
    eventually_within(Duration::from_secs(10), "one is found", || {
        let count = browser.count("#series-groups [data-series]");
        if count == 1 { Ok(()) } else { Err(format!("{count}: {}", browser.shown())) }
    });
    browser.wait_for("[data-series='climate/7777'] .device", "room 77 / sensor 7777");
    browser.go("about:blank");
    house.open(&browser, "#series?silent=1");
    browser.wait_for("#page-place", "1–25 of 5,000");
    assert_says_nothing_on_the_console(&browser);
}

#[test]
fn keys_alone_reach_the_search_and_a_plot_and_every_part_has_a_name() {
    let house = House::new("");
    let browser = browser();
    house.publish("home/kitchen/t1", r#"{"temperature":20.5}"#);
    house.open(&browser, "");
    browser.wait_for("[data-series='climate/1'] .device", "kitchen / t1");
    let tab_to = |css: &str| {
        let is_there = format!("return document.activeElement.matches({})", serde_json::json!(css));
        let reached = (0..40).any(|_| {
            browser.press(&[TAB]);
            browser.run(&is_there) == true
        });
        assert!(reached, "40 times Tab do not reach {css}: {}", browser.run("return document.activeElement.outerHTML"));
    };
    tab_to("#search");
    tab_to("[data-series='climate/1'] .device");
    browser.press(&[ENTER]);
    eventually("the plot is open", || equal(Ok(browser.count("#series-dialog[open] .uplot canvas")), 1));
    browser.press(&[ESCAPE]);
    eventually("it is closed", || equal(Ok(browser.count("#series-dialog[open]")), 0));
    assert_eq!(browser.run("return document.activeElement.className"), "device", "one goes on where one was");
    let nameless = browser.run(
        "const name = (it) => it.ariaLabel || it.title || [...(it.labels ?? [])].map((l) => l.textContent).join('') || it.textContent;
         return [...document.querySelectorAll('input, select, textarea, button, a, summary')]
           .filter((it) => name(it).trim() === '' && it.id !== 'rejects-new').map((it) => it.outerHTML)",
    );
    assert_eq!(nameless, serde_json::json!([]));
    for (css, count) in [("h1", 1), ("main", 1), ("header", 1), ("nav[aria-label]", 1), ("[role=search]", 1)] {
        assert_eq!(browser.count(css), count, "{css}");
    }
    let unlabelled =
        "return [...document.querySelectorAll('section, dialog, img')].filter((it) => it.localName === 'img'
        ? !it.hasAttribute('alt') : !it.closest('[aria-label], [aria-labelledby]')).map((it) => it.outerHTML.slice(0, 80))";
    assert_eq!(browser.run(unlabelled), serde_json::json!([]));
    assert_eq!(browser.run("return document.documentElement.lang"), "en");
}

#[test]
fn a_range_that_was_chosen_is_read_from_the_store_and_drawn() {
    let mut house = House::new("");
    house.amber.terminate();
    let now = Time::now().0;
    // A day of five sensors, each minute.
    let (data, series) = (house.home.table("climate_data"), house.home.table("climate_series"));
    house.home.sql().run(&format!(
        "insert into {series} (room, device) values ('kitchen', 'sht31'), ('bath', 'sht31'), ('attic', 'bme280'), ('cellar', 'sht31'), ('garden', 'ws90');
         with recursive r(n) as (select 0 union all select n + 1 from r where n < 1439)
         insert into {data} (time, series_id, received_at, temperature, humidity, open)
         select {now} - n * 60000000, s.series_id, {now} - n * 60000000,
           15 + 2 * s.series_id + (n % 1440 - 720) * (n % 1440 - 720) / 90000.0 + abs(random() % 100) / 250.0,
           70 - 4 * s.series_id - (n % 700 - 350) * (n % 700 - 350) / 12000.0, n / 97 % 2 from r cross join {series} s"
    ));
    house.amber.start();
    house.amber.wait_ready();
    let browser = browser();
    house.open(&browser, "");
    let row = "[data-series='climate/3']";
    browser.wait_for(&format!("{row} .device"), "attic / bme280");
    eventually("the last minutes are drawn", || equal(Ok(browser.count(&format!("{row} .spark canvas"))), 3));
    if std::env::var_os("AMBER_SCREENSHOTS").is_some() {
        live(&house);
        picture(&browser, "page-light");
        browser.scheme("dark");
        picture(&browser, "page-dark");
        browser.scheme("light");
    }
    browser.click(&format!("{row} .device"));
    browser.click("#detail-ranges [data-range='6h']");
    browser.click("#detail-values summary");
    eventually("six hours are drawn", || {
        let rows = browser.count("#detail-table tr");
        if rows > 100 { Ok(()) } else { Err(format!("{rows} rows")) }
    });
    browser.click("#detail-values summary");
    let drawn = browser.count("#detail-plot .uplot canvas");
    assert_eq!(drawn, 1);
    picture(&browser, "plot");
    browser.reload();
    browser.wait_for("#detail-title", "attic / bme280");
    eventually("the address says what is shown", || {
        equal(Ok(browser.count("#detail-ranges [data-range='6h'][aria-pressed=true]")), 1)
    });
    assert_says_nothing_on_the_console(&browser);
    if std::env::var_os("AMBER_SCREENSHOTS").is_some() {
        browser.size(390, 844);
        house.open(&browser, "");
        browser.wait_for(&format!("{row} .device"), "attic / bme280");
        picture(&browser, "phone");
    }
}

/// Some seconds of life, for pictures: what goes on from the history.
fn live(house: &House) {
    let mut publisher = Publisher::connect(house.broker.port, "house");
    let devices = [("kitchen", "sht31", 1), ("bath", "sht31", 2), ("attic", "bme280", 3), ("garden", "ws90", 5)];
    for (n, (room, device, series)) in (0..120_u32).zip(devices.into_iter().cycle()) {
        let (temperature, humidity) = (20.8 + f64::from(2 * series) + f64::from(n % 7) / 20.0, 60 - 4 * series + n % 2);
        let payload = format!(r#"{{"temperature":{temperature},"humidity":{humidity}}}"#);
        publisher.publish(&format!("home/{room}/{device}"), payload, Qos::AtLeastOnce);
        pause_for(Duration::from_millis(if n % 9 < 4 { 60 } else { 170 }));
    }
}
