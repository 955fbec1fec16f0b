//! Does a server answer just now? For pages that wait until «Open» leads somewhere (`lab-ready`).
//!
//! Unlike `ready`, which waits for a start, this asks once and says what came of it. The server may be hostile: a bounded
//! head of its answer is read, no redirect is followed, and only so many questions are under way at once.

use std::time::Duration;

use tokio::time::timeout;

use super::Spawner;
use crate::model::ServerKey;
use crate::net::{AskError, ask_patiently};

/// Questions under way at one moment, of all pages together; others wait within their own limit. 64: a page asks once a
/// second, and a server that answers takes milliseconds.
pub(super) const QUESTIONS_AT_ONCE: usize = 64;
/// For the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// For all of it.
const LIMIT: Duration = Duration::from_secs(5);

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// It answered with this status, whatever it is.
    Yes(u16),
    /// It is not running, or on its way.
    NotActive,
    /// It takes no connection.
    NoConnection,
    /// It took the connection and said nothing in time, or closed it.
    NoAnswer,
    /// What it said is no HTTP.
    NotHttp,
}

impl Spawner {
    /// Asks a ready server `GET {prefix}api` once: 2 s for the connection, 5 s for all of it.
    pub async fn is_answering(&self, server: &ServerKey) -> Answering {
        let Some(route) = self.board.route(server) else { return Answering::NotActive };
        let path = format!("{}api", server.prefix(&self.base));
        let asked = async {
            // Never closed; if it were, nothing would be gained by waiting.
            let _place = self.questions.acquire().await.ok();
            ask_patiently(&route.upstream.address, &path, CONNECT_LIMIT, LIMIT).await
        };
        match timeout(LIMIT, asked).await {
            Ok(Ok(status)) => Answering::Yes(status.as_u16()),
            Ok(Err(AskError::Dial(_))) => Answering::NoConnection,
            Ok(Err(AskError::Malformed { .. })) => Answering::NotHttp,
            Ok(Err(AskError::Broken { .. } | AskError::Slow { .. })) | Err(_) => Answering::NoAnswer,
        }
    }
}
