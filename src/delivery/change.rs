//! Prepares the store for other tables, between two batches: all of it, or nothing has changed.
//!
//! Nobody waits here for a store that is away: the answer says so, the batches of before go on, and whoever asked asks
//! again.

use std::sync::Arc;

use super::{Change, Counters, Delivery, Fenced};
use crate::in_force::{InForce, Unfit};
use crate::schema::Schema;
use crate::status::told;
use crate::store::WriteError;

impl Delivery {
    pub(super) async fn change(&mut self, change: Change) -> Result<(), Fenced> {
        let Change { next, permit, answer } = change;
        let fit = match self.fit(&next.schema).await {
            Err(fenced @ WriteError::Fenced) => return self.wait_out(fenced).await,
            Ok(conflicts) if conflicts.is_empty() => Ok(()),
            Ok(conflicts) => Err(Unfit::Refused(conflicts)),
            Err(WriteError::Away { source, .. }) => Err(Unfit::Away(told(&source))),
            Err(error) => Err(Unfit::Refused(vec![told(&error.into_source())])),
        };
        if fit.is_ok() {
            self.up();
            self.follow(next);
        }
        // Nobody waits for it any more only if the line ends.
        drop(answer.send(fit));
        drop(permit);
        Ok(())
    }

    /// Prepares the store, or gives the conflicts.
    async fn fit(&mut self, schema: &Schema) -> Result<Vec<String>, WriteError> {
        if !self.store.is_adopted() {
            // A store that is not ours, or not the one that we know, is given no tables.
            let adopted = self.adopt().await;
            adopted.map_err(|error| match error {
                WriteError::Fenced => WriteError::Fenced,
                error => WriteError::Away { in_doubt: false, source: error.into_source() },
            })?;
        }
        let plan = self.report.watch(self.store.plan(schema)).await?;
        if !plan.conflicts.is_empty() {
            return Ok(plan.conflicts);
        }
        self.report.watch(self.store.prepare(schema)).await?;
        Ok(Vec::new())
    }

    /// From now on batches are made under `next`.
    fn follow(&mut self, next: Arc<InForce>) {
        self.counters = Counters::of(&next.schema, &self.metrics);
        self.deadbands.follow(&self.under.schema, &next.schema);
        let is_mapping = |name: &str| next.config.mappings.iter().any(|mapping| mapping.name.value == name);
        self.rate.follow(next.config.rejects.per_minute, is_mapping);
        if let Some(devices) = &mut self.devices {
            devices.follow(&next.schema);
        }
        // By position, and of columns that may be there now.
        self.lost.clear();
        self.under = next;
    }
}
