//! The sender of a request, as the edge found it.

use std::sync::{Arc, LazyLock};

use tokio_util::sync::CancellationToken;

use super::rights::Rights;
use super::{Owner, Session, Token, User};

/// Who sends this request. Travels from the edge to the hub in the request's extensions.
#[derive(Clone, Debug, Default)]
pub enum Caller {
    /// Nobody we know.
    #[default]
    Anonymous,
    /// A browser that is signed in.
    Session(Arc<Session>),
    /// A program with a token.
    Token(Arc<Token>),
}

/// What strangers may do.
static NOTHING: LazyLock<Arc<Rights>> = LazyLock::new(Arc::default);

impl Caller {
    /// The user, whichever way they came; None for a service too.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::Anonymous => None,
            Self::Session(session) => Some(&session.user),
            Self::Token(token) => token.owner.user(),
        }
    }

    /// The user or service.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        match self {
            Self::Anonymous => None,
            Self::Session(session) => Some(Owner::User(Arc::clone(&session.user))),
            Self::Token(token) => Some(token.owner.clone()),
        }
    }

    /// The bare name of the user or service, for the log.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Anonymous => None,
            Self::Session(session) => Some(session.user.name.as_str()),
            Self::Token(token) => Some(token.owner.as_str()),
        }
    }

    /// True for a stranger.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// The session, for a browser.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Session(session) => Some(session),
            Self::Anonymous | Self::Token(_) => None,
        }
    }

    /// The token, for a program.
    #[must_use]
    pub fn token(&self) -> Option<&Arc<Token>> {
        match self {
            Self::Token(token) => Some(token),
            Self::Anonymous | Self::Session(_) => None,
        }
    }

    /// True if the caller's user or service is an administrator; what a token may do of that is for its rights to say.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Anonymous => false,
            Self::Session(session) => session.user.is_admin(),
            Self::Token(token) => token.owner.is_admin(),
        }
    }

    /// Cancelled when this caller's right to be here ends.
    #[must_use]
    pub fn ended(&self) -> Option<&Arc<CancellationToken>> {
        match self {
            Self::Anonymous => None,
            Self::Session(session) => Some(&session.ended),
            Self::Token(token) => Some(&token.ended),
        }
    }

    /// What they may do now. Never waits.
    #[must_use]
    pub fn rights(&self) -> Arc<Rights> {
        self.with_rights(Arc::clone)
    }

    /// The same without touching the count of who holds it: for every request.
    pub(super) fn with_rights<T>(&self, ask: impl FnOnce(&Arc<Rights>) -> T) -> T {
        match self {
            Self::Anonymous => ask(&NOTHING),
            Self::Session(session) => session.user.with_rights(ask),
            Self::Token(token) => token.with_rights(ask),
        }
    }
}
