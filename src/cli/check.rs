//! `amber check`: every fault of the configuration, and the plan of tables as SQL.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args as ClapArgs;

use super::Args;
use crate::config::{Config, Protocol};
use crate::mapping::Mapping;
use crate::session;
use crate::status::told;
use crate::store::{Plan, Store, WriteError};
use crate::topic;

#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// Try the broker and the store too; the plan is then the difference to what the store holds
    #[arg(long)]
    connect: bool,
}

pub fn check(args: &Args, check: &CheckArgs) -> anyhow::Result<()> {
    let mut loaded = super::loaded(args);
    let alone = loaded.is_mappings_alone() && !check.connect;
    if alone {
        loaded.needs_no_connections();
    }
    let (config, mapping, warnings) = super::compiled(loaded)?;
    for warning in &warnings {
        eprintln!("{warning}");
    }
    let reduced = config.broker.overlap.apply(topic::reduce(&mapping.subscriptions()));
    // MQTT 5 says which copy is for which filter.
    if config.broker.protocol != Protocol::V5 {
        for crossing in topic::crossings(&reduced.crossing).iter().take(topic::CROSSING_SAID) {
            eprintln!("warning: {crossing}");
        }
    }
    let mut out = std::io::stdout().lock();
    if alone {
        writeln!(
            out,
            "-- mappings alone: no `[broker]` and no `[store]` is here to be checked; tables as SQLite has them"
        )?;
    }
    for subscription in &reduced.subscriptions {
        writeln!(out, "-- subscribes to `{}` at QoS {}", subscription.filter, subscription.qos.level())?;
    }
    if !check.connect {
        // Without a store in the configuration this is one of SQLite.
        let store = Store::new(&config.store, &config.broker.client_id, 0);
        let plan = store.plan_for_empty(mapping.schema());
        print(&plan, "an empty store", &mut out)?;
        if !plan.conflicts.is_empty() {
            bail!("store: {}", plan.conflicts.join("\namber: store: "));
        }
        return Ok(());
    }
    super::runtime()?.block_on(connect(&config, &mapping, &mut out))
}

async fn connect(config: &Config, mapping: &Mapping, out: &mut impl Write) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    match plan(config, mapping).await {
        Ok(plan) => {
            print(&plan, "the store as it is", out)?;
            failed.extend(plan.conflicts.iter().map(|conflict| format!("store: {conflict}")));
        }
        Err(error) => failed.push(format!("store: {}", told(&error))),
    }
    match session::probe(&config.broker).await {
        Ok(answer) => writeln!(out, "-- broker: {answer}")?,
        Err(error) => failed.push(format!("broker: {error}")),
    }
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("\namber: "));
}

/// The plan against the store. A SQLite file that does not exist is not made.
async fn plan(config: &Config, mapping: &Mapping) -> anyhow::Result<Plan> {
    let mut store = Store::new(&config.store, &config.broker.client_id, 0);
    let plan = tokio::time::timeout(Duration::from_secs(30), store.plan(mapping.schema()))
        .await
        .context("no answer within 30 s")?
        .map_err(WriteError::into_source)?;
    store.close().await;
    Ok(plan)
}

fn print(plan: &Plan, against: &str, out: &mut impl Write) -> anyhow::Result<()> {
    for note in &plan.notes {
        writeln!(out, "-- {}", note.replace('\n', "\n-- "))?;
    }
    match (plan.is_empty(), plan.statements.is_empty()) {
        (true, true) => writeln!(out, "-- the store has all that the mappings need")?,
        // Comments, and partitions for the time to come.
        (true, false) => writeln!(out, "-- the store has all that is needed now, and lacks for later:")?,
        (false, _) => writeln!(out, "-- against {against}:")?,
    }
    for statement in &plan.statements {
        writeln!(out, "{};", statement.trim_end().trim_end_matches(';'))?;
    }
    Ok(())
}
