//! Simulated sensors: a house and a garden that publish to a broker at a steady rate, some of them faulty.
//!
//! They publish at QoS 1, and wait for each acknowledgement. What a broken connection had not been acknowledged is not
//! sent again: these sensors show Amber at work, they prove nothing.

mod house;

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::config;
use crate::message::Clock;
use crate::session::Publisher;
use house::House;

/// How many messages a second look lively without filling the screen.
pub const PER_SECOND: f64 = 30.0;
/// Their client identifier, unless another is set.
pub const CLIENT_ID: &str = "amber-simulated-sensors";

/// Readings that are due are sent this often, together.
const TICK: Duration = Duration::from_millis(20);
/// Sent together at most; a rate beyond it a tick is not reached.
const MAX_TOGETHER: usize = 1_000;
/// The first wait for a broker that is away, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// A connection that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// Publishes to `broker` until `stop`, about `per_second` messages a second in all, and returns how many the broker has
/// acknowledged. It connects again as long as it takes, and says so once per change.
pub async fn run(broker: &config::Broker, per_second: f64, clock: Clock, stop: CancellationToken) -> u64 {
    let mut house = House::new(clock());
    let mut acknowledged = 0;
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    // What was said last of the broker, if it is away.
    let mut away: Option<String> = None;
    while let Some(connected) = stop.run_until_cancelled(Publisher::connect(broker)).await {
        let ended = match connected {
            Err(why) => why,
            Ok(mut publisher) => {
                if away.take().is_some() {
                    tracing::info!("simulated sensors are connected again");
                }
                let since = Instant::now();
                let publishing = publish(&mut publisher, &mut house, per_second, clock, &stop, &mut acknowledged);
                match publishing.await {
                    Ok(()) => {
                        publisher.disconnect().await;
                        break;
                    }
                    Err(why) => {
                        if since.elapsed() >= GOOD {
                            backoff.reset();
                        }
                        why
                    }
                }
            }
        };
        if away.as_ref() != Some(&ended) {
            tracing::warn!(broker = %broker.url.value, why = ended, "simulated sensors have no broker, trying again");
            away = Some(ended);
        }
        if stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await.is_none() {
            break;
        }
    }
    acknowledged
}

/// Publishes over one connection until `stop` or the connection fails.
async fn publish(
    publisher: &mut Publisher,
    house: &mut House,
    per_second: f64,
    clock: Clock,
    stop: &CancellationToken,
    acknowledged: &mut u64,
) -> Result<(), String> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    let mut due: f64 = 1.0;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            now = ticks.tick() => {
                due += now.saturating_duration_since(last).as_secs_f64() * per_second;
                last = now;
            }
        }
        // What cannot be sent together is not owed: a pause of the machine is not made up for in a burst.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded, and never negative")]
        let count = (due as usize).min(MAX_TOGETHER);
        due = due.fract();
        if count > 0 {
            publisher.publish(std::iter::repeat_with(|| house.next(clock())).take(count)).await?;
            *acknowledged += count as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::demo::broker::{Broker, Script};
    use crate::message::Time;

    fn to(address: &str) -> config::Broker {
        super::super::broker_settings(address, CLIENT_ID)
    }

    #[tokio::test]
    async fn sensors_publish_until_they_are_stopped() {
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let broker = Broker::start(address, Script::default(), CancellationToken::new()).await.unwrap();
        let stop = CancellationToken::new();
        let settings = to(&format!("mqtt://{}", broker.address()));
        let sensors = tokio::spawn({
            let stop = stop.clone();
            async move { run(&settings, 2_000.0, Time::now, stop).await }
        });
        while broker.seen(CLIENT_ID).is_none() {
            tokio::task::yield_now().await;
        }
        // A broker that loses them is connected to again.
        broker.forget_sessions();
        while broker.seen(CLIENT_ID).is_none_or(|seen| seen.generation < 2) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // More than one window of messages has been taken since.
        let mut wire = to(&format!("mqtt://{}", broker.address()));
        wire.client_id = "another".to_owned();
        let mut other = Publisher::connect(&wire).await.unwrap();
        let mut house = House::new(Time::now());
        other.publish((0..50).map(|_| house.next(Time::now()))).await.unwrap();
        other.disconnect().await;
        stop.cancel();
        assert!(sensors.await.unwrap() > 0);
        broker.stop().await;
    }

    #[tokio::test]
    async fn sensors_without_a_broker_stop_all_the_same() {
        let stop = CancellationToken::new();
        let settings = to("mqtt://127.0.0.1:1");
        let sensors = tokio::spawn({
            let stop = stop.clone();
            async move { run(&settings, PER_SECOND, Time::now, stop).await }
        });
        tokio::task::yield_now().await;
        stop.cancel();
        assert_eq!(sensors.await.unwrap(), 0);
    }
}
