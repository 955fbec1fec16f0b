//! What counts as use of a server, from the browser to the spawner: a forgotten tab moves nothing, over every wire.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use slipway::model::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, Wire};
use crate::world::{World, server};

impl World {
    /// When alice's server was last used; the clock goes on by a second.
    fn used_at(&self) -> Option<Timestamp> {
        self.clock.advance(Duration::from_secs(1));
        self.app.spawner.last_activity(&server("alice"))
    }
}

/// A masked frame of one text message.
fn frame(message: &str) -> Vec<u8> {
    let length = u8::try_from(message.len()).expect("short");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], message.as_bytes()].concat()
}

/// Sends these frames through a WebSocket to `path`, and hears each come back before the next.
async fn send_frames(alice: &Client, wire: Wire, path: &str, frames: &[Vec<u8>]) {
    if wire == Wire::WebSocket {
        let mut socket = alice.open_websocket(path).await.1.expect("a WebSocket");
        for frame in frames {
            socket.write_all(frame).await.expect("it is sent");
            let mut heard = vec![0; frame.len()];
            socket.read_exact(&mut heard).await.expect("it comes back");
            assert_eq!(&heard, frame, "not a byte is another");
        }
        return;
    }
    let (mut send, mut receive) = alice.open_websocket_over_http2(path).await.1.expect("a WebSocket");
    for frame in frames {
        send.send_data(Bytes::from(frame.clone()), false).expect("it is sent");
        let mut heard = Vec::new();
        while heard.len() < frame.len() {
            heard.extend_from_slice(&receive.data().await.expect("more").expect("data"));
        }
        assert_eq!(&heard, frame, "not a byte is another");
    }
}

#[tokio::test]
async fn what_a_tab_polls_moves_nothing_and_what_somebody_does_moves_it() {
    let world = World::with(&[("SLIPWAY_SPAWNER_IDLE_ACTIVITY_IGNORED_PATHS", r#"["proxy/8080"]"#)]).await;
    let alice = world.user_with_server("alice").await;
    let script = alice.scripting();
    for wire in [Wire::Http1, Wire::Http2] {
        let before = world.used_at();
        for (method, path) in [
            (Method::GET, "api/kernels?1795358134117"),
            (Method::GET, "api/contents?content=1&hash=0&1795358134371"),
            (Method::PUT, "lab/api/workspaces/default?1795358133249"),
            (Method::GET, "jupyterlab-notifications-extension/notifications"),
            (Method::POST, "git/status"),
            (Method::GET, "lab?no_track_activity=1"),
            (Method::POST, "proxy/8080/health"),
        ] {
            let body = if method == Method::GET { Bytes::new() } else { Bytes::from_static(b"{}") };
            script.send(wire, method, &format!("/user/alice/{path}"), body).await.is(200);
            assert_eq!(world.used_at(), before, "{path} over {wire:?}");
        }
        for (method, path) in [
            (Method::GET, "lab"),
            (Method::PUT, "api/contents/Untitled.ipynb"),
            (Method::GET, "api/contents/Untitled.ipynb?type=notebook&content=1"),
            (Method::POST, "proxy/8081/health"),
        ] {
            let before = world.used_at();
            script.send(wire, method, &format!("/user/alice/{path}"), Bytes::new()).await.is(200);
            assert!(world.used_at() > before, "{path} over {wire:?}");
        }
        let before = world.used_at();
        alice.clone().navigating().get("/user/alice/api/kernels").await.is(200);
        assert!(world.used_at() > before, "a person looks at it in a window");
    }
}

#[tokio::test]
async fn a_websocket_that_is_open_moves_nothing_and_work_in_it_does() {
    let world = World::new().await;
    let alice = world.user_with_server("alice").await.scripting();
    let info = r#"{"content":{},"header":{"msg_type":"kernel_info_request"}}"#;
    let run = r#"{"content":{"code":"1"},"header":{"msg_type":"execute_request"}}"#;
    for wire in [Wire::WebSocket, Wire::WebSocketOverHttp2] {
        for (path, idle, work) in [
            ("api/kernels/e61e5a08/channels", info, run),
            ("terminals/websocket/1", r#"["set_size",24,80]"#, r#"["stdin","l"]"#),
            ("proxy/8081/ws", "", "anything"),
        ] {
            let path = format!("/user/alice/{path}");
            let before = world.used_at();
            send_frames(&alice, wire, &path, &[frame(idle), vec![0x89, 0x80, 0, 0, 0, 0]]).await;
            assert_eq!(world.used_at(), before, "{path} over {wire:?}");
            send_frames(&alice, wire, &path, &[frame(work)]).await;
            assert!(world.used_at() > before, "{path} over {wire:?}");
        }
    }
}
