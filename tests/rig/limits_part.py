"""What runs out or jumps: the log's reader stalls (F33), descriptors (F19), memory (F20), the clock (F16).

Held: whoever works already goes on, the program lives, nothing spins, and 5 s after the pressure ends everything is as before.
"""

import asyncio
import contextlib
import os
import platform
import time
from pathlib import Path

from floods_part import cpu_s
from load_client import Wire, context
from load_part import Stand, held, source
from rig import BINARY, PASSWORD, Browser, Client
from upstreams_part import memory_mib

RECOVERS_WITHIN_S = 5
DESCRIPTORS = 256
MEMORY_BYTES = 256 << 20
FAKETIME = Path(f"/usr/lib/{platform.machine()}-linux-gnu/faketime/libfaketimeMT.so.1")
# Where the clock jumps to, and whether the session begun just before outlives it: it ends after a day that nobody used it, and one that was
# begun hours from now does too, or it would live for ever. None: it is not looked at.
JUMPS = (("+1h", True), ("-1h", True), ("+20h", True), ("+0", False), ("+10y", False), ("-10y", None), ("+0", None), ("+40d", False), ("+0", None))


def restart(stand, script, **environment):
    """Starts Slipway anew by a script of sh, in which "$@" is the program."""
    program = stand.subject.program
    program.end()
    program.arguments = ["/bin/sh", "-c", script, "sh", BINARY, "serve"]
    program.environment = {**program.environment, **environment}
    stand.subject.slipway.start()
    stand.pid = program.pid
    program.wait_for("the route again", lambda: page(stand) == 200)


def page(stand):
    with contextlib.suppress(OSError):
        return stand.subject.browser.send("GET", "/user/admin/n000000_").status
    return 0


def recovers(stand, findings, load):
    """How long it takes until a fresh client is answered; a finding if it is too long."""
    began = time.monotonic()
    while page(stand) != 200 and time.monotonic() < began + 4 * RECOVERS_WITHIN_S:
        time.sleep(0.05)
    seconds = time.monotonic() - began
    held(findings, load, seconds <= RECOVERS_WITHIN_S, f"a fresh client is answered after {seconds:.1f} s only")
    return round(seconds, 2)


async def ask_many(stand, count):
    site, wire, slowest = stand.subject.site.through_tls(), await Wire.open(stand.subject.tls_port), 0
    for _ in range(count):
        began = time.monotonic()
        status, _, _ = await wire.ask(b"GET", site.prefix + b"n000001_", site.headers)
        assert status == 200, status
        slowest = max(slowest, time.monotonic() - began)
    wire.close()
    return slowest


def log_stalls(options, findings):
    stand = Stand("log", **{"log.access": "json"})
    fifo = stand.folder / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    restart(stand, f'exec "$@" >"{fifo}" 2>&1')
    count, before = 15_000 if options.is_quick else 100_000, memory_mib(stand.pid)
    slowest = asyncio.run(ask_many(stand, count))
    dropped, grown = stand.subject.figure("slipway_log_lines_dropped_total"), memory_mib(stand.pid) - before
    held(findings, "log stalls", dropped > 0, "no line was dropped: the pipe was never full, or nobody counts")
    held(findings, "log stalls", slowest < 2, f"a request took {slowest:.1f} s")
    held(findings, "log stalls", grown < 64, f"{grown:.0f} MiB more than before")
    read_all(reader)
    asyncio.run(ask_many(stand, 20))
    began, heard = time.monotonic(), b""
    while b"/user/admin/" not in heard and time.monotonic() < began + 4 * RECOVERS_WITHIN_S:
        heard += read_all(reader)
        time.sleep(0.05)
    seconds = time.monotonic() - began
    held(findings, "log stalls", seconds <= RECOVERS_WITHIN_S, f"lines come again after {seconds:.1f} s only")
    print(f"  log stalls: {count} requests answered, the slowest in {slowest * 1000:.0f} ms; {dropped:.0f} lines dropped and counted; lines again after {seconds:.2f} s", flush=True)
    os.close(reader)
    stand.end(findings)
    return {"limit": "log", "slowest_s": slowest, "dropped": dropped, "recovered_s": seconds}


def read_all(reader):
    heard = b""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(reader, 1 << 16):
            heard += piece
    return heard


async def hold_connections(stand, count, seconds):
    """As many connections as there is room for; meanwhile one that was open already is asked. (opened, answers, refusals)"""
    tls, site, opened = context(), stand.subject.site.through_tls(), []
    early = await Wire.open(stand.subject.tls_port)
    await early.ask(b"GET", site.prefix + b"n000001_", site.headers)

    async def one(number):
        with contextlib.suppress(OSError, TimeoutError):
            opened.append(await Wire.open(stand.subject.tls_port, source(6, number), tls, limit_s=seconds))
    await asyncio.gather(*(one(number) for number in range(count)))
    answers, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, TimeoutError):
            answers.append((await early.ask(b"GET", site.prefix + b"n000001_", site.headers, limit_s=5))[0])
        await asyncio.sleep(0.1)
    for wire in [*opened, early]:
        wire.close()
    return len(opened), answers


def descriptors(options, findings):
    stand, rounds, slowest, spun = Stand("descriptors"), 3 if options.is_quick else 100, 0, 0
    restart(stand, f'ulimit -n {DESCRIPTORS}; exec "$@"')
    for _ in range(rounds):
        cpu = cpu_s(stand.pid)
        opened, answers = asyncio.run(hold_connections(stand, 2 * DESCRIPTORS, 2))
        spun = max(spun, (cpu_s(stand.pid) - cpu) / 4)
        held(findings, "descriptors", answers and set(answers) == {200}, f"who was there already heard {sorted(set(answers))} to {len(answers)} requests")
        slowest = max(slowest, recovers(stand, findings, "descriptors"))
        if wrong := stand.subject.alive():
            held(findings, "descriptors", False, wrong)
            break
    held(findings, "descriptors", spun < 0.8, f"{spun:.1f} cores while there was nothing to do")
    print(f"  descriptors: {DESCRIPTORS} of them, {rounds} rounds of {2 * DESCRIPTORS} connections, {opened} of which came in; a fresh client is answered after {slowest} s at most; {spun:.2f} cores meanwhile", flush=True)
    stand.end(findings)
    return {"limit": "descriptors", "opened": opened, "recovered_s": slowest, "cores": round(spun, 2)}


async def press(stand, count, seconds):
    """Answers of 64 MiB that nobody reads, and uploads that go on."""
    tls, site = context(), stand.subject.site.through_tls()

    async def one(number):
        with contextlib.suppress(OSError, TimeoutError):
            wire = await Wire.open(stand.subject.tls_port, source(7, number), tls)
            head = b"".join((b"%s ", site.prefix, b"%s HTTP/1.1\r\nHost: ", wire.host, b"\r\n", site.headers))
            if number % 2:
                wire.writer.transport.pause_reading()
                wire.writer.write(head % (b"GET", b"large") + b"\r\n")
                await asyncio.sleep(seconds)
            else:
                wire.writer.write(head % (b"POST", b"body") + b"Content-Length: 1000000000\r\n\r\n")
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    wire.writer.write(bytes(1 << 16))
                    await wire.writer.drain()
                    await asyncio.sleep(0.01)
            wire.close()
    await asyncio.gather(*(one(number) for number in range(count)))


def memory(options, findings):
    group = Path(f"/sys/fs/cgroup/memory/slipway-rig-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(MEMORY_BYTES))
    except OSError as error:
        print(f"  memory: SKIPPED, no cgroup to be had here: {error}")
        return {"limit": "memory", "skipped": str(error)}
    stand, rounds, slowest = Stand("memory"), 1 if options.is_quick else 100, 0
    restart(stand, f'echo $$ >"{group}/cgroup.procs"; exec "$@"')
    highest = 0
    for _ in range(rounds):
        asyncio.run(press(stand, 300, 5))
        highest = int((group / "memory.max_usage_in_bytes").read_text()) >> 20
        slowest = max(slowest, recovers(stand, findings, "memory"))
        if wrong := stand.subject.alive():
            held(findings, "memory", False, wrong)
            break
    print(f"  memory: 300 transfers within {MEMORY_BYTES >> 20} MiB, {rounds} rounds: {highest} MiB at most, {memory_mib(stand.pid):.0f} MiB resident after; a fresh client is answered after {slowest} s at most", flush=True)
    stand.end(findings)
    with contextlib.suppress(OSError):
        group.rmdir()
    return {"limit": "memory", "highest_mib": highest, "recovered_s": slowest}


def clock(_options, findings):
    if not FAKETIME.exists():
        print(f"  clock: SKIPPED, no {FAKETIME}")
        return {"limit": "clock", "skipped": True}
    stand, slowest = Stand("clock"), 0
    now = stand.folder.write("now", "+0")
    restart(stand, 'exec "$@"', LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(now), FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1")
    for jump, session_lives in JUMPS:
        now.write_text(jump)
        if session_lives is not None:
            status = page(stand)
            held(findings, "clock", (status == 200) == session_lives, f"after a jump to {jump} the session is answered {status}")
        # Whoever signs in anew is let in, whatever the clock says.
        began = time.monotonic()
        browser = Browser(stand.subject.slipway.origin)
        browser.client = Client(stand.subject.slipway.origin, stand.subject.browser.client.headers)
        try:
            browser.sign_in("admin", PASSWORD)
            status = browser.send("GET", "/user/admin/n000000_").status
        except (AssertionError, OSError) as error:
            status = str(error)[:200]
        seconds = time.monotonic() - began
        held(findings, "clock", status == 200, f"after a jump to {jump} a new session is answered {status}")
        slowest = max(slowest, seconds)
        stand.subject.browser = browser
    held(findings, "clock", slowest <= RECOVERS_WITHIN_S, f"a sign-in took {slowest:.1f} s")
    print(f"  clock: {len(JUMPS)} jumps of up to ten years; the slowest sign-in behind one took {slowest:.2f} s", flush=True)
    stand.end(findings)
    return {"limit": "clock", "jumps": len(JUMPS), "slowest_s": slowest}


LIMITS = {"log": log_stalls, "descriptors": descriptors, "memory": memory, "clock": clock}


def run(options):
    """Slipway alone."""
    figures, findings = [], []
    for name, limit in LIMITS.items():
        if not options.only or options.only in name:
            figures.append(limit(options, findings))
    return figures, findings
