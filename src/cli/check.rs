//! `slipway check`: the configuration in force, each value with where it came from, and what is wrong with the file of routes.
// The terminal is this module's business.
#![allow(clippy::print_stderr)]

use std::process::ExitCode;

use super::print;
use crate::config::{Config, Settings};
use crate::listener;

/// Values are lined up in this many columns where they fit.
const COLUMNS: usize = 60;

const ORIGINS: &str = "
# All servers share one origin with the hub. A server's page cannot read or set the session cookie, call or frame hub
# pages, or open other people's WebSockets; but a page that an administrator opens on somebody's server runs in the
# origin of the administrator's own.
";
const SOUND: &str = "# The configuration is sound.\n";

pub(super) fn run(settings: &Settings, config: &Config) -> ExitCode {
    let lines = settings.iter().map(|setting| {
        let line = format!("{} = {}", setting.key.name, setting.shown());
        format!("{line:COLUMNS$}  # {}\n", setting.origin)
    });
    let notes = config.notes.iter().map(|note| {
        let word = if note.is_warning { "warning" } else { "note" };
        format!("# {word}: {}\n", note.text)
    });
    let heading = if notes.len() > 0 { "\n" } else { "" };
    let origins = hosts(config).unwrap_or_else(|| ORIGINS.to_owned());
    print(&(lines.collect::<String>() + heading + &notes.collect::<String>() + &origins));
    let mistakes = config.routers.mistakes_in_file();
    if mistakes.is_empty() {
        print(SOUND);
        return ExitCode::SUCCESS;
    }
    let count = mistakes.len();
    eprintln!("slipway: {count} {} in the file of routes:", if count == 1 { "mistake" } else { "mistakes" });
    for mistake in mistakes {
        eprintln!("  {mistake}");
    }
    ExitCode::from(2)
}

/// What there is to say of users' hosts, if they have some.
fn hosts(config: &Config) -> Option<String> {
    let hosts = config.edge.user_hosts.as_ref()?;
    let (hub, all) = (hosts.hub_origin(), hosts.all_origins());
    let mut text =
        format!("\n# The hub lives at {hub}, users' servers at {all}: each user is an origin of their own.\n");
    if !listener::is_covered(&config.listener, &hosts.example()) {
        let domain = hosts.domain();
        text += &format!(
            "# warning: isolation: no certificate in certs_dir covers *.{domain}, so browsers will not go to users' hosts; \
             put a wildcard certificate there, unless TLS ends in front of us\n"
        );
    }
    Some(text)
}
