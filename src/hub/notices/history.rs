//! What was sent: read and forgotten.

use super::{Broadcast, on_pool};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::model::Actor;
use crate::store::{NoticeId, NoticeRow};

/// Notices that a list shows; 500 are kept.
const LIST_LIMIT: usize = 100;

/// How far a notice has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) enum SentState {
    /// On its way to servers.
    UnderWay,
    /// Every server had its turn.
    Over,
    /// The program ended before that.
    Interrupted,
}

/// A notice as the history shows it.
#[derive(Clone, Debug)]
pub(in crate::hub) struct Sent {
    /// What is stored; while under way with the results so far.
    pub(in crate::hub) row: NoticeRow,
    /// How far it has come.
    pub(in crate::hub) state: SentState,
}

/// The newest notices, newest first.
///
/// # Errors
/// If the store fails.
pub(in crate::hub) async fn list(state: &HubState) -> Result<Vec<Sent>, HubError> {
    let (store, before) = (state.program.store.clone(), state.notices.present());
    let rows = on_pool(move || store.notices(LIST_LIMIT)).await?;
    Ok(rows.into_iter().map(|row| with_state(state, before.as_deref(), row)).collect())
}

/// One notice.
///
/// # Errors
/// If the store fails.
pub(in crate::hub) async fn find(state: &HubState, id: NoticeId) -> Result<Option<Sent>, HubError> {
    let (store, before) = (state.program.store.clone(), state.notices.present());
    let row = on_pool(move || store.notice(id)).await?;
    Ok(row.map(|row| with_state(state, before.as_deref(), row)))
}

/// Forgets all of them; says how many.
///
/// # Errors
/// If the store fails.
pub(in crate::hub) async fn clear(state: &HubState, by: Actor) -> Result<u64, HubError> {
    let (store, now) = (state.program.store.clone(), state.clock.now());
    let cleared = on_pool(move || {
        store.write(|t| {
            let cleared = t.clear_notices()?;
            t.audit(now, &by, "cleared the history of notices", &format!("{cleared} notices"))?;
            Ok(cleared)
        })
    });
    Ok(cleared.await?)
}

/// `before` is what was under way before the row was read: it may be over since.
fn with_state(state: &HubState, before: Option<&Broadcast>, row: NoticeRow) -> Sent {
    if row.is_over {
        return Sent { row, state: SentState::Over };
    }
    let now = state.notices.present();
    let Some(broadcast) = [before, now.as_deref()].into_iter().flatten().find(|broadcast| broadcast.id == row.id)
    else {
        return Sent { row, state: SentState::Interrupted };
    };
    let mut deliveries = broadcast.results();
    super::sort(&mut deliveries);
    let delivered = deliveries.iter().filter(|result| result.failure.is_none()).count();
    Sent { row: NoticeRow { delivered, deliveries, ..row }, state: SentState::UnderWay }
}
