// What the tests that tell a story share: people with browsers of their own, steps of which each stands on the one
// before, and the few things that everybody does on the hub's pages. Pages are addressed by what the contract
// fixes (paths, field names), never by their looks.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificates, newPerson, startChromium } from "./browser.mjs";
import { makeSlipway } from "./slipway.mjs";

export const path = (page) => new URL(page.url()).pathname;

/** `stage` may still be empty when steps are declared: { browser, origin, artefacts, lastLog }. */
export function makeStory(stage) {
  const people = [];
  let failed;
  return {
    people,

    /** Somebody with a browser of their own, and one open tab. */
    async person(options) {
      const context = await newPerson(stage.browser, stage.origin, options);
      context.isInStory = true;
      people.push(context);
      return context.newPage();
    },

    /** The last step: nothing was wrong with any page that anybody saw. */
    lastStep() {
      test("no page had a fault to be seen, broke its own content policy or had an error in a script", () => {
        const complaints = people.flatMap((context) => context.complaints);
        assert.equal(complaints.length, 0, `${complaints.length} complaints:\n${complaints.join("\n")}`);
      });
    },

    /** One step of the story; the first that fails skips the rest. The open pages and the end of the log say more. */
    step(name, tell) {
      test(name, async (t) => {
        if (failed) return t.skip(`since this failed: ${failed}`);
        try {
          await tell();
        } catch (error) {
          failed = name;
          for (const [at, page] of people.flatMap((context) => context.pages()).entries()) {
            t.diagnostic(`page ${at} is at ${page.url()}`);
            await page.screenshot({ path: join(stage.artefacts, `failed-${at}.png`) }).catch(() => {});
          }
          t.diagnostic(`the end of Slipway's log:\n${stage.lastLog()}`);
          throw error;
        }
      });
    },
  };
}

/** The story `name` of a Slipway and a Chromium of its own, which `begin` starts and which end with it. */
export function makeSlipwayStory(name) {
  const artefacts = new URL(`./artefacts/${name}/`, import.meta.url).pathname;
  const stage = { artefacts, lastLog: () => slipway.lastLog() };
  let folder, slipway;

  after(async () => {
    await stage.browser?.close();
    try {
      await slipway?.stop();
    } finally {
      slipway?.clean();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  return {
    ...makeStory(stage),
    artefacts,

    /** Starts them and returns Slipway; `settings` is the text of its file, `environment` wins over it. */
    async begin({ settings, environment = {} } = {}) {
      rmSync(artefacts, { recursive: true, force: true });
      folder = mkdtempSync(join(tmpdir(), `slipway-${name}-`));
      const certificates = makeCertificates(folder);
      slipway = await makeSlipway(folder, certificates, artefacts);
      const file = join(folder, "slipway.toml");
      if (settings) writeFileSync(file, settings);
      await slipway.start(settings ? { SLIPWAY_CONFIG: file, ...environment } : environment);
      stage.origin = slipway.origin;
      stage.browser = await startChromium(folder, certificates.authority);
      return slipway;
    },
  };
}

/** Sends the form that fits the selector `within`, and waits for the page that it leads to. */
export async function submit(page, within) {
  const form = page.locator(`form${within}:visible`).first();
  return sent(page, () => form.locator('button[type="submit"], input[type="submit"], button:not([type])').first().click());
}

export async function signIn(page, name, password, next = "/hub/home") {
  await page.goto(`/hub/login?next=${encodeURIComponent(next)}`);
  await page.fill('input[name="username"]', name);
  await page.fill('input[name="password"]', password);
  return submit(page, ':has(input[name="password"])');
}

/** Does what `act` does to a form of this page, which sends it, and waits for the page that it leads to; returns the status. */
export async function sent(page, act) {
  const isSent = (request) => request.isNavigationRequest() && request.method() === "POST";
  const answered = page.waitForResponse((response) => isSent(response.request()));
  // Chromium drops the answer, too, when a container changes the network just then: what was asked for has been done.
  const lost = page.waitForEvent("requestfailed", isSent).then(() => undefined);
  for (const end of [answered, lost]) end.catch(() => {});
  const [answer] = await Promise.all([Promise.race([answered, lost]), act()]);
  await page.waitForLoadState();
  // A container that begins or ends by this changes the network, and Chromium may drop the page that it led to.
  if (page.url().startsWith("chrome-error:")) await page.reload();
  return answer?.status();
}

/** Waits until the page has come to this path, by itself or on a way on which Chromium was interrupted by a container. */
export async function reach(page, pathname, limit_ms = 90_000) {
  const until = Date.now() + limit_ms;
  for (;;) {
    try {
      await page.waitForURL((url) => url.pathname === pathname, { timeout: Math.max(1, until - Date.now()) });
      return;
    } catch (error) {
      if (Date.now() >= until || !/ERR_NETWORK_CHANGED|interrupted by another/.test(error.message)) throw error;
      if (page.url().startsWith("chrome-error:")) await page.reload().catch(() => {});
    }
  }
}

/** Fills the sign-up form that the page shows. */
export async function fillSignUp(page, name, password) {
  await page.fill('input[name="username"]', name);
  await page.fill('input[name="signup_password"]', password);
  await page.fill('input[name="signup_password_confirmation"]', password);
}

export const sendSignUp = (page) => submit(page, ':has(input[name="signup_password"])');
