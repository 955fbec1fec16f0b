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
mod pattern;
mod redirect_regex;
mod redirect_scheme;
mod replace_path;
mod replace_path_regex;
mod strip_prefix;
mod strip_prefix_regex;

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Request, Response};

pub use answer::NoAnswer;

use super::balancer::Balancer;
use super::{Fields, Problem, did_you_mean};
use crate::model::{Clock, Random};
use crate::net::{RequestBody, ResponseBody};
use crate::proxy::Proxy;
use crate::tasks::Tasks;

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

/// What middlewares work with; made once. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where their background work runs.
    pub tasks: Tasks,
    /// Chance.
    pub random: Random,
    /// Carries `ForwardAuth`'s questions.
    pub proxy: Proxy,
}

/// What stands behind the last middleware.
///
/// Each answer that no target gave (no connection, no target at all, a timeout) carries `NoAnswer` in its extensions.
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
    /// Several in a row.
    Chain(Vec<Arc<Middleware>>),
    /// Sends the browser to another address, made from its own.
    RedirectRegex(redirect_regex::RedirectRegex),
    /// Sends the browser to the same address by another scheme.
    RedirectScheme(redirect_scheme::RedirectScheme),
    /// Another path.
    ReplacePath(replace_path::ReplacePath),
    /// Another path, made from its own.
    ReplacePathRegex(replace_path_regex::ReplacePathRegex),
    /// Takes a prefix from the path.
    StripPrefix(strip_prefix::StripPrefix),
    /// Takes from the path what fits a pattern.
    StripPrefixRegex(strip_prefix_regex::StripPrefixRegex),
}

/// The kinds that we have, as Traefik writes them.
const KINDS: &[&str] = &[
    "addPrefix",
    "chain",
    "redirectRegex",
    "redirectScheme",
    "replacePath",
    "replacePathRegex",
    "stripPrefix",
    "stripPrefixRegex",
];

/// Kinds that Traefik has and we do not, and what to do instead.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("digestAuth", "use basicAuth over HTTPS, or slipway.access"),
    ("passTLSClientCert", "use slipway.client-certificate"),
    ("contentType", "Slipway never guesses a content type, so there is nothing to switch off"),
    ("grpcWeb", "there is no HTTP/2 to targets"),
    ("plugin", "there are no plugins"),
    ("encodedCharacters", "Slipway refuses hidden path segments always"),
];

impl Middleware {
    /// Its kind, as Traefik writes it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddPrefix(_) => "addPrefix",
            Self::Chain(_) => "chain",
            Self::RedirectRegex(_) => "redirectRegex",
            Self::RedirectScheme(_) => "redirectScheme",
            Self::ReplacePath(_) => "replacePath",
            Self::ReplacePathRegex(_) => "replacePathRegex",
            Self::StripPrefix(_) => "stripPrefix",
            Self::StripPrefixRegex(_) => "stripPrefixRegex",
        }
    }

    /// Reads a middleware of this kind.
    ///
    /// # Errors
    /// We have no such kind or option, or a value is none.
    pub fn read(kind: &str, mut fields: Fields) -> Result<MiddlewareDraft, Problem> {
        let Some(known) = KINDS.iter().find(|known| known.eq_ignore_ascii_case(kind)) else {
            let text = match UNSUPPORTED.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind)) {
                Some((name, cure)) => format!("the middleware {name} is not supported: {cure}"),
                None => {
                    let near = did_you_mean(kind, KINDS.iter().copied());
                    format!("there is no middleware {}{near}", super::quoted(kind))
                }
            };
            return Err(fields.problem(text));
        };
        let ready = |middleware| MiddlewareDraft(Inner::Ready(middleware));
        let draft = match *known {
            "addPrefix" => ready(Self::AddPrefix(add_prefix::AddPrefix::read(&mut fields)?)),
            "chain" => {
                let names = fields.take_list("middlewares")?.unwrap_or_default();
                if names.is_empty() {
                    return Err(fields.problem("chain: middlewares must name at least one"));
                }
                MiddlewareDraft(Inner::Chain(names))
            }
            "redirectRegex" => ready(Self::RedirectRegex(redirect_regex::RedirectRegex::read(&mut fields)?)),
            "redirectScheme" => ready(Self::RedirectScheme(redirect_scheme::RedirectScheme::read(&mut fields)?)),
            "replacePath" => ready(Self::ReplacePath(replace_path::ReplacePath::read(&mut fields)?)),
            "replacePathRegex" => {
                ready(Self::ReplacePathRegex(replace_path_regex::ReplacePathRegex::read(&mut fields)?))
            }
            "stripPrefix" => ready(Self::StripPrefix(strip_prefix::StripPrefix::read(&mut fields)?)),
            _ => ready(Self::StripPrefixRegex(strip_prefix_regex::StripPrefixRegex::read(&mut fields)?)),
        };
        fields.finish()?;
        Ok(draft)
    }

    async fn handle(&self, request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        let step = match self {
            Self::Chain(chain) => return Next { chain, then: Some(next), ..*next }.run(request).await,
            Self::AddPrefix(it) => it.apply(request),
            Self::RedirectRegex(it) => it.apply(request, next.facts),
            Self::RedirectScheme(it) => it.apply(request, next.facts),
            Self::ReplacePath(it) => it.apply(request),
            Self::ReplacePathRegex(it) => it.apply(request),
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
}

impl MiddlewareDraft {
    /// The middlewares that it names, as written (`auth@file`), in order.
    #[must_use]
    pub fn middlewares(&self) -> &[String] {
        match &self.0 {
            Inner::Chain(names) => names,
            Inner::Ready(_) => &[],
        }
    }

    /// The balancer that it names, as written.
    #[must_use]
    pub fn balancer(&self) -> Option<&str> {
        match &self.0 {
            Inner::Ready(_) | Inner::Chain(_) => None,
        }
    }

    /// The middleware, given those that `middlewares` names in the same order and what `balancer` names.
    #[must_use]
    pub fn finish(self, middlewares: Vec<Arc<Middleware>>, _balancer: Option<Arc<Balancer>>) -> Arc<Middleware> {
        Arc::new(match self.0 {
            Inner::Ready(middleware) => middleware,
            Inner::Chain(_) => Middleware::Chain(middlewares),
        })
    }
}

#[cfg(test)]
mod tests;
