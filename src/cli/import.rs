//! `slipway import …`: moving in from JupyterHub.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::import_config::{self, ConfigArguments};
use super::{fail, print};
use crate::config::Config;
use crate::takeover::jupyterhub;

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Take the accounts, groups, tokens and servers of a JupyterHub's database.
    Jupyterhub(JupyterhubArguments),
    /// Write the slipway.toml that matches a jupyterhub_config.py; no Python is run.
    Config(ConfigArguments),
}

#[derive(Debug, Args)]
pub(super) struct JupyterhubArguments {
    /// Its SQLite database: jupyterhub.sqlite
    #[arg(long, value_name = "FILE")]
    db: PathBuf,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(asked: &ImportCommand, _config: &Config) -> ExitCode {
    match asked {
        ImportCommand::Jupyterhub(asked) => match jupyterhub::read(&asked.db, &std::env::temp_dir()) {
            Ok(old) => print(&format!("revision {}; dry run: {}\n", old.revision, asked.dry_run)),
            Err(error) => return fail(&error),
        },
        ImportCommand::Config(asked) => return import_config::run(asked),
    }
    ExitCode::SUCCESS
}
