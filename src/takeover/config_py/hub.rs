//! Settings of the hub itself that take more than a row: addresses, certificates, the database, limits.

use toml::Value as Toml;

use super::convert::{Form, convert};
use super::reading::Setting;
use super::translate::Work;
use super::value::Value;

/// JupyterHub's own port, and that of its private listener.
const PORT: u16 = 8000;
const HUB_PORT: u16 = 8081;

/// `scheme://host:port/path` in its parts; whatever is missing is empty or `None`.
struct Address {
    is_https: bool,
    host: String,
    port: Option<u16>,
    path: String,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let port_at = place.rfind(':').filter(|at| !place[*at..].contains(']'));
        let (host, port) = match port_at {
            Some(at) => (&place[..at], Some(place[at + 1..].parse().ok()?)),
            None => (place, None),
        };
        let is_https = scheme.eq_ignore_ascii_case("https");
        (is_https || scheme.eq_ignore_ascii_case("http")).then(|| Self {
            is_https,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            path: path.to_owned(),
        })
    }
}

/// `bind_url`, `ip` and `port`: where people come in.
pub(super) fn address(work: &mut Work<'_>, setting: &Setting) {
    let Some(whole) = work.together(setting, &["bind_url", "ip", "port"]) else { return };
    let url = match work.beside(setting, "bind_url").map(|value| convert(Form::Text, value)) {
        Some(Ok(Toml::String(text))) => match Address::parse(&text) {
            Some(address) => Some(address),
            None => {
                return work
                    .draft
                    .look(&whole, "is no address as in \"http://:8000/hub\". It would be listener.https.");
            }
        },
        Some(Err(problem)) => return work.draft.look(&whole, &format!("is {problem}. It would be listener.https.")),
        _ => None,
    };
    let known = |value: Option<&Value>, form| value.map(|value| convert(form, value)).transpose();
    let ip = known(work.beside(setting, "ip"), Form::Text);
    let port = known(work.beside(setting, "port"), Form::Whole);
    let (ip, port) = match (ip, port) {
        (Ok(ip), Ok(port)) => {
            (ip.and_then(|ip| ip.as_str().map(str::to_owned)), port.and_then(|port| port.as_integer()))
        }
        (Err(problem), _) | (_, Err(problem)) => {
            return work.draft.look(&whole, &format!("is {problem}. It would be listener.https."));
        }
    };
    // As JupyterHub: `ip` and `port` change the parts of `bind_url`.
    let host = ip.or_else(|| url.as_ref().map(|url| url.host.clone())).unwrap_or_default();
    let url_port = url.as_ref().and_then(|url| url.port);
    let Ok(port) = u16::try_from(port.unwrap_or_else(|| url_port.unwrap_or(PORT).into())) else {
        return work.draft.look(&whole, "is no port. It would be listener.https.");
    };
    if let Some(path) = url.as_ref().map(|url| url.path.as_str()).filter(|path| path.len() > 1) {
        work.draft.take("base_url", base_path(path), &whole);
    }
    let place = match host.as_str() {
        "" | "*" | "::" => format!("[::]:{port}"),
        "localhost" => format!("127.0.0.1:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    };
    if place.parse::<std::net::SocketAddr>().is_err() {
        let text =
            format!("names the host {host:?}; listener.https takes addresses alone, as in \"192.0.2.1:{port}\".");
        return work.draft.look(&whole, &text);
    }
    let has_tls = url.is_some_and(|url| url.is_https) || work.context.setting("JupyterHub", "ssl_cert").is_some();
    if has_tls {
        return work.draft.take("listener.https", vec![place], &whole);
    }
    if place.starts_with("127.") || place.starts_with("[::1]") {
        let how = "Plain HTTP on this computer alone is for a proxy in front: Slipway serves pages there to that proxy only. It must set X-Forwarded-For, -Proto and -Host.";
        work.draft.take_with("listener.http", vec![place], &whole, how);
        let proxies = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
        return work.draft.take_with("listener.trusted_proxies", proxies, &whole, "The proxy on this computer.");
    }
    work.draft.take_with("listener.https", vec![place], &whole, "It was plain HTTP; Slipway serves HTTPS there.");
    work.draft.look(&whole, "was plain HTTP and is HTTPS now. If a proxy in front ends TLS, let it speak HTTPS to Slipway, or set listener.http and listener.trusted_proxies.");
}

fn base_path(text: &str) -> String {
    let inner = text.trim().trim_matches('/');
    if inner.is_empty() { "/".to_owned() } else { format!("/{inner}/") }
}

pub(super) fn base_url(work: &mut Work<'_>, setting: &Setting) {
    if let Some(text) = work.text(setting) {
        work.draft.take("base_url", base_path(&text), setting);
    }
}

pub(super) fn public_url(work: &mut Work<'_>, setting: &Setting) {
    let Some(text) = work.text(setting) else { return };
    match Address::parse(&text) {
        _ if text.is_empty() => work.draft.fine(setting, "is empty."),
        Some(address) if address.is_https => {
            let origin = text.split('/').take(3).collect::<Vec<_>>().join("/");
            work.draft.take("public_url", origin, setting);
        }
        _ => work.draft.look(setting, "is no https address: public_url is one, as in \"https://lab.example.org\"."),
    }
}

/// `ssl_cert`, `ssl_key`: we take files from a folder, and find which is which.
pub(super) fn certificate(work: &mut Work<'_>, setting: &Setting) {
    let Some(whole) = work.together(setting, &["ssl_cert", "ssl_key"]) else { return };
    let folder = |value: Option<&Value>| match value {
        Some(Value::Text(path)) => path.rsplit_once('/').map(|(folder, _)| folder.to_owned()),
        _ => None,
    };
    let (cert, key) = (folder(work.beside(setting, "ssl_cert")), folder(work.beside(setting, "ssl_key")));
    match (cert, key) {
        (Some(cert), Some(key)) if cert == key && !cert.is_empty() => {
            work.draft.take_with("certs_dir", cert, &whole, "Certificates and keys are found there by their content.");
        }
        _ => work.draft.look(
            &whole,
            "copy certificate and key into certs_dir (the folder certs); they are found there by their content.",
        ),
    }
}

/// `hub_ip`, `hub_port`, `hub_bind_url`: where servers reach the hub.
pub(super) fn hub_address(work: &mut Work<'_>, setting: &Setting) {
    let Some(whole) = work.together(setting, &["hub_ip", "hub_port", "hub_bind_url"]) else { return };
    let port = match (work.beside(setting, "hub_port"), work.beside(setting, "hub_bind_url")) {
        (Some(Value::Whole(port)), _) => u16::try_from(*port).ok(),
        (None, Some(Value::Text(url))) => Address::parse(url).and_then(|address| address.port),
        (None, None) => Some(HUB_PORT),
        _ => None,
    };
    match port {
        Some(HUB_PORT) => {
            work.draft.fine(&whole, "hub.bind = \"auto\" finds the address that servers can reach, with port 8081.")
        }
        Some(0) | None => work.draft.look(&whole, "names no port that can be told; hub.bind = \"auto\" is port 8081."),
        Some(port) => {
            let how = "The address that servers can reach is found; the port is kept.";
            work.draft.take_with("hub.bind", format!("auto:{port}"), &whole, how);
        }
    }
}

/// `hub_connect_*`: the same as servers see it. It named the old hub's container or host.
pub(super) fn hub_connect(work: &mut Work<'_>, setting: &Setting) {
    let Some(whole) = work.together(setting, &["hub_connect_ip", "hub_connect_port", "hub_connect_url"]) else {
        return;
    };
    let text = "is how servers reach the old hub; hub.connect_url = \"auto\" finds it for those that Slipway starts. \
                Servers that shall run on over the switch go on calling that address: let hub.bind, or a network alias \
                of Slipway's container, be it.";
    work.draft.look(&whole, text);
}

pub(super) fn cleanup_servers(work: &mut Work<'_>, setting: &Setting) {
    match work.flag(setting) {
        Some(true) => {
            let text = "stops all servers when the old hub stops: set it to False there before the switch, and notebooks \
                        that are open go on. Slipway always leaves servers running.";
            work.draft.look(setting, text);
        }
        Some(false) => work.draft.fine(setting, "servers go on running while Slipway stops and starts."),
        None => {}
    }
}

/// `db_url`. It may hold a password, so it is never shown.
pub(super) fn database(work: &mut Work<'_>, setting: &Setting) {
    let Value::Text(url) = &setting.value else {
        let text = "names the database, which only Python can tell: give its file to `slipway import jupyterhub --db`.";
        return work.draft.look(setting, text);
    };
    let path = url.strip_prefix("sqlite:///").or_else(|| (!url.contains("://")).then_some(url.as_str()));
    match path.filter(|path| !path.is_empty() && !path.contains(['?', '@'])) {
        Some(path) => {
            let path = super::draft::shortened(path);
            let text = format!("accounts, groups, tokens and servers come with `slipway import jupyterhub --db {path}`.");
            work.draft.look(setting, &text);
        }
        None => work.draft.look(setting, "is a database that Slipway cannot read: `slipway import jupyterhub --db` takes SQLite. Move it into SQLite first, or make accounts anew (/hub/admin/new takes lists)."),
    }
}

pub(super) fn cookie_age(work: &mut Work<'_>, setting: &Setting) {
    work.take_as("auth.absolute_timeout_s", Form::Days, setting);
    let Some(absolute) = work.draft.value("auth.absolute_timeout_s").and_then(Toml::as_integer) else { return };
    if absolute < 86_400 {
        let how = "No session is longer than auth.absolute_timeout_s.";
        work.draft.take_with("auth.idle_timeout_s", absolute, setting, how);
    }
}

pub(super) fn named_servers(work: &mut Work<'_>, setting: &Setting) {
    const KEY: &str = "spawner.named_servers_per_user";
    let Some(whole) = work.together(setting, &["allow_named_servers", "named_server_limit_per_user"]) else { return };
    let limit = match work.beside(setting, "named_server_limit_per_user") {
        Some(Value::Whole(limit)) => Some(*limit),
        Some(Value::Number(limit)) => Some(*limit as i64),
        Some(_) => None,
        None => Some(0),
    };
    match (work.beside(setting, "allow_named_servers").and_then(Value::truth), limit) {
        (Some(true), Some(limit)) if limit > 0 => work.draft.take(KEY, limit, &whole),
        (Some(true), Some(_)) => work.draft.take_with(KEY, -1, &whole, "-1 is no limit."),
        (Some(true), None) => work
            .draft
            .look(&whole, "has a limit that only Python can tell: set spawner.named_servers_per_user, -1 for none."),
        _ => work.draft.fine(&whole, "named servers are off unless spawner.named_servers_per_user is set."),
    }
}

pub(super) fn concurrent_starts(work: &mut Work<'_>, setting: &Setting) {
    if setting.value == Value::Whole(0) {
        return work.draft.take_with("spawner.concurrent_starts", 100_000, setting, "0 was no limit.");
    }
    work.take_as("spawner.concurrent_starts", Form::Whole, setting);
}

pub(super) fn default_url(work: &mut Work<'_>, setting: &Setting) {
    let Some(url) = work.text(setting) else { return };
    if url.starts_with('/') && !url.starts_with("//") {
        return work.draft.take("hub.default_url", url, setting);
    }
    work.draft.look(setting, "is no path on this host; hub.default_url is one, as in \"/hub/home\".");
}

pub(super) fn redirect_to_server(work: &mut Work<'_>, setting: &Setting) {
    match work.flag(setting) {
        Some(true) => work.draft.fine(setting, "people land at their own server unless hub.default_url is set."),
        Some(false) if work.context.setting("JupyterHub", "default_url").is_none() => {
            let base = work.draft.value("base_url").and_then(Toml::as_str).unwrap_or("/").to_owned();
            let base = match work.context.setting("JupyterHub", "base_url").map(|setting| &setting.value) {
                Some(Value::Text(text)) => base_path(text),
                _ => base,
            };
            work.draft.take("hub.default_url", format!("{base}hub/home"), setting);
        }
        Some(false) => work.draft.fine(setting, "c.JupyterHub.default_url says where people land."),
        None => {}
    }
}

pub(super) fn log_level(work: &mut Work<'_>, setting: &Setting) {
    let word = match &setting.value {
        Value::Whole(level) => level.to_string(),
        Value::Text(text) | Value::Name(text) => text.rsplit('.').next().unwrap_or_default().to_ascii_uppercase(),
        _ => String::new(),
    };
    let level = match word.as_str() {
        "10" | "DEBUG" | "0" => "debug",
        "20" | "INFO" => "info",
        "30" | "WARN" | "WARNING" => "warn",
        "40" | "50" | "ERROR" | "CRITICAL" => "error",
        _ => return work.draft.look(setting, "is no level that can be told; log.level is error, warn, info or debug."),
    };
    work.draft.take("log.level", level, setting);
}
