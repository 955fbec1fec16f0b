//! A token for one errand of ours to somebody's server: it lets its bearer into that server alone, is kept in memory
//! only, and ends with the errand.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::token::Token;
use super::{Auth, Owner, Target};
use crate::model::{OAuthClient, Secret, ServerKey};

/// No errand takes longer, whatever it waits for; it ends by itself then.
const ERRAND: Duration = Duration::from_secs(30);

/// The token of an errand; dropping it ends the token.
pub struct Errand {
    auth: Auth,
    secret: Secret,
    token: Arc<Token>,
}

impl Errand {
    /// What the server is shown.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
}

impl std::fmt::Debug for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Errand")
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.auth.0.tokens.end(&self.token);
    }
}

impl Auth {
    /// A token of the server's owner that says who he is and opens this server, nothing else (`access:servers!server=…`).
    /// Its use is none of his: it makes nobody look busy. None if the owner is no user who may enter it.
    #[must_use]
    pub fn errand_to(&self, server: &ServerKey) -> Option<Errand> {
        let user = self.0.user(&server.user).filter(|user| user.is_authorised())?;
        let client = OAuthClient::Server(server.clone());
        let now = self.0.now();
        let token = Token::errand(
            Owner::User(user),
            (&client, server.client_id()),
            (now, now.plus(ERRAND)),
            CancellationToken::new(),
            &self.0.directory,
        );
        let may_enter = token.rights().allows("access:servers", Target::Server(server));
        if !may_enter {
            return None;
        }
        let secret = Secret::new(self.0.random.alphanumeric(30));
        let token = Arc::new(token);
        self.0.tokens.add_visiting(&token, secret.expose());
        Some(Errand { auth: self.clone(), secret, token })
    }
}
