"""What the rig attacks: Slipway, and the real peers beside it, each before an upstream of the rig's.

A subject has a door in the clear (for speed: a handshake costs Python more than a request) and, for Slipway, one with TLS; `alive()` says
whether the program still runs as it was started. Slipway's clear door is the one for trusted proxies, so that every request is checked
for its session there as it is behind TLS.
"""

import os
import re
import shutil
import ssl
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))

from malformed import Site  # noqa: E402
from rig import Browser, Folder, PASSWORD, Program, Slipway, free_port, listens, plain_environment  # noqa: E402

# Where benches/edge.sh keeps the real Traefik and configurable-http-proxy.
PEERS = Path(os.environ.get("RIG_PEERS", str(HERE.parent.parent / ".cache/bench")))


class Subject:
    """One program under test; `mark` is a header that it puts on every request that it sends on."""
    mark = "x-forwarded-for"

    def __init__(self, name, program, port, site, tls_port=None, secrets=()):
        self.name, self.program, self.port, self.site, self.tls_port, self.secrets = name, program, port, site, tls_port, secrets
        self.tls = None
        if tls_port:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE

    def alive(self):
        """None if it runs as it should, else what is wrong."""
        status = self.program.process.poll()
        if status is not None:
            return f"ended with {status}"
        found = re.search(r"panicked at .*", self.program.log(100_000))
        return found.group() if found else None

    def end(self):
        self.program.end()


class SlipwaySubject(Subject):
    """Slipway with a real session, whose server is the upstream of the rig."""

    def __init__(self, folder, upstream_port, **settings):
        plain = free_port()
        self.slipway = Slipway(folder, [], {
            "listener.http": [f"127.0.0.1:{plain}"], "listener.trusted_proxies": ["127.0.0.1"], "listener.connections_per_address": 16384,
            "listener.header_timeout_s": 3, "spawner.backend": "static", "spawner.static.upstream": f"http://127.0.0.1:{upstream_port}",
            "metrics.authenticate": False, "log.format": "json", **settings,
        })
        self.slipway.settings.pop("spawner.process.command")
        for key in [key for key in self.slipway.settings if key.startswith("spawner.process.")]:
            del self.slipway.settings[key]
        self.slipway.config = folder.write("slipway.toml", self.slipway.as_file(), 0o600)
        self.slipway.start()
        # TLS ends in front of us, says the proxy that we trust; the browser's half of the rig speaks TLS itself.
        self.browser = Browser(self.slipway.origin)
        self.browser.client.headers = {"X-Forwarded-Proto": "https"}
        self.secret, site = self.sign_in(self.browser, "admin")
        super().__init__("slipway", self.slipway.program, plain, site, self.slipway.port, (self.secret,))

    def sign_in(self, browser, name):
        """Signs somebody in, starts their server, and returns their session and their site."""
        browser.sign_in(name, PASSWORD)
        browser.send("GET", "/hub/spawn", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html"})
        self.slipway.program.wait_for(f"the route of {name}", lambda: browser.send("GET", f"/user/{name}/n000000_").status == 200)
        cookie, secret = next((key, value) for (key, _), value in browser.cookies.items() if key.startswith("__Host-Http-slipway"))
        headers = f"X-Forwarded-Proto: https\r\nCookie: {cookie}={secret}\r\n".encode()
        return secret, Site(f"127.0.0.1:{self.slipway.port}".encode(), f"/user/{name}/".encode(), headers)

    def site_of(self, name):
        """The site of another user, who is made for it."""
        self.slipway.add_user(name)
        browser = Browser(self.slipway.origin)
        browser.client.headers = dict(self.browser.client.headers)
        return self.sign_in(browser, name)[1]

    def figure(self, family, **labels):
        """The sum of a family's figures that carry `labels`."""
        page = self.browser.send("GET", "/hub/metrics").text()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in page.splitlines() if re.match(family + r"[{ ]", line) and all(label in line for label in wanted)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def alive(self):
        return super().alive() or (f"{self.figure('slipway_panics_total'):.0f} panics" if self.figure("slipway_panics_total") else None)


def peer(name, folder, upstream):
    """nginx, haproxy, traefik or chp before `upstream`, in the clear; None if it is not on this machine."""
    port = free_port()
    found = {"nginx": shutil.which("nginx"), "haproxy": shutil.which("haproxy"), "traefik": PEERS / "venv/bin/traefik",
             "chp": PEERS / "node_modules/.bin/configurable-http-proxy"}[name]
    if not found or not Path(found).exists():
        return None
    command = COMMANDS[name](str(found), folder, port, upstream)
    environment = plain_environment()
    environment["PATH"] = f"{HERE.parent.parent / '.cache/node/bin'}:{environment['PATH']}"
    program = Program(name, command, folder, environment)
    program.wait_for(f"{name} listens", lambda: listens(port))
    return Subject(name, program, port, Site(f"127.0.0.1:{port}".encode(), b"/user/admin/"))


def nginx(path, folder, port, upstream):
    config = folder.write("nginx.conf", f"""
daemon off; worker_processes 2; pid {folder / 'nginx.pid'}; error_log {folder / 'nginx.err'} crit; events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder / 'body'}; proxy_temp_path {folder / 'proxy'}; fastcgi_temp_path {folder / 'f'}; uwsgi_temp_path {folder / 'u'}; scgi_temp_path {folder / 's'};
 map $http_upgrade $to_upstream {{ default upgrade; '' ''; }}
 upstream up {{ server 127.0.0.1:{upstream}; keepalive 64; }}
 server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
   proxy_set_header Connection $to_upstream; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_request_buffering off; }} }} }}
""")
    return [path, "-c", str(config)]


def haproxy(path, folder, port, upstream):
    config = folder.write("haproxy.cfg", f"""
global
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
  option forwardfor
  http-reuse always
frontend f
  bind 127.0.0.1:{port} backlog 1024
  default_backend b
backend b
  server s1 127.0.0.1:{upstream}
""")
    return [path, "-f", str(config)]


def traefik(path, folder, port, upstream):
    rules = folder.write("traefik-rules.yml", f"""
http:
  routers: {{ r: {{ rule: "PathPrefix(`/`)", service: s }} }}
  services: {{ s: {{ loadBalancer: {{ servers: [ {{ url: "http://127.0.0.1:{upstream}" }} ] }} }} }}
""")
    config = folder.write("traefik.yml", f"""
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
entryPoints: {{ web: {{ address: "127.0.0.1:{port}" }} }}
providers: {{ file: {{ filename: {rules} }} }}
""")
    return [path, f"--configFile={config}"]


def chp(path, _folder, port, upstream):
    return [path, "--ip", "127.0.0.1", "--port", str(port), "--api-port", str(free_port()), "--default-target", f"http://127.0.0.1:{upstream}", "--log-level", "error"]


COMMANDS = {"nginx": nginx, "haproxy": haproxy, "traefik": traefik, "chp": chp}


# More than any buffer on the way takes.
LARGE_BYTES = 64 << 20


def quick_upstream(folder):
    """An nginx that answers everything with 200, and costs next to nothing beside what is measured; `…/large` is a long file, and
    `…/body` waits for the whole body."""
    port = free_port()
    with open(folder / "large", "wb") as large:
        large.truncate(LARGE_BYTES)
    config = folder.write("upstream.conf", f"""
daemon off; worker_processes 1; pid {folder / 'upstream.pid'}; error_log {folder / 'upstream.err'} crit; events {{ worker_connections 8192; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder / 'ub'}; proxy_temp_path {folder / 'up'}; fastcgi_temp_path {folder / 'uf'}; uwsgi_temp_path {folder / 'uu'}; scgi_temp_path {folder / 'us'};
 large_client_header_buffers 8 128k; server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "ok"; }}
  location ~ /large$ {{ alias {folder / 'large'}; }} location ~ /body$ {{ proxy_pass http://127.0.0.1:{port}; }} }} }}
""")
    program = Program("upstream", ["nginx", "-c", str(config)], folder, plain_environment())
    program.port = port
    program.wait_for("the upstream", lambda: listens(port))
    return program
