// The hub's pages where they are hardest: with many people, long names, long logs, with the keyboard alone, and
// where the edge answers instead of the hub. Pictures go to artefacts/pages/; axe-core must find nothing.

import { after, before } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { look, until } from "./browser.mjs";
import { makeSlipwayStory, path, signIn, submit } from "./story.mjs";

const password = "a ship, a slip, a way";
/** As long as a name may be, without a place to break it. */
const longName = "wolfeschlegelsteinhausenbergerdorff-montgomery-vandenheuvel-smith";
/** More than a page of the list. */
const crowd = Number(process.env.PEOPLE ?? 60);

/** Routers of every kind, one that is down and two that are wrong. */
const routes = `http:
  routers:
    mlflow: {rule: "PathPrefix(\`/mlflow\`)", service: mlflow, access: user}
    grafana: {rule: "Host(\`grafana.example.org\`)", service: grafana, access: "group:Physics 101", middlewares: [secure-headers, rate]}
    reports: {rule: "Host(\`lab.example.org\`) && PathPrefix(\`/reports\`) && !Path(\`/reports/private\`)", service: reports, middlewares: [strip-reports, zip]}
    to-https: {rule: "HostRegexp(\`^[a-z]+.example.org$\`)", entryPoints: [web], service: noop@internal, middlewares: [secure], priority: 1}
    lost: {rule: "PathPrefix(\`/lost\`)", service: reports, middlewares: [auht]}
    odd: {rule: "PathPrefx(\`/odd\`)", service: reports}
  middlewares:
    auth: {basicAuth: {users: ["a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="]}}
    secure-headers: {headers: {frameDeny: true}}
    rate: {rateLimit: {average: 100, burst: 50}}
    strip-reports: {stripPrefix: {prefixes: [/reports]}}
    zip: {compress: {}}
    secure: {redirectScheme: {scheme: https}}
  services:
    mlflow: {loadBalancer: {servers: [{url: "http://127.0.0.1:5000"}]}}
    grafana: {loadBalancer: {servers: [{url: "http://127.0.0.1:1"}], healthCheck: {path: /api/health, interval: 1s, timeout: 1s}}}
    reports: {loadBalancer: {servers: [{url: "http://10.1.2.3:8080", weight: 3}, {url: "http://10.1.2.4:8080", weight: 1}], sticky: {cookie: {name: where}}}}
`;

const { artefacts, begin, lastStep, person, step } = makeSlipwayStory("pages");
let slipway, admin;
const routesFolder = mkdtempSync(join(tmpdir(), "slipway-routes-"));

after(() => rmSync(routesFolder, { recursive: true }));

before(async () => {
  const profiles = ["Small", "Large"].map((title, index) => `[[spawner.profiles]]
name = "${title.toLowerCase()}"
display_name = "${title}"
description = "For ${title.toLowerCase()} things."
memory = "${index + 1}G"
cpu = ${index + 1}.0
default = ${index === 0}
`);
  writeFileSync(join(routesFolder, "routes.yml"), routes);
  const environment = {
    SLIPWAY_ROUTERS_FILE: join(routesFolder, "routes.yml"),
    SLIPWAY_LISTENER_HTTP: "127.0.0.1:0",
    SLIPWAY_SPAWNER_NAMED_SERVERS_PER_USER: "5",
    // A server that says much and ends: its last lines are what the page has to show.
    SLIPWAY_SPAWNER_DOCKER_COMMAND: JSON.stringify(["sh", "-c",
      "for i in $(seq 400); do echo \"line $i: /opt/conda/lib/python3.12/site-packages/jupyter_server/serverapp.py: a warning that is longer than a phone is wide\" >&2; done; exit 3"]),
  };
  slipway = await begin({ settings: profiles.join("\n"), environment });
  slipway.addUser("admin", password, "--admin");
  slipway.addUser(longName.slice(0, 64), password);
  for (let number = 1; number <= crowd; number += 1) {
    const name = `guest-${String(number).padStart(3, "0")}`;
    slipway.addUser(name, password);
    slipway.command(["user", "authorize", "--withdraw", name]);
  }
  admin = await person();
});

step("a long list of people comes in pages, and the next page is a link", async () => {
  await signIn(admin, "admin", password);
  await admin.goto("/hub/admin");
  assert.equal(await admin.locator("table.users-table tbody tr").count(), 50);
  await look(admin, "people-first-page", artefacts);
  await admin.getByRole("link", { name: /next/i }).click();
  assert.match(admin.url(), /page=2/);
  await look(admin, "people-second-page", artefacts);
});

step("letting somebody in leads back to the same page, which says who it was", async () => {
  await admin.click('[name=just][value="approve guest-051"]');
  assert.match(admin.url(), /page=2/);
  assert.match(await admin.locator(".note-good").innerText(), /guest-051: approved/);
  await look(admin, "people-let-in", artefacts);
});

step("the page of routes shows what is in force, what is down and what is wrong", async () => {
  const text = () => admin.locator("main").innerText();
  await until("grafana is known to be down", 30_000, async () => {
    await admin.goto("/hub/routes");
    return (await text()).includes("1 down");
  });
  for (const word of ["2 things are wrong", "did you mean auth@file?", "did you mean PathPrefix?", "4 in force", "Physics 101", "weight 3"]) {
    assert.ok((await text()).includes(word), `${word} is not on the page:\n${await text()}`);
  }
  await look(admin, "routes", artefacts);
});

step("a name is found by a part of it, without JavaScript too", async () => {
  const plain = await person({ javaScriptEnabled: false });
  await signIn(plain, "admin", password);
  await plain.goto("/hub/admin");
  await plain.fill('input[name="q"]', " Montgomery ");
  await plain.keyboard.press("Enter");
  await plain.waitForURL(/q=/);
  assert.equal(await plain.locator("table.users-table tbody tr").count(), 1);
  await plain.context().close();
  await admin.goto("/hub/admin?q=montgomery");
  await look(admin, "people-found", artefacts);
  await admin.goto("/hub/admin?q=nobody-at-all");
  await look(admin, "people-none-found", artefacts);
});

step("the longest name fits every page", async () => {
  const name = longName.slice(0, 64);
  await admin.goto(`/hub/admin/users/${name}`);
  await look(admin, "user-long-name", artefacts);
  await admin.click(`[name=just][value="delete ${name}"]`);
  await look(admin, "user-delete-long-name", artefacts);
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

step("a token is made with some rights, shown once, copied, and revoked after a question", async () => {
  await admin.goto("/hub/token");
  await look(admin, "tokens-none", artefacts);
  await admin.getByLabel("What it is for").fill("Nightly report");
  await admin.getByLabel("Only some of it").check();
  await admin.getByRole("button", { name: "Make token" }).click();
  await admin.getByRole("alert").waitFor();
  assert.match(await admin.getByRole("alert").innerText(), /at least one right/);
  assert.equal(await admin.getByLabel("What it is for").inputValue(), "Nightly report");
  await look(admin, "tokens-refused", artefacts);
  await admin.getByLabel("Read my account").check();
  await admin.getByRole("button", { name: "Make token" }).click();
  const secret = await admin.getByLabel("New token", { exact: true }).inputValue();
  assert.match(secret, /^[0-9a-f]{32}$/);
  await look(admin, "tokens-made", artefacts);
  const whoami = () => admin.evaluate(async (token) => (await fetch("/hub/api/user", { headers: { Authorization: `token ${token}` } })).status, secret);
  assert.equal(await whoami(), 200);
  await admin.goto("/hub/token");
  assert.ok(!(await admin.content()).includes(secret), "shown only once");
  await look(admin, "tokens-list", artefacts);
  await admin.getByRole("link", { name: /Revoke.* Nightly report/ }).click();
  await look(admin, "token-revoke", artefacts);
  await admin.getByRole("button", { name: "Revoke" }).click();
  await admin.waitForURL(/\/hub\/token$/);
  assert.equal(await admin.getByText("Nightly report").count(), 0);
  assert.equal(await whoami(), 403);
});

step("a token can be made and revoked without JavaScript", async () => {
  const plain = await person({ javaScriptEnabled: false });
  await signIn(plain, "admin", password);
  await plain.goto("/hub/token");
  await plain.fill('input[name="note"]', "plain");
  await plain.getByRole("button", { name: "Make token" }).click();
  await plain.waitForSelector("#new-token");
  await plain.goto("/hub/token");
  await plain.getByRole("link", { name: /Revoke.* plain/ }).click();
  await plain.getByRole("button", { name: "Revoke" }).click();
  await plain.waitForURL(/\/hub\/token$/);
  await plain.context().close();
});

step("a choice is shown as cards, and the last one is remembered", async () => {
  await admin.goto("/hub/spawn");
  assert.equal(await admin.getByRole("radio").count(), 2);
  assert.ok(await admin.getByRole("radio", { name: /Small/ }).isChecked());
  await look(admin, "spawn", artefacts);
  await admin.getByRole("radio", { name: /Large/ }).check();
  await admin.getByRole("button", { name: "Start server" }).click();
  await admin.waitForURL(/spawn-pending/);
  // It ends by itself, as all servers of this story do.
  await admin.locator("pre.log").waitFor({ timeout: 30_000 });
  await admin.goto("/hub/spawn");
  assert.ok(await admin.getByRole("radio", { name: /Large/ }).isChecked());
});

step("a named server is made by its name and deleted after a question, and an open menu stays open meanwhile", async () => {
  await admin.goto("/hub/home");
  await admin.getByLabel("Name of a new server").fill("42");
  await admin.getByRole("button", { name: "Add server" }).click();
  assert.match(await admin.getByRole("alert").innerText(), /begins with a letter/);
  await look(admin, "home-named-refused", artefacts);
  await admin.getByLabel("Name of a new server").fill("GPU work");
  await admin.getByRole("button", { name: "Add server" }).click();
  await admin.waitForURL(/\/hub\/spawn\/admin\/gpu-work$/);
  await look(admin, "spawn-named", artefacts);
  const elsewhere = await admin.context().newPage();
  await admin.goto("/hub/home");
  await admin.locator("details.menu summary").click();
  await elsewhere.goto("/hub/spawn/admin/gpu-work");
  await elsewhere.getByRole("button", { name: "Start server" }).click();
  await elsewhere.locator("pre.log").waitFor({ timeout: 30_000 });
  await elsewhere.close();
  // The page looks every five seconds, and would have loaded itself anew.
  await admin.waitForTimeout(6_000);
  assert.ok(await admin.getByRole("button", { name: "Sign out" }).isVisible());
  await admin.keyboard.press("Escape");
  await admin.goto("/hub/home");
  await look(admin, "home-named", artefacts);
  await admin.getByRole("link", { name: /Delete.* GPU work/ }).click();
  await look(admin, "delete-server", artefacts);
  await admin.getByRole("button", { name: "Delete server" }).click();
  await admin.waitForURL(/\/hub\/home$/);
  assert.equal(await admin.getByText("GPU work").count(), 0);
});

step("every other page is sound, also with the longest names", async () => {
  const name = longName.slice(0, 64);
  await admin.goto("/hub/groups");
  await admin.fill("#name", `${name}-and-all-who-work-with-them`);
  await admin.fill("#description", "A description as people write them: who belongs to it, what for, and whom to ask. ".repeat(3));
  await admin.getByRole("button", { name: "Make group" }).click();
  await admin.waitForURL(/\/hub\/groups\/wolfe/);
  const group = path(admin);
  await admin.fill("#add", `${name}, ${Array.from({ length: 12 }, (_, index) => `guest-${String(index + 1).padStart(3, "0")}`).join(", ")}`);
  await admin.getByRole("button", { name: "Add to group" }).click();
  await admin.waitForURL(/done=joined/);
  for (const [title, address] of [
    ["group-long", group], ["group-delete-long", `${group}/delete`], ["groups-long", "/hub/groups"],
    ["grants-long", `/hub/grants/${name}`], ["grants-own", "/hub/grants"],
    ["audit", "/hub/audit"], ["audit-nothing", "/hub/audit?text=nothing-like-this"],
    ["settings", "/hub/settings"], ["settings-set", "/hub/settings?show=set"], ["settings-none", "/hub/settings?q=nothing-like-this"],
    ["account", "/hub/account"], ["sign-out-others", "/hub/account/sign-out"],
    ["volumes-long", `/hub/volumes/${name}`], ["volumes-none", "/hub/volumes"],
    ["restart-stopped", "/hub/restart/admin"], ["set-password-long", `/hub/change-password/${name}`],
    ["new-users", "/hub/admin/new"], ["users-none-running", "/hub/admin?show=running"], ["users-none-disabled", "/hub/admin?show=disabled"],
    ["notices", "/hub/notifications"], ["host", "/hub/host"],
    ["api-docs", "/hub/api-docs"], ["api-docs-users", "/hub/api-docs?of=Users"], ["api-docs-servers", "/hub/api-docs?of=Servers"],
  ]) {
    assert.equal((await admin.goto(address)).status(), 200, address);
    await look(admin, title, artefacts);
  }
});

step("the API's description leads from a line to the operation, which is open then", async () => {
  await admin.goto("/hub/api-docs");
  await admin.getByRole("link", { name: "GET /users/{user} " }).first().click();
  await admin.waitForURL(/\?of=Users#get_user$/);
  await admin.waitForFunction(() => document.getElementById("get_user").open);
  // The keyboard goes on from there.
  await admin.keyboard.press("Tab");
  assert.equal(await admin.evaluate(() => document.activeElement.parentElement.id), "get_user");
  await look(admin, "api-docs-operation", artefacts);
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
  for (let stop = 0; stop < 11; stop += 1) {
    await keys.keyboard.press("Tab");
    walked.push(await focused());
  }
  assert.deepEqual(walked.map(({ text }) => text), ["Skip to content", "Slipway", "Home", "Tokens", "Users", "Groups", "Notices", "Audit", "Host", "Routes", "Settings"]);
  assert.ok(walked.every(({ ring }) => ring), JSON.stringify(walked));
  await keys.keyboard.press("Tab");
  assert.equal((await focused()).text, "Aadmin");
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
  await admin.locator("details.menu summary").click();
  await admin.getByRole("button", { name: "Sign out" }).click();
  // Loaded, not only addressed: Chromium cannot go back from a page that is still taking another's place.
  await admin.waitForURL((url) => url.pathname === "/hub/login", { waitUntil: "load", timeout: 5_000 });
  await admin.goBack();
  await admin.reload();
  assert.equal(path(admin), "/hub/login");
});

lastStep();
