//! What a file says, key by key: for whoever takes it over as it stands, without a file of ours in between.

use toml::Value;

use super::draft::{Draft, Note, Taken};

/// One of our keys as the file has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Our key.
    pub key: &'static str,
    /// Its value.
    pub value: Value,
    /// Where it says so, from 1.
    pub line: usize,
    /// Which settings it is made from, and how: sentences.
    pub from: String,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// What is one of our keys.
    pub said: Vec<Said>,
    /// What could not be translated, or not as it was; each a sentence with its line.
    pub look: Vec<String>,
    /// What needs nothing; each a sentence with its line.
    pub fine: Vec<String>,
}

pub(super) fn of(draft: Draft) -> Findings {
    let said =
        |(key, taken): (&'static str, Taken)| Said { key, line: taken.line, from: taken.from(), value: taken.value };
    let texts = |mut notes: Vec<Note>| {
        notes.sort();
        notes.dedup();
        notes.into_iter().map(|note| note.text).collect()
    };
    Findings { said: draft.taken.into_iter().map(said).collect(), look: texts(draft.look), fine: texts(draft.fine) }
}
