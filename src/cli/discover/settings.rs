//! Which broker is listened to, and what the configuration reads already.

use std::path::PathBuf;

use super::super::Args;
use super::DiscoverArgs;
use crate::config::{self, Loaded};
use crate::fault::{Fault, Place, Severity};

/// The configuration, as far as it concerns us: what the arguments say, else the environment, else the file.
///
/// With `--broker` only a file that is named counts: the password of one broker is not for another. Where captured
/// messages are read, and where there is none, no file is needed.
pub(super) fn loaded(args: &Args, discover: &DiscoverArgs) -> Loaded {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let given = [
        ("URL", discover.broker.clone()),
        ("USERNAME", discover.user.clone()),
        ("PASSWORD_FILE", path(&discover.password_file)),
        ("CA", path(&discover.ca)),
    ];
    let given = given.into_iter().filter_map(|(key, value)| Some((format!("AMBER__BROKER__{key}"), value?)));
    let given: Vec<(String, String)> = given.collect();
    let named = super::super::named(args);
    let file = if discover.broker.is_some() { args.config.clone() } else { config::find(named.as_deref()) };
    // What Amber would be told of its store is none of our concern.
    let concerns = |name: &str| name.starts_with("AMBER__BROKER__");
    let environment = config::environment()
        .filter(|(name, _)| concerns(name) && given.iter().all(|(other, _)| !name.eq_ignore_ascii_case(other)))
        .collect::<Vec<_>>();
    let settings = environment.into_iter().chain(given.clone());
    let mut loaded = match &file {
        Some(file) => config::load(Some(file), settings),
        None => config::load_text("arguments", "", settings),
    };
    if discover.from.is_some() {
        loaded.needs_no_connections();
    } else {
        loaded.needs_no_store();
    }
    // With no file, and nothing that names a broker: what to do is another thing than to write a section.
    if file.is_none() && loaded.faults.iter().any(|fault| fault.path == "broker.url") && discover.broker.is_none() {
        let what = "no broker: there is no configuration file";
        let remedy = "say which with `--broker mqtt://localhost:1883`, name a file with `--config`, or read captured \
                      messages with `--from FILE`";
        loaded.faults = vec![Fault::new(&Place::Default, "", what, remedy)];
    }
    loaded.faults.retain(|fault| fault.severity == Severity::Fault);
    loaded
}
