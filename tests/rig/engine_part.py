"""An engine that goes wrong at every call: each call of a start, a restart, a stop and of what is done with volumes × each fault of
`fake_docker.py`, once and for as long as it takes, many users at once and each with a fault of their own; beside them people whose servers
run, and an engine whose lists and events go wrong all the time.

Held: whoever waits is answered (API, progress, page, program), and all are told the same; nobody reaches another's server; never two
containers of one server; whoever failed can start again at once when the engine is well; nothing is left that should not be, at the
latest a minute after; running servers are reached throughout, whatever becomes of the engine; a herd before one stopped server makes one
container; a crowd keeps to the number of starts at once; after kill -9 at each call everybody gets a server.
"""

import asyncio
import collections
import contextlib
import json
import random
import signal
import time

from fake_docker import FAULTS, FakeDocker, Plan
from subjects import Browser, Folder, PASSWORD, Slipway, free_port

# Which calls each act makes.
CALLS = {
    "start": ("image", "pull", "create", "archive_get", "archive_put", "start", "inspect", "server"),
    "again": ("volume", "create"),
    "stop": ("inspect", "stop", "logs", "remove"),
    "restart": ("inspect", "restart"),
    "volumes": ("volume", "volume_users", "volume_remove"),
}
STORIES_AT_ONCE = 300
STAGGER_S = 0.02
STARTS_AT_ONCE = 1000
# One answer of Slipway's: more than its own limit of 30 s.
ANSWER_LIMIT_S = 40
# Everything about a server ends within this: its deadlines, one after the other.
SETTLE_LIMIT_S = 90
ORPHAN_LIMIT_S = 60
HERD, CROWD, CROWD_AT_ONCE = 1000, {True: 100, False: 500}, 10


class Wrong(Exception):
    """What must not be; the text says it."""


class Caller:
    """Asks Slipway, one connection a request."""

    def __init__(self, port, host, token, cookie):
        self.port, self.host, self.token, self.cookie = port, host, token, cookie

    async def ask(self, method, path, body=None, as_page=False, limit_s=ANSWER_LIMIT_S, cookie=None):
        """Status, fields and body; Wrong if it is no whole answer in time."""
        try:
            async with asyncio.timeout(limit_s):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    content = json.dumps(body).encode() if body is not None else b""
                    who = f"Cookie: {cookie or self.cookie}\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none" if as_page else f"Authorization: token {self.token}"
                    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n{who}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
                    return parsed(await reader.read(-1))
                finally:
                    writer.transport.abort()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            raise Wrong(f"{method} {path}: no whole answer ({type(error).__name__} {error})") from None

    async def server(self, user):
        status, _, body = await self.ask("GET", f"/hub/api/users/{user}/server")
        if status != 200:
            raise Wrong(f"GET server of {user}: {status} {body[:200]}")
        return json.loads(body)

    async def settled(self, user, limit_s=SETTLE_LIMIT_S):
        """The server once nothing is pending."""
        end, pause = time.monotonic() + limit_s, 0.1
        while True:
            server = await self.server(user)
            if not server["pending"]:
                return server
            if time.monotonic() > end:
                raise Wrong(f"stuck for {limit_s} s: {server['pending']}")
            await asyncio.sleep(pause)
            pause = min(1, pause * 1.5)


def parsed(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    if "chunked" in fields.get("transfer-encoding", ""):
        whole = b""
        while True:
            size, _, body = body.partition(b"\r\n")
            size = int(size, 16)
            if size == 0:
                break
            whole, body = whole + body[:size], body[size + 2:]
        body = whole
    elif len(body) < int(fields.get("content-length", 0)):
        raise ValueError("cut short")
    return int(line.split(" ")[1]), fields, body


class Rig:
    """Slipway before the engine, and the figures of a run."""

    def __init__(self):
        self.folder = Folder("rig-engine")
        self.plain = free_port()
        self.docker = FakeDocker(self.folder / "docker.sock")
        self.slipway = Slipway(self.folder, [], {
            "listener.http": [f"127.0.0.1:{self.plain}"], "listener.trusted_proxies": ["127.0.0.1"], "listener.connections_per_address": 16384,
            "spawner.backend": "docker", "spawner.docker.host": f"unix://{self.folder / 'docker.sock'}", "spawner.docker.image": "rig/base:1",
            "spawner.docker.network": "slipway", "spawner.docker.volumes": {"home": "/home/x"}, "spawner.allowed_images": ["*"],
            "spawner.start_timeout_s": 8, "spawner.ready_timeout_s": 5, "spawner.stop_timeout_s": 1, "spawner.pull_timeout_s": 5,
            "spawner.starts_at_once": STARTS_AT_ONCE, "spawner.concurrent_starts": 100_000, "spawner.usage_interval_s": 0, "spawner.volume_sizes_interval_s": 0,
            "spawner.layer_sizes_interval_s": 0, "hub.requests": 16384, "log.level": "error",
        })
        for key in [key for key in self.slipway.settings if key.startswith("spawner.process.")]:
            del self.slipway.settings[key]
        self.write_settings()
        self.findings, self.outcomes, self.faults = [], collections.Counter(), 0
        self.caller, self.number = None, 0

    def write_settings(self):
        self.slipway.config = self.folder.write("slipway.toml", self.slipway.as_file(), 0o600)

    async def begin(self):
        await self.docker.begin()
        await asyncio.to_thread(self.slipway.start)
        browser = Browser(self.slipway.origin)
        token = await asyncio.to_thread(self.slipway.token)
        await asyncio.to_thread(browser.sign_in, "admin", PASSWORD)
        self.caller = Caller(self.plain, f"127.0.0.1:{self.slipway.port}", token, browser.cookie_header("/hub/home"))

    async def end(self):
        await asyncio.to_thread(self.slipway.program.end)
        await self.docker.end()

    def found(self, what, error):
        self.findings.append({"what": what, "wrong": str(error)})

    async def users(self, count, letter):
        """New users, ready for anything."""
        names = [f"{letter}{self.number + index}" for index in range(count)]
        self.number += count
        for at in range(0, count, 500):
            status, _, body = await self.caller.ask("POST", "/hub/api/users", {"usernames": names[at:at + 500]})
            if status != 201:
                raise Wrong(f"users could not be made: {status} {body[:200]}")
        return names

    # ---- what must be so ----

    def containers_of(self, user):
        return [container for container in self.docker.containers.values() if container.user == user]

    async def check_reached(self, user):
        """Its server answers, and it is its own."""
        status, _, body = await self.caller.ask("GET", f"/user/{user}/x")
        own = [container.secret for container in self.containers_of(user) if container.state == "running"]
        if status != 200 or body.decode() not in own:
            raise Wrong(f"{user} is answered {status} {body[:80]}, their containers are {own}")

    async def ready(self, user, image="rig/base:1"):
        """Starts it, as often as a patient person would, until it is there."""
        end, tries = time.monotonic() + SETTLE_LIMIT_S, 0
        while True:
            server = await self.caller.settled(user)
            if server["ready"]:
                return await self.check_reached(user)
            if tries > 1 or time.monotonic() > end:
                raise Wrong(f"cannot start again: {server.get('failure')}")
            status, _, body = await self.caller.ask("POST", f"/hub/api/users/{user}/server", {"image": image})
            if status == 500 and b"Try again" in body or b"pulling failed" in body:
                # This machine was too slow for our short limits, or a pull that hung is still waited for.
                self.outcomes["tried again"] += 1
                tries += 1
            elif status not in (201, 202, 400):
                raise Wrong(f"with an engine that is well, a start is answered {status} {body[:300]}")

    async def gone(self, user):
        """Stops it; nothing is left but volumes."""
        status, _, body = await self.caller.ask("DELETE", f"/hub/api/users/{user}/server")
        if status not in (202, 204):
            raise Wrong(f"a stop is answered {status} {body[:200]}")
        await self.caller.settled(user)
        end = time.monotonic() + ORPHAN_LIMIT_S
        while self.containers_of(user):
            if time.monotonic() > end:
                raise Wrong(f"left over after {ORPHAN_LIMIT_S} s: {[(one.secret, one.state) for one in self.containers_of(user)]}")
            await asyncio.sleep(0.5)

    # ---- who waits for a start ----

    async def progress(self, user):
        """The last event of the stream; None if nothing is starting."""
        status, _, body = await self.caller.ask("GET", f"/hub/api/users/{user}/server/progress", limit_s=SETTLE_LIMIT_S)
        if status == 400:
            return None
        events = [json.loads(line[6:]) for line in body.decode().split("\n") if line.startswith("data: ")]
        ends = [event for event in events if event.get("ready") or event.get("failed")]
        if status != 200 or len(ends) != 1 or events[-1] is not ends[0]:
            raise Wrong(f"the progress of a start: {status} with {len(ends)} ends of {len(events)} events")
        return "ready" if ends[0].get("ready") else "failed"

    async def start_before_witnesses(self, user, image):
        """One start with four who wait for it; what the server is in the end."""
        wish = asyncio.create_task(self.caller.ask("POST", f"/hub/api/users/{user}/server", {"image": image}))
        await asyncio.sleep(0.05)
        progress = asyncio.create_task(self.progress(user))
        page, _, _ = await self.caller.ask("GET", f"/hub/spawn-pending/{user}", as_page=True)
        try:
            program, fields, _ = await self.caller.ask("GET", f"/user/{user}/api/x", limit_s=5)
        except Wrong:
            # The server's own answer, which stalls.
            if self.docker.plans[user].call != "server":
                raise
            program, fields = 503, {"retry-after": "0"}
        (status, _, body), last = await wish, await progress
        server = await self.caller.settled(user)
        if status not in (201, 202, 500) or (status == 500 and b"could not start" not in body and b"was stopped" not in body and b"Your server" not in body):
            raise Wrong(f"the wish is answered {status} {body[:300]}")
        if page not in (200, 302, 303, 500):
            raise Wrong(f"the start page is {page}")
        if program not in (200, 424, 503) or (program == 503 and "retry-after" not in fields):
            raise Wrong(f"a program is answered {program}")
        said = "ready" if server["ready"] else "failed"
        if last and last != said or status == 201 and said == "failed" or status == 500 and said == "ready":
            raise Wrong(f"told differently: wish {status}, progress {last}, server {said}")
        if said == "failed" and len(server.get("failure", {}).get("message", "")) < 30:
            raise Wrong(f"no sentence about why: {server}")
        plan = self.docker.plans[user]
        if said == "ready" and plan.call != "server":
            await self.check_reached(user)
        if not plan.hits:
            raise Wrong(f"the rig's own: the fault was never met: wish {status} {body[:200]}")
        self.outcomes[said] += 1

    # ---- one user's story ----

    async def story(self, user, act, plan):
        """One act that goes wrong, and what must be so after it."""
        plans, image = self.docker.plans, f"rig/{'pulled-' if plan.call == 'pull' else ''}{user}:1"
        if act == "start":
            plans[user] = plan
            await self.start_before_witnesses(user, image)
        else:
            await self.ready(user, image)
            if act in ("again", "volumes"):
                await self.gone(user)
            plans[user] = plan
            if act == "again":
                await self.start_before_witnesses(user, image)
            elif act == "stop":
                status, _, _ = await self.caller.ask("DELETE", f"/hub/api/users/{user}/server")
                server = await self.caller.settled(user)
                if status not in (202, 204) or server["ready"]:
                    raise Wrong(f"a stop is answered {status}, and it is {server}")
            elif act == "restart":
                status, _, body = await self.caller.ask("POST", f"/hub/api/users/{user}/restart-server")
                if status not in (200, 201, 202, 204, 400, 404, 500, 503):
                    raise Wrong(f"a restart is answered {status} {body[:200]}")
                await self.caller.settled(user)
            elif act == "volumes":
                await self.reset(user, is_well=False)
        if plan.hits == 0:
            raise Wrong("the rig's own: the fault was never met")
        self.faults += plan.hits
        del plans[user]
        if act == "volumes":
            await self.reset(user, is_well=True)
        await self.ready(user, image)
        await self.gone(user)

    async def reset(self, user, is_well):
        """Resets the user's volume; the answer is the truth."""
        end = time.monotonic() + SETTLE_LIMIT_S
        while True:
            status, _, body = await self.caller.ask("DELETE", f"/hub/api/users/{user}/manage-volumes", {"volumes": ["home"]})
            if status == 200 or not is_well or time.monotonic() > end:
                break
            # The one before, which nobody waits for any more, is under way until its own limit.
            await asyncio.sleep(1)
        is_there = f"jupyterlab-{user}_home" in self.docker.volumes
        if status != 200 and (is_well or status not in (500, 502, 503)):
            raise Wrong(f"a reset is answered {status} {body[:200]}")
        if status == 200:
            said = json.loads(body)
            said_gone = said["reset_volumes"] == ["home"] or said["failed_volumes"] == [{"volume": "home", "reason": "not found"}]
            if is_well and (not said_gone or is_there):
                raise Wrong(f"a reset with an engine that is well: {body[:200]}, there: {is_there}")

    async def stories(self, cells):
        queue = collections.deque(zip(await self.users(len(cells), "u"), cells))

        async def worker(number):
            # Not all at one moment: what is too much for this machine is no fault of the engine's.
            await asyncio.sleep(number * STAGGER_S)
            while queue:
                user, (act, plan) = queue.popleft()
                try:
                    await self.story(user, act, plan)
                except Wrong as error:
                    self.docker.plans.pop(user, None)
                    with contextlib.suppress(Wrong):
                        await self.gone(user)
                    self.found(f"{act}/{plan.call}/{plan.fault}/{plan.times or 'always'} ({user})", error)
        await asyncio.gather(*(worker(number) for number in range(STORIES_AT_ONCE)))

    # ---- people whose servers run ----

    async def bystander(self, user, until):
        """Asks its own server all the time, and reads an answer without an end; both go on whatever becomes of the engine."""
        began, asked, secret = time.monotonic(), 0, next(container.secret for container in self.containers_of(user))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.plain)
        writer.write(f"GET /user/{user}/ws-ticker HTTP/1.1\r\nHost: {self.caller.host}\r\nX-Forwarded-Proto: https\r\nAuthorization: token {self.caller.token}\r\n\r\n".encode())
        try:
            while not until.is_set():
                status, _, body = await self.caller.ask("GET", f"/user/{user}/x")
                if status != 200 or body.decode() != secret:
                    raise Wrong(f"{status} {body[:80]} instead of {secret}")
                asked += 1
                got = await asyncio.wait_for(reader.read(1 << 16), 15)
                if not got:
                    raise Wrong("the open answer was cut off")
                await asyncio.sleep(0.2)
        except (Wrong, TimeoutError, OSError) as error:
            self.found(f"bystander {user} after {asked} requests in {time.monotonic() - began:.0f} s", error or type(error).__name__)
        finally:
            writer.transport.abort()
        return asked

    async def trouble_with_lists(self, until):
        """The engine's lists and events go wrong in every way, one after the other, beside all else; returns how many."""
        count = 0
        manners = ("lost", "twice", "shuffled", "well")
        while not until.is_set():
            for fault in FAULTS:
                for call in ("list", "_ping"):
                    plan = self.docker.plans[""] = Plan(call, fault, 1)
                    self.docker.event_manner = manners[count % len(manners)]
                    self.docker.cut_events()
                    end = time.monotonic() + 15
                    while not plan.hits and time.monotonic() < end and not until.is_set():
                        await asyncio.sleep(0.05)
                    count += plan.hits
                    if until.is_set():
                        self.docker.plans.pop("", None)
                        self.docker.event_manner = "well"
                        return count
        return count


def cells(copies, seed):
    """Every call of every act × every fault × once and always."""
    found = [(act, call, fault, times) for act, calls in CALLS.items() for call in calls for fault in FAULTS for times in (1, None)] * copies
    random.Random(seed).shuffle(found)
    return [(act, Plan(call, fault, times)) for act, call, fault, times in found]


async def engine_away(rig):
    """F3 and F4: the daemon hangs, then is gone, then is back; pages and API are answered all the time, and within their limits."""
    stopped, = await rig.users(1, "a")
    for name in ("hangs", "is gone"):
        if name == "hangs":
            rig.docker.awake.clear()
        else:
            await rig.docker.vanish()
        slowest = 0
        wish = asyncio.create_task(rig.caller.ask("POST", f"/hub/api/users/{stopped}/server", {"image": "rig/base:1"}))
        end = time.monotonic() + 11
        while time.monotonic() < end:
            for path in ("/hub/home", "/hub/admin", f"/hub/spawn-pending/{stopped}"):
                began = time.monotonic()
                status, _, _ = await rig.caller.ask("GET", path, as_page=True)
                slowest = max(slowest, time.monotonic() - began)
                if status not in (200, 302, 303, 500):
                    rig.found(f"the engine {name}", f"{path} is {status}")
            await asyncio.sleep(0.3)
        status, _, body = await wish
        if status not in (202, 500):
            rig.found(f"the engine {name}", f"a wish is answered {status} {body[:200]}")
        if slowest > 3:
            rig.found(f"the engine {name}", f"a page took {slowest:.1f} s")
        server = await rig.caller.settled(stopped)
        if server["ready"] or not server.get("failure"):
            rig.found(f"the engine {name}", f"the server is {server}")
        rig.docker.awake.set()
        if name == "is gone":
            await rig.docker.begin()
        rig.faults += 1
        began = time.monotonic()
        await rig.ready(stopped)
        await rig.gone(stopped)
        rig.outcomes[f"back after it {name}: {time.monotonic() - began:.0f} s"] += 1


async def herd(rig):
    """F29: everybody before one stopped server at one moment, by all doors."""
    user, = await rig.users(1, "h")
    before = rig.docker.calls.get("create", 0)

    async def one(number):
        door = number % 4
        if door == 0:
            return (await rig.caller.ask("POST", f"/hub/api/users/{user}/server", {"image": "rig/base:1"}))[0], (201, 202, 400)
        if door == 1:
            return (await rig.caller.ask("GET", f"/user/{user}/lab", as_page=True))[0], (200, 302, 303)
        if door == 2:
            return (await rig.caller.ask("GET", f"/hub/spawn-pending/{user}", as_page=True))[0], (200, 302, 303)
        return (await rig.caller.ask("GET", f"/user/{user}/api/x"))[0], (200, 424, 503)
    for status, allowed in await asyncio.gather(*(one(number) for number in range(HERD))):
        if status not in allowed:
            rig.found("herd", f"one was answered {status}")
    await rig.ready(user)
    creates = rig.docker.calls["create"] - before
    if creates != 1:
        rig.found("herd", f"{creates} creates")
    await rig.gone(user)
    return creates


async def crowd(rig, count):
    """F30: different servers at one moment, with a limit of starts at once; all come up."""
    rig.slipway.settings["spawner.starts_at_once"] = CROWD_AT_ONCE
    rig.write_settings()
    rig.slipway.program.process.send_signal(signal.SIGHUP)
    await asyncio.sleep(1)
    users = await rig.users(count, "c")
    began = time.monotonic()
    # Each engine's start takes a moment, so that many would be there at once if nobody held them back.
    for user in users:
        rig.docker.plans[user] = Plan("start", "late", 1)
    most = 0
    wishes = [asyncio.create_task(rig.caller.ask("POST", f"/hub/api/users/{user}/server", {"image": "rig/base:1"}, limit_s=60)) for user in users]
    while not all(wish.done() for wish in wishes):
        most = max(most, rig.docker.under_way)
        await asyncio.sleep(0.02)
    statuses = collections.Counter(wish.result()[0] for wish in wishes)
    if set(statuses) - {201, 202}:
        rig.found("crowd", f"answered {dict(statuses)}")
    await asyncio.gather(*(rig.ready(user) for user in users))
    seconds = time.monotonic() - began
    if most > CROWD_AT_ONCE:
        rig.found("crowd", f"{most} starts at once, the limit is {CROWD_AT_ONCE}")
    for user in users:
        rig.docker.plans.pop(user, None)
    await asyncio.gather(*(rig.gone(user) for user in users))
    rig.slipway.settings["spawner.starts_at_once"] = STARTS_AT_ONCE
    rig.write_settings()
    rig.slipway.program.process.send_signal(signal.SIGHUP)
    return seconds, most


async def kills(rig, rounds):
    """F13: kill -9 before and after each call of each act, beside others who are on their way; then everybody gets a server."""
    count = 0
    steps = [(act, call, fault) for act, calls in CALLS.items() if act != "volumes" for call in calls if call != "server" for fault in ("kill", "kill_after")]
    for act, call, fault in steps * rounds:
        user, *others = await rig.users(5, "k")
        what = f"kill: {act}/{call}/{fault} ({user})"
        image = f"rig/{'pulled-' if call == 'pull' else ''}{user}:1"
        try:
            if act != "start":
                await rig.ready(user, image)
            if act == "again":
                await rig.gone(user)
            plan = rig.docker.plans[user] = Plan(call, fault, 1)
            rig.docker.on_kill = rig.slipway.program.process.kill
            method, path = {"stop": ("DELETE", "server"), "restart": ("POST", "restart-server")}.get(act, ("POST", "server"))
            wishes = [rig.caller.ask(method, f"/hub/api/users/{user}/{path}", {"image": image} if path == "server" else None)]
            wishes += [rig.caller.ask("POST", f"/hub/api/users/{other}/server", {"image": "rig/base:1"}) for other in others]
            await asyncio.gather(*wishes, return_exceptions=True)
            if not plan.hits:
                raise Wrong("the rig's own: the fault was never met")
            await asyncio.to_thread(rig.slipway.program.process.wait)
            del rig.docker.plans[user]
            await asyncio.to_thread(rig.slipway.program.end)
            await asyncio.to_thread(rig.slipway.start)
            count += 1
            await asyncio.gather(*(rig.ready(one, image if one == user else "rig/base:1") for one in (user, *others)))
            await asyncio.gather(*(rig.gone(one) for one in (user, *others)))
        except Wrong as error:
            rig.docker.plans.pop(user, None)
            rig.found(what, error)
            if rig.slipway.program.process.poll() is not None:
                await asyncio.to_thread(rig.slipway.start)
    return count


async def attack(options):
    rig = Rig()
    await rig.begin()
    seconds, began = {}, time.monotonic()

    def lap(name):
        nonlocal began
        seconds[name], began = round(time.monotonic() - began, 1), time.monotonic()
    try:
        people, until = await rig.users(6, "b"), asyncio.Event()
        for user in people:
            await rig.ready(user)
        watchers = [asyncio.create_task(rig.bystander(user, until)) for user in people]
        only = options.only
        wanted = lambda name: not only or only in name
        lists_until = asyncio.Event()
        lists = asyncio.create_task(rig.trouble_with_lists(lists_until))
        chosen = [(act, plan) for act, plan in cells(1 if options.is_quick else 18, options.seed) if wanted(f"{act}/{plan.call}/{plan.fault}/{plan.times or 'always'}")]
        lap("begin")
        await rig.stories(chosen)
        lap("stories")
        lists_until.set()
        rig.faults += await lists
        lap("lists")
        creates = crowd_s = most = killed = 0
        if wanted("away"):
            await engine_away(rig)
        lap("away")
        if wanted("herd"):
            creates = await herd(rig)
        lap("herd")
        if wanted("crowd"):
            crowd_s, most = await crowd(rig, CROWD[options.is_quick])
        lap("crowd")
        until.set()
        asked = sum(await asyncio.gather(*watchers))
        if wanted("kills"):
            killed = await kills(rig, 1 if options.is_quick else 10)
        lap("kills")
        rig.faults += killed
        await asyncio.gather(*(rig.gone(user) for user in people))
        end = time.monotonic() + ORPHAN_LIMIT_S
        while rig.docker.containers and time.monotonic() < end:
            await asyncio.sleep(0.2)
        lap("orphans")
        left = [container.secret for container in rig.docker.containers.values()]
        if left:
            rig.found("at the end", f"left over: {left[:10]}")
        if "panicked at" in rig.slipway.program.log(100_000):
            rig.found("crash", "a panic")
        twice = {key: count for key, count in rig.docker.creates.items() if count > 1}
        figures = {"name": "slipway", "cells": len(chosen), "faults": rig.faults, "outcomes": dict(rig.outcomes), "bystanders": asked, "herd_creates": creates,
                   "crowd_s": crowd_s, "crowd_most": most, "kills": killed, "created_again": len(twice), "seconds": seconds}
    finally:
        rig.findings += [{"what": "engine", "wrong": wrong} for wrong in rig.docker.wrong]
        await rig.end()
    return figures, rig.findings


def run(options):
    """Slipway alone."""
    figures, findings = asyncio.run(attack(options))
    figures["findings"] = findings
    print(f"  slipway: {figures['faults']} faults in {figures['cells']} stories and {figures['kills']} kills; starts {figures['outcomes']}; herd of {HERD}: "
          f"{figures['herd_creates']} create; crowd: {figures['crowd_s']:.1f} s, {figures['crowd_most']} at once; {figures['bystanders']} requests of bystanders; {len(findings)} found")
    print(f"  seconds {figures['seconds']}")
    return [figures], findings
