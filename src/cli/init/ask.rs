//! Questions on a terminal.

use std::io::{BufRead as _, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Asks, and reads a line. An empty one stands for `default`.
///
/// # Errors
/// The input has ended.
pub(super) fn question(what: &str, default: &str) -> anyhow::Result<String> {
    let mut out = std::io::stdout().lock();
    match default {
        "" => write!(out, "{what}: ")?,
        default => write!(out, "{what} [{default}]: ")?,
    }
    out.flush()?;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line).context("the answer cannot be read")? == 0 {
        writeln!(out)?;
        bail!("ended; nothing is written");
    }
    let line = line.trim();
    Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
}

/// Yes or no.
///
/// # Errors
/// The input has ended.
pub(super) fn is_wanted(what: &str) -> anyhow::Result<bool> {
    loop {
        match question(&format!("{what} (y/n)"), "y")?.to_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => say("  `y` or `n`, please")?,
        }
    }
}

/// Reads a line that is not shown. A shell does it, which gives the terminal back its echo however that ends.
///
/// # Errors
/// There is no shell, or it was ended.
pub(super) fn secret(what: &str) -> anyhow::Result<String> {
    const SCRIPT: &str =
        "trap 'stty echo' EXIT; trap 'exit 130' INT TERM HUP; stty -echo; IFS= read -r word; printf %s \"$word\"";
    let mut out = std::io::stdout().lock();
    write!(out, "{what}: ")?;
    out.flush()?;
    let mut shell = Command::new("sh");
    let read = shell.args(["-c", SCRIPT]).stdin(Stdio::inherit()).stderr(Stdio::inherit()).output();
    writeln!(out)?;
    let read = read.context("the password cannot be read")?;
    if !read.status.success() {
        bail!("ended; nothing is written");
    }
    String::from_utf8(read.stdout).context("the password is not UTF-8")
}

/// A line for people.
///
/// # Errors
/// Nobody reads it.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}
