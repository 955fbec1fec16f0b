//! What routers may not take: the hub's own paths, and a sign-in where its cookie does not go.

use crate::model::BasePath;
use crate::routers::access::{Access, EntryPoint};
use crate::routers::draft::RouterDraft;
use crate::routers::rule::{PathNeed, Rule};

/// What of the installation counts for routers.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Under which the hub lies.
    pub base: BasePath,
    /// The host of `public_url`, in lower case; none if the hub answers under several.
    pub hub_host: Option<String>,
    /// Where routers listen that do not say.
    pub default_entry_points: Vec<EntryPoint>,
}

/// The first segments below the base path that are the hub's.
const OWN_SEGMENTS: [&str; 4] = ["hub", "user", "services", "spawn-pending"];

impl Surroundings {
    /// What is wrong with a rule where the hub is.
    pub(super) fn check_rule(&self, rule: &Rule, draft: &RouterDraft) -> Result<(), String> {
        let needs = rule.needs();
        let is_for_hub = needs.hosts.as_ref().is_none_or(|hosts| hosts.iter().all(|host| self.is_hubs(host)));
        let own = needs.paths.as_ref().filter(|paths| paths.iter().all(|path| self.is_own(path)));
        if let (true, Some([path, ..])) = (is_for_hub, own.map(Vec::as_slice)) {
            return Err(format!(
                "router {}: {} is the hub's own path, which always goes to the hub; choose another path, or add \
                 Host(`…`) of another name",
                draft.name, path.text
            ));
        }
        let Some(hub_host) = self.hub_host.as_ref().filter(|_| draft.access != Access::Public) else { return Ok(()) };
        let other = needs.hosts.iter().flatten().find(|host| *host != hub_host);
        if other.is_some() || needs.has_host_pattern {
            let other = other.map_or("hosts by a pattern", String::as_str);
            return Err(format!(
                "router {}: access = {} does not work for {other}: people are signed in on {hub_host} alone; use a path of \
                 {hub_host}, or access = public",
                draft.name, draft.access
            ));
        }
        Ok(())
    }

    fn is_hubs(&self, host: &str) -> bool {
        match &self.hub_host {
            Some(hub) => host == hub,
            None => host == "localhost" || host.parse::<std::net::IpAddr>().is_ok(),
        }
    }

    /// True if this path, and all that begin so, are the hub's.
    fn is_own(&self, path: &PathNeed) -> bool {
        let base = self.base.as_str();
        let text = path.text.as_str();
        if path.is_whole && (text == base || format!("{text}/") == base) {
            return true;
        }
        let Some(below) = text.strip_prefix(base) else { return false };
        let segment = below.split('/').next().unwrap_or_default();
        OWN_SEGMENTS.contains(&segment)
    }
}
