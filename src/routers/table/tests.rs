use http::{HeaderMap, Method};
use proptest::prelude::*;

use super::*;
use crate::routers::Provider;

fn router(name: &str, rule: &str, priority: Option<i64>, entry_points: &[EntryPoint]) -> Arc<Router> {
    Arc::new(Router {
        name: ObjectName::new(name, Provider::File),
        rule: Arc::new(Rule::read(rule, Syntax::V3).unwrap_or_else(|error| panic!("{rule}: {error}"))),
        rule_text: rule.to_owned(),
        syntax: Syntax::V3,
        priority: priority.unwrap_or_else(|| i64::try_from(rule.len()).expect("a length")),
        entry_points: entry_points.to_vec(),
        access: Access::Public,
        client_certificate: ClientCertificateRule::default(),
        identity: None,
        middlewares: Vec::new(),
        chain: Vec::new(),
        balancer: None,
        lazy: None,
        origin: Place::Line { file: "routes.yml".into(), line: 1 },
    })
}

fn secure(name: &str, rule: &str) -> Arc<Router> {
    router(name, rule, None, &[EntryPoint::WebSecure])
}

/// The name of the router that takes `GET https://host/path`.
fn found(table: &Table, entry_point: EntryPoint, host: &str, path: &str) -> Option<String> {
    let (method, headers) = (Method::GET, HeaderMap::new());
    let client = "10.0.0.1".parse().expect("an address");
    let question = Question { entry_point, host, path, query: "", method: &method, headers: &headers, client };
    table.find(&question).map(|router| router.name.name.to_string())
}

#[test]
fn the_longer_rule_wins_unless_a_priority_says_otherwise() {
    let table = Table::new(vec![
        secure("all", "PathPrefix(`/`)"),
        secure("api", "Host(`a`) && PathPrefix(`/api`)"),
        secure("host", "Host(`a`)"),
        router("first", "Host(`b`)", Some(1_000), &[EntryPoint::WebSecure]),
        secure("never", "Host(`b`) && PathPrefix(`/much/longer`)"),
    ]);
    let at = |host, path| found(&table, EntryPoint::WebSecure, host, path);
    assert_eq!(at("a", "/api/x"), Some("api".into()));
    assert_eq!(at("a", "/other"), Some("all".into()), "PathPrefix(`/`) is longer than Host(`a`)");
    assert_eq!(at("b", "/much/longer"), Some("first".into()));
    assert_eq!(at("c", "/"), Some("all".into()));
    assert_eq!(found(&table, EntryPoint::Web, "a", "/"), None, "it listens elsewhere");
}

#[test]
fn of_equal_priority_the_first_by_name_wins() {
    let table = Table::new(vec![secure("b", "Host(`a`)"), secure("a", "Host(`a`)")]);
    assert_eq!(found(&table, EntryPoint::WebSecure, "a", "/"), Some("a".into()));
}

#[test]
fn a_host_is_ours_if_a_rule_names_it_or_fits_it() {
    let table = Table::new(vec![
        secure("a", "Host(`a.example`) || Host(`b.example`)"),
        secure("b", "HostRegexp(`^[a-z]+\\.org$`)"),
        secure("c", "Host(`*.example`) && !Host(`x.example`)"),
        secure("d", "PathPrefix(`/`)"),
        secure("e", "Host(`e.example`) || PathPrefix(`/e`)"),
    ]);
    for (host, expected) in [
        ("a.example", true),
        ("b.example.", true),
        ("abc.org", true),
        ("z.example", true),
        ("e.example", true),
        ("other", false),
    ] {
        assert_eq!(table.names_host(host), expected, "{host}");
    }
}

#[test]
fn what_is_published_is_seen_at_once_and_counted() {
    let published = Published::default();
    let changes = published.changes();
    assert!(published.is_empty());
    published.publish(Table::new(vec![secure("a", "Host(`a`)")]));
    assert!(!published.is_empty());
    assert!(changes.has_changed().expect("it is there"));
    assert_eq!(published.current().routers().len(), 1);
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    let host = prop_oneof![Just("Host(`a`)"), Just("Host(`b`)"), Just("HostRegexp(`[ab]`)"), Just("!Host(`a`)")];
    let path = prop_oneof![
        Just("PathPrefix(`/`)"),
        Just("PathPrefix(`/x`)"),
        Just("PathPrefix(`/xy`)"),
        Just("Path(`/x/y`)"),
        Just("PathRegexp(`y$`)"),
        Just("PathPrefix(`/é`)"),
    ];
    let sign = prop_oneof![Just(" && "), Just(" || ")];
    let rule = (host, sign, path).prop_map(|(host, sign, path)| format!("{host}{sign}{path}"));
    prop::collection::vec(rule, 1..12)
}

proptest! {
    #[test]
    fn the_index_finds_what_asking_every_rule_would(
        rules in rules(),
        host in "(a|b|c|a\\.)",
        path in "/(x|xy|x/y|y|%C3%A9|%C3|)",
    ) {
        let routers = rules.iter().enumerate().map(|(n, rule)| secure(&format!("r{n:02}"), rule)).collect();
        let table = Table::new(routers);
        let (method, headers) = (Method::GET, HeaderMap::new());
        let client = "10.0.0.1".parse().expect("an address");
        let question = Question {
            entry_point: EntryPoint::WebSecure, host: &host, path: &path, query: "", method: &method, headers: &headers, client,
        };
        let asked = Asked::new(&question);
        let expected = table.routers().iter().find(|router| router.rule.matches(&asked));
        prop_assert_eq!(table.find(&question).map(|found| &found.name), expected.map(|expected| &expected.name));
    }
}

/// Run by hand for its figures: `cargo test --release --lib thousand -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn a_thousand_routers_are_found_quickly() {
    for (what, rule) in [
        ("hosts", Box::new(|n: usize| format!("Host(`app{n}.example`)")) as Box<dyn Fn(usize) -> String>),
        ("one host, paths", Box::new(|n| format!("Host(`app.example`) && PathPrefix(`/app{n}`)"))),
        ("paths", Box::new(|n| format!("PathPrefix(`/app{n}`)"))),
        ("patterns of hosts", Box::new(|n| format!("HostRegexp(`^app{n}\\.[a-z]+$`)"))),
    ] {
        let routers = (0..1_000).map(|n| secure(&format!("r{n}"), &rule(n))).collect();
        let begun = std::time::Instant::now();
        let table = Table::new(routers);
        let built = begun.elapsed();
        let begun = std::time::Instant::now();
        let rounds = 20_000_u32;
        for n in 0..rounds {
            let number = n % 1_000;
            let (host, path) = match what {
                "hosts" | "patterns of hosts" => (format!("app{number}.example"), "/".to_owned()),
                _ => ("app.example".to_owned(), format!("/app{number}/index.html")),
            };
            assert!(std::hint::black_box(found(&table, EntryPoint::WebSecure, &host, &path)).is_some());
        }
        tracing::info!("{what}: built in {built:?}, found in {:?}", begun.elapsed() / rounds);
        assert!(
            begun.elapsed() / rounds < std::time::Duration::from_millis(1),
            "{what}: {:?}",
            begun.elapsed() / rounds
        );
    }
}
