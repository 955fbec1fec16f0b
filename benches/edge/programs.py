"""Everybody who is started: the upstream, the peers with their configurations, and Slipway.

A program is known by its process tree; what it is asked to do is in lines.
"""

import contextlib, json, os, pathlib, re, shutil, signal, socket, ssl, subprocess, sys, threading, time

from edge.client import PASSWORD, ask, connect, read_answer, request_of, sign_in

DRIVER = pathlib.Path(__file__).resolve().parent.parent / "edge.py"
SHM = pathlib.Path("/dev/shm/slipway-bench")  # all that is written while measuring: no disk is measured
TICKS = os.sysconf("SC_CLK_TCK")
WORKERS = os.cpu_count()  # of everybody; it is Slipway's default
UPSTREAM_PORT, PORTS = 19000, {"nginx": 19441, "haproxy": 19442, "chp": 19443, "traefik": 19445}
SLIPWAY_PORT = 19450  # and those after it, one for each instance
READY_LIMIT_S = 90
SCRAPE_INTERVAL_S = 2  # Prometheus' own default is 60, most people set 15
PEERS = ["nginx", "haproxy", "traefik", "chp"]
VARIANTS = {"slipway-log": "access log on (`log.access = \"json\"`)", "slipway-unix": "upstream by Unix socket"}


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
            if text:
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        return total

    @contextlib.contextmanager
    def watched(self):
        """As its operator has it watched while it works: nothing for the peers."""
        yield

    def end(self):
        # Nothing of it is wanted any more, and some would wait for their connections first.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()


def without_conf():
    return {key: value for key, value in os.environ.items() if key != "OPENSSL_CONF"}


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
worker_processes {WORKERS}; pid {run}/up.pid; error_log {run}/up.err; daemon off; worker_rlimit_nofile 65535;
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
    echo = Program("echo", 0, [sys.executable, str(DRIVER), "--echo", str(run / "echo.sock")], run)
    return [upstream, echo]


def start_peer(name, run, cache, port=None):
    port = port or PORTS[name]
    if name == "nginx":
        (run / f"nginx-{port}.conf").write_text(f"""
worker_processes {WORKERS}; pid {run}/ng-{port}.pid; error_log {run}/ng.err; daemon off; worker_rlimit_nofile 65535;
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
  nbthread {WORKERS}
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
    program = Program(name, port, command, run, {"GOMAXPROCS": str(WORKERS)})
    try:
        wait_until_it_serves(program)
    except BaseException:
        program.end()
        raise
    return program


def wait_until_it_serves(program):
    """Traefik listens before it has read its certificate and routes."""
    wait_for_port(program)
    until = time.monotonic() + 30
    while True:
        try:
            if ask(program, "GET", "/user/admin/1k")[0] == 200:
                return
        except OSError:
            pass
        if time.monotonic() > until:
            raise SystemExit(f"edge.py: {program.name} does not serve; see {program.log.name}")
        time.sleep(0.05)


def check_tls(program, run):
    """Nobody is measured with another protocol, cipher or certificate than the rest."""
    with connect(program.port) as tls:
        cipher, certificate = tls.cipher(), tls.getpeercert(binary_form=True)
    if cipher[:2] != ("TLS_AES_256_GCM_SHA384", "TLSv1.3"):
        raise SystemExit(f"edge.py: {program.name} speaks {cipher[1]} with {cipher[0]}; is OPENSSL_CONF set? (see edge.sh)")
    if certificate != ssl.PEM_cert_to_DER_cert((run / "cert.pem").read_text()):
        raise SystemExit(f"edge.py: {program.name} has another certificate")


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
        self.metrics_token, self.scrapes_s, self.scrape_failure, self.people = "", [], None, []
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
        last_seeded = [f"u{routes - 2:05}"] if routes > 1 else []
        for user in ["admin", *last_seeded]:
            while (status := ask(self, "GET", f"/user/{user}/1k")[0]) != 200:
                if time.monotonic() > started + READY_LIMIT_S:
                    raise SystemExit(f"edge.py: {name}: the server of {user} answers {status}; see {self.log.name}")
                time.sleep(0.1)

    def told(self, *arguments, said=""):
        """Runs a command of the same program beside it, and returns what it prints."""
        variables = without_conf() | {"SLIPWAY_DATA_DIR": str(self.folder / "data")}
        return subprocess.run([self.options.slipway, *arguments], check=True, env=variables, input=said,
                              stdout=subprocess.PIPE, text=True).stdout

    def add_user(self, name):
        self.told("user", "add", name, "--password-stdin", said=PASSWORD + "\n")

    @contextlib.contextmanager
    def watched(self):
        """Prometheus reads its figures meanwhile, more often than it usually does."""
        if not self.metrics_token:
            self.metrics_token = self.told("token", "add", "admin", "--scope", "read:metrics").strip()
        is_over = threading.Event()
        scraper = threading.Thread(target=self.scrape_until, args=(is_over,))
        scraper.start()
        try:
            yield
        finally:
            is_over.set()
            scraper.join()

    def scrape_until(self, is_over):
        more = f"Authorization: token {self.metrics_token}\r\n"
        try:
            with connect(self.port) as tls:
                while True:
                    began = time.monotonic()
                    tls.sendall(request_of(self, "/hub/metrics", more=more))
                    status, _, body = read_answer(tls)
                    if status != 200:
                        raise OSError(f"/hub/metrics answers {status}: {body[:200]!r}")
                    self.scrapes_s.append(time.monotonic() - began)
                    if is_over.wait(SCRAPE_INTERVAL_S):
                        return
        except (OSError, ValueError) as error:
            self.scrape_failure = error


class Api:
    """The REST API of Slipway over one connection that stays open, as an administrator's program has it."""

    def __init__(self, program):
        self.program = program
        self.token = program.told("token", "add", "admin").strip()
        self.tls = connect(program.port)

    def post(self, path, body=None):
        more = f"Authorization: token {self.token}\r\nContent-Type: application/json\r\n"
        data = json.dumps(body).encode() if body is not None else b"{}"
        self.tls.sendall(request_of(self.program, f"/hub/api{path}", "POST", more, data))
        status, _, answer = read_answer(self.tls)
        if status not in (200, 201, 202):
            raise RuntimeError(f"POST {path} is answered with {status}: {answer[:300]!r}")

    def close(self):
        self.tls.close()
