//! The sender of a request, as the edge found it.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Session, Token, User};

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

impl Caller {
    /// The user, whichever way they came.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::Anonymous => None,
            Self::Session(session) => Some(&session.user),
            Self::Token(token) => Some(&token.user),
        }
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

    /// True if the caller's user is an administrator; what a token may do of that is for `policy` to say.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.user().is_some_and(|user| user.is_admin())
    }

    /// Cancelled when this caller's right to be here ends.
    #[must_use]
    pub fn ended(&self) -> Option<&CancellationToken> {
        match self {
            Self::Anonymous => None,
            Self::Session(session) => Some(&session.ended),
            Self::Token(token) => Some(&token.ended),
        }
    }
}
