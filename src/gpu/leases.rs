//! Who has which graphics processor: a table without time or chance.
//!
//! One that a server has alone is never given to another, and one that is shared is not given to a server alone. Who
//! waits stands in one queue: whoever came first chooses first, and nobody takes what somebody before could have.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{GpuHeld, ServerKey};

/// A server and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub server: ServerKey,
    /// What.
    pub held: GpuHeld,
}

/// Where somebody stands in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub place: usize,
    /// How many wait.
    pub of: usize,
}

/// The table. Its length is bounded by the servers that run or start.
#[derive(Clone, Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<ServerKey, GpuHeld>,
    /// With what each could have, in order of arrival.
    queue: Vec<(ServerKey, Vec<String>)>,
}

impl Leases {
    /// Gives `server` a part of all of `among` that nobody has alone.
    pub(super) fn share(&mut self, server: &ServerKey, among: &[String]) -> GpuHeld {
        self.release(server);
        let taken: BTreeSet<_> =
            self.held.values().filter(|held| held.is_exclusive).flat_map(|held| &held.uuids).collect();
        let uuids = among.iter().filter(|uuid| !taken.contains(uuid)).cloned().collect();
        self.keep(server, GpuHeld { uuids, ..GpuHeld::default() })
    }

    /// Gives `server` all there are, whatever that is.
    pub(super) fn share_unseen(&mut self, server: &ServerKey) -> GpuHeld {
        self.release(server);
        self.keep(server, GpuHeld { is_unseen: true, ..GpuHeld::default() })
    }

    /// Gives `server` one of `among` alone.
    ///
    /// # Errors
    /// Its place in the queue, which it keeps until it is asked for again and gets one, or is released.
    pub(super) fn lease(&mut self, server: &ServerKey, among: &[String]) -> Result<GpuHeld, Place> {
        if let Some(held) = self.held.get(server).filter(|held| held.is_exclusive)
            && held.uuids.iter().all(|uuid| among.contains(uuid))
        {
            return Ok(held.clone());
        }
        self.held.remove(server);
        match self.queue.iter_mut().find(|(waiting, _)| waiting == server) {
            Some((_, wanted)) => *wanted = among.to_vec(),
            None => self.queue.push((server.clone(), among.to_vec())),
        }
        let place = self.queue.iter().position(|(waiting, _)| waiting == server).unwrap_or_default();
        // Each who came before takes the first that it can have, as it will when it is asked for.
        let mut spoken_for = BTreeSet::new();
        for (_, wanted) in &self.queue[..place] {
            spoken_for.extend(self.free(wanted).into_iter().find(|uuid| !spoken_for.contains(uuid)));
        }
        let Some(uuid) = self.free(among).into_iter().find(|uuid| !spoken_for.contains(uuid)) else {
            return Err(Place { place: place + 1, of: self.queue.len() });
        };
        self.queue.remove(place);
        Ok(self.keep(server, GpuHeld { uuids: vec![uuid], is_exclusive: true, is_unseen: false }))
    }

    /// What it had before is what it has: it runs with it, whatever the table would say today.
    pub(super) fn adopt(&mut self, server: &ServerKey, held: GpuHeld) {
        self.keep(server, held);
    }

    /// It has nothing and waits for nothing.
    pub(super) fn release(&mut self, server: &ServerKey) {
        self.held.remove(server);
        self.queue.retain(|(waiting, _)| waiting != server);
    }

    pub(super) fn all(&self) -> Vec<Lease> {
        let lease = |(server, held): (&ServerKey, &GpuHeld)| Lease { server: server.clone(), held: held.clone() };
        self.held.iter().map(lease).collect()
    }

    pub(super) fn queue(&self) -> Vec<ServerKey> {
        self.queue.iter().map(|(server, _)| server.clone()).collect()
    }

    fn keep(&mut self, server: &ServerKey, held: GpuHeld) -> GpuHeld {
        if held.is_empty() {
            self.held.remove(server);
        } else {
            self.held.insert(server.clone(), held.clone());
        }
        held
    }

    /// Those of `among` that nobody has.
    fn free(&self, among: &[String]) -> Vec<String> {
        if self.held.values().any(|held| held.is_unseen) {
            return vec![];
        }
        let taken: BTreeSet<_> = self.held.values().flat_map(|held| &held.uuids).collect();
        among.iter().filter(|uuid| !taken.contains(uuid)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserName;
    use proptest::prelude::*;

    fn server(number: usize) -> ServerKey {
        ServerKey::default_of(UserName::parse(&format!("u{number}")).expect("a name"))
    }

    fn gpus(numbers: &[usize]) -> Vec<String> {
        numbers.iter().map(|number| format!("GPU-{number}")).collect()
    }

    #[test]
    fn who_comes_first_is_first_and_moves_up() {
        let mut leases = Leases::default();
        assert!(leases.lease(&server(0), &gpus(&[0])).is_ok());
        assert_eq!(leases.lease(&server(1), &gpus(&[0])), Err(Place { place: 1, of: 1 }));
        assert_eq!(leases.lease(&server(2), &gpus(&[0])), Err(Place { place: 2, of: 2 }));
        leases.release(&server(0));
        assert_eq!(leases.lease(&server(2), &gpus(&[0])), Err(Place { place: 2, of: 2 }), "the first one's");
        assert!(leases.lease(&server(1), &gpus(&[0])).is_ok());
        assert_eq!(leases.lease(&server(2), &gpus(&[0])), Err(Place { place: 1, of: 1 }));
        leases.release(&server(2));
        assert!(leases.queue().is_empty(), "who gives up waits no longer");
    }

    #[test]
    fn who_waits_for_one_keeps_nobody_from_another() {
        let mut leases = Leases::default();
        assert!(leases.lease(&server(0), &gpus(&[0])).is_ok());
        assert!(leases.lease(&server(1), &gpus(&[0])).is_err());
        assert_eq!(leases.lease(&server(2), &gpus(&[0, 1])).expect("the other one").uuids, gpus(&[1]));
    }

    #[test]
    fn what_is_shared_is_nobodys_alone_until_all_have_gone() {
        let mut leases = Leases::default();
        assert_eq!(leases.share(&server(0), &gpus(&[0, 1])).uuids, gpus(&[0, 1]));
        assert!(leases.lease(&server(1), &gpus(&[0, 1])).is_err());
        leases.release(&server(0));
        assert_eq!(leases.lease(&server(1), &gpus(&[0, 1])).expect("free").uuids, gpus(&[0]));
        assert_eq!(leases.share(&server(2), &gpus(&[0, 1])).uuids, gpus(&[1]), "not what another has alone");
        assert_eq!(leases.share(&server(3), &gpus(&[0])), GpuHeld::default());
    }

    #[test]
    fn what_a_server_has_since_before_us_is_taken() {
        let mut leases = Leases::default();
        leases.adopt(&server(0), GpuHeld { uuids: gpus(&[0]), is_exclusive: true, is_unseen: false });
        assert!(leases.lease(&server(1), &gpus(&[0])).is_err());
        leases.adopt(&server(2), GpuHeld { is_unseen: true, ..GpuHeld::default() });
        leases.release(&server(0));
        assert!(leases.lease(&server(1), &gpus(&[0])).is_err(), "somebody has all of them");
        leases.release(&server(2));
        assert!(leases.lease(&server(1), &gpus(&[0])).is_ok());
    }

    #[derive(Clone, Debug)]
    enum Act {
        Lease(usize, Vec<usize>),
        Share(usize, Vec<usize>),
        Release(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        let some =
            || proptest::collection::btree_set(0..4_usize, 1..4).prop_map(|set| set.into_iter().collect::<Vec<_>>());
        prop_oneof![
            4 => (0..6_usize, some()).prop_map(|(who, among)| Act::Lease(who, among)),
            1 => (0..6_usize, some()).prop_map(|(who, among)| Act::Share(who, among)),
            3 => (0..6_usize).prop_map(Act::Release),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_one_that_is_had_alone_is_had_by_one_and_the_queue_moves(
            acts in proptest::collection::vec(act(), 1..60)
        ) {
            let mut leases = Leases::default();
            for act in acts {
                match act {
                    Act::Lease(who, among) => {
                        match leases.lease(&server(who), &gpus(&among)) {
                            Ok(held) => {
                                prop_assert_eq!(held.uuids.len(), 1);
                                prop_assert!(gpus(&among).contains(&held.uuids[0]));
                            }
                            Err(Place { place, of }) => prop_assert!(place >= 1 && place <= of && of <= 6),
                        }
                    }
                    Act::Share(who, among) => { leases.share(&server(who), &gpus(&among)); }
                    Act::Release(who) => leases.release(&server(who)),
                }
                for gpu in gpus(&[0, 1, 2, 3]) {
                    let having: Vec<_> = leases.held.values().filter(|held| held.uuids.contains(&gpu)).collect();
                    let alone = having.iter().filter(|held| held.is_exclusive).count();
                    prop_assert!(alone == 0 || having.len() == 1, "{gpu}: {having:?}");
                }
                let waiting: BTreeSet<_> = leases.queue().into_iter().collect();
                prop_assert_eq!(waiting.len(), leases.queue.len(), "each waits once");
                prop_assert!(waiting.iter().all(|server| !leases.held.contains_key(server)));
            }
            // Everybody who has goes; then whoever is first gets what it waits for.
            let having: Vec<_> = leases.held.keys().cloned().collect();
            having.iter().for_each(|server| leases.release(server));
            while let Some((first, wanted)) = leases.queue.first().cloned() {
                prop_assert!(leases.lease(&first, &wanted).is_ok());
                leases.release(&first);
            }
        }
    }
}
