//! How tasks begin and end: one tracker for all of them, a soft stop and a hard stop.
//!
//! Knows nobody's work. A soft stop asks every task to finish its step; a hard stop drops what still runs.

mod lanes;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

pub use lanes::{Lanes, Seat};

pin_project! {
    /// `work`, until the hard stop. By hand, because an async block would hold it twice, once as it came and once as it
    /// runs: there may be a task for each of 100,000 servers.
    struct UntilEnded<F> {
        #[pin]
        ended: WaitForCancellationFutureOwned,
        #[pin]
        work: F,
    }
}

impl<F: Future<Output = ()>> Future for UntilEnded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.ended.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        this.work.poll(cx)
    }
}

/// Spawns and ends tasks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
    ended: CancellationToken,
    /// None: on the runtime of whoever spawns.
    runtime: Option<Handle>,
}

impl Tasks {
    /// Tasks on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self {
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            ended: CancellationToken::new(),
            runtime: Some(runtime),
        }
    }

    /// The same tracker and signals; what is spawned stays on the runtime of whoever spawns it.
    #[must_use]
    pub fn where_called(&self) -> Self {
        Self { runtime: None, ..self.clone() }
    }

    /// Runs `work` until it ends or the hard stop drops it. A panic in it ends it alone.
    ///
    /// # Panics
    /// If it is to run where it is called, and that is no runtime.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn_on(&self.runtime(), work);
    }

    fn runtime(&self) -> Handle {
        self.runtime.clone().unwrap_or_else(Handle::current)
    }

    fn spawn_on(&self, runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) {
        // A child: its own lock. The one of a token that all tasks share would be taken at every turn of every task.
        let work = UntilEnded { ended: self.ended.child_token().cancelled_owned(), work };
        runtime.spawn(self.tracker.track_future(work));
    }

    /// How many run now. It goes back to where it was when nobody asks for anything.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tracker.len()
    }

    /// Cancelled when the program has been asked to stop: finish the step, take nothing new.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Asks every task to finish, waits up to `limit`, then drops what is left. Returns true if all finished.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.stopping.cancel();
        self.tracker.close();
        let finished = tokio::time::timeout(limit, self.tracker.wait()).await.is_ok();
        self.ended.cancel();
        finished
    }

    /// Drops everything at once: the second signal.
    pub fn drop_all(&self) {
        self.stopping.cancel();
        self.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_holds_its_work_once() {
        let work = async {
            let held = [0_u8; 4_096];
            std::future::pending::<()>().await;
            assert_eq!(held[0], 0);
        };
        let (size, ended) = (size_of_val(&work), CancellationToken::new().cancelled_owned());
        assert!(size_of_val(&UntilEnded { ended, work }) < size + 256);
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_step_and_then_drops_the_rest() {
        let tasks = Tasks::new(Handle::current());
        let stopping = tasks.stopping().clone();
        tasks.spawn(async move { stopping.cancelled().await });
        assert!(tasks.stop(Duration::from_secs(5)).await);

        let stubborn = Tasks::new(Handle::current());
        stubborn.spawn(std::future::pending());
        assert!(!stubborn.stop(Duration::from_millis(1)).await);
        stubborn.tracker.wait().await;
    }

    #[tokio::test]
    async fn a_panic_ends_one_task_and_no_other() {
        let tasks = Tasks::new(Handle::current());
        tasks.spawn(async { panic!("this one") });
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tasks.spawn(async move { sender.send(7).expect("the test waits") });
        assert_eq!(receiver.await, Ok(7));
    }
}
