//! Authorization codes: in memory, 300 s, good once, never more than a bounded number.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::pkce::Challenge;
use crate::model::{OAuthClient, Timestamp, UserName};

/// How long a code lives: the contract's figure.
const LIFE: Duration = Duration::from_secs(300);

/// What a code stands for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client: OAuthClient,
    pub(super) redirect_uri: String,
    pub(super) user: UserName,
    /// Raw scopes, as the person granted them.
    pub(super) scopes: Vec<String>,
    /// The browser's session, by the name that servers know.
    pub(super) session_id: String,
    pub(super) challenge: Option<Challenge>,
    /// Cancelled when that session ends: its codes are worth nothing then.
    pub(super) session_ended: Arc<CancellationToken>,
}

/// The codes that wait for their server.
pub(crate) struct Codes {
    limit: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    grants: HashMap<String, (Grant, Timestamp)>,
    /// Oldest first; may name codes that are used up.
    order: VecDeque<(String, Timestamp)>,
}

impl Codes {
    /// Room for `limit` codes.
    pub(in crate::hub) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), table: Mutex::default() }
    }

    /// Keeps `grant` under `code`; the oldest code makes room if there is none.
    pub(super) fn keep(&self, code: String, grant: Grant, now: Timestamp) {
        let mut table = self.table.lock();
        table.drop_expired(now);
        while table.order.len() >= self.limit {
            let Some((oldest, _)) = table.order.pop_front() else { break };
            table.grants.remove(&oldest);
        }
        let expires_at = now.plus(LIFE);
        table.order.push_back((code.clone(), expires_at));
        table.grants.insert(code, (grant, expires_at));
    }

    /// Takes what `code` stands for, if it is `client`'s, alive, and its session too. Whoever asks for another
    /// client's code does not use it up; a failed exchange by the right client does.
    pub(super) fn take(&self, code: &str, client: &OAuthClient, now: Timestamp) -> Option<Grant> {
        let mut table = self.table.lock();
        table.drop_expired(now);
        if table.grants.get(code).is_none_or(|(grant, _)| grant.client != *client) {
            return None;
        }
        let (grant, _) = table.grants.remove(code)?;
        (!grant.session_ended.is_cancelled()).then_some(grant)
    }
}

impl Table {
    fn drop_expired(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|(_, expires_at)| *expires_at <= now) {
            let Some((code, _)) = self.order.pop_front() else { break };
            self.grants.remove(&code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServerKey;

    fn server(name: &str) -> OAuthClient {
        OAuthClient::Server(ServerKey::default_of(UserName::parse(name).expect("a name")))
    }

    fn grant(client: &str) -> Grant {
        Grant {
            client: server(client),
            redirect_uri: "/user/alice/oauth_callback".into(),
            user: UserName::parse("alice").expect("a name"),
            scopes: Vec::new(),
            session_id: String::new(),
            challenge: None,
            session_ended: Arc::default(),
        }
    }

    #[test]
    fn a_code_is_good_once_and_for_its_client_only() {
        let codes = Codes::new(8);
        codes.keep("c".into(), grant("alice"), Timestamp(0));
        assert!(codes.take("c", &server("bob"), Timestamp(1)).is_none());
        assert!(codes.take("c", &server("alice"), Timestamp(1)).is_some());
        assert!(codes.take("c", &server("alice"), Timestamp(1)).is_none());
    }

    #[test]
    fn a_code_dies_after_300_seconds_and_with_its_session() {
        let codes = Codes::new(8);
        codes.keep("c".into(), grant("alice"), Timestamp(0));
        assert!(codes.take("c", &server("alice"), Timestamp(300_000)).is_none());
        let kept = grant("alice");
        codes.keep("d".into(), kept.clone(), Timestamp(0));
        kept.session_ended.cancel();
        assert!(codes.take("d", &server("alice"), Timestamp(1)).is_none());
    }

    #[test]
    fn the_oldest_code_makes_room() {
        let codes = Codes::new(2);
        for code in ["a", "b", "c"] {
            codes.keep(code.into(), grant("alice"), Timestamp(0));
        }
        assert!(codes.take("a", &server("alice"), Timestamp(1)).is_none());
        assert!(codes.take("b", &server("alice"), Timestamp(1)).is_some());
        assert!(codes.take("c", &server("alice"), Timestamp(1)).is_some());
        assert!(codes.table.lock().grants.is_empty());
    }
}
