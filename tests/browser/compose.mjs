// Slipway in the place of Traefik and the hub, as somebody meets it who comes from the old stack: their compose file with
// one service changed (tests/compose/old.yml) comes up on the real engine, and a real browser goes from sign-up to a
// notebook. The stack is restarted, gets a new version, is taken down, and comes up again from our own compose.yml by
// compose.sh under another project name; one kernel lives through all of it.
//
// Images: tests/compose/build.sh and tests/lab/build.sh.

import { after, before } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askServer, makeCertificates, runInNewNotebook, startChromium, until, waitForJupyterLab } from "./browser.mjs";
import { freePort } from "./slipway.mjs";
import { fillSignUp, makeStory, path, sendSignUp, submit } from "./story.mjs";

const repo = new URL("../../", import.meta.url).pathname;
const artefacts = new URL("./artefacts/compose/", import.meta.url).pathname;
const password = "a ship, a slip, a way";
const lab = "slipway-lab:local";
/** What the platform's compose files call it. */
const base = "/jupyterhub";

const docker = (...args) => execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
const lines = (text) => text.split("\n").filter(Boolean);
const inspect = (name) => JSON.parse(docker("inspect", name))[0];
const hasV2 = spawnSync("docker", ["compose", "version"]).status === 0;
const hasV1 = spawnSync("docker-compose", ["version"]).status === 0;

const stage = { artefacts, lastLog: () => (own ? lines(log()).slice(-30).join("\n") : "no container") };
const { lastStep, person, step } = makeStory(stage);
let folder, prefix, environment, certificates, httpPort, own, admin, first;

before(async () => {
  rmSync(artefacts, { recursive: true, force: true });
  mkdirSync(artefacts, { recursive: true });
  folder = mkdtempSync(join(tmpdir(), "slipway-compose-"));
  certificates = makeCertificates(folder);
  // Slipway is no root there.
  for (const file of readdirSync(certificates.certs)) chmodSync(join(certificates.certs, file), 0o644);
  const port = await freePort();
  httpPort = await freePort();
  prefix = `ct${port}`;
  writeFileSync(join(folder, "old.yml"), ownNames(readFileSync(join(repo, "tests/compose/old.yml"), "utf8")));
  environment = {
    ...process.env, PREFIX: prefix, IMAGE: "slipway-compose:one", LAB_IMAGE: lab, CERTS: certificates.certs,
    HTTPS_PORT: String(port), HTTP_PORT: String(httpPort), DOCKER_GID: String(statSync("/var/run/docker.sock").gid),
  };
  stage.origin = `https://localhost:${port}`;
  stage.browser = await startChromium(folder, certificates.authority);
  admin = await person();
});

after(async () => {
  await stage.browser?.close();
  for (const container of lines(docker("ps", "--all", "--quiet", "--filter", `name=^/?${prefix}`))) docker("rm", "--force", "--volumes", container);
  for (const volume of lines(docker("volume", "ls", "--quiet", "--filter", `name=^${prefix}`))) docker("volume", "rm", volume);
  for (const network of lines(docker("network", "ls", "--format", "{{.Name}}", "--filter", `name=^${prefix}`))) docker("network", "rm", network);
  rmSync(folder, { recursive: true, force: true });
});

/** A compose file with names of this test, the keys too: Compose asks whether a network that is there has its key. */
const ownNames = (text) => text.replaceAll(/\b(slipway_data|jupyterhub_shared|jupyterhub_network|a_frontend)\b/g, `${prefix}$1`);

/** Compose on the old file: v1 where it is, which is Debian's. */
function oldStack(...words) {
  const [program, ...begin] = hasV1 ? ["docker-compose"] : ["docker", "compose"];
  const all = [...begin, "--project-name", prefix, "--file", join(folder, "old.yml"), ...words];
  const { status, stdout, stderr } = spawnSync(program, all, { cwd: folder, env: environment, encoding: "utf8" });
  return { status, text: stdout + stderr };
}

function up() {
  const { status, text } = oldStack("up", "--detach");
  assert.equal(status, 0, text);
}

/** Waits for the health check of the image, and remembers the container. */
async function isWell(name) {
  await until(`${name} is well`, 60_000, () => spawnSync("docker", ["inspect", name, "--format", "{{.State.Health.Status}}"], { encoding: "utf8" }).stdout.trim() === "healthy");
  own = inspect(name).Id;
}

const ownName = () => `${prefix}-slipway`;
const server = () => inspect(`${prefix}lab-admin`);
const variable = (container, name) => container.Config.Env.find((line) => line.startsWith(`${name}=`))?.slice(name.length + 1);
const log = () => execFileSync("sh", ["-c", 'docker logs "$0" 2>&1', own], { encoding: "utf8" });

async function signIn(page) {
  await page.goto(`${base}/hub/login`);
  await page.fill('input[name="username"]', "admin");
  await page.fill('input[name="password"]', password);
  await submit(page, ':has(input[name="password"])');
}

/** What the server's only kernel prints for `code`, by the page's own socket to it. */
async function askKernel(page, code) {
  const [kernel] = await askServer(page, `${base}/user/admin/api/kernels`);
  return page.evaluate(([address, code]) => new Promise((printed, failed) => {
    const socket = new WebSocket(`wss://${location.host}${address}`);
    const id = crypto.randomUUID().replaceAll("-", "");
    setTimeout(() => failed(new Error("the kernel did not answer in 20 s")), 20_000);
    socket.onerror = () => failed(new Error("the kernel's socket failed"));
    socket.onopen = () => socket.send(JSON.stringify({
      channel: "shell", parent_header: {}, metadata: {},
      header: { msg_id: id, msg_type: "execute_request", username: "", session: id, version: "5.3", date: new Date().toISOString() },
      content: { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: true },
    }));
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.parent_header.msg_id !== id) return;
      if (message.msg_type === "error") failed(new Error(message.content.evalue));
      if (message.msg_type === "stream") { printed(message.content.text.trim()); socket.close(); }
    };
  }), [`${base}/user/admin/api/kernels/${kernel.id}/channels?session_id=test`, code]);
}

/** The same server as in the beginning, which knows the same hub and the same token, and whose kernel has its memory. */
async function isAdopted() {
  await until("the server's page", 30_000, async () => (await admin.goto(`${base}/user/admin/lab`)).status() === 200 && path(admin).startsWith(`${base}/user/admin/lab`));
  await waitForJupyterLab(admin);
  assert.equal(await askKernel(admin, "print(x + 1)"), "42");
  const now = server();
  assert.deepEqual([now.Id, now.State.StartedAt], [first.Id, first.State.StartedAt], "the same container, never restarted");
  // The server itself finds the hub: what asks there, with its own token, is the server's program.
  const asked = docker("exec", now.Id, "python3", "-c", [
    "import os, json, urllib.request as u",
    "r = u.Request(os.environ['JUPYTERHUB_API_URL'] + '/user', headers={'Authorization': 'token ' + os.environ['JUPYTERHUB_API_TOKEN']})",
    "print(json.load(u.urlopen(r, timeout=10))['name'])",
  ].join("\n"));
  assert.equal(asked, "admin");
}

step("the old compose file, with Slipway in it, comes up and is well", async () => {
  up();
  await isWell(ownName());
  const { Config } = inspect(own);
  assert.equal(Config.User, "1000:1000", "no root");
  assert.doesNotMatch(docker("history", "--no-trunc", "slipway-compose:one"), /PRIVATE KEY|PASSWORD/i);
});

step("every name of the old environment is told once with its new one", () => {
  const said = log();
  for (const line of [
    "JUPYTERHUB_ADMIN is read as auth.admins; its new name is SLIPWAY_AUTH_ADMINS",
    "DOCKER_NOTEBOOK_IMAGE is read as spawner.docker.image",
    "DOCKER_NETWORK_NAME is read as spawner.docker.network",
    "JUPYTERHUB_BASE_URL is read as base_url",
    "ENABLE_GPU_SUPPORT is read as gpu.enable",
    "ENABLE_JUPYTERHUB_SSL is not needed",
    "ENABLE_SERVICE_MLFLOW goes to servers",
    "NVIDIA_AUTODETECT_IMAGE is not needed",
  ]) assert.equal(said.split(line).length, 2, `${line}\n${said}`);
  const check = docker("exec", own, "slipway", "check");
  assert.match(check, /^base_url = "\/jupyterhub" +# environment JUPYTERHUB_BASE_URL$/m);
  assert.match(check, /^routers.docker.enable = true +# \/etc\/slipway\/platform.toml:\d+$/m);
  assert.match(check, /^listener.https = \["\[::\]:443"\] +# \/etc\/slipway\/platform.toml:\d+$/m);
});

step("plain HTTP leads to HTTPS", async () => {
  const answer = await new Promise((resolve, reject) => http.get({ host: "127.0.0.1", port: httpPort, path: `${base}/hub/home`, headers: { host: "localhost" } }, resolve).on("error", reject));
  answer.resume();
  assert.ok([301, 308].includes(answer.statusCode), String(answer.statusCode));
  assert.equal(answer.headers.location, `https://localhost${base}/hub/home`);
});

step("the administrator signs up with the setup link and lands at home", async () => {
  const link = execFileSync("sh", ["-c", 'docker cp "$0:/data/setup-link" - | tar -xO', own], { encoding: "utf8" }).trim();
  const { pathname, search } = new URL(link);
  await admin.goto(pathname + search);
  await fillSignUp(admin, "admin", password);
  await sendSignUp(admin);
  assert.equal(path(admin), `${base}/hub/home`);
});

step("opening one's own server starts it, and a notebook prints", async () => {
  await admin.goto(`${base}/user/admin/lab`);
  await waitForJupyterLab(admin, 90_000);
  assert.equal(await runInNewNotebook(admin, "x = 41; print(x)"), "41");
  await admin.screenshot({ path: join(artefacts, "jupyterlab.png") });
  first = server();
});

step("the server is where the old stack had it: its network, its volumes, its variables, a hub by name", () => {
  // platform.md §26, trap 15: of the two networks of Slipway's container the servers' own.
  assert.deepEqual(Object.keys(first.NetworkSettings.Networks), [`${prefix}jupyterhub_network`]);
  const mounts = Object.fromEntries(first.Mounts.map(({ Destination, Name }) => [Destination, Name]));
  assert.deepEqual(mounts, {
    "/home": `${prefix}lab-admin_home`,
    "/home/lab/workspace": `${prefix}lab-admin_workspace`,
    "/home/lab/.cache": `${prefix}lab-admin_cache`,
    "/mnt/shared": `${prefix}jupyterhub_shared`,
  });
  // Trap 35: the very volume that Compose made, and no second one beside it.
  assert.deepEqual(lines(docker("volume", "ls", "--quiet", "--filter", "name=jupyterhub_shared", "--filter", `name=${prefix}`)).filter((name) => name.includes("shared")), [`${prefix}jupyterhub_shared`]);
  docker("exec", first.Id, "sh", "-c", "echo shared >/mnt/shared/note && echo own >/home/lab/workspace/note");
  assert.equal(execFileSync("sh", ["-c", 'docker cp "$0:/mnt/shared/note" - | tar -xO', own], { encoding: "utf8" }).trim(), "shared");
  const expected = { ENABLE_SERVICE_MLFLOW: "0", ENABLE_SERVICE_GLANCES: "1", TF_CPP_MIN_LOG_LEVEL: "3", TENSORBOARD_LOGDIR: "/tmp/tensorboard", MLFLOW_TRACKING_URI: "http://localhost:5000" };
  for (const [name, value] of Object.entries(expected)) assert.equal(variable(first, name), value, name);
  // Trap 14: neither the container's id nor an address.
  assert.equal(variable(first, "JUPYTERHUB_API_URL"), `http://slipway:8080${base}/hub/api`);
});

step("the stack is restarted, and the server goes on", async () => {
  const { status, text } = oldStack("restart");
  assert.equal(status, 0, text);
  await isWell(ownName());
  await isAdopted();
});

step("a new version comes up in its place, and the server goes on", async () => {
  const before = own;
  environment.IMAGE = "slipway-compose:two";
  up();
  await isWell(ownName());
  assert.notEqual(own, before, "another container");
  assert.equal(inspect(own).Config.Image, "slipway-compose:two");
  await isAdopted();
});

step("the stack is taken down, and the server runs on without it", () => {
  // v1 calls it a failure that the network is in use; v2 says so and goes on.
  const { text } = oldStack("down");
  own = undefined;
  assert.equal(spawnSync("docker", ["inspect", ownName()]).status, 1, text);
  assert.equal(server().State.Running, true);
});

const place = () => join(folder, "stack");
/** compose.sh in its own folder: the files of a release, an override, and another project name. HOME is another one, where
 *  the engine's client finds no plugins but those of DOCKER_CONFIG. */
function composeSh(...words) {
  const env = { PATH: process.env.PATH, HOME: folder, ...(!isV1 && process.env.DOCKER_CONFIG && { DOCKER_CONFIG: process.env.DOCKER_CONFIG }) };
  return spawnSync("./compose.sh", words, { cwd: place(), env, encoding: "utf8" });
}
let isV1 = false;

step(`our own compose file takes over by compose.sh (${hasV2 ? "Compose v2" : "no v2 here: v1"}), whatever the project is called`, async () => {
  mkdirSync(join(place(), "config"), { recursive: true });
  cpSync(join(repo, "compose.sh"), join(place(), "compose.sh"));
  writeFileSync(join(place(), "compose.yml"), ownNames(readFileSync(join(repo, "compose.yml"), "utf8")));
  cpSync(certificates.certs, join(place(), "certs"), { recursive: true });
  writeFileSync(join(place(), ".env"), [
    // No end of the line: compose.sh writes after it.
    "COMPOSE_PROJECT_NAME=anothername", "SLIPWAY_IMAGE=slipway-compose:one",
    `SLIPWAY_HTTPS_PORT=127.0.0.1:${environment.HTTPS_PORT}`, `SLIPWAY_HTTP_PORT=127.0.0.1:${httpPort}`,
  ].join("\n"));
  writeFileSync(join(place(), "my-slipway.toml"), '[auth]\nmnemonic_words = 5\n[spawner]\nactive_servers = 9\n');
  writeFileSync(join(place(), "jupyterhub_config.py"), [
    "c = get_config()", "c.JupyterHub.active_server_limit = 7", "c.JupyterHub.concurrent_spawn_limit = 77",
    "c.JupyterHub.bind_url = 'http://:8000'", "c.Spawner.pre_spawn_hook = lambda spawner: None",
  ].join("\n"));
  writeFileSync(join(place(), "compose_override.yml"), `
services:
  slipway:
    container_name: ${ownName()}
    environment:
      ENABLE_GPU_SUPPORT: "0"
      SLIPWAY_SPAWNER_DOCKER_IMAGE: ${lab}
      SLIPWAY_SPAWNER_DOCKER_NAME_PREFIX: ${prefix}lab
      SLIPWAY_SPAWNER_DOCKER_SHARED_VOLUMES: '{ ${prefix}jupyterhub_shared = "/mnt/shared" }'
    volumes:
      - ./my-slipway.toml:/etc/slipway/config/slipway.toml:ro
      - ./jupyterhub_config.py:/srv/jupyterhub/jupyterhub_config.py:ro
`);
  const { status, stdout, stderr } = composeSh();
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, new RegExp(`compose: Slipway is at ${stage.origin}${base}/`));
  assert.doesNotMatch(stdout, /code=/, "there is an administrator already");
  assert.match(readFileSync(join(place(), ".env"), "utf8"), new RegExp(`^DOCKER_GID=${environment.DOCKER_GID}$`, "m"));
  await isWell(ownName());
  // The browser is still signed in, and the password is still hers.
  assert.equal((await admin.goto(`${base}/hub/home`)).status(), 200);
  assert.equal(path(admin), `${base}/hub/home`);
  const elsewhere = await person();
  await signIn(elsewhere);
  assert.equal(path(elsewhere), `${base}/hub/home`);
  await isAdopted();
});

step("the override's own slipway.toml counts, and the old Python file is told key by key", () => {
  const { status, stdout, stderr } = composeSh("check");
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^auth.mnemonic_words = 5 +# config\/slipway.toml:2$/m);
  assert.match(stdout, /^gpu.enable = 0 +# environment ENABLE_GPU_SUPPORT$/m);
  assert.match(stdout, /^spawner.concurrent_starts = 77 +# \/srv\/jupyterhub\/jupyterhub_config.py:3$/m);
  assert.match(stdout, /^spawner.active_servers = 9 +# config\/slipway.toml:4$/m);
  assert.match(stdout, /^# note: .*listener.https is a matter of the container/m);
  assert.match(stdout, /^# warning: .*line 5: c.Spawner.pre_spawn_hook: .*spawner.profiles/m);
  assert.match(log(), /taken over as spawner.concurrent_starts/);
  assert.match(log(), /not used, since spawner.active_servers is set by config\/slipway.toml:4/);
});

/** A second Slipway, in a container that Compose did not make; `settings` are variables, `networks` its own. */
function other(settings, ...networks) {
  const name = `${prefix}-other`;
  const variables = Object.entries(settings).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
  docker("create", "--name", name, "--network", networks[0], "--group-add", environment.DOCKER_GID, ...variables,
    "--volume", "/var/run/docker.sock:/var/run/docker.sock", "slipway-compose:one");
  for (const network of networks.slice(1)) docker("network", "connect", network, name);
  docker("start", name);
  own = inspect(name).Id;
  return name;
}

step("of several networks the servers' one is known by its label, and never guessed", async () => {
  for (const name of ["one", "two"]) docker("network", "create", `${prefix}${name}`);
  const name = other({}, `${prefix}one`, `${prefix}two`);
  assert.equal(docker("wait", name), "1");
  assert.match(log(), new RegExp(`on several networks \\(${prefix}one, ${prefix}two\\): name the servers' in spawner.docker.network`));
  docker("network", "create", "--label", "slipway.network=servers", `${prefix}zlabelled`);
  docker("network", "connect", `${prefix}zlabelled`, name);
  docker("start", name);
  await until("it starts with a labelled network", 20_000, () => log().includes('"message":"ready"'));
  docker("rm", "--force", "--volumes", name);
});

step("a network that Slipway is not on is made and joined under a lasting name", async () => {
  const network = `${prefix}fresh`;
  const name = other({ SLIPWAY_SPAWNER_DOCKER_NETWORK: network }, `${prefix}one`);
  await until("it has started", 20_000, () => log().includes('"message":"ready"'));
  assert.ok(inspect(name).NetworkSettings.Networks[network].Aliases.includes("slipway"));
  // Without it servers could not reach a hub that is a container as they are.
  assert.equal(JSON.parse(docker("network", "inspect", network))[0].Options["com.docker.network.bridge.enable_icc"], "true");
  docker("rm", "--force", "--volumes", name);
  own = inspect(ownName()).Id;
});

step("the names of volumes do not follow the project's, and the examples are what Compose understands", () => {
  const config = (...words) => {
    const [program, ...begin] = hasV2 ? ["docker", "compose"] : ["docker-compose"];
    return execFileSync(program, [...begin, ...words, "config"], { cwd: repo, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  };
  // Trap 9: another project name lost everybody's data.
  const names = (project) => config("--project-name", project, "--file", "compose.yml").match(/name: (slipway_data|jupyterhub_shared|jupyterhub_network)$/gm).sort();
  assert.deepEqual(names("one"), names("two"));
  assert.equal(names("one").length, 3);
  const example = config("--file", "compose.yml", "--file", "compose_override.example.yml");
  assert.match(example, /type: cifs/);
  assert.match(example, /driver: nvidia/);
});

step("compose.sh takes the stack down, and the server stays", () => {
  const { status, stdout, stderr } = composeSh("down");
  own = undefined;
  assert.equal(status, 0, stdout + stderr);
  assert.equal(server().State.Running, true);
});

step("with Compose v1 compose.sh does the same, and prints the setup link while nobody administers", () => {
  const env = { PATH: process.env.PATH, HOME: folder };
  if (!hasV1 || spawnSync("docker", ["compose", "version"], { env }).status === 0) return;
  isV1 = true;
  docker("volume", "rm", `${prefix}slipway_data`);
  const { status, stdout, stderr } = composeSh();
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, new RegExp(`compose:   ${stage.origin}${base}/hub/signup\\?code=\\S+`));
  own = inspect(ownName()).Id;
  // Another installation's now: the same name does not make it ours.
  assert.equal(server().State.StartedAt, first.State.StartedAt);
  const end = composeSh("down");
  own = undefined;
  assert.equal(end.status, 0, end.stdout + end.stderr);
  assert.equal(server().State.Running, true);
});

lastStep();
