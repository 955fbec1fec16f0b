"""Addresses that change hands: a real Docker network of five addresses, more users than that, and containers that die and start all the
time, so that one user's address is another's a moment later; each answers with its own secret.

Held: nobody is ever answered with another's secret, over kept-alive connections and WebSockets that are used throughout (F7).
"""

import asyncio
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

from engine_part import Caller, parsed
from subjects import Browser, Folder, HERE, PASSWORD, Slipway, free_port

SOCKET, IMAGE = "/var/run/docker.sock", "slipway-rig-secret:test"
SUBNET = "10.213.77.0/29"
# A /29 has six addresses, one of them the gateway's.
USERS, RUNNING, KILLED = 10, 5, 3
CONNECTIONS, WEBSOCKETS = 2, 2
SWAPS = {True: 100, False: 2000}
# A busy machine does fewer swaps; so many are the least that say anything.
LIMIT_S, LEAST_SWAPS = {True: 90, False: 7200}, 25
# How containers end.
MANNERS = ("kill", "kill", "rm", "stop", "restart")
SECRET = re.compile(rb"user=([a-z0-9]+);")


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


async def engine(method, path):
    """One call to the engine; status and body."""
    reader, writer = await asyncio.open_unix_connection(SOCKET)
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        async with asyncio.timeout(30):
            status, _, body = parsed(await reader.read(-1))
        return status, body
    finally:
        writer.transport.abort()


def build_image():
    """The server of secret_server.c, alone in an image."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["gcc", "-static", "-pthread", "-D_GNU_SOURCE", "-Os", "-s", "-o", f"{folder}/secret", str(HERE / "secret_server.c")], check=True)
        (Path(folder) / "tmp").mkdir()
        archive = subprocess.run(["tar", "--numeric-owner", "-C", folder, "-c", "secret", "tmp"], capture_output=True, check=True).stdout
    subprocess.run(["docker", "import", "--change", 'CMD ["/secret"]', "-", IMAGE], input=archive, capture_output=True, check=True)


class Rig:
    """Slipway before the real engine, the users, and what was heard."""

    def __init__(self):
        self.name, self.folder, self.plain = f"slipwayrig{os.getpid()}", Folder("rig-reuse"), free_port()
        made = docker("network", "create", "--subnet", SUBNET, self.name)
        if made.returncode:
            raise RuntimeError(f"the network could not be made: {made.stderr}")
        self.slipway = Slipway(self.folder, [], {
            "listener.http": [f"127.0.0.1:{self.plain}"], "listener.trusted_proxies": ["127.0.0.1"], "spawner.backend": "docker",
            "spawner.docker.image": IMAGE, "spawner.docker.command": ["/secret"], "spawner.docker.network": self.name, "spawner.docker.name_prefix": self.name, "spawner.docker.volumes": {},
            "spawner.docker.pull_policy": "never", "spawner.stop_timeout_s": 1, "spawner.usage_interval_s": 0, "spawner.volume_sizes_interval_s": 0,
            "spawner.layer_sizes_interval_s": 0, "log.level": "error",
        })
        for key in [key for key in self.slipway.settings if key.startswith("spawner.process.")]:
            del self.slipway.settings[key]
        self.slipway.config = self.folder.write("slipway.toml", self.slipway.as_file(), 0o600)
        self.slipway.start()
        browser = Browser(self.slipway.origin)
        browser.sign_in("admin", PASSWORD)
        self.caller = Caller(self.plain, f"127.0.0.1:{self.slipway.port}", self.slipway.token(), browser.cookie_header("/hub/home"))
        self.manners = MANNERS
        self.users = [f"user{number}" for number in range(USERS)]
        self.findings, self.answers, self.frames, self.statuses = [], 0, 0, {}
        # Containers that ended while others came; who had each address last, and how often it went to somebody else.
        self.swaps, self.had, self.reused = 0, {}, 0

    def end(self):
        self.slipway.program.end()
        left = docker("ps", "-aq", "--filter", f"name=^{self.name}-").stdout.split()
        if left:
            docker("rm", "-f", *left)
        docker("network", "rm", self.name)

    def hear(self, user, body, how):
        """Notes an answer; one with another's secret is what must not be."""
        for secret in SECRET.findall(body):
            if secret.decode() != user:
                self.findings.append({"what": how, "wrong": f"{user} got {body[:120]!r}"})

    def head(self, user, more=""):
        return f"GET /user/{user}/x HTTP/1.1\r\nHost: {self.caller.host}\r\nX-Forwarded-Proto: https\r\nAuthorization: token {self.caller.token}\r\n{more}\r\n".encode()

    async def keep_asking(self, user, until):
        """One request after the other over one connection for as long as it lasts."""
        while not until.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.plain)
                while not until.is_set():
                    writer.write(self.head(user))
                    async with asyncio.timeout(40):
                        head = await reader.readuntil(b"\r\n\r\n")
                        status, fields, _ = parsed(head.replace(b"chunked", b"pieces").replace(b"ontent-length", b"ontent-lengthy"))
                        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
                        body = await reader.readexactly(int(length.group(1))) if length else b""
                    self.hear(user, body, "a request")
                    self.answers += 1
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                    if not length or fields.get("connection") == "close":
                        break
                    await asyncio.sleep(0.01 if status == 200 else 0.05)
                writer.transport.abort()
            except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.02)

    async def keep_listening(self, user, until):
        """A WebSocket, opened again whenever it ends."""
        upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nOrigin: https://{self.caller.host}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        while not until.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.plain)
                writer.write(self.head(user, upgrade))
                while not until.is_set():
                    got = await asyncio.wait_for(reader.read(1 << 16), 5)
                    if not got:
                        break
                    self.hear(user, got, "a WebSocket")
                    self.frames += got.count(b"user=")
                writer.transport.abort()
            except (TimeoutError, OSError):
                pass
            await asyncio.sleep(0.03)

    async def start(self, user):
        status, _, body = await self.caller.ask("POST", f"/hub/api/users/{user}/server")
        if status not in (201, 202, 400):
            # Nothing to hold here: an engine with so few addresses may have none left for a moment.
            self.statuses[f"start {status}"] = self.statuses.get(f"start {status}", 0) + 1
            await asyncio.sleep(0.2)
        return status == 201

    async def note_addresses(self):
        filters = urllib.parse.quote(json.dumps({"network": [self.name]}))
        _, body = await engine("GET", f"/containers/json?filters={filters}")
        for container in json.loads(body):
            address = container["NetworkSettings"]["Networks"].get(self.name, {}).get("IPAddress")
            user = container["Labels"].get("slipway.user")
            if address:
                self.reused += self.had.get(address, user) != user
                self.had[address] = user

    async def swap(self, generator):
        """Some die at one moment, others are started at once, and take their addresses."""
        servers = dict(zip(self.users, await asyncio.gather(*(self.caller.server(user) for user in self.users))))
        running = [user for user in self.users if servers[user]["ready"]]
        others = [user for user in self.users if user not in running]
        killed = generator.sample(running, min(KILLED, len(running)))
        manner = generator.choice(self.manners)
        names = [f"{self.name}-{user}" for user in killed]
        if manner == "kill":
            await asyncio.gather(*(engine("POST", f"/containers/{name}/kill") for name in names))
        elif manner == "rm":
            await asyncio.gather(*(engine("DELETE", f"/containers/{name}?force=1") for name in names))
        elif manner == "restart":
            # By somebody else's hand, all at one moment: each may come back with another's address.
            await asyncio.gather(*(engine("POST", f"/containers/{name}/restart?t=0") for name in names))
        else:
            await asyncio.gather(*(self.caller.ask("DELETE", f"/hub/api/users/{user}/server") for user in killed))
        fresh = generator.sample(others, min(len(others), RUNNING - len(running) + len(killed)))
        await asyncio.gather(*(self.start(user) for user in fresh))
        await self.note_addresses()
        self.swaps += len(killed)


async def attack(rig, options):
    generator, until = random.Random(options.seed), asyncio.Event()
    await rig.caller.ask("POST", "/hub/api/users", {"usernames": rig.users})
    await asyncio.gather(*(rig.start(user) for user in rig.users[:RUNNING]))
    await rig.note_addresses()
    tasks = [asyncio.create_task(work(user, until)) for user in rig.users for work, count in ((rig.keep_asking, CONNECTIONS), (rig.keep_listening, WEBSOCKETS)) for _ in range(count)]
    end = time.monotonic() + LIMIT_S[options.is_quick]
    while rig.swaps < SWAPS[options.is_quick] and time.monotonic() < end:
        await rig.swap(generator)
    until.set()
    await asyncio.gather(*tasks)
    await asyncio.gather(*(rig.caller.ask("DELETE", f"/hub/api/users/{user}/server") for user in rig.users))


def run(options):
    """Slipway alone, before the real engine; skipped with a line where there is none."""
    if not shutil.which("docker") or docker("info").returncode or not shutil.which("gcc"):
        print("  skipped: no Docker engine, or no gcc")
        return [], []
    build_image()
    rig, began = Rig(), time.monotonic()
    rig.manners = [manner for manner in MANNERS if not options.only or options.only == manner]
    try:
        asyncio.run(attack(rig, options))
        if rig.swaps < LEAST_SWAPS or rig.reused < rig.swaps / 4:
            rig.findings.append({"what": "the rig's own", "wrong": f"only {rig.swaps} swaps in time, {rig.reused} addresses changed hands"})
        if rig.statuses.get(200, 0) < 10 * rig.reused or not rig.frames:
            rig.findings.append({"what": "the rig's own", "wrong": f"hardly anybody was answered: {rig.statuses}"})
    finally:
        rig.end()
    figures = {"name": "slipway", "swaps": rig.swaps, "reused": rig.reused, "answers": rig.answers, "frames": rig.frames, "statuses": {str(key): count for key, count in rig.statuses.items()},
               "seconds": time.monotonic() - began, "findings": rig.findings}
    print(f"  slipway: {rig.swaps} swaps, {rig.reused} addresses changed hands in {figures['seconds']:.0f} s; {rig.answers} answers {rig.statuses}, {rig.frames} frames: {len(rig.findings)} found")
    return [figures], rig.findings
