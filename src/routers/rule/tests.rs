//! The rule language: what is read, what is meant, and what is said of mistakes.

use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::routers::access::EntryPoint;

/// A request written on one line: `GET http://host/path?query`, then headers.
fn asks(rule: &Rule, request: &str, headers: &[(&'static str, &'static str)]) -> bool {
    let (method, address) = request.split_once(' ').unwrap_or(("GET", request));
    let address = address.strip_prefix("http://").unwrap_or(address);
    let slash = address.find('/').unwrap_or(address.len());
    let (host, target) = address.split_at(slash);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_static(value));
    }
    let question = Question {
        entry_point: EntryPoint::WebSecure,
        host,
        path,
        query,
        method: &method,
        headers: &map,
        client: "10.1.2.3".parse().expect("an address"),
    };
    rule.matches(&Asked::new(&question))
}

fn read(text: &str) -> Rule {
    Rule::read(text, Syntax::V3).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_rule_takes_what_traefik_would_give_it() {
    let cases: &[(&str, &str, bool)] = &[
        ("Host(`a.example`)", "http://a.example/", true),
        ("Host(`A.Example`)", "http://a.example/x", true),
        ("Host(`a.example.`)", "http://a.example/", true),
        ("Host(`a.example`)", "http://a.example./", true),
        ("Host(`a.example`)", "http://b.a.example/", false),
        ("Host(`*.a.example`)", "http://b.a.example/", true),
        ("Host(`*.a.example`)", "http://c.b.a.example/", false),
        ("Host(`*.a.example`)", "http://a.example/", false),
        ("host(\"a.example\")", "http://a.example/", true),
        ("HOST(`a.example`)", "http://a.example/", true),
        ("HostRegexp(`^[a-z]+\\.example$`)", "http://abc.example/", true),
        ("HostRegexp(`^[a-z]+\\.example$`)", "http://a1.example/", false),
        ("HostRegexp(`example`)", "http://my-example.org/", true),
        ("Path(`/a`)", "http://x/a", true),
        ("Path(`/a`)", "http://x/a/", false),
        ("Path(`/a`)", "http://x/a?b=c", true),
        ("PathPrefix(`/a`)", "http://x/apple", true),
        ("PathPrefix(`/a/`)", "http://x/a", false),
        ("PathPrefix(`/a b`)", "http://x/a%20b/c", true),
        ("PathPrefix(`/a/b`)", "http://x/a%2fb", false),
        ("PathPrefix(`/a%2Fb`)", "http://x/a%2fb", true),
        ("PathPrefix(`/é`)", "http://x/%C3%A9t%C3%A9", true),
        ("PathRegexp(`[0-9]+`)", "http://x/a/7", true),
        ("PathRegexp(`^/a/[0-9]+$`)", "http://x/a/7/", false),
        ("Method(`post`)", "POST http://x/", true),
        ("Method(`POST`)", "GET http://x/", false),
        ("Query(`a`, `1`)", "http://x/?b=2&a=1", true),
        ("Query(`a`, `1 2`)", "http://x/?a=1+2", true),
        ("Query(`a`, `1 2`)", "http://x/?a=1%202", true),
        ("Query(`a`, `1`)", "http://x/?a=2&a=1", true),
        ("Query(`a`, `1`)", "http://x/?a=12", false),
        ("Query(`a`, `1`)", "http://x/?a=1;b=2", false),
        ("Query(`a`)", "http://x/?a", true),
        ("Query(`a`)", "http://x/?b", false),
        ("QueryRegexp(`a`, `.*`)", "http://x/?a=anything", true),
        ("QueryRegexp(`a`, `^[0-9]$`)", "http://x/?a=77", false),
        ("ClientIP(`10.0.0.0/8`)", "http://x/", true),
        ("ClientIP(`10.1.2.3`)", "http://x/", true),
        ("ClientIP(`192.168.0.0/16`)", "http://x/", false),
        ("ClientIP(`::1`)", "http://x/", false),
        ("!Path(`/a`)", "http://x/b", true),
        ("!(Path(`/a`) || Path(`/b`))", "http://x/b", false),
        ("!!Path(`/a`)", "http://x/a", true),
        ("Path(`/a`) || Path(`/b`) && Method(`POST`)", "GET http://x/a", true),
        ("(Path(`/a`) || Path(`/b`)) && Method(`POST`)", "GET http://x/a", false),
        ("!Path(`/a`) && Method(`GET`)", "POST http://x/b", false),
        ("Host(`a`)\n  && Path(`/b`)", "http://a/b", true),
        ("PathPrefix(\"/a\\u0062\")", "http://x/abc", true),
    ];
    for (rule, request, expected) in cases {
        assert_eq!(asks(&read(rule), request, &[]), *expected, "{rule} and {request}");
    }
}

#[test]
fn headers_are_compared_one_by_one() {
    let rule = read("Header(`x-mode`, `test`)");
    assert!(asks(&rule, "http://x/", &[("x-mode", "other"), ("x-mode", "test")]));
    assert!(!asks(&rule, "http://x/", &[("x-mode", "other, test")]));
    assert!(!asks(&rule, "http://x/", &[]));
    let rule = read("HeaderRegexp(`Accept`, `json$`)");
    assert!(asks(&rule, "http://x/", &[("accept", "text/json")]));
    assert!(!asks(&rule, "http://x/", &[("accept", "text/html")]));
}

#[test]
fn what_is_no_rule_is_refused_with_its_column_and_the_cure() {
    let cases: &[(&str, &str)] = &[
        ("", "rule, column 1: is empty; write which requests it takes, for instance Host(`example.com`)"),
        ("Host(`a`) & Path(`/b`)", "rule, column 11: a single &; write && for «and»"),
        ("Host(`a`) | Path(`/b`)", "rule, column 11: a single |; write || for «or»"),
        ("Host(`a`) and Path(`/b`)", "rule, column 11: && or || is expected before and"),
        ("not Host(`a`)", "rule, column 1: write ! for «not»"),
        ("Host(`a`) &&", "rule, column 13: ends too soon: a matcher such as Host(`example.com`) is expected"),
        ("&& Host(`a`)", "rule, column 1: && is unexpected: a matcher such as Host(`example.com`) is expected"),
        ("(Host(`a`) || Path(`/b`)", "rule, column 25: ends too soon: ) is expected, for the ( in column 1"),
        ("Host(`a`))", "rule, column 10: this ) closes nothing; remove it, or open it further left"),
        (
            "Host(a.example)",
            "rule, column 6: a.example is unexpected: a text in backticks is expected, as in Host(`…`)",
        ),
        ("Host('a')", "rule, column 6: a text stands in backticks: `example.com`"),
        ("Host(`a", "rule, column 6: the text that begins here has no end; close it with `"),
        ("Host(\"a", "rule, column 6: the text that begins here has no end; close it with \""),
        ("Host", "rule, column 5: ends too soon: ( is expected behind Host, as in Host(`…`)"),
        ("`a`", "rule, column 1: `a` stands alone; it belongs into a matcher, as in Host(`a`)"),
        ("Host(`a` `b`)", "rule, column 10: `b` is unexpected: , or ) is expected"),
        ("Hots(`a`)", "rule, column 1: there is no matcher Hots; did you mean Host?"),
        (
            "Zzz(`a`)",
            "rule, column 1: there is no matcher Zzz; there are Host, HostRegexp, Path, PathPrefix, PathRegexp, Header, \
             HeaderRegexp, Method, Query, QueryRegexp, ClientIP",
        ),
        ("Host()", "rule, column 1: Host with 0 values; write it as in Host(`example.com`)"),
        (
            "Path(`/x`) && Host(`a`, `b`)",
            "rule, column 15: Host takes one value with Traefik v3; write Host(`a`) || Host(`b`)",
        ),
        ("Header(`a`)", "rule, column 1: Header with 1 values; write it as in Header(`X-Name`, `value`)"),
        ("Headers(`X-A`, `b`)", "rule, column 1: Headers is of Traefik v2; write Header(`X-A`, `b`)"),
        ("HostSNI(`*`)", "rule, column 1: HostSNI is for TCP routers, which Slipway does not have; write Host(`…`)"),
        (
            "PathPrefix(`/x/{id:[0-9]+}`)",
            "rule, column 12: PathPrefix: /x/{id:[0-9]+} is a template of Traefik v2; write \
             PathRegexp(`^/x/(?:[0-9]+)`), or set ruleSyntax to v2",
        ),
        (
            "HostRegexp(`{sub:[a-z]+}.example.com`)",
            "rule, column 12: HostRegexp: {sub:[a-z]+}.example.com is a template of Traefik v2; write \
             HostRegexp(`^(?:[a-z]+)\\.example\\.com$`), or set ruleSyntax to v2",
        ),
        ("Query(`a=1`)", "rule, column 7: this is Traefik v2's form; write Query(`a`, `1`)"),
        ("Path(`a`)", "rule, column 6: Path: a must begin with /"),
        ("Host(`a:443`)", "rule, column 6: Host takes no port; leave out the one of a:443: any port matches"),
        (
            "Host(`www.*.com`)",
            "rule, column 6: Host: www.*.com has a * elsewhere than in *.example.com; write HostRegexp(`…`)",
        ),
        ("Header(`Host`, `a`)", "rule, column 8: the host is not looked for among the headers; write Host(`…`)"),
        (
            "Host(`https://a/b`)",
            "rule, column 6: Host takes a name alone, and https://a/b is an address; the path goes into PathPrefix",
        ),
        (
            "Host(`bücher.example`)",
            "rule, column 6: Host: bücher.example is not ASCII; write a name in other letters as its xn--… form",
        ),
        ("PathRegexp(`/(`)", "rule, column 12: PathRegexp: /( is no regular expression: unclosed group"),
        (
            "PathRegexp(`(a{1000}){1000}`)",
            "rule, column 12: PathRegexp: (a{1000}){1000} is too large: over 262144 bytes when compiled; use smaller \
             repetitions",
        ),
        (
            "ClientIP(`10.0.0.0/33`)",
            "rule, column 10: \"10.0.0.0/33\" must be an address or a range as in \"10.0.0.0/8\" or \"fd00::/8\"",
        ),
        ("PathPrefix(\"/\\d\")", "rule, column 14: \\d means nothing in double quotes; write the text in backticks"),
    ];
    for (text, expected) in cases {
        let error = Rule::read(text, Syntax::V3).map(|_| ()).expect_err(text);
        assert_eq!(error.to_string(), *expected, "{text}");
    }
}

#[test]
fn a_rule_is_bounded_in_length_depth_and_number() {
    let long = format!("Host(`{}`)", "a".repeat(LENGTH_LIMIT_BYTES));
    assert!(Rule::read(&long, Syntax::V3).is_err());
    for deep in ["(".repeat(4_000), "!".repeat(4_000)] {
        assert!(Rule::read(&deep, Syntax::V3).expect_err("deep").text.starts_with("nested more than 32 deep"));
    }
    let many = vec!["Host(`a`)"; CALLS_LIMIT + 1].join("||");
    assert_eq!(Rule::read(&many, Syntax::V3).expect_err("many").text, "more than 256 matchers; make two routers of it");
}

#[test]
fn the_forms_of_version_2_mean_what_they_meant() {
    let cases: &[(&str, &str, bool)] = &[
        ("Host(`a`, `b`)", "http://b/", true),
        ("Host(`a`, `b`)", "http://c/", false),
        ("HostRegexp(`{sub:[a-z]+}.example.com`)", "http://abc.example.com/", true),
        ("HostRegexp(`{sub:[a-z]+}.example.com`)", "http://abc1.example.com/", false),
        ("HostRegexp(`example.com`, `{any:.*}`)", "http://whatever/", true),
        ("PathPrefix(`/x/{id:[0-9]+}`)", "http://x/x/77/y", true),
        ("PathPrefix(`/x/{id:[0-9]+}`)", "http://x/x/a", false),
        ("Path(`/x/{id:[0-9]{2}}`)", "http://x/x/77", true),
        ("Path(`/x/{id}`)", "http://x/x/a/b", false),
        ("Query(`a=1`, `b=2`)", "http://x/?a=1&b=2", true),
        ("Query(`a=1`, `b=2`)", "http://x/?a=1", false),
        ("Method(`GET`, `HEAD`)", "HEAD http://x/", true),
    ];
    for (text, request, expected) in cases {
        let rule = Rule::read(text, Syntax::V2).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(asks(&rule, request, &[]), *expected, "{text} and {request}");
    }
    let error = Rule::read("PathRegexp(`/x`)", Syntax::V2).map(|_| ()).expect_err("no matcher of v2");
    assert_eq!(
        error.to_string(),
        "rule, column 1: there is no matcher PathRegexp in Traefik v2; did you mean PathPrefix?"
    );
}

#[test]
fn what_a_rule_needs_is_said_and_never_more() {
    let needs = |text| {
        let needs = read(text).needs();
        let paths = needs.paths.map(|paths| paths.into_iter().map(|path| path.text).collect::<Vec<_>>());
        (needs.hosts.map(|hosts| hosts.join(" ")), paths.map(|paths| paths.join(" ")))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(needs("Host(`a`) && PathPrefix(`/x`)"), (some("a"), some("/x")));
    assert_eq!(needs("(Host(`a`) || Host(`b`)) && Path(`/x`)"), (some("a b"), some("/x")));
    assert_eq!(needs("Host(`a`) || PathPrefix(`/x`)"), (None, None));
    assert_eq!(needs("Host(`a`) && Path(`/x`) || Host(`b`)"), (some("a b"), None));
    assert_eq!(needs("!Host(`a`)"), (None, None));
    assert_eq!(needs("HostRegexp(`a`) && PathPrefix(`/x`)"), (None, some("/x")));
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A rule as a tree, to be written and computed in two ways.
    #[derive(Clone, Debug)]
    enum Said {
        Call(String, bool),
        Not(Box<Said>),
        All(Vec<Said>),
        Any(Vec<Said>),
    }

    fn said() -> impl Strategy<Value = Said> {
        let leaf = prop_oneof![
            "(GET|POST)".prop_map(|method| Said::Call(format!("Method(`{method}`)"), method == "GET")),
            "(one|two)\\.example".prop_map(|host| Said::Call(format!("Host(`{host}`)"), host == "one.example")),
            "(/a|/b)".prop_map(|path| Said::Call(format!("PathPrefix(`{path}`)"), path == "/a")),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|part| Said::Not(Box::new(part))),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Said::All),
                prop::collection::vec(inner, 1..4).prop_map(Said::Any),
            ]
        })
    }

    impl Said {
        fn text(&self) -> String {
            let join = |parts: &[Self], sign| parts.iter().map(Self::text).collect::<Vec<_>>().join(sign);
            match self {
                Self::Call(text, _) => text.clone(),
                Self::Not(part) => format!("!({})", part.text()),
                Self::All(parts) => format!("({})", join(parts, " && ")),
                Self::Any(parts) => format!("({})", join(parts, " || ")),
            }
        }

        fn holds(&self) -> bool {
            match self {
                Self::Call(_, holds) => *holds,
                Self::Not(part) => !part.holds(),
                Self::All(parts) => parts.iter().all(Self::holds),
                Self::Any(parts) => parts.iter().any(Self::holds),
            }
        }
    }

    proptest! {
        #[test]
        fn a_rule_holds_as_its_logic_says_and_then_its_needs_are_met(said in said()) {
            let rule = Rule::read(&said.text(), Syntax::V3).expect("a rule");
            let holds = asks(&rule, "GET http://one.example/abc", &[]);
            prop_assert_eq!(holds, said.holds());
            let needs = rule.needs();
            let is_met = needs.hosts.is_none_or(|hosts| hosts.iter().any(|host| host == "one.example"))
                && needs.paths.is_none_or(|paths| paths.iter().any(|path| "/abc".starts_with(&path.text)));
            prop_assert!(is_met || !holds, "what a rule takes meets its needs");
        }

        #[test]
        fn any_text_is_a_rule_or_refused_at_a_column_of_it(text in "[A-Za-z`\"'(),&|! \\\\{}/.*\\[\u{e9}\n]{0,60}") {
            for syntax in [Syntax::V3, Syntax::V2] {
                if let Err(error) = Rule::read(&text, syntax) {
                    prop_assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}");
                    prop_assert!(!error.text.contains('\n'), "one line: {error}");
                }
            }
        }

        #[test]
        fn any_request_is_answered(path in "/[ -~]{0,30}", query in "[ -~]{0,30}") {
            let rule = read("PathPrefix(`/a`) || Query(`a`, `b`) || QueryRegexp(`a`, `.`) || PathRegexp(`%`)");
            let _ = asks(&rule, &format!("GET http://x{path}?{query}"), &[]);
        }
    }
}

#[test]
fn fuzzed_rules_are_read_or_refused_with_a_sentence() {
    let words = [
        "Host(`a.example`)",
        "PathPrefix(`/x`)",
        "Path(`/{id:[0-9]+}`)",
        "HostRegexp(`^.+$`)",
        "Header(`X`, `y`)",
        "Query(`a`, `b`)",
        "ClientIP(`10.0.0.0/8`)",
        "Method(`GET`)",
        " && ",
        " || ",
        "!",
        "(",
        ")",
        "`",
        "\"",
        ",",
        "(?:a*)*",
        "{1,999}",
        "\\",
        "HostSNI(`*`)",
    ];
    crate::fuzz::fuzz!("rule", &words, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return 0 };
        let mut told = Vec::new();
        for syntax in [Syntax::V3, Syntax::V2] {
            match Rule::read(text, syntax) {
                Ok(rule) => {
                    let _ = (rule.needs(), rule.names_host("a.example"));
                    told.push((true, asks(&rule, "GET http://a.example/x/7?a=b", &[("x", "y")]).to_string()));
                }
                Err(error) => {
                    assert!(
                        !error.text.is_empty() && error.column >= 1 && error.column <= text.chars().count() + 1,
                        "{error}"
                    );
                    // Its words without those of the rule: an outcome each.
                    told.push((false, error.text.split(['`', '"']).next().unwrap_or_default().to_owned()));
                }
            }
        }
        crate::fuzz::outcome(told)
    });
}
