//! A notice to real JupyterLabs: one with the extension, and one without.

use http::Method;
use serde_json::{Value, json};

use crate::program::{Browser, PASSWORD, Program};
use crate::story::Cleaner;

/// Starts the administrator's own server with `image`, sends him a notice, and says what became of it.
async fn told(prefix: &str, image: &str) -> (Program, Browser, Value) {
    let program = Program::start(prefix, image, &[]).await;
    let mut browser = program.browser();
    browser.sign_in("admin", PASSWORD).await;
    browser.open_server("admin", "/lab").await;
    let token = browser.hub_token().await;
    let wish = json!({ "message": "Save your work 🚢", "variant": "warning" }).to_string();
    let answer = browser.call(Method::POST, "/hub/api/notifications/broadcast", &token, &wish).await;
    let result = answer.is(200).json();
    (program, browser, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_jupyterlab_with_the_extension_has_the_notice() {
    let _cleaner = Cleaner::new("slipwaytestheard");
    let (program, mut browser, result) = told("slipwaytestheard", "slipway-lab:6.1").await;
    let delivered = json!({
        "total": 1, "successful": 1, "failed": 0, "details": [{ "username": "admin", "status": "success" }],
    });
    assert_eq!(result, delivered, "{}", program.log());
    let token = browser.server_token("admin");
    let path = "/user/admin/jupyterlab-notifications-extension/notifications";
    let kept = browser.call(Method::GET, path, &token, "").await.is(200).json();
    let notice = &kept["notifications"][0];
    assert_eq!(notice["message"], "Save your work 🚢");
    assert_eq!((&notice["type"], &notice["autoClose"]), (&json!("warning"), &json!(false)));
    assert_eq!(notice["actions"][0]["label"], "Dismiss");
    assert!(!program.log().contains("Bearer"), "a token is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_real_jupyterlab_without_the_extension_just_that_is_said() {
    let _cleaner = Cleaner::new("slipwaytestbare");
    let (_program, _browser, result) = told("slipwaytestbare", "slipway-lab:5.4").await;
    let reason = "The notifications extension is not installed on this server (HTTP 404)";
    assert_eq!(result["details"], json!([{ "username": "admin", "status": "failed", "error": reason }]));
}
