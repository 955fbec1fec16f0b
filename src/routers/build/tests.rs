use std::path::Path;

use super::*;
use crate::model::BasePath;
use crate::routers::labels::{self, Container};
use crate::routers::{Draft, read_file};

fn around(hub_host: Option<&str>) -> Surroundings {
    Surroundings {
        base: BasePath::parse("/jupyterhub/").expect("a path"),
        hub_host: hub_host.map(str::to_owned),
        default_entry_points: vec![EntryPoint::WebSecure],
    }
}

fn container(name: &str, labels: &[(&str, &str)]) -> Draft {
    let last = name.bytes().last().expect("a name");
    let container = Container {
        id: format!("{name}-id").as_str().into(),
        name: name.into(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        address: Some(std::net::IpAddr::from([10, 0, 0, last])),
        port: Some(80),
    };
    labels::read(&container, None)
}

fn file(text: &str) -> Draft {
    read_file(Path::new("routes.yml"), text).expect("YAML")
}

fn built(drafts: &[Draft]) -> Table {
    build(drafts, &around(None), &Table::default(), Timestamp(0))
}

fn problems(drafts: &[Draft]) -> Vec<String> {
    built(drafts).problems().iter().map(ToString::to_string).collect()
}

fn names(table: &Table) -> Vec<String> {
    table.routers().iter().map(|router| router.name.to_string()).collect()
}

#[test]
fn labels_become_a_router_with_its_middlewares_and_its_target() {
    let table = built(&[
        container(
            "web1",
            &[
                ("traefik.http.routers.web.rule", "Host(`a.example`)"),
                ("traefik.http.routers.web.middlewares", "strip,safe@file"),
                ("traefik.http.middlewares.strip.stripprefix.prefixes", "/x"),
            ],
        ),
        file("http:\n  middlewares:\n    safe:\n      addPrefix:\n        prefix: /y\n"),
    ]);
    assert_eq!(table.problems(), []);
    let router = &table.routers()[0];
    assert_eq!(router.middlewares.iter().map(ToString::to_string).collect::<Vec<_>>(), ["strip@docker", "safe@file"]);
    assert_eq!(router.chain.len(), 2);
    assert_eq!(router.priority, 17);
    assert_eq!(router.entry_points, [EntryPoint::WebSecure]);
    let targets = router.balancer.as_ref().expect("a balancer").targets();
    assert_eq!(targets.iter().map(|target| target.url.as_str()).collect::<Vec<_>>(), ["http://10.0.0.49:80"]);
}

#[test]
fn replicas_are_targets_of_one_balancer() {
    let labels =
        [("traefik.http.routers.web.rule", "Host(`a`)"), ("traefik.http.services.web.loadbalancer.server.port", "81")];
    let table = built(&[container("web1", &labels), container("web2", &labels)]);
    assert_eq!(table.problems(), []);
    assert_eq!(names(&table), ["web@docker"]);
    assert_eq!(table.routers()[0].balancer.as_ref().expect("a balancer").targets().len(), 2);
}

#[test]
fn two_who_say_the_same_name_differently_are_both_named_and_neither_stands() {
    let drafts = [
        container("one", &[("traefik.http.routers.web.rule", "Host(`a`)")]),
        container(
            "two",
            &[("traefik.http.routers.web.rule", "Host(`b`)"), ("traefik.http.routers.other.rule", "Host(`c`)")],
        ),
    ];
    assert_eq!(names(&built(&drafts)), ["other@docker"]);
    assert_eq!(
        problems(&drafts),
        [
            "container one, label traefik.http.routers.web.rule: router web@docker is said differently here and by \
             container two, label traefik.http.routers.web.rule; neither is published",
            "container two, label traefik.http.routers.web.rule: router web@docker is said differently here and by \
             container one, label traefik.http.routers.web.rule; neither is published",
        ]
    );
    let rule = ("traefik.http.routers.a.rule", "Host(`a`)");
    let strip = |prefix| [rule, ("traefik.http.middlewares.m.stripprefix.prefixes", prefix)];
    let said = problems(&[container("one", &strip("/a")), container("two", &strip("/b"))]);
    assert!(said.iter().any(|text| text.contains("middleware m@docker is said differently here and by")), "{said:?}");
}

#[test]
fn a_name_that_leads_nowhere_is_told_with_the_nearest() {
    let with = |label: &'static str, value: &'static str| {
        [container(
            "web",
            &[
                ("traefik.http.routers.web.rule", "Host(`a`)"),
                ("traefik.http.middlewares.strip.stripprefix.prefixes", "/x"),
                (label, value),
            ],
        )]
    };
    let cases: &[(&'static str, &'static str, &str)] = &[
        (
            "traefik.http.routers.web.middlewares",
            "stripp",
            "container web, label traefik.http.routers.web.middlewares: router web@docker is not published: there is no \
             middleware stripp@docker; did you mean strip@docker?",
        ),
        (
            "traefik.http.routers.web.middlewares",
            "strip@fil",
            "container web, label traefik.http.routers.web.middlewares: strip@fil: there is no provider fil, only docker \
             and file; did you mean file?",
        ),
        (
            "traefik.http.routers.web.service",
            "wb",
            "container web, label traefik.http.routers.web.service: router web@docker is not published: there is no \
             service wb@docker; did you mean web@docker?",
        ),
        (
            "traefik.http.routers.web.service",
            "api@internal",
            "container web, label traefik.http.routers.web.service: router web@docker is not published: api@internal is \
             Traefik's own; administrators see the dashboard in the hub",
        ),
        (
            "traefik.http.routers.web.rule",
            "Hots(`a`)",
            "container web, label traefik.http.routers.web.rule: rule, column 1: there is no matcher Hots; did you mean \
             Host?",
        ),
    ];
    for (label, value, expected) in cases {
        let drafts = with(label, value);
        // Later labels of the same name win in this list.
        assert_eq!(problems(&drafts), [*expected]);
        assert_eq!(names(&built(&drafts)), Vec::<String>::new(), "nothing half applied");
    }
}

#[test]
fn a_router_whose_middleware_is_wrong_is_not_published() {
    let drafts = [container(
        "web",
        &[
            ("traefik.http.routers.web.rule", "Host(`a`)"),
            ("traefik.http.routers.web.middlewares", "m"),
            ("traefik.http.routers.free.rule", "Host(`b`)"),
            ("traefik.http.middlewares.m.stripprefx.prefixes", "/x"),
        ],
    )];
    assert_eq!(names(&built(&drafts)), ["free@docker"]);
    assert_eq!(
        problems(&drafts),
        [
            "container web, label traefik.http.middlewares.m.stripprefx.prefixes: there is no middleware stripprefx; did \
             you mean stripPrefix?",
            "container web, label traefik.http.routers.web.middlewares: router web@docker is not published: middleware \
             m@docker is wrong itself: see there",
        ]
    );
}

#[test]
fn chains_that_lead_back_to_themselves_are_refused() {
    let drafts = [file(
        "http:\n  middlewares:\n    a:\n      chain:\n        middlewares: [b]\n    b:\n      chain:\n        \
         middlewares: [a]\n    c:\n      chain:\n        middlewares: [c]\n",
    )];
    let said = problems(&drafts);
    assert!(said.contains(&"routes.yml:3: middleware b@file is wrong itself: see there".to_owned()), "{said:?}");
    assert!(said.contains(&"routes.yml:6: middleware a@file leads back to itself".to_owned()), "{said:?}");
    assert!(said.contains(&"routes.yml:9: middleware c@file leads back to itself".to_owned()), "{said:?}");
    let balancers = [file(
        "http:\n  services:\n    a:\n      weighted:\n        services:\n          - name: a\n            weight: 1\n",
    )];
    assert_eq!(problems(&balancers), ["routes.yml:3: service a@file leads back to itself"]);
}

#[test]
fn the_hubs_own_paths_are_refused_and_what_overlaps_gets_the_rest() {
    let with = |rule: &str, hub_host: Option<&str>| {
        let draft = container("web", &[("traefik.http.routers.web.rule", rule)]);
        build(&[draft], &around(hub_host), &Table::default(), Timestamp(0)).problems().len()
    };
    for rule in [
        "PathPrefix(`/jupyterhub/hub`)",
        "PathPrefix(`/jupyterhub/user/alice`)",
        "Path(`/jupyterhub/`)",
        "Path(`/jupyterhub`)",
        "Host(`localhost`) && PathPrefix(`/jupyterhub/services/x`)",
        "PathPrefix(`/jupyterhub/hub`) || PathPrefix(`/jupyterhub/user`)",
    ] {
        assert_eq!(with(rule, None), 1, "{rule}");
    }
    for rule in
        ["PathPrefix(`/`)", "PathPrefix(`/jupyterhub/other`)", "Host(`other.example`) && PathPrefix(`/jupyterhub/hub`)"]
    {
        assert_eq!(with(rule, None), 0, "{rule}");
        assert_eq!(with(rule, Some("hub.example")), 0, "{rule}");
    }
    assert_eq!(with("Host(`hub.example`) && PathPrefix(`/jupyterhub/hub/api`)", Some("hub.example")), 1);
    let draft = container("web", &[("traefik.http.routers.web.rule", "PathPrefix(`/jupyterhub/hub`)")]);
    assert_eq!(
        problems(&[draft]),
        [
            "container web, label traefik.http.routers.web.rule: router web@docker: /jupyterhub/hub is the hub's own path, which \
          always goes to the hub; choose another path, or add Host(`…`) of another name"
        ]
    );
}

#[test]
fn a_sign_in_reaches_no_other_host_than_the_hubs() {
    let with = |rule: &str, access: &str| {
        let labels = [("traefik.http.routers.web.rule", rule), ("slipway.access", access)];
        let table = build(&[container("web", &labels)], &around(Some("hub.example")), &Table::default(), Timestamp(0));
        table.problems().iter().map(|problem| problem.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(with("Host(`hub.example`) && PathPrefix(`/x`)", "user"), Vec::<String>::new());
    assert_eq!(with("PathPrefix(`/x`)", "user"), Vec::<String>::new());
    assert_eq!(with("Host(`other.example`)", "public"), Vec::<String>::new());
    assert_eq!(
        with("Host(`other.example`)", "group:staff"),
        [
            "router web@docker: access = group:staff does not work for other.example: people are signed in on hub.example \
          alone; use a path of hub.example, or access = public"
        ]
    );
    assert_eq!(with("HostRegexp(`.*`)", "user").len(), 1);
}

#[test]
fn what_did_not_change_stays_the_same_value() {
    let web = |name, rule| {
        container(
            name,
            &[
                (if name == "web" { "traefik.http.routers.web.rule" } else { "traefik.http.routers.other.rule" }, rule),
                (if name == "web" { "traefik.http.routers.web.middlewares" } else { "x" }, "strip"),
                (if name == "web" { "traefik.http.middlewares.strip.stripprefix.prefixes" } else { "y" }, "/x"),
            ],
        )
    };
    let before = built(&[web("web", "Host(`a`)"), web("other", "Host(`b`)")]);
    let after = build(&[web("web", "Host(`a`)"), web("other", "Host(`c`)")], &around(None), &before, Timestamp(1));
    let of = |table: &Table, name: &str| {
        table.routers().iter().find(|router| &*router.name.name == name).cloned().expect("it is there")
    };
    assert!(Arc::ptr_eq(&of(&before, "web"), &of(&after, "web")), "the router");
    let (one, other) = (of(&before, "other"), of(&after, "other"));
    assert!(!Arc::ptr_eq(&one, &other));
    assert_eq!(one.balancer.as_ref().map(Arc::as_ptr), other.balancer.as_ref().map(Arc::as_ptr), "its balancer");
}

#[test]
fn a_container_that_starts_on_request_stands_behind_its_routers_and_alone() {
    let labels = [("traefik.http.routers.web.rule", "Host(`a`)"), ("slipway.start", "on-request")];
    let mut asleep = container("web", &labels);
    asleep.containers[0].address = None;
    let by_file = file("http:\n  routers:\n    also:\n      rule: Host(`b`)\n      service: web@docker\n");
    let table = built(&[asleep, by_file]);
    assert_eq!(table.problems(), []);
    assert_eq!(table.routers().iter().filter(|router| router.is_lazy()).count(), 2, "a file's router starts it, too");
    let shared = [labels[0], labels[1], ("traefik.http.services.s.loadbalancer.server.port", "80")];
    assert_eq!(
        problems(&[container("one", &shared), container("two", &shared)])[0],
        "container one, label traefik.http.routers.web.rule: router web@docker is not published: service s@docker is wrong \
         itself: see there"
    );
}

#[test]
fn a_container_without_a_port_is_told_what_to_write() {
    let mut draft = container("web", &[("traefik.http.routers.web.rule", "Host(`a`)")]);
    draft.containers[0].port = None;
    let expected =
        "container web: container web exposes no port; write traefik.http.services.web.loadbalancer.server.port";
    assert!(problems(&[draft]).contains(&expected.to_owned()));
}

#[test]
fn tls_alone_is_not_served_in_the_clear() {
    let with = |entry_points| {
        let labels = [
            ("traefik.http.routers.web.rule", "Host(`a`)"),
            ("traefik.http.routers.web.tls", "true"),
            ("traefik.http.routers.web.entrypoints", entry_points),
        ];
        built(&[container("web", &labels)])
    };
    assert_eq!(with("web,websecure").routers()[0].entry_points, [EntryPoint::WebSecure]);
    assert!(with("web").routers().is_empty());
}

#[test]
fn there_are_no_more_objects_than_may_be() {
    let rules: Vec<_> = (0..10).map(|n| format!("traefik.http.routers.r{n}.rule")).collect();
    let labels: Vec<_> = rules.iter().map(|name| (name.as_str(), "Host(`a`)")).collect();
    let one = container("web", &labels);
    let many: Vec<_> = (0..OBJECTS_LIMIT / 10 + 2)
        .map(|n| {
            let mut draft = one.clone();
            for (index, router) in draft.routers.iter_mut().enumerate() {
                router.name = ObjectName::new(&format!("r{n}x{index}"), Provider::Docker);
            }
            draft
        })
        .collect();
    let table = built(&many);
    assert_eq!(table.routers().len(), OBJECTS_LIMIT);
    assert!(table.problems().iter().any(|problem| problem.text.contains("one more than 10000")));
}
