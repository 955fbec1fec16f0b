//! What a browser sees when there is no answer of a target: a page of ours, of a folder, or of another server.

use std::io;
use std::path::Path;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use tracing::{debug, error};

use super::target::Target;
use super::{Chp, ErrorPages};
use crate::net::{RequestBody, ResponseBody};
use crate::proxy::{Forwarding, Relay};

/// Another server has this long to begin its page. 10 s: its reader has waited already.
const PAGE_LIMIT: Duration = Duration::from_secs(10);

/// The page that says `status` to whoever asked for `asked`.
pub(super) async fn page(chp: &Chp, status: StatusCode, asked: &Uri) -> Response<ResponseBody> {
    let page = match &chp.config.errors {
        ErrorPages::BuiltIn => Some(html(built_in(status).into())),
        ErrorPages::Folder(folder) => from_folder(folder, status).await,
        ErrorPages::Target(_) => from_target(chp, status, asked).await,
    };
    let mut page = page.unwrap_or_else(|| Response::new(reason(status).into()));
    *page.status_mut() = status;
    page
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

fn built_in(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => include_str!("pages/404.html"),
        StatusCode::SERVICE_UNAVAILABLE => include_str!("pages/503.html"),
        _ => include_str!("pages/error.html"),
    }
}

fn html(body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// `<status>.html`, else `error.html`.
async fn from_folder(folder: &Path, status: StatusCode) -> Option<Response<ResponseBody>> {
    for name in [format!("{}.html", status.as_str()), "error.html".to_owned()] {
        let file = folder.join(name);
        match tokio::fs::read(&file).await {
            Ok(page) => return Some(html(bytes::Bytes::from(page).into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => debug!("No error file {}", file.display()),
            Err(error) => error!("Error reading {} {error}", file.display()),
        }
    }
    None
}

/// `GET <target>/<status>?url=<what was asked>`: body, type and encoding of its answer, whatever its status.
async fn from_target(chp: &Chp, status: StatusCode, asked: &Uri) -> Option<Response<ResponseBody>> {
    let target = chp.error_target.as_ref()?;
    let address = address_of(target, status, asked);
    debug!("Requesting custom error page: {address}");
    let request = Request::get(&address).body(RequestBody::Empty);
    let relay = Relay { target: None, silence_limit: Some(PAGE_LIMIT), guard: None };
    let facts = Forwarding::relayed(target.host(), relay);
    let answer = match request {
        Ok(request) => chp.proxy.forward(request, &target.upstream, facts).await,
        Err(error) => {
            error!("Failed to get custom error page: {error}");
            return None;
        }
    };
    match answer {
        Ok(answer) => {
            let (parts, body) = answer.into_parts();
            let mut page = Response::new(body);
            for name in [CONTENT_TYPE, CONTENT_ENCODING] {
                if let Some(value) = parts.headers.get(&name) {
                    page.headers_mut().insert(name, value.clone());
                }
            }
            Some(page)
        }
        Err(error) => {
            error!("Failed to get custom error page: {error}");
            None
        }
    }
}

fn address_of(target: &Target, status: StatusCode, asked: &Uri) -> String {
    let asked = asked.path_and_query().map_or("/", |asked| asked.as_str());
    let asked: String = form_urlencoded::byte_serialize(asked.as_bytes()).collect();
    let slash = if target.path.ends_with('/') { "" } else { "/" };
    let query = if target.query.is_empty() { String::new() } else { format!("{}&", target.query) };
    format!("{}{slash}{}?{query}url={asked}", target.path, status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn another_server_is_told_what_was_asked() {
        let check = |target: &str, asked: &str, expected: &str| {
            let target = Target::parse(target, Timestamp(0)).expect("a target");
            let asked: Uri = asked.parse().expect("an address");
            assert_eq!(address_of(&target, StatusCode::NOT_FOUND, &asked), expected);
        };
        check(
            "http://h/hub/error",
            "/user/x?a=b c".replace(' ', "%20").as_str(),
            "/hub/error/404?url=%2Fuser%2Fx%3Fa%3Db%2520c",
        );
        check("http://h", "/", "/404?url=%2F");
        check("http://h/?k=v", "/x", "/404?k=v&url=%2Fx");
    }
}
