//! An error with its causes in one line, for where a line is all there is: a log's field, an answer to a command.

use std::error::Error;

/// `error: its cause: the cause of that`. What repeats its cause's words, as `transparent` errors do, is said once.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Told {
        #[error("the socket is gone")]
        Inner,
        #[error(transparent)]
        Through(Box<Told>),
        #[error("it could not be asked")]
        Outer(#[source] Box<Told>),
    }

    #[test]
    fn every_cause_is_said_once() {
        let through = Told::Through(Box::new(Told::Inner));
        assert_eq!(with_causes(&Told::Outer(Box::new(through))), "it could not be asked: the socket is gone");
        assert_eq!(with_causes(&Told::Inner), "the socket is gone");
    }
}
