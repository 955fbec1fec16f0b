// The story that Slipway is for, told in a real Chromium against the real program, Docker and JupyterLab:
// a person signs up, signs in and is in their own JupyterLab. Each step stands on the one before, so the first
// that fails skips the rest. Every page is looked at on the way: pictures of it at two sizes, light and dark, go
// to artefacts/, and axe-core must find nothing.

import { before } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { askServer, look, openKernelSocket, runInNewNotebook, until, waitForJupyterLab } from "./browser.mjs";
import { fillSignUp, makeSlipwayStory, path, sendSignUp, signIn, submit } from "./story.mjs";

const passwords = { admin: "a ship, a slip, a way", bob: "bobs very own words" };
const newPassword = "another slip, another way";

const { artefacts, begin, lastStep, person, step } = makeSlipwayStory("story");
let slipway, admin, bob;

before(async () => {
  slipway = await begin();
  admin = await person();
  bob = await person();
});

/** Opens an address of a server, waits for its JupyterLab; returns every address that the tab went through. */
async function openLab(page, address) {
  const seen = [];
  const note = (frame) => { if (frame === page.mainFrame()) seen.push(frame.url().replace(slipway.origin, "")); };
  page.on("framenavigated", note);
  await page.goto(address);
  await waitForJupyterLab(page, 90_000);
  page.off("framenavigated", note);
  return seen;
}

step("a stranger is led to the sign-in page", async () => {
  await admin.goto("/");
  assert.equal(path(admin), "/hub/login");
  await look(admin, "login", artefacts);
});

step("the administrator signs up with the setup link, and is in", async () => {
  await admin.goto(await slipway.setupLink());
  await fillSignUp(admin, "admin", passwords.admin);
  await look(admin, "signup-with-code", artefacts);
  await sendSignUp(admin);
  assert.equal(path(admin), "/hub/home");
  await look(admin, "home-stopped", artefacts);
});

step("a wrong password is refused, and the right one leads to where the person wanted", async () => {
  await admin.goto("/hub/logout");
  assert.equal(path(admin), "/hub/login");
  await look(admin, "login-signed-out", artefacts);
  assert.equal(await signIn(admin, "admin", "not this one"), 403);
  await look(admin, "login-refused", artefacts);
  await signIn(admin, "admin", passwords.admin, "/hub/home?from=here");
  assert.equal(admin.url(), `${slipway.origin}/hub/home?from=here`);
});

step("opening one's own server starts it, and leads to the very address asked for", async () => {
  const address = "/user/admin/lab?story=1";
  const seen = await openLab(admin, address);
  assert.equal(seen[0].split("?")[0], "/hub/spawn-pending/admin", `went through ${seen.join(", ")}`);
  assert.ok(seen.includes(address), `went through ${seen.join(", ")}`);
});

step("a notebook cell prints", async () => {
  assert.equal(await runInNewNotebook(admin, "print(6*7)"), "42");
  await admin.screenshot({ path: join(artefacts, "jupyterlab.png") });
  await admin.keyboard.press("Control+s");
  // The first save of a new notebook asks for its name, and the one that it has will do.
  await admin.locator(".jp-Dialog .jp-mod-accept").click();
  // Jupyter Server writes a file in steps: who reads it meanwhile finds it empty, and makes the save fail.
  await admin.locator('.lm-DockPanel-tabBar .lm-TabBar-tab:has-text("Untitled.ipynb"):not(.jp-mod-dirty)').waitFor();
  const notebook = await askServer(admin, "/user/admin/api/contents/Untitled.ipynb?type=notebook");
  assert.equal(notebook.content.cells[0].source, "print(6*7)");
});

step("its WebSocket came over HTTP/2, as everything else did", async () => {
  // Chromium sends an extended CONNECT (RFC 8441) only where HTTP/2 offers it; else it would open HTTP/1.1
  // connections beside, one for each socket.
  const sockets = await until("the kernel's socket is in the access log", 10_000, () => {
    const found = slipway.accessLog().filter(({ target }) => /^\/user\/admin\/api\/kernels\/.*\/channels/.test(target));
    return found.some(({ status }) => status === 200) && found;
  });
  for (const { method, version } of sockets) assert.deepEqual([method, version], ["CONNECT", "HTTP/2.0"]);
  const fromBrowser = slipway.accessLog().filter(({ address, target }) => address === "127.0.0.1" && target !== "/hub/health");
  assert.deepEqual([...new Set(fromBrowser.map(({ version }) => version))], ["HTTP/2.0"]);
});

step("the home page shows the running server", async () => {
  await admin.goto("/hub/home");
  assert.ok(await admin.getByRole("link", { name: /open/i }).first().isVisible());
  await look(admin, "home-running", artefacts);
});

step("another person asks for an account, and waits", async () => {
  await bob.goto("/hub/signup");
  await look(bob, "signup", artefacts);
  await fillSignUp(bob, "bob", passwords.bob);
  assert.equal(await sendSignUp(bob), 200);
  await look(bob, "signup-waiting", artefacts);
  assert.equal(await signIn(bob, "bob", passwords.bob), 403);
  await look(bob, "login-waiting", artefacts);
});

step("the administrator approves, and the other person gets in", async () => {
  // The old address of those who wait.
  await admin.goto("/hub/authorize");
  assert.equal(path(admin), "/hub/admin");
  await look(admin, "users-waiting", artefacts);
  await admin.click('[name=just][value="approve bob"]');
  assert.match(await admin.locator(".note-good").innerText(), /bob: approved/);
  assert.equal(await admin.locator('[value="approve bob"]').count(), 0);
  await admin.goto("/hub/admin");
  await look(admin, "users", artefacts);
  await admin.goto("/hub/admin/users/bob");
  await look(admin, "user", artefacts);
  await admin.click('[name=just][value="delete bob"]');
  await look(admin, "user-delete", artefacts);
  await signIn(bob, "bob", passwords.bob);
  assert.equal(path(bob), "/hub/home");
});

step("nobody gets into somebody else's server, or to the administrators' list", async () => {
  assert.equal((await bob.goto("/user/admin/lab")).status(), 404);
  await look(bob, "no-such-server", artefacts);
  assert.equal((await bob.goto("/hub/admin")).status(), 403);
  await look(bob, "administrators-only", artefacts);
  assert.equal((await bob.goto("/hub/nothing-here")).status(), 404);
});

step("without JavaScript the start page leads to the server all the same", async () => {
  const plain = await person({ javaScriptEnabled: false });
  await signIn(plain, "bob", passwords.bob);
  await plain.goto("/user/bob/lab");
  assert.equal(path(plain), "/hub/spawn-pending/bob");
  await until("the start page has led to the server", 90_000, () => path(plain) === "/user/bob/lab");
  assert.match(await plain.content(), /jupyter-config-data/);
  await plain.context().close();
});

step("a change of password ends the person's other sessions", async () => {
  const elsewhere = await person();
  await signIn(elsewhere, "admin", passwords.admin);
  await admin.goto("/hub/change-password");
  await look(admin, "change-password", artefacts);
  const change = async (old) => {
    await admin.fill('input[name="old_password"]', old);
    await admin.fill('input[name="new_password"]', newPassword);
    await admin.fill('input[name="new_password_confirmation"]', newPassword);
    return submit(admin, ':has(input[name="old_password"])');
  };
  assert.equal(await change("not this one"), 403);
  await look(admin, "change-password-refused", artefacts);
  await change(passwords.admin);
  await look(admin, "change-password-done", artefacts);
  await elsewhere.goto("/hub/home");
  assert.equal(path(elsewhere), "/hub/login");
  await admin.goto("/hub/home");
  assert.equal(path(admin), "/hub/home");
  await elsewhere.context().close();
});

step("stopping the server takes its container away", async () => {
  assert.equal(slipway.containers().filter((name) => name.endsWith("-admin")).length, 1);
  await admin.goto("/hub/home");
  // The page may ask first, in a dialog.
  await admin.getByRole("button", { name: /^stop/i }).first().click();
  await look(admin, "home-stop-dialog", artefacts);
  await submit(admin, '[action$="/hub/stop/admin"]');
  await until("the container is gone", 30_000, () => !slipway.containers().some((name) => name.endsWith("-admin")));
});

step("servers outlive Slipway, and the start page says what it waits for", async () => {
  await slipway.stop();
  // A server that never listens keeps the start page still for its pictures.
  await slipway.start({ SLIPWAY_SPAWNER_DOCKER_IMAGE: "slipway-deaf:test", SLIPWAY_SPAWNER_READY_TIMEOUT_S: "20" });
  await bob.goto("/user/bob/lab");
  assert.equal(path(bob), "/user/bob/lab");
  await admin.goto("/user/admin/lab");
  assert.equal(path(admin), "/hub/spawn-pending/admin");
  await look(admin, "start-page", artefacts);
  await admin.getByText("going to listen").first().waitFor({ state: "attached", timeout: 60_000 });
  await look(admin, "start-too-slow", artefacts);
});

step("a start that fails says why, with the exit status and the last lines of the log", async () => {
  await slipway.stop();
  await slipway.start({ SLIPWAY_SPAWNER_DOCKER_IMAGE: "slipway-exits:test" });
  await admin.goto("/hub/spawn/admin?next=%2Fuser%2Fadmin%2Flab");
  await admin.getByText("exits: giving up").first().waitFor({ state: "attached", timeout: 30_000 });
  // Not innerText: the log may be folded away.
  const text = await admin.locator("main").first().textContent();
  for (const line of ["exits: reading the settings", "exits: the settings make no sense"]) assert.ok(text.includes(line), text);
  assert.match(text, /\b7\b/);
  await look(admin, "start-failed", artefacts);
});

step("after a cure the same address works, and the volume kept the notebook", async () => {
  await slipway.stop();
  await slipway.start();
  await admin.goto("/hub/spawn/admin?next=%2Fuser%2Fadmin%2Flab");
  await waitForJupyterLab(admin, 90_000);
  const files = (await askServer(admin, "/user/admin/api/contents")).content.map((file) => file.name);
  assert.ok(files.includes("Untitled.ipynb"), files.join(", "));
});

step("signing out in another tab closes the open sockets within a second", async () => {
  const kernels = "/user/admin/api/kernels";
  if ((await askServer(admin, kernels)).length === 0) await askServer(admin, kernels, "POST");
  const socket = await openKernelSocket(admin, "/user/admin/");
  assert.ok(await socket.isOpen());
  const otherTab = await admin.context().newPage();
  const asked = Date.now();
  await otherTab.goto("/hub/logout");
  const took = (await socket.closedAt(5_000)) - asked;
  assert.ok(took <= 1_000, `it took ${took} ms`);
  await admin.goto("/user/admin/lab");
  assert.equal(path(admin), "/hub/login");
});

lastStep();
