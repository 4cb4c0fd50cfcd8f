//! Listens to a broker for a while.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{anyhow, bail};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::config::Broker;
use crate::discover::Sample;
use crate::message::Time;
use crate::session::{Came, Listener};
use crate::topic::TopicFilter;

/// Of longer payloads nothing is kept, so the rest is not even read into memory.
const MAX_PAYLOAD_BYTES: usize = (64 << 10) + 1;

/// Takes what comes by `filters` within `duration`, or until `stop`, into `sample`.
///
/// # Errors
/// No connection, every filter refused, or no message; what to do about it.
pub(in crate::cli) async fn listen(
    broker: &Broker,
    filters: &[TopicFilter],
    duration: Duration,
    sample: &mut Sample,
    stop: &CancellationToken,
    tell: &mut dyn FnMut(String),
) -> anyhow::Result<()> {
    let url = &broker.url.value;
    let broker = Broker { max_payload_bytes: broker.max_payload_bytes.min(MAX_PAYLOAD_BYTES), ..broker.clone() };
    let connected = tokio::select! {
        connected = Listener::connect(&broker, filters) => connected,
        () = stop.cancelled() => bail!("ended before the broker answered"),
    };
    let mut listener = connected.map_err(|why| anyhow!("broker: `{url}`: {why}"))?;
    let end = Instant::now() + duration;
    let mut progress = Progress::new(end);
    let mut refused = Vec::new();
    let lost = loop {
        let came = tokio::select! {
            came = listener.next(Time::now) => came,
            () = progress.tick() => {
                progress.show(sample);
                continue;
            }
            () = tokio::time::sleep_until(end) => break None,
            () = stop.cancelled() => break None,
        };
        match came {
            Ok(Came::Message(message)) => sample.take(&message),
            Ok(Came::Refused(filter, why)) => {
                progress.clear();
                tell(format!("the broker does not let us hear `{filter}` ({why}); let this user read it"));
                refused.push(filter);
            }
            Ok(Came::Subscribed) if refused.len() == filters.len() => break None,
            Ok(Came::Subscribed) => {}
            Err(why) => break Some(why),
        }
    };
    progress.clear();
    if lost.is_none() {
        listener.disconnect().await;
    }
    if sample.messages() > 0 {
        if let Some(why) = lost {
            tell(format!("broker: {why}; the proposal is of what was heard until then"));
        }
        return Ok(());
    }
    if let Some(why) = lost {
        bail!("broker: `{url}`: {why}");
    }
    let named: Vec<String> = filters.iter().map(|filter| format!("`{filter}`")).collect();
    if refused.len() == filters.len() {
        bail!("broker: `{url}`: every filter was refused; let this user read {}, or name others", named.join(", "));
    }
    bail!(
        "no message came by {} from `{url}`. Check that devices publish to this broker and not to another \
         (`mosquitto_sub -v -t '#'`), that this user may read their topics (many brokers refuse in silence), and listen \
         longer where they publish seldom (`--for 10m`)",
        named.join(", ")
    )
}

/// One line on a terminal that follows the counts; elsewhere nothing.
struct Progress {
    ticks: tokio::time::Interval,
    end: Instant,
    is_terminal: bool,
}

impl Progress {
    fn new(end: Instant) -> Self {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { ticks, end, is_terminal: std::io::stderr().is_terminal() }
    }

    async fn tick(&mut self) {
        self.ticks.tick().await;
    }

    fn show(&self, sample: &Sample) {
        let left = self.end.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
        let about = if sample.one_in() > 1 { "about " } else { "" };
        let (messages, topics) = (sample.messages(), sample.topics_heard());
        self.write(&format!(
            "\r{messages} messages   {about}{topics} topics   {left} s left   Ctrl-C: that is enough\x1b[K"
        ));
    }

    /// Makes room for a line that stays.
    fn clear(&self) {
        self.write("\r\x1b[K");
    }

    fn write(&self, text: &str) {
        if self.is_terminal {
            let mut out = std::io::stderr().lock();
            // If nobody reads it, nobody misses it.
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
        }
    }
}
