//! `isolation = "subdomain"`: what belongs on which host, and the way from the hub's host to a user's own.
//!
//! The hub lives on the host of `public_url`; a user's servers live on that user's host and nowhere else. A browser that comes
//! there without a cookie of that host is sent to `{base}hub/enter` on the hub's host, which knows its session and asks the
//! same policy as ever; from there a ticket leads to `{base}hub/enter` on the user's host, where it becomes a cookie
//! (`auth::host_cookie`). What a browser holds in a nonce cookie on the user's host ties the two together: nobody can
//! give it a ticket that it did not ask for.

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::admit::{self, Admission};
use super::answer::{self, Refusal};
use super::caller::{Credentials, cookies_of};
use super::log::Record;
use super::request::{Manner, Site, name_of, with_next};
use super::route::{self, Destination};
use super::tickets::{Ticket, state_of};
use super::{Arrival, Edge};
use crate::auth;
use crate::model::{Door, NormalPath, ServerKey, ServerPath, UserHosts};
use crate::net::{RequestBody, ResponseBody};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// As JupyterHub's: servers notice by it that another session has begun.
const HUB_SESSION_COOKIE: &str = "jupyterhub-session-id";
/// How long a browser holds its nonce, in seconds. 600: a person may have to sign in on the way.
const NONCE_AGE_S: u64 = 600;
/// Cookies of the nonce's name that are looked at.
const NONCES_LIMIT: usize = 4;

impl Edge {
    /// Answers what belongs on another host than it came for, and both ends of the way to a user's host; with `None` the
    /// request goes on: it is where it belongs.
    pub(super) fn at_its_host(
        &self,
        arrival: &Arrival,
        request: &Request<RequestBody>,
        destination: &Destination,
        site: &Site,
        manner: &Manner,
        record: &mut Record,
    ) -> Result<Option<Response<ResponseBody>>, Refusal> {
        let Some(hosts) = self.parts.config.user_hosts.as_ref().filter(|_| arrival.door == Door::Public) else {
            return Ok(None);
        };
        let (base, uri) = (&self.parts.base, request.uri());
        let is_enter = uri.path().strip_prefix(base.as_str()) == Some("hub/enter");
        let server_path = ServerPath::parse(base, NormalPath::parse(uri.path())?)?;
        let Some(label) = &site.label else {
            if is_enter {
                return self.enter(arrival, request, hosts, manner, record).map(Some);
            }
            let Some(server_path) = server_path else { return Ok(None) };
            // A script, a form or a WebSocket does not change hosts: where it looks, nobody's server is.
            let user = server_path.user().filter(|_| manner.is_navigation()).ok_or(Refusal::NotFound)?;
            return Ok(Some(answer::redirect(
                StatusCode::SEE_OTHER,
                &format!("{}{}", hosts.origin(&user), target_of(uri)),
            )));
        };
        let host = site.authority.host().to_ascii_lowercase();
        if !self.parts.routers.is_empty() && self.parts.routers.names_host(&host) {
            // A router has this host for itself: one origin is not for two.
            return Err(Refusal::NotFound);
        }
        if is_enter {
            return self.redeem(request, hosts, label, manner).map(Some);
        }
        if let Some(server_path) = server_path {
            let is_owners = server_path.user().is_some_and(|user| hosts.is_of(label, &user));
            return if is_owners { Ok(None) } else { Err(Refusal::NotFound) };
        }
        if matches!(destination, Destination::Hub) && manner.is_navigation() {
            // Nothing of the hub is here; a person who looks for it is shown the way.
            return Ok(Some(answer::redirect(
                StatusCode::SEE_OTHER,
                &format!("{}{}", hosts.hub_origin(), target_of(uri)),
            )));
        }
        Err(Refusal::NotFound)
    }

    /// `{base}hub/`, with the hub's origin if the request came for another host.
    pub(super) fn hub_of(&self, site: &Site) -> String {
        let hub = self.parts.base.hub();
        match &self.parts.config.user_hosts {
            Some(hosts) if site.label.is_some() => format!("{}{hub}", hosts.hub_origin()),
            Some(_) | None => hub,
        }
    }

    /// Sends a browser that is nobody on this user's host to the hub, and back here with a ticket.
    pub(super) fn to_fetch_a_ticket(&self, site: &Site, uri: &Uri, headers: &HeaderMap) -> Response<ResponseBody> {
        let name = self.nonce_cookie();
        // Tabs that come together share the nonce: else the last would make the others start over.
        let held =
            cookies_of(headers, &name).find(|nonce| nonce.len() == 64 && nonce.bytes().all(|b| b.is_ascii_hexdigit()));
        let nonce = held.map_or_else(|| self.tickets.nonce(), str::to_owned);
        let enter = with_next(format!("{}enter", self.hub_of(site)), uri);
        let joint = if enter.contains('?') { '&' } else { '?' };
        let mut response =
            answer::redirect(StatusCode::SEE_OTHER, &format!("{enter}{joint}state={}", state_of(&nonce)));
        set_cookie(
            &mut response,
            &format!("{name}={nonce}; Path=/; Max-Age={NONCE_AGE_S}; Secure; HttpOnly; SameSite=Lax"),
        );
        response
    }

    /// On the hub's host: a ticket for who may use the server that `next` means.
    fn enter(
        &self,
        arrival: &Arrival,
        request: &Request<RequestBody>,
        hosts: &UserHosts,
        manner: &Manner,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let parts = &*self.parts;
        let uri = request.uri();
        check_is_opened(request, manner)?;

        // Where to: only a path of somebody's servers is such a place, and it says by itself on which host it is.
        let next = parameter(uri, "next").ok_or(Refusal::NotFound)?;
        let target = PathAndQuery::try_from(next.as_str()).map_err(|_| Refusal::NotFound)?;
        let path = NormalPath::parse(target.path())?;
        let owner = ServerPath::parse(&parts.base, path)?.and_then(|path| path.user()).ok_or(Refusal::NotFound)?;
        let servers = match route::find(&parts.base, &parts.routes.current(), arrival.door, path)? {
            Destination::Ready(found) => vec![found.server],
            Destination::NotReady(servers) => servers,
            Destination::MissingSlash => vec![ServerKey::default_of(owner.clone())],
            Destination::Hub | Destination::Api | Destination::Service(_) => return Err(Refusal::NotFound),
        };

        // Who, and may they.
        let headers = request.headers();
        let credentials = Credentials::read(&parts.auth, &parts.session_cookie, arrival.door, None, headers, None)?;
        let caller = credentials.for_pages();
        self.limit_user(&caller, arrival.door, record)?;
        record.trail.sent_by(name_of(&caller));
        let Some(session) = caller.session() else {
            return Ok(answer::redirect(StatusCode::FOUND, &with_next(format!("{}login", parts.base.hub()), uri)));
        };
        match admit::server(&caller, &servers, parts.auth.user(&owner).is_some()) {
            Admission::Admitted if auth::must_change_password(&caller) => {
                let change = with_next(format!("{}change-password", parts.base.hub()), uri);
                return Ok(answer::redirect(StatusCode::SEE_OTHER, &change));
            }
            Admission::Admitted => {}
            Admission::Anonymous | Admission::Hidden => return Err(Refusal::NotFound),
        }

        let Some(state) = parameter(uri, "state").filter(|state| state.len() == 43) else {
            // Not sent here by the user's host: it asks for a ticket by itself.
            return Ok(answer::redirect(StatusCode::SEE_OTHER, &format!("{}{target}", hosts.origin(&owner))));
        };
        let ticket = Ticket { session: session.key, label: hosts.label(&owner), state, target: target.to_string() };
        let ticket = self.tickets.issue(ticket, parts.clock.now()).ok_or(Refusal::HubBusy)?;
        let address = format!("{}{}enter?ticket={}", hosts.origin(&owner), parts.base.hub(), ticket.expose());
        Ok(not_kept(answer::redirect(StatusCode::SEE_OTHER, &address)))
    }

    /// On a user's host: turns a ticket into that host's cookie and goes on to what was asked for.
    fn redeem(
        &self,
        request: &Request<RequestBody>,
        hosts: &UserHosts,
        label: &str,
        manner: &Manner,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let parts = &*self.parts;
        check_is_opened(request, manner)?;
        let name = self.nonce_cookie();
        let states: Vec<String> = cookies_of(request.headers(), &name).take(NONCES_LIMIT).map(state_of).collect();
        let ticket = parameter(request.uri(), "ticket")
            .and_then(|text| self.tickets.redeem(&text, label, &states, parts.clock.now()));
        let found = ticket.and_then(|ticket| Some((parts.auth.session_of_key(&ticket.session)?, ticket.target)));
        let Some((session, target)) = found else {
            // A page that was gone back to, or somebody else's ticket.
            return Ok(not_kept(answer::redirect(
                StatusCode::SEE_OTHER,
                &format!("{}{}home", hosts.hub_origin(), parts.base.hub()),
            )));
        };
        let mut response = not_kept(answer::redirect(StatusCode::SEE_OTHER, &target));
        let cookie = parts.auth.host_cookie(&session, label);
        // Without an age: it goes with the browser, and the next visit fetches another by itself.
        let cookie = format!("{}={}; Path=/; Secure; HttpOnly; SameSite=Lax", parts.session_cookie, cookie.expose());
        set_cookie(&mut response, &cookie);
        let id = &session.hub_session_id;
        set_cookie(&mut response, &format!("{HUB_SESSION_COOKIE}={id}; Path={}; Secure; SameSite=Lax", parts.base));
        Ok(response)
    }

    /// What the hub said of a server that is not ready, as the user's host may say it: no page, no cookie, and the way to
    /// the hub's host in full.
    pub(super) fn as_said_elsewhere(
        &self,
        mut response: Response<ResponseBody>,
        site: &Site,
    ) -> Result<Response<ResponseBody>, Refusal> {
        if site.label.is_none() {
            return Ok(response);
        }
        let headers = response.headers_mut();
        headers.remove(SET_COOKIE);
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        if let Some(rest) = location.and_then(|location| location.strip_prefix(&self.parts.base.hub())) {
            let address = HeaderValue::try_from(format!("{}{rest}", self.hub_of(site)));
            headers.insert(LOCATION, address.map_err(|_| Refusal::NotFound)?);
            return Ok(response);
        }
        let is_page = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if is_page { Err(Refusal::NotFound) } else { Ok(response) }
    }

    fn nonce_cookie(&self) -> String {
        format!("{}-enter", self.parts.session_cookie)
    }
}

/// The way is for people who open a page: no script, no frame and no form goes it.
fn check_is_opened(request: &Request<RequestBody>, manner: &Manner) -> Result<(), Refusal> {
    if request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    let is_document = request.headers().get(SEC_FETCH_DEST).is_none_or(|dest| dest == "document");
    if manner.is_navigation() && is_document { Ok(()) } else { Err(Refusal::CrossSite) }
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Path and query, as they came.
fn target_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

fn set_cookie(response: &mut Response<ResponseBody>, cookie: &str) {
    // Hex, base64url and our own names: always a header value.
    if let Ok(value) = HeaderValue::try_from(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn not_kept(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
