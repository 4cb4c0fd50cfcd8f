//! A connection and what is known of it. It is taken out for a call and put back only if its state is known: a
//! time-out, a cancelled call, a FATAL or a fault of the protocol drops it, and with it the adoption.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::timeout;

use super::error::{Failure, LEDGER_GONE};
use super::hindered::Obstacle;
use super::{Adopted, WriteError, Written};

/// What a batch is written under.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate<'a> {
    pub(super) writer: &'a str,
    /// Of the adoption on this connection.
    pub(super) epoch: i64,
    /// Of this process: two that have the same epoch, by a backup, are still two.
    pub(super) owner: i64,
    /// Number of the newest batch in the database, as far as this connection knows. It has another one if it was put
    /// back to an earlier state (a backup) under a connection that lives on: then what is cached of it is not true.
    pub(super) last: i64,
    pub(super) number: i64,
    pub(super) packets: &'a [u8],
}

/// The gate's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    Stored,
    /// The epoch is another's, or the number: nothing is stored.
    Fenced,
}

/// The connection of a writer.
#[derive(Debug)]
pub(super) struct Link<C> {
    connection: Option<C>,
    epoch: Option<i64>,
    /// Number of the newest batch in the database.
    last: i64,
    /// The epoch of the newest adoption of this process.
    adopted_before: Option<i64>,
    /// What the batch in doubt comes to, should it be stored.
    doubtful: Option<Written>,
    /// The tables were found to be others than planned.
    stale: bool,
    /// And nothing is wrong with them.
    outdated: bool,
    /// Columns were gone, or were made anew.
    anew: bool,
    /// Of the database: for what to do about a permission.
    user: String,
    /// Whether Amber changes tables itself; for the same.
    ddl: bool,
}

impl<C> Link<C> {
    pub(super) fn new(user: String, ddl: bool) -> Self {
        Self {
            connection: None,
            epoch: None,
            last: 0,
            adopted_before: None,
            doubtful: None,
            stale: false,
            outdated: false,
            anew: false,
            user,
            ddl,
        }
    }

    /// The epoch of the adoption, if there is one and the connection lives.
    pub(super) fn epoch(&self) -> Option<i64> {
        self.epoch.filter(|_| self.connection.is_some())
    }

    pub(super) fn adopted_before(&self) -> Option<i64> {
        self.adopted_before
    }

    /// Number of the newest batch in the database, as far as is known.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// The tables are others than planned: plan again.
    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    /// Columns are gone, or were made anew, and their old values with them.
    pub(super) fn made_anew(&mut self) {
        self.anew = true;
    }

    /// Whether that was so since this was last asked.
    pub(super) fn take_anew(&mut self) -> bool {
        std::mem::take(&mut self.anew)
    }

    /// Whether the plan is older than the tables, which are as they should be: no reason to wait.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// The tables are as planned.
    pub(super) fn planned(&mut self) {
        (self.stale, self.outdated) = (false, false);
    }

    /// The connection; whoever takes it gives it back, or it is dropped. `None`: there is none, so that a new one is
    /// to be made, which is not adopted.
    pub(super) fn take(&mut self) -> Option<C> {
        let connection = self.connection.take();
        if connection.is_none() {
            self.epoch = None;
        }
        connection
    }

    /// The connection, for good.
    pub(super) fn end(&mut self) -> Option<C> {
        self.epoch = None;
        self.connection.take()
    }

    /// Puts it back unless the outcome says that it is lost. `sent`: whether the statement that stores a batch was on
    /// its way.
    pub(super) fn give_back<T>(
        &mut self,
        connection: C,
        outcome: Result<T, Failure>,
        sent: bool,
    ) -> Result<T, WriteError> {
        match outcome {
            Ok(value) => {
                self.connection = Some(connection);
                Ok(value)
            }
            Err(failure) => {
                if !failure.lost {
                    self.connection = Some(connection);
                }
                Err(self.failed(failure, sent))
            }
        }
    }

    /// What a failure is to a column that a row brings.
    pub(super) fn obstacle(&self, failure: &Failure) -> Option<Obstacle> {
        failure.obstacle(&self.user)
    }

    /// What is told of a failure.
    pub(super) fn failed(&mut self, failure: Failure, sent: bool) -> WriteError {
        self.stale |= failure.stale;
        self.anew |= failure.stale && !failure.outdated;
        self.outdated |= failure.outdated;
        let failure = if self.ddl { failure } else { failure.without_ddl() };
        failure.into_write_error(sent, &self.user)
    }

    /// After a statement behind the gate: who is fenced off keeps no connection.
    pub(super) fn passed(
        &mut self,
        connection: C,
        outcome: Result<Passed, Failure>,
        sent: bool,
    ) -> Result<(), WriteError> {
        match self.give_back(connection, outcome, sent)? {
            Passed::Stored => Ok(()),
            Passed::Fenced => {
                drop(self.end());
                Err(WriteError::Fenced)
            }
        }
    }

    /// After a batch. If COMMIT has no answer, what was `written` is kept until an adoption has told.
    pub(super) fn wrote(
        &mut self,
        number: i64,
        passed: Result<(), WriteError>,
        written: Written,
    ) -> Result<Written, WriteError> {
        match passed {
            Ok(()) => {
                (self.last, self.doubtful) = (number, None);
                Ok(written)
            }
            Err(error) => {
                self.doubtful = matches!(error, WriteError::Away { in_doubt: true, .. }).then_some(written);
                Err(error)
            }
        }
    }

    /// What the batch in doubt comes to, if one is.
    pub(super) fn take_doubtful(&mut self) -> Option<Written> {
        self.doubtful.take()
    }

    /// After an adoption; `None`: the row is another's.
    pub(super) fn adopted(
        &mut self,
        connection: C,
        outcome: Result<Option<Adopted>, Failure>,
    ) -> Result<Adopted, WriteError> {
        let outcome = outcome.map_err(|failure| {
            let failure = failure.rowless().context("cannot adopt the delivery ledger");
            // To make the tables anew is to begin anew, which is for a person to decide.
            if failure.stale && self.adopted_before.is_some() { failure.with_advice(LEDGER_GONE) } else { failure }
        });
        let Some(adopted) = self.give_back(connection, outcome, false)? else {
            drop(self.end());
            return Err(WriteError::Fenced);
        };
        self.epoch = Some(adopted.epoch);
        self.last = adopted.seq;
        self.adopted_before = Some(adopted.epoch);
        Ok(adopted)
    }
}

/// Without an adopted connection nothing is written.
pub(super) fn not_adopted(place: &str) -> WriteError {
    WriteError::Away { in_doubt: false, source: anyhow!("not connected to {place}") }
}

/// Runs `work` for at most `limit`; beyond it the connection is lost, because the statement goes on.
///
/// What takes as many statements as there are tables or bad rows is bounded by the statement (`answered` of each
/// store), not as a whole: on a slow link it would come to the same end at every try.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(Failure::timed_out(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adopted() -> Adopted {
        Adopted { epoch: 7, seq: 0, packets: vec![], filters: String::new(), instance: String::new() }
    }

    #[test]
    fn a_connection_that_is_lost_or_not_given_back_is_not_adopted_any_more() {
        let mut link = Link::new(String::new(), true);
        assert!(link.take().is_none());
        link.adopted((), Ok(Some(adopted()))).unwrap();
        assert_eq!(link.epoch(), Some(7));
        // A call that is cancelled gives nothing back.
        assert!(link.take().is_some());
        assert_eq!(link.epoch(), None);
        assert!(link.take().is_none());
        // The next connection begins without an epoch.
        link.give_back((), Ok(()), false).unwrap();
        assert_eq!(link.epoch(), None);
        link.adopted((), Ok(Some(adopted()))).unwrap();
        assert!(link.take().is_some());
        let lost = link.give_back((), Err::<(), _>(Failure::away("gone")), true);
        assert!(matches!(lost, Err(WriteError::Away { in_doubt: true, .. })));
        assert_eq!(link.epoch(), None);
        assert_eq!(link.adopted_before(), Some(7));
    }

    #[test]
    fn an_error_on_a_connection_that_lives_keeps_the_adoption() {
        let mut link = Link::new(String::new(), true);
        link.adopted((), Ok(Some(adopted()))).unwrap();
        let refused = link.give_back((), Err::<(), _>(Failure::refused("no")), true);
        assert!(matches!(refused, Err(WriteError::Refused(_))));
        let stale = link.give_back((), Err::<(), _>(Failure::outdated("other tables")), true);
        assert!(matches!(stale, Err(WriteError::Standing(_))));
        assert_eq!(link.epoch(), Some(7));
        assert!(link.is_stale() && link.is_outdated());
        assert!(!link.take_anew(), "another Amber has added a tag");
        link.planned();
        assert!(!link.is_stale() && !link.is_outdated());
    }

    #[test]
    fn who_is_fenced_off_keeps_no_connection() {
        let mut link = Link::new(String::new(), true);
        link.adopted((), Ok(Some(adopted()))).unwrap();
        assert!(matches!(link.passed((), Ok(Passed::Fenced), true), Err(WriteError::Fenced)));
        assert!(link.take().is_none());
        assert!(matches!(link.adopted((), Ok(None)), Err(WriteError::Fenced)));
        assert!(link.take().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_of_one_statement_and_not_of_their_sum() {
        let limit = Duration::from_secs(35);
        let answer_after = |seconds| {
            within(limit, async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(seconds)
            })
        };
        for _ in 0..20 {
            assert_eq!(answer_after(30).await.unwrap(), 30);
        }
        let failure = answer_after(36).await.unwrap_err();
        assert!(failure.lost, "the statement goes on: {failure:?}");
    }
}
