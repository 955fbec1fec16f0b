//! The life of a request, from top to bottom: the same over HTTP/1.1, HTTP/2, WebSockets and the private door.
//!
//! Normal path → which host → where to → who asks → may they → there and back. What is not ours goes to a router
//! (`routed`), if one takes it.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use http_body_util::Limited;

use super::admit::{self, Admission, Provenance};
use super::answer::{self, Refusal};
use super::caller::Credentials;
use super::detail::Noted;
use super::health::Probe;
use super::log::Record;
use super::request_id::{self, X_REQUEST_ID};
use super::route::{self, Destination, ServerRoute, ServiceRoute};
use super::visitors::Place;
use super::{Arrival, Edge, PublicUrl, forwarded, limits, log, trace, work};
use crate::auth::{self, Caller};
use crate::model::{
    Aim, Door, NormalPath, Route, Security, ServerKey, ServiceName, Trail, Unreachable, Upstream, UserName, Visit,
    is_navigation, percent_encode, prefers_html,
};
use crate::net::{OnUpgrade, RequestBody, ResponseBody};
use crate::proxy::{Forwarding, ProxyError, Socket, TokenRule};
use crate::routers::{Retries, Router};

/// Where an ACME authority looks.
const CHALLENGES: &str = "/.well-known/acme-challenge/";
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// A longer address is not carried through sign-in: encoded in `next=` it would exceed the limit of a target.
const NEXT_LIMIT_BYTES: usize = 4096;

impl Edge {
    /// Answers one request. A panic on the way is a 500 for this one and nobody else.
    pub(super) async fn answer(&self, arrival: &Arrival, mut request: Request<RequestBody>) -> Response<ResponseBody> {
        let id = request_id::settle(request.headers_mut());
        let trace = self.parts.config.trace_ratio.map(|ratio| {
            let is_from_proxy = forwarded::is_trusted(&self.parts.config.trusted_proxies, arrival.peer.ip());
            trace::settle(request.headers_mut(), ratio, is_from_proxy)
        });
        let mut record = match &self.parts.tell {
            Some(sink) => Record::begin(sink.clone(), self.parts.clock.now(), arrival, &request, &id, trace),
            None => Record::untold(),
        };
        let (manner, version, begun) = (Manner::of(&request), request.version(), Instant::now());
        let is_websocket = request.extensions().get::<OnUpgrade>().is_some();
        let request_bytes = request.body().size_hint().exact().unwrap_or(0);
        let life = self.life_of(arrival, request, &manner, &mut record);
        let mut response = match AssertUnwindSafe(life).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(refusal)) => self.refuse(&refusal, &manner, &id),
            Err(_) => self.refuse(&Refusal::Panicked, &manner, &id),
        };
        let noted = Noted {
            entry_point: log::entry_point(arrival),
            method: &manner.method,
            is_websocket,
            status: response.status(),
            duration: begun.elapsed(),
            request_bytes,
            answer_bytes: response.body().size_hint().exact().unwrap_or(0),
            trail: &record.trail,
        };
        self.counts.note(version, &noted);
        response.headers_mut().insert(X_REQUEST_ID, id);
        if let Some(strict_transport) = &self.strict_transport
            && arrival.door == Door::Public
            && record.is_for_hubs_host
            && self.is_over_tls(arrival)
        {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, strict_transport.clone());
        }
        record.follow(response)
    }

    async fn life_of(
        &self,
        arrival: &Arrival,
        request: Request<RequestBody>,
        manner: &Manner,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let parts = &*self.parts;
        let uri = request.uri().clone();

        // A path that is not its own normal form is refused, never repaired.
        let path = NormalPath::parse(uri.path())?;
        check_names(&request)?;
        let is_websocket = request.extensions().get::<OnUpgrade>().is_some();
        if request.method() == Method::TRACE || request.method() == Method::CONNECT && !is_websocket {
            return Err(Refusal::Method);
        }

        // Whether we live: asked without a name, without TLS and by whoever watches us. A router of another host may have
        // these paths for itself.
        let probe = Probe::of(request.method(), uri.path(), &parts.base);

        // An authority that checks whether a name is ours comes over plain HTTP and is told nothing else.
        if let Some(answer) = self.challenge_answer(arrival, &manner.method, uri.path()) {
            return Ok(answer);
        }

        // For which host, and from where.
        let site = self.site_of(arrival, &uri, request.headers())?;
        record.came_from(site.client);
        if self.address_limiter.is_on() && arrival.door == Door::Public {
            record.places[0] = self.address_limiter.admit(limits::shared_by(site.client), self.begun.elapsed())?;
        }
        // What is not the hub's is offered to the routers: another host, and in clear text what is no path of ours.
        // On the hub's own host and in TLS they come after our own paths, below.
        let is_hubs_host = self.is_hubs_host(&site);
        record.is_for_hubs_host = is_hubs_host;
        if (!is_hubs_host || !site.is_secure && !route::is_own(&parts.base, path))
            && arrival.door == Door::Public
            && (probe.is_none() || !is_hubs_host)
            && let Some(router) = self.router_for(arrival, &site, &request)
        {
            record.trail.aim = Aim::Router;
            return self.routed(request, &router, arrival, &site, manner, record).await;
        }
        if let Some(probe) = probe {
            let headers = request.headers();
            return Ok(probe.answer(&parts.unready, || {
                let (door, label) = (arrival.door, site.label.as_deref());
                let read = Credentials::read(&parts.auth, &parts.session_cookie, door, label, headers, uri.query());
                read.map(|credentials| credentials.for_hub()).unwrap_or_default()
            }));
        }
        if !site.is_ours {
            return Err(self.refuse_host(&site));
        }
        if !site.is_secure {
            return Ok(self.to_https(arrival, &site, &uri, manner));
        }

        // Where it goes.
        let destination = route::find(&parts.base, &parts.routes.current(), arrival.door, path)?;
        record.trail.aim = destination.aim();
        if let Some(answer) = self.at_its_host(arrival, &request, &destination, &site, manner, record)? {
            return Ok(answer);
        }
        if matches!(destination, Destination::Hub)
            && !parts.routers.is_empty()
            && !route::is_own(&parts.base, path)
            && let Some(router) = self.router_for(arrival, &site, &request)
        {
            record.trail.aim = Aim::Router;
            return self.routed(request, &router, arrival, &site, manner, record).await;
        }

        // Who sends it, whether they may, and there it goes.
        let (door, label) = (arrival.door, site.label.as_deref());
        let credentials =
            Credentials::read(&parts.auth, &parts.session_cookie, door, label, request.headers(), uri.query())?;
        let provenance = Provenance::read(request.method(), request.headers(), is_websocket);
        match destination {
            Destination::MissingSlash => {
                let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
                Ok(answer::redirect(StatusCode::MOVED_PERMANENTLY, &format!("{}/{query}", uri.path())))
            }
            Destination::Hub | Destination::Api => {
                let is_api = matches!(destination, Destination::Api);
                let caller = if is_api { credentials.for_hub() } else { credentials.for_pages() };
                self.limit_user(&caller, arrival.door, record)?;
                record.trail.sent_by(name_of(&caller));
                admit::provenance(&caller, provenance, site.authority.as_str())?;
                self.to_hub(request, caller, &site, arrival.door).await
            }
            Destination::NotReady(servers) => {
                let caller = credentials.for_server();
                self.limit_user(&caller, arrival.door, record)?;
                record.trail.sent_by(name_of(&caller));
                admit::provenance(&caller, provenance, site.authority.as_str())?;
                if let Some(page) = self.admit_to_server(&caller, &servers, &request, &site, manner)? {
                    return Ok(page);
                }
                let response = self.to_hub(request, caller, &site, arrival.door).await?;
                self.as_said_elsewhere(response, &site)
            }
            Destination::Ready(found) => {
                let caller = credentials.for_server();
                self.limit_user(&caller, arrival.door, record)?;
                record.trail.sent_by(name_of(&caller));
                admit::provenance(&caller, provenance, site.authority.as_str())?;
                let servers = std::slice::from_ref(&found.server);
                if let Some(page) = self.admit_to_server(&caller, servers, &request, &site, manner)? {
                    return Ok(page);
                }
                self.parts.auth.note_visit(&caller, &found.server, site.client);
                let sender = Sender { caller: &caller, credentials: &credentials, site: &site };
                self.to_server(request, &found, sender, manner, &mut record.trail).await
            }
            Destination::Service(ServiceRoute { service, route }) => {
                let caller = credentials.for_server();
                self.limit_user(&caller, arrival.door, record)?;
                record.trail.sent_by(name_of(&caller));
                let sender = Sender { caller: &caller, credentials: &credentials, site: &site };
                self.to_service(request, &route, &service, sender, &mut record.trail).await
            }
        }
    }

    /// Counts the request for its user. What comes by the private door is the servers' own, and exempt.
    pub(super) fn limit_user(&self, caller: &Caller, door: Door, record: &mut Record) -> Result<(), Refusal> {
        if self.user_limiter.is_on()
            && door == Door::Public
            && let Some(user) = caller.user()
        {
            record.places[1] = self.user_limiter.admit(user.name.as_str(), self.begun.elapsed())?;
        }
        Ok(())
    }

    /// The client's address and the host that it asked for, and whether that is one of ours.
    fn site_of(&self, arrival: &Arrival, uri: &Uri, headers: &HeaderMap) -> Result<Site, Refusal> {
        let config = &self.parts.config;
        let peer = arrival.peer.ip();
        let mut authority = admit::authority_of(uri.authority(), headers)?;
        if arrival.door == Door::Private {
            // Whatever name containers know us by is right there; the answer is for a token alone.
            return Ok(Site { client: peer, authority, is_secure: true, is_ours: true, label: None });
        }
        let is_from_proxy = forwarded::is_trusted(&config.trusted_proxies, peer);
        if is_from_proxy {
            if !forwarded::is_readable(config.forwarded_by, headers) {
                return Err(Refusal::bad("its Forwarded header cannot be read"));
            }
            if let Some(host) = forwarded::host(config.forwarded_by, headers) {
                authority = host.parse().map_err(|_| Refusal::bad("the host that its proxy forwards is not valid"))?;
            }
        }
        let is_certified = |host: &str| (self.parts.is_certified)(host);
        let is_secure = match &arrival.security {
            Security::Tls(_) => !is_from_proxy || forwarded::came_by_tls(config.forwarded_by, headers),
            Security::Plain => is_from_proxy && forwarded::came_by_tls(config.forwarded_by, headers),
            Security::PlainOnTlsPort => false,
        };
        // In clear text the port is another's; such a request is sent to the right one.
        let label = config.user_hosts.as_ref().and_then(|hosts| match is_secure {
            true => hosts.label_of(authority.as_str()),
            false => hosts.label_at_any_port(authority.host()),
        });
        let is_ours = label.is_some() || admit::is_our_host(&authority, config.public_url.as_ref(), is_certified);
        let client = forwarded::client(config.forwarded_by, &config.trusted_proxies, peer, headers);
        Ok(Site { client, authority, is_secure, is_ours, label })
    }

    /// For a host that is none of ours: a router may have it for other paths.
    fn refuse_host(&self, site: &Site) -> Refusal {
        let routers = &self.parts.routers;
        if !routers.is_empty() && routers.names_host(&site.authority.host().to_ascii_lowercase()) {
            return Refusal::NotFound;
        }
        Refusal::WrongHost { host: site.authority.as_str().to_owned() }
    }

    /// See `to_router`. Boxed: what most requests do not need shall not make every one's future larger.
    fn routed<'a>(
        &'a self,
        request: Request<RequestBody>,
        router: &'a Arc<Router>,
        arrival: &'a Arrival,
        site: &'a Site,
        manner: &'a Manner,
        record: &'a mut Record,
    ) -> BoxFuture<'a, Result<Response<ResponseBody>, Refusal>> {
        Box::pin(async move {
            let asked_at = Instant::now();
            record.trail.router = Some(router.name.to_string().into());
            record.trail.balancer = router.balancer.as_ref().map(|balancer| balancer.name().into());
            let note_user = |caller: &Caller| {
                record.trail.sent_by(name_of(caller));
                self.limit_user(caller, arrival.door, record)
            };
            let mut response = self.to_router(request, router, arrival, site, manner, note_user).await?;
            if let Some(upstream) = response.extensions_mut().remove::<Arc<Upstream>>() {
                record.trail.was_answered_by(upstream, asked_at, response.status().as_u16());
            }
            if let Some(Retries(retries)) = response.extensions_mut().remove() {
                record.trail.retries = retries;
            }
            Ok(response)
        })
    }

    /// False over plain HTTP from the client itself, where no browser may believe such a promise (RFC 6797).
    fn is_over_tls(&self, arrival: &Arrival) -> bool {
        match arrival.security {
            Security::Tls(_) => true,
            Security::Plain => forwarded::is_trusted(&self.parts.config.trusted_proxies, arrival.peer.ip()),
            Security::PlainOnTlsPort => false,
        }
    }

    /// The answer to an ACME authority's question (HTTP-01, RFC 8555), if somebody here waits for it.
    fn challenge_answer(&self, arrival: &Arrival, method: &Method, path: &str) -> Option<Response<ResponseBody>> {
        let is_asked = arrival.security == Security::Plain && arrival.door == Door::Public && method == Method::GET;
        let token = path.strip_prefix(CHALLENGES).filter(|_| is_asked)?;
        Some(answer::text((self.parts.challenge)(token)?))
    }

    /// The same address, with `https`.
    pub(super) fn to_https(
        &self,
        arrival: &Arrival,
        site: &Site,
        uri: &Uri,
        manner: &Manner,
    ) -> Response<ResponseBody> {
        let config = &self.parts.config;
        let is_from_proxy = forwarded::is_trusted(&config.trusted_proxies, arrival.peer.ip());
        let host = site.authority.host();
        let public_url = config.public_url.as_ref().filter(|url| {
            let public_host = url.authority().parse::<Authority>();
            public_host.is_ok_and(|public_host| public_host.host().eq_ignore_ascii_case(host))
        });
        let user_origin = config.user_hosts.as_ref().and_then(|hosts| Some(hosts.origin_of(site.label.as_ref()?)));
        let origin = match user_origin.or_else(|| public_url.map(PublicUrl::origin)) {
            Some(origin) => origin,
            // The port that was asked for is the TLS port already, or the proxy's matter.
            None if is_from_proxy || arrival.security == Security::PlainOnTlsPort => {
                format!("https://{}", site.authority)
            }
            None if config.https_port == 443 => format!("https://{host}"),
            None => format!("https://{host}:{}", config.https_port),
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let keeps_method = manner.method != Method::GET && manner.method != Method::HEAD;
        let status = if keeps_method { StatusCode::PERMANENT_REDIRECT } else { StatusCode::MOVED_PERMANENTLY };
        answer::redirect(status, &format!("{origin}{target}"))
    }

    /// Lets the request pass with `None`, sends a signed-out browser to sign in and one whose person must change the
    /// password to that page, or refuses.
    fn admit_to_server(
        &self,
        caller: &Caller,
        servers: &[ServerKey],
        request: &Request<RequestBody>,
        site: &Site,
        manner: &Manner,
    ) -> Result<Option<Response<ResponseBody>>, Refusal> {
        let uri = request.uri();
        let user_exists = servers.first().is_some_and(|server| self.parts.auth.user(&server.user).is_some());
        match admit::server(caller, servers, user_exists) {
            Admission::Admitted if !auth::must_change_password(caller) => Ok(None),
            Admission::Admitted if manner.is_navigation() => {
                let change = with_next(format!("{}change-password", self.hub_of(site)), uri);
                Ok(Some(answer::redirect(StatusCode::SEE_OTHER, &change)))
            }
            Admission::Admitted => Err(Refusal::PasswordFirst),
            Admission::Hidden => Err(Refusal::NotFound),
            Admission::Anonymous if manner.is_navigation() && site.label.is_some() => {
                Ok(Some(self.to_fetch_a_ticket(site, uri, request.headers())))
            }
            Admission::Anonymous if manner.is_navigation() => {
                let login = with_next(format!("{}login", self.parts.base.hub()), uri);
                Ok(Some(answer::redirect(StatusCode::FOUND, &login)))
            }
            Admission::Anonymous => Err(Refusal::Credentials),
        }
    }

    async fn to_hub(
        &self,
        request: Request<RequestBody>,
        caller: Caller,
        site: &Site,
        door: Door,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let config = &self.parts.config;
        let limit = Duration::from_secs(config.hub_timeout_s);
        let slow = |_| Refusal::HubSlow { limit };
        let mut request = limit_body(request, config.hub_body_limit_bytes)?;
        let body = std::mem::take(request.body_mut());
        let read = self.uploads.read(body, site.client, config.uploads());
        *request.body_mut() = tokio::time::timeout(limit, read).await.map_err(slow)??;

        let _permit = self.hub_permits.try_acquire().map_err(|_| Refusal::HubBusy)?;
        let ended = caller.ended().map(|ended| (**ended).clone());
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(Visit { address: site.client, origin: self.origin_of(site, door), door });

        let answered = tokio::time::timeout(limit, (self.parts.hub)(request)).await;
        let mut response = answered.map_err(slow)?;
        response.headers_mut().entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
        let Some(ended) = ended else { return Ok(response) };
        if !ended.is_cancelled() {
            return Ok(response.map(|body| body.ending_with([ended])));
        }
        // The session ended meanwhile, as sign-out means it to: its answer still goes out, but nothing endless does.
        let is_endless = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        if is_endless { Err(Refusal::Credentials) } else { Ok(response) }
    }

    async fn to_server(
        &self,
        request: Request<RequestBody>,
        found: &ServerRoute,
        Sender { caller, credentials, site }: Sender<'_>,
        manner: &Manner,
        trail: &mut Trail,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let parts = &*self.parts;
        let ServerRoute { server, route } = found;
        let original = request.uri().clone();
        let takes_lines = request.version() <= Version::HTTP_11;
        let request = limit_body(request, parts.config.server_body_limit_bytes)?;
        // A token gives its owner's rights to whoever sees it: only the owner's own server may.
        let is_foreign =
            credentials.own_tokens().any(|token| token.owner.user().is_none_or(|user| user.name != server.user));
        let visiting = is_foreign.then(|| parts.auth.visiting_token(caller, server)).flatten();
        let visit = if caller.user().is_some_and(|user| user.name == server.user) {
            None
        } else {
            let visit = self.visitors.begin(caller, Place::Server(server.clone()));
            // They have been let in a moment ago, before a change of rights would have cut them.
            visit.filter(|_| auth::may_access_server(caller, server)).map(Some).ok_or(Refusal::NotFound)?
        };
        let token = match (&visiting, is_foreign) {
            (Some(visiting), _) => TokenRule::Replace(visiting),
            (None, true) => TokenRule::Remove,
            (None, false) => TokenRule::Pass,
        };
        let meaning = work::meaning(
            request.method(),
            work::tail_of(original.path(), route.prefix(&parts.base)),
            original.query(),
            request.headers(),
            request.extensions().get::<OnUpgrade>().is_some(),
            &parts.config.ignored_paths,
        );
        let facts = Forwarding {
            is_activity: is_person(caller) && meaning.is_work,
            socket: meaning.socket,
            takes_lines,
            ended: visit.as_ref().or(caller.ended()),
            ..self.forwarding(route, caller, site, token)
        };
        trail.ask(&route.upstream);
        let error = match parts.proxy.forward(request, &route.upstream, facts).await {
            Ok(response) => {
                trail.answered(response.status().as_u16());
                return Ok(response);
            }
            Err(error) => error,
        };
        if let ProxyError::Unreachable { .. } = &error {
            (parts.report)(Unreachable { server: server.clone(), generation: route.generation });
        }
        let is_stopped = matches!(error, ProxyError::Unreachable { .. } | ProxyError::Gone { .. });
        if is_stopped && manner.is_navigation() {
            // The start page starts it again and comes back here; an error page would be the end of the way.
            return Ok(answer::redirect(StatusCode::SEE_OTHER, &self.start_page(server, site, &original)));
        }
        Err(error.into())
    }

    /// To a service, whoever asks. The session stays behind, and nothing is done in its name: no other site's page can
    /// use it there. A token gives its owner's rights to whoever sees it, so all but the service's own and its
    /// visitors' are replaced by one for this service alone, or removed if their owner has no access to it.
    async fn to_service(
        &self,
        request: Request<RequestBody>,
        route: &Arc<Route>,
        service: &ServiceName,
        Sender { caller, credentials, site }: Sender<'_>,
        trail: &mut Trail,
    ) -> Result<Response<ResponseBody>, Refusal> {
        let parts = &*self.parts;
        let takes_lines = request.version() <= Version::HTTP_11;
        let request = limit_body(request, parts.config.server_body_limit_bytes)?;
        let foreign = credentials.own_tokens().find(|token| !token.is_for_service(service));
        let visitor = foreign.map(|token| Caller::Token(token.clone()));
        let visiting = visitor.as_ref().and_then(|visitor| parts.auth.visiting_service_token(visitor, service));
        let token = match (&visiting, &visitor) {
            (Some(visiting), _) => TokenRule::Replace(visiting),
            (None, Some(_)) => TokenRule::Remove,
            (None, None) => TokenRule::Pass,
        };
        let facts = Forwarding { takes_lines, ..self.forwarding(route, caller, site, token) };
        trail.ask(&route.upstream);
        let response = parts.proxy.forward(request, &route.upstream, facts).await.map_err(Refusal::Service)?;
        trail.answered(response.status().as_u16());
        Ok(response)
    }

    /// What a server or service is told of a request.
    fn forwarding<'a>(
        &'a self,
        route: &'a Route,
        caller: &'a Caller,
        site: &'a Site,
        token: TokenRule<'a>,
    ) -> Forwarding<'a> {
        Forwarding {
            session_cookie: &self.parts.session_cookie,
            prefix: route.prefix(&self.parts.base),
            client: site.client,
            scheme: "https",
            host: site.authority.as_str(),
            port: site.authority.port_u16().unwrap_or(443),
            token,
            ended: caller.ended(),
            is_activity: false,
            socket: Socket::Other,
            takes_lines: false,
            relay: None,
        }
    }

    pub(super) fn refuse(&self, refusal: &Refusal, manner: &Manner, id: &HeaderValue) -> Response<ResponseBody> {
        let id = id.to_str().unwrap_or_default();
        answer::refuse(refusal, manner.wants_page(), &self.parts.base.hub(), id)
    }

    /// `{base}hub/spawn-pending/{user}[/{server}]?next=…`
    fn start_page(&self, server: &ServerKey, site: &Site, original: &Uri) -> String {
        let user = percent_encode(server.user.as_str());
        let mut page = format!("{}spawn-pending/{user}", self.hub_of(site));
        if !server.name.is_default() {
            page = format!("{page}/{}", percent_encode(server.name.as_str()));
        }
        with_next(page, original)
    }

    /// `https://host[:port]` as the browser sees us.
    fn origin_of(&self, site: &Site, door: Door) -> String {
        match (&self.parts.config.public_url, door) {
            (_, Door::Private) => format!("http://{}", site.authority),
            (Some(url), Door::Public) if admit::same_host(url.authority(), site.authority.as_str()) => url.origin(),
            (_, Door::Public) => format!("https://{}", site.authority),
        }
    }
}

/// Who is at the other end, and under which name they came.
pub(super) struct Site {
    pub(super) client: IpAddr,
    pub(super) authority: Authority,
    pub(super) is_secure: bool,
    /// False for a host under which only routers answer, if anybody does.
    pub(super) is_ours: bool,
    /// Of a user's own host, and no other.
    pub(super) label: Option<String>,
}

/// How an answer should be given, kept while the request itself goes elsewhere.
pub(super) struct Manner {
    method: Method,
    mode: Option<HeaderValue>,
    accept: Option<HeaderValue>,
}

impl Manner {
    fn of(request: &Request<RequestBody>) -> Self {
        let header = |name| request.headers().get(name).cloned();
        Self { method: request.method().clone(), mode: header(SEC_FETCH_MODE), accept: header(ACCEPT) }
    }

    pub(super) fn is_navigation(&self) -> bool {
        is_navigation(&self.method, &self.headers())
    }

    /// True if a person will look at the answer.
    fn wants_page(&self) -> bool {
        self.is_navigation() || self.mode.is_none() && prefers_html(&self.headers())
    }

    fn headers(&self) -> HeaderMap {
        let mode = self.mode.clone().map(|mode| (SEC_FETCH_MODE, mode));
        mode.into_iter().chain(self.accept.clone().map(|accept| (ACCEPT, accept))).collect()
    }
}

/// Who sends a request, what it brought to show that, and from where it came.
#[derive(Clone, Copy)]
struct Sender<'a> {
    caller: &'a Caller,
    credentials: &'a Credentials,
    site: &'a Site,
}

/// `http` takes `"` in a field's name, which RFC 9110 does not: what HTTP/2 brings there, HTTP/1.1 must not send on. Our own
/// codec for HTTP/1.1 has looked at its names already.
fn check_names(request: &Request<RequestBody>) -> Result<(), Refusal> {
    let is_checked = request.version() != Version::HTTP_2;
    if is_checked || request.headers().keys().all(|name| !name.as_str().contains('"')) {
        return Ok(());
    }
    Err(Refusal::bad("a malformed header name"))
}

pub(super) fn name_of(caller: &Caller) -> Option<&UserName> {
    caller.user().map(|user| &user.name)
}

/// False for a server that calls with its own token: that it runs does not mean that anybody uses it.
fn is_person(caller: &Caller) -> bool {
    !caller.token().is_some_and(|token| token.is_a_servers_own())
}

/// `address?next=…`, so that the browser comes back to `original`.
pub(super) fn with_next(address: String, original: &Uri) -> String {
    let target = original.path_and_query().map_or("/", |target| target.as_str());
    if target.len() > NEXT_LIMIT_BYTES {
        return address;
    }
    format!("{address}?next={}", percent_encode(target))
}

/// The request with a body that cannot be longer than `limit_bytes`.
pub(super) fn limit_body(mut request: Request<RequestBody>, limit_bytes: u64) -> Result<Request<RequestBody>, Refusal> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    admit::body(announced, limit_bytes)?;
    if announced.is_none() && !matches!(request.body(), RequestBody::Empty) {
        let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = RequestBody::stream(Limited::new(body, limit));
    }
    Ok(request)
}

#[cfg(test)]
mod tests;
