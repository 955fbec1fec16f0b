//! The body of a request: JSON read into a type, and every way in which it is none is a 400.
//!
//! A key that the type does not know is refused, a `null` where a value belongs too, as JupyterHub checks its models.
//! How deep JSON may nest is serde_json's limit (128), how long it may be the body's.

use axum::body::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::hub::error::HubError;
use crate::model::UserName;

/// How many names one request may carry: more than a class of any size has, and little enough for one commit.
const NAMES_LIMIT: usize = 10_000;

/// A JSON object, or `None` if the body is empty.
///
/// # Errors
/// 400 in JupyterHub's words if it is no JSON, else in words that say what is wrong with it.
pub(super) fn json_body<T: DeserializeOwned>(body: &Bytes) -> Result<Option<T>, HubError> {
    let body = body.trim_ascii();
    match body.first() {
        None => Ok(None),
        Some(b'{') => serde_json::from_slice(body).map(Some).map_err(|error| told_fault(&error)),
        // A list would be read into a type, too, item by item.
        Some(_) => match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
            Ok(_) => Err(HubError::bad("Request body must be JSON dict")),
            Err(error) => Err(told_fault(&error)),
        },
    }
}

/// Any JSON, for bodies about which JupyterHub has words of its own; `None` if it is empty.
///
/// # Errors
/// 400 if it is no JSON.
pub(super) fn any_json(body: &Bytes) -> Result<Option<Value>, HubError> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body).map(Some).map_err(|error| told_fault(&error))
}

fn told_fault(error: &serde_json::Error) -> HubError {
    if error.is_data() {
        // The text may quote a value of the sender's: it goes back to nobody else, and is kept short.
        let text: String = error.to_string().chars().take(200).collect();
        return HubError::bad(format!("Invalid JSON data: {text}"));
    }
    HubError::bad("Invalid JSON in body of request")
}

/// For `#[serde(default, deserialize_with = …)]`: the key may be left out, but is not `null`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// For `expires_in` of a share code: a whole number, which JupyterHub takes as `600`, `600.0` and `"600"` alike.
pub(super) fn whole_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let text = match Value::deserialize(from)? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => String::new(),
    };
    let seconds = text.strip_suffix(".0").unwrap_or(&text).parse();
    seconds.map(Some).map_err(|_| serde::de::Error::custom("expected a whole number of seconds"))
}

/// Names of users as people write them, made into names: lower-cased, each once, in order.
///
/// # Errors
/// 400 that names those which are none, or that there are too many.
pub(super) fn user_names(names: &[String]) -> Result<Vec<UserName>, HubError> {
    if names.len() > NAMES_LIMIT {
        return Err(HubError::bad(format!("At most {NAMES_LIMIT} names in one request, please.")));
    }
    let mut seen = std::collections::HashSet::with_capacity(names.len());
    let mut parsed = Vec::with_capacity(names.len());
    let mut invalid = Vec::new();
    for name in names {
        match UserName::parse(name) {
            Ok(name) if seen.insert(name.clone()) => parsed.push(name),
            Ok(_) => {}
            Err(_) => invalid.push(name.to_lowercase()),
        }
    }
    if invalid.is_empty() {
        return Ok(parsed);
    }
    let which = if invalid.len() == 1 { "username" } else { "usernames" };
    Err(HubError::bad(format!("Invalid {which}: {}", told(&invalid))))
}

/// What a client wrote, for a sentence: as much of it as a name may have.
pub(super) fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// Names for a sentence: the first few, shortened.
fn told(names: &[String]) -> String {
    let first: Vec<_> = names.iter().take(10).map(|name| short(name)).collect();
    let more = if names.len() > first.len() { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        #[serde(default, deserialize_with = "present")]
        admin: Option<bool>,
    }

    fn outcome(text: &str) -> Result<Option<bool>, String> {
        let wish = json_body::<Wish>(&Bytes::from(text.to_owned()));
        wish.map(|wish| wish.and_then(|wish| wish.admin)).map_err(|error| error.message().unwrap_or_default())
    }

    #[test]
    fn what_is_no_json_is_told_from_what_is_the_wrong_json() {
        assert_eq!(outcome(""), Ok(None));
        assert_eq!(outcome(" \n"), Ok(None));
        assert_eq!(outcome("{}"), Ok(None));
        assert_eq!(outcome(r#"{"admin": true}"#), Ok(Some(true)));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for broken in ["{", "nonsense", r#"{"admin": tru}"#, "\u{1}"] {
            let told = outcome(broken).expect_err("it is no JSON");
            assert!(told.starts_with("Invalid JSON"), "{told}");
        }
        // Skipped without a stack: refused like any list.
        assert_eq!(outcome(&deep), Err("Request body must be JSON dict".to_owned()));
        for wrong in ["[]", "7", r#"{"admin": null}"#, r#"{"admin": "yes"}"#, r#"{"admin": true, "evil": 1}"#] {
            let told = outcome(wrong).expect_err("it is refused");
            assert!(told.starts_with("Invalid JSON data: ") || told == "Request body must be JSON dict", "{wrong}");
        }
    }

    #[test]
    fn names_are_made_as_the_authenticator_makes_them() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            user_names(&names).map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(names(&["Bob", "alice", "BOB"]).expect("sound"), ["bob", "alice"]);
        let told = |list: &[&str]| names(list).expect_err("refused").message().unwrap_or_default();
        assert_eq!(told(&["a/B", "ok"]), "Invalid username: a/b");
        assert_eq!(told(&["a/b", "ok", ".."]), "Invalid usernames: a/b, ..");
        assert!(told(&vec!["x"; NAMES_LIMIT + 1]).starts_with("At most"));
        assert!(told(&vec!["/"; NAMES_LIMIT]).len() < 100);
    }
}
