#!/usr/bin/env python3
"""The driver behind benches/edge.sh: starts everybody, measures in rounds, writes results.md and results.svg.

The figure of every line is what one unit of work costs the proxy's whole process tree (utime and stime of
/proc/PID/stat). Load, proxy and upstream share the machine, so only ratios within one round count: rounds are
interleaved and every second one is reversed. Standard library only.
"""

import argparse, asyncio, datetime, json, os, pathlib, re, shutil, signal, socket, ssl, statistics, subprocess
import sys, time, urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
UPSTREAM_PORT, PORTS = 19000, {"nginx": 19441, "haproxy": 19442, "chp": 19443, "traefik": 19445}
SLIPWAY_PORT = 19450  # and those after it, one for each variant
PASSWORD = "a long enough password for a benchmark"
PEERS = ["nginx", "haproxy", "traefik", "chp"]
SHM = pathlib.Path("/dev/shm/slipway-bench")


# ---- programs ----------------------------------------------------------------------------------------------

class Program:
    """One started program, known by its process tree."""

    def __init__(self, name, port, command, run, environment=None):
        self.name, self.port, self.cookie, self.user = name, port, "", "admin"
        self.log = open(run / f"{name}.log", "ab")
        # Clients are held to one cipher by OPENSSL_CONF; servers keep their own defaults.
        variables = without_conf() | (environment or {})
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=self.log, env=variables, start_new_session=True)

    def url(self, path):
        return f"https://127.0.0.1:{self.port}/user/{self.user}/{path}"

    def headers(self):
        return ["-H", f"Cookie: {self.cookie}"] if self.cookie else []

    def tree(self):
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = stat_of(entry)
                if fields:
                    parents.setdefault(int(fields[1]), []).append(int(entry))
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += parents.get(pid, [])
        return found

    def cpu_s(self):
        total = 0
        for pid in self.tree():
            fields = stat_of(pid)
            if fields:
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def pss_kib(self):
        total = 0
        for pid in self.tree():
            try:
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        return total

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()
        self.log.close()


def stat_of(pid):
    """The fields of /proc/PID/stat after the name: state, ppid, …"""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def wait_for_port(program, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if program.process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", program.port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"edge.py: {program.name} does not listen; see {program.log.name}")


def start_upstream(run):
    (SHM / "up").mkdir(parents=True, exist_ok=True)
    (SHM / "tmp").mkdir(exist_ok=True)
    os.chmod(SHM / "tmp", 0o777)
    os.chmod(SHM / "up", 0o777)
    for name, size in (("100k", 100 * 1024), ("100m", 100 * 1024 * 1024)):
        (SHM / "up" / name).write_bytes(os.urandom(size))
    (run / "up.conf").write_text(f"""
worker_processes 2; pid {run}/up.pid; error_log {run}/up.err; daemon off; worker_rlimit_nofile 65535;
events {{ worker_connections 16384; multi_accept on; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; tcp_nodelay on; sendfile on; tcp_nopush on;
 client_max_body_size 0; server_tokens off; open_file_cache max=100; default_type application/octet-stream;
 client_body_temp_path {SHM}/tmp;
 server {{ listen 127.0.0.1:{UPSTREAM_PORT} backlog=4096 reuseport; listen unix:{run}/up.sock;
  location / {{ return 200 "{'x' * 1024}"; }}
  location ~ ^/user/[^/]+/big/(.*)$ {{ alias {SHM}/up/$1; }}
  location ~ ^/user/[^/]+/put/(.*)$ {{ root {SHM}; rewrite ^/user/[^/]+/put/(.*)$ /up/put-$1 break; dav_methods PUT; }}
  location ~ ^/user/[^/]+/ws$ {{ proxy_pass http://unix:{run}/echo.sock; proxy_http_version 1.1; proxy_read_timeout 1h;
   proxy_set_header Connection upgrade; proxy_set_header Upgrade websocket; proxy_set_header Sec-WebSocket-Key $http_sec_websocket_key; }}
 }} }}
""")
    os.chmod(run, 0o755)
    upstream = Program("upstream", UPSTREAM_PORT, ["nginx", "-c", str(run / "up.conf")], run)
    wait_for_port(upstream)
    echo = Program("echo", 0, [sys.executable, str(HERE / "edge.py"), "--echo", str(run / "echo.sock")], run)
    return [upstream, echo]


def start_peer(name, run, cache, port=None):
    port = port or PORTS[name]
    if name == "nginx":
        (run / f"nginx-{port}.conf").write_text(f"""
worker_processes 2; pid {run}/ng-{port}.pid; error_log {run}/ng.err; daemon off; worker_rlimit_nofile 65535;
events {{ worker_connections 16384; multi_accept on; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 600s; tcp_nodelay on; sendfile on; server_tokens off; client_max_body_size 0;
 map $http_upgrade $conn_up {{ default upgrade; '' ''; }}
 upstream up {{ server 127.0.0.1:{UPSTREAM_PORT}; keepalive 512; keepalive_requests 100000000; keepalive_timeout 600s; }}
 ssl_certificate {run}/cert.pem; ssl_certificate_key {run}/key.pem; ssl_protocols TLSv1.3; ssl_session_cache shared:S:32m; ssl_session_tickets on; ssl_buffer_size 16k;
 server {{ listen 127.0.0.1:{port} ssl http2 backlog=4096 reuseport; http2_max_requests 100000000;
  location /user/ {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection $conn_up; proxy_set_header Upgrade $http_upgrade; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto https; proxy_buffer_size 8k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0; proxy_request_buffering off; proxy_read_timeout 1h; }}
 }} }}
""")
        command = ["nginx", "-c", str(run / f"nginx-{port}.conf")]
    elif name == "haproxy":
        (run / f"haproxy-{port}.cfg").write_text(f"""
global
  nbthread 2
  maxconn 8000
  tune.ssl.cachesize 20000
  tune.ssl.default-dh-param 2048
  ssl-default-bind-options ssl-min-ver TLSv1.3
  tune.bufsize 32768
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout tunnel 1h
  timeout http-keep-alive 600s
  option http-keep-alive
  http-reuse always
  no log
frontend f
  bind 127.0.0.1:{port} ssl crt {run}/both.pem alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto https
  option forwardfor
  use_backend b if {{ path_beg /user/ }}
  default_backend b
backend b
  server s1 127.0.0.1:{UPSTREAM_PORT} pool-max-conn 1024 maxconn 10000
""")
        command = ["haproxy", "-f", str(run / f"haproxy-{port}.cfg")]
    elif name == "traefik":
        (run / f"traefik-{port}.yml").write_text(f"""
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
entryPoints:
  web:
    address: "127.0.0.1:{port}"
    transport: {{ respondingTimeouts: {{ readTimeout: 0s, idleTimeout: 600s }} }}
    http2: {{ maxConcurrentStreams: 250 }}
serversTransport: {{ maxIdleConnsPerHost: 1024 }}
providers: {{ file: {{ filename: {run}/tdyn.yml }} }}
""")
        (run / "tdyn.yml").write_text(f"""
http:
  routers:
    r: {{ rule: "PathPrefix(`/user/`)", service: s, entryPoints: [web], tls: {{}} }}
  services:
    s: {{ loadBalancer: {{ passHostHeader: true, servers: [ {{ url: "http://127.0.0.1:{UPSTREAM_PORT}" }} ] }} }}
tls:
  stores: {{ default: {{ defaultCertificate: {{ certFile: {run}/cert.pem, keyFile: {run}/key.pem }} }} }}
  options: {{ default: {{ minVersion: VersionTLS13 }} }}
""")
        command = [str(cache / "venv/bin/traefik"), f"--configFile={run}/traefik-{port}.yml"]
    else:
        command = [str(cache / "node_modules/.bin/configurable-http-proxy"), "--ip", "127.0.0.1", "--port", str(port),
                   "--api-port", str(port + 100), "--ssl-key", str(run / "key.pem"), "--ssl-cert", str(run / "cert.pem"),
                   "--default-target", f"http://127.0.0.1:{UPSTREAM_PORT}", "--log-level", "error",
                   "--keep-alive-timeout", "600000"]
    return Program(name, port, command, run)


class Slipway(Program):
    """Slipway as its users run it: a real session, checked on every request, and `routes` routes."""
    count = 0

    def __init__(self, name, run, options, routes=10_000, upstream=None, access="off"):
        folder = run / name
        (folder / "certs").mkdir(parents=True)
        for file in ("cert.pem", "key.pem"):
            shutil.copy(run / file, folder / "certs")
        if routes > 1:
            subprocess.run([options.seed, str(folder / "data"), str(routes - 1)], check=True)
        port = SLIPWAY_PORT + Slipway.count
        Slipway.count += 1
        started = time.monotonic()
        super().__init__(name, port, [options.slipway, "serve"], run, {
            "SLIPWAY_DATA_DIR": str(folder / "data"), "SLIPWAY_CERTS_DIR": str(folder / "certs"),
            "SLIPWAY_LISTENER_HTTPS": f"127.0.0.1:{port}", "SLIPWAY_HUB_BIND": f"127.0.0.1:{port + 100}",
            "SLIPWAY_SPAWNER_BACKEND": "static", "SLIPWAY_ADMIN_PASSWORD": PASSWORD,
            "SLIPWAY_SPAWNER_STATIC_UPSTREAM": upstream or f"http://127.0.0.1:{UPSTREAM_PORT}",
            "SLIPWAY_LOG_ACCESS": access})
        self.options, self.folder, self.routes = options, folder, routes
        try:
            self.become_ready(started)
        except BaseException:
            self.end()
            raise
        self.ready_s = time.monotonic() - started

    def become_ready(self, started):
        routes, name = self.routes, self.name
        wait_for_port(self)
        self.cookie = sign_in(self.port, "admin")
        ask(self, "GET", "/hub/spawn", navigating=True)
        self.user = "admin"
        until = time.monotonic() + 30
        while ask(self, "GET", "/user/admin/1k")[0] != 200:
            if time.monotonic() > until:
                raise SystemExit(f"edge.py: {name}: the server of admin does not become ready; see {self.log.name}")
            time.sleep(0.1)
        for user in ("u00000", f"u{routes - 2:05}") if routes > 1 else ():
            while (status := ask(self, "GET", f"/user/{user}/1k")[0]) != 200:
                if time.monotonic() > started + 90:
                    raise SystemExit(f"edge.py: {name}: {user} answers {status}; see {self.log.name}")
                time.sleep(0.5)

    def add_user(self, name):
        variables = dict(os.environ, SLIPWAY_DATA_DIR=str(self.folder / "data"))
        subprocess.run([self.options.slipway, "user", "add", name, "--password-stdin"], check=True, env=variables,
                       input=(PASSWORD + "\n").encode(), stdout=subprocess.DEVNULL)


# ---- a small HTTPS client ----------------------------------------------------------------------------------

def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


CONTEXT = context()


def connect(port, session=None, made=CONTEXT):
    plain = socket.create_connection(("127.0.0.1", port), 10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made.wrap_socket(plain, server_hostname="localhost", session=session)


def read_head(tls):
    data = b""
    while b"\r\n\r\n" not in data:
        more = tls.recv(65536)
        if not more:
            break
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def read_answer(tls):
    head, body = read_head(tls)
    length = re.search(r"(?im)^content-length:\s*(\d+)", head)
    while length and len(body) < int(length.group(1)):
        more = tls.recv(65536)
        if not more:
            break
        body += more
    return int(head.split(" ", 2)[1]) if head else 0, head, body


def request_of(program, path, method="GET", more="", body=b"", cookie=None):
    cookie = program.cookie if cookie is None else cookie
    lines = f"{method} {path} HTTP/1.1\r\nHost: localhost:{program.port}\r\n{more}"
    if cookie:
        lines += f"Cookie: {cookie}\r\n"
    if body:
        lines += f"Content-Length: {len(body)}\r\n"
    return lines.encode() + b"\r\n" + body


def ask(program, method, path, navigating=False, more="", body=b"", cookie=None):
    if navigating:
        more += "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\nAccept: text/html\r\n"
    with connect(program.port) as tls:
        tls.sendall(request_of(program, path, method, more + "Connection: close\r\n", body, cookie))
        return read_answer(tls)


def cookies_of(head):
    return dict(re.findall(r"(?im)^set-cookie:\s*([^=;\s]+)=([^;\r\n]*)", head))


class Door:
    def __init__(self, port):
        self.port, self.cookie = port, ""


def sign_in(port, name):
    """Signs in through the page, as a browser does, and returns the cookies."""
    door = Door(port)
    status, head, page = ask(door, "GET", "/hub/login", navigating=True)
    jar = cookies_of(head)
    fields = [tag for tag in page.decode().split("<input") if 'name="_xsrf"' in tag]
    if status != 200 or not fields:
        raise SystemExit(f"edge.py: /hub/login answers {status}")
    token = re.search(r'value="([^"]*)"', fields[0]).group(1)
    form = urllib.parse.urlencode({"username": name, "password": PASSWORD, "_xsrf": token}).encode()
    more = f"Content-Type: application/x-www-form-urlencoded\r\nOrigin: https://localhost:{port}\r\n"
    door.cookie = "; ".join(f"{key}={value}" for key, value in jar.items())
    status, head, page = ask(door, "POST", "/hub/login", True, more, form)
    if status != 302:
        raise SystemExit(f"edge.py: sign-in of {name} is answered with {status}: {page[:300]!r}")
    jar.update(cookies_of(head))
    # The session alone: what every request of a browser carries besides is the same for everybody.
    return "; ".join(f"{key}={value}" for key, value in jar.items() if key.startswith("__Host-Http-slipway"))


# ---- lines: each returns what one unit of work cost ---------------------------------------------------------

def without_conf():
    return {key: value for key, value in os.environ.items() if key != "OPENSSL_CONF"}


def run(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stdout[-400:]}{done.stderr[-400:]}")
    return done.stdout


def wrk(program, path, connections, seconds, more=()):
    text = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *program.headers(), *more, program.url(path)])
    if "Non-2xx" in text or "Socket errors" in text and "timeout 0" not in text:
        raise RuntimeError(text)
    return int(re.search(r"(\d+) requests in", text).group(1))


def per_request_us(program, work):
    before = program.cpu_s()
    count = work()
    return (program.cpu_s() - before) * 1e6 / count


def line_1k_h1(program, options):
    wrk(program, "1k", 64, 1)
    return per_request_us(program, lambda: wrk(program, "1k", 64, options.seconds))


def line_100k(program, options):
    wrk(program, "big/100k", 32, 1)
    return per_request_us(program, lambda: wrk(program, "big/100k", 32, options.seconds))


def h2load(program, path, arguments):
    text = run(["h2load", "-t1", "--tls13-ciphers=TLS_AES_256_GCM_SHA384", *arguments, *program.headers(), program.url(path)])
    found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    if not found or any(int(bad) for bad in found.groups()[1:]) or int(found.group(1)) == 0:
        raise RuntimeError(text[-600:])
    return int(found.group(1))


def line_1k_h2(program, options):
    if program.name == "chp":
        return None  # speaks no HTTP/2
    count = 20_000 if options.quick else 60_000
    h2load(program, "1k", ["-n5000", "-c8", "-m16"])
    return per_request_us(program, lambda: h2load(program, "1k", [f"-n{count}", "-c8", "-m16"]))


def transfer(program, files, upload):
    urls = []
    for number in range(files):
        urls += ["-T", str(SHM / "up/100m"), program.url(f"put/{program.name}")] if upload else \
                ["-o", "/dev/null", program.url("big/100m")]
    run(["curl", "-skf", "--http1.1", *(["-H", "Expect:"] if upload else []), *program.headers(), *urls])
    if upload:
        (SHM / f"up/put-{program.name}").unlink()
    return files * 100 * 1024 * 1024 / 2**30


def line_download(program, options):
    files = 3 if options.quick else 6
    return per_request_us(program, lambda: transfer(program, files, False)) / 1e6


def line_upload(program, options):
    files = 3 if options.quick else 6
    return per_request_us(program, lambda: transfer(program, files, True)) / 1e6


def handshakes(program, count, resume):
    """One after the other, each a new connection and one request; returns how many there were."""
    made, session, resumed = context(), None, 0
    for _ in range(count):
        with connect(program.port, session if resume else None, made) as tls:
            tls.sendall(request_of(program, f"/user/{program.user}/1k", more="Connection: close\r\n"))
            if read_answer(tls)[0] != 200:
                raise RuntimeError(f"{program.name}: no 200 after a handshake")
            resumed += tls.session_reused
            session = tls.session
    if resume and resumed < count * 0.9 and program.name not in NOT_RESUMED:
        NOT_RESUMED[program.name] = f"{resumed} of {count}"
    return count


NOT_RESUMED = {}


def line_handshake(program, options):
    return per_request_us(program, lambda: handshakes(program, 300 if options.quick else 1500, False))


def line_resumed(program, options):
    return per_request_us(program, lambda: handshakes(program, 300 if options.quick else 1500, True))


def paced(program, options, seconds):
    """2,000 requests/s over 40 connections: p50 and p99 in ms, and CPU in µs per request."""
    log = options.run / f"{program.name}.latency"
    log.unlink(missing_ok=True)
    before = program.cpu_s()
    h2load(program, "1k", ["--h1", "-c40", "--rps=50", f"-D{seconds}", f"--log-file={log}"])
    times = sorted(int(row.split("\t")[2]) for row in log.read_text().splitlines())
    cpu = (program.cpu_s() - before) * 1e6 / len(times)
    return times[len(times) // 2] / 1000, times[int(len(times) * 0.99)] / 1000, cpu


def line_p50(program, options):
    return paced(program, options, options.seconds)[0] * 1000


def line_sign_in(program, options):
    """p99 while 50 people sign in, as a multiple of the quiet p99 just before. Slipway alone knows people."""
    if not isinstance(program, Slipway):
        return None
    if not getattr(program, "people", None):
        program.people = [f"person{number}" for number in range(50)]
        for name in program.people:
            program.add_user(name)
    quiet = paced(program, options, 3)[1]
    signing = subprocess.Popen([sys.executable, str(HERE / "edge.py"), "--sign-in", str(program.port), *program.people])
    busy = paced(program, options, 3)[1]
    if signing.wait() != 0:
        raise RuntimeError("the sign-ins failed")
    EXTRA.setdefault("sign-in p99 ms, quiet → busy", []).append(f"{quiet:.1f} → {busy:.1f}")
    return busy / quiet


EXTRA = {}


def websocket(program, path):
    tls = connect(program.port)
    more = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://localhost:{program.port}\r\n")
    tls.sendall(request_of(program, path, more=more))
    head, rest = read_head(tls)
    if " 101 " not in head.split("\r\n")[0] + " " or rest:
        raise RuntimeError(f"{program.name}: no WebSocket: {head[:200]}")
    return tls


FRAME = b"\x81\x94" + bytes(4) + b"x" * 20  # masked with zeroes
ECHO = b"\x81\x14" + b"x" * 20


def echo_once(tls):
    tls.sendall(FRAME)
    data = b""
    while len(data) < len(ECHO):
        more = tls.recv(4096)
        if not more:
            raise RuntimeError("a WebSocket closed")
        data += more


def line_websocket(program, options):
    sockets = [websocket(program, f"/user/{program.user}/ws") for _ in range(64)]

    def work():
        until, count = time.monotonic() + options.seconds, 0
        while time.monotonic() < until:
            # All 64 are on their way at once.
            for tls in sockets:
                tls.sendall(FRAME)
            for tls in sockets:
                got = 0
                while got < len(ECHO):
                    got += len(tls.recv(4096))
            count += len(sockets)
        return count

    result = per_request_us(program, work)
    for tls in sockets:
        tls.close()
    return result


def users_of(program):
    """Several servers, since one takes 1,024 connections by default."""
    return ["u00000", "u00001", "u00002"] if isinstance(program, Slipway) and program.routes > 3 else [program.user]


def growth_kib(measured, options, open_one):
    """Growth of PSS per connection, in a fresh program: one that has been busy has free memory to hand out."""
    count = 500 if options.quick else 2000
    if isinstance(measured, Slipway):
        program = Slipway(f"slipway-fresh-{Slipway.count}", options.run, options, routes=10)
    else:
        program = start_peer(measured.name, options.run, options.cache.resolve(), PORTS[measured.name] + 1000)
        wait_for_port(program)
    try:
        users = users_of(program)
        # What is made once, whatever the number of connections, is there before.
        for tls in [open_one(program, users[0]) for _ in range(32)]:
            tls.close()
        time.sleep(0.5)
        before = program.pss_kib()
        sockets = [open_one(program, users[number % len(users)]) for number in range(count)]
        time.sleep(1.5)
        grown = program.pss_kib() - before
        for tls in sockets:
            tls.close()
    finally:
        program.end()
    return grown / count


def line_idle(program, options):
    def open_one(fresh, user):
        tls = connect(fresh.port)
        tls.sendall(request_of(fresh, f"/user/{user}/1k"))
        if read_answer(tls)[0] != 200:
            raise RuntimeError(f"{fresh.name}: no 200")
        return tls
    return growth_kib(program, options, open_one)


def line_idle_websocket(program, options):
    def open_one(fresh, user):
        tls = websocket(fresh, f"/user/{user}/ws")
        echo_once(tls)
        return tls
    return growth_kib(program, options, open_one)


SOCKET_CALLS_LIMIT = 4.2
SOCKET_CALLS = {"read", "readv", "write", "writev", "recvfrom", "recvmsg", "sendto", "sendmsg", "sendfile", "splice"}


def line_syscalls(program, options):
    """Socket calls per request at 64 connections. Two runs differ by their requests alone: the difference holds no
    handshake and no first connection to the upstream."""
    wrk(program, "1k", 64, 1)
    short, few = traced(program, options, 1)
    long, many = traced(program, options, 3 if options.quick else 5)
    each = {name: (count - short.get(name, 0)) / (many - few) for name, count in long.items()}
    most = sorted(each.items(), key=lambda item: -item[1])[:6]
    EXTRA[f"system calls per request, {program.name}"] = [", ".join(f"{name} {count:.2f}" for name, count in most)]
    figure = sum(count for name, count in each.items() if name in SOCKET_CALLS)
    if isinstance(program, Slipway) and figure > SOCKET_CALLS_LIMIT:
        FAILED.append(f"{figure:.2f} socket calls per request, more than {SOCKET_CALLS_LIMIT}")
    return figure


def traced(program, options, seconds):
    """All system calls of the program by name while wrk runs, and wrk's requests."""
    out = options.run / f"{program.name}.strace"
    pids = [argument for pid in program.tree() for argument in ("-p", str(pid))]
    strace = subprocess.Popen(["strace", "-c", "-f", "-qq", "-o", str(out), *pids], stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    requests = wrk(program, "1k", 64, seconds)
    strace.send_signal(signal.SIGINT)
    strace.wait()
    calls = {}
    for row in out.read_text().splitlines():
        fields = row.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    return calls, requests


class Line:
    def __init__(self, key, title, unit, work, goals="", once=False, variants=False):
        self.key, self.title, self.unit, self.work = key, title, unit, work
        self.goals, self.once, self.variants = goals, once, variants


LINES = [
    Line("h1", "1 KiB, HTTP/1.1, 64 connections", "CPU µs per request", line_1k_h1,
         {"nginx": 1.25, "haproxy": 1.4, "traefik": 4, "chp": 12}, variants=True),
    Line("h2", "1 KiB, HTTP/2, 8 × 16 streams", "CPU µs per request", line_1k_h2,
         {"nginx": 1.25, "haproxy": 1.0, "traefik": 5}),
    Line("100k", "100 KiB, HTTP/1.1, 32 connections", "CPU µs per request", line_100k, {"nginx": 1.4}),
    Line("handshake", "full handshake and one request", "CPU µs per connection", line_handshake,
         {"nginx": 1.8, "traefik": 1.7}),
    Line("resumed", "resumed handshake and one request", "CPU µs per connection", line_resumed),
    Line("syscalls", "socket calls, 64 connections (goal ≤ 4.2)", "calls per request", line_syscalls, once=True),
    Line("idle", "idle keep-alive connection (goal ≤ 20)", "KiB each (PSS)", line_idle, once=True),
    Line("idle-ws", "idle WebSocket after one echo (goal ≤ 20)", "KiB each (PSS)", line_idle_websocket, once=True),
    Line("down", "100 MiB download, one connection", "CPU s per GiB", line_download, {"nginx": 1.4}),
    Line("up", "100 MiB upload, one connection", "CPU s per GiB", line_upload,
         {"nginx": 1.7, "haproxy": 1.4, "traefik": 1.3}),
    Line("p50", "2,000 requests/s over 40 connections: p50 (goal: lowest)", "µs", line_p50),
    Line("ws", "WebSocket echo, 64 connections", "CPU µs per round trip", line_websocket),
    Line("sign-in", "p99 at 2,000/s while 50 people sign in (goal ≤ 2)", "× quiet p99", line_sign_in),
]


# ---- results ------------------------------------------------------------------------------------------------

def median(values):
    return statistics.median(values)


def shown(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def spread(values):
    if len(values) == 1:
        return shown(values[0])
    return f"{shown(median(values))} ({shown(min(values))}..{shown(max(values))})"


def ratios(results, line, peer):
    """Peer / Slipway of the same round, where both have a figure."""
    ours, theirs = results[line].get("slipway", {}), results[line].get(peer, {})
    return [theirs[number] / ours[number] for number in ours if number in theirs and ours[number] > 0]


def write_results(options, results, rounds, versions, routes, took_s):
    names = ["slipway", *[peer for peer in PEERS if peer in options.peers]]
    load = os.getloadavg()
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    out = ["# The edge beside its peers", ""]
    if options.quick or options.note:
        out += [f"**{options.note or 'A quick run: few, short rounds. Ratios are indications.'}**", ""]
    out += [f"{datetime.date.today()} · {os.cpu_count()} cores, {cpu.group(1) if cpu else '?'}, Linux {os.uname().release} · "
            f"load at the start {options.load[0]:.1f}, at the end {load[0]:.1f} · took {took_s:.0f} s", "",
            " · ".join(versions), "",
            "Written by `benches/edge.sh`; how and why is in [README.md](README.md). Slipway checks a session on every request and "
            "has 10,000 routes, its peers proxy everything to one place. CPU is that of the program's whole process tree.", "",
            "## Cost", "", "| work | unit | " + " | ".join(names) + " |", "| --- | --- |" + " --- |" * len(names)]
    for line in LINES:
        if line.key in results:
            cells = [spread(list(results[line.key][name].values())) if results[line.key].get(name) else "–" for name in names]
            out.append(f"| {line.title} | {line.unit} | " + " | ".join(cells) + " |")
    out += ["", "## Peer / Slipway in the same round, median (min..max)", "",
            "Above 1: Slipway costs less. A goal that was not met is marked ✗.", "",
            "| work | rounds | " + " | ".join(names[1:]) + " |", "| --- | --- |" + " --- |" * (len(names) - 1)]
    for line in LINES:
        if line.key in results and any(ratios(results, line.key, peer) for peer in names[1:]):
            cells = []
            for peer in names[1:]:
                found = ratios(results, line.key, peer)
                goal = line.goals.get(peer) if line.goals else None
                mark = "" if goal is None or not found else f", goal {goal}" + (" ✓" if median(found) >= goal else " ✗")
                cells.append(spread(found) + mark if found else "–")
            out.append(f"| {line.title} | {len(results[line.key].get('slipway', {}))} | " + " | ".join(cells) + " |")
    variants = [name for name in results.get("h1", {}) if name.startswith("slipway-")]
    if variants:
        out += ["", "## Slipway otherwise (1 KiB, HTTP/1.1)", "", "| setting | CPU µs per request | × the default, same round |", "| --- | --- | --- |"]
        base = results["h1"]["slipway"]
        for name in variants:
            found = results["h1"][name]
            pairs = [found[number] / base[number] for number in found if number in base]
            out.append(f"| {VARIANTS[name]} | {spread(list(found.values()))} | {spread(pairs)} |")
    if routes:
        out += ["", "## Routes", "", "| routes | CPU µs per request (1 KiB, HTTP/1.1) | resident MiB (PSS) | ready after the start, s |", "| --- | --- | --- | --- |"]
        out += [f"| {count:,} | {spread(cpu)} | {pss / 1024:.1f} | {ready:.1f} |" for count, cpu, pss, ready in routes]
    if EXTRA or NOT_RESUMED:
        out += ["", "## Beside it", ""]
        out += [f"- {key}: {'; '.join(values)}" for key, values in EXTRA.items()]
        out += [f"- not all handshakes were resumed by {name}: {text}" for name, text in NOT_RESUMED.items()]
    out += ["", "![Ratios](results.svg)", ""]
    (options.out / "results.md").write_text("\n".join(out))
    (options.out / "results.svg").write_text(chart(results, names[1:], rounds))


def chart(results, peers, rounds):
    """Bars of peer / Slipway on a logarithmic scale, whiskers from least to most."""
    import math
    rows = [(line, [(peer, ratios(results, line.key, peer)) for peer in peers]) for line in LINES if line.key in results]
    rows = [(line, [(peer, found) for peer, found in bars if found]) for line, bars in rows]
    rows = [(line, bars) for line, bars in rows if bars]
    left, width, bar, gap = 330, 520, 13, 14
    colours = {"nginx": "#2f855a", "haproxy": "#2b6cb0", "traefik": "#b7791f", "chp": "#9b2c2c"}
    low, high = math.log(0.5), math.log(20)
    at = lambda value: left + (math.log(min(max(value, 0.5), 20)) - low) / (high - low) * width
    body, y = [], 58
    for line, bars in rows:
        body.append(f'<text x="{left - 12}" y="{y + len(bars) * bar / 2 + 4:.0f}" text-anchor="end">{line.title.split(" (goal")[0].split(":")[0]}</text>')
        for peer, found in bars:
            middle = median(found)
            start, end = sorted((at(1), at(middle)))
            body.append(f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="{bar - 3}" fill="{colours[peer]}"/>')
            body.append(f'<path d="M{at(min(found)):.1f} {y + 5}H{at(max(found)):.1f}" stroke="#1a202c" stroke-width="1"/>')
            body.append(f'<text x="{max(at(max(found)), end) + 5:.1f}" y="{y + 9}" font-size="10">{middle:.2f}</text>')
            y += bar
        y += gap
    grid = "".join(f'<path d="M{at(value):.1f} 44V{y}" stroke="{"#1a202c" if value == 1 else "#cbd5e0"}"/>'
                   f'<text x="{at(value):.1f}" y="{y + 14}" text-anchor="middle" font-size="10">{value:g}</text>'
                   for value in (0.5, 1, 2, 5, 10, 20))
    legend = "".join(f'<rect x="{left + number * 90}" y="24" width="10" height="10" fill="{colours[peer]}"/>'
                     f'<text x="{left + number * 90 + 14}" y="33" font-size="12">{peer}</text>' for number, peer in enumerate(peers))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 60}" height="{y + 24}" font-family="sans-serif" font-size="12" fill="#1a202c">'
            f'<rect width="100%" height="100%" fill="#ffffff"/><text x="{left}" y="16" font-weight="bold">Cost of a peer / cost of Slipway (right of 1: Slipway costs less)</text>'
            f'{legend}{grid}{"".join(body)}</svg>\n')


VARIANTS = {"slipway-log": "access log on (`log.access = \"json\"`)", "slipway-unix": "upstream by Unix socket"}


def versions_of(options):
    def first(command, pattern):
        done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(pattern, done.stdout + done.stderr)
        return found.group(1) if found else "?"
    traefik = str(options.cache / "venv/bin/traefik")
    chp = str(options.cache / "node_modules/.bin/configurable-http-proxy")
    wanted = [("Slipway", ["git", "rev-parse", "--short", "HEAD"], r"(\w+)"), ("nginx", ["nginx", "-v"], r"nginx/(\S+)"),
              ("haproxy", ["haproxy", "-v"], r"version (\S+)"), ("Traefik", [traefik, "version"], r"Version:\s*(\S+)"),
              ("configurable-http-proxy", [chp, "--version"], r"(\d\S*)"), ("node", ["node", "--version"], r"v(\S+)"),
              ("OpenSSL", ["openssl", "version"], r"OpenSSL (\S+)")]
    return [f"{name} {first(command, pattern)}" for name, command, pattern in wanted]


def measure(options, programs, results):
    wanted = [line for line in LINES if not options.only or line.key in options.only]
    rounds = [(number, line) for number in range(options.rounds) for line in wanted if not line.once]
    # What needs one look comes last: in a run that is out of time, the rounds are complete.
    for number, line in rounds + [(0, line) for line in wanted if line.once]:
        order = [program for program in programs if line.variants or program.name not in VARIANTS]
        if number % 2:
            order.reverse()
        for program in order:
            if options.quick and (number > 0 and line.key in ("down", "up", "ws", "p50", "sign-in") or
                                  line.key == "syscalls" and program.name not in ("slipway", "nginx")):
                continue
            if time.monotonic() > options.until:
                say("out of time: what is there is written")
                return
            try:
                value = line.work(program, options)
            except (RuntimeError, OSError) as error:
                say(f"round {number + 1} {line.key} {program.name}: {str(error).strip()[:300]}")
                FAILED.append(f"{line.key} {program.name}")
                continue
            if value is not None:
                results.setdefault(line.key, {}).setdefault(program.name, {})[number] = value
                say(f"round {number + 1} {line.key:9} {program.name:12} {shown(value)}")


FAILED = []


def say(text):
    print(text, flush=True)


def measure_routes(options):
    found = []
    programs = []
    try:
        for count in (1, 10_000, 100_000):
            try:
                programs.append(Slipway(f"routes-{count}", options.run, options, routes=count))
            except (OSError, SystemExit) as error:
                say(f"{count} routes: {error}")
                FAILED.append(f"{count} routes")
                continue
            say(f"{count} routes ready after {programs[-1].ready_s:.1f} s")
        values = {program.name: [] for program in programs}
        for number in range(2 if options.quick else options.rounds):
            for program in (programs if number % 2 == 0 else programs[::-1]):
                values[program.name].append(line_1k_h1(program, options))
        for program in programs:
            found.append((program.routes, values[program.name], program.pss_kib(), program.ready_s))
            say(f"{program.routes} routes: {spread(values[program.name])} µs, {program.pss_kib() / 1024:.1f} MiB")
    finally:
        for program in programs:
            program.end()
    return found


# ---- helpers that run as programs of their own ---------------------------------------------------------------

async def echo_server(path):
    """A WebSocket echo for short frames: answers what it was sent, unmasked."""
    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                         b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
            while True:
                head = await reader.readexactly(2)
                body = await reader.readexactly(4 + (head[1] & 127))
                writer.write(bytes((head[0], head[1] & 127)) + body[4:])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_unix_server(serve, path, backlog=4096)
    os.chmod(path, 0o777)
    await server.serve_forever()


def sign_in_all(port, names):
    import threading
    failed = []

    def one(name):
        try:
            sign_in(port, name)
        except (SystemExit, OSError) as error:
            failed.append(error)
    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(f"{len(failed)} of {len(names)}: {failed[0]}" if failed else 0)


def main():
    if sys.argv[1:2] == ["--echo"]:
        return asyncio.run(echo_server(sys.argv[2]))
    if sys.argv[1:2] == ["--sign-in"]:
        return sign_in_all(int(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two short rounds, under 4 minutes")
    parser.add_argument("--only", type=lambda text: text.split(","), help="lines: " + ", ".join(line.key for line in LINES) + ", routes")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=PEERS)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--note", help="a sentence at the head of results.md")
    parser.add_argument("--slipway", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = 1 if options.quick else 3
    options.load = os.getloadavg()
    started = time.monotonic()
    options.until = started + (200 if options.quick else 1380)
    options.slipway, options.seed = (str(pathlib.Path(path).resolve()) for path in (options.slipway, options.seed))
    # In memory, and open to the account of nginx's workers, who must pass through to the sockets.
    shm_run = SHM / "run"
    shutil.rmtree(SHM, ignore_errors=True)
    shm_run.mkdir(parents=True)
    os.chmod(SHM, 0o755)
    options.run = shm_run
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(shm_run / "key.pem"), "-out", str(shm_run / "cert.pem")], without_conf())
    (shm_run / "both.pem").write_text((shm_run / "cert.pem").read_text() + (shm_run / "key.pem").read_text())
    # Asked to end, it still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    programs, results, routes, helpers = [], {}, [], []
    try:
        helpers += start_upstream(shm_run)
        programs.append(Slipway("slipway", shm_run, options))
        say(f"slipway with 10,000 routes is ready after {programs[0].ready_s:.1f} s")
        if not options.only or "h1" in options.only:
            programs.append(Slipway("slipway-log", shm_run, options, access="json"))
            programs.append(Slipway("slipway-unix", shm_run, options, upstream=f"unix:{shm_run}/up.sock"))
        for name in options.peers:
            programs.append(start_peer(name, shm_run, options.cache.resolve()))
            wait_for_port(programs[-1])
        measure(options, programs, results)
        for program in programs:
            program.end()
        programs = []
        if not options.only or "routes" in options.only:
            if time.monotonic() < options.until:
                routes = measure_routes(options)
    finally:
        for program in programs + helpers:
            program.end()
    write_results(options, results, options.rounds, versions_of(options), routes, time.monotonic() - started)
    if not FAILED:
        shutil.rmtree(SHM, ignore_errors=True)
    say(f"{options.out / 'results.md'} after {time.monotonic() - started:.0f} s" + (f"; FAILED: {', '.join(FAILED)}" if FAILED else ""))
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
