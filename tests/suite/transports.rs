//! Every transport to a real Mosquitto, with certificates made here; and what is said when it does not come to be.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use amber::message::Qos;

use crate::support::binary::Amber;
use crate::support::certificates::{Authority, Signed};
use crate::support::client::Publisher;
use crate::support::folder::Folder;
use crate::support::home::Home;
use crate::support::mosquitto::Mosquitto;
use crate::support::numbers::{self, Load, TOPIC};
use crate::support::proxy::{Cut, Mode, Proxy};
use crate::support::{equal, eventually, ports};

/// A broker that listens on every transport, all with one certificate.
struct Secured {
    folder: Folder,
    broker: Mosquitto,
    tls: u16,
    /// TLS that demands a client certificate.
    mutual: u16,
    /// The same, with TLS 1.2 only.
    mutual_12: u16,
    expired: u16,
    /// Its certificate is of X.509 version 1.
    version_1: u16,
    ws: u16,
    wss: u16,
    /// The same, and it demands a client certificate.
    wss_mutual: u16,
}

impl Secured {
    fn start() -> Self {
        let folder = Folder::new();
        let authority = Authority::new("the CA of the test");
        folder.write("ca.pem", &authority.pem);
        let put = |name: &str, signed: &Signed| {
            folder.write(&format!("{name}.pem"), &signed.certificate);
            folder.write(&format!("{name}.key"), &signed.key);
        };
        put("server", &authority.sign(&["localhost", "127.0.0.1"]));
        put("client", &authority.sign(&["amber"]));
        put("expired", &authority.expired());
        folder.write("ca.key", &authority.key);
        version_1_certificate(&folder);
        let [tls, mutual, mutual_12, expired, version_1, ws, wss, wss_mutual] = [(); 8].map(|()| ports::free());
        let mut lines = String::new();
        let path = |name: &str| folder.join(name).display().to_string();
        let mut listener = |port: u16, certificate: &str, more: &str| {
            write!(lines, "listener {port} 127.0.0.1\n{more}").unwrap();
            if !certificate.is_empty() {
                let (cert, key) = (path(&format!("{certificate}.pem")), path(&format!("{certificate}.key")));
                writeln!(lines, "cafile {}\ncertfile {cert}\nkeyfile {key}", path("ca.pem")).unwrap();
            }
        };
        listener(tls, "server", "");
        listener(mutual, "server", "require_certificate true\n");
        listener(mutual_12, "server", "require_certificate true\ntls_version tlsv1.2\n");
        listener(expired, "expired", "");
        listener(version_1, "version-1", "");
        listener(ws, "", "protocol websockets\n");
        listener(wss, "server", "protocol websockets\n");
        listener(wss_mutual, "server", "protocol websockets\nrequire_certificate true\n");
        writeln!(lines, "listener 0 {}", path("mqtt.sock")).unwrap();
        let broker = Mosquitto::with(&lines);
        Self { folder, broker, tls, mutual, mutual_12, expired, version_1, ws, wss, wss_mutual }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn ca(&self) -> String {
        format!("ca = \"{}\"\n", self.path("ca.pem"))
    }

    fn identity(&self, name: &str) -> String {
        format!("cert = \"{}\"\nkey = \"{}\"\n", self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }
}

/// What `openssl x509 -req` makes where nobody names extensions, in `version-1.pem` and `version-1.key`.
fn version_1_certificate(folder: &Folder) {
    let openssl = |line: &str| {
        let output = Command::new("openssl").args(line.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=127.0.0.1 -keyout version-1.key -out \
         version-1.csr",
    );
    openssl("x509 -req -in version-1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out version-1.pem");
}

fn at(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}")
}

#[test]
fn what_comes_over_every_transport_is_stored_once() {
    let secured = Secured::start();
    let (ca, identity) = (secured.ca(), secured.identity("client"));
    let localhost = format!("{ca}server_name = \"localhost\"\n");
    let unix = format!("unix://{}", secured.path("mqtt.sock"));
    let mut publisher = Publisher::connect(secured.broker.port, "publisher");
    for (number, (url, lines)) in [
        (at("mqtts", secured.tls), ca.clone()),
        (at("mqtts", secured.tls), localhost),
        (at("mqtts", secured.mutual), format!("{ca}{identity}")),
        (at("mqtts", secured.mutual_12), format!("{ca}{identity}")),
        (at("mqtts", secured.tls), "verify = false\n".to_owned()),
        (at("ws", secured.ws), String::new()),
        (at("ws", secured.ws) + "/any/path", String::new()),
        (at("wss", secured.wss), ca.clone()),
        (at("wss", secured.wss_mutual), format!("{ca}{identity}")),
        (unix, String::new()),
    ]
    .into_iter()
    .enumerate()
    {
        let version = if number % 2 == 0 { "5" } else { "3.1.1" };
        let home = Home::sqlite();
        let lines =
            format!("client_id = \"amber-{number}\"\nprotocol = \"{version}\"\nmax_payload = \"16KiB\"\n{lines}");
        let mut amber = Amber::run(&numbers::config(&url, &home.url(), &lines));
        publisher.publish_numbers(TOPIC, 0..200, Qos::ExactlyOnce);
        // Mosquitto sends some 50 KB a second of a single message over a WebSocket.
        publisher.publish(TOPIC, vec![b'x'; 200_000], Qos::AtLeastOnce);
        publisher.publish_numbers(TOPIC, 200..400, Qos::AtLeastOnce);
        eventually("all are stored", || equal(Ok(numbers::stored(&home).len()), 400));
        assert!(numbers::stored(&home).values().all(|&count| count == 1), "{url}");
        assert_eq!(home.count("rejects"), 1, "the one that is too long is a reject, and no end of the connection");
        assert_eq!(amber.metric("amber_connections_total"), Ok(1.0), "{url}");
        let check = amber.command(&["check", "--connect"]);
        let text = String::from_utf8(check.stdout).unwrap();
        assert!(check.status.success() && text.contains(" answers, MQTT "), "{text}");
        assert!(amber.terminate().success());
        let unsafe_lines = amber.log().matches("the broker's certificate is not verified").count();
        assert_eq!(unsafe_lines, usize::from(lines.contains("verify = false")), "said at every start");
        assert!(!amber.log().contains("WARN") || unsafe_lines == 1, "{}", amber.log());
    }
}

#[test]
fn what_stands_in_the_way_of_tls_is_one_line_with_the_remedy() {
    let secured = Secured::start();
    let ca = secured.ca();
    let foreign = Authority::new("somebody else's CA");
    let own = foreign.sign(&["amber"]);
    for (name, text) in [("foreign-ca.pem", &foreign.pem), ("foreign.pem", &own.certificate), ("foreign.key", &own.key)]
    {
        secured.folder.write(name, text);
    }
    let other = format!("ca = \"{}\"\n", secured.path("foreign-ca.pem"));
    let person = "the broker wants a person to act";
    let away = "the broker is away";
    let plain = secured.broker.port;
    let nobody = ports::free();
    for (url, lines, says, what, remedy) in [
        (at("mqtts", secured.tls), other.clone(), person, "does not come from a CA in `", "in `[broker] ca`"),
        (at("wss", secured.wss), other, person, "does not come from a CA in `", "in `[broker] ca`"),
        (at("mqtts", secured.tls), String::new(), person, "a CA that this system does not trust", "in `[broker] ca`"),
        (
            at("mqtts", secured.tls),
            format!("{ca}server_name = \"broker.lan\"\n"),
            person,
            "is not for `broker.lan` but for `localhost`, `127.0.0.1`",
            "set `server_name`",
        ),
        (at("mqtts", secured.expired), ca.clone(), person, "expired at 2021-01-01T00:00:00Z", "renew it"),
        (at("mqtts", secured.mutual), ca.clone(), person, "demands a client certificate", "`[broker] cert` and `key`"),
        (
            at("mqtts", secured.mutual_12),
            ca.clone(),
            person,
            "demands a client certificate",
            "`[broker] cert` and `key`",
        ),
        (
            at("mqtts", secured.mutual),
            format!("{ca}{}", secured.identity("foreign")),
            person,
            "refuses our certificate `",
            "which the broker trusts",
        ),
        (
            at("wss", secured.wss_mutual),
            ca.clone(),
            person,
            "demands a client certificate",
            "`[broker] cert` and `key`",
        ),
        (
            at("wss", secured.wss_mutual),
            format!("{ca}{}", secured.identity("foreign")),
            person,
            "refuses our certificate `",
            "which the broker trusts",
        ),
        (at("mqtt", secured.tls), String::new(), away, "", "`mqtts://`"),
        (at("mqtts", plain), ca.clone(), away, "ends the connection in the TLS handshake", "leave the `s` out"),
        (at("ws", plain), String::new(), away, "ends the connection in the WebSocket handshake", "`mqtt://`"),
        (at("ws", secured.wss), String::new(), away, "", "`wss://`"),
        (at("mqtt", secured.ws), String::new(), away, "", ""),
        (
            format!("unix://{}", secured.path("gone.sock")),
            String::new(),
            away,
            "gone.sock`: No such file",
            "mend the path in `[broker] url`",
        ),
        (
            format!("unix://{}", secured.path("ca.pem")),
            String::new(),
            away,
            "ca.pem`: Connection refused",
            "start the broker",
        ),
        (at("mqtt", nobody), String::new(), away, "cannot connect: 127.0.0.1: port ", "Connection refused"),
        ("mqtt://broker.invalid".to_owned(), String::new(), away, "cannot connect: broker.invalid: ", ""),
        (at("mqtts", secured.version_1), ca.clone(), person, "is of version 1, without subjectAltName", "(version 3)"),
    ] {
        let home = Home::sqlite();
        let mut amber = Amber::new(&numbers::config(&url, &home.url(), &lines));
        let check = amber.command(&["check", "--connect"]);
        assert_eq!(check.status.code(), Some(1), "{url} {lines}");
        let text = String::from_utf8(check.stderr).unwrap();
        let line = text.lines().find(|line| line.contains("broker: ")).unwrap_or_else(|| panic!("{url}: {text}"));
        println!("{url}: {line}");
        assert!(line.contains(what) && line.contains(remedy), "{url} {lines}: {line}");
        amber.start();
        eventually("amber says why it is not ready", || match amber.get("/ready")? {
            (503, reason) if reason.contains("broker: ") && !reason.contains("starting") => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert!(amber.terminate().success());
        let log = amber.log();
        let loud: Vec<&str> = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
        let [line, ref more @ ..] = loud[..] else { panic!("{url}: nothing is said") };
        // Another try may meet a reset instead of an end, which is another reason.
        assert!(more.is_empty() || says == away, "{url}: {loud:#?}");
        assert!(line.contains(says) && line.contains(what) && line.contains(remedy), "{url}: {line}");
    }
}

#[test]
fn one_deadline_holds_for_every_handshake_and_the_step_is_named() {
    // The kernel takes the connections; nobody ever looks at them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let threads =
        [("mqtt", "in MQTT"), ("mqtts", "in TLS"), ("ws", "WebSocket"), ("wss", "in TLS")].map(|(scheme, word)| {
            std::thread::spawn(move || {
                let amber = Amber::new(&numbers::config(&at(scheme, port), "sqlite:a.db", ""));
                let start = Instant::now();
                let check = amber.command(&["check", "--connect"]);
                let time = start.elapsed();
                let text = String::from_utf8(check.stderr).unwrap();
                assert!(
                    text.contains("broker: it takes the connection and does not answer") && text.contains(word),
                    "{text}"
                );
                assert!(time >= Duration::from_secs(10) && time < Duration::from_secs(60), "{scheme}: {time:?}");
            })
        });
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn certificates_are_read_anew_at_each_connect_and_one_that_is_gone_is_said() {
    let mut secured = Secured::start();
    let home = Home::sqlite();
    let proxy = Proxy::to(secured.tls);
    let mut amber = Amber::run(&numbers::config(&at("mqtts", proxy.port), &home.url(), &secured.ca()));
    // The broker has a certificate from another CA, and Amber is told of that while it runs.
    let renewed = Authority::new("the new CA");
    let server = renewed.sign(&["127.0.0.1"]);
    secured.broker.stop();
    for (name, text) in [("ca.pem", &renewed.pem), ("server.pem", &server.certificate), ("server.key", &server.key)] {
        secured.folder.write(name, text);
    }
    secured.broker.start_again();
    eventually("amber is connected again", || equal(amber.metric("amber_connections_total"), 2.0));
    amber.wait_ready();

    std::fs::remove_file(secured.folder.join("ca.pem")).unwrap();
    proxy.cut(Cut::Close);
    eventually("amber says which file it is", || match amber.get("/ready")? {
        (503, reason) if reason.contains("ca.pem` cannot be read") && reason.contains("mend the path") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(amber.is_running());
    secured.folder.write("ca.pem", &renewed.pem);
    amber.wait_ready();
    assert_eq!(amber.log().matches("the broker wants a person to act").count(), 1);
    assert!(amber.terminate().success());
}

/// Cuts of every kind while numbers come.
#[track_caller]
fn cut(secured: &Secured, home: &Home, scheme: &str, port: u16, lines: &str) {
    let proxy = Proxy::to(port);
    let url = at(scheme, proxy.port);
    let mut amber = Amber::run(&numbers::config(&url, &home.url(), &format!("keep_alive = \"5s\"\n{lines}")));
    let load = Load::start(secured.broker.port, Duration::from_millis(10));
    for (cuts, (before, how)) in [
        (Mode::Pass, Cut::Close),
        (Mode::UpstreamOnly, Cut::Reset),
        (Mode::Pass, Cut::Reset),
        (Mode::BlackHole, Cut::Reset),
    ]
    .into_iter()
    .enumerate()
    {
        eventually("amber is connected", || equal(amber.metric("amber_connections_total"), cuts as f64 + 1.0));
        load.wait_for(100);
        proxy.set(before);
        // More is on its way, and does not arrive.
        load.wait_for(20);
        proxy.cut(how);
        proxy.set(Mode::Pass);
    }
    eventually("amber is connected", || equal(amber.metric("amber_connections_total"), 5.0));
    load.wait_for(100);
    numbers::assert_exactly_once(&load.end(), secured.broker.port, &mut amber, home);
}

#[test]
fn cuts_over_tls_cost_no_message_and_double_none() {
    let secured = Secured::start();
    cut(&secured, &Home::postgres(), "mqtts", secured.tls, &secured.ca());
}

#[test]
fn cuts_over_a_websocket_cost_no_message_and_double_none() {
    let secured = Secured::start();
    cut(&secured, &Home::sqlite(), "ws", secured.ws, "");
}

#[test]
fn cuts_over_a_websocket_over_tls_cost_no_message_and_double_none() {
    let secured = Secured::start();
    cut(&secured, &Home::sqlite(), "wss", secured.wss, &format!("{}protocol = \"3.1.1\"", secured.ca()));
}
