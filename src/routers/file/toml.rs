//! TOML → tree.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{DEPTH_LIMIT, VALUES_LIMIT};
use crate::routers::node::{Node, NodeValue, quoted};
use crate::routers::problem::{Place, Problem};

pub(super) fn read(file: &Arc<str>, text: &str) -> Result<Node, Problem> {
    let line_ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let mut reader = Reader { file, line_ends, values: 0 };
    let table = DeTable::parse(text).map_err(|error| {
        let place = reader.place(error.span().unwrap_or_default());
        Problem::new(&place, format!("is no TOML: {}", error.message().replace('\n', ", ")))
    })?;
    let map = reader.entries(table.get_ref(), 0)?;
    Ok(Node { name: String::new(), place: Place::Line { file: file.clone(), line: 0 }, value: NodeValue::Map(map) })
}

struct Reader<'a> {
    file: &'a Arc<str>,
    line_ends: Vec<usize>,
    values: usize,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let line = self.line_ends.partition_point(|end| *end < span.start) + 1;
        Place::Line { file: self.file.clone(), line }
    }

    fn entries(&mut self, table: &DeTable<'_>, depth: usize) -> Result<BTreeMap<String, Node>, Problem> {
        let mut map = BTreeMap::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let place = self.place(key.span());
            let node = self.node(value, &name, place.clone(), depth + 1)?;
            if map.insert(name.to_lowercase(), node).is_some() {
                return Err(Problem::new(&place, format!("{} is said twice, in other letters", quoted(&name))));
            }
        }
        Ok(map)
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>, name: &str, place: Place, depth: usize) -> Result<Node, Problem> {
        self.values += 1;
        if depth > DEPTH_LIMIT {
            return Err(Problem::new(&place, format!("is nested more than {DEPTH_LIMIT} deep")));
        }
        if self.values > VALUES_LIMIT {
            return Err(Problem::new(&place, format!("here it has grown beyond {VALUES_LIMIT} values")));
        }
        let text = |text: String| NodeValue::Text(text);
        let value = match value.get_ref() {
            DeValue::String(string) => text(string.to_string()),
            DeValue::Integer(number) => text(number.to_string()),
            DeValue::Float(number) => text(number.to_string()),
            DeValue::Boolean(yes) => text(yes.to_string()),
            DeValue::Datetime(time) => text(time.to_string()),
            DeValue::Table(table) => NodeValue::Map(self.entries(table, depth)?),
            DeValue::Array(items) => {
                let mut list = Vec::new();
                for item in items.iter() {
                    let place = self.place(item.span());
                    list.push(self.node(item, "", place, depth + 1)?);
                }
                NodeValue::List(list)
            }
        };
        Ok(Node { name: name.to_owned(), place, value })
    }
}
