// A server that nobody uses: what its owner reads of it, the notice in a real JupyterLab before the end, an extension that
// holds, and the words after it was stopped. Real containers and a real clock, so the limits are as short as they can be.
// Pictures go to artefacts/idle/; axe-core must find nothing on our pages.

import { before } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { look, until, waitForJupyterLab } from "./browser.mjs";
import { makeSlipwayStory, path, reach, sent, signIn } from "./story.mjs";

const password = "a ship, a slip, a way";
const minute_ms = 60_000;

const { artefacts, begin, lastStep, person, step } = makeSlipwayStory("idle");
let slipway, admin, bob, lab;

/** Stopped three minutes after the last sign of use, told a minute before; the last 54 s count as "soon". */
const environment = {
  SLIPWAY_SPAWNER_IDLE_AFTER_MINUTES: "3",
  SLIPWAY_SPAWNER_IDLE_EXTENSION_HOURS: "3",
  SLIPWAY_SPAWNER_IDLE_WARN_BEFORE_MINUTES: "1",
  SLIPWAY_SPAWNER_IDLE_CHECK_INTERVAL_S: "5",
};

before(async () => {
  slipway = await begin({ environment });
  slipway.addUser("admin", password, "--admin");
  slipway.addUser("bob", password);
  admin = await person();
  bob = await person();
});

const card = () => bob.locator(".idle-card");
/** What the API says of bob's time. */
const info = () => bob.evaluate(async () => {
  const token = document.querySelector('input[name="_xsrf"]').value;
  const answer = await fetch("/hub/api/users/bob/session-info", { headers: { "X-XSRFToken": token } });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
});

async function startByHome() {
  await bob.goto("/hub/home");
  await sent(bob, () => bob.getByRole("button", { name: "Start server" }).click());
  await reach(bob, "/user/bob/lab");
  await waitForJupyterLab(bob, 90_000);
}

step("home says when the server stops, what it was last used by, and what can be added", async () => {
  await signIn(bob, "bob", password);
  await startByHome();
  lab = await bob.context().newPage();
  await lab.goto("/user/bob/lab/workspaces/second");
  await waitForJupyterLab(lab, 90_000);
  await bob.goto("/hub/home");
  const text = await card().innerText();
  for (const words of [/Stops at \d/, /if nobody uses it/, /Last sign of use: /, /Keep your server longer/]) assert.match(text, words);
  assert.deepEqual(await card().locator("option").allInnerTexts(), ["1 hour", "2 hours", "3 hours (all there is)"]);
  await look(bob, "home", artefacts);
});

step("an open tab that nobody touches gets a notice before the end, and the page says that it is soon", async () => {
  const toast = lab.locator(".Toastify__toast", { hasText: "because nobody uses it" });
  await toast.first().waitFor({ timeout: 4 * minute_ms });
  assert.match(await toast.first().innerText(), /This server stops in .*minute/);
  await lab.screenshot({ path: join(artefacts, "jupyterlab.png") });
  await until("home says that it is soon", minute_ms, async () => {
    await bob.reload();
    return /Stops (very )?soon/.test(await card().innerText());
  });
  await look(bob, "home-soon", artefacts);
  await admin.context().clearCookies();
  await signIn(admin, "admin", password);
  await admin.goto("/hub/admin?show=idle");
  assert.match(await admin.locator("#u-bob").innerText(), /stops in/);
  await look(admin, "users-soon", artefacts);
});

step("an hour more, by keyboard, and the old deadline passes without the server", async () => {
  await bob.bringToFront();
  const before = await info();
  await card().locator("select").focus();
  await bob.keyboard.press("Tab");
  await sent(bob, () => bob.keyboard.press("Enter"));
  assert.match(await card().innerText(), /Extended\./);
  await look(bob, "home-extended", artefacts);
  const deadline = Date.now() + before.time_remaining_seconds * 1000;
  // Three looks of Slipway's beyond it.
  await until("the old deadline has passed", 3 * minute_ms, async () => {
    const now = await info();
    assert.ok(now.server_active && now.time_remaining_seconds > 3000, JSON.stringify(now));
    return Date.now() > deadline + 15_000;
  });
});

step("more than there is is cut, and the page says so; at the ceiling nothing is offered", async () => {
  await bob.goto("/hub/home");
  // A page that stood open offers what is there no more.
  await card().locator("select").evaluate((select) => { select.options[select.options.length - 1].value = "48"; });
  await card().locator("select").selectOption({ index: 1 });
  await sent(bob, () => card().getByRole("button", { name: /extend/i }).click());
  assert.match(await card().innerText(), /less than you asked for/);
  await look(bob, "home-ceiling", artefacts);
  assert.equal(await card().locator("select").count(), 0);
});

step("an administrator sees the same on the page of the user, and on that of a group what it says", async () => {
  await admin.goto("/hub/admin/users/bob");
  assert.match(await admin.locator(".idle-line p").first().innerText(), /Stops at .* if nobody uses it/);
  await look(admin, "user", artefacts);
  await admin.goto("/hub/groups");
  await admin.fill("#name", "night-shift");
  await sent(admin, () => admin.locator('form[action$="/hub/groups"][method=post] button[type=submit]').click());
  await admin.check('[name="idle_active"]');
  await admin.fill("#idle_after_minutes", "soon");
  await sent(admin, () => admin.getByRole("button", { name: "Save" }).click());
  assert.match(await admin.locator("#idle_after_minutes-error").innerText(), /whole number/);
  await look(admin, "group-refused", artefacts);
  await admin.fill("#idle_after_minutes", "480");
  await admin.fill("#idle_extension_hours", "12");
  await sent(admin, () => admin.getByRole("button", { name: "Save" }).click());
  await admin.goto("/hub/groups");
  assert.match(await admin.locator("main").innerText(), /Stopped when idle/);
  await look(admin, "groups", artefacts);
  await admin.goto("/hub/grants/bob");
  assert.match(await admin.locator("main").innerText(), /Stopped when idle[\s\S]*after 3 minutes[\s\S]*holds at once/);
  await look(admin, "grants", artefacts);
});

step("a new start has its own time; nobody comes, and the server is stopped", async () => {
  await lab.close();
  await bob.goto("/hub/home");
  await bob.getByRole("button", { name: "Stop…" }).click();
  await sent(bob, () => bob.locator('dialog[open] form[action$="/hub/stop/bob"] button').click());
  await bob.locator("[data-live-part=server][data-state=stopped]").waitFor({ timeout: minute_ms });
  assert.doesNotMatch(await bob.locator(".hero").innerText(), /nobody used it/);
  await startByHome();
  await bob.goto("/hub/home");
  assert.ok((await info()).time_remaining_seconds <= 180);
  await bob.locator("[data-live-part=server][data-state=stopped]").waitFor({ timeout: 6 * minute_ms });
  await until("the container is gone", 30_000, () => !slipway.containers().some((name) => name.endsWith("-bob")));
});

step("home and the start page say why, and the audit log does", async () => {
  await bob.goto("/hub/home");
  const why = /Slipway stopped it at .* because nobody used it since .*Files are kept/;
  assert.match(await bob.locator(".hero").innerText(), why);
  assert.equal(await card().count(), 0);
  await look(bob, "home-stopped", artefacts);
  await admin.goto("/hub/audit?q=bob");
  assert.match(await admin.locator("main").innerText(), /stopped idle server/);
  await bob.goto("/user/bob/lab");
  assert.equal(path(bob), "/hub/spawn-pending/bob");
  assert.match(await bob.locator("main").innerText(), why);
  await look(bob, "start-page", artefacts);
});

lastStep();
