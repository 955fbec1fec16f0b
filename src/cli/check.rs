//! `slipway check`: the configuration in force, each value with where it came from.

use std::process::ExitCode;

use super::print;
use crate::config::Settings;

/// Values are lined up in this many columns where they fit.
const COLUMNS: usize = 60;

const ORIGINS: &str = "
# All servers share one origin with the hub. A server's page cannot read or set the session cookie, call or frame hub
# pages, or open other people's WebSockets; but a page that an administrator opens on somebody's server runs in the
# origin of the administrator's own.
# The configuration is sound.
";

pub(super) fn run(settings: &Settings) -> ExitCode {
    let lines = settings.iter().map(|setting| {
        let line = format!("{} = {}", setting.key.name, setting.shown());
        format!("{line:COLUMNS$}  # {}\n", setting.origin)
    });
    print(&(lines.collect::<String>() + ORIGINS));
    ExitCode::SUCCESS
}
