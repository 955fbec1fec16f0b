//! Where a request goes: to a server, to a service, to the hub, or nowhere.

use std::sync::Arc;

use super::answer::Refusal;
use crate::model::{
    Aim, BasePath, Door, NormalPath, PathError, Route, RouteTable, RouteTarget, ServerKey, ServerName, ServerPath,
    ServiceName, ServicePath,
};

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Destination {
    /// Our own pages, and whatever only the hub can answer.
    Hub,
    /// The hub's API.
    Api,
    /// `{base}user/<name>` or `{base}services/<name>` without its slash.
    MissingSlash,
    /// A path of a server that is ready.
    Ready(ServerRoute),
    /// A path of a service. It asks its callers by itself who they are.
    Service(ServiceRoute),
    /// A path of servers that are not ready; which of them is meant the hub knows. Empty: of nobody's.
    NotReady(Vec<ServerKey>),
}

impl Destination {
    /// What kind of place it is.
    pub(super) fn aim(&self) -> Aim {
        match self {
            Self::MissingSlash => Aim::Nowhere,
            Self::Hub | Self::Api => Aim::Hub,
            Self::Ready(_) | Self::NotReady(_) => Aim::Server,
            Self::Service(_) => Aim::Service,
        }
    }
}

/// A route together with the server that it leads to: one value for check and forwarding.
#[derive(Clone, Debug)]
pub(super) struct ServerRoute {
    /// Whose server.
    pub(super) server: ServerKey,
    /// The way to it.
    pub(super) route: Arc<Route>,
}

/// The same for a service.
#[derive(Clone, Debug)]
pub(super) struct ServiceRoute {
    /// Which service.
    pub(super) service: ServiceName,
    /// The way to it.
    pub(super) route: Arc<Route>,
}

/// Reads the destination from the path alone. The owner check and the forwarding use what is returned here.
///
/// # Errors
/// If the path hides a segment, or leads nowhere by this door.
pub(super) fn find(
    base: &BasePath,
    routes: &RouteTable,
    door: Door,
    path: NormalPath<'_>,
) -> Result<Destination, Refusal> {
    if door == Door::Private {
        return if is_api(base, path)? { Ok(Destination::Api) } else { Err(Refusal::NotFound) };
    }
    if path.under(base)?.is_some_and(|rest| rest.starts_with('/')) {
        // `//user/x`: some programs would read a host here, others the path of a server.
        return Err(PathError::HiddenSegment.into());
    }
    let Some(server_path) = ServerPath::parse(base, path)? else {
        return find_service(base, routes, path);
    };
    if server_path.rest.is_empty() {
        return Ok(Destination::MissingSlash);
    }
    // A `//` or `%2F` right behind the name could mean another server than the one that is checked.
    let second = server_path.second()?;
    if let Some(route) = routes.find(path) {
        // A route of somebody else under this path would be a mistake of ours.
        return match &route.target {
            RouteTarget::Server(server) if server_path.is_of(&server.user) => {
                Ok(Destination::Ready(ServerRoute { server: server.clone(), route: route.clone() }))
            }
            RouteTarget::Server(_) | RouteTarget::Service(_) => Err(Refusal::NotFound),
        };
    }
    let Some(user) = server_path.user() else { return Ok(Destination::NotReady(Vec::new())) };
    let mut servers = vec![ServerKey::default_of(user.clone())];
    if let Some(name) = second.and_then(|second| ServerName::parse(&second).ok()) {
        servers.push(ServerKey { user, name });
    }
    Ok(Destination::NotReady(servers))
}

/// What is no server's: a service's path if there is such a service, else the hub's, which says 404 in its own way.
fn find_service(base: &BasePath, routes: &RouteTable, path: NormalPath<'_>) -> Result<Destination, Refusal> {
    let Some(service_path) = ServicePath::parse(base, path)? else {
        let takes_tokens = is_api(base, path)? || path.under(base)? == Some("hub/metrics");
        return Ok(if takes_tokens { Destination::Api } else { Destination::Hub });
    };
    if service_path.rest.is_empty() {
        return Ok(Destination::MissingSlash);
    }
    let Some(service) = service_path.service else { return Ok(Destination::Hub) };
    match routes.get(&service.route_key(base)) {
        Some(route) if route.target.service() == Some(&service) => {
            Ok(Destination::Service(ServiceRoute { service, route: route.clone() }))
        }
        Some(_) | None => Ok(Destination::Hub),
    }
}

/// The first segments below the base path that are ours alone, whatever a router says.
const OWN: [&str; 4] = ["hub", "user", "services", "spawn-pending"];

/// True for paths that no router gets on the hub's host: the base path itself and our families below it.
pub(super) fn is_own(base: &BasePath, path: NormalPath<'_>) -> bool {
    let without_slash = base.as_str().trim_end_matches('/');
    if !without_slash.is_empty() && path.as_str() == without_slash {
        return true;
    }
    match path.under(base) {
        Ok(Some("")) => true,
        Ok(Some(rest)) => {
            let first = rest.split('/').next().unwrap_or_default();
            percent_encoding::percent_decode_str(first).decode_utf8().is_ok_and(|first| OWN.contains(&&*first))
        }
        // What hides a segment is refused as ours, not offered to others.
        Ok(None) => false,
        Err(_) => true,
    }
}

/// True for `{base}hub/api` and everything below it.
fn is_api(base: &BasePath, path: NormalPath<'_>) -> Result<bool, Refusal> {
    let below_base = path.under(base)?;
    let below_api = below_base.and_then(|rest| rest.strip_prefix("hub/api"));
    Ok(below_api.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generation, Routes, ServiceName, Timestamp, UpstreamAddress, UserName};

    fn key(user: &str, name: &str) -> ServerKey {
        ServerKey { user: UserName::parse(user).expect("a name"), name: ServerName::parse(name).expect("a name") }
    }

    fn destination(door: Door, path: &str) -> String {
        let base = BasePath::parse("/j").expect("a base path");
        let routes = Routes::default();
        let servers = [key("alice", ""), key("alice", "gpu"), key("a@b", "")].map(RouteTarget::Server);
        let services =
            ["x", "a@b", "alice"].map(|name| RouteTarget::Service(ServiceName::parse(name).expect("a name")));
        for target in servers.into_iter().chain(services) {
            let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
            let route = Route::new(target.clone(), Generation(1), address, Timestamp(0));
            routes.publish(&target.route_key(&base), Arc::new(route));
        }
        let Ok(path) = NormalPath::parse(path) else { return "not normal".into() };
        match find(&base, &routes.current(), door, path) {
            Ok(Destination::Hub) => "hub".into(),
            Ok(Destination::Api) => "api".into(),
            Ok(Destination::MissingSlash) => "slash".into(),
            Ok(Destination::Ready(found)) => format!("ready {}", found.server),
            Ok(Destination::Service(found)) => format!("service {}", found.service),
            Ok(Destination::NotReady(servers)) => {
                servers.iter().fold("not ready".into(), |text, server| format!("{text} {server}"))
            }
            Err(refusal) => format!("{}", refusal.status().as_u16()),
        }
    }

    #[test]
    fn our_own_paths_are_nobody_elses() {
        let (root, base) = (BasePath::parse("/").expect("a base path"), BasePath::parse("/j").expect("a base path"));
        let check = |base: &BasePath, path: &str, expected: bool| {
            assert_eq!(is_own(base, NormalPath::parse(path).expect("normal")), expected, "{base} {path}");
        };
        for path in ["/", "/hub", "/hub/x", "/%68ub/x", "/user/alice", "/services/x", "/spawn-pending/x"] {
            check(&root, path, true);
        }
        for path in ["/hubs", "/grafana/hub/x", "/users", "/favicon.ico", "/a"] {
            check(&root, path, false);
        }
        for path in ["/j", "/j/", "/j/hub", "/j/user/x", "/%6a/hub/x"] {
            check(&base, path, true);
        }
        for path in ["/", "/hub", "/user/x", "/jj/hub", "/j/grafana"] {
            check(&base, path, false);
        }
    }

    #[test]
    fn a_path_leads_to_one_place() {
        for (path, expected) in [
            ("/j/", "hub"),
            ("/j/hub/home", "hub"),
            ("/j/hub/api", "api"),
            ("/j/hub/api/user", "api"),
            ("/j/hub/apis", "hub"),
            ("/j/hub/metrics", "api"),
            ("/j/hub/metrics/x", "hub"),
            ("/other", "hub"),
            ("/user/alice/", "hub"),
            ("/j/user/alice", "slash"),
            ("/j/user/nobody", "slash"),
            ("/j/user/alice/", "ready alice"),
            ("/j/user/alice/lab//x%2Fy", "ready alice"),
            ("/j/user/alice/gpu/lab", "ready alice/gpu"),
            ("/j/user/%61lice/gpu", "ready alice/gpu"),
            ("/j/user/a%40b/", "ready a@b"),
            ("/j/%75ser/alice/x", "ready alice"),
            ("/j/user/bob/", "not ready bob"),
            ("/j/user/bob/srv/x", "not ready bob bob/srv"),
            ("/j/user/Alice/", "not ready"),
            ("/j/user/alice//gpu", "ready alice"),
            ("/j/user/alice/gp%2Fu", "400"),
            ("/j/user//alice/", "400"),
            ("/j//user/alice/", "400"),
            ("//user/alice/", "400"),
            ("/j/user/alice%2Fx/", "400"),
            ("/j/user/x/", "not ready x"),
            ("/j/services/x", "slash"),
            ("/j/services/nobody", "slash"),
            ("/j/services/x/", "service x"),
            ("/j/services/x/hub/api", "service x"),
            ("/j/services/x/a//b%2Fc", "service x"),
            ("/j/services/%78/", "service x"),
            ("/j/service%73/x/", "service x"),
            ("/j/services/a%40b/", "service a@b"),
            ("/j/services/X/", "hub"),
            ("/j/services/bob/", "hub"),
            ("/j/services", "hub"),
            ("/j/services/", "400"),
            ("/services/x/", "hub"),
            ("/j/services//x/", "400"),
            ("/j//services/x/", "400"),
            ("//services/x/", "400"),
            ("/j/services/x%2Fy/", "400"),
            ("/j/services%2Fx/", "400"),
            ("/j/services/x/../../hub/home", "not normal"),
            ("/j/services/x/%2e%2e/y", "not normal"),
        ] {
            assert_eq!(destination(Door::Public, path), expected, "{path}");
        }
    }

    #[test]
    fn the_private_door_leads_to_the_api_alone() {
        for (path, expected) in [
            ("/j/hub/api", "api"),
            ("/j/hub/api/users/alice/activity", "api"),
            ("/j/hub/apis", "404"),
            ("/j/hub/metrics", "404"),
            ("/j/hub/home", "404"),
            ("/hub/api", "404"),
            ("/j/user/alice/", "404"),
            ("/j/services/x/", "404"),
            ("/j/%68ub/api", "404"),
        ] {
            assert_eq!(destination(Door::Private, path), expected, "{path}");
        }
    }
}
