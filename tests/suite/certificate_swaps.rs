//! A thousand changes of the certificate under load, two hundred of them broken in the ways in which people break them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use slipway::listener::{Admission, Certificates, Config, Listener, Serve, SocketAccess, acceptor};
use slipway::model::SystemClock;
use slipway::tasks::{Lanes, Tasks};
use tokio_rustls::TlsConnector;

use crate::client::trusting_anybody;

const SWAPS: usize = 1000;
/// Every fifth is broken.
const BROKEN_EVERY: usize = 5;
const CLIENTS: usize = 3;
/// The program looks every two seconds; a thousand times that nobody waits for.
const POLL: Duration = Duration::from_millis(2);
/// Polls after which a new certificate must be served: one to see it, and what a busy machine takes.
const LIMIT: Duration = Duration::from_secs(2);

struct Pair {
    certificate: String,
    key: String,
    serial: String,
}

fn make(year: i32) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(vec!["lab.example".to_owned()]).expect("a name");
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    let certificate = parameters.self_signed(&key).expect("signed");
    let (_, read) = x509_parser::parse_x509_certificate(certificate.der()).expect("a certificate");
    let serial = format!("{:x}", read.tbs_certificate.serial);
    Pair { certificate: certificate.pem(), key: key.serialize_pem(), serial }
}

/// Leaves the folder as somebody does who makes mistake number `kind`.
fn break_it(folder: &Path, kind: usize) {
    let pair = make(2099);
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let (certificate, key) = match kind % 5 {
        0 => (half(&pair.certificate), pair.key),
        1 => (pair.certificate, make(2099).key),
        2 => {
            let expired = make(2020);
            (expired.certificate, expired.key)
        }
        3 => (String::new(), String::new()),
        _ => (pair.certificate, half(&pair.key)),
    };
    write(folder, &certificate, &key);
}

fn write(folder: &Path, certificate: &str, key: &str) {
    std::fs::write(folder.join("cert.pem"), certificate).expect("written");
    std::fs::write(folder.join("key.pem"), key).expect("written");
}

fn served(certificates: &Certificates) -> String {
    certificates.all()[0].serial.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_handshake_fails_while_certificates_change_and_the_newest_good_one_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let certs = folder.path().join("certs");
    std::fs::create_dir(&certs).expect("a folder");
    let first = make(2099);
    write(&certs, &first.certificate, &first.key);
    let config = Config {
        certs_dir: certs.clone(),
        data_dir: folder.path().join("data"),
        certificate_poll: POLL,
        ..Config::default()
    };
    let certificates = Certificates::load(&config, "box", Arc::new(SystemClock)).expect("a pair is there");
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(&[local.into()], &SocketAccess::default(), Admission::default()).expect("bound");
    let address = listener.addresses()[0];
    let serve: Serve = Arc::new(|_| Box::pin(async {}));
    listener.run(
        &Lanes::start(&tasks).expect("threads"),
        Some(acceptor(&config, certificates.clone()).expect("TLS")),
        serve,
    );
    tasks.spawn(certificates.clone().watch(tasks.stopping().clone(), |_| {}));

    let (is_over, shaken, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (is_over, shaken, failed) = (is_over.clone(), shaken.clone(), failed.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    // Anew each time: a resumed session would show nobody's certificate.
                    let connector = TlsConnector::from(Arc::new(trusting_anybody(&[b"http/1.1"])));
                    let stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
                    let name = "lab.example".try_into().expect("a name");
                    let count = if connector.connect(name, stream).await.is_ok() { &shaken } else { &failed };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let (mut good, mut slowest, mut all) = (first.serial, Duration::ZERO, Duration::ZERO);
    for number in 1..=SWAPS {
        if number % BROKEN_EVERY == 0 {
            break_it(&certs, number / BROKEN_EVERY);
            // Looked at here too, so that nobody has to guess when the watcher has seen it.
            let looking = certificates.clone();
            tokio::task::spawn_blocking(move || looking.look()).await.expect("no panic");
            assert_eq!(served(&certificates), good, "broken change number {number}");
            continue;
        }
        let pair = make(2099);
        write(&certs, &pair.certificate, &pair.key);
        let begun = Instant::now();
        while served(&certificates) != pair.serial {
            assert!(begun.elapsed() < LIMIT, "change number {number} is not served");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        slowest = slowest.max(begun.elapsed());
        all += begun.elapsed();
        good = pair.serial;
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no panic");
    }
    let (shaken, failed) = (shaken.load(Ordering::Relaxed), failed.load(Ordering::Relaxed));
    let mean = all / u32::try_from(SWAPS - SWAPS / BROKEN_EVERY).expect("a count");
    let told = format!(
        "{SWAPS} changes, {} broken, poll {POLL:?}: {shaken} handshakes; served after {mean:?}, at most {slowest:?}",
        SWAPS / BROKEN_EVERY
    );
    assert_eq!(failed, 0, "{told}");
    assert!(shaken > SWAPS / 2, "too little load: {shaken} handshakes");
    tasks.stop(Duration::from_secs(5)).await;
}
