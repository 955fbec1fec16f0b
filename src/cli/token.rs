//! `slipway token …`: keys for programs, from the shell. A new token goes to standard output alone, for `$(…)`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{command, fail, print};
use crate::config::Config;
use crate::control::{Answer, Request, TokenEntry, TokenOwner};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it: it is shown this once.
    Add {
        #[command(flatten)]
        owner: OwnerArguments,
        /// What it may do, as in list:users or access:servers!user=alice; may be given several times. Without one: all
        /// that its owner may.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// What it is for.
        #[arg(long, default_value = "")]
        note: String,
        /// How long it lives: seconds, or with m, h or d behind the number (12h, 30d). Without it: as long as it may.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        expires_in: Option<u64>,
    },
    /// List somebody's tokens, those used longest ago first.
    List {
        #[command(flatten)]
        owner: OwnerArguments,
    },
    /// End a token at once, with every request that it opened.
    Revoke {
        /// Its id, as `list` shows it.
        id: String,
    },
}

/// A user, or with `--service` a service.
#[derive(Debug, Args)]
pub(super) struct OwnerArguments {
    /// Whose token.
    name: String,
    /// The name is a service's.
    #[arg(long)]
    service: bool,
}

impl OwnerArguments {
    fn owner(self) -> TokenOwner {
        if self.service { TokenOwner::Service(self.name) } else { TokenOwner::User(self.name) }
    }
}

/// `90`, `90m`, `12h`, `30d`.
fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err("say a number of seconds, or as in 90m, 12h, 30d".into()),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| "say a number of seconds, or as in 90m, 12h, 30d".into())
}

pub(super) fn run(asked: TokenCommand, config: &Config) -> ExitCode {
    let request = match asked {
        TokenCommand::Add { owner, scopes, note, expires_in } => {
            Request::TokenAdd { owner: owner.owner(), scopes, note, expires_in_s: expires_in }
        }
        TokenCommand::List { owner } => Request::TokenList { owner: owner.owner() },
        TokenCommand::Revoke { id } => Request::TokenRevoke { id },
    };
    match command::ask_or_execute(config, request) {
        Ok(Answer::Token { token }) => print(&format!("{}\n", token.0.expose())),
        Ok(Answer::Tokens { tokens }) => print_tokens(tokens),
        Ok(Answer::Done { name }) => print(&format!("done: {name}\n")),
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

fn print_tokens(tokens: Vec<TokenEntry>) {
    let head = format!("{:<8} {:<28} {:<28} {:<28} {:<32} scopes\n", "id", "since", "last used", "until", "note");
    let time =
        |at: Option<crate::model::Timestamp>, none: &str| at.map_or_else(|| none.to_owned(), |at| at.to_string());
    let lines = tokens.into_iter().map(|token| {
        let (used, until) = (time(token.last_activity, "never"), time(token.expires_at, "revoked"));
        let since = token.created.to_string();
        // A note is somebody's text: it must not write on the operator's terminal.
        let note: String = token.note.chars().filter(|c| !c.is_control()).take(32).collect();
        format!("{:<8} {since:<28} {used:<28} {until:<28} {note:<32} {}\n", token.id, token.scopes.join(" "))
    });
    print(&(head + &lines.collect::<String>()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_has_its_unit() {
        assert_eq!(
            ["90", "90s", "2m", "12h", "30d"].map(seconds).map(Result::ok),
            [90, 90, 120, 43_200, 2_592_000].map(Some)
        );
        for bad in ["", "h", "-1", "1w", "1.5h", "99999999999999999999d", "9999999999999999999d"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
