//! Listens on the control socket of a running instance.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Answer, Config, LINE_LIMIT_BYTES, Reload, Request, StopServers, execute, socket_path};
use crate::auth::Auth;
use crate::tasks::Tasks;

/// Longest path that a Unix socket's address holds, in bytes.
const SOCKET_PATH_LIMIT_BYTES: usize = 107;

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another instance listens on it.
    #[error("{} answers: slipway is already running with this data_dir", .socket.display())]
    AlreadyRunning {
        /// The socket.
        socket: PathBuf,
    },
    /// The system has no address for it.
    #[error("the path {} is too long for a socket; choose a data_dir of {} bytes or fewer", .socket.display(), SOCKET_PATH_LIMIT_BYTES - "/control.sock".len())]
    PathTooLong {
        /// The socket.
        socket: PathBuf,
    },
    /// The system refused.
    #[error("could not listen on {}", .socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// What it said.
        #[source]
        cause: io::Error,
    },
}

/// The open socket; its file goes when this is dropped.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    config: Config,
}

impl Listener {
    /// Opens `data_dir/control.sock`, 0600. A socket that a dead instance left is replaced.
    ///
    /// # Errors
    /// `AlreadyRunning` if one that lives is there.
    pub fn bind(config: Config) -> Result<Self, ListenError> {
        let socket = socket_path(&config.data_dir);
        if socket.as_os_str().len() > SOCKET_PATH_LIMIT_BYTES {
            return Err(ListenError::PathTooLong { socket });
        }
        let refuse = |cause| ListenError::Io { socket: socket.clone(), cause };
        match std::os::unix::net::UnixStream::connect(&socket) {
            Ok(_) => return Err(ListenError::AlreadyRunning { socket }),
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(&socket).map_err(refuse)?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(refuse(e)),
        }
        let listener = UnixListener::bind(&socket).map_err(refuse)?;
        // Between the two lines the folder's 0700 protects it.
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).map_err(refuse)?;
        Ok(Self { listener, config })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // A leftover is replaced at the next start anyway.
        let _ = fs::remove_file(socket_path(&self.config.data_dir));
    }
}

/// After an accept that failed (out of descriptors, mostly): trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers requests until the soft stop, a few at a time.
pub async fn serve(listener: Listener, auth: Auth, stop_servers: StopServers, reload: Reload, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(listener.config.requests_at_once.max(1)));
    let config = Arc::new(listener.config.clone());
    loop {
        let accepted = tokio::select! {
            () = tasks.stopping().cancelled() => return,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a command could not connect");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (auth, config) = (auth.clone(), Arc::clone(&config));
        let (stop_servers, reload) = (Arc::clone(&stop_servers), Arc::clone(&reload));
        tasks.spawn(async move {
            if let Err(error) = answer(stream, &config, &auth, &stop_servers, &reload).await {
                tracing::debug!(%error, "a command went away before its answer");
            }
            drop(place);
        });
    }
}

async fn accept(
    listener: &Listener,
    places: &Arc<Semaphore>,
) -> io::Result<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.listener.accept().await?;
    Ok((stream, place))
}

async fn answer(
    stream: UnixStream,
    config: &Config,
    auth: &Auth,
    stop_servers: &StopServers,
    reload: &Reload,
) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reading.take(LINE_LIMIT_BYTES as u64));
    timeout(config.request_timeout(), reader.read_until(b'\n', &mut line)).await??;
    let refused = |message: &str| Answer::Refused { message: message.to_owned() };
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(request) => {
            let answering = async {
                match request {
                    Request::Reload => reload().await,
                    request => execute(auth, stop_servers, request).await,
                }
            };
            timeout(config.answer_timeout(), answering)
                .await
                .unwrap_or_else(|_| refused("it takes too long; it may still happen"))
        }
        Err(_) => refused("the running slipway does not know this request; is it of another version?"),
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    timeout(config.request_timeout(), writing.write_all(&bytes)).await??;
    Ok(())
}
