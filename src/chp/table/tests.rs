//! Which route a path finds, and what the API is shown.

use super::*;

fn table(keys: &[&str]) -> Table {
    let table = Table::default();
    for (at, key) in keys.iter().enumerate() {
        add(&table, key, &format!("http://127.0.0.1:{}", 9000 + at), 0);
    }
    table
}

fn add(table: &Table, key: &str, target: &str, now: i64) {
    let data: Object = [("target".to_owned(), Json::Text(target.to_owned()))].into_iter().collect();
    table.add(&clean_key(key), data, target, Timestamp(now));
}

fn find(table: &Table, host: Option<&str>, path: &str) -> Result<Option<(String, usize)>, PathError> {
    let found = table.current().find(host, path)?;
    Ok(found.map(|found| (found.route.key.clone(), found.prefix_bytes)))
}

#[test]
fn the_longest_prefix_of_whole_decoded_segments_wins() {
    let table = table(&["/", "/user/x", "/user/x/gpu/", "/user/a@b", "/user/ü", "services/s", "/user/d\\e"]);
    let check = |path: &str, key: &str, prefix_bytes: usize| {
        assert_eq!(find(&table, None, path), Ok(Some((key.to_owned(), prefix_bytes))), "{path}");
    };
    check("/", "/", 0);
    check("/user/x", "/user/x", 7);
    check("/user/x/", "/user/x", 7);
    check("/user/x/lab/a//b", "/user/x", 7);
    check("/user/x/gpu/lab", "/user/x/gpu", 11);
    check("/user/x/gpus", "/user/x", 7);
    check("/user/xy", "/", 0);
    check("/USER/x", "/", 0);
    check("/user/a%40b/y", "/user/a@b", 11);
    check("/user/%C3%BC/y", "/user/ü", 12);
    check("/user/d%5Ce/y", "/user/d\\e", 11);
    check("/services/s/a%2Fb", "/services/s", 11);
    check("/hub/x%00", "/", 0);
}

#[test]
fn without_a_root_route_nothing_is_found() {
    assert_eq!(find(&table(&["/user/x"]), None, "/user/y"), Ok(None));
    assert_eq!(find(&table(&[]), None, "/"), Ok(None));
}

#[test]
fn a_path_that_others_read_differently_is_refused() {
    let table = table(&["/", "/user/x", "/user/x/gpu"]);
    let check = |path: &str, error: PathError| assert_eq!(find(&table, None, path), Err(error), "{path}");
    check("user", PathError::NotAbsolute);
    check("*", PathError::NotAbsolute);
    check("/user/../x", PathError::DotSegment);
    check("/user/%2E%2e/x", PathError::DotSegment);
    check("/user\\x", PathError::Backslash);
    check("/user/%zz", PathError::Encoding);
    check("/user/%ff", PathError::Encoding);
    check("/user%2Fx/y", PathError::Ambiguous);
    check("//user/x", PathError::Ambiguous);
    check("/user/x%2fgpu", PathError::Ambiguous);
    // The hidden slash decides nothing here.
    assert_eq!(find(&table, None, "/user/x/a%2Fb"), Ok(Some(("/user/x".to_owned(), 7))));
    assert_eq!(find(&table, None, "/hub//x"), Ok(Some(("/".to_owned(), 0))));
}

#[test]
fn with_host_routing_the_host_is_the_first_segment() {
    let table = table(&["/", "/example.org", "/example.org/user/x"]);
    let check = |host: &str, path: &str, key: &str, prefix_bytes: usize| {
        assert_eq!(find(&table, Some(host), path), Ok(Some((key.to_owned(), prefix_bytes))), "{host}{path}");
    };
    check("example.org", "/", "/example.org", 0);
    check("example.org", "/user/x/lab", "/example.org/user/x", 7);
    check("example.org", "/user/y", "/example.org", 0);
    check("other.org", "/user/x", "/", 0);
}

#[test]
fn keys_are_listed_as_they_were_first_added() {
    let table = table(&["/b", "/a", "/"]);
    add(&table, "/b/", "http://127.0.0.1:1", 5);
    let keys = |table: &Table| table.current().list().iter().map(|route| route.key.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&table), ["/b", "/a", "/"]);
    assert!(table.remove("/b") && !table.remove("/b"));
    add(&table, "b", "http://127.0.0.1:2", 5);
    assert_eq!(keys(&table), ["/a", "/", "/b"]);
    assert_eq!(find(&table, None, "/b/x"), Ok(Some(("/b".to_owned(), 2))));
}

#[test]
fn a_route_that_is_posted_again_with_its_target_keeps_its_connections_and_is_active_now() {
    let table = table(&["/a"]);
    let id = |table: &Table| {
        let table = table.current();
        let target = table.get("/a").expect("a route").target.clone().expect("a target");
        target.upstream.id
    };
    let first = id(&table);
    add(&table, "/a", "http://127.0.0.1:9000", 1000);
    assert_eq!(id(&table), first);
    assert_eq!(table.current().get("/a").expect("a route").last_activity(), Timestamp(1000));
    add(&table, "/a", "http://127.0.0.1:9001", 2000);
    assert_ne!(id(&table), first);
}

#[test]
fn a_listing_ends_with_the_time_of_activity_in_milliseconds() {
    let table = Table::default();
    let data = serde_json::from_str::<Json>(r#"{"target":"nonsense","jupyterhub":true,"user":"x"}"#).expect("JSON");
    let Json::Object(data) = data else { panic!("an object") };
    table.add("/user/x", data, "nonsense", Timestamp(1_795_315_559_109));
    let listing = table.current().get("/user/x").expect("a route").listing();
    let expected = r#"{"target":"nonsense","jupyterhub":true,"user":"x","last_activity":"2026-11-22T02:45:59.109Z"}"#;
    assert_eq!(serde_json::to_string(&listing).expect("JSON"), expected);
}
