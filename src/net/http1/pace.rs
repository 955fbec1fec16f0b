//! How slow a client may be while we wait for it.

use std::time::Duration;

use tokio::time::Instant;

/// Counts the time in which we waited for a client, and what it sent (or took) meanwhile. Not each wait is judged but
/// each window of waiting: a client that sends one byte just before every single wait would end is slow all the same.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    bytes_min: u64,
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(window_s: u64, rate_min_bytes_s: u64) -> Self {
        Self {
            window: Duration::from_secs(window_s),
            bytes_min: rate_min_bytes_s * window_s,
            waiting_since: None,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }

    /// The wait is over for now: so many bytes arrived, or were taken.
    pub(super) fn go_on(&mut self, bytes: u64) {
        self.bytes += bytes;
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// We wait for the client. Returns when to look again, or nothing if it is too slow.
    pub(super) fn wait(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        let judged_at = since + self.window.saturating_sub(self.waited);
        if now < judged_at {
            return Some(judged_at);
        }
        let was_fast_enough = self.bytes >= self.bytes_min;
        (self.waiting_since, self.waited, self.bytes) = (Some(now), Duration::ZERO, 0);
        was_fast_enough.then_some(now + self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn serve_with(step_s: u64, bytes_per_step: u64, steps: usize) -> bool {
        let mut pace = Pace::new(30, 256);
        for _ in 0..steps {
            if pace.wait().is_none() {
                return false;
            }
            tokio::time::advance(Duration::from_secs(step_s)).await;
            if pace.wait().is_none() {
                return false;
            }
            pace.go_on(bytes_per_step);
            // The service thinks for a while: that is not the client's fault.
            tokio::time::advance(Duration::from_secs(100)).await;
        }
        true
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_too_slow_and_a_pause_of_the_service_is_not() {
        assert!(!serve_with(5, 1, 7).await);
        assert!(!serve_with(31, 1_000_000, 1).await);
        assert!(serve_with(5, 2 * 256 * 5, 50).await);
        assert!(serve_with(0, 1, 50).await);
    }
}
