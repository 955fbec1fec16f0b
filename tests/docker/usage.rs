//! What the engine says of servers at work: against what the kernel says of the same processes.

use std::time::{Duration, Instant};

use slipway::spawner::{self, Backend as _, ProcessorReading};

use crate::world::{World, alice, docker, eventually, inspected};

/// Answers everything, and burns a core with 100 MB in hand when told to.
const PROGRAM: &str = "
import http.server, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()
    def log_message(self, *_): pass
held = bytearray(100 << 20)
def burn():
    while True: pass
threading.Thread(target=burn, daemon=True).start()
open('/tmp/written', 'wb').write(b'x' * (5 << 20))
http.server.ThreadingHTTPServer(('', 8888), Handler).serve_forever()
";

async fn world() -> World {
    World::with("slipway-lab:local", |plan| {
        plan.spawner.usage_interval_s = 1;
        plan.docker.command = Some(["python3", "-c", PROGRAM].map(str::to_owned).to_vec());
    })
    .await
}

/// Processor time of the container's processes by the kernel, in seconds.
fn kernel_says(pid: i64) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(')').expect("a stat line");
    let fields: Vec<f64> =
        rest.split_ascii_whitespace().skip(11).take(2).map(|field| field.parse().expect("ticks")).collect();
    // A tick is a hundredth of a second on every Linux that we know.
    fields.iter().sum::<f64>() / 100.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_burns_a_core_and_holds_100_mb_shows_both() {
    let world = world().await;
    world.start(&alice()).await;
    let container = world.container(&alice());
    let pid = inspected(&container)["State"]["Pid"].as_i64().expect("a pid");
    let handle = world.backend.find(&alice()).await.expect("the engine answers").expect("it runs").handle;
    let look = async || {
        let (kernel, at) = (kernel_says(pid), Instant::now());
        let reading = world.backend.usage(&handle).await.expect("the engine answers").expect("it runs");
        (kernel, at, reading)
    };
    let (kernel_before, at_before, before) = look().await;
    eventually(|| kernel_says(pid) - kernel_before > 2.0).await;
    let (kernel_after, at_after, after) = look().await;
    let cores = |before: ProcessorReading, after: ProcessorReading| {
        (after.used_ns - before.used_ns) as f64 / (after.core_ns - before.core_ns) as f64
    };
    let engine = cores(before.processor.expect("counted"), after.processor.expect("counted"));
    // On a host with a free core that is 1.0; on one that others use it is what the container got.
    let kernel = (kernel_after - kernel_before) / at_after.duration_since(at_before).as_secs_f64();
    assert!((engine - kernel).abs() < 0.3, "the engine says {engine} cores, the kernel {kernel}");
    let memory = after.memory_bytes.expect("counted");
    assert!((100 << 20..200 << 20).contains(&memory), "{memory} bytes");

    // And what the spawner makes of it in the background.
    eventually(|| world.spawner.usage_of(&alice()).is_some_and(|sample| sample.cpu_cores.is_some())).await;
    let sample = world.spawner.usage_of(&alice()).expect("looked at");
    assert!(sample.cpu_cores.is_some_and(|cores| cores > 0.05 && cores < 1.4), "{sample:?}");
    assert_eq!(world.spawner.usage_totals().servers, 1);

    let layers = world.backend.layer_sizes().await.expect("the engine answers");
    let layer = layers.get(&alice()).expect("it runs");
    assert!((5 << 20..6 << 20).contains(&layer.written_bytes), "{layer:?}");
    assert!(layer.whole_bytes.is_some_and(|bytes| bytes > 300 << 20), "{layer:?}");

    world.stop(&alice()).await;
    assert_eq!(world.spawner.usage_of(&alice()), None);
    assert!(world.backend.usage(&handle).await.expect("the engine answers").is_none(), "it is gone");
}

#[tokio::test]
async fn an_idle_container_uses_nothing_and_that_is_known() {
    let world = world().await;
    let begun = Instant::now();
    world.start(&alice()).await;
    docker(&["pause", &world.container(&alice())]);
    let handle = world.backend.find(&alice()).await.expect("the engine answers").expect("it runs").handle;
    let before = world.backend.usage(&handle).await.expect("the engine answers").expect("it is there");
    eventually(|| begun.elapsed() > Duration::from_secs(1)).await;
    let after = world.backend.usage(&handle).await.expect("the engine answers").expect("it is there");
    let used = |reading: spawner::UsageReading| reading.processor.expect("counted").used_ns;
    assert_eq!(used(before), used(after));
    docker(&["unpause", &world.container(&alice())]);
    world.stop(&alice()).await;
}
