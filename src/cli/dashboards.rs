//! `amber dashboards`: writes a Grafana dashboard for each measurement that the catalogue knows. Changes nothing in the
//! store.

use std::path::PathBuf;

use anyhow::{anyhow, bail};
use clap::Args as ClapArgs;

use super::Args;
use crate::dashboards::{self, Folder};
use crate::store::Describer;

#[derive(Debug, ClapArgs)]
pub struct DashboardsArgs {
    /// The folder to write to; otherwise `[dashboards] dir`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn dashboards(args: &Args, dashboards: &DashboardsArgs) -> anyhow::Result<()> {
    let (config, ..) = super::load(args)?;
    let Some(dir) = dashboards.out.clone().or(config.dashboards.dir) else {
        bail!("no folder is named: say `--out DIR`, or set `[dashboards] dir`");
    };
    let Some(describer) = Describer::new(&config.store) else {
        bail!("dashboards are made for PostgreSQL, and `[store] url` is a SQLite file");
    };
    let described = super::runtime()?.block_on(describer.describe(None));
    let Some((_, Some(measurements))) = described.map_err(|error| error.into_source().context("store"))? else {
        println!("no measurement is known yet: `amber run` makes the tables; nothing is written");
        return Ok(());
    };
    let written = Folder::new(dir).write(&dashboards::all(&measurements)).map_err(|why| anyhow!(why))?;
    for line in &written.kept {
        eprintln!("amber: {line}");
    }
    println!("{} written, {} as before, {} removed", written.written, written.unchanged, written.removed);
    Ok(())
}
