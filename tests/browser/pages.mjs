// The hub's pages where they are hardest: with many people, long names, long logs, with the keyboard alone, and
// where the edge answers instead of the hub. Pictures go to artefacts/pages/; axe-core must find nothing.

import { after, before } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { look, makeCertificates, startChromium, until } from "./browser.mjs";
import { makeSlipway } from "./slipway.mjs";
import { makeStory, path, signIn, submit } from "./story.mjs";

const artefacts = new URL("./artefacts/pages/", import.meta.url).pathname;
const password = "a ship, a slip, a way";
/** As long as a name may be, without a place to break it. */
const longName = "wolfeschlegelsteinhausenbergerdorff-montgomery-vandenheuvel-smith";
/** More than a page of the list. */
const crowd = Number(process.env.PEOPLE ?? 60);

const stage = { artefacts, lastLog: () => slipway.lastLog() };
const { people, person, step } = makeStory(stage);
let folder, slipway, admin;

before(async () => {
  rmSync(artefacts, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "slipway-pages-"));
  const certificates = makeCertificates(folder);
  slipway = await makeSlipway(folder, certificates, artefacts);
  // A server that says much and ends: its last lines are what the page has to show.
  await slipway.start({
    SLIPWAY_SPAWNER_DOCKER_COMMAND: JSON.stringify(["sh", "-c",
      "for i in $(seq 400); do echo \"line $i: /opt/conda/lib/python3.12/site-packages/jupyter_server/serverapp.py: a warning that is longer than a phone is wide\" >&2; done; exit 3"]),
  });
  slipway.command(["user", "add", "--admin", "--password-stdin", "admin"], `${password}\n`);
  slipway.command(["user", "add", "--password-stdin", longName.slice(0, 64)], `${password}\n`);
  for (let number = 1; number <= crowd; number += 1) {
    const name = `guest-${String(number).padStart(3, "0")}`;
    slipway.command(["user", "add", "--password-stdin", name], `${password}\n`);
    slipway.command(["user", "authorize", "--withdraw", name]);
  }
  stage.origin = slipway.origin;
  stage.browser = await startChromium(folder, certificates.authority);
  admin = await person();
});

after(async () => {
  await stage.browser?.close();
  try {
    await slipway?.stop();
  } finally {
    slipway?.clean();
    rmSync(folder, { recursive: true, force: true });
  }
});

step("a long list of people comes in pages, and the next page is a link", async () => {
  await signIn(admin, "admin", password);
  await admin.goto("/hub/authorize");
  assert.equal(await admin.locator("table.people tbody tr").count(), 50);
  await look(admin, "people-first-page", artefacts);
  await admin.getByRole("link", { name: /next/i }).click();
  assert.match(admin.url(), /page=2/);
  await look(admin, "people-second-page", artefacts);
});

step("letting somebody in leads back to the same page, which says who it was", async () => {
  await submit(admin, '[action$="/hub/authorize/guest-051"]');
  assert.match(admin.url(), /page=2/);
  assert.match(await admin.getByRole("status").innerText(), /guest-051 is let in/);
  await look(admin, "people-let-in", artefacts);
});

step("a name is found by a part of it, without JavaScript too", async () => {
  const plain = await person({ javaScriptEnabled: false });
  await signIn(plain, "admin", password);
  await plain.goto("/hub/authorize");
  await plain.fill('input[name="q"]', " Montgomery ");
  await plain.keyboard.press("Enter");
  await plain.waitForURL(/q=/);
  assert.equal(await plain.locator("table.people tbody tr").count(), 1);
  await plain.context().close();
  await admin.goto("/hub/authorize?q=montgomery");
  await look(admin, "people-found", artefacts);
  await admin.goto("/hub/authorize?q=nobody-at-all");
  await look(admin, "people-none-found", artefacts);
});

step("the longest name fits every page", async () => {
  const name = longName.slice(0, 64);
  for (const question of ["withdraw", "discard"]) {
    await admin.goto(`/hub/${question}/${name}`);
    await look(admin, `${question}-long-name`, artefacts);
  }
  const long = await person();
  await signIn(long, name, password);
  await look(long, "home-long-name", artefacts);
  await long.locator("details.menu summary").click();
  await look(long, "menu-long-name", artefacts);
  await long.context().close();
});

step("a failed start shows a long log in a frame of its own", async () => {
  await admin.goto("/user/admin/lab");
  const log = admin.locator("pre.log");
  await log.filter({ hasText: "line 400" }).waitFor({ timeout: 30_000 });
  const { height, whole } = await log.evaluate((element) => ({ height: element.clientHeight, whole: element.scrollHeight }));
  assert.ok(height < whole && height < 500, `${height} of ${whole}`);
  // The last line says why, so it is the one in sight.
  const lastLineBelow = await log.evaluate((element) => element.firstElementChild.getBoundingClientRect().bottom - element.getBoundingClientRect().bottom);
  assert.ok(lastLineBelow <= 0, `the last line is ${lastLineBelow}px below the frame`);
  await look(admin, "failed-long-log", artefacts);
  await admin.goto("/hub/home");
  await look(admin, "home-failed", artefacts);
});

step("what the edge answers itself looks like the rest and is as sound", async () => {
  assert.equal((await admin.goto("/hub/%zz")).status(), 400);
  await look(admin, "edge-400", artefacts);
  assert.equal((await admin.goto("/user/nobody-there/lab")).status(), 404);
  await look(admin, "edge-404", artefacts);
  assert.equal((await admin.goto("/hub/nothing-here")).status(), 404);
  await look(admin, "hub-404", artefacts);
  for (const code of [403, 502, 503]) {
    await admin.goto(`/hub/error/${code}`);
    await look(admin, `hub-${code}`, artefacts);
  }
});

step("the keyboard alone is enough: sign in, menu, dialogs", async () => {
  const keys = await person();
  await keys.goto("/hub/login");
  // The form is what one came for, so the first field has the focus, a moment after the page is there.
  await keys.waitForFunction(() => document.activeElement?.name === "username");
  await keys.keyboard.type("admin");
  await keys.keyboard.press("Tab");
  await keys.keyboard.type(password);
  await keys.keyboard.press("Enter");
  await keys.waitForURL((url) => url.pathname !== "/hub/login");
  await keys.goto("/hub/home");
  const focused = () => keys.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return { text: element.textContent.trim().replace(/\s+/g, " "), ring: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
  });
  const walked = [];
  for (let stop = 0; stop < 5; stop += 1) {
    await keys.keyboard.press("Tab");
    walked.push(await focused());
  }
  assert.deepEqual(walked.map(({ text }) => text), ["Skip to content", "Slipway", "Home", "People", "Aadmin"]);
  assert.ok(walked.every(({ ring }) => ring), JSON.stringify(walked));
  await keys.screenshot({ path: join(artefacts, "focus-ring.png") });
  await keys.keyboard.press("Enter");
  assert.ok(await keys.getByRole("button", { name: "Sign out" }).isVisible());
  await keys.keyboard.press("Escape");
  assert.ok(!(await keys.getByRole("button", { name: "Sign out" }).isVisible()));
  assert.equal((await focused()).text, "Aadmin");
  await keys.context().close();
});

step("signing out by the menu works, and the pages stay closed afterwards", async () => {
  await admin.goto("/hub/home");
  const signOut = admin.getByRole("button", { name: "Sign out" });
  // The home page loads itself again when the server's state changes, and a menu that was open is closed then.
  await until("the menu is open", 10_000, async () => {
    if (!(await signOut.isVisible())) await admin.locator("details.menu summary").click();
    return signOut.isVisible();
  });
  await signOut.click();
  await until("signed out", 5_000, () => path(admin) === "/hub/login");
  await admin.goBack();
  await admin.reload();
  assert.equal(path(admin), "/hub/login");
});

step("no page of the hub broke its own content policy or had an error in a script", async () => {
  assert.deepEqual(people.flatMap((context) => context.complaints), []);
});
