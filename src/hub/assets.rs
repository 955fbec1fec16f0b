//! Style sheet, scripts and pictures: built into the program, addressed by their content, kept by browsers for good.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use super::HubState;
use super::error::HubError;
use crate::model::BasePath;

#[derive(Embed)]
#[folder = "src/hub/assets/"]
struct BuiltIn;

/// The first 12 hex digits of each file's SHA-256: enough to tell two builds of one file apart.
static VERSIONS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let version = |name: &str| {
        let file = BuiltIn::get(name)?;
        let hash = file.metadata.sha256_hash();
        let digits = hash.iter().take(6).map(|byte| format!("{byte:02x}"));
        Some(digits.collect::<String>())
    };
    BuiltIn::iter().filter_map(|name| Some((name.to_string(), version(&name)?))).collect()
});

/// `{base}hub/static/<version>/<name>`: never the same address for another content.
pub(super) fn address_of(base: &BasePath, name: &str) -> String {
    match VERSIONS.get(name) {
        Some(version) => format!("{base}hub/static/{version}/{name}"),
        None => format!("{base}hub/static/{name}"),
    }
}

/// `GET {base}hub/static/[<version>/]<name>`
pub(super) async fn get(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, HubError> {
    serve(&path, &headers)
}

/// `GET {base}hub/logo`: JupyterHub's name for the logo.
pub(super) async fn logo(State(_): State<HubState>, headers: HeaderMap) -> Result<Response, HubError> {
    serve("logo.svg", &headers)
}

fn serve(path: &str, headers: &HeaderMap) -> Result<Response, HubError> {
    let (version, name) = path.split_once('/').unwrap_or(("", path));
    let (Some(file), Some(current)) = (BuiltIn::get(name), VERSIONS.get(name)) else {
        return Err(HubError::NoSuchPage);
    };
    let caching = match version {
        "" => "no-cache",
        version if version == current => "public, max-age=31536000, immutable",
        // A page of another build asks: give it today's file, but let nobody keep it under that name.
        _ => "no-store",
    };
    let etag = format!("\"{current}\"");
    let head =
        [(CACHE_CONTROL, caching.to_owned()), (CONTENT_TYPE, content_type_of(name).to_owned()), (ETAG, etag.clone())];
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if is_known {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Ok((head, Body::from(file.data)).into_response())
}

fn content_type_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_kept_for_good_under_its_version_only() {
        let base = BasePath::parse("/j").expect("plain");
        let address = address_of(&base, "slipway.css");
        let path = address.strip_prefix("/j/hub/static/").expect("the prefix");
        let caching = |path: &str| {
            let response = serve(path, &HeaderMap::new()).expect("it is there");
            response.headers()[CACHE_CONTROL].to_str().expect("ascii").to_owned()
        };
        assert_eq!(caching(path), "public, max-age=31536000, immutable");
        assert_eq!(caching("slipway.css"), "no-cache");
        assert_eq!(caching("000000000000/slipway.css"), "no-store");
        assert!(serve("nothing.css", &HeaderMap::new()).is_err() && serve("../mod.rs", &HeaderMap::new()).is_err());
    }

    #[test]
    fn a_browser_that_has_it_gets_304() {
        let etag = serve("slipway.css", &HeaderMap::new()).expect("it is there").headers()[ETAG].clone();
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, etag)]);
        assert_eq!(serve("slipway.css", &headers).expect("it is there").status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn every_asset_has_a_type_and_no_page_needs_another_origin() {
        for name in BuiltIn::iter() {
            assert_ne!(content_type_of(&name), "application/octet-stream", "{name}");
            let text = String::from_utf8_lossy(&BuiltIn::get(&name).expect("listed").data).into_owned();
            let foreign = text.replace("http://www.w3.org/2000/svg", "").contains("http");
            assert!(!foreign, "{name} names another origin");
        }
    }
}
