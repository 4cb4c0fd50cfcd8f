//! Connects to the first of the hosts that takes writes, and sets up the session.
//!
//! sqlx knows no list of hosts, no limit of time for a connect, and asks no server whether it is a standby. It encrypts
//! without checking anything unless told otherwise; here a server that is not on this machine must prove who it is.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use crate::config::Secret;
use crate::store::error::Failure;
use crate::store::link::within;

/// For each host.
const LIMIT: Duration = Duration::from_secs(10);

/// What a session needs, unless `options` in the URL says otherwise.
const LIMITS: &[(&str, &str)] =
    &[("statement_timeout", "30s"), ("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "60s")];

/// READ COMMITTED: a statement that waited for an adoption must see its epoch and store nothing, not fail.
/// `synchronous_commit` below `on` would acknowledge what a power cut takes back. A connection that waits for messages
/// is idle, and no harm. A plan for any parameters is made for all parts of a table by time, which takes seconds where
/// they are many: then every statement is planned for its own. TimescaleDB's limit of rows that a statement unpacks is
/// for people: a batch that is over it would be over it at every try.
const SESSION: &str = "\
set idle_session_timeout = 0;
set default_transaction_isolation = 'read committed';
set standard_conforming_strings = on;
set client_min_messages = warning;
select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') not in ('on', 'remote_apply');
select set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', false) from pg_catalog.pg_extension where extname = 'timescaledb';
select set_config('plan_cache_mode', 'force_custom_plan', false)
where exists (select from pg_catalog.pg_extension where extname = 'timescaledb')
   or exists (select from pg_catalog.pg_class where relkind = 'p' and relnamespace = to_regnamespace('amber_store'))";

const OLDEST_VERSION: u32 = 140_000;

/// One of the hosts.
#[derive(Debug)]
pub(in crate::store) struct Server {
    url: Secret,
    /// Host, port and database, without the password: for messages.
    place: String,
}

impl Server {
    pub(in crate::store) fn new(url: &Secret) -> Self {
        let place = match PgConnectOptions::from_str(url.expose()) {
            Ok(options) => {
                let database = options.get_database().unwrap_or(options.get_username()).to_owned();
                let host = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => format!("{}:{}", options.get_host(), options.get_port()),
                };
                format!("{host}/{database}")
            }
            Err(_) => "[store] url".to_owned(),
        };
        Self { url: url.clone(), place }
    }

    /// The database's user; for what to do about a permission.
    pub(in crate::store) fn user(&self) -> String {
        PgConnectOptions::from_str(self.url.expose()).map_or_else(|_| String::new(), |it| it.get_username().to_owned())
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }
}

/// Tries one server after the other, from the first on.
///
/// # Errors
/// What each of them said; a person must act if one of them says so.
pub(in crate::store) async fn connect(servers: &[Server]) -> Result<PgConnection, Failure> {
    let mut failures = Vec::new();
    for server in servers {
        match within(LIMIT, open(&server.url)).await {
            Ok(connection) => return Ok(connection),
            Err(failure) => {
                failures.push(failure.rowless().context(format!("cannot connect to PostgreSQL at {}", server.place)));
            }
        }
    }
    Err(Failure::of_all(failures))
}

async fn open(url: &Secret) -> Result<PgConnection, Failure> {
    certificates_are_there(url)?;
    let options = options(url.expose())?;
    let session = session(options.get_options().unwrap_or_default());
    let mut connection = options.connect().await?;
    super::command(&mut connection, &session).await?;
    if let Some(version) = connection.server_version_num()
        && version < OLDEST_VERSION
    {
        return Err(Failure::standing(format!("it is version {}, and Amber needs 14 or later", version / 10_000)));
    }
    let query =
        "select pg_is_in_recovery(), current_setting('transaction_read_only'), current_setting('server_encoding')";
    let (standby, read_only, encoding): (bool, String, String) =
        sqlx::query_as(query).fetch_one(&mut connection).await?;
    if standby {
        return Err(Failure::away("it is a standby and takes no writes"));
    }
    if read_only == "on" {
        return Err(Failure::standing(
            "it takes no writes: `default_transaction_read_only` is on for the server, the database or the role; set it off",
        ));
    }
    if encoding != "UTF8" {
        return Err(Failure::standing(format!(
            "the database's encoding is {encoding}, which cannot hold every text; make one with `create database … encoding 'UTF8' template template0`"
        )));
    }
    Ok(connection)
}

/// sqlx reads them at each connect, so that renewed ones are found, and does not say which it lacks.
fn certificates_are_there(url: &Secret) -> Result<(), Failure> {
    let parameters = url.expose().split_once('?').unwrap_or_default().1;
    for (key, value) in url::form_urlencoded::parse(parameters.as_bytes()) {
        let is_file =
            matches!(&*key, "sslrootcert" | "ssl-root-cert" | "ssl-ca" | "sslcert" | "ssl-cert" | "sslkey" | "ssl-key");
        if is_file
            && !value.starts_with("-----BEGIN")
            && let Err(error) = std::fs::File::open(&*value)
        {
            return Err(Failure::standing(format!("`{key}`: `{value}` cannot be read: {error}")));
        }
    }
    Ok(())
}

fn options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("amber")
        .statement_cache_capacity(256)
        .disable_statement_logging();
    let chosen = url.contains("sslmode=") || url.contains("ssl-mode=") || std::env::var_os("PGSSLMODE").is_some();
    Ok(if chosen || is_local(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) })
}

/// Whether the way to the server leaves this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

/// `options` are those of the URL.
fn session(options: &str) -> String {
    let limits = LIMITS.iter().filter(|(name, _)| !options.contains(name));
    let mut text: String = limits.map(|(name, value)| format!("set {name} = '{value}';\n")).collect();
    text.push_str(SESSION);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_must_prove_who_it_is_unless_the_url_says_otherwise() {
        let cases = [
            ("postgres://me@db/amber", "VerifyFull"),
            ("postgres://me@10.0.0.7:5433/amber", "VerifyFull"),
            ("postgres://me@localhost/amber", "Prefer"),
            ("postgres://me@127.0.0.1/amber", "Prefer"),
            ("postgres://me@[::1]/amber", "Prefer"),
            ("postgres:///amber?host=/run/postgresql", "Prefer"),
            ("postgres:///amber?host=db", "VerifyFull"),
            ("postgres://me@db/amber?sslmode=disable", "Disable"),
            ("postgres://me@db/amber?sslmode=prefer", "Prefer"),
            ("postgres://me@db/amber?sslmode=require", "Require"),
        ];
        for (url, mode) in cases {
            assert_eq!(format!("{:?}", options(url).unwrap().get_ssl_mode()), mode, "{url}");
        }
    }

    #[test]
    fn a_limit_that_the_url_names_is_left_alone() {
        assert!(session("").contains("set lock_timeout = '10s'"));
        let text = session("-c lock_timeout=1s");
        assert!(!text.contains("lock_timeout") && text.contains("set statement_timeout = '30s'"), "{text}");
    }
}
