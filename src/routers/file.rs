//! The file of routes, Traefik's dynamic configuration in YAML or TOML → a tree → a draft.
//!
//! An operator writes it, so it is trusted more than labels; its size, its depth and what its aliases grow to are
//! bounded all the same: it may be made by a program, or be another file than was meant.

#[cfg(test)]
mod tests;
mod toml;
mod yaml;

use std::path::Path;
use std::sync::Arc;

use super::draft::{Draft, RouterDefaults};
use super::name::Provider;
use super::node::Node;
use super::problem::{Place, Problem};

/// Largest file, in bytes: 5,000 routers fit.
pub(super) const SIZE_LIMIT_BYTES: usize = 2 * 1024 * 1024;
/// Deepest nesting; Traefik's deepest option is 8.
const DEPTH_LIMIT: usize = 24;
/// Most values in all, aliases counted as often as they are used.
const VALUES_LIMIT: usize = 200_000;

/// What Traefik reads from another file, and where ours stands.
const STATIC_SECTIONS: &[(&str, &str)] = &[
    ("entryPoints", "listener.*"),
    ("providers", "routers.*"),
    ("certificatesResolvers", "acme.*"),
    ("log", "log.*"),
    ("accessLog", "log.*"),
    ("metrics", "metrics.*"),
    ("api", "nothing: administrators see the dashboard in the hub"),
    ("ping", "nothing: /healthz answers"),
    ("global", "nothing"),
    ("serversTransport", "proxy.*"),
    ("experimental", "nothing: there are no plugins"),
];

/// Reads a file of routes; `name` is how errors call it. TOML if its name ends so, else YAML.
///
/// # Errors
/// It is no YAML or TOML, or beyond a limit: nothing of it can be read. What is wrong with single routers is in the
/// draft's problems.
pub fn read(name: &Path, text: &str) -> Result<Draft, Problem> {
    let file: Arc<str> = name.to_string_lossy().into();
    let whole = Place::Line { file: file.clone(), line: 0 };
    if text.len() > SIZE_LIMIT_BYTES {
        let text = format!("is {} bytes long, and {SIZE_LIMIT_BYTES} are read", text.len());
        return Err(Problem::new(&whole, text));
    }
    let is_toml = name.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let root = if is_toml { toml::read(&file, text)? } else { yaml::read(&file, text)? };
    let mut draft = Draft::default();
    if let Err(problem) = sections(root, &mut draft) {
        draft.problems.push(problem);
    }
    Ok(draft)
}

fn sections(root: Node, draft: &mut Draft) -> Result<(), Problem> {
    let mut fields = root.into_fields()?;
    for kind in ["tcp", "udp"] {
        if let Some(node) = fields.take(kind) {
            let text = format!("{kind}: {} routers are not supported, only http", kind.to_uppercase());
            draft.problems.push(Problem::new(&node.place, text));
        }
    }
    if let Some(tls) = fields.take("tls") {
        read_tls(tls, draft)?;
    }
    for (name, ours) in STATIC_SECTIONS {
        if let Some(node) = fields.take(name) {
            let text = format!("{name} is of Traefik's static configuration; with Slipway it is set by {ours}");
            draft.problems.push(Problem::new(&node.place, text));
        }
    }
    if let Some(http) = fields.take("http") {
        draft.read_http(http, Provider::File, &RouterDefaults::default());
    }
    fields.finish()
}

/// `tls:` of Traefik's file. What only moves house is noted. Options that ask for a client's certificate keep the whole file
/// out: routers of it count on them, by name or because they are the default, and would stand open without a word.
fn read_tls(tls: Node, draft: &mut Draft) -> Result<(), Problem> {
    let mut fields = tls.into_fields()?;
    let options = fields.take_section("options")?.map(|mut options| options.take_rest()).unwrap_or_default();
    for node in options {
        let mut options = node.into_fields()?;
        if let Some(node) = options.take("clientAuth") {
            let text = format!(
                "tls.options.{}.clientAuth: write clientCertificate: required at each router that it is for, and name the \
                 authority in listener.tls.client_ca",
                options.name()
            );
            return Err(Problem::new(&node.place, text));
        }
        let text = format!("tls.options.{}: set for the whole listener, by listener.tls.*", options.name());
        draft.notes.push(Problem::new(options.place(), text));
    }
    for node in fields.take_rest() {
        let text = format!("tls.{}: certificates belong into certs_dir, or come from acme.*", node.name);
        draft.notes.push(Problem::new(&node.place, text));
    }
    Ok(())
}
