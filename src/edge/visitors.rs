//! Who was let in by a right that can be lost while the request goes on: to somebody else's server, or to a router that
//! is for a group or for administrators. What they have open is cut when the right is gone.
//!
//! An owner's own server is opened by the session or token itself, and is cut with that: nothing of it is here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::auth::Caller;
use crate::model::ServerKey;
use crate::routers::Access;

/// Visits that are known at once. 16,384, some 300 bytes each; beyond it those are forgotten of which nothing is open.
const LIMIT: usize = 16_384;
/// If more are open then, all are cut: their pages connect again. Less than `LIMIT`, so that there are some thousand new
/// ones before all are looked at again.
const OPEN_LIMIT: usize = LIMIT / 4 * 3;

/// What a right opens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Somebody else's.
    Server(ServerKey),
    /// All routers that are for the same people.
    Router(Access),
}

/// One session or token at one place; all its requests there share what cuts them.
struct Visit {
    caller: Caller,
    /// Every request of the visit holds it until its last byte.
    cut: Arc<CancellationToken>,
}

impl Visit {
    fn is_open(&self) -> bool {
        Arc::strong_count(&self.cut) > 1 && !self.cut.is_cancelled()
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Visitors(Mutex<HashMap<(usize, Place), Visit>>);

impl Visitors {
    /// What is cancelled when `caller` loses the right to be at `place`, and with what they came with; whatever is open
    /// holds it. Ask for the right after this: one that is lost in between is either seen then, or cut here.
    pub(super) fn begin(&self, caller: &Caller, place: Place) -> Option<Arc<CancellationToken>> {
        let ended = caller.ended()?;
        let mut visits = self.0.lock();
        if visits.len() >= LIMIT {
            visits.retain(|_, visit| visit.is_open());
            if visits.len() > OPEN_LIMIT {
                visits.drain().for_each(|(_, visit)| visit.cut.cancel());
            }
        }
        Some(match visits.entry((identity_of(caller), place)) {
            Entry::Occupied(mut known) if known.get().cut.is_cancelled() => {
                known.get_mut().cut = Arc::new(ended.child_token());
                known.get().cut.clone()
            }
            Entry::Occupied(known) => known.get().cut.clone(),
            Entry::Vacant(free) => {
                free.insert(Visit { caller: caller.clone(), cut: Arc::new(ended.child_token()) }).cut.clone()
            }
        })
    }

    /// Cuts whoever may no more, and forgets whoever has gone.
    pub(super) fn look_again(&self, may: impl Fn(&Caller, &Place) -> bool) {
        self.0.lock().retain(|(_, place), visit| {
            let stays = !visit.cut.is_cancelled() && may(&visit.caller, place);
            if !stays {
                visit.cut.cancel();
            }
            stays
        });
    }
}

/// Where it is in memory: as long as a visit is known its caller is held, so no other has the same.
fn identity_of(caller: &Caller) -> usize {
    match caller {
        Caller::Anonymous => 0,
        Caller::Session(session) => Arc::as_ptr(session).addr(),
        Caller::Token(token) => Arc::as_ptr(token).addr(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::auth::{self, Auth};
    use crate::model::{Secret, UserName};

    fn place() -> Place {
        Place::Server(ServerKey::default_of(UserName::parse("alice").expect("a name")))
    }

    async fn signed_in(auth: &Auth, name: &str) -> Caller {
        let password = Secret::new("correct horse");
        auth.add_user("test", name, Some(&password), false).await.expect("a new user");
        let (_, session) =
            auth.sign_in(name, &password, IpAddr::from([127, 0, 0, 1])).await.expect("the password is right");
        Caller::Session(session)
    }

    #[tokio::test]
    async fn a_lost_right_cuts_its_visits_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let auth = auth::tests::open(folder.path()).await;
        let (bob, carol) = (signed_in(&auth, "bob").await, signed_in(&auth, "carol").await);
        let visitors = Visitors::default();
        let (bobs, again) = (visitors.begin(&bob, place()), visitors.begin(&bob, place()));
        let (bobs, again) = (bobs.expect("he has a session"), again.expect("he has a session"));
        let elsewhere = visitors.begin(&bob, Place::Router(Access::Admin)).expect("he has a session");
        let carols = visitors.begin(&carol, place()).expect("she has a session");
        visitors.look_again(|caller, at| caller.name() != Some("bob") || *at != place());
        assert!(bobs.is_cancelled() && again.is_cancelled());
        assert!(!carols.is_cancelled() && !elsewhere.is_cancelled());
        assert!(!visitors.begin(&bob, place()).expect("he has a session").is_cancelled(), "the right came back");
        assert!(visitors.begin(&Caller::Anonymous, place()).is_none());
    }

    #[tokio::test]
    async fn whoever_visits_everybody_cuts_nobody_who_is_still_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let auth = auth::tests::open(folder.path()).await;
        let (bob, carol) = (signed_in(&auth, "bob").await, signed_in(&auth, "carol").await);
        let of = |number: usize| {
            Place::Server(ServerKey::default_of(UserName::parse(&format!("user-{number}")).expect("a name")))
        };
        let visitors = Visitors::default();
        let (bobs, carols) = (visitors.begin(&bob, of(0)), visitors.begin(&carol, of(0)));
        for number in 1..2 * LIMIT {
            drop(visitors.begin(&bob, of(number)));
        }
        assert!(!bobs.expect("a session").is_cancelled() && !carols.expect("a session").is_cancelled());
        assert!(visitors.0.lock().len() <= LIMIT);

        let open: Vec<_> = (0..=LIMIT).map(|number| visitors.begin(&bob, of(number)).expect("a session")).collect();
        assert!(open.iter().filter(|cut| cut.is_cancelled()).count() > OPEN_LIMIT, "so many may not be open");
        assert!(visitors.0.lock().len() <= LIMIT);
    }
}
