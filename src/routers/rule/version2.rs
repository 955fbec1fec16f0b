//! The matchers of Traefik v2 (`ruleSyntax: v2`), told in those of v3: several values are alternatives, and `{name:regex}`
//! is a template.

use super::matcher::{Matcher, header_name, host, regex, template};
use super::parse::{Call, Value};
use super::{Expression, RuleError};
use crate::routers::node::quoted;
use crate::routers::problem::did_you_mean;

const KNOWN: [&str; 10] = [
    "Host",
    "HostHeader",
    "HostRegexp",
    "Path",
    "PathPrefix",
    "Headers",
    "HeadersRegexp",
    "Method",
    "Query",
    "ClientIP",
];

/// Reads a call of Traefik v2.
pub(super) fn read(call: &Call) -> Result<Expression, RuleError> {
    let Some(name) = KNOWN.into_iter().find(|name| name.eq_ignore_ascii_case(&call.name)) else {
        let near = did_you_mean(&call.name, KNOWN);
        let near = if near.is_empty() { "; leave ruleSyntax out for Traefik v3's".to_owned() } else { near };
        return Err(RuleError::new(
            call.column,
            format!("there is no matcher {} in Traefik v2{near}", quoted(&call.name)),
        ));
    };
    match (name, call.values.as_slice()) {
        (_, []) => Err(RuleError::new(call.column, format!("{name} has no value; write it as in {name}(`…`)"))),
        ("Headers", [header, value]) => Ok(Expression::One(Matcher::Header(header_name(header)?, value.text.clone()))),
        ("HeadersRegexp", [header, value]) => {
            Ok(Expression::One(Matcher::HeaderRegexp(header_name(header)?, regex(name, value)?)))
        }
        ("Headers" | "HeadersRegexp", _) => {
            Err(RuleError::new(call.column, format!("{name} takes two values; write {name}(`X-Name`, `value`)")))
        }
        (_, values) => {
            let mut parts =
                values.iter().map(|value| one(name, value).map(Expression::One)).collect::<Result<Vec<_>, _>>()?;
            // All of v2's queries must be there; of everything else one is enough.
            match (parts.len(), name) {
                (1, _) => Ok(parts.remove(0)),
                (_, "Query") => Ok(Expression::All(parts)),
                _ => Ok(Expression::Any(parts)),
            }
        }
    }
}

fn one(name: &str, value: &Value) -> Result<Matcher, RuleError> {
    let anchored = |other: &str, end: &str, flags: &str| {
        template(&value.text, other)
            .map(|text| regex(name, &Value { text: format!("{flags}^{text}{end}"), column: value.column }))
    };
    let call = |name: &str| {
        let call = Call { name: name.to_owned(), column: value.column, values: vec![value.clone()] };
        Matcher::read(&call)
    };
    match name {
        "Host" | "HostHeader" => host(value),
        "HostRegexp" => match anchored("[^.]+", "$", "(?i)") {
            Some(regex) => Ok(Matcher::HostRegexp(regex?)),
            None => host(value),
        },
        "Path" => anchored("[^/]+", "$", "").map_or_else(|| call("Path"), |regex| Ok(Matcher::PathRegexp(regex?))),
        "PathPrefix" => {
            anchored("[^/]+", "", "").map_or_else(|| call("PathPrefix"), |regex| Ok(Matcher::PathRegexp(regex?)))
        }
        "Query" => {
            let (key, text) = value.text.split_once('=').unwrap_or((&value.text, ""));
            Ok(Matcher::Query(key.to_owned(), text.to_owned()))
        }
        name => call(name),
    }
}
