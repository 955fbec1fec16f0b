"""kill -9 in `slipway backup`, in `slipway restore` and in the backups that a running Slipway makes by itself.

The command is traced once to learn how often it makes each call; then it is killed at the entry of call N, each N in turn by chance.
Held after each: the live store opens with everybody who was acknowledged; whatever carries a backup's final name restores, whole, on a
fresh machine; a restore has left the old store or the new one, and the old one also beside it; the next one succeeds and leaves nothing
unfinished.
"""

import collections
import contextlib
import itertools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import subjects  # noqa: F401 - it knows where `rig` is
from rig import BINARY, Folder, free_port, plain_environment

CALLS = ("pwrite64", "write", "fsync", "fdatasync", "ftruncate", "openat", "rename", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir")
LIMIT_S, LEAST = {True: 12, False: 1_800}, {"backup": 8, "restore": 8, "by itself": 3}
COMMAND_S, COPY_S = 30, 20
# `openat` and `write` are mostly of the loader and the report: so many of each call are tried at the most.
OF_EACH = {True: 12, False: 400}


class Wrong(Exception):
    """Something was lost, half, or refused."""


class Machine:
    """A data folder and the commands on it."""

    def __init__(self, folder, name):
        self.data = folder / name
        self.port, self.hub_port = free_port(), free_port()
        self.environment = plain_environment(
            SLIPWAY_DATA_DIR=self.data, SLIPWAY_CERTS_DIR=folder / "certs", SLIPWAY_LISTENER_HTTPS=f"127.0.0.1:{self.port}",
            SLIPWAY_LISTENER_HTTP="[]", SLIPWAY_HUB_BIND=f"127.0.0.1:{self.hub_port}", SLIPWAY_SPAWNER_BACKEND="static",
            SLIPWAY_SPAWNER_STATIC_UPSTREAM="http://127.0.0.1:9", SLIPWAY_BACKUP_EVERY_S=1, SLIPWAY_BACKUP_KEEP=3)
        self.environment = {key: str(value) for key, value in self.environment.items()}
        self.folder = folder

    def run(self, *arguments, under=()):
        return subprocess.run([*under, BINARY, *map(str, arguments)], cwd=self.folder.path, env=self.environment, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=COMMAND_S, check=False)

    def must(self, *arguments):
        done = self.run(*arguments)
        if done.returncode:
            raise Wrong(f"slipway {' '.join(map(str, arguments))}: {done.returncode} {done.stderr[-600:]}")
        return done.stdout

    def is_served(self):
        """True if a running Slipway has the data folder."""
        with socket.socket(socket.AF_UNIX) as wire:
            try:
                wire.connect(str(self.data / "control.sock"))
            except OSError:
                return False
        return True

    def users(self):
        return {line.split()[0] for line in self.must("user", "list").splitlines()[1:] if line.strip()}

    def add(self, name):
        self.must("user", "add", name, "--generate")

    def killed(self, call, number, *arguments):
        """True if it was killed there."""
        done = self.run(*arguments, under=["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"])
        if done.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
            raise Wrong(f"slipway {arguments[0]} at {call} {number}: {done.returncode} {done.stderr[-600:]}")
        return done.returncode != 0

    def points(self, rng, most, *arguments):
        """Each call that one of its threads makes, and the how manieth it is; by chance, `most` of each call."""
        log = self.folder / f"calls-{arguments[0]}"
        self.run(*arguments, under=["strace", "-f", "-q", "-o", str(log), "-e", f"trace={','.join(CALLS)}"])
        made = collections.Counter(re.findall(r"^(\d+) +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE))
        times = {call: max([count for (_, name), count in made.items() if name == call], default=0) for call in CALLS}
        drawn = {call: rng.sample(range(1, count + 1), k=min(count, most)) for call, count in times.items()}
        # One of each call first: whatever time there is, all of them have their turn.
        rounds = itertools.zip_longest(*([(call, number) for number in numbers] for call, numbers in drawn.items()))
        return [point for one in rounds for point in one if point]


class Killer:
    """One kind of kill until its time is over."""

    def __init__(self, kind, options, number):
        self.kind, self.is_quick, self.rng = kind, options.is_quick, random.Random(f"{options.seed}-{kind}")
        self.folder, self.numbers = Folder(f"rig-backups-{number}"), itertools.count()
        self.live = Machine(self.folder, "live")
        self.tried, self.kills, self.verified, self.findings = 0, 0, 0, []
        for name in ("alice", "bob"):
            self.live.add(name)
        self.people = {"alice", "bob"}

    def work(self):
        until = time.monotonic() + LIMIT_S[self.is_quick]
        where = "the beginning"
        try:
            for where, step in {"backup": self.backups, "restore": self.restores, "by itself": self.lives}[self.kind]():
                self.tried += 1
                self.kills += bool(step())
                if time.monotonic() > until:
                    return
        except (Wrong, AssertionError, OSError, subprocess.TimeoutExpired) as error:
            self.findings.append({"kind": f"kill in {self.kind}", "where": where, "wrong": f"{error}"})

    def expect(self, machine, *allowed, what):
        found = machine.users()
        if found not in allowed:
            raise Wrong(f"{what}: {sorted(found)}, and it may be {[sorted(one) for one in allowed]}")
        return found

    def restores_whole(self, file, least):
        """A file with a final name is a whole backup with everybody who was there before it."""
        fresh = Machine(self.folder, f"fresh-{next(self.numbers)}")
        fresh.must("restore", "--yes", file)
        found = fresh.users()
        if not least <= found <= self.people:
            raise Wrong(f"{file.name} restores {sorted(found)}; {sorted(least)} were there")
        self.verified += 1
        shutil.rmtree(fresh.data)

    def nothing_unfinished(self, folder):
        left = [path.name for path in folder.iterdir() if "unfinished" in path.name or path.name.startswith("restoring") or path.suffix == ".new"]
        if left:
            raise Wrong(f"left after a whole one: {left}")

    # the three kinds

    def backups(self):
        kept = self.folder / "kept"
        kept.mkdir()
        for call, number in self.live.points(self.rng, OF_EACH[self.is_quick], "backup", kept / "first.backup"):
            yield f"{call} {number}", lambda call=call, number=number: self.backup(kept / f"{call}-{number}.backup", call, number)

    def backup(self, file, call, number):
        if self.tried % 8 == 0:
            name = f"user{self.tried}"
            self.live.add(name)
            self.people.add(name)
        # Every other one stands in the place of an earlier one, which must stay whole.
        replaces = self.rng.random() < 0.5
        if replaces:
            self.live.must("backup", file)
        was_killed = self.live.killed(call, number, "backup", file, *(["--overwrite"] if replaces else []))
        self.expect(self.live, self.people, what="the live store")
        if replaces and not file.exists():
            raise Wrong("the earlier backup is gone")
        if file.exists():
            self.restores_whole(file, self.people)
        self.live.must("backup", file, *(["--overwrite"] if file.exists() else []))
        self.nothing_unfinished(file.parent)
        self.nothing_unfinished(self.live.data)
        file.unlink()
        return was_killed

    def restores(self):
        backup, old = self.folder / "of-two.backup", self.folder / "old"
        self.live.must("backup", backup)
        self.live.add("carol")
        self.people.add("carol")
        shutil.copytree(self.live.data, old, ignore=shutil.ignore_patterns("*.sock"))
        for call, number in self.live.points(self.rng, OF_EACH[self.is_quick], "restore", "--yes", backup):
            yield f"{call} {number}", lambda call=call, number=number: self.restore(backup, old, call, number)

    def restore(self, backup, old, call, number):
        machine = Machine(self.folder, f"machine-{next(self.numbers)}")
        shutil.copytree(old, machine.data)
        was_killed = machine.killed(call, number, "restore", "--yes", backup)
        before, after = self.people, self.people - {"carol"}
        found = self.expect(machine, before, after, what="a store amid a restore")
        kept = sorted(machine.data.glob("before-restore-*"))
        if found == after:
            if not kept:
                raise Wrong("the store of before is gone")
            copy = Machine(self.folder, f"kept-{next(self.numbers)}")
            shutil.copytree(kept[0], copy.data)
            self.expect(copy, before, what="the store of before")
            shutil.rmtree(copy.data)
        machine.must("restore", "--yes", backup)
        self.expect(machine, after, what="the next restore")
        self.nothing_unfinished(machine.data)
        self.verified += 1
        shutil.rmtree(machine.data)
        return was_killed

    def lives(self):
        for number in itertools.count():
            # A backup's own calls, or the moment in which its unfinished file is there.
            call = self.rng.choice(("renameat2", "statfs", "pwrite64", "fdatasync", "")) if number else "renameat2"
            count = {"renameat2": 3, "statfs": 3, "pwrite64": 30, "fdatasync": 4}.get(call, 1)
            point = (call, self.rng.randint(1, count))
            yield f"{point[0] or 'an unfinished file'} {point[1]}", lambda point=point: self.life(*point)

    def life(self, call, number):
        kept = self.live.data / "backups"
        known = set(kept.glob("*.backup")) if kept.exists() else set()
        least = set(self.people)
        under = ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"] if call else []
        log = open(self.folder / "serve.log", "ab")  # pylint: disable=consider-using-with
        program = subprocess.Popen([*under, BINARY, "serve"], cwd=self.folder.path, env=self.live.environment, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        log.close()
        until, was_killed, is_writing = time.monotonic() + 5, False, False
        try:
            while time.monotonic() < until and not was_killed and not is_writing:
                was_killed = program.poll() is not None
                is_writing = not call and kept.exists() and any(kept.glob("*.unfinished"))
                time.sleep(0.0005)
        finally:
            # Also what was never hit: it is killed at whatever it does.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        # That was strace, if it was there; its child may take a moment more to die, and would answer for the store.
        until = time.monotonic() + COMMAND_S
        while self.live.is_served():
            if time.monotonic() > until:
                raise Wrong(f"it still runs {COMMAND_S} s after its kill")
            time.sleep(0.002)
        self.expect(self.live, self.people, what="the live store")
        for file in sorted(kept.glob("*.backup")) if kept.exists() else []:
            self.restores_whole(file, least if file not in known else {"alice", "bob"})
        name = f"user{self.tried}"
        self.live.add(name)
        self.people.add(name)
        return was_killed or is_writing

    def ends_well(self):
        """A last life that nobody kills: the next backup comes, and what was left is swept."""
        kept = self.live.data / "backups"
        known = set(kept.glob("*.backup"))
        log = open(self.folder / "serve.log", "ab")  # pylint: disable=consider-using-with
        program = subprocess.Popen([BINARY, "serve"], cwd=self.folder.path, env=self.live.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        until = time.monotonic() + COPY_S
        while time.monotonic() < until and not set(kept.glob("*.backup")) - known:
            time.sleep(0.02)
        program.terminate()
        program.wait(COMMAND_S)
        fresh = set(kept.glob("*.backup")) - known
        if not fresh:
            self.findings.append({"kind": "kill in by itself", "wrong": f"no backup within {COPY_S} s of a whole life"})
            return
        try:
            self.restores_whole(max(fresh), self.people)
            self.nothing_unfinished(kept)
        except Wrong as error:
            self.findings.append({"kind": "kill in by itself", "where": "after the last life", "wrong": f"{error}"})


def run(options):
    """Figures and findings of the three kinds, side by side."""
    killers = [Killer(kind, options, number) for number, kind in enumerate(LEAST)]
    threads = [threading.Thread(target=killer.work) for killer in killers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    killers[-1].ends_well()
    findings = [finding for killer in killers for finding in killer.findings]
    findings += [{"kind": "goal", "wrong": f"{killer.kills} kills in {killer.kind} only"}
                 for killer in killers if not killer.findings and killer.kills < LEAST[killer.kind]]
    print("  " + "; ".join(f"{killer.kills} kills in {killer.kind} ({killer.verified} whole ones restored)" for killer in killers), flush=True)
    return {f"kills in {killer.kind}": killer.kills for killer in killers}, findings
