"""What is measured, as it runs: Slipway, JupyterHub, and the bare engine; and what one may ask of their processes."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from browser import Browser

HERE = pathlib.Path(__file__).parent
PREFIX = "slipwayfigures"
# One for each: a stack that leaves half-closed connections behind makes the kernel ask in vain for the old container's
# address (ARP), and the next container with that address waits up to a second for the next question.
NETWORKS = {"slipway": "slipwayfigures", "jupyterhub": "slipwayfigureshub", "bare": "slipwayfiguresbare"}
PASSWORD = "a long enough password"
INSTANT = "slipway-instant:test"
VOLUMES = {"home": "/home/jovyan", "workspace": "/home/jovyan/work", "cache": "/home/jovyan/.cache"}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def remove_containers(prefix=PREFIX):
    there = docker("ps", "-aq", "--no-trunc", "--filter", f"name=^/?{prefix}-").split()
    if there:
        subprocess.run(["docker", "rm", "-f", "-v", *there], capture_output=True, check=False)


def clean():
    """Removes what this bench calls its own."""
    for prefix in (PREFIX, PREFIX + "lab", PREFIX + "hub", PREFIX + "bare", PREFIX + "adopt"):
        remove_containers(prefix)
    volumes = [name for name in docker("volume", "ls", "-q").split() if name.startswith(PREFIX)]
    if volumes:
        subprocess.run(["docker", "volume", "rm", *volumes], capture_output=True, check=False)
    subprocess.run(["docker", "network", "rm", *NETWORKS.values()], capture_output=True, check=False)


def make_network(stack):
    """Makes a stack's network and returns this host's address on it."""
    docker("network", "create", NETWORKS[stack])
    return docker("network", "inspect", NETWORKS[stack], "--format", "{{(index .IPAM.Config 0).Gateway}}")


def wait_for_port(port, process, limit_s=60):
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the program ended at once with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.002)
    raise RuntimeError(f"nothing listens on port {port}")


def status_kib(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def cpu_s(pid):
    """User and system time of all threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Tap:
    """The engine's socket with a clock in it."""

    def __init__(self, folder, name):
        self.socket, self.log = folder / f"{name}.sock", folder / f"{name}.calls"
        self.process = subprocess.Popen([sys.executable, HERE / "engine_tap.py", self.socket, self.log])
        while not self.socket.exists():
            time.sleep(0.01)

    def calls(self, begin, end):
        """Engine calls between two moments: begin, end, method, path."""
        if not self.log.exists():
            return []
        rows = [line.split(" ") for line in self.log.read_text(encoding="ascii").splitlines()]
        return [(float(b), float(e), m, p) for b, e, m, p in rows if begin <= float(b) and float(e) <= end]

    def engine_s(self, begin, end):
        """Time in the engine's create and start."""
        calls = self.calls(begin, end)
        paths = [(e - b, p.split("?")[0]) for b, e, m, p in calls if m == "POST"]
        return sum(took for took, path in paths if path.endswith(("/containers/create", "/start")))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Slipway:
    def __init__(self, binary, folder, prefix, settings=None, socket_path="/var/run/docker.sock"):
        self.binary, self.folder = binary, folder
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "SLIPWAY_DATA_DIR": str(folder / "data"),
            "SLIPWAY_CERTS_DIR": str(folder / "certs"),
            "SLIPWAY_LISTENER_HTTPS": f"127.0.0.1:{self.port}",
            "SLIPWAY_ADMIN_PASSWORD": PASSWORD,
            "SLIPWAY_SPAWNER_BACKEND": "docker",
            "SLIPWAY_SPAWNER_DOCKER_HOST": f"unix://{socket_path}",
            "SLIPWAY_SPAWNER_DOCKER_IMAGE": INSTANT,
            "SLIPWAY_SPAWNER_DOCKER_NAME_PREFIX": prefix,
            "SLIPWAY_SPAWNER_DOCKER_NETWORK": NETWORKS["slipway"],
            "SLIPWAY_HUB_BIND": f"auto:{free_port()}",
            **(settings or {}),
        }
        self.process = None

    def run(self):
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([self.binary, "serve"], cwd=self.folder, env=self.environment,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def serve(self):
        self.run()
        wait_for_port(self.port, self.process)
        return self

    def add_user(self, name):
        subprocess.run([self.binary, "user", "add", name, "--password-stdin"], cwd=self.folder, env=self.environment,
                       input=PASSWORD + "\n", text=True, check=True, capture_output=True)

    def browser(self):
        return Browser(self.port)

    def signed_in(self, name):
        browser = self.browser()
        browser.sign_in(name, PASSWORD)
        return browser

    def pids(self):
        return [self.process.pid]

    def memory_kib(self):
        return status_kib(self.process.pid, "VmRSS")

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    stop = kill


class JupyterHub:
    def __init__(self, cache, folder, gateway, prefix, socket_path="/var/run/docker.sock"):
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                       check=True, capture_output=True)
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "DOCKER_HOST": f"unix://{socket_path}",
            "FIGURES_FOLDER": str(folder), "FIGURES_PORT": str(self.port), "FIGURES_HUB_PORT": str(free_port()),
            "FIGURES_PROXY_PORT": str(free_port()), "FIGURES_GATEWAY": gateway, "FIGURES_PREFIX": prefix,
            "FIGURES_NETWORK": NETWORKS["jupyterhub"], "FIGURES_CHP": str(cache / "chp/node_modules/.bin/configurable-http-proxy"),
        }
        log = open(folder / "log", "ab")
        self.process = subprocess.Popen([cache / "jupyterhub/bin/jupyterhub", "-f", HERE / "jupyterhub_config.py"],
                                        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_port(self.port, self.process)
        # The proxy listens before its hub does.
        until = time.monotonic() + 60
        while self.browser().request("GET", "/hub/login", {}).status != 200:
            if time.monotonic() > until:
                raise RuntimeError("JupyterHub never showed its sign-in page")
            time.sleep(0.1)

    def browser(self):
        return Browser(self.port)

    def signed_in(self, name):
        browser = self.browser()
        browser.sign_in(name, PASSWORD)
        browser.go("/hub/home")
        return browser

    def pids(self):
        """The hub and its proxy."""
        return [self.process.pid, int((self.folder / "proxy.pid").read_text(encoding="ascii").split()[0])]

    def memory_kib(self):
        return [status_kib(pid, "VmRSS") for pid in self.pids()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bare:
    """Create, start and the first answer, straight through the engine's API: what nobody can be faster than."""

    class Connection(http.client.HTTPConnection):
        def __init__(self, path):
            super().__init__("localhost")
            self.path = str(path)

        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.connect(self.path)

    def __init__(self, tap):
        self.connection = self.Connection(tap.socket)

    def call(self, method, path, body=None):
        self.connection.request(method, "/v1.41" + path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {text!r}")
        return json.loads(text) if text else None

    def start(self, name):
        name = f"{PREFIX}bare-{name}"
        binds = [f"{name}_{volume}:{path}" for volume, path in VOLUMES.items()]
        begin = time.monotonic()
        created = self.call("POST", f"/containers/create?name={name}",
                            {"Image": INSTANT, "HostConfig": {"Binds": binds, "NetworkMode": NETWORKS["bare"]}})
        self.call("POST", f"/containers/{created['Id']}/start")
        there = self.call("GET", f"/containers/{created['Id']}/json")
        address = there["NetworkSettings"]["Networks"][NETWORKS["bare"]]["IPAddress"]
        while True:
            try:
                connection = http.client.HTTPConnection(address, 8888, timeout=5)
                connection.request("GET", "/api")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                time.sleep(0.001)
        end = time.monotonic()
        connection.close()
        self.call("DELETE", f"/containers/{created['Id']}?force=true")
        return begin, end
