//! The cookie that keeps a browser with one target. Its value is a hash of the target's address, as with Traefik.

use std::fmt::Write as _;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::model::SESSION_COOKIE_STEM;
use crate::routers::{Fields, Problem};

/// Seconds of a cookie's life, or none.
type MaxAge = Option<i64>;

/// The cookie as people set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CookieDraft {
    name: Option<String>,
    is_secure: bool,
    is_http_only: bool,
    same_site: Option<&'static str>,
    max_age_s: MaxAge,
    path: Option<String>,
    domain: Option<String>,
}

impl CookieDraft {
    /// Reads a `sticky` section.
    ///
    /// # Errors
    /// A value is none, or would not be safe in a header.
    pub(super) fn read(mut sticky: Fields) -> Result<Option<Self>, Problem> {
        let cookie = sticky.take_section("cookie")?;
        sticky.finish()?;
        let Some(mut fields) = cookie else { return Ok(None) };
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_token_byte);
        let is_attribute = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
        let name = fields.take_parsed("name", "a cookie's name", |text| is_token(text).then(|| text.to_owned()))?;
        if name.as_ref().is_some_and(|name| name.starts_with(SESSION_COOKIE_STEM)) {
            return Err(fields.problem("sticky.cookie.name: this name belongs to Slipway's own sessions"));
        }
        let text = |text: &str| is_attribute(text).then(|| text.to_owned());
        let draft = Self {
            name,
            is_secure: fields.take_bool("secure")?.unwrap_or(false),
            is_http_only: fields.take_bool("httpOnly")?.unwrap_or(false),
            same_site: fields.take_parsed("sameSite", "none, lax or strict", same_site)?,
            max_age_s: fields.take_i64("maxAge")?.filter(|seconds| *seconds != 0),
            path: fields.take_parsed("path", "a path", text)?.filter(|path| !path.is_empty()),
            domain: fields.take_parsed("domain", "a domain", text)?.filter(|domain| !domain.is_empty()),
        };
        fields.finish()?;
        Ok(Some(draft))
    }
}

fn same_site(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "none" => Some("None"),
        "lax" => Some("Lax"),
        "strict" => Some("Strict"),
        _ => None,
    }
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Who is meant by which cookie.
#[derive(Debug)]
pub(super) struct Sticky {
    name: String,
    /// Everything after the value.
    attributes: String,
    values: Vec<String>,
}

impl Sticky {
    /// The cookie of the balancer of this name, for those with these names, in their order.
    pub(super) fn new<'a>(draft: &CookieDraft, balancer: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let name = draft
            .name
            .clone()
            .unwrap_or_else(|| format!("_{}", &hex(&Sha1::digest(format!("_TRAEFIK_BACKEND_{balancer}")))[..5]));
        let mut attributes = format!("; Path={}", draft.path.as_deref().unwrap_or("/"));
        if let Some(domain) = &draft.domain {
            let _ = write!(attributes, "; Domain={domain}");
        }
        match draft.max_age_s {
            Some(seconds) if seconds > 0 => {
                let _ = write!(attributes, "; Max-Age={seconds}");
            }
            // Go writes what is below nothing as nothing: the cookie ends at once.
            Some(_) => attributes.push_str("; Max-Age=0"),
            None => {}
        }
        if draft.is_http_only {
            attributes.push_str("; HttpOnly");
        }
        if draft.is_secure {
            attributes.push_str("; Secure");
        }
        if let Some(same_site) = draft.same_site {
            let _ = write!(attributes, "; SameSite={same_site}");
        }
        Self { name, attributes, values: names.map(|name| hex(&Sha256::digest(name))[..16].to_owned()).collect() }
    }

    /// Who had this browser before.
    pub(super) fn chosen_before(&self, headers: &HeaderMap) -> Option<usize> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let value = lines
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == self.name).then_some(value))?;
        self.values.iter().position(|own| own == value.trim_matches('"'))
    }

    /// What makes a browser come to this one again.
    pub(super) fn cookie(&self, index: usize) -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("{}={}{}", self.name, self.values.get(index)?, self.attributes)).ok()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
