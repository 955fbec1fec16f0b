//! Password hashes (argon2id; `moved_in` knows the older ones) and the gate through which all of them go.
//!
//! A hash costs a core for some 30 ms and 19 MiB, and anybody may ask for one. So only a few run at once, those that
//! wait are bounded, and they are taken in turn from each client: one that asks a thousand times waits for itself.
//! Each of the few has one memory for all that it does in a row, and gives it back when there is no more to do.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordVerifier as _, Version};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::moved_in::{BCRYPT_PASSWORD_BYTES, BcryptHash, Decoy, is_bcrypt};
use super::throttle::{ClientNet, Standing};
use crate::model::{Random, Secret};

/// Longest password: what nobody types any more, and quick to hash however long.
pub(super) const PASSWORD_LIMIT_BYTES: usize = 1024;
/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What a name without a password is checked against: the same work, and never a match.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ibw$c2xpcHdheXNsaXB3YXlzbGlwd2F5c2xpcHdheXNsaXA";
/// What one worker asks of the allocator, in blocks of 1 KiB. glibc maps what is larger than 32 MiB on its own and
/// unmaps it when it is dropped; anything smaller it keeps, in one heap for each thread that has ever hashed. Only
/// the `MEMORY_KIB` that are used become resident.
const RESERVED_BLOCKS: usize = 33 * 1024;
/// Password work gives way to requests when the processors are full: 50 people who sign in at once must not make those
/// wait who work already. 10 is a tenth of a request's weight.
const NICENESS: i32 = 10;
/// A guess at one check's time, to tell clients when to come back.
const CHECK_TIME: Duration = Duration::from_millis(50);

/// What hashes are computed in, one after the other. Takes no memory before the first.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    fn blocks(&mut self) -> &mut [Block] {
        if self.0.is_empty() {
            self.0.reserve_exact(RESERVED_BLOCKS);
            self.0.resize(MEMORY_KIB as usize, Block::new());
        }
        &mut self.0
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the constants are within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn output_of(password: &Secret, salt: &[u8], memory: &mut Memory) -> Output {
    let mut bytes = [0; Params::DEFAULT_OUTPUT_LEN];
    argon2()
        .hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut bytes, memory.blocks())
        .expect("the salt is one of ours and the password below argon2's 4 GiB");
    Output::new(&bytes).expect("the length is argon2's own default")
}

/// `password` as a PHC string. Takes some 30 ms.
pub(super) fn hash(password: &Secret, random: &Random, memory: &mut Memory) -> String {
    let salt = random.bytes::<16>();
    let argon2 = argon2();
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: argon2.params().try_into().expect("three small numbers"),
        hash: Some(output_of(password, &salt, memory)),
        salt: Some(Salt::new(&salt).expect("16 bytes are what is recommended")),
    };
    hash.to_string()
}

/// True if `password` is the one hashed in `stored`. Takes as long when there is none: then `decoy` says what for.
pub(super) fn verify(password: &Secret, stored: Option<&str>, decoy: Decoy, memory: &mut Memory) -> bool {
    // A hash that cannot be used is none.
    let stored = stored.filter(|stored| !is_bcrypt(stored) || BcryptHash::parse(stored).is_ok());
    let nobodys = stored.is_none().then(|| decoy.bcrypt()).flatten();
    let against = stored.or(nobodys.as_deref()).unwrap_or(NOBODYS_HASH);
    if let Ok(hash) = BcryptHash::parse(against) {
        return hash.verify(password) && stored.is_some();
    }
    let Ok(parsed) = PasswordHash::new(against) else { return false };
    let matches = match (&parsed.salt, &parsed.hash) {
        (Some(salt), Some(expected)) if is_of_our_form(&parsed) => output_of(password, salt, memory) == *expected,
        // Of another strength: the library makes the memory for it.
        _ => argon2().verify_password(password.expose().as_bytes(), &parsed).is_ok(),
    };
    matches && stored.is_some()
}

/// `password`, which `stored` was just found to be a hash of, as we hash it ourselves; None if that is so already.
///
/// What comes after bcrypt's 72 bytes has never been checked by anybody. It must not begin to count by itself, with a
/// slip of the finger in it for all that is known: such a password stays as it is until its owner sets another.
pub(super) fn rehash(password: &Secret, stored: &str, random: &Random, memory: &mut Memory) -> Option<String> {
    let is_whole = password.expose().len() <= BCRYPT_PASSWORD_BYTES;
    (is_bcrypt(stored) && is_whole).then(|| hash(password, random, memory))
}

fn is_of_our_form(hash: &PasswordHash) -> bool {
    let ours = (MEMORY_KIB, PASSES, LANES);
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && Params::try_from(hash).is_ok_and(|params| (params.m_cost(), params.t_cost(), params.p_cost()) == ours)
}

/// The gate is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) retry_after: Duration,
}

/// In the order in which they are served.
const STANDINGS: [Standing; 3] = [Standing::Known, Standing::Clean, Standing::Suspect];
/// Every so many jobs, those who stand last are served first: whoever is taken for a guesser waits, and is not shut out.
const LAST_FIRST_EVERY: usize = 8;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

struct Waiting {
    job: Job,
    /// Dropped unsent when the job loses its place.
    is_abandoned: Box<dyn Fn() -> bool + Send>,
}

#[derive(Default)]
struct Queue {
    running: usize,
    waiting: usize,
    served: usize,
    /// By standing: clients in the order in which they are served; each is here once.
    turns: [VecDeque<ClientNet>; STANDINGS.len()],
    of_client: HashMap<(Standing, ClientNet), VecDeque<Waiting>>,
}

impl Queue {
    fn push(&mut self, client: ClientNet, standing: Standing, waiting: Waiting) {
        let jobs = self.of_client.entry((standing, client)).or_default();
        if jobs.is_empty() {
            self.turns[standing as usize].push_back(client);
        }
        jobs.push_back(waiting);
        self.waiting += 1;
    }

    /// The next job: the oldest of the client whose turn it is, among those who stand first.
    fn pop(&mut self) -> Option<Waiting> {
        self.served = self.served.wrapping_add(1);
        let mut order = STANDINGS;
        if self.served.is_multiple_of(LAST_FIRST_EVERY) {
            order.reverse();
        }
        order.into_iter().find_map(|standing| self.pop_of(standing))
    }

    fn pop_of(&mut self, standing: Standing) -> Option<Waiting> {
        while let Some(client) = self.turns[standing as usize].pop_front() {
            let Some(jobs) = self.of_client.get_mut(&(standing, client)) else { continue };
            let next = jobs.pop_front();
            if jobs.is_empty() {
                self.of_client.remove(&(standing, client));
            } else {
                self.turns[standing as usize].push_back(client);
            }
            let Some(next) = next else { continue };
            self.waiting -= 1;
            if !(next.is_abandoned)() {
                return Some(next);
            }
        }
        None
    }

    /// Makes room for `client` at the cost of one who stands behind, or else of the one that waits most, if that one
    /// waits more than `client` would.
    fn make_room(&mut self, client: ClientNet, standing: Standing) -> bool {
        let own = self.of_client.get(&(standing, client)).map_or(0, VecDeque::len);
        let waiting = self.of_client.iter().filter(|((theirs, _), jobs)| *theirs >= standing && !jobs.is_empty());
        let Some((&last, jobs)) = waiting.max_by_key(|((theirs, _), jobs)| (*theirs, jobs.len())) else { return false };
        if last.0 == standing && jobs.len() <= own + 1 {
            return false;
        }
        // The newest goes: dropping it drops its answer, and whoever waits for that is told to come back.
        if let Some(jobs) = self.of_client.get_mut(&last) {
            jobs.pop_back();
            self.waiting -= 1;
        }
        true
    }
}

/// Runs password work on threads of its own, a few at a time, in turn from each client.
#[derive(Clone)]
pub(super) struct PasswordGate {
    queue: Arc<Mutex<Queue>>,
    at_once_limit: usize,
    waiting_limit: usize,
}

impl PasswordGate {
    pub(super) fn new(at_once_limit: usize, waiting_limit: usize) -> Self {
        Self { queue: Arc::default(), at_once_limit: at_once_limit.max(1), waiting_limit: waiting_limit.max(1) }
    }

    /// What `work` gives, once it is this client's turn. Dropping the future gives the place up.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        from: IpAddr,
        standing: Standing,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (sender, receiver) = oneshot::channel();
        // Shared so that the queue can ask whether anybody still waits.
        let sender = Arc::new(Mutex::new(Some(sender)));
        let for_queue = Arc::downgrade(&sender);
        let is_abandoned = move || {
            for_queue.upgrade().is_none_or(|sender| sender.lock().as_ref().is_none_or(oneshot::Sender::is_closed))
        };
        let job = move |memory: &mut Memory| {
            let result = work(memory);
            if let Some(sender) = sender.lock().take() {
                let _ = sender.send(result);
            }
        };
        self.enter(
            ClientNet::of(from),
            standing,
            Waiting { job: Box::new(job), is_abandoned: Box::new(is_abandoned) },
        )?;
        receiver.await.map_err(|_| self.busy())
    }

    fn enter(&self, client: ClientNet, standing: Standing, waiting: Waiting) -> Result<(), Busy> {
        let mut queue = self.queue.lock();
        if queue.running < self.at_once_limit {
            queue.running += 1;
            let gate = self.clone();
            // A thread of its own, because whoever has become nicer cannot go back.
            let worker = std::thread::Builder::new().name("password".into()).spawn(move || {
                // Not so nice: then it works all the same.
                let _ = rustix::process::nice(NICENESS);
                gate.work(waiting);
            });
            return worker.map(drop).map_err(|_| {
                queue.running -= 1;
                self.busy()
            });
        }
        if queue.waiting >= self.waiting_limit && !queue.make_room(client, standing) {
            drop(queue);
            return Err(self.busy());
        }
        queue.push(client, standing, waiting);
        Ok(())
    }

    /// One of the few workers: runs `first` and then whatever waits.
    fn work(&self, first: Waiting) {
        let mut next = Some(first);
        let mut memory = Memory::default();
        while let Some(waiting) = next {
            // A panic in one job must not take the worker's place with it: that would close the gate for good. What
            // it left in the memory is overwritten by the next.
            let job = std::panic::AssertUnwindSafe(|| (waiting.job)(&mut memory));
            if std::panic::catch_unwind(job).is_err() {
                tracing::error!("a password check panicked");
            }
            let mut queue = self.queue.lock();
            next = queue.pop();
            if next.is_none() {
                queue.running -= 1;
            }
        }
    }

    fn busy(&self) -> Busy {
        let rounds = self.waiting_limit.div_ceil(self.at_once_limit);
        let retry_after = CHECK_TIME.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        Busy { retry_after: retry_after.max(Duration::from_secs(1)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use argon2::PasswordHasher as _;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_password_is_known_again_and_another_is_not() {
        let memory = &mut Memory::default();
        let stored = hash(&Secret::new("correct horse"), &Random::from_seed(1), memory);
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        // The memory is used again and again, and what was in it before does not matter.
        assert!(verify(&Secret::new("correct horse"), Some(&stored), Decoy::default(), memory));
        assert!(!verify(&Secret::new("correct hors"), Some(&stored), Decoy::default(), memory));
        assert!(!verify(&Secret::new("correct horse"), None, Decoy::default(), memory));
        assert!(!verify(&Secret::new("correct horse"), Some("nonsense"), Decoy::default(), memory));
        assert!(verify(&Secret::new("correct horse"), Some(&stored), Decoy::default(), memory));
    }

    #[test]
    fn hashes_are_those_of_the_library_and_of_another_strength_too() {
        let password = Secret::new("correct horse");
        let stored = hash(&password, &Random::from_seed(1), &mut Memory::default());
        let parsed = PasswordHash::new(&stored).expect("a PHC string");
        assert!(is_of_our_form(&parsed));
        assert!(argon2().verify_password(b"correct horse", &parsed).is_ok());

        let weak = Params::new(64, 3, 1, None).expect("a weak one");
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, weak);
        let stored = weak.hash_password_with_salt(b"correct horse", b"sixteen bytes ok").expect("a hash").to_string();
        assert!(verify(&password, Some(&stored), Decoy::default(), &mut Memory::default()));
        assert!(!verify(&Secret::new("correct hors"), Some(&stored), Decoy::default(), &mut Memory::default()));
    }

    fn anonymous_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("a line of it");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    #[test]
    fn memory_is_given_back_when_nobody_signs_in_any_more() {
        // Memory is a matter of the whole process: this test runs itself again in one of its own.
        const ALONE: &str = "SLIPWAY_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let name = "auth::password::tests::memory_is_given_back_when_nobody_signs_in_any_more";
            let this = std::env::current_exe().expect("a test is a program");
            let status = std::process::Command::new(this).args(["--exact", name]).env(ALONE, "1").status();
            assert!(status.expect("it runs").success());
            return;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        let before = anonymous_kib();
        runtime.block_on(async {
            let gate = PasswordGate::new(4, 100);
            let check = |client| {
                gate.run(address(client), Standing::Clean, |memory| {
                    verify(&Secret::new("x"), None, Decoy::default(), memory)
                })
            };
            for _ in 0..4 {
                let all = futures_util::future::join_all((0..8).map(check)).await;
                assert!(all.iter().all(|answer| *answer == Ok(false)));
                // One by one too: each may run on another thread.
                assert_eq!(check(9).await, Ok(false));
            }
            while gate.queue.lock().running > 0 {
                tokio::task::yield_now().await;
            }
        });
        drop(runtime);
        // A worker gives its place back first and its memory after that, on a thread that gives way to all others.
        let (limit, kept) = (Duration::from_secs(10), || anonymous_kib().saturating_sub(before));
        let begun = std::time::Instant::now();
        while kept() >= 8 * 1024 {
            assert!(begun.elapsed() < limit, "{} KiB are kept; one memory is {MEMORY_KIB}", kept());
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_hash_for_nobody_costs_the_same_work() {
        let parsed = PasswordHash::new(NOBODYS_HASH).expect("a PHC string");
        let real = hash(&Secret::new("x"), &Random::from_seed(1), &mut Memory::default());
        let real = PasswordHash::new(&real).expect("a PHC string");
        assert_eq!(parsed.params, real.params);
        assert_eq!(parsed.algorithm, real.algorithm);
        assert_eq!(parsed.hash.map(|h| h.len()), real.hash.map(|h| h.len()));
    }

    /// A gate whose one worker is held by a job until the returned sender is dropped.
    fn held_gate(waiting_limit: usize) -> (PasswordGate, mpsc::Sender<()>) {
        let gate = PasswordGate::new(1, waiting_limit);
        let (release, held) = mpsc::channel::<()>();
        let job = Box::new(move |_: &mut Memory| {
            let _ = held.recv();
        });
        gate.enter(ClientNet::of(address(0)), Standing::Clean, Waiting { job, is_abandoned: Box::new(|| false) })
            .expect("it is empty");
        (gate, release)
    }

    fn note(gate: &PasswordGate, from: u8, order: &Arc<Mutex<Vec<u8>>>) -> Result<(), Busy> {
        note_as(Standing::Clean, gate, from, order)
    }

    fn note_as(standing: Standing, gate: &PasswordGate, from: u8, order: &Arc<Mutex<Vec<u8>>>) -> Result<(), Busy> {
        let order = Arc::clone(order);
        let job = Box::new(move |_: &mut Memory| order.lock().push(from));
        gate.enter(ClientNet::of(address(from)), standing, Waiting { job, is_abandoned: Box::new(|| false) })
    }

    #[tokio::test]
    async fn clients_take_turns_however_many_checks_one_of_them_asks_for() {
        let (gate, release) = held_gate(100);
        let order = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..20 {
            note(&gate, 1, &order).expect("there is room");
        }
        note(&gate, 2, &order).expect("there is room");
        note(&gate, 3, &order).expect("there is room");
        drop(release);
        gate.run(address(4), Standing::Clean, |_| ()).await.expect("there is room");
        let order = order.lock().clone();
        assert_eq!(order[..3], [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_full_gate_makes_room_for_a_client_that_waits_less() {
        let (gate, release) = held_gate(10);
        let order = Arc::new(Mutex::new(Vec::new()));
        for _ in 0..10 {
            note(&gate, 1, &order).expect("there is room");
        }
        assert!(note(&gate, 1, &order).is_err(), "the greedy one is turned away");
        assert!(note(&gate, 2, &order).is_ok(), "another takes his newest place");
        drop(release);
        gate.run(address(3), Standing::Clean, |_| ()).await.expect("there is room again");
        let served = |client| order.lock().iter().filter(|c| **c == client).count();
        assert!(served(2) == 1 && served(1) <= 9);
    }

    #[tokio::test]
    async fn strangers_who_fill_the_gate_from_everywhere_keep_nobody_out() {
        let (gate, release) = held_gate(10);
        let order = Arc::new(Mutex::new(Vec::new()));
        for attacker in 100..110 {
            note_as(Standing::Suspect, &gate, attacker, &order).expect("there is room");
        }
        assert!(note_as(Standing::Suspect, &gate, 110, &order).is_err(), "full, and each waits for one");
        note_as(Standing::Clean, &gate, 1, &order).expect("room is made for a clean address");
        note_as(Standing::Known, &gate, 2, &order).expect("and for who is known");
        drop(release);
        while gate.queue.lock().running > 0 {
            tokio::task::yield_now().await;
        }
        let order = order.lock().clone();
        assert_eq!(order[..2], [2, 1]);
        assert_eq!(order.len(), 10, "whoever else had a place kept it");
    }

    #[tokio::test]
    async fn a_client_that_goes_away_gives_its_place_up() {
        let (gate, release) = held_gate(10);
        let (sender, receiver) = mpsc::channel();
        let abandoned = tokio::spawn({
            let gate = gate.clone();
            async move { gate.run(address(1), Standing::Clean, move |_| sender.send(())).await.is_ok() }
        });
        while gate.queue.lock().waiting == 0 {
            tokio::task::yield_now().await;
        }
        abandoned.abort();
        assert!(abandoned.await.is_err());
        drop(release);
        gate.run(address(2), Standing::Clean, |_| ()).await.expect("there is room");
        assert!(receiver.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_check_that_panics_closes_the_gate_for_nobody() {
        let gate = PasswordGate::new(1, 4);
        assert!(gate.run(address(1), Standing::Clean, |_| panic!("this one")).await.is_err());
        assert_eq!(gate.run(address(1), Standing::Clean, |_| 7).await, Ok(7));
    }
}
