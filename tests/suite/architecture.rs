//! Keeps the arrows of `src/README.md`: which module may import which, and why no more.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module, what it may import, why no more.
const ARROWS: &[(&str, &[&str], &str)] = &[
    ("fuzz", &[], "tests beside any parser use it"),
    ("model", &[], "a word must be usable everywhere: no I/O, no async"),
    ("tasks", &[], "it begins and ends tasks and knows nobody's work"),
    ("host", &[], "it tells of processes and accounts and decides nothing"),
    ("net", &["model"], "it moves bytes; it knows no Docker and no users"),
    ("store", &["model"], "rows in, rows out: a rule in the store is a rule nobody finds"),
    ("telemetry", &["model", "tasks"], "others hand it their figures through app"),
    ("gpu", &["model", "tasks"], "it says what there is and who has it; how a server is made others know"),
    ("auth", &["model", "tasks", "net", "store"], "edge and hub both ask it: it knows no pages and no paths"),
    ("proxy", &["model", "tasks", "net"], "it knows no users, routes or policy: it cannot decide wrongly"),
    ("routers", &["model", "tasks", "host", "net", "proxy"], "it knows who may, not who asks: the edge tells it"),
    ("spawner", &["model", "tasks", "host", "net", "store"], "the hub watches it, it does not call back"),
    (
        "services",
        &["model", "tasks", "host", "net"],
        "it runs programs and publishes routes; who may use them others say",
    ),
    (
        "hub",
        &["model", "tasks", "net", "auth", "store", "spawner", "services", "gpu", "routers"],
        "the control plane is never on a byte's path",
    ),
    ("edge", &["model", "tasks", "net", "auth", "proxy", "routers", "telemetry"], "it is told, it never asks"),
    ("listener", &["model", "tasks", "net", "store"], "it never looks inside a request; only its acme keeps anything"),
    (
        "chp",
        &["model", "tasks", "net", "proxy", "listener", "telemetry"],
        "a proxy for somebody else's hub: it knows no users, and nothing of ours",
    ),
    (
        "takeover",
        &["model", "auth", "store"],
        "it reads another hub's files and writes rows: nothing of it runs with us",
    ),
    ("control", &["model", "tasks", "auth"], "it carries commands to those who can do them"),
    (
        "config",
        &[
            "model",
            "auth",
            "control",
            "edge",
            "gpu",
            "hub",
            "listener",
            "proxy",
            "routers",
            "services",
            "spawner",
            "store",
            "telemetry",
        ],
        "it fills each module's Config and nothing else",
    ),
    (
        "app",
        &[
            "model",
            "tasks",
            "host",
            "net",
            "store",
            "telemetry",
            "auth",
            "proxy",
            "routers",
            "spawner",
            "services",
            "gpu",
            "routers",
            "hub",
            "edge",
            "listener",
            "control",
            "config",
        ],
        "it wires everything but the command line",
    ),
    (
        "cli",
        &["model", "tasks", "config", "app", "store", "auth", "chp", "control", "listener", "takeover", "telemetry"],
        "commands are built from what app offers",
    ),
];

fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).expect("src/ can be read") {
            let path = entry.expect("src/ can be read").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).expect("below src/");
                let module = relative.iter().next().expect("a name").to_string_lossy();
                let module = module.strip_suffix(".rs").unwrap_or(&module).to_owned();
                sources.push((module, relative.to_owned(), fs::read_to_string(&path).expect("a source can be read")));
            }
        }
    }
    sources.sort();
    sources
}

/// Every `crate::x` of a source, also inside `use crate::{a, b}`.
fn imports(source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split("};").next().unwrap_or(group);
            let mut depth = 0;
            let mut item = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        found.insert(std::mem::take(&mut item));
                    }
                    _ if depth == 0 => item.push(c),
                    _ => {}
                }
            }
            found.insert(item);
        } else {
            found.insert(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned());
        }
    }
    found
        .into_iter()
        .map(|item| item.split("::").next().unwrap_or_default().trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect()
}

#[test]
fn every_import_follows_the_arrows() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().map(|(module, may, why)| (*module, (*may, *why))).collect();
    let mut wrong = Vec::new();
    for (module, path, source) in sources() {
        // Tests build the world around their module: real parts instead of mocks.
        if module == "lib" || module == "main" || path.ends_with("tests.rs") {
            continue;
        }
        let Some((may, why)) = allowed.get(module.as_str()) else {
            wrong.push(format!(
                "src/{}: module {module} is not in ARROWS: add it with what it may import and why",
                path.display()
            ));
            continue;
        };
        for import in imports(&source) {
            // `fuzz` is there for tests alone, which stand beside what they break.
            if import != module
                && import != "fuzz"
                && allowed.contains_key(import.as_str())
                && !may.contains(&import.as_str())
            {
                wrong.push(format!("src/{}: {module} may not import {import}: {why}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn of_the_listener_only_acme_keeps_anything() {
    let keeps = |path: &Path| path.starts_with("listener/acme") || path == Path::new("listener/acme.rs");
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|(module, path, source)| module == "listener" && !keeps(path) && imports(source).contains("store"))
        .map(|(_, path, _)| path)
        .collect();
    assert!(wrong.is_empty(), "sockets and handshakes must not wait for a disk: {wrong:?}");
}

#[test]
fn the_arrows_have_no_circle() {
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<_> = ARROWS.to_vec();
    while !left.is_empty() {
        let before = left.len();
        left.retain(|(module, may, _)| {
            let is_grounded = may.iter().all(|import| known.contains(import));
            if is_grounded {
                known.insert(module);
            }
            !is_grounded
        });
        let circle: Vec<_> = left.iter().map(|(module, ..)| *module).collect();
        assert!(left.len() < before, "these modules import each other in a circle: {circle:?}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, path, source)| !source.starts_with("//!") && path != Path::new("lib.rs"))
        .map(|(_, path, _)| path)
        .collect();
    assert!(silent.is_empty(), "these files must open with `//!` and what they are for: {silent:?}");
}

#[test]
fn only_config_and_cli_read_the_environment() {
    let readers: Vec<_> = sources()
        .into_iter()
        .filter(|(module, path, source)| {
            let may = matches!(module.as_str(), "config" | "cli" | "fuzz") || path.iter().any(|part| part == "tests");
            let without_tests = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            !may && without_tests.contains("env::var")
        })
        .map(|(_, path, _)| path)
        .collect();
    assert!(readers.is_empty(), "settings reach a module through its Config, not the environment: {readers:?}");
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let source =
        "use crate::{model::{A, B}, store};\nuse crate::auth::User;\n// crate::hub\nfn f() { crate::edge::x() }";
    let expected: BTreeSet<String> = ["model", "store", "auth", "edge"].map(str::to_owned).into();
    assert_eq!(imports(source), expected);
}
