//! The token that a service's program is started with.

use std::sync::Arc;

use super::token::Token;
use super::{Auth, Shared};
use crate::model::{OwnerName, Scope, Secret, ServiceName};
use crate::store::{StoreError, TokenKind, TokenRow};

impl Auth {
    /// The `JUPYTERHUB_API_TOKEN` of a program that is about to start (32 hex): all that the service may do, and the
    /// secret of its OAuth client. Replaces that of the last start. Visitors' tokens stay: they are the service's as
    /// before.
    ///
    /// # Errors
    /// `Gone` if there is no such service (any more), or if it could not be stored.
    pub async fn issue_service_token(&self, service: &ServiceName) -> Result<Secret, StoreError> {
        let service = service.clone();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let older = shared.own_tokens_of_service(&service);
            let secret = Secret::new(shared.random.hex::<16>());
            let row = TokenRow {
                kind: TokenKind::Service,
                scopes: vec![Scope::known("inherit").to_string()],
                note: format!("Service {service}"),
                ..shared.new_row(&OwnerName::from(service), &secret)
            };
            shared.issue(row, &secret, &older)?;
            Ok(secret)
        })
        .await
    }

    /// Ends the token of the last start: the program has ended.
    ///
    /// # Errors
    /// If that could not be stored. In memory it has ended all the same.
    pub async fn end_service_token(&self, service: &ServiceName) -> Result<(), StoreError> {
        let service = service.clone();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            shared.end_tokens(&shared.own_tokens_of_service(&service))
        })
        .await
    }
}

impl Shared {
    fn own_tokens_of_service(&self, service: &ServiceName) -> Vec<Arc<Token>> {
        let mut tokens = self.tokens.of(&OwnerName::from(service.clone()));
        tokens.retain(|token| token.kind == TokenKind::Service);
        tokens
    }
}
