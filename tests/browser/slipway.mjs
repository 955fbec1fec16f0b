// Slipway as the browser tests run it: the built program with folders, port, network and names of its own, so
// that nothing here meets another instance on the same engine. It can be stopped and started again with other
// settings over the same data, as an operator would.

import { spawn, execFileSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import https from "node:https";
import net from "node:net";
import { join } from "node:path";
import { until } from "./browser.mjs";

const docker = (...args) => execFileSync("docker", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
const lines = (text) => text.split("\n").filter(Boolean);

export const binary = process.env.SLIPWAY_BINARY ?? new URL("../../target/ci/slipway", import.meta.url).pathname;

/** `folder` is where it lives, `certificates` from makeCertificates, `artefacts` where its log goes. */
export async function makeSlipway(folder, certificates, artefacts) {
  if (!existsSync(binary)) throw new Error(`${binary} is not there: ./test.sh browser builds it`);
  const port = await freePort();
  const hubPort = await freePort();
  // Names of networks and containers are the engine's, so they carry the port, which is ours alone.
  const name = `browsertest${port}`;
  mkdirSync(artefacts, { recursive: true });
  const log = join(artefacts, "slipway.log");
  const settings = {
    SLIPWAY_LISTENER_HTTPS: `127.0.0.1:${port}`,
    SLIPWAY_DATA_DIR: join(folder, "data"),
    SLIPWAY_CERTS_DIR: certificates.certs,
    SLIPWAY_SPAWNER_BACKEND: "docker",
    SLIPWAY_SPAWNER_DOCKER_IMAGE: "slipway-lab:local",
    SLIPWAY_SPAWNER_DOCKER_PULL_POLICY: "never",
    SLIPWAY_SPAWNER_DOCKER_NETWORK: name,
    SLIPWAY_SPAWNER_DOCKER_NAME_PREFIX: name,
    SLIPWAY_HUB_BIND: `auto:${hubPort}`,
    SLIPWAY_LOG_ACCESS: "json",
    SLIPWAY_LOG_FORMAT: "text",
    SLIPWAY_LOG_LEVEL: "info",
  };
  let child;

  return {
    origin: `https://localhost:${port}`,

    /** What the names of its containers and volumes begin with. */
    name,

    /** Starts it and waits until it answers; `changed` wins over the settings of these tests. */
    async start(changed = {}) {
      const output = openSync(log, "a");
      child = spawn(binary, ["serve"], {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: folder, ...settings, ...changed },
        stdio: ["ignore", output, output],
      });
      closeSync(output);
      const ended = new Promise((resolve) => { child.once("exit", (status, signal) => resolve(signal ?? status)); });
      child.ended = ended;
      const healthy = until("Slipway answers", 30_000, () => isHealthy(port, certificates.authority));
      await Promise.race([healthy, ended.then((how) => { throw new Error(`Slipway ended with ${how}:\n${this.lastLog()}`); })]);
    },

    /** Asks it to stop, and fails if it has not within 30 s (its own limit is 10). */
    async stop() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const tooLate = new Promise((_, reject) => setTimeout(() => reject(new Error("Slipway did not stop on SIGTERM")), 30_000).unref());
      try {
        const how = await Promise.race([child.ended, tooLate]);
        if (how !== 0) throw new Error(`Slipway ended with ${how}:\n${this.lastLog()}`);
      } finally {
        child.kill("SIGKILL");
      }
    },

    /** The path and query of the setup link, once it is there. */
    async setupLink() {
      const file = join(settings.SLIPWAY_DATA_DIR, "setup-link");
      const link = await until("the setup link", 5_000, () => existsSync(file) && readFileSync(file, "utf8").trim());
      const { pathname, search } = new URL(link);
      return pathname + search;
    },

    /** Names of the containers of this instance, running or not. */
    containers: () => lines(docker("ps", "--all", "--filter", `name=^${name}`, "--format", "{{.Names}}")),

    /** What the engine knows of a person's container. */
    inspect: (user) => JSON.parse(docker("inspect", `${name}-${user}`))[0],

    /** What a command prints that is run inside a person's container. */
    inside: (user, ...command) => docker("exec", `${name}-${user}`, ...command),

    /** The requests that have ended, in the order in which they did. */
    accessLog: () => lines(readFileSync(log, "utf8")).filter((line) => line.startsWith('{"address"')).map((line) => JSON.parse(line)),

    /** Runs `slipway` on this instance, as an operator in a second terminal. */
    command: (words, input = "") => execFileSync(binary, words, {
      cwd: folder, input, encoding: "utf8", env: { PATH: process.env.PATH, HOME: folder, ...settings },
    }),

    /** Makes an account; `options` are those of `slipway user add`. */
    addUser(user, password, ...options) {
      this.command(["user", "add", ...options, "--password-stdin", user], `${password}\n`);
    },

    lastLog: () => lines(readFileSync(log, "utf8")).slice(-30).join("\n"),

    /** Takes away what it left on the engine. */
    clean() {
      for (const container of this.containers()) docker("rm", "--force", container);
      for (const volume of lines(docker("volume", "ls", "--quiet", "--filter", `name=^${name}`))) docker("volume", "rm", volume);
      if (docker("network", "ls", "--quiet", "--filter", `name=^${name}$`)) docker("network", "rm", name);
    },
  };
}

/** A port of 127.0.0.1 that nobody has at the moment. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function isHealthy(port, authority) {
  return new Promise((resolve) => {
    const request = https.get({ host: "localhost", port, path: "/hub/health", ca: readFileSync(authority), timeout: 2_000, agent: false },
      (answer) => { answer.resume(); resolve(answer.statusCode === 200); });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(false));
  });
}
