//! Python's text as tokens: names, numbers, texts, signs, and where lines and blocks begin and end.
//!
//! It reads all of Python's lexical grammar, so that a file is never misread for a construct that we do not translate.
//! It is our own since the parsers that there are build trees without a bound on their depth; everything here is a loop
//! over a text of bounded size, and what it refuses it refuses with a line and a column.

use super::SyntaxError;

/// Brackets in brackets, and blocks in blocks. Python itself allows 200 and 100; configurations have some ten.
pub(super) const NESTING_LIMIT: usize = 64;
/// How far a text within a field of an f-string may go on, in bytes: longer ones are not looked for.
const FIELD_LIMIT_BYTES: usize = 512;

/// A token and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind<'s>,
    /// From 1.
    pub(super) line: usize,
    /// In the source, in bytes.
    pub(super) at: usize,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'s> {
    /// A name or a keyword.
    Name(&'s str),
    /// A number as it is written.
    Number(&'s str),
    /// A text as it is written between its quotes.
    Text { prefix: Prefix, body: &'s str },
    /// An operator or a bracket.
    Sign(&'s str),
    /// The end of a logical line.
    Newline,
    /// A block begins.
    Indent,
    /// A block ends.
    Dedent,
    /// The text ends.
    End,
}

/// The letters before a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) is_raw: bool,
    pub(super) is_bytes: bool,
    pub(super) has_fields: bool,
}

/// The signs of more than one character, the longer ones first.
const SIGNS: [&str; 24] = [
    "**=", "//=", ">>=", "<<=", "...", "**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", "+=", "-=", "*=", "/=",
    "%=", "@=", "&=", "|=", "^=", ":=",
];

/// The tokens of `source`, the last of which is `End`.
///
/// # Errors
/// If it is not Python: a text or bracket that is not closed, a character that means nothing, a block that fits nowhere;
/// or nested deeper than any configuration is.
pub(super) fn tokens(source: &str) -> Result<Vec<Token<'_>>, SyntaxError> {
    let mut reader = Reader { source, at: 0, line: 1, tokens: Vec::new(), open: Vec::new(), indents: vec![0] };
    reader.read()?;
    Ok(reader.tokens)
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
    line: usize,
    tokens: Vec<Token<'s>>,
    /// Brackets that are open: which, where.
    open: Vec<(char, usize)>,
    indents: Vec<usize>,
}

impl<'s> Reader<'s> {
    fn read(&mut self) -> Result<(), SyntaxError> {
        self.at += if self.source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let mut is_line_start = true;
        while self.at < self.source.len() {
            if is_line_start && self.open.is_empty() && !self.indentation()? {
                continue;
            }
            is_line_start = self.token()?;
        }
        if let Some((bracket, at)) = self.open.last() {
            return Err(self.error(*at, format!("the \"{bracket}\" is never closed")));
        }
        if self.tokens.last().is_some_and(|token| token.kind != Kind::Newline) {
            self.push(Kind::Newline, self.at);
        }
        for _ in 1..self.indents.len() {
            self.push(Kind::Dedent, self.at);
        }
        self.push(Kind::End, self.at);
        Ok(())
    }

    fn rest(&self) -> &'s str {
        &self.source[self.at..]
    }

    fn error(&self, at: usize, problem: impl Into<String>) -> SyntaxError {
        SyntaxError::at(self.source, at, problem)
    }

    fn push(&mut self, kind: Kind<'s>, at: usize) {
        self.tokens.push(Token { kind, line: self.line, at });
    }

    /// Passes the end of a physical line, if one is here.
    fn line_end(&mut self) -> bool {
        let length = match self.rest().as_bytes() {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return false,
        };
        self.at += length;
        self.line += 1;
        true
    }

    fn skip_comment(&mut self) {
        let rest = self.rest();
        self.at += rest.find(['\r', '\n']).unwrap_or(rest.len());
    }

    /// Reads the beginning of a line. False if there is nothing else on it.
    fn indentation(&mut self) -> Result<bool, SyntaxError> {
        let start = self.at;
        let mut width = 0;
        for byte in self.rest().bytes() {
            width = match byte {
                b' ' => width + 1,
                b'\t' => (width / 8 + 1) * 8,
                b'\x0c' => 0,
                _ => break,
            };
            self.at += 1;
        }
        if self.rest().starts_with('#') {
            self.skip_comment();
        }
        if self.at == self.source.len() || self.line_end() {
            return Ok(false);
        }
        let current = self.indents.last().copied().unwrap_or(0);
        if width > current {
            if self.indents.len() > NESTING_LIMIT {
                return Err(self.error(self.at, format!("blocks are nested deeper than {NESTING_LIMIT} times")));
            }
            if !self.tokens.iter().rev().take(2).any(|token| token.kind == Kind::Sign(":")) {
                return Err(self.error(self.at, "the line is indented, and no block begins before it"));
            }
            self.indents.push(width);
            self.push(Kind::Indent, start);
            return Ok(true);
        }
        while width < self.indents.last().copied().unwrap_or(0) {
            self.indents.pop();
            self.push(Kind::Dedent, start);
        }
        if width != self.indents.last().copied().unwrap_or(0) {
            return Err(self.error(self.at, "the line is indented less than its block and fits no other"));
        }
        Ok(true)
    }

    /// Reads one token, or passes what is none. True if a logical line ended.
    fn token(&mut self) -> Result<bool, SyntaxError> {
        let start = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok(false) };
        match first {
            ' ' | '\t' | '\x0c' => self.at += 1,
            '#' => self.skip_comment(),
            '\r' | '\n' => {
                if self.open.is_empty() {
                    self.push(Kind::Newline, start);
                }
                self.line_end();
                return Ok(self.open.is_empty());
            }
            '\\' => {
                self.at += 1;
                if !self.line_end() {
                    return Err(self.error(start, "a \"\\\" stands here, and the line does not end after it"));
                }
            }
            '"' | '\'' => self.text(start, Prefix::default())?,
            '0'..='9' => self.number(),
            '.' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            first if first == '_' || first.is_alphabetic() => {
                let rest = self.rest();
                let length = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
                self.at += length;
                let word = &rest[..length];
                match prefix_of(word) {
                    Some(prefix) if self.rest().starts_with(['"', '\'']) => self.text(start, prefix)?,
                    _ => self.push(Kind::Name(word), start),
                }
            }
            first => self.sign(start, first)?,
        }
        Ok(false)
    }

    fn number(&mut self) {
        let start = self.at;
        let mut before = ' ';
        for c in self.rest().chars() {
            let is_exponent_sign = matches!(c, '+' | '-')
                && matches!(before, 'e' | 'E')
                && !self.source[start..].starts_with("0x")
                && !self.source[start..].starts_with("0X");
            if !c.is_ascii_alphanumeric() && c != '_' && c != '.' && !is_exponent_sign {
                break;
            }
            before = c;
            self.at += 1;
        }
        self.push(Kind::Number(&self.source[start..self.at]), start);
    }

    fn sign(&mut self, start: usize, first: char) -> Result<(), SyntaxError> {
        let long = SIGNS.into_iter().find(|sign| self.rest().starts_with(sign));
        if long.is_none() && !"+-*/%@&|^~<>()[]{},:.;=!".contains(first) {
            return Err(self.error(start, format!("{first:?} means nothing here")));
        }
        match first {
            '(' | '[' | '{' => {
                if self.open.len() >= NESTING_LIMIT {
                    return Err(self.error(start, format!("brackets are nested deeper than {NESTING_LIMIT} times")));
                }
                self.open.push((first, start));
            }
            ')' | ']' | '}' => {
                let opened = self.open.pop().map(|(bracket, ..)| bracket);
                if !matches!((opened, first), (Some('('), ')') | (Some('['), ']') | (Some('{'), '}')) {
                    return Err(self.error(start, format!("the \"{first}\" closes nothing that is open here")));
                }
            }
            _ => {}
        }
        let length = long.map_or(1, str::len);
        self.at += length;
        self.push(Kind::Sign(&self.source[start..start + length]), start);
        Ok(())
    }

    /// Reads a text, whose quote is here and whose prefix began at `start`.
    fn text(&mut self, start: usize, prefix: Prefix) -> Result<(), SyntaxError> {
        let end = text_end(self.rest(), prefix)
            .ok_or_else(|| self.error(start, "the text that begins here is never closed"))?;
        let quotes = quotes_of(self.rest());
        let body = &self.rest()[quotes.len()..end - quotes.len()];
        self.push(Kind::Text { prefix, body }, start);
        let stop = self.at + end;
        while self.at < stop {
            let rest = &self.source[self.at..stop];
            self.at += rest.find(['\r', '\n']).unwrap_or(rest.len());
            if self.at < stop {
                self.line_end();
            }
        }
        Ok(())
    }
}

fn prefix_of(word: &str) -> Option<Prefix> {
    let (is_raw, is_bytes, has_fields) = match word.to_ascii_lowercase().as_str() {
        "u" => (false, false, false),
        "r" => (true, false, false),
        "b" => (false, true, false),
        "f" | "t" => (false, false, true),
        "br" | "rb" => (true, true, false),
        "fr" | "rf" | "tr" | "rt" => (true, false, true),
        _ => return None,
    };
    Some(Prefix { is_raw, is_bytes, has_fields })
}

/// The quotes that a text begins with: one, or three.
fn quotes_of(text: &str) -> &'static str {
    match text.as_bytes() {
        [b'"', b'"', b'"', ..] => "\"\"\"",
        [b'\'', b'\'', b'\'', ..] => "'''",
        [b'"', ..] => "\"",
        _ => "'",
    }
}

/// Where the text that begins with its quote at the beginning of `text` ends, quotes included. None: nowhere.
fn text_end(text: &str, prefix: Prefix) -> Option<usize> {
    let quotes = quotes_of(text);
    let bytes = text.as_bytes();
    let mut at = quotes.len();
    let mut fields = 0_usize;
    while at < bytes.len() {
        let is_quote = matches!(bytes[at], b'"' | b'\'');
        // Since Python 3.12 a text in a field may have the quotes that surround the field.
        if is_quote
            && fields > 0
            && let Some(length) = text_in_field(&text[at..], quotes)
        {
            at += length;
            continue;
        }
        if is_quote && text[at..].starts_with(quotes) {
            return Some(at + quotes.len());
        }
        match bytes[at] {
            // Also in a raw text: it keeps the character after it from ending the text.
            b'\\' if bytes[at..].starts_with(b"\\\r\n") => at += 2,
            b'\\' => at += 1,
            b'\r' | b'\n' if quotes.len() == 1 => return None,
            b'{' if prefix.has_fields && fields == 0 && bytes.get(at + 1) == Some(&b'{') => at += 1,
            b'{' if prefix.has_fields => fields += 1,
            b'}' => fields = fields.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The length of the text at the beginning of `text`, if it ends and then its field does, before `outer` quotes come.
fn text_in_field(text: &str, outer: &str) -> Option<usize> {
    let near = &text[..text.floor_char_boundary(FIELD_LIMIT_BYTES)];
    let length = text_end(near, Prefix::default())?;
    let after = &near[length..];
    let close = after.find(['}', '\r', '\n']).filter(|close| after[*close..].starts_with('}'))?;
    // Another text of the same field may come first: its own quotes come in pairs.
    let quotes = after[..close].matches(outer).count();
    quotes.is_multiple_of(2).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<String> {
        let tokens = tokens(source).expect("Python");
        let told = tokens.iter().map(|token| match token.kind {
            Kind::Name(text) | Kind::Number(text) | Kind::Sign(text) => text.to_owned(),
            Kind::Text { body, .. } => format!("<{body}>"),
            other => format!("{other:?}"),
        });
        told.collect()
    }

    fn check(source: &str, expected: &str) {
        assert_eq!(kinds(source).join(" "), expected, "{source:?}");
    }

    #[test]
    fn lines_blocks_and_brackets_are_told_apart() {
        check("a = 1\n", "a = 1 Newline End");
        check("a = [\n 1,\n\n # x\n 2]", "a = [ 1 , 2 ] Newline End");
        check("if a:\r\n\tb = 1\r\n\r\n# c\r\nd", "if a : Newline Indent b = 1 Newline Dedent d Newline End");
        check(
            "if a:\n  if b:\n    c\nd",
            "if a : Newline Indent if b : Newline Indent c Newline Dedent Dedent d Newline End",
        );
        check("a = 1 + \\\n 2", "a = 1 + 2 Newline End");
        check("\u{feff}a", "a Newline End");
        check("a //= .5e-3; b->0x1e+1", "a //= .5e-3 ; b -> 0x1e + 1 Newline End");
        check("", "End");
    }

    #[test]
    fn texts_end_where_python_ends_them() {
        check(r#"a = "x\"y" 'z'"#, r#"a = <x\"y> <z> Newline End"#);
        check("'''a\n'b\"\n'''", "<a\n'b\"\n> Newline End");
        check(r#"rb"\"" rf'x' u''"#, r#"<\"> <x> <> Newline End"#);
        check("'ä\\\r\n' b", "<ä\\\r\n> b Newline End");
    }

    #[test]
    fn fields_may_hold_the_quotes_around_them() {
        check(r#"f"a{b["x"]}c""#, r#"<a{b["x"]}c> Newline End"#);
        check(r#"f"a{b['x']}c" 'd'"#, r#"<a{b['x']}c> <d> Newline End"#);
        check(r#"f"{{a" "b""#, r#"<{{a> <b> Newline End"#);
    }

    fn refused(source: &str) -> String {
        tokens(source).expect_err("not Python").to_string()
    }

    #[test]
    fn what_is_not_python_is_refused_with_its_place() {
        assert_eq!(refused("a = 1\nb = 'x\n"), "line 2, column 5: the text that begins here is never closed");
        assert_eq!(refused("a = [1,\n"), "line 1, column 5: the \"[\" is never closed");
        assert_eq!(refused("a = (1]\n"), "line 1, column 7: the \"]\" closes nothing that is open here");
        assert_eq!(refused("a = 1 ? 2"), "line 1, column 7: '?' means nothing here");
        assert_eq!(refused("a\n  b\n"), "line 2, column 3: the line is indented, and no block begins before it");
        assert_eq!(
            refused("if a:\n    b\n  c\n"),
            "line 3, column 3: the line is indented less than its block and fits no other"
        );
        let deep = "[".repeat(100_000);
        assert_eq!(refused(&deep), "line 1, column 65: brackets are nested deeper than 64 times");
        let blocks: String = (0..100).map(|depth| format!("{}if a:\n", " ".repeat(depth))).collect();
        assert!(refused(&blocks).ends_with("blocks are nested deeper than 64 times"));
    }
}
