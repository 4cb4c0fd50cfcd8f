//! The keys of `[broker]` that concern TLS. Its files are read here once, so that a wrong one is a fault with a place.

use std::path::PathBuf;

use rustls::pki_types::ServerName;

use crate::config::reader::{Faults, Section};
use crate::config::{BrokerUrl, Tls, certificates};
use crate::fault::{At, Fault};

/// `url` is `None` if it could not be read; then nobody knows whether it asks for TLS.
pub(super) fn read(section: &Section<'_>, url: Option<&At<BrokerUrl>>, faults: &mut Faults) -> Tls {
    let ca = file(section, "ca", faults);
    let cert = file(section, "cert", faults);
    let key = file(section, "key", faults);
    let server_name = server_name(section, url, faults);
    let alpn = section.text("alpn", faults).filter(|at| {
        let fits = (1..=255).contains(&at.value.len());
        if !fits {
            faults.push(Fault::new(&at.place, section.path("alpn"), "must be 1 to 255 bytes (RFC 7301, 3.1)", ""));
        }
        fits
    });
    let verify = section.flag("verify", faults).unwrap_or(true);
    if let Some(url) = url
        && !url.value.is_tls()
    {
        plain(section, &url.value, verify, faults);
        return Tls::default();
    }
    if let Some(ca) = &ca
        && let Err((what, remedy)) = certificates::roots(&ca.value)
    {
        faults.push(Fault::new(&ca.place, section.path("ca"), what, remedy));
    }
    if !verify && let Some(place) = section.get("verify").map(|node| &node.place) {
        let what =
            "the broker's certificate is not verified: whoever sits in between reads the password and can say anything";
        let remedy = "name the certificate of its CA in `ca`, and leave `verify` out";
        faults.push(Fault::warning(place, section.path("verify"), what, remedy));
    }
    let identity = identity(section, cert, key, faults);
    Tls {
        ca: ca.map(|at| at.value),
        identity,
        server_name: server_name.map(|at| at.value),
        alpn: alpn.map(|at| at.value),
        verify,
    }
}

/// A path; the text itself of a certificate or key is told apart, and never repeated.
fn file(section: &Section<'_>, key: &str, faults: &mut Faults) -> Option<At<PathBuf>> {
    let text = section.text(key, faults)?;
    if text.value.is_empty() || text.value.contains('\n') || text.value.contains("-----BEGIN") {
        let what = "must be the path of a file in PEM, not what is in it";
        let remedy = format!("write the text to a file, and `{key} = \"/etc/amber/{key}.pem\"`");
        faults.push(Fault::new(&text.place, section.path(key), what, remedy));
        return None;
    }
    Some(text.map(PathBuf::from))
}

fn server_name(section: &Section<'_>, url: Option<&At<BrokerUrl>>, faults: &mut Faults) -> Option<At<String>> {
    let name = section.text("server_name", faults);
    match (&name, url) {
        (Some(name), _) => {
            if ServerName::try_from(name.value.as_str()).is_err() {
                let what = "is neither a host name nor an IP address";
                let remedy = "write the name as the broker's certificate has it: `broker.lan`";
                faults.push(Fault::new(&name.place, section.path("server_name"), what, remedy));
            }
        }
        (None, Some(At { value: BrokerUrl::Net { host, tls: true, .. }, place })) => {
            if ServerName::try_from(host.as_str()).is_err() {
                let what = "the host cannot stand in a certificate";
                let remedy = "set `server_name` to the name that the broker's certificate has";
                faults.push(Fault::new(place, section.path("url"), what, remedy));
            }
        }
        (None, _) => {}
    }
    name
}

fn identity(
    section: &Section<'_>,
    cert: Option<At<PathBuf>>,
    key: Option<At<PathBuf>>,
    faults: &mut Faults,
) -> Option<(PathBuf, PathBuf)> {
    let mut alone = |at: At<PathBuf>, one: &str, other: &str| {
        // One that was there and could not be read has been told.
        if section.get(other).is_none() {
            let remedy = format!("a client's certificate needs its key: set `{other}` too");
            faults.push(Fault::new(&at.place, section.path(one), format!("stands without `{other}`"), remedy));
        }
        None
    };
    match (cert, key) {
        (Some(cert), Some(key)) => {
            let wrong = [
                ("cert", &cert, certificates::certificates(&cert.value).err()),
                ("key", &key, certificates::private_key(&key.value).err()),
            ];
            let both_can_be_read = wrong.iter().all(|(.., wrong)| wrong.is_none());
            let together = both_can_be_read.then(|| certificates::identity(&cert.value, &key.value).err()).flatten();
            for (name, at, wrong) in wrong.into_iter().chain([("key", &key, together)]) {
                if let Some((what, remedy)) = wrong {
                    faults.push(Fault::new(&at.place, section.path(name), what, remedy));
                }
            }
            Some((cert.value, key.value))
        }
        (Some(cert), None) => alone(cert, "cert", "key"),
        (None, Some(key)) => alone(key, "key", "cert"),
        (None, None) => None,
    }
}

/// Without TLS nothing of it may be set: whoever names a CA believes that it is checked.
fn plain(section: &Section<'_>, url: &BrokerUrl, verify: bool, faults: &mut Faults) {
    let (scheme, secure) = match url {
        BrokerUrl::Net { websocket: Some(_), .. } => ("ws", "wss"),
        BrokerUrl::Net { .. } => ("mqtt", "mqtts"),
        BrokerUrl::Unix(_) => ("unix", "mqtts"),
    };
    for key in ["ca", "cert", "key", "server_name", "alpn", "verify"] {
        if let Some(node) = section.get(key)
            && (key != "verify" || !verify)
        {
            let what = format!("is for TLS, and `{scheme}://` has none");
            let remedy = format!("write `{secure}://` in `url`, or leave `{key}` out");
            faults.push(Fault::new(&node.place, section.path(key), what, remedy));
        }
    }
}
