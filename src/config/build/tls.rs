//! Settings of TLS: versions, clients' certificates, HSTS, and the certificates that are ordered.

use super::super::settings::{Note, Origin};
use super::Reader;
use crate::edge::Hsts;
use crate::listener::acme::{self, ChallengeChoice, ExternalAccount};
use crate::listener::{self, ListenAddress, TlsConfig, TlsVersion};
use crate::model::Secret;

const NAMES: &str = "acme.names";
const EAB_ID: &str = "acme.eab_key_id";
const EAB_KEY: &str = "acme.eab_hmac_key";
const PRELOAD: &str = "listener.hsts.preload";
const MAX_AGE: &str = "listener.hsts.max_age_s";
/// What the lists of browsers want at least.
const PRELOAD_LEAST_S: u64 = 31_536_000;
/// Certificates that are ordered. 100: one order each; an authority gives 50 a week below one domain.
const NAMES_LIMIT: usize = 100;

pub(super) fn versions_and_clients(read: &Reader<'_>) -> TlsConfig {
    TlsConfig {
        min_version: if read.text("listener.tls.min_version") == "1.3" { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
        client_ca: Some(read.path("listener.tls.client_ca")).filter(|path| !path.as_os_str().is_empty()),
    }
}

pub(super) fn hsts(read: &mut Reader<'_>) -> Hsts {
    let hsts = Hsts {
        max_age_s: read.seconds(MAX_AGE),
        include_subdomains: read.flag("listener.hsts.include_subdomains"),
        preload: read.flag(PRELOAD),
        without_public_url: read.settings.get(MAX_AGE).origin != Origin::Default,
    };
    if hsts.preload && !(hsts.include_subdomains && hsts.max_age_s >= PRELOAD_LEAST_S) {
        let problem = "needs listener.hsts.include_subdomains = true and listener.hsts.max_age_s = 31536000 or more: \
                       browsers' lists take nothing less";
        read.refuse(PRELOAD, problem.into());
    }
    hsts
}

pub(super) fn acme(read: &mut Reader<'_>) -> acme::Config {
    let mut names: Vec<String> = read.parsed_all(NAMES, name);
    names.sort();
    names.dedup();
    if names.len() > NAMES_LIMIT {
        read.refuse(
            NAMES,
            format!("must be {NAMES_LIMIT} or fewer; take a wildcard certificate as a file in certs_dir"),
        );
    }
    if !names.is_empty() && !read.flag("acme.accept_terms") {
        let problem = "needs acme.accept_terms = true: read the authority's terms, and say so here";
        read.refuse(NAMES, problem.into());
    }
    let has_http = !read.texts("listener.http").is_empty();
    let challenge = match read.text("acme.challenge").as_str() {
        "http-01" => ChallengeChoice::Http01,
        "tls-alpn-01" => ChallengeChoice::TlsAlpn01,
        _ => ChallengeChoice::Auto,
    };
    if challenge == ChallengeChoice::Http01 && !has_http && !names.is_empty() {
        let problem = "needs listener.http, which the authority comes to, as in listener.http = [\"[::]:80\"]";
        read.refuse("acme.challenge", problem.into());
    }
    acme::Config {
        names,
        email: read.optional("acme.email", email),
        directory_url: read.parsed("acme.directory_url", directory).unwrap_or_default(),
        ca_file: Some(read.path("acme.ca_file")).filter(|path| !path.as_os_str().is_empty()),
        external_account: external_account(read),
        challenge,
        has_http,
        ..acme::Config::default()
    }
}

/// What keeps an authority from reaching us, as far as the settings tell: it comes to port 443 or 80.
pub(super) fn unreachable(config: &listener::Config) -> Option<Note> {
    // On which port systemd listens is said in its unit.
    let has = |addresses: &[ListenAddress], wanted: u16| {
        addresses.iter().any(|address| match address {
            ListenAddress::Tcp(address) => address.port() == wanted,
            ListenAddress::Systemd(_) => true,
            ListenAddress::Unix(_) => false,
        })
    };
    let (by_tls, by_http) = (has(&config.https, 443), has(&config.http, 80));
    let (port, key) = match config.acme.challenge {
        ChallengeChoice::TlsAlpn01 if !by_tls => (443, "listener.https"),
        ChallengeChoice::Http01 if !by_http => (80, "listener.http"),
        ChallengeChoice::Auto if !by_tls && !by_http => (443, "listener.https"),
        _ => return None,
    };
    let text =
        format!("acme.names: the authority comes to port {port} of each name, which {key} does not have; map it here");
    (!config.acme.names.is_empty()).then_some(Note { is_warning: true, text })
}

/// A host name that an authority can check: lower case, letters, digits and hyphens, at least two labels.
fn name(text: &str) -> Result<String, String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    if name.starts_with("*.") {
        return Err("a wildcard cannot be proven by port 80 or 443; put its certificate into certs_dir".into());
    }
    let is_label = |label: &str| {
        let is_fine = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && is_fine && !label.starts_with('-') && !label.ends_with('-')
    };
    let last_is_a_word =
        name.rsplit('.').next().is_some_and(|label| label.bytes().any(|byte| byte.is_ascii_alphabetic()));
    if name.len() <= 253 && name.contains('.') && name.split('.').all(is_label) && last_is_a_word {
        return Ok(name);
    }
    Err("must be a host name that the world can find, as in \"lab.example.org\"; one with other letters in its form xn--…".into())
}

fn email(text: &str) -> Result<String, String> {
    let is_fine = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '?' | '<' | '>');
    match text.split_once('@') {
        Some((person, host)) if !person.is_empty() && host.contains('.') && text.chars().all(is_fine) => {
            Ok(text.into())
        }
        _ => Err("must be one address, as in \"ops@example.org\"".into()),
    }
}

fn directory(text: &str) -> Result<String, String> {
    let uri: Option<http::Uri> = text.parse().ok();
    let is_fine = uri.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
    if is_fine { Ok(text.to_owned()) } else { Err("must be the https address of an ACME directory".into()) }
}

fn external_account(read: &mut Reader<'_>) -> Option<ExternalAccount> {
    match (read.text(EAB_ID), read.text(EAB_KEY)) {
        (id, key) if id.is_empty() && key.is_empty() => None,
        (id, key) if !id.is_empty() && !key.is_empty() => {
            if !acme::is_external_key(&key) {
                read.refuse(EAB_KEY, "must be base64, as the authority shows it".into());
            }
            Some(ExternalAccount { key_id: id, hmac_key: Secret::new(key) })
        }
        (id, _) => {
            let missing = if id.is_empty() { EAB_ID } else { EAB_KEY };
            read.refuse(missing, format!("{EAB_ID} and {EAB_KEY} belong together: set both or none"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(settings: &[(&str, &str)]) -> Vec<String> {
        let environment = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mistakes = crate::config::load(None, environment).err().unwrap_or_default();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_that_no_authority_can_check_are_refused() {
        for wrong in ["localhost", "10.0.0.7", "*.example.org", "a_b.example.org", "-a.example.org", "a..b", "ä.de", ""]
        {
            assert!(name(wrong).is_err(), "{wrong}");
        }
        assert_eq!(name("Lab.Example.org.").as_deref(), Ok("lab.example.org"));
        let names = ("SLIPWAY_ACME_NAMES", "lab.example.org");
        assert!(mistakes(&[names])[0].contains("acme.accept_terms = true"));
        assert_eq!(mistakes(&[names, ("SLIPWAY_ACME_ACCEPT_TERMS", "true")]), [""; 0]);
    }

    #[test]
    fn a_port_that_no_authority_comes_to_is_told() {
        let port = |challenge, https: u16, http: Option<u16>| {
            let at = |port| ListenAddress::Tcp(std::net::SocketAddr::from(([0; 8], port)));
            let acme = acme::Config { names: vec!["lab.example.org".into()], challenge, ..acme::Config::default() };
            let http = http.map(at).into_iter().collect();
            let config = listener::Config { https: vec![at(https)], http, acme, ..listener::Config::default() };
            unreachable(&config).map(|note| note.text.contains("port 443"))
        };
        assert_eq!(port(ChallengeChoice::Auto, 8443, None), Some(true));
        assert_eq!(port(ChallengeChoice::Auto, 8443, Some(80)), None);
        assert_eq!(port(ChallengeChoice::TlsAlpn01, 443, None), None);
        assert_eq!(port(ChallengeChoice::Http01, 443, Some(8080)), Some(false));
        assert_eq!(unreachable(&listener::Config::default()).map(|note| note.text), None, "nothing is ordered");
    }

    #[test]
    fn what_belongs_together_is_set_together() {
        let names = [("SLIPWAY_ACME_NAMES", "lab.example.org"), ("SLIPWAY_ACME_ACCEPT_TERMS", "true")];
        let with = |more: &[(&'static str, &'static str)]| mistakes(&[&names[..], more].concat());
        assert!(with(&[("SLIPWAY_ACME_CHALLENGE", "http-01")])[0].contains("listener.http"));
        assert!(with(&[("SLIPWAY_ACME_EAB_KEY_ID", "kid")])[0].contains("belong together"));
        let odd = with(&[("SLIPWAY_ACME_EAB_KEY_ID", "kid"), ("SLIPWAY_ACME_EAB_HMAC_KEY", "not base64!")]);
        assert!(odd[0].contains("must be base64") && !odd[0].contains("not base64!"), "{odd:?}");
        assert!(with(&[("SLIPWAY_ACME_DIRECTORY_URL", "http://ca.example/dir")])[0].contains("https"));
        assert!(with(&[("SLIPWAY_LISTENER_HSTS_PRELOAD", "true")])[0].contains("include_subdomains"));
    }
}
