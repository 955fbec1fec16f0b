//! Connections to servers that wait for their next request.
//!
//! They are kept under `Upstream.id`: one start of one server, never an address, because an engine hands out the
//! address of a container that died to the next one. A route that is withdrawn closes its connections at once, while
//! its server still lives: a farewell to an address without a container makes the kernel ask for that address in vain,
//! and the next container that gets it is found up to a second late.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::counts::Counts;
use super::{Config, ProxyError};
use crate::model::{Upstream, UpstreamAddress, thread_number};
use crate::net::buffer::ReadBuffer;
use crate::net::timer::Timer;
use crate::net::{ClientTls, Stream, dial_with};
use crate::tasks::Tasks;

/// How often connections are looked at that wait too long. 1 s: their limit is some dozens of seconds.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// All waiting connections of the program.
#[derive(Debug)]
pub(super) struct Pool {
    shelves: papaya::HashMap<u64, Arc<Shelf>, ahash::RandomState>,
    bounds: Arc<Bounds>,
    counts: Arc<Counts>,
    tls: Option<ClientTls>,
    tasks: Tasks,
}

/// What a reload may change. Read relaxed: a connection more or less under the limit of before does no harm.
#[derive(Debug, Default)]
struct Bounds {
    connect_timeout_s: AtomicU64,
    idle_timeout_s: AtomicU64,
    idle_limit: AtomicUsize,
    limit: AtomicUsize,
}

impl Bounds {
    fn follow(&self, config: &Config) {
        self.connect_timeout_s.store(config.connect_timeout_s, Ordering::Relaxed);
        self.idle_timeout_s.store(config.idle_connection_timeout_s, Ordering::Relaxed);
        self.idle_limit.store(config.idle_connections_per_upstream, Ordering::Relaxed);
        self.limit.store(config.connections_per_upstream, Ordering::Relaxed);
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }
}

/// The connections of one start of one server.
#[derive(Debug)]
struct Shelf {
    gone: CancellationToken,
    /// Somebody waits for its route's end.
    is_watched: AtomicBool,
    in_use: AtomicUsize,
    bounds: Arc<Bounds>,
    /// Oldest first. Held for a push or a pop only.
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    timer: Timer,
    since: Instant,
    /// The thread that used it last, which is the one that hears of it.
    thread: usize,
}

impl Idle {
    /// The latest of this thread, or else of another: the others grow old and close.
    fn take(waiting: &mut Vec<Self>) -> Option<Self> {
        let here = thread_number();
        let ours = waiting.iter().rposition(|idle| idle.thread == here);
        Some(waiting.remove(ours.or_else(|| waiting.len().checked_sub(1))?))
    }

    /// Ours from here on.
    fn moved_here(self) -> io::Result<Self> {
        let thread = thread_number();
        if self.thread == thread {
            return Ok(self);
        }
        // Its timer belongs to the other thread, too.
        Ok(Self { stream: self.stream.moved_here()?, timer: Timer::default(), thread, ..self })
    }
}

/// A connection in use; dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: Stream,
    /// Kept with the connection so that a request seldom has to arm it anew.
    pub(super) timer: Timer,
    /// True if it has carried a request before: it may have been closed in the meantime.
    pub(super) is_reused: bool,
    place: Place,
}

/// One of the connections that a server may have.
#[derive(Debug)]
struct Place(Arc<Shelf>);

impl Place {
    fn take(shelf: &Arc<Shelf>, limit: usize) -> Option<Self> {
        let place = Self(shelf.clone());
        // Counted first, so that two at once cannot both see the last free place.
        (shelf.in_use.fetch_add(1, Ordering::Relaxed) < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// An empty pool; its sweep runs on `tasks` for as long as the pool exists.
    pub(super) fn new(config: &Config, counts: Arc<Counts>, tasks: &Tasks, tls: Option<ClientTls>) -> Arc<Self> {
        let pool = Arc::new(Self {
            shelves: papaya::HashMap::default(),
            bounds: Arc::default(),
            counts,
            tls,
            tasks: tasks.clone(),
        });
        pool.follow(config);
        tasks.spawn(keep_swept(Arc::downgrade(&pool), tasks.stopping().clone()));
        pool
    }

    /// From now on these bounds hold; what is open stays open.
    pub(super) fn follow(&self, config: &Config) {
        self.bounds.follow(config);
    }

    /// A connection to `upstream`: one that waits, if it is still open, or else a new one.
    pub(super) async fn connect(self: &Arc<Self>, upstream: &Upstream) -> Result<Connection, ProxyError> {
        match self.waiting(upstream)? {
            Some(connection) => Ok(connection),
            None => self.dial(upstream).await,
        }
    }

    /// A new connection to `upstream`.
    pub(super) async fn dial(self: &Arc<Self>, upstream: &Upstream) -> Result<Connection, ProxyError> {
        let place = self.place(upstream)?;
        let connect_timeout = Duration::from_secs(self.bounds.connect_timeout_s.load(Ordering::Relaxed));
        let dialling = dial_with(&upstream.address, self.tls.as_ref(), connect_timeout);
        let stream = tokio::select! {
            stream = dialling => stream,
            () = upstream.gone.cancelled() => return Err(gone(&upstream.address)),
        };
        let stream = stream.map_err(|cause| {
            self.counts.here().unreachable.one();
            ProxyError::Unreachable { address: upstream.address.clone(), cause }
        })?;
        self.counts.here().dialled.one();
        Ok(Connection { stream, timer: Timer::default(), is_reused: false, place })
    }

    fn waiting(&self, upstream: &Upstream) -> Result<Option<Connection>, ProxyError> {
        if upstream.gone.is_cancelled() {
            return Err(gone(&upstream.address));
        }
        let Some(shelf) = self.shelves.pin().get(&upstream.id).cloned() else { return Ok(None) };
        let place = Place::take(&shelf, self.bounds.limit()).ok_or_else(|| self.busy(&upstream.address))?;
        loop {
            let Some(mut idle) = Idle::take(&mut shelf.idle.lock()) else { return Ok(None) };
            if is_quiet(&mut idle.stream)
                && let Ok(idle) = idle.moved_here()
            {
                self.counts.here().reused.one();
                return Ok(Some(Connection { stream: idle.stream, timer: idle.timer, is_reused: true, place }));
            }
        }
    }

    fn place(self: &Arc<Self>, upstream: &Upstream) -> Result<Place, ProxyError> {
        let shelves = self.shelves.pin();
        let shelf = shelves.get_or_insert_with(upstream.id, || {
            Arc::new(Shelf {
                gone: upstream.gone.clone(),
                is_watched: AtomicBool::new(false),
                in_use: AtomicUsize::new(0),
                bounds: self.bounds.clone(),
                idle: Mutex::default(),
            })
        });
        if upstream.gone.is_cancelled() {
            // Looked at after the shelf is there: otherwise an end in between would leave it for ever.
            shelves.remove(&upstream.id);
            return Err(gone(&upstream.address));
        }
        if !shelf.is_watched.swap(true, Ordering::Relaxed) {
            let stopping = self.tasks.stopping().clone();
            self.tasks.spawn(close_when_gone(Arc::downgrade(self), upstream.id, upstream.gone.clone(), stopping));
        }
        Place::take(shelf, self.bounds.limit()).ok_or_else(|| self.busy(&upstream.address))
    }

    fn busy(&self, address: &UpstreamAddress) -> ProxyError {
        ProxyError::Busy { address: address.clone(), limit: self.bounds.limit() }
    }

    fn sweep(&self, now: Instant) {
        let idle_timeout = Duration::from_secs(self.bounds.idle_timeout_s.load(Ordering::Relaxed));
        for shelf in self.shelves.pin().values() {
            shelf.idle.lock().retain(|idle| now.duration_since(idle.since) < idle_timeout);
        }
    }

    /// Closes what waits for the upstream `id`, whose route has gone.
    fn close(&self, id: u64) {
        let shelves = self.shelves.pin();
        let Some(shelf) = shelves.remove(&id) else { return };
        for idle in shelf.idle.lock().drain(..) {
            // A server that died cannot answer a farewell, and the kernel would repeat it.
            idle.stream.reset_on_close();
        }
    }

    /// True if the server has closed every waiting connection, and we know it.
    #[cfg(test)]
    pub(super) fn all_idle_are_closed(&self) -> bool {
        self.shelves.pin().values().all(|shelf| shelf.idle.lock().iter_mut().all(|idle| !is_quiet(&mut idle.stream)))
    }

    /// How many connections wait.
    pub(super) fn idle_count(&self) -> usize {
        self.shelves.pin().values().map(|shelf| shelf.idle.lock().len()).sum()
    }
}

async fn keep_swept(pool: Weak<Pool>, stopping: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        let Some(pool) = pool.upgrade() else { return };
        pool.sweep(Instant::now());
    }
}

async fn close_when_gone(pool: Weak<Pool>, id: u64, gone: CancellationToken, stopping: CancellationToken) {
    let is_gone = stopping.run_until_cancelled(gone.cancelled()).await.is_some();
    if let Some(pool) = pool.upgrade().filter(|_| is_gone) {
        pool.close(id);
    }
}

impl Connection {
    /// Puts the connection back for the next request. Whoever calls this has read its response to the last byte.
    pub(super) fn recycle(self) {
        let shelf = &self.place.0;
        let mut idle = shelf.idle.lock();
        // Under the lock: a shelf whose route has gone is cleared under it too.
        if !shelf.gone.is_cancelled() && idle.len() < shelf.bounds.idle_limit.load(Ordering::Relaxed) {
            let mut timer = self.timer;
            timer.clear();
            idle.push(Idle { stream: self.stream, timer, since: Instant::now(), thread: thread_number() });
        }
    }
}

/// True if nothing has arrived on a waiting connection: neither its end nor bytes that nobody asked for. The runtime
/// knows without a system call; only if something has arrived is there one.
fn is_quiet(stream: &mut Stream) -> bool {
    if stream.is_surely_quiet() {
        return true;
    }
    let mut context = Context::from_waker(Waker::noop());
    matches!(ReadBuffer::default().poll_fill(stream, &mut context), Poll::Pending)
}

fn gone(address: &UpstreamAddress) -> ProxyError {
    ProxyError::Gone { address: address.clone() }
}
