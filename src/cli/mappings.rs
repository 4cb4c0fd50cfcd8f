//! `amber mappings`: the ready mappings that come with Amber, by name, and the text of each.

use std::io::Write as _;

use clap::Args as ClapArgs;

use super::Wrong;
use crate::discover::ready;

#[derive(Debug, ClapArgs)]
pub struct MappingsArgs {
    /// Print this one; without a name they are listed
    name: Option<String>,
}

pub fn mappings(args: &MappingsArgs) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let Some(name) = &args.name else {
        for (name, text) in ready::FILES {
            writeln!(out, "{name:<20} {}", ready::title(text))?;
        }
        return Ok(());
    };
    let name = name.strip_suffix(".toml").unwrap_or(name);
    let Some(text) = ready::text(name) else {
        let nearest = ready::FILES
            .iter()
            .map(|(known, _)| *known)
            .max_by(|one, other| strsim::jaro_winkler(one, name).total_cmp(&strsim::jaro_winkler(other, name)));
        let nearest = nearest.map(|nearest| format!("; `{nearest}`?")).unwrap_or_default();
        eprintln!("amber: there is no ready mapping `{name}`{nearest} `amber mappings` lists them");
        return Err(Wrong.into());
    };
    Ok(out.write_all(text.as_bytes())?)
}
