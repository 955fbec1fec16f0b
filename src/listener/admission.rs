//! Who may come in how: limits, proxies, and from whom a PROXY header is expected. Pure; `accept` carries it out.

use std::net::IpAddr;

use super::AcceptLimits;
use crate::model::Network;

/// What holds for new connections. A reload exchanges it; open connections keep what they came in by.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// Bounds.
    pub limits: AcceptLimits,
    /// Peers that speak for many people: free of the limit per address.
    pub unlimited: Vec<Network>,
    /// Peers that must begin with a PROXY header, which says who really comes.
    pub proxy_protocol: Vec<Network>,
    /// Nobody else may come in, where `proxy_protocol` names anybody.
    pub others_are_refused: bool,
}

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// As it is: the peer is the client, or a proxy that speaks HTTP.
    AsItIs,
    /// With a PROXY header.
    ProxyHeader,
    /// Not at all.
    Refused,
}

impl Admission {
    /// For a door of our own servers and programs: these limits, and no proxies.
    #[must_use]
    pub fn limited(limits: AcceptLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(super) fn is_unlimited(&self, peer: IpAddr) -> bool {
        contains(&self.unlimited, peer)
    }

    pub(super) fn beginning(&self, peer: IpAddr) -> Beginning {
        match contains(&self.proxy_protocol, peer) {
            true => Beginning::ProxyHeader,
            false if self.others_are_refused && !self.proxy_protocol.is_empty() => Beginning::Refused,
            false => Beginning::AsItIs,
        }
    }
}

fn contains(networks: &[Network], peer: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UNIX_PEER;

    #[test]
    fn only_who_is_named_brings_a_header_and_others_come_as_set() {
        let ten: Network = "10.0.0.0/8".parse().expect("a network");
        let admission = Admission { proxy_protocol: vec![ten], ..Admission::default() };
        let begins = |admission: &Admission, peer: &str| admission.beginning(peer.parse().expect("an address"));
        assert_eq!(begins(&admission, "10.1.2.3"), Beginning::ProxyHeader);
        assert_eq!(begins(&admission, "::ffff:10.1.2.3"), Beginning::ProxyHeader);
        assert_eq!(begins(&admission, "11.0.0.1"), Beginning::AsItIs);
        let strict = Admission { others_are_refused: true, ..admission };
        assert_eq!(begins(&strict, "11.0.0.1"), Beginning::Refused);
        assert_eq!(strict.beginning(UNIX_PEER), Beginning::Refused);
        let nobody = Admission { others_are_refused: true, ..Admission::default() };
        assert_eq!(begins(&nobody, "11.0.0.1"), Beginning::AsItIs);
    }
}
