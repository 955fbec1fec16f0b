//! A Unix socket to accept on, beside the TCP ones: for a proxy that stands behind another program on this machine.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::AcceptLimits;
use crate::net::Io;
use crate::tasks::Tasks;

/// What serves a connection that came over a Unix socket.
pub type ServeUnix = Arc<dyn Fn(Box<dyn Io>) -> BoxFuture<'static, ()> + Send + Sync>;

/// A bound Unix socket that does not accept yet. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct UnixDoor {
    socket: UnixListener,
    file: SocketFile,
    limits: AcceptLimits,
}

/// Removes its file when it is dropped.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Whoever comes next would have to wonder whether somebody still listens.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl UnixDoor {
    /// Binds `path`; a socket there on which nobody listens any more is replaced. Must run in a runtime.
    ///
    /// # Errors
    /// Somebody listens there, or the system says no.
    pub fn bind(path: &Path, limits: &AcceptLimits) -> io::Result<Self> {
        let (socket, file) = bind(path)?;
        Ok(Self { socket, file, limits: limits.clone() })
    }

    /// Accepts until the soft stop; each connection is a task of its own. With `tls`, a connection is handed to
    /// `serve` after its handshake.
    pub fn run(self, tasks: &Tasks, tls: Option<TlsAcceptor>, serve: ServeUnix) {
        tasks.spawn(accept_until_stop(self, tasks.clone(), tls, serve));
    }
}

/// Binds `path`; a socket there on which nobody listens any more is replaced.
pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    Ok((socket, SocketFile(path.to_owned())))
}

/// The same, for those who may use it. Nobody gets in between the steps: connecting needs the right to write, which the
/// usual umask gives to nobody else.
pub(super) fn bind_for(path: &Path, access: &SocketAccess) -> io::Result<(UnixListener, SocketFile)> {
    let (socket, file) = bind(path)?;
    let (user, group) = access.owner()?;
    if user.is_some() || group.is_some() {
        std::os::unix::fs::chown(path, user, group)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(access.mode))?;
    Ok((socket, file))
}

/// Who may connect to a socket file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketAccess {
    /// The file's mode. 0o660: its owner and group.
    pub mode: u32,
    /// `user`, `user:group` or `:group`, by name or number; empty: ours.
    pub owner: String,
}

impl Default for SocketAccess {
    fn default() -> Self {
        Self { mode: 0o660, owner: String::new() }
    }
}

impl SocketAccess {
    fn owner(&self) -> io::Result<(Option<u32>, Option<u32>)> {
        let (user, group) = self.owner.split_once(':').unwrap_or((&self.owner, ""));
        Ok((id_of("/etc/passwd", user)?, id_of("/etc/group", group)?))
    }
}

/// The number of a name in a file of accounts or groups.
fn id_of(accounts: &str, name: &str) -> io::Result<Option<u32>> {
    if name.is_empty() {
        return Ok(None);
    }
    if let Ok(id) = name.parse() {
        return Ok(Some(id));
    }
    let text = std::fs::read_to_string(accounts)?;
    let id = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    });
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("{name:?} is not in {accounts}"));
    id.ok_or_else(unknown).map(Some)
}

fn is_abandoned(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refuses = || {
        std::os::unix::net::UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    is_socket && refuses()
}

async fn accept_until_stop(door: UnixDoor, tasks: Tasks, tls: Option<TlsAcceptor>, serve: ServeUnix) {
    let UnixDoor { socket, file, limits } = door;
    let permits = Arc::new(Semaphore::new(limits.connections));
    let stopping = tasks.stopping().clone();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            accepted = async { (permits.clone().acquire_owned().await, socket.accept().await) } => accepted,
        };
        match accepted {
            (permit, Ok((stream, _))) => {
                let (tls, serve) = (tls.clone(), serve.clone());
                let limit = Duration::from_secs(limits.handshake_timeout_s);
                tasks.spawn(async move {
                    if let Some(io) = shake_hands(stream, tls, limit).await {
                        serve(io).await;
                    }
                    drop(permit);
                });
            }
            (_, Err(error)) => {
                warn!(%error, "cannot accept; pausing");
                tokio::select! {
                    () = stopping.cancelled() => break,
                    () = tokio::time::sleep(Duration::from_millis(limits.pause_ms)) => {}
                }
            }
        }
    }
    drop(file);
}

async fn shake_hands(stream: UnixStream, tls: Option<TlsAcceptor>, limit: Duration) -> Option<Box<dyn Io>> {
    let Some(tls) = tls else { return Some(Box::new(stream)) };
    match tokio::time::timeout(limit, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            debug!(%error, "no handshake");
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::runtime::Handle;

    use super::*;

    #[tokio::test]
    async fn an_abandoned_socket_is_replaced_and_a_used_one_is_not() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("s.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        assert!(path.exists());
        let limits = AcceptLimits::default();
        let door = UnixDoor::bind(&path, &limits).expect("nobody listens there");
        assert!(UnixDoor::bind(&path, &limits).is_err());

        let tasks = Tasks::new(Handle::current());
        let echo: ServeUnix = Arc::new(|mut io| {
            Box::pin(async move {
                let mut word = [0; 4];
                io.read_exact(&mut word).await.expect("reads");
                io.write_all(&word).await.expect("writes");
            })
        });
        door.run(&tasks, None, echo);
        let mut client = UnixStream::connect(&path).await.expect("connects");
        client.write_all(b"word").await.expect("writes");
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.expect("reads");
        assert_eq!(heard, "word");
        assert!(tasks.stop(Duration::from_secs(5)).await);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_file_is_for_whom_it_was_made() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("s.sock");
        let access = SocketAccess { mode: 0o600, owner: String::new() };
        let (_socket, file) = bind_for(&path, &access).expect("bound");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(file);
        assert!(!path.exists());
        let access = SocketAccess { owner: ":no-such-group-here".into(), ..access };
        let error = bind_for(&path, &access).expect_err("nobody knows it").to_string();
        assert!(error.contains("no-such-group-here"), "{error}");
        assert_eq!(id_of("/etc/group", "root").ok(), Some(Some(0)));
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("s.sock");
        std::fs::write(&path, "precious").expect("written");
        assert!(UnixDoor::bind(&path, &AcceptLimits::default()).is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
    }
}
