"""A Docker engine that lies, hangs and dies as it is told: the calls of Slipway's Docker backend over a Unix socket, and nothing else.

Containers, volumes and networks live in memory. A started container listens on a loopback address of its own (the lowest free one, so
that addresses are used again at once) with an HTTP server that answers its own secret. Which call goes wrong, and how, is said for each user
(`plans`): the user is found in the name of the image, container or volume. What an engine may not see is noted in `wrong`.
"""

import asyncio
import heapq
import io
import itertools
import json
import re
import tarfile
import urllib.parse

API = "1.43"
PORT = 8888
# The addresses of containers: 127.77.0.2 and on.
FIRST_ADDRESS = 2
# An answer that is late, but within every deadline of Slipway's; a second answer that comes when nobody awaits one; an act that happens when
# its caller has long given up.
LATE_S, SECOND_ANSWER_S, TOO_LATE_S = 1.5, 0.02, 14
REASONS = {200: "OK", 201: "Created", 204: "No Content", 302: "Found", 304: "Not Modified", 400: "Bad Request", 404: "Not Found", 409: "Conflict",
           500: "Internal Server Error", 503: "Service Unavailable"}

# Each fault: whether the act happens, and what the caller sees of it (`FakeDocker.go_wrong`).
FAULTS = (
    "close", "close_after", "hang", "hang_after", "late", "too_late", "cut_head", "cut_body", "stall_body", "twice", "twice_late",
    "400", "404", "404_after", "409", "409_after", "500", "500_after", "503", "500_html", "garbage", "empty", "null", "list", "wrong_types",
    "lie", "204", "304", "302", "not_http",
)


class Plan:
    """What goes wrong for one user: `call` (a kind of `kind_of`), how, and how many times (None: until the plan goes)."""

    def __init__(self, call, fault, times=None):
        self.call, self.fault, self.times, self.hits = call, fault, times, 0

    def takes(self, call):
        if call != self.call or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Container:
    """One container: `secret` is what its server answers with."""

    def __init__(self, identity, name, body, address):
        self.id, self.name, self.body, self.address = identity, name, body, address
        self.labels = body.get("Labels") or {}
        self.user = self.labels.get("slipway.user", "")
        self.secret = f"{self.user}/{self.labels.get('slipway.generation')}/{identity[-8:]}"
        self.state, self.exit_code = "created", 0
        self.server, self.connections = None, set()

    def inspect(self):
        running = self.state == "running"
        mounts = [{"Type": "volume", "Name": mount["Source"]} for mount in self.mounts()]
        return {"Id": self.id, "Name": "/" + self.name, "Config": {"Labels": self.labels, "Env": self.body.get("Env"), "Image": self.body.get("Image")},
                "State": {"Status": self.state, "Running": running, "Paused": False, "ExitCode": self.exit_code, "OOMKilled": False},
                "NetworkSettings": {"Networks": self.networks(), "Ports": {}}, "Mounts": mounts}

    def summary(self):
        status = "Up 1 second" if self.state == "running" else f"Exited ({self.exit_code}) 1 second ago"
        return {"Id": self.id, "Names": ["/" + self.name], "Labels": self.labels, "State": self.state, "Status": status, "Ports": [],
                "NetworkSettings": {"Networks": self.networks()}, "SizeRootFs": 1000,
                "Mounts": [{"Type": "volume", "Name": mount["Source"]} for mount in self.mounts()]}

    def networks(self):
        return {"slipway": {"IPAddress": self.address if self.state == "running" else ""}}

    def mounts(self):
        return self.body.get("HostConfig", {}).get("Mounts") or []


class FakeDocker:
    """The engine; `await begin()` before use. It lives in the event loop of whoever attacks."""

    def __init__(self, path):
        self.path = str(path)
        self.containers, self.by_name, self.volumes, self.networks, self.pulled = {}, {}, {}, set(), set()
        self.plans = {}
        self.calls = {}
        self.wrong = []
        self.creates = {}
        # Creates and starts that are being answered.
        self.under_way = 0
        # Called at a fault of the kind "kill".
        self.on_kill = lambda: None
        # What readers of events are told, and how ("well", "lost", "twice", "shuffled").
        self.event_manner = "well"
        self.listeners = set()
        # The whole engine: hangs while this is not set.
        self.awake = asyncio.Event()
        self.awake.set()
        self.ids, self.next_address, self.free_addresses = itertools.count(1), FIRST_ADDRESS, []
        # Open connections, with where each is read from.
        self.server, self.writers, self.ghosts = None, {}, set()

    # ---- the socket ----

    async def begin(self):
        self.server = await asyncio.start_unix_server(self.serve, self.path, backlog=4096, limit=1 << 22)

    async def vanish(self):
        """The daemon dies; containers go on, as with live-restore."""
        self.server.close()
        self.cut_events()
        for writer in list(self.writers):
            writer.transport.abort()

    async def end(self):
        await self.vanish()
        for ghost in list(self.ghosts):
            ghost.cancel()
        for container in list(self.containers.values()):
            self.halt(container)

    async def serve(self, reader, writer):
        self.writers[writer] = reader
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *fields = head.split("\r\n")
                method, target, _ = line.split(" ")
                fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields if field)}
                body = await self.body(reader, fields)
                await self.awake.wait()
                if not await self.answer(writer, method, target, body):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.writers.pop(writer, None)
            writer.transport.abort()

    @staticmethod
    async def body(reader, fields):
        if "chunked" in fields.get("transfer-encoding", ""):
            whole = b""
            while True:
                size = int((await reader.readline()).split(b";")[0], 16)
                whole += (await reader.readexactly(size + 2))[:-2]
                if size == 0:
                    return whole
        return await reader.readexactly(int(fields.get("content-length", 0)))

    async def answer(self, writer, method, target, body):
        """One request; False if the connection ends with it."""
        parts = urllib.parse.urlsplit(target)
        path = re.sub(r"^/v[0-9.]+/", "/", parts.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if path == "/events":
            return await self.events(writer)
        kind, user, act = self.kind_of(method, path, query, body)
        self.calls[kind] = self.calls.get(kind, 0) + 1
        plan = self.plans.get(user)
        self.under_way += kind in ("create", "start")
        try:
            if plan and plan.takes(kind):
                return await self.go_wrong(plan.fault, writer, act)
            answer = await act()
        finally:
            self.under_way -= kind in ("create", "start")
        writer.write(packed(*answer))
        await writer.drain()
        return True

    async def go_wrong(self, fault, writer, act):
        if fault in ("kill", "kill_after"):
            if fault == "kill_after":
                await act()
            self.on_kill()
            return False
        if fault in ("close", "hang", "not_http"):
            if fault == "not_http":
                writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            elif fault == "hang":
                await self.silence(writer)
            return False
        if fault == "too_late":
            self.later(TOO_LATE_S, act)
            await self.silence(writer)
            return False
        refusal = re.match(r"(400|404|409|500|503)(_after|_html)?$", fault)
        if refusal:
            if refusal.group(2) == "_after":
                await act()
            if refusal.group(2) == "_html":
                writer.write(packed(int(refusal.group(1)), b"<html>no such luck</html>", "text/html"))
            else:
                writer.write(packed(int(refusal.group(1)), {"message": "the rig says no"}))
            return True
        if fault == "lie":
            writer.write(packed(204 if act.silent else 200, dict(act.lie)))
            return True
        told = {"204": (204, b""), "304": (304, b""), "302": (302, b""), "garbage": (200, b"\x00{]not json" * 9), "empty": (200, b""), "null": (200, b"null"),
                "list": (200, b"[]"), "wrong_types": (200, b'{"Id":7,"State":"x","Config":[],"NetworkSettings":{"Networks":[1]},"Warnings":3}')}.get(fault)
        answer = await act()
        if told:
            writer.write(packed(*told))
            return True
        whole = packed(*answer)
        if fault == "late":
            await asyncio.sleep(LATE_S)
            writer.write(whole)
            return True
        if fault in ("twice", "twice_late"):
            writer.write(whole)
            await writer.drain()
            if fault == "twice_late":
                await asyncio.sleep(SECOND_ANSWER_S)
            writer.write(whole)
            return True
        head, body = whole.index(b"\r\n\r\n") + 4, len(whole)
        if fault == "cut_head":
            writer.write(whole[:head // 2])
        elif fault in ("cut_body", "stall_body"):
            # One without a body is cut where it would have begun.
            writer.write(whole[:(head + body) // 2] if body > head else whole[:head - 2])
        await writer.drain()
        if fault in ("hang_after", "stall_body"):
            await self.silence(writer)
        return False

    async def silence(self, writer):
        """Says nothing until the caller has gone, or for longer than anybody waits."""
        for _ in range(1200):
            if writer.transport.is_closing() or self.writers[writer].at_eof():
                return
            await asyncio.sleep(0.1)

    def later(self, delay_s, act):
        """Does something when nobody waits for it any more."""
        async def ghost():
            await asyncio.sleep(delay_s)
            await act()
        task = asyncio.create_task(ghost())
        self.ghosts.add(task)
        task.add_done_callback(self.ghosts.discard)

    # ---- what it is asked ----

    def kind_of(self, method, path, query, body):
        """Which call this is, whose, and what it does."""
        find = lambda pattern: re.fullmatch(pattern, path)
        if path in ("/_ping", "/version", "/info", "/system/df"):
            return path[1:], "", Act(lambda: self.about(path))
        if found := find(r"/networks/([^/]+)"):
            if found.group(1) == "create":
                return "network_create", "", Act(lambda: self.make_network(json.loads(body)["Name"]))
            return "network", "", Act(lambda: self.network(found.group(1)))
        if path == "/images/create":
            image = query["fromImage"]
            return "pull", user_in_image(image), Act(lambda: self.pull(image, query.get("tag")))
        if found := find(r"/images/(.+)/json"):
            image = urllib.parse.unquote(found.group(1))
            return "image", user_in_image(image), Act(lambda: self.image(image), lie={"Id": "sha256:0"})
        if found := find(r"/volumes/([^/]+)"):
            name = found.group(1)
            if method == "DELETE":
                return "volume_remove", user_in_volume(name), Act(lambda: self.remove_volume(name), silent=True)
            return "volume", user_in_volume(name), Act(lambda: self.volume(name), lie={"Name": name})
        if path == "/containers/create":
            asked = json.loads(body)
            lie = {"Id": f"{next(self.ids):064x}", "Warnings": []}
            return "create", (asked.get("Labels") or {}).get("slipway.user", ""), Act(lambda: self.create(query["name"], asked), lie=lie)
        if path == "/containers/json":
            filters = json.loads(query.get("filters", "{}"))
            if "volume" in filters:
                name = keys_of(filters["volume"])[0]
                return "volume_users", user_in_volume(name), Act(lambda: self.list(query, filters))
            return "list", "", Act(lambda: self.list(query, filters))
        if found := find(r"/containers/([^/]+)(/[a-z]+)?"):
            container = self.containers.get(found.group(1)) or self.by_name.get(found.group(1))
            user = container.user if container else found.group(1).rsplit("-", 1)[-1]
            kind, act = self.of_container(method, found.group(2) or "", container)
            return kind, user, act
        self.wrong.append(f"an unknown call: {method} {path}")
        return "unknown", "", Act(lambda: (404, {"message": "page not found"}))

    def of_container(self, method, what, container):
        if not container:
            return what.strip("/") or "remove", Act(lambda: (404, {"message": "No such container"}))
        acts = {
            ("GET", "/json"): ("inspect", lambda: (200, container.inspect())),
            ("POST", "/start"): ("start", lambda: self.start(container)),
            ("POST", "/stop"): ("stop", lambda: self.stop(container)),
            ("POST", "/restart"): ("restart", lambda: self.restart(container)),
            ("GET", "/logs"): ("logs", lambda: (200, frame(b"a last line\n"), "application/vnd.docker.raw-stream")),
            ("GET", "/archive"): ("archive_get", lambda: (200, folder_archive(), "application/x-tar")),
            ("PUT", "/archive"): ("archive_put", lambda: (200, b"")),
            ("GET", "/stats"): ("stats", lambda: (200, {"cpu_stats": {"cpu_usage": {"total_usage": 1}}, "memory_stats": {}})),
            ("DELETE", ""): ("remove", lambda: self.remove(container)),
        }
        kind, act = acts[(method, what)]
        return kind, Act(act, silent=method != "GET", lie=container.inspect() if kind == "inspect" else {})

    def about(self, path):
        if path == "/_ping":
            return 200, b"OK", "text/plain"
        if path == "/version":
            return 200, {"ApiVersion": API, "MinAPIVersion": "1.24", "Version": "99-rig", "Os": "linux", "Arch": "amd64"}
        if path == "/info":
            return 200, {"ServerVersion": "99-rig", "DockerRootDir": "/nowhere", "Runtimes": {}, "OperatingSystem": "rig"}
        return 200, {"Volumes": [{"Name": name, "UsageData": {"Size": 1, "RefCount": 0}} for name in self.volumes]}

    def network(self, name):
        if name not in self.networks:
            return 404, {"message": f"network {name} not found"}
        return 200, {"Name": name, "IPAM": {"Config": [{"Gateway": "127.0.0.1"}]}, "Options": {}}

    def make_network(self, name):
        self.networks.add(name)
        return 201, {"Id": name, "Warning": ""}

    def image(self, name):
        if "/pulled-" in name and name not in self.pulled:
            return 404, {"message": f"No such image: {name}"}
        return 200, {"Id": "sha256:1", "Config": {"User": "1000:100"}}

    def pull(self, name, tag):
        self.pulled |= {name, f"{name}:{tag}"}
        return 200, b'{"status":"Pulling","id":"a"}\r\n{"status":"Done","id":"a"}\r\n'

    def volume(self, name):
        return (200, {"Name": name, "Driver": "local", "Mountpoint": "/", "Labels": {}, "Scope": "local", "Options": {}}) if name in self.volumes else (404, {"message": f"get {name}: no such volume"})

    def remove_volume(self, name):
        if name not in self.volumes:
            return 404, {"message": "no such volume"}
        if any(mount["Source"] == name for container in self.containers.values() for mount in container.mounts()):
            return 409, {"message": "volume is in use"}
        del self.volumes[name]
        return 204, b""

    def create(self, name, body):
        there = self.by_name.get(name)
        if there:
            return 409, {"message": f'Conflict. The container name "/{name}" is already in use by container "{there.id}"'}
        address = heapq.heappop(self.free_addresses) if self.free_addresses else self.next_address
        self.next_address = max(self.next_address, address + 1)
        container = Container(f"{next(self.ids):064x}", name, body, f"127.77.{address >> 8}.{address & 255}")
        for other in self.containers.values():
            if container.user and other.user == container.user and other.labels.get("slipway.server") == container.labels.get("slipway.server"):
                self.wrong.append(f"two containers of {container.user}: {other.secret} and {container.secret}")
        for mount in container.mounts():
            self.volumes.setdefault(mount["Source"], True)
        self.containers[container.id] = self.by_name[name] = container
        key = (container.user, container.labels.get("slipway.generation"))
        self.creates[key] = self.creates.get(key, 0) + 1
        return 201, {"Id": container.id, "Warnings": []}

    async def start(self, container):
        if container.state == "running":
            return 304, b""
        if container.id not in self.containers:
            return 404, {"message": "No such container"}
        if not await self.run(container):
            return 500, {"message": "the address is taken"}
        return 204, b""

    async def run(self, container):
        try:
            server = await asyncio.start_server(lambda reader, writer: self.be_server(container, reader, writer), container.address, PORT, backlog=64)
        except OSError:
            return False
        if container.id not in self.containers or container.server:
            # Removed, or started by another call, meanwhile.
            server.close()
            return container.id in self.containers
        container.server = server
        container.state = "running"
        return True

    def halt(self, container, exit_code=0):
        if container.server:
            container.server.close()
            container.server = None
        for writer in list(container.connections):
            writer.transport.abort()
        if container.state == "running":
            container.state, container.exit_code = "exited", exit_code
            self.tell("die", container)

    def stop(self, container):
        if container.state != "running":
            return 304, b""
        self.halt(container)
        return 204, b""

    async def restart(self, container):
        self.halt(container)
        return (204, b"") if await self.run(container) else (500, {"message": "the address is taken"})

    def remove(self, container):
        if container.id not in self.containers:
            return 404, {"message": "No such container"}
        self.halt(container, 137)
        del self.containers[container.id], self.by_name[container.name]
        *_, high, low = container.address.split(".")
        heapq.heappush(self.free_addresses, int(high) << 8 | int(low))
        self.tell("destroy", container)
        return 204, b""

    def list(self, query, filters):
        is_all = query.get("all") in ("1", "true")
        wanted = [label.partition("=")[::2] for label in keys_of(filters.get("label", []))]
        volumes = set(keys_of(filters.get("volume", [])))
        found = [container.summary() for container in self.containers.values() if (is_all or container.state == "running")
                 and all(key in container.labels and (not value or container.labels[key] == value) for key, value in wanted)
                 and (not volumes or any(mount["Source"] in volumes for mount in container.mounts()))]
        return 200, found

    # ---- events ----

    async def events(self, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        queue = asyncio.Queue()
        self.listeners.add(queue)
        try:
            while True:
                event = await queue.get()
                if event is None:
                    return False
                text = json.dumps(event).encode() + b"\n"
                writer.write(b"%x\r\n%s\r\n" % (len(text), text))
                await writer.drain()
        finally:
            self.listeners.discard(queue)

    def cut_events(self):
        """Ends every reader's stream."""
        for queue in self.listeners:
            queue.put_nowait(None)

    def tell(self, action, container):
        event = {"Type": "container", "Action": action, "Actor": {"ID": container.id, "Attributes": {**container.labels, "exitCode": str(container.exit_code)}}}
        events = {"well": [event], "lost": [], "twice": [event, event], "shuffled": []}[self.event_manner]
        for queue in self.listeners:
            for told in events:
                queue.put_nowait(told)
        if self.event_manner == "shuffled":
            # Seconds later, when another start may be there already.
            self.later(3, Act(lambda: [queue.put_nowait(event) for queue in self.listeners]))

    # ---- a server in a container ----

    async def be_server(self, container, reader, writer):
        container.connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                plan = self.plans.get(container.user)
                if plan and plan.takes("server"):
                    if not await self.be_bad_server(plan.fault, writer, container):
                        return
                    continue
                body = container.secret.encode()
                if b"ws-ticker" in head.split(b"\r\n")[0]:
                    return await self.tick(writer, container)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            container.connections.discard(writer)
            writer.transport.abort()

    async def be_bad_server(self, fault, writer, container):
        body = container.secret.encode()
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        if fault in ("hang", "hang_after", "too_late", "stall_body"):
            if fault == "stall_body":
                writer.write(whole[:-4])
            await self.sleep_while_open(writer)
            return False
        if fault == "late":
            await asyncio.sleep(LATE_S)
            writer.write(whole)
            return True
        bad = {"cut_head": whole[:9], "cut_body": whole[:-4], "twice": whole * 2, "twice_late": whole * 2, "not_http": b"SSH-2.0\r\n", "garbage": b"\x00\xff" * 40,
               "500": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "503": b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"}.get(fault, b"")
        writer.write(bad)
        await writer.drain()
        return fault in ("500", "503")

    @staticmethod
    async def sleep_while_open(writer):
        for _ in range(1200):
            if writer.transport.is_closing():
                return
            await asyncio.sleep(0.1)

    @staticmethod
    async def tick(writer, container):
        """An answer without an end, a line every 0.1 s: what proxying of a running server looks like."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        line = container.secret.encode() + b"\n"
        while True:
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            await writer.drain()
            await asyncio.sleep(0.1)


class Act:
    """What a call does. `silent`: its success has no body; `lie`: what is said of a success that did not happen."""

    def __init__(self, work, silent=False, lie=()):
        self.work, self.silent, self.lie = work, silent, dict(lie)

    async def __call__(self):
        done = self.work()
        return await done if asyncio.iscoroutine(done) else done


def packed(status, body, content_type="application/json"):
    """An answer, as bytes."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} {REASONS[status]}\r\nApi-Version: {API}\r\nContent-Type: {content_type}\r\n"
    if status in (204, 304):
        return f"{head}\r\n".encode()
    if status == 302:
        head += "Location: /elsewhere\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def keys_of(filters):
    """The words of one filter: a list, or as old clients have it a table of truths."""
    return list(filters)


def frame(text):
    """A line of a log, as the engine multiplexes it."""
    return b"\x01\x00\x00\x00" + len(text).to_bytes(4, "big") + text


def user_in_image(name):
    found = re.match(r"rig/(?:pulled-)?([a-z0-9]+)", name)
    return found.group(1) if found else ""


def user_in_volume(name):
    found = re.match(r"jupyterlab-([a-z0-9]+)_", name)
    return found.group(1) if found else ""


def folder_archive():
    """A folder of root's, as the engine gives one."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("folder")
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, 0, 0
        archive.addfile(entry)
    return out.getvalue()
