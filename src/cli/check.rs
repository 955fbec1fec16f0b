//! `slipway check`: the configuration in force, each value with where it came from.

use std::process::ExitCode;

use super::print;
use crate::config::{Note, Settings};

/// Values are lined up in this many columns where they fit.
const COLUMNS: usize = 60;

const ORIGINS: &str = "
# All servers share one origin with the hub. A server's page cannot read or set the session cookie, call or frame hub
# pages, or open other people's WebSockets; but a page that an administrator opens on somebody's server runs in the
# origin of the administrator's own.
# The configuration is sound.
";

pub(super) fn run(settings: &Settings, notes: &[Note]) -> ExitCode {
    let lines = settings.iter().map(|setting| {
        let line = format!("{} = {}", setting.key.name, setting.shown());
        format!("{line:COLUMNS$}  # {}\n", setting.origin)
    });
    let notes = notes.iter().map(|note| {
        let word = if note.is_warning { "warning" } else { "note" };
        format!("# {word}: {}\n", note.text)
    });
    let heading = if notes.len() > 0 { "\n" } else { "" };
    print(&(lines.collect::<String>() + heading + &notes.collect::<String>() + ORIGINS));
    ExitCode::SUCCESS
}
