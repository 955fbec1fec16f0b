//! The rule of a router, in Traefik's language: which requests it takes.
//!
//! `lex` makes words of the text, `parse` a tree of calls, `matcher` of each call what it compares (`version2` of the
//! calls of Traefik v2), and `needs` says what a request must have in any case, so that a table need not ask every rule.
//! The parser is our own, because its errors are half of its worth: the column, what was expected, and the cure.

mod lex;
mod matcher;
mod needs;
pub(super) mod parse;
mod question;
#[cfg(test)]
mod tests;
mod version2;

use std::fmt;

pub use needs::{Needs, PathNeed};
pub use question::{Asked, Question};

use matcher::Matcher;

/// Longest rule, in bytes: an engine takes labels of any length, and whoever may start a container writes them.
const LENGTH_LIMIT_BYTES: usize = 8 * 1024;
/// Most calls in a rule: each is asked for each request that may match.
const CALLS_LIMIT: usize = 256;
/// Deepest nesting of parentheses and `!`: the parser calls itself.
const DEPTH_LIMIT: usize = 32;
/// Largest compiled regular expression, in bytes, and its working memory.
const REGEX_LIMIT_BYTES: usize = 256 * 1024;

/// Which of Traefik's two languages a rule is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// As in Traefik v3.
    #[default]
    V3,
    /// As in Traefik v2: `ruleSyntax: v2`.
    V2,
}

/// Which requests a router takes.
#[derive(Debug)]
pub struct Rule {
    root: Expression,
}

/// A condition made of others.
#[derive(Debug)]
enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    One(Matcher),
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleError {
    /// Where in the text, counted in characters from 1.
    pub column: usize,
    /// What is wrong there, and the cure.
    pub text: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule, column {}: {}", self.column, self.text)
    }
}

impl RuleError {
    pub(super) fn new(column: usize, text: impl Into<String>) -> Self {
        Self { column, text: text.into() }
    }
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// The text is none, or it is beyond a limit.
    pub fn read(text: &str, syntax: Syntax) -> Result<Self, RuleError> {
        let tree = tree(text)?;
        Ok(Self { root: build(tree, syntax)? })
    }

    /// True if the rule takes this request.
    #[must_use]
    pub fn matches(&self, asked: &Asked<'_>) -> bool {
        self.root.matches(asked)
    }

    /// True if this host (lower case, no port) is one that the rule speaks of, other than to leave it out.
    #[must_use]
    pub fn names_host(&self, host: &str) -> bool {
        self.root.names_host(host)
    }

    /// What every request that the rule takes must have.
    #[must_use]
    pub fn needs(&self) -> Needs {
        needs::of(&self.root)
    }
}

/// The tree of calls of a text in this language; also of Docker's constraints.
pub(super) fn tree(text: &str) -> Result<parse::Tree, RuleError> {
    if text.len() > LENGTH_LIMIT_BYTES {
        let length = text.len();
        let text = format!("{length} bytes long, and {LENGTH_LIMIT_BYTES} are allowed; make two routers of it");
        return Err(RuleError::new(1, text));
    }
    parse::parse(&lex::tokens(text)?)
}

fn build(tree: parse::Tree, syntax: Syntax) -> Result<Expression, RuleError> {
    let all =
        |trees: Vec<parse::Tree>| trees.into_iter().map(|tree| build(tree, syntax)).collect::<Result<Vec<_>, _>>();
    match tree {
        parse::Tree::All(trees) => Ok(Expression::All(all(trees)?)),
        parse::Tree::Any(trees) => Ok(Expression::Any(all(trees)?)),
        parse::Tree::Not(tree) => Ok(Expression::Not(Box::new(build(*tree, syntax)?))),
        parse::Tree::Call(call) => match syntax {
            Syntax::V3 => Ok(Expression::One(Matcher::read(&call)?)),
            Syntax::V2 => version2::read(&call),
        },
    }
}

impl Expression {
    fn names_host(&self, host: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.names_host(host)),
            Self::Not(_) => false,
            Self::One(matcher) => matcher.names_host(host),
        }
    }

    fn matches(&self, asked: &Asked<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(asked)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(asked)),
            Self::Not(part) => !part.matches(asked),
            Self::One(matcher) => matcher.matches(asked),
        }
    }
}
