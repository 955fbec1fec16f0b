//! The page while a lazy container starts, and what its script is told. It stands on whatever host the router is for,
//! so it brings all that it needs along.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use super::answer::{MARK, STYLE, escape, harden};
use crate::net::ResponseBody;
use crate::routers::{Progress, StartStep};

/// What the page asks with, and how it is answered: the program behind never sees it.
pub(super) const START: HeaderName = HeaderName::from_static("x-slipway-start");
/// When a program should come again. 3 s: half of the containers are there by then.
pub(super) const RETRY_AFTER_S: u32 = 3;

/// What only this page needs.
const BAR: &str = ".bar{height:.5rem;margin:2rem 0 0;border-radius:.25rem;background:var(--line);overflow:hidden}\
.bar i{display:block;height:100%;width:35%;border-radius:.25rem;background:var(--accent);animation:go 1.6s ease-in-out infinite}\
@keyframes go{from{transform:translateX(-100%)}to{transform:translateX(300%)}}\
@media(prefers-reduced-motion:reduce){.bar i{animation:none;width:100%}}\
ol{margin:1.75rem 0 0;padding:0;list-style:none;color:var(--soft)}li{display:flex;gap:.7rem;align-items:baseline;padding:.2rem 0}\
li::before{content:\"\";flex:none;width:.6rem;height:.6rem;border-radius:50%;border:2px solid var(--line)}\
li.now{color:var(--ink);font-weight:600}li.now::before{border-color:var(--accent)}\
li.done::before{background:var(--accent);border-color:var(--accent)}\
time{font-variant-numeric:tabular-nums}";

/// Asks once a second how far it is, and goes on to the very address when it is there.
const SCRIPT: &str = "(()=>{const items=[...document.querySelectorAll('li')],time=document.querySelector('time'),\
names=['queued','starting','waiting'];let begun=Date.now()-1e3*time.dataset.for;\
const show=step=>items.forEach((item,at)=>{const now=names.indexOf(step);\
item.className=at<now?'done':at===now?'now':''});\
setInterval(()=>{time.textContent=Math.max(0,Math.round((Date.now()-begun)/1e3))+' s'},1e3);\
const ask=async()=>{try{const answer=await fetch(location.href,{headers:{'x-slipway-start':'progress'},\
cache:'no-store',redirect:'manual'});const state=answer.headers.get('x-slipway-start');\
if(state!=='starting'){location.reload();return}show((await answer.json()).step)}catch{}\
setTimeout(ask,1e3)};setTimeout(ask,1e3)})()";

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let style = digest(&format!("{STYLE}{BAR}"));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digest(SCRIPT)
    );
    HeaderValue::try_from(policy).expect("base64 and fixed text make a header value")
});

/// The page that waits. 503, so that nobody keeps it or takes it for the page behind it.
pub(super) fn page(step: StartStep, for_s: u64) -> Response<ResponseBody> {
    let steps = [
        (StartStep::Queued, "Waiting for its turn"),
        (StartStep::Starting, "Starting the program"),
        (StartStep::Waiting, "Waiting until it answers"),
    ];
    let at = steps.iter().position(|(one, _)| *one == step).unwrap_or_default();
    let items: String = steps
        .iter()
        .enumerate()
        .map(|(index, (_, words))| {
            let class = match index.cmp(&at) {
                std::cmp::Ordering::Less => " class=\"done\"",
                std::cmp::Ordering::Equal => " class=\"now\"",
                std::cmp::Ordering::Greater => "",
            };
            format!("<li{class}>{words}</li>")
        })
        .collect();
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"robots\" content=\"noindex\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n\
         <title>Starting… · Slipway</title>\n<style>{STYLE}{BAR}</style>\n</head>\n<body>\n\
         <header><span class=\"brand\">{MARK}<span>Slipway</span></span></header>\n<main>\n<section>\n\
         <p class=\"status\">Starting <time data-for=\"{for_s}\">{for_s} s</time></p>\n<h1>This page is on its way</h1>\n\
         <p>Nobody has used it for a while, so its program is being started. You will get there by yourself.</p>\n\
         <div class=\"bar\" role=\"progressbar\" aria-label=\"Starting\"><i></i></div>\n<ol>{items}</ol>\n\
         </section>\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    );
    let mut response = Response::new(ResponseBody::from(body));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    harden(headers);
    response
}

/// How far it is, for the script of the page.
pub(super) fn progress(progress: &Progress) -> Response<ResponseBody> {
    let (state, body) = match progress {
        Progress::Starting { step, for_s } => {
            ("starting", serde_json::json!({ "step": step.as_str(), "for_s": for_s }).to_string())
        }
        Progress::Ready => ("ready", "{}".to_owned()),
        Progress::Failed => ("failed", "{}".to_owned()),
    };
    let mut response = Response::new(ResponseBody::from(body));
    let headers = response.headers_mut();
    headers.insert(START, HeaderValue::from_static(state));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    harden(headers);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The last lines of a container that did not start, as a part of a page.
pub(super) fn log_of(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("<p>The last that it wrote:</p>\n<pre>{}</pre>\n", escape(&lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn the_page_tells_how_far_it_is_and_lets_only_its_own_script_act() {
        let response = page(StartStep::Starting, 7);
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (503, &HeaderValue::from(3)));
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned();
        assert!(policy.contains("script-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
        let text = response.into_body().collect().await.expect("a whole body").to_bytes();
        let text = String::from_utf8(text.to_vec()).expect("text");
        assert!(
            text.contains("<li class=\"done\">Waiting for its turn</li><li class=\"now\">Starting the program</li>")
        );
        assert!(text.contains("data-for=\"7\"") && text.contains("http-equiv=\"refresh\""), "{text}");
    }

    #[test]
    fn a_log_is_text() {
        assert_eq!(log_of(&["<b>".into()]), "<p>The last that it wrote:</p>\n<pre>&lt;b&gt;</pre>\n");
        assert_eq!(log_of(&[]), "");
    }
}
