//! The graceful end: no further message is taken, what is in hand comes to rest and is acknowledged, DISCONNECT.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Connection, End, hand_on};
use crate::session::Run;
use crate::session::dial::Transport;
use crate::session::link::Link;
use crate::session::wire::Packet;

/// How long the last acknowledgements may take to be confirmed; without it they are known next time.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);

impl<S: Transport> Connection<'_, S> {
    /// Ends within the grace period, whatever the broker and the store do.
    pub(super) async fn finish(mut self) -> End {
        let deadline = Instant::now() + self.run.session.grace;
        // Not taken: they come again.
        drop(self.copies.release());
        self.rest(deadline).await;
        self.say_offline();
        self.confirm(deadline.min(Instant::now() + CONFIRM_TIMEOUT)).await;
        self.link.writer.outgoing.disconnect();
        let goodbye = async {
            if self.link.writer.flush().await.is_ok() {
                self.link.writer.close().await;
            }
        };
        if timeout_at(Instant::now() + CONFIRM_TIMEOUT, goodbye).await.is_err() {
            tracing::debug!("the broker did not take our disconnect");
        }
        End::Stopped
    }

    /// Hands on what is held, closes the channel, acknowledges what comes to rest; reads nothing.
    async fn rest(&mut self, deadline: Instant) {
        self.reading = false;
        loop {
            if self.run.held.is_empty() {
                self.run.out = None;
            }
            self.reply();
            if self.run.out.is_none() && self.run.session.in_hand.messages() == 0 {
                return;
            }
            let due = self.due().min(deadline);
            let Link { writer, .. } = &mut self.link;
            let Run { session, held, out, .. } = &mut *self.run;
            let pending = writer.is_pending();
            tokio::select! { biased;
                () = session.in_hand.settled() => {}
                flushed = writer.flush(), if pending => match flushed {
                    Ok(()) => self.spoken = Instant::now(),
                    Err(_) => return,
                },
                handed_on = hand_on(out.as_ref(), held), if !held.is_empty() => if !handed_on { return },
                () = sleep_until(due) => {
                    if Instant::now() >= deadline {
                        tracing::warn!(
                            messages = self.run.session.in_hand.messages(),
                            "the grace period is over; what is not acknowledged comes again"
                        );
                        return;
                    }
                    if self.tick().is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// One round trip behind the last acknowledgement, so that the ledger need not remember it, and behind our status.
    async fn confirm(&mut self, deadline: Instant) {
        let in_hand = std::sync::Arc::clone(&self.run.session.in_hand);
        if in_hand.lock().ledger.unmarked() > 0 {
            self.ping();
        }
        let round_trip = async {
            while in_hand.lock().ledger.is_pinging() || self.link.writer.is_pending() || !self.presence.is_answered() {
                let Link { reader, writer } = &mut self.link;
                let pending = writer.is_pending();
                tokio::select! { biased;
                    flushed = writer.flush(), if pending => if flushed.is_err() { return },
                    packet = reader.next() => match packet {
                        Some(Ok(Packet::PingResp)) => {
                            in_hand.lock().ledger.pong();
                        }
                        Some(Ok(Packet::PubRel { packet_id })) => {
                            writer.outgoing.reply(in_hand.lock().ledger.pubrel(packet_id));
                        }
                        Some(Ok(Packet::PubAck { packet_id, .. })) => {
                            self.presence.acknowledged(packet_id);
                        }
                        // Messages are not taken any more: they come again.
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return,
                    },
                }
            }
        };
        if timeout_at(deadline, round_trip).await.is_err() {
            tracing::debug!("the last acknowledgements were not confirmed");
        }
    }
}
