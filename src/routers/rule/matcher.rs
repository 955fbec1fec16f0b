//! One matcher of Traefik v3: what it compares, and how it is read from a call.

use http::HeaderName;
use regex::{Regex, RegexBuilder};

use super::parse::{Call, Value};
use super::question::query_values;
use super::{Asked, REGEX_LIMIT_BYTES, RuleError};
use crate::model::Network;
use crate::routers::node::quoted;
use crate::routers::problem::did_you_mean;

/// One condition.
#[derive(Debug)]
pub(super) enum Matcher {
    /// In lower case, without a last dot.
    Host(String),
    /// `*.example.com`, without its `*.`: one label more, as in a certificate.
    HostBelow(String),
    HostRegexp(Regex),
    Path(String),
    PathPrefix(String),
    PathRegexp(Regex),
    Header(HeaderName, String),
    HeaderRegexp(HeaderName, Regex),
    /// In capitals.
    Method(String),
    /// The name and the value; an empty value is what a name without a value has.
    Query(String, String),
    QueryRegexp(String, Regex),
    ClientIp(Network),
}

/// The matchers and how a call of each is written.
const KNOWN: &[(&str, &str)] = &[
    ("Host", "Host(`example.com`)"),
    ("HostRegexp", "HostRegexp(`^[a-z]+\\.example\\.com$`)"),
    ("Path", "Path(`/exactly/this`)"),
    ("PathPrefix", "PathPrefix(`/api`)"),
    ("PathRegexp", "PathRegexp(`^/api/[0-9]+$`)"),
    ("Header", "Header(`X-Name`, `value`)"),
    ("HeaderRegexp", "HeaderRegexp(`X-Name`, `^v[0-9]+$`)"),
    ("Method", "Method(`GET`)"),
    ("Query", "Query(`name`, `value`)"),
    ("QueryRegexp", "QueryRegexp(`name`, `^[0-9]+$`)"),
    ("ClientIP", "ClientIP(`10.0.0.0/8`)"),
];

impl Matcher {
    /// Reads a call of Traefik v3. The name counts without case, as with Traefik.
    pub(super) fn read(call: &Call) -> Result<Self, RuleError> {
        let Some((name, example)) = KNOWN.iter().find(|(name, _)| name.eq_ignore_ascii_case(&call.name)) else {
            return Err(unknown(call));
        };
        match (*name, call.values.as_slice()) {
            ("Host", [value]) => host(value),
            ("HostRegexp", [value]) => {
                refuse_template(name, value)?;
                let value = ascii(name, value)?;
                Ok(Self::HostRegexp(regex(name, value)?))
            }
            ("Path", [value]) => Ok(Self::Path(path(name, value)?)),
            ("PathPrefix", [value]) => Ok(Self::PathPrefix(path(name, value)?)),
            ("PathRegexp", [value]) => Ok(Self::PathRegexp(regex(name, value)?)),
            ("Header", [header, value]) => Ok(Self::Header(header_name(header)?, value.text.clone())),
            ("HeaderRegexp", [header, value]) => Ok(Self::HeaderRegexp(header_name(header)?, regex(name, value)?)),
            ("Method", [value]) => Ok(Self::Method(value.text.to_ascii_uppercase())),
            ("Query", [key]) => {
                refuse_pair(key)?;
                Ok(Self::Query(key.text.clone(), String::new()))
            }
            ("QueryRegexp", [key]) => Ok(Self::Query(key.text.clone(), String::new())),
            ("Query", [key, value]) => Ok(Self::Query(key.text.clone(), value.text.clone())),
            ("QueryRegexp", [key, value]) => Ok(Self::QueryRegexp(key.text.clone(), regex(name, value)?)),
            ("ClientIP", [value]) => {
                let network = value.text.parse().map_err(|text| RuleError::new(value.column, text))?;
                Ok(Self::ClientIp(network))
            }
            (_, values) => Err(wrong_count(call, name, example, values)),
        }
    }

    /// True if it is about hosts, and this is one of them.
    pub(super) fn names_host(&self, host: &str) -> bool {
        match self {
            Self::Host(own) => own == host,
            Self::HostBelow(parent) => is_below(host, parent),
            Self::HostRegexp(regex) => regex.is_match(host),
            _ => false,
        }
    }

    /// True if the request meets it.
    pub(super) fn matches(&self, asked: &Asked<'_>) -> bool {
        let question = asked.question;
        match self {
            Self::Host(host) => asked.host == host,
            Self::HostBelow(parent) => is_below(asked.host, parent),
            Self::HostRegexp(regex) => regex.is_match(question.host),
            Self::Path(path) => *asked.path == **path,
            Self::PathPrefix(prefix) => asked.path.starts_with(prefix.as_str()),
            Self::PathRegexp(regex) => regex.is_match(&asked.path),
            Self::Header(name, expected) => {
                question.headers.get_all(name).iter().any(|value| value.as_bytes() == expected.as_bytes())
            }
            Self::HeaderRegexp(name, regex) => question
                .headers
                .get_all(name)
                .iter()
                .any(|value| regex.is_match(&String::from_utf8_lossy(value.as_bytes()))),
            Self::Method(method) => question.method.as_str() == method,
            Self::Query(name, expected) => query_values(question.query, name).any(|value| value == *expected),
            Self::QueryRegexp(name, regex) => query_values(question.query, name).any(|value| regex.is_match(&value)),
            Self::ClientIp(network) => network.contains(question.client),
        }
    }
}

fn is_below(host: &str, parent: &str) -> bool {
    host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
}

pub(super) fn host(value: &Value) -> Result<Matcher, RuleError> {
    let host = ascii("Host", value)?.text.to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    let fail = |text: String| Err(RuleError::new(value.column, text));
    if host.is_empty() {
        return fail("Host: a name is expected, as in Host(`example.com`)".into());
    }
    if host.contains("://") || host.contains('/') {
        return fail(format!(
            "Host takes a name alone, and {} is an address; the path goes into PathPrefix",
            quoted(host)
        ));
    }
    let (is_below, host) = host.strip_prefix("*.").map_or((false, host), |rest| (true, rest));
    if host.is_empty() || host.contains('*') {
        return fail(format!(
            "Host: {} has a * elsewhere than in *.example.com; write HostRegexp(`…`)",
            quoted(&value.text)
        ));
    }
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| !name.contains(':') && port.parse::<u16>().is_ok());
    if has_port {
        return fail(format!("Host takes no port; leave out the one of {}: any port matches", quoted(host)));
    }
    Ok(if is_below { Matcher::HostBelow(host.to_owned()) } else { Matcher::Host(host.to_owned()) })
}

fn ascii<'a>(name: &str, value: &'a Value) -> Result<&'a Value, RuleError> {
    if value.text.is_ascii() {
        return Ok(value);
    }
    let text = format!("{name}: {} is not ASCII; write a name in other letters as its xn--… form", quoted(&value.text));
    Err(RuleError::new(value.column, text))
}

fn path(name: &str, value: &Value) -> Result<String, RuleError> {
    if !value.text.starts_with('/') {
        let text = format!("{name}: {} must begin with /", quoted(&value.text));
        return Err(RuleError::new(value.column, text));
    }
    refuse_template(name, value)?;
    Ok(value.text.clone())
}

pub(super) fn header_name(value: &Value) -> Result<HeaderName, RuleError> {
    let name = HeaderName::from_bytes(value.text.as_bytes())
        .map_err(|_| RuleError::new(value.column, format!("{} is no name of a header", quoted(&value.text))))?;
    if name == http::header::HOST {
        // Traefik takes it and finds nothing: Go keeps the host elsewhere.
        return Err(RuleError::new(value.column, "the host is not looked for among the headers; write Host(`…`)"));
    }
    Ok(name)
}

/// A bounded regular expression; unanchored, as with Traefik.
pub(super) fn regex(name: &str, value: &Value) -> Result<Regex, RuleError> {
    let built = RegexBuilder::new(&value.text).size_limit(REGEX_LIMIT_BYTES).dfa_size_limit(REGEX_LIMIT_BYTES).build();
    built.map_err(|error| {
        let reason = match &error {
            regex::Error::CompiledTooBig(_) => {
                format!("is too large: over {REGEX_LIMIT_BYTES} bytes when compiled; use smaller repetitions")
            }
            // The library draws a picture over several lines; its last says what is wrong.
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim();
                format!("is no regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
            }
        };
        RuleError::new(value.column, format!("{name}: {} {reason}", quoted(&value.text)))
    })
}

/// The regular expression that a text with templates of Traefik v2 (`/x/{id:[0-9]+}`) means; none if it holds none.
/// `other` is what a template without an expression stands for.
pub(super) fn template(text: &str, other: &str) -> Option<String> {
    let mut expression = String::new();
    let mut rest = text;
    let mut is_template = false;
    while let Some(open) = rest.find('{') {
        let mut depth = 0_i32;
        let length = rest[open..].find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        })?;
        let inner = &rest[open + 1..open + length];
        let (name, said) = inner.split_once(':').unwrap_or((inner, ""));
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let is_expression_alone = name.is_empty() && !said.is_empty();
        if !is_name && !is_expression_alone {
            return None;
        }
        is_template = true;
        expression.push_str(&regex::escape(&rest[..open]));
        expression.push_str(&if said.is_empty() { other.to_owned() } else { format!("(?:{said})") });
        rest = &rest[open + length + 1..];
    }
    expression.push_str(&regex::escape(rest));
    is_template.then_some(expression)
}

/// What Traefik v3 would take word for word, and what its author means by v2.
fn refuse_template(name: &str, value: &Value) -> Result<(), RuleError> {
    let other = if name == "HostRegexp" { "[^.]+" } else { "[^/]+" };
    let Some(expression) = template(&value.text, other) else { return Ok(()) };
    let (form, end) = match name {
        "HostRegexp" => ("HostRegexp", "$"),
        "Path" => ("PathRegexp", "$"),
        _ => ("PathRegexp", ""),
    };
    let text = format!(
        "{name}: {} is a template of Traefik v2; write {form}(`^{expression}{end}`), or set ruleSyntax to v2",
        quoted(&value.text)
    );
    Err(RuleError::new(value.column, text))
}

fn refuse_pair(value: &Value) -> Result<(), RuleError> {
    let Some((key, text)) = value.text.split_once('=') else { return Ok(()) };
    let text = format!("this is Traefik v2's form; write Query(`{}`, `{}`)", quoted(key), quoted(text));
    Err(RuleError::new(value.column, text))
}

fn wrong_count(call: &Call, name: &str, example: &str, values: &[Value]) -> RuleError {
    let takes_one = !matches!(name, "Header" | "HeaderRegexp" | "Query" | "QueryRegexp");
    if takes_one && values.len() > 1 {
        let parts: Vec<_> = values.iter().take(4).map(|value| format!("{name}(`{}`)", quoted(&value.text))).collect();
        let text = format!("{name} takes one value with Traefik v3; write {}", parts.join(" || "));
        return RuleError::new(call.column, text);
    }
    RuleError::new(call.column, format!("{name} with {} values; write it as in {example}", values.len()))
}

fn unknown(call: &Call) -> RuleError {
    let name = call.name.as_str();
    let values: Vec<_> = call.values.iter().take(2).map(|value| format!("`{}`", quoted(&value.text))).collect();
    let values = values.join(", ");
    let text = match name.to_ascii_lowercase().as_str() {
        "headers" => format!("Headers is of Traefik v2; write Header({values})"),
        "headersregexp" => format!("HeadersRegexp is of Traefik v2; write HeaderRegexp({values})"),
        "hostheader" => format!("HostHeader is of Traefik v2; write Host({values})"),
        "hostsni" | "hostsniregexp" | "alpn" => {
            format!("{} is for TCP routers, which Slipway does not have; write Host(`…`)", quoted(name))
        }
        _ => {
            let near = did_you_mean(name, KNOWN.iter().map(|(name, _)| *name));
            let near = if near.is_empty() {
                format!("; there are {}", KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
            } else {
                near
            };
            format!("there is no matcher {}{near}", quoted(name))
        }
    };
    RuleError::new(call.column, text)
}
