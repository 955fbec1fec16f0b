//! `slipway check`: the configuration in force, each value with where it came from.

use std::process::ExitCode;

use crate::config::Settings;

/// Values are lined up in this many columns where they fit.
const COLUMNS: usize = 60;

pub(super) fn run(settings: &Settings) -> ExitCode {
    for setting in settings.iter() {
        let line = format!("{} = {}", setting.key.name, setting.shown());
        println!("{line:COLUMNS$}  # {}", setting.origin);
    }
    println!();
    println!(
        "# All servers share one origin with the hub. A server's page cannot read or set the session cookie, call or frame"
    );
    println!(
        "# hub pages, or open other people's WebSockets; but a page that an administrator opens on somebody's server runs"
    );
    println!("# in the origin of the administrator's own.");
    println!("# The configuration is sound.");
    ExitCode::SUCCESS
}
