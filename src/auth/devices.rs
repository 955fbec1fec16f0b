//! Where somebody is signed in: each session as its person sees it, and the ends that person may put to them.

use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{AccountError, Auth, Session, Shared};
use crate::model::{Actor, SessionKey, Timestamp, UserName};

/// Longest text that is kept of a browser's name for itself, in characters. 200: the longest of real ones fit.
const AGENT_LIMIT_CHARS: usize = 200;

/// What signs in: from where, and what it calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub(super) from: IpAddr,
    pub(super) agent: String,
}

impl Device {
    /// `agent` is what the client sent as `User-Agent`, whatever that is: what cannot be shown is left out of it, and
    /// what is too long is cut.
    #[must_use]
    pub fn new(from: IpAddr, agent: &str) -> Self {
        let shown = agent.chars().filter(|c| matches!(c, ' '..='~')).take(AGENT_LIMIT_CHARS);
        Self { from, agent: shown.collect::<String>().trim().to_owned() }
    }
}

/// A device that says nothing of itself.
impl From<IpAddr> for Device {
    fn from(from: IpAddr) -> Self {
        Self { from, agent: String::new() }
    }
}

/// Names a session to people and in addresses: 16 hex digits. It is no cookie and no key of the store, and neither
/// can be found from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    fn of(key: &SessionKey) -> Self {
        let digest = Sha256::new().chain_update(b"slipway session id\0").chain_update(key.0).finalize();
        Self(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads one from an address; None for what is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_id = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_id.then(|| Self(text.to_owned()))
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A session in a list.
#[derive(Clone, Debug)]
pub struct SessionListing {
    /// Names it.
    pub id: SessionId,
    /// When it began.
    pub created: Timestamp,
    /// Its last request.
    pub last_seen: Timestamp,
    /// From where it began; None for one of before that was noted.
    pub from: Option<IpAddr>,
    /// What the browser called itself; may be empty.
    pub agent: String,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

impl Session {
    /// Its name for people.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId::of(&self.key)
    }
}

impl Auth {
    /// The live sessions of a user, the one seen last first. `asking` is the one that asks, if it is one.
    #[must_use]
    pub fn sessions_of(&self, name: &UserName, asking: Option<&Session>) -> Vec<SessionListing> {
        let mut sessions = self.0.live_sessions(name);
        sessions.sort_by_key(|session| std::cmp::Reverse(session.last_seen()));
        let listing = |session: &Arc<Session>| SessionListing {
            id: session.id(),
            created: session.created,
            last_seen: session.last_seen(),
            from: session.from,
            agent: session.agent.clone(),
            is_this: asking.is_some_and(|asking| asking.key == session.key),
        };
        sessions.iter().map(listing).collect()
    }

    /// Ends one session of a user, with its tokens and open sockets.
    ///
    /// # Errors
    /// `NoSession`; or if it could not be stored: in memory it has ended all the same.
    pub async fn end_session(&self, by: impl Into<Actor>, name: &UserName, id: &SessionId) -> Result<(), AccountError> {
        let (by, name, id) = (by.into(), name.clone(), id.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let session = shared.live_sessions(&name).into_iter().find(|session| session.id() == id);
            let session = session.ok_or(AccountError::NoSession)?;
            Ok(shared.end_sessions_by(&by, &[session], "ended a session of", &name)?)
        })
        .await
    }

    /// Ends all sessions of a user but `kept` (none: all); how many those were.
    ///
    /// # Errors
    /// If it could not be stored: in memory they have ended all the same.
    pub async fn end_other_sessions(
        &self,
        by: impl Into<Actor>,
        name: &UserName,
        kept: Option<&Session>,
    ) -> Result<usize, AccountError> {
        let (by, name, kept) = (by.into(), name.clone(), kept.map(|session| session.key));
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let mut sessions = shared.live_sessions(&name);
            sessions.retain(|session| Some(session.key) != kept);
            if sessions.is_empty() {
                return Ok(0);
            }
            let act = if kept.is_some() { "ended the other sessions of" } else { "ended all sessions of" };
            shared.end_sessions_by(&by, &sessions, act, &name)?;
            Ok(sessions.len())
        })
        .await
    }
}

impl Shared {
    fn live_sessions(&self, name: &UserName) -> Vec<Arc<Session>> {
        let (limits, now) = (self.config.read().session_limits(), self.now());
        let mut sessions = self.sessions.of_user(name);
        sessions.retain(|session| !session.is_over() && !limits.is_over(session.created, session.last_seen(), now));
        sessions
    }

    fn end_sessions_by(
        &self,
        by: &Actor,
        sessions: &[Arc<Session>],
        act: &str,
        name: &UserName,
    ) -> Result<(), crate::store::StoreError> {
        let now = self.now();
        self.end_sessions(sessions, |t, _| t.audit(now, by, act, name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_calls_itself_is_cut_and_can_be_shown() {
        let agent = |text: &str| Device::new([127, 0, 0, 1].into(), text).agent;
        assert_eq!(agent("Mozilla/5.0 (X11; Linux)"), "Mozilla/5.0 (X11; Linux)");
        assert_eq!(agent("a\u{1b}[31mb\r\nc\u{202e}\u{e9}"), "a[31mbc");
        assert_eq!(agent(&"x".repeat(1000)).len(), 200);
        assert_eq!(agent(" \u{0} "), "");
    }

    #[test]
    fn the_name_of_a_session_tells_nothing_of_its_key() {
        let (first, second) = (SessionKey([1; 32]), SessionKey([2; 32]));
        let id = SessionId::of(&first);
        assert_ne!(id, SessionId::of(&second));
        assert_eq!(SessionId::parse(id.as_str()), Some(id.clone()));
        assert!(!id.as_str().contains("0101"));
        for bad in ["", "0123", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef0"] {
            assert_eq!(SessionId::parse(bad), None, "{bad}");
        }
    }
}
