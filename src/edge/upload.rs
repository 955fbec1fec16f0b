//! What is sent to the hub is read before the request enters it: who sends slowly must not hold a place there.
//!
//! The places in the hub are few and shared by all. Reading has places of its own, and an address has a share of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError};
use parking_lot::Mutex;

use super::answer::Refusal;
use crate::net::RequestBody;

/// Bodies that are being read, counted by address. Holds only addresses that are sending: it cannot grow.
#[derive(Clone, Debug, Default)]
pub(super) struct Uploads(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    in_all: usize,
    of_address: HashMap<IpAddr, usize>,
}

/// One body that is being read.
struct Upload {
    uploads: Uploads,
    address: IpAddr,
}

impl Uploads {
    fn begin(&self, address: IpAddr, limit: usize, limit_per_address: usize) -> Option<Upload> {
        let address = address.to_canonical();
        let mut counts = self.0.lock();
        let own = counts.of_address.get(&address).copied().unwrap_or(0);
        if counts.in_all >= limit || own >= limit_per_address {
            return None;
        }
        counts.in_all += 1;
        counts.of_address.insert(address, own + 1);
        Some(Upload { uploads: self.clone(), address })
    }

    /// Reads a body to its end; `limit_bytes` has been checked where the length was announced.
    ///
    /// # Errors
    /// `HubBusy` without a place, `TooLong`, or a request that breaks off.
    pub(super) async fn read(
        &self,
        body: RequestBody,
        address: IpAddr,
        limits: Limits,
    ) -> Result<RequestBody, Refusal> {
        if matches!(body, RequestBody::Empty) {
            return Ok(body);
        }
        let _upload = self.begin(address, limits.at_once, limits.per_address).ok_or(Refusal::HubBusy)?;
        let bytes: Bytes = match body.collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Refusal::TooLong { limit_bytes: limits.bytes });
            }
            Err(_) => return Err(Refusal::bad("what it sends broke off")),
        };
        Ok(RequestBody::stream(Full::new(bytes)))
    }
}

/// The bounds of reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) at_once: usize,
    pub(super) per_address: usize,
    pub(super) bytes: u64,
}

impl Drop for Upload {
    fn drop(&mut self) {
        let mut counts = self.uploads.0.lock();
        counts.in_all -= 1;
        let Some(own) = counts.of_address.get_mut(&self.address) else { return };
        *own -= 1;
        if *own == 0 {
            counts.of_address.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let uploads = Uploads::default();
        let begin = |last| uploads.begin(IpAddr::from([10, 0, 0, last]), 3, 2);
        let held = (begin(1), begin(1));
        assert!(held.0.is_some() && held.1.is_some() && begin(1).is_none(), "its share");
        let other = begin(2);
        assert!(other.is_some() && begin(3).is_none(), "all places");
        drop(held);
        assert!(begin(1).is_some());
        drop(other);
        assert!(uploads.0.lock().of_address.is_empty());
    }
}
