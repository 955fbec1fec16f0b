//! Tells whoever works in a server that it is about to be stopped: a notice of the program's own, to that one server. It
//! stands in no history of what people have sent, and nobody waits for it.

use std::future::ready;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};

use super::deliver::deliver;
use crate::hub::HubState;
use crate::hub::idle::in_words;
use crate::model::{AutoClose, IdleView, IdleWarning, IdleWhy, Notice, NoticeKind, NoticeText};

/// A deadline that has moved by less is the same one: the clock went on between the warning and us.
const SAME_DEADLINE: Duration = Duration::from_secs(5);

impl HubState {
    /// From here on, until the program stops, tells servers that they are about to be stopped.
    pub fn tell_of_idle_stops(&self) {
        let warnings = self.spawner.idle_warnings();
        let state = self.clone();
        self.program.tasks.spawn(async move {
            let stopping = state.program.tasks.stopping();
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tell_all(&state, warnings) => {}
            }
        });
    }
}

async fn tell_all(state: &HubState, warnings: Receiver<IdleWarning>) {
    let at_once = state.config.notices.concurrency.max(1);
    let told = stream_of(warnings).map(|warning| tell(state, warning)).buffer_unordered(at_once);
    told.for_each(|()| ready(())).await;
}

/// Those that we were too slow for are over: their servers are stopped by now, or nearly.
fn stream_of(warnings: Receiver<IdleWarning>) -> impl Stream<Item = IdleWarning> {
    futures_util::stream::unfold(warnings, |mut warnings| async {
        loop {
            match warnings.recv().await {
                Ok(warning) => return Some((warning, warnings)),
                Err(RecvError::Lagged(missed)) => warn!(missed, "some servers were not told that they will be stopped"),
                Err(RecvError::Closed) => return None,
            }
        }
    })
}

async fn tell(state: &HubState, warning: IdleWarning) {
    let IdleWarning { server, deadline, .. } = warning;
    let view = state.spawner.idle_view(&server);
    let Some(view) = view.filter(|view| view.deadline.is_some_and(|at| at <= deadline.plus(SAME_DEADLINE))) else {
        // Used or extended since, or gone.
        return;
    };
    let Some(notice) = notice_of(&view) else { return };
    let payload = notice.to_json().to_string();
    if let Err(reason) = deliver(state, &server, payload.as_bytes()).await {
        info!(server = %server, reason = %reason, "a server was not told that it will be stopped");
    }
}

/// What is said of a deadline: without a time of day, which would be another one in the reader's zone.
fn notice_of(view: &IdleView) -> Option<Notice> {
    let left = in_words(view.remaining?);
    let text = match view.why {
        IdleWhy::Idle if view.offered_hours > 0 => {
            format!("This server stops in {left} because nobody uses it. Extend it on the home page or run something.")
        }
        IdleWhy::Idle => {
            format!("This server stops in {left} because nobody uses it. Work in it or run something to keep it.")
        }
        IdleWhy::Age if view.offered_hours > 0 => {
            format!("This server stops in {left}: it has run as long as servers may. Save your work or extend it.")
        }
        IdleWhy::Age => format!("This server stops in {left}: it has run as long as servers may. Save your work."),
    };
    let message = NoticeText::parse(&text).ok()?;
    Some(Notice { message, kind: NoticeKind::Warning, auto_close: AutoClose::Never })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn what_is_said_is_short_enough_whatever_time_is_left() {
        let longest = Duration::from_secs(23 * 3600 + 59 * 60);
        for why in [IdleWhy::Idle, IdleWhy::Age] {
            for offered_hours in [0, 4] {
                let view = IdleView {
                    deadline: Some(Timestamp(0)),
                    remaining: Some(longest),
                    base: None,
                    ceiling: None,
                    offered_hours,
                    why,
                    last: None,
                    busy_kernel: false,
                    high_water: longest,
                    rules_from: vec![],
                };
                let notice = notice_of(&view).expect("a text that a notice may have");
                assert!(notice.message.as_str().contains("in 23 hours and 59 minutes"), "{notice:?}");
                assert_eq!((notice.kind, notice.auto_close), (NoticeKind::Warning, AutoClose::Never));
            }
        }
    }
}
