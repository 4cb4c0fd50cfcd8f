//! Amber keeps what sensors say: MQTT messages in, typed rows out, each exactly once.
//!
//! The map, in the order in which a message travels back from its acknowledgement. A module uses only
//! modules below it.

pub mod backoff; // how long to wait before trying again
pub mod batch; // outcomes to Batch, closed by rows, bytes or the store being free
pub mod cli; // arguments; one file per command
pub mod config; // files and environment to a checked Config, all faults at once
pub mod dashboards; // a Grafana dashboard per measurement, from the catalogue
pub mod delivery; // brings a batch to rest: commit, retry, split off the refused row
pub mod demo; // the embedded broker and the simulated sensors of `amber demo`
pub mod device; // how often a device is heard, and what is new of it
pub mod discover; // from heard messages to a proposed mapping
pub mod explain; // what becomes of a message, told to people and to programs
pub mod fault; // what is wrong with a configuration: where, what, how to mend it
pub mod http; // /health, /ready, /metrics, and the live page
pub mod ignored; // which topics were ignored lately
pub mod in_force; // the configuration in force, and how another takes its place
pub mod mapping; // Message to Outcome, pure
pub mod message; // what comes in: messages, deliveries, times
pub mod metrics; // every metric, declared once
pub mod pipeline; // starts, names, joins and stops the stages; alone in knowing them all
pub mod reload; // watches the files of the configuration, and orders what they say
pub mod row; // what goes out: rows, rejects, outcomes
pub mod schema; // measurements, their tags and fields
pub mod session; // the MQTT session: connect, subscribe, receive, acknowledge in order
pub mod status; // what `/ready` answers: the condition of broker and store
pub mod store; // PostgreSQL and SQLite: one batch, one transaction
pub mod topic; // topic filters: what matches, what covers
