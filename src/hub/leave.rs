//! The end of an account, with its volumes or without: one order of steps for the API and the pages.

use super::HubState;
use super::error::HubError;
use crate::model::{Actor, UserName};
use crate::spawner::{Outcome, SpawnerError, VolumeOutcome};

/// Ends an account whose servers are stopped: its volumes first if they shall go, then the account, then what is left of
/// its servers. Nothing of the user's starts in between. Run it `to_its_end`.
///
/// # Errors
/// 400 if a server is not stopped, 409 if a volume cannot go (then the account stays); else as `Auth::delete_user`.
pub(super) async fn end_account(
    state: &HubState,
    by: &Actor,
    name: &UserName,
    with_volumes: bool,
) -> Result<(), HubError> {
    let mut held = None;
    if with_volumes {
        check_may_end(state, name)?;
        let hold = state.spawner.hold(name).await.map_err(|error| match error {
            SpawnerError::Running => HubError::bad(format!("{name}'s servers must be stopped first.")),
            error => error.into(),
        })?;
        check_all_gone(name, &state.spawner.delete_volumes(&hold, by).await?)?;
        held = Some(hold);
    }
    state.auth.delete_user(by, name).await?;
    state.spawner.forget_user(name).await?;
    drop(held);
    Ok(())
}

/// Before the first volume goes: `delete_user` says no too late for them.
fn check_may_end(state: &HubState, name: &UserName) -> Result<(), HubError> {
    let users = state.auth.users();
    let is_administrator = |user: &&crate::auth::UserListing| user.admin && user.authorised && !user.disabled;
    let administrators: Vec<_> = users.iter().filter(is_administrator).collect();
    if administrators.len() == 1 && administrators.iter().any(|user| user.name == *name) {
        return Err(crate::auth::AccountError::LastAdministrator.into());
    }
    Ok(())
}

fn check_all_gone(name: &UserName, outcomes: &[VolumeOutcome]) -> Result<(), HubError> {
    let stayed = outcomes.iter().filter_map(|each| match &each.outcome {
        Outcome::Reset => None,
        Outcome::Failed(reason) => Some(format!("{} ({reason})", each.suffix)),
    });
    let stayed: Vec<_> = stayed.collect();
    if stayed.is_empty() {
        return Ok(());
    }
    Err(HubError::conflict(format!("{name} stays: not all volumes could be deleted: {}", stayed.join(", "))))
}
