//! What middlewares do to requests and answers, each as labels or a file set it.

mod auth;
mod bodies;
mod headers;
mod limits;
mod paths;
mod read;
mod repeat;

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::*;
use crate::net::BoxError;
use crate::routers::balancer::BalancerDraft;
use crate::routers::testing::{ManualClock, fields};
use crate::tasks::Tasks;

type Script = dyn Fn(&Request<()>, &Bytes) -> Response<ResponseBody> + Send + Sync;

/// A chain, what stands behind it, and what that has seen.
struct World {
    chain: Vec<Arc<Middleware>>,
    clock: Arc<ManualClock>,
    tools: Tools,
    behind: Behind,
    client: IpAddr,
    scheme: &'static str,
    is_websocket: bool,
}

struct Behind {
    script: Box<Script>,
    seen: Mutex<Vec<(Request<()>, Bytes)>>,
    /// False: a body is not even looked at, as if no connection had come about.
    reads_bodies: bool,
}

impl Behind {
    async fn answer(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        let body = match self.reads_bodies {
            true => match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(_) => return no_answer(true),
            },
            false => Bytes::new(),
        };
        let request = Request::from_parts(parts, ());
        let response = (self.script)(&request, &body);
        self.seen.lock().push((request, body));
        response
    }
}

impl Beyond for Behind {
    fn to_target<'a>(&'a self, request: Request<RequestBody>) -> BoxFuture<'a, Response<ResponseBody>> {
        Box::pin(self.answer(request))
    }

    fn to_balancer<'a>(
        &'a self,
        balancer: &'a Arc<Balancer>,
        mut request: Request<RequestBody>,
    ) -> BoxFuture<'a, Response<ResponseBody>> {
        let name = balancer.name().parse().expect("a header's value");
        request.headers_mut().insert("x-balancer", name);
        Box::pin(self.answer(request))
    }
}

impl World {
    /// One middleware before a target that answers 200 `hello`.
    fn of(kind: &str, pairs: &[(&str, &str)]) -> Self {
        Self::of_chain(vec![made(kind, pairs)])
    }

    fn of_chain(chain: Vec<Arc<Middleware>>) -> Self {
        let clock = Arc::<ManualClock>::default();
        let tasks = Tasks::new(Handle::current());
        let proxy = Proxy::new(crate::proxy::Config::default(), clock.clone(), tasks);
        let tools = Tools::new(clock.clone(), proxy, &Random::from_seed(1));
        let script = Box::new(|_: &Request<()>, _: &Bytes| Response::new(ResponseBody::from("hello")));
        let behind = Behind { script, seen: Mutex::default(), reads_bodies: true };
        let client = IpAddr::from([192, 0, 2, 1]);
        Self { chain, clock, tools, behind, client, scheme: "https", is_websocket: false }
    }

    fn answering(
        mut self,
        script: impl Fn(&Request<()>, &Bytes) -> Response<ResponseBody> + Send + Sync + 'static,
    ) -> Self {
        self.behind.script = Box::new(script);
        self
    }

    async fn send(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let facts = Facts {
            client: self.client,
            scheme: self.scheme,
            host: "app.example:8443",
            port: 8443,
            is_websocket: self.is_websocket,
            session_cookie: "__Host-Http-slipway-0123",
        };
        run(&self.chain, request, &facts, &self.tools, &self.behind).await
    }

    async fn get(&self, path: &str) -> Response<ResponseBody> {
        self.send(get(path)).await
    }

    /// What the target saw last.
    fn seen(&self) -> Request<()> {
        self.behind.seen.lock().last().expect("it reached the target").0.clone()
    }

    fn seen_count(&self) -> usize {
        self.behind.seen.lock().len()
    }
}

fn made(kind: &str, pairs: &[(&str, &str)]) -> Arc<Middleware> {
    let draft = Middleware::read(kind, fields(kind, pairs)).expect("a middleware");
    let balancer = draft.balancer().map(|name| {
        let now = crate::model::Timestamp(0);
        Balancer::build(name, BalancerDraft::of_container(), Vec::new(), None, now)
    });
    draft.finish(Vec::new(), balancer)
}

/// Why it is refused.
fn refused(kind: &str, pairs: &[(&str, &str)]) -> String {
    Middleware::read(kind, fields(kind, pairs)).expect_err("it is refused").text
}

fn get(path: &str) -> Request<RequestBody> {
    request(Method::GET, path, &[])
}

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<RequestBody> {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "app.example:8443");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(RequestBody::Empty).expect("a request")
}

fn status(status: u16) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from("from the target"));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn no_answer(was_sent: bool) -> Response<ResponseBody> {
    let mut response = status(502);
    response.extensions_mut().insert(NoAnswer { was_sent });
    response
}

async fn body_of(response: Response<ResponseBody>) -> Result<Bytes, BoxError> {
    Ok(response.into_body().collect().await?.to_bytes())
}

fn said<'a>(response: &'a Response<ResponseBody>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().expect("text"))
}
