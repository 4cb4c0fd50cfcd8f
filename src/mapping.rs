//! `Message → Outcome { Rows | Ignored | Rejected }`, by the mappings of the configuration. Pure: no I/O, no clock.

use crate::config::MappingConfig;
use crate::fault::Fault;
use crate::message::Message;
use crate::row::{Ignored, Mapped, Outcome};
use crate::schema::Schema;
use crate::topic::Subscription;

/// All mappings, compiled.
#[derive(Debug)]
pub struct Mapping {
    schema: Schema,
}

#[expect(unused_variables, reason = "contract")]
impl Mapping {
    /// Compiles all mappings; `Err` lists every fault, `Ok` may come with warnings.
    pub fn new(mappings: &[MappingConfig]) -> (Option<Self>, Vec<Fault>) {
        (None, vec![])
    }
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
    /// The filters to subscribe to: what covers the templates; not yet reduced (session does that).
    pub fn wanted(&self) -> Vec<Subscription> {
        vec![]
    }
    pub fn map(&self, message: &Message) -> Mapped {
        Mapped { outcome: Outcome::Ignored(Ignored::Unmapped), dropped: vec![] }
    }
}
