//! Who may see the page.
//!
//! - **The name.** Any site that a person visits can make their browser ask a server on their own machine, and by a name of
//!   its own that it resolves to `127.0.0.1` even read the answer. So a request must call Amber by a name that no foreign
//!   site can have: an address, `localhost`, or one that `hosts` lists.
//! - **The token.** Where one is set it is asked for, whatever the address: a proxy on the same machine may bring others in.
//!   Where there is none, the page is for this machine alone, unless `open` says otherwise.
//! - **The cookie** holds what is derived of the token, not the token: it survives a restart, and nothing needs to be kept.
//!   With another token it is worth nothing.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Form, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::{Server, is_for_programs, page, refused};
use crate::config::{Http, Secret};

const COOKIE: &str = "amber_token";
/// What browsers keep a cookie for at most: 400 days (RFC 6265bis, 5.5).
const COOKIE_SECONDS: u64 = 400 * 86_400;

/// Lets through what calls Amber by a name that it knows.
pub(super) async fn known_host(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let named = host(request.headers());
    // A request may name the host in its first line, too (RFC 9112, 3.2.2).
    let in_line = request.uri().authority().map(|authority| authority.as_str());
    let foreign = {
        let in_force = server.shown.in_force.borrow();
        let hosts = &in_force.config.http.hosts;
        [Some(named.unwrap_or_default()), in_line].into_iter().flatten().find(|name| !is_known(name, hosts))
    };
    let Some(foreign) = foreign else { return next.run(request).await };
    let what = format!(
        "{foreign:?} is no name of this Amber: call it by its address, or add the name to `hosts` in `[http]`, as in \
         `hosts = [\"amber.example\"]`"
    );
    refused(request.uri().path(), StatusCode::MISDIRECTED_REQUEST, &what)
}

/// The one Host header that there is.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut named = headers.get_all(header::HOST).iter();
    let first = named.next()?.to_str().ok()?;
    named.next().is_none().then_some(first)
}

/// Whether no foreign site can have the name; `authority` may have a port.
fn is_known(authority: &str, hosts: &[String]) -> bool {
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (name, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    if !is_port(port) {
        return false;
    }
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    name == "localhost" || name.ends_with(".localhost") || hosts.contains(&name)
}

/// What is asked of who wants to see what devices say.
enum Asked<'a> {
    Nothing,
    Token(&'a Secret),
    /// Nobody may: others reach the address, and there is no token.
    Closed,
}

impl<'a> Asked<'a> {
    fn of(http: &'a Http) -> Self {
        match &http.token {
            Some(token) => Self::Token(token),
            None if http.is_closed() => Self::Closed,
            None => Self::Nothing,
        }
    }
}

/// What to write where the page is closed.
pub const CLOSED: &str = "the page is not shown: it shows what devices say, others reach the address that Amber \
    listens on, and there is no token; set `token_file` (or `token`) in `[http]`, or `open = true` to show it to everybody";

/// Lets through who may see what devices say.
pub(super) async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let denied = {
        let in_force = server.shown.in_force.borrow();
        match Asked::of(&in_force.config.http) {
            Asked::Nothing => None,
            Asked::Closed => Some(refused(path, StatusCode::FORBIDDEN, CLOSED)),
            Asked::Token(token) if shows(request.headers(), token) => None,
            Asked::Token(_) if is_for_programs(path) => {
                let what = "the token is missing or wrong: send `Authorization: Bearer TOKEN`, or log in at `/login`";
                Some(refused(path, StatusCode::UNAUTHORIZED, what))
            }
            Asked::Token(_) => Some(Redirect::to("/login").into_response()),
        }
    };
    match denied {
        Some(response) => response,
        None => next.run(request).await,
    }
}

/// What stands for the token in the cookie.
fn derived(token: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"amber page 1\0");
    hash.update(token);
    hash.finalize().into()
}

/// Takes the same time wherever they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// Whether a request bears the token, or the cookie that stands for it.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let derived_token = derived(token.expose());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.split_once(' ')).filter(|(word, _)| word.eq_ignore_ascii_case("bearer"));
    if let Some((_, shown)) = bearer {
        return same(&derived(shown.trim()), &derived_token);
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    // On one machine several may serve pages of this name at other ports, and a browser knows no ports: any may be ours.
    cookies.any(|(name, value)| {
        name == COOKIE && HEXLOWER.decode(value.as_bytes()).is_ok_and(|shown| same(&shown, &derived_token))
    })
}

/// Whether who looks at the page has shown a token, and may log out.
pub(super) fn asks_token(http: &Http) -> bool {
    matches!(Asked::of(http), Asked::Token(_))
}

/// What is asked for, for comparison with what was.
pub(super) fn fingerprint(http: &Http) -> (Option<[u8; 32]>, bool) {
    (http.token.as_ref().map(|token| derived(token.expose())), http.is_closed())
}

/// `GET /login`; `?wrong` behind a token that was none.
pub(super) async fn login(State(server): State<Arc<Server>>, uri: Uri, headers: HeaderMap) -> Response {
    let in_force = Arc::clone(&server.shown.in_force.borrow());
    match Asked::of(&in_force.config.http) {
        Asked::Nothing => Redirect::to("/").into_response(),
        Asked::Closed => refused("/login", StatusCode::FORBIDDEN, CLOSED),
        Asked::Token(token) if shows(&headers, token) => Redirect::to("/").into_response(),
        Asked::Token(_) if uri.query() == Some("wrong") => page::login_again(),
        Asked::Token(_) => page::named(&server, "login.html", &headers),
    }
}

#[derive(serde::Deserialize)]
pub(super) struct SignIn {
    token: String,
}

/// `POST /login`
pub(super) async fn sign_in(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    Form(SignIn { token: shown }): Form<SignIn>,
) -> Response {
    let in_force = Arc::clone(&server.shown.in_force.borrow());
    let token = match Asked::of(&in_force.config.http) {
        Asked::Nothing => return Redirect::to("/").into_response(),
        Asked::Closed => return refused("/login", StatusCode::FORBIDDEN, CLOSED),
        Asked::Token(token) => derived(token.expose()),
    };
    if !same(&derived(shown.trim()), &token) {
        return Redirect::to("/login?wrong").into_response();
    }
    // A proxy that speaks TLS says so; then the cookie goes over nothing else.
    let is_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if is_tls { "; Secure" } else { "" };
    let value = HEXLOWER.encode(&token);
    let cookie = format!("{COOKIE}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Strict{secure}");
    with_cookie(&cookie, Redirect::to("/"))
}

/// `POST /logout`, of who is logged in.
pub(super) async fn log_out() -> Response {
    with_cookie(&format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"), Redirect::to("/login"))
}

fn with_cookie(cookie: &str, to: Redirect) -> Response {
    let mut response = to.into_response();
    let cookie = HeaderValue::from_str(cookie).expect("it is of ASCII");
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
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

    fn http(lines: &str) -> Http {
        let text = format!("[broker]\nurl = 'mqtt://a'\n[store]\nurl = 'sqlite:a.db'\n[http]\n{lines}");
        let loaded = crate::config::load_text("config.toml", &text, []);
        assert!(!loaded.is_faulty(), "{:?}", loaded.faults);
        loaded.config.unwrap().http
    }

    #[test]
    fn a_token_is_asked_for_wherever_it_is_set_and_without_one_only_this_machine_sees_the_page() {
        let asked = |lines: &str| match Asked::of(&http(lines)) {
            Asked::Nothing => "nothing",
            Asked::Token(_) => "token",
            Asked::Closed => "closed",
        };
        let token = "token = '0123456789abcdef'\n";
        for (listen, bare) in [
            ("127.0.0.1:1", "nothing"),
            ("127.9.9.9:1", "nothing"),
            ("[::1]:1", "nothing"),
            ("[::ffff:127.0.0.1]:1", "nothing"),
            ("0.0.0.0:1", "closed"),
            ("[::]:1", "closed"),
            ("192.168.1.2:1", "closed"),
        ] {
            let listen = format!("listen = '{listen}'\n");
            assert_eq!(asked(&listen), bare, "{listen}");
            assert_eq!(asked(&format!("{listen}{token}")), "token", "{listen}");
            assert_eq!(asked(&format!("{listen}open = true")), "nothing", "{listen}");
            assert_eq!(asked(&format!("{listen}{token}open = true")), "token", "{listen}");
        }
    }

    #[test]
    fn the_token_or_its_cookie_is_shown_and_nothing_like_it() {
        let token = Secret::new("0123456789abcdef");
        let cookie = HEXLOWER.encode(&derived("0123456789abcdef"));
        let shown = |name, value: &str| shows(&HeaderMap::from_iter([(name, value.parse().unwrap())]), &token);
        for good in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef "] {
            assert!(shown(header::AUTHORIZATION, good), "{good}");
        }
        let bearer = format!("Bearer {cookie}");
        for bad in
            ["Bearer 0123456789abcdeF", "Bearer ", "Bearer", "Basic 0123456789abcdef", "0123456789abcdef", &bearer]
        {
            assert!(!shown(header::AUTHORIZATION, bad), "{bad}");
        }
        let other = HEXLOWER.encode(&derived("fedcba9876543210"));
        for good in [
            format!("amber_token={cookie}"),
            format!("a=b; amber_token={cookie}; c=d"),
            format!("amber_token={other}; amber_token={cookie}"),
        ] {
            assert!(shown(header::COOKIE, &good), "{good}");
        }
        for bad in [
            "amber_token=0123456789abcdef".to_owned(),
            format!("amber_token={other}"),
            format!("amber_token={}", &cookie[..62]),
            "amber_token=".to_owned(),
            format!("token={cookie}"),
            format!("amber_token={cookie}00"),
        ] {
            assert!(!shown(header::COOKIE, &bad), "{bad}");
        }
        assert!(!shows(&HeaderMap::new(), &token));
    }

    #[test]
    fn the_cookie_does_not_hold_the_token_and_is_the_same_after_a_restart() {
        assert_eq!(
            HEXLOWER.encode(&derived("0123456789abcdef")),
            "f83ef69bb19022a9afe6873d438956f28cb99620760e4aa267b56dba1160efc7"
        );
    }
}
