//! Builds every part, connects them, and runs until told to stop. Holds no rule of its own.

mod boards;
mod copies;
mod figures;
mod gpus;
mod host;
mod metrics;
mod reload;
mod routers;
mod traces;

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt as _;
use tracing::{info, warn};

use crate::auth::{self, Auth, session_cookie_name};
use crate::config::{BackendChoice, Config, HubBind, Origin, SettingTold};
use crate::control::{self, Afterwards};
use crate::edge::{self, Arrival, Edge};
use crate::gpu::{Gpus, Nvml};
use crate::hub::{self, HostFactsOf, HubState};
use copies::Copier;
pub use copies::NewestCopy;
pub use reload::{ReloadFigures, ReloadRefused, Reloaded, Reloader};

use crate::listener::acme::{self, Acme, AcmeError};
use crate::listener::{self, Admission, Certificates, Connection, Listener, Serve};
use crate::model::{
    Clock, Door, GrantedIdle, InstanceId, Live, Random, Routes, Secret, ServerKey, ServiceConfig, ServiceName, Timing,
    UserName,
};
use crate::net::{BoxError, RequestBody, ResponseBody};
use crate::proxy::Proxy;
use crate::routers::Published;
use crate::services::{self, ServiceSpec, ServiceTokens, Services};
use crate::spawner::{self, Backend, BackendError, ServerTokens, Spawner, docker, process, static_upstream};
use crate::store::{Store, StoreError};
use crate::tasks::{Lanes, Tasks};
use crate::telemetry::{self, AccessLog, LineWriter, LogFile, Metrics, Traces};

/// What the program takes from the world; tests bring their own.
pub struct Parts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Random,
    /// Where servers run; `None`: what the configuration says.
    pub backend: Option<Arc<dyn Backend>>,
}

/// Why the program could not start. The text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The database.
    #[error("the store in data_dir cannot be used")]
    Store(#[from] StoreError),
    /// The database is damaged, or a part of it is missing.
    #[error("the store in data_dir cannot be used; {copy}")]
    DamagedStore {
        /// What can be brought back.
        copy: NewestCopy,
        /// What is wrong.
        #[source]
        cause: StoreError,
    },
    /// An address.
    #[error("an address cannot be listened on; is another program using it?")]
    Bind(#[from] listener::BindError),
    /// Certificates.
    #[error("no certificate can be served")]
    Certificates(#[from] listener::CertificateError),
    /// The TLS library.
    #[error("TLS cannot be set up")]
    Tls(#[from] listener::TlsError),
    /// The ACME authority.
    #[error("no certificates can be ordered")]
    Acme(#[from] AcmeError),
    /// Servers cannot be run.
    #[error("servers cannot be run; set spawner.backend to the one that is meant")]
    Backend(#[from] BackendError),
    /// The access log's file.
    #[error("log.access_file = {path:?} cannot be written; name another, or leave the line out for standard output")]
    AccessFile {
        /// Which.
        path: std::path::PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The socket for commands.
    #[error("commands cannot be taken")]
    Control(#[from] control::ListenError),
    /// Threads.
    #[error("the system gives no threads for connections")]
    Threads(#[source] std::io::Error),
}

/// The running program.
pub struct App {
    /// Where HTTPS is served.
    pub https: Vec<SocketAddr>,
    /// Where plain HTTP is answered with a redirect.
    pub http: Vec<SocketAddr>,
    /// Where servers reach the hub.
    pub private: SocketAddr,
    /// Where the figures have an address of their own.
    pub figures: Vec<SocketAddr>,
    /// Name of the session cookie.
    pub session_cookie: String,
    /// What is kept.
    pub store: Store,
    /// People.
    pub auth: Auth,
    /// Servers.
    pub spawner: Spawner,
    /// Programs beside the hub.
    pub services: Services,
    /// Where ready servers are.
    pub routes: Arc<Routes>,
    /// Takes up another configuration.
    pub reloader: Reloader,
    /// Routes beyond users.
    pub routers: Arc<Published>,
    tasks: Tasks,
    stop_wished: CancellationToken,
    stop_timeout: Duration,
}

impl App {
    /// Starts everything; pages and servers' lives on the current runtime, connections on threads of their own.
    ///
    /// # Errors
    /// What could not be had, in one line each.
    pub async fn start(config: Config, parts: Parts) -> Result<Self, AppError> {
        let begun = Instant::now();
        let Parts { clock, random, backend } = parts;
        let control = Handle::current();
        let control_tasks = Tasks::new(control.clone());
        let lanes = Lanes::start(&control_tasks).map_err(AppError::Threads)?;
        let tasks = lanes.tasks();

        let (store_config, copies_config) = (config.store.clone(), config.copies.clone());
        let store = run_blocking(move || copies::open_store(&store_config, &copies_config)).await?;
        store.keep_audit(config.audit);
        let admission = Live::new(config.listener.admission());
        let https = Listener::bind(&config.listener.https, &config.listener.access, admission.clone())?;
        let http = Listener::bind(&config.listener.http, &config.listener.access, admission.clone())?;
        let (https_addresses, http_addresses) = (https.addresses(), http.addresses());
        let https_port = https_addresses.first().map_or(443, SocketAddr::port);
        let session_cookie = session_cookie_name(https_port, &config.hub.base);

        let commands = control::Listener::bind(config.control.clone())?;
        let auth = Auth::load(config.auth.clone(), store.clone(), clock.clone(), random.clone()).await?;
        let docker = Live::new(config.docker.clone());
        let Chosen { backend, gateway, own_name } = match backend {
            Some(backend) => Chosen { backend, gateway: None, own_name: None },
            None => choose_backend(&config, &docker, &store, &control_tasks).await?,
        };
        let private_admission = Live::new(Admission::limited(config.listener.limits.clone()));
        let address = private_address(&config.hub_bind, gateway, own_name.is_some()).into();
        let private = Listener::bind(&[address], &config.listener.access, private_admission.clone())?;
        let private_address = private.addresses()[0];
        let mut spawner_config = config.spawner.clone();
        spawner_config.hub_connect_url = connect_url(&config, own_name.as_deref(), private_address);
        let hub_url = spawner_config.hub_connect_url.clone();
        let spawner_config = Live::new(spawner_config);
        let routes = Arc::new(Routes::default());
        let gpus = Gpus::new(config.gpu, Arc::new(Nvml::default()), clock.clone());
        control_tasks.spawn(gpus.clone().sample(tasks.stopping().clone()));
        let engine = backend.clone();
        let spawner_parts = spawner::Parts {
            backend,
            store: store.clone(),
            routes: routes.clone(),
            tokens: Arc::new(TokensOfServers(auth.clone())),
            groups: groups_of(&auth),
            grants: grants_of(&auth),
            gpus: Arc::new(gpus::Lender { gpus: gpus.clone(), auth: auth.clone() }),
            idle_rules: idle_rules_of(&auth, spawner_config.clone()),
            errands: Some(errands_of(&auth)),
            base: config.hub.base.clone(),
            clock: clock.clone(),
            tasks: control_tasks.clone(),
        };
        let spawner = Spawner::open(spawner_config.clone(), spawner_parts).await?;

        // What a crash between the end of an account and the end of its servers has left.
        for (server, _) in spawner.active() {
            if auth.user(&server.user).is_none() {
                let spawner = spawner.clone();
                control_tasks.spawn(async move {
                    let _ = spawner.forget_user(&server.user).await;
                });
            }
        }

        let service_tokens = Live::new(tokens_of_services(&config));
        let public_origin = Live::new(config.edge.public_url.as_ref().map(edge::PublicUrl::origin));
        let services = Services::new(
            config.services.clone(),
            services::Parts {
                routes: routes.clone(),
                tokens: Arc::new(TokensOfServices { auth: auth.clone(), configured: service_tokens.clone() }),
                base: config.hub.base.clone(),
                // Services are programs of this host, wherever servers are.
                hub_url: format!("http://{}", reached_from_here(private_address)),
                public_origin: public_origin.clone(),
                clock: clock.clone(),
                tasks: control_tasks.clone(),
            },
        );
        let hub_config = hub::Config { session_cookie: session_cookie.clone(), ..config.hub.clone() };
        let metrics = Metrics::default();
        let figures = metrics.clone();
        let stop_wished = CancellationToken::new();
        let program = hub::Program {
            routes: routes.clone(),
            hub_url,
            stop: stop_wished.clone(),
            tasks: control_tasks.clone(),
            settings: config.settings.iter().map(shown).collect(),
            store: store.clone(),
        };
        let host_facts = host::Latest::default();
        let facts_for_metrics = host_facts.facts_of();
        let routers = routers::start(&config, &clock, &tasks, &control_tasks);
        let state = HubState::new(
            hub_config,
            auth.clone(),
            spawner.clone(),
            services.clone(),
            program,
            clock.clone(),
            random.clone(),
        )
        .with_host(host_facts.facts_of(), gpus.clone())
        .with_routes(routers::view_of(&routers, &https_addresses, &http_addresses))
        .with_metrics_page(Arc::new(move || figures.page()));
        let hub_requests = state.requests();
        let checks = state.clone();
        control_tasks.spawn(state.clone().keep_activity_samples(tasks.stopping().clone()));
        let listener_config = config.listener.clone();
        // A container's own host name is another one in each: a certificate for it would be another one, too.
        let (host_name, certificate_clock) = (own_name.unwrap_or_else(host_name), clock.clone());
        let certificates =
            run_blocking(move || Certificates::load(&listener_config, &host_name, certificate_clock)).await?;
        let acme = open_acme(&config, &store, &certificates, &clock, &random).await?;
        let (certified, challenges) = (certificates.clone(), certificates.challenges().clone());
        let copies = Live::new(config.copies.clone());
        let copier = Copier::new(store.clone(), copies.clone(), clock.clone());
        let host = host::Host {
            backend: engine,
            gpus,
            certificates: certificates.clone(),
            acme: acme.clone(),
            data_dir: config.store.data_dir.clone(),
            clock: clock.clone(),
            latest: host_facts,
            store: store.clone(),
            copier: copier.clone(),
            history: None,
            shown_history: Arc::default(),
            times: None,
        };
        control_tasks.spawn(host.watch(tasks.stopping().clone()));
        control_tasks.spawn(copier.clone().run(tasks.stopping().clone()));
        let reports = spawner.clone();
        let proxy = Proxy::new(config.proxy.clone(), clock.clone(), tasks.clone());
        let access_log = access_log(&config.log)?;
        let traces = config.log.traces.as_ref().and_then(|config| traces::start(config, &control_tasks));
        let unready = unready(&certificates, &facts_for_metrics, &tasks, clock.clone());
        let figures_listener = Listener::bind(
            &config.metrics_listen,
            &config.listener.access,
            Admission::limited(config.listener.limits.clone()),
        )?;
        let figures_at = figures_listener.addresses();
        let hub_router = Live::new(hub::router(state.clone()));
        let edge = Live::new(Edge::new(edge::Parts {
            config: edge::Config {
                https_port,
                trace_ratio: config.log.traces.as_ref().map(|traces| traces.sample_ratio),
                ..config.edge.clone()
            },
            auth: auth.clone(),
            proxy: proxy.clone(),
            routes: routes.clone(),
            routers: routers.routers.clone(),
            hub: hub_service(hub_router.clone(), control),
            report: Arc::new(move |report| reports.report_unreachable(report)),
            base: config.hub.base.clone(),
            session_cookie: session_cookie.clone(),
            is_certified: Arc::new(move |host| certified.covers(host)),
            challenge: Arc::new(move |token| challenges.answer(token)),
            tell: tell_exchange(access_log.clone(), traces.clone()),
            unready: unready.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
        }));
        let reloader = Reloader::new(reload::Parts {
            running: config.clone(),
            admission,
            private_admission,
            auth: auth.clone(),
            clock: clock.clone(),
            copies,
            docker,
            edge: edge.clone(),
            hub: state,
            hub_router,
            proxy: proxy.clone(),
            public_origin,
            service_tokens,
            services: services.clone(),
            spawner: spawner_config,
            store: store.clone(),
            tasks: control_tasks.clone(),
        });

        let startup = Timing::default();
        startup.note(begun.elapsed());
        let sources = metrics::Sources {
            tasks: tasks.clone(),
            edge: edge.read().counts(),
            reloads: reloader.counts(),
            proxy,
            listeners: vec![("https", https.counts()), ("http", http.counts()), ("private", private.counts())],
            auth: auth.clone(),
            spawner: spawner.clone(),
            store: store.clone(),
            copier,
            routes: routes.clone(),
            routers: routers.routers.clone(),
            hub_requests,
            access_log,
            traces,
            certificates: certificates.clone(),
            startup,
            host: facts_for_metrics,
        };
        metrics::register(&metrics, sources);

        let tls = {
            let (listener_config, certificates) = (config.listener.clone(), certificates.clone());
            run_blocking(move || listener::acceptor(&listener_config, certificates)).await?
        };
        if let Some(acme) = acme {
            control_tasks.spawn(acme.run(tasks.stopping().clone()));
        }
        let taken_up = note_certificates(&auth, &control_tasks);
        control_tasks.spawn(certificates.clone().watch(tasks.stopping().clone(), taken_up));
        control_tasks.spawn(auth.clone().keep_activity(tasks.stopping().clone()));
        let reload = reloader.answering_commands();
        control_tasks.spawn(control::serve(
            commands,
            auth.clone(),
            stop_servers(&spawner),
            reload,
            control_tasks.clone(),
        ));
        figures_listener.run(&Lanes::one(&control_tasks), None, figures::serve(&metrics, &unready, &control_tasks));
        private.run(&lanes, None, serve(&edge, Door::Private, &tasks));
        http.run(&lanes, None, serve(&edge, Door::Public, &tasks));
        https.run(&lanes, Some(tls), serve(&edge, Door::Public, &tasks));
        note_start(&config, &auth).await;
        checks.check_audit();
        checks.tell_of_idle_stops();
        services.start(specs_of_services(&config, &auth));
        announce(&config, &auth, https_port);
        Ok(Self {
            https: https_addresses,
            http: http_addresses,
            private: private_address,
            figures: figures_at,
            session_cookie,
            store,
            auth,
            spawner,
            services,
            routes,
            reloader,
            routers: routers.published,
            tasks,
            stop_wished,
            stop_timeout: config.stop_timeout,
        })
    }

    /// Stops: no new connections, open requests and steps finish within `stop_timeout_s`, the rest is dropped. Users'
    /// servers go on running.
    pub async fn stop(self) {
        if !self.tasks.stop(self.stop_timeout).await {
            info!(limit_s = self.stop_timeout.as_secs(), "some requests were still open and have been cut");
        }
    }

    /// Ends when somebody has asked through the API for the program to stop.
    pub fn stop_wished(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop_wished.clone().cancelled_owned()
    }

    /// What `stop` waits for is dropped as soon as this is called: the second signal.
    pub fn hard_stop(&self) -> impl Fn() + Send + Sync + 'static {
        let tasks = self.tasks.clone();
        move || tasks.drop_all()
    }
}

/// A setting as the hub shows it.
fn shown(setting: &SettingTold) -> hub::SettingShown {
    let SettingTold { key, value, origin, .. } = setting;
    hub::SettingShown {
        key: key.name.to_owned(),
        category: key.name.rsplit_once('.').map_or("general", |(category, _)| category).to_owned(),
        value: value.clone(),
        default: key.default.to_owned(),
        source: origin.to_string(),
        description: key.text.to_owned(),
        is_set: *origin != Origin::Default,
    }
}

/// What the audit log says of this start. Without it we start all the same: a full disk stops nobody's work.
async fn note_start(config: &Config, auth: &Auth) {
    let settings = config.settings.iter().map(|told| (told.key.name.to_owned(), told.exact.expose().to_owned()));
    if let Err(error) = auth.note_start(env!("CARGO_PKG_VERSION"), settings.collect()).await {
        warn!(error = &error as &dyn std::error::Error, "the start could not be noted in the audit log");
    }
}

/// What orders certificates, if names are set; what it obtained before is served from here on.
async fn open_acme(
    config: &Config,
    store: &Store,
    certificates: &Arc<Certificates>,
    clock: &Arc<dyn Clock>,
    random: &Random,
) -> Result<Option<Arc<Acme>>, AcmeError> {
    if config.listener.acme.names.is_empty() {
        return Ok(None);
    }
    let (config, store, certificates) = (config.listener.acme.clone(), store.clone(), certificates.clone());
    let (clock, random) = (clock.clone(), random.clone());
    run_blocking(move || Acme::open(config, acme::Parts { store, certificates, clock, random })).await.map(Some)
}

/// Notes in the audit log what certificates are served from now on.
fn note_certificates(auth: &Auth, tasks: &Tasks) -> impl Fn(&Certificates) + Send + 'static {
    let (auth, tasks) = (auth.clone(), tasks.clone());
    move |certificates| {
        let (auth, names) = (auth.clone(), certificates.names().join(", "));
        tasks.spawn(async move {
            if let Err(error) = auth.note_act("slipway", "took up certificates", names).await {
                warn!(error = &error as &dyn std::error::Error, "new certificates could not be noted in the audit log");
            }
        });
    }
}

async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // The runtime ends no blocking task before it is done, so this is a panic of the work itself.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Where servers run, and how they find us.
struct Chosen {
    backend: Arc<dyn Backend>,
    /// The address under which servers see this host, if that is not the loopback.
    gateway: Option<IpAddr>,
    /// The name under which they see us, if we are a container among them.
    own_name: Option<String>,
}

impl Chosen {
    fn on_loopback(backend: Arc<dyn Backend>) -> Self {
        Self { backend, gateway: None, own_name: None }
    }
}

async fn choose_backend(
    config: &Config,
    docker_config: &Live<docker::Config>,
    store: &Store,
    tasks: &Tasks,
) -> Result<Chosen, AppError> {
    let instance = store.instance();
    let docker = async {
        let engine = docker::DockerBackend::connect(docker_config.clone(), instance.clone(), tasks.clone()).await?;
        let gateway = engine.network_gateway().await?;
        let own_name = engine.own_name().await?;
        Ok::<_, BackendError>(Chosen { backend: Arc::new(engine), gateway, own_name })
    };
    match &config.backend {
        BackendChoice::Docker => Ok(docker.await?),
        BackendChoice::Process => Ok(Chosen::on_loopback(process_backend(config, instance.clone(), tasks)?)),
        BackendChoice::Static(upstream) => {
            Ok(Chosen::on_loopback(static_backend(upstream.clone(), store.clone()).await?))
        }
        BackendChoice::Auto => match docker.await {
            Ok(found) => Ok(found),
            Err(error) => {
                info!(reason = %error, "no Docker engine answers: servers will be local processes");
                Ok(Chosen::on_loopback(process_backend(config, instance.clone(), tasks)?))
            }
        },
    }
}

async fn static_backend(config: static_upstream::Config, store: Store) -> Result<Arc<dyn Backend>, AppError> {
    info!(upstream = ?config.upstream, "servers are started elsewhere: everybody's is at one address");
    let rows = run_blocking(move || store.servers()).await?;
    Ok(Arc::new(static_upstream::StaticBackend::open(config, &rows).await?))
}

fn process_backend(config: &Config, instance: InstanceId, tasks: &Tasks) -> Result<Arc<dyn Backend>, BackendError> {
    warn!("servers are local processes: right for one person, or for people who trust each other");
    Ok(Arc::new(process::ProcessBackend::open(config.process.clone(), instance, tasks.clone())?))
}

/// True if `address` is this machine's own: in a container of the engine's, its host's addresses are not.
fn is_ours(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

fn private_address(bind: &HubBind, gateway: Option<IpAddr>, is_in_container: bool) -> SocketAddr {
    match bind {
        HubBind::Address(address) => *address,
        HubBind::Auto { port } => {
            let address = match gateway {
                // What servers are told and where we listen are two things: a newer container of ours has another
                // address under the same name.
                _ if is_in_container => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                None => IpAddr::V4(Ipv4Addr::LOCALHOST),
                Some(gateway) if is_ours(gateway) => gateway,
                // The engine's host is another one, or we are in a container that it does not know.
                Some(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            };
            SocketAddr::new(address, *port)
        }
    }
}

fn connect_url(config: &Config, own_name: Option<&str>, private: SocketAddr) -> String {
    match (&config.hub_connect_url, own_name) {
        (Some(url), _) => url.clone(),
        (None, Some(name)) => format!("http://{name}:{}", private.port()),
        (None, None) if private.ip().is_unspecified() => format!("http://{}:{}", host_name(), private.port()),
        (None, None) => format!("http://{private}"),
    }
}

fn host_name() -> String {
    hostname::get().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "localhost".into())
}

/// The hub as the edge calls it: on its own runtime, ended when the client goes away.
fn hub_service(router: Live<axum::Router>, control: Handle) -> edge::Hub {
    Arc::new(move |request: Request<RequestBody>| {
        let answer = axum::Router::clone(&router.read()).oneshot(request.map(Body::new));
        let answer = AbortOnDropHandle::new(control.spawn(answer));
        Box::pin(async move {
            let response: Response<Body> = match answer.await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                // The edge answers a panic with 500, whosever it was; the hook has logged it already.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            response.map(ResponseBody::stream)
        })
    })
}

fn serve(edge: &Live<Edge>, door: Door, tasks: &Tasks) -> Serve {
    let (edge, stopping) = (edge.clone(), tasks.stopping().clone());
    Arc::new(move |connection: Connection| {
        let (edge, stopping) = (edge.clone(), stopping.clone());
        let Connection { stream, peer, local, security } = connection;
        let arrival = Arrival { peer, local, security, door };
        Box::pin(async move { edge::serve_connection(&edge, stream, arrival, stopping).await })
    })
}

/// Access lines go to standard output or their file; the log has standard error.
fn access_log(config: &telemetry::Config) -> Result<Option<AccessLog>, AppError> {
    if config.access == telemetry::AccessFormat::Off {
        return Ok(None);
    }
    let writer = match &config.access_file {
        Some(path) => {
            let opened = LogFile::open(path.clone());
            LineWriter::new(opened.map_err(|cause| AppError::AccessFile { path: path.clone(), cause })?, &config.limits)
        }
        None => LineWriter::new(std::io::stdout(), &config.limits),
    };
    let writer = writer.inspect_err(|error| warn!(%error, "there will be no access log")).ok();
    Ok(writer.and_then(|writer| AccessLog::new(config.access, writer)))
}

fn tell_exchange(log: Option<AccessLog>, traces: Option<Traces>) -> Option<edge::TellExchange> {
    if log.is_none() && traces.is_none() {
        return None;
    }
    Some(Arc::new(move |exchange| {
        if let Some(log) = &log {
            log.tell(exchange);
        }
        if let Some(traces) = &traces {
            traces.tell(exchange);
        }
    }))
}

/// What `/readyz` asks. Nothing of it waits: the engine was asked in the background.
fn unready(
    certificates: &Arc<Certificates>,
    host: &HostFactsOf,
    tasks: &Tasks,
    clock: Arc<dyn Clock>,
) -> edge::Unready {
    let (certificates, host, stopping) = (certificates.clone(), host.clone(), tasks.stopping().clone());
    Arc::new(move || {
        let now = clock.now();
        let ended = certificates.all().into_iter().find(|certificate| certificate.ends_at <= now);
        let ended = ended.map(|ended| format!("the certificate in {} has ended", ended.file));
        let engine = host().and_then(|facts| facts.engine.problem.clone());
        let engine = engine.map(|problem| format!("servers cannot be started: {problem}"));
        let stopping = stopping.is_cancelled().then(|| "it is being stopped".to_owned());
        [stopping, engine, ended].into_iter().flatten().collect()
    })
}

/// Which groups somebody is in, for the profiles that only some may choose.
fn groups_of(auth: &Auth) -> spawner::GroupsOf {
    let auth = auth.clone();
    Arc::new(move |user| auth.groups_of(user).into_iter().map(String::from).collect())
}

/// What the next start of somebody's servers gets through groups.
fn grants_of(auth: &Auth) -> spawner::GrantsOf {
    let auth = auth.clone();
    Arc::new(move |user| auth.effective(user))
}

/// When idle servers of somebody are stopped: as their groups say, else as the installation does.
fn idle_rules_of(auth: &Auth, installation: Live<spawner::Config>) -> spawner::IdleRulesOf {
    let auth = auth.clone();
    Arc::new(move |user| match auth.idle_grant(user) {
        Some(granted) => GrantedIdle { rules: granted.value.rules(), from: granted.from },
        None => GrantedIdle { rules: installation.read().idle.rules, from: vec![] },
    })
}

/// How servers are asked for their kernels: as their owners, who look no busier for it.
fn errands_of(auth: &Auth) -> spawner::Errands {
    let auth = auth.clone();
    Arc::new(move |server| Some(Box::new(Errand(auth.errand_to(server)?)) as Box<dyn spawner::Errand>))
}

struct Errand(auth::Errand);

impl spawner::Errand for Errand {
    fn secret(&self) -> &Secret {
        self.0.secret()
    }
}

/// How a command that shuts somebody out, or deletes them, ends their servers.
fn stop_servers(spawner: &Spawner) -> control::StopServers {
    let spawner = spawner.clone();
    Arc::new(move |user, afterwards| {
        let spawner = spawner.clone();
        Box::pin(async move {
            let ended = match afterwards {
                Afterwards::Kept => spawner.stop_all_of(&user, "command").await,
                Afterwards::Forgotten => spawner.forget_user(&user).await,
            };
            ended.map_err(|error| error.to_string())
        })
    })
}

/// How the spawner gets its servers' tokens without knowing `auth`.
struct TokensOfServers(Auth);

#[async_trait::async_trait]
impl ServerTokens for TokensOfServers {
    async fn issue(&self, server: &ServerKey, also: spawner::Also) -> Result<Secret, StoreError> {
        self.0.issue_server_token_with(server, also).await
    }

    async fn end(&self, server: &ServerKey) -> Result<(), StoreError> {
        self.0.end_server_token(server).await
    }

    async fn forget(&self, servers: &[ServerKey], also: spawner::Also) -> Result<(), StoreError> {
        self.0.forget_servers(servers, also).await
    }

    async fn rename(&self, from: &ServerKey, to: &ServerKey, also: spawner::Also) -> Result<(), StoreError> {
        self.0.rename_server(from, to, also).await
    }

    fn objection(&self, user: &UserName) -> Option<String> {
        self.0.objection_to_start(user)
    }
}

/// How services get their tokens: a configured one is theirs for good, others get a fresh one each start.
struct TokensOfServices {
    auth: Auth,
    configured: Live<HashMap<ServiceName, Secret>>,
}

#[async_trait::async_trait]
impl ServiceTokens for TokensOfServices {
    async fn issue(&self, service: &ServiceName) -> Result<Secret, BoxError> {
        let configured = self.configured.read().get(service).cloned();
        match configured {
            Some(token) => Ok(token),
            None => Ok(self.auth.issue_service_token(service).await?),
        }
    }
}

fn tokens_of_services(config: &Config) -> HashMap<ServiceName, Secret> {
    let services = config.auth.services.iter();
    services.filter_map(|service| Some((service.name.clone(), service.api_token.clone()?))).collect()
}

/// The services of the configuration, and those that were made through the API.
fn specs_of_services(config: &Config, auth: &Auth) -> Vec<ServiceSpec> {
    let made = auth.services().into_iter().filter(|service| !service.from_config);
    let made = made.filter_map(|service| {
        let mut spec = ServiceConfig::named(service.name.clone());
        spec.url.clone_from(&service.url);
        match ServiceSpec::of(&spec) {
            Ok(spec) => Some(spec),
            Err(error) => {
                warn!(service = %service.name, %error, "a service has no pages, because its URL is none");
                None
            }
        }
    });
    config.service_specs.iter().cloned().chain(made).collect()
}

/// The address under which this host reaches a listener of ours.
fn reached_from_here(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

/// How people on this host reach us.
fn local_origin(https_port: u16) -> String {
    if https_port == 443 { "https://localhost".to_owned() } else { format!("https://localhost:{https_port}") }
}

/// Says where we are and, while nobody administers, how to begin; the setup link is also kept for `start.sh`.
fn announce(config: &Config, auth: &Auth, https_port: u16) {
    let origin = config.edge.public_url.as_ref().map_or_else(|| local_origin(https_port), edge::PublicUrl::origin);
    let base = &config.hub.base;
    info!(address = %format!("{origin}{base}"), "ready");
    let link_file = config.store.data_dir.join("setup-link");
    // One of an earlier start is worth nothing now.
    let _ = std::fs::remove_file(&link_file);
    let Some(auth::SetupWindow { administrator, code }) = auth.setup_window() else { return };
    let Some(code) = code else {
        warn!(%administrator, "nobody administers yet: whoever signs up under this name will");
        return;
    };
    let link = format!("{origin}{base}hub/signup?code={}", code.expose());
    warn!(%administrator, link, "nobody administers yet: open this link to sign up as the administrator");
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&link_file);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{link}")) {
        warn!(%error, "the setup link could not be kept in data_dir; take it from the line above");
    }
}
