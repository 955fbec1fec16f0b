"""WebSockets: the same verdict through Slipway as direct, and abnormal ends that leave nothing behind.

Held: each conformance case ends direct as RFC 6455 says, and through Slipway (in the clear and through TLS) with the same bytes and the
same end; after thousands of resets, half-closes, stalls and races every descriptor of Slipway and of the server is given back (F31).
"""

import asyncio
import collections
import os
import re
import socket
import struct
import sys
import time
import zlib

import subjects
import websocket_cases
from rig import Folder, Program, free_port, plain_environment, until

AT_ONCE = 32
# One case in all: the largest carries 16 MiB both ways through Python.
LIMIT_S = 30
# How long each side of a connection may outlive the other's abnormal end.
CLOSED_WITHIN_S = 5
# Descriptors that may come and go by themselves: the store's, a connection that waits in the pool.
DESCRIPTORS_SPARE = 4
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def handshake(site, wants_deflate=False):
    extension = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n" if wants_deflate else b""
    return b"".join((b"GET ", site.prefix, b"socket HTTP/1.1\r\nHost: ", site.host, b"\r\n", site.headers, b"Origin: https://", site.host, b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ", KEY, b"\r\n", extension, b"\r\n"))


class Door:
    """One way to the server: direct, through Slipway in the clear, or through its TLS."""

    def __init__(self, name, port, site, tls=None):
        self.name, self.port, self.site, self.tls = name, port, site, tls

    async def open(self, wants_deflate=False):
        """An open WebSocket; OSError if the server did not agree."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, limit=1 << 26)
        writer.write(handshake(self.site, wants_deflate))
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as ended:
            writer.transport.abort()
            raise ConnectionError(f"no answer but {ended.partial!r}") from None
        if not head.startswith(b"HTTP/1.1 101 "):
            writer.transport.abort()
            raise ConnectionError(head.split(b"\r\n")[0].decode())
        return reader, writer


def frames_of(data):
    """The frames of a server as (opcode, payload); a frame that is cut is ("cut", bytes)."""
    found = []
    while data:
        size, length = 2, data[1] & 0x7f if len(data) > 1 else 0
        if length >= 126:
            more = 2 if length == 126 else 8
            length, size = int.from_bytes(data[2:2 + more], "big"), 2 + more
        if len(data) < size + length:
            return [*found, ("cut", data)]
        payload = data[size:size + length]
        if data[0] & 0x40 and data[0] & 0x0f < 8:
            payload = zlib.decompressobj(wbits=-15).decompress(payload + b"\x00\x00\xff\xff")
        found.append((data[0] & 0x0f, payload))
        data = data[size + length:]
    return found


async def verdict(door, case):
    """All that came back for a case, and how it ended."""
    try:
        async with asyncio.timeout(LIMIT_S):
            reader, writer = await door.open(case.wants_deflate)
    except (OSError, TimeoutError) as error:
        return b"", f"not opened: {error}"
    data = bytearray()

    async def listen():
        while got := await reader.read(1 << 18):
            data.extend(got)

    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(LIMIT_S):
            try:
                for piece in case.pieces:
                    writer.write(piece)
                    if len(case.pieces) > 1:
                        await writer.drain()
                        await asyncio.sleep(0)
                if case.code is websocket_cases.NO_CLOSE and writer.can_write_eof():
                    writer.write_eof()
            except ConnectionError:
                pass
            await listening
            return bytes(data), "ended"
    except TimeoutError:
        listening.cancel()
        return bytes(data), "never ended"
    except ConnectionError:
        return bytes(data), "reset"
    finally:
        writer.transport.abort()


def wrong_of(case, data, how):
    """What RFC 6455 finds wrong with a verdict, or None: so that two equal mistakes are found too."""
    frames = frames_of(data)
    if how == "never ended":
        return how
    if case.code is websocket_cases.NO_CLOSE:
        return None
    echoes = [payload for kind, payload in frames if kind in (1, 2)]
    pongs = [payload for kind, payload in frames if kind == 10]
    ends = [payload for kind, payload in frames if kind == 8]
    code = (struct.unpack(">H", ends[0][:2])[0] if len(ends[0]) > 1 else 1005) if ends else None
    if echoes != case.echoes:
        return f"{len(echoes)} messages instead of {len(case.echoes)}, or others"
    if pongs != case.pongs:
        return f"{len(pongs)} pongs instead of {len(case.pongs)}, or others"
    return None if code == case.code else f"close code {code} instead of {case.code}"


async def conform(doors, cases, findings):
    queue = iter(cases)

    async def worker():
        for case in queue:
            direct = await verdict(doors[0], case)
            wrong = wrong_of(case, *direct)
            if wrong:
                findings.append({"kind": "rig", "case": case.name, "wrong": f"direct: {wrong}"})
            for door in doors[1:]:
                if door.tls and case.code is websocket_cases.NO_CLOSE:
                    continue  # TLS has no half-close that Python can send.
                data, how = await verdict(door, case)
                if (data, how) != direct:
                    findings.append({"kind": "verdict", "case": case.name, "door": door.name, "wrong": f"{len(data)} bytes, {how}, {data[-40:]!r} instead of {len(direct[0])} bytes, {direct[1]}, {direct[0][-40:]!r}"})
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


# ---- abnormal ends ----------------------------------------------------------------------------------------


def reset(writer):
    open_socket = writer.get_extra_info("socket")
    if open_socket:  # none once the other side has ended it
        open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ended(reader):
    """Waits for the other side's end; TimeoutError if it does not come in time."""
    async with asyncio.timeout(CLOSED_WITHIN_S + 1):
        try:
            while await reader.read(1 << 18):
                pass
        except ConnectionError:
            pass


def say(text):
    return websocket_cases.frame(websocket_cases.TEXT, text)


async def resets(_reader, writer):
    reset(writer)


async def resets_within_a_frame(_reader, writer):
    writer.write(say(b"half a frame" * 40)[:100])
    await writer.drain()
    reset(writer)


async def leaves_without_a_word(_reader, writer):
    writer.close()


async def half_closes(reader, writer):
    writer.write(say(b"last words"))
    writer.write_eof()
    await ended(reader)


async def half_closes_within_a_frame(reader, writer):
    writer.write(say(b"half a frame" * 40)[:100])
    writer.write_eof()
    await ended(reader)


async def closes_and_resets(_reader, writer):
    writer.write(websocket_cases.close())
    await writer.drain()
    reset(writer)


async def never_reads_and_resets(_reader, writer):
    writer.transport.pause_reading()
    writer.write(say(b"b" * 200_000) * 3)
    await asyncio.sleep(0.02)
    reset(writer)


async def floods_with_pings(_reader, writer):
    writer.write(websocket_cases.frame(websocket_cases.PING, b"ping") * 2000)
    await asyncio.sleep(0.01)
    reset(writer)


async def floods_a_server_that_stalls(_reader, writer):
    writer.write(say(b"!stall") + say(b"b" * 200_000) * 5)
    await asyncio.sleep(0.02)
    reset(writer)


def server_does(what):
    async def asks(reader, writer):
        writer.write(say(what))
        await ended(reader)
        writer.close()
    return asks


async def both_at_once(reader, writer):
    writer.write(say(b"!reset") + websocket_cases.close())
    await writer.drain()
    writer.close()
    await asyncio.sleep(0)
    del reader


async def hears_pings_and_resets(reader, writer):
    writer.write(say(b"!ping"))
    await reader.read(100)
    reset(writer)


WAYS = {
    "reset": resets, "reset within a frame": resets_within_a_frame, "end without a word": leaves_without_a_word, "close and reset": closes_and_resets, "reset with much unread": never_reads_and_resets,
    "ping flood": floods_with_pings, "flood of a stalled server": floods_a_server_that_stalls, "server resets": server_does(b"!reset"), "server cuts a frame": server_does(b"!cut"),
    "server ends without a word": server_does(b"!end"), "server closes and resets": server_does(b"!close"), "both at once": both_at_once, "resets under the server's pings": hears_pings_and_resets,
    # Last: TLS has no half-close that Python can send.
    "half-close": half_closes, "half-close within a frame": half_closes_within_a_frame,
}
CLEAR_ONLY = 2


async def end_abnormally(doors, count, findings, ways):
    queue = iter(range(count))
    names = list(WAYS)

    async def worker():
        for number in queue:
            door = doors[number % len(doors)]
            name = names[number // len(doors) % (len(names) - (CLEAR_ONLY if door.tls else 0))]
            try:
                async with asyncio.timeout(LIMIT_S):
                    reader, writer = await door.open()
            except (OSError, TimeoutError) as error:
                findings.append({"kind": "refused", "way": name, "door": door.name, "wrong": str(error) or type(error).__name__})
                continue
            try:
                await WAYS[name](reader, writer)
                ways[name] += 1
            except TimeoutError:
                findings.append({"kind": "left open", "way": name, "door": door.name, "wrong": f"open after {CLOSED_WITHIN_S} s"})
            except OSError:
                ways[name] += 1
            finally:
                writer.transport.abort()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def abnormal_ends(subject, upstream, doors, count, findings):
    """`count` abnormal ends; what is left of them after `CLOSED_WITHIN_S` is a finding."""
    pids, ways = {"slipway": subject.program.pid, "the server": upstream.pid}, collections.Counter()
    # Some first, so that pools and threads are there.
    asyncio.run(end_abnormally(doors, 4 * len(WAYS), findings, ways))
    settled = lambda: subject.figure("slipway_websockets_open") == 0
    try:
        until("the first have ended", settled, CLOSED_WITHIN_S + 1)
    except AssertionError:
        findings.append({"kind": "left open", "wrong": "WebSockets of the warm-up"})
    before = {name: descriptors(pid) for name, pid in pids.items()}
    asyncio.run(end_abnormally(doors, count, findings, ways))
    began, after = time.monotonic(), {}

    def is_back():
        after.update({name: descriptors(pid) for name, pid in pids.items()})
        return settled() and all(after[name] <= before[name] + DESCRIPTORS_SPARE for name in pids)
    try:
        until("every descriptor is given back", is_back, CLOSED_WITHIN_S)
    except AssertionError:
        findings.append({"kind": "leak", "wrong": f"descriptors before {before}, {CLOSED_WITHIN_S} s after {after}; {subject.figure('slipway_websockets_open'):.0f} WebSockets are counted as open"})
    return {"ends": sum(ways.values()), "ways": dict(ways), "before": before, "after": after, "given_back_s": round(time.monotonic() - began, 2)}


def run(options):
    """Slipway alone."""
    cases, count = websocket_cases.cases(options.is_quick), 1000 if options.is_quick else 10_000
    if options.only:
        cases = [case for case in cases if re.search(options.only, case.name)]
    folder, port, findings = Folder("rig-websocket"), free_port(), []
    upstream = Program("upstream", [sys.executable, str(subjects.HERE / "websocket_echo.py"), str(port)], folder, plain_environment())
    upstream.wait_for("the upstream", lambda: subjects.listens(port))
    subject = subjects.SlipwaySubject(folder, port)
    direct = Door("direct", port, subject.site)
    clear, tls = Door("in the clear", subject.port, subject.site), Door("TLS", subject.tls_port, subject.site.through_tls(), subject.tls)
    began = time.monotonic()
    asyncio.run(conform([direct, clear, tls], cases, findings))
    seconds = time.monotonic() - began
    print(f"  slipway: {len(cases)} cases, each direct, in the clear and through TLS, in {seconds:.0f} s: {len(findings)} found", flush=True)
    began = time.monotonic()
    ends = abnormal_ends(subject, upstream, [clear, tls], count, findings)
    print(f"  slipway: {ends['ends']} abnormal ends of {len(WAYS)} kinds in {time.monotonic() - began:.0f} s; descriptors before {ends['before']}, after {ends['after']}", flush=True)
    wrong = subject.alive()
    if wrong:
        findings.append({"kind": "crash", "wrong": wrong})
    subject.end()
    upstream.end()
    return [{"name": "slipway", "cases": len(cases), "seconds": seconds, "ends": ends, "findings": findings}], findings
