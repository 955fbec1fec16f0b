//! `slipway restore FILE`: brings a backup back, after it has said what that means.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{fail, print};
use crate::config::Config;
use crate::control::{self, Request};
use crate::model::{Clock as _, SystemClock};
use crate::store::{self, Backup};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A file that `slipway backup` has made.
    file: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(asked: &Arguments, config: &Config) -> ExitCode {
    let backup = match Backup::open(&asked.file) {
        Ok(backup) => backup,
        Err(error) => return fail(&error),
    };
    let data_dir = config.store.data_dir.display();
    // Before anybody is asked anything; the store's own lock says it again.
    if control::ask(&config.control, &Request::Health).is_ok() {
        eprintln!("slipway: an instance runs on {data_dir}: stop it first, and then restore; nothing was changed");
        return ExitCode::FAILURE;
    }
    eprintln!(
        "The store in {data_dir} becomes that of {}, as slipway {} wrote it. Files of a store that is there now are kept in \
         a dated folder beside it. Everybody signs in again; tokens that were revoked since then are valid again.",
        backup.made().at,
        backup.made().version,
    );
    if !asked.yes
        && let Err(error) = confirm()
    {
        return fail(&error);
    }
    match store::restore(&config.store, &backup, SystemClock.now()) {
        Ok(Some(kept)) => print(&format!("restored; the store of before is in {}\n", kept.display())),
        Ok(None) => print("restored\n"),
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

fn confirm() -> std::io::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(std::io::Error::other("there is no terminal to ask; say --yes if you mean it"));
    }
    eprint!("Type yes to go on: ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == "yes" { Ok(()) } else { Err(std::io::Error::other("nothing was changed")) }
}
