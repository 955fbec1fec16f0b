// The administrators' users, forty of them in every state: made from a list, looked at, asked about, acted on, with
// the mouse, with the keyboard alone, and without scripts. Pictures go to artefacts/users/; axe-core must find nothing.

import { before } from "node:test";
import assert from "node:assert/strict";
import { look, until } from "./browser.mjs";
import { makeSlipwayStory, path, sent, signIn } from "./story.mjs";

const password = "a ship, a slip, a way";
const firstNames = ["Ada", "Barbara", "Cleo", "Dora", "Emmy", "Frances", "Grace", "Hedy", "Ida", "Joan", "Katherine", "Lise",
  "Maria", "Nettie", "Olga", "Philippa", "Radia", "Sophie", "Tatiana", "Ursula", "Vera", "Wang", "Xiang", "Yvonne", "Zhou"];
const lastNames = ["Lovelace", "Liskov", "Meitner", "Richter", "Noether", "Allen", "Hopper", "Lamarr", "Rhodes", "Clarke"];
/** A real name for each, some without, and one as long as a name may be. */
const crowd = Array.from({ length: 36 }, (_, at) => {
  const [first, last] = [firstNames[at % firstNames.length], lastNames[(at * 7) % lastNames.length]];
  const name = `${first}.${last}`.toLowerCase() + (at >= firstNames.length ? at : "");
  return at % 5 === 4 ? `${name},,,,` : `${name},${first},${last},${name}@example.org,${at % 3 ? "physics" : "chemistry|course-2026-autumn"}`;
});
crowd.push("wolfeschlegelsteinhausenbergerdorff-montgomery-vandenheuvel-smi,Wolfe,Montgomery-Vandenheuvel,,physics");
const names = crowd.map((line) => line.split(",")[0]);

const { artefacts, begin, lastStep, person, step } = makeSlipwayStory("users");
let slipway, admin;

before(async () => {
  const profiles = [["good", "instant"], ["broken", "exits"], ["slow", "deaf"]].map(([name, image]) => `[[spawner.profiles]]
name = "${name}"
image = "slipway-${image}:test"
default = ${name === "good"}
`);
  slipway = await begin({ settings: profiles.join("\n"), environment: { SLIPWAY_SPAWNER_DOCKER_IMAGE: "slipway-instant:test" } });
  slipway.addUser("admin", password, "--admin");
  for (const name of ["yan", "yara", "yusuf"]) {
    slipway.addUser(name, password);
    slipway.command(["user", "authorize", "--withdraw", name]);
  }
  admin = await person();
});

/** Asks the API as the page's own scripts would. */
const apiOnce = (method, address, body) => admin.evaluate(async ([method, address, body]) => {
  const headers = { "X-XSRFToken": document.body.dataset.formToken, "Content-Type": "application/json" };
  const answer = await fetch(`/hub/api${address}`, { method, headers, body: body && JSON.stringify(body) });
  return answer.ok ? answer.status : `${answer.status} ${await answer.text()}`;
}, [method, address, body]);

/** The same until it is answered: with each container that comes Chromium drops what is under way. */
async function api(...words) {
  for (let tries = 5; ; tries -= 1) {
    try {
      return await apiOnce(...words);
    } catch (error) {
      if (tries === 0 || !/Failed to fetch/.test(error.message)) throw error;
    }
  }
}

const box = (name) => admin.getByRole("checkbox", { name, exact: true });
const button = (page, name) => page.locator("main").getByRole("button", { name });

/** Waits for it. A request that Chromium dropped (see withstandNetworkChanges) is sent again, as a person does. */
const shown = (locator) => until(`${locator}`, 60_000, async () => {
  if (admin.url().startsWith("chrome-error")) await admin.reload().catch(() => {});
  return locator.isVisible();
});

step("a class is made from a list: what is wrong is said, what is right is shown first, passwords once", async () => {
  await signIn(admin, "admin", password);
  for (const group of ["physics", "chemistry", "course-2026-autumn"]) assert.equal(await api("POST", `/groups/${group}`, {}), 201);
  await admin.goto("/hub/admin/new");
  await look(admin, "new", artefacts);
  await admin.getByLabel("Names").fill(["ada", "admin", "b/c", "dora,Dora,,nonsense", "eve,,,,docker-privileged"].join("\n"));
  await button(admin, "Look at the list").click();
  await shown(admin.getByRole("alert"));
  const said = await admin.getByRole("alert").innerText();
  for (const each of [/4 lines cannot be used/, /Line 2: admin is taken/, /Line 3/]) assert.match(said, each);
  await look(admin, "new-refused", artefacts);
  await admin.getByLabel("Names").fill(crowd.join("\n"));
  // Who must choose a password first has no server before.
  await admin.getByLabel("They must choose a new password at their first sign-in").uncheck();
  await button(admin, "Look at the list").click();
  await shown(button(admin, `Create ${crowd.length} users`));
  await look(admin, "new-preview", artefacts);
  await button(admin, `Create ${crowd.length} users`).click();
  await shown(admin.getByText("Keep these passwords now."));
  assert.equal(await admin.locator(".passwords tbody tr").count(), crowd.length);
  await look(admin, "made", artefacts);
});

step("the list shows forty people in every state, and follows it", async () => {
  await admin.goto("/hub/admin?size=100");
  for (const [at, name] of names.entries()) {
    const profile = at < 6 ? "good" : at < 8 ? "broken" : at < 10 ? "slow" : "";
    if (profile) assert.match(`${await api("POST", `/users/${name}/server`, { profile })}`, /^(20[12]|400 .*(running|pending)|500 .*exit code 7)/);
  }
  await until("all have started", 60_000, async () => (await admin.locator(".badge-ready").count()) === 6);
  await until("two have failed", 60_000, async () => (await admin.locator("td .badge-failed").count()) >= 2);
  for (const name of names.slice(12, 14)) await box(name).check();
  await shown(admin.getByText("2 selected"));
  await admin.locator("summary", { hasText: "More" }).click();
  await look(admin, "list-more", artefacts);
  await button(admin, "Disable account").click();
  await look(admin, "ask-disable", artefacts);
  await button(admin, "Disable account: 2").click();
  await shown(admin.getByText("All 2 done."));
  await look(admin, "done", artefacts);
  await admin.getByRole("link", { name: "Back to the users" }).click();
  await box(names[14]).check();
  await admin.locator("summary", { hasText: "More" }).click();
  await button(admin, "Make administrator").click();
  await button(admin, "Make administrator").click();
  await shown(admin.getByText("is an administrator"));
  await admin.goto("/hub/admin");
  await look(admin, "list", artefacts);
  for (const show of ["waiting", "running", "disabled"]) {
    await admin.goto(`/hub/admin?show=${show}`);
    await look(admin, `list-${show}`, artefacts);
  }
  await admin.goto("/hub/admin?q=nobody-at-all");
  await look(admin, "list-none", artefacts);
});

step("one person's page tells all, and a new name that cannot be is said beside the field", async () => {
  await admin.goto(`/hub/admin/users/${names[0]}`);
  await shown(admin.getByText("Open as administrator"));
  await look(admin, "one", artefacts);
  await admin.getByLabel("Another name").fill("admin");
  await button(admin, "Rename").click();
  await shown(admin.getByRole("alert"));
  await look(admin, "one-refused", artefacts);
  await admin.goto(`/hub/admin/users/${names.at(-1)}`);
  await look(admin, "one-long-name", artefacts);
  await admin.goto("/hub/admin/users/yan");
  await look(admin, "one-waiting", artefacts);
});

step("a group that is root on the host wants the password, and only that one shows the field", async () => {
  await admin.goto("/hub/admin");
  await box(names[0]).check();
  await box(names[1]).check();
  await admin.locator("summary", { hasText: "More" }).click();
  await button(admin, "Add to group").click();
  const field = admin.getByLabel("Your own password");
  assert.ok(!(await field.isVisible()));
  await admin.getByLabel("Group", { exact: true }).selectOption("physics");
  assert.ok(!(await field.isVisible()));
  await admin.getByLabel("Group", { exact: true }).selectOption("docker-privileged");
  await field.waitFor();
  await button(admin, "Add to group: 2").click();
  await shown(admin.getByRole("alert"));
  await look(admin, "ask-root", artefacts);
  await field.fill(password);
  await button(admin, "Add to group: 2").click();
  await shown(admin.getByText("All 2 done."));
});

step("accounts go with their volumes only if that is ticked, and the volumes are named", async () => {
  await admin.goto("/hub/admin");
  for (const name of names.slice(0, 3)) await box(name).check();
  await box("admin").check();
  await admin.locator("summary", { hasText: "More" }).click();
  await button(admin, "Delete account").click();
  assert.match(await admin.locator(".volumes-choice").innerText(), /_home/);
  await look(admin, "ask-delete", artefacts);
  await admin.getByLabel(/Delete their volumes, too/).check();
  await button(admin, "Delete account: 3").click();
  await shown(admin.getByText("All 3 done."));
  await look(admin, "done-delete", artefacts);
});

step("the keyboard alone is enough to find somebody and stop their server", async () => {
  await admin.goto("/hub/admin");
  await admin.getByLabel("Find by name, e-mail or group").focus();
  await admin.keyboard.type(names[3]);
  await admin.keyboard.press("Enter");
  await admin.waitForURL(/q=/);
  const focused = () => admin.evaluate(() => {
    const element = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const label = element.getAttribute("aria-label") ?? element.textContent.trim();
    return { label, hasRing: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
  });
  const tabTo = async (label) => {
    for (let stops = 0; stops < 80; stops += 1) {
      await admin.keyboard.press("Tab");
      const at = await focused();
      if (at.label === label) return assert.ok(at.hasRing, `no ring around ${label}`);
    }
    assert.fail(`${label} is not reached`);
  };
  await tabTo(names[3]);
  await admin.keyboard.press("Space");
  await shown(admin.getByText("1 selected"));
  for (;;) {
    await admin.keyboard.press("Shift+Tab");
    if ((await focused()).label === "Stop server…") break;
  }
  await admin.keyboard.press("Enter");
  await admin.waitForURL(/\/hub\/admin\/ask$/);
  await tabTo("Stop server");
  await admin.keyboard.press("Enter");
  await shown(admin.getByText("server stopped."));
});

step("all of it works without scripts", async () => {
  const plain = await person({ javaScriptEnabled: false });
  await signIn(plain, "admin", password);
  await plain.goto("/hub/admin?show=running");
  for (const name of names.slice(4, 6)) await plain.getByRole("checkbox", { name, exact: true }).check();
  await sent(plain, () => plain.locator('.toolbar [name="act"][value="stop"]').click());
  await sent(plain, () => button(plain, "Stop server: 2").click());
  // The containers that end change the network, and Chromium may drop the page that is asked for just then.
  await until("both are stopped", 30_000, async () => {
    await plain.reload().catch(() => {});
    return /All 2 done/.test(await plain.locator("body").innerText());
  });
  await plain.goto("/hub/admin?show=waiting");
  await plain.locator('tr:has-text("yusuf")').getByRole("button", { name: "Approve" }).click();
  assert.match(await plain.locator("main").innerText(), /yusuf: approved/);
  assert.equal(path(plain), "/hub/admin");
});

lastStep();
