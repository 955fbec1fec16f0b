//! `slipway reload`: the running instance takes up its configuration, or says everything that is wrong with it.

use std::process::ExitCode;

use super::{fail, print};
use crate::config::Config;
use crate::control::{self, Answer, Request};

pub(super) fn run(config: &Config) -> ExitCode {
    match control::ask(&config.control, &Request::Reload) {
        Ok(Answer::Reloaded { taken_up, waiting }) => {
            print(&told(&taken_up, &waiting));
            ExitCode::SUCCESS
        }
        Ok(Answer::Mistakes { mistakes }) => {
            let count = mistakes.len();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            eprintln!("slipway: {count} {noun} in the configuration; that of before holds on:");
            for mistake in mistakes {
                eprintln!("  {mistake}");
            }
            ExitCode::from(2)
        }
        Ok(Answer::Refused { message }) => {
            eprintln!("slipway: {message}");
            ExitCode::FAILURE
        }
        Ok(other) => {
            eprintln!("slipway: the running instance gave another answer than asked for: {other:?}");
            ExitCode::FAILURE
        }
        Err(error) => fail(&error),
    }
}

fn told(taken_up: &[String], waiting: &[String]) -> String {
    let mut text = match taken_up {
        [] => "the configuration is as it was\n".to_owned(),
        keys => format!("taken up: {}\n", keys.join(", ")),
    };
    for key in waiting {
        text.push_str(&format!("{key}: takes effect at the next start\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_start_is_named() {
        assert_eq!(told(&[], &[]), "the configuration is as it was\n");
        let (taken_up, waiting) = (["roles".into(), "log.level".into()], ["data_dir".into()]);
        assert_eq!(told(&taken_up, &waiting), "taken up: roles, log.level\ndata_dir: takes effect at the next start\n");
    }
}
