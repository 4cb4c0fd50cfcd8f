//! The configuration in force, as one value, and how another takes its place.
//!
//! `pipeline` keeps it in a `watch` channel. A stage that hangs on the configuration or on the tables follows that channel
//! ([`Following`]): what it reads there has tables in the store already, and the mapper makes rows by it.
//!
//! What is not here: reading the files (`reload`), preparing the store (`delivery`), the swap (`pipeline`).

use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use crate::config::Config;
use crate::mapping::Mapping;
use crate::schema::Schema;

/// What the service runs by. Rows name their measurement by its position in `schema`, so they come with the `InForce` that
/// they were made under (`delivery::Sealed`); positions of another one mean something else.
#[derive(Debug)]
pub struct InForce {
    /// 1 at the start, and one more with each change.
    pub number: u64,
    /// Of what cannot change in a running service it has what the service was started with.
    pub config: Arc<Config>,
    pub schema: Schema,
}

/// Follows what is in force. A change is seen after the store is prepared for it and the mapper maps by it.
pub type Following = watch::Receiver<Arc<InForce>>;

/// A configuration that is to be put in force. It is given up if nobody waits for the answer any more.
#[derive(Debug)]
pub struct Order {
    pub config: Arc<Config>,
    pub mapping: Mapping,
    pub answer: oneshot::Sender<Result<(), Unfit>>,
}

/// Why it is not in force; what was before goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The store is away, or somebody holds a table: to be tried again.
    Away(String),
    /// The tables are in the way, or a permission is missing; each with what to do.
    Refused(Vec<String>),
}
