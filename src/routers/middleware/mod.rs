//! Middlewares: what happens to a request before its target sees it, and to the answer before the browser does.
//!
//! One file a middleware: how it is read (`read`) and what it does. Each has Traefik's options, names and semantics;
//! what we do not have is refused when it is read. The state that some keep (rates, breakers) is bounded, and time
//! comes from `Tools::clock`.
//!
//! `serve` runs a router's chain by `run`, and stands behind it as `Beyond`: the router's balancer, or another one
//! where an error page comes from.

mod add_prefix;
mod address;
mod answer;
mod basic_auth;
mod buffering;
mod circuit_breaker;
mod compress;
mod cookies;
mod cors;
mod errors;
mod expression;
mod forward_auth;
mod gather;
mod headers;
mod held;
mod htpasswd;
mod in_flight;
mod ip_allow_list;
mod lent;
mod measures;
mod pattern;
mod rate_limit;
mod redirect_regex;
mod redirect_scheme;
mod replace_path;
mod replace_path_regex;
mod retry;
mod source;
mod status_ranges;
mod strip_prefix;
mod strip_prefix_regex;

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::Semaphore;

pub use answer::NoAnswer;
use rate_limit::Verdict;
pub use retry::Retries;

use super::balancer::Balancer;
use super::{Fields, Problem, did_you_mean, quoted};
use crate::model::{Clock, Random};
use crate::net::{RequestBody, ResponseBody};
use crate::proxy::Proxy;

/// What is known of a request beside itself. Middlewares do not change it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The client's address, as the edge believes it.
    pub client: IpAddr,
    /// `https` or `http`: what the browser sees.
    pub scheme: &'static str,
    /// As the client sent it, port included.
    pub host: &'a str,
    /// The port that the browser connected to.
    pub port: u16,
    /// True if the request asks for a WebSocket.
    pub is_websocket: bool,
    /// Name of our session cookie: shown to nobody behind us.
    pub session_cookie: &'a str,
}

/// What middlewares work with; made once for all. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    clock: Arc<dyn Clock>,
    pub(super) proxy: Proxy,
    /// Right passwords are remembered under this key.
    key: [u8; 32],
    /// Who has a place for a password's check: those that run and those that wait.
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// Checks of passwords at once. Two: they take a core each, and the others are for requests.
const CHECKS_AT_ONCE: usize = 2;
/// And those that wait for a turn: at 60 ms a check these are two seconds.
const CHECKS_IN_ALL: usize = 64;

impl Tools {
    /// Tools that go by this clock; `proxy` carries `ForwardAuth`'s questions.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, proxy: Proxy, random: &Random) -> Self {
        Self {
            clock,
            proxy,
            key: random.bytes(),
            places: Arc::new(Semaphore::new(CHECKS_IN_ALL)),
            running: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
        }
    }

    /// What stands for a name and a password where right ones are remembered.
    fn remembering_key(&self, name: &str, password: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&name.len().to_le_bytes()).update(name.as_bytes());
        *hasher.update(password).finalize().as_bytes()
    }

    /// Runs `check` on the blocking pool; none if too many wait already.
    async fn check_password(&self, check: impl FnOnce() -> bool + Send + 'static) -> Option<bool> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let turn = self.running.clone().acquire_owned().await.ok()?;
        // The permits go along: one who has gone away still occupies the core.
        let checking = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            check()
        });
        checking.await.ok()
    }
}

/// What stands behind the last middleware.
///
/// An answer that a target was to give and did not (no connection, a timeout) carries `NoAnswer` in its extensions; one that
/// says that there is no target does not: to try again would find none either.
pub trait Beyond: Send + Sync {
    /// Sends the request to what the router leads to.
    fn to_target<'a>(&'a self, request: Request<RequestBody>) -> BoxFuture<'a, Response<ResponseBody>>;

    /// Sends it to this balancer: for error pages.
    fn to_balancer<'a>(
        &'a self,
        balancer: &'a Arc<Balancer>,
        request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>>;
}

/// What a middleware does with a request that it only looks at or rewrites.
#[derive(Debug)]
pub enum Step {
    /// On to the next.
    Pass(Request<RequestBody>),
    /// Nobody behind sees it.
    Answer(Response<ResponseBody>),
}

/// The rest of a chain.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    chain: &'a [Arc<Middleware>],
    /// What comes after this chain, if it is a part of another.
    then: Option<&'a Next<'a>>,
    facts: &'a Facts<'a>,
    tools: &'a Tools,
    beyond: &'a dyn Beyond,
}

/// Leads `request` through `chain` and what stands behind it.
///
/// The caller has removed what a client must not say (forwarded headers, identity): what middlewares set is to reach
/// the target. `Host` is among the request's headers; what it says in the end is what the target shall see.
pub async fn run(
    chain: &[Arc<Middleware>],
    request: Request<RequestBody>,
    facts: &Facts<'_>,
    tools: &Tools,
    beyond: &dyn Beyond,
) -> Response<ResponseBody> {
    Next { chain, then: None, facts, tools, beyond }.run(request).await
}

impl<'a> Next<'a> {
    /// Leads `request` through the rest.
    pub fn run<'b>(&'b self, request: Request<RequestBody>) -> BoxFuture<'b, Response<ResponseBody>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            let Some((first, rest)) = self.chain.split_first() else {
                return match self.then {
                    Some(then) => then.run(request).await,
                    None => self.beyond.to_target(request).await,
                };
            };
            first.handle(request, &Next { chain: rest, ..*self }).await
        })
    }
}

/// A middleware, ready to work.
#[derive(Debug)]
pub enum Middleware {
    /// Puts a prefix before the path.
    AddPrefix(add_prefix::AddPrefix),
    /// A name and a password, asked for by the browser itself.
    BasicAuth(basic_auth::BasicAuth),
    /// Limits bodies and holds them back.
    Buffering(buffering::Buffering),
    /// Several in a row.
    Chain(Vec<Arc<Middleware>>),
    /// Sends nothing to a target that fails.
    CircuitBreaker(Box<circuit_breaker::CircuitBreaker>),
    /// gzip for answers.
    Compress(compress::Compress),
    /// Another service's page in place of an answer.
    Errors(errors::Errors),
    /// Another service decides.
    ForwardAuth(Box<forward_auth::ForwardAuth>),
    /// Headers set and removed.
    Headers(Box<headers::Headers>),
    /// So many requests of a source at the same time.
    InFlight(in_flight::InFlight),
    /// Only from these addresses.
    IpAllowList(ip_allow_list::IpAllowList),
    /// So many requests a period and source.
    RateLimit(rate_limit::RateLimit),
    /// Sends the browser to another address, made from its own.
    RedirectRegex(redirect_regex::RedirectRegex),
    /// Sends the browser to the same address by another scheme.
    RedirectScheme(redirect_scheme::RedirectScheme),
    /// Another path.
    ReplacePath(replace_path::ReplacePath),
    /// Another path, made from its own.
    ReplacePathRegex(replace_path_regex::ReplacePathRegex),
    /// Sends a request again.
    Retry(retry::Retry),
    /// Takes a prefix from the path.
    StripPrefix(strip_prefix::StripPrefix),
    /// Takes from the path what fits a pattern.
    StripPrefixRegex(strip_prefix_regex::StripPrefixRegex),
}

/// The kinds that we have, as Traefik writes them.
const KINDS: &[&str] = &[
    "addPrefix",
    "basicAuth",
    "buffering",
    "chain",
    "circuitBreaker",
    "compress",
    "errors",
    "forwardAuth",
    "headers",
    "inFlightReq",
    "ipAllowList",
    "rateLimit",
    "redirectRegex",
    "redirectScheme",
    "replacePath",
    "replacePathRegex",
    "retry",
    "stripPrefix",
    "stripPrefixRegex",
];

/// Kinds that Traefik has and we do not, and what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("digestAuth", "use basicAuth over HTTPS, or slipway.access"),
    ("passTLSClientCert", "use slipway.client-certificate"),
    ("contentType", "Slipway never guesses a content type, so there is nothing to switch off"),
    ("grpcWeb", "targets are spoken to in HTTP/1.1"),
    ("plugin", "there are no plugins"),
    ("encodedCharacters", "what Slipway refuses in a path it refuses always"),
];

impl Middleware {
    /// Its kind, as Traefik writes it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddPrefix(_) => "addPrefix",
            Self::BasicAuth(_) => "basicAuth",
            Self::Buffering(_) => "buffering",
            Self::Chain(_) => "chain",
            Self::CircuitBreaker(_) => "circuitBreaker",
            Self::Compress(_) => "compress",
            Self::Errors(_) => "errors",
            Self::ForwardAuth(_) => "forwardAuth",
            Self::Headers(_) => "headers",
            Self::InFlight(_) => "inFlightReq",
            Self::IpAllowList(_) => "ipAllowList",
            Self::RateLimit(_) => "rateLimit",
            Self::RedirectRegex(_) => "redirectRegex",
            Self::RedirectScheme(_) => "redirectScheme",
            Self::ReplacePath(_) => "replacePath",
            Self::ReplacePathRegex(_) => "replacePathRegex",
            Self::Retry(_) => "retry",
            Self::StripPrefix(_) => "stripPrefix",
            Self::StripPrefixRegex(_) => "stripPrefixRegex",
        }
    }

    /// Reads a middleware of this kind.
    ///
    /// # Errors
    /// We have no such kind or option, or a value is none.
    pub fn read(kind: &str, mut fields: Fields) -> Result<MiddlewareDraft, Problem> {
        // The name that Traefik 2 had.
        let kind = if kind.eq_ignore_ascii_case("ipWhiteList") { "ipAllowList" } else { kind };
        let Some(known) = KINDS.iter().find(|known| known.eq_ignore_ascii_case(kind)) else {
            let text = match UNSUPPORTED.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)) {
                Some((name, cure)) => format!("the middleware {name} is not supported: {cure}"),
                None => format!("there is no middleware {}{}", quoted(kind), did_you_mean(kind, KINDS.iter().copied())),
            };
            return Err(fields.problem(text));
        };
        let ready = |middleware| MiddlewareDraft(Inner::Ready(middleware));
        let draft = match *known {
            "chain" => {
                let names = fields.take_list("middlewares")?.unwrap_or_default();
                if names.is_empty() {
                    return Err(fields.problem("chain: middlewares must name at least one"));
                }
                MiddlewareDraft(Inner::Chain(names))
            }
            "errors" => MiddlewareDraft(Inner::Errors(errors::ErrorsDraft::read(&mut fields)?)),
            "addPrefix" => ready(Self::AddPrefix(add_prefix::AddPrefix::read(&mut fields)?)),
            "basicAuth" => ready(Self::BasicAuth(basic_auth::BasicAuth::read(&mut fields)?)),
            "buffering" => ready(Self::Buffering(buffering::Buffering::read(&mut fields)?)),
            "circuitBreaker" => {
                ready(Self::CircuitBreaker(Box::new(circuit_breaker::CircuitBreaker::read(&mut fields)?)))
            }
            "compress" => ready(Self::Compress(compress::Compress::read(&mut fields)?)),
            "forwardAuth" => ready(Self::ForwardAuth(Box::new(forward_auth::ForwardAuth::read(&mut fields)?))),
            "headers" => ready(Self::Headers(Box::new(headers::Headers::read(&mut fields)?))),
            "inFlightReq" => ready(Self::InFlight(in_flight::InFlight::read(&mut fields)?)),
            "ipAllowList" => ready(Self::IpAllowList(ip_allow_list::IpAllowList::read(&mut fields)?)),
            "rateLimit" => ready(Self::RateLimit(rate_limit::RateLimit::read(&mut fields)?)),
            "redirectRegex" => ready(Self::RedirectRegex(redirect_regex::RedirectRegex::read(&mut fields)?)),
            "redirectScheme" => ready(Self::RedirectScheme(redirect_scheme::RedirectScheme::read(&mut fields)?)),
            "replacePath" => ready(Self::ReplacePath(replace_path::ReplacePath::read(&mut fields)?)),
            "replacePathRegex" => {
                ready(Self::ReplacePathRegex(replace_path_regex::ReplacePathRegex::read(&mut fields)?))
            }
            "retry" => ready(Self::Retry(retry::Retry::read(&mut fields)?)),
            "stripPrefix" => ready(Self::StripPrefix(strip_prefix::StripPrefix::read(&mut fields)?)),
            "stripPrefixRegex" => {
                ready(Self::StripPrefixRegex(strip_prefix_regex::StripPrefixRegex::read(&mut fields)?))
            }
            other => return Err(fields.problem(format!("there is no middleware {other}"))),
        };
        fields.finish()?;
        Ok(draft)
    }

    async fn handle(&self, request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        let step = match self {
            Self::Chain(chain) => return Next { chain, then: Some(next), ..*next }.run(request).await,
            Self::AddPrefix(it) => it.apply(request),
            Self::BasicAuth(it) => return it.handle(request, next).await,
            Self::Buffering(it) => return it.handle(request, next).await,
            Self::CircuitBreaker(it) => return it.handle(request, next).await,
            Self::Compress(it) => return it.handle(request, next).await,
            Self::Errors(it) => return it.handle(request, next).await,
            Self::ForwardAuth(it) => return it.handle(request, next).await,
            Self::Headers(it) => return it.handle(request, next).await,
            Self::InFlight(it) => return it.handle(request, next).await,
            Self::IpAllowList(it) => it.apply(request, next.facts),
            Self::RateLimit(it) => match it.judge(request.headers(), next.facts, next.tools.clock.monotonic()) {
                Verdict::Refuse(wait) => Step::Answer(rate_limit::RateLimit::refusal(wait)),
                Verdict::Pass(wait) => {
                    if !wait.is_zero() {
                        tokio::time::sleep(wait).await;
                    }
                    Step::Pass(request)
                }
            },
            Self::RedirectRegex(it) => it.apply(request, next.facts),
            Self::RedirectScheme(it) => it.apply(request, next.facts),
            Self::ReplacePath(it) => it.apply(request),
            Self::ReplacePathRegex(it) => it.apply(request),
            Self::Retry(it) => return it.handle(request, next).await,
            Self::StripPrefix(it) => it.apply(request),
            Self::StripPrefixRegex(it) => it.apply(request),
        };
        match step {
            Step::Pass(request) => next.run(request).await,
            Step::Answer(answer) => answer,
        }
    }
}

/// A middleware that has been read; some name others, which whoever builds the table finds.
#[derive(Debug)]
pub struct MiddlewareDraft(Inner);

#[derive(Debug)]
enum Inner {
    Ready(Middleware),
    /// Names as they were written.
    Chain(Vec<String>),
    Errors(errors::ErrorsDraft),
}

impl MiddlewareDraft {
    /// The middlewares that it names, as written (`auth@file`), in order.
    #[must_use]
    pub fn middlewares(&self) -> &[String] {
        match &self.0 {
            Inner::Chain(names) => names,
            Inner::Ready(_) | Inner::Errors(_) => &[],
        }
    }

    /// The balancer that it names, as written.
    #[must_use]
    pub fn balancer(&self) -> Option<&str> {
        match &self.0 {
            Inner::Errors(draft) => Some(&draft.service),
            Inner::Ready(_) | Inner::Chain(_) => None,
        }
    }

    /// The middleware, given those that `middlewares` names in the same order and what `balancer` names.
    #[must_use]
    pub fn finish(self, middlewares: Vec<Arc<Middleware>>, balancer: Option<Arc<Balancer>>) -> Arc<Middleware> {
        Arc::new(match (self.0, balancer) {
            (Inner::Ready(middleware), _) => middleware,
            (Inner::Errors(draft), Some(balancer)) => Middleware::Errors(draft.finish(balancer)),
            // Without its balancer there is no page, so whatever a target answers passes.
            (Inner::Chain(_) | Inner::Errors(_), _) => Middleware::Chain(middlewares),
        })
    }
}

#[cfg(test)]
mod tests;
