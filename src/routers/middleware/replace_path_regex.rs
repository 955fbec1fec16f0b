//! ReplacePathRegex: another path, made from its own by a pattern; the old one goes along as `X-Replaced-Path`.

use http::Request;
use regex::Regex;

use super::address::{encoded, note, path_of, with_path};
use super::{Step, pattern};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Another path, made from its own.
#[derive(Debug)]
pub struct ReplacePathRegex {
    regex: Regex,
    replacement: String,
}

impl ReplacePathRegex {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let regex = pattern::take(fields, "regex")?;
        Ok(Self { regex, replacement: fields.take_text("replacement")?.unwrap_or_default() })
    }

    pub(super) fn apply(&self, mut request: Request<RequestBody>) -> Step {
        let old = path_of(&request).to_owned();
        // Traefik does nothing where the replacement is empty.
        if self.replacement.is_empty() || !self.regex.is_match(&old) {
            return Step::Pass(request);
        }
        let new = encoded(&self.regex.replace_all(&old, self.replacement.as_str()));
        note(&mut request, "x-replaced-path", &old);
        with_path(request, &new)
    }
}
