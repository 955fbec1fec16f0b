//! The file of routes: what is read, and what is said of mistakes in it.

use super::*;
use crate::routers::EntryPoint;

const YAML: &str = r#"# made for Traefik
http:
  routers:
    app:
      rule: "Host(`app.example`) && PathPrefix(`/api`)"
      entryPoints:
        - websecure
      middlewares: [auth, strip]
      service: app
      tls: {}
      access: group:staff
  middlewares:
    auth: &auth
      basicAuth:
        users:
          - "alice:$apr1$x"
    again: *auth
    strip:
      stripPrefix:
        prefixes: /api
  services:
    app:
      loadBalancer:
        servers:
          - url: http://10.0.0.1:80
          - url: http://10.0.0.2:80
"#;

fn yaml(text: &str) -> Result<Draft, Problem> {
    read(Path::new("config/routes.yml"), text)
}

fn problems(text: &str) -> Vec<String> {
    match yaml(text) {
        Ok(draft) => draft.problems.iter().map(ToString::to_string).collect(),
        Err(problem) => vec![problem.to_string()],
    }
}

#[test]
fn traefiks_dynamic_configuration_is_read_with_its_lines() {
    let draft = yaml(YAML).expect("YAML");
    assert_eq!(draft.problems, Vec::new());
    let [router] = draft.routers.as_slice() else { panic!("one router: {draft:?}") };
    assert_eq!(router.name.to_string(), "app@file");
    assert_eq!(router.place.to_string(), "config/routes.yml:4");
    assert_eq!(router.rule.as_ref().expect("a rule").1.to_string(), "config/routes.yml:5");
    assert_eq!(router.entry_points, Some(vec![EntryPoint::WebSecure]));
    assert_eq!(router.access.to_string(), "group:staff");
    assert!(router.is_tls);
    assert_eq!(draft.middlewares.len(), 3);
    assert_eq!(draft.middlewares[0].node.name, "again");
    assert_eq!(draft.balancers[0].node.place.to_string(), "config/routes.yml:22");
}

#[test]
fn toml_says_the_same() {
    let text = "[http.routers.app]\nrule = \"Host(`app.example`)\"\nservice = \"app\"\npriority = 10\n\n\
                [[http.services.app.loadBalancer.servers]]\nurl = \"http://10.0.0.1\"\n";
    let draft = read(Path::new("config/routes.toml"), text).expect("TOML");
    assert_eq!(draft.problems, Vec::new());
    assert_eq!(draft.routers[0].priority, Some(10));
    assert_eq!(draft.routers[0].rule.as_ref().expect("a rule").1.to_string(), "config/routes.toml:2");
    assert_eq!(draft.balancers.len(), 1);
    let broken = read(Path::new("config/routes.toml"), "[http]\nrouters = {\nx").expect_err("no TOML");
    assert!(broken.to_string().starts_with("config/routes.toml:3: is no TOML: "), "{broken}");
}

#[test]
fn a_bad_edit_is_told_with_its_line_and_the_cure() {
    let cases: &[(&str, &str)] = &[
        (
            "http:\n  routers:\n    a:\n      rul: x\n",
            "config/routes.yml:4: unknown field rul of a; did you mean rule?",
        ),
        ("http:\n  router:\n    a: {}\n", "config/routes.yml:2: unknown field router of http; did you mean routers?"),
        ("htp:\n  routers: {}\n", "config/routes.yml:1: unknown field htp; did you mean http?"),
        ("http:\n  routers:\n    a:\n      rule: x\n    a:\n      rule: y\n", "config/routes.yml:5: a is said twice"),
        ("tcp:\n  routers: {}\n", "config/routes.yml:1: tcp: TCP routers are not supported, only http"),
        (
            "http: {}\nentryPoints:\n  web: {}\n",
            "config/routes.yml:2: entryPoints is of Traefik's static configuration; with Slipway it is set by listener.*",
        ),
        (
            "tls:\n  options:\n    default:\n      clientAuth: {clientAuthType: RequireAndVerifyClientCert}\nhttp: {}\n",
            "config/routes.yml:4: tls.options.default.clientAuth: write clientCertificate: required at each router that it is \
             for, and name the authority in listener.tls.client_ca",
        ),
        ("http: {}\n---\nhttp: {}\n", "config/routes.yml:3: a second document begins here; one file holds one"),
        ("http:\n  routers:\n    a: [1]\n", "config/routes.yml:3: a is a list, and fields below it are expected"),
        ("http:\n  routers: &r\n    a: *r\n", "config/routes.yml:3: an alias stands within what it stands for"),
        (
            "http:\n  routers:\n    a:\n      rule: x\n      access: staff\n",
            "config/routes.yml:5: access = staff: must be public, user, admin or group:NAME",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), [*expected], "{text}");
    }
    let broken = problems("http:\n  routers:\n   a: {\n  b: [\n");
    assert!(broken[0].starts_with("config/routes.yml:") && broken[0].contains("is no YAML"), "{broken:?}");
    let template = problems("http:\n  routers:\n{{ range . }}\n    a: 1\n");
    assert!(template[0].contains("Go templates ({{ … }}) are not supported"), "{template:?}");
}

/// Its routers would stand open without the certificates that Traefik asks for.
#[test]
fn a_file_that_asks_clients_for_certificates_in_traefiks_way_is_not_served_at_all() {
    let routers = "http:\n  routers:\n    a: {rule: x, service: s}\n";
    let asks = yaml(&format!("tls: {{options: {{default: {{clientAuth: {{caFiles: [ca.pem]}}}}}}}}\n{routers}"))
        .expect("YAML");
    assert_eq!((asks.routers.len(), asks.problems.len()), (0, 1));
    let tls = "tls: {options: {old: {minVersion: VersionTLS10}}, certificates: [{certFile: a, keyFile: b}]}\n";
    let moves = yaml(&format!("{tls}{routers}")).expect("YAML");
    assert_eq!((moves.routers.len(), moves.problems.len()), (1, 0));
    let notes: Vec<_> = moves.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(
        notes,
        [
            "tls.options.old: set for the whole listener, by listener.tls.*",
            "tls.certificates: certificates belong into certs_dir, or come from acme.*"
        ]
    );
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "# only a comment\n", "http:\n", "---\n"] {
        assert_eq!(yaml(text).map(|draft| draft.problems), Ok(Vec::new()), "{text:?}");
    }
}

#[test]
fn a_merge_key_lends_what_is_not_said() {
    let draft = yaml(
        "http:\n  routers:\n    a: &a\n      rule: x\n      priority: 1\n      service: s\n    b:\n      <<: *a\n      \
         priority: 2\n",
    );
    let draft = draft.expect("YAML");
    assert_eq!(draft.problems, Vec::new());
    assert_eq!((draft.routers[1].priority, draft.routers[1].rule.is_some()), (Some(2), true));
}

#[test]
fn a_bomb_of_aliases_is_refused_before_it_grows() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..15 {
        let before = level - 1;
        let aliases = vec![format!("*a{before}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let problem = problems(&text);
    assert!(problem[0].ends_with("here it has grown beyond 200000 values; use fewer aliases"), "{problem:?}");
    let deep = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(problems(&deep).len(), 1);
    let long = " ".repeat(SIZE_LIMIT_BYTES + 1);
    assert_eq!(problems(&long), ["config/routes.yml: is 2097153 bytes long, and 2097152 are read"]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_on_one_line(text in "[a-z:\\- \n\\[\\]{}&*<|>'\"#]{0,120}") {
            for name in ["x.yml", "x.toml"] {
                if let Err(problem) = read(Path::new(name), &format!("http:\n{text}")) {
                    prop_assert!(!problem.to_string().contains('\n'), "{problem}");
                }
            }
        }
    }
}
