//! What an expression of the file amounts to, as far as reading it can tell.

use std::collections::BTreeSet;

/// Lists in lists in … of constants that name each other. Deeper ones are not followed.
const DEPTH_LIMIT: usize = 32;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list, a tuple or a set, in the order of the file.
    List(Vec<Value>),
    /// Keys and values, in the order of the file; no key twice.
    Dict(Vec<(Value, Value)>),
    /// Something that is known by name alone: `dockerspawner.DockerSpawner`.
    Name(String),
    /// A class that this file makes.
    Subclass {
        /// Its name.
        name: String,
        /// Where it is made.
        line: usize,
        /// What it is made from, if that is known.
        base: String,
    },
    /// What only Python could tell, in words: "a lambda".
    Unknown(String),
}

impl Value {
    /// Whether Python takes it for true.
    pub(super) fn truth(&self) -> Option<bool> {
        Some(match self {
            Self::None => false,
            Self::Flag(flag) => *flag,
            Self::Whole(number) => *number != 0,
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Dict(items) => !items.is_empty(),
            Self::Subclass { .. } => true,
            Self::Name(_) | Self::Unknown(_) => return None,
        })
    }

    /// What of it is not known, in words; also of something deep within.
    pub(super) fn unknown(&self) -> Option<String> {
        match self {
            Self::Unknown(what) => Some(what.clone()),
            Self::Name(name) => Some(format!("`{name}`")),
            Self::Subclass { name, line, .. } => Some(format!("the class `{name}` of line {line}")),
            Self::List(items) => items.iter().find_map(Self::unknown),
            Self::Dict(items) => items.iter().find_map(|(key, value)| key.unknown().or_else(|| value.unknown())),
            _ => None,
        }
    }

    /// As `str()` writes it. None: that is not a text that we would make.
    pub(super) fn as_text(&self) -> Option<String> {
        Some(match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Number(number) => format!("{number:?}"),
            Self::Flag(flag) => if *flag { "True" } else { "False" }.to_owned(),
            _ => return None,
        })
    }

    /// How much of it there is, in bytes and items. Too deep: None.
    pub(super) fn weight(&self) -> Option<usize> {
        self.weight_at(0)
    }

    fn weight_at(&self, depth: usize) -> Option<usize> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        let inner = match self {
            Self::Text(text) | Self::Name(text) | Self::Unknown(text) => text.len(),
            Self::Subclass { name, base, .. } => name.len() + base.len(),
            Self::List(items) => items.iter().map(|item| item.weight_at(depth + 1)).sum::<Option<usize>>()?,
            Self::Dict(items) => items
                .iter()
                .map(|(key, value)| Some(key.weight_at(depth + 1)? + value.weight_at(depth + 1)?))
                .sum::<Option<usize>>()?,
            _ => 0,
        };
        Some(inner + 32)
    }

    /// Puts `value` under `key`.
    pub(super) fn put(items: &mut Vec<(Value, Value)>, key: Value, value: Value) {
        match items.iter_mut().find(|(there, _)| *there == key) {
            Some((_, place)) => *place = value,
            None => items.push((key, value)),
        }
    }
}

/// Which environment variables a value came from, and whether each had a default to take.
pub(super) type Variables = BTreeSet<(String, bool)>;

/// A value with where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub(super) value: Value,
    pub(super) variables: Variables,
}
