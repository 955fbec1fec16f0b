//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Counts connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Permits {
    all: Arc<Semaphore>,
    per_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The right to one connection; given back on drop.
#[derive(Debug)]
pub(super) struct Permit {
    _all: OwnedSemaphorePermit,
    _address: Option<AddressPermit>,
}

#[derive(Debug)]
struct AddressPermit {
    address: IpAddr,
    per_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Permits {
    pub(super) fn new(limit: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(limit)), per_address: Arc::default() }
    }

    /// Waits until one more connection may go on. While nobody is let in, the kernel's backlog holds the rest.
    ///
    /// Cancel-safe.
    pub(super) async fn wait(&self) -> OwnedSemaphorePermit {
        self.all.clone().acquire_owned().await.expect("this semaphore is never closed")
    }

    /// Ties `all` to the peer's address; `None` if that address has its `limit` already.
    pub(super) fn for_address(&self, all: OwnedSemaphorePermit, address: IpAddr, limit: usize) -> Option<Permit> {
        let address = shared_by(address);
        let mut per_address = self.per_address.lock();
        let count = per_address.entry(address).or_insert(0);
        if *count >= limit {
            return None;
        }
        *count += 1;
        let per_address = self.per_address.clone();
        Some(Permit { _all: all, _address: Some(AddressPermit { address, per_address }) })
    }

    /// A permit that no address is charged for: a trusted proxy speaks for many people.
    pub(super) fn for_proxy(all: OwnedSemaphorePermit) -> Permit {
        Permit { _all: all, _address: None }
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut per_address = self.per_address.lock();
        let Some(count) = per_address.get_mut(&self.address) else { return };
        *count -= 1;
        if *count == 0 {
            // The table holds only addresses that are connected now: it cannot grow beyond the limit in all.
            per_address.remove(&self.address);
        }
    }
}

/// What one customer of a provider has: an IPv4 address, or the /64 of an IPv6 one.
fn shared_by(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn one_address_has_its_share_and_gives_it_back() {
        let permits = Permits::new(10);
        let first = permits.for_address(permits.wait().await, address("10.0.0.1"), 2);
        let second = permits.for_address(permits.wait().await, address("::ffff:10.0.0.1"), 2);
        assert!(first.is_some() && second.is_some());
        assert!(permits.for_address(permits.wait().await, address("10.0.0.1"), 2).is_none());
        assert!(permits.for_address(permits.wait().await, address("10.0.0.2"), 2).is_some());
        drop(first);
        assert!(permits.for_address(permits.wait().await, address("10.0.0.1"), 2).is_some());
        drop(second);
        assert!(permits.per_address.lock().is_empty());
        assert_eq!(permits.all.available_permits(), 10);
    }

    #[tokio::test]
    async fn addresses_of_one_ipv6_customer_share() {
        let permits = Permits::new(10);
        let held = permits.for_address(permits.wait().await, address("2001:db8::1"), 1);
        assert!(held.is_some());
        assert!(permits.for_address(permits.wait().await, address("2001:db8::2"), 1).is_none());
        assert!(permits.for_address(permits.wait().await, address("2001:db8:0:1::1"), 1).is_some());
    }
}
