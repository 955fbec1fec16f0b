// A hostile tenant in a real browser: mallory's server serves an attacker's page, and a user and an administrator open it
// while they are signed in. Every attack is tried in both modes of isolation; what works is a list (`works`), and the
// test asserts exactly that list: an attack that starts or stops working fails it.
//
// Each attack is code that runs in mallory's page against a target, and returns what it got. Its control is the same code
// against something that mallory may have: there it must succeed, else the attack would prove nothing.

import { after, test } from "node:test";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { makeCertificates, newPerson, until } from "./browser.mjs";
import { binary, freePort } from "./slipway.mjs";

const artefacts = new URL("./artefacts/tenant/", import.meta.url).pathname;
const hubHost = "lab.slipway.test";
const password = "a ship, a slip, a way";
const victims = ["victim", "root"];
/** How long an attack waits for what would show that it works. */
const patience_ms = 600;

// ---- The servers: one upstream for everybody, told apart by the path ----------------------------------------------

/** What reached servers and would have changed something there: `user method mark`. */
const changes = [];
const secretOf = (user) => `SECRET-OF-${user}`;

const upstream = http.createServer((request, response) => {
  const user = request.url.split("/")[2];
  const [, , , what = ""] = request.url.split("?")[0].split("/");
  let body = "";
  request.on("data", (data) => { body += data; });
  request.on("end", () => {
    if (request.method !== "GET" && request.method !== "HEAD" && request.method !== "OPTIONS") {
      changes.push(`${user} ${request.method} ${request.url} ${body}`);
    }
    changes.push(`${user} visited ${request.url}`);
    // As careless as a server can be: it lets everybody in who asks.
    response.setHeader("Access-Control-Allow-Origin", request.headers.origin ?? "*");
    response.setHeader("Access-Control-Allow-Credentials", "true");
    const send = (type, text) => { response.setHeader("Content-Type", type); response.end(text); };
    const secret = secretOf(user);
    switch (what) {
      case "secret": return send("text/plain", secret);
      case "secret.js": return send("text/javascript", `self.leaked = "${secret}"; self.onconnect = (e) => e.ports[0].postMessage("${secret}"); self.postMessage?.("${secret}", location.origin === "x" ? "*" : undefined)`);
      case "module.js": return send("text/javascript", `export const leaked = "${secret}"`);
      case "worker.js": return send("text/javascript", `const tell = (to) => to.postMessage("${secret}"); self.onconnect = (e) => tell(e.ports[0]); if (self.postMessage) tell(self);`);
      case "style.css": return send("text/css", `:root { --leaked: "${secret}" }`);
      case "image.svg": return send("image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" width="77" height="5"/>`);
      case "events": return send("text/event-stream", `data: ${secret}\n\n`);
      case "sw.js":
        response.setHeader("Service-Worker-Allowed", "/");
        return send("text/javascript", "self.addEventListener('fetch', (e) => e.respondWith(new Response('MINE')))");
      case "poison":
        response.setHeader("Set-Cookie", [
          `${sessionCookie}=evil; Path=/; Secure`, `${sessionCookie}=evil; Path=/; Secure; HttpOnly`,
          `tossed=evil; Path=/; Domain=${hubHost}`, "tossed=evil; Path=/",
        ]);
        response.setHeader("Clear-Site-Data", '"cookies", "storage"');
        response.setHeader("Alt-Svc", 'h3=":1"');
        response.setHeader("Strict-Transport-Security", "max-age=1; includeSubDomains");
        response.setHeader("Refresh", "99999");
        return send("text/plain", "poison");
      // What a person's own page keeps in the browser and says to its other tabs.
      case "home": return send("text/html", `<!doctype html><title>home</title><body>${secret}<script>
        localStorage.secret = "${secret}"; sessionStorage.secret = "${secret}"; window.secret = "${secret}"; name = "${secret}";
        const channel = new BroadcastChannel("own"); channel.onmessage = () => channel.postMessage("${secret}");
        caches.open("own").then((c) => c.put("/own", new Response("${secret}")));
        const open = indexedDB.open("own"); open.onupgradeneeded = () => open.result.createObjectStore("s").put("${secret}", "k");
        </script>`);
      default: return send("text/html", "<!doctype html><title>mallory</title><body>A page.");
    }
  });
});
upstream.on("upgrade", (request, socket) => {
  const key = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  const text = Buffer.from(secretOf(request.url.split("/")[2]));
  socket.on("error", () => {});
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`);
  socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
});

// ---- The attacks --------------------------------------------------------------------------------------------------

/** Reads: run in mallory's page; `t.base` is a server's address. Success: what comes back holds that server's secret. */
const reads = {
  "fetch with cookies": async (t) => (await fetch(`${t.base}secret`, { credentials: "include" })).text(),
  "fetch without CORS": async (t) => (await fetch(`${t.base}secret`, { mode: t.isOwn ? "cors" : "no-cors", credentials: "include" })).text(),
  "fetch as same origin": async (t) => (await fetch(`${t.base}secret`, { mode: "same-origin" })).text(),
  "XMLHttpRequest": (t) => new Promise((done) => { const x = new XMLHttpRequest(); x.withCredentials = true; x.open("GET", `${t.base}secret`); x.onloadend = () => done(x.responseText); x.send(); }),
  "EventSource": (t) => new Promise((done) => { const e = new EventSource(`${t.base}events`, { withCredentials: true }); e.onmessage = (m) => { e.close(); done(m.data); }; e.onerror = () => { e.close(); done(""); }; }),
  "WebSocket": (t) => new Promise((done) => { const s = new WebSocket(`${t.base.replace("https", "wss")}socket`); s.onmessage = (m) => done(m.data); s.onerror = () => done(""); }),
  "frame read": (t) => new Promise((done) => { const f = document.createElement("iframe"); f.onload = () => { try { done(f.contentDocument.body.innerText); } catch { done(""); } }; f.src = `${t.base}home`; document.body.append(f); }),
  "object read": (t) => new Promise((done) => { const f = document.createElement("object"); f.onload = () => { try { done(f.contentDocument.body.innerText); } catch { done(""); } }; f.onerror = () => done(""); f.type = "text/html"; f.data = `${t.base}home`; document.body.append(f); }),
  "frame's window": (t) => new Promise((done) => { const f = document.createElement("iframe"); f.onload = () => { try { done(f.contentWindow.secret ?? ""); } catch { done(""); } }; f.src = `${t.base}home`; document.body.append(f); }),
  "popup read": async (t) => { const w = open(`${t.base}home`); try { for (let i = 0; i < 12; i += 1) { await new Promise((go) => setTimeout(go, 50)); try { if (w.secret) return w.secret; } catch { /* still elsewhere */ } } return ""; } finally { w?.close(); } },
  "popup's storage": async (t) => { const w = open(`${t.base}home`); try { await new Promise((go) => setTimeout(go, 400)); return w.sessionStorage.secret ?? ""; } finally { w?.close(); } },
  "script inclusion": (t) => new Promise((done) => { delete self.leaked; const s = document.createElement("script"); s.onload = () => done(self.leaked ?? ""); s.onerror = () => done(""); s.src = `${t.base}secret.js`; document.body.append(s); }),
  "module import": async (t) => (await import(`${t.base}module.js`)).leaked,
  "style inclusion": (t) => new Promise((done) => { const l = document.createElement("link"); l.rel = "stylesheet"; l.onload = () => done(getComputedStyle(document.documentElement).getPropertyValue("--leaked")); l.onerror = () => done(""); l.href = `${t.base}style.css`; document.head.append(l); }),
  "image size": (t) => new Promise((done) => { const i = new Image(); i.onload = () => done(i.naturalWidth === 77 ? t.secret : ""); i.onerror = () => done(""); i.src = `${t.base}image.svg`; }),
  "image into a canvas": (t) => new Promise((done) => { const i = new Image(); i.crossOrigin = "use-credentials"; i.onload = () => done(i.naturalWidth === 77 ? t.secret : ""); i.onerror = () => done(""); i.src = `${t.base}image.svg`; }),
  "worker": (t) => new Promise((done) => { try { const w = new Worker(`${t.base}worker.js`); w.onmessage = (m) => done(m.data); w.onerror = () => done(""); } catch { done(""); } }),
  "shared worker": (t) => new Promise((done) => { try { const w = new SharedWorker(`${t.base}worker.js`); w.port.onmessage = (m) => done(m.data); w.onerror = () => done(""); } catch { done(""); } }),
  "worker that imports": (t) => new Promise((done) => { const w = new Worker(URL.createObjectURL(new Blob([`try { importScripts("${t.base}secret.js"); postMessage(self.leaked) } catch { postMessage("") }`]))); w.onmessage = (m) => done(m.data); }),
  "frame of no origin": (t) => new Promise((done) => { const f = document.createElement("iframe"); f.sandbox = "allow-scripts"; const isOwn = t.isOwn; addEventListener("message", (m) => done(m.data), { once: true }); f.srcdoc = `<script>fetch("${t.base}secret",{credentials:"include"}).then((a)=>a.text()).then((x)=>parent.postMessage(x,"*"),()=>parent.postMessage("","*"))<\/script>`; if (isOwn) f.removeAttribute("sandbox"); document.body.append(f); }),
  "local storage": async (t) => { await t.visit(); return localStorage.secret ?? ""; },
  "cache storage": async (t) => { await t.visit(); return (await (await caches.open("own")).match("/own"))?.text() ?? ""; },
  "IndexedDB": async (t) => { await t.visit(); return new Promise((done) => { const o = indexedDB.open("own"); o.onsuccess = () => { try { const g = o.result.transaction("s").objectStore("s").get("k"); g.onsuccess = () => { o.result.close(); done(g.result ?? ""); }; } catch { o.result.close(); done(""); } }; o.onerror = () => done(""); }); },
  "broadcast channel": async (t) => { const channel = new BroadcastChannel("own"); const heard = new Promise((done) => { channel.onmessage = (m) => { if (m.data) done(m.data); }; }); await t.visit(); channel.postMessage(""); return heard; },
};

/** Changes at a server: run in mallory's page. Success: a request with the mark has reached that server. */
const writes = {
  "fetch POST": (t, mark) => fetch(`${t.base}${mark}`, { method: "POST", credentials: "include", body: "x" }),
  "fetch POST without CORS": (t, mark) => fetch(`${t.base}${mark}`, { method: "POST", mode: "no-cors", credentials: "include", body: "x" }),
  "fetch PUT": (t, mark) => fetch(`${t.base}${mark}`, { method: "PUT", credentials: "include", body: "x" }),
  "fetch DELETE": (t, mark) => fetch(`${t.base}${mark}`, { method: "DELETE", credentials: "include" }),
  "beacon": (t, mark) => { navigator.sendBeacon(`${t.base}${mark}`, "x"); },
  "keep-alive fetch": (t, mark) => fetch(`${t.base}${mark}`, { method: "POST", mode: "no-cors", credentials: "include", keepalive: true, body: "x" }),
  "form into a frame": (t, mark) => { const i = document.createElement("iframe"); i.name = mark; document.body.append(i); const f = document.createElement("form"); f.method = "POST"; f.action = `${t.base}${mark}`; f.target = mark; document.body.append(f); f.submit(); },
  "form into a window": (t, mark) => { const f = document.createElement("form"); f.method = "POST"; f.action = `${t.base}${mark}`; f.target = "_blank"; document.body.append(f); f.submit(); },
  "form as text": (t, mark) => { const i = document.createElement("iframe"); i.name = mark; document.body.append(i); const f = document.createElement("form"); f.method = "POST"; f.enctype = "text/plain"; f.action = `${t.base}${mark}`; f.target = mark; document.body.append(f); f.submit(); },
  "ping of a link": (t, mark) => { const a = document.createElement("a"); a.href = "#x"; a.ping = `${t.base}${mark}`; document.body.append(a); a.click(); },
};

/** The hub: run in mallory's page; returns what it got. Success: `isHit` of it. Control: the same on mallory's own server. */
const hubReads = {
  "hub page by fetch": ["hub/home", async (url) => (await fetch(url, { credentials: "include" })).text()],
  "hub page as a navigation would": ["hub/token", async (url) => (await fetch(url, { credentials: "include", headers: { Accept: "text/html" } })).text()],
  "hub API by fetch": ["hub/api/user", async (url) => (await fetch(url, { credentials: "include" })).text()],
  "hub API by XMLHttpRequest": ["hub/api/users", (url) => new Promise((done) => { const x = new XMLHttpRequest(); x.withCredentials = true; x.open("GET", url); x.onloadend = () => done(x.responseText); x.send(); })],
  "hub page in a frame": ["hub/home", (url) => new Promise((done) => { const f = document.createElement("iframe"); f.onload = () => { try { done(f.contentDocument.body.innerText); } catch { done(""); } }; f.src = url; document.body.append(f); })],
  "hub page in a popup": ["hub/home", async (url) => { const w = open(url); try { for (let i = 0; i < 12; i += 1) { await new Promise((go) => setTimeout(go, 50)); try { if (w.document.body?.innerText.length > 3 && w.location.href !== "about:blank") return w.document.body.innerText; } catch { /* still elsewhere */ } } return ""; } finally { w?.close(); } }],
  "admin page in a popup": ["hub/admin", async (url) => { const w = open(url); try { for (let i = 0; i < 12; i += 1) { await new Promise((go) => setTimeout(go, 50)); try { if (w.document.body?.innerText.length > 3 && w.location.href !== "about:blank") return w.document.body.innerText; } catch { /* still elsewhere */ } } return ""; } finally { w?.close(); } }],
  "hub's stream of events": ["hub/api/live", (url) => new Promise((done) => { const e = new EventSource(url, { withCredentials: true }); e.onopen = () => { e.close(); done("OPENED"); }; e.onerror = () => { e.close(); done(""); }; })],
};
/** What shows that a page of the hub, or its API, was read. Mallory's own page stands in for it in the control. */
const isOfHub = (text, user) => /OPENED|SECRET-OF-mallory/.test(text) || (new RegExp(`\\b${user}\\b`).test(text) && !/cross|another site|not found|Forbidden/i.test(text));

// ---- The stage ----------------------------------------------------------------------------------------------------

/** Chromium chooses which cookies it forgets when there are too many: the session is among them in some runs, not in others. */
const sometimes = ["overflow of the cookie jar signs out"];

/** What works: `mode/victim/attack` for each; docs/security.md says why. Exactly these must, but for what works sometimes. */
const works = JSON.parse(readFileSync(new URL("./tenant-works.json", import.meta.url), "utf8"));

let sessionCookie = "";
const stages = [];

after(async () => {
  for (const stage of stages) {
    await stage.browser?.close();
    stage.child?.kill("SIGTERM");
    await stage.ended;
    rmSync(stage.folder, { recursive: true, force: true });
  }
  upstream.close();
  upstream.closeAllConnections();
});

/** A certificate for the hub and for all hosts below it, by the same authority. */
function addWildcard(folder, certs) {
  const run = (...args) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "pipe"] });
  const at = (name) => join(folder, name);
  run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", join(certs, "lab.key"), "-out", at("lab.csr"), "-subj", "/CN=lab");
  writeFileSync(at("lab.ext"), `subjectAltName=DNS:${hubHost},DNS:*.${hubHost}\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n`);
  run("x509", "-req", "-in", at("lab.csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "20", "-extfile", at("lab.ext"), "-out", join(certs, "lab.pem"));
}

async function begin(mode) {
  const stage = { mode, folder: mkdtempSync(join(tmpdir(), "slipway-tenant-")) };
  mkdirSync(artefacts, { recursive: true });
  if (!upstream.listening) await new Promise((listening) => upstream.listen(0, "127.0.0.1", listening));
  const { certs, authority } = makeCertificates(stage.folder);
  addWildcard(stage.folder, certs);
  const port = await freePort();
  stage.origin = `https://${hubHost}:${port}`;
  stage.originOf = (user) => (mode === "path" ? stage.origin : `https://${user}.${hubHost}:${port}`);
  stage.base = (user) => `${stage.originOf(user)}/user/${user}/`;
  const settings = join(stage.folder, "slipway.toml");
  writeFileSync(settings, `${mode === "path" ? "" : `isolation = "${mode}"\n`}public_url = "${stage.origin}"\n[[roles]]\nname = "user"\nscopes = ["self", "access:servers!user=mallory"]\n`);
  const environment = {
    PATH: process.env.PATH, HOME: stage.folder, SLIPWAY_CONFIG: settings, SLIPWAY_LISTENER_HTTPS: `127.0.0.1:${port}`,
    SLIPWAY_DATA_DIR: join(stage.folder, "data"), SLIPWAY_CERTS_DIR: certs, SLIPWAY_HUB_BIND: `127.0.0.1:${await freePort()}`,
    SLIPWAY_SPAWNER_BACKEND: "static", SLIPWAY_SPAWNER_STATIC_UPSTREAM: `http://127.0.0.1:${upstream.address().port}`,
    SLIPWAY_LOG_FORMAT: "text",
  };
  const log = openSync(join(artefacts, `${mode}.log`), "w");
  stage.child = spawn(binary, ["serve"], { cwd: stage.folder, env: environment, stdio: ["ignore", log, log] });
  closeSync(log);
  stage.ended = new Promise((ended) => stage.child.once("exit", ended));
  const isHealthy = () => new Promise((done) => {
    const request = https.get({ host: "127.0.0.1", port, path: "/hub/health", rejectUnauthorized: false, agent: false, headers: { host: `${hubHost}:${port}` } }, (answer) => { answer.resume(); done(answer.statusCode === 200); });
    request.on("error", () => done(false));
  });
  await until("Slipway answers", 30_000, isHealthy);
  for (const [user, ...options] of [["victim"], ["mallory"], ["root", "--admin"]]) {
    execFileSync(binary, ["user", "add", ...options, "--password-stdin", user], { cwd: stage.folder, env: environment, input: `${password}\n` });
  }
  const database = join(stage.folder, ".pki", "nssdb");
  mkdirSync(database, { recursive: true });
  execFileSync("certutil", ["-d", `sql:${database}`, "-N", "--empty-password"]);
  execFileSync("certutil", ["-d", `sql:${database}`, "-A", "-t", "C,,", "-n", "slipway-tests", "-i", authority]);
  stage.browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true,
    env: { PATH: process.env.PATH, LANG: "C.UTF-8", HOME: stage.folder },
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-popup-blocking",
      `--host-resolver-rules=MAP *.slipway.test 127.0.0.1, MAP evil.test 127.0.0.1`],
  });
  stages.push(stage);
  // A visit starts one's own server alone.
  const mallory = await person(stage, "mallory");
  await openServer(mallory.page, `${stage.base("mallory")}attack`);
  await mallory.context.close();
  return stage;
}

/** A browser of `user`, signed in, with both servers opened once. */
async function person(stage, user) {
  const context = await newPerson(stage.browser, stage.origin);
  const page = await context.newPage();
  await page.goto("/hub/login?next=%2Fhub%2Fhome");
  await page.fill('input[name="username"]', user);
  await page.fill('input[name="password"]', password);
  await page.click('button[type="submit"]');
  await page.waitForURL(/\/hub\/home/);
  const known = (await context.cookies(stage.origin)).find(({ name }) => /^__Host-Http-slipway-[0-9a-f]{8}$/.test(name));
  assert.ok(known, "there is a session cookie");
  sessionCookie = known.name;
  return { user, context, page, session: known.value };
}

/** Opens a server, through the start page if need be. */
async function openServer(page, address) {
  await page.goto(address);
  await page.waitForURL((url) => `${url}` === address, { timeout: 20_000 });
}

const sessionOf = async (who, stage) => (await who.context.cookies(stage.origin)).find(({ name }) => name === sessionCookie)?.value;
const within = (promise, otherwise, limit_ms = patience_ms) => Promise.race([
  Promise.resolve(promise).catch(() => otherwise), new Promise((late) => { setTimeout(() => late(otherwise), limit_ms); }),
]);

/** Runs `attack` in a fresh page of mallory's; `visit()` there opens the target's home page in another tab. */
async function inMallorysPage(stage, who, attack, target, mark = "") {
  const page = await who.context.newPage();
  try {
    await page.goto(`${stage.base("mallory")}attack`);
    await page.exposeFunction("visitTarget", async () => {
      const tab = await who.context.newPage();
      target.tab = tab;
      await tab.goto(`${target.base}home`);
      // It keeps its things a moment after it has loaded.
      await tab.waitForTimeout(150);
    });
    const code = `(async (t, mark) => { t.visit = () => visitTarget(); try { return await (${attack})(t, mark); } catch (error) { return "refused " + error; } })(${JSON.stringify(target)}, ${JSON.stringify(mark)})`;
    const limit_ms = /visit\(\)|setTimeout/.test(`${attack}`) ? 3 * patience_ms : patience_ms;
    const got = await within(page.evaluate(code), "", limit_ms);
    return `${got ?? ""}`;
  } finally {
    await target.tab?.close();
    delete target.tab;
    for (const other of who.context.pages()) if (other !== who.page) await other.close();
  }
}

// ---- The play -----------------------------------------------------------------------------------------------------

for (const mode of ["path", "subdomain"]) {
  for (const user of victims) {
    test(`${mode}: what mallory's page can do to ${user}`, { timeout: 170_000 }, async (t) => {
      const stage = stages.find((known) => known.mode === mode) ?? await begin(mode);
      let who = await person(stage, user);
      await openServer(who.page, `${stage.base(user)}home`);
      await openServer(who.page, `${stage.base("mallory")}attack`);
      const hit = [], broken = [];
      let tried = 0;
      const note = (name, hasWorked, controlWorks) => {
        tried += 1;
        if (hasWorked) hit.push(name);
        if (!controlWorks) broken.push(name);
      };
      const own = { base: stage.base("mallory"), secret: secretOf("mallory"), isOwn: true };
      const target = { base: stage.base(user), secret: secretOf(user), isOwn: false };

      const clear = () => who.page.evaluate(async () => { localStorage.clear(); await caches.delete("own"); await new Promise((done) => { const d = indexedDB.deleteDatabase("own"); d.onsuccess = d.onerror = d.onblocked = done; }); });
      for (const [name, attack] of Object.entries(reads)) {
        await clear();
        const got = await inMallorysPage(stage, who, attack, target);
        await clear();
        const control = await inMallorysPage(stage, who, attack, own);
        note(name, got.includes(target.secret), control.includes(own.secret));
      }
      for (const [name, attack] of Object.entries(writes)) {
        const has = (at, mark) => changes.some((line) => line.startsWith(`${at} `) && line.includes(mark) && !line.includes(" visited "));
        const mark = `mark-${tried}-${mode}-${user}`;
        // What is on its way when the page closes may be lost.
        const sent = `async (t, mark) => { Promise.resolve((${attack})(t, mark)).catch(() => {}); await new Promise((go) => setTimeout(go, 300)); }`;
        await inMallorysPage(stage, who, sent, target, mark);
        await inMallorysPage(stage, who, sent, own, `own-${mark}`);
        note(name, has(user, mark), has("mallory", `own-${mark}`));
      }
      for (const [name, [path, attack]] of Object.entries(hubReads)) {
        const run = (url) => inMallorysPage(stage, who, `(t) => (${attack})(t.url)`, { ...target, url });
        const got = await run(`${stage.origin}/${path}`);
        const control = await run(`${own.base}${name.includes("events") ? "events" : "home"}`);
        if (process.env.TENANT_SHOW) t.diagnostic(`${name}: ${got.slice(0, 6000)}`);
        note(name, isOfHub(got, user), isOfHub(control, user));
      }

      // Cookies and headers. The control is a cookie of mallory's own.
      const cookies = async () => who.context.cookies([stage.origin, stage.base(user), stage.base("mallory")]);
      const toss = (cookie) => `() => { document.cookie = "mine=1; Path=/user/mallory/"; document.cookie = ${JSON.stringify(cookie)}; }`;
      for (const [name, cookie] of Object.entries({
        "session cookie by script": `${sessionCookie}=evil; Path=/; Secure`,
        "session cookie by script for the domain": `${sessionCookie}=evil; Path=/; Secure; Domain=${hubHost}`,
        "session cookie by script for a path": `${sessionCookie}=evil; Path=/hub/; Secure`,
      })) {
        await inMallorysPage(stage, who, toss(cookie), target);
        const jar = await cookies();
        note(name, jar.some(({ value, name: of }) => of === sessionCookie && value === "evil"), jar.some(({ name: of }) => of === "mine"));
      }
      await inMallorysPage(stage, who, `async () => { document.cookie = "mine2=1; Path=/user/mallory/"; for (let i = 0; i < 400; i += 1) document.cookie = "c" + i + "=" + i + "; Secure; Path=/user/mallory/"; document.cookie = "${sessionCookie}=evil; Path=/; Secure"; }`, target);
      let jar = await cookies();
      const isFull = jar.filter(({ name }) => /^c\d+$/.test(name)).length > 50;
      note("overflow of the cookie jar, then a session of mallory's", jar.some(({ name, value }) => name === sessionCookie && value === "evil"), isFull);
      note("overflow of the cookie jar signs out", (await sessionOf(who, stage)) !== who.session, isFull);
      // Whoever was thrown out signs in again for what follows.
      await who.context.close();
      who = await person(stage, user);
      await openServer(who.page, `${stage.base("mallory")}attack`);

      const poison = await inMallorysPage(stage, who, `async (t) => { const a = await fetch("${own.base}poison"); return [...a.headers].map((h) => h.join(": ")).join("\\n") + await a.text(); }`, own);
      jar = await cookies();
      const arrived = poison.includes("refresh: 99999");
      note("session cookie by header", jar.some(({ name, value }) => name === sessionCookie && value === "evil"), arrived);
      note("cookie for the domain by header", jar.some(({ name, domain, path }) => name === "tossed" && (domain.startsWith(".") || path === "/")), jar.some(({ name }) => name === "tossed"));
      note("Clear-Site-Data", (await sessionOf(who, stage)) !== who.session || /clear-site-data/.test(poison), arrived);
      note("Alt-Svc", /alt-svc/.test(poison), arrived);
      note("HSTS for all hosts", /strict-transport-security: max-age=1;/.test(poison), arrived);
      for (const [name, scope, isControl] of [["service worker for the whole host", "/"], ["service worker for the victim's path", `/user/${user}/`]]) {
        const register = (to) => inMallorysPage(stage, who, `async () => { const r = await navigator.serviceWorker.register("${own.base}sw.js", { scope: "${to}" }); const s = r.scope; await r.unregister(); return "SCOPE " + s; }`, own);
        const got = await register(scope);
        // On mallory's own host the whole host is mallory's: that is no attack.
        const isOthers = mode === "path";
        note(name, got.includes("SCOPE") && isOthers, (await register("/user/mallory/")).includes("SCOPE") && isControl === undefined);
      }

      // The session: can it be ended, or become another?
      const isSignedIn = async () => {
        if ((await sessionOf(who, stage)) !== who.session) return false;
        const tab = await who.context.newPage();
        await tab.goto("/hub/home");
        const at = new URL(tab.url()).pathname;
        await tab.close();
        return at === "/hub/home";
      };
      for (const [name, attack] of Object.entries({
        "sign-out by an image": "(t) => new Promise((done) => { const i = new Image(); i.onerror = i.onload = done; i.src = t.url; })",
        "sign-out by fetch": "(t) => fetch(t.url, { credentials: 'include', mode: 'no-cors' })",
        "sign-out by a frame": "(t) => new Promise((done) => { const f = document.createElement('iframe'); f.onload = done; f.src = t.url; document.body.append(f); })",
        "sign-out by a popup": "async (t) => { const w = open(t.url); await new Promise((go) => setTimeout(go, 600)); w.close(); }",
        "sign-out by a form": "async (t) => { const f = document.createElement('form'); f.method = 'POST'; f.action = t.url; f.target = '_blank'; document.body.append(f); f.submit(); await new Promise((go) => setTimeout(go, 600)); }",
      })) {
        const mark = `reached-${tried}-${mode}-${user}`;
        await inMallorysPage(stage, who, attack, { ...target, url: `${own.base}${mark}` });
        const isReached = changes.some((line) => line.startsWith("mallory ") && line.includes(mark));
        await inMallorysPage(stage, who, attack, { ...target, url: `${stage.origin}/hub/logout` });
        const hasWorked = !(await isSignedIn());
        note(name, hasWorked, isReached);
        if (hasWorked) {
          await who.context.close();
          who = await person(stage, user);
          await openServer(who.page, `${stage.base("mallory")}attack`);
        }
      }
      const signInAsMallory = `async (t) => { const f = document.createElement("form"); f.method = "POST"; f.action = t.url; f.target = "_blank"; for (const [n, v] of [["username", "mallory"], ["password", ${JSON.stringify(password)}]]) { const i = document.createElement("input"); i.name = n; i.value = v; f.append(i); } document.body.append(f); f.submit(); await new Promise((go) => setTimeout(go, 800)); }`;
      await inMallorysPage(stage, who, signInAsMallory, { ...target, url: `${stage.origin}/hub/login` });
      const wasSignedOver = !(await isSignedIn());
      await inMallorysPage(stage, who, signInAsMallory, { ...target, url: `${own.base}sign-in-${mode}-${user}` });
      note("sign-in as somebody else", wasSignedOver, changes.some((line) => line.includes(`POST /user/mallory/sign-in-${mode}-${user} username=mallory`)));

      // Where a link of the hub may lead.
      for (const next of ["//evil.test/", "https://evil.test/", "/\\evil.test/", "/%09/evil.test/"]) {
        const tab = await who.context.newPage();
        const led = [];
        tab.on("request", (request) => { if (request.isNavigationRequest()) led.push(new URL(request.url()).hostname); });
        for (const path of ["/hub/login", "/hub/enter", "/hub/spawn"]) await tab.goto(`${stage.origin}${path}?next=${encodeURIComponent(next)}`).catch(() => {});
        const hasLed = led.includes("evil.test");
        await tab.goto("https://evil.test/").catch(() => {});
        note(`next=${next}`, hasLed, led.includes("evil.test"));
        await tab.close();
      }

      const expected = works.filter((line) => line.startsWith(`${mode}/${user}/`)).map((line) => line.slice(`${mode}/${user}/`.length));
      t.diagnostic(`${tried} attacks, ${hit.length} work: ${JSON.stringify(hit)}`);
      writeFileSync(join(artefacts, `${mode}-${user}.json`), JSON.stringify({ tried, hit, broken }, null, 1));
      await who.context.close();
      assert.deepEqual(broken, [], "the control of each of these must work, or the attack shows nothing");
      assert.ok(tried >= 40, `${tried} attacks`);
      const always = (names) => names.filter((name) => !sometimes.includes(name));
      assert.deepEqual(always(hit), always(expected), "exactly what docs/security.md lists works");
      assert.ok(hit.every((name) => expected.includes(name)), `docs/security.md does not list all of ${hit}`);
    });
  }
}
