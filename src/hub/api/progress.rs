//! `GET /users/{u}/server[s/{s}]/progress`: a start as server-sent events, for the start page and for programs.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::allowed::until_lost;
use super::model::server::progress_path;
use super::server_path::{ServerPath, told};
use super::servers::exists;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::extract::CallerOf;
use crate::model::{BasePath, Phase, ServerKey, ServerState, ServerStatus};

/// What whoever listens must be allowed, to the end.
const WANTED: &[&str] = &["read:servers"];

/// `GET /hub/api/users/{u}/server[s/{s}]/progress` → `text/event-stream` that ends with ready or failed, and with the right to
/// hear it.
#[utoipa::path(
    get, path = "/users/{user}/servers/{server}/progress", operation_id = "follow_server_start", tag = "Servers",
    summary = "Follow a start", description = "As server-sent events.",
    params(ServerPath),
    security(("token" = ["read:servers"])),
    responses((
        status = 200, description = "Server-sent events, one JSON object each; the last one says `ready` or `failed`.",
        body = String, content_type = "text/event-stream",
    )),
)]
pub(in crate::hub) async fn get(
    State(state): State<HubState>,
    CallerOf(caller): CallerOf,
    path: ServerPath,
) -> Result<Response, HubError> {
    let rights_changes = state.auth.rights_changes();
    let key = path.reach(&state, &caller, WANTED)?;
    if !exists(&state, &key) {
        return Err(HubError::NoSuchPage);
    }
    let watch = state.spawner.watch(&key);
    if matches!(watch.borrow().state, ServerState::Stopped | ServerState::Stopping) {
        return Err(HubError::bad(format!("{} is not starting...", told(&key))));
    }
    let permit = state.progress_listeners.clone().try_acquire_owned().map_err(|_| HubError::TooMany {
        sentence: "Too many pages are watching servers start. Reload in a moment.".to_owned(),
        retry_after: Duration::from_secs(5),
    })?;
    let listener = Listener {
        watch,
        prefix: key.prefix(&state.config.base),
        keep_alive: Duration::from_secs(state.config.progress_keep_alive_s),
        ends_at: Instant::now() + Duration::from_secs(state.config.progress_limit_s),
        step: Step::Greeting,
        _permit: permit,
    };
    let events = stream::unfold(listener, |mut listener| async move {
        let bytes = listener.next().await?;
        Some((Ok::<_, Infallible>(bytes), listener))
    });
    let lost = until_lost(rights_changes, move || path.reach(&state, &caller, WANTED).is_ok());
    let events = events.take_until(Box::pin(lost));
    // `X-Accel-Buffering` asks a proxy in front of us to pass each event on at once.
    let head = [
        (CONTENT_TYPE.as_str(), "text/event-stream"),
        (CACHE_CONTROL.as_str(), "no-cache"),
        ("x-accel-buffering", "no"),
    ];
    Ok((head, Body::from_stream(events)).into_response())
}

/// Where a listener is in its stream.
enum Step {
    /// An empty line at once: whoever waits in between sees that we live.
    Greeting,
    First,
    /// The present status is told `at_once`, or the next one when it comes.
    Following {
        at_once: bool,
    },
    Ended,
}

struct Listener {
    watch: watch::Receiver<ServerStatus>,
    prefix: String,
    keep_alive: Duration,
    ends_at: Instant,
    step: Step,
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    /// The next bytes for the browser; `None` when the stream is over. Cancel-safe: an event not handed over is
    /// made again from the present status.
    async fn next(&mut self) -> Option<Bytes> {
        match self.step {
            Step::Ended => return None,
            Step::Greeting => {
                self.step = Step::First;
                return Some(Bytes::from_static(b"\n\n"));
            }
            Step::First => {
                self.step = Step::Following { at_once: true };
                if self.watch.borrow().state.is_coming() {
                    return Some(bytes_of(&json!({ "progress": 0, "message": "Server requested" })));
                }
            }
            Step::Following { at_once: true } => self.step = Step::Following { at_once: false },
            Step::Following { at_once: false } => {
                let changed = tokio::time::timeout(self.keep_alive, self.watch.changed());
                tokio::select! {
                    () = tokio::time::sleep_until(self.ends_at) => return None,
                    change = changed => match change {
                        Err(_) => return Some(Bytes::from_static(b"\n\n")),
                        Ok(Err(_)) => return None,
                        Ok(Ok(())) => {}
                    },
                }
            }
        }
        let status = self.watch.borrow_and_update().clone();
        let (event, is_last) = event_of(&status, &self.prefix);
        if is_last {
            self.step = Step::Ended;
        }
        Some(bytes_of(&event))
    }
}

fn bytes_of(event: &Value) -> Bytes {
    Bytes::from(format!("data: {event}\n\n"))
}

/// A status as an event, and whether it is the last one.
fn event_of(status: &ServerStatus, prefix: &str) -> (Value, bool) {
    match &status.state {
        ServerState::Ready => {
            let html = format!("Server ready at <a href=\"{prefix}\">{prefix}</a>");
            let message = format!("Server ready at {prefix}");
            let event =
                json!({ "progress": 100, "ready": true, "message": message, "html_message": html, "url": prefix });
            (event, true)
        }
        ServerState::Failed(failure) => {
            let message = format!("Spawn failed: {}", failure.sentence);
            let event = json!({
                "progress": 100, "failed": true, "message": message, "start": status.generation,
                "exit_code": failure.exit_code, "log_tail": failure.log_tail,
            });
            (event, true)
        }
        ServerState::Stopped | ServerState::Stopping => {
            let message = "Spawn cancelled";
            (json!({ "progress": 100, "failed": true, "message": message, "start": status.generation }), true)
        }
        ServerState::Restarting => {
            let (progress, message) = (status.progress_percent, &status.message);
            let phase = restart_phase(status);
            (json!({ "progress": progress, "message": message, "phase": phase, "start": status.generation }), false)
        }
        ServerState::Starting(phase) => {
            let message = if status.message.is_empty() { "Spawning server..." } else { &status.message };
            (
                json!({
                    "progress": status.progress_percent, "message": message,
                    "phase": phase, "start": status.generation,
                }),
                false,
            )
        }
    }
}

/// Where a restart is: the engine is at work (`restart`), or the server runs again and is asked (`ready`).
pub(in crate::hub) fn restart_phase(status: &ServerStatus) -> &'static str {
    if status.progress_percent < Phase::Ready.progress_percent() { "restart" } else { "ready" }
}

/// Address of a server's progress stream, for a script of ours with this form token.
pub(in crate::hub) fn address_of(base: &BasePath, server: &ServerKey, form_token: &str) -> String {
    format!("{}?_xsrf={form_token}", progress_path(base, server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, Phase, Timestamp};
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    fn status(state: ServerState) -> ServerStatus {
        ServerStatus { state, ..ServerStatus::stopped(Timestamp(0)) }
    }

    fn listener(watch: watch::Receiver<ServerStatus>) -> Listener {
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("it is free");
        Listener {
            watch,
            prefix: "/user/alice/".to_owned(),
            keep_alive: Duration::from_secs(8),
            ends_at: Instant::now() + Duration::from_secs(900),
            step: Step::Greeting,
            _permit: permit,
        }
    }

    fn json_of(bytes: &Bytes) -> Value {
        let text = std::str::from_utf8(bytes).expect("utf-8");
        let line = text.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n")).expect("one event");
        serde_json::from_str(line).expect("json")
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_follows_a_start_and_ends_with_ready() {
        let (sender, watch) = watch::channel(status(ServerState::Starting(Phase::Image)));
        let mut listener = listener(watch);
        assert_eq!(listener.next().await.as_deref(), Some(&b"\n\n"[..]), "it answers at once");
        let first = json_of(&listener.next().await.expect("an event"));
        assert_eq!(first, json!({ "progress": 0, "message": "Server requested" }));
        let present = json_of(&listener.next().await.expect("an event"));
        assert_eq!((&present["phase"], &present["message"]), (&json!("image"), &json!("Spawning server...")));
        assert_eq!(listener.next().await.as_deref(), Some(&b"\n\n"[..]), "it says that it lives");
        sender.send_replace(status(ServerState::Starting(Phase::Ready)));
        assert_eq!(json_of(&listener.next().await.expect("an event"))["phase"], "ready");
        sender.send_replace(status(ServerState::Ready));
        let last = json_of(&listener.next().await.expect("an event"));
        assert_eq!((&last["ready"], &last["url"]), (&json!(true), &json!("/user/alice/")));
        assert_eq!(listener.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_start_says_why_and_ends() {
        let failure = Failure {
            sentence: "The image is missing.".into(),
            exit_code: Some(3),
            log_tail: vec!["boom".into()],
            at: Timestamp(0),
        };
        let (_sender, watch) = watch::channel(status(ServerState::Failed(failure)));
        let mut listener = listener(watch);
        listener.next().await.expect("the greeting");
        let last = json_of(&listener.next().await.expect("an event"));
        assert_eq!(last["message"], "Spawn failed: The image is missing.");
        assert_eq!((&last["failed"], &last["exit_code"]), (&json!(true), &json!(3)));
        assert_eq!(listener.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_stream_stays_open_for_ever() {
        let (_sender, watch) = watch::channel(status(ServerState::Starting(Phase::Image)));
        let mut listener = listener(watch);
        let mut count = 0;
        while listener.next().await.is_some() {
            count += 1;
        }
        assert!((100..120).contains(&count), "{count} pieces in 900 s");
    }
}
