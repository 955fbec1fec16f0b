//! How a command is carried out: asks the running instance; opens the store itself only if none runs.

use std::sync::Arc;

use super::small_runtime;
use crate::auth::Auth;
use crate::config::Config;
use crate::control::{self, Answer, AskError, Request, StopServers};
use crate::model::{Random, SystemClock};
use crate::store::Store;

/// The answer, from whoever could give it.
///
/// # Errors
/// If an instance runs and does not answer, or none runs and the store cannot be opened.
pub(super) fn ask_or_execute(config: &Config, request: Request) -> Result<Answer, Box<dyn std::error::Error>> {
    match control::ask(&config.control, &request) {
        Err(AskError::NotRunning { .. }) => execute_on_store(config, request),
        Err(error) => Err(error.into()),
        Ok(answer) => Ok(answer),
    }
}

/// Nothing runs: the store is ours for a moment. A server of a deleted user that still runs is removed by the next
/// `serve`, which finds it without an owner.
fn execute_on_store(config: &Config, request: Request) -> Result<Answer, Box<dyn std::error::Error>> {
    let nothing_runs: StopServers = Arc::new(|_, _| Box::pin(std::future::ready(Ok(()))));
    small_runtime()?.block_on(async {
        let store = Store::open(&config.store)?;
        let auth = Auth::load(config.auth.clone(), store, Arc::new(SystemClock), Random::from_system()).await?;
        Ok(control::execute(&auth, &nothing_runs, request).await)
    })
}
