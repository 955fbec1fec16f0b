"""Floods over HTTP/2, each from many connections of other addresses, beside a client who only wants its pages.

Held: the offender's connections end or are held to a bounded rate, memory stays within the goal, the well-behaved client is answered
throughout (its latency is told beside the quiet one), and the program lives (I5).
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import re
import statistics
import time

import http2_cases
import malformed
import subjects
from http2_client import ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, SETTINGS, Connection, block, frame, headers, integer, literal, reset, settings, window
from rig import Folder
from upstreams_part import memory_mib

# Growth of resident memory during an attack (security.md C6 and C7).
MEMORY_LIMIT_MIB = {"hpack bomb": 128, "cookie crumbs": 128, "crumbs beside a stream": 128}
MEMORY_LIMIT_DEFAULT_MIB = 64
# The well-behaved client's requests a second, and how long one may take at worst while attackers and it share two cores.
PACE_S = 0.02
ANSWER_LIMIT_S = 5
# Of Slipway and the well-behaved client, as `nice` counts.
PRIORITY = -15
# Forked, with the subject as it is.
FORK = multiprocessing.get_context("fork")


def rapid_reset(site):
    """CVE-2023-44487: streams that are opened and reset at once."""
    for stream in itertools.count(1, 200):
        yield b"".join(headers(number, http2_cases.request(site, b"n000001_")) + reset(number) for number in range(stream, stream + 200, 2))


def made_you_reset(site):
    """CVE-2025-8671: streams that the server must reset, for a window update of nothing."""
    for stream in itertools.count(1, 200):
        yield b"".join(headers(number, http2_cases.request(site, b"n000001_", b"POST"), END_HEADERS) + window(number, 0) for number in range(stream, stream + 200, 2))


def made_you_reset_by_length(site):
    """The same for bodies that are longer than they said."""
    for stream in itertools.count(1, 200):
        yield b"".join(headers(number, [*http2_cases.request(site, b"n000001_", b"POST"), (b"content-length", b"1")], END_HEADERS) + frame(DATA, END_STREAM, number, b"xx") for number in range(stream, stream + 200, 2))


def continuation(site):
    """CVE-2024-27316: a header block that never ends."""
    yield frame(HEADERS, END_STREAM, 1, block(http2_cases.request(site, b"n000001_")))
    while True:
        yield frame(CONTINUATION, 0, 1, literal(b"x-a", b"b" * 1000)) * 16


def hpack_bomb(site):
    """One large field in the table, and references to it from many streams whose answers have no window."""
    yield settings((4, 0), (1, 65536))
    name_and_value = integer(len(b"x-bomb"), 7) + b"x-bomb" + integer(3800, 7) + b"b" * 3800
    yield frame(HEADERS, END_STREAM | END_HEADERS, 1, block(http2_cases.request(site, b"n000001_")) + b"\x40" + name_and_value)
    for stream in itertools.count(3, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, block(http2_cases.request(site, b"n000001_")) + b"\xbe" * 4000)


def cookie_crumbs(site):
    """CVE-2026-47774: thousands of crumbs of one cookie, on every stream."""
    yield settings((4, 0))
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, (block(http2_cases.request(site, b"n000001_")) + literal(b"cookie", b"") * 1500)[:16384])


def cookie_crumbs_beside_a_stream(site):
    """The same while an answer is open that nobody takes, so that the connection is never without a stream."""
    crumbs = cookie_crumbs(site)
    yield next(crumbs) + headers(1, http2_cases.request(site, b"n000001_"))
    next(crumbs)
    yield from crumbs


def settings_flood(_site):
    """SETTINGS, each of which wants an ACK."""
    while True:
        yield frame(SETTINGS, 0, 0) * 500


def ping_flood(_site):
    while True:
        yield frame(PING, 0, 0, b"floodfld") * 500


def ack_flood(_site):
    while True:
        yield frame(SETTINGS, ACK, 0) * 500


def empty_data(site):
    """RUSTSEC-2026-0258: DATA without a byte and without an end."""
    yield headers(1, http2_cases.request(site, b"n000001_", b"POST"), END_HEADERS)
    while True:
        yield frame(DATA, 0, 1) * 500


def zero_window(site):
    """Answers that nobody takes, on as many streams as there may be."""
    yield settings((4, 0))
    yield b"".join(headers(stream, http2_cases.request(site, b"n000001_")) for stream in range(1, 257, 2))
    while True:
        yield b""


ATTACKS = {
    "rapid reset": rapid_reset, "made you reset": made_you_reset, "made you reset by length": made_you_reset_by_length, "continuation": continuation, "hpack bomb": hpack_bomb, "cookie crumbs": cookie_crumbs, "crumbs beside a stream": cookie_crumbs_beside_a_stream,
    "settings flood": settings_flood, "ping flood": ping_flood, "ack flood": ack_flood, "empty data": empty_data, "zero window": zero_window,
}


async def attacker(subject, attack, number, until, told):
    """Opens connection after connection, and says `attack` on each until the server ends it."""
    source = f"127.0.{1 + number // 200}.{1 + number % 200}"
    while time.monotonic() < until:
        try:
            connection = await Connection.open(subject, source=source, first=b"" if attack in (hpack_bomb, cookie_crumbs, cookie_crumbs_beside_a_stream, zero_window) else None)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        told["connections"] += 1
        said = 0
        try:
            for data in attack(subject.attackers):
                if time.monotonic() > until or connection.heard.is_closed or connection.heard.goaway is not None:
                    break
                connection.send(data)
                said += len(data)
                async with asyncio.timeout(2):
                    await connection.writer.drain()
                # What came back meanwhile, without waiting for more.
                await connection.listen(quiet_s=0.002 if data else 0.2, limit_s=0.002 if data else 0.2)
        except (TimeoutError, OSError):
            told["stalled"] += 1
        told["ended by the server"] += connection.heard.is_closed or connection.heard.goaway is not None
        told["MiB"] += said / (1 << 20)
        connection.close()


async def well_behaved(subject, until, latencies, failures):
    """A page every now and then, each over a connection that stays open."""
    connection, stream = await Connection.open(subject), 1
    while time.monotonic() < until:
        began = time.monotonic()
        connection.send(headers(stream, http2_cases.request(subject.site, malformed.nonce_of(2))))
        await connection.listen(lambda heard, stream=stream: stream in heard.ended, quiet_s=ANSWER_LIMIT_S, limit_s=ANSWER_LIMIT_S)
        if connection.heard.statuses.get(stream) != 200:
            failures.append(f"stream {stream}: {connection.heard}")
            connection.close()
            connection, stream = await Connection.open(subject), -1
        latencies.append(time.monotonic() - began)
        stream += 2
        await asyncio.sleep(PACE_S)
    connection.close()


def well_behaved_alone(pipe, subject, until):
    """In a process of its own, so that it waits for Slipway and not for the attackers beside it."""
    put_first(os.getpid())
    latencies, failures = [], []
    asyncio.run(well_behaved(subject, until, latencies, failures))
    pipe.send((latencies, failures))


async def attack_until(subject, attack, until, attackers, told, memory):
    async def watch():
        while time.monotonic() < until:
            memory.append(memory_mib(subject.program.pid))
            await asyncio.sleep(0.1)
    await asyncio.gather(watch(), *(attacker(subject, attack, number, until, told) for number in range(attackers)))


def put_first(*pids):
    """Slipway and the well-behaved client before whoever else wants a processor: what is measured is what attacks cost Slipway, not what
    the attackers' own work costs this machine. Needs root; else the latencies are upper bounds."""
    for task in (task for pid in pids for task in os.listdir(f"/proc/{pid}/task")):
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(task), PRIORITY)


def storm(subject, attack, seconds, attackers):
    """One attack for so long: what the attackers saw, the latencies and failures of the client, the highest memory in MiB."""
    until, told, memory = time.monotonic() + seconds, {"connections": 0, "ended by the server": 0, "stalled": 0, "MiB": 0}, []
    ours, theirs = FORK.Pipe()
    client = FORK.Process(target=well_behaved_alone, args=(theirs, subject, until))
    client.start()
    asyncio.run(attack_until(subject, attack, until, attackers, told, memory))
    latencies, failures = ours.recv() if ours.poll(ANSWER_LIMIT_S * 2) else ([], ["the client never ended"])
    client.join(ANSWER_LIMIT_S)
    return told, latencies, failures, max(memory)


def children_of(pid):
    """A program and the processes that it started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as children:
        return [pid, *map(int, children.read().split())]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def p99_ms(latencies):
    return statistics.quantiles(latencies, n=100)[98] * 1000 if len(latencies) > 2 else float("nan")


def run(options):
    """Slipway alone."""
    folder = Folder("rig-floods")
    # Not the trap: it is so slow that everybody would wait for it.
    upstream = subjects.quick_upstream(folder)
    subject = subjects.SlipwaySubject(folder, upstream.port)
    # The attackers are a signed-in user with a server: who is nobody gets less far.
    subject.attackers, subject.site = subject.site_of("mallory").through_tls(), subject.site.through_tls()
    put_first(subject.program.pid, *children_of(upstream.pid))
    seconds, attackers = (4, 20) if options.is_quick else (60, 100)
    findings, figures = [], []
    _, quiet, _, _ = storm(subject, None, seconds, 0)
    for name, attack in ATTACKS.items():
        if options.only and not re.search(options.only, name):
            continue
        before, cpu = memory_mib(subject.program.pid), cpu_s(subject.program.pid)
        told, latencies, failures, highest = storm(subject, attack, seconds, attackers)
        grown, cpu = highest - before, cpu_s(subject.program.pid) - cpu
        figures.append({"attack": name, "connections": told["connections"], "ended": told["ended by the server"], "stalled": told["stalled"], "sent_mib": round(told["MiB"], 1), "memory_mib": round(grown, 1), "cpu_s": round(cpu, 2), "p99_ms": round(p99_ms(latencies), 1)})
        print(f"  {name}: {told['connections']} connections, {told['ended by the server']} ended by the server, {told['MiB']:.0f} MiB sent; memory {grown:+.0f} MiB; {cpu:.1f} s of CPU; p99 {p99_ms(latencies):.0f} ms (quiet {p99_ms(quiet):.0f})", flush=True)
        if grown > MEMORY_LIMIT_MIB.get(name, MEMORY_LIMIT_DEFAULT_MIB):
            findings.append({"kind": "memory", "attack": name, "wrong": f"{grown:.0f} MiB more than before"})
        if failures:
            findings.append({"kind": "answers", "attack": name, "wrong": f"{len(failures)} of {len(latencies)} requests of the well-behaved client failed: {failures[0]}"})
        if told["connections"] == 0:
            findings.append({"kind": "rig", "attack": name, "wrong": "no attacker got a connection"})
        wrong = subject.alive()
        if wrong:
            findings.append({"kind": "crash", "attack": name, "wrong": wrong})
            break
    subject.end()
    upstream.end()
    return [{"name": "slipway", "quiet_p99_ms": p99_ms(quiet), "attacks": figures, "findings": findings}], findings
