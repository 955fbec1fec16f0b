//! What a `jupyterhub_config.py` says, as a `slipway.toml`. No Python is run: the file is read, and what only running it
//! would tell becomes a comment.
//!
//! `token`, `cursor`, `literal`, `calls` and `evaluate` read the language, and `reading` finds the settings in the file.
//! `traits` is the table of what each of JupyterHub's settings is with us; `translate` goes through the file by it, with
//! `hub`, `people`, `docker`, `host_config`, `volumes`, `profiles` and `idle` for what takes more than a row. `draft`
//! collects the outcome and `write` makes the file of it.
//!
//! There are parsers for Python; the reasons for one of our own: it evaluates while it reads, so there is no tree whose
//! depth somebody else's file decides, and it needs the grammar of expressions and lines alone.

mod calls;
mod convert;
mod cursor;
mod docker;
mod draft;
mod evaluate;
mod findings;
mod host_config;
mod hub;
mod idle;
mod literal;
mod people;
mod profiles;
mod reading;
mod secrets;
mod token;
mod traits;
mod translate;
mod value;
mod variables;
mod volumes;
mod write;

pub use draft::OurKey;
pub use findings::{Findings, Said};
pub use translate::Refusal;

/// The most of a file that we read. The longest configurations have some thousand lines.
pub const SOURCE_LIMIT_BYTES: usize = 1024 * 1024;

/// Why a file could not be read: where, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// A sentence without its end.
    pub problem: String,
}

impl SyntaxError {
    /// `problem` at this byte of `source`.
    fn at(source: &str, at: usize, problem: impl Into<String>) -> Self {
        let before = &source[..source.floor_char_boundary(at)];
        // A lone carriage return ends a line too; that of CR LF does it with its line feed.
        let ends = |c: char, next: Option<char>| c == '\n' || (c == '\r' && next != Some('\n'));
        let (mut line, mut column) = (1, 1);
        let mut chars = before.chars().peekable();
        while let Some(c) = chars.next() {
            let is_end = ends(c, chars.peek().copied());
            (line, column) = if is_end { (line + 1, 1) } else { (line, column + 1) };
        }
        Self { line, column, problem: problem.into() }
    }
}

/// A configuration of ours, made of another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The text of a `slipway.toml`.
    pub toml: String,
    /// How many settings found their place, need nothing, and want a look: a sentence.
    pub summary: String,
}

/// Translates `source`, a file of this `name`. `keys` are those of our configuration, in its order; `refusals` is what it
/// says against a text: what it refuses is left out and told in a comment.
///
/// # Errors
/// If the file is too large, no text, or no Python: where, and what is wrong there.
pub fn translate(
    source: &[u8],
    name: &str,
    keys: &[OurKey],
    refusals: &dyn Fn(&str) -> Vec<Refusal>,
) -> Result<Translation, SyntaxError> {
    let source = text_of(source)?;
    let reading = reading::read(source, variables::default_of)?;
    let draft = translate::translate(&reading, keys, refusals);
    let toml = write::write(&draft, &draft::shortened(name));
    Ok(Translation { toml, summary: write::summary(&draft) })
}

/// Reads `source` as `translate` does, and gives what it says key by key instead of as a file.
///
/// # Errors
/// If the file is too large, no text, or no Python: where, and what is wrong there.
pub fn find(source: &[u8], keys: &[OurKey], refusals: &dyn Fn(&str) -> Vec<Refusal>) -> Result<Findings, SyntaxError> {
    let source = text_of(source)?;
    let reading = reading::read(source, variables::default_of)?;
    Ok(findings::of(translate::translate(&reading, keys, refusals)))
}

fn text_of(source: &[u8]) -> Result<&str, SyntaxError> {
    let at_start = |problem: String| SyntaxError { line: 1, column: 1, problem };
    if source.len() > SOURCE_LIMIT_BYTES {
        return Err(at_start(format!("the file is longer than {SOURCE_LIMIT_BYTES} bytes, as no configuration is")));
    }
    let text = std::str::from_utf8(source).map_err(|error| {
        let before = std::str::from_utf8(&source[..error.valid_up_to()]).unwrap_or_default();
        SyntaxError::at(before, before.len(), "the file is no UTF-8 text from here on")
    })?;
    match text.find('\0') {
        Some(at) => Err(SyntaxError::at(text, at, "the file is no text: a byte 0 stands here")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests;
