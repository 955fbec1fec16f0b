//! Notices that an exchange shall end: its route or its caller is gone, or it has waited too long.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::net::timer::Timer;

/// An exchange that ends before this never registers with the tokens: that costs a lock for each and back. 250 ms:
/// a cut is due within a second.
const REGISTER_AFTER: Duration = Duration::from_millis(250);

/// Why an exchange is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The route was withdrawn.
    Gone,
    /// The caller's session or token ended.
    Ended,
    /// The deadline passed.
    Late,
}

/// Watches over one exchange.
#[derive(Debug, Default)]
pub(super) struct Watch {
    register_at: Option<Instant>,
    waits: Vec<(Cut, Pin<Box<WaitForCancellationFutureOwned>>)>,
}

impl Watch {
    /// True for an exchange that must not go on, however busy it is.
    pub(super) fn is_cut(gone: &CancellationToken, ended: Option<&CancellationToken>) -> Option<Cut> {
        if gone.is_cancelled() {
            return Some(Cut::Gone);
        }
        ended.is_some_and(CancellationToken::is_cancelled).then_some(Cut::Ended)
    }

    /// Ready when the exchange shall end. Called whenever there is nothing else to do.
    pub(super) fn poll(
        &mut self,
        gone: &CancellationToken,
        ended: Option<&CancellationToken>,
        timer: &mut Timer,
        deadline: Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Cut> {
        if self.waits.is_empty() {
            let register_at = *self.register_at.get_or_insert_with(|| Instant::now() + REGISTER_AFTER);
            timer.set_at(deadline.map_or(register_at, |deadline| deadline.min(register_at)));
            if timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.waits.push((Cut::Gone, Box::pin(gone.clone().cancelled_owned())));
            self.waits.extend(ended.map(|ended| (Cut::Ended, Box::pin(ended.clone().cancelled_owned()))));
        }
        for (cut, wait) in &mut self.waits {
            if wait.as_mut().poll(cx).is_ready() {
                return Poll::Ready(*cut);
            }
        }
        match deadline {
            Some(deadline) => timer.set_at(deadline),
            None => timer.clear(),
        }
        timer.poll(cx).map(|()| Cut::Late)
    }
}
