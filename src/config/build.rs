//! Checks the settings, and the relations between them, and fills in each module's `Config`.

mod idle;
mod routers;
mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use toml::Value;

use super::keys::Key;
use super::profiles::profiles_of;
use super::settings::{Mistake, Note, Setting, SettingTold, Settings, Sources};
use crate::model::{BasePath, GrantRules, Network, Secret, ServerName, ServiceConfig, UserHosts, UserName};
use crate::spawner::{ANY_IMAGE, NamedServers, Profile, ResourceLimits, docker, is_image, process, static_upstream};
use crate::{auth, control, edge, gpu, hub, listener, proxy, services, spawner, store, telemetry};

/// What servers are.
#[derive(Clone, Debug)]
pub enum BackendChoice {
    /// Containers if an engine answers, else processes.
    Auto,
    /// Containers.
    Docker,
    /// Local processes.
    Process,
    /// One address, where servers are started elsewhere.
    Static(static_upstream::Config),
}

/// Where servers reach the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubBind {
    /// The address follows from the backend.
    Auto {
        /// The port.
        port: u16,
    },
    /// This one.
    Address(SocketAddr),
}

/// The port of the hub's private listener, as JupyterHub's.
const HUB_PORT: u16 = 8081;

/// Everything the program is told at start, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store.
    pub store: store::Config,
    /// How much of the audit log is kept.
    pub audit: store::AuditRetention,
    /// The copies that are made of the store.
    pub copies: store::CopiesConfig,
    /// What it was made from, to be shown and compared.
    pub settings: Vec<SettingTold>,
    /// Where it was read from, to be read again.
    pub source: Source,
    /// What is to be said of it at the start.
    pub notes: Vec<Note>,
    /// People.
    pub auth: auth::Config,
    /// Sockets and certificates.
    pub listener: listener::Config,
    /// The first stop of every request.
    pub edge: edge::Config,
    /// The way to servers.
    pub proxy: proxy::Config,
    /// Routes beyond users: where they come from.
    pub routers: crate::routers::sources::Config,
    /// Pages and API.
    pub hub: hub::Config,
    /// The private listener's address.
    pub hub_bind: HubBind,
    /// The same as servers see it; `None`: made from where it really listens.
    pub hub_connect_url: Option<String>,
    /// The life of servers.
    pub spawner: spawner::Config,
    /// Graphics processors.
    pub gpu: gpu::Config,
    /// What servers are.
    pub backend: BackendChoice,
    /// Containers.
    pub docker: docker::Config,
    /// Processes.
    pub process: process::Config,
    /// Programs beside the hub: how they are run.
    pub services: services::Config,
    /// Which there are.
    pub service_specs: Vec<services::ServiceSpec>,
    /// Commands on a running instance.
    pub control: control::Config,
    /// The log.
    pub log: telemetry::Config,
    /// Addresses of their own for the figures.
    pub metrics_listen: Vec<listener::ListenAddress>,
    /// How long a stop waits for open requests.
    pub stop_timeout: Duration,
}

/// Reads and checks everything: the settings in force with where each came from, and what they amount to.
///
/// # Errors
/// Every mistake at once, each naming key, value and cure.
pub fn load(file: Option<(&Path, &str)>, environment: impl IntoIterator<Item = (String, String)>) -> Loaded {
    let environment: Vec<_> = environment.into_iter().collect();
    let sources = Sources { file, environment: environment.clone(), ..Sources::default() };
    let (settings, mut config) = load_all(sources)?;
    let path = file.map(|(path, _)| path.to_owned());
    config.source = Source::new(&settings, move || {
        let text = match path.as_deref().map(std::fs::read_to_string).transpose() {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => return Err(vec![Mistake::unreadable(path.as_deref().unwrap_or(Path::new("")), &error)]),
        };
        load(path.as_deref().map(|path| (path, text.as_str())), environment.clone())
    });
    Ok((settings, config))
}

/// The same of all sources that there can be. It can be read again only once a `Source` says how.
///
/// # Errors
/// Every mistake at once, each naming key, value and cure.
pub fn load_all(sources: Sources<'_>) -> Loaded {
    let (settings, mistakes) = Settings::read_all(sources);
    let config = build(&settings, mistakes)?;
    Ok((settings, config))
}

/// What was read.
pub type Loaded = Result<(Settings, Config), Vec<Mistake>>;

/// How a configuration is read again, and what it said.
#[derive(Clone, Default)]
pub struct Source(Option<(Settings, Arc<dyn Fn() -> Loaded + Send + Sync>)>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings hold passwords.
        f.write_str("Source")
    }
}

impl Source {
    /// `in_force` is what was read; `read` reads all of it anew.
    pub fn new(in_force: &Settings, read: impl Fn() -> Loaded + Send + Sync + 'static) -> Self {
        Self(Some((in_force.clone(), Arc::new(read))))
    }

    /// Reads it again, and says what a program that runs with what was read before takes up. Blocks.
    ///
    /// # Errors
    /// Every mistake at once: in what was read, or else in what would be in force while some keys wait for a start.
    pub fn read_again(&self) -> Result<Option<Reload>, Vec<Mistake>> {
        let Some((running, read)) = &self.0 else { return Ok(None) };
        let (wished, _) = read()?;
        let (settings, taken_up, waiting) = running.reloaded(&wished);
        let mut config = build(&settings, Vec::new())?;
        config.source = Self(Some((settings, read.clone())));
        Ok(Some(Reload { config, taken_up, waiting }))
    }
}

/// What a reload brings.
#[derive(Debug)]
pub struct Reload {
    /// As before in all that is taken up at start alone.
    pub config: Config,
    /// Keys with a new value.
    pub taken_up: Vec<&'static Key>,
    /// Keys whose new value waits for the next start.
    pub waiting: Vec<&'static Key>,
}

/// What sound settings amount to. `mistakes` are those that were found before.
fn build(settings: &Settings, mistakes: Vec<Mistake>) -> Result<Config, Vec<Mistake>> {
    let mut read = Reader { settings, mistakes };
    let mut config = fill(&mut read);
    config.settings = settings.iter().map(Setting::told).collect();
    config.notes = settings.notes().to_vec();
    config.notes.extend(tls::unreachable(&config.listener));
    config.service_specs = service_specs(&mut read, &config.auth.services);
    check_relations(&mut read);
    check_rules(&mut read, &config.auth);
    let mistakes = read.mistakes;
    if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
}

fn fill(read: &mut Reader<'_>) -> Config {
    let data_dir = read.path("data_dir");
    let base = read.parsed("base_url", BasePath::parse).unwrap_or_else(root);
    let base_for_pages = base.clone();
    let trusted_proxies: Vec<Network> = read.all("listener.trusted_proxies");
    let public_url = read.optional("public_url", edge::PublicUrl::from_str);
    let public_origin = public_url.as_ref().map(edge::PublicUrl::origin);
    let routers_config = routers::config(read, &base, public_url.as_ref());
    let user_hosts = user_hosts(read, public_url.as_ref());
    let https: Vec<listener::ListenAddress> = read.all("listener.https");
    let limits = listener::AcceptLimits {
        connections: read.count("listener.connections"),
        connections_per_address: read.count("listener.connections_per_address"),
        handshake_timeout_s: read.seconds("listener.handshake_timeout_s"),
        ..listener::AcceptLimits::default()
    };
    let mut edge_config = edge::Config {
        public_url,
        user_hosts: user_hosts.clone(),
        trusted_proxies: trusted_proxies.clone(),
        forwarded_by: match read.text("listener.forwarded_by").as_str() {
            "forwarded" => edge::ForwardedBy::Rfc7239,
            _ => edge::ForwardedBy::XForwarded,
        },
        requests_in_hub: read.count("hub.requests"),
        ignored_paths: idle::ignored_paths(read),
        limits: edge::Limits {
            requests_per_address_per_s: read.number("limits.requests_per_address_per_s"),
            requests_per_user_per_s: read.number("limits.requests_per_user_per_s"),
            window_s: read.seconds("limits.window_s"),
            in_flight_per_address: read.number("limits.in_flight_per_address"),
            in_flight_per_user: read.number("limits.in_flight_per_user"),
        },
        hsts: tls::hsts(read),
        ..edge::Config::default()
    };
    edge_config.http1.head_timeout_s = read.seconds("listener.header_timeout_s");
    edge_config.http1.idle_timeout_s = read.seconds("listener.idle_timeout_s");
    let absolute_timeout_s = read.seconds("auth.absolute_timeout_s");
    let signup = read.flag("auth.signup");
    Config {
        store: store::Config { data_dir: data_dir.clone() },
        audit: store::AuditRetention {
            age: Duration::from_secs(read.seconds("audit.retention_days") * 86_400),
            rows_limit: read.seconds("audit.rows_max"),
        },
        copies: store::CopiesConfig {
            folder: match read.path("backup.folder") {
                folder if folder.as_os_str().is_empty() => data_dir.join("backups"),
                folder => folder,
            },
            every: Some(Duration::from_secs(read.seconds("backup.every_s"))).filter(|every| !every.is_zero()),
            keep: read.count("backup.keep"),
        },
        settings: Vec::new(),
        source: Source::default(),
        notes: Vec::new(),
        auth: auth::Config {
            admins: read.parsed_all("auth.admins", |name| UserName::parse(name).map_err(|error| error.to_string())),
            signup,
            bootstrap_with_code: read.text("auth.bootstrap") == "code",
            admin_password: Some(read.text("auth.admin_password")).filter(|text| !text.is_empty()).map(Secret::new),
            password_length_min: read.count("auth.password_length"),
            mnemonic_words: read.count("auth.mnemonic_words"),
            password_checks_at_once: read.count("auth.password_checks_at_once"),
            password_queue_limit: read.count("auth.password_queue"),
            idle_timeout_s: read.seconds("auth.idle_timeout_s"),
            absolute_timeout_s,
            sessions_per_user: read.count("auth.sessions_per_user"),
            tries_per_name: read.number("auth.tries_per_name"),
            tries_per_address: read.number("auth.tries_per_address"),
            tries_window_s: read.seconds("auth.tries_window_s"),
            waiting_users_limit: read.count("auth.waiting_users"),
            blocked_users: read
                .parsed_all("auth.blocked_users", |name| UserName::parse(name).map_err(|error| error.to_string())),
            roles: read.tables("roles"),
            groups: read.tables("groups"),
            services: read.tables("services"),
            grant_rules: grant_rules(read),
            custom_scopes: read.tables("custom_scopes"),
            extra_user_scopes: read.all("auth.extra_user_scopes"),
            token_expires_in_max_s: read.seconds("auth.token_expires_in_max_s"),
            data_dir: data_dir.clone(),
        },
        listener: listener::Config {
            https,
            http: read.all("listener.http"),
            certs_dir: read.path("certs_dir"),
            data_dir: data_dir.clone(),
            trusted_proxies,
            proxy_protocol: read.all("listener.proxy_protocol"),
            others_are_refused: read.text("listener.proxy_protocol_others") == "refuse",
            access: listener::SocketAccess {
                mode: read.parsed("listener.socket_mode", file_mode).unwrap_or(0o660),
                owner: read.text("listener.socket_owner"),
            },
            limits,
            tls: tls::versions_and_clients(read),
            acme: tls::acme(read),
            ..listener::Config::default()
        },
        edge: edge_config,
        proxy: proxy::Config {
            connect_timeout_s: read.seconds("proxy.connect_timeout_s"),
            response_head_timeout_s: read.seconds("proxy.answer_timeout_s"),
            idle_connection_timeout_s: read.seconds("proxy.idle_timeout_s"),
            idle_connections_per_upstream: read.count("proxy.pool_per_server"),
            connections_per_upstream: read.count("proxy.connections_per_server"),
            ..proxy::Config::default()
        },
        routers: routers_config,
        hub: hub::Config {
            base,
            public_origin,
            user_hosts: user_hosts.clone(),
            session_cookie_age_s: absolute_timeout_s,
            lazy_start: read.flag("spawner.lazy_start"),
            signup,
            password_length_min: read.count("auth.password_length"),
            default_url: read.optional("hub.default_url", |text| page_address(text, &base_for_pages)),
            default_server: read.optional("hub.default_server", server_name).filter(|name| !name.is_default()),
            authenticate_metrics: read.flag("metrics.authenticate"),
            notices: hub::NoticesConfig {
                concurrency: read.count("notices.concurrency"),
                ..hub::NoticesConfig::default()
            },
            activity: hub::ActivityConfig {
                inactive_after: Duration::from_secs(read.seconds("hub.inactive_after_minutes") * 60),
                target: Duration::from_secs(read.seconds("hub.activity_target_hours") * 3_600),
                warn_layer_bytes: read.seconds("hub.warn_layer_gb") << 30,
                warn_volumes_bytes: read.seconds("hub.warn_volumes_gb") << 30,
                warn_memory_percent: read.seconds("hub.warn_memory_percent"),
            },
            ..hub::Config::default()
        },
        hub_bind: read.parsed("hub.bind", hub_bind).unwrap_or(HubBind::Auto { port: HUB_PORT }),
        hub_connect_url: read.optional("hub.connect_url", connect_url).flatten(),
        spawner: spawner::Config { user_hosts, ..spawner_config(read) },
        gpu: gpu::Config {
            enable: match read.integer("gpu.enable") {
                0 => gpu::Enable::Off,
                1 => gpu::Enable::On,
                _ => gpu::Enable::Detect,
            },
            everybody: read.flag("gpu.everybody"),
            sample_interval_s: read.seconds("gpu.sample_interval_s"),
            ..gpu::Config::default()
        },
        backend: backend_choice(read),
        docker: docker_config(read),
        process: process_config(read, data_dir.join("servers")),
        services: services_config(read, data_dir.join("services")),
        service_specs: Vec::new(),
        control: control::Config::new(data_dir),
        log: log_config(read),
        metrics_listen: read.all("metrics.listen"),
        stop_timeout: Duration::from_secs(read.seconds("stop_timeout_s")),
    }
}

/// Where users' servers live, if not on the hub's own host.
fn user_hosts(read: &mut Reader<'_>, public_url: Option<&edge::PublicUrl>) -> Option<UserHosts> {
    if read.text("isolation") != "subdomain" {
        return None;
    }
    let Some(public_url) = public_url else {
        read.refuse("isolation", "needs public_url, the hub's own host: users' hosts are told apart from it".into());
        return None;
    };
    let domain = read.text("isolation_domain");
    UserHosts::new(domain.trim(), public_url.authority())
        .map_err(|problem| {
            let key = if domain.is_empty() { "public_url" } else { "isolation_domain" };
            read.refuse(key, format!("{problem}; isolation = \"subdomain\" needs a domain for users' hosts"));
        })
        .ok()
}

fn spawner_config(read: &mut Reader<'_>) -> spawner::Config {
    spawner::Config {
        starts_at_once: read.count("spawner.starts_at_once"),
        concurrent_starts: read.count("spawner.concurrent_starts"),
        active_servers: Some(read.count("spawner.active_servers")).filter(|limit| *limit > 0),
        named_servers_per_user: match read.integer("spawner.named_servers_per_user") {
            0 => NamedServers::Off,
            limit => usize::try_from(limit).map_or(NamedServers::Unlimited, NamedServers::AtMost),
        },
        profiles: profiles(read),
        allowed_images: allowed_images(read),
        image_timeout_s: read.seconds("spawner.pull_timeout_s"),
        start_timeout_s: read.seconds("spawner.start_timeout_s"),
        ready_timeout_s: read.seconds("spawner.ready_timeout_s"),
        stop_grace_s: read.seconds("spawner.stop_timeout_s"),
        limits: ResourceLimits {
            memory_bytes: read.optional("spawner.docker.memory_limit", bytes),
            cpu_cores: Some(read.float("spawner.docker.cpu_limit")).filter(|cores| *cores > 0.0),
        },
        environment: read.map("spawner.environment").into_iter().collect(),
        gives_left_over_volumes: read.text("spawner.left_over_volumes") == "give",
        volume_sizes_interval_s: read.seconds("spawner.volume_sizes_interval_s"),
        usage_interval_s: read.seconds("spawner.usage_interval_s"),
        layer_sizes_interval_s: read.seconds("spawner.layer_sizes_interval_s"),
        idle: idle::config(read),
        ..spawner::Config::default()
    }
}

fn profiles(read: &mut Reader<'_>) -> Vec<Profile> {
    const PROFILES: &str = "spawner.profiles";
    let tables = read.tables(PROFILES);
    let (profiles, mistakes) = profiles_of(tables, &read.text("spawner.backend"));
    for (number, name, problem) in mistakes {
        read.refuse_table(PROFILES, number, &name, problem);
    }
    profiles
}

fn allowed_images(read: &mut Reader<'_>) -> Vec<String> {
    let image = |text: &str| match text {
        text if text == ANY_IMAGE || is_image(text) => Ok(text.to_owned()),
        _ => Err("is not the name of an image, as in \"quay.io/jupyter/base-notebook:latest\"".to_owned()),
    };
    read.parsed_all("spawner.allowed_images", image)
}

fn backend_choice(read: &mut Reader<'_>) -> BackendChoice {
    const UPSTREAM: &str = "spawner.static.upstream";
    let upstream = read.optional(UPSTREAM, static_upstream::Upstream::from_str);
    match (read.text("spawner.backend").as_str(), upstream) {
        ("docker", _) => BackendChoice::Docker,
        ("process", _) => BackendChoice::Process,
        ("static", Some(upstream)) => {
            let connect_timeout_s = read.seconds("proxy.connect_timeout_s");
            BackendChoice::Static(static_upstream::Config { upstream, connect_timeout_s })
        }
        ("static", None) => {
            if read.text(UPSTREAM).is_empty() {
                let problem =
                    "must name where servers are, as in \"http://127.0.0.1:9000\": spawner.backend is \"static\"";
                read.refuse(UPSTREAM, problem.into());
            }
            BackendChoice::Auto
        }
        _ => BackendChoice::Auto,
    }
}

fn docker_config(read: &mut Reader<'_>) -> docker::Config {
    let (volumes, shared_volumes) = volumes(read);
    docker::Config {
        host: read.text("spawner.docker.host"),
        image: read.text("spawner.docker.image"),
        pull_policy: match read.text("spawner.docker.pull_policy").as_str() {
            "always" => docker::PullPolicy::Always,
            "never" => docker::PullPolicy::Never,
            _ => docker::PullPolicy::IfNotPresent,
        },
        pull_timeout_s: read.seconds("spawner.pull_timeout_s"),
        network: read.text("spawner.docker.network"),
        name_prefix: read.text("spawner.docker.name_prefix"),
        volumes,
        shared_volumes,
        shared_volume: read.text("spawner.docker.shared_volume"),
        group_volumes: read.texts("spawner.docker.group_volumes"),
        command: Some(read.texts("spawner.docker.command")).filter(|words| !words.is_empty()),
        pids_limit: Some(read.integer("spawner.docker.pids_limit")).filter(|limit| *limit > 0),
        no_new_privileges: !read.flag("spawner.docker.allow_sudo"),
        remove_on_stop: read.flag("spawner.docker.remove_on_stop"),
        publish_on_loopback: read.flag("spawner.docker.publish_on_loopback"),
        ..docker::Config::default()
    }
}

/// What people are told of one volume.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeNote {
    /// Its suffix, or its name if it is shared.
    name: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

/// The volumes of each user and those for all, with what people are told of them.
fn volumes(read: &mut Reader<'_>) -> (Vec<docker::UserVolume>, Vec<docker::SharedVolume>) {
    const NOTES: &str = "spawner.docker.volume_notes";
    for key in ["spawner.docker.volumes", "spawner.docker.shared_volumes"] {
        for (name, path) in read.map(key) {
            if !path.starts_with('/') {
                read.refuse(
                    key,
                    format!("{name}: {path:?} must be an absolute path in the container, as in \"/home/jovyan\""),
                );
            }
            let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            if name.is_empty() || !name.chars().all(is_fine) {
                read.refuse(
                    key,
                    format!("{name:?} cannot be part of a volume's name: letters, digits and \"_.-\" can"),
                );
            }
        }
    }
    let own = read.map("spawner.docker.volumes").into_iter();
    let mut own: Vec<_> = own.map(|(suffix, path)| docker::UserVolume::new(suffix, path)).collect();
    let shared = read.map("spawner.docker.shared_volumes").into_iter();
    let mut shared: Vec<_> = shared.map(|(name, path)| docker::SharedVolume::new(name, path)).collect();
    for (number, note) in read.tables::<VolumeNote>(NOTES).into_iter().enumerate() {
        let VolumeNote { name, label, description } = note;
        let of_own = own.iter_mut().filter(|volume| volume.suffix == name);
        let of_own = of_own.map(|volume| (&mut volume.label, &mut volume.description));
        let of_shared = shared.iter_mut().filter(|volume| volume.name == name);
        let of_shared = of_shared.map(|volume| (&mut volume.label, &mut volume.description));
        let Some((its_label, its_description)) = of_own.chain(of_shared).next() else {
            read.refuse_table(NOTES, number, &name, "there is no volume of this name".into());
            continue;
        };
        *its_label = label.or(its_label.take());
        if let Some(description) = description {
            *its_description = description;
        }
    }
    (own, shared)
}

/// What no group may give: the servers' own volumes, and where these are.
fn grant_rules(read: &mut Reader<'_>) -> GrantRules {
    let mut own_mounts: Vec<_> = read.map("spawner.docker.volumes").into_iter().map(|(_, path)| path).collect();
    own_mounts.extend(read.map("spawner.docker.shared_volumes").into_iter().map(|(_, path)| path));
    GrantRules { own_mounts, own_volumes: Some(format!("{}-", read.text("spawner.docker.name_prefix"))) }
}

fn process_config(read: &mut Reader<'_>, folder: PathBuf) -> process::Config {
    let command = read.texts("spawner.process.command");
    if command.is_empty() {
        read.refuse("spawner.process.command", "must name a program, as in [\"jupyterhub-singleuser\"]".into());
    }
    process::Config {
        folder,
        command,
        path: read.text("spawner.process.path"),
        run_as: Some(read.text("spawner.process.run_as")).filter(|account| !account.is_empty()),
        ..process::Config::default()
    }
}

fn services_config(read: &mut Reader<'_>, folder: PathBuf) -> services::Config {
    let defaults = services::Config::default();
    // Killed in time, or they would be dropped in the middle of it.
    let stop_grace = defaults.stop_grace.min(Duration::from_secs(read.seconds("stop_timeout_s")) / 2);
    services::Config { folder, path: read.text("spawner.process.path"), stop_grace, ..defaults }
}

fn service_specs(read: &mut Reader<'_>, configs: &[ServiceConfig]) -> Vec<services::ServiceSpec> {
    let mut specs = Vec::new();
    for config in configs {
        match services::ServiceSpec::of(config) {
            Ok(spec) => specs.push(spec),
            Err(error) => read.refuse("services", format!("{}: {error}", config.name)),
        }
    }
    specs
}

fn log_config(read: &mut Reader<'_>) -> telemetry::Config {
    telemetry::Config {
        // The libraries' own frames and polls at `debug` would bury ours.
        level: match read.text("log.level").as_str() {
            "debug" => "info,slipway=debug".to_owned(),
            level => level.to_owned(),
        },
        format: match read.text("log.format").as_str() {
            "text" => telemetry::LogFormat::Human,
            "json" => telemetry::LogFormat::Json,
            _ => telemetry::LogFormat::Auto,
        },
        access: match read.text("log.access").as_str() {
            "common" => telemetry::AccessFormat::Common,
            "combined" => telemetry::AccessFormat::Combined,
            "traefik" => telemetry::AccessFormat::Traefik,
            "json" => telemetry::AccessFormat::Json,
            _ => telemetry::AccessFormat::Off,
        },
        access_file: Some(read.path("log.access_file")).filter(|path| !path.as_os_str().is_empty()),
        traces: traces_config(read),
        ..telemetry::Config::default()
    }
}

/// `660`, `0660`.
fn file_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| "must be a mode as chmod takes it, as in \"660\"".into())
}

fn traces_config(read: &mut Reader<'_>) -> Option<telemetry::TracesConfig> {
    let sample_ratio = read.float("trace.sample_ratio");
    if sample_ratio > 1.0 {
        read.refuse("trace.sample_ratio", "must be a part of all requests: 0 to 1".into());
    }
    let headers = read.parsed("trace.otlp_headers", header_pairs).unwrap_or_default();
    let endpoint = read.optional("trace.otlp_endpoint", collector_url)?;
    Some(telemetry::TracesConfig { endpoint, sample_ratio, headers, service_name: "slipway".to_owned() })
}

/// `name=value,name=value`, as in `OTEL_EXPORTER_OTLP_HEADERS`.
fn header_pairs(text: &str) -> Result<Vec<(String, Secret)>, String> {
    let wrong = || "must be headers as in \"authorization=Bearer abc,x-tenant=lab\"".to_owned();
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
        let name = http::HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8_lossy().into_owned();
        http::HeaderValue::try_from(&value).map_err(|_| wrong())?;
        Ok((name.as_str().to_owned(), Secret::new(value)))
    };
    pairs.map(pair).collect()
}

fn collector_url(text: &str) -> Result<String, String> {
    let wrong = || "must be an address as in \"http://collector:4318/v1/traces\"".to_owned();
    let url: http::Uri = text.parse().map_err(|_| wrong())?;
    let is_http = matches!(url.scheme_str(), Some("http" | "https"));
    let has_host =
        url.authority().is_some_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty());
    if is_http && has_host { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// A page to land on: below our own host, so that no setting sends people elsewhere; without a slash before it, below
/// `base`.
fn page_address(text: &str, base: &BasePath) -> Result<String, String> {
    let is_below_base = !text.starts_with('/');
    let leads_elsewhere = text.starts_with("//") || text.contains('\\') || (is_below_base && text.contains(':'));
    if !leads_elsewhere {
        return Ok(if is_below_base { format!("{base}{text}") } else { text.to_owned() });
    }
    Err("must be a path on this host, as in \"/hub/home\", or one below base_url, as in \"hub/home\"".into())
}

fn server_name(text: &str) -> Result<ServerName, String> {
    let name = ServerName::parse(text).map_err(|error| error.to_string())?;
    name.check_new().map_err(|error| error.to_string())?;
    Ok(name)
}

fn hub_bind(text: &str) -> Result<HubBind, String> {
    if let Some(rest) = text.strip_prefix("auto") {
        let port =
            if rest.is_empty() { Some(HUB_PORT) } else { rest.strip_prefix(':').and_then(|port| port.parse().ok()) };
        if let Some(port) = port {
            return Ok(HubBind::Auto { port });
        }
    }
    text.parse()
        .map(HubBind::Address)
        .map_err(|_| "must be \"auto\", \"auto:PORT\" or an address as in \"172.17.0.1:8081\"".into())
}

fn connect_url(text: &str) -> Result<Option<String>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let wrong = || "must be \"auto\" or as in \"http://slipway:8081\", without a path".to_owned();
    let address = text.trim_end_matches('/');
    let host = address.strip_prefix("http://").ok_or_else(wrong)?;
    let authority: http::uri::Authority = host.parse().map_err(|_| wrong())?;
    if authority.port_u16().is_none() || host.contains('@') {
        return Err(wrong());
    }
    Ok(Some(address.to_owned()))
}

/// `4G`, `512M`, `1.5G` or plain bytes, as Docker reads them.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "must be a size as in \"512M\" or \"4G\"".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().trim_end_matches(['B', 'I']) {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    // 6 MiB is the least that Docker accepts.
    let bytes = number * (1_u64 << shift) as f64;
    if (6.0 * 1_048_576.0..=1e15).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err("must be between 6M and 900T".into())
    }
}

fn root(_: ()) -> BasePath {
    BasePath::parse("/").expect("the root is a base path")
}

fn check_relations(read: &mut Reader<'_>) {
    let least = read.settings.get("auth.idle_timeout_s");
    if least.value.as_integer() > read.settings.get("auth.absolute_timeout_s").value.as_integer() {
        let problem = "must not be more than auth.absolute_timeout_s, which ends a session in any case";
        read.refuse("auth.idle_timeout_s", problem.into());
    }
    for key in ["auth.admins", "listener.https"] {
        if read.settings.get(key).value.as_array().is_some_and(Vec::is_empty) {
            let default = read.settings.get(key).key.default;
            read.refuse(key, format!("must name at least one; leave the line out for {default}"));
        }
    }
}

/// Roles, groups, services and custom scopes name each other; each mistake names the table that it is in.
fn check_rules(read: &mut Reader<'_>, config: &auth::Config) {
    for mistake in config.mistakes() {
        let origin = read.settings.get(mistake.key).origin.clone();
        let key = match mistake.entry.as_str() {
            "" => mistake.key.to_owned(),
            entry => format!("{} {entry:?}", mistake.key),
        };
        read.mistakes.push(Mistake { key, origin, value: String::new(), problem: mistake.problem });
    }
}

/// Reads settings as types and collects what is wrong. Kinds have been checked by `Settings`.
struct Reader<'a> {
    settings: &'a Settings,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn refuse(&mut self, name: &str, problem: String) {
        let setting = self.settings.get(name);
        let (origin, value) = (setting.origin.clone(), setting.shown());
        self.mistakes.push(Mistake { key: name.to_owned(), origin, value, problem });
    }

    /// One table of a list; of the whole list, the one that is wrong is what the reader wants to see.
    fn refuse_table(&mut self, name: &str, number: usize, label: &str, problem: String) {
        let origin = self.settings.get(name).origin.clone();
        self.mistakes.push(Mistake {
            key: format!("{name}[{number}] {label:?}"),
            origin,
            value: String::new(),
            problem,
        });
    }

    fn text(&self, name: &str) -> String {
        self.settings.get(name).value.as_str().unwrap_or_default().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.text(name).into()
    }

    fn flag(&self, name: &str) -> bool {
        self.settings.get(name).value.as_bool().unwrap_or_default()
    }

    fn integer(&self, name: &str) -> i64 {
        self.settings.get(name).value.as_integer().unwrap_or_default()
    }

    fn count(&self, name: &str) -> usize {
        usize::try_from(self.integer(name)).unwrap_or_default()
    }

    fn seconds(&self, name: &str) -> u64 {
        self.integer(name).unsigned_abs()
    }

    fn number(&self, name: &str) -> u32 {
        u32::try_from(self.integer(name)).unwrap_or(u32::MAX)
    }

    fn float(&self, name: &str) -> f64 {
        let value = &self.settings.get(name).value;
        value.as_float().unwrap_or_else(|| self.integer(name) as f64)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let items = self.settings.get(name).value.as_array().into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn map(&self, name: &str) -> Vec<(String, String)> {
        let items = self.settings.get(name).value.as_table().into_iter().flatten();
        items.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// A list of tables, each read into `T` by serde (`deny_unknown_fields`, so that a slip is told).
    fn tables<T: serde::de::DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let tables = self.settings.get(name).value.as_array().cloned().unwrap_or_default();
        let mut all = Vec::new();
        for (number, table) in tables.into_iter().enumerate() {
            let label = table.get("name").and_then(Value::as_str).map_or(String::new(), |name| format!(" {name:?}"));
            match table.try_into() {
                Ok(value) => all.push(value),
                Err(error) => {
                    // Not `refuse`: of a list, the one table that is wrong is what the reader wants to see.
                    let origin = self.settings.get(name).origin.clone();
                    let key = format!("{name}[{number}]{label}");
                    let problem = toml::de::Error::message(&error).to_owned();
                    self.mistakes.push(Mistake { key, origin, value: String::new(), problem });
                }
            }
        }
        all
    }

    /// The value by `parse`, whose error says what it must be.
    fn parsed<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ()> {
        parse(&self.text(name)).map_err(|problem| self.refuse(name, problem))
    }

    /// The same, `None` if the text is empty.
    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        if self.text(name).is_empty() { None } else { self.parsed(name, parse).ok() }
    }

    fn parsed_all<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut all = Vec::new();
        for text in self.texts(name) {
            match parse(&text) {
                Ok(value) => all.push(value),
                Err(problem) => self.refuse(name, format!("{text:?}: {problem}")),
            }
        }
        all
    }

    fn all<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Vec<T> {
        self.parsed_all(name, |text| text.parse().map_err(|error| format!("{error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_land_on_this_host_and_below_whatever_base_there_is() {
        let base = BasePath::parse("/lab").expect("a base path");
        let of = |text: &str| page_address(text, &base).ok();
        assert_eq!(of("/elsewhere/x?y=a:b").as_deref(), Some("/elsewhere/x?y=a:b"));
        assert_eq!(of("hub/home").as_deref(), Some("/lab/hub/home"));
        for text in ["//host/x", "https://host/x", "javascript:x", "/\\host", "\\host"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn fuzzed_files_are_taken_up_or_refused_with_a_line() {
        let words: Vec<_> = crate::config::keys::KEYS
            .iter()
            .flat_map(|key| [key.name, key.default])
            .chain(["\n", " = ", "[", "]", "[[", "\"", "{", "}", "-1", "1e9"])
            .collect();
        crate::fuzz::fuzz!("config", &words, |bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
            match load_all(Sources { file: Some((Path::new("s.toml"), text)), ..Sources::default() }) {
                Ok((settings, _)) => crate::fuzz::outcome(
                    settings.iter().map(|setting| setting.value.to_string().len().min(9)).sum::<usize>(),
                ),
                Err(mistakes) => {
                    assert!(!mistakes.is_empty(), "refused without a word");
                    for mistake in &mistakes {
                        assert!(
                            !mistake.to_string().trim().is_empty() && !mistake.to_string().contains('\0'),
                            "{mistake}"
                        );
                    }
                    let words: Vec<_> = mistakes
                        .iter()
                        .map(|mistake| mistake.to_string().rsplit(": ").next().map(|end| end.len().min(40)))
                        .collect();
                    crate::fuzz::outcome(words)
                }
            }
        });
    }
}
