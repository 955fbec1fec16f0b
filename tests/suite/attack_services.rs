//! Services: programs beside the hub, which may be as hostile as any server. What reaches them, what they can say to a
//! browser, whom they sign in; and that the ones we run live and die with us.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use slipway::auth::{Asker, NewToken};
use slipway::model::{GroupName, OwnerName, ServiceName, UserName};

use crate::client::{ANSWER_LIMIT, Answer, Client, Wire};
use crate::fake::FakeService;
use crate::world::{IDENTIFY, World, xsrf_of};

const TOKEN_OF_X: &str = "token-of-service-x-0001";
const TOKEN_OF_Y: &str = "token-of-service-y-0001";
const TOKEN_OF_AWAY: &str = "token-of-service-away-1";

/// `x` may be used by the group `team`, in which alice is; `y` by nobody but administrators; `away` lives elsewhere.
struct Site {
    world: World,
    x: FakeService,
    alice: Client,
}

impl Site {
    async fn new() -> Self {
        let (x, y) = (FakeService::start("x").await, FakeService::start("y").await);
        let services = format!(
            r#"[{{name="x", url="http://{}", api_token="{TOKEN_OF_X}", oauth_client_allowed_scopes=["read:users:activity!user", "admin:users"]}},
                {{name="y", url="http://{}", api_token="{TOKEN_OF_Y}"}},
                {{name="away", api_token="{TOKEN_OF_AWAY}", oauth_redirect_uri="https://away.example/back?a=1"}},
                {{name="quiet", url="http://127.0.0.1:1", api_token="token-of-service-quiet", oauth_no_confirm=true}}]"#,
            x.address, y.address
        )
        .replace('\n', " ");
        let scopes = ["x", "away", "quiet"].map(|name| format!("\"access:services!service={name}\"")).join(", ");
        let roles = format!(r#"[{{name="visitors", scopes=[{scopes}], groups=["team"]}}]"#);
        let world = World::with(&[("SLIPWAY_SERVICES", &services), ("SLIPWAY_ROLES", &roles)]).await;
        let alice = world.user("alice").await;
        let site = Self { world, x, alice };
        site.world.app.auth.add_to_group("test", &team(), &[user("alice")]).await.expect("a member");
        site
    }

    async fn token_of(&self, name: &str) -> String {
        let owner = OwnerName::from(user(name));
        let new = NewToken { scopes: None, note: "test".into(), expires_in: None, by: Asker::Operator };
        self.world.app.auth.create_token("test", &owner, new).await.expect("a token").0.expose().to_owned()
    }

    /// What a service posts to have its code exchanged.
    async fn exchange(&self, service: &str, secret: &str, redirect_uri: &str, code: &str) -> Answer {
        let client_id = format!("service-{service}");
        let fields = [
            ("client_id", client_id.as_str()),
            ("client_secret", secret),
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
        ];
        self.world.client().post_form("/hub/api/oauth2/token", &fields).await
    }

    /// Says yes on the page that asks.
    async fn consent(&self, path: &str) -> Answer {
        let page = self.alice.get(path).await.is(200).text();
        let mut fields = vec![("_xsrf", xsrf_of(&page))];
        let scopes = page.split("name=\"scopes\" value=\"").skip(1).filter_map(|rest| rest.split('"').next());
        fields.extend(scopes.map(|scope| ("scopes", scope.replace("&#x2f;", "/"))));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.alice.post_form(path, &fields).await.is(302)
    }
}

fn team() -> GroupName {
    GroupName::parse("team").expect("a name")
}

fn user(name: &str) -> UserName {
    UserName::parse(name).expect("a name")
}

fn authorize(service: &str, more: &str) -> String {
    format!(
        "/hub/api/oauth2/authorize?client_id=service-{service}&redirect_uri=%2Fservices%2F{service}%2Foauth_callback&response_type=code&state=s{more}"
    )
}

fn code_of(answer: &Answer) -> String {
    let location = answer.header("location");
    let code = location.split(['?', '&']).find_map(|pair| pair.strip_prefix("code="));
    code.unwrap_or_else(|| panic!("no code in {location}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_reaches_a_service_and_no_session_ever_does() {
    let site = Site::new().await;
    let session =
        site.alice.cookies.iter().find(|(name, _)| name.starts_with("__Host-Http-slipway")).expect("a session");
    for client in [site.world.client(), site.alice.scripting().with("sec-fetch-site", "cross-site")] {
        for (wire, status) in Wire::ALL.into_iter().zip([200, 200, 101, 200]) {
            let method = if wire == Wire::WebSocketOverHttp2 { Method::CONNECT } else { Method::GET };
            let client = client.clone().with("x-forwarded-for", "6.6.6.6").with("x-forwarded-user", "root");
            client.send(wire, method, "/services/x/page?q=1", Bytes::new()).await.is(status);
            let seen = site.x.last();
            assert_eq!(seen.target, "/services/x/page?q=1");
            assert!(!format!("{:?}", seen.headers).contains(&session.1), "{wire:?}: {:?}", seen.headers);
            assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
            assert_eq!(seen.headers["x-forwarded-proto"], "https");
            assert!(seen.headers.get("x-forwarded-user").is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_by_one_that_opens_this_service_and_nothing_else() {
    let site = Site::new().await;
    site.world.add_user("bob", false).await;
    let (alices, bobs) = (site.token_of("alice").await, site.token_of("bob").await);
    let sent = async |client: Client, path: &str| {
        client.get(path).await.is(200);
        let seen = site.x.last();
        let authorization = seen.headers.get("authorization").map(|value| value.to_str().expect("text").to_owned());
        (authorization, seen.target)
    };
    let with = |token: &str| site.world.client().with("authorization", &format!("Bearer {token}"));

    let (authorization, target) = sent(with(&alices), &format!("/services/x/?token={bobs}")).await;
    let visiting = authorization.expect("one for the visit").replace("token ", "");
    assert!(!target.contains(&bobs) && visiting != alices, "{target}");
    let rights = site.world.app.auth.token_of(&visiting).expect("it is known").rights();
    let service = [
        "access:services!service=x".to_owned(),
        "read:users:groups!user=alice".to_owned(),
        "read:users:name!user=alice".to_owned(),
    ];
    assert_eq!(rights.scopes(), service);

    // Bob may not enter: his goes no further, in the address neither.
    assert_eq!(sent(with(&bobs), &format!("/services/x/?a=1&token={bobs}")).await, (None, "/services/x/?a=1".into()));
    // Its own, and what we do not know, are its own matter.
    assert_eq!(sent(with(TOKEN_OF_X), "/services/x/").await.0.expect("it passes"), format!("Bearer {TOKEN_OF_X}"));
    assert_eq!(sent(with("unknown"), "/services/x/").await.0.expect("it passes"), "Bearer unknown");
    assert_eq!(sent(with(TOKEN_OF_Y), "/services/x/").await.0, None, "another service's token");
    // Another site's page sends alice's browser with a token of bob's: nothing of alice's takes its place.
    let browser = site.alice.clone().with("sec-fetch-site", "cross-site");
    let (authorization, target) = sent(browser, &format!("/services/x/do?token=zzz&token={bobs}")).await;
    assert_eq!((authorization, target.as_str()), (None, "/services/x/do?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_says_nothing_for_the_whole_origin() {
    let site = Site::new().await;
    let answer = site.alice.get("/services/x/hostile").await.is(200);
    let cookies: Vec<_> =
        answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().expect("text").to_owned()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert!(cookies.iter().all(|cookie| cookie.contains("Path=/services/x/")), "{cookies:?}");
    for name in ["service-worker-allowed", "clear-site-data", "alt-svc", "cross-origin-opener-policy"] {
        assert!(answer.headers.get(name).is_none(), "{name} came through");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trick_in_a_path_leads_from_a_service_to_the_hub_or_back() {
    let site = Site::new().await;
    for (path, status) in [
        ("/services/x/../../hub/home", 400),
        ("/services/x/%2e%2e/%2E%2E/hub/home", 400),
        ("/services/x%2F..%2Fhub", 400),
        ("/services/x%2f/", 400),
        ("/services%2Fx/", 400),
        ("/services//x/", 400),
        ("//services/x/", 400),
        ("/services/x\\..\\hub", 400),
        ("/services/x", 301),
        ("/services/X/", 302),
        ("/services/x;a/", 302),
        ("/services/nobody/a?b=1", 302),
        ("/services/away/", 302),
    ] {
        let answer = site.world.client().navigating().get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {:?}", answer.headers);
        match status {
            301 => assert_eq!(answer.header("location"), format!("{path}/")),
            302 => assert_eq!(answer.header("location"), format!("/hub{path}")),
            _ => {}
        }
    }
    site.alice.get("/hub/services/nobody/a").await.is(404);
    for path in ["/services/x/hub/api/users", "/services/x/a//b", "/services/x/a%2Fb", "/services/%78/user/alice/"] {
        site.alice.get(path).await.is(200);
        assert_eq!(site.x.last().target, path, "forwarded byte for byte");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_there_is_said_to_be_so() {
    let site = Site::new().await;
    let page = site.alice.get("/services/quiet/").await.is(503);
    assert!(
        page.header("content-type").starts_with("text/html") && page.text().contains("This service does not answer")
    );
    let json = site.alice.scripting().get("/services/quiet/").await.is(503);
    assert_eq!(json.json()["status"], 503);
    assert!(!json.header("retry-after").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_is_asked_once_and_the_service_learns_no_more_than_they_hold() {
    let site = Site::new().await;
    let page = site.alice.get(&authorize("x", "")).await.is(200).text();
    assert!(page.contains("Sign in to x?") && page.contains("See when people were active (only yours)"), "{page}");
    assert!(!page.contains("accounts") && !page.contains("admin:users"), "alice does not hold it: {page}");
    site.alice.post_form(&authorize("x", ""), &[("scopes", "access:services!service=x")]).await.is(403);

    let answer = site.consent(&authorize("x", "")).await;
    let code = code_of(&answer);
    assert_eq!(answer.header("location"), format!("/services/x/oauth_callback?code={code}&state=s"));
    // A code of one client is nothing in the hands of another, and is not used up by the try.
    let callback = "/services/x/oauth_callback";
    site.exchange("y", TOKEN_OF_Y, callback, &code).await.is(400);
    site.exchange("x", TOKEN_OF_Y, callback, &code).await.is(401);
    site.exchange("x", "", callback, &code).await.is(401);
    let token = site.exchange("x", TOKEN_OF_X, callback, &code).await.is(200).json();
    assert_eq!(token["scope"], format!("access:services!service=x read:users:activity!user {IDENTIFY}"));
    site.exchange("x", TOKEN_OF_X, callback, &code).await.is(400);
    let token = token["access_token"].as_str().expect("a token").to_owned();
    let scopes = || site.world.app.auth.token_of(&token).map(|token| token.rights().scopes().to_vec());
    let held = scopes().expect("it lives");
    assert!(held.contains(&"access:services!service=x".to_owned()), "{held:?}");
    assert!(held.contains(&"read:users:activity!user=alice".to_owned()), "{held:?}");
    // Asked once.
    code_of(&site.alice.get(&authorize("x", "")).await.is(302));

    // What is taken from her is taken from the token at once, and the way in is closed.
    site.world.app.auth.remove_from_group("test", &team(), &[user("alice")]).await.expect("not a member");
    assert!(!scopes().expect("it lives").iter().any(|scope| scope.starts_with("access:services")));
    let refused = site.alice.get(&authorize("x", "")).await.is(403);
    assert!(refused.header("location").is_empty() && refused.text().contains("permission"));
    // Signed out, it is nobody's.
    site.alice.get("/hub/logout").await.is(302);
    assert!(scopes().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_post_checks_all_that_the_page_has_checked() {
    let site = Site::new().await;
    let page = site.alice.get(&authorize("x", "")).await.is(200).text();
    let xsrf = xsrf_of(&page);
    let post = async |path: String, scopes: &[&str]| {
        let mut fields = vec![("_xsrf", xsrf.as_str())];
        fields.extend(scopes.iter().map(|scope| ("scopes", *scope)));
        site.alice.post_form(&path, &fields).await
    };
    // More than was asked or is held.
    let wide = ["access:services!service=x", "access:services!service=y", "admin:users", "inherit", "self"];
    let code = code_of(&post(authorize("x", ""), &wide).await.is(302));
    let token = site.exchange("x", TOKEN_OF_X, "/services/x/oauth_callback", &code).await.is(200).json();
    assert_eq!(token["scope"], format!("access:services!service=x {IDENTIFY}"));
    assert_eq!(post(authorize("y", ""), &wide).await.status, 403);
    assert_eq!(post(authorize("nobody", ""), &wide).await.status, 400);
    let moved = authorize("x", "").replace("%2Fservices%2Fx%2Foauth", "https%3A%2F%2Fevil.example%2Foauth");
    assert!(post(moved, &wide).await.is(400).header("location").is_empty());
    let greedy = post(authorize("x", "&scope=inherit"), &wide).await.is(302);
    assert_eq!(greedy.header("location"), "/services/x/oauth_callback?error=invalid_scope&state=s");
    site.world.app.auth.remove_from_group("test", &team(), &[user("alice")]).await.expect("not a member");
    assert_eq!(post(authorize("x", ""), &wide).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_registered_address_is_ever_returned_to() {
    let site = Site::new().await;
    let path = |uri: &str| {
        let uri: String = form_urlencoded::byte_serialize(uri.as_bytes()).collect();
        format!("/hub/api/oauth2/authorize?client_id=service-away&redirect_uri={uri}&response_type=code&state=s")
    };
    for uri in [
        "",
        "https://away.example/back",
        "https://away.example/back?a=1&b=2",
        "https://away.example/back?a=1#",
        "https://away.example.evil.example/back?a=1",
        "http://away.example/back?a=1",
        "/services/away/oauth_callback",
        "/services/x/oauth_callback",
        "javascript:alert(1)",
    ] {
        assert!(site.alice.get(&path(uri)).await.is(400).header("location").is_empty(), "{uri}");
    }
    let path = path("https://away.example/back?a=1");
    let page = site.alice.get(&path).await.is(200);
    assert!(page.text().contains("https:&#x2f;&#x2f;away.example") || page.text().contains("https://away.example"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://away.example;"), "{policy}");
    let answer = site.consent(&path).await;
    let code = code_of(&answer);
    assert_eq!(answer.header("location"), format!("https://away.example/back?a=1&code={code}&state=s"));
    site.exchange("away", TOKEN_OF_AWAY, "https://away.example/back?a=1", &code).await.is(200);
    // One that people need not be asked about; and one that alice may not use, whatever it asks.
    code_of(&site.alice.get(&authorize("quiet", "")).await.is(302));
    site.alice.get(&authorize("y", "&scope=nonsense")).await.is(302);
    site.alice.get(&authorize("y", "")).await.is(403);
}

/// A program as people write them: listens where it is told, knows its token, and says which process it is.
const PROGRAM: &str = r#"
import http.server, json, os, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        facts = {"pid": os.getpid(), "path": self.path, "environment": dict(os.environ)}
        body = json.dumps(facts).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments): pass
url = urllib.parse.urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer((url.hostname, url.port), Handler).serve_forever()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_ours_lives_dies_and_comes_back_and_ends_with_us() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port").port();
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(script.path(), PROGRAM).expect("written");
    let services = format!(
        r#"[{{name="m", url="http://127.0.0.1:{port}", command=["python3", "{}"], environment={{COLOUR="blue"}}}}]"#,
        script.path().display()
    );
    let world = World::with(&[("SLIPWAY_SERVICES", &services)]).await;
    let client = world.client();
    // Asked until it answers as `wanted`; the hub itself never waited for it.
    let answers = async |wanted: &dyn Fn(u64) -> bool| {
        let begun = Instant::now();
        loop {
            let answer = client.get("/services/m/facts").await;
            let facts = (answer.status == 200).then(|| answer.json());
            if let Some(facts) = facts.filter(|facts| wanted(facts["pid"].as_u64().expect("a pid"))) {
                return facts;
            }
            assert!(begun.elapsed() < ANSWER_LIMIT, "it never answered: {}", answer.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let facts = answers(&|_| true).await;
    let first = facts["pid"].as_u64().expect("a pid");
    let environment = &facts["environment"];
    assert_eq!((&environment["JUPYTERHUB_SERVICE_NAME"], &environment["COLOUR"]), (&"m".into(), &"blue".into()));
    assert_eq!(environment["JUPYTERHUB_API_URL"], format!("http://{}/hub/api", world.app.private));
    let token = environment["JUPYTERHUB_API_TOKEN"].as_str().expect("a token").to_owned();
    let owner =
        |token: &str| world.app.auth.token_of(token).and_then(|token| Some(token.owner.service()?.name.clone()));
    let name = ServiceName::parse("m").expect("a name");
    assert_eq!(owner(&token), Some(name.clone()));
    let names: Vec<_> = environment.as_object().expect("variables").keys().cloned().collect();
    let usual = |name: &String| {
        name.starts_with("JUPYTERHUB_")
            || ["PATH", "LANG", "HOME", "USER", "COLOUR", "LC_CTYPE"].contains(&name.as_str())
    };
    assert!(names.iter().all(usual), "something of ours leaked: {names:?}");
    assert_eq!(world.app.services.pid(&name).map(u64::from), Some(first));

    let pid = rustix::process::Pid::from_raw(i32::try_from(first).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it ran");
    let second = answers(&|pid| pid != first).await["pid"].as_u64().expect("a pid");
    assert_eq!(owner(&token), None, "the token of a dead program");
    world.app.stop().await;
    assert!(!std::path::Path::new(&format!("/proc/{second}")).exists(), "it outlived us");
}
