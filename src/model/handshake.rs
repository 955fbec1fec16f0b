//! What a TLS handshake said, as far as anybody asks later: the protocol, the name, and who the client showed to be.

use std::sync::Arc;

use super::{Protocol, Security, Timestamp};

/// What the handshake of one connection said. A clone, of which each HTTP/2 request takes one, costs a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// What ALPN chose.
    pub protocol: Protocol,
    /// Which TLS it is, for logs.
    pub facts: Option<TlsFacts>,
    /// `None`: the client named nothing and showed nothing.
    said: Option<Arc<Said>>,
}

/// Which TLS a connection speaks, in the words of Traefik's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// As IANA names it: `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
}

#[derive(Debug, PartialEq, Eq)]
struct Said {
    server_name: Option<Box<str>>,
    client: Option<ClientCertificate>,
}

/// A client's certificate that was verified against `listener.tls.client_ca` in the handshake: the client holds its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject, as in `CN=alice, O=Example`; may be empty.
    pub subject: String,
    /// Its issuer, in the same form.
    pub issuer: String,
    /// Serial number in lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
    /// Until when it is good.
    pub ends_at: Timestamp,
}

impl ClientCertificate {
    /// The fingerprint in lower-case hexadecimal, as `openssl x509 -fingerprint -sha256` has it but for its colons.
    #[must_use]
    pub fn fingerprint_hex(&self) -> String {
        use std::fmt::Write as _;
        self.fingerprint.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl Handshake {
    /// A handshake that chose `protocol` and said nothing else.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, facts: None, said: None }
    }

    /// As `new`, with the name that the client asked for (SNI; lower case) and the certificate that it showed.
    #[must_use]
    pub fn with(protocol: Protocol, server_name: Option<&str>, client: Option<ClientCertificate>) -> Self {
        let has_said = server_name.is_some() || client.is_some();
        let said = has_said.then(|| Arc::new(Said { server_name: server_name.map(Into::into), client }));
        Self { protocol, facts: None, said }
    }

    /// The name that the client asked for (SNI), in lower case.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.said.as_ref()?.server_name.as_deref()
    }

    /// The certificate that the client showed; `None` if it showed none, or none was asked for.
    #[must_use]
    pub fn client(&self) -> Option<&ClientCertificate> {
        self.said.as_ref()?.client.as_ref()
    }

    /// False if the client named another host in its handshake than `host` (lower case, no port) in its request. A
    /// client that named none asked for an address, or is old.
    #[must_use]
    pub fn asked_for(&self, host: &str) -> bool {
        self.server_name().is_none_or(|name| name == host)
    }
}

/// Whether a router's visitors must show a client's certificate: the option `slipway.client-certificate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificateRule {
    /// Nobody asks for one.
    #[default]
    NotAsked,
    /// Only who has shown one that `listener.tls.client_ca` vouches for.
    Required,
}

impl ClientCertificateRule {
    /// True if a request to `host` (lower case, no port) on a connection of this `security` may pass. What a proxy in
    /// front of us says of certificates counts for nothing: it is the connection to us that must show one.
    #[must_use]
    pub fn is_met(self, security: &Security, host: &str) -> bool {
        match (self, security) {
            (Self::NotAsked, _) => true,
            (Self::Required, Security::Tls(handshake)) => handshake.client().is_some() && handshake.asked_for(host),
            (Self::Required, Security::Plain | Security::PlainOnTlsPort) => false,
        }
    }
}

impl std::str::FromStr for ClientCertificateRule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "required" => Ok(Self::Required),
            "none" => Ok(Self::NotAsked),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> ClientCertificate {
        ClientCertificate {
            subject: "CN=alice".to_owned(),
            issuer: "CN=people".to_owned(),
            serial: "01".to_owned(),
            fingerprint: [0xab; 32],
            ends_at: Timestamp(0),
        }
    }

    #[test]
    fn only_a_shown_certificate_meets_the_rule_and_only_for_the_host_that_was_asked_for() {
        let shown = |name| Security::Tls(Handshake::with(Protocol::Http2, name, Some(alice())));
        let bare = Security::Tls(Handshake::with(Protocol::Http2, Some("lab.example"), None));
        let required = ClientCertificateRule::Required;
        assert!(required.is_met(&shown(Some("lab.example")), "lab.example"));
        assert!(required.is_met(&shown(None), "127.0.0.1"));
        assert!(!required.is_met(&shown(Some("other.example")), "lab.example"));
        assert!(!required.is_met(&bare, "lab.example"));
        assert!(!required.is_met(&Security::Tls(Handshake::new(Protocol::Http1)), "lab.example"));
        assert!(!required.is_met(&Security::Plain, "lab.example"));
        assert!(ClientCertificateRule::NotAsked.is_met(&Security::Plain, "lab.example"));
    }

    #[test]
    fn a_fingerprint_reads_as_hexadecimal() {
        assert_eq!(alice().fingerprint_hex(), "ab".repeat(32));
    }
}
