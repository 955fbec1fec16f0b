//! What is kept of a running program, so that it is found after our own sudden end: pid and time of start, and before
//! those are known a digest of its token.
//!
//! The record is written before the start and again after it. Who finds one without a process looks for the program by
//! the token in its variables.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::host::process::{self, ProcessId};
use crate::model::{Secret, ServiceName, docker_escape};

/// One program that we have started, or were about to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) service: ServiceName,
    /// SHA-256 of its API token: the token itself is written nowhere.
    token_digest: [u8; 32],
    /// None until it has been started.
    process: Option<ProcessId>,
    /// The boot of the host in which that was so.
    boot_id: String,
}

impl Record {
    pub(super) fn of(service: ServiceName, token: &Secret, process: Option<ProcessId>) -> Self {
        let token_digest = Sha256::digest(token.expose().as_bytes()).into();
        Self { service, token_digest, process, boot_id: process::boot_id() }
    }

    /// The program's process, if it could still run.
    pub(super) fn find(&self) -> Option<ProcessId> {
        if self.process.is_some() {
            return self.process.filter(|_| self.boot_id == process::boot_id());
        }
        let name = format!("JUPYTERHUB_SERVICE_NAME={}", self.service);
        let is_token = |variable: &&[u8]| {
            let token = variable.strip_prefix(b"JUPYTERHUB_API_TOKEN=");
            token.is_some_and(|token| <[u8; 32]>::from(Sha256::digest(token)) == self.token_digest)
        };
        process::leader_started_with(|variables| variables.contains(&name.as_bytes()) && variables.iter().any(is_token))
    }
}

/// The record of `service`, if there is one that can be read.
pub(super) fn read(folder: &Path, service: &ServiceName) -> Option<Record> {
    read_file(&file_of(folder, service)).filter(|record| record.service == *service)
}

/// All records.
pub(super) fn all(folder: &Path) -> Vec<Record> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|file| file.extension().is_some_and(|end| end == "json")).filter_map(|file| read_file(&file)).collect()
}

/// Writes `record` in place of an older one.
///
/// # Errors
/// What the system says.
pub(super) fn write(folder: &Path, record: &Record) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file = file_of(folder, &record.service);
    let new = file.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    open.write_all(&serde_json::to_vec(record)?)?;
    std::fs::rename(&new, &file)
}

/// Forgets the record of `service`.
///
/// # Errors
/// What the system says; that there is none is no error.
pub(super) fn remove(folder: &Path, service: &ServiceName) -> std::io::Result<()> {
    match std::fs::remove_file(file_of(folder, service)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn file_of(folder: &Path, service: &ServiceName) -> PathBuf {
    // The prefix keeps the escaped name from being a dot or empty.
    folder.join(format!("service-{}.json", docker_escape(service.as_str())))
}

fn read_file(file: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        ServiceName::parse(name).expect("a name")
    }

    #[test]
    fn a_record_comes_back_and_holds_no_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let record = Record::of(service("A b@".replace(' ', "-").as_str()), &Secret::new("hunter2"), None);
        write(folder.path(), &record).expect("written");
        assert_eq!(read(folder.path(), &record.service), Some(record.clone()));
        assert_eq!(all(folder.path()), std::slice::from_ref(&record));
        let text = std::fs::read_to_string(file_of(folder.path(), &record.service)).expect("there");
        assert!(!text.contains("hunter2"));
        remove(folder.path(), &record.service).expect("removed");
        remove(folder.path(), &record.service).expect("twice is once");
        assert_eq!(all(folder.path()), []);
    }

    #[test]
    fn a_record_that_is_cut_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("service-x.json"), b"{\"serv").expect("written");
        assert_eq!(read(folder.path(), &service("x")), None);
        assert_eq!(all(folder.path()), []);
    }
}
