//! `slipway check`: the configuration in force, each value with where it came from.

use std::process::ExitCode;

use super::print;
use crate::config::{Config, Settings};
use crate::listener::acme::{self, ChallengeChoice};

/// Values are lined up in this many columns where they fit.
const COLUMNS: usize = 60;

const ORIGINS: &str = "
# All servers share one origin with the hub. A server's page cannot read or set the session cookie, call or frame hub
# pages, or open other people's WebSockets; but a page that an administrator opens on somebody's server runs in the
# origin of the administrator's own.
# The configuration is sound.
";

pub(super) fn run(settings: &Settings, config: &Config) -> ExitCode {
    let lines = settings.iter().map(|setting| {
        let line = format!("{} = {}", setting.key.name, setting.shown());
        format!("{line:COLUMNS$}  # {}\n", setting.origin)
    });
    let notes = config.notes.iter().map(|note| {
        let word = if note.is_warning { "warning" } else { "note" };
        format!("# {word}: {}\n", note.text)
    });
    let remarks = names_remarks(config).into_iter().map(|remark| format!("# warning: {remark}\n"));
    let notes: String = notes.chain(remarks).collect();
    let heading = if notes.is_empty() { "" } else { "\n" };
    print(&(lines.collect::<String>() + heading + &notes + ORIGINS));
    ExitCode::SUCCESS
}

/// What keeps an ACME authority from reaching us, as far as it can be told from the settings: it comes to port 443 or 80.
fn names_remarks(config: &Config) -> Vec<String> {
    let acme::Config { names, challenge, .. } = &config.listener.acme;
    if names.is_empty() {
        return Vec::new();
    }
    let has = |addresses: &[std::net::SocketAddr], port: u16| addresses.iter().any(|address| address.port() == port);
    let (by_tls, by_http) = (has(&config.listener.https, 443), has(&config.listener.http, 80));
    let tls =
        "acme.names: the authority comes to port 443 of each name; listener.https does not name it, so map the port";
    let http =
        "acme.names: the authority comes to port 80 of each name; listener.http does not name it, so map the port";
    match challenge {
        ChallengeChoice::TlsAlpn01 if !by_tls => vec![tls.to_owned()],
        ChallengeChoice::Http01 if !by_http => vec![http.to_owned()],
        ChallengeChoice::Auto if !by_tls && !by_http => vec![tls.to_owned()],
        _ => Vec::new(),
    }
}
