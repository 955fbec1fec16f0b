//! Whose request it is, for middlewares that count by source: an address, a header's value or the host.

use std::net::{IpAddr, Ipv6Addr};

use http::header::{HeaderMap, HeaderName};

use super::Facts;
use crate::model::Network;
use crate::routers::{Fields, Problem, quoted};

/// By what requests are told apart (`sourceCriterion`).
#[derive(Debug)]
pub(super) enum Source {
    Address(AddressStrategy),
    Header(HeaderName),
    Host,
}

/// Which address counts (`ipStrategy`).
#[derive(Debug, Default)]
pub(super) struct AddressStrategy {
    /// So many from the right of `X-Forwarded-For`; 0: see `excluded`.
    depth: usize,
    /// The first from the right of `X-Forwarded-For` that is none of these; none of them: the client's own.
    excluded: Vec<Network>,
    /// IPv6 addresses that begin with the same so many bits are one.
    ipv6_bits: Option<u8>,
}

impl Source {
    /// Reads `sourceCriterion`; none if nothing is said.
    ///
    /// # Errors
    /// Two criteria, or a value that is none.
    pub(super) fn read(fields: &mut Fields) -> Result<Option<Self>, Problem> {
        let Some(mut fields) = fields.take_section("sourceCriterion")? else { return Ok(None) };
        let address = AddressStrategy::read(&mut fields)?;
        let header = fields.take_text("requestHeaderName")?.filter(|name| !name.is_empty());
        let by_host = fields.take_bool("requestHost")?.unwrap_or(false);
        let problem = fields.problem("sourceCriterion is one of ipStrategy, requestHeaderName and requestHost");
        let no_header =
            |name: &str| fields.problem(format!("requestHeaderName = {} is no header's name", quoted(name)));
        let source = match (address, header, by_host) {
            (None, None, false) => None,
            (Some(strategy), None, false) => Some(Self::Address(strategy)),
            (None, Some(name), false) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Some(Self::Header(name)),
                Err(_) => return Err(no_header(&name)),
            },
            (None, None, true) => Some(Self::Host),
            _ => return Err(problem),
        };
        fields.finish()?;
        Ok(source)
    }

    /// A number for whose request it is. Two of the same are the same one; a table of numbers is bounded whatever
    /// clients write into headers.
    pub(super) fn key(&self, hasher: &ahash::RandomState, headers: &HeaderMap, facts: &Facts<'_>) -> u64 {
        match self {
            Self::Address(strategy) => hasher.hash_one(strategy.address(headers, facts)),
            Self::Header(name) => hasher.hash_one(headers.get(name).map(http::HeaderValue::as_bytes)),
            Self::Host => hasher.hash_one(facts.host.to_ascii_lowercase()),
        }
    }
}

impl AddressStrategy {
    /// Reads `ipStrategy`; none if nothing is said.
    ///
    /// # Errors
    /// A value that is none.
    pub(super) fn read(fields: &mut Fields) -> Result<Option<Self>, Problem> {
        let Some(mut fields) = fields.take_section("ipStrategy")? else { return Ok(None) };
        let depth = fields.take_parsed("depth", "a number from 0 to 100", |text| {
            text.parse().ok().filter(|depth: &usize| *depth <= 100)
        })?;
        let excluded = take_networks(&mut fields, "excludedIPs")?;
        let bits = |text: &str| text.parse().ok().filter(|bits| (1..=128).contains(bits));
        let ipv6_bits = fields.take_parsed("ipv6Subnet", "a number from 1 to 128", bits)?;
        fields.finish()?;
        Ok(Some(Self { depth: depth.unwrap_or(0), excluded, ipv6_bits }))
    }

    /// The address that counts; none if the proxies in front of us did not say one there.
    pub(super) fn address(&self, headers: &HeaderMap, facts: &Facts<'_>) -> Option<IpAddr> {
        let address = if self.depth > 0 {
            forwarded(headers).rev().nth(self.depth - 1)?.parse().ok()?
        } else if self.excluded.is_empty() {
            facts.client
        } else {
            let is_excluded = |address: &IpAddr| self.excluded.iter().any(|network| network.contains(*address));
            let client = std::iter::once(facts.client);
            let said = forwarded(headers).rev().map_while(|text| text.parse::<IpAddr>().ok());
            said.chain(client).find(|address| !is_excluded(address))?
        };
        Some(match (address.to_canonical(), self.ipv6_bits) {
            (IpAddr::V6(address), Some(bits)) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - u32::from(bits)))))
            }
            (address, _) => address,
        })
    }
}

/// What proxies in front of us said; whoever calls us has removed it where they are not believed.
fn forwarded(headers: &HeaderMap) -> impl DoubleEndedIterator<Item = &str> {
    let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let all: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    all.into_iter()
}

/// Address ranges.
///
/// # Errors
/// One of them is none.
pub(super) fn take_networks(fields: &mut Fields, name: &'static str) -> Result<Vec<Network>, Problem> {
    let texts = fields.take_list(name)?.unwrap_or_default();
    let read = |text: &String| text.parse().map_err(|error| fields.problem(format!("{name}: {error}")));
    texts.iter().map(read).collect()
}
