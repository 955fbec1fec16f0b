//! The boards and alert rules: every figure that one of them asks for is served, with the labels that it asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::routers::world_with;
use crate::world::World;

/// What the published boards query: family and labels. Traefik's official board (Grafana 17346, contrib/grafana/traefik.json
/// of its repository) and the dashboards of jupyterhub/grafana-dashboards (jupyterhub.jsonnet, cluster.jsonnet,
/// usage-stats.jsonnet), without what their Kubernetes knows of containers (`kube_*`, `container_*`, `node_*`,
/// `kubelet_*`). `namespace` and `app` are put on by the scrape's configuration (docs/metrics.md).
const PUBLISHED: [(&str, &[&str]); 16] = [
    ("traefik_config_reloads_total", &[]),
    ("traefik_entrypoint_requests_total", &["entrypoint"]),
    ("traefik_entrypoint_request_duration_seconds_bucket", &["le", "code", "entrypoint", "method"]),
    ("traefik_entrypoint_request_duration_seconds_count", &["code", "entrypoint", "method"]),
    ("traefik_entrypoint_open_connections", &["entrypoint"]),
    ("traefik_open_connections", &["entrypoint", "protocol"]),
    ("traefik_service_requests_total", &["service", "protocol", "method", "code"]),
    ("traefik_service_request_duration_seconds_sum", &["service", "protocol", "method", "code"]),
    ("traefik_service_request_duration_seconds_count", &["service", "protocol", "method", "code"]),
    ("traefik_service_request_duration_seconds_bucket", &["le", "service", "protocol", "method", "code"]),
    ("traefik_service_requests_bytes_total", &["service", "protocol", "method"]),
    ("traefik_service_responses_bytes_total", &["service", "protocol", "method"]),
    ("traefik_service_open_connections", &["service"]),
    ("jupyterhub_request_duration_seconds_bucket", &["le", "handler", "code"]),
    ("jupyterhub_server_spawn_duration_seconds_bucket", &["le", "status"]),
    ("jupyterhub_active_users", &["period"]),
];

/// More of the same families, by name alone: what Traefik's, JupyterHub's and configurable-http-proxy's own documents list.
const DOCUMENTED: [&str; 14] = [
    "traefik_config_last_reload_success",
    "traefik_tls_certs_not_after",
    "traefik_entrypoint_requests_bytes_total",
    "traefik_entrypoint_responses_bytes_total",
    "traefik_router_requests_total",
    "traefik_router_request_duration_seconds_count",
    "traefik_router_requests_bytes_total",
    "traefik_router_responses_bytes_total",
    "jupyterhub_running_servers",
    "jupyterhub_total_users",
    "jupyterhub_server_spawn_duration_seconds_count",
    "requests_web",
    "requests_ws",
    "requests_proxy",
];

/// Family → its labels, of all its samples.
fn served(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families = BTreeMap::<String, BTreeSet<String>>::new();
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let labels =
            line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').map_or("", |(labels, _)| labels));
        let names = labels.split("\",").filter_map(|pair| Some(pair.split_once("=\"")?.0.to_owned()));
        families.entry(name.to_owned()).or_default().extend(names);
    }
    families
}

/// The families that an expression names, and the labels in braces or behind `by`.
fn asked(expression: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut families = BTreeSet::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for word in expression.split(|c| !is_word(c)) {
        if ["slipway_", "jupyterhub_", "traefik_", "process_"].iter().any(|prefix| word.starts_with(prefix)) {
            families.insert(word.to_owned());
        }
    }
    let mut labels = BTreeSet::new();
    for part in expression.split('{').skip(1) {
        let inside = part.split('}').next().unwrap_or_default();
        labels.extend(inside.split(',').filter_map(|pair| Some(pair.split(['=', '!']).next()?.trim().to_owned())));
    }
    for part in expression.split("by (").skip(1) {
        labels.extend(part.split(')').next().unwrap_or_default().split(',').map(|label| label.trim().to_owned()));
    }
    (families, labels)
}

/// Everything has happened once, so that every family has a sample.
async fn page_of_a_used_world() -> String {
    let world = World::with(&[("SLIPWAY_LISTENER_HTTP", "[\"127.0.0.1:0\"]")]).await;
    let root = world.admin("root").await;
    let alice = world.user_with_server("alice").await;
    alice.scripting().get("/user/alice/lab").await.is(200);
    let (_, socket) = alice.scripting().open_websocket("/user/alice/ws").await;
    let text = root.scripting().get("/hub/metrics").await.is(200).text();
    // A page tells of requests only after the first of them.
    let again = root.scripting().get("/hub/metrics").await.is(200).text();
    assert!(again.len() >= text.len());
    drop(socket);
    again
}

#[tokio::test]
async fn whatever_a_published_board_asks_for_is_served() {
    let page = page_of_a_used_world().await;
    let served = served(&page);
    for (family, labels) in PUBLISHED {
        let found = served.get(family).unwrap_or_else(|| panic!("{family} is missing in\n{page}"));
        for label in labels {
            assert!(found.contains(*label), "{family} has no {label}, but {found:?}");
        }
    }
    for family in DOCUMENTED {
        assert!(served.contains_key(family), "{family} is missing in\n{page}");
    }
    for bound in ["0.1", "0.3", "1.2", "5", "+Inf"] {
        assert!(page.contains(&format!("protocol=\"http\",le=\"{bound}\"}}")), "the bounds of Traefik: {bound}");
    }
    assert!(!page.contains("alice"), "nobody is named");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_with_a_health_check_are_up_or_down_and_others_are_not_told_of() {
    let routes = r#"
http:
  routers:
    checked: {rule: "PathPrefix(`/checked`)", service: checked}
    trusted: {rule: "PathPrefix(`/trusted`)", service: trusted}
  services:
    checked: {loadBalancer: {servers: [{url: "http://TARGET"}, {url: "http://127.0.0.1:1"}], healthCheck: {path: /, interval: 1s}}}
    trusted: {loadBalancer: {servers: [{url: "http://TARGET"}]}}
"#;
    let (world, target) = world_with(routes, &[]).await;
    let root = world.admin("root").await.scripting();
    let up = format!("traefik_service_server_up{{service=\"checked@file\",url=\"http://{}\"}} 1", target.address);
    let down = "traefik_service_server_up{service=\"checked@file\",url=\"http://127.0.0.1:1\"} 0";
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        let page = root.get("/hub/metrics").await.is(200).text();
        if page.contains(down) {
            assert!(page.contains(&up), "{page}");
            assert!(!page.contains("server_up{service=\"trusted@file\""), "{page}");
            return;
        }
        assert!(Instant::now() < limit, "the dead target is still told to be up:\n{page}");
        tokio::task::yield_now().await;
    }
}

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The expressions of a board: of its panels' targets and of its variables.
fn expressions(board: &serde_json::Value) -> Vec<String> {
    match board {
        serde_json::Value::Object(fields) => {
            let own = fields
                .iter()
                .filter(|(name, value)| matches!(name.as_str(), "expr" | "definition") && value.is_string());
            let own = own.filter_map(|(_, value)| value.as_str().map(str::to_owned));
            own.chain(fields.values().flat_map(expressions)).collect()
        }
        serde_json::Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn our_board_and_our_rules_ask_for_nothing_that_is_not_served() {
    let page = page_of_a_used_world().await;
    let served = served(&page);
    let board: serde_json::Value = serde_json::from_str(&read("config/grafana/slipway.json")).expect("JSON");
    let mut all = expressions(&board);
    assert!(all.len() > 40, "{}", all.len());
    let rules = read("config/alerts.yml");
    assert!(rules.contains("- alert: ") && rules.contains("expr: "));
    let rules = rules.split("expr:").skip(1);
    all.extend(rules.map(|rule| rule.split("labels: {").next().unwrap_or_default().to_owned()));
    // What needs a look of the background, a graphics card, or a disk that is not there in a test.
    let later = [
        "slipway_servers_written_bytes",
        "slipway_host_cpu_busy_ratio",
        "slipway_host_load_1m",
        "slipway_host_cores",
        "slipway_host_memory_bytes",
        "slipway_host_disk_bytes",
    ];
    for expression in &all {
        let (families, labels) = asked(expression);
        for family in &families {
            assert!(
                served.contains_key(family) || later.contains(&family.as_str()),
                "{family} is not served: {expression}"
            );
        }
        let known: BTreeSet<&str> =
            families.iter().filter_map(|family| served.get(family)).flatten().map(String::as_str).collect();
        for label in labels.iter().filter(|label| !matches!(label.as_str(), "instance" | "job" | "$labels.name" | "")) {
            let is_known =
                known.contains(label.as_str()) || families.iter().any(|family| later.contains(&family.as_str()));
            assert!(is_known || label.contains('$'), "nothing has the label {label}: {expression}");
        }
    }
}

#[test]
fn the_documentation_names_what_is_asked_for() {
    let docs = read("docs/metrics.md");
    for (family, _) in PUBLISHED {
        let stem =
            ["_bucket", "_count", "_sum"].iter().fold(family, |name, end| name.strip_suffix(end).unwrap_or(name));
        assert!(docs.contains(stem), "{stem} is not in docs/metrics.md");
    }
}
