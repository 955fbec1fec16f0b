//! What balancers choose, how targets live on, and how their health is asked for.

mod health;

use std::net::SocketAddr;

use http::header::COOKIE;

use super::*;
use crate::routers::Problem;
use crate::routers::testing::fields;

const NOW: Timestamp = Timestamp(1);

fn read(pairs: &[(&str, &str)]) -> Result<BalancerDraft, Problem> {
    BalancerDraft::read(fields("web", pairs))
}

fn build(pairs: &[(&str, &str)], previous: Option<&Arc<Balancer>>) -> Arc<Balancer> {
    Balancer::build("web@file", read(pairs).expect("a balancer"), Vec::new(), previous, NOW)
}

fn urls(balancer: &Balancer, headers: &HeaderMap, count: usize) -> Vec<String> {
    let choose = |_| balancer.choose(headers).expect("a target").target.url.clone();
    (0..count).map(choose).collect()
}

const TWO: &[(&str, &str)] = &[
    ("loadBalancer.servers[0].url", "http://10.0.0.1"),
    ("loadBalancer.servers[1].url", "https://b.example:8443/ignored"),
];

#[test]
fn targets_take_turns() {
    let balancer = build(TWO, None);
    assert_eq!(
        urls(&balancer, &HeaderMap::new(), 3),
        ["http://10.0.0.1:80", "https://b.example:8443", "http://10.0.0.1:80"]
    );
    let chosen = balancer.choose(&HeaderMap::new()).expect("a target");
    assert_eq!((chosen.host, chosen.set_cookies), (None, Vec::new()));
}

#[test]
fn a_target_is_passed_over_while_it_is_down() {
    let balancer = build(TWO, None);
    assert!(balancer.targets()[0].note(Some("refused".to_owned())));
    assert_eq!(urls(&balancer, &HeaderMap::new(), 2), ["https://b.example:8443"; 2]);
    assert!(balancer.is_up());
    balancer.targets()[1].note(Some("refused".to_owned()));
    let error = balancer.choose(&HeaderMap::new()).expect_err("all are down");
    assert_eq!(error.to_string(), "web@file has no target that answers (2 known)");
    assert_eq!(balancer.view()[0].trouble.as_deref(), Some("refused"));
    assert!(!balancer.is_up());
    assert!(balancer.targets()[1].note(None));
    assert_eq!(urls(&balancer, &HeaderMap::new(), 1), ["https://b.example:8443"]);
}

#[test]
fn a_cookie_keeps_a_browser_with_its_target_and_shows_no_address() {
    let pairs = [
        TWO,
        &[
            ("loadBalancer.sticky.cookie.name", "stuck"),
            ("loadBalancer.sticky.cookie.secure", "true"),
            ("loadBalancer.sticky.cookie.httpOnly", "true"),
            ("loadBalancer.sticky.cookie.sameSite", "lax"),
            ("loadBalancer.sticky.cookie.maxAge", "60"),
        ],
    ]
    .concat();
    let balancer = build(&pairs, None);
    let first = balancer.choose(&HeaderMap::new()).expect("a target");
    let cookie = first.set_cookies[0].to_str().expect("text").to_owned();
    assert!(cookie.ends_with("; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"), "{cookie}");
    assert!(cookie.starts_with("stuck=") && !cookie.contains("10.0.0.1"), "{cookie}");
    let mut headers = HeaderMap::new();
    let sent = format!("a=b; {}", cookie.split(';').next().expect("a pair"));
    headers.insert(COOKIE, sent.parse().expect("a value"));
    assert_eq!(urls(&balancer, &headers, 3), ["http://10.0.0.1:80"; 3]);
    assert!(balancer.choose(&headers).expect("a target").set_cookies.is_empty());

    balancer.targets()[0].note(Some("refused".to_owned()));
    let moved = balancer.choose(&headers).expect("a target");
    assert_eq!((moved.target.url.as_str(), moved.set_cookies.len()), ("https://b.example:8443", 1));
    headers.insert(COOKIE, "stuck=0000000000000000".parse().expect("a value"));
    assert_eq!(balancer.choose(&headers).expect("a target").set_cookies.len(), 1);
}

#[test]
fn the_cookies_name_and_value_are_traefiks_own() {
    // Seen from Traefik 3.7.15, of the service `st` in its file: who moves here keeps everybody's target.
    let pairs =
        [("loadBalancer.servers[0].url", "http://127.0.0.1:18930"), ("loadBalancer.sticky.cookie.maxAge", "60")];
    let balancer = Balancer::build("st@file", read(&pairs).expect("a balancer"), Vec::new(), None, NOW);
    let cookie = balancer.choose(&HeaderMap::new()).expect("a target").set_cookies[0].clone();
    assert_eq!(cookie, "_da847=9a32bd999d2733b7; Path=/; Max-Age=60");
}

#[test]
fn what_has_not_changed_lives_on() {
    let before = build(TWO, None);
    assert!(Arc::ptr_eq(&before, &build(TWO, Some(&before))));

    before.targets()[1].note(Some("refused".to_owned()));
    let gone = before.targets()[0].upstream.gone.clone();
    let after = build(
        &[("loadBalancer.servers[0].url", "https://b.example:8443"), ("loadBalancer.passHostHeader", "false")],
        Some(&before),
    );
    assert!(Arc::ptr_eq(&after.targets()[0], &before.targets()[1]));
    assert!(!after.targets()[0].is_up());
    after.targets()[0].note(None);
    assert_eq!(after.choose(&HeaderMap::new()).expect("a target").host.as_deref(), Some("b.example:8443"));

    // Who is gone ends with the last of its requests.
    let last_request = before.targets()[0].clone();
    drop(before);
    assert!(!gone.is_cancelled());
    drop(last_request);
    assert!(gone.is_cancelled());
}

#[test]
fn balancers_share_requests_and_fall_back() {
    let one = |name: &str, port: u16| {
        let mut draft = BalancerDraft::of_container();
        draft.add_container(SocketAddr::from(([10, 0, 0, 1], port)));
        Balancer::build(name, draft, Vec::new(), None, NOW)
    };
    let (a, b) = (one("a@docker", 1), one("b@docker", 2));
    let weighted = read(&[
        ("weighted.services[0].name", "a"),
        ("weighted.services[0].weight", "3"),
        ("weighted.services[1].name", "b"),
        ("weighted.sticky.cookie.name", "w"),
    ])
    .expect("weighted");
    assert_eq!(weighted.balancers(), ["a", "b"]);
    let weighted = Balancer::build("w@file", weighted, vec![a.clone(), b.clone()], None, NOW);
    let urls = urls(&weighted, &HeaderMap::new(), 40);
    assert_eq!(urls.iter().filter(|url| url.ends_with(":1")).count(), 30);
    assert_eq!(weighted.choose(&HeaderMap::new()).expect("a target").set_cookies.len(), 1);

    let failover = read(&[("failover.service", "a"), ("failover.fallback", "b")]).expect("failover");
    assert_eq!(failover.balancers(), ["a", "b"]);
    let failover = Balancer::build("f@file", failover, vec![a.clone(), b], None, NOW);
    let url = || failover.choose(&HeaderMap::new()).expect("a target").target.url.clone();
    assert!(url().ends_with(":1"));
    a.targets()[0].note(Some("refused".to_owned()));
    assert!(url().ends_with(":2"));
    a.targets()[0].note(None);
    assert!(url().ends_with(":1"));
}

#[test]
fn several_containers_are_one_balancer_if_they_say_the_same() {
    let container = |pairs: &[(&str, &str)], host: u8| {
        let mut draft = read(pairs).expect("a balancer");
        let port = draft.template().and_then(|template| template.port).expect("a port");
        draft.add_container(SocketAddr::from(([10, 0, 0, host], port)));
        draft
    };
    let plain: &[_] = &[("loadbalancer.server.port", "8080"), ("loadbalancer.server.weight", "2")];
    let mut first = container(plain, 1);
    assert!(first.merge(&container(plain, 2)) && first.merge(&container(plain, 2)));
    let balancer = Balancer::build("web@docker", first.clone(), Vec::new(), None, NOW);
    let views: Vec<_> = balancer.view().into_iter().map(|view| (view.url, view.weight)).collect();
    assert_eq!(views, [("http://10.0.0.1:8080".to_owned(), 2), ("http://10.0.0.2:8080".to_owned(), 2)]);
    let other = [plain, &[("loadbalancer.passhostheader", "false")]].concat();
    assert!(!first.merge(&container(&other, 3)));
}

#[test]
fn what_is_wrong_is_said() {
    let text = |pairs: &[(&str, &str)]| read(pairs).expect_err("it is refused").text;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "a service is one of loadBalancer, weighted and failover"),
        (&[("mirroring.service", "x")], "mirroring is not supported: a request is sent to one target only"),
        (&[("loadBalancer.servers[0].url", "ftp://x")], "url must be http://HOST:PORT or https://HOST:PORT"),
        (&[("loadBalancer.servers[0].url", "http://u:p@x")], "url must be http://HOST:PORT or https://HOST:PORT"),
        (&[("loadBalancer.servers[0].url", "h2c://x")], "url: h2c is not supported: targets are spoken to in HTTP/1.1"),
        (&[("loadBalancer.server.scheme", "h2c")], "scheme = h2c is not supported: targets are spoken to in HTTP/1.1"),
        (&[("loadBalancer.server.port", "0")], "port = 0: must be a port"),
        (&[("loadBalancer.sticky.cookie.name", "a b")], "name = a b: must be a cookie's name"),
        (
            &[("loadBalancer.sticky.cookie.name", "__Host-Http-slipway-x")],
            "sticky.cookie.name: this name belongs to Slipway's own sessions",
        ),
        (&[("loadBalancer.sticky.cookie.domain", "a; Secure")], "domain = a; Secure: must be a domain"),
        (&[("loadBalancer.strategy", "p2c")], "strategy = p2c is not supported, only wrr"),
        (&[("loadBalancer.healthCheck.mode", "grpc")], "healthCheck.mode: only http is supported"),
        (&[("loadBalancer.healthCheck.interval", "1ms")], "interval = 1ms: must be 100ms or more"),
        (&[("weighted.services[0].weight", "1")], "name is missing"),
        (&[("failover.service", "x")], "failover: fallback is missing"),
        (&[("loadBalancr.server.port", "1")], "unknown field loadBalancr of web; did you mean loadBalancer?"),
    ];
    for (pairs, expected) in cases {
        assert_eq!(text(pairs), *expected, "{pairs:?}");
    }
    assert!(read(&[("loadBalancer.responseForwarding.flushInterval", "1ms")]).is_ok());
}
