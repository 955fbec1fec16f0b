//! What a person or a program sees when the edge itself answers: every refusal, once, as a page or as JSON.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::limits::TooMany;
use super::starting;
use crate::model::PathError;
use crate::net::ResponseBody;
use crate::proxy::ProxyError;
use crate::routers::ServeError;

/// Why the edge answers a request itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Something in the request is not as it must be.
    #[error("the request was refused: {what}")]
    BadRequest {
        /// The rest of "Slipway did not accept this request, because …".
        what: String,
    },
    /// The request is for a host that is not ours.
    #[error("{host} is not a name of this host")]
    WrongHost {
        /// As sent.
        host: String,
    },
    /// The method is none that is served.
    #[error("the method is not served")]
    Method,
    /// No session and no token, or one that may not do this.
    #[error("missing or invalid credentials")]
    Credentials,
    /// Nothing goes on before the password is changed.
    #[error("the password must be changed first")]
    PasswordFirst,
    /// A page of another site, or of another origin, has made the browser send this.
    #[error("the request was sent by a page of another site")]
    CrossSite,
    /// Somebody whom we know, and who may not use this.
    #[error("this is not for {who}")]
    NotAllowed {
        /// The caller.
        who: String,
    },
    /// Only for those whose browser shows a certificate.
    #[error("a client's certificate is required")]
    ClientCertificate,
    /// There is nothing, or nothing that this caller may see.
    #[error("no access to resources or resources not found")]
    NotFound,
    /// The body is longer than allowed.
    #[error("the request's body is longer than {limit_bytes} bytes")]
    TooLong {
        /// The limit.
        limit_bytes: u64,
    },
    /// This address or this user has asked more than it may.
    #[error("too many requests from one address or user")]
    TooMany {
        /// When it is worth trying again, in seconds.
        retry_after_s: u32,
    },
    /// As many requests as may be are in the hub.
    #[error("too many requests are waiting for the hub")]
    HubBusy,
    /// The hub did not answer in time.
    #[error("the hub did not answer within {limit:?}")]
    HubSlow {
        /// The limit.
        limit: Duration,
    },
    /// The handling of this request failed; the panic hook has logged it.
    #[error("the handling of the request failed")]
    Panicked,
    /// The server did not do its part.
    #[error(transparent)]
    Upstream(#[from] ProxyError),
    /// A service did not do its part. It has no page of ours to be started on.
    #[error(transparent)]
    Service(ProxyError),
    /// What a router leads to did not do its part.
    #[error("{error}")]
    Routed {
        /// What happened.
        error: Arc<ServeError>,
        /// True if the caller may see what a container wrote before it died.
        may_see_log: bool,
    },
}

impl From<TooMany> for Refusal {
    fn from(TooMany { retry_after_s }: TooMany) -> Self {
        Self::TooMany { retry_after_s }
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        Self::bad(error.to_string())
    }
}

/// What a page says: a heading, what happened, and what to do about it.
struct Words {
    heading: &'static str,
    sentence: String,
    cure: &'static str,
}

impl Refusal {
    /// A request that contradicts the rules; `what` goes on after "because".
    pub(super) fn bad(what: impl Into<String>) -> Self {
        Self::BadRequest { what: what.into() }
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::WrongHost { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Credentials | Self::PasswordFirst | Self::CrossSite | Self::NotAllowed { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::ClientCertificate => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::HubBusy => StatusCode::SERVICE_UNAVAILABLE,
            Self::HubSlow { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Upstream(error) | Self::Service(error) => error.status(),
            Self::Routed { error, .. } => error.status(),
        }
    }

    /// What a container that did not start wrote last, for those who may see it.
    fn log_shown(&self) -> Option<&[String]> {
        match self {
            Self::Routed { error, may_see_log: true } => match &**error {
                ServeError::StartFailed { failed } => Some(&failed.log),
                _ => None,
            },
            _ => None,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            // Long enough for a burst to pass, short enough that nobody reloads by hand.
            Self::HubBusy => Some(1),
            Self::TooMany { retry_after_s } => Some(*retry_after_s),
            Self::Upstream(_) | Self::Service(_) if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(3),
            Self::Routed { error, .. } if matches!(**error, ServeError::Starting { .. }) => {
                Some(starting::RETRY_AFTER_S)
            }
            Self::Routed { error, .. } if error.status() == StatusCode::SERVICE_UNAVAILABLE => Some(5),
            _ => None,
        }
    }

    /// What a program reads where JupyterHub has words of its own.
    fn message(&self) -> Option<&'static str> {
        match self {
            Self::Credentials => Some("Missing or invalid credentials."),
            Self::PasswordFirst => Some("The password of this account must be changed first."),
            Self::NotFound => Some("No access to resources or resources not found."),
            _ => None,
        }
    }

    fn words(&self) -> Words {
        let words = |heading, sentence: &str, cure| Words { heading, sentence: sentence.to_owned(), cure };
        match self {
            Self::BadRequest { what } => Words {
                heading: "This request is not valid",
                sentence: format!("Slipway did not accept this request, because {what}."),
                cure: "Check the address, or go back and follow the link again.",
            },
            Self::WrongHost { host } => Words {
                heading: "Wrong address",
                sentence: format!("This computer does not answer under the name “{host}”."),
                cure: "Use the address that you were given. An administrator can allow this name with the setting \
                       public_url, or with a certificate for it.",
            },
            Self::Method => words(
                "This kind of request is not possible",
                "Nothing here answers requests of this kind.",
                "Go back and follow the link again.",
            ),
            Self::Credentials => words(
                "You are not signed in",
                "This is only for those who are.",
                "Sign in and try again; a program needs a token in its Authorization header.",
            ),
            Self::PasswordFirst => words(
                "First a new password",
                "The password of this account must be changed before anything else can be done with it.",
                "Open the hub's page to change it, then come back.",
            ),
            Self::CrossSite => words(
                "This came from another site",
                "A page of another site asked your browser to send this, and it was not carried out.",
                "Open the page here and try again.",
            ),
            Self::NotAllowed { who } => Words {
                heading: "This is not for you",
                sentence: format!("You are signed in as {who}, and may not open this page."),
                cure: "Ask an administrator to let you in.",
            },
            Self::ClientCertificate => words(
                "A certificate is needed",
                "This page is only for those whose browser shows a certificate of its own.",
                "Install the one that you were given, and open the page anew.",
            ),
            Self::NotFound => words(
                "There is nothing here",
                "The address may be mistyped, or the page is not yours to see.",
                "If somebody sent it to you, ask them for access.",
            ),
            Self::TooLong { limit_bytes } => Words {
                heading: "This is too large",
                sentence: format!("What was sent is longer than the {limit_bytes} bytes that are accepted here."),
                cure: "Send it in smaller parts, or ask an administrator to raise the limit.",
            },
            Self::TooMany { retry_after_s } => Words {
                heading: "Too many requests",
                sentence: "More was asked from here, or in your name, than is allowed in this time.".to_owned(),
                cure: if *retry_after_s > 5 {
                    "Wait half a minute and try again. A program that asks in your name may be the reason."
                } else {
                    "Try again in a few seconds. A program that asks in your name may be the reason."
                },
            },
            Self::HubBusy => words(
                "Very busy at the moment",
                "More requests are waiting than can be answered.",
                "Try again in a few seconds.",
            ),
            Self::HubSlow { .. } => words(
                "This takes too long",
                "Slipway could not finish this request in time.",
                "Try again in a minute. If it stays like this, tell an administrator.",
            ),
            Self::Panicked => words(
                "Something went wrong",
                "Slipway made a mistake while it handled this request. It has been written to the log.",
                "Try again. If it happens again, tell an administrator when it happened.",
            ),
            Self::Upstream(error) => upstream_words(error),
            Self::Service(error) => service_words(error),
            Self::Routed { error, .. } => routed_words(error),
        }
    }
}

fn routed_words(error: &ServeError) -> Words {
    let words = |heading, sentence: &str, cure| Words { heading, sentence: sentence.to_owned(), cure };
    match error {
        ServeError::NoTarget => words(
            "Nothing answers here at the moment",
            "The program behind this page is not running, or all of its copies are out of order.",
            "Try again in a minute. If it stays like this, tell an administrator.",
        ),
        ServeError::Starting { .. } => words(
            "This page is on its way",
            "Nobody has used it for a while, so its program is being started.",
            "Try again in a few seconds.",
        ),
        ServeError::StartFailed { .. } => words(
            "This page could not be started",
            "Its program ended, or did not answer in time.",
            "Try again in a minute. If it stays like this, tell an administrator.",
        ),
        ServeError::Proxy(ProxyError::Unreachable { .. } | ProxyError::Gone { .. }) => words(
            "The program behind this page does not answer",
            "It is stopped, or it is starting.",
            "Try again in a few seconds. If it stays like this, tell an administrator.",
        ),
        ServeError::Proxy(error) => service_words(error),
    }
}

fn upstream_words(error: &ProxyError) -> Words {
    let (heading, sentence, cure) = match error {
        ProxyError::Unreachable { .. } | ProxyError::Gone { .. } => (
            "The server does not answer",
            "The server stopped, or it is starting.",
            "Try again in a few seconds, or open the home page to start it.",
        ),
        ProxyError::Busy { .. } => (
            "The server is busy",
            "The server has as many connections as it may have.",
            "Close pages of it that are not needed, and try again.",
        ),
        ProxyError::CallerEnded => {
            ("You are signed out", "Your session ended before the answer came.", "Sign in again.")
        }
        ProxyError::Broken { .. } | ProxyError::Malformed { .. } => (
            "The server broke off",
            "The server ended the connection, or answered something that is not valid.",
            "Try again. If it stays like this, restart the server on the home page.",
        ),
        ProxyError::Slow { .. } => (
            "The server does not answer",
            "The server took the request but did not answer in time.",
            "It may be busy. Try again later, or restart it on the home page.",
        ),
        ProxyError::Request { .. } | ProxyError::BadUpgrade { .. } => {
            ("This request is not valid", "The request could not be passed on to the server.", "Try again.")
        }
    };
    Words { heading, sentence: sentence.to_owned(), cure }
}

fn service_words(error: &ProxyError) -> Words {
    let (heading, sentence, cure) = match error {
        ProxyError::Unreachable { .. } | ProxyError::Gone { .. } => (
            "This service does not answer",
            "The service stopped, or it is starting.",
            "Try again in a few seconds. If it stays like this, tell an administrator.",
        ),
        ProxyError::Busy { .. } => (
            "This service is busy",
            "The service has as many connections as it may have.",
            "Try again in a few seconds.",
        ),
        ProxyError::Broken { .. } | ProxyError::Malformed { .. } => (
            "This service broke off",
            "The service ended the connection, or answered something that is not valid.",
            "Try again. If it stays like this, tell an administrator.",
        ),
        ProxyError::Slow { .. } => (
            "This service does not answer",
            "The service took the request but did not answer in time.",
            "Try again later. If it stays like this, tell an administrator.",
        ),
        ProxyError::CallerEnded | ProxyError::Request { .. } | ProxyError::BadUpgrade { .. } => {
            return upstream_words(error);
        }
    };
    Words { heading, sentence: sentence.to_owned(), cure }
}

/// The answer to a refused request: a page for people, JSON for programs.
pub(super) fn refuse(refusal: &Refusal, wants_page: bool, home: &str, request_id: &str) -> Response<ResponseBody> {
    let status = refusal.status();
    let words = refusal.words();
    let message = refusal.message().unwrap_or(&words.sentence);
    if let Refusal::Routed { error, .. } = refusal
        && let ServeError::Starting { step, for_s } = **error
        && wants_page
    {
        return starting::page(step, for_s);
    }
    let more = refusal.log_shown().map(starting::log_of).unwrap_or_default();
    let mut response = if wants_page { page(status, &words, home, request_id, &more) } else { json(status, message) };
    if let Some(seconds) = refusal.retry_after_s() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(refusal, Refusal::Method) {
        let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

/// `{"status": …, "message": …}`, as JupyterHub writes its errors.
fn json(status: StatusCode, message: &str) -> Response<ResponseBody> {
    let body = serde_json::json!({ "status": status.as_u16(), "message": message }).to_string();
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    harden(headers);
    response
}

/// The hub's look (hub/assets/slipway.css) in the few rules that one card needs: the hub may be what does not answer.
pub(super) const STYLE: &str = ":root{color-scheme:light dark;--paper:#f4f5f2;--card:#fff;--ink:#12212a;--soft:#4d5d66;--line:#dde2df;\
--accent:#0b5c66;--strong:#084750;--on:#fff;--ways:#de7350;--shadow:0 1px 2px rgb(18 33 42/5%),0 12px 32px -12px rgb(18 33 42/12%)}\
@media(prefers-color-scheme:dark){:root{--paper:#0b1317;--card:#131d23;--ink:#e7eef0;--soft:#a0b2ba;--line:#24323a;\
--accent:#72d1d3;--strong:#97e2e3;--on:#05262a;--shadow:0 1px 2px rgb(0 0 0/40%),0 16px 40px -16px rgb(0 0 0/60%)}}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.55 ui-sans-serif,system-ui,\
-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",\"Noto Sans\",\"Liberation Sans\",Arial,sans-serif;\
-webkit-font-smoothing:antialiased}header{width:min(66rem,100%);margin:0 auto;padding:1rem 1.5rem}\
.brand{display:inline-flex;align-items:center;gap:.55rem;min-height:2.6rem;color:var(--ink);font-size:1.125rem;\
font-weight:720;letter-spacing:-.02em;text-decoration:none}.mark{width:1.75rem;height:1.75rem;color:var(--accent)}\
.mark-ways{color:var(--ways)}main{width:min(38rem,100%);margin:0 auto;padding:clamp(1.5rem,7vh,4.5rem) 1.5rem 4.5rem}\
section{padding:clamp(1.5rem,4vw,2.5rem);background:var(--card);border:1px solid var(--line);border-radius:1rem;\
box-shadow:var(--shadow)}h1{margin:.75rem 0 0;font-size:clamp(1.625rem,1.35rem + 1.2vw,2.125rem);line-height:1.15;\
letter-spacing:-.022em;font-weight:680;text-wrap:balance}p{margin:.75rem 0 0;color:var(--soft);font-size:1.0625rem;\
overflow-wrap:anywhere;text-wrap:pretty}\
pre{margin:.75rem 0 0;padding:1rem;max-height:24rem;overflow:auto;background:var(--paper);border:1px solid var(--line);\
border-radius:.625rem;font:.875rem/1.5 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere}.id{margin-top:1.5rem;font-size:.8125rem}.status{margin:0;font-size:.875rem;font-weight:620;letter-spacing:.02em}\
.button{display:inline-flex;align-items:center;justify-content:center;min-height:2.75rem;margin-top:2rem;\
padding:.55rem 1.15rem;border-radius:.625rem;background:var(--accent);color:var(--on);font-weight:600;line-height:1.3;\
text-decoration:none}.button:hover{background:var(--strong)}\
:focus-visible{outline:3px solid var(--accent);outline-offset:3px;border-radius:.25rem}\
@media(max-width:30rem){header{padding:.75rem 1rem}main{padding-inline:1rem}.button{width:100%}}\
@media(forced-colors:active){section,.button{border:1px solid}}";

/// The ship on its ways, as the hub draws it.
pub(super) const MARK: &str = include_str!("../hub/templates/mark.svg");

/// Only the page's own style may act: whatever a request manages to have written into it stays text.
static PAGE_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 and fixed text make a header value")
});

fn page(status: StatusCode, words: &Words, home: &str, request_id: &str, more: &str) -> Response<ResponseBody> {
    let Words { heading, sentence, cure } = words;
    let (code, sentence, home) = (status.as_u16(), escape(sentence), escape(home));
    let request_id = escape(request_id);
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <title>{heading} · Slipway</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><a class=\"brand\" href=\"{home}\">{MARK}<span>Slipway</span></a></header>\n<main>\n<section>\n\
         <p class=\"status\">{code}</p>\n<h1>{heading}</h1>\n<p>{sentence} {cure}</p>\n{more}\
         <a class=\"button\" href=\"{home}\">Go to home</a>\n\
         <p class=\"id\">Request {request_id}</p>\n</section>\n</main>\n</body>\n</html>\n"
    );
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY.clone());
    harden(headers);
    response
}

/// A few words for a program.
pub(super) fn text(words: String) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from(words));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Sends the browser to `location`, which must be a path of ours or an origin that passed the host check.
pub(super) fn redirect(status: StatusCode, location: &str) -> Response<ResponseBody> {
    let Ok(location) = HeaderValue::try_from(location) else {
        // A path that is its own normal form, and what is percent-encoded, always is a header value.
        return json(StatusCode::BAD_REQUEST, "the address cannot be redirected");
    };
    let mut response = Response::new(ResponseBody::Empty);
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    harden(response.headers_mut());
    response
}

pub(super) fn harden(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text_of(response: Response<ResponseBody>) -> String {
        let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn a_page_shows_what_was_sent_as_text() {
        let refusal = Refusal::WrongHost { host: "<script>\"'&".into() };
        let response = refuse(&refusal, true, "/hub/", "4711");
        assert_eq!(response.status(), 421);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let text = text_of(response).await;
        assert!(text.contains("Request 4711"), "{text}");
        assert!(text.contains("“&lt;script&gt;&quot;&#39;&amp;”") && !text.contains("<script"));
    }

    #[tokio::test]
    async fn a_program_gets_json_in_jupyterhubs_form() {
        let response = refuse(&Refusal::NotFound, false, "/hub/", "4711");
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let text = text_of(response).await;
        assert_eq!(text, r#"{"message":"No access to resources or resources not found.","status":404}"#);
    }

    #[test]
    fn who_should_come_back_is_told_when() {
        let response = refuse(&Refusal::HubBusy, false, "/hub/", "4711");
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (503, &HeaderValue::from(1)));
    }
}
