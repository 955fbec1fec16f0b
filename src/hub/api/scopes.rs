//! May this caller use this endpoint? JupyterHub's rule for 403 and 404 (contract §2.0), in one place.
//!
//! `auth::scopes_of` gives a caller's scopes, expanded and concrete; here they are only compared.

use std::sync::Arc;

use crate::auth::{Access, Caller, Rights, Target, scopes_of};
use crate::hub::error::HubError;
use crate::model::UserName;

/// Lets the caller pass who holds any of `wanted` for `user` (`None`: for everybody).
///
/// # Errors
/// 403 for the anonymous and for those who hold none of them; 404 for those who hold one for somebody else.
pub(super) fn require(caller: &Caller, wanted: &[&'static str], user: Option<&UserName>) -> Result<(), HubError> {
    if caller.is_anonymous() {
        return Err(HubError::Anonymous);
    }
    check(&scopes_of(caller), wanted, user)
}

/// Lets the caller pass who holds any of `wanted` for `target`; what else they may do comes along.
///
/// # Errors
/// As `require`.
pub(super) fn require_for(
    caller: &Caller,
    wanted: &[&'static str],
    target: Target<'_>,
) -> Result<Arc<Rights>, HubError> {
    if caller.is_anonymous() {
        return Err(HubError::Anonymous);
    }
    let rights = caller.rights();
    match rights.check(wanted, target) {
        Access::Allowed => Ok(rights),
        Access::Elsewhere => Err(HubError::NoSuchResource),
        Access::Missing => Err(HubError::MissingScope { wanted: wanted.to_vec() }),
    }
}

/// True if one of `held` is `scope` for `user`.
pub(super) fn holds(held: &[String], scope: &str, user: &UserName) -> bool {
    held.iter().any(|own| reaches(own, scope, Some(user)))
}

fn check(held: &[String], wanted: &[&'static str], user: Option<&UserName>) -> Result<(), HubError> {
    if held.iter().any(|own| wanted.iter().any(|scope| reaches(own, scope, user))) {
        return Ok(());
    }
    let is_same_scope = |own: &str| wanted.iter().any(|scope| own.split('!').next() == Some(scope));
    if held.iter().any(|own| is_same_scope(own)) {
        return Err(HubError::NoSuchResource);
    }
    Err(HubError::MissingScope { wanted: wanted.to_vec() })
}

/// True if the held scope `own` is `scope`, unfiltered or filtered to `user` (or to a server of theirs: the
/// default server is the only one there is yet).
fn reaches(own: &str, scope: &str, user: Option<&UserName>) -> bool {
    let Some(filter) = own.strip_prefix(scope) else { return false };
    if filter.is_empty() {
        return true;
    }
    let Some(user) = user else { return false };
    let of_user = filter.strip_prefix("!user=").is_some_and(|name| name == user.as_str());
    let of_server = filter.strip_prefix("!server=").and_then(|name| name.strip_suffix('/'));
    of_user || of_server.is_some_and(|name| name == user.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(held: &[&str], wanted: &[&'static str], user: Option<&str>) -> u16 {
        let held = held.iter().map(ToString::to_string).collect::<Vec<_>>();
        let user = user.map(|name| UserName::parse(name).expect("a name"));
        check(&held, wanted, user.as_ref()).map_or_else(|error| error.status().as_u16(), |()| 200)
    }

    #[test]
    fn none_is_403_and_elsewhere_is_404() {
        let wanted = ["read:users", "read:users:name"];
        assert_eq!(outcome(&["read:users"], &wanted, Some("bob")), 200);
        assert_eq!(outcome(&["read:users:name!user=bob"], &wanted, Some("bob")), 200);
        assert_eq!(outcome(&["read:users:name!user=alice"], &wanted, Some("bob")), 404);
        assert_eq!(outcome(&["read:users:activity!user=bob"], &wanted, Some("bob")), 403);
        assert_eq!(outcome(&["read:users!user=bob"], &["list:users"], None), 403);
        assert_eq!(outcome(&["list:users!user=bob"], &["list:users"], None), 404);
        assert_eq!(outcome(&["read:servers!server=bob/"], &["read:servers"], Some("bob")), 200);
        assert_eq!(outcome(&["read:servers!server=bobby/"], &["read:servers"], Some("bob")), 404);
        assert_eq!(outcome(&["read:users!user=bobby"], &wanted, Some("bob")), 404);
    }
}
