//! Work that is done in full even if the one who asked for it goes away meanwhile.

use super::error::HubError;

/// Does all of `work`: half of it would leave the server of an account that is gone, for whoever gets the name next.
pub(super) async fn to_its_end(
    work: impl Future<Output = Result<(), HubError>> + Send + 'static,
) -> Result<(), HubError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(HubError::Wiring("the rest of the work")),
    }
}
