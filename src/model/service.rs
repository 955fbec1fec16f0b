//! The name of a service, and where it lives under the base path.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::name::check;
use super::{BasePath, NameError, percent_encode};

/// A service's name: 1 to 64 bytes, safe in a path segment once encoded.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// Reads a service's name.
    ///
    /// # Errors
    /// If it is no name by the rules of `NameError`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// The name as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/services/culler/` under the base path, percent-encoded: the service's base URL.
    #[must_use]
    pub fn prefix(&self, base: &BasePath) -> String {
        format!("{base}services/{}/", percent_encode(&self.0))
    }

    /// The same prefix decoded and without its last slash: the key in the route table.
    #[must_use]
    pub fn route_key(&self, base: &BasePath) -> String {
        format!("{base}services/{}", self.0)
    }
}

impl TryFrom<String> for ServiceName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
