"""Hostile answers: each variant of the generator, as a server in somebody's container would give it.

Held: the client gets one canonical answer to each request (I4), never one that was meant for somebody else or that nobody asked for; the
next request over the same route is answered rightly; the program lives (I5), and its memory stays bounded.
"""

import asyncio
import re
import sys
import time

import hostile
import malformed
import subjects
from grammar import Violation, read_response
from rig import Folder, Program, free_port, plain_environment

AT_ONCE = 32
# An upstream that says nothing more is waited for (answers may take an hour): then the client goes away, as people do.
PATIENCE_S = 0.5
LIMIT_S = 20
# Growth that a whole run may leave behind; the largest answers are 4 MiB.
MEMORY_LIMIT_MIB = 96
# What a server may not tell a browser for the whole origin.
NEVER_PASSED = (b"service-worker-allowed", b"clear-site-data", b"alt-svc", b"strict-transport-security", b"public-key-pins", b"report-to", b"reporting-endpoints", b"nel", b"x-slipway-user")


class Wrong(Exception):
    """What must not be; the text says it."""


async def ask(subject, reader, writer, path, nonce, method):
    """One request over an open connection; returns the answer, or None if there was none in time. Wrong if it is not canonical."""
    site = subject.site
    writer.write(b"".join((method.encode(), b" ", site.prefix, path, nonce, b" HTTP/1.1\r\nHost: ", site.host, b"\r\n", site.headers, b"\r\n")))
    data, is_end = b"", False
    try:
        while True:
            found = read_response(data, method, is_end)
            if found:
                if len(data) > found[1] and found[0].status != 101:
                    raise Wrong(f"bytes behind the answer: {data[found[1]:found[1] + 80]!r}")
                return found[0]
            if is_end:
                return None
            got = await asyncio.wait_for(reader.read(1 << 18), PATIENCE_S)
            data, is_end = data + got, not got
    except TimeoutError:
        return None
    except Violation as violation:
        raise Wrong(f"not canonical: {violation}") from None


def check(answer, nonce, method):
    if answer is None:
        return
    found = answer.values(b"x-trap-nonce")
    if found and found != [nonce]:
        raise Wrong(f"an answer with the nonce {found} to {nonce!r}")
    if answer.values(b"x-stranger"):
        raise Wrong("an answer that nobody asked for")
    for name in NEVER_PASSED:
        if answer.values(name):
            raise Wrong(f"the server's {name.decode()} reached the browser")
    for cookie in answer.values(b"set-cookie"):
        # Without a path it is for the folder of the request, which is below the server's prefix.
        path = re.search(rb"(?i);\s*path=([^;]*)", cookie)
        is_far = path and not path.group(1).startswith(b"/user/admin/")
        if found and (is_far or re.search(rb"(?i);\s*domain=|^__host-|^__secure-", cookie)):
            raise Wrong(f"the server's cookie {cookie[:60]!r} reached the browser")


async def one(subject, number, method):
    nonce, good = malformed.nonce_of(number), malformed.nonce_of(number, b"g")
    reader, writer = await asyncio.open_connection("127.0.0.1", subject.port, limit=1 << 23)
    try:
        async with asyncio.timeout(LIMIT_S):
            answer = await ask(subject, reader, writer, b"h%06d/" % number, nonce, method)
            check(answer, nonce, method)
            # Over the same connection if it goes on, and over whatever connection to the upstream lies in the pool.
            if answer is None or answer.body is None or answer.status == 101 or reader.at_eof() or b"close" in answer.values(b"connection"):
                writer.transport.abort()
                reader, writer = await asyncio.open_connection("127.0.0.1", subject.port, limit=1 << 23)
            after = await ask(subject, reader, writer, b"", good, "GET")
            if after is None or after.status != 200 or after.body != good:
                raise Wrong(f"the next request got {after and after.status} {after and after.body and after.body[:40]!r}")
            return str(answer.status) + (" cut" if answer.body is None and method != "HEAD" else "") if answer else "nothing"
    finally:
        writer.transport.abort()


async def attack(subject, variants, findings, statuses):
    queue = iter((number, method) for number in range(len(variants)) for method in (("GET", "HEAD") if number % 5 == 0 else ("GET",)))

    async def worker():
        for number, method in queue:
            try:
                status = await one(subject, number, method)
                statuses[status] = statuses.get(status, 0) + 1
            except (Wrong, TimeoutError, OSError) as error:
                findings.append({"kind": "answers", "variant": f"{variants[number].rule}: {variants[number].what} ({method})", "wrong": str(error) or type(error).__name__})
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def memory_mib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1)) / 1024


def run(_options):
    """Slipway alone: its peers trust their upstreams, and say so."""
    variants, folder, port = hostile.variants(), Folder("rig-upstreams"), free_port()
    upstream = Program("upstream", [sys.executable, str(subjects.HERE / "hostile_upstream.py"), str(port)], folder, plain_environment())
    upstream.wait_for("the upstream", lambda: subjects.listens(port))
    subject = subjects.SlipwaySubject(folder, port)
    findings, statuses, began, before = [], {}, time.monotonic(), memory_mib(subject.program.pid)
    asyncio.run(attack(subject, variants, findings, statuses))
    seconds, grown = time.monotonic() - began, memory_mib(subject.program.pid) - before
    wrong = subject.alive()
    if wrong:
        findings.append({"kind": "crash", "wrong": wrong})
    if grown > MEMORY_LIMIT_MIB:
        findings.append({"kind": "memory", "wrong": f"{grown:.0f} MiB more than before"})
    subject.end()
    upstream.end()
    print(f"  slipway: {len(variants)} hostile answers, {sum(statuses.values())} exchanges in {seconds:.0f} s, memory {grown:+.0f} MiB: {len(findings)} found; answers {dict(sorted(statuses.items()))}")
    return [{"name": "slipway", "variants": len(variants), "seconds": seconds, "statuses": statuses, "findings": findings, "memory_mib": grown}], findings
