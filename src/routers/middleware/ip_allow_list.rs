//! IPAllowList (once IPWhiteList): only from these addresses.

use http::{Request, StatusCode};

use super::answer::plain;
use super::source::{AddressStrategy, take_networks};
use super::{Facts, Step};
use crate::model::Network;
use crate::net::RequestBody;
use crate::routers::{Fields, Problem};

/// Only from these addresses.
#[derive(Debug)]
pub struct IpAllowList {
    ranges: Vec<Network>,
    strategy: AddressStrategy,
    refusal: StatusCode,
}

impl IpAllowList {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Problem> {
        let ranges = take_networks(fields, "sourceRange")?;
        if ranges.is_empty() {
            return Err(fields.problem("sourceRange must name at least one address or range"));
        }
        let strategy = AddressStrategy::read(fields)?.unwrap_or_default();
        let status = |text: &str| {
            let status = text.parse().ok().filter(|status| (400..600).contains(status))?;
            StatusCode::from_u16(status).ok()
        };
        let refusal = fields.take_parsed("rejectStatusCode", "a status from 400 to 599", status)?;
        Ok(Self { ranges, strategy, refusal: refusal.unwrap_or(StatusCode::FORBIDDEN) })
    }

    pub(super) fn apply(&self, request: Request<RequestBody>, facts: &Facts<'_>) -> Step {
        let address = self.strategy.address(request.headers(), facts);
        match address.is_some_and(|address| self.ranges.iter().any(|range| range.contains(address))) {
            true => Step::Pass(request),
            false => Step::Answer(plain(self.refusal)),
        }
    }
}
