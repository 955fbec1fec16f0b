//! `GET /live`: tells a page that what it shows has changed, as server-sent events (Slipway's own).
//!
//! An event says that something is new, not what: the page fetches itself again, so that one template shows a state
//! however it is reached. Only the progress of one's own starts comes along, since it moves many times a second.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::Uri;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::allowed::until_lost;
use super::model::error::ErrorModel;
use super::query::Query;
use super::scopes::require;
use crate::auth::{Access, Caller, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::{ServerKey, ServerState, UserName};
use crate::spawner::{ServerChange, Spawner};

/// What one may look at.
const SCOPE: &str = "read:servers";

/// `GET /hub/api/live?of=me|users[&since=…]` → `text/event-stream` that ends with the session, and with the right to hear it.
#[utoipa::path(
    get, path = "/live", operation_id = "follow_servers", tag = "Servers",
    summary = "Hear of changes",
    description = "As server-sent events: `changed` says that a server has changed, its `id` counts the changes; \
                   `progress` says how far a start of one's own is. Slipway's own.",
    params(
        ("of" = String, Query, description = "`me`: the caller's servers. `users`: everybody's, at most one event a second.", example = "me"),
        ("since" = Option<u64>, Query, description = "The count of changes that is known already; if there are more, one event comes at once."),
    ),
    security(("token" = ["read:servers"])),
    responses(
        (status = 200, description = "Server-sent events.", body = String, content_type = "text/event-stream"),
        (status = 400, description = "`of` is neither.", body = ErrorModel),
    ),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    uri: Uri,
) -> Result<Response, HubError> {
    let query = Query::parse(uri.query());
    let rights_changes = state.auth.rights_changes();
    let word = query.get("of").unwrap_or_default();
    let of = Of::read(&state, &caller, word)?;
    let lost = {
        let (state, caller, word) = (state.clone(), caller.clone(), word.to_owned());
        until_lost(rights_changes, move || Of::read(&state, &caller, &word).is_ok())
    };
    let place = state.live_streams.take(holder_of(&caller))?;
    let config = &state.config;
    let gap_ms = if of == Of::All { config.live_gap_of_all_ms } else { config.live_gap_ms };
    let now = Instant::now();
    let listener = Listener {
        // Before the count is read: what happens between the two is told twice rather than never.
        changes: state.spawner.changes(),
        since: query.get("since").and_then(|since| since.parse().ok()),
        keep_alive: Duration::from_secs(config.live_keep_alive_s),
        gap: Duration::from_millis(gap_ms),
        ends_at: now + Duration::from_secs(config.live_limit_s),
        quiet_until: now,
        ended: caller.ended().cloned().unwrap_or_default(),
        stopping: state.program.tasks.stopping().clone(),
        news: News::default(),
        spawner: state.spawner.clone(),
        is_greeted: false,
        of,
        _place: place,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let bytes = listener.next().await?;
        Some((Ok::<_, Infallible>(bytes), listener))
    });
    let events = events.take_until(Box::pin(lost));
    // `X-Accel-Buffering` asks a proxy in front of us to pass each event on at once.
    let head = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ];
    Ok((head, Body::from_stream(events)).into_response())
}

/// Whose servers a stream tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Of {
    One(UserName),
    All,
}

impl Of {
    fn read(state: &HubState, caller: &Caller, word: &str) -> Result<Self, HubError> {
        match word {
            "users" => {
                require(caller, &[SCOPE], Target::Some)?;
                // 404 would say that there are no users; whoever may see only some is refused as one who may see none.
                let may_see_all = caller.rights().check(&[SCOPE], Target::All) == Access::Allowed;
                may_see_all.then_some(Self::All).ok_or(HubError::MissingScope { wanted: vec![SCOPE] })
            }
            "me" => {
                let user = caller.user().map(|user| user.name.clone());
                let user = user.filter(|user| state.auth.user(user).is_some());
                let user = user.ok_or(HubError::Anonymous)?;
                require(caller, &[SCOPE], Target::User(&user))?;
                Ok(Self::One(user))
            }
            _ => {
                require(caller, &[SCOPE], Target::Some)?;
                Err(HubError::bad("of must be me or users"))
            }
        }
    }

    fn is_about(&self, change: &ServerChange) -> bool {
        match self {
            Self::One(user) => change.server.user == *user,
            Self::All => !change.is_only_progress,
        }
    }
}

/// What has happened and is not told yet.
#[derive(Debug, Default)]
struct News {
    is_changed: bool,
    /// At most the servers of one user.
    progress: BTreeSet<ServerKey>,
}

impl News {
    fn is_none(&self) -> bool {
        !self.is_changed && self.progress.is_empty()
    }

    fn note(&mut self, of: &Of, change: ServerChange) {
        if !of.is_about(&change) {
            return;
        }
        if change.is_only_progress {
            self.progress.insert(change.server);
        } else {
            self.is_changed = true;
        }
    }
}

struct Listener {
    changes: broadcast::Receiver<ServerChange>,
    spawner: Spawner,
    of: Of,
    since: Option<u64>,
    news: News,
    is_greeted: bool,
    keep_alive: Duration,
    gap: Duration,
    /// No event before this moment.
    quiet_until: Instant,
    ends_at: Instant,
    ended: Arc<CancellationToken>,
    stopping: CancellationToken,
    _place: Place,
}

impl Listener {
    /// The next bytes for the page; `None` when the stream is over. Cancel-safe: news stay until they are handed over.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.is_greeted {
            self.is_greeted = true;
            self.news.is_changed = self.since.is_some_and(|since| since != self.spawner.change_count());
            return Some(Bytes::from_static(b"\n\n"));
        }
        let (ended, stopping) = (self.ended.clone(), self.stopping.clone());
        let ends_at = self.ends_at;
        tokio::select! {
            biased;
            () = ended.cancelled() => None,
            () = stopping.cancelled() => None,
            () = tokio::time::sleep_until(ends_at) => None,
            bytes = self.tell() => bytes,
        }
    }

    async fn tell(&mut self) -> Option<Bytes> {
        let silent_until = Instant::now() + self.keep_alive;
        while self.news.is_none() {
            match tokio::time::timeout_at(silent_until, self.changes.recv()).await {
                Err(_) => return Some(Bytes::from_static(b"\n\n")),
                Ok(Ok(change)) => self.news.note(&self.of, change),
                Ok(Err(RecvError::Lagged(_))) => self.news.is_changed = true,
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
        tokio::time::sleep_until(self.quiet_until).await;
        // What has come meanwhile is in the same event.
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.news.note(&self.of, change),
                Err(TryRecvError::Lagged(_)) => self.news.is_changed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.quiet_until = Instant::now() + self.gap;
        let news = std::mem::take(&mut self.news);
        Some(self.written(&news))
    }

    fn written(&self, news: &News) -> Bytes {
        let mut text = String::new();
        for server in &news.progress {
            let status = self.spawner.status(server);
            if matches!(status.state, ServerState::Starting(_)) {
                let data = json!({ "server": server.name.as_str(), "progress": status.progress_percent, "message": status.message });
                let _ = write!(text, "event: progress\ndata: {data}\n\n");
            }
        }
        if news.is_changed {
            let _ = write!(text, "event: changed\nid: {}\ndata: {{}}\n\n", self.spawner.change_count());
        }
        // Progress of a start that has ended meanwhile: its end is an event of its own.
        Bytes::from(if text.is_empty() { "\n\n".to_owned() } else { text })
    }
}

/// Under what a stream is counted: its session, or whose token it is.
fn holder_of(caller: &Caller) -> String {
    match caller {
        Caller::Session(session) => session.hub_session_id.clone(),
        Caller::Token(_) | Caller::Anonymous => format!("token of {}", caller.name().unwrap_or_default()),
    }
}

/// How many streams are open, in all and by holder.
pub(in crate::hub) struct Places {
    limit: usize,
    limit_per_holder: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_holder: HashMap<String, usize>,
}

/// One open stream; dropped, its place is free.
struct Place {
    places: Arc<Places>,
    holder: String,
}

impl Places {
    /// So many in all, and so many of one holder.
    pub(in crate::hub) fn new(limit: usize, limit_per_holder: usize) -> Self {
        Self { limit, limit_per_holder, taken: Mutex::default() }
    }

    fn take(self: &Arc<Self>, holder: String) -> Result<Place, HubError> {
        let mut taken = self.taken.lock();
        let theirs = taken.by_holder.get(&holder).copied().unwrap_or_default();
        if taken.all >= self.limit || theirs >= self.limit_per_holder {
            return Err(HubError::TooMany {
                sentence: "Too many pages follow what happens. Close some of them.".to_owned(),
                retry_after: Duration::from_secs(30),
            });
        }
        taken.all += 1;
        taken.by_holder.insert(holder.clone(), theirs + 1);
        drop(taken);
        Ok(Place { places: Arc::clone(self), holder })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        match taken.by_holder.get_mut(&self.holder) {
            Some(theirs) if *theirs > 1 => *theirs -= 1,
            _ => drop(taken.by_holder.remove(&self.holder)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(user: &str, is_only_progress: bool) -> ServerChange {
        let server = ServerKey::default_of(UserName::parse(user).expect("a name"));
        ServerChange { server, is_only_progress }
    }

    #[test]
    fn a_place_is_free_again_when_its_stream_ends() {
        let places = Arc::new(Places::new(3, 2));
        let take = |holder: &str| places.take(holder.to_owned());
        let first = take("a").expect("there is room");
        let _second = take("a").expect("there is room");
        assert!(take("a").is_err(), "a has two");
        let _third = take("b").expect("there is room");
        assert!(take("c").is_err(), "there are three");
        drop(first);
        let _fourth = take("c").expect("there is room again");
        assert_eq!(places.taken.lock().by_holder.len(), 3);
    }

    #[test]
    fn each_hears_of_what_they_show() {
        let alice = Of::One(UserName::parse("alice").expect("a name"));
        let heard = |of: &Of, change: ServerChange| {
            let mut news = News::default();
            news.note(of, change);
            (news.is_changed, news.progress.len())
        };
        assert_eq!(heard(&alice, change("alice", false)), (true, 0));
        assert_eq!(heard(&alice, change("alice", true)), (false, 1));
        assert_eq!(heard(&alice, change("bob", false)), (false, 0));
        assert_eq!(heard(&Of::All, change("bob", false)), (true, 0));
        assert_eq!(heard(&Of::All, change("bob", true)), (false, 0));
    }
}
