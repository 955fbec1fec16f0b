//! Who may come, how often and how many at once.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::*;
use crate::net::{OnUpgrade, UpgradeKind};

#[tokio::test]
async fn each_address_has_its_own_rate() {
    let mut world = World::of("rateLimit", &[("average", "1"), ("burst", "2"), ("period", "10s")]);
    assert_eq!(world.get("/").await.status().as_u16(), 200);
    assert_eq!(world.get("/").await.status().as_u16(), 200);
    let refused = world.get("/").await;
    assert_eq!(
        (refused.status().as_u16(), said(&refused, "retry-after"), said(&refused, "x-retry-in")),
        (429, Some("10"), Some("10s"))
    );
    world.client = IpAddr::from([192, 0, 2, 2]);
    assert_eq!(world.get("/").await.status().as_u16(), 200);
    world.client = IpAddr::from([192, 0, 2, 1]);
    world.clock.move_by(Duration::from_secs(10));
    assert_eq!(world.get("/").await.status().as_u16(), 200);
    assert_eq!(world.get("/").await.status().as_u16(), 429);
}

#[tokio::test]
async fn a_source_is_what_the_criterion_says() {
    let world =
        World::of("rateLimit", &[("average", "1"), ("period", "1h"), ("sourceCriterion.requestHeaderName", "X-Key")]);
    let ask = |key| world.send(request(Method::GET, "/", &[("x-key", key)]));
    assert_eq!(
        (ask("a").await.status().as_u16(), ask("a").await.status().as_u16(), ask("b").await.status().as_u16()),
        (200, 429, 200)
    );

    let world =
        World::of("rateLimit", &[("average", "1"), ("period", "1h"), ("sourceCriterion.ipStrategy.depth", "2")]);
    let ask = |chain| world.send(request(Method::GET, "/", &[("x-forwarded-for", chain)]));
    assert_eq!(ask("10.0.0.1, 10.0.0.2, 10.0.0.3").await.status().as_u16(), 200);
    assert_eq!(ask("10.9.9.9, 10.0.0.2, 10.7.7.7").await.status().as_u16(), 429);

    let world = World::of(
        "rateLimit",
        &[("average", "1"), ("period", "1h"), ("sourceCriterion.ipStrategy.excludedIPs", "10.0.0.0/8")],
    );
    let ask = |chain| world.send(request(Method::GET, "/", &[("x-forwarded-for", chain)]));
    assert_eq!(ask("203.0.113.9, 10.0.0.2").await.status().as_u16(), 200);
    assert_eq!(ask("203.0.113.8, 10.0.0.2").await.status().as_u16(), 200);
    assert_eq!(ask("203.0.113.9, 10.0.0.7").await.status().as_u16(), 429);

    let mut world =
        World::of("rateLimit", &[("average", "1"), ("period", "1h"), ("sourceCriterion.ipStrategy.ipv6Subnet", "64")]);
    for (client, expected) in [("2001:db8::1", 200), ("2001:db8::2", 429), ("2001:db8:0:1::1", 200)] {
        world.client = client.parse().expect("an address");
        assert_eq!(world.get("/").await.status().as_u16(), expected, "{client}");
    }
    assert_eq!(
        refused("rateLimit", &[("sourceCriterion.requestHost", "true"), ("sourceCriterion.requestHeaderName", "x")]),
        "sourceCriterion is one of ipStrategy, requestHeaderName and requestHost"
    );
}

#[tokio::test]
async fn only_addresses_of_the_list_pass() {
    let mut world =
        World::of("ipAllowList", &[("sourceRange", "192.0.2.0/24, 2001:db8::/32"), ("rejectStatusCode", "404")]);
    for (client, expected) in
        [("192.0.2.1", 200), ("::ffff:192.0.2.9", 200), ("2001:db8::1", 200), ("203.0.113.1", 404)]
    {
        world.client = client.parse().expect("an address");
        assert_eq!(world.get("/").await.status().as_u16(), expected, "{client}");
    }
    let deep = World::of("ipWhiteList", &[("sourceRange", "192.0.2.0/24"), ("ipStrategy.depth", "1")]);
    // Nobody has said an address there, so nobody is let in.
    assert_eq!(deep.get("/").await.status().as_u16(), 403);
    assert_eq!(deep.send(request(Method::GET, "/", &[("x-forwarded-for", "192.0.2.5")])).await.status().as_u16(), 200);
}

fn in_flight(world: &World) -> u64 {
    let Middleware::InFlight(middleware) = &*world.chain[0] else { panic!("another middleware") };
    middleware.under_way()
}

#[tokio::test]
async fn a_place_is_held_until_the_body_has_ended() {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let receiver = Mutex::new(Some(receiver));
    let world = World::of("inFlightReq", &[("amount", "1")]).answering(move |_, _| {
        let Some(mut receiver) = receiver.lock().take() else { return status(200) };
        let pieces = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
            .map(|piece| Ok::<_, BoxError>(http_body::Frame::data(piece)));
        Response::new(ResponseBody::stream(http_body_util::StreamBody::new(pieces)))
    });
    let slow = world.get("/").await;
    assert_eq!((world.get("/").await.status().as_u16(), in_flight(&world)), (429, 1));
    sender.send("x".into()).await.expect("the body waits");
    drop(sender);
    assert_eq!(body_of(slow).await.expect("a body"), "x");
    assert_eq!((in_flight(&world), world.get("/").await.status().as_u16()), (0, 200));
}

#[tokio::test]
async fn a_place_is_held_as_long_as_a_websocket() {
    let taken: Arc<Mutex<Option<OnUpgrade>>> = Arc::default();
    let place = taken.clone();
    let world = World::of("inFlightReq", &[("amount", "1")]).answering(move |request, _| {
        *place.lock() = request.extensions().get::<OnUpgrade>().cloned();
        status(101).map(|_| ResponseBody::Empty)
    });
    let (sender, upgrade) = OnUpgrade::pending(UpgradeKind::Http1);
    let mut asked = get("/");
    asked.extensions_mut().insert(upgrade);
    drop(world.send(asked).await);
    world.behind.seen.lock().clear();
    let (near, _far) = tokio::io::duplex(64);
    sender.send(Box::new(near));
    let upgrade = taken.lock().take().expect("it was passed on");
    let io = upgrade.into_io().await.expect("a connection");
    assert_eq!((in_flight(&world), world.get("/").await.status().as_u16()), (1, 429));
    drop(io);
    assert_eq!(in_flight(&world), 0);
}
