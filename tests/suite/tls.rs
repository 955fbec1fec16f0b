//! HTTPS for real names through the whole program: clients' certificates, versions, which certificate who is shown, HSTS,
//! and what plain HTTP answers.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{ANSWER_LIMIT, trusting_anybody, trusting_anybody_in};
use crate::routers::{in_clear, world_with};
use crate::world::World;

const PROTOCOLS: [&[u8]; 2] = [b"http/1.1", b"h2"];

/// Who vouches for people.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(Vec::<String>::new()).expect("no names");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    /// Shows somebody's certificate of this authority wherever one is asked for.
    fn shown_by(&self, mut config: ClientConfig) -> ClientConfig {
        let key = KeyPair::generate().expect("a key");
        let parameters = CertificateParams::new(vec!["alice".to_owned()]).expect("a name");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("signed").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let shown = CertifiedKey::from_der(vec![certificate], key, &aws_lc_rs::default_provider()).expect("a pair");
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown));
        config
    }
}

async fn tls(world: &World, config: &ClientConfig, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(world.address()).await?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    TlsConnector::from(Arc::new(config.clone())).connect(name, tcp).await
}

/// Handshakes for `name`, asks for `https://{host}{path}` and gives the answer's status and head; nothing if the
/// connection ends without one.
async fn ask_named(
    world: &World,
    config: &ClientConfig,
    name: &str,
    host: &str,
    path: &str,
) -> Option<(u16, HeaderMap)> {
    let exchange = async {
        let stream = tls(world, config, name).await.ok()?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let request = Request::get(if is_http2 { format!("https://{host}{path}") } else { path.to_owned() });
        let response = if is_http2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.ok()?;
            tokio::spawn(connection);
            sender.send_request(request.body(Empty::<Bytes>::new()).expect("a request")).await
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
            tokio::spawn(connection);
            sender.send_request(request.header("host", host).body(Empty::<Bytes>::new()).expect("a request")).await
        };
        let response = response.ok()?;
        Some((response.status().as_u16(), response.headers().clone()))
    };
    tokio::time::timeout(ANSWER_LIMIT, exchange).await.expect("an answer or an end in time")
}

async fn ask(world: &World, config: &ClientConfig, host: &str, path: &str) -> Option<(u16, HeaderMap)> {
    ask_named(world, config, host, host, path).await
}

async fn status(world: &World, config: &ClientConfig, host: &str, path: &str) -> Option<u16> {
    ask(world, config, host, path).await.map(|(status, _)| status)
}

const CARDS: &str = r#"
http:
  routers:
    cards: {rule: "Host(`cards.test`)", service: target, clientCertificate: required}
    open: {rule: "Host(`open.test`)", service: target}
  services:
    target: {loadBalancer: {servers: [{url: "http://TARGET"}]}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_wants_a_clients_certificate_is_for_who_shows_one_of_our_authority_alone() {
    let (people, others) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("people.pem");
    std::fs::write(&file, &people.pem).expect("written");
    let client_ca = ("SLIPWAY_LISTENER_TLS_CLIENT_CA", file.to_str().expect("a plain path"));
    let (world, _target) = world_with(CARDS, &[client_ca]).await;
    for protocol in PROTOCOLS {
        for versions in [&[&TLS12], &[&TLS13]] {
            let bare = trusting_anybody_in(versions, &[protocol]);
            let said = (String::from_utf8_lossy(protocol), versions);
            assert_eq!(status(&world, &bare, "cards.test", "/x").await, Some(403), "without one: {said:?}");
            assert_eq!(status(&world, &bare, "open.test", "/x").await, Some(200), "none is needed: {said:?}");
            assert_eq!(status(&world, &bare, "localhost", "/hub/login").await, Some(200), "nor here: {said:?}");

            let alice = people.shown_by(trusting_anybody_in(versions, &[protocol]));
            // The second time by a resumed session.
            for _ in 0..2 {
                assert_eq!(status(&world, &alice, "cards.test", "/x").await, Some(200), "{said:?}");
            }
            // Shown to one host, and then another one asked for.
            let (crossed, _) = ask_named(&world, &alice, "open.test", "cards.test", "/x").await.expect("an answer");
            assert!([403, 421].contains(&crossed), "{crossed} {said:?}");

            let mallory = others.shown_by(trusting_anybody_in(versions, &[protocol]));
            for host in ["cards.test", "open.test"] {
                assert_eq!(status(&world, &mallory, host, "/x").await, None, "nobody vouches: {host} {said:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_version_is_the_one_that_is_set() {
    let (old, new) = (trusting_anybody_in(&[&TLS12], &[b"h2"]), trusting_anybody_in(&[&TLS13], &[b"h2"]));
    let world = World::new().await;
    assert_eq!(status(&world, &old, "localhost", "/hub/login").await, Some(200));
    let world = world.restart_with(&[("SLIPWAY_LISTENER_TLS_MIN_VERSION", "1.3")]).await;
    assert_eq!(status(&world, &old, "localhost", "/hub/login").await, None);
    assert_eq!(status(&world, &new, "localhost", "/hub/login").await, Some(200));
}

/// A certificate for `names` and its key as files `{file}.crt` and `{file}.key` of the world's folder of certificates.
fn put_certificate(world: &World, file: &str, names: &[&str], year: i32) -> CertificateDer<'static> {
    let folder = world.folder.path().join("certs");
    std::fs::create_dir_all(&folder).expect("a folder");
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = parameters.self_signed(&key).expect("signed");
    std::fs::write(folder.join(format!("{file}.crt")), certificate.pem()).expect("written");
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).expect("written");
    certificate.der().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_certificates_each_name_gets_its_own_also_by_a_wildcard() {
    let world = World::new().await;
    let one = put_certificate(&world, "one", &["lab.example"], 2060);
    let wild = put_certificate(&world, "wild", &["*.team.example"], 2050);
    let two = put_certificate(&world, "two", &["docs.example", "api.example"], 2050);
    // Traefik's list beside them, as old stacks have it.
    let list = "tls:\n  certificates:\n    - {certFile: /certs/one.crt, keyFile: /certs/one.key}\n    \
                - {certFile: /certs/wild.crt, keyFile: /certs/wild.key}\n    \
                - {certFile: /certs/two.crt, keyFile: /certs/two.key}\n";
    std::fs::write(world.folder.path().join("certs/certs.yml"), list).expect("written");
    let world = world.restart().await;
    let client = trusting_anybody(&[b"h2"]);
    for (name, expected) in [
        ("lab.example", &one),
        ("LAB.example", &one),
        ("x.team.example", &wild),
        ("docs.example", &two),
        ("api.example", &two),
        // A wildcard stands for one label; whoever asks for none of the names gets what lasts longest.
        ("a.b.team.example", &one),
        ("team.example", &one),
        ("elsewhere.example", &one),
    ] {
        let stream = tls(&world, &client, name).await.expect("a handshake");
        let shown = stream.get_ref().1.peer_certificates().expect("a certificate");
        assert!(shown[0] == *expected, "{name}");
    }
    // Each of these names is ours, and no other is.
    for name in ["lab.example", "x.team.example", "api.example"] {
        assert_eq!(status(&world, &client, name, "/hub/login").await, Some(200), "{name}");
    }
    for name in ["a.b.team.example", "elsewhere.example"] {
        assert_eq!(status(&world, &client, name, "/hub/login").await, Some(421), "{name}");
    }
}

const HOSTS: &str = r#"
http:
  routers:
    own: {rule: "Host(`app.test`)", service: target}
    part: {rule: "Host(`part.test`) && PathPrefix(`/x`)", service: target}
    here: {rule: "PathPrefix(`/r-here`)", service: target}
    clear: {rule: "PathPrefix(`/r-clear`)", service: target, entryPoints: [web]}
  services:
    target: {loadBalancer: {servers: [{url: "http://TARGET"}]}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn strict_transport_is_promised_for_our_host_alone() {
    let variables = [("SLIPWAY_LISTENER_HTTP", "127.0.0.1:0"), ("SLIPWAY_LISTENER_HSTS_MAX_AGE_S", "31536000")];
    let (world, _target) = world_with(HOSTS, &variables).await;
    for protocol in PROTOCOLS {
        let client = trusting_anybody(&[protocol]);
        for (host, path, status, is_promised) in [
            ("localhost", "/hub/login", 200, true),
            ("localhost", "/hub/never", 404, true),
            ("localhost", "/r-here/x", 200, true),
            // Whose host that is decides for it, with all that is below it and on other ports.
            ("app.test", "/x", 200, false),
            ("part.test", "/x", 200, false),
            ("part.test", "/y", 404, false),
            ("nobodys.test", "/", 421, false),
        ] {
            let (found, head) = ask(&world, &client, host, path).await.expect("an answer");
            assert_eq!(found, status, "{host}{path}");
            let promise = head.get("strict-transport-security").map(|value| value.to_str().expect("text"));
            assert_eq!(promise, is_promised.then_some("max-age=31536000"), "{host}{path}");
        }
    }
    // In clear text nothing is promised: all goes to HTTPS, but for what may not.
    for (method, path, beginning) in [
        (Method::GET, "/hub/login", "HTTP/1.1 301"),
        (Method::GET, "/r-here/x", "HTTP/1.1 301"),
        (Method::GET, "/.well-known/acme-challenge/unknown", "HTTP/1.1 301"),
        (Method::POST, "/hub/login", "HTTP/1.1 308"),
        (Method::GET, "/r-clear/x", "HTTP/1.1 200"),
        (Method::GET, "/healthz", "HTTP/1.1 200"),
    ] {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0");
        let answer = in_clear(&world, &head).await;
        assert!(answer.starts_with(beginning), "{method} {path}: {answer}");
        let is_sent_on = answer.contains(&format!("location: https://localhost:{}{path}\r\n", world.address().port()));
        assert_eq!(is_sent_on, !beginning.ends_with("200"), "{method} {path}: {answer}");
        assert!(!answer.to_ascii_lowercase().contains("strict-transport"), "{method} {path}: {answer}");
    }
}
