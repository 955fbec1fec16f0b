//! Services: those of the configuration, those made through the API, and the tokens they call us with.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ActError, Auth, Service, Shared, Token};
use crate::model::{Actor, OwnerName, Secret, ServiceConfig, ServiceName, StoredToken};
use crate::store::{ServiceRow, StoreError, TokenKind, TokenRow};

/// Services in all. 1,000: each has a token and perhaps a process.
const SERVICES_LIMIT: usize = 1_000;
/// What is kept of a service's `info`, as JSON.
const INFO_LIMIT_BYTES: usize = 64 * 1024;
/// Longest address or id in a service's description.
const TEXT_LIMIT_BYTES: usize = 2048;

impl Auth {
    /// All services, by name.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<Service>> {
        let mut services: Vec<_> = self.0.services.pin().values().cloned().collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        services
    }

    /// One service.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.0.service(name)
    }

    /// The service that an OAuth client id means.
    #[must_use]
    pub fn service_of_client(&self, client_id: &str) -> Option<Arc<Service>> {
        let services = self.0.services.pin();
        let is_it =
            |service: &&Arc<Service>| service.oauth_client.as_ref().is_some_and(|client| client.id == client_id);
        services.values().find(is_it).cloned()
    }

    /// True if `secret` is the token that the service was given: its OAuth client secret.
    #[must_use]
    pub fn is_service_token(&self, service: &ServiceName, secret: &str) -> bool {
        let token = self.0.tokens.find(secret, self.0.now());
        token.is_some_and(|token| token.is_of_service(service))
    }

    /// A new token for a service that we run and that was given none. Ends the one before.
    ///
    /// # Errors
    /// `NoService`, or if it could not be stored.
    pub async fn issue_service_token(&self, name: &ServiceName) -> Result<Secret, ActError> {
        let name = name.clone();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            if shared.service(&name).is_none() {
                return Err(ActError::NoService(name));
            }
            let secret = Secret::new(shared.random.hex::<16>());
            let row = shared.service_token_row(&name, &secret);
            let row = TokenRow { stored: StoredToken::of(secret.expose(), &shared.random), ..row };
            let older = shared.tokens_of_service(&name);
            shared.issue(row, &secret, &older)?;
            Ok(secret)
        })
        .await
    }

    /// Makes a service that runs elsewhere; `config.command` must be empty.
    ///
    /// # Errors
    /// `ServiceExists`, or `BadService` with what cannot be.
    pub async fn create_service(
        &self,
        actor: impl Into<Actor>,
        config: ServiceConfig,
    ) -> Result<Arc<Service>, ActError> {
        let actor = actor.into();
        self.run(move |shared| {
            let _act = shared.acts.lock();
            shared.check_new_service(&config)?;
            let row = row_of(&config);
            let token = config.api_token.as_ref().map(|secret| (secret, shared.service_token_row(&row.name, secret)));
            let now = shared.now();
            let stored = shared.store.write(|t| {
                t.put_service(&row)?;
                t.audit(now, &actor, "made service", row.name.as_str())?;
                let Some((_, row)) = &token else { return Ok(None) };
                let row = TokenRow { id: t.next_token_id()?, ..row.clone() };
                t.put_token(&row)?;
                Ok(Some(row))
            });
            // If it failed, what there is shows at the next start: a service and its token stand in one commit.
            let row = stored?;
            let service = Arc::new(Service::of(&config, false, &shared.directory));
            shared.services.pin().insert(service.name.clone(), Arc::clone(&service));
            if let (Some((secret, _)), Some(row)) = (token, row) {
                let owner = super::Owner::Service(Arc::clone(&service));
                let token = Arc::new(Token::of(&row, owner, &shared.directory));
                shared.tokens.add_known(token, secret.expose());
            }
            shared.directory.changed();
            Ok(service)
        })
        .await
    }

    /// Deletes a service that was made through the API, with its tokens and those of its visitors.
    ///
    /// # Errors
    /// `NoService`; `FromConfig` for one of the configuration.
    pub async fn delete_service(&self, actor: impl Into<Actor>, name: &ServiceName) -> Result<(), ActError> {
        let (actor, name) = (actor.into(), name.clone());
        self.run(move |shared| {
            let _act = shared.acts.lock();
            let service = shared.service(&name).ok_or_else(|| ActError::NoService(name.clone()))?;
            if service.from_config {
                return Err(ActError::FromConfig(name));
            }
            let client = crate::model::OAuthClient::Service(name.clone());
            let mut tokens = shared.tokens.of(&OwnerName::from(name.clone()));
            tokens.extend(shared.tokens.all().into_iter().filter(|token| token.is_of(&client)));
            service.set_gone();
            shared.services.pin().remove(&name);
            let now = shared.now();
            let deleted = shared.end_tokens_with(&tokens, |t| {
                t.delete_service(&name)?;
                t.audit(now, &actor, "deleted service", name.as_str())
            });
            shared.directory.change(|snapshot| {
                snapshot.roles.values_mut().for_each(|assigned| drop(assigned.services.remove(&name)));
            });
            Ok(deleted?)
        })
        .await
    }
}

impl Shared {
    fn check_new_service(&self, config: &ServiceConfig) -> Result<(), ActError> {
        if self.service(&config.name).is_some() {
            return Err(ActError::ServiceExists(config.name.clone()));
        }
        if self.services.len() >= SERVICES_LIMIT {
            return Err(ActError::TooMany { what: "services", limit: SERVICES_LIMIT });
        }
        let bad = |problem: &str| Err(ActError::BadService(problem.to_owned()));
        if !config.command.is_empty() {
            return bad("a service made through the API cannot have a command");
        }
        let client_id = super::service::client_id_of(config);
        if !client_id.starts_with(super::rules::SERVICE_CLIENT) {
            return bad("oauth_client_id must begin with \"service-\"");
        }
        let has_it =
            |service: &Arc<Service>| service.oauth_client.as_ref().is_some_and(|client| client.id == client_id);
        if self.services.pin().values().any(has_it) {
            return bad("oauth_client_id is another service's");
        }
        let texts = [&config.url, &config.oauth_client_id, &config.oauth_redirect_uri];
        if texts.iter().any(|text| text.as_ref().is_some_and(|text| text.len() > TEXT_LIMIT_BYTES)) {
            return Err(ActError::TooLong { what: "an address or id", limit_bytes: TEXT_LIMIT_BYTES });
        }
        if serde_json::to_string(&config.info).map_or(0, |text| text.len()) > INFO_LIMIT_BYTES {
            return Err(ActError::TooLong { what: "info", limit_bytes: INFO_LIMIT_BYTES });
        }
        if let Some(scope) =
            config.oauth_client_allowed_scopes.iter().find(|scope| !self.directory.rules.read().is_defined(&scope.name))
        {
            return Err(ActError::UnknownScope(scope.clone()));
        }
        let Some(token) = &config.api_token else { return Ok(()) };
        if !super::rules::TOKEN_BYTES.contains(&token.expose().len()) {
            return bad("api_token must have 8 to 64 characters");
        }
        if self.tokens.find(token.expose(), self.now()).is_some() {
            return bad("api_token is somebody's already");
        }
        Ok(())
    }

    fn tokens_of_service(&self, name: &ServiceName) -> Vec<Arc<Token>> {
        let mut tokens = self.tokens.of(&OwnerName::from(name.clone()));
        tokens.retain(|token| token.is_of_service(name));
        tokens
    }

    /// The row of a token that somebody chose for a service.
    fn service_token_row(&self, name: &ServiceName, secret: &Secret) -> TokenRow {
        TokenRow {
            stored: StoredToken::of_chosen(secret.expose(), &self.random),
            kind: TokenKind::Service,
            scopes: vec!["inherit".to_owned()],
            note: format!("generated at startup for service {name}"),
            ..self.new_row(&OwnerName::from(name.clone()), secret)
        }
    }

    /// Services of the store and the configuration; before tokens are loaded.
    pub(super) fn load_services(&self) -> Result<(), StoreError> {
        let present = self.config.snapshot();
        let configured: BTreeSet<_> = present.services.iter().map(|service| &service.name).collect();
        let rows = self.store.services()?;
        // Two services of one name cannot be: the configuration's is the one that its writer sees.
        let replaced: Vec<_> = rows.iter().filter(|row| configured.contains(&row.name)).collect();
        if !replaced.is_empty() {
            self.store.write(|t| replaced.iter().try_for_each(|row| t.delete_service(&row.name)))?;
        }
        for row in rows.iter().filter(|row| !configured.contains(&row.name)) {
            let service = Service::of(&config_of(row), false, &self.directory);
            self.services.pin().insert(service.name.clone(), Arc::new(service));
        }
        for config in &present.services {
            let service = Service::of(config, true, &self.directory);
            self.services.pin().insert(service.name.clone(), Arc::new(service));
        }
        Ok(())
    }

    /// Makes the tokens of the configuration's services what the configuration says; after tokens are loaded.
    pub(super) fn follow_service_tokens(&self) -> Result<(), StoreError> {
        let present = self.config.snapshot();
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        for config in &present.services {
            let mut kept = None;
            for token in self.tokens_of_service(&config.name) {
                match &config.api_token {
                    Some(secret) if kept.is_none() && token.is(secret.expose()) => kept = Some((token, secret)),
                    _ => gone.push(token),
                }
            }
            match (kept, &config.api_token) {
                // From here on it is found by its digest: the slow hash is never computed for a request.
                (Some((token, secret)), _) => self.tokens.know(&token, secret.expose()),
                (None, Some(secret)) => new.push((secret, self.service_token_row(&config.name, secret))),
                (None, None) => {}
            }
        }
        self.end_tokens(&gone)?;
        if new.is_empty() {
            return Ok(());
        }
        let rows = self.store.write(|t| {
            let mut rows: Vec<TokenRow> = Vec::new();
            for (_, row) in &new {
                let row = TokenRow { id: t.next_token_id()?, ..row.clone() };
                t.put_token(&row)?;
                rows.push(row);
            }
            Ok(rows)
        })?;
        for ((secret, _), row) in new.iter().zip(rows) {
            let Some(owner) = self.owner(&row.owner) else { continue };
            self.tokens.add_known(Arc::new(Token::of(&row, owner, &self.directory)), secret.expose());
        }
        Ok(())
    }
}

fn row_of(config: &ServiceConfig) -> ServiceRow {
    ServiceRow {
        name: config.name.clone(),
        url: config.url.clone(),
        admin: config.admin,
        info: config.info.clone(),
        display: config.display,
        oauth_client_id: config.oauth_client_id.clone(),
        oauth_redirect_uri: config.oauth_redirect_uri.clone(),
        oauth_no_confirm: config.oauth_no_confirm,
        oauth_client_allowed_scopes: config.oauth_client_allowed_scopes.iter().map(ToString::to_string).collect(),
    }
}

fn config_of(row: &ServiceRow) -> ServiceConfig {
    ServiceConfig {
        url: row.url.clone(),
        admin: row.admin,
        info: row.info.clone(),
        display: row.display,
        oauth_client_id: row.oauth_client_id.clone(),
        oauth_redirect_uri: row.oauth_redirect_uri.clone(),
        oauth_no_confirm: row.oauth_no_confirm,
        oauth_client_allowed_scopes: row.oauth_client_allowed_scopes.iter().filter_map(|s| s.parse().ok()).collect(),
        ..ServiceConfig::named(row.name.clone())
    }
}
