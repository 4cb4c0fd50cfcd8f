//! Who may see the page.
//!
//! Any site that a person visits can make their browser ask a server on their own machine, and by a name of its own that it
//! resolves to `127.0.0.1` even read the answer. So a request must call Amber by a name that no foreign site can have: an
//! address, `localhost`, or one that the configuration lists.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::{Server, refused};

/// Lets through what calls Amber by a name that it knows.
pub(super) async fn known_host(State(_server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let named = host(request.headers());
    // A request may name the host in its first line, too (RFC 9112, 3.2.2).
    let in_line = request.uri().authority().map(|authority| authority.as_str());
    match named.filter(|named| [Some(*named), in_line].into_iter().flatten().all(|name| is_known(name, &[]))) {
        Some(_) => next.run(request).await,
        None => {
            let named = named.unwrap_or_default();
            let what = format!(
                "Amber is not known as {named:?} here: if you mean this Amber, add the name to `hosts` in `[http]`, \
                 as in `hosts = [\"amber.example\"]`, or call it by its address"
            );
            refused(request.uri().path(), StatusCode::MISDIRECTED_REQUEST, &what)
        }
    }
}

/// The one Host header that there is.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut named = headers.get_all(header::HOST).iter();
    let first = named.next()?.to_str().ok()?;
    named.next().is_none().then_some(first)
}

/// Whether no foreign site can have the name; `authority` may have a port.
fn is_known(authority: &str, hosts: &[String]) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'))
        });
    }
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || hosts.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

/// Lets through who may see what devices say.
pub(super) async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let listen = server.shown.in_force.borrow().config.http.listen.value;
    if !listen.ip().to_canonical().is_loopback() {
        let what = "the page shows what devices say, and Amber listens on an address that others reach; \
                    set `listen` in `[http]` to `127.0.0.1:9583`";
        return refused(request.uri().path(), StatusCode::FORBIDDEN, what);
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_no_foreign_site_can_have_is_known() {
        let hosts = ["amber.example".to_owned()];
        for known in [
            "127.0.0.1:9583",
            "127.0.0.1",
            "192.168.1.2:80",
            "[::1]:9583",
            "[::1]",
            "localhost:9583",
            "LocalHost",
            "localhost.",
            "a.localhost:1",
            "amber.example",
            "Amber.Example:443",
        ] {
            assert!(is_known(known, &hosts), "{known}");
        }
        for foreign in [
            "",
            "evil.example",
            "amber.example.evil.com",
            "evil-amber.example",
            "127.0.0.1.nip.io",
            "localhost.evil.com",
            "notlocalhost",
            "[::1].evil.com",
            "[::1",
            "127.0.0.1@evil.com",
            "127.0.0.1:80@evil.com",
        ] {
            assert!(!is_known(foreign, &hosts), "{foreign}");
        }
        assert!(!is_known("amber.example", &[]));
    }
}
