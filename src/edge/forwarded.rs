//! What a proxy in front of us says of its client, believed only from the addresses that an operator has named.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use crate::model::Network;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// True if what `peer` forwards is believed.
pub(super) fn is_trusted(trusted: &[Network], peer: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(peer))
}

/// The client behind a chain of proxies: going back from us, the first address that is not a trusted proxy's.
pub(super) fn client(trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !is_trusted(trusted, peer) {
        return peer;
    }
    let lines = headers.get_all(FOR).into_iter().rev().filter_map(|line| line.to_str().ok());
    let mut client = peer;
    for hop in lines.flat_map(|line| line.rsplit(',')) {
        // A hop that is no address was written by somebody whom nobody checked: stop believing there.
        let Some(address) = address_of(hop.trim()) else { break };
        client = address.to_canonical();
        if !is_trusted(trusted, client) {
            break;
        }
    }
    client
}

/// False if a trusted proxy says that its client came without TLS.
pub(super) fn came_by_tls(headers: &HeaderMap) -> bool {
    let Some(line) = headers.get_all(PROTO).into_iter().next_back() else { return true };
    line.to_str().ok().and_then(|line| line.rsplit(',').next()).is_some_and(|proto| {
        let proto = proto.trim();
        proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss")
    })
}

/// The host that the client asked for, if the proxy rewrote `Host`.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    let line = headers.get_all(HOST).into_iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim).filter(|host| !host.is_empty())
}

/// `1.2.3.4`, `::1`, `[::1]`, each with or without a port.
fn address_of(hop: &str) -> Option<IpAddr> {
    let without_port = || hop.parse::<std::net::SocketAddr>().map(|address| address.ip()).ok();
    let bracketed = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    bracketed.unwrap_or(hop).parse().ok().or_else(without_port)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn the_client_is_the_first_untrusted_hop_going_back() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].iter().map(|n| n.parse().expect("a network")).collect();
        let check = |peer: &str, lines: &[&'static str], expected: &str| {
            let mut all = HeaderMap::new();
            for line in lines {
                all.append(FOR, HeaderValue::from_static(line));
            }
            let client = client(&trusted, peer.parse().expect("an address"), &all);
            assert_eq!(client.to_string(), expected, "{peer} {lines:?}");
        };
        check("8.8.8.8", &["1.1.1.1"], "8.8.8.8");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["1.1.1.1"], "1.1.1.1");
        check("10.0.0.1", &["9.9.9.9, 1.1.1.1, 10.0.0.2"], "1.1.1.1");
        check("10.0.0.1", &["9.9.9.9", "1.1.1.1:4711"], "1.1.1.1");
        check("10.0.0.1", &["9.9.9.9, unknown"], "10.0.0.1");
        check("10.0.0.1", &["[2001:db8::1]:80"], "2001:db8::1");
        check("fd00::1", &["2001:db8::1"], "2001:db8::1");
        check("10.0.0.1", &["10.0.0.3"], "10.0.0.3");
    }

    #[test]
    fn only_a_clear_word_means_that_tls_was_missing() {
        assert!(came_by_tls(&HeaderMap::new()));
        assert!(came_by_tls(&headers(PROTO, &["https"])));
        assert!(came_by_tls(&headers(PROTO, &["http, https"])));
        assert!(!came_by_tls(&headers(PROTO, &["https, http"])));
        assert!(!came_by_tls(&headers(PROTO, &["http"])));
    }
}
