//! A deadline that is moved on every request without touching the runtime's timer wheel.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// One lazily armed timer. Moving the deadline later costs nothing: the timer fires at the earlier moment, sees
/// that the deadline has moved and arms itself again. Registering a timer per request would take the wheel's lock twice.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// When `sleep` fires; none if it has fired or was never armed.
    armed_for: Option<Instant>,
    deadline: Option<Instant>,
}

impl Timer {
    /// Sets the deadline to `limit` from now.
    pub(crate) fn set(&mut self, limit: Duration) {
        self.set_at(Instant::now() + limit);
    }

    /// Sets the deadline.
    pub(crate) fn set_at(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// No deadline; an armed timer fires once for nothing.
    pub(crate) fn clear(&mut self) {
        self.deadline = None;
    }

    /// True if a deadline is set.
    pub(crate) fn is_set(&self) -> bool {
        self.deadline.is_some()
    }

    /// Ready once the deadline has passed (it is cleared then); pending for ever without one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(deadline) = self.deadline else { return Poll::Pending };
            let sleep = match &mut self.sleep {
                Some(sleep) => {
                    if self.armed_for.is_none_or(|armed_for| deadline < armed_for) {
                        sleep.as_mut().reset(deadline);
                        self.armed_for = Some(deadline);
                    }
                    sleep
                }
                None => {
                    self.armed_for = Some(deadline);
                    self.sleep.insert(Box::pin(tokio::time::sleep_until(deadline)))
                }
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let fired_at = self.armed_for.take();
            if fired_at.is_some_and(|fired_at| fired_at >= deadline) {
                self.deadline = None;
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_can_be_moved_both_ways() {
        let begin = Instant::now();
        let mut timer = Timer::default();
        timer.set(Duration::from_secs(5));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        timer.set(Duration::from_secs(60));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(begin.elapsed().as_secs(), 60);
        timer.set(Duration::from_secs(100));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll(cx))).await.is_pending());
        timer.set(Duration::from_secs(1));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(begin.elapsed().as_secs(), 61);
        assert!(!timer.is_set());
    }
}
