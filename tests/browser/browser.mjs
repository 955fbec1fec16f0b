// A Chromium that trusts the tests' own certificate authority, and what we do with its pages: look at them
// (screenshots, axe-core) and drive JupyterLab. Knows nothing of Slipway's pages: the story does (run.mjs).
//
// The authority is trusted for real, through an NSS database in a HOME of its own: under an ignored
// certificate error Chromium runs no service worker and keeps no HSTS, and both are things that we test.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A second name of this machine, for Chromium alone: it ignores HSTS on localhost. */
export const otherName = "lab.slipway.test";

/** Every page is judged at these sizes, in light and in dark. */
const sizes = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];

const run = (program, ...args) => execFileSync(program, args, { stdio: ["ignore", "pipe", "pipe"] });

/** Makes an authority and a certificate for localhost and `otherName`; returns where they are. `certs` suits `certs_dir`. */
export function makeCertificates(folder) {
  const certs = join(folder, "certs");
  mkdirSync(certs, { recursive: true });
  const at = (name) => join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  run("openssl", "req", "-x509", ...key, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "30",
    "-subj", "/CN=Slipway browser tests", "-addext", "basicConstraints=critical,CA:TRUE",
    "-addext", "keyUsage=critical,keyCertSign,cRLSign");
  run("openssl", "req", ...key, "-keyout", join(certs, "localhost.key"), "-out", at("localhost.csr"), "-subj", "/CN=localhost");
  writeFileSync(at("extensions"), `subjectAltName=DNS:localhost,DNS:${otherName},IP:127.0.0.1,IP:::1\n`
    + "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n");
  run("openssl", "x509", "-req", "-in", at("localhost.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial",
    "-days", "20", "-extfile", at("extensions"), "-out", join(certs, "localhost.pem"));
  return { authority: at("ca.pem"), certs, certificate: join(certs, "localhost.pem"), key: join(certs, "localhost.key") };
}

/** Starts Chromium with `authority` (a PEM file) among its roots. `folder` becomes its HOME. */
export async function startChromium(folder, authority) {
  const database = join(folder, ".pki", "nssdb");
  mkdirSync(database, { recursive: true });
  run("certutil", "-d", `sql:${database}`, "-N", "--empty-password");
  run("certutil", "-d", `sql:${database}`, "-A", "-t", "C,,", "-n", "slipway-tests", "-i", authority);
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    // XDG_CONFIG_HOME and the like would lead Chromium past our HOME.
    env: { PATH: process.env.PATH, LANG: "C.UTF-8", HOME: folder },
    // --no-sandbox: the tests run as root, in containers too. The rest keeps it from calling its maker.
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", `--host-resolver-rules=MAP ${otherName} 127.0.0.1`],
  });
}

/** A browser of one person: a context where script errors and broken policies of the hub's pages go to `complaints`.
 *  JupyterLab's own pages are not ours to judge. */
export async function newPerson(browser, baseURL, options = {}) {
  const context = await browser.newContext({ baseURL, viewport: sizes[0], ...options });
  context.setDefaultTimeout(15_000);
  context.complaints = [];
  const complain = (page, text) => {
    const url = page?.url() ?? "";
    // An error of a page that is gone already has its address in its words alone.
    if (!/\/user\//.test(`${new URL(url, baseURL).pathname} ${text}`)) context.complaints.push(`${url}: ${text}`);
  };
  context.on("page", withstandNetworkChanges);
  context.on("weberror", (error) => complain(error.page(), error.error()));
  context.on("console", (message) => {
    if (/Content Security Policy|Refused to|Permissions Policy/.test(message.text())) complain(message.page(), message.text());
  });
  return context;
}

/** Chromium drops every request under way when a network interface of the machine comes or goes, as they do with each
 *  container, whoever's it is. A person would load the page again, and so does this one. */
function withstandNetworkChanges(page) {
  const isNetworkChange = (text) => /ERR_NETWORK_CHANGED|interrupted by another navigation/.test(text ?? "");
  page.on("requestfailed", (request) => { page.lostRequests ||= isNetworkChange(request.failure()?.errorText); });
  const goto = page.goto.bind(page);
  page.goto = async (...address) => {
    for (let tries = 3; ; tries -= 1) {
      try {
        return await goto(...address);
      } catch (error) {
        if (tries === 0 || !isNetworkChange(error.message)) throw error;
      }
    }
  };
}

/** No page is larger than this, before compression. */
const pageLimit_bytes = 100 * 1024;

/** Takes the page's pictures, and finds it free of accessibility faults, of sideways scrolling and of ballast. */
export async function look(page, name, artefacts) {
  mkdirSync(artefacts, { recursive: true });
  const faults = [];
  const bytes = await page.evaluate(() => performance.getEntriesByType("navigation")[0]?.decodedBodySize ?? 0);
  if (bytes > pageLimit_bytes) faults.push(`${name}: the page has ${bytes} bytes, more than ${pageLimit_bytes}`);
  // Evaluated by the debugger, which a strict Content-Security-Policy does not concern.
  await page.evaluate(axe);
  for (const colorScheme of ["light", "dark"]) {
    // The schemes differ in colours alone: what else there is to find has been found in the first.
    const rules = colorScheme === "light" ? {} : { runOnly: ["color-contrast"] };
    for (const size of sizes) {
      const title = `${name}-${size.width}-${colorScheme}`;
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize(size);
      await page.screenshot({ path: join(artefacts, `${title}.png`), fullPage: true, animations: "disabled" });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) faults.push(`${title}: the page is ${wide}px wider than the window`);
      const { violations } = await page.evaluate((rules) => window.axe.run(document, { resultTypes: ["violations"], ...rules }), rules);
      for (const { id, help, nodes } of violations) {
        faults.push(`${title}: ${id}: ${help}\n    ${nodes.slice(0, 3).map((node) => `${node.target.join(" ")}  ${node.html}`).join("\n    ")}`);
      }
    }
  }
  await page.setViewportSize(sizes[0]);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: null });
  // A story goes on, and fails at its end with the faults of all its pages.
  if (page.context().isInStory) page.context().complaints.push(...faults);
  else assert.deepEqual(faults, [], `faults of the page ${name}:\n${faults.join("\n")}`);
}

/** Waits until JupyterLab's shell is there and its splash gone. 60 s: a first start compiles nothing but reads much. */
export async function waitForJupyterLab(page, limit_ms = 60_000) {
  const until = Date.now() + limit_ms;
  for (;;) {
    try {
      await page.locator("#jp-main-dock-panel").waitFor({ timeout: 15_000 });
      break;
    } catch (error) {
      if (Date.now() > until) throw error;
      if (page.lostRequests) await page.reload();
      page.lostRequests = false;
    }
  }
  await page.locator("#jupyterlab-splash").waitFor({ state: "detached", timeout: limit_ms });
}

/** The launcher's card for a notebook. JupyterLab that lost a request has no kernels to choose from, and is loaded anew. */
async function launcherCard(page) {
  const card = page.locator('.jp-LauncherCard[data-category="Notebook"]').first();
  for (let tries = 3; ; tries -= 1) {
    if (!(await card.isVisible())) await page.keyboard.press("Control+Shift+L");
    try {
      await card.waitFor({ timeout: 10_000 });
      return card;
    } catch (error) {
      if (tries === 1) throw error;
      await page.reload();
      await waitForJupyterLab(page);
    }
  }
}

/** Opens a new notebook by the launcher, types `code` into its first cell, runs it; returns what it printed. */
export async function runInNewNotebook(page, code) {
  const card = await launcherCard(page);
  await card.click({ timeout: 30_000 });
  const notebook = page.locator(".jp-NotebookPanel:visible");
  const cell = notebook.locator(".jp-CodeCell .cm-content").first();
  await cell.click({ timeout: 30_000 });
  // In one piece: typed key by key, the editor would close brackets and quotes by itself.
  await page.keyboard.insertText(code);
  // The status bar, not the notebook's own indicator: that one says idle before there is a kernel at all, and
  // JupyterLab silently runs nothing then.
  await page.locator("#jp-main-statusbar").getByText(/\| Idle$/).waitFor({ timeout: 60_000 });
  await page.keyboard.press("Shift+Enter");
  const output = notebook.locator(".jp-OutputArea-output pre").first();
  await output.waitFor({ timeout: 30_000 });
  return (await output.innerText()).trim();
}

/** Asks a server's API from inside one of its pages, as JupyterLab's own scripts do: with the page's _xsrf cookie
 *  in a header, without which a server behind JupyterHub takes the session for nobody's. */
export function askServer(page, address, method = "GET") {
  return page.evaluate(async ([address, method]) => {
    const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "";
    const answer = await fetch(address, { method, headers: { "X-XSRFToken": token } });
    if (!answer.ok) throw new Error(`${method} ${address}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }, [address, method]);
}

/** Opens a WebSocket to a running kernel from inside the page; `closed()` tells when it ended, by the page's clock. */
export async function openKernelSocket(page, serverPrefix) {
  const [kernel] = await askServer(page, `${serverPrefix}api/kernels`);
  await page.evaluate(async (address) => {
    const socket = new WebSocket(`wss://${location.host}${address}`);
    window.testSocket = socket;
    window.testSocketClosedAt = new Promise((closed) => socket.addEventListener("close", () => closed(Date.now())));
    await new Promise((opened, failed) => {
      socket.addEventListener("open", opened);
      socket.addEventListener("error", () => failed(new Error("the kernel's socket did not open")));
    });
  }, `${serverPrefix}api/kernels/${kernel.id}/channels?session_id=test`);
  return {
    isOpen: () => page.evaluate(() => window.testSocket.readyState === WebSocket.OPEN),
    closedAt: (limit_ms) => page.evaluate((limit) => Promise.race([
      window.testSocketClosedAt,
      new Promise((_, late) => setTimeout(() => late(new Error(`still open after ${limit} ms`)), limit)),
    ]), limit_ms),
  };
}

/** Asks until the answer is truthy; for things outside the browser, where Playwright's own waiting does not reach. */
export async function until(what, limit_ms, ask) {
  const end = Date.now() + limit_ms;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`not within ${limit_ms} ms: ${what}`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}
