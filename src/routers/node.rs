//! One tree for labels, YAML and TOML: names count without case, and each value knows where it was said.
//!
//! Everything after this reads `Fields` of the tree and need not know where it came from.

use std::collections::BTreeMap;
use std::time::Duration;

use super::problem::{Place, Problem, did_you_mean};

/// A value and where it was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name as it was written (`X-Script-Name`); empty in a list.
    pub name: String,
    /// Where it was said.
    pub place: Place,
    /// What was said.
    pub value: NodeValue,
}

/// What was said.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// A text, a number, a date, yes or no: as it was written.
    Text(String),
    /// Several of a kind.
    List(Vec<Node>),
    /// Named values, by their names in lower case.
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// An empty section.
    pub fn section(name: &str, place: Place) -> Self {
        Self { name: name.to_owned(), place, value: NodeValue::Map(BTreeMap::new()) }
    }

    /// A text.
    pub fn text(name: &str, place: Place, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), place, value: NodeValue::Text(text.into()) }
    }

    /// True if both say the same, wherever they say it and in whichever case they write names.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (NodeValue::Text(one), NodeValue::Text(other)) => one == other,
            (NodeValue::List(one), NodeValue::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.says_the_same(other))
            }
            (NodeValue::Map(one), NodeValue::Map(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .zip(other)
                        .all(|((key, one), (other_key, other))| key == other_key && one.says_the_same(other))
            }
            _ => false,
        }
    }

    /// The text, if it is one.
    ///
    /// # Errors
    /// It is a section or a list.
    pub fn as_text(&self) -> Result<&str, Problem> {
        match &self.value {
            NodeValue::Text(text) => Ok(text),
            NodeValue::List(_) => Err(self.problem("is a list, and one value is expected")),
            NodeValue::Map(_) => Err(self.problem("has fields below it, and one value is expected")),
        }
    }

    /// The fields of a section. `true` in place of a section is a section that says nothing
    /// (`…middlewares.gzip.compress=true`), and so is an empty value.
    ///
    /// # Errors
    /// It is no section.
    pub fn into_fields(self) -> Result<Fields, Problem> {
        let map = match self.value {
            NodeValue::Map(map) => map,
            NodeValue::Text(ref text) if text.is_empty() || text.eq_ignore_ascii_case("true") => BTreeMap::new(),
            NodeValue::Text(_) => return Err(self.problem("is one value, and fields below it are expected")),
            NodeValue::List(_) => return Err(self.problem("is a list, and fields below it are expected")),
        };
        Ok(Fields { name: self.name, place: self.place, map, known: Vec::new() })
    }

    fn problem(&self, text: &str) -> Problem {
        let name = if self.name.is_empty() { "this".to_owned() } else { self.name.clone() };
        Problem::new(&self.place, format!("{name} {text}"))
    }
}

/// The fields of a section, taken one by one; `finish` refuses what nobody took.
#[derive(Debug)]
pub struct Fields {
    /// The section's name as it was written.
    name: String,
    place: Place,
    map: BTreeMap<String, Node>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Where the section was said.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The section's name as it was written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A problem with the section as a whole.
    pub fn problem(&self, text: impl Into<String>) -> Problem {
        Problem::new(&self.place, text)
    }

    /// True if this field was said and nobody took it yet.
    #[must_use]
    pub fn has(&self, name: &'static str) -> bool {
        self.map.contains_key(&name.to_ascii_lowercase())
    }

    /// Where this field was said; the section's place if it was not.
    #[must_use]
    pub fn place_of(&self, name: &'static str) -> Place {
        self.map.get(&name.to_ascii_lowercase()).map_or(&self.place, |node| &node.place).clone()
    }

    /// A field as it is: its place, and whatever it says.
    pub fn take(&mut self, name: &'static str) -> Option<Node> {
        self.known.push(name);
        self.map.remove(&name.to_ascii_lowercase())
    }

    /// All fields that are left, by their names as written: for sections whose names people choose.
    pub fn take_rest(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.map).into_values().collect()
    }

    /// A text.
    ///
    /// # Errors
    /// It is a list or a section.
    pub fn take_text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.take_parsed(name, "a text", |text| Some(text.to_owned()))
    }

    /// Yes or no.
    ///
    /// # Errors
    /// It is neither `true` nor `false`.
    pub fn take_bool(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.take_parsed(name, "true or false", |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => Some(true),
            "false" | "0" | "f" => Some(false),
            _ => None,
        })
    }

    /// A whole number from 0 on.
    ///
    /// # Errors
    /// It is none.
    pub fn take_u64(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        self.take_parsed(name, "a whole number from 0 on", |text| text.parse().ok())
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is none.
    pub fn take_i64(&mut self, name: &'static str) -> Result<Option<i64>, Problem> {
        self.take_parsed(name, "a whole number", |text| text.parse().ok())
    }

    /// A number.
    ///
    /// # Errors
    /// It is none, or not finite.
    pub fn take_f64(&mut self, name: &'static str) -> Result<Option<f64>, Problem> {
        self.take_parsed(name, "a number", |text| text.parse().ok().filter(|number: &f64| number.is_finite()))
    }

    /// A span of time: `10s`, `1m30s`, `250ms`; a plain number is seconds, as Traefik reads it.
    ///
    /// # Errors
    /// It is none.
    pub fn take_duration(&mut self, name: &'static str) -> Result<Option<Duration>, Problem> {
        self.take_parsed(name, "a time such as 10s, 1m30s or 250ms (a plain number is seconds)", read_duration)
    }

    /// A number of bytes.
    ///
    /// # Errors
    /// It is none.
    pub fn take_bytes(&mut self, name: &'static str) -> Result<Option<u64>, Problem> {
        self.take_parsed(name, "a number of bytes", |text| text.parse().ok())
    }

    /// One value, read by `read`, which gives none for what is not `expected`.
    ///
    /// # Errors
    /// It is a list or a section, or `read` gives none. The text quotes the value: use it for nothing secret.
    pub fn take_parsed<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(node) = self.take(name) else { return Ok(None) };
        let text = node.as_text()?.trim();
        match read(text) {
            Some(value) => Ok(Some(value)),
            None => Err(Problem::new(&node.place, format!("{name} = {}: must be {expected}", quoted(text)))),
        }
    }

    /// A list: comma-separated as in labels, or a list of a file. Empty items are left out.
    ///
    /// # Errors
    /// It is a section, or holds other things than texts.
    pub fn take_list(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Problem> {
        let Some(node) = self.take(name) else { return Ok(None) };
        let items: Vec<String> = match &node.value {
            NodeValue::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
            NodeValue::List(items) => {
                items.iter().map(|item| item.as_text().map(str::to_owned)).collect::<Result<_, _>>()?
            }
            NodeValue::Map(_) => return Err(Problem::new(&node.place, format!("{name}: a list is expected"))),
        };
        Ok(Some(items.into_iter().filter(|item| !item.is_empty()).collect()))
    }

    /// Names that people choose and their values (`customRequestHeaders`), names as written.
    ///
    /// # Errors
    /// It is no section, or one of its values is none.
    pub fn take_map(&mut self, name: &'static str) -> Result<Option<Vec<(String, String)>>, Problem> {
        let Some(node) = self.take(name) else { return Ok(None) };
        let mut fields = node.into_fields()?;
        let pairs = fields.take_rest().into_iter().map(|node| Ok((node.name.clone(), node.as_text()?.to_owned())));
        pairs.collect::<Result<_, _>>().map(Some)
    }

    /// A section below this one.
    ///
    /// # Errors
    /// It is no section.
    pub fn take_section(&mut self, name: &'static str) -> Result<Option<Fields>, Problem> {
        self.take(name).map(Node::into_fields).transpose()
    }

    /// A list of sections (`servers`); in labels `servers[0].url`.
    ///
    /// # Errors
    /// It is no list of sections.
    pub fn take_sections(&mut self, name: &'static str) -> Result<Vec<Fields>, Problem> {
        let Some(node) = self.take(name) else { return Ok(Vec::new()) };
        match node.value {
            NodeValue::List(items) => items.into_iter().map(Node::into_fields).collect(),
            _ => Err(Problem::new(&node.place, format!("{name}: a list is expected"))),
        }
    }

    /// To be called when all known fields are taken.
    ///
    /// # Errors
    /// There is a field that nobody took: the first of them, with the nearest known name.
    pub fn finish(self) -> Result<(), Problem> {
        let Some(node) = self.map.values().next() else { return Ok(()) };
        let of = if self.name.is_empty() { String::new() } else { format!(" of {}", self.name) };
        let near = did_you_mean(&node.name, self.known.iter().copied());
        Err(Problem::new(&node.place, format!("unknown field {}{of}{near}", quoted(&node.name))))
    }
}

/// A value as an error shows it: short, and on one line.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= SHOWN {
        return text.chars().map(clean).collect();
    }
    text.chars().take(SHOWN).map(clean).chain("…".chars()).collect()
}

/// `1m30s`, `1.5h`, `250ms`, or plain seconds.
#[must_use]
pub fn read_duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..number_end].parse().ok()?;
        rest = &rest[number_end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit_s = match &rest[..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * unit_s).ok()?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::Line { file: "routes.yml".into(), line: 7 }
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut section = Node::section("rateLimit", place());
        if let NodeValue::Map(map) = &mut section.value {
            for (name, text) in pairs {
                map.insert(name.to_lowercase(), Node::text(name, place(), *text));
            }
        }
        section.into_fields().expect("a section")
    }

    #[test]
    fn a_field_is_found_however_its_name_is_written() {
        assert_eq!(fields(&[("AVERAGE", "100")]).take_u64("average"), Ok(Some(100)));
        assert_eq!(fields(&[("sourcecriterion", "100")]).take_u64("sourceCriterion"), Ok(Some(100)));
        assert_eq!(fields(&[]).take_u64("average"), Ok(None));
    }

    #[test]
    fn what_nobody_took_is_refused_with_the_nearest_name() {
        let mut fields = fields(&[("averag", "100"), ("burst", "2")]);
        assert_eq!(fields.take_u64("average"), Ok(None));
        assert_eq!(fields.take_u64("burst"), Ok(Some(2)));
        let problem = fields.finish().expect_err("averag is no field");
        assert_eq!(problem.to_string(), "routes.yml:7: unknown field averag of rateLimit; did you mean average?");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_what_is_expected() {
        let problem = fields(&[("average", "many")]).take_u64("average").expect_err("no number");
        assert_eq!(problem.to_string(), "routes.yml:7: average = many: must be a whole number from 0 on");
        assert!(fields(&[("on", "maybe")]).take_bool("on").is_err());
        assert!(fields(&[("ratio", "NaN")]).take_f64("ratio").is_err());
    }

    #[test]
    fn a_time_is_read_as_traefik_reads_it() {
        for (text, expected_ms) in
            [("10", 10_000), ("10s", 10_000), ("1m30s", 90_000), ("250ms", 250), ("1.5h", 5_400_000), ("0", 0)]
        {
            let expected = Duration::from_millis(expected_ms);
            assert_eq!(fields(&[("period", text)]).take_duration("period"), Ok(Some(expected)), "{text}");
        }
        for text in ["", "s", "10 s", "-1s", "1x", "1s2", "999999999999999999999h"] {
            assert!(fields(&[("period", text)]).take_duration("period").is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_is_separated_by_commas_or_is_one() {
        let list = fields(&[("prefixes", "/a, /b,")]).take_list("prefixes");
        assert_eq!(list, Ok(Some(vec!["/a".to_owned(), "/b".to_owned()])));
    }

    #[test]
    fn a_section_that_says_nothing_may_be_said_by_true() {
        let section = Node::text("compress", place(), "true").into_fields().expect("a section");
        assert_eq!(section.finish(), Ok(()));
        let problem = Node::text("compress", place(), "gzip").into_fields().expect_err("no section");
        assert_eq!(problem.to_string(), "routes.yml:7: compress is one value, and fields below it are expected");
    }
}
