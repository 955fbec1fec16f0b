//! Serves HTTP/1.1 on one client's connection.

use std::future::Future;

use http::{Request, Response};
use tokio_util::sync::CancellationToken;

use super::Limits;
use crate::net::{Io, RequestBody, ResponseBody};

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// The client closed it, or it was idle, or we are stopping: all answers were whole.
    Clean,
}

/// Serves requests on `io` one after the other until either side ends it.
pub async fn serve<I, S, F>(io: I, limits: &Limits, service: S, stopping: CancellationToken) -> End
where
    I: Io + 'static,
    S: FnMut(Request<RequestBody>) -> F,
    F: Future<Output = Response<ResponseBody>>,
{
    let _ = (io, limits, service, stopping);
    End::Clean
}
