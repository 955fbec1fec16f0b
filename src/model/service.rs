//! A service as the configuration describes it (hub contract §4.5): `auth` reads who it is, `services` how it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::{BasePath, Scope, Secret, ServiceName, percent_encode};

/// One `[[services]]` table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Unique; its pages are under `/services/<name>/`.
    pub name: ServiceName,
    /// Where it listens, as in `http://127.0.0.1:10101`; none for one that only calls us.
    #[serde(default)]
    pub url: Option<String>,
    /// The token it calls us with, 8 to 64 characters; one that we run gets one made for it.
    #[serde(default, deserialize_with = "secret")]
    pub api_token: Option<Secret>,
    /// Has the role `admin`.
    #[serde(default)]
    pub admin: bool,
    /// What we run; empty for a service that runs elsewhere.
    #[serde(default)]
    pub command: Vec<String>,
    /// Added to the command's environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The command's folder.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// The account that the command runs as.
    #[serde(default)]
    pub user: Option<String>,
    /// For people and programs; shown, never read.
    #[serde(default)]
    pub info: serde_json::Map<String, serde_json::Value>,
    /// Whether pages name it.
    #[serde(default = "yes")]
    pub display: bool,
    /// Begins with `service-`; by default `service-<name>`.
    #[serde(default)]
    pub oauth_client_id: Option<String>,
    /// Where browsers come back to; by default `<base>services/<name>/oauth_callback`.
    #[serde(default)]
    pub oauth_redirect_uri: Option<String>,
    /// Whether people are signed in there without being asked.
    #[serde(default)]
    pub oauth_no_confirm: bool,
    /// What its visitors' tokens may hold beside access to it and who they are.
    #[serde(default)]
    pub oauth_client_allowed_scopes: Vec<Scope>,
    /// How long we wait for it to answer after its start, in seconds.
    #[serde(default = "thirty", alias = "timeout")]
    pub timeout_s: u64,
}

impl ServiceName {
    /// `/services/report/` under the base path, percent-encoded: the service's base URL.
    #[must_use]
    pub fn prefix(&self, base: &BasePath) -> String {
        format!("{base}services/{}/", percent_encode(self.as_str()))
    }

    /// The same prefix decoded and without its last slash: the key in the route table.
    #[must_use]
    pub fn route_key(&self, base: &BasePath) -> String {
        format!("{base}services/{self}")
    }
}

impl ServiceConfig {
    /// A service of that name of which nothing else is said.
    #[must_use]
    pub fn named(name: ServiceName) -> Self {
        Self {
            name,
            url: None,
            api_token: None,
            admin: false,
            command: Vec::new(),
            environment: BTreeMap::new(),
            cwd: None,
            user: None,
            info: serde_json::Map::new(),
            display: yes(),
            oauth_client_id: None,
            oauth_redirect_uri: None,
            oauth_no_confirm: false,
            oauth_client_allowed_scopes: Vec::new(),
            timeout_s: thirty(),
        }
    }
}

fn yes() -> bool {
    true
}

/// JupyterHub's.
fn thirty() -> u64 {
    30
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    // Read as anything first: serde's own error about a wrong kind would show the value.
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(Some(Secret::new(text))),
        _ => Err(serde::de::Error::custom("api_token must be a text in quotes")),
    }
}
