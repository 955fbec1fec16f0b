//! What handlers ask of a request: who sends it, from where, and that somebody is signed in.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;

use super::HubState;
use super::error::HubError;
use super::form::query_value;
use crate::auth::{Caller, Session};
use crate::model::{Actor, ServerKey, ServerName, ServerPath, UserName, Visit};

/// Who sends the request, as the edge has found out.
pub(super) struct CallerOf(pub(super) Caller);

impl FromRequestParts<HubState> for CallerOf {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, _: &HubState) -> Result<Self, HubError> {
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or(HubError::Wiring("the caller"))
    }
}

/// Who acts, and from where, as the audit names them.
pub(super) struct By(pub(super) Actor);

impl FromRequestParts<HubState> for By {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &HubState) -> Result<Self, HubError> {
        let CallerOf(caller) = CallerOf::from_request_parts(parts, state).await?;
        let VisitOf(visit) = VisitOf::from_request_parts(parts, state).await?;
        let name = caller.owner().map(|owner| owner.name().to_string()).unwrap_or_default();
        Ok(Self(Actor { name, from: Some(visit.address), token: caller.token().and_then(|token| token.id) }))
    }
}

/// From where, and under which origin, as the edge has found out.
pub(super) struct VisitOf(pub(super) Visit);

impl FromRequestParts<HubState> for VisitOf {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, _: &HubState) -> Result<Self, HubError> {
        parts.extensions.get::<Visit>().cloned().map(Self).ok_or(HubError::Wiring("the visit"))
    }
}

/// A person with a session. Pages take no token for one: without a session a GET is sent to sign in and back.
pub(super) struct Person(pub(super) Arc<Session>);

impl Person {
    /// The same person as `auth` asks about callers.
    pub(super) fn as_caller(&self) -> Caller {
        Caller::Session(Arc::clone(&self.0))
    }

    /// Their name.
    pub(super) fn name(&self) -> &UserName {
        &self.0.user.name
    }
}

impl FromRequestParts<HubState> for Person {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &HubState) -> Result<Self, HubError> {
        let CallerOf(caller) = CallerOf::from_request_parts(parts, state).await?;
        if let Some(session) = caller.session() {
            return Ok(Self(Arc::clone(session)));
        }
        let next = parts.method.is_safe().then(|| path_and_query(&parts.uri));
        Err(HubError::SignInFirst { next })
    }
}

/// The server that a page's path names: `/{user}`, `/{user}/{server}`, or nothing for one's own default server.
pub(super) struct Named(pub(super) Option<ServerKey>);

impl FromRequestParts<HubState> for Named {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &HubState) -> Result<Self, HubError> {
        let path = axum::extract::Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Ok(axum::extract::Path(segments)) = path else { return Ok(Self(None)) };
        let find = |name: &str| segments.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let Some(user) = find("user") else { return Ok(Self(None)) };
        let user = UserName::from_path(user).ok_or(HubError::NoSuchResource)?;
        let name = ServerName::parse(find("server").unwrap_or_default()).map_err(|_| HubError::NoSuchResource)?;
        if !name.is_default() && !state.spawner.has_named_servers() {
            return Err(HubError::NoSuchResource);
        }
        Ok(Self(Some(ServerKey { user, name })))
    }
}

/// True if there is this server: the default one with its user, a named one once it has been defined or started.
pub(super) fn is_there(state: &HubState, server: &ServerKey) -> bool {
    let has_name = || server.name.is_default() || state.spawner.record(server).is_some();
    state.auth.user(&server.user).is_some() && has_name()
}

/// The server that an address of a user's leads to (contract §3.1): the one whose name the first part is, if there is
/// one and named servers are on; else the default one.
pub(super) fn server_of_path(state: &HubState, path: &ServerPath<'_>) -> Option<ServerKey> {
    let user = path.user().filter(|user| state.auth.user(user).is_some())?;
    let default = ServerKey::default_of(user);
    if !state.spawner.has_named_servers() {
        return Some(default);
    }
    let named = path.second().ok().flatten().and_then(|name| ServerName::parse(&name).ok());
    let named = named.map(|name| ServerKey { name, ..default.clone() });
    Some(named.filter(|server| is_there(state, server)).unwrap_or(default))
}

/// `next=` of the request, unchecked.
pub(super) fn next_of(uri: &Uri) -> Option<String> {
    query_value(uri.query(), "next")
}

/// The request's own address, to come back to.
pub(super) fn path_and_query(uri: &Uri) -> String {
    uri.path_and_query().map_or("/", |path| path.as_str()).to_owned()
}
