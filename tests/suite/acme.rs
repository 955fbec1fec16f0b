//! Certificates from a real ACME authority: Debian's `pebble`, which rejects nonces and checks names as others do, with
//! its own DNS. A machine without it fails these tests.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use slipway::listener::acme::{Acme, ChallengeChoice, Config, ExternalAccount, Parts};
use slipway::listener::{self, Admission, Certificates, Connection, Listener, Serve, SocketAccess, acceptor};
use slipway::model::{Clock, Random, Secret, SystemClock};
use slipway::store::{self, Store};
use slipway::tasks::{Lanes, Tasks};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::client::trusting_anybody;
use crate::world::ManualClock;

const START_LIMIT: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(24 * 3600);
const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A port that nobody listens on, below those that the system gives to connections: another test's would take it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 500).expect("below 500") * 20;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The authority and its DNS, in which every name leads to 127.0.0.1.
struct Pebble {
    folder: TempDir,
    programs: Vec<Child>,
    port: u16,
    management: u16,
    dns_management: u16,
    ports_checked: (u16, u16),
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for program in &mut self.programs {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

impl Pebble {
    /// One that checks names at these ports.
    async fn start(http: u16, tls: u16, wants_external_account: bool) -> Self {
        let folder = TempDir::new().expect("a folder");
        make_authority(folder.path());
        let (port, management, dns, dns_management) = (free_port(), free_port(), free_port(), free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.path().join("cert.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": http,
            "tlsPort": tls,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": wants_external_account,
            "externalAccountMACKeys": { "kid-1": EAB_KEY },
        }});
        std::fs::write(folder.path().join("pebble.json"), config.to_string()).expect("written");
        let dns_program = Command::new("pebble-challtestsrv")
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .args(["-dns01", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{dns_management}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble-challtestsrv is there: apt-get install pebble");
        let mut pebble =
            Self { folder, programs: vec![dns_program], port, management, dns_management, ports_checked: (http, tls) };
        pebble.run(dns);
        for port in [port, management, dns_management] {
            wait_for(port).await;
        }
        pebble
    }

    fn run(&mut self, dns: u16) {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a file");
        let pebble = Command::new("pebble")
            .args(["-config", self.folder.path().join("pebble.json").to_str().expect("a path")])
            .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "5")
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble is there: apt-get install pebble");
        self.programs.push(pebble);
    }

    fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// How many orders it was ever given.
    fn orders(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.path().join("log")).expect("a log");
        let added = |line: &&str| line.contains("Added order");
        log.lines().filter(added).count()
    }

    /// Sends `name` to an address where nobody listens.
    async fn lead_astray(&self, name: &str) {
        let body = serde_json::json!({ "host": format!("{name}."), "addresses": ["127.99.99.99"] }).to_string();
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.dns_management)).await.expect("connected");
        let length = body.len();
        let request = format!("POST /add-a HTTP/1.0\r\nHost: dns\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.contains(" 200 "), "{answer}");
    }

    /// The root under which it gives certificates: made anew at each of its starts.
    async fn root(&self) -> CertificateDer<'static> {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.management)).await.expect("connected");
        let connector = TlsConnector::from(Arc::new(trusting_anybody(&[b"http/1.1"])));
        let mut stream = connector.connect("localhost".try_into().expect("a name"), stream).await.expect("TLS");
        stream.write_all(b"GET /roots/0 HTTP/1.0\r\nHost: localhost\r\n\r\n").await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        CertificateDer::from_pem_slice(&answer).expect("a root certificate")
    }
}

/// An authority for the authority's own address: `ca.pem`, `cert.pem`, `key.pem`.
fn make_authority(folder: &Path) {
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).expect("signed");
    let key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("signed");
    for (name, text) in [("ca.pem", ca_certificate.pem()), ("cert.pem", leaf.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(folder.join(name), text).expect("written");
    }
}

async fn wait_for(port: u16) {
    let until = Instant::now() + START_LIMIT;
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < until, "nobody listens on port {port}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Our side without the hub: sockets, certificates, the store, and a clock that is moved.
struct Ours {
    folder: Arc<TempDir>,
    store: Store,
    clock: Arc<ManualClock>,
    certificates: Arc<Certificates>,
    acme: Arc<Acme>,
    address: SocketAddr,
    tasks: Tasks,
    config: listener::Config,
}

impl Ours {
    async fn new(names: &[&str], more: impl FnOnce(&mut Config)) -> (Self, Pebble) {
        let listener = Listener::bind(
            &[SocketAddr::from(([127, 0, 0, 1], 0)).into()],
            &SocketAccess::default(),
            Admission::default(),
        )
        .expect("bound");
        let pebble = Pebble::start(free_port(), listener.addresses()[0].port(), false).await;
        (Self::beside(&pebble, listener, names, more), pebble)
    }

    fn beside(pebble: &Pebble, listener: Listener, names: &[&str], more: impl FnOnce(&mut Config)) -> Self {
        let folder = Arc::new(TempDir::new().expect("a folder"));
        let mut acme = Config {
            names: names.iter().map(ToString::to_string).collect(),
            email: Some("ops@example.org".to_owned()),
            directory_url: pebble.directory(),
            ca_file: Some(pebble.authority()),
            ..Config::default()
        };
        more(&mut acme);
        let data_dir = folder.path().join("data");
        let config = listener::Config {
            certs_dir: folder.path().join("certs"),
            data_dir: data_dir.clone(),
            acme,
            ..listener::Config::default()
        };
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let store = Store::open(&store::Config { data_dir }).expect("a store");
        Self::open(folder, store, clock, config, listener)
    }

    fn open(
        folder: Arc<TempDir>,
        store: Store,
        clock: Arc<ManualClock>,
        config: listener::Config,
        listener: Listener,
    ) -> Self {
        let certificates = Certificates::load(&config, "box", clock.clone()).expect("something to serve");
        let parts = Parts {
            store: store.clone(),
            certificates: certificates.clone(),
            clock: clock.clone(),
            random: Random::from_seed(7),
        };
        let acme = Acme::open(config.acme.clone(), parts).expect("an authority that can be believed");
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let address = listener.addresses()[0];
        let serve: Serve = Arc::new(|mut connection: Connection| {
            Box::pin(async move {
                let _ = connection.stream.write_all(b"handed up").await;
                let _ = connection.stream.shutdown().await;
            })
        });
        listener.run(
            &Lanes::start(&tasks).expect("threads"),
            Some(acceptor(&config, certificates.clone()).expect("TLS")),
            serve,
        );
        Self { folder, store, clock, certificates, acme, address, tasks, config }
    }

    /// Ends and begins again on the same data and port.
    async fn restart(self) -> Self {
        let Self { folder, store, clock, tasks, config, address, acme, certificates } = self;
        tasks.stop(Duration::from_secs(5)).await;
        drop((acme, certificates));
        let listener =
            Listener::bind(&[address.into()], &SocketAccess::default(), Admission::default()).expect("the same port");
        Self::open(folder, store, clock, config, listener)
    }

    /// The names on the certificate that is served to who asks for `name` and believes `root`; `None`: no handshake.
    async fn served(&self, name: &str, root: &CertificateDer<'static>, protocols: &[&[u8]]) -> Option<String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.clone()).expect("a root");
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = tokio::net::TcpStream::connect(self.address).await.expect("connected");
        let name = name.to_owned().try_into().expect("a name");
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        let mut told = [0; 16];
        let count = stream.read(&mut told).await.unwrap_or(0);
        Some(String::from_utf8_lossy(&told[..count]).into_owned())
    }

    fn serial_of(&self, name: &str) -> Option<String> {
        let all = self.certificates.all();
        all.into_iter().find(|one| one.is_ordered && one.names.contains(&name.to_owned())).map(|one| one.serial)
    }

    fn problem_of(&self, name: &str) -> String {
        let figures = self.acme.figures();
        figures.into_iter().find(|one| one.name == name).and_then(|one| one.problem).unwrap_or_default()
    }
}

#[tokio::test]
async fn names_are_proven_by_tls_served_kept_and_renewed_in_time() {
    let (ours, pebble) = Ours::new(&["a.example", "b.example"], |_| {}).await;
    assert!(ours.certificates.is_self_signed(), "until there is something better");
    assert!(ours.certificates.covers("a.example"), "it is ours before it has a certificate");
    assert_eq!(ours.acme.look().await, 2, "{:?}", ours.acme.figures());
    let root = pebble.root().await;
    assert_eq!(ours.served("a.example", &root, &[b"http/1.1"]).await.as_deref(), Some("handed up"));
    assert_eq!(ours.served("b.example", &root, &[b"h2"]).await.as_deref(), Some("handed up"));
    assert_eq!(ours.served("a.example", &root, &[b"acme-tls/1"]).await, None, "nobody is checking any more");
    assert_eq!((ours.acme.look().await, pebble.orders()), (0, 2), "nothing is due");

    let serial = ours.serial_of("a.example").expect("a certificate");
    let ours = ours.restart().await;
    assert_eq!(ours.serial_of("a.example").as_ref(), Some(&serial), "served at once after a restart");
    assert_eq!((ours.acme.look().await, pebble.orders()), (0, 2), "and not ordered again");

    let figures = ours.acme.figures();
    let ends_at = figures[0].ends_at.expect("an end");
    let renew_at = figures.iter().filter_map(|one| one.renew_at).min().expect("a renewal");
    let life = ends_at.since(ours.clock.now());
    let until = renew_at.since(ours.clock.now());
    let share = until.as_secs_f64() / life.as_secs_f64();
    assert!((0.62..0.67).contains(&share), "renewed at {share} of its life");
    ours.clock.advance(until - DAY);
    assert_eq!(ours.acme.look().await, 0, "a day before");
    // pebble's certificates begin with the real time: ours is renewed whatever theirs says of its end.
    ours.clock.advance(DAY + life / 30);
    assert_eq!(ours.acme.look().await, 2);
    assert_ne!(ours.serial_of("a.example").as_ref(), Some(&serial));
    assert_eq!(pebble.orders(), 4);
    ours.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_name_that_fails_keeps_no_other_waiting_and_says_why() {
    let (ours, pebble) = Ours::new(&["astray.example", "good.example"], |_| {}).await;
    pebble.lead_astray("astray.example").await;
    assert_eq!(ours.acme.look().await, 1);
    assert!(ours.serial_of("good.example").is_some() && ours.serial_of("astray.example").is_none());
    let problem = ours.problem_of("astray.example");
    assert!(
        problem.contains("could not check the name by tls-alpn-01") && problem.contains("127.99.99.99"),
        "{problem}"
    );
    let orders = pebble.orders();
    assert_eq!((ours.acme.look().await, pebble.orders()), (0, orders), "not before it is time");
    let ours = ours.restart().await;
    assert_eq!((ours.acme.look().await, pebble.orders()), (0, orders), "nor after a restart");
    ours.clock.advance(Duration::from_secs(6 * 60));
    assert_eq!((ours.acme.look().await, pebble.orders()), (0, orders + 1));
    assert_eq!(ours.acme.figures()[0].failures, 2);
    ours.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_order_that_was_cut_off_goes_on() {
    let (ours, pebble) = Ours::new(&["cut.example"], |_| {}).await;
    {
        let mut looking = std::pin::pin!(ours.acme.look());
        let is_begun = || ours.store.acme_names().expect("read").iter().any(|row| row.order.is_some());
        // Dropped between the order and its certificate, as a `kill -9` would.
        while !is_begun() {
            assert!(futures_util::poll!(looking.as_mut()).is_pending(), "it was over before it could be cut off");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!((pebble.orders(), ours.serial_of("cut.example")), (1, None));
    let ours = ours.restart().await;
    assert_eq!(ours.acme.look().await, 1, "{:?}", ours.acme.figures());
    // The same order, or one more if the authority came to look while nobody was there: that order is lost then.
    assert!((1..=2).contains(&pebble.orders()), "{} orders", pebble.orders());
    let rows = ours.store.acme_names().expect("read");
    assert!(rows[0].order.is_none() && rows[0].unfinished == 0 && rows[0].certificate.is_some());
    ours.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_authority_that_is_down_or_forgets_us_costs_no_certificate() {
    let (ours, mut pebble) = Ours::new(&["a.example"], |_| {}).await;
    assert_eq!(ours.acme.look().await, 1);
    let serial = ours.serial_of("a.example").expect("a certificate");
    let mut authority = pebble.programs.pop().expect("pebble");
    authority.kill().and_then(|()| authority.wait()).expect("it ends");
    ours.clock.advance(61 * DAY + 365 * 4 * DAY);
    assert_eq!(ours.acme.look().await, 0);
    assert_eq!(ours.serial_of("a.example"), Some(serial.clone()), "the old one is served");
    assert!(ours.problem_of("a.example").contains("cannot connect to localhost"), "{}", ours.problem_of("a.example"));
    let next_try = ours.acme.figures()[0].next_try;
    let wait = next_try.since(ours.clock.now()).as_secs();
    assert!((60..=66).contains(&wait), "looked for again after {wait} s");

    // Another of the same address, which knows nobody: pebble keeps nothing.
    let fresh = Pebble::start(pebble.ports_checked.0, pebble.ports_checked.1, false).await;
    let mut config = ours.config.clone();
    config.acme.directory_url = fresh.directory();
    config.acme.ca_file = Some(fresh.authority());
    let row = ours.store.acme_account(&pebble.directory()).expect("read").expect("an account");
    let credentials = row.credentials.expose().replace(&format!(":{}/", pebble.port), &format!(":{}/", fresh.port));
    let moved = store::AcmeAccountRow { directory: fresh.directory(), credentials: Secret::new(credentials), ..row };
    ours.store.write(|t| t.put_acme_account(&moved)).expect("a commit");
    let ours = Ours { config, ..ours }.restart().await;
    ours.clock.advance(Duration::from_secs(70));
    assert_eq!(ours.acme.look().await, 1, "{}", ours.problem_of("a.example"));
    assert_ne!(ours.serial_of("a.example"), Some(serial));
    ours.tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_account_is_bound_to_a_customer_where_the_authority_wants_that() {
    for (key_id, is_known) in [(Some("kid-1"), true), (Some("kid-2"), false), (None, false)] {
        let listener = Listener::bind(
            &[SocketAddr::from(([127, 0, 0, 1], 0)).into()],
            &SocketAccess::default(),
            Admission::default(),
        )
        .expect("bound");
        let pebble = Pebble::start(free_port(), listener.addresses()[0].port(), true).await;
        let ours = Ours::beside(&pebble, listener, &["a.example"], |config| {
            let account = |id: &str| ExternalAccount { key_id: id.to_owned(), hmac_key: Secret::new(EAB_KEY) };
            config.external_account = key_id.map(account);
            config.challenge = ChallengeChoice::TlsAlpn01;
        });
        assert_eq!(ours.acme.look().await, usize::from(is_known), "{key_id:?}: {}", ours.problem_of("a.example"));
        assert_eq!(ours.problem_of("a.example").is_empty(), is_known);
        ours.tasks.stop(Duration::from_secs(5)).await;
    }
}

/// The built program: names by HTTP-01 on its plain listener, before the redirect, and a `kill -9` that costs nothing.
#[tokio::test]
async fn the_program_proves_its_names_by_http_and_survives_kill_9() {
    let (https, http) = (free_port(), free_port());
    let pebble = Pebble::start(http, https, false).await;
    let folder = TempDir::new().expect("a folder");
    let run = || {
        let path = |name: &str| folder.path().join(name).to_str().expect("a path").to_owned();
        let child = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .arg("serve")
            .current_dir(folder.path())
            .env("SLIPWAY_DATA_DIR", path("data"))
            .env("SLIPWAY_CERTS_DIR", path("certs"))
            .env("SLIPWAY_LISTENER_HTTPS", format!("127.0.0.1:{https}"))
            .env("SLIPWAY_LISTENER_HTTP", format!("127.0.0.1:{http}"))
            .env("SLIPWAY_HUB_BIND", format!("127.0.0.1:{}", free_port()))
            .env("SLIPWAY_SPAWNER_BACKEND", "static")
            .env("SLIPWAY_SPAWNER_STATIC_UPSTREAM", "http://127.0.0.1:9")
            .env("SLIPWAY_ACME_NAMES", "c.example,d.example")
            .env("SLIPWAY_ACME_ACCEPT_TERMS", "true")
            .env("SLIPWAY_ACME_CHALLENGE", "http-01")
            .env("SLIPWAY_ACME_DIRECTORY_URL", pebble.directory())
            .env("SLIPWAY_ACME_CA_FILE", pebble.authority())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Running(child.expect("the program starts"))
    };
    let first = run();
    let until = Instant::now() + START_LIMIT;
    while pebble.orders() == 0 {
        assert!(Instant::now() < until, "nothing was ordered");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // SIGKILL, wherever it is.
    drop(first);
    let _second = run();
    let root = pebble.root().await;
    let until = Instant::now() + START_LIMIT;
    let mut missing: BTreeSet<&str> = ["c.example", "d.example"].into();
    while let Some(name) = missing.first().copied() {
        assert!(Instant::now() < until, "no certificate for {missing:?}");
        if is_served(https, name, &root).await {
            missing.remove(name);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // At most what was asked for and not yet written down when the end came.
    assert!((2..=4).contains(&pebble.orders()), "{} orders for two names", pebble.orders());
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn is_served(port: u16, name: &str, root: &CertificateDer<'static>) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let Ok(stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let name = name.to_owned().try_into().expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.is_ok()
}
