//! How large the engine's volumes are: `GET /system/df`, which walks through all their files and may take minutes.
//!
//! Asked by ourselves: the library reads the newest form of the answer only, and engines in use have the older one.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};

use super::engine::NAME;
use crate::spawner::backend::BackendError;

const ACT: &str = "say how large volumes are";
/// Old engines add what they know of images and containers: half a kilobyte each.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The answer in its older form (`Volumes`) and its newer one (`VolumeUsage`, from API 1.52).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    volumes: Option<Vec<Entry>>,
    #[serde(default)]
    volume_usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    #[serde(default)]
    items: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    name: String,
    #[serde(default)]
    usage_data: Option<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    /// -1: not computed (yet), or not by this driver.
    size: i64,
}

/// Bytes by name, of those that the engine knows. The caller has the deadline.
pub(super) async fn ask(host: &str) -> Result<HashMap<String, u64>, BackendError> {
    let text = if let Some(path) = host.strip_prefix("unix://") {
        let connect = tokio::net::UnixStream::connect(path);
        answer(limited(connect).await?, "localhost").await?
    } else {
        let address = host.trim_start_matches("tcp://").trim_start_matches("http://").trim_end_matches('/');
        answer(limited(tokio::net::TcpStream::connect(address)).await?, address).await?
    };
    read(&text).map_err(unreadable)
}

async fn limited<T>(connect: impl Future<Output = std::io::Result<T>>) -> Result<T, BackendError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect);
    let connected =
        connected.await.map_err(|_| BackendError::Slow { engine: NAME, act: ACT, limit: CONNECT_TIMEOUT })?;
    connected.map_err(unreadable)
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    host: &str,
) -> Result<Bytes, BackendError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unreadable)?;
    let request = http::Request::get("/system/df?type=volume&verbose=1").header("host", host);
    let request = request.body(Empty::<Bytes>::new()).map_err(unreadable)?;
    // Gone with its end, so that the connection ends as well.
    let asked = async move {
        let response = sender.send_request(request).await.map_err(unreadable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES).collect().await;
        let body = body.map_err(|error| BackendError::Unavailable { engine: NAME, reason: error.to_string() })?;
        if !status.is_success() {
            return Err(BackendError::Refused { engine: NAME, act: ACT, reason: format!("status {status}") });
        }
        Ok(body.to_bytes())
    };
    let (answer, _) = tokio::join!(asked, connection);
    answer
}

fn unreadable(error: impl ToString) -> BackendError {
    BackendError::Unavailable { engine: NAME, reason: error.to_string() }
}

/// What is not known is left out: it is not 0.
fn read(text: &[u8]) -> Result<HashMap<String, u64>, serde_json::Error> {
    let answer: Answer = serde_json::from_slice(text)?;
    let newer = answer.volume_usage.and_then(|usage| usage.items);
    let entries = answer.volumes.or(newer).unwrap_or_default();
    let known = entries.into_iter().filter_map(|entry| {
        let size = entry.usage_data?.size;
        Some((entry.name, u64::try_from(size).ok()?))
    });
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap 20: -1 means «not computed yet», and was kept as 0 for an hour.
    #[test]
    fn an_unknown_size_is_left_out_and_an_empty_volume_is_not() {
        let old = br#"{"Volumes":[{"Name":"a","UsageData":{"Size":12,"RefCount":0}},{"Name":"b","UsageData":{"Size":-1,"RefCount":-1}},
            {"Name":"c","UsageData":null},{"Name":"d"},{"Name":"e","UsageData":{"Size":0,"RefCount":1}}],"Images":[]}"#;
        let expected = HashMap::from([("a".to_owned(), 12), ("e".to_owned(), 0)]);
        assert_eq!(read(old).expect("read"), expected);
        let new = br#"{"VolumeUsage":{"Items":[{"Name":"a","UsageData":{"Size":12,"RefCount":0}},{"Name":"e","UsageData":{"Size":0,"RefCount":0}}]}}"#;
        assert_eq!(read(new).expect("read"), expected);
        assert!(read(br#"{"Volumes":null}"#).expect("read").is_empty());
        assert!(read(b"<html>").is_err());
    }
}
