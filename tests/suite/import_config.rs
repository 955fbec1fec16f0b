//! `slipway import config`: whole files as people have them, and what becomes of each, to the letter.
//!
//! Beside each `import_config/NAME.py` stands the `NAME.toml` that is made of it; `SLIPWAY_UPDATE=1` writes them anew,
//! to be read before they are committed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use slipway::config;

/// What stands in the files as a secret, and in nothing that is made of them.
const SECRETS: [&str; 4] = ["hunter2", "wJalrXUtnFEMI", "a0b1c2d3e4f5", "Iv1.abc"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/import_config")
}

fn import(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    // A broken configuration of ours must not keep anybody from making a sound one.
    command.args(["import", "config"]).args(arguments).env_clear().env("SLIPWAY_LOG_LEVEL", "loud");
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_file_becomes_the_configuration_beside_it_which_is_sound_and_holds_no_secret() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).expect("the folder is there") {
        let source = entry.expect("a file").path();
        if source.extension().is_none_or(|extension| extension != "py") {
            continue;
        }
        count += 1;
        let output = import(&[&source]);
        let (made, told) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{}: {told}", source.display());
        let expected = source.with_extension("toml");
        if std::env::var_os("SLIPWAY_UPDATE").is_some() {
            fs::write(&expected, &made).expect("it can be written");
        }
        assert_eq!(made, fs::read_to_string(&expected).unwrap_or_default(), "{}", source.display());
        let summary = made.lines().nth(1).and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        assert_eq!(told, format!("slipway: {summary}\n"));
        for secret in SECRETS {
            assert!(!made.contains(secret), "{}: {secret}", source.display());
        }
        let loaded = config::load(Some((&expected, &made)), std::iter::empty());
        assert!(loaded.is_ok(), "{}: {:?}", source.display(), loaded.err());
    }
    assert!(count >= 8, "{count} files");
}

#[test]
fn what_is_there_is_not_overwritten_and_what_is_made_is_its_owners_alone() {
    let place = tempfile::tempdir().expect("a folder");
    let (source, output) = (folder().join("docker.py"), place.path().join("slipway.toml"));
    let arguments = [source.as_path(), Path::new("--output"), output.as_path()];
    let first = import(&arguments);
    assert_eq!((first.status.code(), text(&first.stdout)), (Some(0), String::new()));
    let made = fs::read(&output).expect("it was written");
    assert_eq!(fs::metadata(&output).expect("it is there").permissions().mode() & 0o777, 0o600);
    let second = import(&arguments);
    assert_eq!(second.status.code(), Some(1));
    let expected =
        format!("slipway: {} is there already and is not overwritten; name another with --output\n", output.display());
    assert_eq!(text(&second.stderr), expected);
    assert_eq!(fs::read(&output).expect("it is there"), made);
}

#[test]
fn a_file_that_cannot_be_read_or_is_no_python_is_refused_with_a_sentence_and_leaves_nothing() {
    let place = tempfile::tempdir().expect("a folder");
    let output = place.path().join("slipway.toml");
    let check = |content: Option<&[u8]>, expected: &str| {
        let source = place.path().join("jupyterhub_config.py");
        match content {
            Some(content) => fs::write(&source, content).expect("it can be written"),
            None => _ = fs::remove_file(&source),
        }
        let refused = import(&[&source, Path::new("--output"), &output]);
        assert_eq!(refused.status.code(), Some(1), "{expected}");
        assert_eq!(text(&refused.stderr), format!("slipway: {}{expected}\n", source.display()));
        assert!(refused.stdout.is_empty() && !output.exists(), "{expected}");
    };
    check(Some(b"c.A.x = [1\n"), ": line 1, column 9: the \"[\" is never closed");
    check(Some(b"\xff\xfe"), ": line 1, column 1: the file is no UTF-8 text from here on");
    check(
        Some(&vec![b'\n'; 10 << 20]),
        ": line 1, column 1: the file is longer than 1048576 bytes, as no configuration is",
    );
    check(None, " cannot be read: No such file or directory (os error 2)");
}
