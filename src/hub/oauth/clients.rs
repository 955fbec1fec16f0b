//! Who a client id means, and what such a client may ask for. A server's follows from its key; a service's is what the
//! configuration says of it.

use percent_encoding::percent_decode_str;

use crate::auth::Service;
use crate::hub::HubState;
use crate::hub::extract::is_there;
use crate::model::{BasePath, OAuthClient, Scope, ServerKey, ServerName, UserName};

/// Scopes by which a client learns its visitor's name and groups; every token has them anyway.
const IDENTIFY: [&str; 2] = ["read:users:name!user", "read:users:groups!user"];

/// One that signs people in through us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    /// Which server or service.
    pub(super) of: OAuthClient,
    /// Where browsers come back to, compared byte for byte: a bare path, or the full URL of a service elsewhere.
    pub(super) redirect_uri: String,
    /// What it may ask for beside access to itself and who its visitor is.
    allowed: Vec<Scope>,
    /// Whether people are signed in without being asked.
    pub(super) no_confirm: bool,
}

impl Client {
    /// A server's: `{base}user/{user}[/{server}]/oauth_callback`.
    pub(super) fn of_server(base: &BasePath, server: ServerKey) -> Self {
        let redirect_uri = format!("{}oauth_callback", server.prefix(base));
        Self { of: OAuthClient::Server(server), redirect_uri, allowed: Vec::new(), no_confirm: false }
    }

    /// The same on a host of the user's own.
    fn on(self, origin: &str) -> Self {
        Self { redirect_uri: format!("{origin}{}", self.redirect_uri), ..self }
    }

    /// A service's; None if people do not sign in there.
    pub(super) fn of_service(base: &BasePath, service: &Service) -> Option<Self> {
        let client = service.oauth_client.as_ref()?;
        let usual = || format!("{}oauth_callback", service.name.prefix(base));
        Some(Self {
            of: OAuthClient::Service(service.name.clone()),
            redirect_uri: client.redirect_uri.clone().unwrap_or_else(usual),
            allowed: client.allowed_scopes.clone(),
            no_confirm: client.no_confirm,
        })
    }

    /// What it gets if it names nothing: access to itself, and all that it may ask for.
    pub(super) fn default_scopes(&self) -> Vec<Scope> {
        std::iter::once(self.access()).chain(self.allowed.iter().cloned()).collect()
    }

    /// True if it may ask for `scope`.
    pub(super) fn may_ask(&self, scope: &Scope) -> bool {
        *scope == self.access() || self.allowed.contains(scope) || IDENTIFY.contains(&scope.to_string().as_str())
    }

    /// The right to enter it.
    pub(super) fn access(&self) -> Scope {
        match &self.of {
            OAuthClient::Server(server) => Scope::access_to_server(server),
            OAuthClient::Service(service) => Scope::access_to_service(service),
        }
    }

    /// `https://host[:port]` of a service elsewhere; None for one of our own paths.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        let (scheme, rest) = self.redirect_uri.split_once("://")?;
        let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        Some(&self.redirect_uri[..scheme.len() + "://".len() + host_end])
    }
}

/// The clients that `client_id` may mean, and that are there.
pub(super) fn find(state: &HubState, client_id: &str) -> Vec<Client> {
    let base = &state.config.base;
    if let Some(service) = state.auth.service_of_client(client_id) {
        return Client::of_service(base, &service).into_iter().collect();
    }
    let servers = candidates(client_id).into_iter().filter(|server| is_there(state, server));
    let hosts = state.config.user_hosts.as_ref();
    // Servers that run since before users had hosts of their own still name the path; the edge sends it to the host.
    servers
        .flat_map(|server| {
            let on_host = hosts.map(|hosts| Client::of_server(base, server.clone()).on(&hosts.origin(&server.user)));
            on_host.into_iter().chain([Client::of_server(base, server)])
        })
        .collect()
}

/// The servers that `client_id` may mean: `jupyterhub-user-a-b` is the default server of `a-b`, or `b` of `a`.
fn candidates(client_id: &str) -> Vec<ServerKey> {
    let Some(encoded) = client_id.strip_prefix("jupyterhub-user-") else { return Vec::new() };
    let dashes = encoded.match_indices('-').map(|(at, _)| (&encoded[..at], &encoded[at + 1..]));
    let splits = std::iter::once((encoded, "")).chain(dashes);
    let keys = splits.filter_map(|(user, name)| {
        let decode = |text| percent_decode_str(text).decode_utf8().ok();
        let key =
            ServerKey { user: UserName::from_path(&decode(user)?)?, name: ServerName::parse(&decode(name)?).ok()? };
        (key.client_id() == client_id).then_some(key)
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(client_id: &str) -> Vec<String> {
        candidates(client_id).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_client_id_with_dashes_may_mean_several_servers() {
        assert_eq!(names("jupyterhub-user-alice"), ["alice"]);
        assert_eq!(names("jupyterhub-user-a-b"), ["a-b", "a/b"]);
        assert_eq!(names("jupyterhub-user-a%40b"), ["a@b"]);
        assert!(names("jupyterhub-user-a@b").is_empty(), "ids are compared byte for byte");
        assert!(names("service-x").is_empty() && names("jupyterhub-user-").is_empty() && names("").is_empty());
    }

    #[test]
    fn a_redirect_address_is_a_bare_path() {
        let base = BasePath::parse("/j").expect("plain");
        let server = candidates("jupyterhub-user-a%40b").remove(0);
        let client = Client::of_server(&base, server);
        assert_eq!(client.redirect_uri, "/j/user/a@b/oauth_callback");
        assert_eq!(client.default_scopes()[0].to_string(), "access:servers!server=a@b/");
    }
}
