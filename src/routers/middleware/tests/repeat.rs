//! Requests that are sent again, targets that are left alone, pages in place of errors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

fn posted() -> Request<RequestBody> {
    request(Method::POST, "/", &[]).map(|_| super::super::lent::whole_body(Bytes::from_static(b"body")))
}

/// Fails so often and then answers.
fn failing(
    times: usize,
    failure: fn() -> Response<ResponseBody>,
) -> impl Fn(&Request<()>, &Bytes) -> Response<ResponseBody> {
    let count = AtomicUsize::new(0);
    move |_, _| if count.fetch_add(1, Ordering::Relaxed) < times { failure() } else { status(200) }
}

#[tokio::test]
async fn what_never_reached_a_target_is_sent_again_with_its_body() {
    let mut world = World::of("retry", &[("attempts", "3")]).answering(failing(2, || no_answer(false)));
    world.behind.reads_bodies = false;
    assert_eq!(world.send(posted()).await.status().as_u16(), 200);
    assert_eq!(world.seen_count(), 3);
    let mut world = World::of("retry", &[("attempts", "3")]).answering(failing(9, || no_answer(false)));
    world.behind.reads_bodies = false;
    assert_eq!((world.send(posted()).await.status().as_u16(), world.seen_count()), (502, 3));
}

#[tokio::test]
async fn how_often_it_was_sent_again_is_noted_on_the_answer() {
    let retries = async |pairs: &[(&str, &str)], failures: usize| {
        let world = World::of("retry", pairs).answering(failing(failures, || no_answer(false)));
        world.get("/").await.extensions().get::<crate::routers::Retries>().map(|retries| retries.0)
    };
    assert_eq!(retries(&[("attempts", "4")], 0).await, None);
    assert_eq!(retries(&[("attempts", "4")], 2).await, Some(2));
    assert_eq!(retries(&[("attempts", "4")], 9).await, Some(3));
    assert_eq!(retries(&[("attempts", "1")], 9).await, None);
    let world = World::of_chain(vec![made("retry", &[("attempts", "2")]), made("retry", &[("attempts", "3")])])
        .answering(|_, _| no_answer(false));
    let answer = world.get("/").await;
    assert_eq!(
        (answer.extensions().get::<crate::routers::Retries>().map(|all| all.0), world.seen_count()),
        (Some(5), 6)
    );
}

#[tokio::test]
async fn what_may_have_reached_a_target_is_not_sent_again() {
    let world = World::of("retry", &[("attempts", "3")]).answering(|_, _| no_answer(true));
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (502, 1));
    // A body that somebody has read of is gone.
    let world = World::of("retry", &[("attempts", "3")]).answering(|_, _| no_answer(false));
    assert_eq!((world.send(posted()).await.status().as_u16(), world.seen_count()), (502, 1));
    // An answer is an answer, whatever its status.
    let world = World::of("retry", &[("attempts", "3")]).answering(|_, _| status(503));
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (503, 1));
}

#[tokio::test]
async fn a_status_that_was_named_is_tried_again_but_no_post() {
    let pairs: &[_] = &[("attempts", "3"), ("status", "500-503"), ("disableRetryOnNetworkError", "true")];
    let world = World::of("retry", pairs).answering(failing(1, || status(503)));
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (200, 2));
    let world = World::of("retry", pairs).answering(failing(1, || status(503)));
    assert_eq!((world.send(posted()).await.status().as_u16(), world.seen_count()), (503, 1));
    let world = World::of("retry", &[("attempts", "3"), ("status", "503"), ("retryNonIdempotentMethod", "true")])
        .answering(failing(1, || status(503)));
    assert_eq!(world.send(posted()).await.status().as_u16(), 200);
    assert!(world.behind.seen.lock().iter().all(|(_, body)| body == "body"));
    let small = World::of(
        "retry",
        &[("attempts", "3"), ("status", "503"), ("retryNonIdempotentMethod", "true"), ("maxRequestBodyBytes", "3")],
    )
    .answering(failing(1, || status(503)));
    assert_eq!(
        (small.send(posted()).await.status().as_u16(), small.behind.seen.lock()[0].1.clone()),
        (503, "body".into())
    );
}

#[tokio::test(start_paused = true)]
async fn it_waits_longer_each_time() {
    let world =
        World::of("retry", &[("attempts", "3"), ("initialInterval", "100ms")]).answering(|_, _| no_answer(false));
    let began = tokio::time::Instant::now();
    world.get("/").await;
    let waited = began.elapsed();
    assert!((Duration::from_millis(240)..Duration::from_millis(245)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_breaker_leaves_a_failing_target_alone() {
    let world = World::of("circuitBreaker", &[("expression", "NetworkErrorRatio() > 0.3"), ("responseCode", "504")])
        .answering(failing(1, || no_answer(true)));
    world.clock.move_by(Duration::from_secs(60));
    assert_eq!(world.get("/").await.status().as_u16(), 502);
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (504, 1));
    world.clock.move_by(Duration::from_secs(10));
    // It begins to recover: first nobody passes, then some, then all.
    assert_eq!(world.get("/").await.status().as_u16(), 504);
    world.clock.move_by(Duration::from_secs(10));
    assert_eq!((world.get("/").await.status().as_u16(), world.seen_count()), (200, 2));
}

#[tokio::test]
async fn a_page_of_another_service_takes_the_place_of_an_error() {
    let pairs: &[_] = &[
        ("status", "500-599,404"),
        ("service", "pages"),
        ("query", "/{status}.html?u={url}"),
        ("statusRewrites.418", "404"),
        ("statusRewrites.502-504", "500"),
    ];
    let world = World::of("errors", pairs).answering(|request, _| match request.headers().contains_key("x-balancer") {
        true => Response::new(ResponseBody::from(format!("page {} {}", request.method(), request.uri()))),
        false => status(request.uri().path()[1..].parse().expect("a status")),
    });
    let ask = async |path: &str| {
        let answer = world.send(request(Method::PUT, path, &[("if-none-match", "x"), ("content-length", "0")])).await;
        (answer.status().as_u16(), String::from_utf8(body_of(answer).await.expect("a body").to_vec()).expect("text"))
    };
    assert_eq!(
        ask("/503?a=b c".replace(' ', "%20").as_str()).await,
        (500, "page GET /500.html?u=https%3A%2F%2Fapp.example%3A8443%2F503%3Fa%3Db%2520c".to_owned())
    );
    assert_eq!(ask("/404").await, (404, "page GET /404.html?u=https%3A%2F%2Fapp.example%3A8443%2F404".to_owned()));
    assert_eq!(ask("/403").await, (403, "from the target".to_owned()));
    let seen = world.behind.seen.lock();
    let page = &seen.iter().find(|(request, _)| request.headers().contains_key("x-balancer")).expect("a page").0;
    assert_eq!(
        (&page.headers()["x-balancer"], &page.headers()["host"]),
        (&"pages".parse().expect("a value"), &"app.example:8443".parse().expect("a value"))
    );
    assert!(!page.headers().contains_key("if-none-match"));
}
