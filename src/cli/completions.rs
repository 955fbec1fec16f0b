//! `slipway completions SHELL`: what a shell needs to complete our commands and options.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Arguments, print};

pub(super) fn run(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "slipway", &mut script);
    print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
