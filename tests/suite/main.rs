//! The integration tests: the real binary, a real broker and real databases.
//!
//! One binary with a module per subject, because each integration binary costs a link and its own database server.

#![allow(clippy::unwrap_used, reason = "all of it is test code")]

#[path = "../support/support.rs"]
mod support;

mod administrator;
mod broker;
mod browser;
mod clock;
mod configuration;
mod dashboards;
mod deadband;
mod devices;
mod discover;
mod documents;
mod duplicates;
mod faults;
mod floods;
mod hostile;
mod hostile_bytes;
mod hostile_payloads;
mod http;
mod init;
mod kill;
mod leave;
mod line;
mod overlap;
mod overload;
mod packages;
mod page;
mod reload;
mod restore;
mod retention;
mod session_faults;
mod simulate;
mod smoke;
mod stack;
mod status;
mod stop;
mod store;
mod store_faults;
mod transports;
mod two_ambers;
