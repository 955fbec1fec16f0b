"""Nothing lost by kill -9: Slipway is killed at a system call of a write, at random under load, and again while it recovers (F11, F13).

A journal keeps what was acknowledged. Held, after each restart: everything acknowledged is there, of what was under way either all or nothing,
and every token that was handed out still opens the door. `strace` attaches to the running program and kills it at the entry of the Nth
`pwrite64`, `fdatasync` or `writev` of a thread: before a page is written, before it is safe, before the answer. Backups and restores are
killed in `backup_kills`.
"""

import contextlib
import copy
import http.client
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

import backup_kills
import subjects
from rig import BINARY, Folder, Slipway

CALLS = ("pwrite64", "fdatasync", "writev")
# Which Nth call of a thread; a commit has about ten writes and two syncs.
LATEST = {"pwrite64": 24, "fdatasync": 8, "writev": 6}
POINTS, RANDOM, DOUBLE = {True: 400, False: 10_000}, {True: 30, False: 1_000}, {True: 100, False: 2_000}
# A machine under load does fewer; so many are the least that say anything.
LIMIT_S, LEAST = {True: 90, False: 14_400}, 60
# Writes between two kills, at the most.
WRITES = 40
USERS, GROUPS = 12, 5
# The program's own group, which nobody deletes.
BUILT_IN = "docker-privileged"
ATTACH_S, LOOK_S, START_S, RUN_S = 20, 2, 30, 20
RESTART_MS = 300


class Dead(Exception):
    """The connection ended: Slipway was killed."""


class Journal:
    """What must be there, as far as it has been acknowledged."""

    def __init__(self):
        self.users = {"admin": set()}  # name → its named servers
        self.running = set()
        self.groups = {}  # name → members
        self.properties = {}
        self.shares = set()  # (owner, with whom)
        self.tokens = {}  # id → (owner, secret)
        self.counter = 0

    def fresh(self, stem):
        self.counter += 1
        return f"{stem}{self.counter}"


# ---- the kinds of write: each makes a request of the journal, and what becomes of the journal if it is done; None: not now ---------


def some(rng, names):
    names = sorted(names)
    return rng.choice(names) if names else None


def others(journal):
    return [name for name in journal.users if name != "admin"]


def create_user(journal, _):
    if len(journal.users) > USERS:
        return None
    name = journal.fresh("u")
    return "POST", f"/users/{name}", None, 201, lambda now, _: now.users.update({name: set()})


def delete_user(journal, rng):
    name = some(rng, others(journal))
    if len(journal.users) < USERS // 2 or name in {server[0] for server in journal.running}:
        return None

    def done(now, _):
        del now.users[name]
        now.shares = {share for share in now.shares if name not in share}
        now.tokens = {key: token for key, token in now.tokens.items() if token[0] != name}
        for members in now.groups.values():
            members.discard(name)
    return "DELETE", f"/users/{name}", None, 204, done


def rename_user(journal, rng):
    name = some(rng, set(others(journal)) - {server[0] for server in journal.running})
    if not name:
        return None
    new = journal.fresh("r")

    def done(now, _):
        now.users[new] = now.users.pop(name)
        now.shares = {tuple(new if who == name else who for who in share) for share in now.shares}
        now.tokens = {key: (new if owner == name else owner, secret) for key, (owner, secret) in now.tokens.items()}
        for members in now.groups.values():
            if name in members:
                members.remove(name)
                members.add(new)
    return "POST", f"/users/{name}/rename", {"name": new}, 200, done


def create_group(journal, _):
    if len(journal.groups) > GROUPS:
        return None
    name = journal.fresh("g")
    return "POST", f"/groups/{name}", None, 201, lambda now, _: now.groups.update({name: set()})


def delete_group(journal, rng):
    name = some(rng, journal.groups)
    if not name or len(journal.groups) < GROUPS // 2:
        return None

    def done(now, _):
        del now.groups[name]
        now.properties.pop(name, None)
    return "DELETE", f"/groups/{name}", None, 204, done


def add_members(journal, rng):
    group, members = some(rng, journal.groups), rng.sample(sorted(journal.users), k=min(3, len(journal.users)))
    if not group:
        return None
    return "POST", f"/groups/{group}/users", {"users": members}, 200, lambda now, _: now.groups[group].update(members)


def remove_member(journal, rng):
    group = some(rng, [name for name, members in journal.groups.items() if members])
    if not group:
        return None
    member = some(rng, journal.groups[group])
    return "DELETE", f"/groups/{group}/users", {"users": [member]}, (200, 204), lambda now, _: now.groups[group].discard(member)


def set_properties(journal, rng):
    group, value = some(rng, journal.groups), rng.randrange(10**9)
    if not group:
        return None
    return "PUT", f"/groups/{group}/properties", {"mark": value}, 200, lambda now, _: now.properties.update({group: {"mark": value}})


def create_token(journal, rng):
    if len(journal.tokens) > 30:
        return None
    owner = some(rng, journal.users)
    return "POST", f"/users/{owner}/tokens", {"note": "of the rig"}, 201, lambda now, said: now.tokens.update({said["id"]: (owner, said["token"])})


def revoke_token(journal, rng):
    token = some(rng, journal.tokens)
    if not token or len(journal.tokens) < 5:
        return None
    return "DELETE", f"/users/{journal.tokens[token][0]}/tokens/{token}", None, 204, lambda now, _: now.tokens.pop(token)


def define_server(journal, rng):
    owner = some(rng, others(journal))
    if not owner or len(journal.users[owner]) > 2:
        return None
    name = journal.fresh("s")
    return "PUT", f"/users/{owner}/servers/{name}", None, 201, lambda now, _: now.users[owner].add(name)


def share(journal, rng):
    owner, whom = some(rng, others(journal)), some(rng, others(journal))
    if not owner or owner == whom:
        return None
    return "POST", f"/shares/{owner}/", {"user": whom}, 200, lambda now, _: now.shares.add((owner, whom))


def start_server(journal, rng):
    owner = some(rng, set(others(journal)) - {server[0] for server in journal.running})
    if not owner:
        return None
    return "POST", f"/users/{owner}/server", None, (201, 202), lambda now, _: now.running.add((owner, ""))


def stop_server(journal, rng):
    server = some(rng, journal.running)
    if not server:
        return None
    return "DELETE", f"/users/{server[0]}/server", None, (204, 202), lambda now, _: now.running.discard(server)


KINDS = (create_user, delete_user, rename_user, create_group, delete_group, add_members, remove_member, set_properties, create_token, revoke_token,
         define_server, share, start_server, stop_server)


# ---- one Slipway -----------------------------------------------------------------------------------------


class Victim:
    """Slipway on a data folder of its own, whose journal goes on through all its deaths."""

    def __init__(self, number, upstream, seed, folder=None):
        self.folder, self.rng, self.journal = folder or Folder(f"rig-kills-{number}"), random.Random(f"{seed}-{number}"), Journal()
        self.slipway = Slipway(self.folder, [], {
            "spawner.backend": "static", "spawner.static.upstream": f"http://127.0.0.1:{upstream}", "spawner.named_servers_per_user": 3,
        })
        for key in [key for key in self.slipway.settings if key.startswith("spawner.process.")]:
            del self.slipway.settings[key]
        self.slipway.config = self.folder.write("slipway.toml", self.slipway.as_file(), 0o600)
        self.slipway.start()
        self.admin = self.slipway.token()
        # A hash of a password at each start would be most of it.
        del self.slipway.environment["SLIPWAY_ADMIN_PASSWORD"]
        self.wire, self.restarts_ms, self.findings, self.done, self.hits = None, [], [], {}, 0
        self.slipway.program.environment = self.slipway.environment
        self.kill()
        self.start()

    # requests

    def ask(self, method, path, body=None, token=None):
        """One request to the address that containers speak to; `Dead` if it is not answered whole."""
        try:
            if self.wire is None:
                self.wire = http.client.HTTPConnection(self.slipway.hub_host, self.slipway.hub_port, timeout=RUN_S)
            self.wire.request(method, f"/hub/api{path}", json.dumps(body) if body is not None else None,
                              {"Authorization": f"token {token or self.admin}", "Content-Type": "application/json"})
            answer = self.wire.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException) as error:
            self.wire = None
            raise Dead(str(error)) from error

    def read(self):
        """What is there, in the journal's terms, but for tokens, which are told by using them; None while a server is neither up nor down:
        one whose start was not acknowledged is looked for first, and ends if it never came to be."""
        users = self.ask("GET", "/users?include_stopped_servers=1")[1]
        if any(server["pending"] for user in users for server in user["servers"].values()):
            return None
        groups = [group for group in self.ask("GET", "/groups")[1] if group["name"] != BUILT_IN]
        shares = {(user["name"], held["user"]["name"]) for user in users for held in self.ask("GET", f"/shares/{user['name']}")[1]["items"] if held["user"]}
        return {
            "users": {user["name"]: {name for name in user["servers"] if name} for user in users},
            "running": {(user["name"], name) for user in users for name, server in user["servers"].items() if not server.get("stopped")},
            "groups": {group["name"]: set(group["users"]) for group in groups},
            "properties": {group["name"]: group["properties"] for group in groups if group.get("properties")},
            "shares": shares,
        }

    # death and life

    def start(self, under=()):
        """Starts it, and says how long it took until it answered; none if it was killed meanwhile."""
        program = self.slipway.program
        program.arguments = [*under, BINARY, "serve"]
        began = time.monotonic()
        program.start()
        while time.monotonic() < began + START_S:
            if program.process.poll() is not None:
                self.wire = None
                return None
            with contextlib.suppress(Dead):
                self.ask("GET", "/")
                return (time.monotonic() - began) * 1000
            time.sleep(0.003)
        raise AssertionError(f"not up within {START_S} s:\n{program.log(30)}")

    def kill(self):
        program = self.slipway.program
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, signal.SIGKILL)
        program.process.wait()
        program.running.remove(program)
        self.wire = None

    def attach(self, call, what):
        """strace that does `what` at a call, once it holds every thread, or once a write of the program's own has met the call."""
        program = self.slipway.program
        until = time.monotonic() + ATTACH_S
        while time.monotonic() < until:
            tracer = subprocess.Popen(
                ["strace", "-f", "-q", "-o", "/dev/null", "-p", str(program.pid), "-e", f"trace={call}", "-e", f"inject={call}:{what}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            look_again = time.monotonic() + LOOK_S
            while time.monotonic() < look_again:
                if program.process.poll() is not None:
                    return tracer
                with contextlib.suppress(OSError):
                    tasks = list(Path(f"/proc/{program.pid}/task").iterdir())
                    if all("TracerPid:\t0\n" not in (task / "status").read_text() for task in tasks):
                        return tracer
                time.sleep(0.002)
            # A thread that was born while strace listed them has escaped it.
            tracer.terminate()
            tracer.wait()
        raise AssertionError(f"strace does not hold {program.pid}")

    # the story of one death

    def write_until_dead(self, limit):
        """Writes until it dies; the write that was under way then, if one was."""
        for _ in range(limit):
            kind = self.rng.choice(KINDS)
            wish = kind(self.journal, self.rng)
            if wish is None:
                continue
            method, path, body, expected, done = wish
            try:
                status, said = self.ask(method, path, body)
            except Dead:
                return kind.__name__, done
            if status not in (expected if isinstance(expected, tuple) else (expected,)):
                self.findings.append({"kind": "answer", "of": kind.__name__, "wrong": f"{method} {path}: {status} {said}"})
                return None
            done(self.journal, said)
            self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1
        return None

    def check(self, where, under_way):
        """All that was acknowledged is there; of what was under way all or nothing."""
        shapes = [self.journal]
        if under_way:
            after = copy.deepcopy(self.journal)
            # A token that was made and never told: its id is unknown to us, and nobody's business.
            under_way[1](after, {"id": None, "token": None})
            after.tokens.pop(None, None)
            shapes.append(after)
        until, found = time.monotonic() + RUN_S, None
        while time.monotonic() < until:
            found = self.read() or found
            fitting = found and next((shape for shape in shapes if all(found[part] == getattr(shape, part) for part in found)), None)
            if fitting:
                self.journal = fitting
                break
            time.sleep(0.02)
        else:
            def listed(of):
                return sorted(map(str, of.items() if isinstance(of, dict) else of))
            if found is None:
                self.findings.append({"kind": "unsettled", "where": where, "wrong": f"a server is neither up nor down {RUN_S} s after the restart"})
                return
            fit_none = [part for part in found if all(found[part] != getattr(shape, part) for shape in shapes)]
            differ = fit_none or [part for part in found if any(found[part] != getattr(shape, part) for shape in shapes)]
            wrong = {part: [listed(found[part]), *[listed(getattr(shape, part)) for shape in shapes]] for part in differ}
            self.findings.append({"kind": "lost or half", "where": where, "under_way": under_way and under_way[0], "found, then what may be": wrong})
        # One that was being revoked may be gone, and those of a user who was being deleted: access ends first.
        for token, (owner, secret) in list(self.journal.tokens.items()):
            status, who = self.ask("GET", "/user", token=secret)
            if status == 200 and who["name"] == owner:
                continue
            if under_way and under_way[0] in ("revoke_token", "delete_user"):
                after = copy.deepcopy(self.journal)
                with contextlib.suppress(KeyError):
                    under_way[1](after, None)
                if token not in after.tokens:
                    del self.journal.tokens[token]
                    continue
            self.findings.append({"kind": "token lost", "where": where, "wrong": f"a token of {owner}: {status} {who}"})
            del self.journal.tokens[token]

    def die(self, how):
        """One death and its restart."""
        where, tracer = how, None
        if how == "call":
            call = self.rng.choice(CALLS)
            number = self.rng.randint(1, LATEST[call])
            where = f"{call} {number}"
            tracer = self.attach(call, f"signal=KILL:when={number}")
            under_way = self.write_until_dead(WRITES)
            self.hits += under_way is not None
        else:
            timer = threading.Timer(self.rng.uniform(0.0, 0.4), lambda: os.kill(self.slipway.program.pid, signal.SIGKILL))
            timer.start()
            under_way = self.write_until_dead(10_000)
            timer.cancel()
        self.kill()
        if tracer:
            tracer.wait()
        again = None
        if how == "call" and self.rng.random() < DOUBLE[True] / POINTS[True]:
            call = self.rng.choice(("pwrite64", "fdatasync", "fsync"))
            again = f"{call} {self.rng.randint(1, 12)} of its recovery"
            name, number = again.split()[:2]
            self.start(["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={number}"])
            self.kill()
            where += f", then {again}"
        took = self.start()
        assert took is not None, f"it does not start after {where}:\n{self.slipway.program.log(20)}"
        if not self.findings:
            self.restarts_ms.append(took)
        self.check(where, under_way)
        return again is not None


def run(options):
    if not shutil.which("strace"):
        return {}, [{"kind": "tool", "wrong": "strace is missing: apt-get install strace"}]
    of_backups, findings = backup_kills.run(options)
    folder = Folder("rig-kills-up")
    upstream = subjects.quick_upstream(folder)
    victims = [Victim(number, upstream.port, options.seed) for number in range(2)]
    until, left, lock = time.monotonic() + LIMIT_S[options.is_quick], {"call": POINTS[options.is_quick], "random": RANDOM[options.is_quick]}, threading.Lock()
    counts = {"call": 0, "random": 0, "again": 0}

    def work(victim):
        while time.monotonic() < until:
            with lock:
                how = next((how for how in victim.rng.sample(sorted(left), k=2) if left[how] > 0), None)
                if how is None:
                    return
                left[how] -= 1
            again = victim.die(how)
            with lock:
                counts[how] += 1
                counts["again"] += again
            if victim.findings:
                return

    errors = []

    def guarded(victim):
        try:
            work(victim)
        except Exception as error:  # pylint: disable=broad-except - told as a finding, with what the program said
            errors.append({"kind": "crash", "wrong": f"{error!r}", "log": victim.slipway.program.log(10)})

    threads = [threading.Thread(target=guarded, args=(victim,)) for victim in victims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for victim in victims:
        findings += victim.findings
        victim.slipway.end()
    upstream.end()
    findings += errors
    writes, restarts = sum(sum(victim.done.values()) for victim in victims), [ms for victim in victims for ms in victim.restarts_ms]
    missing = {kind.__name__ for kind in KINDS} - {kind for victim in victims for kind in victim.done}
    hits = sum(victim.hits for victim in victims)
    if hits < LEAST or missing:
        findings.append({"kind": "goal", "wrong": f"{hits} deaths amid a write only, or a kind of write that never was acknowledged: {missing}"})
    if restarts and statistics.median(restarts) > RESTART_MS:
        findings.append({"kind": "goal", "wrong": f"a restart takes {statistics.median(restarts):.0f} ms"})
    print(f"  {counts['call']} deaths at a system call ({hits} of them amid a write), {counts['random']} at random, {counts['again']} again while recovering; {writes} acknowledged writes of "
          f"{len(KINDS)} kinds; restart {statistics.median(restarts or [0]):.0f} ms (at most {max(restarts or [0]):.0f})", flush=True)
    return {**of_backups, **counts, "hits": hits, "writes": writes, "restart_ms": statistics.median(restarts or [0]), "restart_most_ms": max(restarts or [0])}, findings
