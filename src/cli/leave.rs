//! `amber leave`: ends the session at the broker and its queue, before Amber is removed. The store is left as it is.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args as ClapArgs;

use super::{Args, health};
use crate::session::{self, Left};
use crate::topic;

/// An Amber that runs answers at once.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, ClapArgs)]
pub struct LeaveArgs {
    /// Also if another client seems to use the session
    #[arg(long)]
    yes: bool,
}

pub fn leave(args: &Args, leave: &LeaveArgs) -> anyhow::Result<()> {
    let (config, ..) = super::load(args)?;
    let client_id = &config.broker.client_id;
    super::runtime()?.block_on(async {
        let address = health::reachable(config.http.listen.value);
        let answer = tokio::time::timeout(PATIENCE, health::ask(address)).await;
        if !leave.yes && matches!(answer, Ok(Ok(_))) {
            bail!(
                "an Amber that runs answers on {address} (`[http] listen`); stop it first, for it would connect again, \
                 or say `--yes` if it is another one"
            );
        }
        let waiting = |time: Duration| {
            println!(
                "looking for {} s whether another client takes the session back; `--yes` skips this",
                time.as_secs()
            );
        };
        match session::leave(&config.broker, leave.yes, waiting).await.map_err(|why| anyhow!("broker: {why}"))? {
            Left::Ended { existed: true } => println!(
                "the session of `{client_id}` and its queue are ended; how many messages were in it, the broker does not say"
            ),
            Left::Ended { existed: false } => println!("the broker had no session of `{client_id}`"),
            Left::Online => bail!(
                "an Amber with the client id `{client_id}` runs: `{}` says `online` at the broker; stop it, or say `--yes` \
                 if it died without the broker",
                topic::status(client_id)
            ),
            Left::InUse => bail!(
                "another client with the client id `{client_id}` took the connection back: it runs, and its session is \
                 left as it is; stop it, or say `--yes`"
            ),
        }
        Ok(())
    })
}
