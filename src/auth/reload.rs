//! Takes up another configuration while everything runs: what `load` does at a start, for what has changed.

use std::sync::Arc;

use super::rules::Rules;
use super::{Auth, Config, Owner, Service, Shared, Token};
use crate::model::{Actor, OAuthClient, OwnerName, ServiceConfig, ServiceName};
use crate::store::StoreError;

impl Auth {
    /// From now on `config` holds: roles, groups, services, scopes, limits. `settings` are all keys with their values,
    /// of which the audit log names those that have changed.
    ///
    /// # Errors
    /// If the store could not be written. Then what was before holds on.
    pub async fn reload(
        &self,
        actor: impl Into<Actor>,
        config: Config,
        settings: Vec<(String, String)>,
    ) -> Result<(), StoreError> {
        let actor = actor.into();
        self.run(move |shared| shared.reload(&actor, config, settings)).await
    }
}

impl Shared {
    fn reload(&self, actor: &Actor, config: Config, settings: Vec<(String, String)>) -> Result<(), StoreError> {
        let _act = self.acts.lock();
        // First: on a full disk this is what fails, and then nothing has changed.
        self.note_configuration(actor, "reloaded configuration", env!("CARGO_PKG_VERSION"), settings)?;
        let before = self.config.snapshot();
        let taken_up = self.take_up(config);
        if taken_up.is_err() {
            // What was made by then (a group, a user) is what the next reload would make; it does no harm.
            let _ = self.take_up(Config::clone(&before));
        }
        taken_up
    }

    fn take_up(&self, config: Config) -> Result<(), StoreError> {
        let before = self.config.snapshot();
        self.throttle.lock().follow(super::accounts::throttle_limits(&config));
        self.directory.rules.publish(Rules::of(&config));
        self.config.publish(config);
        self.directory.changed();
        self.follow_rules()?;
        self.end_blocked()?;
        self.follow_services(&before.services)?;
        self.follow_service_tokens()?;
        self.follow_configuration()?;
        self.follow_setup_window();
        Ok(())
    }

    /// Who is let in no more has no session and no token any longer.
    fn end_blocked(&self) -> Result<(), StoreError> {
        for name in &self.config.snapshot().blocked_users {
            let (sessions, tokens) = (self.sessions.of_user(name), self.tokens.of_user(name));
            self.cut(&sessions, &tokens);
            self.unfinished.lock().note(&sessions, &tokens);
        }
        self.finish_ends()
    }

    /// Makes the services of the configuration what it says now; `before` is what it said of them.
    fn follow_services(&self, before: &[ServiceConfig]) -> Result<(), StoreError> {
        let config = self.config.snapshot();
        let is_named = |name: &ServiceName| config.services.iter().any(|service| service.name == *name);
        for gone in before.iter().filter(|service| !is_named(&service.name)) {
            self.forget_service(&gone.name)?;
        }
        for wanted in config.services.iter().filter(|service| !before.contains(service)) {
            self.put_service(wanted)?;
        }
        Ok(())
    }

    /// The service with its tokens and those of its visitors.
    fn forget_service(&self, name: &ServiceName) -> Result<(), StoreError> {
        let Some(service) = self.service(name) else { return Ok(()) };
        let client = OAuthClient::Service(name.clone());
        let mut tokens = self.tokens.of(&OwnerName::from(name.clone()));
        tokens.extend(self.tokens.all().into_iter().filter(|token| token.is_of(&client)));
        service.set_gone();
        self.services.pin().remove(name);
        self.end_tokens(&tokens)
    }

    /// A new service, or another description of one: its tokens go on, under what it may do now.
    fn put_service(&self, wanted: &ServiceConfig) -> Result<(), StoreError> {
        let service = Arc::new(Service::of(wanted, true, &self.directory));
        let earlier = self.services.pin().insert(service.name.clone(), Arc::clone(&service)).cloned();
        let Some(earlier) = earlier else {
            self.directory.changed();
            return Ok(());
        };
        if !earlier.from_config {
            // Two services of one name cannot be: the configuration's is the one that its writer sees.
            self.store.write(|t| t.delete_service(&service.name))?;
        }
        let rows = self.store.tokens()?;
        for token in self.tokens.of(&OwnerName::from(service.name.clone())) {
            let row = rows.iter().find(|row| Some(row.id) == token.id);
            self.tokens.end(&token);
            if let Some(row) = row {
                let owner = Owner::Service(Arc::clone(&service));
                self.tokens.add(Arc::new(Token::of(row, owner, &self.directory)));
            }
        }
        earlier.set_gone();
        Ok(())
    }
}
