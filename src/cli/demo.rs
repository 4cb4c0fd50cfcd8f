//! `amber demo`: an embedded broker, simulated sensors, and the ordinary service that writes their rows into SQLite.

use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;
use tokio::net::TcpListener;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::run::{serve_on, stop_on_signals};
use crate::config::{self, Config};
use crate::delivery::Fenced;
use crate::demo::{self, sensors};
use crate::http;
use crate::mapping::Mapping;
use crate::message::Time;
use crate::metrics::Metrics;
use crate::pipeline::Face;
use crate::store::{Store, WriteError};

const HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9583);

#[derive(Debug, ClapArgs)]
pub struct DemoArgs {
    /// End by itself after so long, as in `10s`, `2m`; otherwise Ctrl-C ends it
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// Messages a second that the simulated sensors send
    #[arg(long, value_name = "N", default_value_t = sensors::PER_SECOND, value_parser = rate)]
    rate: f64,
    /// The SQLite file
    #[arg(long, value_name = "FILE", default_value = "amber-demo.db")]
    database: PathBuf,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    parsed
        .ok()
        .and_then(|parsed| Duration::try_from(parsed).ok())
        .filter(|parsed| !parsed.is_zero())
        .ok_or_else(|| "a time with its unit is wanted, as `10s` or `2m`".into())
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 100_000.0 => Ok(rate),
        _ => Err("a number above 0 and up to 100000 is wanted".into()),
    }
}

pub fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    super::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone())?;
        run(args, stop).await
    })
}

async fn run(args: &DemoArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let servers_stop = CancellationToken::new();
    let broker = demo::start_broker(servers_stop.clone()).await.context("the broker of the demo cannot listen")?;
    let address = broker.address();
    let url = format!("mqtt://{address}");
    let database = match args.database.to_str() {
        Some(name) if !name.is_empty() && name != ":memory:" && !name.contains('?') => name,
        _ => bail!("`{}` is no name for the file of a demo; write `--database amber-demo.db`", args.database.display()),
    };
    let environment = [
        ("AMBER__BROKER__URL", url.clone()),
        ("AMBER__STORE__URL", format!("sqlite:{database}")),
        ("AMBER__HTTP__LISTEN", HTTP.to_string()),
        // That this broker has forgotten the session of the last demo is no news.
        ("AMBER__LOG__LEVEL", "warn,amber::session=error".to_owned()),
    ];
    let loaded =
        config::load_text("demo.toml", demo::config_text(), environment.map(|(name, value)| (name.into(), value)));
    let (config, mapping, _) = super::compiled(loaded)?;
    // The demo's configuration does not change.
    drop(super::start_logging(&config.log));
    try_database(&config, &mapping).await.with_context(|| {
        format!("{database} cannot hold the rows of the demo; choose another file with `--database FILE`")
    })?;
    let listener = listen().await.context("no port is free for the page")?;
    let http = listener.local_addr()?;
    welcome(&mut std::io::stdout().lock(), address, database, http, is_desktop() && !args.open)?;
    if args.open {
        open(&http::url(http));
    }

    let config = Arc::new(config);
    let face = Face::new(&config, &mapping);
    let sensors_stop = CancellationToken::new();
    let sensors = tokio::spawn({
        let (settings, rate, stop) = (demo::broker_settings(&url, sensors::CLIENT_ID), args.rate, sensors_stop.clone());
        async move { sensors::run(&settings, rate, Time::now, stop).await }
    });
    let summary = tokio::spawn(summarise(face.metrics.clone(), stop.clone()));
    if let Some(duration) = args.duration {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(duration).await;
            stop.cancel();
        });
    }
    // The sensors fall silent first, so that the last row is in the file when the demo ends.
    let quiet = async {
        stop.cancelled().await;
        sensors_stop.cancel();
        sensors.await
    };
    let service_stop = CancellationToken::new();
    let service = serve_on(listener, &config, mapping, None, face.clone(), service_stop.clone());
    tokio::pin!(service);
    let result = tokio::select! {
        // Ended unasked.
        result = &mut service => { sensors_stop.cancel(); result }
        published = quiet => {
            published.context("the sensors panicked")?;
            service_stop.cancel();
            service.await
        }
    };
    stop.cancel();
    servers_stop.cancel();
    broker.stop().await;
    summary.await.context("the summary panicked")?;
    if let Err(error) = result {
        if error.is::<Fenced>() {
            bail!("another demo writes to {database}; give this one a file of its own with `--database FILE`");
        }
        return Err(error);
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", totals(&face.metrics))?;
    writeln!(out, "The rows are in {database}; run the demo again and it goes on where it ended.")?;
    Ok(())
}

/// A file that cannot be used is said at once; `run` would wait for somebody to mend it.
async fn try_database(config: &Config, mapping: &Mapping) -> anyhow::Result<()> {
    let mut store = Store::new(&config.store, &config.broker.client_id, 0);
    let prepared = store.prepare(mapping.schema()).await;
    store.close().await;
    prepared.map_err(WriteError::into_source)
}

/// The next free port from the usual one on, or else any.
async fn listen() -> std::io::Result<TcpListener> {
    for port in HTTP.port()..HTTP.port() + 10 {
        if let Ok(listener) = http::bind(SocketAddr::new(HTTP.ip(), port)).await {
            return Ok(listener);
        }
    }
    http::bind(SocketAddr::new(HTTP.ip(), 0)).await
}

/// Whether somebody sits here who has a browser.
fn is_desktop() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_remote = ["SSH_CONNECTION", "SSH_TTY"].iter().any(|name| is_set(name));
    let has_screen = cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| is_set(name));
    std::io::stdout().is_terminal() && has_screen && !is_remote
}

/// Asks the desktop to show `url`; that it does not is told, and nothing to end for. (Reading the keyboard for this would
/// stop a demo that somebody sends to the background.)
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    let command = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        // Some wait for the browser to end. The thread ends with the process, if not before.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => eprintln!("amber: `{program}` cannot be started ({error}); open {url} in a browser"),
    }
}

/// As a shell reads it back.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if name.chars().all(plain) { name.to_owned() } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

/// What runs where, and what to type to look.
fn welcome(
    out: &mut impl std::io::Write,
    broker: SocketAddr,
    database: &str,
    http: SocketAddr,
    can_open: bool,
) -> std::io::Result<()> {
    let port = broker.port();
    let database = quoted(database);
    let moved = |usual: u16, now: u16| if usual == now { String::new() } else { format!("   ({usual} is in use)") };
    writeln!(
        out,
        "\
Amber demo: simulated sensors -> MQTT -> mapping -> SQLite. Ctrl-C ends it.

  page      {}{}{}
  broker    mqtt://{broker}{}
  database  {database}
  metrics   http://{http}/metrics   (also /health, /ready)

Open the page in a browser. Or look at the rows, from another terminal:
  sqlite3 {database} \"select * from climate order by time desc limit 5\"
  sqlite3 {database} \"select reason, count(*), max(detail) from rejects group by reason\"

Send a reading of your own:
  mosquitto_pub -p {port} -q 1 -t home/attic/climate -m '{{\"temperature\": 18.5, \"humidity\": 61}}'

Watch what the sensors say:
  mosquitto_sub -p {port} -v -t '#'
",
        http::url(http),
        moved(HTTP.port(), http.port()),
        if can_open { "   (`amber demo --open` opens it)" } else { "" },
        moved(1883, port),
    )?;
    out.flush()
}

/// One line that follows the counts, on a terminal; in a pipe nothing.
async fn summarise(metrics: std::sync::Arc<Metrics>, stop: CancellationToken) {
    if !std::io::stdout().is_terminal() {
        return;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut rows, mut at) = (0, Instant::now());
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = written(&metrics);
        let per_second = (now - rows) as f64 / at.elapsed().as_secs_f64().max(0.001);
        (rows, at) = (now, Instant::now());
        let mut out = std::io::stdout().lock();
        let line = format!("\r{}   {per_second:.0} rows/s\x1b[K", totals(&metrics));
        if write!(out, "{line}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
    // The totals follow; if nobody reads them, that is for `run` to find out.
    writeln!(std::io::stdout()).ok();
}

fn written(metrics: &Metrics) -> u64 {
    metrics.total("amber_rows_written_total")
}

fn totals(metrics: &Metrics) -> String {
    format!(
        "{} messages   {} rows   {} rejects   {} ignored   {} fields dropped",
        metrics.total("amber_messages_received_total"),
        written(metrics),
        metrics.total("amber_rejects_total"),
        metrics.total("amber_messages_ignored_total"),
        metrics.total("amber_fields_dropped_total"),
    )
}
