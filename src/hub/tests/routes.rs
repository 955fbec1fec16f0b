//! The page of the routes, and what the API says of them.

use minijinja::context;
use minijinja::value::Value;
use std::sync::Arc;

use super::world::World;
use crate::hub::pages::host::facts_of;
use crate::hub::pages::routes::{page_of, wish_of};
use crate::model::Timestamp;
use crate::routers::view::{
    BalancerView, EntryPointView, Health, MiddlewareView, ProblemView, RouterView, SourceView, TargetView, View,
};

const NOW: Timestamp = Timestamp(1_795_313_227_732);

fn router(name: &str, rule: &str, access: &str, health: Health) -> RouterView {
    RouterView {
        name: format!("{name}@docker"),
        rule: rule.into(),
        priority: i64::try_from(rule.len()).expect("short"),
        entry_points: vec!["websecure"],
        access: access.into(),
        middlewares: vec![],
        balancer: format!("{name}@docker"),
        place: format!("container {name}"),
        is_lazy: health == Health::Asleep,
        health,
    }
}

fn target(address: &str, weight: u32, is_up: bool) -> TargetView {
    TargetView { address: address.into(), weight, is_up }
}

/// What a well-used installation has.
pub(super) fn view() -> View {
    let source = |provider, what: &str, state: &str, is_well| SourceView {
        provider,
        what: what.into(),
        state: state.into(),
        is_well,
    };
    let mut grafana = router("grafana", "Host(`grafana.example.org`)", "public", Health::Up);
    grafana.entry_points = vec!["web", "websecure"];
    grafana.middlewares = vec!["secure-headers@file".into(), "rate@docker".into()];
    let mut report =
        router("report", "PathPrefix(`/report`) && !Path(`/report/private`)", "group:Physics 101", Health::Up);
    report.middlewares = vec!["strip-report@docker".into()];
    View {
        entry_points: vec![
            EntryPointView { name: "web", addresses: vec!["[::]:80".into()], routers: 1 },
            EntryPointView { name: "websecure", addresses: vec!["[::]:443".into()], routers: 4 },
        ],
        sources: vec![
            source("docker", "unix:///var/run/docker.sock", "12 containers, watched", true),
            source("file", "config/routes.yml", "read 4 minutes ago", true),
        ],
        routers: vec![
            grafana,
            router("mlflow", "PathPrefix(`/mlflow`)", "user", Health::Asleep),
            router("optuna", "PathPrefix(`/optuna`)", "admin", Health::Down),
            report,
        ],
        balancers: vec![
            BalancerView {
                name: "grafana@docker".into(),
                targets: vec![target("http://172.18.0.7:3000", 3, true), target("http://172.18.0.8:3000", 1, false)],
                is_sticky: true,
                health_check: Some("/api/health every 10 s".into()),
            },
            BalancerView { name: "mlflow@docker".into(), ..BalancerView::default() },
            BalancerView {
                name: "report@docker".into(),
                targets: vec![target("http://172.18.0.9:8080", 1, true)],
                ..BalancerView::default()
            },
        ],
        middlewares: vec![
            MiddlewareView { name: "rate@docker".into(), kind: "rateLimit".into(), routers: 1 },
            MiddlewareView { name: "secure-headers@file".into(), kind: "headers".into(), routers: 1 },
            MiddlewareView { name: "strip-report@docker".into(), kind: "stripPrefix".into(), routers: 0 },
        ],
        problems: vec![],
    }
}

fn problems() -> Vec<ProblemView> {
    let problem = |place: &str, text: &str| ProblemView { place: place.into(), text: text.into() };
    vec![
        problem(
            "container web, label traefik.http.routers.web.rule",
            "rule, column 6: a back-quoted or quoted text is expected, as in Host(`example.org`)",
        ),
        problem("config/routes.yml:12", "there is no middleware auht@file; did you mean auth@file? <b>"),
    ]
}

/// The values of a sample page.
pub(super) fn page(kind: &str) -> Value {
    let mut view = view();
    let mut query = "";
    match kind {
        "many" => {
            query = "?page=2";
            view.routers = (0..120)
                .map(|n| router(&format!("service-{n:03}"), &format!("Host(`s{n}.example.org`)"), "public", Health::Up))
                .collect();
        }
        "trouble" => {
            view.problems = problems();
            view.sources[0].state = "does not answer".into();
            view.sources[0].is_well = false;
        }
        "none" => (view.routers, view.balancers, view.middlewares) = Default::default(),
        _ => {}
    }
    let uri = format!("/hub/routes{query}").parse().expect("an address");
    let certificates = facts_of(&super::host::facts(true), NOW).get_attr("certificates").expect("it has");
    context! { certificates, ..page_of(&view, &wish_of(&uri), "/hub/routes") }
}

#[tokio::test]
async fn only_administrators_see_the_routes_and_find_what_they_look_for() {
    let world = World::new().await;
    let state = world.state.clone().with_routes(Arc::new(|| View { problems: problems(), ..view() }));
    let world = world.with_state(state);
    let (admin, alice) = (world.admin("root").await, world.user("alice").await);
    assert_eq!(alice.get("/hub/routes").await.status, 403);
    let page = admin.get("/hub/routes").await;
    assert_eq!(page.status, 200);
    for words in ["grafana@docker", "group Physics 101", "2 things are wrong", "did you mean auth@file? &lt;b&gt;"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let found = admin.get("/hub/routes?q=physics").await.text;
    assert!(found.contains("report@docker</span>") && !found.contains("optuna@docker</span>"), "{found}");
}

#[tokio::test]
async fn the_api_tells_the_same_to_those_with_the_scope() {
    let world = World::new().await;
    let state = world.state.clone().with_routes(Arc::new(|| View { problems: problems(), ..view() }));
    let world = world.with_state(state);
    let (admin, alice) = (world.admin("root").await, world.user("alice").await);
    assert_eq!(alice.get("/hub/api/routes").await.status, 403);
    let told = admin.get("/hub/api/routes").await;
    let told: serde_json::Value = serde_json::from_str(&told.text).expect("JSON");
    assert_eq!(told["routers"][1]["health"], "asleep");
    assert_eq!(told["balancers"][0]["targets"][1]["up"], false);
    assert_eq!(told["problems"][1]["place"], "config/routes.yml:12");
}
