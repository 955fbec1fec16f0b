//! Finds in the file what it sets: `c.Class.trait = value` and its relatives, and the constants that values are made of.
//!
//! One loop over the lines. Blocks are held on a stack, so that nothing is deeper than their indentation.

use std::collections::{BTreeMap, HashMap};

use super::SyntaxError;
use super::calls;
use super::cursor::Cursor;
use super::draft::shortened;
use super::evaluate::{Arguments, Scope, unknown};
use super::token::{Kind, tokens};
use super::value::{Known, Value, Variables};

/// Settings of one file. JupyterHub and its parts have some 300 in all.
const SETTINGS_LIMIT: usize = 5_000;

/// A setting of the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    /// `JupyterHub`, `DockerSpawner` …
    pub(super) class: String,
    /// `bind_url` …
    pub(super) name: String,
    /// The lines that it is made of, in the order of the file.
    pub(super) lines: Vec<usize>,
    pub(super) value: Value,
    pub(super) variables: Variables,
    /// The block that it stands in, which may not be run: "if", and its line.
    pub(super) condition: Option<(String, usize)>,
    /// The constant whose value it has, which may still change.
    shares: Option<String>,
}

impl Setting {
    /// `c.Class.trait`.
    pub(super) fn full_name(&self) -> String {
        format!("c.{}.{}", shortened(&self.class), shortened(&self.name))
    }

    /// Where it begins.
    pub(super) fn line(&self) -> usize {
        self.lines.first().copied().unwrap_or(1)
    }
}

/// Something that the file does and that is no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) line: usize,
    pub(super) text: String,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// In the order of the file; those that stand in a condition beside the others.
    pub(super) settings: Vec<Setting>,
    pub(super) remarks: Vec<Remark>,
    /// Classes that the file makes, each with what it is made from.
    pub(super) classes: BTreeMap<String, String>,
}

/// Reads `source`; `defaults` are those of environment variables that have none in the file.
///
/// # Errors
/// If it is not Python, or nested or grown beyond what configurations are.
pub(super) fn read(source: &str, defaults: fn(&str) -> Option<&'static str>) -> Result<Reading, SyntaxError> {
    let tokens = tokens(source)?;
    let mut reader = Reader {
        cursor: Cursor::new(source, &tokens),
        scope: Scope::new(defaults),
        reading: Reading::default(),
        places: HashMap::new(),
        blocks: Vec::new(),
        config: "c".to_owned(),
    };
    reader.read()?;
    Ok(reader.reading)
}

struct Reader<'s, 't> {
    cursor: Cursor<'s, 't>,
    scope: Scope,
    reading: Reading,
    /// Where in `reading.settings` those are that are set without a condition.
    places: HashMap<(String, String), usize>,
    /// The blocks that are open: None is one that is always run.
    blocks: Vec<Option<(String, usize)>>,
    /// What the file calls its configuration.
    config: String,
}

/// What is done to a setting or a constant.
enum Change {
    Set(Value),
    /// `x[key] = value`
    Put(Value, Value),
    /// `+=`, `|=`, `.update`, `.extend`, `.add`, `.append`, in place.
    Add(Value),
    Append(Value),
    Prepend(Value),
    /// Anything else, in words.
    Other(String),
}

impl<'s> Reader<'s, '_> {
    fn read(&mut self) -> Result<(), SyntaxError> {
        loop {
            match self.cursor.here().kind {
                Kind::End => return Ok(()),
                Kind::Dedent => {
                    self.blocks.pop();
                    self.cursor.step();
                }
                Kind::Newline | Kind::Indent | Kind::Sign(";") => {
                    self.cursor.step();
                }
                _ => self.statement()?,
            }
        }
    }

    fn statement(&mut self) -> Result<(), SyntaxError> {
        let token = self.cursor.here();
        if self.reading.settings.len() > SETTINGS_LIMIT {
            return Err(self.cursor.error("there are more settings before this line than any configuration has"));
        }
        let Kind::Name(word) = token.kind else {
            if self.cursor.takes("@") {
                self.cursor.skip_to(&[]);
                return self.statement_end();
            }
            return self.plain();
        };
        match word {
            "if" | "elif" | "else" | "for" | "while" | "try" | "except" | "finally" | "match" | "case" | "with"
            | "async"
                if self.is_block() =>
            {
                if word == "async" && self.cursor.ahead(1).kind == Kind::Name("def") {
                    self.cursor.step();
                    return self.definition(token.line);
                }
                self.block(word, token.line)
            }
            "def" | "class" => self.definition(token.line),
            "import" | "from" => self.import(word == "from"),
            "pass" | "return" | "raise" | "assert" | "global" | "nonlocal" | "break" | "continue" | "del" | "type"
                if !matches!(self.cursor.ahead(1).kind, Kind::Sign("=" | "." | "(" | "[")) || word == "del" =>
            {
                if word == "del" {
                    self.forget_names();
                }
                self.cursor.skip_to(&[";"]);
                self.statement_end()
            }
            _ => self.plain(),
        }
    }

    /// True if a ":" outside of brackets ends this line's first part: `match = 3` is none.
    fn is_block(&mut self) -> bool {
        if matches!(self.cursor.ahead(1).kind, Kind::Sign("=" | "." | ",")) {
            return false;
        }
        let begin = self.cursor.position();
        self.cursor.step();
        self.cursor.skip_to(&[":", "="]);
        let is_block = self.cursor.is_sign(":");
        self.cursor.go_to(begin);
        is_block
    }

    fn block(&mut self, word: &str, line: usize) -> Result<(), SyntaxError> {
        self.cursor.step();
        if word == "for" {
            self.forget_names();
        }
        self.cursor.skip_to(&[":"]);
        self.cursor.expect(":")?;
        let is_always_run = matches!(word, "with" | "finally");
        let block = (!is_always_run).then(|| (word.to_owned(), line));
        if self.cursor.here().kind == Kind::Newline {
            self.cursor.step();
            if self.cursor.here().kind != Kind::Indent {
                return Err(self.cursor.error(&format!("the block of the \"{word}\" of line {line} is missing")));
            }
            self.cursor.step();
            self.blocks.push(block);
            return Ok(());
        }
        self.blocks.push(block);
        while !matches!(self.cursor.here().kind, Kind::Newline | Kind::End) {
            if !self.cursor.takes(";") {
                self.plain_or_word()?;
            }
        }
        self.blocks.pop();
        Ok(())
    }

    /// A statement in the line of its block's beginning, which is no block itself.
    fn plain_or_word(&mut self) -> Result<(), SyntaxError> {
        match self.cursor.here().kind {
            Kind::Name("import") => self.import(false),
            Kind::Name("from") => self.import(true),
            Kind::Name("pass" | "return" | "raise" | "assert" | "global" | "break" | "continue" | "del") => {
                self.cursor.skip_to(&[";"]);
                self.statement_end()
            }
            _ => self.plain(),
        }
    }

    /// `def` or `class`: its name is known, what it does is not.
    fn definition(&mut self, line: usize) -> Result<(), SyntaxError> {
        let is_class = self.cursor.is_word("class");
        self.cursor.step();
        let Kind::Name(name) = self.cursor.step().kind else {
            return Err(self.cursor.error("a name is missing here"));
        };
        let value = if is_class {
            let bases = if self.cursor.takes("(") {
                self.scope.evaluate_arguments(&mut self.cursor)?.0
            } else {
                Arguments::default()
            };
            let base = match bases.values.into_iter().next() {
                Some(Value::Name(base) | Value::Subclass { base, .. }) => base,
                _ => String::new(),
            };
            self.reading.classes.insert(name.to_owned(), base.clone());
            Value::Subclass { name: name.to_owned(), line, base }
        } else {
            Value::Unknown(format!("the function `{name}` of line {line}"))
        };
        self.scope.set(name, Known { value, variables: Variables::new() });
        self.cursor.skip_to(&[":"]);
        self.cursor.expect(":")?;
        if self.cursor.here().kind != Kind::Newline {
            self.cursor.skip_to(&[]);
            return Ok(());
        }
        self.cursor.step();
        if self.cursor.here().kind != Kind::Indent {
            return Err(self.cursor.error(&format!("the block of `{name}` of line {line} is missing")));
        }
        let mut open = 0_usize;
        loop {
            match self.cursor.step().kind {
                Kind::Indent => open += 1,
                Kind::Dedent if open == 1 => return Ok(()),
                Kind::Dedent => open -= 1,
                Kind::End => return Ok(()),
                _ => {}
            }
        }
    }

    /// `import a.b as c`, `from a.b import c as d`: names stand for what they were in their module.
    fn import(&mut self, is_from: bool) -> Result<(), SyntaxError> {
        self.cursor.step();
        let module = if is_from { self.dotted() } else { String::new() };
        if is_from && !self.cursor.takes_word("import") {
            return Err(self.cursor.error("an \"import\" is missing here"));
        }
        self.cursor.takes("(");
        loop {
            let name = self.dotted();
            let is_renamed = self.cursor.takes_word("as");
            let local = if is_renamed { self.dotted() } else { name.clone() };
            if !name.is_empty() && (is_from || is_renamed) {
                let full = if is_from { format!("{module}.{name}") } else { name };
                self.scope.set(&local, Known { value: Value::Name(full), variables: Variables::new() });
            }
            if !self.cursor.takes(",") {
                break;
            }
        }
        self.cursor.takes("*");
        self.cursor.takes(")");
        self.statement_end()
    }

    fn dotted(&mut self) -> String {
        let mut name = String::new();
        loop {
            match self.cursor.here().kind {
                Kind::Name(word) if !matches!(word, "import" | "as") && name.len() < 200 => name += word,
                Kind::Sign("." | "...") => name.push('.'),
                _ => return name,
            }
            self.cursor.step();
        }
    }

    /// Names up to the line's end or ":" no longer have the values that they had.
    fn forget_names(&mut self) {
        let line = self.cursor.here().line;
        while let Kind::Name(_) | Kind::Sign("," | "(" | ")" | "[" | "]" | "." | "*") = self.cursor.here().kind {
            if let Kind::Name(name) = self.cursor.step().kind {
                if matches!(name, "in") {
                    return;
                }
                if self.scope.get(name).is_some_and(|known| !matches!(known.value, Value::Name(_))) {
                    self.scope.set(name, not_known(name, line));
                }
            }
        }
    }

    fn statement_end(&mut self) -> Result<(), SyntaxError> {
        match self.cursor.here().kind {
            Kind::Newline | Kind::End | Kind::Sign(";") => Ok(()),
            _ => Err(self.cursor.error("the end of the line is missing here")),
        }
    }

    /// An assignment, a call, or any other expression.
    fn plain(&mut self) -> Result<(), SyntaxError> {
        let line = self.cursor.here().line;
        let begin = self.cursor.position();
        let path = self.path();
        if let Some(path) = path {
            match self.cursor.here().kind {
                Kind::Sign("=") => return self.assignment(path, line),
                Kind::Sign(":") => return self.annotated(path, line),
                Kind::Sign("[") if self.subscript_assignment(&path, line)? => return Ok(()),
                Kind::Sign("(") if self.call(&path, line)? => return Ok(()),
                Kind::Sign(sign)
                    if sign.len() > 1 && sign.ends_with('=') && !matches!(sign, "==" | "<=" | ">=" | "!=") =>
                {
                    self.cursor.step();
                    let known = self.scope.evaluate(&mut self.cursor)?;
                    let change = match sign {
                        "+=" | "|=" => Change::Add(known.value),
                        _ => Change::Other(format!("a `{sign}`")),
                    };
                    self.change(&path, line, change, known.variables, None);
                    return self.statement_end();
                }
                _ => {}
            }
        }
        self.cursor.go_to(begin);
        self.scope.evaluate(&mut self.cursor)?;
        if self.cursor.is_sign("=") {
            self.cursor.go_to(begin);
            self.forget_names();
            self.cursor.skip_to(&[";"]);
        }
        self.statement_end()
    }

    /// `a.b.c`, if a name is here.
    fn path(&mut self) -> Option<Vec<&'s str>> {
        let Kind::Name(first) = self.cursor.here().kind else { return None };
        self.cursor.step();
        let mut path = vec![first];
        while self.cursor.is_sign(".") {
            let Kind::Name(next) = self.cursor.ahead(1).kind else { break };
            self.cursor.step();
            self.cursor.step();
            path.push(next);
        }
        Some(path)
    }

    /// `a = b.c = value`, at the first "=".
    fn assignment(&mut self, first: Vec<&'s str>, line: usize) -> Result<(), SyntaxError> {
        let mut targets = vec![first];
        loop {
            self.cursor.expect("=")?;
            let begin = self.cursor.position();
            match self.path() {
                Some(path) if self.cursor.is_sign("=") => targets.push(path),
                _ => {
                    self.cursor.go_to(begin);
                    break;
                }
            }
        }
        let constant = match (self.cursor.here().kind, self.cursor.ahead(1).kind) {
            (Kind::Name(name), Kind::Newline | Kind::Sign(";")) => Some(name),
            _ => None,
        };
        let mut known = self.scope.evaluate(&mut self.cursor)?;
        if self.cursor.is_sign("=") {
            // `a = (b, c) = value`
            known.value = unknown("an assignment to several names");
            self.cursor.skip_to(&[";"]);
        }
        let makes_config = matches!(&known.value, Value::Unknown(what) if what.ends_with("get_config(…)`"));
        for target in targets {
            if let ([name], true) = (target.as_slice(), makes_config) {
                (*name).clone_into(&mut self.config);
                continue;
            }
            let variables = known.variables.clone();
            let value = self.scope.bounded(known.value.clone());
            self.change(&target, line, Change::Set(value), variables, constant);
        }
        self.statement_end()
    }

    /// `a: kind = value`.
    fn annotated(&mut self, path: Vec<&'s str>, line: usize) -> Result<(), SyntaxError> {
        self.cursor.step();
        self.scope.evaluate(&mut self.cursor)?;
        if self.cursor.is_sign("=") { self.assignment(path, line) } else { self.statement_end() }
    }

    /// `a.b[key] = value`, at the "[". False if it is none.
    fn subscript_assignment(&mut self, path: &[&str], line: usize) -> Result<bool, SyntaxError> {
        self.cursor.step();
        let Some(key) = self.scope.subscript(&mut self.cursor)? else { return Ok(false) };
        if !self.cursor.takes("=") {
            if matches!(self.cursor.here().kind, Kind::Sign("[")) {
                self.change(path, line, Change::Other("a change of a part of a part".into()), Variables::new(), None);
            }
            return Ok(false);
        }
        let known = self.scope.evaluate(&mut self.cursor)?;
        self.change(path, line, Change::Put(key, known.value), known.variables, None);
        self.statement_end()?;
        Ok(true)
    }

    /// `a.b.append(value)` and its like, at the "(". False if it is none.
    fn call(&mut self, path: &[&str], line: usize) -> Result<bool, SyntaxError> {
        if let [name] = path {
            self.call_of(name, line);
            return Ok(false);
        }
        let Some((method, owner)) = path.split_last() else { return Ok(false) };
        if ![
            "append",
            "extend",
            "update",
            "add",
            "insert",
            "prepend",
            "setdefault",
            "remove",
            "pop",
            "clear",
            "discard",
        ]
        .contains(method)
        {
            return Ok(false);
        }
        self.cursor.step();
        let (arguments, variables) = self.scope.evaluate_arguments(&mut self.cursor)?;
        if !matches!(self.cursor.here().kind, Kind::Newline | Kind::End | Kind::Sign(";")) {
            return Ok(false);
        }
        let other = || Change::Other(format!("a `.{method}(…)`"));
        let change = match (*method, arguments) {
            (_, Arguments { may_be_more: true, .. }) => other(),
            ("update", Arguments { values, named, .. }) if !named.is_empty() && values.len() < 2 => {
                let mut items = match values.into_iter().next() {
                    Some(Value::Dict(items)) => items,
                    _ => Vec::new(),
                };
                named.into_iter().for_each(|(name, value)| Value::put(&mut items, Value::Text(name), value));
                Change::Add(Value::Dict(items))
            }
            ("append" | "add", Arguments { mut values, .. }) if values.len() == 1 => {
                values.pop().map_or_else(other, Change::Append)
            }
            ("extend" | "update", Arguments { mut values, .. }) if values.len() == 1 => {
                values.pop().map_or_else(other, Change::Add)
            }
            ("insert", Arguments { mut values, .. }) if values.len() == 2 && values[0] == Value::Whole(0) => {
                values.pop().map_or_else(other, Change::Prepend)
            }
            _ => other(),
        };
        self.change(owner, line, change, variables, None);
        Ok(true)
    }

    /// Calls that bring in other settings, which we do not see.
    fn call_of(&mut self, name: &str, line: usize) {
        if matches!(name, "load_subconfig" | "exec" | "execfile") {
            let text =
                format!("`{name}(…)` brings in settings of another file: import that file too, and put both together.");
            self.reading.remarks.push(Remark { line, text });
        }
    }

    fn condition(&self) -> Option<(String, usize)> {
        self.blocks.iter().rev().find_map(Clone::clone)
    }

    fn change(&mut self, path: &[&str], line: usize, change: Change, variables: Variables, shares: Option<&str>) {
        match path {
            [name] if *name == self.config => {}
            [name] => self.change_constant(name, line, change, variables),
            [config, class] if *config == self.config => match change {
                Change::Set(Value::Dict(items)) | Change::Add(Value::Dict(items)) => {
                    for (name, value) in items {
                        if let Value::Text(name) = name {
                            self.change_setting(class, &name, line, Change::Set(value), variables.clone(), None);
                        }
                    }
                }
                _ => {
                    let text = format!("what `c.{class}` is here only Python can tell.");
                    self.reading.remarks.push(Remark { line, text });
                }
            },
            [config, class, name] if *config == self.config => {
                self.change_setting(class, name, line, change, variables, shares);
            }
            [config, class, name, ..] if *config == self.config => {
                let change = Change::Other("a change of a part of it".into());
                self.change_setting(class, name, line, change, variables, None);
            }
            _ => {}
        }
    }

    fn change_constant(&mut self, name: &str, line: usize, change: Change, variables: Variables) {
        let before = self.scope.get(name).cloned();
        if let Some((word, begin)) = self.condition() {
            let is_kept = before.is_some_and(|known| matches!(known.value, Value::List(_) | Value::Dict(_)));
            if matches!(change, Change::Set(_)) || !is_kept {
                self.scope.set(name, not_known(name, begin));
                return;
            }
            let text = format!(
                "`{name}` is changed here, in the `{word}` of line {begin}, which may not be run: the settings that are \
                 made of it have what it is without."
            );
            self.reading.remarks.push(Remark { line, text });
            return;
        }
        let is_new = matches!(change, Change::Set(_));
        let mut all = variables;
        if !is_new {
            all.extend(before.iter().flat_map(|known| known.variables.clone()));
        }
        let value = changed(before.map(|known| known.value), change);
        let value = self.scope.bounded(value);
        self.scope.set(name, Known { value, variables: all });
        if !is_new {
            self.follow_constant(name, line);
        }
    }

    /// Settings that share a constant's list or dictionary change with it.
    fn follow_constant(&mut self, name: &str, line: usize) {
        let Some(known) = self.scope.get(name).cloned() else { return };
        for setting in self.reading.settings.iter_mut().filter(|setting| setting.shares.as_deref() == Some(name)) {
            if matches!(setting.value, Value::List(_) | Value::Dict(_)) {
                setting.value = self.scope.bounded(known.value.clone());
                setting.variables.extend(known.variables.clone());
                setting.lines.push(line);
            }
        }
    }

    fn change_setting(
        &mut self,
        class: &str,
        name: &str,
        line: usize,
        change: Change,
        variables: Variables,
        shares: Option<&str>,
    ) {
        let key = (class.to_owned(), name.to_owned());
        let condition = self.condition();
        let setting = |value, condition| Setting {
            class: class.to_owned(),
            name: name.to_owned(),
            lines: vec![line],
            value,
            variables: variables.clone(),
            condition,
            shares: shares.map(str::to_owned),
        };
        let place = self.places.get(&key).copied();
        if condition.is_some() {
            let value = changed(None, change);
            self.reading.settings.push(setting(value, condition));
            return;
        }
        let Some(place) = place else {
            let value = changed(None, change);
            self.places.insert(key, self.reading.settings.len());
            self.reading.settings.push(setting(value, None));
            return;
        };
        let there = &mut self.reading.settings[place];
        if let Change::Set(value) = change {
            *there = setting(value, None);
            return;
        }
        let before = std::mem::replace(&mut there.value, Value::None);
        let value = changed(Some(before), change);
        let value = self.scope.bounded(value);
        let there = &mut self.reading.settings[place];
        there.value = value;
        there.lines.push(line);
        there.variables.extend(variables.clone());
    }
}

fn not_known(name: &str, line: usize) -> Known {
    let value = Value::Unknown(format!("`{name}`, which is set at line {line} under a condition"));
    Known { value, variables: Variables::new() }
}

/// What becomes of `before`.
fn changed(before: Option<Value>, change: Change) -> Value {
    let is_empty = before.as_ref().is_none_or(|value| *value == Value::None);
    match (before, change) {
        (_, Change::Set(value)) => value,
        (_, Change::Other(what)) => Value::Unknown(what),
        (Some(Value::Dict(mut items)), Change::Put(key, value)) => {
            Value::put(&mut items, key, value);
            Value::Dict(items)
        }
        (_, Change::Put(key, value)) if is_empty => Value::Dict(vec![(key, value)]),
        (_, Change::Append(value) | Change::Prepend(value)) if is_empty => Value::List(vec![value]),
        (Some(Value::List(mut items)), Change::Append(value)) => {
            items.push(value);
            Value::List(items)
        }
        (Some(Value::List(mut items)), Change::Prepend(value)) => {
            items.insert(0, value);
            Value::List(items)
        }
        (_, Change::Add(value)) if is_empty => value,
        (Some(before), Change::Add(value)) => {
            let operator = if matches!(value, Value::Dict(_)) { "|" } else { "+" };
            calls::operate(operator, before, value)
        }
        (Some(before), _) => before.unknown().map_or_else(|| unknown("a change of a value"), Value::Unknown),
        (None, _) => unknown("a change of a value"),
    }
}
