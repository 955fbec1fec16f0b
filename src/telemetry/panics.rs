//! Panics: each is logged once, with its place, and counted. What ends is one request or task, never the program.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::error;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// How many panics there have been in this process.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// From now on a panic is a log line and a count instead of text on the terminal.
pub fn count_panics() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("?").to_owned();
        error!(%place, thread, panic = message_of(panic), "a panic ended this piece of work; the program goes on");
    }));
}

fn message_of<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("something that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted() {
        let before = panics();
        let hook = std::panic::take_hook();
        count_panics();
        assert!(std::panic::catch_unwind(|| panic!("on purpose")).is_err());
        std::panic::set_hook(hook);
        assert!(panics() > before);
    }
}
