//! `amber run`: the service.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Args, Wrong};
use crate::config::{self, Config};
use crate::fault::Fault;
use crate::http;
use crate::mapping::Mapping;
use crate::message::Time;
use crate::pipeline::{self, Face};
use crate::reload::{Before, Origin, Reload};

pub fn run(args: &Args) -> anyhow::Result<()> {
    let found = config::find(super::named(args).as_deref());
    let before = found.map(|file| Before::start(Origin { file, environment: config::environment().collect() }));
    let (config, mapping, warnings) = super::load(args)?;
    let config = Arc::new(config);
    let log = super::start_logging(&config.log);
    for warning in &warnings {
        warn!("{warning}");
    }
    super::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone())?;
        let face = Face::new(&config, &mapping);
        let reload = before
            .map(|before| Reload::new(before, Arc::clone(&config), log, face.metrics.clone(), face.status.clone()));
        let reload = reload.transpose().context("SIGHUP cannot be listened for")?;
        serve(&config, mapping, reload, face, stop).await
    })
}

async fn serve(
    config: &Arc<Config>,
    mapping: Mapping,
    reload: Option<Reload>,
    face: Face,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let listen = &config.http.listen;
    match http::bind(listen.value).await {
        Ok(listener) => serve_on(listener, config, mapping, reload, face, stop).await,
        Err(error) => {
            let what = format!("cannot listen on `{}`: {error}", listen.value);
            let remedy = "choose another address, or end who listens there";
            eprintln!("{}", Fault::new(&listen.place, "http.listen", what, remedy));
            Err(Wrong.into())
        }
    }
}

/// Runs the line with its HTTP endpoints on `listener` until `stop` is cancelled.
pub async fn serve_on(
    listener: TcpListener,
    config: &Arc<Config>,
    mapping: Mapping,
    reload: Option<Reload>,
    face: Face,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        http = %address,
        page = %http::url(address),
        mappings = config.mappings.len(),
        "amber starts"
    );
    if config.http.is_closed() {
        info!("{}", http::CLOSED);
    }
    // The endpoints outlive the line, so that the end can be watched.
    let http_stop = CancellationToken::new();
    let shown = http::Shown {
        metrics: face.metrics.clone(),
        status: face.status.clone(),
        in_force: face.in_force.subscribe(),
        ignored: face.ignored.clone(),
        onlookers: face.onlookers.clone(),
        clock: Time::now,
        stop: stop.clone(),
    };
    let mut server = tokio::spawn(http::serve(listener, shown, http_stop.clone()));
    let line = pipeline::run(Arc::clone(config), mapping, reload, face, Time::now, stop.clone());
    tokio::pin!(line);
    let result = tokio::select! {
        result = &mut line => result,
        ended = &mut server => {
            stop.cancel();
            line.await?;
            ended.context("the endpoints panicked")?.context("the endpoints ended")
        }
    };
    http_stop.cancel();
    // A scrape that hangs must not hold up the end.
    server.abort();
    if result.is_ok() {
        info!("ended");
    }
    result
}

/// SIGXFSZ, by its number on Linux.
const FILE_SIZE: i32 = 25;

/// From now on the first SIGTERM or Ctrl-C stops gracefully, the second ends at once.
pub fn stop_on_signals(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be listened for")?;
    // Beyond a limit of file size (`ulimit -f`) this signal would kill. With a handler, which stays though nobody
    // listens, the write fails, as on a full disk.
    drop(signal(SignalKind::from_raw(FILE_SIZE)).context("SIGXFSZ cannot be listened for")?);
    // Ends with the process.
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        stop.cancel();
        next().await;
        warn!("ended at once; what was in hand comes again from the broker");
        std::process::exit(1);
    });
    Ok(())
}
