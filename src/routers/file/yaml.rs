//! YAML → tree. Aliases and merge keys are followed as far as the number of values allows: a few lines of them can
//! mean billions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::{DEPTH_LIMIT, VALUES_LIMIT};
use crate::routers::node::{Node, NodeValue, quoted};
use crate::routers::problem::{Place, Problem};

pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Node, Problem> {
    let parser = Parser::new_from_str_with_options(text, Options::default());
    let mut reader = Reader { parser, file, anchors: HashMap::new(), values: 0, has_template: text.contains("{{") };
    let mut root = None;
    loop {
        match reader.next()? {
            None | Some((Event::StreamEnd, _)) => break,
            Some((Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _)) => {}
            Some((_, span)) if root.is_some() => {
                return Err(reader.problem(span, "a second document begins here; one file holds one"));
            }
            Some((event, span)) => root = Some(reader.node(event, span, "", 0)?.0),
        }
    }
    Ok(root.unwrap_or_else(|| Node::section("", Place::Line { file: file.clone(), line: 0 })))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: &'a Arc<str>,
    /// Values that have an anchor, and how many values they are; none while they are being read.
    anchors: HashMap<usize, Option<(Node, usize)>>,
    values: usize,
    has_template: bool,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        self.parser.next_event().transpose().map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &ScanError) -> Problem {
        let mut text = format!("is no YAML: {} (column {})", quoted(&error.info()), error.marker().col() + 1);
        if self.has_template {
            text.push_str("; Go templates ({{ … }}) are not supported: write the values themselves");
        }
        Problem::new(&Place::Line { file: self.file.clone(), line: error.marker().line() }, text)
    }

    fn place(&self, span: Span) -> Place {
        Place::Line { file: self.file.clone(), line: span.start.line() }
    }

    fn problem(&self, span: Span, text: impl Into<String>) -> Problem {
        Problem::new(&self.place(span), text)
    }

    /// Counts `more` values in, before they are made.
    fn count(&mut self, span: Span, more: usize) -> Result<(), Problem> {
        self.values = self.values.saturating_add(more);
        if self.values > VALUES_LIMIT {
            let text = format!("here it has grown beyond {VALUES_LIMIT} values; use fewer aliases");
            return Err(self.problem(span, text));
        }
        Ok(())
    }

    /// The value that `event` begins, and how many values it is.
    fn node(&mut self, event: Event<'a>, span: Span, name: &str, depth: usize) -> Result<(Node, usize), Problem> {
        if depth > DEPTH_LIMIT {
            return Err(self.problem(span, format!("is nested more than {DEPTH_LIMIT} deep")));
        }
        self.count(span, 1)?;
        let place = self.place(span);
        let (anchor, value, size) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "~" | "null" | "Null" | "NULL");
                let text = if is_null { String::new() } else { text.into_owned() };
                (anchor, NodeValue::Text(text), 1)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(anchor);
                let (items, size) = self.items(depth)?;
                (anchor, NodeValue::List(items), size)
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(anchor);
                let (map, size) = self.entries(depth)?;
                (anchor, NodeValue::Map(map), size)
            }
            Event::Alias(anchor) => return self.alias(anchor, span, name),
            _ => return Err(self.problem(span, "a value is expected")),
        };
        let node = Node { name: name.to_owned(), place, value };
        if anchor != 0 {
            // A copy of a small part: what aliases make of it is counted when they are used.
            self.count(span, size)?;
            self.anchors.insert(anchor, Some((node.clone(), size)));
        }
        Ok((node, size))
    }

    fn begin(&mut self, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
    }

    fn alias(&mut self, anchor: usize, span: Span, name: &str) -> Result<(Node, usize), Problem> {
        let Some(Some((_, size))) = self.anchors.get(&anchor) else {
            return Err(self.problem(span, "an alias stands within what it stands for"));
        };
        let size = *size;
        self.count(span, size)?;
        let Some(Some((node, _))) = self.anchors.get(&anchor) else {
            return Err(self.problem(span, "an alias of nothing"));
        };
        Ok((Node { name: name.to_owned(), ..node.clone() }, size))
    }

    fn items(&mut self, depth: usize) -> Result<(Vec<Node>, usize), Problem> {
        let (mut items, mut size) = (Vec::new(), 1);
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            let (item, more) = self.node(event, span, "", depth + 1)?;
            items.push(item);
            size += more;
        }
        Ok((items, size))
    }

    fn entries(&mut self, depth: usize) -> Result<(BTreeMap<String, Node>, usize), Problem> {
        let (mut map, mut merged, mut size) = (BTreeMap::new(), BTreeMap::new(), 1);
        while let Some((event, key_span)) = self.next()? {
            let (name, style) = match event {
                Event::MappingEnd => break,
                Event::Scalar(name, style, ..) => (name.into_owned(), style),
                _ => return Err(self.problem(key_span, "a name is expected, and this is a list or a section")),
            };
            let Some((event, span)) = self.next()? else { break };
            let (mut node, more) = self.node(event, span, &name, depth + 1)?;
            size += more;
            if name == "<<" && style == ScalarStyle::Plain {
                self.merge(node, key_span, &mut merged)?;
                continue;
            }
            // A section is found by its name, a value by where it stands: a long rule may begin on a line of its own.
            if !matches!(node.value, NodeValue::Text(_)) {
                node.place = self.place(key_span);
            }
            if map.insert(name.to_lowercase(), node).is_some() {
                return Err(self.problem(key_span, format!("{} is said twice", quoted(&name))));
            }
        }
        for (key, node) in merged {
            map.entry(key).or_insert(node);
        }
        Ok((map, size))
    }

    fn merge(&self, node: Node, span: Span, into: &mut BTreeMap<String, Node>) -> Result<(), Problem> {
        let nodes = match node.value {
            NodeValue::List(items) => items,
            value => vec![Node { value, ..node }],
        };
        for node in nodes {
            let NodeValue::Map(map) = node.value else {
                return Err(self.problem(span, "<< is followed by an alias of a section"));
            };
            for (key, node) in map {
                into.entry(key).or_insert(node);
            }
        }
        Ok(())
    }
}
