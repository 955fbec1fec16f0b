//! May this caller use this endpoint? JupyterHub's rule for 403 and 404 (contract §2.0), in one place.
//!
//! `auth` decides; here its answer is put into the contract's words.

use std::sync::Arc;

use crate::auth::{Access, Caller, Rights, Target};
use crate::hub::error::HubError;

/// Lets the caller pass who holds any of `wanted` for `target`; what else they may do comes along.
///
/// # Errors
/// 403 for the anonymous and for those who hold none of them; 404 for those who hold one for somebody else.
pub(super) fn require(caller: &Caller, wanted: &[&'static str], target: Target<'_>) -> Result<Arc<Rights>, HubError> {
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
