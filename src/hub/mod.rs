//! The hub: the pages people see, the part of JupyterHub's REST API that servers and clients need, and the OAuth
//! provider by which a server learns who its visitor is.
//!
//! Read `router` for every path and `layers` for what happens around a handler. The edge has found out who sends a
//! request and from where; it hands both over in the request's extensions (`auth::Caller`, `model::Visit`).

mod activity;
mod api;
mod assets;
mod audit_check;
mod config;
mod cookies;
mod counts;
mod error;
mod extract;
mod form;
mod frame;
mod host;
mod host_history;
mod idle;
mod landing;
mod layers;
mod leave;
mod notices;
mod oauth;
mod pages;
mod program;
mod router;
mod templates;
mod to_its_end;
mod xsrf;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use activity::Config as ActivityConfig;
pub use config::Config;
pub use counts::{RequestFigure, Requests};
pub use host::{
    CertificateShown, CertificateTrouble, EngineDisk, EngineShown, Filled, HostFacts, HostFactsOf, OwnShown, StoreShown,
};
pub use host_history::{HostHistory, HostShares};
pub use notices::Config as NoticesConfig;
pub use program::{Program, SettingShown};
pub use router::router;

use crate::auth::Auth;
use crate::gpu::Gpus;
use crate::model::{Clock, Live, Random, Timestamp};
use crate::routers::view::{View, ViewOf};
use crate::services::Services;
use crate::spawner::Spawner;

/// What every handler works with; each takes what it needs. Cheap to clone.
#[derive(Clone)]
pub struct HubState {
    /// What this request is answered by, from its beginning to its end.
    config: Arc<Config>,
    /// The newest, for what goes on beside requests.
    newest: Live<Config>,
    auth: Auth,
    spawner: Spawner,
    services: Services,
    program: Program,
    clock: Arc<dyn Clock>,
    random: Random,
    views: Arc<templates::Views>,
    codes: Arc<oauth::Codes>,
    /// The API's description, written once.
    openapi: Arc<api::openapi::Document>,
    /// Signs the form tokens of visitors without a session; made anew at each start.
    visitor_key: xsrf::Key,
    /// One permit a listener of a progress stream.
    progress_listeners: Arc<Semaphore>,
    notices: Arc<notices::Notices>,
    live_streams: Arc<api::live::Places>,
    started_at: Timestamp,
    requests: Arc<Requests>,
    /// What administrators have asked to be done to many users.
    batches: Arc<pages::Batches>,
    /// Forms for new users that have just been sent.
    new_users: Arc<pages::NewUsers>,
    audit_check: Arc<audit_check::AuditCheck>,
    metrics_page: MetricsPage,
    gpus: Gpus,
    host_facts: HostFactsOf,
    routes_view: ViewOf,
    health_limit: Arc<pages::HealthLimit>,
    activity: Arc<activity::Activity>,
}

/// Writes all figures of the program as text; given by `app`. May look at everybody: it is called on the blocking pool.
pub type MetricsPage = Arc<dyn Fn() -> String + Send + Sync>;

impl HubState {
    /// Puts the hub together. Templates are read at their first use.
    #[must_use]
    pub fn new(
        config: Config,
        auth: Auth,
        spawner: Spawner,
        services: Services,
        program: Program,
        clock: Arc<dyn Clock>,
        random: Random,
    ) -> Self {
        Self {
            views: Arc::new(templates::Views::new(&config)),
            codes: Arc::new(oauth::Codes::new(config.oauth_codes)),
            openapi: Arc::new(api::openapi::Document::new(&config)),
            visitor_key: xsrf::Key::new(random.bytes()),
            progress_listeners: Arc::new(Semaphore::new(config.progress_listeners)),
            notices: Arc::default(),
            live_streams: Arc::new(api::live::Places::new(config.live_streams, config.live_streams_per_session)),
            started_at: clock.now(),
            requests: Arc::default(),
            batches: Arc::default(),
            new_users: Arc::default(),
            audit_check: Arc::default(),
            metrics_page: Arc::new(String::new),
            gpus: Gpus::off(Arc::clone(&clock)),
            host_facts: Arc::new(|| None),
            routes_view: Arc::new(View::default),
            health_limit: Arc::default(),
            activity: Arc::default(),
            newest: Live::new(config.clone()),
            config: Arc::new(config),
            auth,
            spawner,
            services,
            program,
            clock,
            random,
        }
    }

    /// The same hub under other settings, to be routed anew (`router`). Background work takes them up, too.
    #[must_use]
    pub fn with_config(self, config: Config, settings: Vec<SettingShown>) -> Self {
        self.newest.publish(config.clone());
        let program = Program { settings: settings.into(), ..self.program };
        Self { views: Arc::new(templates::Views::new(&config)), config: Arc::new(config), program, ..self }
    }

    /// What a request would be answered by.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// With what is known of the host that we run on.
    #[must_use]
    pub fn with_host(self, host_facts: HostFactsOf, gpus: Gpus) -> Self {
        Self { host_facts, gpus, ..self }
    }

    /// With what is known of the routes beyond users.
    #[must_use]
    pub fn with_routes(self, routes_view: ViewOf) -> Self {
        Self { routes_view, ..self }
    }

    /// With the page that `{base}hub/metrics` shows.
    #[must_use]
    pub fn with_metrics_page(self, metrics_page: MetricsPage) -> Self {
        Self { metrics_page, ..self }
    }

    /// What the hub counts of its requests.
    #[must_use]
    pub fn requests(&self) -> Arc<Requests> {
        self.requests.clone()
    }
}
