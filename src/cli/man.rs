//! `amber man`: the manual pages, from the definitions that parse the arguments. For packages; `--help` says the same.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::Args;

#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder for amber.1 and a page for each command; without it, amber.1 is printed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// What stands in the page of `amber` itself beyond its arguments.
const BEYOND: &str = r#".SH "EXIT STATUS"
.TP
.B 0
Done, or stopped as asked.
.TP
.B 1
It failed. A broker or a store that is away is no failure of
.BR "amber run" :
it waits, and tries again.
.TP
.B 2
The command line or the configuration is wrong; all faults are on standard error.
.SH ENVIRONMENT
.TP
.B AMBER_CONFIG
The configuration file, where
.B \-\-config
names none.
.TP
.BI AMBER__ SECTION __ KEY
Overrides a setting of the file:
.B AMBER__STORE__URL
is
.B url
in the section
.BR [store] .
.TP
.B NO_COLOR
.B amber explain
prints no colours.
.SH FILES
.TP
.I ./config.toml
.TQ
.I /etc/amber/config.toml
The configuration, the first that is there, unless it is named.
"#;

/// Writes a page for each command into the folder, or prints the one of `amber`.
pub fn man(args: &ManArgs, out: &mut impl Write) -> anyhow::Result<()> {
    // `amber help run` is `amber run --help`, and needs no page.
    let mut amber = Args::command().disable_help_subcommand(true);
    amber.build();
    let mut page = render(&amber)?;
    page.extend_from_slice(BEYOND.as_bytes());
    let Some(folder) = &args.folder else {
        out.write_all(&page)?;
        return Ok(());
    };
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    write(folder, "amber", &page)?;
    for command in amber.get_subcommands().filter(|command| !command.is_hide_set()) {
        write(folder, &format!("amber-{}", command.get_name()), &render(command)?)?;
    }
    Ok(())
}

fn render(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = format!("amber {}", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(source).manual("Amber").render(&mut page)?;
    Ok(page)
}

fn write(folder: &Path, name: &str, page: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page).with_context(|| format!("{} cannot be written", path.display()))
}
