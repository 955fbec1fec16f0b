//! StripPrefix: takes the first of its prefixes that fits from the path; it goes along as `X-Forwarded-Prefix`.

use http::Request;

use super::Step;
use super::address::{note, prefix_length, with_path, with_slash};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Takes a prefix from the path.
#[derive(Debug)]
pub struct StripPrefix {
    prefixes: Vec<String>,
}

impl StripPrefix {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let prefixes = fields.take_list("prefixes")?.unwrap_or_default();
        if fields.take_bool("forceSlash")? == Some(false) {
            return Err(fields.problem("forceSlash = false: a path always begins with a slash; leave the line out"));
        }
        match prefixes.iter().find(|prefix| prefix.chars().any(char::is_control)) {
            Some(prefix) => Err(fields.problem(format!("prefixes: {} is no path", crate::routers::quoted(prefix)))),
            None => Ok(Self { prefixes }),
        }
    }

    pub(super) fn apply(&self, mut request: Request<RequestBody>) -> Step {
        let path = request.uri().path().to_owned();
        let found = self.prefixes.iter().find_map(|prefix| Some((prefix, prefix_length(&path, prefix)?)));
        let Some((prefix, length)) = found else { return Step::Pass(request) };
        note(&mut request, "x-forwarded-prefix", prefix);
        with_path(request, &with_slash(&path[length..]))
    }
}
