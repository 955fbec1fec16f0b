//! `slipway chp`: the command line and environment of configurable-http-proxy, and its way to end.
//!
//! Exit status: 1 if something on the command line is wrong or it cannot start, 2 after SIGTERM and SIGINT, as
//! its callers know it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::{HeaderName, HeaderValue};
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, info, warn};

use super::fail;
use crate::chp::{self, BackendTls, Config, ErrorPages, Place, Redirect, TlsFiles, TlsVersions};
use crate::listener;
use crate::model::{Secret, SystemClock};
use crate::tasks::{Lanes, Tasks};
use crate::telemetry;

/// Exit status for a command line that is wrong.
pub(super) const WRONG: u8 = 1;
/// Exit status after a signal.
const SIGNALLED: u8 = 2;
/// How long open exchanges have after the first signal. 1 s: enough to tell browsers why their WebSockets end; the
/// program that we stand for gives none.
const STOP_LIMIT: Duration = Duration::from_secs(1);
/// How long the end waits for the reader of our log.
const LOG_FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Options of configurable-http-proxy. The last of a repeated one holds.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    version = concat!("5.3.0+slipway.", env!("CARGO_PKG_VERSION")),
    long_version = concat!("5.3.0+slipway.", env!("CARGO_PKG_VERSION")),
    after_help = "Environment: CONFIGPROXY_AUTH_TOKEN (or CONFIGPROXY_AUTH_TOKEN_FILE) is what the API's callers must \
                  show as «Authorization: token …»."
)]
pub(super) struct Arguments {
    /// Address of the public door [default: all]
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<String>,
    /// Port of the public door [default: 8000]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Unix socket of the public door, instead of address and port
    #[arg(long, value_name = "PATH", conflicts_with_all = ["ip", "port"])]
    socket: Option<PathBuf>,
    /// Private key of the public door (PEM)
    #[arg(long, value_name = "FILE")]
    ssl_key: Option<PathBuf>,
    /// Certificate of the public door with its chain (PEM)
    #[arg(long, value_name = "FILE")]
    ssl_cert: Option<PathBuf>,
    /// Who may sign clients' certificates (PEM)
    #[arg(long, value_name = "FILE")]
    ssl_ca: Option<PathBuf>,
    /// Clients must show a certificate
    #[arg(long)]
    ssl_request_cert: bool,
    /// Said already by --ssl-request-cert
    #[arg(long)]
    ssl_reject_unauthorized: bool,
    /// TLSv1_2, TLSv1_3 or TLS (both)
    #[arg(long, value_name = "PROTOCOL")]
    ssl_protocol: Option<String>,
    /// Ciphers by their OpenSSL names, separated by colons
    #[arg(long, value_name = "CIPHERS")]
    ssl_ciphers: Option<String>,
    /// Without effect: there is no RC4 here
    #[arg(long)]
    ssl_allow_rc4: bool,
    /// Without effect: there is no finite-field Diffie-Hellman here
    #[arg(long, value_name = "FILE")]
    ssl_dhparam: Option<PathBuf>,
    /// Address of the API
    #[arg(long, value_name = "ADDRESS", default_value = "localhost")]
    api_ip: String,
    /// Port of the API [default: the public port + 1]
    #[arg(long, value_name = "N")]
    api_port: Option<u16>,
    /// Unix socket of the API, instead of address and port
    #[arg(long, value_name = "PATH")]
    api_socket: Option<PathBuf>,
    /// Private key of the API (PEM)
    #[arg(long, value_name = "FILE")]
    api_ssl_key: Option<PathBuf>,
    /// Certificate of the API (PEM)
    #[arg(long, value_name = "FILE")]
    api_ssl_cert: Option<PathBuf>,
    /// Who may sign the certificates of the API's callers (PEM)
    #[arg(long, value_name = "FILE")]
    api_ssl_ca: Option<PathBuf>,
    /// The API's callers must show a certificate
    #[arg(long)]
    api_ssl_request_cert: bool,
    /// Said already by --api-ssl-request-cert
    #[arg(long)]
    api_ssl_reject_unauthorized: bool,
    /// Private key that targets are shown (PEM)
    #[arg(long, value_name = "FILE")]
    client_ssl_key: Option<PathBuf>,
    /// Certificate that targets are shown (PEM)
    #[arg(long, value_name = "FILE")]
    client_ssl_cert: Option<PathBuf>,
    /// Who may sign targets' certificates (PEM) [default: the system's authorities]
    #[arg(long, value_name = "FILE")]
    client_ssl_ca: Option<PathBuf>,
    /// Without effect: targets always show a certificate
    #[arg(long)]
    client_ssl_request_cert: bool,
    /// Without effect: targets' certificates are always checked, but for --insecure
    #[arg(long)]
    client_ssl_reject_unauthorized: bool,
    /// Where the root route leads (proto://host[:port])
    #[arg(long, value_name = "URL")]
    default_target: Option<String>,
    /// Another server that makes error pages
    #[arg(long, value_name = "URL")]
    error_target: Option<String>,
    /// A folder of error pages: 404.html, 503.html, error.html
    #[arg(long, value_name = "FOLDER")]
    error_path: Option<PathBuf>,
    /// A port for plain HTTP that is sent on to HTTPS
    #[arg(long, value_name = "N")]
    redirect_port: Option<u16>,
    /// The port that it is sent to [default: the public port]
    #[arg(long, value_name = "N")]
    redirect_to: Option<u16>,
    /// A file that holds our process id while we run
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// No X-Forwarded-* towards targets
    #[arg(long)]
    no_x_forward: bool,
    /// A target's path is not put in front of the request's
    #[arg(long)]
    no_prepend_path: bool,
    /// A route's prefix is taken off the request's path
    #[arg(long)]
    no_include_prefix: bool,
    /// A redirect to the target's host becomes one to ours
    #[arg(long)]
    auto_rewrite: bool,
    /// Host becomes the target's
    #[arg(long)]
    change_origin: bool,
    /// A redirect to the target's host gets this scheme
    #[arg(long, value_name = "PROTO")]
    protocol_rewrite: Option<String>,
    /// A header for every request to a target (name:value; may be repeated)
    #[arg(long, value_name = "HEADER", allow_hyphen_values = true, action = clap::ArgAction::Append)]
    custom_header: Vec<String>,
    /// Any certificate of a target will do
    #[arg(long)]
    insecure: bool,
    /// The host is the first segment of a route's path
    #[arg(long)]
    host_routing: bool,
    /// Address of the figures [default: all]
    #[arg(long, value_name = "ADDRESS", default_value = "")]
    metrics_ip: String,
    /// Port of the figures [default: none]
    #[arg(long, value_name = "N")]
    metrics_port: Option<u16>,
    /// Unix socket of the figures, instead of address and port
    #[arg(long, value_name = "PATH")]
    metrics_socket: Option<PathBuf>,
    /// debug, info, warn or error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,
    /// Milliseconds of silence after which a client's connection is dropped
    #[arg(long, value_name = "MS")]
    timeout: Option<u64>,
    /// Milliseconds of silence after which a target is given up
    #[arg(long, value_name = "MS")]
    proxy_timeout: Option<u64>,
    /// Refused: a Node.js module cannot be loaded here
    #[arg(long, value_name = "MODULE")]
    storage_backend: Option<String>,
    /// Milliseconds that a client's connection may wait for its next request [default: 5000]
    #[arg(long, value_name = "MS")]
    keep_alive_timeout: Option<u64>,
}

/// True if the program was called by the other's name, through a link.
pub(super) fn is_called_by_its_name(arguments: &[OsString]) -> bool {
    arguments
        .first()
        .is_some_and(|name| Path::new(name).file_name().is_some_and(|name| name == "configurable-http-proxy"))
}

/// A mistake on the command line: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Mistake(String);

/// What the command line says, with what must be said about it.
struct Checked {
    config: Config,
    level: &'static str,
    remarks: Vec<&'static str>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let checked = match check(arguments, |name| std::env::var(name).ok()) {
        Ok(checked) => checked,
        Err(mistake) => return fail(&mistake),
    };
    let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = match telemetry::init_as_config_proxy(checked.level, has_no_color) {
        Ok(log) => log,
        Err(error) => return fail(&error),
    };
    for remark in &checked.remarks {
        warn!("{remark}");
    }
    listener::raise_open_files_limit();
    let runtime = match Builder::new_multi_thread().thread_name("chp").enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    let result = runtime.block_on(serve(checked.config, arguments.pid_file.as_deref()));
    runtime.shutdown_background();
    log.flush(LOG_FLUSH_LIMIT);
    match result {
        Ok(()) => ExitCode::from(SIGNALLED),
        Err(error) => fail(&*error),
    }
}

async fn serve(config: Config, pid_file: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let tasks = Tasks::new(Handle::current());
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    chp::start(config, Arc::new(SystemClock), &Lanes::start(&tasks)?).await?;
    let _pid_file = pid_file.map(PidFile::write).transpose()?;
    tokio::select! {
        _ = interrupt.recv() => warn!("Interrupted"),
        _ = terminate.recv() => warn!("Terminated"),
    }
    tokio::select! {
        _ = tasks.stop(STOP_LIMIT) => {}
        _ = interrupt.recv() => tasks.drop_all(),
        _ = terminate.recv() => tasks.drop_all(),
    }
    Ok(())
}

/// Holds our process id; removed at the end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> std::io::Result<Self> {
        info!("Writing pid {} to {}", std::process::id(), path.display());
        std::fs::write(path, std::process::id().to_string())?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        debug!("Removing {}", self.0.display());
        // Somebody else may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Makes a configuration of the command line. What we do not have and whose lack makes nothing weaker is remarked; the
/// rest is refused.
fn check(arguments: &Arguments, environment: impl Fn(&str) -> Option<String>) -> Result<Checked, Mistake> {
    let mistake = |text: &str| Err(Mistake(text.to_owned()));
    let mut remarks = Vec::new();
    if let Some(module) = &arguments.storage_backend {
        return Err(Mistake(format!(
            "--storage-backend {module}: a Node.js module cannot be loaded here; leave it out, and the hub restores the \
             routes after a restart"
        )));
    }
    if arguments.ssl_allow_rc4 {
        remarks.push("--ssl-allow-rc4 is without effect: RC4 is not available.");
    }
    if arguments.ssl_dhparam.is_some() {
        remarks.push("--ssl-dhparam is without effect: key exchange is by elliptic curves only.");
    }
    if arguments.insecure {
        remarks.push("--insecure: certificates of targets are not checked.");
    }
    if arguments.client_ssl_request_cert || arguments.client_ssl_reject_unauthorized {
        debug!("--client-ssl-request-cert and --client-ssl-reject-unauthorized are always so");
    }
    let host = match arguments.ip.as_deref() {
        Some("*") => {
            remarks.push(
                "Interpreting ip='*' as all-interfaces. Preferred usage is 0.0.0.0 for all IPv4 or '' for all-interfaces.",
            );
            ""
        }
        host => host.unwrap_or_default(),
    };
    // 0 counts as not given.
    let port = arguments.port.filter(|port| *port > 0).unwrap_or(8000);
    let public = place(arguments.socket.as_deref(), host, port);
    let usual_api_port = if arguments.socket.is_some() { 8001 } else { port.wrapping_add(1) };
    let api_port = arguments.api_port.filter(|port| *port > 0).unwrap_or(usual_api_port);
    let api = place(arguments.api_socket.as_deref(), all_or(&arguments.api_ip), api_port);
    let metrics = match (&arguments.metrics_socket, arguments.metrics_port) {
        (Some(path), _) => Some(Place::Socket(path.clone())),
        (None, Some(port)) => Some(place(None, all_or(&arguments.metrics_ip), port)),
        (None, None) => None,
    };
    let versions = match arguments.ssl_protocol.as_deref() {
        None | Some("TLS" | "SSLv23") => TlsVersions::All,
        Some("TLSv1_2") => TlsVersions::Only12,
        Some("TLSv1_3") => TlsVersions::Only13,
        Some(other) => {
            return Err(Mistake(format!("--ssl-protocol {other}: only TLSv1_2, TLSv1_3 and TLS (both) are spoken")));
        }
    };
    let tls = |names: [&str; 3],
               key: &Option<PathBuf>,
               certificate: &Option<PathBuf>,
               ca: Option<&PathBuf>,
               asks: bool| {
        let (key, certificate) = match (key, certificate) {
            (None, None) if asks => {
                return Err(Mistake(format!(
                    "--{} asks for certificates of clients, but there is no TLS: give --{} and --{}",
                    names[2], names[0], names[1]
                )));
            }
            (None, None) => return Ok(None),
            (Some(key), Some(certificate)) => (key.clone(), certificate.clone()),
            _ => return Err(Mistake(format!("--{} and --{} are given together or not at all", names[0], names[1]))),
        };
        if asks && ca.is_none() {
            return Err(Mistake(format!(
                "--{} needs to know who may sign them: give the authority's certificate too",
                names[2]
            )));
        }
        let client_authorities = ca.filter(|_| asks).cloned();
        Ok(Some(TlsFiles { certificate, key, client_authorities, versions, ciphers: arguments.ssl_ciphers.clone() }))
    };
    let a = arguments;
    let public_tls = tls(
        ["ssl-key", "ssl-cert", "ssl-request-cert"],
        &a.ssl_key,
        &a.ssl_cert,
        a.ssl_ca.as_ref(),
        a.ssl_request_cert,
    )?;
    let api_names = ["api-ssl-key", "api-ssl-cert", "api-ssl-request-cert"];
    let api_tls = tls(api_names, &a.api_ssl_key, &a.api_ssl_cert, a.api_ssl_ca.as_ref(), a.api_ssl_request_cert)?;
    let identity = match (&a.client_ssl_cert, &a.client_ssl_key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        _ => return mistake("--client-ssl-key and --client-ssl-cert are given together or not at all"),
    };
    if a.redirect_port.is_some() && public_tls.is_none() {
        return mistake("HTTPS redirection specified but certificates not provided.");
    }
    let redirect = a.redirect_port.filter(|_| port != 80 && a.socket.is_none()).map(|listen| Redirect {
        port: listen,
        to: a.redirect_to.unwrap_or(port),
        is_explicit: a.redirect_to.is_some(),
    });
    let errors = match (&a.error_target, &a.error_path) {
        (Some(_), Some(_)) => return mistake("Cannot specify both error-target and error-path. Pick one."),
        (Some(target), None) => ErrorPages::Target(target.clone()),
        (None, Some(folder)) => ErrorPages::Folder(folder.clone()),
        (None, None) => ErrorPages::BuiltIn,
    };
    let custom_headers = a.custom_header.iter().map(|header| custom_header(header)).collect::<Result<_, _>>()?;
    let level = match a.log_level.to_ascii_lowercase().as_str() {
        "error" => "error",
        "warn" => "warn",
        "info" | "http" | "verbose" => "info",
        "debug" | "silly" => "debug",
        other => return Err(Mistake(format!("--log-level {other}: give debug, info, warn or error"))),
    };
    let milliseconds = |given: Option<u64>| given.filter(|given| *given > 0).map(Duration::from_millis);
    let config = Config {
        public,
        public_tls,
        api,
        api_tls,
        metrics,
        redirect,
        auth_token: auth_token(environment)?,
        default_target: a.default_target.clone(),
        errors,
        backend_tls: BackendTls { authorities: a.client_ssl_ca.clone(), identity, verifies: !a.insecure, versions },
        host_routing: a.host_routing,
        forwards: !a.no_x_forward,
        prepends_path: !a.no_prepend_path,
        includes_prefix: !a.no_include_prefix,
        auto_rewrite: a.auto_rewrite,
        protocol_rewrite: a.protocol_rewrite.clone(),
        change_origin: a.change_origin,
        custom_headers,
        timeout: milliseconds(a.timeout),
        proxy_timeout: milliseconds(a.proxy_timeout),
        keep_alive_timeout: milliseconds(a.keep_alive_timeout).unwrap_or(Duration::from_secs(5)),
    };
    Ok(Checked { config, level, remarks })
}

fn all_or(host: &str) -> &str {
    if host == "*" { "" } else { host }
}

fn place(socket: Option<&Path>, host: &str, port: u16) -> Place {
    match socket {
        Some(path) => Place::Socket(path.to_owned()),
        None => Place::Port { host: host.trim_start_matches('[').trim_end_matches(']').to_owned(), port },
    }
}

fn auth_token(environment: impl Fn(&str) -> Option<String>) -> Result<Option<Secret>, Mistake> {
    let direct = environment("CONFIGPROXY_AUTH_TOKEN").filter(|token| !token.is_empty());
    let token = match (direct, environment("CONFIGPROXY_AUTH_TOKEN_FILE")) {
        (Some(token), _) => Some(token),
        (None, Some(file)) if !file.is_empty() => {
            let unreadable = |error| Mistake(format!("CONFIGPROXY_AUTH_TOKEN_FILE: {file} cannot be read: {error}"));
            let token = std::fs::read_to_string(&file).map_err(unreadable)?.trim().to_owned();
            if token.is_empty() {
                // An open API is not what somebody means who names a file.
                return Err(Mistake(format!("CONFIGPROXY_AUTH_TOKEN_FILE: {file} is empty")));
            }
            Some(token)
        }
        _ => None,
    };
    Ok(token.map(Secret::new))
}

fn custom_header(text: &str) -> Result<(HeaderName, HeaderValue), Mistake> {
    let text = text.trim();
    let colon = text.find(':').filter(|at| *at > 0);
    let Some(colon) = colon else { return Err(Mistake(format!("A colon was expected in custom header: {text}"))) };
    let (name, value) = (text[..colon].trim(), text[colon + 1..].trim());
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
        (Ok(name), Ok(value)) => Ok((name, value)),
        _ => Err(Mistake(format!("custom header cannot be sent: {text}"))),
    }
}

#[cfg(test)]
mod tests;
