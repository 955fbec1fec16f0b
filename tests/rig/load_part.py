"""Loads and abuse: everybody signs in at once, guessers from everywhere, slow clients, idle WebSockets.

Held: the figures of security.md for each (C8, C20, F21, F23, F27, F28), with a visitor beside each load whose pages must go on. Slipway and
the visitor go before the attackers on the processors where we are root; other work on the machine makes latencies upper bounds.
"""

import asyncio
import contextlib
import fcntl
import os
import random
import re
import resource
import socket
import sqlite3
import ssl
import struct
import sys
import termios
import time

import subjects
import websocket_cases
from floods_part import children_of, cpu_s, put_first
from load_client import Visitor, Wire, context, p99
from rig import PASSWORD, Folder, Program, free_port, plain_environment
from upstreams_part import memory_mib
from websocket_part import Door

# bcrypt of `PASSWORD` at the least cost: ten thousand people come along from a JupyterHub, and each becomes argon2id as they sign in.
HASH = b"$2b$04$tsKEY.ELqFnGkNk0vLKoWe5Hs/6V81q9kk9Jxj114RcMY7ossifc6"
TABLES = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY); INSERT INTO alembic_version VALUES ('0eee8c825d24');
CREATE TABLE groups (id INTEGER PRIMARY KEY, name VARCHAR(255), properties TEXT); CREATE TABLE oauth_clients (id INTEGER PRIMARY KEY, identifier VARCHAR(255), description VARCHAR(1023), secret VARCHAR(255), redirect_uri VARCHAR(1023), allowed_scopes TEXT);
CREATE TABLE oauth_codes (id INTEGER PRIMARY KEY, client_id VARCHAR(255), code VARCHAR(36), expires_at INTEGER); CREATE TABLE servers (id INTEGER PRIMARY KEY, proto VARCHAR(15), ip VARCHAR(255), port INTEGER, base_url VARCHAR(255), cookie_name VARCHAR(255));
CREATE TABLE user_group_map (user_id INTEGER, group_id INTEGER); CREATE TABLE api_tokens (user_id INTEGER, service_id INTEGER, id INTEGER PRIMARY KEY, hashed VARCHAR(255), prefix VARCHAR(16), client_id VARCHAR(255), session_id VARCHAR(255), created DATETIME, expires_at DATETIME, last_activity DATETIME, note VARCHAR(1023), scopes TEXT);
CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(255), admin BOOLEAN, created DATETIME, last_activity DATETIME, cookie_id VARCHAR(255), state TEXT, encrypted_auth_state BLOB);
CREATE TABLE roles (id INTEGER PRIMARY KEY, name VARCHAR(255), description VARCHAR(1023), scopes TEXT); CREATE TABLE user_role_map (user_id INTEGER, role_id INTEGER); CREATE TABLE group_role_map (group_id INTEGER, role_id INTEGER); CREATE TABLE service_role_map (service_id INTEGER, role_id INTEGER);
CREATE TABLE services (id INTEGER PRIMARY KEY, name VARCHAR(255), admin BOOLEAN, _server_id INTEGER, pid INTEGER, oauth_client_id VARCHAR(255));
CREATE TABLE spawners (id INTEGER PRIMARY KEY, user_id INTEGER, server_id INTEGER, state TEXT, name VARCHAR(255), started DATETIME, last_activity DATETIME, user_options TEXT, oauth_client_id VARCHAR(255));
CREATE TABLE users_info (id INTEGER PRIMARY KEY, username VARCHAR(128), password BLOB, is_authorized BOOLEAN, login_email_sent BOOLEAN, email VARCHAR(128), has_2fa BOOLEAN, otp_secret VARCHAR(16));
INSERT INTO roles (id, name, description, scopes) VALUES (1, 'user', '', '["self"]'), (2, 'admin', '', '["admin-ui"]'), (3, 'server', '', '[]'), (4, 'token', '', '["inherit"]');
"""
SIGNED_IN_WITHIN_S = 400
# A quick run shares the machine with whatever else is tested: its latencies are upper bounds.
QUICK_SLACK = 4
PROXIED_P99_MS = 50
FRESH_P99_MS = 200
RIGHTFUL_WITHIN_S = 3
# One password check on two loaded cores.
CHECK_S = 0.03
# security.md §5: a flood of guesses may cost 128 MiB.
BRUTE_MEMORY_MIB = 128
LOG_BYTES_PER_TRY = 1024
# security.md C8: handshake and head within 10 s, a body or an answer below 256 bytes a second within 30 s; and a scheduler's delay.
GONE_WITHIN_S = {"handshake": 10, "head": 15, "body": 38, "read": 38}
IDLE_KIB = 40


def source(net, number):
    """An address of the loopback, of which there are 250 x 250 in each of 254 nets."""
    return f"127.{net}.{number // 250 + 1}.{number % 250 + 1}"


class Stand:
    """Slipway before an upstream that costs next to nothing, with a visitor's session."""

    def __init__(self, name, upstream=None, **settings):
        self.folder = Folder(f"rig-{name}")
        self.upstream = upstream or subjects.quick_upstream(self.folder)
        self.subject = subjects.SlipwaySubject(self.folder, self.upstream.port, **settings)
        self.pid = self.subject.program.pid
        self.first()

    def first(self):
        put_first(self.subject.program.pid, *children_of(self.upstream.pid))

    def visitor(self, is_fresh=False):
        return Visitor(self.subject, is_fresh, put_first)

    def end(self, findings):
        wrong = self.subject.alive()
        if wrong:
            findings.append({"kind": "crash", "wrong": wrong})
        self.subject.end()
        self.upstream.end()


def held(findings, load, is_met, wrong):
    if not is_met:
        findings.append({"kind": "goal", "load": load, "wrong": wrong})


def visits(findings, load, visitor, limit_ms, is_quick):
    latencies, failures = visitor.end()
    limit_ms *= QUICK_SLACK if is_quick else 1
    held(findings, load, not failures, f"{len(failures)} of {len(latencies)} visits failed: {failures[:1]}")
    held(findings, load, latencies and p99(latencies) <= limit_ms, f"the visitor's p99 is {p99(latencies)} ms of {len(latencies)} visits, not {limit_ms}")
    return p99(latencies)


# ---- everybody signs in -----------------------------------------------------------------------------------


def import_people(slipway, names):
    path = slipway.folder / "jupyterhub.sqlite"
    with sqlite3.connect(path) as database:
        database.executescript(TABLES)
        now = "2026-01-02 03:04:05.000000"
        database.executemany("INSERT INTO users (name, admin, created, last_activity, cookie_id) VALUES (?, 0, ?, ?, ?)", [(name, now, now, name) for name in names])
        database.executemany("INSERT INTO users_info (username, password, is_authorized, email, has_2fa) VALUES (?, ?, 1, '', 0)", [(name, HASH) for name in names])
    database.close()
    slipway.program.end()
    slipway.command("import", "jupyterhub", "--db", str(path))
    slipway.start()


async def storm_of(subject, names, times, wrong):
    tls = context()

    async def person(number, name):
        await asyncio.sleep(random.random() * len(names) / 500)
        began = time.monotonic()
        for _ in range(8):
            try:
                wire = await Wire.open(subject.tls_port, source(1, number % 250), tls)
                status, head = await wire.sign_in(await wire.form(), name, PASSWORD, SIGNED_IN_WITHIN_S)
                wire.close()
            except (OSError, TimeoutError) as error:
                wrong[str(error) or type(error).__name__] = wrong.get(str(error) or type(error).__name__, 0) + 1
                await asyncio.sleep(1)
                continue
            if status in (302, 303):
                times.append(time.monotonic() - began)
                return
            wrong[status] = wrong.get(status, 0) + 1
            wait = re.search(rb"(?im)^retry-after: *(\d+)", head)
            await asyncio.sleep(min(30, int(wait.group(1)) if wait else 1))
        wrong["gave up"] = wrong.get("gave up", 0) + 1
    await asyncio.gather(*(person(number, name) for number, name in enumerate(names)))


def storm(options, findings):
    """F28."""
    count = 1000 if options.is_quick else 10_000
    stand, names = Stand("storm"), [f"person{number}" for number in range(count)]
    import_people(stand.subject.slipway, names)
    stand.subject.program.wait_for("the route again", lambda: stand.subject.browser.send("GET", "/user/admin/n000000_").status == 200)
    stand.first()
    before, visitor, times, wrong, began = memory_mib(stand.subject.program.pid), stand.visitor(), [], {}, time.monotonic()
    asyncio.run(storm_of(stand.subject, names, times, wrong))
    seconds, grown = time.monotonic() - began, memory_mib(stand.subject.program.pid) - before
    worst = visits(findings, "storm", visitor, PROXIED_P99_MS, options.is_quick)
    held(findings, "storm", len(times) == count, f"{len(times)} of {count} signed in: {wrong}")
    held(findings, "storm", seconds <= SIGNED_IN_WITHIN_S * count / 10_000 + 60, f"it took {seconds:.0f} s")
    print(f"  storm: {len(times)} of {count} signed in within {seconds:.0f} s, asked to come back or cut: {wrong or 'nobody'}; proxied p99 {worst} ms; memory {grown:+.0f} MiB", flush=True)
    stand.end(findings)
    return {"load": "storm", "users": count, "seconds": seconds, "p99_ms": worst, "memory_mib": grown, "asked_back": wrong}


# ---- guessing ---------------------------------------------------------------------------------------------


async def guess(subject, until, addresses, statuses):
    """`addresses` guessers: mostly names that nobody has, and one try in four at the victim."""
    tls, opening = context(), asyncio.Semaphore(100)

    async def guesser(number):
        chance, wire, token = random.Random(number), None, b""
        while time.monotonic() < until:
            try:
                if wire is None:
                    async with opening:
                        wire = await Wire.open(subject.tls_port, source(2, number), tls)
                        token = await wire.form()
                name = "victim" if chance.random() < 0.25 else f"name{chance.randrange(1_000_000)}"
                status, _ = await wire.sign_in(token, name, "a wrong password", max(1, until - time.monotonic()))
                if status == 429:
                    await asyncio.sleep(0.2)
            except (OSError, TimeoutError):
                status = "cut"
                wire and wire.close()
                wire = None
            statuses[status] = statuses.get(status, 0) + 1
    await asyncio.gather(*(guesser(number) for number in range(addresses)))


async def sign_in_all_the_while(subject, until, times, wrong):
    """The rightful user: every other time from where they have signed in before, else from an address that is new."""
    number = 0
    while time.monotonic() < until - RIGHTFUL_WITHIN_S:
        began = time.monotonic()
        where = source(3, 0 if number % 2 or number == 0 else number)
        try:
            wire = await Wire.open(subject.tls_port, where)
            status, _ = await wire.sign_in(await wire.form(), "victim", PASSWORD)
            wire.close()
        except (OSError, TimeoutError) as error:
            status = str(error) or type(error).__name__
        if status in (302, 303):
            times["known" if number % 2 else "new"].append(time.monotonic() - began)
        else:
            wrong.append(status)
        number += 1
        await asyncio.sleep(0.5)


def rightful_alone(pipe, subject, until):
    put_first(os.getpid())
    times, wrong = {"known": [], "new": []}, []
    asyncio.run(sign_in_all_the_while(subject, until, times, wrong))
    pipe.send((times, wrong))


def brute_force(options, findings):
    """C20, F27."""
    from load_client import FORK
    seconds, addresses = (30 if options.is_quick else 600), 1000
    stand = Stand("brute")
    stand.subject.slipway.add_user("victim")
    log = stand.subject.program.log_path
    before, cpu, log_before, statuses = memory_mib(stand.pid), cpu_s(stand.pid), os.path.getsize(log), {}
    until = time.monotonic() + seconds
    visitor, (ours, theirs) = stand.visitor(), FORK.Pipe()
    rightful = FORK.Process(target=rightful_alone, args=(theirs, stand.subject, until), daemon=True)
    rightful.start()
    asyncio.run(guess(stand.subject, until, addresses, statuses))
    times, wrong = ours.recv() if ours.poll(120) else ({"known": [], "new": []}, ["the rightful user never ended"])
    rightful.join(10)
    grown, tries, said = memory_mib(stand.pid) - before, sum(statuses.values()), os.path.getsize(log) - log_before
    worst = visits(findings, "brute force", visitor, PROXIED_P99_MS, options.is_quick)
    longest, came_in = {where: round(max(found, default=0), 2) for where, found in times.items()}, sum(map(len, times.values()))
    held(findings, "brute force", not wrong and came_in >= 3, f"the rightful user was refused {len(wrong)} times and came in {came_in} times: {wrong[:3]}")
    held(findings, "brute force", longest["known"] <= RIGHTFUL_WITHIN_S, f"the rightful user waited {longest['known']} s where they have signed in before")
    # From a new address they stand behind the first guess of every address, and no other.
    held(findings, "brute force", longest["new"] <= RIGHTFUL_WITHIN_S + addresses * CHECK_S, f"the rightful user waited {longest['new']} s at a new address")
    # What the connections themselves hold is no attempt's: 40 KiB each.
    limit = BRUTE_MEMORY_MIB + addresses * 40 / 1024
    held(findings, "brute force", grown <= limit, f"{grown:.0f} MiB more than before")
    held(findings, "brute force", said <= tries * LOG_BYTES_PER_TRY, f"{said} bytes of log for {tries} tries")
    held(findings, "brute force", sum(count for status, count in statuses.items() if status in (302, 303)) == 0, "a guess was right")
    print(f"  brute force: {tries} tries from {addresses} addresses in {seconds} s ({dict(sorted(statuses.items(), key=str))}); the rightful user came in {came_in} times, waited at most {longest} s, refused {len(wrong)} times; "
          f"proxied p99 {worst} ms; memory {grown:+.0f} MiB, log {said / 1024:.0f} KiB, {cpu_s(stand.pid) - cpu:.0f} s of CPU", flush=True)
    stand.end(findings)
    return {"load": "brute force", "tries": tries, "statuses": {str(status): count for status, count in statuses.items()}, "rightful_s": longest, "refused": len(wrong), "p99_ms": worst, "memory_mib": grown, "log_bytes": said}


# ---- slow clients -----------------------------------------------------------------------------------------


async def slow_one(subject, kind, number, hello, ages):
    """One slow connection of a kind; notes how long it was let live."""
    began = time.monotonic()
    where = (source(4, number % 40), 0)
    site = subject.site.through_tls()
    writer = None
    try:
        if kind == "handshake":
            # A ClientHello that stops anywhere, or comes byte by byte.
            reader, writer = await asyncio.open_connection("127.0.0.1", subject.tls_port, local_addr=where)
            drip, first = hello[number % len(hello):number % len(hello) + 20], hello[:number % len(hello)]
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", subject.tls_port, ssl=subject.tls, local_addr=where, limit=4096)
            head = b"".join((b"%s ", site.prefix, b"body", b" HTTP/1.1\r\nHost: ", site.host, b"\r\n", site.headers))
            if kind == "head":
                first, drip = head % b"GET", b"X-Slow: " + b"s" * 1000
            else:
                first, drip = head % b"POST" + b"Content-Length: 100000\r\n\r\n", b"b" * 1000
        writer.write(first)
        for byte in drip:
            await asyncio.sleep(0.5)
            writer.write(bytes([byte]))
            if reader.at_eof() or writer.transport.is_closing():
                break
    except OSError:
        pass
    finally:
        ages[kind].append(time.monotonic() - began)
        if writer:
            writer.transport.abort()


async def read_nothing(subject, number, ages):
    """Asks for a long answer and takes none of it; notes how long it was let live once the system had stopped taking for it."""
    loop, site, began, taken, opened = asyncio.get_running_loop(), subject.site.through_tls(), time.monotonic(), 0, socket.socket()
    try:
        opened.setblocking(False)
        opened.bind((source(4, number % 40), 0))
        await loop.sock_connect(opened, ("127.0.0.1", subject.tls_port))
        # By hand: asyncio's TLS reads on, for itself.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = subject.tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
                break
            await loop.sock_sendall(opened, outgoing.read())
            incoming.write(await loop.sock_recv(opened, 4096))
        session.write(b"".join((b"GET ", site.prefix, b"large HTTP/1.1\r\nHost: ", site.host, b"\r\n", site.headers, b"\r\n")))
        await loop.sock_sendall(opened, outgoing.read())
        while is_open(opened):
            # The buffer of our side fills by itself, in steps that are seconds apart where it is small: to Slipway that is a reader.
            if (waiting := bytes_waiting(opened)) > taken:
                began, taken = time.monotonic(), waiting
            await asyncio.sleep(0.5)
    except OSError:
        pass
    finally:
        ages["read"].append(time.monotonic() - began)
        opened.close()


def is_open(connection):
    """False once the other side has ended a connection of which we read nothing."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1  # its first byte is the state: established


def bytes_waiting(connection):
    """What the system has taken for us and we have not read."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, bytes(4)))[0]


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


async def slow_ones(subject, count, seconds, ages):
    hello, kinds = client_hello(), list(GONE_WITHIN_S)
    def one(number):
        kind = kinds[number % len(kinds)]
        return read_nothing(subject, number, ages) if kind == "read" else slow_one(subject, kind, number, hello, ages)
    tasks = [asyncio.create_task(one(number)) for number in range(count)]
    _, open_still = await asyncio.wait(tasks, timeout=seconds)
    for task in open_still:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return len(open_still)


def slow(options, findings):
    """C8, F21."""
    count, seconds = (400, 45) if options.is_quick else (4000, 60)
    # As it comes out of the box, but for the header's time, which the other parts shorten, and for what one server is sent at
    # once: here all are one user's, the visitor too.
    stand, ages = Stand("slow", **{"listener.header_timeout_s": 10, "proxy.connections_per_server": max(count, 1024)}), {kind: [] for kind in GONE_WITHIN_S}
    before, visitor = memory_mib(stand.pid), stand.visitor(is_fresh=True)
    left = asyncio.run(slow_ones(stand.subject, count, seconds, ages))
    grown = memory_mib(stand.pid) - before
    worst = visits(findings, "slow clients", visitor, FRESH_P99_MS, options.is_quick)
    longest = {kind: round(max(found, default=0), 1) for kind, found in ages.items()}
    for kind, limit in GONE_WITHIN_S.items():
        # What the run itself cut off is no verdict.
        held(findings, "slow clients", longest[kind] <= limit, f"a slow {kind} was let live for {longest[kind]} s")
    print(f"  slow clients: {count} of 4 kinds for {seconds} s, {left} not gone by then; longest lives in s: {longest}; a fresh client's p99 {worst} ms; memory {grown:+.0f} MiB", flush=True)
    stand.end(findings)
    return {"load": "slow", "connections": count, "longest_s": longest, "left": left, "p99_ms": worst, "memory_mib": grown}


# ---- idle WebSockets --------------------------------------------------------------------------------------


async def idle_ones(stand, echo, count, hold_s, figures):
    tls, opening, subject = context(), asyncio.Semaphore(50), stand.subject
    door = Door("TLS", subject.tls_port, subject.site.through_tls(), tls)
    before = memory_mib(subject.program.pid)

    async def one(_number):
        async with opening:
            return await door.open()
    sockets = await asyncio.gather(*(one(number) for number in range(count)))
    await asyncio.sleep(2)
    figures["kib_each"] = round((memory_mib(subject.program.pid) - before) * 1024 / count, 1)
    cpu = cpu_s(subject.program.pid)
    await asyncio.sleep(hold_s)
    figures["idle_cpu"] = round((cpu_s(subject.program.pid) - cpu) / hold_s, 3)
    figures["mib_after"] = round(memory_mib(subject.program.pid) - before, 1)

    async def is_alive(reader, writer):
        writer.write(websocket_cases.frame(websocket_cases.TEXT, b"still there"))
        async with asyncio.timeout(30):
            return await reader.readexactly(13) == b"\x81\x0bstill there"
    answers = await asyncio.gather(*(is_alive(*pair) for pair in sockets), return_exceptions=True)
    figures["alive"] = sum(answer is True for answer in answers)
    for _, writer in sockets:
        writer.transport.abort()
    del echo


def idle(options, findings):
    """F23. As many as there are descriptors for: each takes two of Slipway's, and the whole rig has one limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(2000 if options.is_quick else 20_000, (hard - 500) // 2)
    folder, port, figures = Folder("rig-echo"), free_port(), {"load": "idle websockets", "count": count}
    echo = Program("echo", [sys.executable, str(subjects.HERE / "websocket_echo.py"), str(port)], folder, plain_environment())
    echo.port = port
    echo.wait_for("the echo", lambda: subjects.listens(port))
    stand = Stand("idle", echo, **{"proxy.connections_per_server": 30_000, "listener.connections": 40_000, "listener.connections_per_address": 40_000})
    asyncio.run(idle_ones(stand, echo, count, 5 if options.is_quick else 1800, figures))
    held(findings, "idle websockets", figures["alive"] == count, f"{figures['alive']} of {count} are alive")
    held(findings, "idle websockets", figures["kib_each"] <= IDLE_KIB, f"{figures['kib_each']} KiB each")
    print(f"  idle WebSockets: {count}, {figures['alive']} alive at the end; {figures['kib_each']} KiB each, {figures['idle_cpu']} cores meanwhile", flush=True)
    stand.end(findings)
    return figures


LOADS = {"storm": storm, "brute force": brute_force, "slow": slow, "idle": idle}


def run(options):
    """Slipway alone."""
    figures, findings = [], []
    for name, load in LOADS.items():
        if not options.only or re.search(options.only, name):
            figures.append(load(options, findings))
    return figures, findings
