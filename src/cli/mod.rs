//! The command line: `slipway serve`, `check`, `health`, `import …`, `user …`, `token …`, `chp`. Each command is a file.
//!
//! Exit status: 0 done, 1 failed, 2 the command line or the configuration is wrong; `chp` has those of the program that
//! it stands for.
// The terminal is this module's business, and nobody else's.
#![allow(clippy::print_stderr)]

mod backup;
mod check;
mod chp;
mod command;
mod completions;
mod health;
mod import;
mod import_config;
mod man;
mod python_file;
mod reload;
mod restore;
mod serve;
mod systemd;
mod token;
mod user;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Loaded, Mistake, Source, Sources};

const AFTER_HELP: &str = "\
Examples:
  slipway serve                    run; the log shows the address and the setup link
  slipway check                    show the settings in force, or every mistake in them
  slipway user add alice --admin   make an administrator; asks for the password
  slipway reload                   take up changes of the configuration while it runs
  slipway token add alice --scope list:users --expires-in 30d
  SLIPWAY_LISTENER_HTTPS=0.0.0.0:443 slipway serve

Settings come from config/slipway.toml (or --config), then from the environment, which wins:
the key `listener.https` is the variable SLIPWAY_LISTENER_HTTPS. The file explains every key.";

const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nTLS by rustls with aws-lc-rs, store redb, servers in Docker (API 1.41 or later) or as processes.",
    "\nLicence Apache-2.0; the parts it is made of and their licences: docs/third-party.md."
);

/// A TLS-terminating reverse proxy that knows its users and starts their JupyterLab on the first request.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, long_version = LONG_VERSION, about, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    /// The configuration file.
    #[arg(long, global = true, env = "SLIPWAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until Ctrl-C or SIGTERM; a second one stops at once. Servers of users go on running.
    Serve,
    /// Show every setting with its value and where it came from, or every mistake at once, also of the file of routes (status 2).
    Check,
    /// Take up the configuration as it is now, without ending a request; or tell every mistake in it (status 2).
    Reload,
    /// Write accounts, tokens, groups and all else that is kept into one file; also while Slipway runs.
    Backup(backup::Arguments),
    /// Bring a backup back; the store of before is kept beside it. Slipway must not be running.
    Restore(restore::Arguments),
    /// Ask the running instance whether it is well (status 0) or not (status 1).
    Health,
    /// Stand in configurable-http-proxy's place: its options, its REST API.
    Chp(Box<chp::Arguments>),
    /// Move in from JupyterHub: its accounts, tokens and running servers, and its settings.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Make, list and revoke API tokens of users and services; also while Slipway runs.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Print the completions of a shell: slipway completions bash >/etc/bash_completion.d/slipway
    Completions {
        /// Which one.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder, or print the first one.
    Man {
        /// The folder; left out: slipway(1) on standard output.
        folder: Option<PathBuf>,
    },
    /// Add, list, authorise and delete users, and set passwords; also while Slipway runs.
    #[command(subcommand)]
    User(user::UserCommand),
}

/// Runs the command that `arguments` names.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if chp::is_called_by_its_name(&arguments) {
        arguments.insert(1, "chp".into());
    }
    let is_chp = arguments.get(1).is_some_and(|command| command == "chp");
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are not mistakes; clap knows which is which.
            let _ = error.print();
            let status = u8::try_from(error.exit_code()).unwrap_or(2);
            return ExitCode::from(if is_chp { status.min(chp::WRONG) } else { status });
        }
    };
    // It is a program of its own: our configuration is none of its business.
    let command = match arguments.command {
        Command::Chp(options) => return chp::run(&options),
        // It is there to make our configuration.
        Command::Import(import::ImportCommand::Config(asked)) => return import_config::run(&asked),
        // They are of the program, whatever its configuration.
        Command::Completions { shell } => return completions::run(shell),
        Command::Man { folder } => return man::run(folder.as_deref()),
        command => command,
    };
    let (settings, config) = match load_configuration(arguments.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(mistakes) => return refuse(&mistakes),
    };
    match command {
        Command::Chp(options) => chp::run(&options),
        Command::Import(command) => import::run(&command, &config),
        Command::Serve => serve::run(config),
        // Answered above.
        Command::Completions { shell } => completions::run(shell),
        Command::Man { folder } => man::run(folder.as_deref()),
        Command::Check => check::run(&settings, &config),
        Command::Reload => reload::run(&config),
        Command::Backup(asked) => backup::run(&asked, &config),
        Command::Restore(asked) => restore::run(&asked, &config),
        Command::Health => health::run(&config),
        Command::Token(command) => token::run(command, &config),
        Command::User(command) => user::run(command, &config),
    }
}

/// The file that is read when `--config` does not name one, if it is there.
const DEFAULT_FILE: &str = "config/slipway.toml";

/// The variable that names a file with what holds in this installation unless something else is said: the image's.
const DEFAULTS: &str = "SLIPWAY_DEFAULTS";

fn load_configuration(named: Option<&Path>) -> Loaded {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        // It may be there when the configuration is taken up again.
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(vec![Mistake::unreadable(path, &error)]),
    };
    let environment: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let defaults_path = environment.iter().find(|(name, text)| name == DEFAULTS && !text.is_empty());
    let defaults_path = defaults_path.map(|(_, path)| PathBuf::from(path));
    let defaults = match &defaults_path {
        None => None,
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Some((path.as_path(), text)),
            Err(error) => return Err(vec![Mistake::unreadable(path, &error)]),
        },
    };
    // Only in the image: elsewhere it is the file of a JupyterHub beside us.
    let python = match defaults {
        Some(_) => python_file::read(&environment).map_err(|mistake| vec![mistake])?,
        None => python_file::Taken::default(),
    };
    let (settings, mut config) = config::load_all(Sources {
        defaults: defaults.as_ref().map(|(path, text)| (*path, text.as_str())),
        given: python.given.clone(),
        file: Some((path, text.as_str())),
        environment,
    })?;
    config.notes.extend(python.notes(&settings));
    let named = named.map(Path::to_owned);
    config.source = Source::new(&settings, move || load_configuration(named.as_deref()));
    Ok((settings, config))
}

fn refuse(mistakes: &[Mistake]) -> ExitCode {
    let count = mistakes.len();
    eprintln!("slipway: {count} {} in the configuration:", if count == 1 { "mistake" } else { "mistakes" });
    for mistake in mistakes {
        eprintln!("  {mistake}");
    }
    ExitCode::from(2)
}

/// Prints a command's result. Whoever reads it may stop reading (`slipway check | head`): that is no failure of ours.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints `error` with all its causes on one line each; the exit status is 1.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("slipway: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}

/// A small runtime for commands that need one for a moment.
fn small_runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
