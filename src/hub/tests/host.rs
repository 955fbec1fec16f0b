//! The page of the host, what the API says of graphics processors, and how often one may ask how we are.

use std::sync::Arc;

use minijinja::value::Value;

use super::world::World;
use crate::gpu::{Enable, EngineGives, Gpu, GpuProcess, Inventory, Lease, Look, LookError, Overview, Sight};
use crate::hub::pages::host::{facts_of, gpus_of, servers_of};
use crate::hub::{
    CertificateShown, CertificateTrouble, EngineDisk, EngineShown, Filled, HostFacts, OwnShown, StoreShown,
};
use crate::model::{GpuHeld, ServerKey, Slot, Timestamp, UserName};
use crate::spawner::UsageTotals;
use crate::store::HostHistoryRow;

const NOW: Timestamp = Timestamp(1_795_313_227_732);
const DAY_MS: i64 = 86_400_000;

/// A driver that was recorded: one card at work, one in instances of which little is known.
pub(super) struct Recorded;

impl Look for Recorded {
    fn look(&self) -> Result<Vec<Gpu>, LookError> {
        Ok(gpus())
    }
}

fn gpus() -> Vec<Gpu> {
    let process =
        |pid, name: &str, gib: u64| GpuProcess { pid, name: Some(name.into()), memory_bytes: Some(gib << 30) };
    let first = Gpu {
        index: 0,
        name: Some("NVIDIA A100-SXM4-80GB".into()),
        uuid: Some("GPU-5a1c2f6e-0b1d-4c1e-9a51-0f9f6b7c8d01".into()),
        memory_total_bytes: Some(80 << 30),
        memory_used_bytes: Some(75 << 30),
        utilisation_percent: Some(97),
        temperature_c: Some(71),
        is_partitioned: Some(false),
        processes: Some(vec![process(40_213, "/opt/conda/bin/python3.12", 60), process(41_877, "/opt/<b>", 13)]),
    };
    let second = Gpu {
        index: 1,
        uuid: Some("GPU-5a1c2f6e-0b1d-4c1e-9a51-0f9f6b7c8d02".into()),
        utilisation_percent: None,
        temperature_c: Some(38),
        memory_used_bytes: Some(1 << 30),
        is_partitioned: Some(true),
        processes: None,
        ..first.clone()
    };
    let third = Gpu { index: 2, ..Gpu::default() };
    vec![first, second, third]
}

/// A sample of a host in good order, or of one in trouble.
pub(super) fn facts(is_well: bool) -> HostFacts {
    let certificate = |name: &str, days: i64| CertificateShown {
        names: vec![name.to_owned(), format!("*.{name}")],
        file: format!("{name}.pem"),
        is_self_signed: false,
        ends_at: Timestamp(NOW.0 + days * DAY_MS),
    };
    HostFacts {
        at: NOW,
        engine: EngineShown {
            name: "docker".into(),
            version: Some("29.1.2".into()),
            problem: (!is_well).then(|| "docker cannot be reached: connection refused".into()),
            since: NOW,
        },
        store: StoreShown {
            path: "/var/lib/slipway/slipway.redb".into(),
            size_bytes: is_well.then_some(1_589_248),
            written_at: is_well.then_some(NOW),
            copied_at: is_well.then_some(NOW),
            copy_problem: (!is_well).then(|| "data/backups has 3 MiB left".to_owned()),
        },
        certificates: vec![
            certificate("hub.example.org", if is_well { 63 } else { 5 }),
            certificate("a-rather-long-name-of-a-department.physics.example.org", if is_well { 20 } else { -2 }),
        ],
        certificate_troubles: if is_well { vec![] } else { troubles() },
        cores: Some(64),
        load: is_well.then_some(23.4),
        memory: is_well.then_some(Filled { used_bytes: 201 << 30, total_bytes: 256 << 30 }),
        busy: is_well.then_some(0.37),
        own: if is_well {
            OwnShown::default()
        } else {
            OwnShown { cores: Some(1.5), memory: Some(Filled { used_bytes: 900 << 20, total_bytes: 2 << 30 }) }
        },
        disk: Some(Filled { used_bytes: 1_900 << 30, total_bytes: 2_000 << 30 }),
        engine_disk: is_well.then(|| EngineDisk {
            folder: "/var/lib/docker".into(),
            filled: Filled { used_bytes: 700 << 30, total_bytes: 3_500 << 30 },
            is_data_disk: false,
        }),
        history: Arc::new(if is_well { history() } else { HostHistoryRow::default() }),
    }
}

/// One that never came, one whose old certificate ends, and more than a page names.
fn troubles() -> Vec<CertificateTrouble> {
    let trouble = |name: &str, ends_in_days: Option<i64>| CertificateTrouble {
        name: name.to_owned(),
        problem: Some("the authority says: no valid A records for <lab>.".into()),
        ends_at: ends_in_days.map(|days| Timestamp(NOW.0 + days * DAY_MS)),
        next_try: NOW,
    };
    vec![
        trouble("new.example.org", None),
        trouble("old.example.org", Some(3)),
        trouble("c.org", None),
        trouble("d.org", None),
    ]
}

/// A week with days, nights, and an outage.
fn history() -> HostHistoryRow {
    let mut row = HostHistoryRow::default();
    for (number, slot) in Slot::of(NOW).week().enumerate() {
        if (430..520).contains(&number) {
            continue;
        }
        let day = (number as f64 / 144.0 * std::f64::consts::TAU).sin().max(0.0);
        let jitter = (number * 7919 % 23) as f64 / 100.0;
        row.processor.set(slot, Some(0.08 + 0.55 * day + jitter));
        row.memory.set(slot, Some(0.4 + 0.3 * day + jitter / 4.0));
        row.disk.set(slot, Some(0.9 + number as f64 / 20_000.0));
        row.engine_disk.set(slot, Some(0.1 + number as f64 / 10_000.0));
        row.gpu.set(slot, (number > 600).then_some(0.9 * day));
    }
    row
}

/// What the page is made from, for the samples.
pub(super) fn page(is_well: bool) -> Value {
    let server = |name: &str| ServerKey::default_of(UserName::parse(name).expect("a name"));
    let lease = |name: &str, number: usize, is_exclusive| Lease {
        server: server(name),
        held: GpuHeld { uuids: gpus()[number].uuid.clone().into_iter().collect(), is_exclusive, is_unseen: false },
    };
    let inventory = Inventory { at: NOW, gpus: gpus() };
    let overview = Overview {
        enable: Enable::Detect,
        sight: if is_well {
            Sight::Seen(inventory)
        } else {
            Sight::NoLibrary { reason: "libnvidia-ml.so.1: cannot open shared object file".into() }
        },
        is_fresh: is_well,
        engine_gives: Some(if is_well { EngineGives::Each } else { EngineGives::Nothing }),
        leases: if is_well {
            vec![lease("alice", 0, true), lease("bob", 1, false), lease("carol", 1, false)]
        } else {
            vec![]
        },
        queue: if is_well { vec![server("dan"), server("erin")] } else { vec![] },
    };
    let audit = minijinja::context! { at => crate::hub::templates::moment(NOW), rows => 1_204, is_whole => is_well };
    minijinja::context! {
        version => "0.1.0", started => crate::hub::templates::moment(NOW), facts => facts_of(&facts(is_well), NOW),
        audit, gpus => gpus_of(&overview), servers => servers_of(&UsageTotals {
            cpu_cores: 23.7, memory_bytes: 150 << 30, servers: if is_well { 41 } else { 0 }, layer_bytes: Some(12 << 30),
        }),
    }
}

#[tokio::test]
async fn the_host_page_shows_what_is_known_and_says_what_is_not() {
    let world = World::new().await;
    let root = world.admin("root").await;
    while world.gpus.is_looking() {
        tokio::task::yield_now().await;
    }
    let page = root.get("/hub/host").await.is(200).text;
    for text in ["29.1.2", "slipway.redb", "hub.example.org", "64 cores", "201 GiB", "A100", "71 °C", "Last backup"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains("97 %") && page.contains("unknown") && page.contains("no UUID"));
    assert!(!page.contains("<b>"), "names come from strangers' programs");
    assert!(page.len() < 100 * 1024);
    world.user("alice").await.get("/hub/host").await.is(403);
}

#[tokio::test]
async fn whoever_administers_is_told_on_every_page_of_certificates_that_do_not_come() {
    let world = World::new().await;
    let gpus = world.gpus.clone();
    let state = world.state.clone().with_host(Arc::new(|| Some(facts(false))), gpus);
    let world = world.with_state(state);
    let (root, alice) = (world.admin("root").await, world.user("alice").await);
    for page in ["/hub/home", "/hub/admin", "/hub/host", "/hub/token"] {
        let text = root.get(page).await.text;
        for words in [
            "There is no certificate for new.example.org yet",
            "The certificate for old.example.org ends",
            "no valid A records for &lt;lab&gt;. It is tried again",
            "It is the same for 1 more name;",
        ] {
            assert!(text.contains(words), "{page}, {words}: {text}");
        }
        assert!(!alice.get(page).await.text.contains("example.org"), "{page} tells everybody");
    }
}

#[tokio::test]
async fn the_api_tells_administrators_of_gpus_and_null_of_what_is_unknown() {
    let world = World::new().await;
    while world.gpus.is_looking() {
        tokio::task::yield_now().await;
    }
    let root = world.admin("root").await;
    let root = super::users::scripting(&root).await;
    let json = root.get("/hub/api/gpus").await.is(200).json();
    assert_eq!(
        (&json["state"], &json["engine_gives"], &json["is_fresh"]),
        (&"seen".into(), &"each".into(), &true.into())
    );
    assert_eq!(json["gpus"][0]["memory_used_bytes"], 75_u64 << 30);
    assert!(json["gpus"][1]["utilisation_percent"].is_null() && json["gpus"][2]["memory_total_bytes"].is_null());
    assert_eq!((&json["leases"], &json["queue"]), (&serde_json::json!([]), &serde_json::json!([])));
}

/// Trap 50.
#[tokio::test]
async fn health_bears_many_tabs_of_one_address_and_no_flood() {
    let world = World::new().await;
    let tab = world.stranger().with("sec-fetch-mode", "cors");
    for _ in 0..50 {
        tab.get("/hub/health").await.is(200);
    }
    let refused = tab.get("/hub/health").await.is(429);
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.json()["retry_after"], 1);
    world.pass(std::time::Duration::from_secs(1));
    tab.get("/hub/health").await.is(200);
}
