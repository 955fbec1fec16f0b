//! The rule of a container that says none (`routers.docker.default_rule`): Traefik's template, as far as people use it.

use super::Container;
use crate::routers::node::quoted;

/// A template such as ``Host(`{{ normalize .Name }}.example.com`)``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRule(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name { is_normalized: bool },
    ContainerName { is_normalized: bool },
    Label(String),
}

/// Why a template is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefaultRuleError {
    /// A `{{` is not closed.
    #[error("has a {{{{ without its }}}}")]
    Open,
    /// An expression that we do not have.
    #[error(
        "{{{{ {expression} }}}} is not supported; there are {{{{ normalize .Name }}}}, {{{{ .Name }}}}, \
         {{{{ .ContainerName }}}} and {{{{ index .Labels \"name\" }}}}"
    )]
    Unknown {
        /// What stood between the braces.
        expression: String,
    },
}

impl DefaultRule {
    /// Reads a template.
    ///
    /// # Errors
    /// It holds an expression that we do not have.
    pub fn read(text: &str) -> Result<Self, DefaultRuleError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (expression, after) = after.split_once("}}").ok_or(DefaultRuleError::Open)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(part(expression.trim())?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The rule of this container.
    #[must_use]
    pub fn of(&self, container: &Container) -> String {
        let name = |is_normalized, name: &str| if is_normalized { normalized(name) } else { name.to_owned() };
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name { is_normalized } => name(*is_normalized, &container.service_name()),
            Part::ContainerName { is_normalized } => name(*is_normalized, &container.name),
            // A label's author must not leave the backticks that the template's author put around it.
            Part::Label(label) => {
                container.labels.get(label).map(|text| text.replace(['`', '"', '\\'], "")).unwrap_or_default()
            }
        };
        self.0.iter().map(text).collect()
    }
}

fn part(expression: &str) -> Result<Part, DefaultRuleError> {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let part = match words.as_slice() {
        [".Name"] => Some(Part::Name { is_normalized: false }),
        ["normalize", ".Name"] => Some(Part::Name { is_normalized: true }),
        [".ContainerName"] => Some(Part::ContainerName { is_normalized: false }),
        ["normalize", ".ContainerName"] => Some(Part::ContainerName { is_normalized: true }),
        ["index", ".Labels", label] => {
            let unquoted = label.strip_prefix('"').and_then(|label| label.strip_suffix('"'));
            unquoted.map(|label| Part::Label(label.to_owned()))
        }
        _ => None,
    };
    part.ok_or_else(|| DefaultRuleError::Unknown { expression: quoted(expression) })
}

/// As Traefik makes a name fit for a host: what is no letter and no digit becomes a `-`.
pub(super) fn normalized(name: &str) -> String {
    let parts: Vec<_> = name.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    parts.join("-")
}
