//! What a package holds beside the program: units that systemd accepts, manual pages and completions.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::commands::text;

const UNITS: [&str; 3] = ["slipway.service", "slipway.socket", "slipway-http.socket"];

/// Out of 100: what `systemd-analyze security` finds exposed. It was 20 when this was written.
const EXPOSURE_LIMIT: &str = "--threshold=25";

fn packaging() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging"))
}

#[test]
fn a_package_holds_the_program_its_words_and_its_units() {
    let folder = TempDir::new().expect("a folder");
    let root = folder.path().join("root");
    let built = Command::new(packaging().join("build.sh")).arg(env!("CARGO_BIN_EXE_slipway")).arg(&root).output();
    let built = built.expect("it runs");
    assert!(built.status.success(), "{}", text(&built));
    for file in [
        "usr/bin/slipway",
        "usr/share/man/man1/slipway.1.gz",
        "usr/share/man/man1/slipway-reload.1.gz",
        "usr/share/bash-completion/completions/slipway",
        "usr/share/zsh/site-functions/_slipway",
        "usr/share/fish/vendor_completions.d/slipway.fish",
        "usr/lib/systemd/system/slipway.service",
        "usr/lib/sysusers.d/slipway.conf",
        "etc/slipway/slipway.toml",
    ] {
        assert!(root.join(file).metadata().is_ok_and(|found| found.len() > 0), "no {file}");
    }
    let wrong = Command::new(packaging().join("build.sh")).output().expect("it runs");
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn systemd_accepts_the_units_and_finds_little_exposed() {
    let folder = TempDir::new().expect("a folder");
    for unit in UNITS {
        let written = std::fs::read_to_string(packaging().join(unit)).expect("a unit");
        // Where the program will be, nothing is yet.
        let here = written.replace("/usr/bin/slipway", env!("CARGO_BIN_EXE_slipway"));
        std::fs::write(folder.path().join(unit), here).expect("written");
    }
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).current_dir(folder.path()).output().expect("systemd is installed (./test.sh does that)")
    };
    let verified = analyze(&[&["verify", "--man=no"][..], &UNITS.map(|unit| unit)].concat());
    // What it says of other units of this host is not ours.
    let said: Vec<_> = text(&verified).lines().filter(|line| line.contains("slipway")).map(str::to_owned).collect();
    assert!(verified.status.success() && said.is_empty(), "{}", text(&verified));
    let secured = analyze(&["security", "--offline=yes", EXPOSURE_LIMIT, "slipway.service"]);
    assert!(secured.status.success(), "{}", text(&secured));
}
