//! Pairs by content, choice by name, and a folder in every state in which people leave one.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::*;

/// 2026-11-22.
const NOW: i64 = 1_795_305_600_000;

struct ManualClock(AtomicI64);
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct Folder {
    root: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Folder {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("certs")).expect("a folder");
        Self { root, clock: Arc::new(ManualClock(AtomicI64::new(NOW))) }
    }
    fn certs(&self) -> std::path::PathBuf {
        self.root.path().join("certs")
    }
    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.certs().join(name), content).expect("written");
    }
    fn load(&self) -> Arc<Certificates> {
        let config = Config { certs_dir: self.certs(), data_dir: self.root.path().join("data"), ..Config::default() };
        Certificates::load(&config, "Box.example", self.clock.clone()).expect("something to serve")
    }
}

/// A certificate for `names` that ends in `year`, and its key.
fn make(names: &[&str], year: i32) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(names).expect("names");
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    (parameters.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

fn chosen(certificates: &Certificates, host: Option<&str>) -> String {
    let served = certificates.served.load();
    choose(&served.pairs, host, Timestamp(NOW), |_| true).expect("something is served").names.join(",")
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[test]
fn pairs_are_found_by_content_whatever_the_files_are_called() {
    let folder = Folder::new();
    let (first, first_key) = make(&["a.example"], 2030);
    let (second, second_key) = make(&["b.example"], 2031);
    folder.write("zeta.txt", &second_key);
    folder.write("alpha", &second);
    folder.write("both.pem", &format!("{first_key}\n{first}"));
    folder.write("README.md", "Drop your certificates here.");
    folder.write(".both.pem.swp", "-----BEGIN CERTIFICATE-----\nhalf");
    let certificates = folder.load();
    assert_eq!(certificates.names(), ["a.example", "b.example"]);
    assert!(!certificates.is_self_signed());
}

#[test]
fn the_certificate_is_chosen_by_name_then_wildcard_then_longest_valid() {
    let folder = Folder::new();
    for (file, names, year) in [
        ("1", &["a.example"][..], 2028),
        ("2", &["*.example"], 2029),
        ("3", &["other.test"], 2035),
        ("4", &["expired.test", "z.test"], 2020),
        ("5", &["a.example"], 2027),
    ] {
        let (certificate, key) = make(names, year);
        folder.write(file, &(certificate + &key));
    }
    let certificates = folder.load();
    assert_eq!(chosen(&certificates, Some("a.example")), "a.example");
    assert_eq!(chosen(&certificates, Some("b.example")), "*.example");
    assert_eq!(chosen(&certificates, Some("c.b.example")), "other.test");
    assert_eq!(chosen(&certificates, Some("expired.test")), "expired.test,z.test");
    assert_eq!(chosen(&certificates, None), "other.test");
    assert!(certificates.covers("b.example") && !certificates.covers("c.b.example") && !certificates.covers("example"));
    let served = certificates.served.load();
    let a = choose(&served.pairs, Some("a.example"), Timestamp(NOW), |_| true).expect("served");
    assert_eq!(a.file, "1", "of two for one name the one that is good for longer");
}

#[test]
fn a_chain_is_completed_from_the_folder_and_ends_before_the_root() {
    let folder = Folder::new();
    let root_key = KeyPair::generate().expect("a key");
    let mut root = CertificateParams::new(Vec::new()).expect("no names");
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.distinguished_name.push(rcgen::DnType::CommonName, "root");
    let root_certificate = root.self_signed(&root_key).expect("signed");
    let root_issuer = Issuer::new(root, root_key);
    let middle_key = KeyPair::generate().expect("a key");
    let mut middle = CertificateParams::new(Vec::new()).expect("no names");
    middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    middle.distinguished_name.push(rcgen::DnType::CommonName, "middle");
    let middle_certificate = middle.signed_by(&middle_key, &root_issuer).expect("signed");
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&leaf_key, &Issuer::new(middle, middle_key)).expect("signed");
    folder.write("roots.pem", &(root_certificate.pem() + &middle_certificate.pem()));
    folder.write("cert.pem", &leaf.pem());
    folder.write("key.pem", &leaf_key.serialize_pem());
    let certificates = folder.load();
    let served = certificates.served.load();
    assert_eq!(served.pairs[0].key.cert, [leaf.der().clone(), middle_certificate.der().clone()]);
    assert_eq!(served.pairs.len(), 1);
}

#[test]
fn a_broken_mismatched_or_half_written_pair_leaves_the_old_one() {
    let folder = Folder::new();
    let (certificate, key) = make(&["a.example"], 2030);
    folder.write("cert.pem", &certificate);
    folder.write("key.pem", &key);
    let certificates = folder.load();
    let before = certificates.served.load().pairs[0].clone();
    let stays = |what: &str| {
        assert!(!certificates.look(), "{what}");
        let served = certificates.served.load();
        assert!(served.pairs.len() == 1 && served.pairs[0].is_same(&before), "{what}");
    };
    let (renewed, renewed_key) = make(&["a.example"], 2031);
    stays("nothing has changed");
    folder.write("cert.pem", &renewed);
    stays("the key is still the old one");
    folder.write("key.pem", &renewed_key[..renewed_key.len() / 2]);
    stays("half a key");
    folder.write("key.pem", "");
    stays("an empty file");
    folder.write("key.pem", &renewed_key.replace('A', "!"));
    stays("not base64");
    folder.write("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    stays("not a certificate");
    std::fs::remove_file(folder.certs().join("cert.pem")).expect("removed");
    std::fs::remove_file(folder.certs().join("key.pem")).expect("removed");
    stays("an empty folder");

    folder.write("cert.pem", &renewed);
    folder.write("key.pem", &renewed_key);
    assert!(certificates.look());
    assert!(!certificates.served.load().pairs[0].is_same(&before));
    assert!(!certificates.look());
}

#[test]
fn a_problem_is_found_once_and_named() {
    let folder = Folder::new();
    let (certificate, _) = make(&["a.example"], 2030);
    let (_, stray_key) = make(&["b.example"], 2030);
    folder.write("cert.pem", &certificate);
    folder.write("key.pem", &stray_key);
    folder.write("locked.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let files = pairs::read_folder(&folder.certs()).expect("readable");
    let found = pairs::match_pairs(&files, &rustls::crypto::aws_lc_rs::default_provider());
    assert!(found.pairs.is_empty());
    assert_eq!(
        found.problems,
        [
            Problem::EncryptedKey { file: "locked.pem".into() },
            Problem::NoKey { file: "cert.pem".into(), names: "a.example".into() },
            Problem::NoCertificate { file: "key.pem".into() },
        ]
    );
    // With nothing usable in the folder there is still something to serve.
    assert!(folder.load().is_self_signed());
}

#[test]
fn a_good_pair_is_taken_up_beside_a_broken_one() {
    let folder = Folder::new();
    let (a, a_key) = make(&["a.example"], 2030);
    folder.write("a.pem", &(a + &a_key));
    let certificates = folder.load();
    let (b, b_key) = make(&["b.example"], 2030);
    folder.write("b.pem", &(b + &b_key));
    folder.write("a.pem", "-----BEGIN CERTIFICATE-----\nhalf");
    assert!(certificates.look());
    assert_eq!(certificates.names(), ["a.example", "b.example"], "the old pair of a broken file stays");
    std::fs::remove_file(folder.certs().join("a.pem")).expect("removed");
    assert!(certificates.look());
    assert_eq!(certificates.names(), ["b.example"], "a removed one goes");
}

#[test]
fn without_certificates_one_is_made_kept_and_renewed_before_its_end() {
    let folder = Folder::new();
    let certificates = folder.load();
    assert!(certificates.is_self_signed());
    assert_eq!(certificates.names(), ["box.example", "localhost"]);
    let first = certificates.served.load().pairs[0].clone();
    assert_eq!(first.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.1", "::1"]);
    let tls = folder.root.path().join("data/tls");
    assert_eq!((mode_of(&tls), mode_of(&tls.join("key.pem"))), (0o700, 0o600));

    let after_restart = folder.load();
    assert!(after_restart.served.load().pairs[0].is_same(&first), "the same one after a restart");

    let day = 24 * 3_600_000;
    folder.clock.0.store(NOW + 300 * day, Ordering::Relaxed);
    assert!(!certificates.look());
    folder.clock.0.store(NOW + 380 * day, Ordering::Relaxed);
    assert!(certificates.look(), "renewed before its end");
    let second = certificates.served.load().pairs[0].clone();
    assert!(!second.is_same(&first) && second.ends_at > first.ends_at);

    let (a, a_key) = make(&["a.example"], 2035);
    folder.write("a.pem", &(a + &a_key));
    assert!(certificates.look());
    assert_eq!(certificates.names(), ["a.example"], "an operator's certificate takes its place");
}

#[test]
fn a_folder_that_is_missing_is_an_empty_one() {
    let folder = Folder::new();
    std::fs::remove_dir(folder.certs()).expect("removed");
    assert!(folder.load().is_self_signed());
}
