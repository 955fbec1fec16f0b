//! Tables of hosts, origins and lengths. Who may do what is told by whole requests in `request/tests.rs`.

use http::HeaderValue;
use http::header::HOST;

use super::*;

fn authority(text: &str) -> Authority {
    text.parse().expect("an authority")
}

#[test]
fn a_request_is_for_one_host() {
    let check = |uri: Option<&str>, hosts: &[&'static str], expected: Option<&str>| {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        let uri = uri.map(authority);
        let found = authority_of(uri.as_ref(), &headers).ok();
        assert_eq!(found.as_ref().map(Authority::as_str), expected, "{uri:?} {hosts:?}");
    };
    check(None, &["localhost:8443"], Some("localhost:8443"));
    check(Some("localhost:8443"), &[], Some("localhost:8443"));
    check(Some("Example.org"), &["example.org:443"], Some("Example.org"));
    check(None, &["[::1]:8443"], Some("[::1]:8443"));
    check(Some("a.example"), &["b.example"], None);
    check(Some("a.example:1"), &["a.example:2"], None);
    check(None, &["a.example", "a.example"], None);
    check(None, &[], None);
    check(None, &[""], None);
    check(None, &["user@a.example"], None);
    check(None, &["a.example:"], None);
    check(None, &["a.example:99999"], None);
    check(None, &["a.example/x"], None);
    check(None, &["a example"], None);
}

#[test]
fn we_answer_under_our_own_names_alone() {
    let public_url = "https://lab.example.org:8443".parse().expect("an origin");
    let is_certified = |host: &str| host == "cert.example";
    let check = |host: &str, without: bool, with: bool| {
        assert_eq!(is_our_host(&authority(host), None, is_certified), without, "{host} without public_url");
        assert_eq!(is_our_host(&authority(host), Some(&public_url), is_certified), with, "{host} with public_url");
    };
    check("localhost:8443", true, true);
    check("LocalHost", true, true);
    check("127.0.0.1:8443", true, true);
    check("192.0.2.7", true, true);
    check("[::1]:8443", true, true);
    check("cert.example:1234", true, true);
    check("CERT.example", true, true);
    check("lab.example.org:8443", false, true);
    check("lab.example.org", false, false);
    check("evil.example", false, false);
    check("localhost.", false, false);
    check("cert.example.", false, false);
    check("localhost.evil.example", false, false);
    check("xcert.example", false, false);
}

#[test]
fn a_known_length_is_judged_before_the_body_comes() {
    assert!(body(None, 10).is_ok() && body(Some(10), 10).is_ok());
    assert!(matches!(body(Some(11), 10), Err(Refusal::TooLong { limit_bytes: 10 })));
}

#[test]
fn nobody_without_a_session_is_harmed_by_another_site() {
    let foreign = Provenance {
        site: Some("cross-site"),
        is_websocket: true,
        origin: None,
        is_navigation: false,
        is_framed: false,
    };
    assert!(provenance(&Caller::Anonymous, foreign, "localhost").is_ok());
    assert_eq!(server(&Caller::Anonymous, &[], true), Admission::Anonymous);
}
