//! Asks the running instance, from a command: blocking, bounded, and clear about who did not answer.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Answer, Config, LINE_LIMIT_BYTES, Request, socket_path};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No instance runs on this folder: the store may be opened instead.
    #[error("no slipway is running on {}", .data_dir.display())]
    NotRunning {
        /// The folder asked.
        data_dir: PathBuf,
    },
    /// One runs, but is stuck or very busy: the store must not be opened.
    #[error("the running slipway did not answer within {limit:?}; look at its log")]
    NoAnswer {
        /// How long we waited.
        limit: Duration,
    },
    /// We may not speak to it.
    #[error("{} may not be used by this user; run the command as the user that runs slipway", .socket.display())]
    NotPermitted {
        /// The socket.
        socket: PathBuf,
    },
    /// The connection broke, or what came is no answer.
    #[error("the running slipway could not be asked over {}", .socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What happened to it.
        #[source]
        cause: io::Error,
    },
}

/// The running instance's answer to `request`. Blocks for `answer_timeout_s` at most, and a little for the rest.
///
/// # Errors
/// `NotRunning` is certain: nobody listens. With any other error an instance may be running.
pub fn ask(config: &Config, request: &Request) -> Result<Answer, AskError> {
    let socket = socket_path(&config.data_dir);
    let limit = config.request_timeout() + config.answer_timeout();
    exchange(&socket, limit, request).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning { data_dir: config.data_dir.clone() }
        }
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::NoAnswer { limit },
        io::ErrorKind::PermissionDenied => AskError::NotPermitted { socket },
        _ => AskError::Broken { socket, cause },
    })
}

fn exchange(socket: &Path, limit: Duration, request: &Request) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(LINE_LIMIT_BYTES as u64)).read_until(b'\n', &mut answer)?;
    if answer.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&answer)?)
}
