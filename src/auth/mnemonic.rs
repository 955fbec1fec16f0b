//! Passwords of words, for an administrator to hand over: `maple-orbit-velvet-crane` is read out, typed, and then
//! changed.
//!
//! The list (`words.txt`, our own) has 2,048 words of 4 to 6 letters, so each word is worth 11 bits: four of them 44,
//! which at some 30 ms a try is 16,000 years of one core, and no throttle lets anybody try that. No two words begin
//! with the same four letters: a word misread is no other word.

use std::sync::LazyLock;

use crate::model::{Random, Secret};

/// Fewest words of a password: 33 bits, for what is changed at the first sign-in.
pub const WORDS_MIN: usize = 3;
/// Most words of a password: 88 bits.
pub const WORDS_MAX: usize = 8;
/// Between two words.
const DELIMITER: char = '-';
/// A power of two: eleven bits of a random number are a word, and all words are equally likely.
const WORDS: usize = 2048;

static LIST: LazyLock<Vec<&'static str>> = LazyLock::new(|| include_str!("words.txt").lines().collect());

/// A new password of `count` words, within `WORDS_MIN` and `WORDS_MAX`.
pub(super) fn password(count: usize, random: &Random) -> Secret {
    let count = count.clamp(WORDS_MIN, WORDS_MAX);
    let words = (0..count).map(|_| {
        let number = usize::from(u16::from_be_bytes(random.bytes::<2>())) % WORDS;
        LIST.get(number).copied().unwrap_or_default()
    });
    let mut text = String::with_capacity(count * 7);
    for word in words {
        if !text.is_empty() {
            text.push(DELIMITER);
        }
        text.push_str(word);
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_list_has_as_many_words_as_bits_are_counted_and_none_is_taken_for_another() {
        assert_eq!(LIST.len(), WORDS);
        const { assert!(65_536 % WORDS == 0, "two bytes hold each word equally often") };
        assert!(LIST.is_sorted());
        let mut beginnings = HashMap::new();
        for word in LIST.iter() {
            assert!((4..=6).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
            assert_eq!(beginnings.insert(&word[..4], word), None, "{word} begins like another");
        }
    }

    #[test]
    fn a_password_has_as_many_words_as_asked_for_within_the_limits() {
        let random = Random::from_seed(1);
        for (asked, given) in [(0, 3), (3, 3), (4, 4), (8, 8), (100, 8)] {
            let password = password(asked, &random);
            let words: Vec<_> = password.expose().split(DELIMITER).collect();
            assert_eq!(words.len(), given);
            assert!(words.iter().all(|word| LIST.contains(word)));
        }
        assert_ne!(password(4, &random), password(4, &random));
    }

    /// With 2,048 words and 100 expected of each, a fair choice stays within seven standard deviations (10 each).
    #[test]
    fn every_word_is_equally_likely() {
        let random = Random::from_seed(7);
        let mut counts: HashMap<String, u32> = HashMap::new();
        for _ in 0..WORDS * 100 / 8 {
            for word in password(8, &random).expose().split(DELIMITER) {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
        assert_eq!(counts.len(), WORDS, "every word is chosen");
        assert!(counts.values().all(|count| (30..=170).contains(count)));
    }
}
