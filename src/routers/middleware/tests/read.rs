//! What is refused when it is read, and with which words.

use super::*;

#[test]
fn an_unknown_kind_gets_the_nearest_one_and_an_unsupported_one_a_cure() {
    assert_eq!(refused("stripPrefx", &[]), "there is no middleware stripPrefx; did you mean stripPrefix?");
    assert_eq!(
        refused("digestAuth", &[]),
        "the middleware digestAuth is not supported: use basicAuth over HTTPS, or slipway.access"
    );
    assert_eq!(refused("rateLimit", &[("averag", "1")]), "unknown field averag of rateLimit; did you mean average?");
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);
    let cases: &[Case] = &[
        ("addPrefix", &[], "prefix is missing"),
        ("addPrefix", &[("prefix", "/../x")], "prefix = /../x: the path contains a dot segment"),
        ("replacePathRegex", &[("regex", "(")], "regex = (: is no regular expression: unclosed group"),
        (
            "stripPrefixRegex",
            &[("regex", "(a{1000}){1000}")],
            "regex = (a{1000}){1000}: is no regular expression: Compiled regex exceeds size limit of 1048576 bytes.",
        ),
        ("redirectScheme", &[("scheme", "ftp")], "scheme = ftp: must be https or http"),
        ("chain", &[], "chain: middlewares must name at least one"),
        (
            "headers",
            &[("customResponseHeaders.X-A", "a\r\nb")],
            "customResponseHeaders: the value of x-a cannot stand in a header",
        ),
        ("headers", &[("customRequestHeaders.a b", "x")], "customRequestHeaders: a b is no header's name"),
        (
            "headers",
            &[("customRequestHeaders.Transfer-Encoding", "chunked")],
            "customRequestHeaders: transfer-encoding belongs to the connection and cannot be changed",
        ),
        ("headers", &[("sslRedirect", "true")], "sslRedirect is not supported: use the middleware redirectScheme"),
        (
            "ipAllowList",
            &[("sourceRange", "10.0.0.0/33")],
            "sourceRange: \"10.0.0.0/33\" must be an address or a range as in \"10.0.0.0/8\" or \"fd00::/8\"",
        ),
        ("ipWhiteList", &[], "sourceRange must name at least one address or range"),
        ("inFlightReq", &[], "amount must be 1 or more"),
        (
            "basicAuth",
            &[("users", "alice:plain")],
            "users, number 1: alice: its hash is none of bcrypt, apr1-MD5 and {SHA}; in a compose file each $ is written $$",
        ),
        ("forwardAuth", &[("address", "ftp://x")], "address must be http://HOST:PORT/PATH or https://HOST:PORT/PATH"),
        (
            "forwardAuth",
            &[("address", "http://x"), ("tls.ca", "x")],
            "tls is not supported: certificates are checked as Slipway is configured to",
        ),
        (
            "circuitBreaker",
            &[("expression", "NetworkErorRatio() > 1")],
            "expression knows no NetworkErorRatio; did you mean NetworkErrorRatio?",
        ),
        (
            "circuitBreaker",
            &[("expression", "LatencyAtQuantileMS(200.0) > 1")],
            "expression asks LatencyAtQuantileMS for what is no quantile (50.0, 99.9)",
        ),
        (
            "buffering",
            &[("retryExpression", "Attempts() <")],
            "retryExpression compares Attempts() with what is no number",
        ),
        ("retry", &[("attempts", "0")], "attempts = 0: must be 1 to 100"),
        (
            "retry",
            &[("attempts", "2"), ("disableRetryOnNetworkError", "true")],
            "disableRetryOnNetworkError = true without status: it would never retry",
        ),
        ("compress", &[("encodings", "br")], "encodings: only gzip is supported, and it is not among them"),
        ("compress", &[("encodings", "gzip,brotli")], "encodings: there is no brotli; did you mean br?"),
        (
            "errors",
            &[("status", "500-"), ("service", "x")],
            "status: 500- is no status (404) and no range of them (500-599)",
        ),
        ("errors", &[("status", "500")], "service is missing"),
    ];
    for (kind, pairs, expected) in cases {
        assert_eq!(refused(kind, pairs), *expected, "{kind}");
    }
}

#[test]
fn a_draft_says_whom_it_names() {
    let draft = Middleware::read("chain", fields("chain", &[("middlewares", "a@file, b")])).expect("a chain");
    assert_eq!(draft.middlewares(), ["a@file", "b"]);
    let draft =
        Middleware::read("errors", fields("errors", &[("status", "404"), ("service", "pages")])).expect("errors");
    assert_eq!(draft.balancer(), Some("pages"));
}
