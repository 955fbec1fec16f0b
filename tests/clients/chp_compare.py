#!/usr/bin/env python3
"""Drives configurable-http-proxy and `slipway chp` with the same calls and requests and compares what comes back.

    chp_compare.py CONFIGURABLE_HTTP_PROXY SLIPWAY      (two programs; the first is what package.json names)

Every case is sent to both, byte for byte. What differs is printed; a difference that is meant stands in INTENDED with
its reason. The exit status is 1 if there is another one, or if an intended one has gone. Standard library only.
"""

import atexit
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

TOKEN = "s3cret"
LIMIT_S = 20

# Case -> why it may differ.
INTENDED = {
    "api: bad percent in the key": "configurable-http-proxy never answers; we say 400",
    "api: DELETE without a key": "configurable-http-proxy never answers; we say 405, for nobody means the root route",
    "api: not JSON": "the parser's own words behind «Body not valid JSON: SyntaxError:»",
    "path: encoded slash in the prefix": "routed and forwarded path would differ: 400",
    "path: two slashes in front": "read as host and path by the one and as a path by targets: 400",
    "path: dot segments": "refused with 400 instead of routed by another path than the one forwarded",
    "path: encoded dot segments": "refused with 400 likewise",
    "path: backslash": "refused with 400 likewise",
    "path: undecodable percent": "400, for it is the client's mistake, instead of the 500 page",
    "request: question mark without query": "forwarded as it came; the other drops the question mark",
    "request: chunked DELETE": "the body is forwarded; the other cuts it off and says length 0",
    "request: two headers of one name": "forwarded as two lines instead of one joined",
    "request: Host twice": "refused with 400, as RFC 9112 wants it; the other takes the first",
    "answer: unusual reason": "the reason phrase is the status's own",
    "redirect: auto-rewrite without port": "the other keeps the target's port, which nobody can reach",
    "prefix: stripped, encoded": "the other cuts by the decoded prefix's length",
    "ws: version 8": "refused with 400 before it reaches a target",
    "ws: upgrade to something else": "the other drops the connection without a word",
    "tls: Host that is not on the target's certificate": "the target's certificate must be for the target, not for what a client says in Host",
    "answer: 418": "the reason phrase is spelt «I'm a teapot»",
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Target:
    """A server that answers with what it has heard, as JSON; some paths mean something."""

    def __init__(self, path=None, context=None):
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", 0))
            self.port = self.socket.getsockname()[1]
        self.socket.listen(64)
        self.context = context
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            reader = connection.makefile("rb")
            while self.answer(connection, reader):
                pass
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def answer(self, connection, reader):
        line = reader.readline().decode("latin-1").split()
        if len(line) != 3:
            return False
        method, path, _ = line
        headers = []
        while (text := reader.readline().decode("latin-1").rstrip("\r\n")):
            name, _, value = text.partition(":")
            headers.append((name.lower(), value.strip()))
        found = dict(headers)
        body = b""
        if "chunked" in found.get("transfer-encoding", ""):
            while (size := int(reader.readline(), 16)):
                body += reader.read(size)
                reader.readline()
            reader.readline()
        elif "content-length" in found:
            body = reader.read(int(found["content-length"]))
        plain = path.split("?")[0]
        if found.get("upgrade", "").lower() == "websocket" and "/no-ws" not in plain:
            return self.websocket(connection, reader, path, headers)
        if "/drop" in plain:
            return False
        if "/slow" in plain:
            time.sleep(3)
        said = {"method": method, "path": path, "headers": sorted(headers), "body": body.decode("latin-1")}
        payload = json.dumps(said).encode()
        extra, status = "", "200 OK"
        if match := re.search(r"/status/(\d+)(?:/(\w+))?", plain):
            status = f"{match[1]} {match[2] or 'Reason'}" if match[2] else f"{match[1]} {http.client.responses.get(int(match[1]), '')}"
        if "/cookies" in plain:
            extra = "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Domain=x\r\nStrict-Transport-Security: max-age=1\r\n"
        if match := re.search(r"/location/(\d+)/(.*)", plain):
            status = f"{match[1]} {http.client.responses[int(match[1])]}"
            where = f"http://127.0.0.1:{self.port}" if match[2] == "here" else "http://other.example:1/x" if match[2] == "there" else ""
            extra = f"Location: {where}/next?a=b\r\n"
        if "/chunked" in plain:
            connection.sendall(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n{extra}\r\n".encode())
            for piece in (b"one", b"two", b"three"):
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                time.sleep(0.05)
            connection.sendall(b"0\r\n\r\n")
            return True
        if int(status.split()[0]) in (204, 304) or method == "HEAD":
            size = f"Content-Length: {len(payload)}\r\n" if method == "HEAD" else ""
            connection.sendall(f"HTTP/1.1 {status}\r\n{size}{extra}\r\n".encode())
            return True
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n{extra}\r\n"
        connection.sendall(head.encode() + payload)
        return True

    def websocket(self, connection, reader, path, headers):
        import base64, hashlib
        key = dict(headers).get("sec-websocket-key", "")
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        connection.sendall(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\nX-Custom: kept\r\n\r\n".encode()
        )
        said = json.dumps({"path": path, "headers": sorted(h for h in headers if h[0] != "connection")}).encode()
        connection.sendall(b"\x81\x7e" + len(said).to_bytes(2, "big") + said)
        while (piece := reader.read1(4096)):
            connection.sendall(piece)
        return False


class Proxy:
    """One of the two programs, running; ended at the latest when we end."""

    running = []

    def __init__(self, name, command, arguments, folder, port, wants, environment):
        self.name, self.port, self.api_port, self.metrics_port = name, port, free_port(), free_port()
        replaced = [str(a).format(folder=folder, api=self.api_port, port=port, metrics=self.metrics_port) for a in arguments]
        self.line = [*command, *replaced]
        if "--socket" not in replaced:
            self.line += ["--ip", "127.0.0.1", "--port", str(port)]
        if "--api-socket" not in replaced:
            self.line += ["--api-ip", "127.0.0.1", "--api-port", str(self.api_port)]
        self.log = open(os.path.join(folder, "log"), "w+")
        self.process = subprocess.Popen(self.line, stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, **environment})
        Proxy.running.append(self)
        until = time.time() + LIMIT_S
        for address in wants(self):
            while True:
                try:
                    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
                    with socket.socket(family) as s:
                        s.connect(address)
                    break
                except OSError:
                    if time.time() > until or self.process.poll() is not None:
                        self.log.seek(0)
                        raise SystemExit(f"{self.line} does not listen at {address}:\n{self.log.read()}")
                    time.sleep(0.05)

    def stop(self, with_signal=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            status = self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            status = "killed"
        Proxy.running.remove(self)
        self.log.seek(0)
        return status, re.sub(r"\x1b\[\d+m", "", self.log.read())


def end_all():
    for proxy in list(Proxy.running):
        with contextlib.suppress(Exception):
            proxy.process.kill()
            proxy.process.wait(LIMIT_S)
    shutil.rmtree(SCRATCH, ignore_errors=True)


# All that is written here lies below it. A limit of time in test.sh leaves nothing behind either.
SCRATCH = tempfile.mkdtemp(prefix="slipway-chp-compare-")
atexit.register(end_all)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
# The two are asked at once: most of a case is waiting for one of them.
TWO = concurrent.futures.ThreadPoolExecutor(2)


def exchange(address, payload, limit=4, tls=None, reads=None):
    """Sends bytes, and reads one answer: status line, headers, body; or what there is."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as plain:
        plain.settimeout(limit)
        plain.connect(address)
        connection = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        connection.sendall(payload)
        if reads:
            return reads(connection)
        response = http.client.HTTPResponse(connection, method=payload.split(b" ")[0].decode())
        try:
            response.begin()
            body = response.read()
        except TimeoutError:
            return "silence"
        except (http.client.HTTPException, OSError) as error:
            return f"no answer ({type(error).__name__})"
        headers = sorted((k.lower(), v) for k, v in response.getheaders() if k.lower() not in DROPPED)
        text = body.decode("latin-1")
        try:
            text = json.loads(text)
            if isinstance(text, dict) and "headers" in text:
                text["headers"] = [h for h in text["headers"] if h[0] not in ("connection",)]
        except ValueError:
            pass
        return {"status": response.status, "reason": response.reason, "headers": headers, "body": text}


# Framing and what is said anew for every connection.
DROPPED = {"date", "connection", "keep-alive", "transfer-encoding", "content-length"}


def request(line, *headers, body="", host="hub.example:8000", version="1.1"):
    lines = [f"{line} HTTP/{version}"] + ([f"Host: {host}"] if host else []) + list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def api(proxy, line, body=None, token=TOKEN, headers=(), address=None):
    headers = list(headers) + ([f"Authorization: token {token}"] if token else [])
    if body is not None:
        body = body if isinstance(body, str) else json.dumps(body)
        headers.append(f"Content-Length: {len(body.encode())}")
    return exchange(address or ("127.0.0.1", proxy.api_port), request(line, *headers, body=body or ""))


def public(proxy, line, *headers, **more):
    limit, tls = more.pop("limit", 4), more.pop("tls", None)
    return exchange(("127.0.0.1", proxy.port), request(line, *headers, **more), limit=limit, tls=tls)


WS = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")


def websocket(proxy, path, *headers, echoes=True):
    def reads(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(4096)
            if not piece:
                return f"closed after {data!r}"
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        kept = sorted(l.lower() for l in lines[1:] if l.split(":")[0].lower() not in DROPPED | {"content-length"})
        if "101" not in lines[0]:
            return {"status": lines[0].split()[1], "headers": kept}
        while len(rest) < 4 or len(rest) < 4 + int.from_bytes(rest[2:4], "big"):
            rest += connection.recv(4096)
        said = json.loads(rest[4:])
        frame = b"\x81\x84\0\0\0\0ping"
        connection.sendall(frame)
        heard = b""
        while len(heard) < len(frame):
            heard += connection.recv(4096)
        return {"status": "101", "headers": kept, "said": said, "echo": heard == frame}

    return exchange(("127.0.0.1", proxy.port), request(f"GET {path}", *WS, *headers), reads=reads)


def without_times(answer):
    if isinstance(answer, dict) and isinstance(answer.get("body"), (dict, list)):
        text = re.sub(r'"last_activity": "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"', '"last_activity": "T"', json.dumps(answer["body"]))
        answer["body"] = json.loads(text)
        answer["order"] = text  # keys keep their order
    return answer


class Comparison:
    def __init__(self, programs):
        self.programs, self.unexpected, self.met, self.count = programs, [], set(), 0

    def both(self, arguments=(), wants=lambda p: [("127.0.0.1", p.port), ("127.0.0.1", p.api_port)], token=TOKEN):
        def start(program):
            folder = tempfile.mkdtemp(prefix="chp-", dir=SCRATCH)
            environment = {"CONFIGPROXY_AUTH_TOKEN": token} if token else {"CONFIGPROXY_AUTH_TOKEN": ""}
            proxy = Proxy(*program, arguments, folder, free_port(), wants, environment)
            proxy.folder = folder
            return proxy

        return list(TWO.map(start, self.programs))

    def case(self, name, proxies, ask, see=without_times):
        self.count += 1
        one, other = TWO.map(lambda proxy: see(ask(proxy)), proxies)
        if one == other:
            return one
        if name in INTENDED:
            self.met.add(name)
            print(f"  meant  {name}: {INTENDED[name]}")
        else:
            self.unexpected.append(name)
            print(f"DIFFERS  {name}\n    {proxies[0].name}: {one}\n    {proxies[1].name}: {other}")
        return other

    def end(self, proxies, with_signal=signal.SIGTERM):
        logs = list(TWO.map(lambda proxy: proxy.stop(with_signal), proxies))
        for proxy in proxies:
            shutil.rmtree(proxy.folder, ignore_errors=True)
        return logs


def main():
    real, slipway = sys.argv[1:3]
    comparison = Comparison([("configurable-http-proxy", [real]), ("slipway chp", [slipway, "chp"])])
    case, both = comparison.case, comparison.both
    target = Target()
    url = f"http://127.0.0.1:{target.port}"

    # -- the API
    proxies = both()
    case("api: empty table", proxies, lambda p: api(p, "GET /api/routes"))
    case("api: empty table, slash", proxies, lambda p: api(p, "GET /api/routes/"))
    case("api: no token", proxies, lambda p: api(p, "GET /api/routes", token=None))
    case("api: wrong token", proxies, lambda p: api(p, "GET /api/routes", token="wrong"))
    case("api: Bearer", proxies, lambda p: api(p, "GET /api/routes", token=None, headers=[f"Authorization: Bearer {TOKEN}"]))
    case("api: token in the middle", proxies, lambda p: api(p, "GET /api/routes", token=None, headers=[f"Authorization: my token  {TOKEN} x"]))
    case("api: add", proxies, lambda p: api(p, "POST /api/routes/user/x", {"target": url, "jupyterhub": True, "user": "x", "server_name": ""}))
    case("api: one", proxies, lambda p: api(p, "GET /api/routes/user/x"))
    case("api: one, slash", proxies, lambda p: api(p, "GET /api/routes/user/x/"))
    case("api: all", proxies, lambda p: api(p, "GET /api/routes"))
    case("api: add root by no key", proxies, lambda p: api(p, "POST /api/routes", {"target": url, "hub": True}))
    case("api: root cannot be fetched", proxies, lambda p: api(p, "GET /api/routes/"))
    case("api: replace as a whole", proxies, lambda p: api(p, "POST /api/routes/user/x/", {"z": [1.0, 2.5, None, "é"], "target": url, "last_activity": 5, "a": {"y": 1, "b": 2}}))
    case("api: order of keys", proxies, lambda p: api(p, "GET /api/routes"))
    case("api: key decoded once", proxies, lambda p: api(p, "POST /api/routes/user/a%40b%2520c", {"target": url}))
    case("api: key in UTF-8", proxies, lambda p: api(p, "POST /api/routes/user/%C3%BC", {"target": url}))
    case("api: all again", proxies, lambda p: api(p, "GET /api/routes"))
    case("api: unknown", proxies, lambda p: api(p, "GET /api/routes/nobody"))
    case("api: not JSON", proxies, lambda p: api(p, "POST /api/routes/x", "{nonsense"))
    case("api: empty body", proxies, lambda p: api(p, "POST /api/routes/x", ""))
    case("api: bad JSON before the token", proxies, lambda p: api(p, "POST /api/routes/x", "", token=None))
    case("api: good JSON, no token", proxies, lambda p: api(p, "POST /api/routes/x", {"target": url}, token=None))
    for value in ("null", "0", "[]", '"x"', "{}", '{"target": 5}', '{"target": null}'):
        case(f"api: body {value}", proxies, lambda p: api(p, "POST /api/routes/x", value))
    case("api: any string is a target", proxies, lambda p: api(p, "POST /api/routes/bad", {"target": "nonsense"}))
    case("api: empty target", proxies, lambda p: api(p, "POST /api/routes/empty", {"target": ""}))
    case("api: bad percent in the key", proxies, lambda p: api(p, "GET /api/routes/%zz"))
    case("api: another path", proxies, lambda p: api(p, "GET /api/other"))
    case("api: another path, POST", proxies, lambda p: api(p, "POST /api/other", "x"))
    case("api: prefix of the path", proxies, lambda p: api(p, "GET /api/routesx"))
    for method in ("PUT", "PATCH", "HEAD", "OPTIONS"):
        case(f"api: {method}", proxies, lambda p: api(p, f"{method} /api/routes", token=None))
    case("api: inactive since later", proxies, lambda p: api(p, "GET /api/routes?inactive_since=2999-01-01T00:00:00Z"))
    case("api: inactiveSince", proxies, lambda p: api(p, "GET /api/routes?inactiveSince=2000-01-01T00:00:00.000Z"))
    case("api: inactive since, a date", proxies, lambda p: api(p, "GET /api/routes?inactive_since=2000-01-01"))
    case("api: inactive since nonsense", proxies, lambda p: api(p, "GET /api/routes?inactive_since=end+of%20time"))
    case("api: delete", proxies, lambda p: api(p, "DELETE /api/routes/user/%C3%BC"))
    case("api: delete again", proxies, lambda p: api(p, "DELETE /api/routes/user/%C3%BC"))
    case("api: delete without token", proxies, lambda p: api(p, "DELETE /api/routes/user/x", token=None))
    case("api: DELETE without a key", proxies, lambda p: api(p, "DELETE /api/routes"))

    # -- ways of a request
    case("health", proxies, lambda p: public(p, "GET /_chp_healthz"))
    case("path: root", proxies, lambda p: public(p, "GET /hub/home?x=1"))
    case("path: user", proxies, lambda p: public(p, "GET /user/x/lab?a=b&c"))
    case("path: not a prefix of segments", proxies, lambda p: public(p, "GET /user/xy"))
    case("path: encoded, kept", proxies, lambda p: public(p, "GET /user/a%40b%2520c/%7E~a%2Fb//c;d=1,2"))
    case("path: encoded slash in the prefix", proxies, lambda p: public(p, "GET /user%2Fx/foo"))
    case("path: two slashes in front", proxies, lambda p: public(p, "GET //user/x"))
    case("path: dot segments", proxies, lambda p: public(p, "GET /user/x/../y"))
    case("path: encoded dot segments", proxies, lambda p: public(p, "GET /user/x/%2e%2e/y"))
    case("path: backslash", proxies, lambda p: public(p, "GET /user\\x"))
    case("path: undecodable percent", proxies, lambda p: public(p, "GET /user/%zz"))
    case("path: absolute address", proxies, lambda p: public(p, "GET http://hub.example:8000/user/x/y"))
    case("target: nonsense", proxies, lambda p: public(p, "GET /bad/x"), see=without_footer)
    case("target: empty", proxies, lambda p: public(p, "GET /empty/x"), see=without_footer)
    for method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        case(f"request: {method}", proxies, lambda p: public(p, f"{method} /user/x", "Accept: */*", "Cookie: a=b; c=d", "Authorization: token abc", "X-Real-Ip: 1.2.3.4", "Forwarded: for=1.1.1.1", "X-Scheme: https"))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        case(f"request: {method} with a body", proxies, lambda p: public(p, f"{method} /user/x", "Content-Length: 5", body="hello"))
    case("request: POST without body", proxies, lambda p: public(p, "POST /user/x"))
    case("request: length 0", proxies, lambda p: public(p, "GET /user/x", "Content-Length: 0"))
    case("request: chunked POST", proxies, lambda p: public(p, "POST /user/x", "Transfer-Encoding: chunked", body="5\r\nhello\r\n0\r\n\r\n"))
    case("request: chunked DELETE", proxies, lambda p: public(p, "DELETE /user/x", "Transfer-Encoding: chunked", body="5\r\nhello\r\n0\r\n\r\n"))
    case("request: question mark without query", proxies, lambda p: public(p, "GET /user/x?"))
    case("request: two headers of one name", proxies, lambda p: public(p, "GET /user/x", "X-Twice: 1", "X-Twice: 2"))
    case("request: hop-by-hop", proxies, lambda p: public(p, "GET /user/x", "TE: trailers", "Trailer: x", "Proxy-Authorization: basic x", "Connection: close, X-Listed", "X-Listed: 1"))
    case("request: forwarded by others", proxies, lambda p: public(p, "GET /user/x", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Port: 443", "X-Forwarded-Proto: https", "X-Forwarded-Host: outer.example"))
    case("request: Host without port", proxies, lambda p: public(p, "GET /user/x", host="hub.example"))
    case("request: HTTP/1.0", proxies, lambda p: public(p, "GET /user/x", version="1.0"))
    case("request: Host twice", proxies, lambda p: public(p, "GET /user/x", "Host: other"))
    for status in (200, 201, 204, 302, 304, 400, 404, 418, 500, 503):
        case(f"answer: {status}", proxies, lambda p: public(p, f"GET /user/x/status/{status}"))
    case("answer: unusual reason", proxies, lambda p: public(p, "GET /user/x/status/424/Fancy"))
    case("answer: cookies and all", proxies, lambda p: public(p, "GET /user/x/cookies"))
    case("answer: chunks", proxies, lambda p: public(p, "GET /user/x/chunked"))
    case("answer: redirect stays", proxies, lambda p: public(p, "GET /user/x/location/302/here"))
    case("answer: none", proxies, lambda p: public(p, "GET /user/x/drop"), see=without_footer)
    dead = f"http://127.0.0.1:{free_port()}"
    case("dead: add", proxies, lambda p: api(p, "POST /api/routes/dead", {"target": dead}))
    case("dead: page", proxies, lambda p: public(p, "GET /dead/x"), see=without_footer)
    case("dead: ws", proxies, lambda p: websocket(p, "/dead/x"))
    case("target: unknown protocol add", proxies, lambda p: api(p, "POST /api/routes/ftp", {"target": "ftp://h"}))
    case("target: unknown protocol", proxies, lambda p: public(p, "GET /ftp/x"), see=without_footer)
    case("target with a path: add", proxies, lambda p: api(p, "POST /api/routes/deep", {"target": f"{url}/base/?k=v"}))
    case("target with a path", proxies, lambda p: public(p, "GET /deep/x?a=b"))
    case("target with a path, no query", proxies, lambda p: public(p, "GET /deep"))
    case("target by name: add", proxies, lambda p: api(p, "POST /api/routes/named", {"target": f"http://localhost:{target.port}"}))
    case("target by name", proxies, lambda p: public(p, "GET /named/x"))

    # -- websockets
    case("ws: both ways", proxies, lambda p: websocket(p, "/user/x/api/kernels/1?token=y", "Origin: http://a", "X-Forwarded-Proto: https"))
    case("ws: not one", proxies, lambda p: websocket(p, "/user/x/no-ws/status/403"))
    case("ws: version 8", proxies, lambda p: exchange(("127.0.0.1", p.port), request("GET /user/x", *WS[:3], "Sec-WebSocket-Version: 8"), reads=lambda c: c.recv(100)[:12]))
    case("ws: upgrade to something else", proxies, lambda p: public(p, "GET /user/x", "Upgrade: h2c", "Connection: Upgrade"))

    # -- activity
    def activity(path, method="GET", *headers, body=""):
        def ask(p):
            api(p, "POST /api/routes/act", {"target": url})
            before = api(p, "GET /api/routes/act")["body"]["last_activity"]
            time.sleep(0.05)
            public(p, f"{method} /act{path}", *headers, body=body)
            time.sleep(0.05)
            return api(p, "GET /api/routes/act")["body"]["last_activity"] > before
        return ask

    for path in ("/x", "/status/204", "/status/302", "/status/304", "/status/404", "/status/500", "/chunked", "/drop"):
        case(f"activity: {path}", proxies, activity(path))
    case("activity: a body counts, whatever the answer", proxies, activity("/status/500", "POST", "Content-Length: 5", body="hello"))

    def socket_activity(p):
        api(p, "POST /api/routes/act", {"target": url})
        def reads(connection):
            connection.recv(4096)
            time.sleep(0.1)
            before = api(p, "GET /api/routes/act")["body"]["last_activity"]
            time.sleep(0.05)
            connection.sendall(b"\x8a\x80\0\0\0\0")  # a pong: the keep-alive of an open page
            time.sleep(0.1)
            return api(p, "GET /api/routes/act")["body"]["last_activity"] > before
        return exchange(("127.0.0.1", p.port), request("GET /act/ws", *WS), reads=reads)

    case("activity: a pong of an open page", proxies, socket_activity)
    logs = comparison.end(proxies)
    check(comparison, "exit status of SIGTERM", logs[0][0], logs[1][0])

    # -- no routes, error pages
    proxies = both(token=None)
    case("open API", proxies, lambda p: api(p, "GET /api/routes", token=None))
    case("404 page", proxies, lambda p: public(p, "GET /x"), see=without_footer)
    case("404 ws", proxies, lambda p: websocket(p, "/x"))
    logs = comparison.end(proxies, signal.SIGINT)
    check(comparison, "exit status of SIGINT", logs[0][0], logs[1][0])

    proxies = both(["--error-target", f"{url}/hub/error", "--default-target", dead])
    case("error target: 503", proxies, lambda p: public(p, "GET /x/y?z=a%20b&c"))
    case("error target: HEAD", proxies, lambda p: public(p, "HEAD /x"))
    case("error target: delete root", proxies, lambda p: api(p, "DELETE /api/routes/"))
    case("error target: 404", proxies, lambda p: public(p, "POST /x", "Content-Length: 2", body="ab"))
    logs = comparison.end(proxies)
    for log in logs:
        assert "Route added /" in log[1], log[1]

    proxies = both(["--error-target", dead])
    case("error target is dead", proxies, lambda p: public(p, "GET /x"))
    comparison.end(proxies)

    pages = tempfile.mkdtemp(prefix="pages-", dir=SCRATCH)
    for name, text in (("404.html", "mine 404"), ("error.html", "mine all")):
        with open(os.path.join(pages, name), "w") as file:
            file.write(text)
    proxies = both(["--error-path", pages, "--default-target", dead])
    case("error path: 503", proxies, lambda p: public(p, "GET /x"))
    case("error path: delete root", proxies, lambda p: api(p, "DELETE /api/routes/"))
    case("error path: 404", proxies, lambda p: public(p, "GET /x"))
    comparison.end(proxies)
    proxies = both(["--error-path", "/nonexistent"])
    case("error path: nothing there", proxies, lambda p: public(p, "GET /x"))
    comparison.end(proxies)

    # -- switches
    proxies = both(["--host-routing", "--default-target", f"{url}/default"])
    case("host routing: add", proxies, lambda p: api(p, "POST /api/routes/example.org/user/x", {"target": url}))
    case("host routing: listing", proxies, lambda p: api(p, "GET /api/routes"))
    case("host routing: its host", proxies, lambda p: public(p, "GET /user/x/y", host="example.org:8000"))
    case("host routing: another host", proxies, lambda p: public(p, "GET /user/x/y", host="other.org"))
    comparison.end(proxies)

    proxies = both(["--no-x-forward", "--custom-header", "k1:v1", "--custom-header= k2 : v:2 ", "--change-origin", "--default-target", url])
    case("no x-forward, custom headers, change origin", proxies, lambda p: public(p, "GET /x", "K1: theirs", "X-Forwarded-For: 1.1.1.1"))
    case("the same for ws", proxies, lambda p: websocket(p, "/x"))
    comparison.end(proxies)

    proxies = both(["--no-include-prefix", "--no-prepend-path", "--default-target", f"{url}/base"])
    case("prefix: add", proxies, lambda p: api(p, "POST /api/routes/user/a@b", {"target": f"{url}/base"}))
    case("prefix: stripped", proxies, lambda p: public(p, "GET /user/a@b/x?y"))
    case("prefix: stripped, nothing left", proxies, lambda p: public(p, "GET /user/a@b?y"))
    case("prefix: stripped, encoded", proxies, lambda p: public(p, "GET /user/a%40b/x"))
    case("prefix: root", proxies, lambda p: public(p, "GET /x/y"))
    comparison.end(proxies)

    proxies = both(["--auto-rewrite", "--protocol-rewrite", "https", "--default-target", url])
    for status in (201, 301, 302, 303, 307, 308):
        case(f"redirect: auto-rewrite {status}", proxies, lambda p: public(p, f"GET /location/{status}/here"))
    case("redirect: elsewhere", proxies, lambda p: public(p, "GET /location/302/there"))
    case("redirect: relative", proxies, lambda p: public(p, "GET /location/302/relative"))
    case("redirect: auto-rewrite without port", proxies, lambda p: public(p, "GET /location/302/here", host="hub.example"))
    comparison.end(proxies)

    proxies = both(["--proxy-timeout", "500", "--default-target", url])
    case("timeout: silent target, its page", proxies, lambda p: public(p, "GET /slow"), see=without_footer)
    comparison.end(proxies)
    proxies = both(["--timeout", "500", "--default-target", url])
    case("timeout: client's connection", proxies, lambda p: public(p, "GET /slow"))
    comparison.end(proxies)

    # -- Unix sockets
    folder = tempfile.mkdtemp(prefix="sockets-", dir=SCRATCH)
    lab = Target(path=os.path.join(folder, "lab.sock"))
    encoded = "http+unix://" + os.path.join(folder, "lab.sock").replace("/", "%2F")
    wants = lambda p: [os.path.join(p.folder_of(), "p"), os.path.join(p.folder_of(), "a")]
    Proxy.folder_of = lambda self: self.line[self.line.index("--socket") + 1].rsplit("/", 1)[0]
    proxies = both(["--socket", "{folder}/p", "--api-socket", "{folder}/a", "--metrics-socket", "{folder}/m", "--no-x-forward"], wants)
    case("unix: add", proxies, lambda p: api(p, "POST /api/routes/", {"target": encoded}, address=p.folder + "/a"))
    case("unix: request", proxies, lambda p: exchange(p.folder + "/p", request("GET /x/y?z")))
    case("unix: metrics", proxies, lambda p: exchange(p.folder + "/m", request("GET /metrics"))["status"])
    comparison.end(proxies)

    # -- figures
    proxies = both(["--metrics-port", "{metrics}", "--metrics-ip", "127.0.0.1", "--default-target", url],
                   lambda p: [("127.0.0.1", p.port), ("127.0.0.1", p.api_port), ("127.0.0.1", p.metrics_port)])

    def figures(p):
        public(p, "GET /x")
        public(p, "GET /status/404")
        websocket(p, "/ws")
        api(p, "GET /api/routes")
        api(p, "POST /api/routes/m", {"target": dead})
        public(p, "GET /m")
        api(p, "DELETE /api/routes/m")
        time.sleep(0.1)
        text = exchange(("127.0.0.1", p.metrics_port), request("GET /metrics"))["body"]
        names = ("api_route", "requests_", "find_target_for_req_count", "# TYPE find_target", "# TYPE last_activity", "# TYPE api", "# TYPE requests")
        return sorted(line for line in text.split("\n") if line.startswith(names))

    case("metrics: same names and counts", proxies, figures, see=lambda x: x)
    case("metrics: another path", proxies, lambda p: exchange(("127.0.0.1", p.metrics_port), request("GET /other")))
    comparison.end(proxies)

    tls(comparison, folder, dead)
    command_lines(comparison)

    gone = sorted(set(INTENDED) - comparison.met)
    for name in gone:
        print(f"no longer differs: {name}")
    print(f"  {comparison.count} cases, {len(comparison.met)} differ as meant, {len(comparison.unexpected)} otherwise")
    sys.exit(1 if comparison.unexpected or gone else 0)


def tls(comparison, folder, dead):
    """HTTPS at the door, the API and the target, with client certificates; redirect from plain HTTP."""
    if not shutil.which("openssl"):
        return print("  no openssl: TLS is left out")
    case = comparison.case
    run = lambda line: subprocess.run(line.format(f=folder).split("|"), check=True, capture_output=True)
    run("openssl|req|-x509|-newkey|rsa:2048|-nodes|-keyout|{f}/ca.key|-out|{f}/ca.pem|-days|9|-subj|/CN=ca")
    for name in ("server", "client"):
        run(f"openssl|req|-newkey|rsa:2048|-nodes|-keyout|{{f}}/{name}.key|-out|{{f}}/{name}.csr|-subj|/CN={name}|-addext|subjectAltName=DNS:localhost,IP:127.0.0.1")
        run(f"openssl|x509|-req|-in|{{f}}/{name}.csr|-CA|{{f}}/ca.pem|-CAkey|{{f}}/ca.key|-CAcreateserial|-out|{{f}}/{name}.pem|-days|9|-copy_extensions|copy")
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{folder}/ca.pem")
    served.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
    served.verify_mode = ssl.CERT_REQUIRED
    target = Target(context=served)
    believing = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    knowing = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    knowing.load_cert_chain(f"{folder}/client.pem", f"{folder}/client.key")
    files = lambda kind, name: [f"--{kind}-key", f"{folder}/{name}.key", f"--{kind}-cert", f"{folder}/{name}.pem"]
    proxies = comparison.both([
        *files("ssl", "server"), *files("api-ssl", "server"), "--api-ssl-ca", f"{folder}/ca.pem", "--api-ssl-request-cert",
        "--api-ssl-reject-unauthorized", *files("client-ssl", "client"), "--client-ssl-ca", f"{folder}/ca.pem",
        "--default-target", f"https://localhost:{target.port}",
    ])
    ask_api = lambda p, context: exchange(("127.0.0.1", p.api_port), request("GET /api/routes", f"Authorization: token {TOKEN}"), tls=context)

    def guarded(p):
        try:
            return ask_api(p, believing)
        except OSError:
            return "refused"

    case("tls: request to a TLS target", proxies, lambda p: public(p, "GET /x", tls=believing, host="localhost"))
    case("tls: Host that is not on the target's certificate", proxies, lambda p: public(p, "GET /x", tls=believing), see=without_footer)
    case("tls: API with a certificate", proxies, lambda p: ask_api(p, knowing))
    case("tls: API without a certificate", proxies, guarded, see=lambda a: "refused" if isinstance(a, str) else a)
    comparison.end(proxies)
    proxies = comparison.both([*files("ssl", "server"), "--default-target", f"https://127.0.0.1:{target.port}"])
    case("tls: target of an unknown authority", proxies, lambda p: public(p, "GET /x", tls=believing), see=without_footer)
    comparison.end(proxies)
    # Each its own port: both run at once.
    for at, (name, command) in enumerate(comparison.programs):
        port = free_port()
        one = Proxy(name, command, [*files("ssl", "server"), "--redirect-port", port, "--redirect-to", "8443"], tempfile.mkdtemp(dir=SCRATCH), free_port(),
                    lambda p: [("127.0.0.1", port)], {"CONFIGPROXY_AUTH_TOKEN": TOKEN})
        answer = exchange(("127.0.0.1", port), request("GET /a/b?c=d", host="hub.example:8080"))
        said = (answer["status"], dict(answer["headers"]).get("location"))
        _, log = one.stop()
        assert said == (301, "https://hub.example:8443/a/b?c=d"), (name, answer)
        assert "Added HTTP to HTTPS redirection" in log, log


def command_lines(comparison):
    """Exit status of command lines that are wrong."""
    def status(program, arguments):
        done = subprocess.run([*program, *arguments], capture_output=True, timeout=LIMIT_S, text=True)
        return done.returncode, ("colon was expected" in done.stderr, bool(done.stdout + done.stderr))

    for arguments in (
        ["--nonsense"], ["--port"], ["extra"], ["--socket", "/tmp/x", "--port", "8000"], ["--redirect-port", "8080"],
        ["--error-path", "/e", "--error-target", "http://h"], ["--custom-header", "nonsense"], ["--version"], ["-V"], ["--help"], ["-h"],
    ):
        one, other = TWO.map(lambda named: status(named[1], arguments), comparison.programs)
        check(comparison, f"command line {' '.join(arguments)}", one, other)


def check(comparison, name, one, other):
    comparison.count += 1
    if one != other:
        comparison.unexpected.append(name)
        print(f"DIFFERS  {name}\n    {one}\n    {other}")


def without_footer(answer):
    """Our pages say who we are."""
    if isinstance(answer, dict) and isinstance(answer["body"], str):
        heading = re.search(r"<h1>(.*?)</h1>", answer["body"])
        answer["body"] = heading[1] if heading else answer["body"]
    return answer


if __name__ == "__main__":
    main()
