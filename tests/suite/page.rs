//! What serves the live page: who may see it, and what it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use amber::message::Qos;
use serde_json::Value;

use crate::support::binary::Amber;
use crate::support::client::Publisher;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::settings;
use crate::support::{equal, eventually};

const TOKEN: &str = "0123456789abcdef";

const MAPPING: &str = "\n# Of the house.\n[mapping.climate]\ntopic = \"home/{room}/climate\"\ntime = \"ts\"\n\
                       fields = { temperature = { unit = \"°C\", decimals = 1 }, open = { type = \"bool\" } }\n";

/// An answer as it came.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    #[track_caller]
    fn error(&self) -> String {
        self.json()["error"].as_str().expect("it says what is wrong").to_owned()
    }
}

fn connect(amber: &Amber, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, amber.http_port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Sends `first` (method and path), `headers` and `body`.
fn ask(amber: &Amber, first: &str, headers: &[&str], body: &str) -> Answer {
    let host = format!("Host: 127.0.0.1:{}", amber.http_port());
    let is_named = headers.iter().any(|header| header.starts_with("Host:"));
    let mut request = format!("{first} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for header in headers.iter().copied().chain((!is_named).then_some(host.as_str())) {
        request.push_str(header);
        request.push_str("\r\n");
    }
    let mut answer = String::new();
    connect(amber, &format!("{request}\r\n{body}")).read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn get(amber: &Amber, path: &str) -> Answer {
    ask(amber, &format!("GET {path}"), &[], "")
}

/// The events of a stream, one after the other: name and data.
fn events(amber: &Amber) -> impl Iterator<Item = (String, Value)> + use<> {
    let request = format!("GET /events HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", amber.http_port());
    let mut lines = BufReader::new(connect(amber, &request)).lines().map_while(Result::ok);
    std::iter::from_fn(move || {
        let name = lines.find_map(|line| Some(line.strip_prefix("event: ")?.to_owned()))?;
        let data = lines.find_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())?;
        Some((name, data))
    })
}

#[test]
fn the_page_is_for_who_names_this_amber_and_has_the_token() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let config = |token: &str| {
        settings(&broker.url(), &home.url(), "")
            + &format!("[http]\ntoken = \"{token}\"\nhosts = [\"amber.example\"]\n{MAPPING}")
    };
    let mut amber = Amber::run(&config(TOKEN));

    // A site that has its name lead to this machine.
    let foreign = "Host: evil.example";
    for path in ["/", "/api/mapping", "/events", "/login", "/page/app.js"] {
        let refused = ask(&amber, &format!("GET {path}"), &[foreign, &format!("Authorization: Bearer {TOKEN}")], "");
        assert!(refused.status == 421 && refused.body.contains("hosts = ["), "{path}: {}", refused.body);
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(ask(&amber, &format!("GET {path}"), &[foreign], "").status, 200, "{path}");
    }
    assert_eq!(ask(&amber, "GET /login", &["Host: Amber.example:443"], "").status, 200);

    let page = get(&amber, "/");
    assert_eq!((page.status, page.header("location")), (303, Some("/login")));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'; script-src 'self'"));
    for path in ["/api/mapping", "/api/series", "/events"] {
        let refused = get(&amber, path);
        assert!(refused.status == 401 && refused.error().contains("Bearer"), "{path}: {}", refused.body);
    }
    let bearer = |token: &str| ask(&amber, "GET /api/mapping", &[&format!("Authorization: Bearer {token}")], "").status;
    assert_eq!((bearer(TOKEN), bearer("0123456789abcdeF")), (200, 401));

    let form = "Content-Type: application/x-www-form-urlencoded";
    let wrong = ask(&amber, "POST /login", &[form], "token=0123456789abcdeF");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (303, None));
    let again = get(&amber, wrong.header("location").unwrap());
    assert!(
        again.status == 200 && again.body.contains("not the token") && again.body.contains("<form"),
        "{}",
        again.body
    );
    let login = ask(&amber, "POST /login", &[form], &format!("token={TOKEN}"));
    assert_eq!((login.status, login.header("location")), (303, Some("/")));
    let cookie = login.header("set-cookie").unwrap();
    assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(TOKEN), "{cookie}");
    let cookie = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let with_cookie = |amber: &Amber, path: &str| ask(amber, &format!("GET {path}"), &[&cookie], "").status;
    assert_eq!((with_cookie(&amber, "/"), with_cookie(&amber, "/api/mapping")), (200, 200));

    assert!(amber.terminate().success());
    amber.start();
    amber.wait_ready();
    assert_eq!(with_cookie(&amber, "/"), 200, "it outlives a restart");
    amber.configure(&config("fedcba9876543210"));
    eventually("another token is asked for", || equal(Ok(with_cookie(&amber, "/")), 303));
}

#[test]
fn where_others_reach_it_and_nothing_says_who_may_see_it_the_page_is_closed() {
    let home = Home::sqlite();
    let mut amber = Amber::new(&(settings("mqtt://127.0.0.1:1", &home.url(), "") + MAPPING));
    let everywhere = format!("0.0.0.0:{}", amber.http_port());
    amber.env("AMBER__HTTP__LISTEN", &everywhere).start();
    eventually("it listens", || equal(amber.get("/health").map(|(status, _)| status), 200));
    for path in ["/", "/login", "/api/mapping", "/events"] {
        let closed = get(&amber, path);
        assert!(closed.status == 403 && closed.body.contains("token_file"), "{path}: {}", closed.body);
    }
    assert_eq!(get(&amber, "/metrics").status, 200);
    assert!(amber.log().contains("the page is not shown"), "it is said at the start");
    amber.kill();
    amber.env("AMBER__HTTP__OPEN", "true").start();
    eventually("it listens", || equal(amber.get("/health").map(|(status, _)| status), 200));
    assert_eq!(get(&amber, "/").status, 200);
}

#[test]
fn the_page_is_told_what_comes_and_what_is_stored() {
    let broker = Mosquitto::start();
    let home = Home::sqlite();
    let secret = "a-password-that-nobody-sees";
    let lines = format!("username = \"u\"\npassword = \"{secret}\"\n# password = \"{secret}\"");
    let config = settings(&broker.url(), &home.url(), &lines) + "devices_interval = \"1s\"\n" + MAPPING;
    let mut amber = Amber::run(&config);
    let mut publisher = Publisher::connect(broker.port, "publisher");
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    for (room, degrees) in [("bath", 21.5), ("attic", 17.0)] {
        let payload = format!("{{\"ts\":{now},\"temperature\":{degrees},\"open\":true}}");
        publisher.publish(&format!("home/{room}/climate"), payload, Qos::AtLeastOnce);
    }
    let bad = "{\"ts\":\"<script>alert(1)</script>\",\"temperature\":1}";
    publisher.publish("home/bath/climate", bad, Qos::AtLeastOnce);
    publisher.publish("home/bath/climate", &b"\xff\xfe"[..], Qos::AtLeastOnce);
    eventually("rows and rejects are stored", || equal(Ok((home.count("climate"), home.count("rejects"))), (2, 2)));

    // The state, at once and again.
    let mut events = events(&amber);
    let (name, rates) = events.next().unwrap();
    assert!(name == "rates" && rates["step_s"] == 1, "{rates}");
    let states: Vec<Value> = events.by_ref().take(2).map(|(_, state)| state).collect();
    for state in &states {
        assert_eq!(state["totals"]["rows"], 2, "{state}");
        assert_eq!((&state["broker"]["condition"], &state["store"]["kind"]), (&"up".into(), &"sqlite".into()));
        assert!(state["ready"] == true && state["number"] == 1 && state["lag_ms"].is_number(), "{state}");
    }
    assert!(states[0]["now"].as_i64() < states[1]["now"].as_i64());

    let measurement = eventually("both devices are known", || {
        let measurement = get(&amber, "/api/measurements").json()["measurements"][0].clone();
        equal(Ok(measurement["series"].clone()), 2.into()).map(|_| measurement)
    });
    assert_eq!((&measurement["name"], &measurement["mappings"][0]), (&"climate".into(), &"climate".into()));
    assert_eq!(measurement["fields"][0]["unit"], "°C");
    let series = eventually("last values are known", || {
        let page = get(&amber, "/api/series?search=BATH&limit=10").json();
        let series = page["series"][0].clone();
        equal(Ok((page["total"].clone(), series["last"]["temperature"].clone())), (1.into(), 21.5.into()))
            .map(|_| series)
    });
    let history = get(&amber, &format!("/api/history?measurement=climate&series={}&minutes=15", series["id"])).json();
    let [temperature, open] = &history["plots"].as_array().unwrap()[..] else { panic!("{history}") };
    assert_eq!((&temperature["field"], &temperature["avg"][0]), (&"temperature".into(), &21.5.into()));
    assert_eq!((&open["field"], &open["max"][0]), (&"open".into(), &1.0.into()));
    let wrong = get(&amber, "/api/history?measurement=nothing&series=1&fields=a");
    assert!(wrong.status == 400 && wrong.error().contains("`nothing`"), "{}", wrong.body);

    let page = get(&amber, "/api/rejects?reason=payload");
    assert_eq!(page.header("content-type"), Some("application/json"));
    assert_eq!(page.json()["rejects"][0]["payload_base64"], "//4=");
    let page = get(&amber, "/api/rejects").json();
    let rejects = page["rejects"].as_array().unwrap();
    let of_time = rejects.iter().find(|reject| reject["payload"] == bad).unwrap_or_else(|| panic!("{page}"));
    assert_eq!(page["counts"].as_array().map(Vec::len), Some(2), "{page}");
    let explained = get(&amber, &format!("/api/rejects/{}/explain", of_time["id"])).json();
    assert_eq!(explained["explanation"]["reject"]["reason"], of_time["reason"], "{explained}");
    assert_eq!(get(&amber, "/api/rejects/999999/explain").status, 404);

    let asked = serde_json::json!({"topic": "home/hall/climate", "payload": "{\"temperature\": 3}"}).to_string();
    let explained = ask(&amber, "POST /api/explain", &["Content-Type: application/json"], &asked).json();
    assert_eq!(explained["explanation"]["rows"][0]["tags"]["room"], "hall");
    assert!(explained["text"].as_str().unwrap().contains("temperature = 3.0 °C"), "{explained}");
    let wrong = ask(&amber, "POST /api/explain", &[], "{\"topic\": \"home/#\"}");
    assert!(wrong.status == 400 && wrong.error().contains("wildcard"), "{}", wrong.body);

    let mapping = get(&amber, "/api/mapping").json();
    assert_eq!(mapping["files"][0]["text"], MAPPING.trim_start_matches('\n'));
    assert!(!mapping.to_string().contains(secret), "{mapping}");

    amber.configure(&format!("{config}[mapping.rest]\ntopic = \"home/x/y\"\nfields = [\"never\"]\n"));
    eventually("it is in force", || equal(Ok(get(&amber, "/api/mapping").json()["number"].clone()), 2.into()));
    eventually("the ignored topic is told", || {
        publisher.publish("home/x/y", "{\"of\": \"a <b>device</b>\"}", Qos::AtLeastOnce);
        let ignored = get(&amber, "/api/ignored").json();
        let payload = &ignored["topics"][0]["payload"];
        equal(Ok(payload.clone()), "{\"of\": \"a <b>device</b>\"}".into()).map_err(|_| ignored.to_string())
    });

    // A stream that is open holds up no end.
    let stopped = std::time::Instant::now();
    assert!(amber.terminate().success());
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
    assert!(events.all(|(name, _)| name == "state"), "it has ended, and was told nothing else");
}
