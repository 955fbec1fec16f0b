// Notices: an administrator writes one, and it stands in the JupyterLab of somebody who works there, within three
// seconds and in every open tab. Pictures go to artefacts/notices/; axe-core must find nothing on our pages.

import { before } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { look, waitForJupyterLab } from "./browser.mjs";
import { makeSlipwayStory, path, signIn, submit } from "./story.mjs";

const password = "a ship, a slip, a way";

const { artefacts, begin, lastStep, person, step } = makeSlipwayStory("notices");
let slipway, admin, bob, secondTab;

before(async () => {
  slipway = await begin();
  slipway.addUser("admin", password, "--admin");
  slipway.addUser("bob", password);
  admin = await person();
  bob = await person();
});

const sendButton = () => admin.locator("[data-send]");

/** Presses the button of the form itself: `submit` would take the first, which finds names. */
async function sendNotice() {
  await Promise.all([
    admin.waitForResponse((response) => response.request().isNavigationRequest() && response.request().method() === "POST"),
    sendButton().click(),
  ]);
  await admin.waitForLoadState();
}

step("where no server runs the page says that nobody would see it, and sends nothing", async () => {
  await signIn(admin, "admin", password);
  await admin.goto("/hub/notifications");
  assert.match(await admin.locator("main").innerText(), /No server runs/);
  await look(admin, "nobody", artefacts);
  await admin.fill("#message", "Is anybody there?");
  await sendNotice();
  assert.match(await admin.locator("[role=alert]").innerText(), /Nothing was sent/);
  assert.equal(await admin.inputValue("#message"), "Is anybody there?");
});

step("the page counts as the server does", async () => {
  const astronaut = "\u{1F469}\u200D\u{1F680}";
  // The same table stands in src/model/notice.rs.
  const table = [
    ["hello", 5], [" \u0085\uFEFF\r\n hello \u00A0\u2028", 5], ["a\r\nb\rc\nd", 7], [astronaut, 3], ["e\u0301", 2],
    [" \uFEFF\u3000\n", 0], ["\u{1F6A2}".repeat(140), 140], ["\u{1F6A2}".repeat(141), 141],
  ];
  for (const [text, count] of table) {
    await admin.fill("#message", text);
    assert.match(await admin.locator("[data-count]").innerText(), new RegExp(`^${count} of 140 characters`), JSON.stringify(text));
  }
  assert.match(await admin.locator("[data-count]").innerText(), /1 too many/);
  await look(admin, "too-long", artefacts);
  await sendButton().click();
  assert.equal(await admin.evaluate(() => document.activeElement.id), "message", "it is not sent, and the field has the focus");
});

step("a notice stands in every open tab of a JupyterLab within three seconds", async () => {
  await signIn(bob, "bob", password);
  await bob.goto("/user/bob/lab");
  await waitForJupyterLab(bob, 90_000);
  secondTab = await bob.context().newPage();
  await secondTab.goto("/user/bob/lab/workspaces/second");
  await waitForJupyterLab(secondTab, 90_000);
  await admin.goto("/hub/notifications");
  const words = "Maintenance at 18:00 \u{1F6A2}\nSave your work, please.";
  await admin.fill("#message", words);
  await admin.selectOption("#kind", "warning");
  await look(admin, "written", artefacts);
  const toast = (page) => page.locator(".Toastify__toast", { hasText: "Maintenance at 18:00" });
  const begun = Date.now();
  await Promise.all([
    sendNotice(),
    ...[bob, secondTab].map((page) => toast(page).first().waitFor({ timeout: 3_000 })),
  ]);
  console.log(`a notice is seen after ${Date.now() - begun} ms`);
  await bob.screenshot({ path: join(artefacts, "jupyterlab.png") });
  assert.match(path(admin), /^\/hub\/notifications\/\d+$/);
  assert.match(await admin.locator("h1").innerText(), /Delivered/);
  await look(admin, "delivered", artefacts);
  await toast(bob).first().getByRole("button", { name: "Dismiss" }).click();
  await toast(bob).first().waitFor({ state: "detached", timeout: 5_000 });
});

step("only some are told, by name, with the keyboard", async () => {
  await admin.goto("/hub/notifications");
  await admin.fill("#message", "Only for bob");
  await admin.locator('[name="audience"][value="some"]').check();
  await admin.fill("#find", "nobody");
  assert.match(await admin.locator("[data-picked]").innerText(), /No such name/);
  await admin.fill("#find", "bo");
  await admin.locator('[name="to"][value="bob"]').focus();
  await admin.keyboard.press("Space");
  assert.match(await admin.locator("[data-picked]").innerText(), /1 person is chosen/);
  await look(admin, "chosen", artefacts);
  await sendNotice();
  assert.match(await admin.locator("h1").innerText(), /Delivered/);
  await admin.goto("/hub/notifications");
  await look(admin, "history", artefacts);
});

step("the history is cleared after a question", async () => {
  await admin.getByRole("link", { name: /clear history/i }).click();
  await look(admin, "clear", artefacts);
  await submit(admin, '[action$="/notifications/clear"]');
  assert.match(await admin.locator("#sent").innerText(), /Nothing was sent yet/);
});

step("without JavaScript a notice is sent all the same", async () => {
  const plain = await person({ javaScriptEnabled: false });
  await signIn(plain, "admin", password);
  await plain.goto("/hub/notifications");
  await plain.fill("#message", "Plain and simple");
  await plain.locator("[data-send]").click();
  await plain.waitForURL(/\/hub\/notifications\/\d+$/);
  assert.match(await plain.locator("h1").innerText(), /Delivered/);
  await plain.context().close();
});

lastStep();
