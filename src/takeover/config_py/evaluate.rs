//! Python's expressions, evaluated while they are read: literals, known constants and a few functions that
//! configurations use. All else is passed over as Python's grammar has it and named as unknown.

use std::collections::BTreeMap;

use super::calls;
use super::cursor::{Cursor, Read};
use super::literal::{number_of, unescaped};
use super::token::{Kind, NESTING_LIMIT, Prefix, tokens};
use super::value::{Known, Value, Variables};

/// How much may be made of a file in all, in bytes: a few lines that double a text each would otherwise fill memory.
const BUDGET_BYTES: usize = 16 * 1024 * 1024;
/// Keys of one dictionary; longer ones are no configuration, and looking for a key twice takes its time.
const KEYS_LIMIT: usize = 2_000;
/// Variables that are remembered of one value.
const VARIABLES_LIMIT: usize = 16;

/// What the file has said so far.
#[derive(Debug)]
pub(super) struct Scope {
    constants: BTreeMap<String, Known>,
    /// What the environment variables are without a default in the file.
    defaults: fn(&str) -> Option<&'static str>,
    left: usize,
    depth: usize,
    /// Variables that the expression of the moment was made of.
    used: Variables,
}

/// What a call is given.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) values: Vec<Value>,
    pub(super) named: Vec<(String, Value)>,
    /// `*x` or `**x`: there may be others.
    pub(super) may_be_more: bool,
}

/// How tightly the operators of two sides bind, loosest first.
const BINDING: [(&str, u8); 24] = [
    ("or", 1),
    ("and", 2),
    ("in", 4),
    ("not", 4),
    ("is", 4),
    ("<", 4),
    (">", 4),
    ("==", 4),
    (">=", 4),
    ("<=", 4),
    ("!=", 4),
    ("|", 5),
    ("^", 6),
    ("&", 7),
    ("<<", 8),
    (">>", 8),
    ("+", 9),
    ("-", 9),
    ("*", 10),
    ("/", 10),
    ("//", 10),
    ("%", 10),
    ("@", 10),
    ("**", 12),
];
const NOT: u8 = 3;
const SIGNED: u8 = 11;

/// Words that begin or go on with something else than an expression.
const KEYWORDS: [&str; 22] = [
    "and", "as", "assert", "break", "class", "continue", "def", "del", "elif", "else", "except", "finally", "for",
    "from", "global", "if", "import", "in", "is", "or", "while", "with",
];

impl Scope {
    pub(super) fn new(defaults: fn(&str) -> Option<&'static str>) -> Self {
        Self { constants: BTreeMap::new(), defaults, left: BUDGET_BYTES, depth: 0, used: Variables::new() }
    }

    pub(super) fn set(&mut self, name: &str, known: Known) {
        self.constants.insert(name.to_owned(), known);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        self.constants.get(name)
    }

    /// The expression that is here, or several with commas between them, which are a tuple.
    pub(super) fn evaluate(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Known> {
        self.used.clear();
        let value = self.tuple(cursor)?;
        Ok(Known { value: self.bounded(value), variables: std::mem::take(&mut self.used) })
    }

    /// The arguments of the call whose "(" has been passed.
    pub(super) fn evaluate_arguments(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<(Arguments, Variables)> {
        self.used.clear();
        let arguments = self.arguments(cursor)?;
        Ok((arguments, std::mem::take(&mut self.used)))
    }

    /// The value itself, or what stands for one that is too large or too deep.
    pub(super) fn bounded(&mut self, value: Value) -> Value {
        let Some(weight) = value.weight() else { return unknown("more than can be followed") };
        // At nothing left the next expression is refused.
        self.left = self.left.saturating_sub(weight);
        if self.left == 0 { unknown("more than can be followed") } else { value }
    }

    fn tuple(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        let first = self.item(cursor)?;
        if !cursor.is_sign(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while cursor.takes(",") {
            if begins_no_expression(cursor.here().kind) {
                break;
            }
            items.push(self.item(cursor)?);
        }
        Ok(Value::List(items))
    }

    fn item(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        if cursor.takes("*") {
            self.expression(cursor)?;
            return Ok(unknown("a list with \"*\""));
        }
        self.expression(cursor)
    }

    fn expression(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        self.deeper(cursor, Self::choice)
    }

    fn nested(&mut self, cursor: &mut Cursor<'_, '_>, least: u8) -> Read<Value> {
        self.deeper(cursor, |scope, cursor| scope.binary(cursor, least))
    }

    /// One level deeper: every way from an expression to one within it comes through here.
    fn deeper<'s, 't>(
        &mut self,
        cursor: &mut Cursor<'s, 't>,
        read: impl FnOnce(&mut Self, &mut Cursor<'s, 't>) -> Read<Value>,
    ) -> Read<Value> {
        if self.left == 0 {
            return Err(cursor.error("the values of this file amount to more than can be followed"));
        }
        if self.depth >= NESTING_LIMIT {
            return Err(cursor.error(&format!("expressions are nested deeper than {NESTING_LIMIT} times")));
        }
        self.depth += 1;
        let value = read(self, cursor);
        self.depth -= 1;
        value
    }

    /// `a`, `a if b else c`, `lambda: a`, `a := b`.
    fn choice(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        if cursor.takes_word("lambda") {
            cursor.skip_to(&[":"]);
            cursor.expect(":")?;
            self.expression(cursor)?;
            return Ok(unknown("a lambda"));
        }
        if cursor.takes_word("yield") {
            cursor.takes_word("from");
            if !begins_no_expression(cursor.here().kind) {
                self.tuple(cursor)?;
            }
            return Ok(unknown("a yield"));
        }
        let value = self.binary(cursor, 0)?;
        if cursor.takes(":=") {
            self.expression(cursor)?;
            return Ok(unknown("an assignment within an expression"));
        }
        if !cursor.takes_word("if") {
            return Ok(value);
        }
        let condition = self.binary(cursor, 0)?;
        if !cursor.takes_word("else") {
            return Err(cursor.error("an \"else\" is missing here"));
        }
        let other = self.expression(cursor)?;
        Ok(match condition.truth() {
            Some(true) => value,
            Some(false) => other,
            None => unknown("a choice (`… if … else …`) that cannot be made here"),
        })
    }

    fn binary(&mut self, cursor: &mut Cursor<'_, '_>, least: u8) -> Read<Value> {
        let mut left = self.unary(cursor)?;
        loop {
            let (Kind::Name(word) | Kind::Sign(word)) = cursor.here().kind else { return Ok(left) };
            let Some((operator, binding)) = BINDING.into_iter().find(|(operator, _)| *operator == word) else {
                return Ok(left);
            };
            let is_not_in = operator == "not";
            if binding < least || (is_not_in && cursor.ahead(1).kind != Kind::Name("in")) {
                return Ok(left);
            }
            cursor.step();
            if is_not_in || operator == "is" {
                cursor.takes_word(if is_not_in { "in" } else { "not" });
            }
            // What is raised to a power binds to the right; all else to the left.
            let right = self.nested(cursor, if operator == "**" { SIGNED } else { binding + 1 })?;
            left = calls::operate(if is_not_in { "not in" } else { operator }, left, right);
            left = self.bounded(left);
        }
    }

    fn unary(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        if cursor.takes_word("not") {
            let value = self.nested(cursor, NOT)?;
            return Ok(value
                .truth()
                .map_or_else(|| unknown("a \"not\" that cannot be told here"), |is| Value::Flag(!is)));
        }
        if cursor.takes_word("await") {
            self.nested(cursor, SIGNED)?;
            return Ok(unknown("an await"));
        }
        if cursor.takes("-") {
            let value = self.nested(cursor, SIGNED)?;
            return Ok(match value {
                Value::Whole(number) => number.checked_neg().map_or_else(|| unknown("a large number"), Value::Whole),
                Value::Number(number) => Value::Number(-number),
                _ => unknown("a calculation"),
            });
        }
        if cursor.takes("+") || cursor.takes("~") {
            self.nested(cursor, SIGNED)?;
            return Ok(unknown("a calculation"));
        }
        self.postfix(cursor)
    }

    /// An atom with what follows it: `.name`, `[key]`, `(arguments)`.
    fn postfix(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        let mut value = self.atom(cursor)?;
        loop {
            if cursor.takes(".") {
                let Kind::Name(name) = cursor.step().kind else {
                    return Err(cursor.error("a name is missing after the \".\""));
                };
                if matches!(value, Value::Name(_)) || !cursor.takes("(") {
                    value = calls::attribute(value, name);
                    continue;
                }
                let arguments = self.arguments(cursor)?;
                value = calls::method(value, name, &arguments);
            } else if cursor.takes("(") {
                let arguments = self.arguments(cursor)?;
                value = match value {
                    Value::Name(name) => self.call(&name, &arguments),
                    Value::Unknown(what) => Value::Unknown(what),
                    _ => unknown("a call"),
                };
            } else if cursor.takes("[") {
                let key = self.subscript(cursor)?;
                value = match (value, key) {
                    (Value::Name(name), Some(Value::Text(key))) if name == "os.environ" => self.variable(&key, None),
                    (value, Some(key)) => calls::item(&value, &key),
                    (_, None) => unknown("a part of a list or text"),
                };
            } else {
                return Ok(value);
            }
            value = self.bounded(value);
        }
    }

    /// The key between brackets, whose "[" has been passed; None: a slice.
    pub(super) fn subscript(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Option<Value>> {
        let mut key = None;
        let mut is_slice = false;
        while !cursor.takes("]") {
            if cursor.takes(":") || (key.is_some() && cursor.takes(",")) {
                is_slice = true;
            } else if key.is_none() || is_slice {
                key = Some(self.item(cursor)?);
            } else {
                return Err(cursor.error("a \"]\" is missing here"));
            }
        }
        Ok(key.filter(|_| !is_slice))
    }

    fn arguments(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Arguments> {
        let mut arguments = Arguments::default();
        while !cursor.takes(")") {
            if cursor.takes("*") || cursor.takes("**") {
                self.expression(cursor)?;
                arguments.may_be_more = true;
            } else if let (Kind::Name(name), Kind::Sign("=")) = (cursor.here().kind, cursor.ahead(1).kind) {
                cursor.step();
                cursor.step();
                let value = self.expression(cursor)?;
                arguments.named.push((name.to_owned(), value));
            } else {
                let value = self.expression(cursor)?;
                let value = if self.comprehension(cursor)? { unknown("a comprehension") } else { value };
                arguments.values.push(value);
            }
            cursor.separated(")")?;
        }
        Ok(arguments)
    }

    /// Passes `for … in …` behind an item. True if there was one.
    fn comprehension(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<bool> {
        let mut is_there = false;
        loop {
            cursor.takes_word("async");
            if !cursor.takes_word("for") {
                return Ok(is_there);
            }
            is_there = true;
            while !cursor.is_word("in") {
                if matches!(cursor.step().kind, Kind::Newline | Kind::End) {
                    return Err(cursor.error("an \"in\" is missing in this comprehension"));
                }
            }
            cursor.step();
            self.nested(cursor, 0)?;
            while cursor.takes_word("if") {
                self.nested(cursor, 0)?;
            }
        }
    }

    fn atom(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        let token = cursor.here();
        match token.kind {
            Kind::Name(word) if KEYWORDS.contains(&word) => {
                Err(cursor.error(&format!("an expression is missing here, before \"{word}\"")))
            }
            Kind::Name(name) => {
                cursor.step();
                Ok(self.named(name))
            }
            Kind::Number(text) => {
                cursor.step();
                Ok(number_of(text))
            }
            Kind::Text { .. } => self.texts(cursor),
            Kind::Sign("...") => {
                cursor.step();
                Ok(unknown("\"...\""))
            }
            Kind::Sign("(") => {
                cursor.step();
                self.parenthesis(cursor)
            }
            Kind::Sign("[") => {
                cursor.step();
                self.list(cursor, "]", Vec::new())
            }
            Kind::Sign("{") => {
                cursor.step();
                self.braces(cursor)
            }
            Kind::Sign(sign) => Err(cursor.error(&format!("an expression is missing here, before \"{sign}\""))),
            _ => Err(cursor.error("an expression is missing here, before the end of the line")),
        }
    }

    fn named(&mut self, name: &str) -> Value {
        match name {
            "None" => return Value::None,
            "True" => return Value::Flag(true),
            "False" => return Value::Flag(false),
            _ => {}
        }
        let Some(known) = self.constants.get(name).cloned() else { return Value::Name(name.to_owned()) };
        for variable in known.variables {
            self.note(variable);
        }
        self.bounded(known.value)
    }

    fn note(&mut self, variable: (String, bool)) {
        if self.used.len() < VARIABLES_LIMIT {
            self.used.insert(variable);
        }
    }

    fn parenthesis(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        if cursor.takes(")") {
            return Ok(Value::List(Vec::new()));
        }
        let value = self.tuple(cursor)?;
        let value = if self.comprehension(cursor)? { unknown("a comprehension") } else { value };
        cursor.expect(")")?;
        Ok(value)
    }

    /// A list whose "[" has been passed, or the rest of a set, whose items so far are `items`.
    fn list(&mut self, cursor: &mut Cursor<'_, '_>, end: &str, mut items: Vec<Value>) -> Read<Value> {
        while !cursor.takes(end) {
            if cursor.takes("*") {
                match self.expression(cursor)? {
                    Value::List(more) => items.extend(more),
                    other => items.push(unknown_or(other, "a list with \"*\"")),
                }
            } else {
                items.push(self.expression(cursor)?);
            }
            if self.comprehension(cursor)? {
                cursor.expect(end)?;
                return Ok(unknown("a comprehension"));
            }
            cursor.separated(end)?;
        }
        Ok(self.bounded(Value::List(items)))
    }

    /// A dictionary or a set, whose "{" has been passed.
    fn braces(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        let mut items = Vec::new();
        while !cursor.takes("}") {
            if cursor.takes("**") {
                match self.expression(cursor)? {
                    Value::Dict(more) if items.len() + more.len() <= KEYS_LIMIT => {
                        more.into_iter().for_each(|(key, value)| Value::put(&mut items, key, value));
                    }
                    other => items.push((unknown_or(other, "a dictionary with \"**\""), Value::None)),
                }
                cursor.separated("}")?;
                continue;
            }
            // The first item says which of both it is: a backward step here would double with each level.
            let key = self.item(cursor)?;
            if items.is_empty() && !cursor.is_sign(":") {
                let is_made = self.comprehension(cursor)?;
                cursor.separated("}")?;
                let set = self.list(cursor, "}", vec![key])?;
                return Ok(if is_made { unknown("a comprehension") } else { set });
            }
            cursor.expect(":")?;
            let value = self.expression(cursor)?;
            if self.comprehension(cursor)? {
                cursor.expect("}")?;
                return Ok(unknown("a comprehension"));
            }
            if items.len() >= KEYS_LIMIT {
                return Err(cursor.error(&format!("a dictionary has more than {KEYS_LIMIT} keys")));
            }
            Value::put(&mut items, key, value);
            cursor.separated("}")?;
        }
        Ok(self.bounded(Value::Dict(items)))
    }

    /// One text, or several beside each other, which are one.
    fn texts(&mut self, cursor: &mut Cursor<'_, '_>) -> Read<Value> {
        let mut whole = Ok(String::new());
        while let Kind::Text { prefix, body } = cursor.here().kind {
            cursor.step();
            let part = match prefix {
                Prefix { is_bytes: true, .. } => Err(unknown("bytes (`b\"…\"`)")),
                Prefix { has_fields: true, .. } => self.fields(body, prefix.is_raw),
                Prefix { is_raw: true, .. } => Ok(body.to_owned()),
                _ => unescaped(body).ok_or_else(|| unknown("a text with an escape that Python refuses")),
            };
            whole = whole.and_then(|whole: String| Ok(whole + &part?));
        }
        Ok(self.bounded(whole.map_or_else(|unknown| unknown, Value::Text)))
    }

    /// An f-string: its texts, and its fields evaluated.
    fn fields(&mut self, body: &str, is_raw: bool) -> Result<String, Value> {
        let text_of = |part: &str| {
            let plain = if is_raw { Some(part.to_owned()) } else { unescaped(part) };
            plain.ok_or_else(|| unknown("a text with an escape that Python refuses"))
        };
        let mut made = String::new();
        let mut rest = body;
        while let Some(at) = rest.find(['{', '}']) {
            made += &text_of(&rest[..at])?;
            let brace = &rest[at..=at];
            if rest[at + 1..].starts_with(brace) {
                made += brace;
                rest = &rest[at + 2..];
                continue;
            }
            let inner = &rest[at + 1..];
            let end = if brace == "{" { inner.find('}') } else { None };
            let end = end.ok_or_else(|| unknown("a text with fields (`f\"…\"`)"))?;
            made += &self.field(&inner[..end])?;
            rest = &inner[end + 1..];
            if made.len() > self.left {
                return Err(unknown("more than can be followed"));
            }
        }
        Ok(made + &text_of(rest)?)
    }

    fn field(&mut self, text: &str) -> Result<String, Value> {
        let told = || unknown("a text with fields (`f\"…\"`) that cannot be told here");
        let tokens = tokens(text.trim()).map_err(|_| told())?;
        let mut cursor = Cursor::new(text.trim(), &tokens);
        let value = self.expression(&mut cursor).map_err(|_| told())?;
        if cursor.here().kind != Kind::Newline {
            return Err(told());
        }
        value.as_text().ok_or_else(|| unknown_or(value, "a text with fields (`f\"…\"`) that cannot be told here"))
    }

    fn call(&mut self, name: &str, arguments: &Arguments) -> Value {
        let is_variable = matches!(name, "os.environ.get" | "os.getenv");
        if let (true, [Value::Text(variable), default @ ..]) = (is_variable, arguments.values.as_slice()) {
            let named = arguments.named.iter().find(|(name, _)| name == "default").map(|(_, value)| value);
            let default = default.first().or(named).cloned();
            return self.variable(&variable.clone(), Some(default.unwrap_or(Value::None)));
        }
        calls::function(name, arguments)
    }

    /// The environment's variable, which is not ours to read: its default, also that of the platforms before us. `None`
    /// for `default`: the file insists on it.
    fn variable(&mut self, name: &str, default: Option<Value>) -> Value {
        let known = || (self.defaults)(name).map(|text| Value::Text(text.to_owned()));
        let value = default.clone().filter(|value| *value != Value::None).or_else(known);
        self.note((name.to_owned(), value.is_some()));
        value
            .or(default)
            .unwrap_or_else(|| Value::Unknown(format!("the environment variable {name}, which has no default here")))
    }
}

pub(super) fn unknown(what: &str) -> Value {
    Value::Unknown(what.to_owned())
}

/// What is unknown of `value`; if nothing is: `what`.
pub(super) fn unknown_or(value: Value, what: &str) -> Value {
    Value::Unknown(value.unknown().unwrap_or_else(|| what.to_owned()))
}

fn begins_no_expression(kind: Kind<'_>) -> bool {
    match kind {
        Kind::Newline | Kind::End | Kind::Indent | Kind::Dedent => true,
        Kind::Sign(sign) => !matches!(sign, "(" | "[" | "{" | "-" | "+" | "~" | "*" | "..."),
        Kind::Name(word) => KEYWORDS.contains(&word),
        _ => false,
    }
}
