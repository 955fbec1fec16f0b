//! The figures for Prometheus: who may read them, and that they count what happened.

use crate::world::World;

/// The value of the sample that begins with `name_and_labels`.
fn value(page: &str, name_and_labels: &str) -> f64 {
    let line = page.lines().find(|line| line.strip_prefix(name_and_labels).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("{name_and_labels} is missing in\n{page}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

#[tokio::test]
async fn figures_count_what_happened() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let alice = world.user_with_server("alice").await;
    let server = "slipway_requests_total{destination=\"server\",protocol=\"http/1.1\",status=\"2xx\"}";
    let before = root.scripting().get("/hub/metrics").await.is(200).text();
    for _ in 0..3 {
        alice.scripting().get("/user/alice/lab").await.is(200);
    }
    alice.scripting().get("/user/alice/../x").await.is(400);
    let (answer, socket) = alice.scripting().open_websocket("/user/alice/ws").await;
    assert_eq!(answer.status, 101);
    let answer = root.scripting().get("/hub/api/metrics").await.is(200);
    assert!(
        answer.header("content-type").starts_with("text/plain; version=0.0.4"),
        "{}",
        answer.header("content-type")
    );
    let after = answer.text();
    assert!(value(&after, server) - value(&before, server) >= 3.0);
    assert!(value(&after, "slipway_request_duration_seconds_count{destination=\"server\"}") >= 4.0);
    let upstream = |result: &str| value(&after, &format!("slipway_upstream_connections_total{{result=\"{result}\"}}"));
    assert!(upstream("new") >= 1.0 && upstream("reused") >= 1.0, "{after}");
    for (name, expected) in [
        ("slipway_requests_total{destination=\"none\",protocol=\"http/1.1\",status=\"4xx\"}", 1.0),
        ("slipway_websockets_open", 1.0),
        ("slipway_servers{state=\"ready\"}", 1.0),
        ("jupyterhub_running_servers", 1.0),
        ("jupyterhub_server_spawn_duration_seconds_count{status=\"success\"}", 1.0),
        ("jupyterhub_total_users", 2.0),
        ("jupyterhub_active_users{period=\"24h\"}", 2.0),
        ("slipway_sign_in_duration_seconds_count{result=\"ok\"}", 2.0),
        ("jupyterhub_request_duration_seconds_count{method=\"GET\",handler=\"metrics\",code=\"200\"}", 1.0),
        ("slipway_routes", 1.0),
    ] {
        assert!((value(&after, name) - expected).abs() < 0.1, "{name} is not {expected} in\n{after}");
    }
    for name in [
        "slipway_tls_handshakes_total{result=\"full\"}",
        "slipway_received_bytes_total{door=\"https\"}",
        "slipway_sent_bytes_total{door=\"https\"}",
        "slipway_connections_total{door=\"https\"}",
        "slipway_store_commit_duration_seconds_count{result=\"ok\"}",
        "process_resident_memory_bytes",
    ] {
        assert!(value(&after, name) > 0.0, "{name} is nothing in\n{after}");
    }
    assert!(!after.contains("alice"), "nobody is named");
    drop(socket);
}

#[tokio::test]
async fn figures_may_be_open_to_all_where_that_is_wished() {
    let world = World::with(&[("SLIPWAY_METRICS_AUTHENTICATE", "false")]).await;
    world.client().get("/hub/metrics").await.is(200);
}

#[tokio::test]
async fn last_activity_is_as_it_was_after_a_restart() {
    let world = World::new().await;
    let root = world.admin("root").await;
    let alice = world.user_with_server("alice").await;
    alice.scripting().get("/user/alice/lab").await.is(200);
    let seen = |model: serde_json::Value| {
        (
            model["last_activity"].clone(),
            model["servers"][""]["last_activity"].clone(),
            model["servers"][""]["ready"].clone(),
        )
    };
    let before = seen(root.scripting().get("/hub/api/users/alice").await.is(200).json());
    assert!(before.0.is_string() && before.1.is_string(), "{before:?}");
    world.clock.advance(std::time::Duration::from_secs(600));
    let world = world.restart().await;
    world.wait_until("alice", "ready again", |status| status.state == slipway::model::ServerState::Ready).await;
    let root = world.sign_in("root").await;
    assert_eq!(seen(root.scripting().get("/hub/api/users/alice").await.is(200).json()), before);
}
