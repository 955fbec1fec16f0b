//! What groups give, as the engine has it: limits, variables, volumes, its own socket, and nothing of it afterwards.

use serde_json::Value;
use slipway::model::{
    Effective, Granted, GrantedMemory, GrantedVariable, GroupName, MountPoint, ServerState, VariableName, VolumeGrant,
    VolumeName,
};

use slipway::spawner::GpuRequest;

use crate::world::{World, alice, docker, failure, inspected, user};

const LAB: &str = "slipway-lab:local";
const INSTANT: &str = "slipway-instant:test";
/// Asks the engine for its version through the socket, as `docker version` does.
const VERSION: &str = r#"
import socket
s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect("/var/run/docker.sock")
s.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
answer = b""
while chunk := s.recv(65536): answer += chunk
print(answer.split()[1].decode(), b'"ApiVersion"' in answer)
"#;

fn group() -> Vec<GroupName> {
    vec![GroupName::parse("physics").expect("a name")]
}

fn granted<T>(value: T) -> Granted<T> {
    Granted { value, from: group() }
}

fn volume(name: &str, mount: &str, read_only: bool) -> Granted<VolumeGrant> {
    let (volume, mount) = (VolumeName::parse(name).expect("a name"), MountPoint::parse(mount).expect("a path"));
    granted(VolumeGrant { volume, mount, read_only })
}

fn much(data: &str) -> Effective {
    let name = VariableName::parse("COURSE").expect("a name");
    let variable = GrantedVariable { name, value: "physics 2".into(), description: String::new() };
    Effective {
        memory: Some(granted(GrantedMemory { bytes: 512 << 20, swap_off: true })),
        cpu_cores: Some(granted(1.5)),
        environment: vec![granted(variable)],
        volumes: vec![volume(data, "/data", false)],
        docker_socket: group(),
        ..Effective::default()
    }
}

fn host_config(container: &str) -> Value {
    inspected(container)["HostConfig"].take()
}

/// Trap 18, and the story of the group: a member's server has it all, and the next one of who has left has nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_members_server_has_what_the_group_gives_and_later_nothing_of_it() {
    let python = ["python3", "-m", "http.server", "8888"].map(String::from).to_vec();
    let world = World::with(LAB, |plan| plan.docker.command = Some(python)).await;
    let name = world.container(&alice());
    // Named as its own, so that the world cleans it up; users' own begin with one more dash.
    let data = format!("data-{name}");
    *world.granted.lock() = much(&data);
    let status = world.start(&alice()).await;
    assert_eq!(status.state, ServerState::Ready, "{status:?}");
    let host = host_config(&name);
    assert_eq!((&host["Memory"], &host["MemorySwap"]), (&Value::from(512 << 20), &Value::from(512 << 20)));
    assert_eq!(host["NanoCpus"], 1_500_000_000);
    assert_eq!(host["Binds"], serde_json::json!(["/var/run/docker.sock:/var/run/docker.sock"]));
    assert_eq!(host["Privileged"], false);
    assert_eq!(docker(&["exec", &name, "id", "-u"]), "1000", "not root inside");
    assert_eq!(docker(&["exec", &name, "python3", "-c", VERSION]), "200 True", "docker version works");
    assert_eq!(docker(&["exec", &name, "printenv", "COURSE", "MEM_LIMIT"]), "physics 2\n536870912");
    docker(&["exec", &name, "sh", "-c", "echo kept > /data/file"]);
    let label = docker(&["volume", "inspect", "--format", "{{index .Labels \"slipway.instance\"}}", &data]);
    assert_eq!(label, world.instance());
    let record = world.spawner.record(&alice()).expect("a record");
    assert!(record.granted.iter().any(|note| note.label == "Docker socket" && note.from == group()), "{record:?}");

    world.stop(&alice()).await;
    *world.granted.lock() = Effective { volumes: vec![volume(&data, "/elsewhere", true)], ..Effective::default() };
    assert_eq!(world.start(&alice()).await.state, ServerState::Ready, "a second start has no mount twice");
    let host = host_config(&name);
    assert!(host["Memory"] == 0 && host["Binds"].is_null() && host["NanoCpus"] == 0, "{host:#}");
    assert_eq!(docker(&["exec", &name, "cat", "/elsewhere/file"]), "kept");
    docker(&["exec", &name, "sh", "-c", "! touch /elsewhere/x 2>/dev/null && ! test -e /var/run/docker.sock"]);
    docker(&["exec", &name, "sh", "-c", "test -z \"$COURSE\" && test -z \"$MEM_LIMIT\""]);
    world.stop(&alice()).await;
    docker(&["volume", "rm", &data]);
}

/// The engine here may not be able to run it; that it is asked for is what counts (trap 38).
#[tokio::test(flavor = "multi_thread")]
async fn a_privileged_container_is_one_to_the_engine() {
    let world = World::with(INSTANT, |_| {}).await;
    *world.granted.lock() = Effective { privileged: group(), ..Effective::default() };
    let host = &world.made(&alice()).await["HostConfig"];
    assert_eq!((&host["Privileged"], &host["CapDrop"]), (&Value::Bool(true), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_volume_is_given_but_those_for_groups() {
    let world = World::with(INSTANT, |_| {}).await;
    let foreign = format!("foreign-{}", world.container(&alice()));
    docker(&["volume", "create", &foreign]);
    let bobs = format!("{}_home", world.container(&user("bob")));
    for name in [&foreign, &bobs] {
        *world.granted.lock() = Effective { volumes: vec![volume(name, "/data", false)], ..Effective::default() };
        let status = world.start(&alice()).await;
        let sentence = &failure(&status).sentence;
        assert!(sentence.contains(name.as_str()) && sentence.contains("spawner.docker.group_volumes"), "{sentence}");
    }
    docker(&["volume", "rm", &foreign]);
}

/// The engine here has no graphics processors: it makes the container as it is asked to, and cannot start it.
#[tokio::test(flavor = "multi_thread")]
async fn graphics_processors_are_asked_for_by_their_uuids() {
    let world = World::with(INSTANT, |_| {}).await;
    let uuids = ["GPU-5a1c2f6e-0b1d-4c1e-9a51-0f9f6b7c8d01", "GPU-5a1c2f6e-0b1d-4c1e-9a51-0f9f6b7c8d02"];
    let check = async |gpus: GpuRequest, expected: Value, visible: &str| {
        *world.lent.lock() = gpus;
        let made = world.made(&alice()).await;
        assert_eq!(made["HostConfig"]["DeviceRequests"], expected);
        let variables = made["Config"]["Env"].as_array().expect("variables");
        let wanted = format!("NVIDIA_VISIBLE_DEVICES={visible}");
        assert!(variables.iter().any(|variable| *variable == wanted), "{variables:?}");
        world.stop(&alice()).await;
    };
    let request = |count: i64, ids: Value| {
        serde_json::json!([{
            "Driver": "nvidia", "Count": count, "DeviceIDs": ids, "Capabilities": [["gpu"]], "Options": null
        }])
    };
    let ids = uuids.map(str::to_owned).to_vec();
    check(GpuRequest::Ids(ids), request(0, serde_json::json!(uuids)), &uuids.join(",")).await;
    check(GpuRequest::All, request(-1, Value::Null), "all").await;
    check(GpuRequest::None, Value::Null, "void").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_says_its_version_and_whether_it_can_give_graphics_processors() {
    let world = World::with(INSTANT, |_| {}).await;
    let facts = world.spawner.engine_facts().await.expect("it answers");
    assert_eq!(facts.version, Some(docker(&["version", "--format", "{{.Server.Version}}"])));
    let runtimes = docker(&["info", "--format", "{{json .Runtimes}}"]);
    assert_eq!(facts.gives_gpus, runtimes.contains("\"nvidia"));
}
