//! Labels of containers: what is read, and what is said of mistakes in them.

use std::time::Duration;

use super::*;
use crate::model::ClientCertificateRule;

fn container(labels: &[(&str, &str)]) -> Container {
    Container {
        id: "0123456789ab".into(),
        name: "web-1".into(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        address: Some("172.18.0.5".parse().expect("an address")),
        port: Some(8080),
    }
}

fn problems(labels: &[(&str, &str)]) -> Vec<String> {
    read(&container(labels), None).problems.iter().map(ToString::to_string).collect()
}

#[test]
fn labels_of_a_compose_file_are_read_as_traefik_reads_them() {
    let draft = read(
        &container(&[
            ("traefik.enable", "true"),
            ("traefik.http.routers.Web.rule", "Host(`a.example`)"),
            ("traefik.http.routers.Web.entryPoints", "websecure, web"),
            ("traefik.http.routers.Web.middlewares", "auth@file,strip"),
            ("traefik.http.routers.Web.tls", "true"),
            ("traefik.http.routers.Web.Priority", "7"),
            ("traefik.http.middlewares.strip.stripprefix.prefixes", "/a"),
            ("traefik.http.services.web.loadbalancer.server.port", "9000"),
            ("com.example.other", "x"),
        ]),
        None,
    );
    assert_eq!(draft.problems, Vec::new());
    let [router] = draft.routers.as_slice() else { panic!("one router: {draft:?}") };
    assert_eq!(router.name.to_string(), "Web@docker");
    assert_eq!(router.rule.as_ref().map(|(text, _)| text.as_str()), Some("Host(`a.example`)"));
    assert_eq!(router.entry_points, Some(vec![crate::routers::EntryPoint::Web, crate::routers::EntryPoint::WebSecure]));
    assert_eq!(router.service.as_ref().map(|(text, _)| text.as_str()), Some("web"), "the container's only one");
    assert_eq!(router.priority, Some(7));
    assert!(router.is_tls);
    assert_eq!(draft.middlewares.len(), 1);
    assert_eq!(draft.containers[0].balancers[0].to_string(), "web@docker");
    assert_eq!(draft.containers[0].lazy, None);
}

#[test]
fn a_container_that_describes_no_service_is_one_itself() {
    let draft = read(
        &container(&[
            ("traefik.http.routers.a.rule", "Host(`a`)"),
            ("com.docker.compose.service", "web"),
            ("com.docker.compose.project", "my_stack"),
        ]),
        None,
    );
    assert_eq!(draft.balancers[0].name.to_string(), "web-my-stack@docker");
    assert_eq!(draft.routers[0].service.as_ref().map(|(text, _)| text.as_str()), Some("web-my-stack"));
}

#[test]
fn what_only_we_have_is_said_by_labels_of_our_own() {
    let draft = read(
        &container(&[
            ("traefik.http.routers.a.rule", "Host(`a`)"),
            ("slipway.access", "group:staff"),
            ("slipway.start", "on-request"),
            ("slipway.idle-after", "15m"),
            ("slipway.client-certificate", "required"),
        ]),
        None,
    );
    assert_eq!(draft.problems, Vec::new());
    assert_eq!(draft.routers[0].access.to_string(), "group:staff");
    assert_eq!(draft.routers[0].client_certificate, ClientCertificateRule::Required);
    let lazy = draft.containers[0].lazy.as_ref().expect("it starts on request");
    assert_eq!(lazy.idle_after, IdleAfter::Time(Duration::from_secs(900)));
}

#[test]
fn a_wrong_label_of_ours_takes_the_whole_container_out() {
    for (name, value, expected) in [
        (
            "slipway.acces",
            "admin",
            "container web-1, label slipway.acces: unknown field acces of slipway; did you mean access?",
        ),
        (
            "slipway.access",
            "admins",
            "container web-1, label slipway.access: access = admins: must be public, user, admin or group:NAME; did \
             you mean admin?",
        ),
        (
            "slipway.client-certificate",
            "yes",
            "container web-1, label slipway.client-certificate: client-certificate = yes: must be required or none",
        ),
        (
            "slipway.start",
            "sometimes",
            "container web-1, label slipway.start: start = sometimes: must be on-request or always",
        ),
        (
            "slipway.idle-after",
            "soon",
            "container web-1, label slipway.idle-after: idle-after = soon: must be a time such as 15m or 2h (a plain \
             number is seconds), or never",
        ),
    ] {
        let draft = read(&container(&[("traefik.http.routers.a.rule", "Host(`a`)"), (name, value)]), None);
        assert_eq!(draft.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        assert!(draft.routers.is_empty(), "nothing of it is published");
    }
}

#[test]
fn a_router_that_is_wrong_leaves_the_others_standing() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "traefik.http.routers.b.entrypoints",
            "websecur",
            "there is no entry point websecur; did you mean websecure? (web is listener.http, websecure is \
             listener.https)",
        ),
        ("traefik.http.routers.b.rul", "Host(`b`)", "unknown field rul of b; did you mean rule?"),
        ("traefik.http.routers.b.rule.x", "Host(`b`)", "rule has fields below it, and one value is expected"),
        ("traefik.http.routers.b.priority", "high", "priority = high: must be a whole number"),
        (
            "traefik.http.routers.b.tls.options",
            "mtls@file",
            "tls.options = mtls@file: TLS options are set for the whole listener (listener.tls.*); leave it out, and \
             for a client's certificate write slipway.client-certificate = required",
        ),
        ("traefik.http.routers.b.ruleSyntax", "v1", "ruleSyntax = v1: must be v3 or v2"),
        (
            "traefik.http.routers.b.tls",
            "true",
            "router b has no rule; write traefik.http.routers.….rule, for instance Host(`example.com`)",
        ),
        ("traefik.http.routers", "x", ""),
        (
            "traefik.tcp.routers.x.rule",
            "HostSNI(`*`)",
            "TCP routers are not supported, only HTTP; the container's other routers stand",
        ),
    ];
    for (name, value, expected) in cases {
        let draft = read(&container(&[("traefik.http.routers.a.rule", "Host(`a`)"), (name, value)]), None);
        if expected.is_empty() {
            assert!(draft.routers.is_empty() && draft.problems.len() == 1, "{draft:?}");
            continue;
        }
        assert_eq!(
            draft.problems.iter().map(|problem| problem.text.as_str()).collect::<Vec<_>>(),
            [*expected],
            "{name}"
        );
        assert_eq!(draft.routers.len(), 1, "{name}: the other router stands");
    }
}

#[test]
fn what_is_no_label_of_traefik_is_said() {
    assert_eq!(
        problems(&[("traefik.htp.routers.a.rule", "Host(`a`)")]),
        ["container web-1, label traefik.htp.routers.a.rule: unknown field htp of traefik; did you mean http?"]
    );
    assert_eq!(
        problems(&[("traefik.frontend.rule", "Host:a")]),
        ["container web-1, label traefik.frontend.rule: traefik.frontend is of Traefik v1; write \
          traefik.http.routers.NAME.rule"]
    );
    assert_eq!(
        problems(&[("traefik.http..rule", "x")]),
        ["container web-1, label traefik.http..rule: has an empty part: two dots, or one at an end"]
    );
    assert_eq!(
        problems(&[("traefik.http.routers.a.rule", "Host(`a`)"), ("Traefik.http.routers.A.rule", "Host(`b`)")]).len(),
        1,
        "said twice"
    );
}

#[test]
fn several_services_want_to_be_named() {
    assert_eq!(
        problems(&[
            ("traefik.http.routers.a.rule", "Host(`a`)"),
            ("traefik.http.services.x.loadbalancer.server.port", "1"),
            ("traefik.http.services.y.loadbalancer.server.port", "2"),
        ]),
        [
            "container web-1, label traefik.http.routers.a.rule: router a names no service, and the container has x, y: write \
          traefik.http.routers.a.service"
        ]
    );
}

#[test]
fn a_list_of_sections_is_said_by_numbers() {
    let draft = read(
        &container(&[
            ("traefik.http.routers.a.rule", "Host(`a`)"),
            ("traefik.http.services.x.loadbalancer.servers[1].url", "http://two"),
            ("traefik.http.services.x.loadbalancer.servers[0].url", "http://one"),
        ]),
        None,
    );
    let fields = draft.balancers[0].node.clone().into_fields().expect("a section");
    let mut fields = { fields }.take_section("loadBalancer").expect("a section").expect("it is there");
    let urls: Vec<_> = fields
        .take_sections("servers")
        .expect("a list")
        .into_iter()
        .map(|mut server| server.take_text("url").expect("a text").expect("it is there"))
        .collect();
    assert_eq!(urls, ["http://one", "http://two"]);
    assert_eq!(problems(&[("traefik.http.services.x.loadbalancer.servers[x].url", "http://one")]).len(), 1);
    assert_eq!(problems(&[("traefik.http.services.x.loadbalancer.servers[99999].url", "http://one")]).len(), 1);
}

#[test]
fn hostile_labels_are_bounded() {
    let deep = format!("traefik.{}", vec!["a"; 100].join("."));
    assert_eq!(problems(&[(&deep, "x")]).len(), 1);
    let long = "x".repeat(VALUE_LIMIT_BYTES + 1);
    assert_eq!(
        problems(&[("traefik.http.routers.a.rule", &long)]),
        ["container web-1, label traefik.http.routers.a.rule: is 16385 bytes long, and 16384 are read"]
    );
    let many: Vec<_> = (0..=LABELS_LIMIT).map(|n| format!("traefik.http.routers.a{n}.rule")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "Host(`a`)")).collect();
    assert_eq!(problems(&many), ["container web-1: has 501 labels, and 500 are read"]);
}

#[test]
fn a_default_rule_is_used_only_where_it_is_set() {
    let rule = DefaultRule::read("Host(`{{ normalize .Name }}.example`)").expect("a template");
    let labels = [("traefik.enable", "true")];
    assert!(read(&container(&labels), None).routers.is_empty());
    let draft = read(&container(&labels), Some(&rule));
    assert_eq!(draft.routers[0].rule.as_ref().map(|(text, _)| text.as_str()), Some("Host(`web-1.example`)"));

    let rule = DefaultRule::read("Host(`{{ index .Labels \"host\" }}`)").expect("a template");
    let hostile = [("traefik.enable", "true"), ("host", "a`) || PathPrefix(`/")];
    let draft = read(&container(&hostile), Some(&rule));
    assert_eq!(draft.routers[0].rule.as_ref().map(|(text, _)| text.as_str()), Some("Host(`a) || PathPrefix(/`)"));

    let error = DefaultRule::read("Host(`{{ trim .Name }}`)").expect_err("not supported");
    assert_eq!(
        error.to_string(),
        "{{ trim .Name }} is not supported; there are {{ normalize .Name }}, {{ .Name }}, {{ .ContainerName }} and {{ \
         index .Labels \"name\" }}"
    );
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_labels_are_read_or_refused(labels in prop::collection::btree_map(
            "(traefik|slipway|TRAEFIK)(\\.(http|routers|a|rule|servers\\[[0-9x]\\]|tls|\\PC{0,5})){0,6}", "\\PC{0,12}", 0..8)) {
            let container = Container { labels, ..container(&[]) };
            let draft = read(&container, None);
            prop_assert!(draft.problems.iter().all(|problem| !problem.text.is_empty()));
        }
    }
}
