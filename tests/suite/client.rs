//! A client that speaks to the program as browsers and scripts do: HTTP/1.1, HTTP/2 and WebSocket over real TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// No test waits longer for one answer.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Which way a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Http1,
    Http2,
    /// HTTP/1.1 upgrade.
    WebSocket,
    /// Extended CONNECT (RFC 8441).
    WebSocketOverHttp2,
}

impl Wire {
    pub const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::WebSocket, Self::WebSocketOverHttp2];
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// Where a page without JavaScript goes on to by itself, if it does.
    pub fn reload_url(&self) -> Option<String> {
        let text = self.text();
        let (_, rest) = text.split_once("http-equiv=\"refresh\"")?;
        let url = rest.split_once("url=")?.1.split('"').next()?;
        Some(url.replace("&amp;", "&").replace("&#x2f;", "/"))
    }

    /// Checks the status; on a difference shows the whole answer.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}\n{}", self.headers, self.text());
        self
    }
}

/// One browser or script: an address, cookies, and headers that it always sends.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    /// The host that it names, if not `localhost`.
    name: Option<String>,
    pub cookies: Vec<(String, String)>,
    pub headers: HeaderMap,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, name: None, cookies: Vec::new(), headers: HeaderMap::new() }
    }

    /// The same client, sending this header too.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    /// What a browser sends when a person follows a link or types an address.
    pub fn navigating(self) -> Self {
        self.with("sec-fetch-mode", "navigate").with("sec-fetch-dest", "document").with("accept", "text/html,*/*;q=0.8")
    }

    /// The same person's script: the cookies, and none of the headers of a navigation.
    pub fn scripting(&self) -> Self {
        Self { headers: HeaderMap::new(), ..self.clone() }
    }

    /// The value of the `Cookie` header that the client sends.
    pub fn cookie_line(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// The host and port that the client names.
    pub fn host(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("localhost:{}", self.address.port()))
    }

    /// The same client on another host, without its cookies: they are that host's alone.
    pub fn at(&self, host: &str) -> Self {
        Self { name: Some(host.to_owned()), cookies: Vec::new(), ..self.clone() }
    }

    pub async fn tls(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.address).await.expect("the program listens");
        tcp.set_nodelay(true).expect("a TCP option");
        tls_over(tcp, protocol).await.expect("a TLS handshake")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Wire::Http1, Method::GET, path, Bytes::new()).await
    }

    pub async fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let client = self.clone().with("content-type", "application/x-www-form-urlencoded");
        client.send(Wire::Http1, Method::POST, path, form.into()).await
    }

    /// Has an administrator's act done to these users: asks, says yes to the question, and waits for the end of it.
    /// Returns the page that says what became of each.
    pub async fn administer(&self, act: &str, names: &[&str]) -> Answer {
        self.administer_with(act, names, &[]).await
    }

    /// The same with more in the answer to the question.
    pub async fn administer_with(&self, act: &str, names: &[&str], more: &[(&str, &str)]) -> Answer {
        let token = xsrf_of(&self.get("/hub/admin").await.is(200).text());
        let mut fields = vec![("_xsrf", token.as_str()), ("act", act)];
        fields.extend(names.iter().map(|name| ("user", *name)));
        let asked = self.post_form("/hub/admin/ask", &fields).await;
        if asked.status != 200 {
            return asked;
        }
        let question = question_of(&asked.text());
        let mut fields = vec![("_xsrf", token.as_str()), ("question", question.as_str())];
        fields.extend(more);
        let mut answer = self.post_form("/hub/admin/do", &fields).await.is(303);
        let address = answer.header("location").to_owned();
        loop {
            answer = self.get(&address).await.is(200);
            if !answer.text().contains("so far") {
                return answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Sends one request on a connection of its own and reads the whole answer.
    pub async fn send(&self, wire: Wire, method: Method, path: &str, body: Bytes) -> Answer {
        let exchange = async {
            match wire {
                Wire::Http1 => self.send_http1(method, path, body).await,
                Wire::Http2 => self.send_http2(method, path, body).await,
                Wire::WebSocket => self.open_websocket(path).await.0,
                Wire::WebSocketOverHttp2 => self.open_websocket_over_http2(path).await.0,
            }
        };
        tokio::time::timeout(ANSWER_LIMIT, exchange)
            .await
            .unwrap_or_else(|_| panic!("no answer to {path} in {ANSWER_LIMIT:?}"))
    }

    fn request(&self, method: Method, uri: &str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(uri).body(Full::new(body)).expect("a request");
        *request.headers_mut() = self.headers.clone();
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.headers_mut().insert("cookie", pairs.join("; ").parse().expect("a cookie header"));
        }
        request
    }

    async fn send_http1(&self, method: Method, path: &str, body: Bytes) -> Answer {
        let io = TokioIo::new(self.tls(b"http/1.1").await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("HTTP/1.1");
        tokio::spawn(connection);
        let mut request = self.request(method, path, body);
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", self.host().parse().expect("a host"));
        }
        read(sender.send_request(request).await.expect("an answer")).await
    }

    async fn send_http2(&self, method: Method, path: &str, body: Bytes) -> Answer {
        let io = TokioIo::new(self.tls(b"h2").await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut request = self.request(method, &format!("https://{}{path}", self.host()), body);
        if let Some(host) = request.headers_mut().remove("host") {
            let uri = format!("https://{}{path}", host.to_str().expect("a host"));
            *request.uri_mut() = uri.parse().expect("a URI");
        }
        read(sender.send_request(request).await.expect("an answer")).await
    }

    /// Opens a WebSocket by an HTTP/1.1 upgrade; the stream is there if the answer is 101.
    pub async fn open_websocket(&self, path: &str) -> (Answer, Option<TlsStream<TcpStream>>) {
        let mut tls = self.tls(b"http/1.1").await;
        let request = self.request(Method::GET, path, Bytes::new());
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.host()
        );
        if !request.headers().contains_key("origin") {
            head.push_str(&format!("Origin: https://{}\r\n", self.host()));
        }
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("text")));
        }
        head.push_str("\r\n");
        tls.write_all(head.as_bytes()).await.expect("the head is sent");
        let answer = read_raw(&mut tls).await;
        let is_open = answer.status == StatusCode::SWITCHING_PROTOCOLS;
        if is_open {
            // Browsers take no WebSocket without all three.
            assert_eq!(answer.header("upgrade"), "websocket", "{path}");
            assert_eq!(answer.header("connection"), "upgrade", "{path}");
            assert_eq!(answer.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "{path}");
        }
        (answer, is_open.then_some(tls))
    }

    /// Opens a WebSocket by extended CONNECT; the stream is there if the answer is 200.
    pub async fn open_websocket_over_http2(
        &self,
        path: &str,
    ) -> (Answer, Option<(h2::SendStream<Bytes>, h2::RecvStream)>) {
        let (sender, connection) = h2::client::handshake(self.tls(b"h2").await).await.expect("HTTP/2");
        tokio::spawn(connection);
        let mut sender = sender.ready().await.expect("HTTP/2 is ready");
        // The server's SETTINGS must have arrived before CONNECT may carry a protocol.
        let waiting = async {
            while !sender.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(ANSWER_LIMIT, waiting).await.expect("the server offers extended CONNECT");
        let mut request =
            self.request(Method::CONNECT, &format!("https://{}{path}", self.host()), Bytes::new()).map(|_| ());
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        request.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("13"));
        if !request.headers().contains_key("origin") {
            request.headers_mut().insert("origin", format!("https://{}", self.host()).parse().expect("an origin"));
        }
        let (response, send) = sender.send_request(request, false).expect("the request is sent");
        let (parts, mut receive) = response.await.expect("an answer").into_parts();
        if parts.status == StatusCode::OK {
            return (
                Answer { status: parts.status, headers: parts.headers, body: Bytes::new() },
                Some((send, receive)),
            );
        }
        let mut body = Vec::new();
        while let Some(chunk) = receive.data().await {
            body.extend_from_slice(&chunk.expect("the body"));
        }
        (Answer { status: parts.status, headers: parts.headers, body: body.into() }, None)
    }

    /// Sends these bytes as they are over TLS and returns all that comes back until the connection closes.
    pub async fn send_bytes(&self, bytes: &[u8]) -> String {
        let mut tls = self.tls(b"http/1.1").await;
        tls.write_all(bytes).await.expect("the bytes are sent");
        let mut back = Vec::new();
        // A close without TLS's goodbye is a close as well.
        let _ = tokio::time::timeout(ANSWER_LIMIT, tls.read_to_end(&mut back)).await.expect("the connection closes");
        String::from_utf8_lossy(&back).into_owned()
    }
}

/// TLS that takes any certificate.
pub fn trusting_anybody(protocols: &[&[u8]]) -> ClientConfig {
    trusting_anybody_in(rustls::ALL_VERSIONS, protocols)
}

/// The same in these versions alone.
pub fn trusting_anybody_in(
    versions: &[&'static rustls::SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_protocol_versions(versions)
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustEverybody))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

async fn read(response: http::Response<hyper::body::Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("the whole body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// Reads one answer from a raw stream: the head, and the body if its length is given.
async fn read_raw(tls: &mut TlsStream<TcpStream>) -> Answer {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let mut byte = [0; 1];
        let count = tls.read(&mut byte).await.expect("a head");
        assert!(count == 1, "the connection closed within the head: {}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    };
    let mut lines = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut lines);
    head.parse(&bytes[..head_end]).expect("a sound head");
    let status = StatusCode::from_u16(head.code.expect("a status")).expect("a status");
    let headers: HeaderMap = head
        .headers
        .iter()
        .map(|line| (line.name.parse().expect("a name"), HeaderValue::from_bytes(line.value).expect("a value")))
        .collect::<Vec<(http::HeaderName, HeaderValue)>>()
        .into_iter()
        .collect();
    let length = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    tls.read_exact(&mut body).await.expect("the body");
    Answer { status, headers, body: body.into() }
}

/// Tests speak to themselves: whose certificate it is does not matter here (tests/browser checks it for real).
#[derive(Debug)]
struct TrustEverybody;

impl ServerCertVerifier for TrustEverybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// TLS as a browser speaks it, over whatever stream leads to the program.
pub async fn tls_over<S>(stream: S, protocol: &[u8]) -> std::io::Result<TlsStream<S>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let config = trusting_anybody(&[protocol]);
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// The hidden `_xsrf` field of a page.
pub fn xsrf_of(page: &str) -> String {
    let field = page
        .split("<input")
        .find(|input| input.contains("name=\"_xsrf\""))
        .unwrap_or_else(|| panic!("no _xsrf in {page}"));
    field.split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a value").to_owned()
}

/// What the page before an administrator's act is to be answered with.
#[track_caller]
pub fn question_of(page: &str) -> String {
    let rest = page.split("name=\"question\" value=\"").nth(1).unwrap_or_else(|| panic!("no question in {page}"));
    rest.split('"').next().expect("a value").to_owned()
}
