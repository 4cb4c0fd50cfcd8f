//! The embedded broker and the simulated sensors of `amber demo`.

pub mod broker;
