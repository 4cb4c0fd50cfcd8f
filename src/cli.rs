//! Arguments, and what is the same for every command: loading the configuration, logging, exit codes.
//!
//! 0: done. 1: it failed. 2: the arguments or the configuration are wrong.

mod check;
mod completions;
mod dashboards;
mod demo;
mod discover;
pub mod explain;
mod file;
mod health;
mod init;
mod leave;
mod man;
mod mappings;
mod run;
mod simulate;
mod test;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, LogFormat};
use crate::fault::{Fault, Severity};
use crate::mapping::Mapping;
use crate::message::Time;
use crate::reload;
use crate::status::told;

/// Keeps what sensors say: MQTT in, typed rows in PostgreSQL or SQLite, every message once.
#[derive(Debug, Parser)]
#[command(name = "amber", version, about, propagate_version = true)]
struct Args {
    /// The configuration file; otherwise $AMBER_CONFIG, ./config.toml, /etc/amber/config.toml
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Run,
    /// Three questions, and a configuration that works
    Init(init::InitArgs),
    /// List every fault of the configuration, and the tables it would make, as SQL
    Check(check::CheckArgs),
    /// Say which mapping takes a message and which rows it gives, or why none
    Explain(explain::ExplainArgs),
    /// Listen for a while, or read captured messages, and propose a mapping for what was heard
    Discover(discover::DiscoverArgs),
    /// List the ready mappings for whole ecosystems, or print one
    Mappings(mappings::MappingsArgs),
    /// Run the examples that stand beside the mappings, or write one
    Test(test::TestArgs),
    /// Write a Grafana dashboard for each measurement, from the catalogue (PostgreSQL)
    Dashboards(dashboards::DashboardsArgs),
    /// Ask a running Amber whether it is alive (exit code 0 or 1), for container checks
    Health,
    /// End the session at the broker, and its queue, before Amber is removed
    Leave(leave::LeaveArgs),
    /// See it work with nothing installed: embedded broker, simulated sensors, SQLite
    Demo(demo::DemoArgs),
    /// Publish the readings of simulated sensors, some of them faulty, to a broker
    Simulate(simulate::SimulateArgs),
    /// Print what a shell needs to complete command lines of Amber
    Completions(completions::CompletionsArgs),
    /// Write the manual pages, for packages
    #[command(hide = true)]
    Man(man::ManArgs),
}

/// The configuration is wrong; all its faults have been printed.
#[derive(Debug)]
struct Wrong;

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the configuration is wrong")
    }
}

impl std::error::Error for Wrong {}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.command {
        Command::Run => run::run(&args),
        Command::Init(init) => init::init(init),
        Command::Check(check) => check::check(&args, check),
        Command::Explain(explain) => explain_command(&args, explain),
        Command::Discover(discover) => discover::discover(&args, discover),
        Command::Mappings(mappings) => mappings::mappings(mappings),
        Command::Test(test) => test_command(&args, test),
        Command::Dashboards(dashboards) => dashboards::dashboards(&args, dashboards),
        Command::Health => health::health(&args),
        Command::Leave(leave) => leave::leave(&args, leave),
        Command::Demo(demo) => demo::demo(demo),
        Command::Simulate(simulate) => simulate::simulate(&args, simulate),
        Command::Completions(shell) => completions::completions(shell, &mut std::io::stdout().lock()),
        Command::Man(man) => man::man(man, &mut std::io::stdout().lock()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Wrong>() => ExitCode::from(2),
        Err(error) if error.is::<test::Failed>() => ExitCode::from(1),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("amber: {}", told(&error));
            ExitCode::from(1)
        }
    }
}

/// `amber explain … | head` is no failure.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn explain_command(args: &Args, explain: &explain::ExplainArgs) -> anyhow::Result<()> {
    let mut loaded = loaded(args);
    loaded.needs_no_connections();
    let (config, mapping, _) = compiled(loaded)?;
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    explain::explain(explain, &mapping, config.broker.max_payload_bytes, &mut std::io::stdout().lock(), colour)
}

fn test_command(args: &Args, test: &test::TestArgs) -> anyhow::Result<()> {
    let mut loaded = loaded(args);
    loaded.needs_no_connections();
    let (config, mapping, _) = compiled(loaded)?;
    test::test(test, &config, &mapping, Time::now(), &mut std::io::stdout().lock())
}

/// Reads and compiles the configuration; prints every fault to standard error. Warnings are given back.
fn load(args: &Args) -> anyhow::Result<(Config, Mapping, Vec<Fault>)> {
    compiled(loaded(args))
}

fn loaded(args: &Args) -> config::Loaded {
    config::load(named(args).as_deref(), config::environment())
}

/// The file that is named, if one is.
fn named(args: &Args) -> Option<PathBuf> {
    // Empty counts as not set, as compose files have it.
    let variable = || std::env::var_os("AMBER_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from);
    args.config.clone().or_else(variable)
}

/// The same from what was loaded already.
fn compiled(loaded: config::Loaded) -> anyhow::Result<(Config, Mapping, Vec<Fault>)> {
    let faults = match reload::compile(loaded) {
        Ok(ready) => return Ok(ready),
        Err(faults) => faults,
    };
    for fault in &faults {
        eprintln!("{fault}");
    }
    let count = faults.iter().filter(|fault| fault.severity == Severity::Fault).count();
    eprintln!("amber: {count} fault{} in the configuration", if count == 1 { "" } else { "s" });
    Err(Wrong.into())
}

/// What of the log is printed.
fn filter(log: &config::Log) -> EnvFilter {
    // What the database says in passing is said again by whoever it concerns, with what to do.
    let quiet = "sqlx::postgres::notice=off";
    EnvFilter::try_new(format!("{quiet},{}", log.level)).unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Logs to standard error: text for people, JSON for machines. Gives what sets another level.
fn start_logging(log: &config::Log) -> Box<dyn Fn(&config::Log) + Send + Sync> {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Text => {
            let builder = builder.with_env_filter(filter(log)).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            // It fails only if nobody logs any more.
            Box::new(move |log| drop(handle.reload(filter(log))))
        }
        LogFormat::Json => {
            let builder = builder.json().with_env_filter(filter(log)).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            Box::new(move |log| drop(handle.reload(filter(log))))
        }
    }
}

/// One runtime for the command: a thread a core.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
