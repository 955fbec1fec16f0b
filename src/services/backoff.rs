//! How long a program that ended waits for its next start. A pure decision.

use std::time::Duration;

use super::Config;

/// The waits of one program.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    limit: Duration,
    steady_after: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            first: config.restart_pause,
            limit: config.restart_pause_limit,
            steady_after: config.steady_after,
            next: config.restart_pause,
        }
    }

    /// The wait after a program that ran for `ran_for`; one that did not start ran for nothing.
    pub(super) fn after(&mut self, ran_for: Duration) -> Duration {
        if ran_for >= self.steady_after {
            self.next = self.first;
        }
        let pause = self.next;
        self.next = (pause * 2).min(self.limit);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_keeps_failing_is_started_ever_more_rarely_until_it_has_run_well() {
        let mut backoff = Backoff::new(&Config::default());
        let mut after = |seconds| backoff.after(Duration::from_secs(seconds)).as_secs();
        let waits: Vec<_> = (0..9).map(|_| after(0)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(after(59), 60);
        assert_eq!((after(60), after(0)), (1, 2));
    }
}
