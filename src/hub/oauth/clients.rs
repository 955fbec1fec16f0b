//! Clients are servers: their id and redirect address follow from the server's key, nothing is registered.

use percent_encoding::percent_decode_str;

use crate::model::{BasePath, ServerKey, ServerName, UserName};

/// What an OAuth client may be granted beside knowing who its visitor is.
pub(super) fn access_scope(server: &ServerKey) -> String {
    format!("access:servers!server={}", server.scope_name())
}

/// Scopes by which a server learns its visitor's name and groups; every token has them anyway.
const IDENTIFY: [&str; 2] = ["read:users:name!user", "read:users:groups!user"];

/// True if a client of this server may ask for `scope`.
pub(super) fn may_ask(server: &ServerKey, scope: &str) -> bool {
    scope == access_scope(server) || IDENTIFY.contains(&scope)
}

/// `{base}user/{user}[/{server}]/oauth_callback`: a bare path, compared byte for byte.
pub(super) fn redirect_uri(base: &BasePath, server: &ServerKey) -> String {
    format!("{}oauth_callback", server.prefix(base))
}

/// The servers that `client_id` may mean: `jupyterhub-user-a-b` is the default server of `a-b`, or `b` of `a`.
pub(super) fn candidates(client_id: &str) -> Vec<ServerKey> {
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
        assert_eq!(redirect_uri(&base, &server), "/j/user/a@b/oauth_callback");
        assert_eq!(access_scope(&server), "access:servers!server=a@b/");
    }
}
