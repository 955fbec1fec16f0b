"""Malformed requests: each cell of the generator, with a good request behind it, through a proxy to the trap.

Held: whatever is sent on is strict grammar (I3), answers pair with requests by nonce (I4), the proxy's session reaches no upstream (I7),
it lives (I5), and no connection is left behind. The same bytes go to the peers, for the figures beside ours.
"""

import asyncio
import json
import random
import re
import sys
import time

import malformed
import subjects
from rig import Folder, Program, free_port, plain_environment, until

# Connections at a time.
AT_ONCE = 48
# Silence after which a proxy is taken to wait for more: it has had all bytes already, over the loopback.
QUIET_S = 0.12
# One connection in all.
LIMIT_S = 15
# How many of the cells go through TLS as well.
TLS_EVERY = 12
ANSWER = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r\n((?:[^\r\n]*\r\n)*?)\r\n")


class Answers:
    """A client's reading of what came back: statuses and the nonces of the trap. Lenient, as browsers are."""

    def __init__(self):
        self.buffer, self.found, self.is_odd, self.is_tunnel = b"", [], False, False

    def feed(self, data, is_end=False):
        self.buffer += data
        while self.buffer and not self.is_odd and not self.is_tunnel:
            head = ANSWER.match(self.buffer)
            if not head:
                self.is_odd = is_end or b"\r\n\r\n" in self.buffer or not b"HTTP/1.".startswith(self.buffer[:7])
                return
            status, fields = int(head.group(1)), head.group(2)
            if status == 101:
                self.is_tunnel = True
                self.found.append((101, None))
                return
            rest = self.buffer[head.end():]
            length = re.search(rb"(?im)^content-length:\s*([0-9]+)", fields)
            nonce = re.search(rb"(?im)^x-trap-nonce:\s*(\S+)", fields)
            nonce = nonce.group(1) if nonce else None
            if status < 200 or status in (204, 304):
                size = 0
            elif re.search(rb"(?im)^transfer-encoding:.*chunked", fields):
                end = rest.find(b"0\r\n\r\n")
                if end < 0 and not is_end:
                    return
                size = end + 5 if end >= 0 else len(rest)
            elif length:
                size = int(length.group(1))
                # An answer to HEAD has no body: what follows is the next answer, or nothing.
                if rest[:5] == b"HTTP/" or (len(rest) < size and nonce and not rest):
                    size = 0
                elif len(rest) < size and not is_end:
                    return
            else:
                if not is_end:
                    return
                size = len(rest)
            if status >= 200:
                self.found.append((status, nonce))
            self.buffer = rest[size:]


async def one(subject, cell, number, through_tls):
    """Sends one cell and a good request behind it; returns (answers, how it ended)."""
    good = malformed.nonce_of(number, b"g")
    data = cell.make(subject.site, malformed.nonce_of(number)) + subject.site.good(good)
    answers, how = Answers(), "closed"
    port = subject.tls_port if through_tls else subject.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=subject.tls if through_tls else None, limit=1 << 21)
    try:
        # Not drained: a server that refuses early does not read the rest, and says so all the same.
        writer.write(data)
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    got = await asyncio.wait_for(reader.read(1 << 16), QUIET_S)
                except TimeoutError:
                    how = "quiet"
                    break
                answers.feed(got, not got)
                if not got:
                    break
                if answers.found and answers.found[-1][1] == good:
                    how = "answered"
                    break
    except TimeoutError:
        how = "never quiet"
    except (ConnectionError, OSError):
        how = "reset"
        answers.feed(b"", True)
    finally:
        writer.transport.abort()
    return answers, how


def judge(number, answers, how):
    """What is wrong with these answers, or None."""
    own = [malformed.nonce_of(number, kind) for kind in (b"", b"s", b"g")]
    nonces = [found for _, found in answers.found if found not in (None, b"none")]
    if any(found not in own for found in nonces):
        return f"an answer to somebody else's request: {nonces}"
    if len(set(nonces)) != len(nonces):
        return f"two answers to one request: {nonces}"
    if nonces != sorted(nonces, key=own.index):
        return f"answers in another order: {nonces}"
    if how == "never quiet":
        return "a connection that never came to rest"
    return None


async def attack(subject, cells, numbers, through_tls, findings, statuses):
    queue = iter(zip(numbers, cells, strict=True))

    async def worker():
        for number, cell in queue:
            try:
                answers, how = await one(subject, cell, number, through_tls)
            except OSError as error:
                findings.append({"kind": "refused", "cell": f"{cell.rule}: {cell.position}", "error": str(error)})
                continue
            wrong = judge(number, answers, how)
            if wrong:
                findings.append({"kind": "answers", "cell": f"{cell.rule}: {cell.position}", "wrong": wrong})
            first = str(answers.found[0][0]) if answers.found else how
            statuses[first] = statuses.get(first, 0) + 1
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


class Trap:
    """The trap as a process of its own."""

    def __init__(self, folder, mark, secrets):
        self.port, self.report = free_port(), folder / "trap.jsonl"
        environment = plain_environment(MARK=mark, SECRETS=",".join(secrets))
        self.program = Program("trap", [sys.executable, str(subjects.HERE / "trap.py"), str(self.port), str(self.report)], folder, environment)
        self.program.wait_for("the trap", lambda: subjects.listens(self.port))

    def end(self):
        self.program.end()
        return [json.loads(line) for line in self.report.read_text().splitlines()]


def attack_one(name, cells, seed):
    """Sends all cells through one subject; returns its figures and what is wrong, or None if it is not here."""
    folder = Folder(f"rig-{name}")
    # The trap learns the session only when there is one: it starts again, on its port, before the attack.
    trap = Trap(folder, "", ())
    subject = subjects.SlipwaySubject(folder, trap.port) if name == "slipway" else subjects.peer(name, folder, trap.port)
    if subject is None:
        trap.end()
        return None
    trap.program.end()
    port = trap.port
    trap.program.environment = plain_environment(MARK=subject.mark, SECRETS=",".join(subject.secrets))
    trap.program.start()
    trap.program.wait_for("the trap again", lambda: subjects.listens(port))
    if name == "slipway":
        subject.slipway.program.wait_for("the route", lambda: subject.browser.send("GET", "/user/admin/n000000_").status == 200)
    findings, statuses, began = [], {}, time.monotonic()
    numbers = list(range(1, len(cells) + 1))
    # A seeded order: neighbours in the generator would otherwise always be neighbours on the wire.
    shuffled = random.Random(seed).sample(cells, len(cells))
    asyncio.run(attack(subject, shuffled, numbers, False, findings, statuses))
    if subject.tls:
        sample = shuffled[::TLS_EVERY]
        asyncio.run(attack(subject, sample, range(500_000, 500_000 + len(sample)), True, findings, statuses))
    seconds = time.monotonic() - began
    wrong = subject.alive()
    if wrong:
        findings.append({"kind": "crash", "wrong": wrong})
    if name == "slipway":
        # The page of figures is read through a connection itself.
        left = lambda: subject.figure("slipway_connections_open", door="http") + subject.figure("slipway_connections_open", door="https") <= 1
        try:
            until("every connection has ended", left, 20)
        except AssertionError:
            findings.append({"kind": "hung", "wrong": f"{subject.figure('slipway_connections_open'):.0f} connections are still open"})
    subject.end()
    trapped = trap.end()
    end = trapped[-1] if trapped and trapped[-1]["kind"] == "end" else {}
    findings += [found for found in trapped if found["kind"] != "end"]
    kinds = {kind: sum(1 for found in findings if found["kind"] == kind) for kind in ("violation", "smuggled", "leak", "answers", "crash", "hung", "refused")}
    return {"name": name, "sent": sum(statuses.values()), "seconds": seconds, "requests_at_the_trap": end.get("requests"), "statuses": statuses, "kinds": kinds, "findings": findings}


def run(options):
    """The part as the rig runs it: Slipway, and the peers unless `quick`. Returns (figures, what failed)."""
    everything, _ = malformed.check(malformed.cells(), malformed.Site(b"localhost:1", b"/user/admin/"))
    if options.only:
        everything = [cell for cell in everything if re.search(options.only, f"{cell.rule}: {cell.position}")]
    names = options.subjects or (["slipway"] if options.is_quick else ["slipway", "nginx", "haproxy", "traefik", "chp"])
    figures, failed = [], []
    for name in names:
        found = attack_one(name, everything, options.seed)
        if found is None:
            print(f"  {name} is not on this machine")
            continue
        figures.append(found)
        kinds = ", ".join(f"{count} {kind}" for kind, count in found["kinds"].items() if count) or "nothing found"
        print(f"  {name}: {found['sent']} sent in {found['seconds']:.0f} s, {found['requests_at_the_trap']} reached the upstream: {kinds}")
        if name == "slipway":
            failed = found["findings"]
    return figures, failed
