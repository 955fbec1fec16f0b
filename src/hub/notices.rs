//! Notices: what an administrator tells everybody whose server runs, in their JupyterLab.
//!
//! `audience` says which servers are meant, `deliver` brings a notice to one of them, and here is the broadcast over all
//! of them: one at a time in the whole program, so many deliveries at once, written down before it begins and when it
//! is over. A broadcast that a kill cuts short stays in the history as interrupted.

mod audience;
mod deliver;
mod history;
mod idle;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub(super) use audience::{Addressee, Audience};
pub(super) use history::{Sent, SentState, clear, find, list};

use super::HubState;
use super::error::HubError;
use crate::model::{Actor, Notice, Undelivered};
use crate::store::{DeliveryRow, NoticeId, NoticeRow, StoreError};

/// Bounds of broadcasts.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Servers that are told at the same moment. 16: each costs us a connection, and its server a question to us about
    /// the token; more would only make a loaded host slower.
    pub concurrency: usize,
    /// How long one server may take, from connecting to the end of its answer. 5 s, as the platform before us.
    pub delivery_timeout_s: u64,
    /// How long the answer of the API waits for the end of a broadcast, which goes on all the same. 80 s: less than what
    /// the edge grants the hub (90 s), and enough for 256 servers of which none answers.
    pub answer_timeout_s: u64,
    /// How long the page waits before it shows a broadcast under way. 2 s: most are over by then.
    pub page_timeout_s: u64,
    /// Results kept of one broadcast, failures first. 1,000: some 60 KiB a row.
    pub kept_results: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { concurrency: 16, delivery_timeout_s: 5, answer_timeout_s: 80, page_timeout_s: 2, kept_results: 1000 }
    }
}

impl Config {
    fn delivery_timeout(&self) -> Duration {
        Duration::from_secs(self.delivery_timeout_s)
    }
}

/// The broadcast under way, if there is one.
pub(super) struct Notices {
    place: Arc<Semaphore>,
    under_way: Mutex<Option<Arc<Broadcast>>>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { place: Arc::new(Semaphore::new(1)), under_way: Mutex::default() }
    }
}

impl Notices {
    /// The broadcast under way.
    fn present(&self) -> Option<Arc<Broadcast>> {
        self.under_way.lock().clone()
    }
}

/// One notice on its way to many servers.
pub(super) struct Broadcast {
    pub(super) id: NoticeId,
    results: Mutex<Vec<DeliveryRow>>,
    over: CancellationToken,
}

impl Broadcast {
    /// What is known so far, in the order in which it came about.
    pub(super) fn results(&self) -> Vec<DeliveryRow> {
        self.results.lock().clone()
    }

    /// Waits for the end, for `limit` at most; false if it is not over by then.
    pub(super) async fn wait(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.over.cancelled()).await.is_ok()
    }

    fn add(&self, result: DeliveryRow) {
        self.results.lock().push(result);
    }
}

/// Begins a broadcast; it is in the history, with its audit row, when this returns, and runs to its end whoever waits.
///
/// # Errors
/// 429 while another is under way; if the store fails.
pub(super) async fn begin(
    state: &HubState,
    by: Actor,
    notice: Notice,
    addressees: Vec<Addressee>,
) -> Result<Arc<Broadcast>, HubError> {
    let Ok(permit) = state.notices.place.clone().try_acquire_owned() else {
        return Err(HubError::TooMany {
            sentence: "Another notice is being delivered just now. Try again in a moment.".to_owned(),
            retry_after: state.config.notices.delivery_timeout(),
        });
    };
    let (state, tasks) = (state.clone(), state.program.tasks.clone());
    let (begun, waits) = tokio::sync::oneshot::channel();
    // A task of its own from the first write on: who goes away between the two leaves no row behind without its work.
    tasks.spawn(async move {
        let row = row_of(&state, &by, &notice, addressees.len());
        match write_begin(&state, row, by).await {
            Ok(row) => {
                let broadcast =
                    Arc::new(Broadcast { id: row.id, results: Mutex::default(), over: CancellationToken::new() });
                *state.notices.under_way.lock() = Some(broadcast.clone());
                let _ = begun.send(Ok(broadcast.clone()));
                run(&state, row, &notice, addressees, &broadcast, permit).await;
            }
            Err(error) => drop(begun.send(Err(error))),
        }
    });
    match waits.await {
        Ok(begun) => Ok(begun?),
        Err(_) => Err(HubError::Busy {
            sentence: "Slipway is being restarted. Try again in a moment.".to_owned(),
            retry_after: Duration::from_secs(5),
        }),
    }
}

fn row_of(state: &HubState, by: &Actor, notice: &Notice, total: usize) -> NoticeRow {
    NoticeRow {
        id: NoticeId(0),
        message: notice.message.clone(),
        kind: notice.kind,
        auto_close: notice.auto_close,
        by: by.name.clone(),
        sent_at: state.clock.now(),
        total,
        delivered: 0,
        is_over: false,
        deliveries: Vec::new(),
    }
}

/// History and audit in one commit, before the first server hears of it.
async fn write_begin(state: &HubState, mut row: NoticeRow, by: Actor) -> Result<NoticeRow, StoreError> {
    let store = state.program.store.clone();
    let object = format!("{} servers: {}", row.total, row.message.preview());
    on_pool(move || {
        store.write(|t| {
            row.id = t.next_notice_id()?;
            t.add_notice(&row)?;
            t.audit(row.sent_at, &by, "sent a notice", &object)
        })?;
        Ok(row)
    })
    .await
}

async fn run(
    state: &HubState,
    mut row: NoticeRow,
    notice: &Notice,
    addressees: Vec<Addressee>,
    broadcast: &Broadcast,
    permit: OwnedSemaphorePermit,
) {
    let payload = notice.to_json().to_string();
    let stopping = state.program.tasks.stopping();
    let deliveries = futures_util::stream::iter(addressees).map(|addressee| {
        let payload = &payload;
        async move {
            let failure = match addressee.hindrance {
                Some(hindrance) => Some(hindrance),
                // Who asks the program to stop waits for those under way, not for all that would follow.
                None if stopping.is_cancelled() => Some(Undelivered::Interrupted),
                None => deliver::deliver(state, &addressee.server, payload.as_bytes()).await.err(),
            };
            DeliveryRow { server: addressee.server, failure }
        }
    });
    let mut deliveries = std::pin::pin!(deliveries.buffer_unordered(state.config.notices.concurrency.max(1)));
    while let Some(result) = deliveries.next().await {
        if let Some(failure) = result.failure {
            info!(server = %result.server, reason = %failure, notice = row.id.0, "a notice was not delivered");
        }
        broadcast.add(result);
    }

    row.is_over = true;
    row.deliveries = broadcast.results();
    row.delivered = row.deliveries.iter().filter(|result| result.failure.is_none()).count();
    sort(&mut row.deliveries);
    row.deliveries.truncate(state.config.notices.kept_results);
    info!(
        notice = row.id.0,
        by = row.by,
        delivered = row.delivered,
        total = row.total,
        message = row.message.preview(),
        "a notice was sent"
    );
    let store = state.program.store.clone();
    if let Err(error) = on_pool(move || store.write(|t| t.update_notice(&row))).await {
        error!(error = &error as &dyn std::error::Error, "what became of a notice could not be written down");
    }
    // After the write: whoever looks sees it under way, or over, and never as interrupted.
    *state.notices.under_way.lock() = None;
    drop(permit);
    broadcast.over.cancel();
}

/// Failures first, then by name.
pub(super) fn sort(results: &mut [DeliveryRow]) {
    results.sort_by(|a, b| (a.failure.is_none(), &a.server).cmp(&(b.failure.is_none(), &b.server)));
}

/// Runs `work` on the store where it may block; to its end, even if nobody waits.
async fn on_pool<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(StoreError::Unknown(Box::new(error))),
    }
}
