//! A registry with one image, on a port of this host: for pulls without the world outside.

use std::convert::Infallible;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;

use crate::world::docker;

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub(crate) struct Registry {
    /// The image's name with its registry.
    pub(crate) image: String,
    /// How often the image's one layer has been fetched.
    pub(crate) layer_fetches: Arc<AtomicUsize>,
}

struct Blob {
    digest: String,
    bytes: Bytes,
}

impl Blob {
    fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digest: format!("sha256:{hex}"), bytes }
    }
}

impl Registry {
    /// Offers what the program of `model` is made of, a second after it is asked for.
    pub(crate) async fn offering(model: &str) -> Self {
        let layer = Blob::new(layer_of(model));
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux",
            "config": { "Cmd": ["/stub"], "Env": ["SLIPWAY_STUB=instant"] },
            "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
        });
        let config = Blob::new(config.to_string());
        let size = |blob: &Blob| blob.bytes.len();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": size(&config), "digest": config.digest,
            },
            "layers": [{
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
                "size": size(&layer), "digest": layer.digest,
            }],
        });
        let manifest = Blob::new(manifest.to_string());

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let image = format!("{}/pulled:1", listener.local_addr().expect("bound"));
        let layer_fetches = Arc::new(AtomicUsize::new(0));
        let (fetches, blobs) = (layer_fetches.clone(), Arc::new([manifest, config, layer]));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (fetches, blobs) = (fetches.clone(), blobs.clone());
                let service = service_fn(move |request| answer(request, fetches.clone(), blobs.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { image, layer_fetches }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.image]).output();
    }
}

async fn answer(
    request: Request<Incoming>,
    fetches: Arc<AtomicUsize>,
    blobs: Arc<[Blob; 3]>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let [manifest, config, layer] = &*blobs;
    let blob = match path.rsplit('/').next() {
        _ if path.contains("/manifests/") => manifest,
        Some(digest) if digest == config.digest => config,
        Some(digest) if digest == layer.digest => {
            fetches.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            layer
        }
        _ if path == "/v2/" => return Ok(Response::new(Full::default())),
        _ => {
            let nothing = Response::builder().status(StatusCode::NOT_FOUND).body(Full::default());
            return Ok(nothing.expect("a plain answer"));
        }
    };
    let is_manifest = path.contains("/manifests/");
    let body = if request.method() == Method::HEAD { Bytes::new() } else { blob.bytes.clone() };
    let answer = Response::builder()
        .header("content-type", if is_manifest { MANIFEST } else { "application/octet-stream" })
        .header("docker-content-digest", &blob.digest)
        .header("content-length", blob.bytes.len());
    Ok(answer.body(Full::new(body)).expect("a plain answer"))
}

/// The archive of the program of `model`: `docker cp` writes one.
fn layer_of(model: &str) -> Vec<u8> {
    let id = docker(&["create", model]);
    let copied = Command::new("docker").args(["cp", &format!("{id}:/stub"), "-"]).output().expect("docker cp runs");
    docker(&["rm", &id]);
    copied.stdout
}
