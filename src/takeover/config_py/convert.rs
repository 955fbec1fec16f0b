//! Values of the file as values of ours: kinds and units.

use toml::Value as Toml;

use super::value::Value;

/// What kind of value one of our keys takes, and how it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Flag,
    Whole,
    /// Seconds, rounded up.
    Seconds,
    /// Days as seconds.
    Days,
    /// A list of texts.
    Texts,
    /// A list of names of users, in small letters as both hubs keep them.
    Names,
    /// A number of cores.
    Cores,
    /// Bytes as a number, or as `2G`.
    Bytes,
    /// A list of words, or one text of them.
    Command,
}

/// `value` in this form.
///
/// # Errors
/// Why not, in words that go on after "is".
pub(super) fn convert(form: Form, value: &Value) -> Result<Toml, String> {
    if let Some(what) = value.unknown() {
        return Err(format!("{what}, which only Python can tell"));
    }
    match form {
        Form::Text => {
            value.as_text().filter(|_| !matches!(value, Value::Flag(_))).map(Toml::String).ok_or("no text".into())
        }
        Form::Flag => match value {
            Value::Flag(flag) => Ok(Toml::Boolean(*flag)),
            Value::Whole(number @ 0..=1) => Ok(Toml::Boolean(*number == 1)),
            _ => Err("neither True nor False".into()),
        },
        Form::Whole | Form::Seconds => seconds(value).map(|number| Toml::Integer(number.ceil() as i64)),
        Form::Days => seconds(value).map(|days| Toml::Integer((days * 86_400.0).ceil() as i64)),
        Form::Texts => texts(value).map(|texts| Toml::Array(texts.into_iter().map(Toml::String).collect())),
        Form::Names => {
            let mut names: Vec<String> = texts(value)?.iter().map(|name| name.trim().to_lowercase()).collect();
            let mut seen = std::collections::BTreeSet::new();
            names.retain(|name| !name.is_empty() && seen.insert(name.clone()));
            Ok(Toml::Array(names.into_iter().map(Toml::String).collect()))
        }
        Form::Cores => seconds(value)
            .map(|cores| if cores.fract() == 0.0 { Toml::Integer(cores as i64) } else { Toml::Float(cores) }),
        Form::Bytes => bytes(value).map(Toml::String),
        Form::Command => match value {
            Value::Text(text) => {
                Ok(Toml::Array(text.split_whitespace().map(|word| Toml::String(word.into())).collect()))
            }
            value => convert(Form::Texts, value),
        },
    }
}

/// A number that is not absurd.
fn seconds(value: &Value) -> Result<f64, String> {
    let number = match value {
        Value::Whole(number) => *number as f64,
        Value::Number(number) => *number,
        Value::Text(text) => text.trim().parse().map_err(|_| "no number".to_owned())?,
        _ => return Err("no number".into()),
    };
    if number.abs() < 1e12 { Ok(number) } else { Err("beyond all bounds".into()) }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    let items = match value {
        Value::List(items) => items,
        Value::Text(text) => return Ok(vec![text.clone()]),
        Value::None => return Ok(Vec::new()),
        _ => return Err("no list".into()),
    };
    items.iter().map(|item| item.as_text().ok_or_else(|| "a list of other things than texts".to_owned())).collect()
}

/// As Docker and we write sizes: the largest unit that leaves no rest.
pub(super) fn bytes(value: &Value) -> Result<String, String> {
    match value {
        Value::Whole(number) if *number >= 0 => {
            let units = [(1_i64 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
            let unit = units.into_iter().find(|(unit, _)| *number >= *unit && number % unit == 0);
            Ok(unit.map_or_else(|| number.to_string(), |(unit, letter)| format!("{}{letter}", number / unit)))
        }
        Value::Number(number) if (0.0..1e15).contains(number) => bytes(&Value::Whole(*number as i64)),
        // Docker writes small letters, JupyterHub capitals.
        Value::Text(text) => Ok(text.trim().to_ascii_uppercase().trim_end_matches('B').to_owned()),
        _ => Err("no size".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_the_largest_unit_without_a_rest() {
        let check = |value: Value, expected: &str| assert_eq!(bytes(&value).as_deref(), Ok(expected), "{value:?}");
        check(Value::Whole(2 << 30), "2G");
        check(Value::Whole(1536 << 20), "1536M");
        check(Value::Whole(10_000_001), "10000001");
        check(Value::Text("512m".into()), "512M");
        check(Value::Text("4GB".into()), "4G");
        assert!(bytes(&Value::Flag(true)).is_err());
    }

    #[test]
    fn seconds_are_rounded_up_and_days_are_seconds() {
        assert_eq!(convert(Form::Seconds, &Value::Number(29.5)), Ok(Toml::Integer(30)));
        assert_eq!(convert(Form::Days, &Value::Number(0.5)), Ok(Toml::Integer(43_200)));
        assert_eq!(convert(Form::Seconds, &Value::Whole(i64::MAX)), Err("beyond all bounds".into()));
    }
}
