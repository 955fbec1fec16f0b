//! AddPrefix: puts a prefix before the path.

use http::Request;

use super::Step;
use super::address::{path_of, take_path, with_path};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Puts a prefix before the path.
#[derive(Debug)]
pub struct AddPrefix {
    prefix: String,
}

impl AddPrefix {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        Ok(Self { prefix: take_path(fields, "prefix")? })
    }

    pub(super) fn apply(&self, request: Request<RequestBody>) -> Step {
        let path = format!("{}{}", self.prefix, path_of(&request));
        with_path(request, &path)
    }
}
