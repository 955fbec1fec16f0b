//! A service in memory: who it is. How it runs is for `services` to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::directory::Directory;
use super::expand;
use super::owner::RightsCell;
use super::rights::Rights;
use crate::model::{Scope, ServiceConfig, ServiceName};

/// A program that calls us, or that people sign in to through us.
#[derive(Debug)]
pub struct Service {
    /// Unique.
    pub name: ServiceName,
    /// Has the role `admin`.
    pub admin: bool,
    /// Where it listens; none for one that only calls us.
    pub url: Option<String>,
    /// What we run; empty for a service that runs elsewhere.
    pub command: Vec<String>,
    /// For people and programs.
    pub info: serde_json::Map<String, serde_json::Value>,
    /// Whether pages name it.
    pub display: bool,
    /// How people sign in to it; none for one without pages.
    pub oauth_client: Option<ServiceClient>,
    /// From the configuration, not made through the API.
    pub from_config: bool,
    is_gone: AtomicBool,
    directory: Arc<Directory>,
    rights: RightsCell,
}

/// A service as the OAuth provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceClient {
    /// Its client id.
    pub id: String,
    /// Where browsers come back to; none: `<base>services/<name>/oauth_callback`.
    pub redirect_uri: Option<String>,
    /// Whether people are signed in there without being asked.
    pub no_confirm: bool,
    /// What its visitors' tokens may hold beside access to it and who they are.
    pub allowed_scopes: Vec<Scope>,
}

/// The OAuth client id of a service.
pub(super) fn client_id_of(config: &ServiceConfig) -> String {
    config.oauth_client_id.clone().unwrap_or_else(|| format!("service-{}", config.name))
}

impl Service {
    pub(super) fn of(config: &ServiceConfig, from_config: bool, directory: &Arc<Directory>) -> Self {
        let has_pages = config.url.is_some() || config.oauth_redirect_uri.is_some();
        let oauth_client = has_pages.then(|| ServiceClient {
            id: client_id_of(config),
            redirect_uri: config.oauth_redirect_uri.clone(),
            no_confirm: config.oauth_no_confirm,
            allowed_scopes: config.oauth_client_allowed_scopes.clone(),
        });
        Self {
            name: config.name.clone(),
            admin: config.admin,
            url: config.url.clone(),
            command: config.command.clone(),
            info: config.info.clone(),
            display: config.display,
            oauth_client,
            from_config,
            is_gone: AtomicBool::new(false),
            directory: Arc::clone(directory),
            rights: RightsCell::default(),
        }
    }

    /// What it may do now.
    #[must_use]
    pub fn rights(&self) -> Arc<Rights> {
        self.with_rights(Arc::clone)
    }

    pub(super) fn with_rights<T>(&self, ask: impl FnOnce(&Arc<Rights>) -> T) -> T {
        self.rights.with(&self.directory, || expand::rights_of_service(self, &self.directory), ask)
    }

    /// True for good once it has been deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    pub(super) fn set_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.directory.changed();
    }
}
