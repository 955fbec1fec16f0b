//! `slipway user …`: people, from the shell.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{command, fail, print};
use crate::config::Config;
use crate::control::{Answer, Request, UserEntry, WireSecret};
use crate::model::Secret;

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a user who may sign in at once.
    Add {
        /// The name: 1 to 64 characters without spaces, commas and slashes; lower-cased.
        name: String,
        /// Make an administrator.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List all users: those who wait for approval first.
    List,
    /// Let a user in who has signed up, or, with --withdraw, out again: that ends their sessions and servers.
    Authorize {
        /// Whom.
        name: String,
        /// Take the permission back.
        #[arg(long)]
        withdraw: bool,
    },
    /// Set a user's password; all their sessions end.
    Password {
        /// Whose.
        name: String,
        /// They must change it at the next sign-in.
        #[arg(long)]
        must_change: bool,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Shut a user out: sessions, tokens and servers end at once; account and volumes stay.
    Disable {
        /// Whom.
        name: String,
    },
    /// Let a user in again who was shut out.
    Enable {
        /// Whom.
        name: String,
    },
    /// Forget the second factor that a user brought along from JupyterHub: the password alone lets them in again.
    ClearSecondFactor {
        /// Whose.
        name: String,
    },
    /// Delete a user: the account, sessions, tokens and the server go; volumes with their files stay.
    Delete {
        /// Whom.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct PasswordSource {
    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
    /// Make a password of words and print it, instead of asking for one.
    #[arg(long, conflicts_with = "password_stdin")]
    generate: bool,
}

pub(super) fn run(command: UserCommand, config: &Config) -> ExitCode {
    let request = match request_for(command) {
        Ok(request) => request,
        Err(error) => return fail(&error),
    };
    match command::ask_or_execute(config, request) {
        Ok(Answer::Done { name }) => print(&format!("done: {name}\n")),
        Ok(Answer::Password { name, password }) => {
            eprintln!("done: {name}; the password is shown this once:");
            print(&format!("{}\n", password.0.expose()));
        }
        Ok(Answer::Users { users }) => print_users(users),
        Ok(Answer::Refused { message }) => {
            eprintln!("slipway: {message}");
            return ExitCode::FAILURE;
        }
        // Answers to other requests.
        Ok(_) => {}
        Err(error) => return fail(&*error),
    }
    ExitCode::SUCCESS
}

fn request_for(command: UserCommand) -> std::io::Result<Request> {
    Ok(match command {
        UserCommand::Add { name, admin, password } => {
            Request::UserAdd { name, admin, generate: password.generate, password: read_password(&password)? }
        }
        UserCommand::List => Request::UserList,
        UserCommand::Authorize { name, withdraw } => Request::UserAuthorize { name, authorised: !withdraw },
        UserCommand::Password { name, must_change, password } => {
            Request::UserPassword { name, must_change, password: read_password(&password)? }
        }
        UserCommand::Disable { name } => Request::UserDisable { name, disabled: true },
        UserCommand::Enable { name } => Request::UserDisable { name, disabled: false },
        UserCommand::ClearSecondFactor { name } => Request::UserClearSecondFactor { name },
        UserCommand::Delete { name, yes } => {
            if !yes {
                confirm_delete(&name)?;
            }
            Request::UserDelete { name }
        }
    })
}

/// The password, or None if one is to be made.
fn read_password(source: &PasswordSource) -> std::io::Result<Option<WireSecret>> {
    if source.generate {
        return Ok(None);
    }
    if source.password_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        return Ok(Some(WireSecret(Secret::new(line.trim_end_matches(['\r', '\n'])))));
    }
    if !std::io::stdin().is_terminal() {
        return Err(std::io::Error::other(
            "there is no terminal to ask for the password; use --password-stdin or --generate",
        ));
    }
    let password = Secret::new(rpassword::prompt_password("Password: ")?);
    let again = Secret::new(rpassword::prompt_password("Again: ")?);
    if password != again {
        return Err(std::io::Error::other("the two passwords differ; nothing was changed"));
    }
    Ok(Some(WireSecret(password)))
}

fn confirm_delete(name: &str) -> std::io::Result<()> {
    if !std::io::stdin().is_terminal() {
        return Err(std::io::Error::other("there is no terminal to ask; say --yes if you mean it"));
    }
    eprint!("Delete {name}: account, sessions, tokens and server; volumes stay. Type the name to go on: ");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == name { Ok(()) } else { Err(std::io::Error::other("another name was typed; nothing was deleted")) }
}

fn print_users(mut users: Vec<UserEntry>) {
    users.sort_by(|a, b| (a.authorised, &a.name).cmp(&(b.authorised, &b.name)));
    let head = format!("{:<24} {:<8} {:<14} {:<28} last seen\n", "name", "may", "role", "since");
    let lines = users.into_iter().map(|user| {
        let may = match (user.disabled, user.authorised, user.has_second_factor) {
            (true, ..) => "nothing",
            (false, true, false) => "sign in",
            // Nobody can, until `clear-second-factor`.
            (false, true, true) => "2factor",
            (false, false, _) => "wait",
        };
        let role = if user.admin { "administrator" } else { "user" };
        let last = user.last_activity.map_or_else(|| "never".to_owned(), |at| at.to_string());
        format!("{:<24} {may:<8} {role:<14} {:<28} {last}\n", user.name, user.created.to_string())
    });
    print(&(head + &lines.collect::<String>()));
}
