//! `slipway backup FILE`: all that is kept, in one file; the running instance writes it, if one runs.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{command, fail, print};
use crate::config::Config;
use crate::control::{Answer, Request};
use crate::store::Store;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file to write, 0600. It holds every secret of the installation: keep it as you keep those.
    file: PathBuf,
    /// Replace an earlier backup.
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn run(asked: &Arguments, config: &Config) -> ExitCode {
    if !Store::is_at(&config.store) {
        eprintln!("slipway: there is nothing to back up in {}; is data_dir right?", config.store.data_dir.display());
        return ExitCode::FAILURE;
    }
    // The running instance has another working folder.
    let file = match std::path::absolute(&asked.file) {
        Ok(file) => file,
        Err(error) => return fail(&error),
    };
    match command::ask_or_execute(config, Request::Backup { file: file.clone(), replace: asked.overwrite }) {
        Ok(Answer::BackedUp { bytes, values }) => {
            print(&format!("{}: {values} values in {bytes} bytes, written and checked\n", file.display()));
            ExitCode::SUCCESS
        }
        Ok(Answer::Refused { message }) => {
            eprintln!("slipway: {message}");
            ExitCode::FAILURE
        }
        Ok(other) => {
            eprintln!("slipway: the running instance gave another answer than asked for: {other:?}");
            ExitCode::FAILURE
        }
        Err(error) => fail(&*error),
    }
}
