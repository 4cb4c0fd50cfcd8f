//! `amber simulate`: the simulated sensors of the demo, published to a broker of one's own; the stack's profile `demo`.
//!
//! It takes the settings of `[broker]`, so that TLS, WebSockets and passwords are those of the service: from the file
//! that `--config` names, if it does, and from the environment. Its client identifier is its own, never Amber's.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::run::stop_on_signals;
use super::{Args, demo};
use crate::config;
use crate::demo::sensors;
use crate::message::Time;

#[derive(Debug, ClapArgs)]
pub struct SimulateArgs {
    /// The broker, as in `[broker] url`; otherwise $AMBER__BROKER__URL
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Who they log in as; otherwise $AMBER__BROKER__USERNAME
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// The file with the password; otherwise $AMBER__BROKER__PASSWORD_FILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The file with the CA of the broker's certificate; otherwise $AMBER__BROKER__CA, else the roots of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Who they are at the broker; two of one name throw each other out
    #[arg(long, value_name = "ID", default_value = sensors::CLIENT_ID)]
    client_id: String,
    /// Messages a second of all of them
    #[arg(long, value_name = "N", env = "AMBER_SIMULATE_RATE", default_value_t = sensors::PER_SECOND, value_parser = demo::rate)]
    rate: f64,
    /// End by itself after so long, as in `10s`, `2m`; otherwise SIGTERM or Ctrl-C ends it
    #[arg(long = "for", value_name = "TIME", value_parser = demo::duration)]
    duration: Option<Duration>,
}

pub fn simulate(args: &Args, simulate: &SimulateArgs) -> anyhow::Result<()> {
    let (config, ..) = super::compiled(loaded(args, simulate))?;
    // What is published does not change.
    drop(super::start_logging(&config.log));
    super::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone())?;
        if let Some(duration) = simulate.duration {
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(duration).await;
                stop.cancel();
            });
        }
        info!(broker = %config.broker.url.value, rate = simulate.rate, "publishing simulated readings to home/, garden/ and garage/");
        let acknowledged = sensors::run(&config.broker, simulate.rate, Time::now, stop).await;
        info!(acknowledged, "ended");
        Ok(())
    })
}

/// What the arguments say, else the environment, else the file.
fn loaded(args: &Args, simulate: &SimulateArgs) -> config::Loaded {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let given = [
        ("URL", simulate.url.clone()),
        ("USERNAME", simulate.username.clone()),
        ("PASSWORD_FILE", path(&simulate.password_file)),
        ("CA", path(&simulate.ca)),
        ("CLIENT_ID", Some(simulate.client_id.clone())),
    ];
    let given = given.into_iter().filter_map(|(key, value)| Some((format!("AMBER__BROKER__{key}"), value?)));
    let given: Vec<(String, String)> = given.collect();
    // What else Amber would be told is none of our concern.
    let concerns = |name: &str| name.starts_with("AMBER__BROKER__") || name.starts_with("AMBER__LOG__");
    let environment = config::environment()
        .filter(|(name, _)| concerns(name) && given.iter().all(|(other, _)| !name.eq_ignore_ascii_case(other)))
        .collect::<Vec<_>>();
    let settings = environment.into_iter().chain(given.clone());
    let mut loaded = match &args.config {
        Some(file) => config::load(Some(file), settings),
        None => config::load_text("arguments", "", settings),
    };
    loaded.needs_no_store();
    loaded
}
