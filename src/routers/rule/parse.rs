//! Words of a rule → a tree of calls. `!` binds more tightly than `&&`, and that more tightly than `||`.

use super::lex::{Token, Word};
use super::{CALLS_LIMIT, DEPTH_LIMIT, RuleError};

/// `Host(`a`)`: a name, its values and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::routers) struct Call {
    pub(in crate::routers) name: String,
    pub(in crate::routers) column: usize,
    pub(in crate::routers) values: Vec<Value>,
}

/// A value of a call and its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::routers) struct Value {
    pub(in crate::routers) text: String,
    pub(in crate::routers) column: usize,
}

/// What a rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::routers) enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    Call(Call),
}

/// Reads all words as one rule.
pub(super) fn parse(tokens: &[Token]) -> Result<Tree, RuleError> {
    let Some(last) = tokens.last() else {
        return Err(RuleError::new(1, "is empty; write which requests it takes, for instance Host(`example.com`)"));
    };
    let mut parser = Parser { tokens, at: 0, calls: 0, end: last.column + last.word.shown().chars().count() };
    let tree = parser.any(0)?;
    match parser.next() {
        None => Ok(tree),
        Some(Token { word: Word::Close, column }) => {
            Err(RuleError::new(*column, "this ) closes nothing; remove it, or open it further left"))
        }
        Some(token) => Err(RuleError::new(token.column, format!("&& or || is expected before {}", token.word.shown()))),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    calls: usize,
    /// The column behind the last word.
    end: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token
    }

    fn takes(&mut self, word: &Word) -> bool {
        let is_next = self.tokens.get(self.at).is_some_and(|token| token.word == *word);
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self, depth: usize) -> Result<Tree, RuleError> {
        let mut parts = vec![self.all(depth)?];
        while self.takes(&Word::Or) {
            parts.push(self.all(depth)?);
        }
        Ok(joined(parts, Tree::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Tree, RuleError> {
        let mut parts = vec![self.one(depth)?];
        while self.takes(&Word::And) {
            parts.push(self.one(depth)?);
        }
        Ok(joined(parts, Tree::All))
    }

    fn one(&mut self, depth: usize) -> Result<Tree, RuleError> {
        const EXPECTED: &str = "a matcher such as Host(`example.com`) is expected";
        let Some(token) = self.next() else {
            return Err(RuleError::new(self.end, format!("ends too soon: {EXPECTED}")));
        };
        if depth > DEPTH_LIMIT {
            let text = format!("nested more than {DEPTH_LIMIT} deep; make two routers of it");
            return Err(RuleError::new(token.column, text));
        }
        match &token.word {
            Word::Not => Ok(Tree::Not(Box::new(self.one(depth + 1)?))),
            Word::Open => {
                let tree = self.any(depth + 1)?;
                let (column, found) = self.here();
                if !self.takes(&Word::Close) {
                    let opened = token.column;
                    let text = format!("{found}: ) is expected, for the ( in column {opened}");
                    return Err(RuleError::new(column, text));
                }
                Ok(tree)
            }
            Word::Name(name) => self.call(name, token.column),
            Word::Text(_) => {
                let text = format!("{} stands alone; it belongs into a matcher, as in Host({0})", token.word.shown());
                Err(RuleError::new(token.column, text))
            }
            word => Err(RuleError::new(token.column, format!("{} is unexpected: {EXPECTED}", word.shown()))),
        }
    }

    fn call(&mut self, name: &str, begins_at: usize) -> Result<Tree, RuleError> {
        if matches!(name.to_lowercase().as_str(), "and" | "or" | "not") {
            let sign = if name.eq_ignore_ascii_case("and") { "&&" } else { "||" };
            let sign = if name.eq_ignore_ascii_case("not") { "!" } else { sign };
            return Err(RuleError::new(begins_at, format!("write {sign} for «{}»", name.to_lowercase())));
        }
        self.calls += 1;
        if self.calls > CALLS_LIMIT {
            let text = format!("more than {CALLS_LIMIT} matchers; make two routers of it");
            return Err(RuleError::new(begins_at, text));
        }
        if !self.takes(&Word::Open) {
            let (column, found) = self.here();
            let text = format!("{found}: ( is expected behind {name}, as in {name}(`…`)");
            return Err(RuleError::new(column, text));
        }
        let mut values = Vec::new();
        if self.takes(&Word::Close) {
            return Ok(Tree::Call(Call { name: name.to_owned(), column: begins_at, values }));
        }
        loop {
            let (column, found) = self.here();
            let Some(Token { word: Word::Text(text), column }) = self.next() else {
                let text = format!("{found}: a text in backticks is expected, as in {name}(`…`)");
                return Err(RuleError::new(column, text));
            };
            values.push(Value { text: text.clone(), column: *column });
            if self.takes(&Word::Close) {
                return Ok(Tree::Call(Call { name: name.to_owned(), column: begins_at, values }));
            }
            let (column, found) = self.here();
            if !self.takes(&Word::Comma) {
                return Err(RuleError::new(column, format!("{found}: , or ) is expected")));
            }
        }
    }

    /// What stands next, for an error.
    fn here(&self) -> (usize, String) {
        match self.tokens.get(self.at) {
            Some(token) => (token.column, format!("{} is unexpected", token.word.shown())),
            None => (self.end, "ends too soon".to_owned()),
        }
    }
}

fn joined(mut parts: Vec<Tree>, join: fn(Vec<Tree>) -> Tree) -> Tree {
    if parts.len() == 1 { parts.remove(0) } else { join(parts) }
}
