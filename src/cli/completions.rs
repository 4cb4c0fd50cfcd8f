//! `amber completions`: what a shell needs to complete command lines, from the definitions that parse them.

use std::io::Write;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Args;

#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell that is to complete
    shell: Shell,
}

/// Prints the script for the shell.
pub fn completions(args: &CompletionsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    // To memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "amber", &mut script);
    out.write_all(&script)?;
    Ok(())
}
