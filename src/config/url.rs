//! `broker.url` and `store.url`. A URL may hold a password, so no fault repeats it.

use std::path::PathBuf;

use super::vocabulary;
use super::{BrokerUrl, Secret, StoreUrl};

/// What is wrong with a URL, and the remedy.
pub type Wrong = (String, String);

/// The schemes of a broker, and the port of each unless another is given.
const SCHEMES: &[(&str, u16)] = &[("mqtt", 1883), ("mqtts", 8883), ("ws", 80), ("wss", 443), ("unix", 0)];
/// Where brokers have their WebSocket unless told otherwise.
const WEBSOCKET_PATH: &str = "/mqtt";
/// A socket's name must fit into the kernel's address of it, with a NUL behind.
const MAX_SOCKET_BYTES: usize = 107;

/// `mqtt://host[:port]`, `mqtts://…`, `ws://host[:port][/path]`, `wss://…`, `unix:///path`
pub(super) fn broker(text: &str) -> Result<BrokerUrl, Wrong> {
    let wrong = |what: &str, remedy: &str| Err((what.to_owned(), remedy.to_owned()));
    let Some((scheme, rest)) = text.split_once("://") else {
        if text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("unix:")) {
            return wrong("has too few slashes", "write three: `unix:///run/mosquitto.sock`");
        }
        let plain = rest_is_host(text);
        let remedy = if plain { format!("write `mqtt://{text}`") } else { "write `mqtt://host:1883`".to_owned() };
        return Err(("has no scheme".to_owned(), remedy));
    };
    let scheme = scheme.to_ascii_lowercase();
    let Some(&(scheme, default_port)) = SCHEMES.iter().find(|(known, _)| *known == scheme) else {
        return match scheme.as_str() {
            "tcp" => wrong("`tcp` is not a scheme here", "write `mqtt://host:1883`"),
            "ssl" | "tls" => wrong(&format!("`{scheme}` is not a scheme here"), "write `mqtts://host:8883`"),
            "http" => wrong("is not the URL of an MQTT broker", "for a WebSocket write `ws://host/mqtt`"),
            "https" => wrong("is not the URL of an MQTT broker", "for a WebSocket write `wss://host/mqtt`"),
            _ => {
                let remedy = "write `mqtt://host:1883`; known are `mqtt`, `mqtts`, `ws`, `wss`, `unix`";
                wrong("is not the URL of an MQTT broker", remedy)
            }
        };
    };
    if scheme == "unix" {
        return socket(rest);
    }
    let form = format!("write `{scheme}://host:{default_port}`");
    if rest.contains('@') {
        return wrong(
            "holds a user name or a password",
            "write them as `username` and `password_file` (or `password`): a URL is printed in logs",
        );
    }
    let url = url::Url::parse(text).map_err(|error| (error.to_string(), form.clone()))?;
    let is_websocket = scheme.starts_with("ws");
    if url.fragment().is_some() {
        return Err(("has a `#`, which is no part of a path".to_owned(), "write it as `%23`".to_owned()));
    }
    if !is_websocket && (!matches!(url.path(), "" | "/") || url.query().is_some()) {
        return Err(("has something after host and port".to_owned(), form));
    }
    let host = match url.host() {
        Some(url::Host::Ipv6(address)) => address.to_string(),
        // Of schemes that it does not know, `url` takes any host for a name.
        Some(host) if host.to_string().contains('%') => {
            return wrong(
                "the host is not plain letters, digits, `-`, `.`",
                "write its ASCII form (`xn--…`) or its address",
            );
        }
        Some(host) => host.to_string(),
        None => return Err(("names no host".to_owned(), form)),
    };
    let port = match url.port() {
        Some(0) => {
            let remedy = format!("write {default_port}, or leave it out");
            return Err(("port 0 cannot be connected to".to_owned(), remedy));
        }
        port => port.unwrap_or(default_port),
    };
    let websocket = is_websocket.then(|| {
        let path = if rest.contains('/') { url.path() } else { WEBSOCKET_PATH };
        url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    });
    Ok(BrokerUrl::Net { host, port, tls: matches!(scheme, "mqtts" | "wss"), websocket })
}

/// The path of a Unix socket.
fn socket(path: &str) -> Result<BrokerUrl, Wrong> {
    let wrong = |what: &str, remedy: &str| Err((what.to_owned(), remedy.to_owned()));
    match path {
        "" | "/" => wrong("names no socket", "write `unix:///run/mosquitto.sock`"),
        _ if !path.starts_with('/') => {
            wrong("the path of the socket does not begin with `/`", "write three slashes: `unix:///run/mosquitto.sock`")
        }
        _ if path.contains('\0') => wrong("holds a NUL", ""),
        _ if path.len() > MAX_SOCKET_BYTES => {
            wrong("the path of a socket has at most 107 bytes", "put the socket into a folder with a short path")
        }
        _ => Ok(BrokerUrl::Unix(path.into())),
    }
}

/// Whether `text` looks like `host` or `host:port`, and so may be repeated.
fn rest_is_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "1883"));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok()
}

/// What sqlx understands after the `?`; the rest it would ignore, and nothing is ignored here.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
    "ssl-mode",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// `sqlite:path`, `postgres://user@host/database`. `password` is put into the URL of PostgreSQL.
pub(super) fn store(text: &str, password: Option<&Secret>) -> Result<StoreUrl, Wrong> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        if password.is_some() {
            return Err(("SQLite knows no password".to_owned(), "leave out the password of `[store]`".to_owned()));
        }
        return sqlite(path).map(StoreUrl::Sqlite);
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        let urls = hosts(text)?.into_iter().map(|url| postgres(&url, password).map(Secret::new));
        return urls.collect::<Result<_, _>>().map(StoreUrl::Postgres);
    }
    let what = match text.split_once(':') {
        Some((scheme, _)) if text.contains("://") && scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
            format!("`{scheme}` is not a store that Amber knows")
        }
        _ => "has no scheme".to_owned(),
    };
    Err((what, "write `sqlite:amber.db` (a file) or `postgres://user@host/database`".to_owned()))
}

fn sqlite(path: &str) -> Result<PathBuf, Wrong> {
    let path = path.strip_prefix("//").unwrap_or(path);
    let wrong = |what: &str, remedy: &str| Err((what.to_owned(), remedy.to_owned()));
    match path {
        "" => wrong("names no file", "write `sqlite:amber.db`"),
        ":memory:" => wrong("a store in memory is lost with the process", "name a file: `sqlite:amber.db`"),
        _ if path.contains('?') => wrong("SQLite takes no parameters here", "write the path alone: `sqlite:amber.db`"),
        _ if path.contains('\0') => wrong("holds a NUL", ""),
        _ if path.ends_with('/') => wrong("names a folder", "name a file in it: `sqlite:data/amber.db`"),
        _ => Ok(PathBuf::from(path)),
    }
}

/// `postgres://user@a:5432,b/database`: one URL for each host, alike in all else.
fn hosts(text: &str) -> Result<Vec<String>, Wrong> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let hosts: Vec<&str> = hosts.split(',').collect();
    if hosts.len() > 1 && hosts.iter().any(|host| host.is_empty() || host.starts_with(':')) {
        return Err(("names an empty host in its list".to_owned(), LIST.to_owned()));
    }
    let parameters = url::form_urlencoded::parse(tail.split_once('?').unwrap_or_default().1.as_bytes());
    for (key, value) in parameters {
        let what = match &*key {
            "host" | "hostaddr" | "port" if value.contains(',') => format!("has a list in the parameter `{key}`"),
            "host" | "hostaddr" | "port" if hosts.len() > 1 => format!("has a list of hosts and the parameter `{key}`"),
            "target_session_attrs" => {
                let remedy = "leave it out: of several hosts Amber takes the first that is no standby and takes writes";
                return Err(("`target_session_attrs` is not needed".to_owned(), remedy.to_owned()));
            }
            _ => continue,
        };
        return Err((what, LIST.to_owned()));
    }
    Ok(hosts.into_iter().map(|host| format!("{scheme}://{user}{host}{tail}")).collect())
}

const LIST: &str = "write `postgres://user@first:5432,second:5432/database`";

fn postgres(text: &str, password: Option<&Secret>) -> Result<String, Wrong> {
    let form = "write `postgres://user@host:5432/database`";
    let mut url = url::Url::parse(text).map_err(|error| (error.to_string(), form.to_owned()))?;
    let mut has_password = url.password().is_some();
    for (key, value) in url.query_pairs() {
        match &*key {
            "password" => has_password = true,
            "sslmode" | "ssl-mode" if !SSL_MODES.contains(&&*value) => {
                return Err((format!("{value:?} is not an sslmode"), vocabulary::suggest(&value, SSL_MODES)));
            }
            "port" if value.parse::<u16>().is_err() => {
                return Err(("the port is not a number".to_owned(), form.to_owned()));
            }
            key if PARAMETERS.contains(&key) || key.starts_with("options[") => {}
            // What is no word may be the end of a password with a `?` in it.
            key if key.chars().any(|c| !c.is_ascii_alphanumeric() && c != '-' && c != '_') => {
                let remedy = "in a password write `?` as `%3F`, or use `password_file`".to_owned();
                return Err(("has a parameter that is not known".to_owned(), remedy));
            }
            key => return Err((format!("unknown parameter `{key}`"), vocabulary::suggest(key, PARAMETERS))),
        }
    }
    let Some(password) = password else {
        return Ok(url.into());
    };
    if has_password {
        let remedy = "keep one of them, best `password_file`".to_owned();
        return Err(("holds a password, and `password` or `password_file` gives another".to_owned(), remedy));
    }
    // Without a host (`postgres:///db?host=/run/postgresql`) there is no place for it before the host.
    // `set_password` encodes all that a URL cannot hold, but takes `%` for the beginning of an encoding.
    if url.set_password(Some(&password.expose().replace('%', "%25"))).is_err() {
        url.query_pairs_mut().append_pair("password", password.expose());
    }
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_url_is_a_scheme_a_host_a_port_and_for_a_websocket_a_path() {
        let cases = [
            ("mqtt://localhost", "mqtt://localhost:1883", "localhost", None),
            ("mqtt://localhost:2883/", "mqtt://localhost:2883", "localhost", None),
            ("MQTT://10.0.0.7:1883", "mqtt://10.0.0.7:1883", "10.0.0.7", None),
            ("mqtt://[::1]:1884", "mqtt://[::1]:1884", "::1", None),
            ("mqtt://my_broker", "mqtt://my_broker:1883", "my_broker", None),
            ("mqtts://broker.lan", "mqtts://broker.lan:8883", "broker.lan", None),
            ("mqtts://broker.lan:443", "mqtts://broker.lan:443", "broker.lan", None),
            ("ws://broker", "ws://broker:80/mqtt", "broker", Some("/mqtt")),
            ("ws://broker:9001/", "ws://broker:9001/", "broker", Some("/")),
            ("wss://broker/a/b%20c?key=1", "wss://broker:443/a/b%20c", "broker", Some("/a/b%20c?key=1")),
            ("wss://[::1]?key=1", "wss://[::1]:443/mqtt", "::1", Some("/mqtt?key=1")),
        ];
        for (text, shown, host, path) in cases {
            let url = broker(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
            assert_eq!(url.to_string(), shown);
            let BrokerUrl::Net { host: found, websocket, .. } = url else { panic!("{text}") };
            assert_eq!((found.as_str(), websocket.as_deref()), (host, path));
        }
        let socket = broker("unix:///run/mosquitto/a@b.sock").unwrap();
        assert_eq!(socket, BrokerUrl::Unix("/run/mosquitto/a@b.sock".into()));
        assert_eq!(socket.to_string(), "unix:///run/mosquitto/a@b.sock");
    }

    #[test]
    fn a_wrong_broker_url_says_what_to_write() {
        let cases = [
            ("localhost", "has no scheme", "`mqtt://localhost`"),
            ("broker.lan:1883", "has no scheme", "`mqtt://broker.lan:1883`"),
            ("tcp://broker", "not a scheme", "mqtt://host:1883"),
            ("ssl://broker", "`ssl` is not a scheme", "mqtts://host:8883"),
            ("http://broker", "not the URL of an MQTT broker", "ws://host/mqtt"),
            ("https://broker", "not the URL of an MQTT broker", "wss://host/mqtt"),
            ("amqp://broker", "not the URL of an MQTT broker", "mqtt://host:1883"),
            ("mqtt://me:secret@broker", "a user name or a password", "`password_file`"),
            ("wss://me:sec/ret@broker", "a user name or a password", "`password_file`"),
            ("mqtt://broker:99999", "invalid port", "mqtt://host"),
            ("mqtts://broker:0", "port 0", "8883"),
            ("mqtt://", "host", "mqtt://host"),
            ("mqtts://", "host", "mqtts://host:8883"),
            ("mqtt://brökel", "plain letters", "xn--"),
            ("mqtt://a b", "invalid", "mqtt://host"),
            ("mqtts://broker/path", "after host and port", "mqtts://host:8883"),
            ("wss://broker/path#x", "`#`", "%23"),
            ("unix://run/mqtt.sock", "does not begin with `/`", "three slashes"),
            ("unix:/run/mqtt.sock", "too few slashes", "`unix:///run/mosquitto.sock`"),
            ("unix://", "names no socket", "unix:///"),
            (&format!("unix:///{}", "a".repeat(107)), "at most 107 bytes", "short"),
        ];
        for (text, what, remedy) in cases {
            let (said, told) = broker(text).unwrap_err();
            assert!(said.contains(what) && told.contains(remedy), "{text}: {said}; {told}");
            assert!(!format!("{said}{told}").contains("sec"));
        }
    }

    #[test]
    fn a_store_url_is_a_file_or_a_database() {
        for (text, path) in [
            ("sqlite:amber.db", "amber.db"),
            ("sqlite://amber.db", "amber.db"),
            ("sqlite:/var/lib/amber.db", "/var/lib/amber.db"),
            ("sqlite:///var/lib/amber.db", "/var/lib/amber.db"),
        ] {
            assert_eq!(store(text, None), Ok(StoreUrl::Sqlite(path.into())), "{text}");
        }
        let url = "postgres://amber@db:5433/amber?sslmode=require";
        assert_eq!(store(url, None), Ok(StoreUrl::Postgres(vec![Secret::new(url)])));
    }

    #[test]
    fn a_list_of_hosts_is_a_url_for_each() {
        let password = Secret::new("geheim");
        for (text, password, urls) in [
            (
                "postgres://me@a:5433,b/amber?sslmode=require",
                Some(&password),
                &["postgres://me:geheim@a:5433/amber?sslmode=require", "postgres://me:geheim@b/amber?sslmode=require"]
                    [..],
            ),
            (
                "postgresql://me:1,2@[::1]:5433,10.0.0.7",
                None,
                &["postgresql://me:1,2@[::1]:5433", "postgresql://me:1,2@10.0.0.7"],
            ),
            ("postgres:///amber", None, &["postgres:///amber"]),
        ] {
            let urls = urls.iter().map(|&url| Secret::new(url)).collect();
            assert_eq!(store(text, password), Ok(StoreUrl::Postgres(urls)), "{text}");
        }
    }

    #[test]
    fn a_password_is_put_into_the_url_so_that_it_comes_out_unchanged() {
        let password = Secret::new("p@ss/w:rd %21 ü?#");
        for url in ["postgres://amber@db/amber", "postgres:///amber?host=/run/postgresql&user=amber"] {
            let Ok(StoreUrl::Postgres(full)) = store(url, Some(&password)) else { panic!("{url}") };
            let full = url::Url::parse(full[0].expose()).unwrap();
            let decoded = full.password().map(|text| {
                let form = format!("p={}", text.replace('+', "%2B"));
                url::form_urlencoded::parse(form.as_bytes()).next().unwrap().1.into_owned()
            });
            let asked = full.query_pairs().find(|(key, _)| key == "password").map(|(_, value)| value.into_owned());
            assert_eq!(decoded.or(asked).as_deref(), Some(password.expose()));
        }
    }

    #[test]
    fn a_wrong_store_url_says_what_to_write() {
        let secret = Secret::new("other");
        let cases: [(&str, Option<&Secret>, &str); 15] = [
            ("amber.db", None, "has no scheme"),
            ("localhost:5432/amber", None, "has no scheme"),
            ("mysql://me:secret@db/amber", None, "`mysql` is not a store"),
            ("sqlite:", None, "names no file"),
            ("sqlite::memory:", None, "lost with the process"),
            ("sqlite:amber.db", Some(&secret), "no password"),
            ("postgres://me:secret@db/amber", Some(&secret), "gives another"),
            ("postgres://me:secret@db:port/amber", None, "invalid port"),
            ("postgres://me@db/amber?sslmod=require", None, "unknown parameter `sslmod`"),
            ("postgres://me:12?secret@db/amber", None, "parameter that is not known"),
            ("postgres://me@db/amber?sslmode=requir", None, "not an sslmode"),
            ("postgres://me:secret@a,,b/amber", None, "an empty host"),
            ("postgres://me:secret@a,b:port/amber", None, "invalid port"),
            ("postgres:///amber?host=a,b&user=me", None, "a list in the parameter `host`"),
            ("postgres://me@a,b/amber?target_session_attrs=read-write", None, "is not needed"),
        ];
        for (text, password, what) in cases {
            let (said, told) = store(text, password).unwrap_err();
            assert!(said.contains(what), "{text}: {said}; {told}");
            assert!(!format!("{said}{told}").contains("secret"));
        }
    }
}
