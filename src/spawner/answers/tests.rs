//! What servers say of their kernels and terminals, and what servers say that are none of Jupyter's.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::model::{Generation, GrantedIdle, IdleRules, ServerState, ServerStatus, UpstreamAddress, UserName};
use crate::spawner::{ResourceLimits, UsageSample};

const NOW: Timestamp = Timestamp(1_795_400_000_000);

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Token(Secret, Arc<AtomicUsize>);

impl Errand for Token {
    fn secret(&self) -> &Secret {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

struct World {
    answers: Arc<Answers>,
    board: Arc<Board>,
    route: Arc<Route>,
    /// Tokens that are good for something at the moment.
    tokens: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<String>>>,
}

fn alice() -> ServerKey {
    ServerKey::default_of(UserName::parse("alice").expect("a name"))
}

impl World {
    /// Alice's server, which answers a question for kernels and one for terminals like this.
    async fn new(kernels: &'static str, terminals: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = UpstreamAddress::Tcp(listener.local_addr().expect("bound"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = heard.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut head).await.expect("readable");
                }
                let head = String::from_utf8(head).expect("text");
                let answer = if head.contains("/api/kernels?") { kernels } else { terminals };
                told.lock().push(head);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let board = Arc::new(Board::new(Timestamp(0)));
        board.publish(&alice(), ServerStatus { state: ServerState::Ready, ..ServerStatus::stopped(Timestamp(0)) });
        let route = Arc::new(Route::new(alice(), Generation(1), address, Timestamp(0)));
        board.set_route(&alice(), Some(route.clone()));
        let (tokens, clock) = (Arc::<AtomicUsize>::default(), Arc::new(Standing));
        let given = tokens.clone();
        let errands: Errands = Arc::new(move |_| {
            given.fetch_add(1, Ordering::SeqCst);
            Some(Box::new(Token(Secret::new("errand"), given.clone())))
        });
        let sample = |cores, at| UsageSample {
            cpu_cores: Some(cores),
            memory_bytes: None,
            limits: ResourceLimits::default(),
            at: Timestamp(at),
        };
        let samples = vec![(alice(), sample(0.19, 7)), (alice(), sample(0.2, 5))];
        let rules = IdleRules { idle_after: Some(Duration::from_secs(3600)), ..IdleRules::default() };
        let answers = Answers::new(Parts {
            board: board.clone(),
            samples: Box::new(move || samples.clone()),
            errands: Some(errands),
            rules: Arc::new(move |_| GrantedIdle { rules, from: vec![] }),
            base: BasePath::parse("/").expect("root"),
            clock,
            config: crate::spawner::Config::default().into(),
        });
        Self { answers, board, route, tokens, heard }
    }

    fn seen(&self, source: ActivitySource) -> Option<Timestamp> {
        self.board.facts(&alice()).and_then(|facts| facts.seen.of(source))
    }
}

const IDLE_KERNEL: &str =
    "HTTP/1.1 200 OK\r\n\r\n[{\"last_activity\": \"2026-11-22T14:35:27Z\", \"execution_state\": \"idle\"}]";
const BUSY_KERNEL: &str =
    "HTTP/1.1 200 OK\r\n\r\n[{\"last_activity\": \"2026-11-22T14:35:27Z\", \"execution_state\": \"busy\"}]";
const TERMINAL: &str = "HTTP/1.1 200 OK\r\n\r\n[{\"name\": \"1\", \"last_activity\": \"2026-11-22T14:40:00Z\"}]";
const NONE: &str = "HTTP/1.1 200 OK\r\n\r\n[]";

#[tokio::test]
async fn a_busy_kernel_is_in_use_now_and_an_idle_one_since_its_last_message() {
    for (answer, expected) in
        [(BUSY_KERNEL, Some(NOW)), (IDLE_KERNEL, Timestamp::parse_iso("2026-11-22T14:35:27Z")), (NONE, None)]
    {
        let world = World::new(answer, TERMINAL).await;
        world.answers.ask(&alice()).await;
        assert_eq!(world.seen(ActivitySource::Kernel), expected, "{answer}");
        assert_eq!(world.seen(ActivitySource::Terminal), Timestamp::parse_iso("2026-11-22T14:40:00Z"));
        let heard = world.heard.lock().clone();
        assert_eq!(heard.len(), 2);
        for head in heard {
            assert!(head.starts_with("GET /user/alice/api/") && head.contains("?no_track_activity=1 "), "{head}");
            assert!(head.contains("authorization: Bearer errand\r\n"), "{head}");
        }
        assert_eq!(world.tokens.load(Ordering::SeqCst), 0, "the token has ended");
        assert_eq!(world.seen(ActivitySource::Request), None, "to be asked is no use");
    }
}

#[tokio::test]
async fn a_terminal_that_a_page_has_opened_again_was_not_used() {
    let world = World::new(NONE, TERMINAL).await;
    let opened = Timestamp::parse_iso("2026-11-22T14:39:58Z").expect("a time");
    world.route.upstream.note_opened(ActivitySource::Terminal, opened);
    world.answers.ask(&alice()).await;
    assert_eq!(world.seen(ActivitySource::Terminal), None);
}

#[tokio::test]
async fn what_is_no_jupyter_server_says_nothing() {
    let long = format!("HTTP/1.1 200 OK\r\n\r\n[{}", "{},".repeat(100_000));
    for answer in [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n<html>",
        "SSH-2.0-OpenSSH\r\n",
        "",
        long.leak(),
    ] {
        let world = World::new(answer, TERMINAL).await;
        world.answers.ask(&alice()).await;
        let unknown = [ActivitySource::Kernel, ActivitySource::Terminal].map(|source| world.seen(source));
        assert_eq!(unknown, [None, None]);
        assert_eq!(world.heard.lock().len(), 1, "it is not asked for terminals");
    }
}

#[tokio::test]
async fn only_a_server_with_an_idle_limit_that_is_quiet_is_asked_and_not_twice() {
    let world = World::new(IDLE_KERNEL, NONE).await;
    world.route.touch(ActivitySource::Request, NOW);
    world.answers.look().await;
    assert!(world.heard.lock().is_empty(), "it is in use");
    world.route.touch(ActivitySource::Request, Timestamp(NOW.0 - 3_600_000));
    world.answers.look().await;
    world.answers.look().await;
    assert_eq!(world.heard.lock().len(), 2, "for kernels and for terminals, once");
    assert_eq!(world.seen(ActivitySource::Processor), Some(Timestamp(5)), "the sample that reached the threshold");
}

#[test]
fn who_does_not_answer_is_asked_more_seldom() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    assert_eq!(pace(None), None);
    assert_eq!(pace(Some(minutes(1))), Some(minutes(1)));
    assert_eq!(pace(Some(minutes(20))), Some(minutes(5)));
    assert_eq!(pace(Some(minutes(6000))), Some(minutes(10)));
    let asked = |silences, is_busy| Asked { at: Instant::now(), is_busy, silences };
    let pace = minutes(10);
    assert!(is_due(pace, None, None));
    assert!(!is_due(pace, Some(minutes(9)), None));
    assert!(!is_due(pace, None, Some((minutes(9), asked(0, false)))));
    assert!(is_due(pace, None, Some((minutes(10), asked(0, false)))));
    assert!(!is_due(pace, None, Some((minutes(39), asked(2, false)))));
    assert!(is_due(pace, None, Some((minutes(40), asked(2, false)))));
    assert!(is_due(pace, None, Some((minutes(80), asked(u32::MAX, false)))));
    assert!(!is_due(pace, Some(minutes(1)), Some((minutes(10), asked(0, false)))));
    assert!(is_due(pace, Some(minutes(1)), Some((minutes(10), asked(0, true)))), "pages say that it is busy");
}
