//! What every page has around its content: who is signed in, the form token, and the cookies that belong to it.

use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use minijinja::context;
use minijinja::value::Value;

use super::cookies::{NewCookie, values};
use super::error::HubError;
use super::extract::CallerOf;
use super::templates::moment;
use super::{CertificateTrouble, HubState, xsrf};
use crate::auth::Caller;

/// The frame of one page.
pub(super) struct Frame {
    state: HubState,
    name: Option<String>,
    is_admin: bool,
    form_token: String,
    here: String,
    /// How many changes there had been before the page was made: its script hears of the next one.
    change_count: u64,
    cookies: Vec<NewCookie>,
}

impl Frame {
    /// The frame for `caller`, who asks with `headers` for `path`.
    pub(super) fn new(state: &HubState, caller: &Caller, headers: &HeaderMap, path: &str) -> Self {
        let mut cookies = Vec::new();
        // Pages know sessions only; a token is nobody here.
        let session = caller.session();
        let key = match session {
            Some(session) => xsrf::Key::of_session(session),
            None => state.visitor_key.of_visitor(&visitor_id(state, headers, &mut cookies)),
        };
        let form_token = form_token(state, &key, headers, &mut cookies);
        Self {
            state: state.clone(),
            name: session.map(|session| session.user.name.to_string()),
            is_admin: session.is_some() && caller.is_admin(),
            form_token,
            here: path.to_owned(),
            change_count: state.spawner.change_count(),
            cookies,
        }
    }

    /// The token for forms and scripts of this page.
    pub(super) fn form_token(&self) -> &str {
        &self.form_token
    }

    /// The page `template` with these values.
    ///
    /// # Errors
    /// If the template is wrong (an operator's, since ours are tested).
    pub(super) fn show(self, status: StatusCode, template: &str, page: Value) -> Result<Response, HubError> {
        let frame = context! {
            person => self.name,
            is_admin => self.is_admin,
            form_token => self.form_token,
            section => section_of(&self.here, &self.state.config.base.hub()),
            here => self.here,
            change_count => self.change_count,
            certificate_troubles => self.is_admin.then(|| troubles(&self.state)),
        };
        let html = self.state.views.render(template, context! { ..page, ..frame })?;
        let content_type = [(CONTENT_TYPE, "text/html; charset=utf-8")];
        let mut response = (status, content_type, html).into_response();
        set_cookies(&mut response, &self.cookies);
        Ok(response)
    }
}

/// Names shown at the head of each page; the rest is a number. 3: an authority that is away troubles all names at once.
const TROUBLES_SHOWN: usize = 3;

/// What every administrator should hear of on whatever page: certificates that are ordered and do not come.
fn troubles(state: &HubState) -> Value {
    let troubles = (state.host_facts)().map(|facts| facts.certificate_troubles).unwrap_or_default();
    let now = state.clock.now();
    let of = |one: &CertificateTrouble| {
        context! {
            name => &one.name,
            problem => one.problem.as_ref().map(|problem| problem.trim_end_matches('.')),
            ends => one.ends_at.map(moment),
            is_over => one.ends_at.is_some_and(|ends_at| ends_at <= now),
            next_try => moment(one.next_try.max(now)),
        }
    };
    context! {
        first => troubles.iter().take(TROUBLES_SHOWN).map(of).collect::<Vec<_>>(),
        more => troubles.len().saturating_sub(TROUBLES_SHOWN),
    }
}

/// The page of the navigation that `path` lies below: pages about a thing belong to the page that lists them.
pub(super) fn section_of<'a>(path: &'a str, hub: &str) -> &'a str {
    let page = path.strip_prefix(hub).and_then(|page| page.split('/').next()).unwrap_or_default();
    match page {
        "authorize" | "withdraw" | "discard" => "admin",
        // With a name behind it: somebody else's.
        "change-password" if path.trim_end_matches('/').ends_with("/change-password") => page,
        "change-password" => "admin",
        "grants" => "groups",
        "spawn" | "spawn-pending" | "restart" | "delete-server" | "volumes" => "home",
        _ => page,
    }
}

impl FromRequestParts<HubState> for Frame {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut Parts, state: &HubState) -> Result<Self, HubError> {
        let CallerOf(caller) = CallerOf::from_request_parts(parts, state).await?;
        Ok(Self::new(state, &caller, &parts.headers, parts.uri.path()))
    }
}

/// Adds `cookies` to an answer.
pub(super) fn set_cookies(response: &mut Response, cookies: &[NewCookie]) {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(&cookie.to_header()) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
}

/// Name of the cookie by which a visitor without a session is known again while they sign in.
pub(super) fn visitor_cookie(state: &HubState) -> String {
    format!("{}-visitor", state.config.session_cookie)
}

/// The cookie of a form token.
pub(super) fn form_token_cookie(state: &HubState, token: &str) -> NewCookie {
    NewCookie::new(xsrf::NAME, token, &state.config.base.hub())
}

fn visitor_id(state: &HubState, headers: &HeaderMap, cookies: &mut Vec<NewCookie>) -> String {
    let name = visitor_cookie(state);
    if let Some(id) = xsrf::visitor_id(headers, &name) {
        return id.to_owned();
    }
    let id = state.random.hex::<16>();
    cookies.push(NewCookie::new(&name, &id, "/"));
    id
}

/// The token that the browser has already if it is good for this key (several tabs share it), else a new one.
fn form_token(state: &HubState, key: &xsrf::Key, headers: &HeaderMap, cookies: &mut Vec<NewCookie>) -> String {
    if let Some(token) = values(headers, xsrf::NAME).find(|token| key.has_signed(token)) {
        return token.to_owned();
    }
    let token = key.mint(&state.random);
    cookies.push(form_token_cookie(state, &token));
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_about_a_thing_belongs_to_the_page_that_lists_it() {
        let sections = ["/j/hub/groups/x", "/j/hub/withdraw/bob", "/j/hub/token", "/j/hub/spawn/a/b", "/j/user/groups"];
        assert_eq!(sections.map(|path| section_of(path, "/j/hub/")), ["groups", "admin", "token", "home", ""]);
        let passwords = ["/j/hub/change-password", "/j/hub/change-password/bob"];
        assert_eq!(passwords.map(|path| section_of(path, "/j/hub/")), ["change-password", "admin"]);
    }
}
