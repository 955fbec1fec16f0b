"""Disks that fail: full ones, for real and by injected errors, and ones that do not read, write or sync (F8, F9).

Held: what cannot be written is refused with the right status, and of it all or nothing is there; what was acknowledged before is there; reads go
on; once the disk works again so does the next write, without a restart; and after a kill -9 it is still so. A real full disk is a
tmpfs, where we may mount one.
"""

import atexit
import http.client
import json
import os
import shutil
import subprocess
import threading
import time

import subjects
from kills_part import KINDS, RUN_S, Victim, create_user, start_server, stop_server
from rig import Folder

# Each error, and what a client is told for it. EIO is nobody's to mend from outside: an error of the server.
ERRORS = {"ENOSPC": (507,), "EDQUOT": (507,), "EIO": (500, 503)}
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "pread64")
# A sync that goes on failing leaves it unknown whether what was refused will be there: RESULTS.md says so.
SYNCS = ("fdatasync", "fsync")
# The first call of a thread that fails, and how many do from there on; 0: all.
FIRST, COUNTS = 12, (1, 3, 0)
ROUNDS, FULL = {True: 80, False: 2_000}, {True: 3, False: 100}
LIMIT_S = {True: 60, False: 7_200}
# So many refused writes are the least that say anything.
LEAST = 30
WRITES = 6
HEALED_S = 5
DISK = "12m"


class Sufferer(Victim):
    """A Slipway whose disk fails now and then."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.refused = {}

    def write(self, where, may_fail, kinds=KINDS):
        """One write; a refusal must be one of `may_fail`, and is looked into at once. True if it was refused."""
        wish = None
        while wish is None:
            kind = self.rng.choice(kinds)
            wish = kind(self.journal, self.rng)
        method, path, body, expected, done = wish
        status, said = self.ask(method, path, body)
        if status in (expected if isinstance(expected, tuple) else (expected,)):
            done(self.journal, said)
            self.done[kind.__name__] = self.done.get(kind.__name__, 0) + 1
            return False
        # A start that failed is an error of the server, as JupyterHub's are, and says why.
        if status not in may_fail and not (kind is start_server and status == 500 and "database could not be written" in said["message"]):
            self.findings.append({"kind": "answer", "where": where, "wrong": f"{kind.__name__}: {method} {path}: {status} {said}"})
        self.refused[kind.__name__] = self.refused.get(kind.__name__, 0) + 1
        self.check(where, (kind.__name__, done))
        return True

    def heals(self, where):
        """The disk works: so does a write, soon, and what was only done so far is written down."""
        until = time.monotonic() + HEALED_S
        while self.write(f"after {where}", (500, 503, 507)):
            if time.monotonic() > until:
                self.findings.append({"kind": "not healed", "where": where, "wrong": f"writes are refused {HEALED_S} s after the disk works again"})
                return
        while (told := self.audited("stopped server")) != self.done.get("stop_server", 0):
            if time.monotonic() > until:
                wrong = f"{told} of {self.done['stop_server']} stops are in the audit log {HEALED_S} s after the disk works again"
                self.findings.append({"kind": "not written down", "where": where, "wrong": wrong})
                return
            # What could not be written of one server is tried again when another could be.
            self.write(f"after {where}", (), (create_user, start_server, stop_server))

    def audited(self, act):
        """How many lines of the audit log begin with it."""
        wire = http.client.HTTPConnection(self.slipway.hub_host, self.slipway.hub_port, timeout=RUN_S)
        wire.request("GET", "/hub/api/audit", headers={"Authorization": f"token {self.admin}"})
        lines = wire.getresponse().read().splitlines()
        wire.close()
        return sum(json.loads(line)["act"].startswith(act) for line in lines)

    def dies(self, where):
        self.kill()
        took = self.start()
        assert took is not None, f"it does not start after {where}:\n{self.slipway.program.log(20)}"
        self.check(f"{where}, killed and started", None)

    def suffer(self):
        """Some calls of one kind fail; a fourth of the time it is killed behind that."""
        call, error, count = self.rng.choice(CALLS), self.rng.choice(sorted(ERRORS)), self.rng.choice(COUNTS)
        if call == "pread64":
            error = "EIO"
        if call in SYNCS:
            count = 1
        first = self.rng.randint(1, FIRST)
        when = f"{first}+" if count == 0 else f"{first}..{first + count - 1}"
        where, tracer = f"{call} {when} {error}", self.attach(call, f"error={error}:when={when}")
        for _ in range(WRITES):
            self.write(where, ERRORS[error])
        tracer.terminate()
        tracer.wait()
        self.heals(where)
        if self.rng.random() < 0.25:
            self.dies(where)

    def fill(self, folder):
        """The disk itself is full."""
        with open(folder / "filler", "wb", buffering=0) as filler:
            piece = bytes(4096)
            try:
                while True:
                    filler.write(piece)
            except OSError:
                pass
        for _ in range(WRITES * 2):
            self.write("a full disk", ERRORS["ENOSPC"])
        os.unlink(folder / "filler")
        self.heals("a full disk")
        self.dies("a full disk")


def small_disk():
    """A folder that is a disk of its own; none where we may not mount one."""
    folder = Folder("rig-disk")
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0755", "tmpfs", folder.path], stderr=subprocess.DEVNULL, check=False).returncode:
        return None
    atexit.register(subprocess.run, ["umount", "--lazy", folder.path], check=False)
    return folder


def run(options):
    """Slipway alone: two whose calls fail, and one on a disk that is full."""
    if not shutil.which("strace"):
        return {}, [{"kind": "tool", "wrong": "strace is missing: apt-get install strace"}]
    upstream, disk = subjects.quick_upstream(Folder("rig-disks-up")), small_disk()
    sufferers = [Sufferer(number, upstream.port, f"disks-{options.seed}") for number in range(2)]
    until, left, lock, errors = time.monotonic() + LIMIT_S[options.is_quick], [ROUNDS[options.is_quick]], threading.Lock(), []
    full = 0

    def work(sufferer):
        try:
            while time.monotonic() < until and not sufferer.findings:
                with lock:
                    if left[0] == 0:
                        return
                    left[0] -= 1
                sufferer.suffer()
        except Exception as error:  # pylint: disable=broad-except - told as a finding, with what the program said
            errors.append({"kind": "crash", "wrong": f"{error!r}", "log": sufferer.slipway.program.log(10)})

    threads = [threading.Thread(target=work, args=(sufferer,)) for sufferer in sufferers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if disk:
        sufferers.append(Sufferer(2, upstream.port, f"disks-{options.seed}", folder=disk))
        while full < FULL[options.is_quick] and not sufferers[-1].findings:
            sufferers[-1].fill(disk)
            full += 1
    findings = [found for sufferer in sufferers for found in sufferer.findings] + errors
    for sufferer in sufferers:
        sufferer.slipway.end()
    upstream.end()
    done, refused = (sum(sum(getattr(sufferer, of).values()) for sufferer in sufferers) for of in ("done", "refused"))
    rounds = ROUNDS[options.is_quick] - left[0]
    if refused < LEAST or (disk and not sufferers[-1].refused):
        findings.append({"kind": "goal", "wrong": f"{refused} writes refused only, {sufferers[-1].refused} of them on the full disk"})
    print(f"  {rounds} faults by {len(CALLS)} calls, {full if disk else 'no (we may not mount one)'} full disks: {done} writes acknowledged, {refused} refused; "
          f"all or nothing of each, and healed within {HEALED_S} s", flush=True)
    return {"rounds": rounds, "full": full, "acknowledged": done, "refused": refused}, findings
