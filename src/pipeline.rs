//! The line `session → mapping → batch → delivery → store`, started, joined and stopped. Alone in knowing all stages.
//!
//! Every task has a name and is awaited here; the first to end unasked, a panic included, stops the service.
//! Stopping goes in the order of the flow: the session takes no further message and closes its channel, what is in
//! hand is mapped and committed, the session acknowledges it and disconnects. What that leaves undone when the grace
//! period ends comes again from the broker.
//!
//! What the stages run by is one value, `InForce` (configuration and schema), in a `watch` channel that is made here (`Face`). A
//! stage that hangs on the tables (it makes partitions, keeps devices, writes dashboards) is given a `Following` of it
//! (`in_force.subscribe()`), reads it at each turn, and wakes by `changed()`: what it sees there has its tables in the
//! store. Whoever is given rows beside that is given the `InForce` that they were made under with them
//! (`delivery::Sealed::under`), because rows name measurements by position; between two batches it may change.
//! How a change is made, step by step: `mapper`.

mod mapper;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::Config;
use crate::dashboards::Dashboards;
use crate::delivery::{Delivery, OldRejects, Retention};
use crate::ignored::IgnoredTopics;
use crate::in_force::InForce;
use crate::mapping::Mapping;
use crate::message::Clock;
use crate::metrics::Metrics;
use crate::reload::Reload;
use crate::session::ledger::Ledger;
use crate::session::{InHand, OUT_CAPACITY, Session};
use crate::status::Status;
use crate::store::Store;
use mapper::{Mapper, Outlets};

/// How long a graceful end may take; below the ten seconds after which Docker kills.
pub const GRACE: Duration = Duration::from_secs(8);

/// A stage ends so soon after the one it waits for: `delivery` takes up to a second to leave the store.
const NEIGHBOUR: Duration = Duration::from_secs(3);

/// What the service shows of itself, shared with `http`.
#[derive(Clone)]
pub struct Face {
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    /// Told of each change; at the start it has what the service is started with.
    pub in_force: watch::Sender<Arc<InForce>>,
    pub ignored: Arc<IgnoredTopics>,
    /// Told each second that somebody looks at the page.
    pub onlookers: Arc<Notify>,
}

impl Face {
    /// Of a service that is started with `config`, which `mapping` is made of.
    #[must_use]
    pub fn new(config: &Arc<Config>, mapping: &Mapping) -> Self {
        let first = InForce { number: 1, config: Arc::clone(config), schema: mapping.schema().clone() };
        Self {
            metrics: Arc::new(Metrics::new()),
            status: Arc::new(Status::new()),
            in_force: watch::Sender::new(Arc::new(first)),
            ignored: Arc::default(),
            onlookers: Arc::default(),
        }
    }
}

/// Runs the line until `stop` is cancelled, then ends it gracefully.
///
/// # Errors
/// The first stage that ended unasked, and why.
pub async fn run(
    config: Arc<Config>,
    mut mapping: Mapping,
    reload: Option<Reload>,
    face: Face,
    clock: Clock,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Face { metrics, status, in_force, ignored, onlookers } = face;
    let owner = i64::from_ne_bytes(RandomState::new().hash_one(clock().0).to_ne_bytes());
    let mut stages: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
    let mut orders = reload.map(|reload| {
        let (orders_out, orders) = mpsc::channel(1);
        let end = stop.clone();
        stages.spawn(async move {
            reload.run(orders_out, end).await;
            ("reload", Ok(()))
        });
        orders
    });
    let (mut delivery, adopted) = loop {
        let now = in_force.borrow().clone();
        let store = Store::new(&config.store, &config.broker.client_id, owner);
        let opened = Delivery::open(store, Arc::clone(&now), metrics.clone(), status.clone(), clock);
        tokio::select! {
            opened = opened => break opened?,
            () = stop.cancelled() => return Ok(()),
            // Nothing was mapped yet: what cannot be opened is tried with what is on disk now.
            order = mapper::next_order(&mut orders) => if let Some(order) = order {
                let number = now.number + 1;
                let next = InForce { number, config: order.config, schema: order.mapping.schema().clone() };
                in_force.send_replace(Arc::new(next));
                mapping = order.mapping;
                drop(order.answer.send(Ok(())));
            },
        }
    };
    let ledger = Ledger::load(&adopted.packets).context("store")?;
    let in_hand = Arc::new(InHand::new(ledger, metrics.clone()));

    // The count in hand bounds what is in this channel, not its capacity: a burst holds one message or more.
    let (session_out, mapping_in) = mpsc::channel(OUT_CAPACITY);
    let (batch_out, delivery_in) = mpsc::channel(1);
    let (subscribed, subscribed_now) = watch::channel(adopted.filters.clone());
    let first = in_force.borrow().clone();
    let (wanted, wanted_now) = watch::channel(mapper::wanted(&mapping, &first));
    let session = Session {
        config: first.config.broker.clone(),
        wanted: wanted_now,
        remembered: adopted.filters,
        in_hand: in_hand.clone(),
        out: session_out,
        subscribed,
        written: delivery.written(),
        clock,
        metrics: metrics.clone(),
        status: status.clone(),
        stop: stop.clone(),
        grace: GRACE,
    };
    let devices = delivery.devices(&config.store, mapping.schema(), clock, onlookers);
    let following = in_force.subscribe();
    let dashboards = Dashboards::new(&config.store, in_force.subscribe(), metrics.clone());
    let outlets = Outlets {
        in_hand: in_hand.clone(),
        metrics: metrics.clone(),
        ignored,
        orders,
        in_force,
        wanted,
        out: batch_out,
    };
    let mapper = Mapper::new(mapping, outlets);

    let retention = Retention::new(following.clone(), clock, metrics.clone());
    let old_rejects = OldRejects::new(following, clock, metrics.clone(), delivery.reject_bytes());

    stages.spawn(async move { ("session", session.run().await.map_err(Into::into)) });
    stages.spawn(async move {
        mapper.run(mapping_in).await;
        ("mapping", Ok(()))
    });
    let observed = in_hand.clone();
    let end = stop.clone();
    stages.spawn(async move {
        observe(&observed, end).await;
        ("gauges", Ok(()))
    });
    let end = stop.clone();
    stages.spawn(async move {
        old_rejects.run(end).await;
        ("rejects", Ok(()))
    });
    if let Some(dashboards) = dashboards {
        let end = stop.clone();
        stages.spawn(async move {
            dashboards.run(end).await;
            ("dashboards", Ok(()))
        });
    }
    if let Some(devices) = devices {
        let end = stop.clone();
        stages.spawn(async move {
            devices.run(end).await;
            ("devices", Ok(()))
        });
    }
    let end = stop.clone();
    stages.spawn(async move {
        retention.run(end).await;
        ("retention", Ok(()))
    });
    let counted = in_hand.clone();
    stages.spawn(
        async move { ("delivery", delivery.run(counted, delivery_in, subscribed_now).await.map_err(Into::into)) },
    );
    let result = join(stages, &stop).await;
    let left = in_hand.messages();
    if left > 0 {
        warn!(messages = left, "ended with messages in hand; those of QoS 1 and 2 come again from the broker");
    }
    result
}

/// Waits for all stages. Before `stop` none may end; after it they have the grace period.
async fn join(mut stages: JoinSet<(&'static str, anyhow::Result<()>)>, stop: &CancellationToken) -> anyhow::Result<()> {
    let first = tokio::select! {
        ended = stages.join_next() => ended,
        () = stop.cancelled() => None,
    };
    if let Some(ended) = first {
        let (stage, result) = ended.context("a stage panicked")?;
        result?;
        // A stage that is quick to obey may be seen before the order.
        if !stop.is_cancelled() {
            // It may have ended because its neighbour has, and be seen first; the reason is the neighbour's.
            while let Ok(Some(ended)) = tokio::time::timeout(NEIGHBOUR, stages.join_next()).await {
                ended.context("a stage panicked")?.1?;
            }
            anyhow::bail!("the stage `{stage}` ended unasked");
        }
    }
    info!("stopping: storing what is in hand");
    let deadline = Instant::now() + GRACE + Duration::from_secs(1);
    loop {
        match tokio::time::timeout_at(deadline, stages.join_next()).await {
            Ok(Some(ended)) => {
                let (stage, result) = ended.context("a stage panicked")?;
                result?;
                debug!(stage, "ended");
            }
            Ok(None) => return Ok(()),
            Err(_) => {
                warn!("the grace period is over");
                return Ok(());
            }
        }
    }
}

/// Keeps the gauges of what is in hand up to date, for whoever scrapes.
async fn observe(in_hand: &InHand, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        in_hand.observe();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_reason_is_that_of_the_stage_that_failed_though_its_neighbour_is_seen_first() {
        let mut stages: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
        stages.spawn(async { ("mapping", Ok(())) });
        stages.spawn(async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ("delivery", Err(anyhow::anyhow!("fenced off")))
        });
        stages.spawn(async { std::future::pending().await });
        let error = join(stages, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "fenced off");

        let mut stages: JoinSet<(&'static str, anyhow::Result<()>)> = JoinSet::new();
        stages.spawn(async { ("mapping", Ok(())) });
        stages.spawn(async { std::future::pending().await });
        let error = join(stages, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "the stage `mapping` ended unasked");
    }
}
