//! Grafana dashboards, one for each measurement, made from the catalogue: a row "Now" (devices, last values), a panel for
//! each field with its unit, decimals and range, states for what is no number, and increases for counters.
//!
//! Pure: what the catalogue says becomes the text of a file. `folder` writes the files, `stage` does so while the service
//! runs; neither is ever in the way of a message. Not here: the dashboards written by hand (`grafana/dashboards`).
//!
//! Invariants:
//! - Equal catalogues give equal text, byte by byte.
//! - No name of the catalogue can change a query: identifiers and literals bear no character that Grafana or PostgreSQL
//!   reads otherwise (`name`).
//! - No panel reads more than a bounded number of devices, and each by the index over series and time (`query`).

mod field;
mod folder;
mod layout;
mod name;
mod panel;
mod query;
mod stage;
mod table;
mod unit;

pub use folder::{Folder, Written};
pub use name::slug;
pub use stage::Dashboards;

use crate::schema::Described;

/// The tag that every dashboard of Amber has.
const TAG: &str = "amber";
/// The tag of the dashboards of measurements, those that people copied from ours included: links go by it.
const MEASUREMENT_TAG: &str = "amber-measurement";
/// Amber's mark: a file whose dashboard has this tag is written anew when the catalogue changes, any other is left alone.
pub const MARK: &str = "amber-generated";

/// The dashboard of a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dashboard {
    pub measurement: String,
    /// Names the file: `<slug>.json`.
    pub slug: String,
    /// Classic dashboard JSON (`schemaVersion` 42), with a newline at its end.
    pub text: String,
}

/// The dashboards of `measurements`, in their order.
#[must_use]
pub fn all(measurements: &[Described]) -> Vec<Dashboard> {
    measurements.iter().map(of).collect()
}

fn of(measurement: &Described) -> Dashboard {
    let mut text = format!("{:#}", layout::dashboard(measurement));
    text.push('\n');
    Dashboard { measurement: measurement.name.clone(), slug: slug(&measurement.name), text }
}

/// The uid of the dashboard of a measurement.
fn uid(measurement: &str) -> String {
    format!("amber-m-{}", slug(measurement))
}
