//! The program `slipway`: reads the command line, runs the command, hands its exit status to the system.

use std::process::ExitCode;

fn main() -> ExitCode {
    slipway::cli::run(std::env::args_os())
}
