//! StripPrefix: takes the first of its prefixes that fits from the path; it goes along as `X-Forwarded-Prefix`.

use http::Request;

use super::Step;
use super::address::{note, path_of, prefix_length, with_path, with_rest};
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Takes a prefix from the path.
#[derive(Debug)]
pub struct StripPrefix {
    prefixes: Vec<String>,
    /// Where nothing is left there is a slash, also for the middlewares that follow.
    forces_slash: bool,
}

impl StripPrefix {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let prefixes = fields.take_list("prefixes")?.unwrap_or_default();
        let forces_slash = fields.take_bool("forceSlash")?.unwrap_or(false);
        match prefixes.iter().find(|prefix| prefix.chars().any(char::is_control)) {
            Some(prefix) => Err(fields.problem(format!("prefixes: {} is no path", crate::routers::quoted(prefix)))),
            None => Ok(Self { prefixes, forces_slash }),
        }
    }

    pub(super) fn apply(&self, mut request: Request<RequestBody>) -> Step {
        let path = path_of(&request).to_owned();
        let found = self.prefixes.iter().find_map(|prefix| Some((prefix, prefix_length(&path, prefix)?)));
        let Some((prefix, length)) = found else { return Step::Pass(request) };
        note(&mut request, "x-forwarded-prefix", prefix);
        match &path[length..] {
            "" if self.forces_slash => with_path(request, "/"),
            rest => with_rest(request, rest),
        }
    }
}
