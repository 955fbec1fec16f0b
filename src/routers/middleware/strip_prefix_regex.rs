//! StripPrefixRegex: takes from the path what fits the first of its patterns; it goes along as `X-Forwarded-Prefix`.

use http::Request;
use regex::Regex;

use super::address::{note, path_of, prefix_length, with_rest};
use super::{Step, pattern};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Takes from the path what fits a pattern.
#[derive(Debug)]
pub struct StripPrefixRegex {
    patterns: Vec<Regex>,
}

impl StripPrefixRegex {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let texts = fields.take_list("regex")?.unwrap_or_default();
        let patterns = texts.iter().map(|text| pattern::compile(fields, "regex", text)).collect::<Result<_, _>>()?;
        Ok(Self { patterns })
    }

    pub(super) fn apply(&self, mut request: Request<RequestBody>) -> Step {
        let path = path_of(&request).to_owned();
        // People write patterns for the path as they read it, so it is decoded.
        let decoded = percent_encoding::percent_decode_str(&path).decode_utf8_lossy();
        let found = self.patterns.iter().find_map(|pattern| {
            // The first match counts; only one at the very beginning is a prefix.
            let found = pattern.find(&decoded).filter(|found| found.start() == 0 && !found.is_empty())?;
            Some((found.as_str(), prefix_length(&path, found.as_str())?))
        });
        let Some((prefix, length)) = found else { return Step::Pass(request) };
        note(&mut request, "x-forwarded-prefix", prefix);
        with_rest(request, &path[length..])
    }
}
