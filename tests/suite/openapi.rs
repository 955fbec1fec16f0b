//! The API's description against its router: every route is told with its methods, nothing is told that is not there,
//! and the examples are what they are examples of.

use std::collections::BTreeSet;

use crate::routes::{Route, routes};
use crate::world::World;

/// What is served under the API's prefix and is none of its operations: another address of `/`, since a path of the
/// document begins with a slash, and the answer to what is not there.
const NOT_TOLD: [&str; 2] = ["", "/x"];

fn told(routes: impl IntoIterator<Item = Route>) -> BTreeSet<String> {
    let all = routes.into_iter().flat_map(|route| {
        let path = route.path.strip_prefix("/hub/api").map(str::to_owned);
        let path = path.filter(|path| !NOT_TOLD.contains(&path.as_str()) && path.starts_with('/'));
        let methods = route.methods.into_iter().filter(|method| method != "OPTIONS");
        methods.filter_map(move |method| Some(format!("{method} {}", path.clone()?)))
    });
    all.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_told_and_nothing_else() {
    let world = World::new().await;
    let document = world.client().get("/hub/api/openapi.json").await.is(200).json();
    let paths = document["paths"].as_object().expect("paths");
    let described = paths.iter().map(|(path, item)| {
        let path = crate::routes::filled(&format!("/hub/api{path}"));
        let methods = item.as_object().expect("operations").keys().map(|method| method.to_uppercase()).collect();
        Route { path, methods }
    });
    let (described, served) = (told(described), told(routes()));
    let untold: Vec<_> = served.difference(&described).collect();
    let unserved: Vec<_> = described.difference(&served).collect();
    assert!(untold.is_empty() && unserved.is_empty(), "not told: {untold:#?}\nnot served: {unserved:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_an_id_of_its_own_and_says_what_it_is() {
    let world = World::new().await;
    let document = world.client().get("/hub/api/openapi.json").await.is(200).json();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(ids.insert(id.to_owned()) && !id.is_empty(), "{method} {path}: {id}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.contains('`')), "{method} {path}");
            assert!(operation["responses"]["503"].is_object(), "{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let in_path = parameter["in"] != "path"
                    || path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap_or_default()));
                assert!(in_path, "{method} {path} has no {}", parameter["name"]);
            }
        }
    }
    assert!(ids.len() > 50, "only {}", ids.len());
}
