//! One request and its answer: what is noted of it along its way, and what is told of it when it is over.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Timestamp, TlsFacts, TraceContext, Upstream, UserName};

/// What kind of place a request led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aim {
    /// It was answered before that was known: a path or a host that is not ours, no TLS, a limit.
    #[default]
    Nowhere,
    /// Our own pages and API.
    Hub,
    /// A user's server, ready or not.
    Server,
    /// A service.
    Service,
    /// A router of a container's labels or of a file.
    Router,
}

impl Aim {
    /// All of them, in their order.
    pub const ALL: [Self; 5] = [Self::Nowhere, Self::Hub, Self::Server, Self::Service, Self::Router];

    /// The word for logs and labels: `none`, `hub`, `server`, `service`, `router`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nowhere => "none",
            Self::Hub => "hub",
            Self::Server => "server",
            Self::Service => "service",
            Self::Router => "router",
        }
    }
}

/// What is noted of a request along its way, by whoever knows it first. Nothing here allocates, and what only the
/// access log and traces ask for is noted for them alone.
#[derive(Debug, Default)]
pub struct Trail {
    /// Where it leads.
    pub aim: Aim,
    /// Who sends it; noted by `sent_by`.
    pub user: Option<UserName>,
    /// Which router took it, as in `whoami@docker`; always noted, for it is counted, too.
    pub router: Option<Arc<str>>,
    /// Which balancer answers for the router; always noted.
    pub balancer: Option<Arc<str>>,
    /// Asked last, with how it went; noted by `ask` and `answered`.
    pub asked: Option<Asked>,
    /// Further times that an upstream was asked, after the first.
    pub retries: u32,
    /// True if somebody will be told.
    is_told: bool,
}

/// An upstream that was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which.
    pub upstream: Arc<Upstream>,
    /// When.
    pub at: Instant,
    /// How long it took until the head of its answer, and its status; `None` without an answer.
    pub answer: Option<(Duration, u16)>,
}

impl Trail {
    /// A trail of which somebody will be told, or of which only the counts are wanted.
    #[must_use]
    pub fn new(is_told: bool) -> Self {
        Self { is_told, ..Self::default() }
    }

    /// Notes who sends the request.
    pub fn sent_by(&mut self, user: Option<&UserName>) {
        if self.is_told {
            self.user = user.cloned();
        }
    }

    /// Notes that `upstream` is asked now.
    pub fn ask(&mut self, upstream: &Arc<Upstream>) {
        if !self.is_told {
            return;
        }
        let is_another = self.asked.replace(Asked { upstream: upstream.clone(), at: Instant::now(), answer: None });
        self.retries += u32::from(is_another.is_some());
    }

    /// Notes afterwards that `upstream` was asked at `at` and has answered just now.
    pub fn was_answered_by(&mut self, upstream: Arc<Upstream>, at: Instant, status: u16) {
        if self.is_told {
            self.asked = Some(Asked { upstream, at, answer: Some((at.elapsed(), status)) });
        }
    }

    /// Notes that the upstream asked last has answered.
    pub fn answered(&mut self, status: u16) {
        if let Some(asked) = &mut self.asked {
            asked.answer = Some((asked.at.elapsed(), status));
        }
    }
}

/// What happened, told once when the last byte of the answer is out (or the exchange broke off).
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// When the request's head had been read.
    pub at: Timestamp,
    /// The client's address.
    pub address: IpAddr,
    /// The peer's address and port: the client's, or a proxy's in front of us.
    pub peer: std::net::SocketAddr,
    /// `websecure`, `web` or `private`, as Traefik's language has it.
    pub entry_point: &'static str,
    /// What protects the connection; `None` without TLS.
    pub tls: Option<TlsFacts>,
    /// The host that was asked for, without port; empty if there was none.
    pub host: &'a str,
    /// Its port, if it was named.
    pub port: Option<u16>,
    /// The method as sent.
    pub method: &'a str,
    /// Path and query as sent; the log hides the secrets in it.
    pub target: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: &'static str,
    /// `Referer` as sent; the log hides the secrets in it.
    pub referer: Option<&'a [u8]>,
    /// `User-Agent` as sent.
    pub user_agent: Option<&'a [u8]>,
    /// Bytes of the request's body, if it said so beforehand.
    pub request_bytes: Option<u64>,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// The trace that it belongs to, if traces are made.
    pub trace: Option<&'a TraceContext>,
    /// Who, where to, by which router, how long the upstream took.
    pub trail: &'a Trail,
    /// From the request's head to the moment when the upstream was asked last; `None` if none was.
    pub asked_after: Option<Duration>,
    /// The answer's status; 0 if the client went away before there was one.
    pub status: u16,
    /// Bytes of the answer's body that were handed to the connection.
    pub bytes: u64,
    /// From the request's head to the last byte.
    pub duration: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UpstreamAddress;

    #[test]
    fn only_who_is_told_pays_for_details() {
        let upstream = Arc::new(Upstream::new(UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into()), Timestamp(0)));
        let mut untold = Trail::default();
        untold.ask(&upstream);
        untold.answered(200);
        assert!(untold.asked.is_none() && Arc::strong_count(&upstream) == 1);

        let mut told = Trail::new(true);
        told.ask(&upstream);
        told.ask(&upstream);
        told.answered(204);
        assert_eq!((told.retries, told.asked.and_then(|asked| asked.answer).map(|answer| answer.1)), (1, Some(204)));
    }
}
