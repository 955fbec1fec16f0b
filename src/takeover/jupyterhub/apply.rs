//! Writes what a plan says: part of one commit, with the rows of the audit.

use super::plan::Plan;
use crate::model::{Actor, Timestamp};
use crate::store::{StoreError, Transaction};

/// Who takes over, as the audit names them.
const OPERATOR: &str = "command";

/// Writes all of it, or with an error nothing. An empty plan leaves no trace.
///
/// # Errors
/// If the store cannot be written.
pub fn apply(transaction: &mut Transaction<'_>, plan: &Plan, now: Timestamp) -> Result<(), StoreError> {
    if plan.is_empty() {
        return Ok(());
    }
    let t = transaction;
    plan.accounts.iter().try_for_each(|row| t.put_user(row))?;
    plan.groups.iter().try_for_each(|row| t.put_group(row))?;
    plan.services.iter().try_for_each(|row| t.put_service(row))?;
    plan.servers.iter().try_for_each(|row| t.put_server(row))?;
    plan.volumes.iter().try_for_each(|row| t.put_volumes(row))?;
    plan.shares.iter().try_for_each(|row| t.put_share(row))?;
    plan.tokens.iter().try_for_each(|row| t.put_token(row))?;
    plan.tokens.iter().map(|row| row.id).max().map_or(Ok(()), |id| t.keep_token_id(id))?;
    plan.share_codes.iter().try_for_each(|row| t.put_share_code(row))?;
    plan.share_codes.iter().map(|row| row.id).max().map_or(Ok(()), |id| t.keep_share_code_id(id))?;
    plan.taken.iter().try_for_each(|key| t.note_taken_over(key))?;
    let actor = Actor::from(OPERATOR);
    let counts = format!(
        "JupyterHub {} ({}): {} accounts, {} groups, {} servers, {} tokens",
        plan.version,
        plan.revision,
        plan.accounts.len(),
        plan.groups.len(),
        plan.servers.len(),
        plan.tokens.len()
    );
    t.audit(now, &actor, "imported users of", &counts)?;
    // Whoever administers from here on stands in the log by name.
    plan.accounts
        .iter()
        .filter(|row| row.admin)
        .try_for_each(|row| t.audit(now, &actor, "imported administrator", row.name.as_str()))
}
