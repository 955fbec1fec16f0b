//! `slipway import config`: the slipway.toml that matches a jupyterhub_config.py.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::config::{self, KEYS};
use crate::takeover::config_py::{self, OurKey, Refusal, SOURCE_LIMIT_BYTES};

#[derive(Debug, Args)]
pub(super) struct ConfigArguments {
    /// The file: jupyterhub_config.py
    file: PathBuf,
    /// Where to write; it must not be there yet. Left out: standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(asked: &ConfigArguments) -> ExitCode {
    // Said before the work, and held true by how the file is made after it.
    if let Some(output) = asked.output.as_deref().filter(|output| output.symlink_metadata().is_ok()) {
        return refuse(&format!(
            "{} is there already and is not overwritten; name another with --output",
            output.display()
        ));
    }
    let source = match read(&asked.file) {
        Ok(source) => source,
        Err(error) => return refuse(&format!("{} cannot be read: {error}", asked.file.display())),
    };
    let keys: Vec<_> = KEYS.iter().map(|key| OurKey { name: key.name, default: key.default }).collect();
    let name = asked.file.file_name().unwrap_or_default().to_string_lossy();
    let translation = match config_py::translate(&source, &name, &keys, &refusals) {
        Ok(translation) => translation,
        Err(error) => return refuse(&format!("{}: {error}", asked.file.display())),
    };
    match &asked.output {
        None => print(&translation.toml),
        Some(output) => {
            if let Err(error) = write_new(output, &translation.toml) {
                return refuse(&format!("{} cannot be written: {error}", output.display()));
            }
        }
    }
    eprintln!("slipway: {}", translation.summary);
    ExitCode::SUCCESS
}

/// What our configuration says against `text`, without the environment that happens to be here.
fn refusals(text: &str) -> Vec<Refusal> {
    let file = Path::new("slipway.toml");
    let mistakes = config::load(Some((file, text)), std::iter::empty()).err().unwrap_or_default();
    mistakes.into_iter().map(|mistake| Refusal { key: mistake.key, problem: mistake.problem }).collect()
}

/// One byte more than the limit, so that a longer file is known as one.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut source = Vec::new();
    let limit = u64::try_from(SOURCE_LIMIT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)?.take(limit).read_to_end(&mut source)?;
    Ok(source)
}

/// Makes the file, readable for its owner alone: people write secrets into it.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn refuse(problem: &str) -> ExitCode {
    eprintln!("slipway: {problem}");
    ExitCode::FAILURE
}
