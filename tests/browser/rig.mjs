// The test harness, tested without Slipway: a small HTTPS server of our own, and a JupyterLab behind it.
// When the story fails in a new place, this says whether the tools still work.

import { test, before, after } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { look, makeCertificates, newPerson, openKernelSocket, otherName, runInNewNotebook, startChromium, until, waitForJupyterLab } from "./browser.mjs";

const artefacts = new URL("./artefacts/rig/", import.meta.url).pathname;
const docker = (...args) => execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();

const pages = {
  "/good": `<!doctype html><html lang="en"><title>Good</title><meta name="viewport" content="width=device-width"><main><h1>Good</h1><p>Nothing wrong here.</p></main></html>`,
  "/bad": `<!doctype html><html><title></title><body><img src="data:,"><input style="width:2000px"></body></html>`,
};

let folder, browser, server, origin, container, upstream, person;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "slipway-rig-"));
  const made = makeCertificates(folder);
  server = https.createServer({ cert: readFileSync(made.certificate), key: readFileSync(made.key) }, (request, response) => {
    if (request.url.startsWith("/user/")) {
      const { host, port } = upstream;
      const onward = http.request({ host, port, path: request.url, method: request.method, headers: request.headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on("error", () => response.destroy());
      request.pipe(onward);
    } else if (request.url === "/worker.js") {
      response.setHeader("Content-Type", "text/javascript").end("self.addEventListener('fetch', () => {})");
    } else {
      // The strictest policy: what we inject must not depend on the page's leave.
      response.setHeader("Content-Type", "text/html").setHeader("Content-Security-Policy", request.url === "/good" ? "default-src 'none'" : "default-src * 'unsafe-inline' data:");
      response.setHeader("Strict-Transport-Security", "max-age=600");
      response.end(pages[request.url] ?? "");
    }
  });
  server.on("upgrade", (request, socket, head) => {
    const onward = net.connect(upstream.port, upstream.host, () => {
      onward.write(`${request.method} ${request.url} HTTP/1.1\r\n`
        + request.rawHeaders.reduce((text, part, at) => text + part + (at % 2 ? "\r\n" : ": "), "") + "\r\n");
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward]) end.on("error", () => { socket.destroy(); onward.destroy(); });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  origin = `https://localhost:${server.address().port}`;
  browser = await startChromium(folder, made.authority);
  person = await newPerson(browser, origin);
});

after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
  if (container) docker("rm", "--force", container);
  rmSync(folder, { recursive: true, force: true });
});

test("Chromium trusts the tests' authority: a page loads and a service worker registers", async () => {
  const page = await person.newPage();
  assert.equal((await page.goto("/")).status(), 200);
  const scope = await page.evaluate(async () => (await navigator.serviceWorker.register("/worker.js")).scope);
  assert.equal(scope, `${origin}/`);
  await page.close();
});

test("Chromium does not trust an authority that it was not given", async () => {
  const other = mkdtempSync(join(tmpdir(), "slipway-rig-"));
  const stranger = await startChromium(other, makeCertificates(other).authority);
  const page = await (await newPerson(stranger, origin)).newPage();
  await assert.rejects(page.goto("/good"), /ERR_CERT_AUTHORITY_INVALID/);
  await stranger.close();
  rmSync(other, { recursive: true, force: true });
});

test("HSTS acts: http is turned into https before it leaves the browser", async () => {
  const page = await person.newPage();
  const named = origin.replace("localhost", otherName);
  await page.goto(`${named}/good`);
  await page.goto(`${named.replace("https:", "http:")}/good`);
  assert.match(page.url(), /^https:/);
  await page.close();
});

test("looking at a page finds nothing in a good one under a strict policy, and the faults of a bad one", async () => {
  const page = await person.newPage();
  await page.goto("/good");
  await look(page, "good", artefacts);
  await page.goto("/bad");
  await assert.rejects(look(page, "bad", artefacts), /document-title[^]*html-has-lang[^]*image-alt[^]*wider than the window/);
  await page.close();
});

test("a cell of a new notebook prints, and a page's socket to its kernel closes with the connection", async () => {
  container = docker("run", "--detach", "slipway-lab:local", "jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser",
    "--ServerApp.base_url=/user/alice/", "--IdentityProvider.token=", "--ServerApp.allow_origin=*", "--ServerApp.allow_remote_access=True");
  upstream = { host: docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container), port: 8888 };
  await until("JupyterLab answers", 60_000, () => fetch(`http://${upstream.host}:8888/user/alice/api`).then((answer) => answer.ok, () => false));
  const page = await person.newPage();
  await page.goto("/user/alice/lab");
  await waitForJupyterLab(page);
  assert.equal(await runInNewNotebook(page, "print(6*7)"), "42");
  await page.screenshot({ path: join(artefacts, "jupyterlab.png") });
  const socket = await openKernelSocket(page, "/user/alice/");
  assert.ok(await socket.isOpen());
  const asked = Date.now();
  docker("kill", container);
  assert.ok((await socket.closedAt(5_000)) - asked < 5_000);
  await page.close();
});
