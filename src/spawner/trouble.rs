//! What can go wrong with a server, and the sentence that the person who waits reads: what happened, what can be done.

use std::time::Duration;

use super::backend::Exit;
use crate::model::{Failure, Timestamp};

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A step of the start failed; the text follows «because».
    Because(String),
    /// The image did not arrive in time.
    ImageSlow(Duration),
    /// Its turn did not come in time.
    QueueSlow(Duration),
    /// Create and start took too long.
    StartSlow(Duration),
    /// It runs, but never answered.
    NeverAnswered(Duration),
    /// It answered once, runs, and does not answer any more.
    StoppedAnswering(Duration),
    /// Its program ended.
    Ended {
        /// How.
        exit: Exit,
        /// True if it had answered before.
        was_ready: bool,
    },
    /// It runs, but nobody can reach it.
    NoAddress,
    /// It is not there any more, and not by our doing.
    Vanished,
}

impl Trouble {
    /// The failure that people see. `found` is how the clean-up found the program, if it had ended by itself.
    pub(super) fn failure(self, at: Timestamp, found: Option<Exit>, log_tail: Vec<String>) -> Failure {
        let exit = match self {
            // The engine's event has the status, the clean-up's look has the reason.
            Self::Ended { exit, .. } => Exit {
                code: exit.code.or(found.and_then(|found| found.code)),
                out_of_memory: exit.out_of_memory || found.is_some_and(|found| found.out_of_memory),
            },
            _ => found.unwrap_or_default(),
        };
        Failure { sentence: self.sentence(exit), exit_code: exit.code, log_tail, at }
    }

    /// True if it kept a start from succeeding; false if it hit a server that had been ready.
    pub(super) fn is_of_start(&self) -> bool {
        match self {
            Self::Because(_)
            | Self::ImageSlow(_)
            | Self::QueueSlow(_)
            | Self::StartSlow(_)
            | Self::NeverAnswered(_)
            | Self::NoAddress
            | Self::Ended { was_ready: false, .. } => true,
            Self::StoppedAnswering(_) | Self::Ended { was_ready: true, .. } | Self::Vanished => false,
        }
    }

    fn sentence(&self, exit: Exit) -> String {
        match self {
            _ if exit.out_of_memory => {
                "Your server was ended because it used more memory than it may. Start it again, and open less at \
                 once; an administrator can raise its limit."
                    .into()
            }
            Self::Because(text) => format!("Your server could not start because {text}"),
            Self::ImageSlow(limit) => format!(
                "Your server could not start because its image did not arrive within {}. Try again: what has been \
                 fetched is kept.",
                minutes(*limit)
            ),
            Self::QueueSlow(limit) => format!(
                "Your server could not start because its turn did not come within {}: many servers are starting, or \
                 no GPU became free. \
                 Try again.",
                minutes(*limit)
            ),
            Self::StartSlow(limit) => format!(
                "Your server could not start because the container engine took longer than {} seconds. Try again; \
                 if it stays so, tell an administrator.",
                limit.as_secs()
            ),
            Self::NeverAnswered(limit) => format!(
                "Your server started, but did not answer within {} seconds, so it was stopped. Its last lines may say \
                 why. Try again; if it stays so, tell an administrator.",
                limit.as_secs()
            ),
            Self::StoppedAnswering(limit) => format!(
                "Your server did not answer any more for {} seconds, so it was stopped. Your files are kept. Start \
                 it again.",
                limit.as_secs()
            ),
            Self::Ended { was_ready: false, .. } => format!(
                "Your server ended{} before it was ready. Its last lines may say why. Try again; if it stays so, \
                 tell an administrator.",
                with_code(exit.code)
            ),
            Self::Ended { was_ready: true, .. } => {
                format!("Your server ended{}. Your files are kept. Start it again.", with_code(exit.code))
            }
            Self::NoAddress => {
                "Your server could not start because the container engine gave it no address. Try again; \
                                if it stays so, tell an administrator."
                    .into()
            }
            Self::Vanished => {
                "Your server is not there any more: somebody removed it. Your files are kept. Start it again.".into()
            }
        }
    }
}

fn with_code(code: Option<i64>) -> String {
    code.map_or_else(|| " by itself".into(), |code| format!(" with exit code {code}"))
}

fn minutes(limit: Duration) -> String {
    match limit.as_secs() {
        seconds if seconds < 120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_has_the_status_and_the_last_look_has_the_reason() {
        let trouble = Trouble::Ended { exit: Exit { code: Some(137), out_of_memory: false }, was_ready: true };
        let found = Exit { code: None, out_of_memory: true };
        let failure = trouble.failure(Timestamp(1), Some(found), vec!["last".into()]);
        assert_eq!(failure.exit_code, Some(137));
        assert!(failure.sentence.contains("more memory"), "{}", failure.sentence);
        assert_eq!(failure.log_tail, ["last"]);
    }

    #[test]
    fn a_sentence_says_what_happened_and_what_can_be_done() {
        let ended = Trouble::Ended { exit: Exit { code: Some(7), out_of_memory: false }, was_ready: false };
        let sentence = ended.failure(Timestamp(1), None, vec![]).sentence;
        assert!(sentence.starts_with("Your server ended with exit code 7 before it was ready."), "{sentence}");
        let slow = Trouble::ImageSlow(Duration::from_secs(1800)).failure(Timestamp(1), None, vec![]).sentence;
        assert!(slow.contains("within 30 minutes"), "{slow}");
    }
}
