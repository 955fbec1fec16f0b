"""Who sees what, against a model that is too simple to be wrong: people come and go, get roles and lose them, sign in and out, make tokens;
whoever does an act is drawn too, so that most are refused. After each step the model says who may read whom, who reaches whose server and
which pages show themselves.

Held: every answer is as the model says; an open stream or WebSocket ends within a second of what opened it (session, token, account, role,
server), and no other does; an account of a name that was there before has nothing of the one before.
"""

import asyncio
import collections
import json
import random
import re
import time
import urllib.parse

from engine_part import parsed
from subjects import Browser, Folder, PASSWORD, Slipway, free_port

STEPS = {True: 10_000, False: 200_000}
WORLDS, NAMES, STREAMS = 10, 5, 5
PROBES = 4
# From the answer to an act to the end of the last stream that it ends, as read here.
END_LIMIT_S = 1.0
ANSWER_LIMIT_S = 30
READ, ACCESS = "read:users!user", "access:servers!user"
REFUSED = (302, 303, 403, 404)


class Wrong(Exception):
    """What is not as the model says."""


class Wire:
    """One kept connection."""

    def __init__(self, port, host):
        self.port, self.host, self.streams = port, host, None

    async def ask(self, method, path, credential, body=None, page=False, form=None):
        """Status, fields and body."""
        content = body if isinstance(body, bytes) else (json.dumps(body).encode() if body is not None else b"")
        if form is not None:
            content = urllib.parse.urlencode(form).encode()
        kind = "application/x-www-form-urlencoded" if form is not None else "application/json"
        how = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n" if page else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nX-Forwarded-Proto: https\r\n{credential}{how}Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
        async with asyncio.timeout(ANSWER_LIMIT_S):
            for attempt in (0, 1):
                try:
                    if not self.streams:
                        self.streams = await asyncio.open_connection("127.0.0.1", self.port)
                    reader, writer = self.streams
                    writer.write(head.encode() + content)
                    return await self.read(reader)
                except (OSError, asyncio.IncompleteReadError):
                    # A kept connection may have been closed before this request reached it.
                    self.streams = None
                    if attempt:
                        raise
        return None

    async def read(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        body = b""
        if length := re.search(rb"(?i)\r\ncontent-length: (\d+)", head):
            body = await reader.readexactly(int(length.group(1)))
        elif re.search(rb"(?i)\r\ntransfer-encoding: chunked", head):
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        if re.search(rb"(?i)\r\nconnection: close", head):
            self.streams = None
        return status, parsed(head.replace(b"ontent-", b"ontents-").replace(b"chunked", b""))[1], body


class Person:
    """An account, as long as there is one."""

    def __init__(self):
        self.admin, self.disabled, self.groups, self.runs = False, False, set(), False


class Credential:
    """A token (`scope` None: all that its owner may) or a session."""

    def __init__(self, owner, line, scope=None, is_session=False, identity=None):
        self.owner, self.line, self.scope, self.is_session, self.identity = owner, line, scope, is_session, identity
        self.lives = True


class World:
    """Some people of their own, with the model of them and what is asked of the real program."""

    def __init__(self, number, wire, origin, operator, seed):
        self.wire, self.origin = wire, origin
        self.operator = Credential("admin", operator)
        self.random = random.Random(f"{seed}/{number}")
        self.names = [f"w{number}n{index}" for index in range(NAMES)]
        self.readers, self.helpers = f"readers{number}", f"helpers{number}"
        self.people, self.credentials, self.streams = {}, [], []
        self.steps = self.checks = self.refusals = self.ended = 0
        self.slowest_end_s = 0
        self.acts, self.last = collections.Counter(), ""

    # ---- the model ----

    def person(self, credential):
        """Who stands behind it; None if it opens nothing."""
        if credential is self.operator:
            admin = Person()
            admin.admin = True
            return admin
        return self.people.get(credential.owner) if credential.lives else None

    def administers(self, credential):
        person = self.person(credential)
        return bool(person and person.admin and credential.scope is None)

    def may(self, credential, what, name=None):
        """None: the model does not say."""
        person = self.person(credential)
        if not person:
            return False
        is_whole, is_own, target = credential.scope is None, name == credential.owner, self.people.get(name)
        if what == "whoami":
            return True
        if what == "read":
            if credential.scope == ACCESS and is_own:
                return None
            return bool(target) and (is_own or is_whole and (person.admin or self.readers in person.groups))
        if what == "list":
            return is_whole and (person.admin or self.readers in person.groups)
        if what == "tokens":
            return bool(target) and is_whole and (is_own or person.admin)
        if what == "open":
            if not target or not target.runs:
                return False
            return is_own and credential.scope != READ or is_whole and (person.admin or self.helpers in person.groups)
        if what == "home":
            return True
        assert what == "administration"
        return person.admin

    def end_of(self, name, sessions=True, tokens=True):
        for credential in self.credentials:
            if credential.owner == name and (sessions if credential.is_session else tokens):
                credential.lives = False
        self.credentials = [credential for credential in self.credentials if credential.lives or self.random.random() < 0.5]

    # ---- what is asked ----

    async def check(self, credential, what, name=None):
        path = {"whoami": "/hub/api/user", "read": f"/hub/api/users/{name}", "list": "/hub/api/users?limit=1", "tokens": f"/hub/api/users/{name}/tokens",
                "open": f"/user/{name}/x", "home": "/hub/home", "administration": "/hub/admin"}[what]
        expected = self.may(credential, what, name)
        if expected is None:
            return
        line = credential.line
        if credential.is_session and path.startswith("/hub/api"):
            return
        status, _, body = await self.wire.ask("GET", path, line, page=what in ("home", "administration"))
        self.checks += 1
        refused = (*REFUSED, 424, 503) if what == "open" else REFUSED
        if expected != (status == 200) or not expected and status not in refused:
            person = self.person(credential)
            raise Wrong(f"{'session' if credential.is_session else 'token'} ({credential.scope}, lives {credential.lives}) of {credential.owner} "
                        f"{person and vars(person)}: GET {path} is {status}, the model says {expected}: {body[:200]}")
        if what == "whoami" and status == 200 and credential is not self.operator and f'"name":"{credential.owner}"'.encode() not in body:
            raise Wrong(f"a token of {credential.owner} is told {body[:100]}")

    async def check_some(self):
        known = [credential for credential in self.credentials] + [self.operator]
        for _ in range(PROBES):
            credential, name = self.random.choice(known), self.random.choice(self.names)
            kinds = ("open", "home", "administration") if credential.is_session else ("whoami", "read", "list", "tokens", "open", "open")
            await self.check(credential, self.random.choice(kinds), name)

    async def act(self, credential, method, path, body, allowed, fine=(200, 201, 202, 204)):
        """One act; True if it happened."""
        status, _, answer = await self.wire.ask(method, path, credential.line, body)
        self.refusals += not allowed
        if allowed != (status in fine) or not allowed and status not in REFUSED:
            person = self.person(credential)
            raise Wrong(f"{method} {path} {body} by a token ({credential.scope}, lives {credential.lives}) of {credential.owner} {person and vars(person)}: "
                        f"{status}, the model says {'yes' if allowed else 'no'}: {answer[:200]}")
        return allowed

    # ---- streams ----

    async def open_stream(self):
        if len(self.streams) >= STREAMS or not self.credentials:
            return
        credential, name = self.random.choice(self.credentials), self.random.choice(self.names)
        if not self.may(credential, "open", name):
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self.wire.port)
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if self.random.random() < 0.5 else ""
        writer.write(f"GET /user/{name}/tick HTTP/1.1\r\nHost: {self.wire.host}\r\nX-Forwarded-Proto: https\r\nOrigin: {self.origin}\r\n{credential.line}{upgrade}\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_LIMIT_S)
        if head[9:12] not in (b"200", b"101"):
            raise Wrong(f"a stream is answered {head[:100]}")
        stream = {"credential": credential, "name": name, "target": self.people[name], "writer": writer, "is_socket": bool(upgrade)}
        stream["end"] = asyncio.create_task(self.until_end(reader))
        self.streams.append(stream)

    @staticmethod
    async def until_end(reader):
        try:
            while await reader.read(1 << 16):
                pass
        except OSError:
            pass

    async def check_streams(self):
        """Those that may no more have ended within a second, and the others go on."""
        began = time.monotonic()
        for stream in list(self.streams):
            # An account that came back under the name is not the one that it was opened to.
            expected = self.people.get(stream["name"]) is stream["target"] and self.may(stream["credential"], "open", stream["name"])
            what = f"{'WebSocket' if stream['is_socket'] else 'stream'} to {stream['name']} of {stream['credential'].owner} ({'session' if stream['credential'].is_session else 'token'} {stream['credential'].scope})"
            if expected:
                if stream["end"].done():
                    self.streams.remove(stream)
                    raise Wrong(f"the {what} ended, and it may go on; the last act: {self.last}")
                continue
            self.streams.remove(stream)
            try:
                await asyncio.wait_for(asyncio.shield(stream["end"]), END_LIMIT_S)
            except TimeoutError:
                raise Wrong(f"the {what} goes on {END_LIMIT_S} s after it may no more; the last act: {self.last}") from None
            finally:
                stream["end"].cancel()
                stream["writer"].transport.abort()
            self.ended += 1
            self.slowest_end_s = max(self.slowest_end_s, time.monotonic() - began)

    # ---- steps ----

    def whose(self):
        """Who does the next act: often somebody who may not."""
        tokens = [credential for credential in self.credentials if not credential.is_session]
        return self.random.choice(tokens) if tokens and self.random.random() < 0.4 else self.operator

    async def step(self):
        self.steps += 1
        name, by = self.random.choice(self.names), self.whose()
        kind = self.random.choices(list(ACTS), weights=list(ACTS.values()))[0]
        there, self.last = self.people.get(name), f"{kind} {name}"
        # What is not there is told as refused to nobody but those who may see everybody.
        if there or kind == "create":
            await getattr(self, kind)(name, by, there)
            self.acts[kind] += 1
        await self.check_streams()
        await self.check_some()

    async def create(self, name, by, there):
        if there:
            return
        if await self.act(by, "POST", f"/hub/api/users/{name}", {}, self.administers(by)):
            self.people[name] = Person()
            await self.act(self.operator, "POST", f"/hub/api/users/{name}/password", {"password": PASSWORD, "must_change": False}, True)
            # A name that comes back has nothing of before: no groups, no right, no server.
            if self.random.random() < 0.5:
                status, _, body = await self.wire.ask("GET", f"/hub/api/users/{name}", self.operator.line)
                if status != 200 or b'"groups":[]' not in body or b'"admin":false' not in body or b'"server":null' not in body:
                    raise Wrong(f"a new {name} has something of the one before: {body[:300]}")

    async def delete(self, name, by, there):
        if by.owner == name:
            return
        if await self.act(by, "DELETE", f"/hub/api/users/{name}", None, self.administers(by)):
            self.end_of(name)
            del self.people[name]

    async def promote(self, name, by, there):
        if by.owner == name:
            return
        wanted = self.random.random() < 0.5
        if await self.act(by, "PATCH", f"/hub/api/users/{name}", {"admin": wanted}, self.administers(by)):
            there.admin = wanted

    async def disable(self, name, by, there):
        if by.owner == name:
            return
        if await self.act(by, "POST", f"/hub/api/users/{name}/disable", None, self.administers(by)):
            there.disabled, there.runs = True, False
            self.end_of(name)

    async def enable(self, name, by, there):
        if by.owner == name:
            return
        if await self.act(by, "POST", f"/hub/api/users/{name}/enable", None, self.administers(by)):
            there.disabled = False

    async def password(self, name, by, there):
        if by.owner == name:
            return
        if await self.act(by, "POST", f"/hub/api/users/{name}/password", {"password": PASSWORD, "must_change": False}, self.administers(by)):
            self.end_of(name, tokens=False)

    async def join(self, name, by, there):
        group = self.random.choice((self.readers, self.helpers))
        if await self.act(by, "POST", f"/hub/api/groups/{group}/users", {"users": [name]}, self.administers(by)):
            there.groups.add(group)

    async def leave(self, name, by, there):
        group = self.random.choice((self.readers, self.helpers))
        if await self.act(by, "DELETE", f"/hub/api/groups/{group}/users", {"users": [name]}, self.administers(by)):
            there.groups.discard(group)

    async def make_token(self, name, by, there):
        if there.disabled:
            return
        scope = self.random.choice((None, None, READ, ACCESS))
        allowed = self.may(by, "tokens", name)
        status, _, body = await self.wire.ask("POST", f"/hub/api/users/{name}/tokens", by.line, {"scopes": [scope]} if scope else {})
        if allowed != (status == 201) or not allowed and status not in REFUSED:
            raise Wrong(f"a token of {name} asked for by {by.owner} ({by.scope}, lives {by.lives}) is answered {status}, the model says {allowed}: {body[:200]}")
        if allowed:
            made = json.loads(body)
            self.credentials.append(Credential(name, f"Authorization: token {made['token']}\r\n", scope, identity=made["id"]))

    async def revoke(self, name, by, there):
        tokens = [credential for credential in self.credentials if credential.owner == name and not credential.is_session and credential.lives]
        if not tokens:
            return
        token = self.random.choice(tokens)
        if await self.act(by, "DELETE", f"/hub/api/users/{name}/tokens/{token.identity}", None, self.may(by, "tokens", name)):
            token.lives = False

    async def sign_in(self, name, _by, there):
        browser = Browser(self.origin)
        browser.client.headers = {"X-Forwarded-Proto": "https"}
        page, place = await asyncio.to_thread(browser.go, "/hub/login")
        answer = await asyncio.to_thread(browser.submit, place, page.text(), {"username": name, "password": PASSWORD})
        is_in = answer.status in (302, 303)
        if is_in == there.disabled:
            raise Wrong(f"{name}, disabled: {there.disabled}, signs in: {answer.status}")
        if is_in:
            line = browser.cookie_header("/hub/home")
            self.credentials.append(Credential(name, f"Cookie: {line}\r\n", is_session=True))

    async def sign_out(self, name, _by, there):
        sessions = [credential for credential in self.credentials if credential.owner == name and credential.is_session and credential.lives]
        if sessions:
            session = self.random.choice(sessions)
            await self.wire.ask("GET", "/hub/logout", session.line, page=True)
            session.lives = False

    async def end_sessions(self, name, by, there):
        if await self.act(by, "DELETE", f"/hub/api/users/{name}/sessions", None, self.may(by, "tokens", name)):
            self.end_of(name, tokens=False)

    async def start(self, name, by, there):
        if there.runs or there.disabled:
            return
        if await self.act(by, "POST", f"/hub/api/users/{name}/server", None, self.may(by, "tokens", name)):
            there.runs = True

    async def stop(self, name, by, there):
        if await self.act(by, "DELETE", f"/hub/api/users/{name}/server", None, self.may(by, "tokens", name)):
            there.runs = False

    async def rename(self, name, by, there):
        free = [other for other in self.names if other not in self.people]
        if not free or there.runs or by.owner == name:
            return
        new = self.random.choice(free)
        if await self.act(by, "POST", f"/hub/api/users/{name}/rename", {"name": new}, self.administers(by)):
            self.end_of(name, tokens=False)
            self.people[new] = self.people.pop(name)
            # What its tokens have open may be cut with its sessions, or go on.
            for stream in [stream for stream in self.streams if stream["credential"].owner == name]:
                self.streams.remove(stream)
                stream["end"].cancel()
                stream["writer"].transport.abort()
            for credential in self.credentials:
                if credential.owner == name and credential.lives:
                    credential.owner = new

    async def listen(self, _name, _by, _there):
        await self.open_stream()


# What can happen, and how often.
ACTS = {"create": 14, "delete": 4, "promote": 6, "disable": 3, "enable": 6, "password": 2, "join": 8, "leave": 8, "make_token": 14, "revoke": 5, "sign_in": 3,
        "sign_out": 2, "end_sessions": 2, "start": 12, "stop": 3, "rename": 2, "listen": 16}


async def upstream(reader, writer):
    """Everybody's server: an answer at once, or one without an end."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/tick " in head:
                is_socket = b"pgrade: websocket" in head
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                             if is_socket else b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"\x81\x01x" if is_socket else b"1\r\nx\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.5)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
        pass
    finally:
        writer.transport.abort()


async def attack(options):
    folder, plain, port = Folder("rig-model"), free_port(), free_port()
    server = await asyncio.start_server(upstream, "127.0.0.1", port, backlog=512)
    groups = range(WORLDS)
    slipway = Slipway(folder, [], {
        "listener.http": [f"127.0.0.1:{plain}"], "listener.trusted_proxies": ["127.0.0.1"], "spawner.backend": "static",
        "spawner.static.upstream": f"http://127.0.0.1:{port}", "spawner.concurrent_starts": 10_000, "log.level": "error", "auth.sessions_per_user": 1000,
        "roles": [{"name": "readers", "scopes": ["read:users", "list:users"], "groups": [f"readers{number}" for number in groups]},
                  {"name": "helpers", "scopes": ["access:servers"], "groups": [f"helpers{number}" for number in groups]}],
    })
    for key in [key for key in slipway.settings if key.startswith("spawner.process.")]:
        del slipway.settings[key]
    slipway.config = folder.write("slipway.toml", slipway.as_file(), 0o600)
    await asyncio.to_thread(slipway.start)
    findings = []
    try:
        token = await asyncio.to_thread(slipway.token)
        host = f"127.0.0.1:{slipway.port}"
        worlds = [World(number, Wire(plain, host), slipway.origin, f"Authorization: token {token}\r\n", options.seed) for number in groups]

        async def live(world):
            for _ in range(STEPS[options.is_quick] // WORLDS):
                try:
                    await world.step()
                except (Wrong, TimeoutError, OSError) as error:
                    findings.append({"what": f"world {world.names[0]} after {world.steps} steps", "wrong": f"{type(error).__name__}: {error}"})
                    # What follows would be about the first difference only.
                    return
        await asyncio.gather(*(live(world) for world in worlds))
        if "panicked at" in slipway.program.log(100_000):
            findings.append({"what": "crash", "wrong": "a panic"})
    finally:
        await asyncio.to_thread(slipway.program.end)
        server.close()
    acts = sum((world.acts for world in worlds), collections.Counter())
    return {"name": "slipway", "steps": sum(world.steps for world in worlds), "checks": sum(world.checks for world in worlds), "refused": sum(world.refusals for world in worlds),
            "streams_ended": sum(world.ended for world in worlds), "slowest_end_ms": round(max(world.slowest_end_s for world in worlds) * 1000), "acts": dict(acts)}, findings


def run(options):
    """Slipway alone."""
    began = time.monotonic()
    figures, findings = asyncio.run(attack(options))
    figures.update(seconds=time.monotonic() - began, findings=findings)
    print(f"  slipway: {figures['steps']} steps, {figures['checks']} answers as the model says, {figures['refused']} acts refused, {figures['streams_ended']} streams ended, "
          f"the slowest after {figures['slowest_end_ms']} ms, in {figures['seconds']:.0f} s: {len(findings)} found")
    return [figures], findings
