//! What a `jupyterhub_config.py` says, as a `slipway.toml`.

use std::path::Path;

/// A configuration of ours, made of another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The text of a `slipway.toml`.
    pub toml: String,
}

/// Translates `source`, which came from `path`. What cannot be translated stays as a comment.
#[must_use]
pub fn translate(source: &str, path: &Path) -> Translation {
    let head = format!("# From {}. What stands here as a comment has not been translated.\n", path.display());
    let lines = source.lines().map(|line| format!("# {line}\n"));
    Translation { toml: std::iter::once(head).chain(lines).collect() }
}
