//! ReplacePath: another path; the old one goes along as `X-Replaced-Path`.

use http::Request;

use super::Step;
use super::address::{note, path_of, take_path, with_path};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Another path.
#[derive(Debug)]
pub struct ReplacePath {
    path: String,
}

impl ReplacePath {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        Ok(Self { path: take_path(fields, "path")? })
    }

    pub(super) fn apply(&self, mut request: Request<RequestBody>) -> Step {
        let old = path_of(&request).to_owned();
        note(&mut request, "x-replaced-path", &old);
        with_path(request, &self.path)
    }
}
