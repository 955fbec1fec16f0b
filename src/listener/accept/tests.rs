//! Real sockets and real handshakes against the accept loop.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::listener::{Certificates, Config, acceptor};
use crate::model::{Security, SystemClock};
use crate::tasks::Tasks;

/// Answers all bytes with what protects the connection, until the end.
fn echo_security() -> Serve {
    Arc::new(|mut connection: Connection| {
        Box::pin(async move {
            let mut bytes = [0; 64];
            while connection.stream.read(&mut bytes).await.unwrap_or(0) > 0 {
                let answer = match &connection.security {
                    Security::Tls(handshake) => format!("Tls({:?})", handshake.protocol),
                    other => format!("{other:?}"),
                };
                let _ = connection.stream.write_all(answer.as_bytes()).await;
            }
        })
    })
}

fn local() -> ListenAddress {
    ListenAddress::Tcp(([127, 0, 0, 1], 0).into())
}

struct World {
    folder: tempfile::TempDir,
    certificates: Arc<Certificates>,
    address: SocketAddr,
    tasks: Tasks,
}

fn write_pair(folder: &std::path::Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name").self_signed(&key);
    let certificate = certificate.expect("signed");
    std::fs::write(folder.join("pair.pem"), certificate.pem() + &key.serialize_pem()).expect("written");
    certificate.der().clone()
}

fn world(limits: AcceptLimits) -> (World, CertificateDer<'static>) {
    let folder = tempfile::tempdir().expect("a folder");
    let leaf = write_pair(folder.path());
    let config = Config { certs_dir: folder.path().into(), data_dir: PathBuf::from("/nowhere"), ..Config::default() };
    let certificates = Certificates::load(&config, "box", Arc::new(SystemClock)).expect("a pair is there");
    let tasks = Tasks::new(Handle::current());
    let listener = Listener::bind(&[local()], &SocketAccess::default(), Admission::limited(limits)).expect("bound");
    let address = listener.addresses()[0];
    listener.run(
        &Lanes::one(&tasks),
        Some(acceptor(&Config::default(), certificates.clone()).expect("TLS")),
        echo_security(),
    );
    (World { folder, certificates, address, tasks }, leaf)
}

async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    alpn: &[&[u8]],
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").expect("a name"), stream).await
}

async fn ask(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) -> String {
    stream.write_all(b"hello").await.expect("sent");
    let mut answer = vec![0; 64];
    let length = stream.read(&mut answer).await.expect("read");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn alpn_chooses_the_protocol() {
    let (world, leaf) = world(AcceptLimits::default());
    for (alpn, expected) in
        [(&[&b"h2"[..], b"http/1.1"][..], "Tls(Http2)"), (&[b"http/1.1"], "Tls(Http1)"), (&[], "Tls(Http1)")]
    {
        let mut stream = connect(world.address, &leaf, alpn).await.expect("a handshake");
        assert_eq!(ask(&mut stream).await, expected);
    }
    assert!(connect(world.address, &leaf, &[b"gopher"]).await.is_err());
}

#[tokio::test]
async fn http_on_the_tls_port_is_handed_up_as_what_it_is() {
    let (world, _) = world(AcceptLimits::default());
    let mut stream = TcpStream::connect(world.address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut answer = [0; 14];
    stream.read_exact(&mut answer).await.expect("read");
    assert_eq!(&answer, b"PlainOnTlsPort");
}

#[tokio::test]
async fn a_stalled_handshake_is_cut() {
    let (world, _) = world(AcceptLimits { handshake_timeout_s: 1, ..AcceptLimits::default() });
    let cut = async |first_bytes: &[u8]| {
        let mut stream = TcpStream::connect(world.address).await.expect("connected");
        stream.write_all(first_bytes).await.expect("sent");
        let cut = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut [0; 8])).await;
        assert!(matches!(cut, Ok(Ok(0) | Err(_))), "{cut:?}");
    };
    tokio::join!(cut(b""), cut(b"\x16"), cut(b"\x16\x03\x01\x02\x00\x01"));
}

#[tokio::test]
async fn certificates_are_swapped_under_handshakes() {
    let (world, first) = world(AcceptLimits::default());
    connect(world.address, &first, &[]).await.expect("the first pair is served");
    for round in 0..20 {
        let next = write_pair(world.folder.path());
        let (looked, shaken) = tokio::join!(
            tokio::task::spawn_blocking({
                let certificates = world.certificates.clone();
                move || certificates.look()
            }),
            // Which of the two is served now is open; that one of them is, is not.
            connect(world.address, &next, &[]),
        );
        assert!(looked.expect("no panic"), "round {round}");
        if let Err(error) = shaken {
            assert!(error.to_string().contains("invalid peer certificate"), "{error}");
        }
        connect(world.address, &next, &[]).await.expect("the new pair is served");
    }
}

#[tokio::test]
async fn one_address_has_its_share_of_connections() {
    let (world, leaf) = world(AcceptLimits { connections_per_address: 2, ..AcceptLimits::default() });
    let mut first = connect(world.address, &leaf, &[]).await.expect("a handshake");
    let mut second = connect(world.address, &leaf, &[]).await.expect("a handshake");
    assert!(connect(world.address, &leaf, &[]).await.is_err());
    assert_eq!(ask(&mut first).await, "Tls(Http1)");
    assert_eq!(ask(&mut second).await, "Tls(Http1)");
    first.shutdown().await.expect("closed");
    let end = first.read(&mut [0; 8]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    // The server's side ends with its task, a moment after it has closed the socket.
    let mut again = connect(world.address, &leaf, &[]).await;
    for _ in 0..100 {
        if again.is_ok() {
            break;
        }
        tokio::task::yield_now().await;
        again = connect(world.address, &leaf, &[]).await;
    }
    again.expect("there is room again");
}

#[tokio::test]
async fn beyond_the_limit_in_all_the_kernel_holds_the_rest() {
    let (world, leaf) = world(AcceptLimits { connections: 1, ..AcceptLimits::default() });
    let mut first = connect(world.address, &leaf, &[]).await.expect("a handshake");
    let waiting = connect(world.address, &leaf, &[]);
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("there was no room"),
        answer = ask(&mut first) => assert_eq!(answer, "Tls(Http1)"),
    }
    drop(first);
    waiting.await.expect("its turn has come");
}

#[tokio::test]
async fn a_stop_closes_the_listener_and_leaves_connections_to_finish() {
    let (world, leaf) = world(AcceptLimits::default());
    let mut open = connect(world.address, &leaf, &[]).await.expect("a handshake");
    assert_eq!(ask(&mut open).await, "Tls(Http1)");
    world.tasks.stopping().cancel();
    while TcpStream::connect(world.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&mut open).await, "Tls(Http1)");
    drop(open);
    assert!(world.tasks.stop(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn one_ipv6_address_takes_ipv4_too() {
    let every = ListenAddress::Tcp((Ipv6Addr::UNSPECIFIED, 0).into());
    let Ok(listener) = Listener::bind(&[every], &SocketAccess::default(), Admission::default()) else {
        panic!("without IPv6 it falls back to IPv4");
    };
    let port = listener.addresses()[0].port();
    let tasks = Tasks::new(Handle::current());
    listener.run(&Lanes::one(&tasks), None, echo_security());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    assert_eq!(ask(&mut stream).await, "Plain");
}

#[tokio::test]
async fn every_lane_accepts_and_no_other_program_may() {
    let listener = Listener::bind(&[local()], &SocketAccess::default(), Admission::default()).expect("bound");
    let address = listener.addresses()[0];
    let (sender, mut threads) = tokio::sync::mpsc::unbounded_channel();
    let serve: Serve = Arc::new(move |connection| {
        sender.send((std::thread::current().id(), connection)).expect("the test listens");
        Box::pin(std::future::ready(()))
    });
    let tasks = Tasks::new(Handle::current());
    let lanes = Lanes::start(&tasks).expect("threads");
    listener.run(&lanes, None, serve);
    let (mut carried, mut kept) = (std::collections::HashMap::<_, usize>::new(), Vec::new());
    for _ in 0..40 * lanes.count() {
        kept.push(TcpStream::connect(address).await.expect("connected"));
    }
    let mut connections = Vec::new();
    for _ in 0..kept.len() {
        let (thread, connection) = threads.recv().await.expect("accepted");
        *carried.entry(thread).or_default() += 1;
        connections.push(connection);
    }
    assert_eq!(carried.len(), lanes.count());
    assert!(carried.values().all(|count| (30..=50).contains(count)), "{carried:?}");

    let again = Listener::bind(&[ListenAddress::Tcp(address)], &SocketAccess::default(), Admission::default());
    assert_eq!(again.expect_err("it is taken").cause.kind(), io::ErrorKind::AddrInUse);
    drop(connections);
    assert!(tasks.stop(Duration::from_secs(10)).await);
}

/// F19. Run by the test below in a process of its own: the limit holds for all tests of a process.
#[tokio::test]
#[ignore = "lowers the limit of open files of its process"]
async fn child_without_descriptors() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = Some(64);
    rustix::process::setrlimit(Resource::Nofile, limit).expect("lowered");
    let limits = AcceptLimits { pause_ms: 10, ..AcceptLimits::default() };
    let listener = Listener::bind(&[local()], &SocketAccess::default(), Admission::limited(limits)).expect("bound");
    let address = listener.addresses()[0];
    listener.run(&Lanes::one(&Tasks::new(Handle::current())), None, echo_security());
    // Both ends are in this process: it runs out long before so many are connected.
    let mut open = Vec::new();
    while let Ok(stream) = TcpStream::connect(address).await {
        open.push(stream);
        tokio::task::yield_now().await;
    }
    assert!(open.len() > 10, "{}", open.len());
    // Still there, at the limit: a pause is no busy loop, and no end of the listener. Time that stands goes on only
    // when nothing is left to do, which would never be in a busy loop.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::resume();
    open.clear();
    let mut stream = TcpStream::connect(address).await.expect("there is room again");
    assert_eq!(ask(&mut stream).await, "Plain");
}

#[tokio::test]
async fn without_descriptors_accepting_pauses_and_comes_back() {
    let test = "listener::accept::tests::child_without_descriptors";
    let program = std::env::current_exe().expect("this program");
    let mut child = tokio::process::Command::new(program);
    let child = child.args(["--exact", test, "--ignored"]).kill_on_drop(true).output();
    let child = tokio::time::timeout(Duration::from_secs(30), child).await.expect("it pauses").expect("run");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}
