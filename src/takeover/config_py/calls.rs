//! The operators, functions and methods that configurations make their values with. All others are unknown by name.

use super::evaluate::{Arguments, unknown, unknown_or};
use super::value::Value;

/// The longest name with dots that is followed.
const NAME_LIMIT_BYTES: usize = 200;
/// Functions that make of what is unknown something that is unknown for the same reason.
const PASSING: [&str; 9] = ["str", "int", "float", "bool", "list", "set", "tuple", "sorted", "dict"];
/// The longest text that is put together of others.
const LONGEST_BYTES: usize = 1024 * 1024;

/// `left operator right`.
pub(super) fn operate(operator: &str, left: Value, right: Value) -> Value {
    use Value::{Dict, Flag, List, Number, Text, Whole};
    let calculation = || unknown("a calculation");
    let whole = |number: Option<i64>| number.map_or_else(calculation, Whole);
    match (operator, left, right) {
        ("or", left, right) => match left.truth() {
            Some(true) => left,
            Some(false) => right,
            None => unknown_or(left, "an \"or\" that cannot be told here"),
        },
        ("and", left, right) => match left.truth() {
            Some(true) => right,
            Some(false) => left,
            None => unknown_or(left, "an \"and\" that cannot be told here"),
        },
        ("==" | "!=", left, right) if left.unknown().or_else(|| right.unknown()).is_none() => {
            Flag((left == right) == (operator == "=="))
        }
        ("in" | "not in", left, List(items)) if left.unknown().is_none() => match items.contains(&left) {
            is_there if is_there || items.iter().all(|item| item.unknown().is_none()) => {
                Flag(is_there == (operator == "in"))
            }
            _ => unknown("a comparison"),
        },
        ("in" | "not in", Text(part), Text(text)) => Flag(text.contains(&part) == (operator == "in")),
        ("+", Text(left), Text(right)) => Text(left + &right),
        ("+", List(mut left), List(right)) => {
            left.extend(right);
            List(left)
        }
        ("|", Dict(mut left), Dict(right)) => {
            right.into_iter().for_each(|(key, value)| Value::put(&mut left, key, value));
            Dict(left)
        }
        ("|", List(mut left), List(right)) => {
            for item in right {
                if !left.contains(&item) {
                    left.push(item);
                }
            }
            List(left)
        }
        ("%", Text(text), values) => percent(&text, values),
        ("+", Whole(left), Whole(right)) => whole(left.checked_add(right)),
        ("-", Whole(left), Whole(right)) => whole(left.checked_sub(right)),
        ("*", Whole(left), Whole(right)) => whole(left.checked_mul(right)),
        ("//", Whole(left), Whole(right)) if right > 0 => whole(left.checked_div_euclid(right)),
        ("**", Whole(left), Whole(right)) => whole(u32::try_from(right).ok().and_then(|power| left.checked_pow(power))),
        ("<<", Whole(left), Whole(right)) if (0..62).contains(&right) => whole(left.checked_mul(1 << right)),
        ("/", left, right) => match (number(&left), number(&right)) {
            (Some(left), Some(right)) if right != 0.0 => Number(left / right),
            _ => calculation(),
        },
        ("+" | "-" | "*", left, right) => match (number(&left), number(&right)) {
            (Some(left), Some(right)) => Number(match operator {
                "+" => left + right,
                "-" => left - right,
                _ => left * right,
            }),
            _ => either_unknown(left, right, "a calculation"),
        },
        (_, left, right) => either_unknown(left, right, "a comparison or calculation"),
    }
}

fn either_unknown(left: Value, right: Value, what: &str) -> Value {
    Value::Unknown(left.unknown().or_else(|| right.unknown()).unwrap_or_else(|| what.to_owned()))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Whole(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// `"%s" % value`.
fn percent(text: &str, values: Value) -> Value {
    let values = match values {
        Value::List(items) => items,
        one => vec![one],
    };
    let mut values = values.into_iter();
    let mut made = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        made += &rest[..at];
        match rest[at + 1..].chars().next() {
            Some('%') => made.push('%'),
            Some('s' | 'd') => match values.next().map(|value| value.as_text().ok_or(value)) {
                Some(Ok(text)) => made += &text,
                Some(Err(value)) => return unknown_or(value, "a formatted text"),
                None => return unknown("a formatted text"),
            },
            _ => return unknown("a formatted text"),
        }
        rest = &rest[at + 2..];
    }
    Value::Text(made + rest)
}

/// `value.name`.
pub(super) fn attribute(value: Value, name: &str) -> Value {
    match value {
        Value::Name(before) if before.len() + name.len() < NAME_LIMIT_BYTES => Value::Name(format!("{before}.{name}")),
        Value::Name(_) => unknown("a long name"),
        other => unknown_or(other, "an attribute of a value"),
    }
}

/// `value[key]`.
pub(super) fn item(value: &Value, key: &Value) -> Value {
    let found = match (value, key) {
        (Value::Dict(items), key) => items.iter().find(|(there, _)| there == key).map(|(_, value)| value),
        (Value::List(items), Value::Whole(at)) => {
            let at = if *at < 0 { items.len().checked_sub(at.unsigned_abs() as usize) } else { Some(*at as usize) };
            at.and_then(|at| items.get(at))
        }
        _ => None,
    };
    found.cloned().unwrap_or_else(|| unknown_or(value.clone(), "a part of a value"))
}

/// `name(arguments)`.
pub(super) fn function(name: &str, arguments: &Arguments) -> Value {
    let result = || unknown(&format!("the result of `{name}(…)`"));
    if arguments.may_be_more {
        return result();
    }
    match (name, arguments.values.as_slice(), arguments.named.as_slice()) {
        ("dict", [], named) => {
            Value::Dict(named.iter().map(|(name, value)| (Value::Text(name.clone()), value.clone())).collect())
        }
        ("dict", [Value::Dict(items)], named) => {
            let mut items = items.clone();
            named.iter().for_each(|(name, value)| Value::put(&mut items, Value::Text(name.clone()), value.clone()));
            Value::Dict(items)
        }
        ("list" | "set" | "tuple" | "frozenset", [], []) => Value::List(Vec::new()),
        ("list" | "set" | "tuple" | "frozenset" | "sorted", [Value::List(items)], []) => Value::List(items.clone()),
        ("str", [value], []) => value.as_text().map_or_else(|| unknown_or(value.clone(), "a text"), Value::Text),
        ("int", [value], []) => match value {
            Value::Text(text) => text.trim().parse().map_or_else(|_| result(), Value::Whole),
            Value::Number(number) if number.abs() < 1e15 => Value::Whole(number.trunc() as i64),
            Value::Whole(number) => Value::Whole(*number),
            Value::Flag(flag) => Value::Whole(i64::from(*flag)),
            other => unknown_or(other.clone(), "the result of `int(…)`"),
        },
        ("float", [value], []) => match value {
            Value::Text(text) => {
                let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
                number.map_or_else(result, Value::Number)
            }
            value => number(value).map_or_else(|| unknown_or(value.clone(), "the result of `float(…)`"), Value::Number),
        },
        ("bool", [value], []) => value.truth().map_or_else(result, Value::Flag),
        ("len", [Value::List(items)], []) => Value::Whole(items.len() as i64),
        ("len", [Value::Dict(items)], []) => Value::Whole(items.len() as i64),
        ("os.path.join" | "posixpath.join", parts, []) => joined(parts).map_or_else(result, Value::Text),
        ("os.path.abspath" | "os.path.expanduser" | "pathlib.Path" | "Path", [Value::Text(text)], [])
            if text.starts_with('/') =>
        {
            Value::Text(text.clone())
        }
        (_, values, _) => match values.iter().find_map(Value::unknown).filter(|_| PASSING.contains(&name)) {
            Some(what) => Value::Unknown(what),
            None => result(),
        },
    }
}

fn joined(parts: &[Value]) -> Option<String> {
    let mut path = String::new();
    for part in parts {
        let Value::Text(part) = part else { return None };
        if part.starts_with('/') {
            path.clear();
        } else if !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        path += part;
    }
    Some(path)
}

/// `value.name(arguments)`.
pub(super) fn method(value: Value, name: &str, arguments: &Arguments) -> Value {
    let result = || unknown(&format!("the result of `.{name}(…)`"));
    if arguments.may_be_more || (!arguments.named.is_empty() && name != "format") {
        return result();
    }
    match (value, name, arguments.values.as_slice()) {
        (Value::Text(text), "format", values) => formatted(&text, values, &arguments.named).unwrap_or_else(result),
        (Value::Text(text), "strip", []) => Value::Text(text.trim().to_owned()),
        (Value::Text(text), "strip", [Value::Text(set)]) => {
            Value::Text(text.trim_matches(|c| set.contains(c)).to_owned())
        }
        (Value::Text(text), "rstrip", [Value::Text(set)]) => {
            Value::Text(text.trim_end_matches(|c| set.contains(c)).to_owned())
        }
        (Value::Text(text), "lstrip", [Value::Text(set)]) => {
            Value::Text(text.trim_start_matches(|c| set.contains(c)).to_owned())
        }
        (Value::Text(text), "lower", []) => Value::Text(text.to_lowercase()),
        (Value::Text(text), "upper", []) => Value::Text(text.to_uppercase()),
        (Value::Text(text), "startswith", [Value::Text(part)]) => Value::Flag(text.starts_with(part.as_str())),
        (Value::Text(text), "endswith", [Value::Text(part)]) => Value::Flag(text.ends_with(part.as_str())),
        (Value::Text(text), "split", []) => texts(text.split_whitespace()),
        (Value::Text(text), "split", [Value::Text(at)]) if !at.is_empty() => texts(text.split(at.as_str())),
        (Value::Text(text), "splitlines", []) => texts(text.lines()),
        (Value::Text(between), "join", [Value::List(items)]) if between.len() * items.len() < LONGEST_BYTES => {
            let items: Option<Vec<_>> = items.iter().map(Value::as_text).collect();
            items.map_or_else(result, |items| Value::Text(items.join(&between)))
        }
        (Value::Dict(items), "get", [key, default @ ..]) => {
            let found = items.into_iter().find(|(there, _)| there == key).map(|(_, value)| value);
            found.or_else(|| default.first().cloned()).unwrap_or(Value::None)
        }
        (value @ (Value::Dict(_) | Value::List(_)), "copy", []) => value,
        (value, ..) => unknown_or(value, &format!("the result of `.{name}(…)`")),
    }
}

fn texts<'a>(parts: impl Iterator<Item = &'a str>) -> Value {
    Value::List(parts.map(|part| Value::Text(part.to_owned())).collect())
}

/// `"{} {name}".format(…)`, without what stands behind a colon or an exclamation mark.
fn formatted(text: &str, values: &[Value], named: &[(String, Value)]) -> Option<Value> {
    let mut made = String::new();
    let mut rest = text;
    let mut next = 0;
    while let Some(at) = rest.find(['{', '}']) {
        made += &rest[..at];
        let brace = &rest[at..=at];
        let inner = &rest[at + 1..];
        if inner.starts_with(brace) {
            made += brace;
            rest = &inner[1..];
            continue;
        }
        let end = inner.find('}').filter(|_| brace == "{")?;
        let field = &inner[..end];
        let value = if field.is_empty() {
            next += 1;
            values.get(next - 1)
        } else if let Ok(at) = field.parse::<usize>() {
            values.get(at)
        } else {
            named.iter().find(|(name, _)| name == field).map(|(_, value)| value)
        };
        made += &value?.as_text()?;
        // A long value in a text of many fields would be a text of millions.
        if made.len() > LONGEST_BYTES {
            return None;
        }
        rest = &inner[end + 1..];
    }
    Some(Value::Text(made + rest))
}
