//! Which server a path names (`/users/{user}/server`, `/users/{user}/servers/{server}`), and may the caller reach it.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use utoipa::IntoParams;

use super::body::short;
use super::scopes::require;
use crate::auth::{Caller, Target};
use crate::hub::HubState;
use crate::hub::error::HubError;
use crate::model::{ServerKey, ServerName, UserName};

/// The user and the server that a path names; no server is the default one.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::hub) struct ServerPath {
    /// The owner's name, percent-encoded.
    #[param(min_length = 1, max_length = 64, example = "alice")]
    pub(super) user: String,
    /// The server's name among its owner's.
    #[param(min_length = 1, max_length = 64, example = "gpu")]
    pub(super) server: String,
}

impl FromRequestParts<HubState> for ServerPath {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &HubState) -> Result<Self, HubError> {
        let segments = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Path(mut segments) = segments.map_err(|_| HubError::bad("The path is not UTF-8."))?;
        let mut take = |name: &str| {
            let found = segments.iter_mut().find(|(key, _)| key == name);
            found.map(|(_, value)| std::mem::take(value)).unwrap_or_default()
        };
        Ok(Self { user: take("user"), server: take("server") })
    }
}

impl ServerPath {
    /// The server that the path names, there or not, if the caller holds one of `wanted` for it and its owner exists.
    ///
    /// # Errors
    /// As `scopes::require`; 404 if there is no such user, which whoever holds the scope for all may know; 400 if the
    /// server's name is none.
    pub(super) fn reach(
        &self,
        state: &HubState,
        caller: &Caller,
        wanted: &[&'static str],
    ) -> Result<ServerKey, HubError> {
        let Some(user) = UserName::from_path(&self.user) else {
            require(caller, wanted, Target::All)?;
            return Err(HubError::Absent);
        };
        let Ok(name) = ServerName::parse(&self.server) else {
            require(caller, wanted, Target::User(&user))?;
            return Err(bad_name(&self.server));
        };
        let key = ServerKey { user, name };
        require(caller, wanted, Target::Server(&key))?;
        state.auth.user(&key.user).ok_or(HubError::Absent)?;
        Ok(key)
    }
}

impl ServerPath {
    /// As `reach`, but whoever may not is told so in the same words whether there is such a user or not: 403, as the
    /// endpoints say that JupyterHub does not have.
    ///
    /// # Errors
    /// 403, and as `reach`.
    pub(super) fn reach_or_403(
        &self,
        state: &HubState,
        caller: &Caller,
        wanted: &[&'static str],
    ) -> Result<ServerKey, HubError> {
        self.reach(state, caller, wanted).map_err(|error| match error {
            HubError::NoSuchResource => HubError::MissingScope { wanted: wanted.to_vec() },
            error => error,
        })
    }
}

/// 400: a server cannot have this name.
pub(super) fn bad_name(name: &str) -> HubError {
    HubError::bad(format!("Invalid server_name: '{}'", short(name)))
}

/// A server as JupyterHub's sentences name it: `alice`, `alice:gpu`.
pub(super) fn told(server: &ServerKey) -> String {
    if server.name.is_default() {
        return server.user.to_string();
    }
    format!("{}:{}", server.user, server.name.as_str())
}
