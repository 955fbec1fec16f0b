//! What proves to an authority that a name is ours, while it is asking: answers for HTTP-01 by token, certificates for
//! TLS-ALPN-01 by name. Empty but for the seconds of an order.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The protocol that an authority offers, alone, when it checks a name by TLS (RFC 8737).
pub(in crate::listener) const ALPN: &[u8] = b"acme-tls/1";

/// Answers that are due at this moment. Cheap to clone.
#[derive(Clone, Default)]
pub struct Challenges(Arc<Mutex<Due>>);

#[derive(Default)]
struct Due {
    by_token: HashMap<String, String>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
}

impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenges").field("tokens", &self.0.lock().by_token.len()).finish_non_exhaustive()
    }
}

/// Why a challenge cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// The library refused.
    #[error("the certificate for the authority's check could not be made")]
    Sign(#[from] rcgen::Error),
    /// The TLS library does not take the key that was just made.
    #[error("the key for the authority's check cannot be used")]
    Key(#[from] rustls::Error),
}

impl Challenges {
    /// What is answered to `GET /.well-known/acme-challenge/{token}`, if somebody waits for it.
    #[must_use]
    pub fn answer(&self, token: &str) -> Option<String> {
        self.0.lock().by_token.get(token).cloned()
    }

    /// What is shown to an authority that checks `name` (lower case).
    pub(in crate::listener) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.lock().by_name.get(name).cloned()
    }

    /// Answers under `token` until the return value is dropped.
    pub(super) fn post_answer(&self, token: &str, answer: &str) -> Posted {
        self.0.lock().by_token.insert(token.to_owned(), answer.to_owned());
        Posted { challenges: self.clone(), token: Some(token.to_owned()), name: None }
    }

    /// Shows a certificate with this digest to whoever checks `name`, until the return value is dropped.
    pub(super) fn post_certificate(&self, name: &str, digest: &[u8]) -> Result<Posted, ChallengeError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(vec![name.to_owned()])?;
        parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = parameters.self_signed(&key)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let private = aws_lc_rs::default_provider().key_provider.load_private_key(private)?;
        let shown = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], private));
        self.0.lock().by_name.insert(name.to_owned(), shown);
        Ok(Posted { challenges: self.clone(), token: None, name: Some(name.to_owned()) })
    }
}

/// An answer that is given as long as this lives.
pub(super) struct Posted {
    challenges: Challenges,
    token: Option<String>,
    name: Option<String>,
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut due = self.challenges.0.lock();
        if let Some(token) = &self.token {
            due.by_token.remove(token);
        }
        if let Some(name) = &self.name {
            due.by_name.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_only_while_its_order_is_under_way() {
        let challenges = Challenges::default();
        let posted = challenges.post_answer("token", "token.thumb");
        let shown = challenges.post_certificate("lab.example", &[7; 32]).expect("a certificate");
        assert_eq!(challenges.answer("token").as_deref(), Some("token.thumb"));
        assert_eq!(challenges.answer("other"), None);
        assert!(challenges.certificate("lab.example").is_some() && challenges.certificate("other.example").is_none());
        drop((posted, shown));
        assert_eq!(challenges.answer("token"), None);
        assert!(challenges.certificate("lab.example").is_none());
    }
}
