//! Does an act to its targets: so many at once, each to its own end, each with its own outcome.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::timeout;

use super::act::{Act, Choice};
use super::batch::{Batch, Outcome};
use crate::auth::RootLeave;
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::hub::leave::end_account;
use crate::hub::to_its_end::to_its_end;
use crate::model::{Actor, ServerKey, ServerState, UserName};
use crate::spawner::Wish;

/// How an act is done: by whom, with what was chosen, with leave to make somebody root on the host or without.
pub(super) struct Deed {
    pub(super) by: Actor,
    pub(super) choice: Choice,
    pub(super) leave: RootLeave,
}

/// Does all of `batch`, which has begun, in the background.
pub(super) fn perform(state: &HubState, batch: Arc<Batch>, deed: Deed) {
    let state_in = state.clone();
    let at_last = batch.finish_at_last();
    state.program.tasks.spawn(async move {
        let next = AtomicUsize::new(0);
        let workers = std::iter::repeat_with(|| work(&state_in, &batch, &deed, &next));
        futures_util::future::join_all(workers.take(state_in.config.acts_at_once)).await;
        drop(at_last);
    });
}

/// Takes one target after the other until none is left.
async fn work(state: &HubState, batch: &Batch, deed: &Deed, next: &AtomicUsize) {
    let stopping = state.program.tasks.stopping();
    while !stopping.is_cancelled() {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(target) = batch.targets.get(index) else { return };
        batch.note(index, Outcome::UnderWay);
        batch.note(index, outcome_of(state.config.act_limit(), act_on(state, batch, deed, target)).await);
    }
}

/// What becomes of one: its panic is its own failure, and the others go on.
async fn outcome_of(limit: Duration, act: impl Future<Output = Result<(), HubError>>) -> Outcome {
    match timeout(limit, AssertUnwindSafe(act).catch_unwind()).await {
        Ok(Ok(Ok(()))) => Outcome::Done,
        Ok(Ok(Err(error))) => Outcome::Failed(sentence_of(&error)),
        Ok(Err(_)) => Outcome::Failed(
            "Slipway made a mistake here, which its log tells. Look at this user before you go on.".into(),
        ),
        Err(_) => Outcome::Failed("It takes very long, and goes on by itself.".into()),
    }
}

fn sentence_of(error: &HubError) -> String {
    match error {
        HubError::NoSuchResource => "This user is no longer there.".to_owned(),
        error => error.message().unwrap_or_else(|| error.for_people().1),
    }
}

/// Does it to one. What was true when the question was asked is asked again: much may have happened since.
async fn act_on(state: &HubState, batch: &Batch, deed: &Deed, name: &UserName) -> Result<(), HubError> {
    let Deed { by, choice, leave } = deed;
    let user = state.auth.user(name).ok_or(HubError::NoSuchResource)?;
    let is_me = batch.by == *name;
    match batch.act {
        Act::Approve => Ok(state.auth.authorise(by, name, true).await?),
        Act::Discard if user.is_authorised() => Err(HubError::bad("This account has been approved meanwhile.")),
        Act::Discard => delete(state, by, name, false).await,
        Act::Start => start(state, by, name).await,
        Act::Restart => restart(state, by, name).await,
        Act::Stop => Ok(state.spawner.stop_all_of(name, by).await?),
        Act::MakeAdministrator => Ok(state.auth.set_admin(by, name, true).await?),
        Act::TakeAdministration | Act::Disable | Act::Delete if is_me => {
            Err(HubError::bad("You cannot do this to yourself. Ask another administrator."))
        }
        Act::TakeAdministration => Ok(state.auth.set_admin(by, name, false).await?),
        Act::AddToGroup | Act::RemoveFromGroup => {
            let group = choice.group.as_ref().ok_or_else(|| HubError::bad("No group was chosen."))?;
            let users = [name.clone()];
            match batch.act {
                Act::AddToGroup => state.auth.add_to_group_with(by, group, &users, leave).await?,
                _ => state.auth.remove_from_group(by, group, &users).await?,
            };
            Ok(())
        }
        Act::RequirePassword => Ok(state.auth.require_password_change(by, name, true).await?),
        Act::ClearSecondFactor => Ok(state.auth.clear_second_factor(by, name).await?),
        Act::Enable => Ok(state.auth.set_disabled(by, name, false).await?),
        Act::Disable => disable(state, by, name).await,
        Act::Delete => delete(state, by, name, choice.with_volumes).await,
    }
}

async fn start(state: &HubState, by: &Actor, name: &UserName) -> Result<(), HubError> {
    let server = ServerKey::default_of(name.clone());
    state.spawner.start(&server, Wish::of(by)).await?;
    until_ready(state, &server).await
}

/// The own server of a user, in its container.
async fn restart(state: &HubState, by: &Actor, name: &UserName) -> Result<(), HubError> {
    let server = ServerKey::default_of(name.clone());
    state.spawner.restart(&server, by).await?;
    until_ready(state, &server).await
}

async fn until_ready(state: &HubState, server: &ServerKey) -> Result<(), HubError> {
    let mut watch = state.spawner.watch(server);
    let ended = watch.wait_for(|status| status.state.pending().is_none()).await;
    match ended.map(|status| status.state.clone()) {
        Ok(ServerState::Ready) => Ok(()),
        Ok(ServerState::Failed(failure)) => Err(HubError::StartFailed(Box::new(failure))),
        Ok(_) | Err(_) => Err(HubError::bad("It was stopped again before it was ready.")),
    }
}

async fn disable(state: &HubState, by: &Actor, name: &UserName) -> Result<(), HubError> {
    let (state, by, name) = (state.clone(), by.clone(), name.clone());
    to_its_end(async move {
        state.auth.set_disabled(&by, &name, true).await?;
        // Their tokens have ended with the others: they could not ask us about anybody any more.
        Ok(state.spawner.stop_all_of(&name, &by).await?)
    })
    .await
}

async fn delete(state: &HubState, by: &Actor, name: &UserName, with_volumes: bool) -> Result<(), HubError> {
    let (state, by, name) = (state.clone(), by.clone(), name.clone());
    to_its_end(async move {
        if with_volumes {
            // What is in use does not go. From here to the end of the account nothing of theirs starts again.
            state.spawner.stop_all_of(&name, &by).await?;
        }
        end_account(&state, &by, &name, with_volumes).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn a_refusal_a_panic_and_a_long_wait_are_each_told_and_end() {
        let refused = async { Err(HubError::bad("It cannot be.")) };
        assert_eq!(outcome_of(LIMIT, refused).await, Outcome::Failed("It cannot be.".into()));
        assert_eq!(outcome_of(LIMIT, async { Ok(()) }).await, Outcome::Done);
        let mistaken = outcome_of(LIMIT, async { panic!("a mistake of ours") }).await;
        assert!(matches!(&mistaken, Outcome::Failed(why) if why.contains("made a mistake")), "{mistaken:?}");
        let endless = outcome_of(LIMIT, std::future::pending()).await;
        assert!(matches!(&endless, Outcome::Failed(why) if why.contains("very long")), "{endless:?}");
    }
}
