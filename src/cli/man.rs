//! `slipway man [FOLDER]`: a manual page for the program and for each of its commands, from the same words as `--help`.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_mangen::Man;

use super::{Arguments, fail, print};

pub(super) fn run(folder: Option<&Path>) -> ExitCode {
    // Its subcommands named in full, as pages want them: `slipway-user-add`.
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let written = match folder {
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)),
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).map(|()| print(&String::from_utf8_lossy(&page)))
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}
