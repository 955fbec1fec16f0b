//! The threads that carry connections: each has a runtime of its own, and a connection stays on the one that it began
//! on, with all that belongs to it.
//!
//! So nothing on a request's way is handed from thread to thread, and no thread wakes another: 100 MiB down took 0.86 of
//! the CPU that a runtime which shares its work among threads took (`benches/README.md`).

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Tasks;

/// How many connections more than another, beyond a quarter, a lane may carry before it hands new ones over. 2: handing one
/// over wakes another thread.
const UNEVEN: usize = 2;

/// The lanes of a program. Cheap to clone; the threads end with the last clone and the last seat.
#[derive(Clone, Debug)]
pub struct Lanes {
    tasks: Tasks,
    threads: Arc<Threads>,
}

#[derive(Debug)]
struct Threads {
    lanes: Vec<Lane>,
    _until: DropGuard,
}

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    /// How many seats are taken. Read relaxed: one more or less on a lane does no harm.
    taken: AtomicUsize,
}

/// A connection's seat on its lane, given back on drop.
#[derive(Debug)]
pub struct Seat {
    threads: Arc<Threads>,
    lane: usize,
}

impl Lanes {
    /// One for each core that this process may use; what runs on them belongs to `tasks`.
    ///
    /// # Errors
    /// If the system gives us no thread.
    pub fn start(tasks: &Tasks) -> io::Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let until = CancellationToken::new();
        let lanes = (0..count).map(|number| start_one(number, until.clone())).collect::<io::Result<_>>()?;
        Ok(Self { tasks: tasks.clone(), threads: Arc::new(Threads { lanes, _until: until.drop_guard() }) })
    }

    /// A single lane, which is the runtime of `tasks`: for doors that little goes through.
    #[must_use]
    pub fn one(tasks: &Tasks) -> Self {
        let lanes = vec![Lane { runtime: tasks.runtime(), taken: AtomicUsize::new(0) }];
        let threads = Arc::new(Threads { lanes, _until: CancellationToken::new().drop_guard() });
        Self { tasks: tasks.clone(), threads }
    }

    /// Their tasks' tracker and signals; what is spawned by it runs on the lane of whoever spawns it.
    #[must_use]
    pub fn tasks(&self) -> Tasks {
        self.tasks.where_called()
    }

    /// How many there are; they are numbered from 0.
    #[must_use]
    pub fn count(&self) -> usize {
        self.threads.lanes.len()
    }

    /// Runs `work` on `lane`.
    pub fn spawn(&self, lane: usize, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(&self.threads.lanes[lane].runtime, work);
    }

    /// Until it is dropped, sockets that this thread opens belong to `lane`.
    pub fn enter(&self, lane: usize) -> EnterGuard<'_> {
        self.threads.lanes[lane].runtime.enter()
    }

    /// A seat for one connection more: on `here`, or on the lane with the fewest if that is far from as busy. It counts
    /// until it is dropped, which may be after the task of its connection has ended.
    #[must_use]
    pub fn seat(&self, here: usize) -> Seat {
        let taken = |lane: &Lane| lane.taken.load(Ordering::Relaxed);
        let lanes = &self.threads.lanes;
        let (emptiest, fewest) =
            lanes.iter().map(taken).enumerate().min_by_key(|(_, taken)| *taken).unwrap_or((here, 0));
        let lane = if taken(&lanes[here]) > fewest + fewest / 4 + UNEVEN { emptiest } else { here };
        lanes[lane].taken.fetch_add(1, Ordering::Relaxed);
        Seat { threads: self.threads.clone(), lane }
    }
}

impl Seat {
    /// The lane on which it is.
    #[must_use]
    pub fn lane(&self) -> usize {
        self.lane
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.threads.lanes[self.lane].taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A thread with its runtime, which runs until `until`.
fn start_one(number: usize, until: CancellationToken) -> io::Result<Lane> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
        runtime.block_on(until.cancelled());
        // What still runs has been given its time, and blocking work is not worth waiting for.
        runtime.shutdown_background();
    })?;
    Ok(Lane { runtime: handle, taken: AtomicUsize::new(0) })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_a_lane_spawns_stays_with_it() {
        let lanes = Lanes::start(&Tasks::new(Handle::current())).expect("threads");
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for lane in 0..lanes.count() {
            let (sender, tasks) = (sender.clone(), lanes.tasks());
            lanes.spawn(lane, async move {
                let thread = std::thread::current().id();
                tasks.spawn(async move {
                    sender.send((thread, std::thread::current().id())).expect("the test listens");
                });
            });
        }
        let mut threads = HashSet::new();
        for _ in 0..lanes.count() {
            let (first, second) = receiver.recv().await.expect("a task that runs");
            assert_eq!(first, second);
            assert!(threads.insert(first));
        }
    }

    #[tokio::test]
    async fn connections_stay_where_they_come_until_that_lane_has_far_more_than_another() {
        let tasks = Tasks::new(Handle::current());
        let runtime = || Lane { runtime: Handle::current(), taken: AtomicUsize::new(0) };
        let threads = Threads { lanes: vec![runtime(), runtime()], _until: CancellationToken::new().drop_guard() };
        let lanes = Lanes { tasks, threads: Arc::new(threads) };
        let taken = || lanes.threads.lanes.iter().map(|lane| lane.taken.load(Ordering::Relaxed)).collect::<Vec<_>>();

        let mut seats: Vec<_> = (0..100).map(|_| lanes.seat(0)).collect();
        assert_eq!(taken(), [56, 44]);
        seats.extend((0..20).map(|_| lanes.seat(1)));
        assert_eq!(taken(), [56, 64]);
        drop(seats);
        assert_eq!(taken(), [0, 0]);
    }

    #[tokio::test]
    async fn a_hard_stop_reaches_every_lane() {
        let tasks = Tasks::new(Handle::current());
        let lanes = Lanes::start(&tasks).expect("threads");
        for lane in 0..lanes.count() {
            lanes.spawn(lane, std::future::pending());
        }
        tasks.drop_all();
        tasks.stop(std::time::Duration::from_secs(5)).await;
        assert_eq!(tasks.count(), 0);
    }
}
