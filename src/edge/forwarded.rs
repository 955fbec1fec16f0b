//! What a proxy in front of us says of its client, believed only from the addresses that an operator has named.
//!
//! One of two ways is believed, as set, never both: a proxy that writes the one hands the other on as the client wrote
//! it. `X-Forwarded-For`, `-Proto` and `-Host` (the default), or `Forwarded` (RFC 7239).

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use crate::model::Network;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Which headers a trusted proxy writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded`, and nothing else.
    Rfc7239,
}

/// True if what `peer` forwards is believed.
pub(super) fn is_trusted(trusted: &[Network], peer: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(peer))
}

/// The client behind a chain of proxies: going back from us, the first address that is not a trusted proxy's.
pub(super) fn client(by: ForwardedBy, trusted: &[Network], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !is_trusted(trusted, peer) {
        return peer;
    }
    match by {
        ForwardedBy::XForwarded => {
            let lines = headers.get_all(FOR).into_iter().rev().filter_map(|line| line.to_str().ok());
            first_stranger(trusted, peer, lines.flat_map(|line| line.rsplit(',')).map(|hop| address_of(hop.trim())))
        }
        ForwardedBy::Rfc7239 => {
            let hops = hops(headers).map(|hop| hop?.by.as_deref().and_then(address_of));
            first_stranger(trusted, peer, hops)
        }
    }
}

/// A hop that is no address was written by somebody whom nobody checked, or hides one: nothing before it is believed.
fn first_stranger(trusted: &[Network], peer: IpAddr, hops: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
    let mut client = peer;
    for hop in hops {
        let Some(address) = hop else { break };
        client = address.to_canonical();
        if !is_trusted(trusted, client) {
            break;
        }
    }
    client
}

/// False if a trusted proxy says that its client came without TLS.
pub(super) fn came_by_tls(by: ForwardedBy, headers: &HeaderMap) -> bool {
    let is_tls = |proto: &str| proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss");
    match by {
        ForwardedBy::XForwarded => {
            let Some(line) = headers.get_all(PROTO).into_iter().next_back() else { return true };
            line.to_str().ok().and_then(|line| line.rsplit(',').next()).is_some_and(|proto| is_tls(proto.trim()))
        }
        ForwardedBy::Rfc7239 => match hops(headers).next() {
            None => true,
            Some(None) => false,
            Some(Some(hop)) => hop.proto.as_deref().is_none_or(is_tls),
        },
    }
}

/// False if what the last proxy says cannot be told from what its client wrote before it: an open quote swallows it.
pub(super) fn is_readable(by: ForwardedBy, headers: &HeaderMap) -> bool {
    by == ForwardedBy::XForwarded || hops(headers).next() != Some(None)
}

/// The host that the client asked for, if the proxy rewrote `Host`.
pub(super) fn host(by: ForwardedBy, headers: &HeaderMap) -> Option<String> {
    let host = match by {
        ForwardedBy::XForwarded => {
            let line = headers.get_all(HOST).into_iter().next_back()?.to_str().ok()?;
            line.rsplit(',').next().map(|host| host.trim().to_owned())
        }
        ForwardedBy::Rfc7239 => hops(headers).next()??.host,
    };
    host.filter(|host| !host.is_empty())
}

/// What one proxy said of whoever came to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    /// `for`: who came.
    by: Option<String>,
    proto: Option<String>,
    host: Option<String>,
}

/// The hops of `Forwarded`, the last proxy's first; None for a line that cannot be read.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<Hop>> {
    headers.get_all(FORWARDED).into_iter().rev().flat_map(|line| {
        let read = line.to_str().ok().and_then(read_hops);
        match read {
            Some(hops) => hops.into_iter().rev().map(Some).collect::<Vec<_>>(),
            None => vec![None],
        }
    })
}

/// `for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"`. None: it is not of this form, or says something twice.
fn read_hops(line: &str) -> Option<Vec<Hop>> {
    let (mut hops, mut hop, mut rest) = (Vec::new(), Hop::default(), line.trim());
    loop {
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            let (name, value) = rest.split_once('=')?;
            let (value, behind) = read_value(value)?;
            let place = match name.to_ascii_lowercase().as_str() {
                "for" => Some(&mut hop.by),
                "proto" => Some(&mut hop.proto),
                "host" => Some(&mut hop.host),
                name if name.is_empty() || name.contains([' ', '\t', '"', ',', ';']) => return None,
                _ => None,
            };
            if place.is_some_and(|place| place.replace(value).is_some()) {
                return None;
            }
            rest = behind.trim_start();
        }
        match rest.chars().next() {
            None => break,
            Some(';') => {}
            Some(',') => hops.push(std::mem::take(&mut hop)),
            Some(_) => return None,
        }
        rest = rest[1..].trim_start();
    }
    hops.push(hop);
    Some(hops)
}

/// A token or a text in quotes, and what is behind it.
fn read_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t', '"']).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
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
            let client = client(ForwardedBy::XForwarded, &trusted, peer.parse().expect("an address"), &all);
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
        assert!(came_by_tls(ForwardedBy::XForwarded, &HeaderMap::new()));
        assert!(came_by_tls(ForwardedBy::XForwarded, &headers(PROTO, &["https"])));
        assert!(came_by_tls(ForwardedBy::XForwarded, &headers(PROTO, &["http, https"])));
        assert!(!came_by_tls(ForwardedBy::XForwarded, &headers(PROTO, &["https, http"])));
        assert!(!came_by_tls(ForwardedBy::XForwarded, &headers(PROTO, &["http"])));
    }

    fn forwarded(lines: &[&'static str]) -> HeaderMap {
        headers(FORWARDED, lines)
    }

    #[test]
    fn a_hop_is_read_as_rfc_7239_writes_it() {
        let hop = |by: &str, proto: &str, host: &str| {
            let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Hop { by: said(by), proto: said(proto), host: said(host) }
        };
        let check = |line: &str, expected: &[Hop]| assert_eq!(read_hops(line).as_deref(), Some(expected), "{line}");
        check("for=192.0.2.1", &[hop("192.0.2.1", "", "")]);
        check("For=\"[2001:db8::1]:4711\"", &[hop("[2001:db8::1]:4711", "", "")]);
        check("for=1.1.1.1;proto=http;by=203.0.113.43", &[hop("1.1.1.1", "http", "")]);
        check("for=a, for=b;host=x.example", &[hop("a", "", ""), hop("b", "", "x.example")]);
        check(
            "for=\"a,b;c=\\\"d\";proto=https , for=_hidden",
            &[hop("a,b;c=\"d", "https", ""), hop("_hidden", "", "")],
        );
        check("", &[Hop::default()]);
        for broken in ["for", "for=", "for=\"a", "for=a b", "for=a;for=b", "for=\"a\"b", "for =a", "=a", "for=\"a\\"] {
            assert_eq!(read_hops(broken), None, "{broken}");
        }
    }

    #[test]
    fn by_rfc_7239_the_client_is_the_first_untrusted_hop_too() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].iter().map(|n| n.parse().expect("a network")).collect();
        let check = |peer: &str, lines: &[&'static str], expected: &str| {
            let client = client(ForwardedBy::Rfc7239, &trusted, peer.parse().expect("an address"), &forwarded(lines));
            assert_eq!(client.to_string(), expected, "{peer} {lines:?}");
        };
        check("8.8.8.8", &["for=1.1.1.1"], "8.8.8.8");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["for=9.9.9.9, for=1.1.1.1, for=10.0.0.2"], "1.1.1.1");
        check("10.0.0.1", &["for=9.9.9.9", "for=\"1.1.1.1:4711\";proto=https"], "1.1.1.1");
        check("10.0.0.1", &["for=\"[2001:db8::1]:80\""], "2001:db8::1");
        check("10.0.0.1", &["for=1.1.1.1, for=unknown"], "10.0.0.1");
        check("10.0.0.1", &["for=1.1.1.1, for=_SEVKISEK"], "10.0.0.1");
        check("10.0.0.1", &["for=1.1.1.1, proto=https"], "10.0.0.1");
        let swallowed = forwarded(&["for=\"9.9.9.9, for=1.1.1.1"]);
        assert!(!is_readable(ForwardedBy::Rfc7239, &swallowed) && is_readable(ForwardedBy::XForwarded, &swallowed));
        assert!(is_readable(ForwardedBy::Rfc7239, &forwarded(&["for=\"9.9.9.9", "for=1.1.1.1"])));
    }

    #[test]
    fn only_the_way_that_is_set_is_believed() {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let peer = "10.0.0.1".parse().expect("an address");
        let mut both = forwarded(&["for=1.1.1.1;proto=http;host=a.example"]);
        both.append(FOR, HeaderValue::from_static("2.2.2.2"));
        both.append(HOST, HeaderValue::from_static("b.example"));
        let said = |by| (client(by, &trusted, peer, &both).to_string(), came_by_tls(by, &both), host(by, &both));
        assert_eq!(said(ForwardedBy::XForwarded), ("2.2.2.2".into(), true, Some("b.example".into())));
        assert_eq!(said(ForwardedBy::Rfc7239), ("1.1.1.1".into(), false, Some("a.example".into())));
    }

    #[test]
    fn by_rfc_7239_the_last_proxy_says_how_it_was_come_to() {
        let tls = |lines: &[&'static str]| came_by_tls(ForwardedBy::Rfc7239, &forwarded(lines));
        assert!(tls(&[]));
        assert!(tls(&["for=1.1.1.1"]));
        assert!(tls(&["for=1.1.1.1;proto=http, for=10.0.0.1;proto=HTTPS"]));
        assert!(!tls(&["for=1.1.1.1;proto=https, for=10.0.0.1;proto=http"]));
        assert!(!tls(&["proto=\"https"]));
        assert_eq!(host(ForwardedBy::Rfc7239, &forwarded(&["host=a, host=\"b:8443\""])).as_deref(), Some("b:8443"));
    }
}
