// Accounts, from both sides: the administrator makes three people by a list, forces a change of password; the people
// come in with what they were given, and end what is signed in elsewhere. No server runs here. Pictures go to
// artefacts/people/; axe-core must find nothing.

import { before } from "node:test";
import assert from "node:assert/strict";
import { look } from "./browser.mjs";
import { makeSlipwayStory, path, sent, signIn, submit } from "./story.mjs";

const password = "a ship, a slip, a way";
const ownPassword = "words of my own choice";

const { artefacts, begin, lastStep, person, step } = makeSlipwayStory("people");
let slipway, admin, bob;
/** Of the three: name → the password that was shown. */
let given;

before(async () => {
  slipway = await begin();
  slipway.addUser("admin", password, "--admin");
  slipway.addUser("bob", password);
  admin = await person();
  bob = await person();
});

/** Fills the form that changes one's own password, and sends it. */
async function changePassword(page, old, fresh) {
  await page.fill("#old_password", old);
  await page.fill("#new_password", fresh);
  await page.fill("#new_password_confirmation", fresh);
  return submit(page, ":has(#old_password)");
}

/** Whether their session still opens a page. */
async function isSignedIn(page) {
  await page.goto("/hub/home");
  return path(page) === "/hub/home";
}

step("three people are made by a list, and their passwords are shown once", async () => {
  await signIn(admin, "admin", password);
  await admin.goto("/hub/admin");
  await admin.getByRole("link", { name: /New users/ }).click();
  await admin.fill("#people", "name, first name, last name, e-mail\ncarol, Carol, Marsh, carol@example.org\ndave, Dave, , \nerin\n");
  await sent(admin, () => admin.getByRole("button", { name: "Look at the list" }).click());
  assert.match(await admin.locator("main").innerText(), /3 new users/);
  await sent(admin, () => admin.getByRole("button", { name: "Create 3 users" }).click());
  const rows = await admin.locator("[data-passwords] tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim())));
  given = new Map(rows);
  assert.deepEqual([...given.keys()], ["carol", "dave", "erin"]);
  for (const words of given.values()) assert.match(words, /^[a-z]+([- ][a-z0-9]+){2,}$/);
  assert.equal(new Set(given.values()).size, 3);
  const [file] = await Promise.all([admin.waitForEvent("download"), admin.getByRole("button", { name: "Download as CSV" }).click()]);
  assert.equal(file.suggestedFilename(), "new-users.csv");
  await admin.getByRole("link", { name: "To the users" }).click();
  await admin.locator("#u-carol").waitFor();
  for (const address of ["/hub/admin", "/hub/admin/new", "/hub/admin/users/carol", "/hub/audit"]) {
    await admin.goto(address);
    const shown = await admin.content();
    for (const words of given.values()) assert.ok(!shown.includes(words), `a password is shown again by ${address}`);
  }
});

step("one of them signs in with the words, chooses a password before anything else, and goes on", async () => {
  const carol = await person();
  assert.ok(await signIn(carol, "carol", given.get("carol"), "/hub/token") < 400);
  assert.equal(path(carol), "/hub/change-password");
  await look(carol, "change-first", artefacts);
  await carol.goto("/hub/home");
  assert.equal(path(carol), "/hub/change-password", "nothing else opens before");
  assert.equal(await changePassword(carol, given.get("carol"), given.get("carol")) < 400, false, "the same words are none of one's own");
  await look(carol, "change-refused", artefacts);
  await changePassword(carol, given.get("carol"), ownPassword);
  assert.equal(path(carol), "/hub/home", "on to where she was when she was led away");
  await carol.goto("/hub/account");
  assert.equal(await carol.inputValue("#email"), "carol@example.org");
  await look(carol, "account", artefacts);
  await carol.context().close();
  const again = await person();
  assert.equal(await signIn(again, "carol", given.get("carol")), 403);
  await signIn(again, "carol", ownPassword);
  assert.equal(path(again), "/hub/home");
  await again.context().close();
});

step("an administrator's forced change reaches who is signed in already", async () => {
  await signIn(bob, "bob", password);
  assert.equal(path(bob), "/hub/home");
  await admin.goto("/hub/admin/users/bob");
  await admin.click('[name=just][value="require-password bob"]');
  await look(admin, "force-question", artefacts);
  await submit(admin, '[action$="/hub/admin/do"]');
  assert.match(await admin.locator("main").innerText(), /Must be changed/);
  await bob.goto("/hub/token");
  assert.equal(path(bob), "/hub/change-password");
  await changePassword(bob, password, ownPassword);
  await bob.goto("/hub/token");
  assert.equal(path(bob), "/hub/token");
});

step("a password set by an administrator is shown once, and signs the person out everywhere", async () => {
  await admin.goto("/hub/change-password/dave");
  await look(admin, "set-password", artefacts);
  await sent(admin, () => admin.getByRole("button", { name: /Make one of words/ }).click());
  const words = (await admin.locator(".code-line code").innerText()).trim();
  await look(admin, "set-password-done", artefacts);
  const dave = await person();
  await signIn(dave, "dave", words);
  assert.equal(path(dave), "/hub/change-password");
  await dave.context().close();
});

step("who is signed in on two devices sees both, and ends the other one", async () => {
  const phone = await person({ userAgent: "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36" });
  await signIn(phone, "bob", ownPassword);
  await bob.goto("/hub/account");
  assert.equal(await bob.locator(".device").count(), 2);
  assert.match(await bob.locator(".device", { hasText: "this device" }).innerText(), /in use now/);
  await look(bob, "devices", artefacts);
  await bob.getByRole("link", { name: /Sign out….*Android/i }).click();
  await look(bob, "device-question", artefacts);
  assert.ok(await isSignedIn(phone));
  await submit(bob, '[action*="/hub/account/sign-out"]');
  assert.equal(await isSignedIn(phone), false);
  assert.equal(await bob.locator(".device").count(), 1);
  assert.ok(await isSignedIn(bob));
  await phone.context().close();
});

step("several are disabled at once after a question that names them, and enabled again", async () => {
  const dave = await person();
  await signIn(dave, "bob", ownPassword);
  await admin.goto("/hub/admin");
  for (const name of ["bob", "dave", "erin"]) await admin.check(`#u-${name} [name=user]`);
  await look(admin, "users-selected", artefacts);
  await admin.locator(".more-acts summary").click();
  await sent(admin, () => admin.locator('[name=act][value="disable"]').click());
  const question = await admin.locator("main").innerText();
  for (const name of ["bob", "dave", "erin"]) assert.ok(question.includes(name), question);
  await look(admin, "disable-question", artefacts);
  await submit(admin, '[action$="/hub/admin/do"]');
  assert.equal(await isSignedIn(dave), false);
  await admin.getByText("All 3 done").waitFor();
  await look(admin, "disable-done", artefacts);
  assert.equal(await signIn(dave, "bob", ownPassword), 403);
  await admin.goto("/hub/admin?show=disabled");
  assert.equal(await admin.locator(".users-table tbody tr").count(), 3);
  await look(admin, "users-disabled", artefacts);
  await admin.goto("/hub/admin/users/bob");
  await sent(admin, () => admin.click('[name=just][value="enable bob"]'));
  await signIn(dave, "bob", ownPassword);
  assert.equal(path(dave), "/hub/home");
  await dave.context().close();
});

step("the audit log has it all, and no password", async () => {
  await admin.goto("/hub/audit?person=bob");
  const log = await admin.locator("main").innerText();
  assert.match(log, /disabled/);
  for (const words of [password, ownPassword, ...given.values()]) assert.ok(!log.includes(words));
  await look(admin, "audit-of-bob", artefacts);
});

lastStep();
