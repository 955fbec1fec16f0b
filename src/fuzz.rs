//! Mutates kept inputs for the tests called `fuzzed_…`, which stand beside the parsers that they are for.
//!
//! Two ways with one check and the same kept inputs, which are in `tests/fuzz/<target>/`, one a file. In every test run it is guided by
//! outcomes: a check returns a number for what became of an input, and inputs with a new number join those that are mutated.
//! `tests/fuzz/guided.sh` has libFuzzer do it, which is guided by coverage and wants minutes of a build of its own.
//!
//! `cargo test --lib fuzzed_` runs each for a blink, always alike; `SLIPWAY_FUZZ_S=15` for so many seconds, each time
//! otherwise. An input that breaks a check is written below `target/`, and belongs into `tests/fuzz/` once it is mended.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Without `SLIPWAY_FUZZ_S`: enough to see that a target works.
const BLINK: Duration = Duration::from_millis(300);
/// Longer inputs are cut: what goes wrong mostly goes wrong in little.
const LENGTH_LIMIT_BYTES: usize = 4096;
/// How many inputs are kept at once.
const POOL_LIMIT: usize = 4096;
/// One input, on a machine that does other things too. 2 s: the largest takes milliseconds.
const INPUT_LIMIT: Duration = Duration::from_secs(2);
/// Octets at which parsers turn.
const TURNING: &[u8] = b"\0\t\n\r \"#%&'()*+,-./0129:;<=>?@AFZ[\\]^_`afz{|}~\x7f\x80\xbf\xc0\xe2\xf4\xff";

/// Whatever is told of an outcome, as the number that it is known by.
pub(crate) fn outcome(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Runs a check on the kept inputs of a target and on mutations of them, with words of their language put in.
macro_rules! fuzz {
    ($target:literal, $words:expr, $check:expr) => {{
        #[cfg(not(fuzzing))]
        crate::fuzz::mutate($target, $words, $check);
        #[cfg(fuzzing)]
        {
            // libFuzzer finds the words by itself.
            let _ = $words;
            bolero::check!().for_each(crate::fuzz::check($check));
        }
    }};
}

pub(crate) use fuzz;

/// What libFuzzer calls: coverage tells it more than an outcome.
#[cfg(fuzzing)]
pub(crate) fn check(mut check: impl FnMut(&[u8]) -> u64) -> impl FnMut(&[u8]) {
    move |input| {
        check(input);
    }
}

/// Without libFuzzer.
pub(crate) fn mutate(target: &str, words: &[&str], mut check: impl FnMut(&[u8]) -> u64) {
    let seconds = std::env::var("SLIPWAY_FUZZ_S").ok().and_then(|text| text.parse().ok());
    let limit = seconds.map_or(BLINK, Duration::from_secs_f64);
    let seed = if seconds.is_some() { rand::random() } else { 1 };
    let mut random = StdRng::seed_from_u64(seed);
    let (mut pool, mut seen, mut count) = (kept(target), HashSet::new(), 0_u64);
    let mut run = |input: &[u8]| {
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| check(input)));
        assert!(began.elapsed() < INPUT_LIMIT, "{target}: {:?} took {:?}", shown(input), began.elapsed());
        result.unwrap_or_else(|panic| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/fuzz-{target}-{:x}", outcome(input)));
            let is_written = std::fs::write(&path, input).is_ok();
            tracing::error!(input = shown(input), path = %path.display(), is_written, seed, "{target} is broken");
            resume_unwind(Box::new(format!("{target}: {:?}, see {}: {}", shown(input), path.display(), said(&*panic))))
        })
    };
    for input in &pool {
        seen.insert(run(input));
    }
    let end = Instant::now() + limit;
    while Instant::now() < end {
        let input = mutated(&pool, words, &mut random);
        count += 1;
        if seen.insert(run(&input)) && pool.len() < POOL_LIMIT {
            pool.push(input);
        }
    }
    assert!(count > 0, "{target}: nothing was tried");
    tracing::info!(target_name = target, count, outcomes = seen.len(), "fuzzed");
}

fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder of inputs").map(|entry| entry.expect("an input").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds no input", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("an input")).collect()
}

fn mutated(pool: &[Vec<u8>], words: &[&str], random: &mut StdRng) -> Vec<u8> {
    let mut input = pool[random.random_range(0..pool.len())].clone();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len().min(at + 16));
        match random.random_range(0..9) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 if at < input.len() => input[at] = TURNING[random.random_range(0..TURNING.len())],
            2 => input.insert(at, TURNING[random.random_range(0..TURNING.len())]),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                let to = random.random_range(0..=input.len());
                input.splice(to..to, piece.repeat(random.random_range(1..4)));
            }
            5 => {
                let other = &pool[random.random_range(0..pool.len())];
                let from = random.random_range(0..=other.len());
                input.splice(at.., other[from..].iter().copied());
            }
            6 if at < input.len() => input[at] = random.random(),
            _ if !words.is_empty() => {
                let word = words[random.random_range(0..words.len())];
                input.splice(at..if random.random() { at } else { end }, word.bytes());
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(LENGTH_LIMIT_BYTES);
    input
}

fn shown(input: &[u8]) -> String {
    input.escape_ascii().to_string()
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_fails_on_one_octet_is_found() {
        let found = catch_unwind(|| {
            mutate("cookies", &[], |input| {
                assert!(!input.contains(&b'~'), "a tilde");
                outcome(input.len())
            });
        });
        let said = said(&*found.expect_err("there is a tilde within a blink"));
        assert!(said.contains("a tilde"), "{said}");
    }
}
