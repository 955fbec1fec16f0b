//! InFlightReq: so many requests of a source at the same time, WebSockets among them.
//!
//! What is counted lasts as long as its request, so the table is as small as what is under way: exact numbers, no estimator.

use std::collections::HashMap;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use parking_lot::Mutex;

use super::answer::plain;
use super::held::{hold, hold_upgrade};
use super::source::Source;
use super::{Facts, Next};
use crate::net::{OnUpgrade, RequestBody, ResponseBody};
use crate::routers::{Fields, Problem};

type Counts = Mutex<HashMap<u64, u64, ahash::RandomState>>;

/// So many requests of a source at the same time.
pub struct InFlight {
    amount: u64,
    source: Source,
    hasher: ahash::RandomState,
    counts: Arc<Counts>,
}

impl std::fmt::Debug for InFlight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InFlight").field("amount", &self.amount).field("source", &self.source).finish_non_exhaustive()
    }
}

/// A place among those under way.
struct Permit {
    counts: Arc<Counts>,
    key: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

impl InFlight {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let amount = fields.take_u64("amount")?.unwrap_or(0);
        if amount == 0 {
            return Err(fields.problem("amount must be 1 or more"));
        }
        // By host where nothing is said, as with Traefik.
        let source = Source::read(fields)?.unwrap_or(Source::Host);
        Ok(Self { amount, source, hasher: ahash::RandomState::new(), counts: Arc::default() })
    }

    pub(super) async fn handle(&self, mut request: Request<RequestBody>, next: &Next<'_>) -> Response<ResponseBody> {
        let Some(permit) = self.enter(&request, next.facts) else { return plain(StatusCode::TOO_MANY_REQUESTS) };
        let permit = Arc::new(permit);
        if let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() {
            request.extensions_mut().insert(hold_upgrade(upgrade, permit.clone()));
        }
        next.run(request).await.map(|body| hold(body, permit))
    }

    fn enter(&self, request: &Request<RequestBody>, facts: &Facts<'_>) -> Option<Permit> {
        let key = self.source.key(&self.hasher, request.headers(), facts);
        let mut counts = self.counts.lock();
        let count = counts.entry(key).or_insert(0);
        if *count >= self.amount {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Permit { counts: self.counts.clone(), key })
    }

    #[cfg(test)]
    pub(super) fn under_way(&self) -> u64 {
        self.counts.lock().values().sum()
    }
}
