//! The PROXY protocol, versions 1 and 2: a load balancer's first words on a connection say who really comes.
//!
//! Read only from peers that the operator has named, who then must say them. Not a byte behind the header is taken:
//! what follows is TLS or HTTP as if the client itself had connected.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How version 2 begins.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;
/// The longest line of version 1, with its end.
const LINE_BYTES: usize = 107;
/// What may follow version 2's fixed part: addresses (216 for Unix paths) and further fields. 2 KiB: a certificate's
/// subject and a connection's id fit; nobody sends more.
const REST_BYTES: usize = 2048;

/// Why a header was not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("no PROXY header, which listener.proxy_protocol demands of this peer")]
    Missing,
    #[error("a PROXY header of {bytes} bytes, more than {REST_BYTES}")]
    Long { bytes: usize },
    #[error("a PROXY header that makes no sense")]
    Broken(#[source] proxy_header::Error),
    #[error("the connection broke in its PROXY header")]
    Io(#[from] io::Error),
}

/// Reads the header and no byte more. None: the proxy speaks for itself (a health check), or for a client without an
/// IP address.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyError> {
    // Twelve bytes tell the versions apart, and the shortest line of version 1 has fifteen.
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_rest(stream, &mut header).await?;
    } else if header.starts_with(b"PROXY ") {
        read_line(stream, &mut header).await?;
    } else {
        return Err(ProxyError::Missing);
    }
    // Further fields are not looked at: nothing of them is for us.
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    let (parsed, _) = ProxyHeader::parse(&header, config).map_err(ProxyError::Broken)?;
    let told = parsed.proxied_address().filter(|told| told.protocol == Protocol::Stream);
    Ok(told.map(|told| SocketAddr::new(told.source.ip().to_canonical(), told.source.port())))
}

async fn read_rest(stream: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> Result<(), ProxyError> {
    header.resize(FIXED_BYTES, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let bytes = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if bytes > REST_BYTES {
        return Err(ProxyError::Long { bytes });
    }
    header.resize(FIXED_BYTES + bytes, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    Ok(())
}

/// Byte by byte, since what follows the line belongs to others: some fifty tiny reads, beside a TLS handshake nothing.
async fn read_line(stream: &mut (impl AsyncRead + Unpin), header: &mut Vec<u8>) -> Result<(), ProxyError> {
    while !header.ends_with(b"\n") && header.len() < LINE_BYTES {
        header.push(stream.read_u8().await?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proxy_header::ProxiedAddress;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// Version 2 by hand: command, family and protocol, then what follows.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &length, rest].concat()
    }

    /// What is told, and what is left for whoever reads next.
    async fn told(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, String>, Vec<u8>) {
        let told = read(&mut bytes).await.map_err(|error| error.to_string());
        (told, bytes.to_vec())
    }

    #[tokio::test]
    async fn both_versions_tell_the_client_and_leave_what_follows() {
        let check = async |header: Vec<u8>, expected: Option<SocketAddr>| {
            let (told, rest) = told(&[&header[..], b"\x16\x03GET"].concat()).await;
            assert_eq!((told, rest.as_slice()), (Ok(expected), &b"\x16\x03GET"[..]), "{header:?}");
        };
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n".to_vec(), Some(address("192.0.2.7:4711"))).await;
        check(b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".to_vec(), Some(address("[2001:db8::7]:4711"))).await;
        check(b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 443\r\n".to_vec(), Some(address("192.0.2.7:4711"))).await;
        check(b"PROXY UNKNOWN\r\n".to_vec(), None).await;
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None).await;
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 0xbb];
        check(v2(1, 0x11, &v4), Some(address("192.0.2.7:4711"))).await;
        // With further fields, one of them of no known kind.
        check(v2(1, 0x11, &[&v4[..], &[0xe0, 0, 2, 1, 2]].concat()), Some(address("192.0.2.7:4711"))).await;
        let six = ProxiedAddress::stream(address("[2001:db8::7]:4711"), address("[::1]:443"));
        let mut encoded = Vec::new();
        ProxyHeader::with_address(six).encode_v2(&mut encoded).expect("encoded");
        check(encoded, Some(address("[2001:db8::7]:4711"))).await;
        // LOCAL: the balancer itself, whatever it says of addresses.
        check(v2(0, 0x00, &[]), None).await;
        check(v2(0, 0x11, &v4), None).await;
        // Unspecified, a Unix socket, and datagrams, which no connection of ours is.
        check(v2(1, 0x00, &[]), None).await;
        check(v2(1, 0x31, &[0; 216]), None).await;
        check(v2(1, 0x12, &v4), None).await;
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long_line = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "no PROXY header"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00", "no PROXY header"),
            (b"PROXY TCP4 1.2.3.4\r\n", "makes no sense"),
            (b"PROXY TCP4 300.2.3.4 1.1.1.1 1 2\r\n", "makes no sense"),
            (b"PROXY TCP4 1.2.3.4 1.1.1.1 70000 2\r\n", "makes no sense"),
            (b"PROXY TCP4 ::1 ::1 1 2\r\n", "makes no sense"),
            (b"PROXY TCP9 1.2.3.4 1.1.1.1 1 2\r\n", "makes no sense"),
            (&long_line, "makes no sense"),
            (&v2(1, 0x11, &[1, 2, 3]), "makes no sense"),
            (&v2(7, 0x11, &[0; 12]), "makes no sense"),
            (&v2(1, 0x11, &[0; 4000]), "4000 bytes"),
            (b"PROXY", "broke"),
            (b"PROXY TCP4 1.2.3.4 1.1", "broke"),
        ] {
            let (told, _) = told(bytes).await;
            let told = told.expect_err("refused");
            assert!(told.contains(expected), "{bytes:?}: {told}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..400), version in 0..3_usize) {
            let start: &[u8] = [&b""[..], b"PROXY TCP4 ", &SIGNATURE][version];
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            let _ = runtime.block_on(told(&[start, &bytes].concat()));
        }
    }
}
