//! Sockets that systemd has opened before it started us (`LISTEN_FDS`): by name, each once.

use std::io;
use std::sync::OnceLock;

use listenfd::ListenFd;
use parking_lot::Mutex;

use super::socket::{Bound, set_inherited};

/// What was passed to this process, with its names.
static PASSED: OnceLock<Mutex<Passed>> = OnceLock::new();

/// Takes over what systemd has passed to this process; `names` is the variable `LISTEN_FDNAMES`. Later calls do nothing.
pub fn adopt_sockets(names: &str) {
    // It forgets the variables that it reads, so that no program of ours takes the sockets for its own.
    let sockets = ListenFd::from_env();
    let _ = PASSED.set(Mutex::new(Passed { sockets, names: names.split(':').map(str::to_owned).collect() }));
}

struct Passed {
    sockets: ListenFd,
    names: Vec<String>,
}

/// Why there is no socket of that name.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActivatedError {
    #[error("systemd passed no socket of this name; it passed: {passed} (FileDescriptorName= in the .socket unit)")]
    Missing { passed: String },
    #[error("socket {number} of systemd is neither TCP nor a Unix stream socket")]
    Kind {
        number: usize,
        #[source]
        cause: io::Error,
    },
}

/// All sockets that were passed as `name` and not taken yet. Must run in a runtime.
pub(super) fn take(name: &str) -> Result<Vec<Bound>, ActivatedError> {
    let nothing = || Mutex::new(Passed { sockets: ListenFd::empty(), names: Vec::new() });
    let mut passed = PASSED.get_or_init(nothing).lock();
    let count = passed.sockets.len();
    // A socket without a name is called `unknown` by systemd.
    let name_of = |number: usize, names: &[String]| match names.get(number).map(String::as_str) {
        None | Some("") => "unknown".to_owned(),
        Some(name) => name.to_owned(),
    };
    let mut taken = Vec::new();
    for number in (0..count).filter(|number| name_of(*number, &passed.names) == name).collect::<Vec<_>>() {
        let kind = |cause| ActivatedError::Kind { number, cause };
        let bound = match passed.sockets.take_tcp_listener(number) {
            Ok(None) => continue,
            Ok(Some(listener)) => {
                let listener =
                    listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
                let listener = listener.map_err(kind)?;
                set_inherited(&listener).map_err(kind)?;
                Bound::Tcp { listener, backlog: None }
            }
            Err(_) => {
                let Some(listener) = passed.sockets.take_unix_listener(number).map_err(kind)? else { continue };
                let listener =
                    listener.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(listener));
                Bound::Unix { listener: listener.map_err(kind)?, _file: None }
            }
        };
        taken.push(bound);
    }
    if taken.is_empty() {
        let all: Vec<_> = (0..count).map(|number| name_of(number, &passed.names)).collect();
        let passed = if all.is_empty() { "none at all".to_owned() } else { all.join(", ") };
        return Err(ActivatedError::Missing { passed });
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_not_passed_is_told_with_the_cure() {
        let error = take("https").expect_err("nothing is passed to a test");
        assert!(error.to_string().contains("it passed: none at all (FileDescriptorName="), "{error}");
    }
}
