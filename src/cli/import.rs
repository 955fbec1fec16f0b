//! `slipway import …`: moving in from JupyterHub.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::import_config::{self, ConfigArguments};
use super::{fail, print};
use crate::config::{BackendChoice, Config};
use crate::model::{Clock as _, SystemClock};
use crate::store::Store;
use crate::takeover::jupyterhub::{self, Ours, Plan, Settings};

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Take the accounts, groups, tokens and servers of a JupyterHub's database.
    #[command(after_help = JUPYTERHUB_HELP)]
    Jupyterhub(JupyterhubArguments),
    /// Write the slipway.toml that matches a jupyterhub_config.py; no Python is run.
    Config(ConfigArguments),
}

const JUPYTERHUB_HELP: &str = "\
Reads the SQLite database of JupyterHub 4, 5 or 6, with NativeAuthenticator's passwords if it has them, and never
changes it. Stop JupyterHub and Slipway first; servers go on running. All comes in with one commit, or nothing does.

An account that is here and did not come from that database is newer: it stays as it is, and nothing of the other's
becomes its own. What came in once never does again, so a second run changes nothing, and what was deleted here since
stays deleted.";

#[derive(Debug, Args)]
pub(super) struct JupyterhubArguments {
    /// Its SQLite database: jupyterhub.sqlite
    #[arg(long, value_name = "FILE")]
    db: PathBuf,
    /// Its cookie secret: jupyterhub_cookie_secret. It is only looked at: browsers' sessions cannot come along, so everybody
    /// signs in once more
    #[arg(long, value_name = "FILE")]
    cookie_secret: Option<PathBuf>,
    /// Say what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(asked: &ImportCommand, config: &Config) -> ExitCode {
    match asked {
        ImportCommand::Jupyterhub(asked) => match jupyterhub(asked, config) {
            Ok(report) => print(&report),
            Err(error) => return fail(&*error),
        },
        ImportCommand::Config(asked) => return import_config::run(asked),
    }
    ExitCode::SUCCESS
}

/// The report of what has happened, or would.
fn jupyterhub(asked: &JupyterhubArguments, config: &Config) -> Result<String, Box<dyn Error>> {
    asked.cookie_secret.as_deref().map(jupyterhub::check_cookie_secret).transpose()?;
    // Before the store: what cannot be read makes none.
    let old = jupyterhub::read(&asked.db, &std::env::temp_dir())?;
    let settings = settings_of(config);
    let now = SystemClock.now();
    let (plan, outcome) = if asked.dry_run && !Store::is_at(&config.store) {
        (jupyterhub::plan(&old, &Ours::nothing(settings), now), DRY)
    } else {
        let store = Store::open(&config.store)?;
        let plan = jupyterhub::plan(&old, &Ours::of(&store, settings)?, now);
        if !asked.dry_run && !plan.is_empty() {
            store.write(|transaction| jupyterhub::apply(transaction, &plan, now))?;
        }
        let outcome = outcome_of(&plan, asked.dry_run);
        (plan, outcome)
    };
    let note = asked.cookie_secret.as_ref().map(|_| format!("note: {}\n", jupyterhub::COOKIE_SECRET_NOTE));
    Ok(format!("{}{}\n{outcome}\n", jupyterhub::report(&plan), note.unwrap_or_default()))
}

const DRY: &str = "Dry run: nothing was changed.";

fn outcome_of(plan: &Plan, is_dry: bool) -> &'static str {
    match (plan.is_empty(), is_dry) {
        (true, true) => "Dry run: there is nothing to take over, and nothing was changed.",
        (false, true) => DRY,
        (true, false) => "There was nothing to take over: nothing was changed.",
        (false, false) => "All of it has come in, with one commit.",
    }
}

fn settings_of(config: &Config) -> Settings {
    Settings {
        base: config.hub.base.clone(),
        has_containers: matches!(config.backend, BackendChoice::Auto | BackendChoice::Docker),
        services: config.auth.services.iter().map(|service| service.name.clone()).collect(),
        roles: config.auth.roles.iter().map(|role| role.name.clone()).collect(),
    }
}
