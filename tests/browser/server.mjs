// One person's server, from both sides: its owner restarts it, resets a volume, gets what groups give; the
// administrator sees it live and shuts the person out. Real containers: what the pages say is compared with what the
// engine has. Pictures go to artefacts/server/; axe-core must find nothing on our pages.

import { before } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { askServer, look, openKernelSocket, runInNewNotebook, until, waitForJupyterLab } from "./browser.mjs";
import { makeSlipwayStory, path, reach, sent, signIn, submit } from "./story.mjs";

const password = "a ship, a slip, a way";
/** Where a mark is left: in the container's own layer, and in each volume. */
const marks = { layer: "/tmp/mark", home: "/home/jovyan/mark", workspace: "/home/jovyan/work/mark", cache: "/home/jovyan/.cache/mark" };

const { artefacts, begin, lastStep, person, step } = makeSlipwayStory("server");
let slipway, admin, bob;

before(async () => {
  slipway = await begin();
  slipway.addUser("admin", password, "--admin");
  slipway.addUser("bob", password);
  admin = await person();
  bob = await person();
});

/** A page that is loaded again forgets this. */
const mark = (page) => page.evaluate(() => { window.wasHereBefore = true; });
const isSamePage = (page) => page.evaluate(() => window.wasHereBefore === true);

/** The state of their server as their home page shows it. */
const homeState = (page, state, limit_ms = 60_000) =>
  page.locator(`[data-live-part=server][data-state=${state}]`).waitFor({ timeout: limit_ms });

/** Starts bob's server by the home page; the start page leads to JupyterLab. */
async function startByHome() {
  await bob.goto("/hub/home");
  await sent(bob, () => bob.getByRole("button", { name: "Start server" }).click());
  await reach(bob, "/user/bob/lab");
}

/** Stops it there, and waits until the page says so by itself and the container is gone. */
async function stopByHome() {
  await bob.goto("/hub/home");
  await bob.getByRole("button", { name: /^stop/i }).first().click();
  await submit(bob, '[action$="/hub/stop/bob"]');
  await homeState(bob, "stopped");
  await until("the container is gone", 30_000, () => !slipway.containers().some((name) => name.endsWith("-bob")));
}

/** What stands at the marks of bob's container; null where nothing does. */
function readMarks() {
  const all = Object.entries(marks).map(([place, file]) => [place, slipway.inside("bob", "sh", "-c", `cat ${file} 2>/dev/null || echo nothing`)]);
  return Object.fromEntries(all);
}

/** Asks on the page of a user, and says yes. */
async function doToBob(act) {
  await admin.goto("/hub/admin/users/bob");
  await admin.click(`[name=just][value="${act} bob"]`);
}

step("the list of users follows a start without a reload", async () => {
  await signIn(admin, "admin", password);
  await signIn(bob, "bob", password);
  await admin.goto("/hub/admin");
  await mark(admin);
  const seen = new Set();
  const row = admin.locator("#u-bob");
  assert.match(await row.innerText(), /Stopped/);
  const started = startByHome();
  await until("the list has said Starting and Running", 90_000, async () => {
    const text = await row.innerText();
    for (const word of ["Starting", "Running"]) if (text.includes(word)) seen.add(word);
    return seen.has("Running");
  });
  await started;
  assert.deepEqual([...seen], ["Starting", "Running"]);
  assert.ok(await isSamePage(admin), "the page was not loaded again");
  await look(admin, "users-running", artefacts);
});

step("a restart keeps the container and begins a new process, and the home page follows it without a reload", async () => {
  await waitForJupyterLab(bob, 90_000);
  const files = JSON.stringify(Object.values(marks));
  assert.equal(await runInNewNotebook(bob, `for file in ${files}: open(file, "w").write("here"); print("x", end="")`), "xxxx");
  const earlier = slipway.inspect("bob");
  const kernelsBefore = await askServer(bob, "/user/bob/api/kernels");
  assert.equal(kernelsBefore.length, 1);
  await bob.goto("/hub/home");
  await look(bob, "home-running", artefacts);
  await bob.getByRole("button", { name: "Restart…" }).click();
  const dialog = bob.locator("dialog[open]");
  assert.match(await dialog.innerText(), /not saved/);
  await look(bob, "home-restart-dialog", artefacts);
  await submit(bob, '[action$="/hub/restart/bob"]');
  assert.equal(path(bob), "/hub/home");
  await mark(bob);
  await homeState(bob, "restarting", 5_000);
  await bob.screenshot({ path: join(artefacts, "home-restarting.png") });
  const begun = Date.now();
  await homeState(bob, "ready");
  console.log(`a restart is followed for ${Date.now() - begun} ms`);
  assert.ok(await isSamePage(bob), "the page was not loaded again");
  const later = slipway.inspect("bob");
  assert.equal(later.Id, earlier.Id);
  assert.notEqual(later.State.StartedAt, earlier.State.StartedAt);
  assert.notEqual(later.State.Pid, earlier.State.Pid);
  assert.deepEqual(readMarks(), { layer: "here", home: "here", workspace: "here", cache: "here" });
  await bob.getByRole("link", { name: "Open JupyterLab" }).click();
  await waitForJupyterLab(bob, 90_000);
  const sockets = await askServer(bob, "/user/bob/api/kernels");
  assert.ok(!sockets.some(({ id }) => id === kernelsBefore[0].id), "the kernel of before is gone");
});

step("without JavaScript a restart is asked for on a page of its own", async () => {
  await admin.goto("/hub/restart/bob");
  await look(admin, "restart", artefacts);
});

step("a volume is reset only when the server is stopped, and after a question", async () => {
  await bob.goto("/hub/volumes");
  assert.equal(await bob.getByRole("checkbox", { name: /cache/i }).isDisabled(), true);
  await look(bob, "volumes-running", artefacts);
  await stopByHome();
  await bob.goto("/hub/volumes");
  await look(bob, "volumes", artefacts);
  await bob.locator('[name=volume][value="cache"]').check();
  await bob.getByRole("button", { name: /reset/i }).click();
  const question = await bob.locator("main").innerText();
  assert.match(question, /cache/i);
  assert.doesNotMatch(question, /workspace/i);
  await look(bob, "volumes-question", artefacts);
  await submit(bob, '[action*="/hub/volumes/bob/reset"]');
  assert.match(await bob.locator("[role=status].note-good").innerText(), /cache was reset/);
  await look(bob, "volumes-reset", artefacts);
});

step("after the next start what was in the volume is gone, and the others kept theirs", async () => {
  await startByHome();
  assert.deepEqual(readMarks(), { layer: "nothing", home: "here", workspace: "here", cache: "nothing" });
});

step("a disabled account is out within a second, and in again when it is enabled", async () => {
  await waitForJupyterLab(bob, 90_000);
  await askServer(bob, "/user/bob/api/kernels", "POST");
  const socket = await openKernelSocket(bob, "/user/bob/");
  await doToBob("disable");
  await look(admin, "user-disable", artefacts);
  const asked = Date.now();
  const closed = socket.closedAt(10_000);
  // Its answer is not waited for: the container ends meanwhile, and Chromium may drop what the change of the network hits.
  await admin.locator('form[action$="/hub/admin/do"] button[type="submit"]').click({ noWaitAfter: true });
  const took = (await closed) - asked;
  assert.ok(took <= 1_000, `it took ${took} ms`);
  console.log(`a disabled account is out after ${took} ms`);
  await until("the container is gone", 30_000, () => !slipway.containers().some((name) => name.endsWith("-bob")));
  await bob.goto("/hub/home");
  assert.equal(path(bob), "/hub/login");
  assert.equal(await signIn(bob, "bob", password), 403);
  await look(bob, "login-disabled", artefacts);
  await doToBob("enable");
  await admin.locator("main").getByText(/account enabled|Can sign in/).first().waitFor();
  await signIn(bob, "bob", password);
  assert.equal(path(bob), "/hub/home");
});

step("a group is made, says what it grants, and takes a member in", async () => {
  await admin.goto("/hub/groups");
  await look(admin, "groups-first", artefacts);
  await admin.fill("#name", "physics");
  await admin.fill("#description", "Those of the physics course");
  await sent(admin, () => admin.getByRole("button", { name: "Make group" }).click());
  assert.equal(path(admin), "/hub/groups/physics");
  await admin.check("[name=mem_limit_enabled]");
  await admin.fill("#mem_limit_gb", "1.5");
  await admin.check("[name=cpu_limit_enabled]");
  await admin.fill("#cpu_limit_cores", "1.5");
  await admin.check("[name=env_vars_active]");
  await admin.locator("[name=env_name]").first().fill("COURSE");
  await admin.locator("[name=env_value]").first().fill("physics 2");
  await admin.check("[name=volume_mounts_active]");
  await admin.locator("[name=volume]").first().fill(`${slipway.name}_physics`);
  // Everything of the host's own is refused beside the field, and what was typed stays.
  await admin.locator("[name=mountpoint]").first().fill("/etc");
  const save = () => sent(admin, () => admin.getByRole("button", { name: "Save" }).click());
  assert.equal(await save(), 400);
  assert.equal(await admin.inputValue("#mem_limit_gb"), "1.5");
  await look(admin, "group-refused", artefacts);
  await admin.locator("[name=mountpoint]").first().fill("/data");
  assert.equal(await save(), 303);
  await admin.fill("#add", "bob");
  assert.equal(await sent(admin, () => admin.getByRole("button", { name: "Add to group" }).click()), 303);
  await look(admin, "group", artefacts);
  await admin.goto("/hub/groups");
  await look(admin, "groups", artefacts);
});

step("who shall be root on the host needs the administrator's password again", async () => {
  await admin.goto("/hub/groups/docker-privileged");
  const add = async (words) => {
    await admin.fill("#add", "bob");
    await admin.fill("#members-password", words);
    return sent(admin, () => admin.getByRole("button", { name: "Add to group" }).click());
  };
  assert.equal(await add("not this one"), 403);
  await look(admin, "group-root-refused", artefacts);
  await admin.goto("/hub/groups/docker-privileged");
  assert.match(await admin.locator("#members").innerText(), /Nobody yet/);
  assert.equal(await add(password), 303);
  await look(admin, "group-root", artefacts);
  await admin.goto("/hub/grants/bob");
  const grants = await admin.locator("main").innerText();
  for (const words of ["COURSE", "1.5", "/data", "docker-privileged", "physics"]) assert.ok(grants.includes(words), `${words}: ${grants}`);
  await look(admin, "grants", artefacts);
  await bob.goto("/hub/grants");
  await look(bob, "grants-own", artefacts);
});

step("the next start has what the groups give, and the engine answers inside the member's server", async () => {
  await startByHome();
  const { HostConfig: host, Config: config, Mounts: mounts } = slipway.inspect("bob");
  assert.equal(host.Memory, 1.5 * 2 ** 30);
  assert.equal(host.NanoCpus, 1_500_000_000);
  assert.ok(config.Env.includes("COURSE=physics 2"));
  assert.ok(mounts.some(({ Name, Destination }) => Name === `${slipway.name}_physics` && Destination === "/data"), JSON.stringify(mounts));
  assert.equal(slipway.inside("bob", "id", "-u"), "1000");
  // Without the notebooks of before: one that is opened again asks which kernel it shall have.
  await bob.goto("/user/bob/lab?reset");
  await waitForJupyterLab(bob, 90_000);
  // As `docker version` asks; its program is not in the image.
  const printed = await runInNewNotebook(bob, "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/var/run/docker.sock'); "
    + "s.sendall(b'GET /version HTTP/1.0\\r\\n\\r\\n'); print(b'\"ApiVersion\"' in s.makefile('rb').read(), open('/data/mark', 'w').write('kept'))");
  assert.equal(printed, "True 4");
  await bob.screenshot({ path: join(artefacts, "jupyterlab-docker.png") });
  await bob.goto("/hub/home");
  await look(bob, "home-granted", artefacts);
});

step("after leaving the groups a running server keeps what it has, and the next start has nothing of it", async () => {
  for (const group of ["physics", "docker-privileged"]) {
    await admin.goto(`/hub/groups/${group}`);
    assert.equal(await sent(admin, () => admin.getByRole("button", { name: /^Remove/ }).click()), 303);
    assert.match(await admin.locator("#members").innerText(), /Nobody yet/);
  }
  assert.equal(slipway.inside("bob", "cat", "/data/mark"), "kept");
  await stopByHome();
  await startByHome();
  const { HostConfig: host, Config: config, Mounts: mounts } = slipway.inspect("bob");
  assert.deepEqual([host.Memory, host.NanoCpus, host.Privileged, host.Binds ?? []], [0, 0, false, []]);
  assert.ok(!config.Env.some((line) => line.startsWith("COURSE=")));
  assert.ok(!mounts.some(({ Destination }) => ["/data", "/var/run/docker.sock"].includes(Destination)), JSON.stringify(mounts));
  assert.equal(slipway.inside("bob", "sh", "-c", "test -e /var/run/docker.sock || echo none"), "none");
});

step("a group is deleted after a question, and the built-in one is not", async () => {
  await admin.goto("/hub/groups/physics/delete");
  await look(admin, "group-delete", artefacts);
  await submit(admin, '[action$="/hub/groups/physics/delete"]');
  assert.match(await admin.locator(".note-good").innerText(), /physics is gone/);
  assert.equal((await admin.goto("/hub/groups/docker-privileged/delete")).status(), 409);
});

lastStep();
