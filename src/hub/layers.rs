//! What happens around a handler, in order. One function a layer; `router` says which family has which.
//!
//! From the outside in: `stamp` (headers of every answer) → `private_door` → then by family
//! pages: `show_errors_as_pages` → `time_limit` → `navigations_only` → `read_form` → `password_first` →
//! `check_form_token`; API: `show_errors_as_json` → `time_limit` → `api_callers` → `password_first_for_api` →
//! `check_api_token`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use minijinja::context;
use tracing::{debug, error, info};

use super::HubState;
use super::api::model::error::ErrorModel;
use super::error::{HubError, Raised};
use super::extract::path_and_query;
use super::form::{self, Fields};
use super::frame::{Frame, visitor_cookie};
use super::landing::with_next;
use super::xsrf::{self, Verdict};
use crate::auth::{self, Caller};
use crate::model::{Door, Visit, with_causes};

/// Our pages: nothing but our own files, no inline script or style, no frame around them.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
                           frame-ancestors 'none'";

/// The same for a page whose form leads on to `origin`; None if that is no origin.
pub(super) fn page_policy_with_form_to(origin: &str) -> Option<HeaderValue> {
    // Nothing that could end the rule and begin another.
    let is_plain = origin.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/[]*".contains(&byte));
    let policy = PAGE_POLICY.replace("form-action 'self'", &format!("form-action 'self' {origin}"));
    if is_plain { HeaderValue::try_from(policy).ok() } else { None }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// Headers of every answer, whatever becomes of the request.
pub(super) async fn stamp(State(state): State<HubState>, request: Request, next: Next) -> Response {
    let opener_policy = opener_policy(request.headers());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Some(hosts) = &state.config.user_hosts
        && !headers.contains_key(header::CONTENT_SECURITY_POLICY)
        && let Some(policy) = page_policy_with_form_to(&hosts.all_origins())
    {
        // Browsers hold a form to this also where its answer sends them on to: after signing in, to one's own host.
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if let Ok(version) = HeaderValue::from_str(&state.config.jupyterhub_version) {
        headers.insert("x-jupyterhub-version", version);
    }
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), opener_policy),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let usual = [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        // What a page says depends on who asks, and is stale the moment a server changes state.
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in usual {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Keeps a page that opened ours in a window of its own from reaching into it.
///
/// `same-origin` would do against other sites, but a server's page is of our origin: if it sends `same-origin` itself,
/// Chromium puts both into one group, and it read a hub page's form token (measured with Chromium 156).
/// `noopener-allow-popups` never joins a group; Chromium knows it since 131, and who does not know it takes it for
/// no policy at all. So it goes to those alone who say that they do.
fn opener_policy(headers: &HeaderMap) -> &'static str {
    let brands = text_of(headers, &HeaderName::from_static("sec-ch-ua")).unwrap_or_default();
    let version = brands.split("\"Chromium\";v=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse::<u32>().ok());
    match version {
        Some(131..) => "noopener-allow-popups",
        _ => "same-origin",
    }
}

/// The containers' door leads to the API and nowhere else, and knows no sessions: the edge sees to both, this is
/// the second line.
pub(super) async fn private_door(State(state): State<HubState>, mut request: Request, next: Next) -> Response {
    let is_private = request.extensions().get::<Visit>().is_some_and(|visit| visit.door == Door::Private);
    if !is_private {
        return next.run(request).await;
    }
    let path = request.uri().path();
    let api = state.config.hub("api");
    if !path.strip_prefix(&api).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return json_error(&HubError::NoSuchPage);
    }
    if request.extensions().get::<Caller>().is_some_and(|caller| caller.session().is_some()) {
        request.extensions_mut().insert(Caller::Anonymous);
    }
    next.run(request).await
}

/// No handler takes longer than `request_timeout_s`. What it has begun (a start, a commit) goes on.
pub(super) async fn time_limit(State(state): State<HubState>, request: Request, next: Next) -> Response {
    let limit = state.config.request_timeout();
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => HubError::Slow { limit }.into_response(),
    }
}

/// A hub page is opened by a person. A script, a frame or a form of another page gets nothing, whoever is signed
/// in: on one origin with the servers, this and the form token are what keeps their pages out of ours. A script that
/// shows the session's form token in a header is on a page of ours (`live.js` looks at its own page again): nobody
/// else's can read one, and it would be worth as much at the API.
pub(super) async fn navigations_only(
    State(state): State<HubState>,
    request: Request,
    next: Next,
) -> Result<Response, HubError> {
    let visit = request.extensions().get::<Visit>().ok_or(HubError::Wiring("the visit"))?;
    if !is_by_a_person(request.method(), request.headers(), &visit.origin) && !is_read_by_our_page(&state, &request) {
        return Err(HubError::NotANavigation);
    }
    // The router answers HEAD by what GET does: signing out, or starting a server, for somebody who only looks.
    let has_session = request.extensions().get::<Caller>().is_some_and(|caller| caller.session().is_some());
    if request.method() == Method::HEAD && has_session {
        return Err(HubError::MethodNotAllowed);
    }
    // A browser that only guesses where its person will go next must not start or end anything.
    if is_prefetch(request.headers()) {
        return Ok((StatusCode::SERVICE_UNAVAILABLE, [(header::CACHE_CONTROL, "no-store")]).into_response());
    }
    Ok(next.run(request).await)
}

fn is_read_by_our_page(state: &HubState, request: &Request) -> bool {
    let headers = request.headers();
    let has_session = request.extensions().get::<Caller>().is_some_and(|caller| caller.session().is_some());
    request.method() == Method::GET
        && has_session
        && text_of(headers, &SEC_FETCH_SITE) == Some("same-origin")
        && text_of(headers, &SEC_FETCH_DEST) == Some("empty")
        && xsrf::is_in_header(headers)
        && verdict_of(state, request) == Verdict::Passed
}

/// The same for callers with a session at the API: scripts of ours may ask, frames and other sites may not.
pub(super) async fn api_callers(mut request: Request, next: Next) -> Result<Response, HubError> {
    let has_session = request.extensions().get::<Caller>().is_some_and(|caller| caller.session().is_some());
    if has_session {
        let visit = request.extensions().get::<Visit>().ok_or(HubError::Wiring("the visit"))?;
        if !is_from_our_pages(request.method(), request.headers(), &visit.origin) {
            return Err(HubError::NotANavigation);
        }
        // A form cannot send JSON without asking first: from anything else a cookie's caller is nobody.
        if request.method() == Method::POST && !may_be_json(request.headers()) {
            request.extensions_mut().insert(Caller::Anonymous);
        }
    }
    Ok(next.run(request).await)
}

/// The router answers HEAD by what GET does; JupyterHub's API has none.
pub(super) async fn no_head(request: Request, next: Next) -> Result<Response, HubError> {
    if request.method() == Method::HEAD {
        return Err(HubError::MethodNotAllowed);
    }
    Ok(next.run(request).await)
}

/// True if the body says that it is JSON, or nothing. JupyterHub looks for the type in every part of the header; a
/// form may send `text/plain; application/json` without asking, so we look at the first.
fn may_be_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    types.all(|value| {
        let text = value.to_str().unwrap_or_default();
        let media_type = text.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/json")
    })
}

fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_by_a_person(method: &Method, headers: &HeaderMap, origin: &str) -> bool {
    let mode_fits = text_of(headers, &SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
    let is_document = text_of(headers, &SEC_FETCH_DEST).is_none_or(|dest| dest == "document");
    mode_fits && is_document && (method.is_safe() || is_from_our_pages(method, headers, origin))
}

fn is_from_our_pages(method: &Method, headers: &HeaderMap, origin: &str) -> bool {
    let is_navigation = text_of(headers, &SEC_FETCH_MODE) == Some("navigate");
    let is_framed = is_navigation && text_of(headers, &SEC_FETCH_DEST).is_some_and(|dest| dest != "document");
    if is_framed {
        return false;
    }
    // A read by navigation may come from anywhere (a link in a mail); it shows itself to its person only.
    if method.is_safe() && is_navigation {
        return true;
    }
    let site_fits = text_of(headers, &SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin_fits = text_of(headers, &header::ORIGIN).is_none_or(|sent| sent == origin);
    site_fits && origin_fits
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    let purpose = text_of(headers, &SEC_PURPOSE).or_else(|| text_of(headers, &HeaderName::from_static("purpose")));
    purpose.is_some_and(|purpose| purpose.contains("prefetch"))
}

/// Who must change the password gets to that page, to sign-out and to their own account; any other page leads there
/// and then back.
pub(super) async fn password_first(State(state): State<HubState>, request: Request, next: Next) -> Response {
    if !must_change_password(&request) {
        return next.run(request).await;
    }
    let path = request.uri().path();
    let change = state.config.hub("change-password");
    let is_account = request.method().is_safe() && path == state.config.hub("account");
    if path == change || path == state.config.hub("logout") || is_account {
        return next.run(request).await;
    }
    // What a form was to do is not done, so there is nothing to come back to.
    let back = request.method().is_safe().then(|| path_and_query(request.uri()));
    let location = back.map_or(change.clone(), |back| with_next(&change, &back));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// The same where programs ask: the sentence, and nothing else.
pub(super) async fn password_first_for_api(request: Request, next: Next) -> Result<Response, HubError> {
    if must_change_password(&request) { Err(HubError::PasswordFirst) } else { Ok(next.run(request).await) }
}

fn must_change_password(request: &Request) -> bool {
    request.extensions().get::<Caller>().is_some_and(auth::must_change_password)
}

/// Reads a posted form, so that the form token and the handler find its fields.
pub(super) async fn read_form(
    State(state): State<HubState>,
    request: Request,
    next: Next,
) -> Result<Response, HubError> {
    let request = form::read(request, state.config.form_limit_bytes).await?;
    Ok(next.run(request).await)
}

/// Checks the form token and refuses without one.
pub(super) async fn check_form_token(State(state): State<HubState>, request: Request, next: Next) -> Response {
    match verdict_of(&state, &request) {
        Verdict::Passed => next.run(request).await,
        failed => HubError::FormToken(failed).into_response(),
    }
}

/// Checks the form token and leaves the answer to the page, which shows its form again.
pub(super) async fn note_form_token(State(state): State<HubState>, mut request: Request, next: Next) -> Response {
    let verdict = verdict_of(&state, &request);
    request.extensions_mut().insert(FormToken(verdict));
    next.run(request).await
}

/// What `note_form_token` found.
#[derive(Clone, Copy)]
pub(super) struct FormToken(pub(super) Verdict);

impl FromRequestParts<HubState> for FormToken {
    type Rejection = HubError;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &HubState) -> Result<Self, HubError> {
        parts.extensions.get::<Self>().copied().ok_or(HubError::Wiring("the form token's verdict"))
    }
}

fn verdict_of(state: &HubState, request: &Request) -> Verdict {
    let headers = request.headers();
    if !xsrf::is_needed(request.method(), headers) {
        return Verdict::Passed;
    }
    let fields = request.extensions().get::<Fields>().cloned().unwrap_or_default();
    let token = xsrf::token_of(headers, request.uri().query(), &fields);
    match request.extensions().get::<Caller>() {
        Some(Caller::Session(session)) => xsrf::verdict(Some(&xsrf::Key::of_session(session)), token.as_deref()),
        // Also who brings a token: pages know none, and a server's page could put its own into the address of a form.
        _ => {
            let id = xsrf::visitor_id(headers, &visitor_cookie(state)).map(str::to_owned);
            let key = id.map(|id| state.visitor_key.of_visitor(&id));
            xsrf::verdict(key.as_ref(), token.as_deref())
        }
    }
}

/// Like `check_form_token`, for the API. Who has neither session nor token is refused by the endpoint itself, unless a
/// page sends the request: then the words must not tell whether somebody is signed in.
pub(super) async fn check_api_token(State(state): State<HubState>, request: Request, next: Next) -> Response {
    let is_exempt = match request.extensions().get::<Caller>() {
        Some(Caller::Session(_)) => false,
        Some(Caller::Token(_)) => true,
        Some(Caller::Anonymous) | None => !request.headers().contains_key(header::ORIGIN),
    };
    if is_exempt {
        return next.run(request).await;
    }
    check_form_token(State(state), request, next).await
}

/// The same where strangers may have something to say: they are let pass, whoever sends the request.
pub(super) async fn check_session_token(State(state): State<HubState>, request: Request, next: Next) -> Response {
    let has_session = request.extensions().get::<Caller>().is_some_and(|caller| caller.session().is_some());
    if !has_session {
        return next.run(request).await;
    }
    check_form_token(State(state), request, next).await
}

/// Turns errors of pages into pages, and logs them.
pub(super) async fn show_errors_as_pages(State(state): State<HubState>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
    let headers = request.headers().clone();
    let path = request.uri().path().to_owned();
    let is_shown = is_shown_to_a_person(&state, &request);
    let response = next.run(request).await;
    let Some(error) = raised(&response) else { return response };
    log(&error, &caller, &path);
    if let HubError::SignInFirst { next: Some(next) } = &*error {
        let location = with_next(&state.config.hub("login"), next);
        return (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
    }
    let (title, sentence) = error.for_people();
    // Of the edge, which has checked or made it: what to quote when one asks an administrator.
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let page = context! { status => error.status().as_u16(), title, sentence, request_id };
    // A script reads what it is answered, also on a server's page of our origin: an error tells it nothing of who is signed
    // in, and above all not the form token that every page of a signed-in person carries.
    let seen_by = if is_shown { caller } else { Caller::Anonymous };
    let frame = Frame::new(&state, &seen_by, &headers, &path);
    let mut shown = match frame.show(error.status(), "error.html", page) {
        Ok(page) => page,
        Err(broken) => {
            error!(error = %with_causes(&broken), "the error page could not be rendered");
            (error.status(), "Something went wrong.").into_response()
        }
    };
    if !is_shown {
        shown.headers_mut().remove(header::SET_COOKIE);
    }
    copy_head(&error, response.headers(), &mut shown);
    shown
}

/// False where a script, a frame or a form of another page gets the answer.
fn is_shown_to_a_person(state: &HubState, request: &Request) -> bool {
    let Some(visit) = request.extensions().get::<Visit>() else { return false };
    is_by_a_person(request.method(), request.headers(), &visit.origin) || is_read_by_our_page(state, request)
}

/// Turns errors of the API into JSON, and logs them.
pub(super) async fn show_errors_as_json(State(state): State<HubState>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>().cloned().unwrap_or_default();
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(error) = raised(&response) {
        log(&error, &caller, &path);
        let mut shown = json_error(&error);
        copy_head(&error, response.headers(), &mut shown);
        response = shown;
    }
    let is_without_content = response.status() == StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers
        .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("accept, content-type, authorization"));
    // Data is no document.
    let report = state.config.hub("security/csp-report");
    let policy = format!("frame-ancestors 'none'; report-uri {report}; default-src 'none'");
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    // JupyterHub says so of empty answers, too; 204 has no content to have a type.
    if !is_without_content {
        headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    response
}

/// `{"status", "message"}`, with what else a failed start has to say.
pub(super) fn json_error(error: &HubError) -> Response {
    let mut response = (error.status(), axum::Json(ErrorModel::of(error))).into_response();
    if let Some(wait) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}

/// The error that an answer stands for: one of ours, or what axum's own parts refused in plain text.
fn raised(response: &Response<Body>) -> Option<Arc<HubError>> {
    if let Some(Raised(error)) = response.extensions().get::<Raised>() {
        return Some(Arc::clone(error));
    }
    let status = response.status();
    let content_type = text_of(response.headers(), &header::CONTENT_TYPE);
    let is_plain = content_type.is_none_or(|text| text.starts_with("text/plain"));
    let is_refusal = (status.is_client_error() || status.is_server_error()) && is_plain;
    is_refusal.then(|| {
        let text = status.canonical_reason().unwrap_or("refused").to_owned();
        Arc::new(HubError::Refused { status, text })
    })
}

fn copy_head(error: &HubError, from: &HeaderMap, to: &mut Response) {
    if let Some(allow) = from.get(header::ALLOW) {
        to.headers_mut().insert(header::ALLOW, allow.clone());
    }
    if let Some(wait) = error.retry_after() {
        to.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
}

fn log(error: &HubError, caller: &Caller, path: &str) {
    let user = caller.name().map(str::to_owned);
    let cause = with_causes(error);
    if error.is_ours_to_mend() {
        error!(user, path, error = cause, "a request failed");
    } else if matches!(error, HubError::FormToken(_) | HubError::NotANavigation) {
        info!(user, path, error = cause, "a request was refused");
    } else {
        debug!(user, path, error = cause, "a request was answered with an error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_window_of_ours_stays_closed_to_its_opener() {
        let check = |brands: &'static str, expected: &str| {
            assert_eq!(opener_policy(&headers(&[("sec-ch-ua", brands)])), expected, "{brands}");
        };
        check(r#""Chromium";v="156", "Not.A/Brand";v="8""#, "noopener-allow-popups");
        check(r#""Not.A/Brand";v="8", "Google Chrome";v="131", "Chromium";v="131""#, "noopener-allow-popups");
        check(r#""Chromium";v="130""#, "same-origin");
        check(r#""Chromium";v="x""#, "same-origin");
        assert_eq!(opener_policy(&HeaderMap::new()), "same-origin");
    }

    #[test]
    fn what_comes_from_a_person_is_told_from_what_comes_from_a_page() {
        let origin = "https://lab.test";
        let check = |method: Method, pairs: &[(&'static str, &'static str)], page: bool, api: bool| {
            let headers = headers(pairs);
            assert_eq!(is_by_a_person(&method, &headers, origin), page, "page: {method} {pairs:?}");
            assert_eq!(is_from_our_pages(&method, &headers, origin), api, "api: {method} {pairs:?}");
        };
        let navigate = ("sec-fetch-mode", "navigate");
        let document = ("sec-fetch-dest", "document");
        check(Method::GET, &[], true, true);
        check(Method::GET, &[navigate, document, ("sec-fetch-site", "cross-site")], true, true);
        check(Method::GET, &[navigate, ("sec-fetch-dest", "iframe")], false, false);
        check(Method::GET, &[navigate, ("sec-fetch-dest", "fencedframe")], false, false);
        check(Method::GET, &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")], false, true);
        check(Method::GET, &[("sec-fetch-mode", "cors"), ("sec-fetch-site", "same-site")], false, false);
        check(Method::POST, &[navigate, document, ("sec-fetch-site", "same-origin"), ("origin", origin)], true, true);
        check(Method::POST, &[navigate, document, ("sec-fetch-site", "cross-site")], false, false);
        check(Method::POST, &[navigate, document, ("origin", "null")], false, false);
        check(Method::POST, &[("origin", "https://lab.test.evil")], false, false);
    }
}
