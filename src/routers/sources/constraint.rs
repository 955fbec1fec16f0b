//! Which containers are read: Traefik's expression over labels, or one label.

use regex::Regex;

use crate::routers::labels::Container;
use crate::routers::node::quoted;
use crate::routers::problem::did_you_mean;
use crate::routers::rule::parse::{Call, Tree};
use crate::routers::rule::{RuleError, tree};

/// Longest compiled expression of `LabelRegex`, in bytes.
const REGEX_LIMIT_BYTES: usize = 256 * 1024;

/// A condition over a container's labels: ``Label(`stage`, `live`) && !Label(`x`, `y`)``, `stage=live`, or `stage`.
#[derive(Clone, Debug)]
pub struct Constraint(Condition);

#[derive(Clone, Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Has(String),
    Is(String, String),
    Fits(String, Regex),
}

impl Constraint {
    /// Reads a constraint.
    ///
    /// # Errors
    /// It is none: the column, and the cure.
    pub fn read(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        if !text.contains(['(', '`', '"', '!', '&', '|']) && !text.is_empty() {
            return Ok(Self(match text.split_once('=') {
                Some((label, value)) => Condition::Is(label.trim().to_owned(), value.trim().to_owned()),
                None => Condition::Has(text.to_owned()),
            }));
        }
        condition(tree(text)?).map(Self)
    }

    /// The containers of this Compose project.
    #[must_use]
    pub fn of_project(project: &str) -> Self {
        Self(Condition::Is("com.docker.compose.project".to_owned(), project.to_owned()))
    }

    /// True if the container may be read.
    #[must_use]
    pub fn allows(&self, container: &Container) -> bool {
        self.0.holds(container)
    }
}

impl Condition {
    fn holds(&self, container: &Container) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(container)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(container)),
            Self::Not(part) => !part.holds(container),
            Self::Has(label) => container.labels.contains_key(label),
            Self::Is(label, value) => container.labels.get(label) == Some(value),
            Self::Fits(label, regex) => container.labels.get(label).is_some_and(|value| regex.is_match(value)),
        }
    }
}

fn condition(tree: Tree) -> Result<Condition, RuleError> {
    let all = |trees: Vec<Tree>| trees.into_iter().map(condition).collect::<Result<Vec<_>, _>>();
    match tree {
        Tree::All(trees) => Ok(Condition::All(all(trees)?)),
        Tree::Any(trees) => Ok(Condition::Any(all(trees)?)),
        Tree::Not(tree) => Ok(Condition::Not(Box::new(condition(*tree)?))),
        Tree::Call(call) => one(&call),
    }
}

fn one(call: &Call) -> Result<Condition, RuleError> {
    let fail = |column, text: String| Err(RuleError::new(column, text));
    match (call.name.to_ascii_lowercase().as_str(), call.values.as_slice()) {
        ("label", [label, value]) => Ok(Condition::Is(label.text.clone(), value.text.clone())),
        ("labelregex", [label, value]) => {
            let regex = regex::RegexBuilder::new(&value.text).size_limit(REGEX_LIMIT_BYTES).build();
            match regex {
                Ok(regex) => Ok(Condition::Fits(label.text.clone(), regex)),
                Err(_) => fail(value.column, format!("{} is no regular expression", quoted(&value.text))),
            }
        }
        ("label" | "labelregex", _) => {
            fail(call.column, format!("{} takes a label's name and its value: Label(`stage`, `live`)", call.name))
        }
        _ => {
            let near = did_you_mean(&call.name, ["Label", "LabelRegex"]);
            fail(call.column, format!("there is no {} in a constraint{near}", quoted(&call.name)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(text: &str) -> bool {
        let labels = [("stage", "live"), ("team", "red")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let container =
            Container { id: "1".into(), name: "web".into(), labels: labels.into(), address: None, port: None };
        Constraint::read(text).unwrap_or_else(|error| panic!("{text}: {error}")).allows(&container)
    }

    #[test]
    fn a_container_is_read_if_its_labels_say_so() {
        for text in ["stage", "stage=live", " stage = live ", "Label(`stage`, `live`)", "LabelRegex(`team`, `^r`)"] {
            assert!(allows(text), "{text}");
        }
        assert!(allows("Label(`stage`, `live`) && !Label(`team`, `blue`)"));
        for text in ["other", "stage=test", "Label(`stage`, `live`) && Label(`team`, `blue`)", "LabelRegex(`x`, `.*`)"]
        {
            assert!(!allows(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_constraint_is_refused_with_its_column() {
        let refused = |text| Constraint::read(text).map(|_| ()).expect_err("no constraint").to_string();
        assert_eq!(
            refused("Lable(`a`, `b`)"),
            "rule, column 1: there is no Lable in a constraint; did you mean Label?"
        );
        assert_eq!(
            refused("Label(`a`)"),
            "rule, column 1: Label takes a label's name and its value: Label(`stage`, `live`)"
        );
        assert!(Constraint::read("").is_err());
    }
}
