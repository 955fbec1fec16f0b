//! The one list of settings: name, kind, default and what to say about each.
//!
//! `config/slipway.toml` is written from it (a test keeps them the same), `slipway check` prints it, and an unknown
//! key is compared with it.

/// What values a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A text that is shown as `***`.
    Secret,
    /// A whole number within these bounds.
    Integer {
        /// The least.
        least: i64,
        /// The greatest.
        most: i64,
    },
    /// A number of cores or the like: not below zero.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several texts; from the environment also separated by commas.
    Texts,
    /// Names and texts.
    TextMap,
    /// A list of tables (`[[roles]]`), each read into a type of the module that it is for.
    Tables {
        /// Fields whose values are shown as `***`.
        secrets: &'static [&'static str],
    },
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its dotted name in the file; in the environment `SLIPWAY_` and the same in capitals with `_`.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default, as TOML.
    pub default: &'static str,
    /// What it does, for the file: sentences, with the reason for the default.
    pub text: &'static str,
    /// When another value of it is taken up.
    pub taken_up: TakenUp,
}

/// When a changed setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenUp {
    /// At the next reload (`slipway reload`, SIGHUP).
    AtReload,
    /// At the next start: until then a reload keeps the old value, all of it.
    AtStart,
}

impl Key {
    /// The environment variable that sets it: `SLIPWAY_LISTENER_HTTPS`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("SLIPWAY_{}", self.name.to_ascii_uppercase().replace('.', "_"))
    }
}

/// A setting that takes effect at the next start. What is forgotten to be more than that does no harm: it is told.
const fn key(name: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Key {
    Key { name, kind, default, text, taken_up: TakenUp::AtStart }
}

/// A setting that a reload takes up: whoever uses it reads it anew for each decision (`model::Live`).
const fn live(name: &'static str, kind: Kind, default: &'static str, text: &'static str) -> Key {
    Key { taken_up: TakenUp::AtReload, ..key(name, kind, default, text) }
}

const fn whole(least: i64, most: i64) -> Kind {
    Kind::Integer { least, most }
}

/// A year: no time limit needs more.
const YEAR_S: i64 = 31_536_000;

/// Every setting, in the order of the file.
pub const KEYS: &[Key] = &[
    key(
        "base_url",
        Kind::Text,
        r#""/""#,
        "The path under which people find everything: \"/\" or, behind a shared name, \"/jupyterhub/\".",
    ),
    live(
        "public_url",
        Kind::Text,
        r#""""#,
        "The address that people type, as in \"https://lab.example.org\". While it is empty, a request's Host must be localhost, an IP address or a name on one of the certificates.",
    ),
    key(
        "isolation",
        Kind::Choice(&["path", "subdomain"]),
        r#""path""#,
        "Where users' servers live: \"path\" is below the hub's own host, one origin for all; \"subdomain\" gives each user a host of their own, which browsers keep apart. It needs public_url, a wildcard name in DNS and a certificate for it (docs/administration.md).",
    ),
    key(
        "isolation_domain",
        Kind::Text,
        r#""""#,
        "With isolation = \"subdomain\": the domain below which users' hosts are, as in \"users.example.org\" for https://alice.users.example.org. Empty: the host of public_url.",
    ),
    key(
        "data_dir",
        Kind::Text,
        r#""data""#,
        "Where users, sessions and the generated certificate are kept. Back this folder up; nobody else may read it.",
    ),
    key(
        "certs_dir",
        Kind::Text,
        r#""certs""#,
        "Certificates and keys (PEM) that you drop in here are found by content and chosen by name; changed ones are taken up without a restart. While there are none, Slipway makes its own.",
    ),
    key(
        "stop_timeout_s",
        whole(1, 86_400),
        "10",
        "How long open requests may go on after the first Ctrl-C or SIGTERM. Servers of users keep running in any case.",
    ),
    live(
        "roles",
        Kind::Tables { secrets: &[] },
        "[]",
        "Who may do what beside the default roles: [[roles]] with name, description, scopes, users, groups and services, as in name = \"instructor\", scopes = [\"access:servers!group=physics\", \"list:users!group=physics\"], groups = [\"staff\"]. Users and groups that are missing are made. The roles user, server and token can be changed this way; admin cannot.",
    ),
    live(
        "groups",
        Kind::Tables { secrets: &["grants"] },
        "[]",
        "Groups that there shall be: [[groups]] with name, users, properties, description, priority and grants, as in grants = { mem_limit_gb = 8, docker_access = true }. Users are added to what the group has, and made if missing; nobody is taken out. Members with docker_access or docker_privileged are root on this host.",
    ),
    live(
        "services",
        Kind::Tables { secrets: &["api_token", "environment"] },
        "[]",
        "Programs that call the API or that people sign in to: [[services]] with name, url, api_token, admin, command, environment, cwd, user, info, display, oauth_client_id, oauth_redirect_uri, oauth_no_confirm, oauth_client_allowed_scopes and timeout_s. One with a command is run and watched; one without runs elsewhere and needs an api_token.",
    ),
    live(
        "custom_scopes",
        Kind::Tables { secrets: &[] },
        "[]",
        "Scopes of your own programs: [[custom_scopes]] with name (\"custom:...\"), description, and subscopes, which are other custom scopes.",
    ),
    key(
        "listener.https",
        Kind::Texts,
        r#"["[::]:8443"]"#,
        "Addresses to serve HTTPS on. \"[::]\" is every address, IPv4 as well. \"unix:/run/slipway.sock\" is a socket file, \"systemd:https\" what a systemd socket unit with FileDescriptorName=https has opened.",
    ),
    key(
        "listener.http",
        Kind::Texts,
        "[]",
        "Addresses for plain HTTP, as in [\"[::]:8080\"], or sockets as above. It answers with a redirect to HTTPS, and serves pages only to listener.trusted_proxies.",
    ),
    live(
        "listener.trusted_proxies",
        Kind::Texts,
        "[]",
        "Addresses or networks of proxies in front of Slipway whose X-Forwarded and Forwarded headers are believed, as in [\"10.0.0.0/8\"]. \"unix\" is everybody who may open a socket file of ours; without it they all share the limit of one address.",
    ),
    live(
        "listener.forwarded_by",
        Kind::Choice(&["x-forwarded", "forwarded"]),
        r#""x-forwarded""#,
        "In which headers these proxies say who came to them: X-Forwarded-For, -Proto and -Host, or Forwarded (RFC 7239). The other way is never believed: a proxy hands on what it does not write itself.",
    ),
    live(
        "listener.proxy_protocol",
        Kind::Texts,
        "[]",
        "Addresses or networks of load balancers that begin each connection with a PROXY header (version 1 or 2), which tells the client's address. From them it is required; from nobody else is it believed. \"unix\" as above.",
    ),
    live(
        "listener.proxy_protocol_others",
        Kind::Choice(&["plain", "refuse"]),
        r#""plain""#,
        "What becomes of connections from elsewhere where listener.proxy_protocol names anybody: \"plain\" serves them as they are.",
    ),
    key(
        "listener.socket_mode",
        Kind::Text,
        r#""660""#,
        "The mode of socket files (\"unix:...\"), as chmod takes it: who may connect.",
    ),
    key(
        "listener.socket_owner",
        Kind::Text,
        r#""""#,
        "To whom socket files belong, as in \"www-data\", \"slipway:www-data\" or \":www-data\". Empty: to the account that Slipway runs as.",
    ),
    key("listener.connections", whole(1, 1_000_000), "16384", "How many connections may be open at once."),
    live(
        "listener.connections_per_address",
        whole(1, 1_000_000),
        "2048",
        "How many of them may come from one address. A lecture hall behind one address needs several for each browser.",
    ),
    live(
        "listener.handshake_timeout_s",
        whole(1, 300),
        "5",
        "How long a TLS handshake may take in all. A phone on a bad line needs 3 s; more only feeds slow attacks.",
    ),
    live(
        "listener.header_timeout_s",
        whole(1, 300),
        "10",
        "How long the head of a request may take in all, from its first byte.",
    ),
    live(
        "listener.idle_timeout_s",
        whole(1, 3600),
        "75",
        "How long a connection may be kept open between two requests.",
    ),
    key(
        "listener.tls.min_version",
        Kind::Choice(&["1.2", "1.3"]),
        r#""1.2""#,
        "The least version of TLS that is spoken. 1.2 with the suites that are offered is Mozilla's intermediate profile.",
    ),
    key(
        "listener.tls.client_ca",
        Kind::Text,
        r#""""#,
        "A PEM file with the authorities that vouch for clients' certificates. Every client is then asked for one and need not have one; routes with client-certificate = required refuse who has shown none. Revocation lists are not read.",
    ),
    live(
        "listener.hsts.max_age_s",
        whole(0, 10 * YEAR_S),
        "15552000",
        "For how long browsers come back by HTTPS alone (Strict-Transport-Security). Sent with a public_url, or without one once this line is set. 180 days; 0 sends nothing.",
    ),
    live(
        "listener.hsts.include_subdomains",
        Kind::Flag,
        "false",
        "The same for all hosts below yours, whoever serves them.",
    ),
    live(
        "listener.hsts.preload",
        Kind::Flag,
        "false",
        "Browsers may know it before the first visit. Lists want include_subdomains and a year; it is hard to take back.",
    ),
    key(
        "acme.names",
        Kind::Texts,
        "[]",
        "Names for which certificates are ordered and renewed, as in [\"lab.example.org\"]: one certificate each. The authority comes to port 443 or 80 of each name. Wildcards come as files in certs_dir.",
    ),
    key(
        "acme.accept_terms",
        Kind::Flag,
        "false",
        "You accept the terms of the authority; without it nothing is ordered. Let's Encrypt's are at letsencrypt.org/repository.",
    ),
    key("acme.email", Kind::Text, r#""""#, "Where the authority may write to. May stay empty."),
    key(
        "acme.directory_url",
        Kind::Text,
        r#""https://acme-v02.api.letsencrypt.org/directory""#,
        "The authority. For a first try, https://acme-staging-v02.api.letsencrypt.org/directory gives certificates that nobody believes, and forgives mistakes.",
    ),
    key(
        "acme.ca_file",
        Kind::Text,
        r#""""#,
        "A PEM file with who vouches for the authority's own address, for one in your own network. Empty: whom the system believes.",
    ),
    key(
        "acme.challenge",
        Kind::Choice(&["auto", "tls-alpn-01", "http-01"]),
        r#""auto""#,
        "How names are proven: by a handshake on port 443, by a file on port 80 (which listener.http must serve), or by the first, and where that fails by the second.",
    ),
    key("acme.eab_key_id", Kind::Text, r#""""#, "For authorities that bind accounts to customers: the key's name."),
    key("acme.eab_hmac_key", Kind::Secret, r#""""#, "And the key itself, in base64 as the authority shows it."),
    live("proxy.connect_timeout_s", whole(1, 60), "3", "How long connecting to a ready server may take."),
    live(
        "proxy.answer_timeout_s",
        whole(1, 86_400),
        "3600",
        "How long a server may take to begin its answer: notebooks run long requests.",
    ),
    live("proxy.idle_timeout_s", whole(1, 3600), "60", "How long an unused connection to a server is kept."),
    live("proxy.pool_per_server", whole(1, 10_000), "128", "How many unused connections to one server are kept."),
    live(
        "proxy.connections_per_server",
        whole(1, 100_000),
        "1024",
        "How many connections to one server may be open in all, WebSockets included.",
    ),
    live(
        "auth.admins",
        Kind::Texts,
        r#"["admin"]"#,
        "Names of administrators. The first administrator signs up with the setup code that the log shows at the first start.",
    ),
    live("auth.signup", Kind::Flag, "true", "Whether people may sign up. They wait for an administrator's approval."),
    key(
        "auth.bootstrap",
        Kind::Choice(&["code", "open"]),
        r#""code""#,
        "How the first administrator comes in: \"code\" asks for the setup code, \"open\" trusts whoever signs up first under the configured name.",
    ),
    key(
        "auth.admin_password",
        Kind::Secret,
        r#""""#,
        "The first administrator's password, if no administrator exists yet; ignored ever after. Better set as SLIPWAY_ADMIN_PASSWORD than written into a file.",
    ),
    live("auth.password_length", whole(1, 256), "8", "The fewest characters a new password may have."),
    live(
        "auth.mnemonic_words",
        whole(3, 8),
        "4",
        "Words of a password that Slipway makes for somebody, as in maple-orbit-velvet-crane; each is worth 11 bits.",
    ),
    key(
        "auth.password_checks_at_once",
        whole(1, 64),
        "2",
        "How many passwords are checked at once: each costs 19 MiB and about 30 ms of one core.",
    ),
    key(
        "auth.password_queue",
        whole(1, 100_000),
        "1000",
        "How many more may wait for that; beyond it people are asked to try again.",
    ),
    live("auth.idle_timeout_s", whole(60, YEAR_S), "86400", "A session ends when nobody used it for this long."),
    live(
        "auth.absolute_timeout_s",
        whole(60, YEAR_S),
        "1209600",
        "A session ends this long after sign-in however much it was used.",
    ),
    live(
        "auth.sessions_per_user",
        whole(1, 1000),
        "32",
        "How many sessions one person may have; the oldest ends when there are more.",
    ),
    live(
        "auth.tries_per_name",
        whole(1, 10_000),
        "10",
        "Failed sign-ins for one name from one address within auth.tries_window_s; then that address must wait.",
    ),
    live(
        "auth.tries_per_address",
        whole(1, 1_000_000),
        "100",
        "Failed sign-ins from one address, for all names together.",
    ),
    live("auth.tries_window_s", whole(1, 86_400), "600", "The time over which failed sign-ins are counted."),
    live("auth.waiting_users", whole(1, 1_000_000), "1000", "How many sign-ups may wait for approval."),
    live(
        "auth.blocked_users",
        Kind::Texts,
        "[]",
        "Names that are let in no more. At the next start they are shut out and lose administration, roles and groups.",
    ),
    live(
        "auth.extra_user_scopes",
        Kind::Texts,
        "[]",
        "What every user may do beside what is their own, as in [\"access:services!service=report\"].",
    ),
    live(
        "auth.token_expires_in_max_s",
        whole(0, 100 * YEAR_S),
        "0",
        "The longest life of an API token that somebody asks for; 0: tokens may live for ever. One asked for without an end gets this one.",
    ),
    key(
        "hub.bind",
        Kind::Text,
        r#""auto""#,
        "Where servers reach the hub's API, in plain HTTP. \"auto\": 127.0.0.1:8081 for processes, the gateway of spawner.docker.network for containers, 0.0.0.0:8081 when Slipway itself is in a container.",
    ),
    key(
        "hub.connect_url",
        Kind::Text,
        r#""auto""#,
        "The address of hub.bind as servers see it: \"http://host:port\". \"auto\" makes it from hub.bind; if Slipway is a container itself, with a name that it has on spawner.docker.network and that its next container will have, too.",
    ),
    live(
        "hub.default_url",
        Kind::Text,
        r#""""#,
        "Where people land after sign-in, as in \"/hub/home\", or below base_url, as in \"hub/home\". Empty: at their own server.",
    ),
    live(
        "hub.default_server",
        Kind::Text,
        r#""""#,
        "The named server that links to /hub/user-redirect/ open, made when it is not there. Empty: everybody's server without a name. Wants spawner.named_servers_per_user.",
    ),
    live("hub.requests", whole(1, 100_000), "2048", "How many pages and API calls may be under way at once."),
    live(
        "hub.inactive_after_minutes",
        whole(1, 1440),
        "60",
        "Whoever was last seen longer ago is not active: for the activity of people, which is looked at every ten minutes. 60: one reads and thinks between two clicks.",
    ),
    live("hub.activity_target_hours", whole(1, 24), "8", "How many active hours a day are a score of 100."),
    live(
        "hub.warn_layer_gb",
        whole(0, 1_000_000),
        "10",
        "Administrators see a warning beside whoever's servers have written more than this beside their volumes, in GiB. Nothing else happens. 0: never.",
    ),
    live(
        "hub.warn_volumes_gb",
        whole(0, 1_000_000),
        "50",
        "The same for the volumes of one person together, in GiB. 0: never.",
    ),
    live(
        "hub.warn_memory_percent",
        whole(0, 100),
        "25",
        "The same for the memory of one person's servers, in percent of the host's. 0: never.",
    ),
    key(
        "spawner.backend",
        Kind::Choice(&["auto", "docker", "process", "static"]),
        r#""auto""#,
        "What servers are: containers (\"docker\"), local processes (\"process\"), or one address where they are started elsewhere (\"static\"). \"auto\" takes Docker if an engine answers, else processes.",
    ),
    live(
        "spawner.lazy_start",
        Kind::Flag,
        "true",
        "Whether opening the address of one's own stopped server starts it. If not, people get a page with a button.",
    ),
    live(
        "spawner.start_timeout_s",
        whole(1, 3600),
        "60",
        "How long making and starting a server may take, without pulling its image.",
    ),
    live("spawner.ready_timeout_s", whole(1, 3600), "60", "How long a started server may take until it answers."),
    key("spawner.pull_timeout_s", whole(1, 86_400), "3600", "How long pulling an image may take."),
    live("spawner.stop_timeout_s", whole(1, 600), "10", "How long a server may take to stop before it is killed."),
    live(
        "spawner.starts_at_once",
        whole(1, 1000),
        "10",
        "How many servers are started at once; the others wait their turn.",
    ),
    live(
        "spawner.concurrent_starts",
        whole(1, 100_000),
        "100",
        "How many starts may be waiting or under way together; beyond it people and programs are asked to come again after 30 to 60 s, as JupyterHub asks. A course that opens its notebooks at one time wants its size here.",
    ),
    live(
        "spawner.active_servers",
        whole(0, 1_000_000),
        "0",
        "How many servers may run, start or stop together; beyond it a start is refused. 0: no limit.",
    ),
    live(
        "spawner.named_servers_per_user",
        whole(-1, 100_000),
        "0",
        "How many servers with a name of their own a user may have beside the default one, stopped ones too. 0: none, named servers are off. -1: no limit. All servers of a user share the user's volumes.",
    ),
    live(
        "spawner.profiles",
        Kind::Tables { secrets: &["environment"] },
        "[]",
        "Kinds of servers to choose from, one [[spawner.profiles]] each, with the fields name (how options say it), display_name, description, default (taken when nothing is chosen), image, memory (\"8G\"), cpu (2.5), environment, command, and groups (who may choose it; left out: everybody). What a profile leaves out is as for all servers; an image needs containers.",
    ),
    live(
        "spawner.allowed_images",
        Kind::Texts,
        "[]",
        "Images that people may choose beside spawner.docker.image and those of their profiles. \"*\": any image, also one that somebody made to look at other people's volumes or the network; only where everybody is trusted.",
    ),
    live(
        "spawner.environment",
        Kind::TextMap,
        "{}",
        "More environment for every server, as in { TZ = \"Europe/Berlin\" }. It wins over what Slipway and profiles set.",
    ),
    key(
        "spawner.left_over_volumes",
        Kind::Choice(&["ask", "give"]),
        r#""ask""#,
        "Whose volumes are that were there before an account of their name: of an account that was deleted, or of another platform. \"ask\": nobody's until an administrator decides on the page of volumes; until then no server of that account starts. \"give\": the account's; right where names have always been the same people's.",
    ),
    key(
        "spawner.volume_sizes_interval_s",
        whole(0, YEAR_S),
        "3600",
        "How often volumes are measured, which makes the engine walk through all their files. 0: never.",
    ),
    key(
        "spawner.usage_interval_s",
        whole(0, 3600),
        "10",
        "How often processor and memory of a server in use are looked at; of one that nobody has used for an hour, six times as seldom. 0: never; then nobody knows what servers use.",
    ),
    key(
        "spawner.layer_sizes_interval_s",
        whole(0, YEAR_S),
        "300",
        "How often it is measured what containers have written beside their volumes, which makes the engine walk through these files. 0: never.",
    ),
    live(
        "spawner.idle.after_minutes",
        whole(0, 525_600),
        "0",
        "How long a server may go unused until it is stopped. 0: servers are not stopped when idle. Groups can say otherwise for their members. JUPYTERHUB_IDLE_CULLER_TIMEOUT_MINUTES sets the same where JUPYTERHUB_IDLE_CULLER_ENABLED is 1.",
    ),
    live(
        "spawner.idle.max_age_hours",
        whole(0, 8_760),
        "0",
        "How old a server may become until it is stopped, used or not. 0: as old as it likes.",
    ),
    live(
        "spawner.idle.extension_hours",
        whole(0, 8_760),
        "24",
        "How many hours people may put the end of their idle server off, beyond spawner.idle.after_minutes. 0: not at all.",
    ),
    live(
        "spawner.idle.stop_busy_kernels",
        Kind::Flag,
        "false",
        "Whether a server is stopped although a kernel of it is busy. Then what it computes does not count as use either.",
    ),
    live(
        "spawner.idle.check_interval_s",
        whole(5, 3_600),
        "60",
        "How often all servers are looked at, at least: within this time a rule that has changed is in force.",
    ),
    live(
        "spawner.idle.warn_before_minutes",
        whole(0, 1_440),
        "10",
        "How long before the end people get a notice in their JupyterLab; nobody's server is stopped without it. 0: no notice.",
    ),
    live(
        "spawner.idle.questions_at_once",
        whole(1, 1000),
        "16",
        "How many servers are asked for their kernels and terminals at the same moment: those with an idle limit that were quiet for a quarter of it (1 to 10 minutes), and whoever is about to be stopped.",
    ),
    live(
        "spawner.idle.activity.requests",
        Kind::Flag,
        "true",
        "Whether HTTP requests count as use, without those that a forgotten tab sends by itself.",
    ),
    live(
        "spawner.idle.activity.websockets",
        Kind::Flag,
        "true",
        "Whether what people do through WebSockets counts as use: running cells, typing in terminals; not pings.",
    ),
    live(
        "spawner.idle.activity.kernels",
        Kind::Flag,
        "true",
        "Whether servers are asked for busy kernels. If not, nobody knows of them, and none is spared for them.",
    ),
    live(
        "spawner.idle.activity.terminals",
        Kind::Flag,
        "true",
        "Whether output of a terminal counts as use, also of one that nobody looks at.",
    ),
    live(
        "spawner.idle.activity.processor",
        Kind::Flag,
        "true",
        "Whether computing counts as use, whatever computes: spawner.idle.activity.processor_cores says from when on.",
    ),
    live(
        "spawner.idle.activity.gpu",
        Kind::Flag,
        "true",
        "Whether work of a server's graphics processors counts as use: spawner.idle.activity.gpu_percent says from when on.",
    ),
    live(
        "spawner.idle.activity.reported",
        Kind::Flag,
        "false",
        "Whether what a server's program reports of itself counts as use. JupyterLab reports the polling of a forgotten tab, which would keep its server for ever. The API's last_activity holds it in any case.",
    ),
    live(
        "spawner.idle.activity.processor_cores",
        Kind::Number,
        "0.2",
        "From how many busy cores on a server computes. An idle JupyterLab takes 0.01.",
    ),
    live("spawner.idle.activity.gpu_percent", whole(1, 100), "5", "From what load on a graphics processor computes."),
    live(
        "spawner.idle.activity.ignored_paths",
        Kind::Texts,
        "[]",
        "Requests below these paths of a server are nobody's work, as in [\"proxy/8080/health\"], beside those that JupyterLab is known to poll.",
    ),
    key("spawner.docker.host", Kind::Text, r#""unix:///var/run/docker.sock""#, "The engine's address."),
    live(
        "spawner.docker.image",
        Kind::Text,
        r#""quay.io/jupyter/base-notebook""#,
        "The image of every server: any with jupyterhub-singleuser in it.",
    ),
    live(
        "spawner.docker.pull_policy",
        Kind::Choice(&["if_not_present", "always", "never"]),
        r#""if_not_present""#,
        "When the image is pulled.",
    ),
    live(
        "spawner.docker.command",
        Kind::Texts,
        r#"["jupyterhub-singleuser"]"#,
        "What runs in the container. Empty: the image's own command.",
    ),
    key(
        "spawner.docker.network",
        Kind::Text,
        r#""auto""#,
        "The network of all servers. One that is missing is made, on a host with traffic between servers off. \"auto\": slipway; if Slipway is a container itself, the network that it is on, and of several the one with the label slipway.network=servers.",
    ),
    key(
        "spawner.docker.name_prefix",
        Kind::Text,
        r#""jupyterlab""#,
        "Containers and volumes are named by this and the escaped user name: jupyterlab-alice, jupyterlab-alice_home.",
    ),
    key(
        "spawner.docker.volumes",
        Kind::TextMap,
        r#"{ home = "/home/jovyan", workspace = "/home/jovyan/work", cache = "/home/jovyan/.cache" }"#,
        "Each person's volumes, by the end of their names, and where they are mounted.",
    ),
    key(
        "spawner.docker.shared_volumes",
        Kind::TextMap,
        "{}",
        "Volumes that everybody shares, and where they are mounted, as in { jupyterhub_shared = \"/mnt/shared\" }.",
    ),
    key(
        "spawner.docker.shared_volume",
        Kind::Text,
        r#""jupyterhub_shared""#,
        "The volume that groups may grant at /mnt/shared (administrators do that on the group's page).",
    ),
    key(
        "spawner.docker.group_volumes",
        Kind::Texts,
        "[]",
        "Volumes of this host that Slipway did not make and groups may grant all the same, as in [\"datasets\"]. Any other such volume is refused: it may hold the data of another program.",
    ),
    key(
        "spawner.docker.volume_notes",
        Kind::Tables { secrets: &[] },
        "[]",
        "What people are told of volumes, one [[spawner.docker.volume_notes]] each, with the fields name (the end of its name as in spawner.docker.volumes, or a shared one's name), label and description.",
    ),
    live("spawner.docker.memory_limit", Kind::Text, r#""""#, "Memory of one server, as in \"4G\". Empty: no limit."),
    live("spawner.docker.cpu_limit", Kind::Number, "0", "Cores of one server, as in 1.5. 0: no limit."),
    live("spawner.docker.pids_limit", whole(0, 1_000_000), "4096", "Processes and threads in one server. 0: no limit."),
    live(
        "spawner.docker.allow_sudo",
        Kind::Flag,
        "false",
        "Whether programs in a server may gain privileges (sudo) within their container.",
    ),
    live(
        "spawner.docker.remove_on_stop",
        Kind::Flag,
        "true",
        "Whether a stopped server's container is removed. Its volumes stay in any case.",
    ),
    key(
        "spawner.docker.publish_on_loopback",
        Kind::Flag,
        "false",
        "Reach servers through ports on 127.0.0.1 instead of their own addresses: for Docker Desktop and rootless engines.",
    ),
    key(
        "spawner.process.command",
        Kind::Texts,
        r#"["jupyterhub-singleuser"]"#,
        "What a server runs without Docker. Servers as processes are for one person, or for people who trust each other.",
    ),
    key(
        "spawner.process.path",
        Kind::Text,
        r#""/usr/local/bin:/usr/bin:/bin""#,
        "Where servers as processes, and services that Slipway runs, find programs: their PATH. Slipway's own is not handed on.",
    ),
    key(
        "spawner.process.run_as",
        Kind::Text,
        r#""""#,
        "The account (name or uid:gid) that servers run as. Needed when Slipway runs as root.",
    ),
    key(
        "spawner.static.upstream",
        Kind::Text,
        r#""""#,
        "Where everybody's server is with spawner.backend = \"static\", as in \"http://127.0.0.1:9000\" or \"unix:/run/lab.sock\". Who may ask for whose server is decided here; the upstream must keep people apart by the path.",
    ),
    key(
        "gpu.enable",
        whole(0, 2),
        "2",
        "Whether servers get graphics processors. 0: never. 1: if the engine has an nvidia runtime; where the driver's library is not to be loaded (Slipway in a container of its own) all are given, or none. 2: if the driver says which there are, too. ENABLE_GPU_SUPPORT sets the same; JUPYTERHUB_GPU_ENABLED=1 means 2.",
    ),
    key(
        "gpu.everybody",
        Kind::Flag,
        "true",
        "As long as no group grants graphics processors, every server gets all of them. From the first group that does on, members of such groups alone. false: these alone from the beginning.",
    ),
    key(
        "gpu.sample_interval_s",
        whole(5, 3600),
        "30",
        "How often the driver is asked. What it said longer ago than twice that, or 90 s, is not believed: then servers start without.",
    ),
    key(
        "routers.docker.enable",
        Kind::Flag,
        "false",
        "Read routes from containers' labels, in Traefik's language (traefik.enable=true, traefik.http.routers.…), from the engine of spawner.docker.host. Off, because whoever may start containers there may then publish addresses here. Containers that Slipway makes for users are never read.",
    ),
    key(
        "routers.docker.constraint",
        Kind::Text,
        r#""""#,
        "Which containers are read: Traefik's expression over labels, as in \"Label(`stage`, `live`) && !Label(`team`, `x`)\", or one label, as in \"stage=live\". Empty: those of Slipway's own Compose project if it runs in one, else all. A label is a word of whoever starts the container: who has the engine's socket can write any.",
    ),
    key(
        "routers.docker.exposed_by_default",
        Kind::Flag,
        "false",
        "Read also containers that do not say traefik.enable=true.",
    ),
    key(
        "routers.docker.network",
        Kind::Text,
        r#""""#,
        "The network over which labelled containers are reached, where one has several and does not say traefik.docker.network. Empty: one that Slipway is on, too.",
    ),
    key(
        "routers.docker.default_rule",
        Kind::Text,
        r#""""#,
        "The rule of labelled containers that say none, as in \"Host(`{{ normalize .Name }}.example.com`)\". Empty: such a container gets no route.",
    ),
    key(
        "routers.lazy.start_timeout_s",
        whole(1, 3600),
        "120",
        "A container with slipway.start=on-request has so long until it takes connections; some programs load a model first.",
    ),
    key(
        "routers.lazy.hold_timeout_s",
        whole(0, 60),
        "5",
        "A program's request is held so long while such a container starts, then answered with 503 and Retry-After. A person sees a page that waits.",
    ),
    key(
        "routers.lazy.starts_at_once",
        whole(1, 100),
        "4",
        "So many of them are started at one moment; the others wait for their turn.",
    ),
    key(
        "routers.lazy.idle_after_s",
        whole(10, 31_536_000),
        "1800",
        "They are stopped when no request and no WebSocket has been open for so long, where their label slipway.idle-after does not say another time, or never.",
    ),
    key("routers.lazy.stop_timeout_s", whole(0, 600), "10", "From the signal to end until such a container is killed."),
    key(
        "routers.file",
        Kind::Text,
        r#""config/routes.yml""#,
        "Routes in Traefik's dynamic configuration, YAML or (by its name) TOML. Looked at every 2 s; while it has a mistake, what it said before stays. It need not be there. Empty: none.",
    ),
    key(
        "routers.default_entry_points",
        Kind::Texts,
        r#"["websecure"]"#,
        "Where routes listen that name no entry point: \"web\" is listener.http, \"websecure\" is listener.https.",
    ),
    live("log.level", Kind::Choice(&["error", "warn", "info", "debug"]), r#""info""#, "How much is logged."),
    key(
        "log.format",
        Kind::Choice(&["auto", "text", "json"]),
        r#""auto""#,
        "\"auto\" is text on a terminal and JSON elsewhere.",
    ),
    key(
        "log.access",
        Kind::Choice(&["off", "common", "combined", "json", "traefik"]),
        r#""off""#,
        "One line for each request. \"common\" and \"combined\" are the formats of web servers, \"json\" is ours, \"traefik\" is JSON with the field names of Traefik's access log. Off, because JupyterLab polls, and most lines would be that. Secrets in addresses are hidden; a reader that is too slow costs lines, which are counted, and no time.",
    ),
    key(
        "log.access_file",
        Kind::Text,
        r#""""#,
        "The file that these lines go to; empty is standard output. Moved away, as logrotate does, it is begun anew within a second, without a signal.",
    ),
    key(
        "trace.otlp_endpoint",
        Kind::Text,
        r#""""#,
        "Where traces are sent as OTLP/HTTP (JSON), as in \"http://collector:4318/v1/traces\"; empty makes none, and then traceparent passes as it came. https believes the system's authorities.",
    ),
    key(
        "trace.sample_ratio",
        Kind::Number,
        "0.05",
        "Which part of the requests is collected, 0 to 1; besides those of which a trusted proxy says so. One in twenty, because JupyterLab polls.",
    ),
    key(
        "trace.otlp_headers",
        Kind::Secret,
        r#""""#,
        "Headers that the collector wants, as in \"authorization=Bearer abc,x-tenant=lab\".",
    ),
    live(
        "limits.requests_per_address_per_s",
        whole(0, 1_000_000),
        "0",
        "Requests a second from one IPv4 address or IPv6 /64, on average over limits.window_s; 0 is no limit. Off, because a lecture hall of 300 sits behind one address and each JupyterLab loads 300 files. Behind listener.trusted_proxies the client's own address counts. More is answered with 429 and Retry-After.",
    ),
    live(
        "limits.requests_per_user_per_s",
        whole(0, 1_000_000),
        "0",
        "The same for one user, in the browser and by token together. Off, because only you know what your programs ask for; 100 is above what a person with some tabs needs.",
    ),
    live(
        "limits.window_s",
        whole(1, 3600),
        "10",
        "What both are averaged over: in ten seconds a whole page passes at once.",
    ),
    live(
        "limits.in_flight_per_address",
        whole(0, 1_000_000),
        "0",
        "Requests from one address that are being answered at one moment; 0 is no limit. An open WebSocket is none of them: listener.connections_per_address bounds these.",
    ),
    live("limits.in_flight_per_user", whole(0, 1_000_000), "0", "The same for one user."),
    live(
        "notices.concurrency",
        whole(1, 1000),
        "16",
        "How many servers are told at the same moment when an administrator sends a notice to all. Each has 5 s, and asks us about the token that it is shown; more would only make a loaded host slower.",
    ),
    live(
        "metrics.authenticate",
        Kind::Flag,
        "true",
        "Prometheus reads /hub/metrics (or /hub/api/metrics, also on hub.bind) with a token that holds read:metrics. false: whoever reaches the address reads how many people and servers there are.",
    ),
    key(
        "metrics.listen",
        Kind::Texts,
        "[]",
        "Addresses of their own for /metrics, /healthz and /readyz, over plain HTTP and for everybody who reaches them, as in [\"127.0.0.1:9090\"]. None by default.",
    ),
    live(
        "audit.retention_days",
        whole(1, 36_500),
        "365",
        "How many days the audit log keeps a row. Older ones go a few at a time, with the next rows that are written; what is left can still be checked as a chain.",
    ),
    live(
        "audit.rows_max",
        whole(1000, 10_000_000),
        "200000",
        "How many rows the audit log keeps at most. 200000 are some 50 MB on disk, and half a second of each start, which reads all of them.",
    ),
    live(
        "backup.every_s",
        whole(0, YEAR_S),
        "86400",
        "Seconds from one copy of the database to the next, written and checked while everything goes on; 0 makes none. Copies hold every secret of the installation, are 0600, and are what slipway backup makes: slipway restore brings one back.",
    ),
    live(
        "backup.keep",
        whole(1, 10_000),
        "7",
        "How many of these copies are kept. The oldest goes only after a new one was found whole.",
    ),
    live(
        "backup.folder",
        Kind::Text,
        r#""""#,
        "The folder that they go to; empty is \"backups\" in data_dir. One on another disk also survives the loss of this one.",
    ),
];

/// The text of `config/slipway.toml`: every key, explained, commented out at its default.
#[must_use]
pub fn template() -> String {
    let mut text = String::from(
        "# Slipway's configuration. Every line below is commented out and shows the default: change what you need.\n\
         # Each key can also be set by environment, which wins: `listener.https` is SLIPWAY_LISTENER_HTTPS.\n\
         # `slipway check` shows what is in force, where it came from, and every mistake at once.\n\
         # `slipway reload` takes up what has changed, without ending a request; keys marked (at start) want a restart.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (in_section, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if in_section != section {
            section = in_section;
            text.push_str(&format!("\n[{section}]\n"));
        }
        text.push('\n');
        let mark = if key.taken_up == TakenUp::AtStart { " (at start)" } else { "" };
        for line in wrapped(&format!("{}{mark}", key.text), 116) {
            text.push_str(&format!("# {line}\n"));
        }
        if let Kind::Choice(words) = key.kind {
            text.push_str(&format!("# One of: {}.\n", words.join(", ")));
        }
        text.push_str(&format!("#{name} = {}\n", key.default));
    }
    text
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a last line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file_teaches_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/slipway.toml");
        if std::env::var_os("SLIPWAY_UPDATE").is_some() {
            std::fs::write(path, template()).expect("config/ is there and may be written");
        }
        let file = std::fs::read_to_string(path).expect("config/slipway.toml is part of the repository");
        assert_eq!(file, template(), "write it anew: SLIPWAY_UPDATE=1 cargo test --lib the_configuration_file");
    }

    #[test]
    fn the_configuration_file_is_sound_and_each_table_stands_in_it_once() {
        let file = template();
        assert!(toml::from_str::<toml::Table>(&file).is_ok(), "the keys of a table stand together in KEYS");
        let tables: Vec<&str> = file.lines().filter(|line| line.starts_with('[')).collect();
        let distinct: std::collections::BTreeSet<&str> = tables.iter().copied().collect();
        assert_eq!(tables.len(), distinct.len(), "{tables:?}");
    }

    #[test]
    fn two_keys_never_share_a_variable() {
        let mut variables: Vec<_> = KEYS.iter().map(Key::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), KEYS.len());
    }
}
