//! Tests of commands over a real socket.

use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::auth::Auth;
use crate::model::UserName;
use crate::tasks::Tasks;

struct World {
    dir: tempfile::TempDir,
    config: Config,
    auth: Auth,
    tasks: Tasks,
    stopped: Arc<AtomicUsize>,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = Config { request_timeout_s: 1, answer_timeout_s: 10, ..Config::new(dir.path().to_owned()) };
        let auth = crate::auth::tests::open(dir.path()).await;
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let stopped = Arc::new(AtomicUsize::new(0));
        let listener = Listener::bind(config.clone()).expect("nobody listens yet");
        let reload: super::Reload = Arc::new(|| {
            let mistakes = vec!["s.toml:1: x: there is no such key".to_owned()];
            Box::pin(std::future::ready(Answer::Mistakes { mistakes }))
        });
        tasks.spawn(serve(listener, auth.clone(), counting(&stopped), reload, tasks.clone()));
        Self { dir, config, auth, tasks, stopped }
    }

    async fn ask(&self, request: Request) -> Result<Answer, AskError> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || ask(&config, &request)).await.expect("no panic")
    }

    async fn answer(&self, request: Request) -> Answer {
        self.ask(request).await.expect("an answer")
    }
}

/// Stops nothing and counts how often it is asked.
fn counting(stopped: &Arc<AtomicUsize>) -> StopServers {
    let stopped = Arc::clone(stopped);
    Arc::new(move |_: UserName, _| {
        stopped.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    })
}

fn password(text: &str) -> WireSecret {
    WireSecret(Secret::new(text))
}

fn done(name: &str) -> Answer {
    Answer::Done { name: name.to_owned() }
}

#[tokio::test]
async fn a_user_is_added_listed_let_out_and_deleted_by_commands() {
    let world = World::new().await;
    for (name, admin) in [("Root", true), ("alice", false)] {
        let request =
            Request::UserAdd { name: name.into(), password: Some(password("correct horse")), admin, generate: false };
        assert_eq!(world.answer(request).await, done(&name.to_lowercase()));
    }
    let Answer::Users { users } = world.answer(Request::UserList).await else { panic!("a list") };
    let seen: Vec<_> = users.iter().map(|user| (user.name.as_str(), user.admin, user.authorised)).collect();
    assert_eq!(seen, [("alice", false, true), ("root", true, true)]);

    let address = std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
    let (_, session) =
        world.auth.sign_in("alice", &Secret::new("correct horse"), address).await.expect("the password is right");
    let request =
        Request::UserPassword { name: "alice".into(), password: Some(password("battery staple")), must_change: false };
    assert_eq!(world.answer(request).await, done("alice"));
    assert!(session.ended.is_cancelled());
    let request = Request::UserAuthorize { name: "alice".into(), authorised: false };
    assert_eq!(world.answer(request).await, done("alice"));
    assert_eq!(world.stopped.load(Ordering::Relaxed), 1, "who may not sign in runs no server");
    assert_eq!(world.answer(Request::UserDelete { name: "alice".into() }).await, done("alice"));
    assert_eq!(world.stopped.load(Ordering::Relaxed), 2);
    assert!(world.auth.user(&UserName::parse("alice").expect("a name")).is_none());
}

#[tokio::test]
async fn a_refusal_is_a_sentence() {
    let world = World::new().await;
    let refused = |message: &str| Answer::Refused { message: message.to_owned() };
    let add = |name: &str, text: &str| Request::UserAdd {
        name: name.into(),
        password: Some(password(text)),
        admin: false,
        generate: false,
    };
    assert_eq!(world.answer(add("alice", "short")).await, refused("the password is too short: 8 characters or more"));
    assert_eq!(world.answer(Request::UserDelete { name: "alice".into() }).await, refused("no user alice"));
    let Answer::Refused { message } = world.answer(add("a/b", "correct horse")).await else { panic!("no name") };
    assert!(message.contains("'/'"), "{message}");
}

#[tokio::test]
async fn health_tells_the_version_and_who_answers() {
    let world = World::new().await;
    let expected = Answer::Healthy { version: env!("CARGO_PKG_VERSION").into(), pid: std::process::id() };
    assert_eq!(world.answer(Request::Health).await, expected);
    assert!(world.tasks.stop(std::time::Duration::from_secs(5)).await);
    assert!(matches!(world.ask(Request::Health).await, Err(AskError::NotRunning { .. })));
    assert!(!socket_path(world.dir.path()).exists(), "it goes with the instance");
}

#[tokio::test]
async fn nobody_running_and_nobody_answering_are_told_apart() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = Config { request_timeout_s: 0, answer_timeout_s: 1, ..Config::new(dir.path().to_owned()) };
    let ask_now = |config: Config| tokio::task::spawn_blocking(move || ask(&config, &Request::Health));
    let result = ask_now(config.clone()).await.expect("no panic");
    assert!(matches!(result, Err(AskError::NotRunning { .. })), "no socket");
    let silent = std::os::unix::net::UnixListener::bind(socket_path(dir.path())).expect("it can be bound");
    let result = ask_now(config.clone()).await.expect("no panic");
    assert!(matches!(result, Err(AskError::NoAnswer { .. })), "{result:?}");
    drop(silent);
    let result = ask_now(config).await.expect("no panic");
    assert!(matches!(result, Err(AskError::NotRunning { .. })), "a dead one's socket");
}

#[tokio::test]
async fn a_dead_ones_socket_is_replaced_and_a_living_ones_is_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let socket = socket_path(world.dir.path());
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = Listener::bind(world.config.clone());
    assert!(matches!(second, Err(ListenError::AlreadyRunning { .. })));
    assert!(matches!(world.answer(Request::Health).await, Answer::Healthy { .. }));

    let dir = tempfile::tempdir().expect("a temporary folder");
    drop(std::os::unix::net::UnixListener::bind(socket_path(dir.path())).expect("it can be bound"));
    assert!(socket_path(dir.path()).exists());
    Listener::bind(Config::new(dir.path().to_owned())).expect("nobody listens");
}

#[tokio::test]
async fn nonsense_and_silence_on_the_socket_hold_nobody_up() {
    let world = World::new().await;
    let socket = socket_path(world.dir.path());
    let silent: Vec<_> =
        (0..world.config.requests_at_once).map(|_| StdStream::connect(&socket).expect("it listens")).collect();
    let nonsense = tokio::task::spawn_blocking(move || {
        use std::io::{Read as _, Write as _};
        let mut stream = StdStream::connect(&socket).expect("it listens");
        stream.write_all(b"{\"request\":\"launch_missiles\"}\n").expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    // The silent ones give their places up after `request_timeout_s`.
    assert!(nonsense.await.expect("no panic").contains("does not know this request"));
    assert!(matches!(world.answer(Request::Health).await, Answer::Healthy { .. }));
    drop(silent);
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_said() {
    let config = Config::new(PathBuf::from("/tmp").join("x".repeat(120)));
    let error = Listener::bind(config).expect_err("it does not fit").to_string();
    assert!(error.contains("choose a data_dir of 94 bytes or fewer"), "{error}");
}

#[test]
fn a_password_is_on_the_wire_and_in_no_log() {
    let request =
        Request::UserPassword { name: "alice".into(), password: Some(password("hunter2")), must_change: false };
    assert!(!format!("{request:?}").contains("hunter2"));
    assert!(serde_json::to_string(&request).expect("it is JSON").contains("hunter2"));
}
