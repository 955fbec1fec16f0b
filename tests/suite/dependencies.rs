//! What the program is made of besides our own code: every part is named with its licence, and none is known to be
//! harmful.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use semver::{Version, VersionReq};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Name and version of every package in Cargo.lock.
fn locked() -> Vec<(String, Version)> {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock is part of the repository");
    let lock: toml::Table = lock.parse().expect("Cargo.lock is TOML");
    let packages = lock["package"].as_array().expect("a list of packages");
    let text = |package: &toml::Value, key: &str| package[key].as_str().expect("a text").to_owned();
    packages.iter().map(|p| (text(p, "name"), text(p, "version").parse().expect("a version"))).collect()
}

#[test]
fn every_part_is_named_with_its_licence() {
    let path = root().join("docs/third-party.md");
    if std::env::var_os("SLIPWAY_UPDATE").is_some() {
        fs::write(&path, notices()).expect("docs/ is there and may be written");
    }
    let notices = fs::read_to_string(&path).expect("docs/third-party.md is part of the repository");
    let missing: Vec<_> = locked()
        .into_iter()
        .filter(|(name, version)| name != "slipway" && !notices.contains(&format!("| {name} | {version} |")))
        .collect();
    assert!(missing.is_empty(), "write it anew: SLIPWAY_UPDATE=1 cargo test --test suite dependencies: {missing:?}");
    assert!(!notices.contains("| unknown |"), "a part without a licence cannot be shipped");
}

fn notices() -> String {
    let output =
        Command::new(env!("CARGO")).args(["metadata", "--format-version=1", "--locked"]).current_dir(root()).output();
    let metadata = output.expect("cargo metadata runs").stdout;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).expect("JSON");
    let mut lines: Vec<_> = metadata["packages"]
        .as_array()
        .expect("a list of packages")
        .iter()
        .filter(|package| package["name"] != "slipway")
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap_or("unknown").to_owned();
            format!("| {} | {} | {} |\n", text("name"), text("version"), text("license"))
        })
        .collect();
    lines.sort();
    format!(
        "# Third-party parts\n\nWhat Cargo.lock names, with each part's licence as its authors state it; some are used to build or test \
         only.\nWritten by `SLIPWAY_UPDATE=1 cargo test --test suite dependencies`.\n\n| part | version | licence |\n| --- | --- | --- |\n{}",
        lines.concat()
    )
}

/// An advisory of the RustSec database: which package, and which versions are well.
struct Advisory {
    id: String,
    package: String,
    is_informational: bool,
    well: Vec<VersionReq>,
}

fn advisory(path: &Path) -> Option<Advisory> {
    let text = fs::read_to_string(path).ok()?;
    let head: toml::Table = text.strip_prefix("```toml")?.split_once("```")?.0.parse().ok()?;
    let about = head["advisory"].as_table()?;
    let versions = head.get("versions").and_then(toml::Value::as_table);
    let listed = |key: &str| versions.and_then(|versions| versions.get(key)?.as_array().cloned()).unwrap_or_default();
    let well = [listed("patched"), listed("unaffected")].concat();
    Some(Advisory {
        id: about["id"].as_str()?.to_owned(),
        package: about["package"].as_str()?.to_owned(),
        // "unmaintained" and the like: worth knowing, not a hole.
        is_informational: about.contains_key("informational") || about.contains_key("withdrawn"),
        well: well.iter().filter_map(|range| range.as_str()?.parse().ok()).collect(),
    })
}

#[test]
#[allow(clippy::print_stdout)] // a skipped check must say so
fn no_part_has_a_known_hole() {
    let folder = root().join("../shared/advisory-db/crates");
    if !folder.is_dir() {
        // The database is handed to developers and CI; a plain clone does not carry its 9 MiB.
        println!("skipped: there is no advisory database at {}", folder.display());
        return;
    }
    let mut checked = 0;
    let mut holes = Vec::new();
    for (name, version) in locked() {
        let files = fs::read_dir(folder.join(&name)).into_iter().flatten().flatten().map(|entry| entry.path());
        for advisory in files.collect::<Vec<PathBuf>>().iter().filter_map(|path| advisory(path)) {
            checked += 1;
            let is_well = advisory.well.iter().any(|range| range.matches(&version));
            if advisory.package == name && !advisory.is_informational && !is_well {
                holes.push(format!("{name} {version}: {}", advisory.id));
            }
        }
    }
    assert!(checked > 20, "only {checked} advisories were read: has the database another form?");
    assert!(holes.is_empty(), "{holes:#?}");
}
