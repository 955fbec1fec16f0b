//! What a person may say about a server beside «start»: options of a start, and the name that people see.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::NameError;

/// The largest options of one server, in bytes of JSON: a form has some hundred, and they are kept for every server.
const OPTIONS_LIMIT_BYTES: usize = 16 * 1024;
/// The longest display name, in characters, as JupyterHub's.
const DISPLAY_NAME_LIMIT: usize = 255;

/// Options of a start (JupyterHub's `user_options`): a JSON object. `profile` and `image` mean something to the spawner, the rest
/// is kept and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerOptions(Map<String, Value>);

/// Why options are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A list, a number, a text.
    #[error("user_options must be a JSON object")]
    NotAnObject,
    /// More than is kept for one server.
    #[error("user_options are too large; at most {OPTIONS_LIMIT_BYTES} bytes are kept")]
    TooLarge,
    /// `profile` or `image` is not a text.
    #[error("user_options.{0} must be a text")]
    NotAText(&'static str),
}

impl ServerOptions {
    /// The key under which a profile is chosen.
    pub const PROFILE: &'static str = "profile";
    /// The key under which an image is chosen.
    pub const IMAGE: &'static str = "image";

    /// Reads options as a program sends them.
    ///
    /// # Errors
    /// If it is no object, is too large, or a key that means something is not a text.
    pub fn parse(value: Value) -> Result<Self, OptionsError> {
        let Value::Object(options) = value else { return Err(OptionsError::NotAnObject) };
        for key in [Self::PROFILE, Self::IMAGE] {
            if options.get(key).is_some_and(|value| !value.is_string() && !value.is_null()) {
                return Err(OptionsError::NotAText(key));
            }
        }
        let options = Self(options);
        if options.to_string().len() > OPTIONS_LIMIT_BYTES {
            return Err(OptionsError::TooLarge);
        }
        Ok(options)
    }

    /// All of them, as they are shown.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The chosen profile, if any.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        self.text(Self::PROFILE)
    }

    /// The chosen image, if any.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        self.text(Self::IMAGE)
    }

    fn text(&self, key: &str) -> Option<&str> {
        // A form that leaves a field empty leaves the choice to us.
        self.0.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

impl fmt::Display for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// A server's name for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DisplayName(String);

impl DisplayName {
    /// Reads a name for people: 1 to 255 printable characters, single blanks between words.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let is_bad = |c: char| c.is_control() || (c.is_whitespace() && c != ' ') || super::name::is_invisible(c);
        let has_odd_blanks = text.starts_with(' ') || text.ends_with(' ') || text.contains("  ");
        if text.is_empty() || text.chars().count() > DISPLAY_NAME_LIMIT || has_odd_blanks || text.chars().any(is_bad) {
            return Err(NameError::NotADisplayName);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn options_are_an_object_of_bounded_size() {
        let options = ServerOptions::parse(json!({ "profile": "gpu", "image": "", "cells": 3 })).expect("options");
        assert_eq!((options.profile(), options.image()), (Some("gpu"), None));
        assert_eq!(options.as_map().len(), 3);
        assert_eq!(ServerOptions::parse(json!(["gpu"])), Err(OptionsError::NotAnObject));
        assert_eq!(ServerOptions::parse(json!({ "profile": ["gpu"] })), Err(OptionsError::NotAText("profile")));
        assert_eq!(ServerOptions::parse(json!({ "x": "y".repeat(16 * 1024) })), Err(OptionsError::TooLarge));
    }

    #[test]
    fn a_display_name_is_printable_with_single_blanks() {
        for good in ["GPU", "My GPU (big)", "Größe ☕"] {
            assert_eq!(DisplayName::parse(good).map(|name| name.to_string()), Ok(good.to_owned()));
        }
        let long = "x".repeat(256);
        for bad in ["", " a", "a ", "a  b", "a\nb", "a\u{200b}b", "a\u{a0}b", &long] {
            assert_eq!(DisplayName::parse(bad), Err(NameError::NotADisplayName), "{bad:?}");
        }
    }
}
