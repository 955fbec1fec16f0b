//! A place in the tokens of a file, and the small steps that everything that reads them takes.

use super::SyntaxError;
use super::token::{Kind, Token};

pub(super) type Read<T> = Result<T, SyntaxError>;

/// The tokens of a file and how far they are read.
#[derive(Debug)]
pub(super) struct Cursor<'s, 't> {
    source: &'s str,
    tokens: &'t [Token<'s>],
    at: usize,
}

impl<'s, 't> Cursor<'s, 't> {
    pub(super) fn new(source: &'s str, tokens: &'t [Token<'s>]) -> Self {
        Self { source, tokens, at: 0 }
    }

    pub(super) fn here(&self) -> Token<'s> {
        self.ahead(0)
    }

    /// The token that is so many further on; at the end `End` for ever.
    pub(super) fn ahead(&self, count: usize) -> Token<'s> {
        let at = self.source.len();
        let end = Token { kind: Kind::End, line: 1, at };
        self.tokens.get(self.at + count).or(self.tokens.last()).copied().unwrap_or(end)
    }

    pub(super) fn step(&mut self) -> Token<'s> {
        let token = self.here();
        self.at = (self.at + 1).min(self.tokens.len());
        token
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn go_to(&mut self, position: usize) {
        self.at = position;
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.here().kind == Kind::Sign(sign)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.here().kind == Kind::Name(word)
    }

    /// Passes `sign` if it is here.
    pub(super) fn takes(&mut self, sign: &str) -> bool {
        let is_here = self.is_sign(sign);
        self.at += usize::from(is_here);
        is_here
    }

    /// Passes `word` if it is here.
    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let is_here = self.is_word(word);
        self.at += usize::from(is_here);
        is_here
    }

    pub(super) fn expect(&mut self, sign: &str) -> Read<()> {
        if self.takes(sign) { Ok(()) } else { Err(self.error(&format!("a \"{sign}\" is missing here"))) }
    }

    pub(super) fn error(&self, problem: &str) -> SyntaxError {
        SyntaxError::at(self.source, self.here().at, problem)
    }

    /// Passes everything up to one of these signs, outside of brackets that begin on the way, or the line's end.
    pub(super) fn skip_to(&mut self, signs: &[&str]) {
        let mut open = 0_usize;
        loop {
            match self.here().kind {
                Kind::Newline | Kind::End => return,
                Kind::Sign(sign) if open == 0 && signs.contains(&sign) => return,
                Kind::Sign("(" | "[" | "{") => open += 1,
                // A bracket that was open before us: whoever opened it goes on with it.
                Kind::Sign(")" | "]" | "}") if open == 0 => return,
                Kind::Sign(")" | "]" | "}") => open -= 1,
                _ => {}
            }
            self.step();
        }
    }

    /// Passes the comma behind an item, unless the brackets' end is here.
    pub(super) fn separated(&mut self, end: &str) -> Read<()> {
        if self.takes(",") || self.is_sign(end) {
            return Ok(());
        }
        Err(self.error(&format!("a \",\" or \"{end}\" is missing here")))
    }
}
