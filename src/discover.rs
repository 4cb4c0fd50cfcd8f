//! From heard messages to a proposed mapping: what `amber discover` writes, and a person then edits.
//!
//! `sample` keeps what was heard, within bounds. Pure: no I/O, no clock.

pub mod sample;

pub use sample::{Bounds, Heard, Payload, Sample};
