//! A backup of all that is kept: `control` asks for it, the store makes it.

use std::path::PathBuf;

use super::Auth;
use crate::store::StoreError;

impl Auth {
    /// Writes everything to `file`, and answers its bytes and how many values it holds. Holds up no act meanwhile.
    ///
    /// # Errors
    /// What the store says; then `file` is as it was.
    pub async fn back_up(&self, file: PathBuf, replace: bool) -> Result<(u64, u64), StoreError> {
        self.run(move |shared| {
            let made = shared.store.back_up(&file, replace, shared.clock.now())?;
            Ok((made.bytes, made.values))
        })
        .await
    }
}
