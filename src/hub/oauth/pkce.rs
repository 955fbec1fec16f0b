//! PKCE (RFC 7636): a challenge at the start, its verifier at the end. Optional, but once given it is enforced.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::model::same_secret;

/// A challenge that came with an authorize request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// The verifier itself.
    Plain(String),
    /// base64url of the verifier's SHA-256.
    Sha256(String),
}

impl Challenge {
    /// Reads the two parameters; a method that is left out is `plain`.
    ///
    /// # Errors
    /// The description for `invalid_request`.
    pub(super) fn parse(challenge: Option<String>, method: Option<&str>) -> Result<Option<Self>, &'static str> {
        match (challenge.filter(|text| !text.is_empty()), method) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err("Code challenge required."),
            (Some(text), None | Some("plain")) => Ok(Some(Self::Plain(text))),
            (Some(text), Some("S256")) => Ok(Some(Self::Sha256(text))),
            (Some(_), Some(_)) => Err("Transform algorithm not supported."),
        }
    }

    /// True if `verifier` answers it.
    pub(super) fn is_met_by(&self, verifier: &str) -> bool {
        match self {
            Self::Plain(challenge) => same_secret(challenge, verifier),
            Self::Sha256(challenge) => {
                same_secret(challenge, &URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7636, appendix B.
    #[test]
    fn the_rfcs_example_holds() {
        let challenge = Challenge::parse(Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into()), Some("S256"));
        let challenge = challenge.expect("a method we know").expect("a challenge");
        assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK"));
    }

    #[test]
    fn the_parameters_are_read_as_oauthlib_reads_them() {
        let parse = |challenge: Option<&str>, method| Challenge::parse(challenge.map(str::to_owned), method);
        assert_eq!(parse(None, None), Ok(None));
        assert_eq!(parse(Some("x"), None), Ok(Some(Challenge::Plain("x".into()))));
        assert_eq!(parse(Some("x"), Some("plain")), Ok(Some(Challenge::Plain("x".into()))));
        assert_eq!(parse(Some("x"), Some("S512")), Err("Transform algorithm not supported."));
        assert_eq!(parse(None, Some("S256")), Err("Code challenge required."));
        assert!(Challenge::Plain("x".into()).is_met_by("x") && !Challenge::Plain("x".into()).is_met_by("y"));
    }
}
