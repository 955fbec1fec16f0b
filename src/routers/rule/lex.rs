//! Words of a rule: names, texts, parentheses, commas and the three operators, each with its column.

use super::{LENGTH_LIMIT_BYTES, RuleError};
use crate::routers::node::quoted;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Name(String),
    Text(String),
    Open,
    Close,
    Comma,
    And,
    Or,
    Not,
}

impl Word {
    /// As an error shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Name(name) => quoted(name),
            Self::Text(text) => format!("`{}`", quoted(text)),
            Self::Open => "(".into(),
            Self::Close => ")".into(),
            Self::Comma => ",".into(),
            Self::And => "&&".into(),
            Self::Or => "||".into(),
            Self::Not => "!".into(),
        }
    }
}

/// A word and where it begins, counted in characters from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) column: usize,
}

/// The words of a rule.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, RuleError> {
    debug_assert!(text.len() <= LENGTH_LIMIT_BYTES, "checked by the caller");
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = characters.get(at) {
        if c.is_whitespace() {
            at += 1;
            continue;
        }
        let (word, end) = word(&characters, at)?;
        tokens.push(Token { word, column: at + 1 });
        at = end;
    }
    Ok(tokens)
}

/// The word that begins at `at`, and where it ends.
fn word(characters: &[char], at: usize) -> Result<(Word, usize), RuleError> {
    let fail = |text: &str| Err(RuleError::new(at + 1, text));
    let is_doubled = characters.get(at + 1) == characters.get(at);
    match characters[at] {
        '(' => Ok((Word::Open, at + 1)),
        ')' => Ok((Word::Close, at + 1)),
        ',' => Ok((Word::Comma, at + 1)),
        '!' => Ok((Word::Not, at + 1)),
        '&' if is_doubled => Ok((Word::And, at + 2)),
        '|' if is_doubled => Ok((Word::Or, at + 2)),
        '&' => fail("a single &; write && for «and»"),
        '|' => fail("a single |; write || for «or»"),
        '`' => backticks(characters, at),
        '"' => quotes(characters, at),
        '\'' | '‘' | '’' | '“' | '”' | '´' => fail("a text stands in backticks: `example.com`"),
        ';' | '{' | '}' | '[' | ']' | '=' => {
            fail(&format!("{} has no meaning here; a text stands in backticks: `example.com`", characters[at]))
        }
        c if c.is_alphabetic() => {
            let length = characters[at..]
                .iter()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | ':'))
                .count();
            Ok((Word::Name(characters[at..at + length].iter().collect()), at + length))
        }
        c => fail(&format!(
            "{} is unexpected; a matcher such as Host(`example.com`) is expected",
            quoted(&c.to_string())
        )),
    }
}

fn backticks(characters: &[char], at: usize) -> Result<(Word, usize), RuleError> {
    let Some(length) = characters[at + 1..].iter().position(|c| *c == '`') else {
        return Err(RuleError::new(at + 1, "the text that begins here has no end; close it with `"));
    };
    let text = characters[at + 1..at + 1 + length].iter().collect();
    Ok((Word::Text(text), at + length + 2))
}

/// A text in double quotes, with the backslashes of Go.
fn quotes(characters: &[char], at: usize) -> Result<(Word, usize), RuleError> {
    let mut text = String::new();
    let mut next = at + 1;
    while let Some(&c) = characters.get(next) {
        match c {
            '"' => return Ok((Word::Text(text), next + 1)),
            '\n' => break,
            '\\' => {
                let (c, end) = escaped(characters, next)?;
                text.push(c);
                next = end;
            }
            c => {
                text.push(c);
                next += 1;
            }
        }
    }
    Err(RuleError::new(at + 1, "the text that begins here has no end; close it with \""))
}

/// The character behind a backslash, and where it ends.
fn escaped(characters: &[char], at: usize) -> Result<(char, usize), RuleError> {
    let hex = |digits: usize| {
        let text: String = characters.get(at + 2..at + 2 + digits)?.iter().collect();
        let is_hex = text.chars().all(|c| c.is_ascii_hexdigit());
        let code = u32::from_str_radix(&text, 16).ok().filter(|_| is_hex)?;
        // In Go \xNN is a byte: above ASCII it would be half a character.
        char::from_u32(code).filter(|c| digits > 2 || c.is_ascii()).map(|c| (c, at + 2 + digits))
    };
    let plain = |c| Some((c, at + 2));
    let read = match characters.get(at + 1) {
        Some('\\') => plain('\\'),
        Some('"') => plain('"'),
        Some('n') => plain('\n'),
        Some('r') => plain('\r'),
        Some('t') => plain('\t'),
        Some('x') => hex(2),
        Some('u') => hex(4),
        Some('U') => hex(8),
        _ => None,
    };
    read.ok_or_else(|| {
        let shown: String = characters[at..].iter().take(2).collect();
        RuleError::new(
            at + 1,
            format!("{} means nothing in double quotes; write the text in backticks", quoted(&shown)),
        )
    })
}
