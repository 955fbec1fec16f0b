//! Where a request goes: to a server, to the hub, or nowhere.

use std::sync::Arc;

use super::answer::Refusal;
use crate::model::{BasePath, Door, NormalPath, PathError, Route, RouteTable, ServerKey, ServerName, ServerPath};

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Destination {
    /// Our own pages, and whatever only the hub can answer.
    Hub,
    /// The hub's API.
    Api,
    /// `{base}user/<name>` without its slash.
    MissingSlash,
    /// A path of a server that is ready.
    Ready(Arc<Route>),
    /// A path of servers that are not ready; which of them is meant the hub knows. Empty: of nobody's.
    NotReady(Vec<ServerKey>),
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
        return Ok(if is_api(base, path)? { Destination::Api } else { Destination::Hub });
    };
    if server_path.rest.is_empty() {
        return Ok(Destination::MissingSlash);
    }
    // A `//` or `%2F` right behind the name could mean another server than the one that is checked.
    let second = server_path.second()?;
    let Some(user) = server_path.user else { return Ok(Destination::NotReady(Vec::new())) };
    if let Some(route) = routes.find(path) {
        // One value for check and route: a route of somebody else under this path would be a mistake of ours.
        return if route.server.user == user { Ok(Destination::Ready(route.clone())) } else { Err(Refusal::NotFound) };
    }
    let mut servers = vec![ServerKey::default_of(user.clone())];
    if let Some(name) = second.and_then(|second| ServerName::parse(&second).ok()) {
        servers.push(ServerKey { user, name });
    }
    Ok(Destination::NotReady(servers))
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
    use crate::model::{Generation, Routes, Timestamp, UpstreamAddress, UserName};

    fn key(user: &str, name: &str) -> ServerKey {
        ServerKey { user: UserName::parse(user).expect("a name"), name: ServerName::parse(name).expect("a name") }
    }

    fn destination(door: Door, path: &str) -> String {
        let base = BasePath::parse("/j").expect("a base path");
        let routes = Routes::default();
        for server in [key("alice", ""), key("alice", "gpu"), key("a@b", "")] {
            let address = UpstreamAddress::Tcp(([127, 0, 0, 1], 1).into());
            let route = Route::new(server.clone(), Generation(1), address, Timestamp(0));
            routes.publish(&server.route_key(&base), Arc::new(route));
        }
        let Ok(path) = NormalPath::parse(path) else { return "not normal".into() };
        match find(&base, &routes.current(), door, path) {
            Ok(Destination::Hub) => "hub".into(),
            Ok(Destination::Api) => "api".into(),
            Ok(Destination::MissingSlash) => "slash".into(),
            Ok(Destination::Ready(route)) => format!("ready {}", route.server),
            Ok(Destination::NotReady(servers)) => {
                servers.iter().fold("not ready".into(), |text, server| format!("{text} {server}"))
            }
            Err(refusal) => format!("{}", refusal.status().as_u16()),
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
            ("/j/hub/home", "404"),
            ("/hub/api", "404"),
            ("/j/user/alice/", "404"),
            ("/j/%68ub/api", "404"),
        ] {
            assert_eq!(destination(Door::Private, path), expected, "{path}");
        }
    }
}
