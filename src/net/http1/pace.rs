//! How slow a client may be while we wait for it.

use std::time::Duration;

use tokio::time::Instant;

/// Patience with a client, as time: what we wait for it is taken from it, each byte that it sends (or takes) gives some
/// back, and there is never more than at the beginning. So a drip ends as soon as silence does, and whatever filled our
/// buffers at once buys no more than one full measure of it.
#[derive(Debug)]
pub(super) struct Pace {
    most: Duration,
    rate_min_bytes_s: u32,
    left: Duration,
    waiting_since: Option<Instant>,
}

impl Pace {
    /// `rate_min_bytes_s` at least 1.
    pub(super) fn new(patience: Duration, rate_min_bytes_s: u32) -> Self {
        Self { most: patience, rate_min_bytes_s: rate_min_bytes_s.max(1), left: patience, waiting_since: None }
    }

    /// The wait is over for now: so many bytes arrived, or were taken.
    pub(super) fn go_on(&mut self, bytes: u64) {
        let waited = self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        let earned = Duration::from_secs(bytes) / self.rate_min_bytes_s;
        self.left = self.left.saturating_sub(waited).saturating_add(earned).min(self.most);
    }

    /// We wait for the client. Returns when to look again, or nothing if it is too slow.
    pub(super) fn wait(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let until = *self.waiting_since.get_or_insert(now) + self.left;
        (now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn serve_with(step_s: u64, bytes_per_step: u64, steps: usize) -> bool {
        let mut pace = Pace::new(Duration::from_secs(30), 256);
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
    async fn what_was_taken_at_once_buys_one_measure_of_patience() {
        let mut pace = Pace::new(Duration::from_secs(30), 256);
        pace.go_on(4_000_000);
        assert!(pace.wait().is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        pace.go_on(4_000_000);
        assert!(pace.wait().is_some());
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(pace.wait().is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(pace.wait().is_none(), "nothing in 30 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_drip_is_too_slow_and_a_pause_of_the_service_is_not() {
        assert!(!serve_with(5, 1, 7).await);
        assert!(!serve_with(31, 1_000_000, 1).await);
        assert!(serve_with(5, 2 * 256 * 5, 50).await);
        assert!(serve_with(0, 1, 50).await);
    }
}
