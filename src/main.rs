//! The binary: an exit code, nothing else.

use std::process::ExitCode;

use amber::cli;

fn main() -> ExitCode {
    cli::main()
}
