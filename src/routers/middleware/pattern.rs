//! Patterns as Traefik's users write them (Go's syntax, which is also ours), bounded in size.
//!
//! The engine takes time in proportion to the text, whatever the pattern; the bound is on its memory.

use regex::{Regex, RegexBuilder};

use crate::routers::{Fields, Problem, quoted};

/// A compiled pattern takes 1 MiB at most: the longest in use are a few KiB.
const SIZE_LIMIT_BYTES: usize = 1024 * 1024;
/// And so does the automaton that is made of it while it runs, once per pattern and thread.
const DFA_LIMIT_BYTES: usize = 1024 * 1024;

/// Compiles what stands in `field`.
///
/// # Errors
/// It is no pattern, or would be too large.
pub(super) fn compile(fields: &Fields, field: &str, text: &str) -> Result<Regex, Problem> {
    RegexBuilder::new(text).size_limit(SIZE_LIMIT_BYTES).dfa_size_limit(DFA_LIMIT_BYTES).build().map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
        fields.problem(format!("{field} = {}: is no regular expression: {reason}", quoted(text)))
    })
}

/// Takes a pattern that must be there.
///
/// # Errors
/// It is missing, or none.
pub(super) fn take(fields: &mut Fields, field: &'static str) -> Result<Regex, Problem> {
    match fields.take_text(field)? {
        Some(text) if !text.is_empty() => compile(fields, field, &text),
        _ => Err(fields.problem(format!("{field} is missing"))),
    }
}
