//! A request that a router took: who may use it, what its target is told of them, and the answer.
//!
//! The client's own words about itself (identity, forwarded headers, our session) are gone before the first middleware
//! sees the request; what is added from then on is ours or a middleware's, and reaches the target.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::admit::{self, Admission, Provenance};
use super::answer::{self, Refusal};
use super::caller::Credentials;
use super::request::{Manner, Site, limit_body, with_next};
use super::request_id::X_REQUEST_ID;
use super::starting::{self, START};
use super::visitors::Place;
use super::{Arrival, Edge};
use crate::auth::{self, Caller, User};
use crate::model::{GroupName, Security, percent_encode};
use crate::net::{OnUpgrade, RequestBody, ResponseBody};
use crate::proxy::{confine_answer, remove_claims};
use crate::routers::{Access, EntryPoint, Facts, Question, Retries, Router, ServeError};

/// What has no id; `answer` gives each request one.
static NO_ID: HeaderValue = HeaderValue::from_static("");

/// A person's groups in one header. 4 KiB: some hundred names; what does not fit is left out whole.
const GROUPS_LIMIT_BYTES: usize = 4096;

impl Edge {
    /// The router that takes this request, if any does. Nothing is asked while there are no routers.
    pub(super) fn router_for(
        &self,
        arrival: &Arrival,
        site: &Site,
        request: &Request<RequestBody>,
    ) -> Option<Arc<Router>> {
        let routers = &self.parts.routers;
        if routers.is_empty() {
            return None;
        }
        let is_websocket = request.extensions().get::<OnUpgrade>().is_some();
        let host = site.authority.host().to_ascii_lowercase();
        routers.find(&Question {
            entry_point: entry_point_of(arrival, site),
            host: &host,
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            method: if is_websocket { &Method::GET } else { request.method() },
            headers: request.headers(),
            client: site.client,
        })
    }

    /// Whether the hub lives on the host that this request is for. With a `public_url` it lives there, and on other
    /// hosts of ours as long as no router names them.
    pub(super) fn is_hubs_host(&self, site: &Site) -> bool {
        if !site.is_ours {
            return false;
        }
        let Some(public_url) = &self.parts.config.public_url else { return true };
        admit::same_host(public_url.authority(), site.authority.as_str())
            || self.parts.routers.is_empty()
            || !self.parts.routers.names_host(&site.authority.host().to_ascii_lowercase())
    }

    /// Serves a request that `router` took.
    pub(super) async fn to_router(
        &self,
        mut request: Request<RequestBody>,
        router: &Arc<Router>,
        arrival: &Arrival,
        site: &Site,
        manner: &Manner,
        note_user: impl FnOnce(&Caller) -> Result<(), Refusal>,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let parts = &*self.parts;
        let is_websocket = request.extensions().get::<OnUpgrade>().is_some();
        let is_hubs_host = self.is_hubs_host(site);
        let original = request.uri().clone();
        let id = request.headers().get(X_REQUEST_ID).cloned();

        let host = site.authority.host().to_ascii_lowercase();
        if !router.client_certificate.is_met(&arrival.security, &host) {
            return match site.is_secure {
                true => Err(Refusal::ClientCertificate),
                false => Ok(self.to_https(arrival, site, &original, manner)),
            };
        }

        // Who asks, and may they. Public routers know nobody: a session neither matters nor is it looked up there.
        let mut visit = None;
        let (caller, has_token) = if router.access == Access::Public {
            let has_token = Credentials::has_own_token(&parts.auth, request.headers(), original.query())?;
            (Caller::Anonymous, has_token)
        } else if !site.is_secure {
            // Nobody signs in, and nothing that is behind a sign-in passes, in clear text.
            return Ok(self.to_https(arrival, site, &original, manner));
        } else if !is_hubs_host {
            // The session's cookie never comes to another host, so nobody could ever pass.
            return Err(Refusal::Credentials);
        } else {
            let credentials = Credentials::read(
                &parts.auth,
                &parts.session_cookie,
                arrival.door,
                None,
                request.headers(),
                original.query(),
            )?;
            let provenance = Provenance::read(request.method(), request.headers(), is_websocket);
            let caller = credentials.for_server();
            note_user(&caller)?;
            admit::provenance(&caller, provenance, site.authority.as_str())?;
            if matches!(router.access, Access::Group(_) | Access::Admin) {
                visit = self.visitors.begin(&caller, Place::Router(router.access.clone()));
            }
            if let Some(page) = self.admit_to_router(&caller, router, &original, manner)? {
                return Ok(page);
            }
            (caller, credentials.own_tokens().next().is_some())
        };

        let wants_progress = request.headers().contains_key(START) && request.method() == Method::GET;
        if wants_progress && router.lazy.is_some() {
            return Ok(starting::progress(&parts.routers.progress(router)));
        }

        // What the target sees of the client is said by us alone.
        let request_headers = request.headers_mut();
        remove_claims(request_headers, &parts.session_cookie);
        remove_named(request_headers, router.identity_header());
        if let Some(user) = caller.user() {
            self.identify(request_headers, router, &caller, user);
        }
        *request.uri_mut() = target_of(&original, has_token)?;
        if has_token {
            remove_token(request.headers_mut());
        }
        if is_websocket {
            // Over HTTP/2 it came as a CONNECT; to whoever reads the method it is what it is over HTTP/1.1.
            *request.method_mut() = Method::GET;
        }
        let facts = Facts {
            client: site.client,
            scheme: if site.is_secure { "https" } else { "http" },
            host: site.authority.as_str(),
            port: site.authority.port_u16().unwrap_or(if site.is_secure { 443 } else { 80 }),
            is_websocket,
            session_cookie: &parts.session_cookie,
        };
        add_forwarded(request.headers_mut(), &facts);
        let request = limit_body(request, parts.config.server_body_limit_bytes)?;
        let wait = !manner.is_navigation();
        let mut response = parts.routers.answer(router, request, &facts, visit.as_ref().or(caller.ended()), wait).await;
        confine_answer(response.headers_mut(), &parts.session_cookie, is_hubs_host);
        let Some(error) = response.extensions_mut().remove::<Arc<ServeError>>() else { return Ok(response) };
        // Nobody but us has answered: a page for people, JSON for programs; what middlewares have added stays.
        let may_see_log = router.access != Access::Public;
        let mut page = self.refuse(&Refusal::Routed { error, may_see_log }, manner, id.as_ref().unwrap_or(&NO_ID));
        let own: Vec<HeaderName> = page.headers().keys().cloned().chain([CONTENT_LENGTH]).collect();
        for (name, value) in response.headers().iter().filter(|(name, _)| !own.contains(name)) {
            page.headers_mut().append(name, value.clone());
        }
        if let Some(retries) = response.extensions_mut().remove::<Retries>() {
            page.extensions_mut().insert(retries);
        }
        Ok(page)
    }

    /// As for a server: passes with `None`, sends a browser to sign in or to change the password, or refuses.
    fn admit_to_router(
        &self,
        caller: &Caller,
        router: &Router,
        uri: &Uri,
        manner: &Manner,
    ) -> Result<Option<Response<ResponseBody>>, Refusal> {
        let is_member = |user: &User, group: &GroupName| self.parts.auth.groups_of(&user.name).contains(group);
        let to_page = |page: &str, status| {
            let address = with_next(format!("{}{page}", self.parts.base.hub()), uri);
            Ok(Some(answer::redirect(status, &address)))
        };
        match admit::routed(caller, &router.access, is_member) {
            Admission::Admitted if !auth::must_change_password(caller) => Ok(None),
            Admission::Admitted if manner.is_navigation() => to_page("change-password", StatusCode::SEE_OTHER),
            Admission::Admitted => Err(Refusal::PasswordFirst),
            Admission::Anonymous if manner.is_navigation() => to_page("login", StatusCode::FOUND),
            Admission::Anonymous => Err(Refusal::Credentials),
            Admission::Hidden => {
                let who = caller.name().unwrap_or_default().to_owned();
                Err(Refusal::NotAllowed { who })
            }
        }
    }

    /// Who it is, in the headers that programs behind a sign-in read.
    fn identify(&self, headers: &mut HeaderMap, router: &Router, caller: &Caller, user: &User) {
        let name = as_header(user.name.as_str());
        let groups = self.parts.auth.groups_of(&user.name);
        let groups = groups_header(groups.iter().map(GroupName::as_str));
        let mut put = |header: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(header, value);
            }
        };
        for header in ["remote-user", "x-forwarded-user", "x-slipway-user", "x-webauth-user"] {
            put(HeaderName::from_static(header), &name);
        }
        for header in ["remote-groups", "x-forwarded-groups", "x-slipway-groups"] {
            put(HeaderName::from_static(header), &groups);
        }
        let is_admin = if caller.is_admin() { "true" } else { "false" };
        put(HeaderName::from_static("x-slipway-admin"), is_admin);
        if let Some(header) = router.identity_header() {
            put(header.clone(), &name);
        }
    }
}

fn entry_point_of(arrival: &Arrival, site: &Site) -> EntryPoint {
    match &arrival.security {
        Security::PlainOnTlsPort | Security::Tls(_) => EntryPoint::WebSecure,
        // A trusted proxy that has ended TLS speaks for the secure one.
        Security::Plain if site.is_secure => EntryPoint::WebSecure,
        Security::Plain => EntryPoint::Web,
    }
}

/// A name that is safe in a header: what is not plain ASCII, and `%` and `,` themselves, percent-encoded. No two names
/// give the same.
fn as_header(name: &str) -> String {
    percent_encode(name).replace("%40", "@")
}

/// Names separated by commas, as many as fit.
fn groups_header<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::new();
    for name in names {
        let name = as_header(name);
        if all.len() + name.len() + 1 > GROUPS_LIMIT_BYTES {
            break;
        }
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(&name);
    }
    all
}

/// Removes the header that a router gives the identity in, in every spelling that some program reads as that.
fn remove_named(headers: &mut HeaderMap, name: Option<&HeaderName>) {
    let Some(name) = name else { return };
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let wanted = plain(name.as_str());
    let same: Vec<HeaderName> = headers.keys().filter(|name| plain(name.as_str()) == wanted).cloned().collect();
    for name in same {
        headers.remove(name);
    }
}

/// Path and query alone, as HTTP/1.1 sends them; without `token=` if one of ours may be there.
fn target_of(uri: &Uri, has_token: bool) -> Result<Uri, Refusal> {
    let path = uri.path();
    let target = match uri.query() {
        Some(query) if has_token => {
            let kept: Vec<&str> = query.split('&').filter(|pair| !is_token_pair(pair)).collect();
            if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
        }
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let target = PathAndQuery::try_from(target).map_err(|_| Refusal::bad("its address is not valid"))?;
    Ok(Uri::from(target))
}

/// True for `token=…`, however the name is encoded.
fn is_token_pair(pair: &str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == "token")
}

/// A token of ours gives its owner's rights to whoever sees it: no target does.
fn remove_token(headers: &mut HeaderMap) {
    let is_token = |value: &HeaderValue| {
        let scheme = value.as_bytes().trim_ascii_start().split(|byte| byte.is_ascii_whitespace()).next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"token") || scheme.eq_ignore_ascii_case(b"bearer"))
    };
    if headers.get(http::header::AUTHORIZATION).is_some_and(is_token) {
        headers.remove(http::header::AUTHORIZATION);
    }
}

fn add_forwarded(headers: &mut HeaderMap, facts: &Facts<'_>) {
    let client: IpAddr = facts.client;
    let proto = match (facts.is_websocket, facts.scheme) {
        (true, "https") => "wss",
        (true, _) => "ws",
        (false, scheme) => scheme,
    };
    let values = [
        ("x-forwarded-for", client.to_string()),
        ("x-real-ip", client.to_string()),
        ("x-forwarded-proto", proto.to_owned()),
        ("x-forwarded-host", facts.host.to_owned()),
        ("x-forwarded-port", facts.port.to_string()),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if !headers.contains_key(http::header::HOST)
        && let Ok(host) = HeaderValue::from_str(facts.host)
    {
        headers.insert(http::header::HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_never_give_one_header() {
        assert_eq!(as_header("alice@example.org"), "alice@example.org");
        assert_eq!(as_header("ü"), "%C3%BC");
        assert_eq!(as_header("%c3%bc"), "%25c3%25bc");
        assert_eq!(groups_header(["a b", "c,d", "e"].into_iter()), "a%20b,c%2Cd,e");
        let many: Vec<String> = (0..1_000).map(|n| format!("group-{n}")).collect();
        let header = groups_header(many.iter().map(String::as_str));
        assert!(header.len() <= GROUPS_LIMIT_BYTES && !header.ends_with(','));
    }

    #[test]
    fn a_token_of_ours_stays_behind() {
        let target = |text: &str| {
            let uri = text.parse().expect("an address");
            target_of(&uri, true).expect("valid").to_string()
        };
        assert_eq!(target("https://x/a/b?a=1&token=s&b"), "/a/b?a=1&b");
        assert_eq!(target("https://x/a?%74oken=s"), "/a");
        assert_eq!(target("https://x/a?tokens=s"), "/a?tokens=s");
        let uri = "https://x/a?token=theirs".parse().expect("an address");
        assert_eq!(target_of(&uri, false).expect("valid").to_string(), "/a?token=theirs");
    }
}
