//! What a target hears of its client: `X-Forwarded-*`, appended to what others before us have said.

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};

use super::Arrival;
use super::target::split_port;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Adds what we know to `headers`. As configurable-http-proxy, what a client says itself is believed: whoever stands in
/// front of us must overwrite it.
pub(super) fn add(headers: &mut HeaderMap, arrival: &Arrival, is_websocket: bool) {
    let proto = match (arrival.is_encrypted, is_websocket) {
        (true, true) => "wss",
        (true, false) => "https",
        (false, true) => "ws",
        (false, false) => "http",
    };
    let host = headers.get(HOST).cloned();
    let port = host.as_ref().and_then(|host| split_port(host.to_str().ok()?)?.1);
    let port = match (port, arrival.is_encrypted) {
        (Some(port), _) => HeaderValue::from(port),
        (None, true) => HeaderValue::from_static("443"),
        (None, false) => HeaderValue::from_static("80"),
    };
    // Over a Unix socket there is no address; whoever stands in front has named the client.
    if let Some(peer) = &arrival.peer {
        append(headers, FOR, peer.clone());
    }
    append(headers, PORT, port);
    append(headers, PROTO, HeaderValue::from_static(proto));
    let has_host = headers.get(FORWARDED_HOST).is_some_and(|host| !host.is_empty());
    if let Some(host) = host.filter(|_| !is_websocket && !has_host) {
        headers.insert(FORWARDED_HOST, host);
    }
}

/// One line: what was there, a comma, and `value`.
fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    if !headers.contains_key(&name) {
        headers.insert(name, value);
        return;
    }
    let known: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    let mut line = known.join(&b", "[..]);
    if !line.is_empty() {
        line.push(b',');
    }
    line.extend_from_slice(value.as_bytes());
    // Its parts were values of headers.
    if let Ok(line) = HeaderValue::from_bytes(&line) {
        headers.insert(name, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        is_encrypted: bool,
        is_websocket: bool,
        lines: &[(&'static str, &'static str)],
        expected: &[(&str, &str)],
    ) {
        let arrival = Arrival { peer: Some(HeaderValue::from_static("192.0.2.7")), is_encrypted };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        add(&mut headers, &arrival, is_websocket);
        for (name, value) in expected {
            let found: Vec<_> = headers.get_all(*name).iter().collect();
            assert_eq!(found, [value], "{name} of {headers:?}");
        }
        assert_eq!(headers.keys_len(), expected.len() + usize::from(headers.contains_key(HOST)), "{headers:?}");
    }

    #[test]
    fn a_target_hears_who_asks() {
        check(
            false,
            false,
            &[("host", "hub.example:8000")],
            &[
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-port", "8000"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", "hub.example:8000"),
            ],
        );
        check(
            true,
            true,
            &[("host", "[::1]")],
            &[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-port", "443"), ("x-forwarded-proto", "wss")],
        );
    }

    #[test]
    fn what_others_have_said_stays_in_front() {
        let said = [
            ("host", "inner"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "outer"),
        ];
        check(
            false,
            false,
            &said,
            &[
                ("x-forwarded-for", "1.1.1.1, 2.2.2.2,192.0.2.7"),
                ("x-forwarded-port", "8443,80"),
                ("x-forwarded-proto", "https,http"),
                ("x-forwarded-host", "outer"),
            ],
        );
    }
}
