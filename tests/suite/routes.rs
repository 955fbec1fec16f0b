//! Every route of the hub, read from its router: a test that goes through all of them knows the next one too.

/// A path that matches a route, and the methods that it answers.
#[derive(Clone, Debug)]
pub struct Route {
    pub path: String,
    pub methods: Vec<String>,
}

/// All of them, with `alice`, her server `gpu`, and `x` for the rest.
pub fn routes() -> Vec<Route> {
    let source = include_str!("../../src/hub/router.rs");
    let routes: Vec<_> = source.split(".route(").skip(1).map(read).collect();
    assert!(routes.len() > 30, "the router is written in another way now: {routes:?}");
    routes
}

/// A template with `alice`, her server `gpu`, and `x` for the rest.
pub fn filled(template: &str) -> String {
    [
        ("{user}", "alice"),
        ("{server}", "gpu"),
        ("{code}", "404"),
        ("{id}", "a1"),
        ("{group}", "x"),
        ("{owner}", "x"),
        ("{service}", "x"),
        ("{question}", "x"),
        ("{token}", "x"),
        ("{session}", "x"),
        ("{cookie}", "x"),
        ("{value}", "x"),
        ("{*path}", "x"),
        ("{*unknown}", "x"),
        ("{{*rest}}", "alice/x"),
        ("{*rest}", "alice/x"),
    ]
    .iter()
    .fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
}

fn read(text: &str) -> Route {
    let text = &text[..end_of_call(text)];
    let quoted = text.split('"').nth(1).unwrap_or_default();
    let template = match () {
        () if text.contains("trim_end_matches") => "/hub".to_owned(),
        () if text.contains("format!(\"{base}") => format!("/{}", quoted.trim_start_matches("{base}")),
        () if text.contains("format!(\"{}") => format!("/{}", quoted.trim_start_matches("{}")),
        () if text.contains("api(\"") => format!("/hub/api{quoted}"),
        () if text.contains("hub(\"") => format!("/hub/{quoted}"),
        () => panic!("a route that this test cannot read: {text}"),
    };
    let path = filled(&template);
    let is_called = |name: &str| {
        text.match_indices(&format!("{name}("))
            .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == ':' || c == '_'))
    };
    let mut methods: Vec<String> = ["get", "post", "delete", "put", "patch", "options"]
        .iter()
        .filter(|name| is_called(name))
        .map(|name| name.to_uppercase())
        .collect();
    if is_called("any") {
        methods = ["GET", "POST", "DELETE", "PUT", "PATCH"].map(str::to_owned).into();
    }
    assert!(!methods.is_empty() && !path.contains('{'), "a route that this test cannot read: {text}");
    Route { path, methods }
}

/// Where the parenthesis closes that was opened before `text`.
fn end_of_call(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return at;
        }
    }
    text.len()
}
