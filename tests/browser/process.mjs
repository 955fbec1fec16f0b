// ./start.sh as somebody runs it who has no Docker: from a terminal, through the setup link that it prints, to a
// cell that runs in a JupyterLab that is a process on this host, and to Ctrl-C.

import { after, before } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, createWriteStream, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { look, makeCertificates, runInNewNotebook, startChromium, until, waitForJupyterLab } from "./browser.mjs";
import { binary, freePort } from "./slipway.mjs";
import { fillSignUp, makeStory, path, sendSignUp, submit } from "./story.mjs";

const artefacts = new URL("./artefacts/process/", import.meta.url).pathname;
const repository = new URL("../../", import.meta.url).pathname;
const password = "a ship, a slip, a way";
/** A Python environment is made at the first run: 60 s of pip here, and slower mirrors exist. */
const prepareLimit_ms = 600_000;

let text = "";
const stage = { artefacts, lastLog: () => text.split("\n").slice(-40).join("\n") };
const { lastStep, person, step } = makeStory(stage);
let folder, terminal, ended, port, admin;

before(async () => {
  rmSync(artefacts, { recursive: true, force: true });
  mkdirSync(artefacts, { recursive: true });
  // Servers run as an account of their own when we are root, and it must be able to walk to its home.
  folder = mkdtempSync(join(tmpdir(), "slipway-process-"));
  chmodSync(folder, 0o711);
  const certificates = makeCertificates(folder);
  port = await freePort();
  stage.origin = `https://localhost:${port}`;
  stage.browser = await startChromium(join(folder, "chromium"), certificates.authority);
  const log = createWriteStream(join(artefacts, "terminal.txt"));
  // Detached: a process group of its own, as a terminal makes one, so that Ctrl-C can be sent to all of it.
  terminal = spawn(join(repository, "start.sh"), ["--binary", binary], {
    cwd: folder,
    detached: true,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      ...(process.env.SLIPWAY_CACHE ? { SLIPWAY_CACHE: process.env.SLIPWAY_CACHE } : {}),
      DOCKER_HOST: `unix://${join(folder, "no-engine.sock")}`,
      SLIPWAY_LISTENER_HTTPS: `127.0.0.1:${port}`,
      SLIPWAY_HUB_BIND: `127.0.0.1:${await freePort()}`,
      SLIPWAY_DATA_DIR: join(folder, "data"),
      SLIPWAY_CERTS_DIR: certificates.certs,
      SLIPWAY_LOG_FORMAT: "text",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [terminal.stdout, terminal.stderr]) {
    stream.on("data", (data) => { text += data; log.write(data); });
  }
  ended = new Promise((resolve) => { terminal.once("exit", (status, signal) => resolve(signal ?? status)); });
});

after(async () => {
  await stage.browser?.close();
  try {
    if (terminal && terminal.exitCode === null) process.kill(-terminal.pid, "SIGINT");
    await ended;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Ids of the processes that work in `folder` or below. */
function processesBelow(folder) {
  return readdirSync("/proc").filter((id) => {
    try {
      return /^\d+$/.test(id) && readlinkSync(`/proc/${id}/cwd`).startsWith(folder);
    } catch {
      return false; // It has ended, or is not ours to look at.
    }
  });
}

step("without an engine ./start.sh says so, prepares Python and prints the setup link", async () => {
  await until("the address is printed", prepareLimit_ms, () => {
    assert.equal(terminal.exitCode, null, `start.sh ended:\n${text}`);
    return text.includes("Ctrl-C stops it");
  });
  assert.match(text, /no Docker engine answers: servers will be processes on this host/);
  assert.ok(text.includes(`Slipway is at https://localhost:${port}/`), text);
});

step("the printed link makes the administrator, who is in", async () => {
  admin = await person();
  const link = text.match(/https:\/\/\S+\/hub\/signup\?code=\S+/)[0];
  assert.equal(new URL(link).origin, stage.origin);
  await admin.goto(link);
  await fillSignUp(admin, "admin", password);
  await sendSignUp(admin);
  assert.equal(path(admin), "/hub/home");
});

step("a cell runs in a JupyterLab that is a process", async () => {
  await admin.goto("/user/admin/lab");
  await waitForJupyterLab(admin, 90_000);
  assert.equal(await runInNewNotebook(admin, "import os; print(6*7, os.getuid() != 0)"), "42 True");
  await admin.screenshot({ path: join(artefacts, "jupyterlab.png") });
});

step("a stop on the home page ends the process", async () => {
  await admin.goto("/hub/home");
  await look(admin, "home-running", artefacts);
  await admin.getByRole("button", { name: /^stop/i }).first().click();
  await submit(admin, '[action$="/hub/stop/admin"]');
  await until("no process has the server's home as its own", 20_000, () => processesBelow(join(folder, "data")).length === 0);
  await admin.goto("/hub/home");
  assert.ok(await admin.getByRole("button", { name: "Start server" }).isVisible());
});

step("Ctrl-C stops Slipway cleanly, and it says so", async () => {
  process.kill(-terminal.pid, "SIGINT");
  assert.equal(await ended, 0);
  assert.match(text, /start: stopping\n[^]*start: stopped\n$/);
});

lastStep();
