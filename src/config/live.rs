//! Which settings change in a running service. Every one is named here, so that a new one asks for a decision.

use super::{Broker, Config, Http, Log, Store, Tls};

impl Config {
    /// What a service that was started with `self` makes of `next`: the settings of `next`, but its own of those that take
    /// effect after a restart only. These are named, if they are others.
    #[must_use]
    pub fn change_to(&self, next: Self) -> (Self, Vec<&'static str>) {
        let mut waits = Waits(Vec::new());
        let Self { broker, store, rejects, dashboards, http, log, mappings, texts } = next;
        let next = Self {
            broker: self.broker.change_to(broker, &mut waits),
            store: self.store.change_to(store, &mut waits),
            rejects,
            dashboards,
            http: self.http.change_to(http, &mut waits),
            log: self.log.change_to(log, &mut waits),
            mappings,
            texts,
        };
        (next, waits.0)
    }
}

/// The names of what takes effect after a restart.
struct Waits(Vec<&'static str>);

impl Waits {
    fn compare<T: PartialEq>(&mut self, name: &'static str, ours: &T, next: &T) {
        if ours != next {
            self.0.push(name);
        }
    }
}

impl Broker {
    fn change_to(&self, next: Self, waits: &mut Waits) -> Self {
        let Self { url, client_id, username, password, qos, protocol, overlap, .. } = next;
        let Self { session_expiry, keep_alive, max_payload_bytes, tls, status, .. } = next;
        waits.compare("broker.url", &self.url.value, &url.value);
        waits.compare("broker.client_id", &self.client_id, &client_id);
        waits.compare("broker.protocol", &self.protocol, &protocol);
        waits.compare("broker.session_expiry", &self.session_expiry, &session_expiry);
        waits.compare("broker.keep_alive", &self.keep_alive, &keep_alive);
        waits.compare("broker.max_payload", &self.max_payload_bytes, &max_payload_bytes);
        waits.compare("broker.status", &self.status, &status);
        let Tls { ca, identity, server_name, alpn, verify } = tls;
        waits.compare("broker.ca", &self.tls.ca, &ca);
        waits.compare("broker.cert and key", &self.tls.identity, &identity);
        waits.compare("broker.server_name", &self.tls.server_name, &server_name);
        waits.compare("broker.alpn", &self.tls.alpn, &alpn);
        waits.compare("broker.verify", &self.tls.verify, &verify);
        // User and password are those of the next connection.
        Self { username, password, qos, overlap, ..self.clone() }
    }
}

impl Store {
    fn change_to(&self, next: Self, waits: &mut Waits) -> Self {
        let Self { url, commit_interval, devices_interval, ddl, timescale } = next;
        waits.compare("store.url or its password", &self.url.value, &url.value);
        waits.compare("store.devices_interval", &self.devices_interval, &devices_interval);
        waits.compare("store.ddl", &self.ddl, &ddl);
        waits.compare("store.timescale", &self.timescale, &timescale);
        Self { commit_interval, ..self.clone() }
    }
}

impl Http {
    fn change_to(&self, next: Self, waits: &mut Waits) -> Self {
        let Self { listen, token, open, hosts } = next;
        waits.compare("http.listen", &self.listen.value, &listen.value);
        // Each request is judged by what is in force.
        Self { listen: self.listen.clone(), token, open, hosts }
    }
}

impl Log {
    fn change_to(&self, next: Self, waits: &mut Waits) -> Self {
        let Self { level, format } = next;
        waits.compare("log.format", &self.format, &format);
        Self { level, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, load_text};

    fn config(text: &str) -> Config {
        let loaded = load_text("config.toml", text, []);
        assert!(!loaded.is_faulty(), "{:?}", loaded.faults);
        loaded.config.unwrap()
    }

    #[test]
    fn what_cannot_change_is_named_and_stays_and_the_rest_changes() {
        let start = config(
            "[broker]\nurl = \"mqtt://a\"\nusername = \"u\"\npassword = \"p\"\n[store]\nurl = \"sqlite:a.db\"\n\
             [log]\nlevel = \"info\"\n[mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\n",
        );
        let (same, waits) = start.change_to(start.clone());
        assert!(waits.is_empty(), "{waits:?}");
        assert_eq!(same.mappings.len(), 1);
        let next = config(
            "[broker]\nurl = \"mqtts://b\"\nclient_id = \"other\"\nusername = \"u\"\npassword = \"new\"\nverify = false\n\
             [store]\nurl = \"sqlite:b.db\"\ncommit_interval = \"3s\"\n[http]\nlisten = \"127.0.0.1:1\"\n\
             [rejects]\nper_minute = 7\n[log]\nlevel = \"debug\"\nformat = \"json\"\n\
             [mapping.m]\ntopic = \"a\"\nfields = [\"v\"]\n[mapping.n]\ntopic = \"b\"\nfields = [\"v\"]\n",
        );
        let (next, waits) = start.change_to(next);
        let expected = [
            "broker.url",
            "broker.client_id",
            "broker.verify",
            "store.url or its password",
            "http.listen",
            "log.format",
        ];
        assert_eq!(waits, expected);
        assert_eq!(next.broker.url.value, start.broker.url.value);
        assert_eq!(next.broker.client_id, "amber");
        assert!(next.broker.tls.verify);
        assert_eq!(next.broker.password.unwrap().expose(), "new");
        assert_eq!(next.store.url.value, start.store.url.value);
        assert_eq!(next.store.commit_interval.as_secs(), 3);
        assert_eq!(next.http.listen.value, start.http.listen.value);
        assert_eq!((next.rejects.per_minute, next.log.level.as_str()), (7, "debug"));
        assert_eq!((next.log.format, next.mappings.len()), (start.log.format, 2));
    }
}
