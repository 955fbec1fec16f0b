//! What a request says about a server (contract §2.2): options and display name of a start, and changes of a stopped one.

use std::collections::HashMap;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::hub::api::body::{any_json, short};
use crate::hub::api::server_path::bad_name;
use crate::hub::error::HubError;
use crate::model::{Actor, DisplayName, ServerName, ServerOptions};
use crate::spawner::{Change, Wish};

/// With what a server is started or made. A body with neither key is taken whole as `user_options`, as JupyterHub 5
/// and older want it; without a body, or with `null`, the options of the previous start are used again.
#[derive(Deserialize, ToSchema)]
#[schema(as = ServerWish, example = json!({ "user_options": { "profile": "gpu" }, "display_name": "GPU work" }))]
#[allow(dead_code, reason = "its description; what is sent may also be the options themselves")]
pub(in crate::hub) struct WishBody {
    /// Options of this and further starts: `profile` and `image` mean something, the rest is kept and shown.
    user_options: Option<Map<String, Value>>,
    /// The server's name for people.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    display_name: Option<String>,
    /// The options themselves, in the old form.
    #[serde(flatten)]
    #[schema(additional_properties)]
    rest: HashMap<String, Value>,
}

/// What is to change about a stopped server; one key at least.
#[derive(Deserialize, ToSchema)]
#[schema(as = ServerChange, example = json!({ "name": "gpu-2", "display_name": "The other GPU" }))]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "its description; the keys are read one by one to say which is wrong")]
pub(in crate::hub) struct ChangeBody {
    /// Its new name; the default server has none.
    #[schema(nullable = false, min_length = 1, max_length = 30)]
    name: Option<String>,
    /// Its new name for people; the new `name` if left out.
    #[schema(nullable = false, min_length = 1, max_length = 255)]
    display_name: Option<String>,
    /// The options of further starts.
    #[schema(nullable = false)]
    user_options: Option<Map<String, Value>>,
}

/// Reads what a start says.
///
/// # Errors
/// 400 that says which part is wrong.
pub(in crate::hub) fn read_wish(body: &Bytes, by: Actor) -> Result<Wish, HubError> {
    let body = match any_json(body)? {
        None | Some(Value::Null) => return Ok(Wish::of(by)),
        Some(Value::Object(body)) => body,
        Some(_) => return Err(HubError::bad("Body must be a JSON object")),
    };
    if body.is_empty() {
        return Ok(Wish::of(by));
    }
    let display_name = body.get("display_name").map(display_name).transpose()?.flatten();
    let is_new_style = body.contains_key("display_name") || body.contains_key("user_options");
    let options = match body.get("user_options") {
        Some(Value::Null) => None,
        Some(Value::Object(options)) => Some(parse_options(options.clone())?),
        Some(_) => return Err(HubError::bad("user_options must be an object or null")),
        None if is_new_style => None,
        None => Some(parse_options(body)?),
    };
    Ok(Wish { options, display_name, by })
}

/// Reads what is to change.
///
/// # Errors
/// 400 that says which part is wrong.
pub(in crate::hub) fn read_change(body: &Bytes) -> Result<Change, HubError> {
    const KEYS: [&str; 3] = ["name", "display_name", "user_options"];
    let body = match any_json(body)? {
        None => Map::new(),
        Some(Value::Object(body)) => body,
        Some(_) => return Err(HubError::bad("Body must be a JSON object")),
    };
    if body.is_empty() {
        return Err(HubError::bad("Must specify at least one field to modify."));
    }
    if let Some(unknown) = body.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let (unknown, keys) = (short(unknown), KEYS.join(", "));
        return Err(HubError::bad(format!("Unexpected field: {unknown}, supported fields: {keys}")));
    }
    let name = match body.get("name") {
        None => None,
        Some(Value::String(name)) => Some(ServerName::parse(name).map_err(|_| bad_name(name))?),
        Some(_) => return Err(HubError::bad("name must be a string")),
    };
    let options = match body.get("user_options") {
        None => None,
        Some(Value::Object(options)) => Some(parse_options(options.clone())?),
        Some(_) => return Err(HubError::bad("user_options must be a dict")),
    };
    let display_name = body.get("display_name").map(display_name).transpose()?.flatten();
    Ok(Change { name, display_name, options })
}

/// An empty name for people is none, as in JupyterHub.
fn display_name(value: &Value) -> Result<Option<DisplayName>, HubError> {
    let Value::String(text) = value else { return Err(HubError::bad("display_name must be a string")) };
    if text.is_empty() {
        return Ok(None);
    }
    DisplayName::parse(text).map(Some).map_err(|error| HubError::bad(format!("Invalid display_name: {error}")))
}

fn parse_options(options: Map<String, Value>) -> Result<ServerOptions, HubError> {
    ServerOptions::parse(Value::Object(options)).map_err(|error| HubError::bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wish(text: &str) -> Result<(Option<Value>, Option<String>), String> {
        let wish = read_wish(&Bytes::from(text.to_owned()), "test".into())
            .map_err(|error| error.message().unwrap_or_default())?;
        let options = wish.options.map(|options| Value::Object(options.as_map().clone()));
        Ok((options, wish.display_name.map(|name| name.to_string())))
    }

    #[test]
    fn options_come_in_the_old_form_and_in_the_new() {
        assert_eq!(wish(""), Ok((None, None)));
        assert_eq!(wish("{}"), Ok((None, None)));
        assert_eq!(wish("null"), Ok((None, None)));
        assert_eq!(wish(r#"{"profile": "gpu"}"#), Ok((Some(json!({ "profile": "gpu" })), None)));
        assert_eq!(wish(r#"{"user_options": {"x": 1}}"#), Ok((Some(json!({ "x": 1 })), None)));
        assert_eq!(wish(r#"{"user_options": {}}"#), Ok((Some(json!({})), None)));
        assert_eq!(wish(r#"{"user_options": null, "y": 2}"#), Ok((None, None)));
        assert_eq!(wish(r#"{"display_name": "My GPU"}"#), Ok((None, Some("My GPU".into()))));
        assert_eq!(wish("[]"), Err("Body must be a JSON object".into()));
        assert_eq!(wish(r#"{"user_options": []}"#), Err("user_options must be an object or null".into()));
        assert_eq!(wish(r#"{"display_name": 7}"#), Err("display_name must be a string".into()));
        assert!(wish(r#"{"display_name": " x"}"#).is_err_and(|text| text.starts_with("Invalid display_name")));
        let long = json!({ "x": "y".repeat(20_000) }).to_string();
        assert!(wish(&long).is_err());
    }

    #[test]
    fn a_change_names_what_it_changes_and_nothing_else() {
        let told = |text: &str| {
            let change = read_change(&Bytes::from(text.to_owned()));
            change.map(|_| ()).map_err(|error| error.message().unwrap_or_default())
        };
        assert_eq!(told("{}"), Err("Must specify at least one field to modify.".into()));
        assert_eq!(told(""), Err("Must specify at least one field to modify.".into()));
        assert_eq!(
            told(r#"{"colour": 1}"#),
            Err("Unexpected field: colour, supported fields: name, display_name, user_options".into())
        );
        assert_eq!(told(r#"{"user_options": null}"#), Err("user_options must be a dict".into()));
        assert_eq!(told(r#"{"name": 1}"#), Err("name must be a string".into()));
        assert_eq!(told(r#"{"name": "b", "display_name": "B", "user_options": {}}"#), Ok(()));
    }
}
