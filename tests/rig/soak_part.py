"""Soak: mixed traffic of several people, and a fault every few seconds, for 90 s or for hours (RIG_SOAK_S).

Held by every answer: it comes from the server of the one who asked (I2) and pairs with its request (I4); in the end: no panic (I5), memory,
tasks and descriptors are back after a minute of quiet at the latest (I5), every person's server is one process (I6), every line of the log is
one, and what was acknowledged is still there (I1).
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import time
from pathlib import Path

from load_client import Wire, context
from load_part import held
from rig import PASSWORD, Browser, Folder, Slipway, until
from upstreams_part import memory_mib
from websocket_cases import TEXT, close, frame
from websocket_part import Door, descriptors, reset
from malformed import Site

NAVIGATION = b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nAccept: text/html\r\n"
PEOPLE = 6
FAULT_EVERY_S = 10
QUICK_S, FULL_S = 90, 8 * 3600
QUIET_S = 60
# What an answer may be while its server is stopped, starts, was killed, or an upgrade was refused.
EXPECTED = {200, 302, 303, 424, 502, 503, 504}
MEMORY_RATIO, DESCRIPTORS_SPARE, TASKS_SPARE = 1.10, 4, 4
# The least that memory may grow by: caches fill, threads come.
MEMORY_SPARE_MIB = 24


class Person:
    """Somebody with a session and a server; `site` is how they ask."""

    def __init__(self, slipway, name):
        self.name, self.slipway = name, slipway
        slipway.add_user(name)
        self.browser = Browser(slipway.origin)
        self.browser.sign_in(name, PASSWORD)
        self.browser.open_server(f"/user/{name}/")
        cookies = "; ".join(f"{key}={value}" for (key, _), value in self.browser.cookies.items())
        self.site = Site(f"127.0.0.1:{slipway.port}".encode(), f"/user/{name}/".encode(), f"Cookie: {cookies}\r\n".encode())
        self.api = f"X-XSRFToken: {self.browser.cookie('_xsrf', '/hub/')}\r\nOrigin: {slipway.origin}\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n".encode()


class Soak:
    def __init__(self, seconds, seed):
        self.folder = Folder("rig-soak")
        # The server's file where its account can read it.
        script = self.folder.write("server.py", (Path(__file__).parent / "soak_server.py").read_text())
        self.slipway = Slipway(self.folder, ["/usr/bin/python3", str(script)], {"log.format": "json", "log.access": "json", "metrics.authenticate": False, "listener.header_timeout_s": 3, "auth.tries_per_address": 10_000})
        self.slipway.start()
        self.people = [Person(self.slipway, f"person{number}") for number in range(PEOPLE)]
        self.admin = Browser(self.slipway.origin)
        self.admin.sign_in("admin", PASSWORD)
        self.findings, self.counts, self.faults, self.notes = [], {}, {}, []
        self.chance, self.tls = random.Random(seed), context()
        self.end = time.monotonic() + seconds

    @property
    def pid(self):
        return self.slipway.program.pid

    def figure(self, family):
        page = self.admin.send("GET", "/hub/metrics").text()
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if re.match(family + r"[{ ]", line))

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def wrong(self, person, text):
        held(self.findings, person.name, False, text)

    # ---- traffic

    async def visits(self, person):
        """Pages of one's own server, of the hub, and calls of the API."""
        wire, number = None, 0
        while time.monotonic() < self.end:
            number += 1
            nonce = b"n%06d_" % (number % 1_000_000)
            what = self.chance.choice(("server", "server", "server", "home", "api", "post", "neighbour"))
            try:
                wire = wire or await Wire.open(self.slipway.port, tls=self.tls)
                path = {"server": person.site.prefix + nonce, "post": person.site.prefix + nonce, "home": b"/hub/home", "api": b"/hub/api/user",
                        "neighbour": b"/user/%s/%s" % (self.chance.choice([other for other in self.people if other is not person]).name.encode(), nonce)}[what]
                status, _, body = await wire.ask(b"POST" if what == "post" else b"GET", path, person.site.headers + (NAVIGATION if what == "home" else person.api), b"x" * 5000 if what == "post" else b"", limit_s=30)
            except (OSError, TimeoutError) as error:
                self.count(f"cut: {type(error).__name__}")
                wire = None
                continue
            self.count(f"{what} {status}")
            if what in ("server", "post") and status == 200 and body != person.name.encode() + b" " + nonce:
                self.wrong(person, f"the answer to {path!r} is {body[:60]!r}")
            elif what == "neighbour" and status == 200:
                self.wrong(person, f"{path!r} was answered: {body[:60]!r}")
            elif what != "neighbour" and status not in EXPECTED:
                self.wrong(person, f"{path!r} was answered {status}: {body[:100]!r}")
            await asyncio.sleep(self.chance.random() * 0.05)
        if wire:
            wire.close()

    async def talks(self, person):
        """A WebSocket, message for message, until it ends; then another."""
        door = Door("TLS", self.slipway.port, person.site, self.tls)
        while time.monotonic() < self.end:
            try:
                async with asyncio.timeout(30):
                    reader, writer = await door.open()
            except (OSError, TimeoutError):
                self.count("socket refused")
                await asyncio.sleep(0.2)
                continue
            try:
                for number in range(self.chance.randrange(1, 200)):
                    writer.write(frame(TEXT, b"%d" % number))
                    wanted = person.name.encode() + b" %d" % number
                    async with asyncio.timeout(10):
                        head = await reader.readexactly(2)
                        said = await reader.readexactly(head[1])
                    if head[0] == 0x88:
                        self.count(f"socket closed {int.from_bytes(said[:2])}")
                        break
                    if said != wanted:
                        self.wrong(person, f"the socket said {said!r} to {wanted!r}")
                    self.count("messages")
                    await asyncio.sleep(self.chance.random() * 0.05)
                how = self.chance.randrange(3)
                if how == 0:
                    writer.write(close())
                elif how == 1:
                    reset(writer)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                self.count("socket cut")
            finally:
                writer.transport.abort()

    # ---- faults: each is over when it returns

    def servers(self):
        """The processes of people's servers, by the folder that they run in."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes()
                    if str(self.folder / "server.py").encode() in command and b"/usr/bin/python3" in command.split(b"\0")[0]:
                        owner = re.search(rb"JUPYTERHUB_USER=([^\0]*)", (entry / "environ").read_bytes())
                        found.append((owner.group(1).decode() if owner else "?", int(entry.name)))
        return found

    async def a_server_is_killed(self):
        servers = self.servers()
        if servers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(servers)[1], signal.SIGKILL)

    async def a_server_hangs(self):
        servers = self.servers()
        if servers:
            pid = self.chance.choice(servers)[1]
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(1)
                os.kill(pid, signal.SIGCONT)

    async def a_server_is_stopped(self):
        person = self.chance.choice(self.people)
        wire = await Wire.open(self.slipway.port, tls=self.tls)
        status, _, body = await wire.ask(b"DELETE", f"/hub/api/users/{person.name}/server".encode(), person.site.headers + person.api)
        wire.close()
        if status not in (202, 204, 400, 404):
            self.wrong(person, f"a stop was answered {status}: {body[:100]!r}")

    async def slipway_is_reloaded(self):
        done = await asyncio.to_thread(self.slipway.try_command, "reload")
        if done.returncode != 0:
            held(self.findings, "reload", False, done.stderr[-200:])

    async def slipway_gets_a_broken_file(self):
        good = self.slipway.config.read_text()
        self.slipway.config.write_text(good + "\nlistener.connections = \"many\"\n")
        done = await asyncio.to_thread(self.slipway.try_command, "reload")
        self.slipway.config.write_text(good)
        if done.returncode == 0:
            held(self.findings, "reload", False, "a broken file was taken up")

    async def slow_clients_come(self):
        wires = []
        for _ in range(40):
            with contextlib.suppress(OSError, TimeoutError):
                wires.append(await Wire.open(self.slipway.port, tls=self.tls))
                wires[-1].writer.write(b"GET / HTTP/1.1\r\nHost:")
        await asyncio.sleep(4)
        for wire in wires:
            wire.close()

    async def connections_are_reset(self):
        for _ in range(100):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.slipway.port)
                writer.write(b"\x16\x03\x01\x02\x00\x01")
                reset(writer)

    async def rubbish_comes(self):
        for _ in range(50):
            with contextlib.suppress(OSError, TimeoutError):
                wire = await Wire.open(self.slipway.port, tls=self.tls)
                wire.writer.write(self.chance.randbytes(2000))
                wire.close()

    async def somebody_guesses(self):
        with contextlib.suppress(OSError, TimeoutError):
            wire = await Wire.open(self.slipway.port, "127.9.1.1", self.tls)
            token = await wire.form()
            for number in range(5):
                status, _ = await wire.sign_in(token, f"nobody{number}", "wrong")
                if status in (302, 303):
                    held(self.findings, "guess", False, "a guess was right")
            wire.close()

    async def something_is_acknowledged(self):
        """A group that is made and must be there at the end."""
        name = f"group{len(self.notes)}"
        answer = await asyncio.to_thread(self.admin.api, "POST", f"/hub/api/groups/{name}")
        if answer.status == 201:
            self.notes.append(name)

    async def faulty(self, is_long):
        ways = [self.a_server_is_killed, self.a_server_hangs, self.a_server_is_stopped, self.slipway_is_reloaded, self.slipway_gets_a_broken_file, self.slow_clients_come, self.connections_are_reset,
                self.rubbish_comes, self.somebody_guesses, self.something_is_acknowledged]
        every = FAULT_EVERY_S if is_long else FAULT_EVERY_S / 2
        order = []
        while time.monotonic() < self.end - 2:
            order = order or self.chance.sample(ways, len(ways)) + [self.something_is_acknowledged]
            way = order.pop(0)
            try:
                await way()
                self.faults[way.__name__] = self.faults.get(way.__name__, 0) + 1
            except (OSError, TimeoutError) as error:
                self.count(f"fault cut: {way.__name__} {type(error).__name__}")
            await asyncio.sleep(every * (0.5 + self.chance.random()))

    async def keeps_servers(self, person):
        """Whoever's server is gone opens it again, as people do."""
        while time.monotonic() < self.end:
            with contextlib.suppress(OSError, TimeoutError):
                wire = await Wire.open(self.slipway.port, tls=self.tls)
                status, _, _ = await wire.ask(b"GET", b"/hub/spawn", person.site.headers + NAVIGATION)
                self.count(f"spawn {status}")
                wire.close()
            await asyncio.sleep(2)

    async def run(self, is_long):
        await asyncio.gather(self.faulty(is_long), *(work(person) for person in self.people for work in (self.visits, self.talks, self.keeps_servers)))

    # ---- the end

    def state(self):
        return {"memory_mib": round(memory_mib(self.pid), 1), "descriptors": descriptors(self.pid), "tasks": self.figure("slipway_tasks")}

    def warm(self):
        """Everything once, so that what is kept for later is there: then the state to come back to."""
        real, self.end = self.end, time.monotonic() + 8
        asyncio.run(self.run(False))
        self.end = real
        self.settle()
        return self.state()

    def settle(self):
        for person in self.people:
            person.browser.open_server(f"/user/{person.name}/")
        with contextlib.suppress(AssertionError):
            until("the sockets have ended", lambda: self.figure("slipway_websockets_open") == 0, 10)

    def check_end(self, before):
        self.settle()
        after = {}

        def is_back():
            after.update(self.state())
            return after["memory_mib"] <= max(before["memory_mib"] * MEMORY_RATIO, before["memory_mib"] + MEMORY_SPARE_MIB) and after["descriptors"] <= before["descriptors"] + DESCRIPTORS_SPARE and after["tasks"] <= before["tasks"] + TASKS_SPARE
        try:
            until("all is back", is_back, QUIET_S)
        except AssertionError:
            held(self.findings, "leak", False, f"before {before}, after {QUIET_S} s of quiet {after}")
        servers = self.servers()
        owners = sorted(owner for owner, _ in servers)
        held(self.findings, "servers", owners == sorted(person.name for person in self.people), f"these run: {owners}")
        held(self.findings, "panics", self.figure("slipway_panics_total") == 0, "a panic")
        groups = {group["name"] for group in self.admin.api("GET", "/hub/api/groups").json()}
        held(self.findings, "acknowledged", set(self.notes) <= groups, f"gone: {set(self.notes) - groups}")
        odd = [line for line in self.slipway.program.log(1_000_000).splitlines() if not line.startswith("{")]
        held(self.findings, "log", not odd, f"{len(odd)} lines that are none of JSON: {odd[:2]}")
        return after


def run(options):
    """Slipway alone."""
    seconds = float(os.environ.get("RIG_SOAK_S", QUICK_S if options.is_quick else FULL_S))
    soak = Soak(seconds, options.seed)
    before = soak.warm()
    soak.end = time.monotonic() + seconds
    asyncio.run(soak.run(seconds > 600))
    after = soak.check_end(before)
    if status := soak.slipway.program.process.poll():
        soak.findings.append({"kind": "crash", "wrong": f"ended with {status}"})
    soak.slipway.end()
    print(f"  soak: {seconds:.0f} s, {sum(soak.counts.values())} events, {sum(soak.faults.values())} faults of {len(soak.faults)} kinds; before {before}, after {after}\n    {dict(sorted(soak.counts.items()))}")
    return [{"seconds": seconds, "counts": soak.counts, "faults": soak.faults, "before": before, "after": after, "findings": soak.findings}], soak.findings
