//! The table: each setting of JupyterHub, NativeAuthenticator and DockerSpawner, and what it is with us.
//!
//! One row a setting. Where there is no equivalent, its sentence says what to use instead, or why nothing is needed.
//! The sentences go on after "line 3: c.Class.name: ".

use super::convert::Form;
use super::reading::Setting;
use super::translate::Work;
use super::{docker, host_config, hub, people, profiles, volumes};

/// What becomes of a setting.
#[derive(Clone, Copy)]
pub(super) enum How {
    /// It is one of our keys.
    Key(&'static str, Form),
    /// Nothing is needed, for this reason.
    Fine(&'static str),
    /// There is no equivalent; what to do instead.
    Look(&'static str),
    /// It holds a secret, which is not copied; where it goes instead.
    Secret(&'static str),
    /// It takes more than one key, or other settings play a part.
    With(fn(&mut Work<'_>, &Setting)),
}

/// A row: class, name, what becomes of it.
pub(super) type Row = (&'static str, &'static str, How);

use How::{Fine, Key, Look, Secret, With};

const HOOK: &str = "is a function of Python that runs in the hub; Slipway runs none. What groups grant (variables, volumes, limits) and spawner.profiles do what such hooks are mostly for; another program can follow and act by the REST API (services).";
const FORM: &str = "makes the form of spawner options by hand; spawner.profiles is Slipway's: kinds of servers with image, memory, cpu, environment and groups.";
const OWN_PROXY: &str = "Slipway is the proxy itself.";
const ON_ITS_OWN: &str = "Slipway does that on its own; it is not a setting.";
const ROLES_OF_SERVERS: &str =
    "is a setting of the role: [[roles]] with name = \"server\" changes what servers' tokens may do.";
const PAGES: &str =
    "changes JupyterHub's pages, which are not Slipway's. Announcements: the page of notices, /hub/notices.";
const ENCRYPTED: &str = "Slipway speaks plain HTTP with servers on their own network (spawner.docker.network) and TLS with people. Servers on other hosts are not made.";
const NO_PROVIDER: &str = "needs a sign-in provider outside, which Slipway does not ask.";

/// All of them.
pub(super) const TRAITS: &[Row] = &[
    // Addresses and TLS.
    ("JupyterHub", "bind_url", With(hub::address)),
    ("JupyterHub", "ip", With(hub::address)),
    ("JupyterHub", "port", With(hub::address)),
    ("JupyterHub", "base_url", With(hub::base_url)),
    ("JupyterHub", "public_url", With(hub::public_url)),
    ("JupyterHub", "ssl_cert", With(hub::certificate)),
    ("JupyterHub", "ssl_key", With(hub::certificate)),
    (
        "JupyterHub",
        "confirm_no_ssl",
        Fine("Slipway always serves HTTPS; while certs_dir is empty it makes its own certificate."),
    ),
    ("JupyterHub", "trusted_downstream_ips", Key("listener.trusted_proxies", Form::Texts)),
    ("JupyterHub", "forwarded_host_header", Fine("X-Forwarded-Host is believed of listener.trusted_proxies.")),
    ("JupyterHub", "hub_ip", With(hub::hub_address)),
    ("JupyterHub", "hub_port", With(hub::hub_address)),
    ("JupyterHub", "hub_bind_url", With(hub::hub_address)),
    ("JupyterHub", "hub_connect_ip", With(hub::hub_connect)),
    ("JupyterHub", "hub_connect_port", With(hub::hub_connect)),
    ("JupyterHub", "hub_connect_url", With(hub::hub_connect)),
    ("JupyterHub", "hub_socket_mode", Fine(ON_ITS_OWN)),
    ("JupyterHub", "hub_routespec", Fine(OWN_PROXY)),
    (
        "JupyterHub",
        "subdomain_host",
        Look(
            "asks for a host name for each user. Slipway has one origin for all servers; `slipway check` says what that means. If people do not trust each other's notebooks, wait for isolation by subdomains.",
        ),
    ),
    ("JupyterHub", "subdomain_hook", Look("goes with subdomain_host, which Slipway does not have.")),
    ("JupyterHub", "internal_ssl", Look(ENCRYPTED)),
    ("JupyterHub", "internal_certs_location", Look(ENCRYPTED)),
    ("JupyterHub", "recreate_internal_certs", Look(ENCRYPTED)),
    ("JupyterHub", "external_ssl_authorities", Look(ENCRYPTED)),
    ("JupyterHub", "trusted_alt_names", Look(ENCRYPTED)),
    // The proxy.
    ("JupyterHub", "proxy_class", Fine(OWN_PROXY)),
    ("JupyterHub", "proxy_cmd", Fine(OWN_PROXY)),
    ("JupyterHub", "debug_proxy", Fine(OWN_PROXY)),
    ("JupyterHub", "proxy_auth_token", Fine(OWN_PROXY)),
    ("JupyterHub", "proxy_api_ip", Fine(OWN_PROXY)),
    ("JupyterHub", "proxy_api_port", Fine(OWN_PROXY)),
    ("JupyterHub", "proxy_check_interval", Fine(OWN_PROXY)),
    ("JupyterHub", "cleanup_proxy", Fine(OWN_PROXY)),
    ("JupyterHub", "cleanup_servers", With(hub::cleanup_servers)),
    // Rows, cookies and tokens.
    ("JupyterHub", "db_url", With(hub::database)),
    ("JupyterHub", "db_kwargs", Fine("Slipway keeps its own store in data_dir.")),
    ("JupyterHub", "upgrade_db", Fine("Slipway keeps its own store in data_dir.")),
    ("JupyterHub", "reset_db", Fine("Slipway keeps its own store in data_dir.")),
    ("JupyterHub", "debug_db", Fine("Slipway keeps its own store in data_dir.")),
    (
        "JupyterHub",
        "cookie_secret",
        Secret(
            "Slipway makes its own keys in data_dir, and everybody signs in once more. Where `slipway import jupyterhub` asks for the old secret it is given as a file, with --cookie-secret.",
        ),
    ),
    (
        "JupyterHub",
        "cookie_secret_file",
        Fine(
            "Slipway makes its own keys in data_dir, and everybody signs in once more. Where `slipway import jupyterhub` asks for the old secret, give it this file with --cookie-secret.",
        ),
    ),
    ("JupyterHub", "cookie_max_age_days", With(hub::cookie_age)),
    ("JupyterHub", "cookie_host_prefix_enabled", Fine("Slipway's session cookie always has such a prefix.")),
    (
        "JupyterHub",
        "api_tokens",
        Secret(
            "`slipway import jupyterhub --db` takes tokens along in their hashed form, and they go on working; `slipway token add` makes others.",
        ),
    ),
    (
        "JupyterHub",
        "service_tokens",
        Secret(
            "`slipway import jupyterhub --db` takes tokens along in their hashed form, and they go on working; else write api_token into the service's [[services]] table.",
        ),
    ),
    (
        "JupyterHub",
        "trust_user_provided_tokens",
        Look("tokens are always made by Slipway; `slipway import jupyterhub --db` takes those along that there are."),
    ),
    ("JupyterHub", "token_expires_in_max_seconds", Key("auth.token_expires_in_max_s", Form::Whole)),
    (
        "JupyterHub",
        "oauth_token_expires_in",
        Look(
            "tokens of a sign-in end with the session that they belong to: auth.absolute_timeout_s and auth.idle_timeout_s.",
        ),
    ),
    ("JupyterHub", "oauth_require_pkce", Look("is not a setting; PKCE is checked of every client that uses it.")),
    ("JupyterHub", "authenticate_prometheus", Key("metrics.authenticate", Form::Flag)),
    (
        "JupyterHub",
        "api_page_default_limit",
        Fine("lists of the API have 50 rows a page, as with JupyterHub's default, and 200 at most."),
    ),
    (
        "JupyterHub",
        "api_page_max_limit",
        Fine("lists of the API have 50 rows a page, as with JupyterHub's default, and 200 at most."),
    ),
    // Who may do what.
    ("JupyterHub", "admin_users", With(people::admins)),
    ("JupyterHub", "admin_access", With(people::admin_access)),
    ("JupyterHub", "load_roles", With(people::roles)),
    ("JupyterHub", "load_groups", With(people::groups)),
    ("JupyterHub", "custom_scopes", With(people::custom_scopes)),
    ("JupyterHub", "extra_user_scopes", Key("auth.extra_user_scopes", Form::Texts)),
    ("JupyterHub", "services", With(people::services)),
    ("JupyterHub", "authenticator_class", With(people::authenticator)),
    // Servers.
    ("JupyterHub", "spawner_class", With(docker::spawner_class)),
    ("JupyterHub", "allow_named_servers", With(hub::named_servers)),
    ("JupyterHub", "named_server_limit_per_user", With(hub::named_servers)),
    ("JupyterHub", "allow_existing_invalid_named_servers", Fine("names that are there keep working.")),
    ("JupyterHub", "default_server_name", Key("hub.default_server", Form::Text)),
    ("JupyterHub", "concurrent_spawn_limit", With(hub::concurrent_starts)),
    ("JupyterHub", "active_server_limit", Key("spawner.active_servers", Form::Whole)),
    ("JupyterHub", "init_spawners_timeout", Fine(ON_ITS_OWN)),
    (
        "JupyterHub",
        "implicit_spawn_seconds",
        Look(
            "opening the address of one's own stopped server starts it at once (spawner.lazy_start = true), or a page with a button is shown (false).",
        ),
    ),
    (
        "JupyterHub",
        "shutdown_on_logout",
        Look("signing out stops no server; spawner.idle stops those that nobody uses."),
    ),
    (
        "JupyterHub",
        "use_legacy_stopped_server_status_code",
        Look(
            "calls to a stopped server get 424, as with JupyterHub since 2.0. Programs that wait for 503 must learn that.",
        ),
    ),
    ("JupyterHub", "last_activity_interval", Fine(ON_ITS_OWN)),
    ("JupyterHub", "activity_resolution", Fine(ON_ITS_OWN)),
    ("JupyterHub", "active_user_window", Fine(ON_ITS_OWN)),
    ("JupyterHub", "service_check_interval", Fine(ON_ITS_OWN)),
    // Pages.
    ("JupyterHub", "default_url", With(hub::default_url)),
    ("JupyterHub", "redirect_to_server", With(hub::redirect_to_server)),
    (
        "JupyterHub",
        "user_redirect_hook",
        Look(
            "is a function of Python, and Slipway runs none; hub.default_server names the server that links to /hub/user-redirect/ open.",
        ),
    ),
    ("JupyterHub", "logo_file", Look(PAGES)),
    ("JupyterHub", "template_paths", Look(PAGES)),
    ("JupyterHub", "template_vars", Look(PAGES)),
    ("JupyterHub", "jinja_environment_options", Look(PAGES)),
    ("JupyterHub", "data_files_path", Fine("Slipway's pages are in its binary.")),
    (
        "JupyterHub",
        "extra_handlers",
        Look("are pages of Python in the hub; a program of its own is a service ([[services]]), below /services/."),
    ),
    (
        "JupyterHub",
        "tornado_settings",
        Look(
            "are settings of JupyterHub's web server, which Slipway does not have. Its own headers and limits are under listener, proxy and hub.",
        ),
    ),
    // The program.
    ("JupyterHub", "log_level", With(hub::log_level)),
    ("Application", "log_level", With(hub::log_level)),
    ("JupyterHub", "log_format", Fine("log.format is text or JSON.")),
    ("JupyterHub", "log_datefmt", Fine("log.format is text or JSON.")),
    ("JupyterHub", "extra_log_file", Fine("Slipway writes its log to standard error, and whoever runs it keeps it.")),
    (
        "JupyterHub",
        "extra_log_handlers",
        Look("are objects of Python; Slipway writes its log to standard error, as JSON with log.format = \"json\"."),
    ),
    ("JupyterHub", "pid_file", Fine("Slipway writes none: systemd and Docker know their processes.")),
    ("JupyterHub", "config_file", Fine("Slipway's is config/slipway.toml, or what --config names.")),
    ("JupyterHub", "generate_config", Fine("it is a command, not a setting.")),
    ("JupyterHub", "generate_certs", Fine("it is a command, not a setting.")),
    ("JupyterHub", "answer_yes", Fine("Slipway asks nothing at start.")),
    // Every authenticator.
    ("Authenticator", "admin_users", With(people::admins)),
    ("Authenticator", "blocked_users", Key("auth.blocked_users", Form::Names)),
    ("Authenticator", "allowed_users", With(people::allowed_users)),
    ("Authenticator", "whitelist", With(people::allowed_users)),
    ("Authenticator", "allow_all", With(people::allow_all)),
    ("Authenticator", "any_allow_config", Fine("whom an administrator approved is let in, nobody else.")),
    ("Authenticator", "allow_existing_users", Fine("whom an administrator approved is let in, nobody else.")),
    (
        "Authenticator",
        "username_pattern",
        Look(
            "names are 1 to 64 bytes without space, comma and slash; no other rule can be set. An administrator approves each anyway.",
        ),
    ),
    (
        "Authenticator",
        "username_map",
        Look("people have the name that they sign in with; rename users on their page before the switch."),
    ),
    ("Authenticator", "delete_invalid_users", Fine("there are none: names are checked when accounts are made.")),
    (
        "Authenticator",
        "enable_auth_state",
        Look("is what a sign-in provider outside leaves for servers; Slipway asks none, so there is none."),
    ),
    ("Authenticator", "auth_refresh_age", Fine("whom an administrator shuts out is out within a second.")),
    ("Authenticator", "auth_refresh_strict", Fine("whom an administrator shuts out is out within a second.")),
    ("Authenticator", "refresh_pre_spawn", Fine("whom an administrator shuts out is out within a second.")),
    ("Authenticator", "refresh_pre_stop", Fine("whom an administrator shuts out is out within a second.")),
    ("Authenticator", "post_auth_hook", Look(HOOK)),
    ("Authenticator", "reconcile_auth_state_hook", Look(HOOK)),
    ("Authenticator", "manage_groups", Look(NO_PROVIDER)),
    ("Authenticator", "manage_roles", Look(NO_PROVIDER)),
    ("Authenticator", "reset_managed_roles_on_startup", Look(NO_PROVIDER)),
    ("Authenticator", "auto_login", Look(NO_PROVIDER)),
    ("Authenticator", "auto_login_oauth2_authorize", Look(NO_PROVIDER)),
    (
        "Authenticator",
        "otp_prompt",
        Look(
            "Slipway does not ask for a second factor yet. `slipway import jupyterhub` keeps the secrets, and lets nobody in without theirs who has one.",
        ),
    ),
    (
        "Authenticator",
        "request_otp",
        Look(
            "Slipway does not ask for a second factor yet. `slipway import jupyterhub` keeps the secrets, and lets nobody in without theirs who has one.",
        ),
    ),
    (
        "Authenticator",
        "create_system_users",
        Look(
            "Slipway makes no accounts on the host. Containers need none; as processes all servers are one account's (spawner.process.run_as).",
        ),
    ),
    ("Authenticator", "add_user_cmd", Look("Slipway makes no accounts on the host. Containers need none.")),
    ("Authenticator", "uids", Look("Slipway makes no accounts on the host. Containers need none.")),
    (
        "Authenticator",
        "allowed_groups",
        Look("are groups of the host; an administrator approves people one by one or many at once (/hub/admin/new)."),
    ),
    (
        "Authenticator",
        "group_whitelist",
        Look("are groups of the host; an administrator approves people one by one or many at once (/hub/admin/new)."),
    ),
    ("Authenticator", "admin_groups", Look("are groups of the host; auth.admins names administrators.")),
    ("Authenticator", "password", Secret("one password for all is not a thing with Slipway: everybody has their own.")),
    ("Authenticator", "client_secret", Secret(NO_PROVIDER)),
    ("Authenticator", "client_id", Look(NO_PROVIDER)),
    ("Authenticator", "oauth_callback_url", Look(NO_PROVIDER)),
    // NativeAuthenticator.
    ("NativeAuthenticator", "enable_signup", Key("auth.signup", Form::Flag)),
    ("NativeAuthenticator", "open_signup", With(people::open_signup)),
    ("NativeAuthenticator", "minimum_password_length", With(people::password_length)),
    (
        "NativeAuthenticator",
        "check_common_password",
        Look(
            "is not checked: with Slipway a password is judged by its length (auth.password_length), and guessing is slowed down (auth.tries_per_name).",
        ),
    ),
    ("NativeAuthenticator", "allowed_failed_logins", With(people::failed_logins)),
    ("NativeAuthenticator", "seconds_before_next_try", Key("auth.tries_window_s", Form::Seconds)),
    (
        "NativeAuthenticator",
        "ask_email_on_signup",
        Look("signing up asks for no e-mail address; people enter it on their account's page."),
    ),
    (
        "NativeAuthenticator",
        "allow_2fa",
        Look(
            "Slipway does not ask for a second factor yet. `slipway import jupyterhub` keeps the secrets, and lets nobody in without theirs who has one.",
        ),
    ),
    (
        "NativeAuthenticator",
        "tos",
        Look("there are no terms to accept at sign-up; a notice (/hub/notices) reaches everybody in their JupyterLab."),
    ),
    (
        "NativeAuthenticator",
        "recaptcha_key",
        Secret("there is no reCAPTCHA: sign-ups wait for an administrator, and auth.waiting_users bounds them."),
    ),
    (
        "NativeAuthenticator",
        "recaptcha_secret",
        Secret("there is no reCAPTCHA: sign-ups wait for an administrator, and auth.waiting_users bounds them."),
    ),
    (
        "NativeAuthenticator",
        "allow_self_approval_for",
        Look("nobody approves themselves: an administrator does, on /hub/admin, one or many at once."),
    ),
    ("NativeAuthenticator", "self_approval_email", Look("Slipway sends no mail.")),
    ("NativeAuthenticator", "self_approval_server", Secret("Slipway sends no mail.")),
    ("NativeAuthenticator", "secret_key", Secret("it signed links for self-approval, which Slipway does not have.")),
    (
        "NativeAuthenticator",
        "import_from_firstuse",
        Look(
            "passwords of FirstUseAuthenticator must be in NativeAuthenticator's table before `slipway import jupyterhub` reads it: start the old hub once with this setting.",
        ),
    ),
    ("NativeAuthenticator", "firstuse_db_path", Fine("it goes with import_from_firstuse.")),
    ("NativeAuthenticator", "delete_firstuse_db_after_import", Fine("it goes with import_from_firstuse.")),
    ("NativeAuthenticator", "add_new_table", Fine("Slipway keeps its own store in data_dir.")),
    (
        "CryptKeeper",
        "keys",
        Secret(
            "it sealed what sign-in providers left, of which Slipway has nothing. Slipway makes its own keys in data_dir.",
        ),
    ),
    // Every spawner.
    ("Spawner", "default_url", With(docker::default_url)),
    ("Spawner", "notebook_dir", With(docker::notebook_dir)),
    ("Spawner", "cmd", With(docker::command)),
    ("Spawner", "args", With(docker::command)),
    ("Spawner", "environment", With(docker::environment)),
    (
        "Spawner",
        "env_keep",
        Look(
            "Slipway hands nothing of its own environment to servers; name what they need, with its value, in spawner.environment.",
        ),
    ),
    ("Spawner", "mem_limit", With(docker::memory_limit)),
    ("Spawner", "cpu_limit", With(docker::cpu_limit)),
    (
        "Spawner",
        "mem_guarantee",
        Look(
            "nothing is set aside for a server; spawner.docker.memory_limit bounds it, and spawner.active_servers how many run.",
        ),
    ),
    (
        "Spawner",
        "cpu_guarantee",
        Look(
            "nothing is set aside for a server; spawner.docker.cpu_limit bounds it, and spawner.active_servers how many run.",
        ),
    ),
    ("Spawner", "start_timeout", Key("spawner.start_timeout_s", Form::Seconds)),
    ("Spawner", "http_timeout", Key("spawner.ready_timeout_s", Form::Seconds)),
    ("Spawner", "profile_list", With(profiles::profile_list)),
    ("Spawner", "profiles", Look(FORM)),
    ("Spawner", "options_form", Look(FORM)),
    ("Spawner", "options_from_form", Look(FORM)),
    ("Spawner", "apply_user_options", Look(FORM)),
    ("Spawner", "pre_spawn_hook", Look(HOOK)),
    ("Spawner", "post_stop_hook", Look(HOOK)),
    ("Spawner", "auth_state_hook", Look(HOOK)),
    ("Spawner", "post_start_hook", Look(HOOK)),
    ("Spawner", "progress_ready_hook", Look(HOOK)),
    (
        "Spawner",
        "group_overrides",
        Look(
            "what members of a group get is on the group's page, or in [[groups]] with grants = { mem_limit_gb = 8 }.",
        ),
    ),
    (
        "Spawner",
        "disable_user_config",
        Look(
            "what is in a home folder is the user's own; put JUPYTERHUB_DISABLE_USER_CONFIG = \"1\" into spawner.environment.",
        ),
    ),
    ("Spawner", "debug", Fine("a server's last log lines are on its page.")),
    ("Spawner", "poll_interval", Fine("Slipway hears of the end of a server at once.")),
    ("Spawner", "poll_jitter", Fine("Slipway hears of the end of a server at once.")),
    ("Spawner", "consecutive_failure_limit", Fine("Slipway does not end itself when servers fail to start.")),
    ("Spawner", "ip", Fine(ON_ITS_OWN)),
    ("Spawner", "port", Fine(ON_ITS_OWN)),
    ("Spawner", "hub_connect_url", Fine("hub.connect_url = \"auto\" finds it.")),
    ("Spawner", "oauth_roles", Look(ROLES_OF_SERVERS)),
    ("Spawner", "oauth_client_allowed_scopes", Look(ROLES_OF_SERVERS)),
    ("Spawner", "server_token_scopes", Look(ROLES_OF_SERVERS)),
    ("Spawner", "ssl_alt_names", Look(ENCRYPTED)),
    ("Spawner", "ssl_alt_names_include_local", Look(ENCRYPTED)),
    // Processes.
    ("Spawner", "interrupt_timeout", Fine("spawner.stop_timeout_s bounds the whole stop.")),
    ("Spawner", "term_timeout", Key("spawner.stop_timeout_s", Form::Seconds)),
    ("Spawner", "kill_timeout", Fine("spawner.stop_timeout_s bounds the whole stop.")),
    ("Spawner", "popen_kwargs", Look("are arguments of Python; what runs is spawner.process.command.")),
    ("Spawner", "shell_cmd", Look("servers are started without a shell: spawner.process.command is a list of words.")),
    (
        "Spawner",
        "home_dir_template",
        Look(
            "with spawner.backend = \"process\" each server has a home of its own below data_dir; move people's files there, or use containers.",
        ),
    ),
    // Containers.
    ("DockerSpawner", "image", With(docker::image)),
    ("DockerSpawner", "container_image", With(docker::image)),
    ("DockerSpawner", "allowed_images", With(profiles::allowed_images)),
    ("DockerSpawner", "image_whitelist", With(profiles::allowed_images)),
    ("DockerSpawner", "pull_policy", With(docker::pull_policy)),
    ("DockerSpawner", "network_name", With(docker::network)),
    ("DockerSpawner", "use_internal_ip", With(docker::internal_address)),
    ("DockerSpawner", "volumes", With(volumes::volumes)),
    ("DockerSpawner", "read_only_volumes", With(volumes::read_only_volumes)),
    (
        "DockerSpawner",
        "mounts",
        Look(
            "are mounts in Docker's own form: each person's volumes are spawner.docker.volumes, those for all spawner.docker.shared_volumes, and groups grant others.",
        ),
    ),
    (
        "DockerSpawner",
        "format_volume_name",
        Look(
            "volumes are named by spawner.docker.name_prefix, the escaped user name and their suffix; those of other names must be copied.",
        ),
    ),
    ("DockerSpawner", "remove", Key("spawner.docker.remove_on_stop", Form::Flag)),
    ("DockerSpawner", "remove_containers", Key("spawner.docker.remove_on_stop", Form::Flag)),
    ("DockerSpawner", "prefix", With(volumes::name_prefix)),
    ("DockerSpawner", "container_prefix", With(volumes::name_prefix)),
    ("DockerSpawner", "name_template", With(volumes::name_prefix)),
    ("DockerSpawner", "container_name_template", With(volumes::name_prefix)),
    ("DockerSpawner", "extra_host_config", With(host_config::host_config)),
    ("DockerSpawner", "extra_create_kwargs", With(host_config::create_arguments)),
    (
        "DockerSpawner",
        "extra_start_kwargs",
        Look("are arguments of Python's Docker client, of which Slipway has its own settings under spawner.docker."),
    ),
    ("DockerSpawner", "client_kwargs", Look("say how to reach the engine: spawner.docker.host.")),
    (
        "DockerSpawner",
        "tls_config",
        Look(
            "Slipway reaches the engine by its socket or an address (spawner.docker.host), without client certificates.",
        ),
    ),
    ("DockerSpawner", "host_ip", Fine("servers are reached on spawner.docker.network.")),
    (
        "DockerSpawner",
        "host_homedir_format_string",
        Look(
            "people's folders of the host are not mounted: Slipway keeps their files in volumes (spawner.docker.volumes). Copy each folder into its owner's volume before the switch.",
        ),
    ),
    (
        "DockerSpawner",
        "image_homedir_format_string",
        Look("with Slipway the home folder in the container is the path in spawner.docker.volumes."),
    ),
    ("DockerSpawner", "run_as_root", Look("who runs in the container is the image's business.")),
    ("DockerSpawner", "user_id", Look("who runs in the container is the image's business.")),
    ("DockerSpawner", "group_id", Look("who runs in the container is the image's business.")),
    (
        "DockerSpawner",
        "post_start_cmd",
        Look("no command is run in a started container; put it into the image's own start."),
    ),
    (
        "DockerSpawner",
        "links",
        Look("containers on the same network (spawner.docker.network) reach each other by name."),
    ),
    (
        "DockerSpawner",
        "escape",
        Look(
            "names are escaped as DockerSpawner's default does it; containers and volumes of other names must be renamed or copied.",
        ),
    ),
    ("DockerSpawner", "container_ip", Fine("servers are reached on spawner.docker.network.")),
    ("DockerSpawner", "container_port", Fine("servers listen on 8888 in their containers, as DockerSpawner's.")),
    ("DockerSpawner", "hub_ip_connect", Fine("hub.connect_url = \"auto\" finds it.")),
    ("DockerSpawner", "move_certs", Look(ENCRYPTED)),
    ("DockerSpawner", "certs_volume_name", Look(ENCRYPTED)),
];

/// What becomes of `name` of `class`; `None`: the table does not know it.
pub(super) fn find(class: &str, name: &str) -> Option<How> {
    let generic = if class.ends_with("Authenticator") {
        "Authenticator"
    } else if class.ends_with("Spawner") {
        "Spawner"
    } else {
        ""
    };
    let middle = match class {
        "SystemUserSpawner" | "SwarmSpawner" => "DockerSpawner",
        _ => "",
    };
    if class.ends_with("Proxy") {
        return Some(Fine(OWN_PROXY));
    }
    let of = |wanted: &str| TRAITS.iter().find(|(class, there, _)| *class == wanted && *there == name).map(|row| row.2);
    of(class).or_else(|| of(middle)).or_else(|| of(generic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_stands_in_the_table_twice() {
        for (at, (class, name, _)) in TRAITS.iter().enumerate() {
            assert!(!TRAITS[..at].iter().any(|(c, n, _)| c == class && n == name), "{class}.{name}");
        }
    }

    /// All settings of JupyterHub 6.1's own classes, as its source has them.
    #[test]
    fn every_setting_of_the_hub_is_known() {
        const HUB: &str = "load_groups load_roles extra_user_scopes custom_scopes config_file generate_config generate_certs answer_yes pid_file cookie_host_prefix_enabled cookie_max_age_days oauth_require_pkce oauth_token_expires_in token_expires_in_max_seconds redirect_to_server activity_resolution last_activity_interval proxy_check_interval service_check_interval active_user_window data_files_path template_paths template_vars confirm_no_ssl ssl_key ssl_cert internal_ssl internal_certs_location recreate_internal_certs external_ssl_authorities trusted_alt_names trusted_downstream_ips ip port base_url bind_url public_url subdomain_host subdomain_hook logo_file jinja_environment_options proxy_class proxy_cmd debug_proxy proxy_auth_token proxy_api_ip proxy_api_port forwarded_host_header hub_port hub_ip hub_connect_ip hub_connect_url hub_bind_url hub_connect_port hub_socket_mode hub_routespec trust_user_provided_tokens cookie_secret cookie_secret_file api_tokens api_page_default_limit api_page_max_limit authenticate_prometheus service_tokens services authenticator_class implicit_spawn_seconds allow_named_servers named_server_limit_per_user allow_existing_invalid_named_servers default_server_name spawner_class concurrent_spawn_limit active_server_limit init_spawners_timeout db_url db_kwargs upgrade_db reset_db debug_db admin_access admin_users tornado_settings cleanup_servers cleanup_proxy extra_log_file extra_log_handlers shutdown_on_logout extra_handlers default_url user_redirect_hook use_legacy_stopped_server_status_code";
        const SPAWNER: &str = "group_overrides oauth_roles oauth_client_allowed_scopes server_token_scopes ip port consecutive_failure_limit start_timeout http_timeout poll_interval poll_jitter debug options_form options_from_form apply_user_options env_keep environment cmd args notebook_dir default_url disable_user_config mem_limit cpu_limit mem_guarantee cpu_guarantee progress_ready_hook pre_spawn_hook post_stop_hook auth_state_hook hub_connect_url ssl_alt_names ssl_alt_names_include_local interrupt_timeout term_timeout kill_timeout popen_kwargs shell_cmd home_dir_template";
        const AUTHENTICATOR: &str = "enable_auth_state reconcile_auth_state_hook auth_refresh_age auth_refresh_strict refresh_pre_spawn refresh_pre_stop admin_users any_allow_config whitelist allowed_users allow_all allow_existing_users blocked_users otp_prompt request_otp username_pattern username_map delete_invalid_users post_auth_hook manage_groups manage_roles reset_managed_roles_on_startup auto_login auto_login_oauth2_authorize create_system_users add_user_cmd uids group_whitelist allowed_groups admin_groups password";
        for (class, names) in
            [("JupyterHub", HUB), ("SimpleLocalProcessSpawner", SPAWNER), ("PAMAuthenticator", AUTHENTICATOR)]
        {
            for name in names.split(' ') {
                assert!(find(class, name).is_some(), "{class}.{name}");
            }
        }
    }
}
