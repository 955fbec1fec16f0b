//! WebSockets: the handshake with the server on behalf of a client of HTTP/1.1 (RFC 6455) or HTTP/2 (RFC 8441).
//!
//! No byte of the client goes to the server before the server has agreed with the one answer that proves it has
//! understood the handshake. Any other answer is relayed like that to any other request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use sha1::{Digest as _, Sha1};

use super::forward::{answer, exchange};
use super::headers::Framing;
use super::tunnel::{Tunnel, carry};
use super::{Forwarding, Inner, ProxyError};
use crate::model::Upstream;
use crate::net::{OnUpgrade, RequestBody, ResponseBody, UpgradeKind};

/// What RFC 6455 appends to the key before hashing it.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Asks the server for a WebSocket; if it agrees, a task carries the bytes from then on.
pub(super) async fn forward(
    inner: &Inner,
    mut parts: http::request::Parts,
    body: RequestBody,
    on_upgrade: OnUpgrade,
    upstream: &Arc<Upstream>,
    facts: &Forwarding<'_>,
) -> Result<Response<ResponseBody>, ProxyError> {
    let key = match on_upgrade.kind() {
        UpgradeKind::Http1 => {
            if parts.method != Method::GET || !body.is_end_stream() {
                return Err(ProxyError::BadUpgrade { what: "it is not a GET without a body" });
            }
            client_key(&parts.headers)?
        }
        UpgradeKind::ExtendedConnect => {
            parts.method = Method::GET;
            let key = HeaderValue::from_str(&STANDARD.encode(inner.random.bytes::<16>()))
                .map_err(|_| ProxyError::BadUpgrade { what: "its key" })?;
            parts.headers.insert(SEC_WEBSOCKET_KEY, key.clone());
            key
        }
    };
    if !is_only(&parts.headers, &SEC_WEBSOCKET_VERSION, |version| version == "13") {
        return Err(ProxyError::BadUpgrade { what: "its version is not 13" });
    }

    let (exchange, mut head) = exchange(inner, &parts, RequestBody::Empty, Framing::WebSocket, upstream, facts).await?;
    let malformed = |what| ProxyError::Malformed { address: upstream.address.clone(), what };
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        // On HTTP/2 a 2xx would open the tunnel that the server has not agreed to.
        if on_upgrade.kind() == UpgradeKind::ExtendedConnect && head.status.is_success() {
            return Err(malformed("it answered a websocket handshake with success instead of 101"));
        }
        return Ok(answer(head, exchange.into_body(facts.ended)));
    }
    if !is_only(&head.headers, &SEC_WEBSOCKET_ACCEPT, |accept| accept.as_bytes() == accept_of(&key).as_bytes()) {
        return Err(malformed("its answer to the websocket handshake does not fit the key"));
    }
    let (connection, early) =
        exchange.into_tunnel().ok_or_else(|| malformed("it closed the connection during the handshake"))?;
    match on_upgrade.kind() {
        UpgradeKind::Http1 => {
            head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            head.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
        UpgradeKind::ExtendedConnect => {
            head.status = StatusCode::OK;
            head.headers.remove(SEC_WEBSOCKET_ACCEPT);
        }
    }
    let tunnel = Tunnel::new(connection, early, upstream.clone(), facts, inner);
    inner.tasks.spawn(carry(tunnel, on_upgrade));
    Ok(answer(head, ResponseBody::Empty))
}

/// The client's key: one, and 16 bytes in base64.
fn client_key(headers: &HeaderMap) -> Result<HeaderValue, ProxyError> {
    let is_key = |key: &HeaderValue| STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == 16);
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) if is_only(headers, &SEC_WEBSOCKET_KEY, is_key) => Ok(key.clone()),
        _ => Err(ProxyError::BadUpgrade { what: "its key is not 16 bytes in base64" }),
    }
}

/// True if there is one header of that name, and it is as wanted.
fn is_only(headers: &HeaderMap, name: &HeaderName, is_wanted: impl Fn(&HeaderValue) -> bool) -> bool {
    let mut values = headers.get_all(name).iter();
    values.next().is_some_and(is_wanted) && values.next().is_none()
}

fn accept_of(key: &HeaderValue) -> String {
    STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(ACCEPT_SUFFIX).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_value_is_that_of_the_rfc() {
        assert_eq!(accept_of(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_sixteen_bytes_and_alone() {
        let check = |keys: &[&'static str], is_good: bool| {
            let keys = keys.iter().map(|key| (SEC_WEBSOCKET_KEY, HeaderValue::from_static(key)));
            let headers: HeaderMap = keys.collect();
            assert_eq!(client_key(&headers).is_ok(), is_good, "{headers:?}");
        };
        check(&["dGhlIHNhbXBsZSBub25jZQ=="], true);
        check(&["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="], false);
        check(&["dGhlIHNhbXBsZSBub25jZQ"], false);
        check(&["dGhlIHNhbXBsZQ=="], false);
        check(&[""], false);
        check(&[], false);
    }
}
