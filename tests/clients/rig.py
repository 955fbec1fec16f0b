"""What the tests with other people's programs share: programs that are started and stopped, an HTTP client that
shows everything, and a browser that keeps cookies and follows redirects.

Nothing here knows what is right: the stories beside this file do. Standard library only, so that any of the
environments of `requirements-*.txt` can run it.
"""

import atexit
import contextlib
import html.parser
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.parse
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
BINARY = os.environ.get("SLIPWAY_BINARY", str(REPOSITORY / "target/ci/slipway"))
# Where test.sh has put the environments; see `phase_clients` there.
VENVS = Path(os.environ.get("CLIENTS_VENVS", str(REPOSITORY / ".cache/clients")))
# Servers run as somebody else when we are root, as Slipway wants it: `nobody`, by number.
ACCOUNT = "65534:65534" if os.geteuid() == 0 else ""
PASSWORD = "a long enough password"
# A whole program on a busy two-core machine.
START_LIMIT_S = 90
# One answer; JupyterHub's own slow start takes 10 s.
ANSWER_LIMIT_S = 60
# Between two looks at a condition.
LOOK_INTERVAL_S = 0.05


def python_of(generation):
    """The Python of one environment: "6.1" or "5.4"."""
    return str(VENVS / f"hub{generation.replace('.', '')}" / "bin" / "python")


# ---- waiting ---------------------------------------------------------------------------------------------


class TooLate(AssertionError):
    """Something that was waited for never came."""


def until(what, condition, limit_s=START_LIMIT_S):
    """Waits until `condition()` is true, and returns what it returned."""
    end = time.monotonic() + limit_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise TooLate(f"not within {limit_s} s: {what}")
        time.sleep(LOOK_INTERVAL_S)


# ---- programs --------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port, host="127.0.0.1"):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


class Folder:
    """A folder for one story, which other accounts may walk through; it goes at the end."""

    def __init__(self, name):
        self.path = Path(tempfile.mkdtemp(prefix=f"slipway-{name}-"))
        self.path.chmod(0o755)
        if not os.environ.get("CLIENTS_KEEP"):
            atexit.register(shutil.rmtree, self.path, ignore_errors=True)

    def __truediv__(self, name):
        return self.path / name

    def write(self, name, text, mode=0o644):
        path = self.path / name
        path.write_text(text)
        path.chmod(mode)
        return path


class Program:
    """A process group of ours: started at once, ended at the latest when we end."""

    running = []

    def __init__(self, name, arguments, folder, environment, log=None):
        self.name, self.arguments, self.folder, self.environment = name, arguments, folder, environment
        self.log_path = log or folder / f"{name}.log"
        self.start()

    def start(self):
        log = open(self.log_path, "ab")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            self.arguments, cwd=self.folder.path, env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True,
        )
        log.close()
        Program.running.append(self)

    @property
    def pid(self):
        return self.process.pid

    def log(self, lines=60):
        text = Path(self.log_path).read_text(errors="replace") if Path(self.log_path).exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def must_run(self):
        status = self.process.poll()
        assert status is None, f"{self.name} ended with {status}:\n{self.log()}"
        return True

    def wait_for(self, what, condition, limit_s=START_LIMIT_S):
        try:
            return until(what, lambda: self.must_run() and condition(), limit_s)
        except TooLate as late:
            raise TooLate(f"{late}; the log of {self.name}:\n{self.log()}") from None

    def end(self, how=signal.SIGTERM, limit_s=20):
        """Asks it to end, and kills it if it does not; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(limit_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        status = self.process.wait(limit_s)
        if self in Program.running:
            Program.running.remove(self)
        return status


def end_all():
    for program in reversed(list(Program.running)):
        with contextlib.suppress(Exception):
            program.end(limit_s=10)


atexit.register(end_all)
# So that Ctrl-C and a limit of time in test.sh leave nothing behind.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def plain_environment(**more):
    """What a program of ours sees: no setting of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **{name: str(value) for name, value in more.items()}}


def kill_servers_in(folder):
    """Ends servers that outlive Slipway by design: processes whose working folder lies in `folder`."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(entry / "cwd").startswith(str(folder)) and int(entry.name) != os.getpid():
                    os.kill(int(entry.name), signal.SIGKILL)


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


class Slipway:
    """`slipway serve` with the process backend, in a folder of its own, with an administrator `admin`.

    `settings` are dotted keys; a list of dicts is written as tables (`[[services]]`).
    """

    def __init__(self, folder, command, settings=None, path="/usr/local/bin:/usr/bin:/bin", hub=None):
        self.folder = folder
        self.port = free_port()
        self.hub_host, self.hub_port = hub or ("127.0.0.1", free_port())
        self.origin = f"https://127.0.0.1:{self.port}"
        self.private = f"http://{self.hub_host}:{self.hub_port}"
        self.api_url = f"{self.private}/hub/api"
        self.settings = {
            "data_dir": str(folder / "data"),
            "certs_dir": str(folder / "certs"),
            "listener.https": [f"127.0.0.1:{self.port}"],
            "hub.bind": f"{self.hub_host}:{self.hub_port}",
            "spawner.backend": "process",
            "spawner.process.command": command,
            "spawner.process.path": path,
            "log.format": "text",
            **({"spawner.process.run_as": ACCOUNT} if ACCOUNT else {}),
            **(settings or {}),
        }
        self.config = folder.write("slipway.toml", self.as_file(), 0o600)
        self.environment = plain_environment(SLIPWAY_CONFIG=self.config, SLIPWAY_ADMIN_PASSWORD=PASSWORD)
        self.program = None
        atexit.register(kill_servers_in, folder / "data")

    def as_file(self):
        plain = {key: value for key, value in self.settings.items() if not self.is_tables(value)}
        lines = [f"{key} = {toml(value)}" for key, value in plain.items()]
        for key, tables in self.settings.items():
            if self.is_tables(tables):
                for table in tables:
                    lines += [f"[[{key}]]", *(f"{name} = {toml(value)}" for name, value in table.items())]
        return "\n".join(lines) + "\n"

    @staticmethod
    def is_tables(value):
        return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)

    def start(self):
        if self.program is None:
            self.program = Program("slipway", [BINARY, "serve"], self.folder, self.environment)
        else:
            self.program.start()
        self.program.wait_for("slipway answers", lambda: listens(self.port) and listens(self.hub_port, self.hub_host))
        return self

    def try_command(self, *arguments, stdin=None):
        """Runs a command beside the running instance, or where none runs, however it ends."""
        return subprocess.run(
            [BINARY, *arguments], cwd=self.folder.path, env=self.environment, input=stdin, capture_output=True,
            text=True, timeout=ANSWER_LIMIT_S, check=False,
        )

    def command(self, *arguments, stdin=None):
        """The same for one that must do what it was asked; returns what it printed."""
        done = self.try_command(*arguments, stdin=stdin)
        assert done.returncode == 0, f"slipway {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def add_user(self, name, password=PASSWORD):
        """A user who may sign in; the configuration's roles and groups may have made them already, without a password."""
        is_there = any(line.split()[:1] == [name] for line in self.command("user", "list").splitlines())
        self.command("user", "password" if is_there else "add", name, "--password-stdin", stdin=password + "\n")
        if is_there:
            self.command("user", "authorize", name)

    def client(self, **headers):
        return Client(self.origin, headers)

    def token(self, user="admin", **body):
        """A token of `user`, minted as a script would: signed in, with the XSRF token of the cookie."""
        browser = Browser(self.origin)
        browser.sign_in("admin", PASSWORD)
        answer = browser.api("POST", f"/hub/api/users/{user}/tokens", body)
        assert answer.status == 201, answer
        return answer.json()["token"]

    def end(self):
        self.program.end()
        kill_servers_in(self.folder / "data")


class Hub:
    """A real JupyterHub with a configuration of ours."""

    def __init__(self, generation, folder, config, **environment):
        self.folder, self.generation = folder, generation
        self.port = free_port()
        bin_folder = Path(python_of(generation)).parent
        config_file = folder.write(f"jupyterhub_config_{generation}.py", config)
        self.environment = plain_environment(**environment)
        self.environment["PATH"] = f"{bin_folder}:{self.environment.get('PATH', '')}"
        self.program = Program(
            f"jupyterhub-{generation}",
            [str(bin_folder / "jupyterhub"), "--config", str(config_file), "--debug"] if os.environ.get("CLIENTS_DEBUG")
            else [str(bin_folder / "jupyterhub"), "--config", str(config_file)],
            folder, self.environment,
        )


# ---- HTTP ------------------------------------------------------------------------------------------------


class Answer:
    """One answer, whole."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    def text(self):
        return self.body.decode(errors="replace")

    def json(self):
        return json.loads(self.body)

    def is_(self, *statuses):
        assert self.status in statuses, f"{self.status} instead of {statuses}: {self.text()[:2000]}"
        return self

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.text()[:1000]}"


def unverified():
    """The certificate is self-signed and new; whom we talk to is decided by the port that we have chosen."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """Requests as they are written here: nothing added but Host and Content-Length, nothing followed."""

    def __init__(self, origin, headers=None, limit_s=ANSWER_LIMIT_S):
        self.origin, self.headers, self.limit_s = origin, dict(headers or {}), limit_s
        self.host = urllib.parse.urlsplit(origin).netloc

    def connection(self):
        parts = urllib.parse.urlsplit(self.origin)
        if parts.scheme == "https":
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=self.limit_s, context=unverified())
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=self.limit_s)

    def send(self, method, path, headers=None, body=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        connection = self.connection()
        try:
            all_headers = {**self.headers, **(headers or {})}
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in all_headers.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None or method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.send("GET", path, headers)


class Fields(html.parser.HTMLParser):
    """The fields and the form of a page, as a browser would send them."""

    def __init__(self, page):
        super().__init__()
        self.fields, self.forms = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.forms.append(attributes)
        if tag == "input" and attributes.get("name"):
            is_off = attributes.get("type") in ("checkbox", "radio") and "checked" not in attributes
            if not is_off:
                self.fields.append((attributes["name"], attributes.get("value") or ""))


NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Accept": "text/html,*/*;q=0.8"}


class Browser:
    """Keeps cookies by path and follows redirects."""

    def __init__(self, origin):
        self.client, self.origin = Client(origin), origin
        self.cookies = {}  # (name, path) → value

    def cookie_header(self, path):
        fitting = [(cookie_path, name, value) for (name, cookie_path), value in self.cookies.items()
                   if path.startswith(cookie_path)]
        # Longest path first, as browsers send them.
        fitting.sort(key=lambda found: -len(found[0]))
        return "; ".join(f"{name}={value}" for _, name, value in fitting) or None

    def cookie(self, name, path):
        """The value of the cookie `name` with the longest path that reaches `path`."""
        fitting = [(len(at), value) for (found, at), value in self.cookies.items() if found == name and path.startswith(at)]
        return max(fitting)[1] if fitting else None

    def keep(self, answer, path):
        for key, line in answer.headers:
            if key.lower() != "set-cookie":
                continue
            pair, *attributes = [part.strip() for part in line.split(";")]
            name, value = pair.split("=", 1)
            named = {}
            for attribute in attributes:
                attribute_name, _, attribute_value = attribute.partition("=")
                named[attribute_name.lower()] = attribute_value
            cookie_path = named.get("path") or path.rsplit("/", 1)[0] or "/"
            gone = value in ("", '""') or named.get("max-age") == "0" or "1970" in named.get("expires", "")
            if "expires" in named and not gone:
                import email.utils
                with contextlib.suppress(Exception):
                    gone = email.utils.parsedate_to_datetime(named["expires"]).timestamp() < time.time()
            if gone:
                self.cookies.pop((name, cookie_path), None)
            else:
                self.cookies[(name, cookie_path)] = value

    def send(self, method, path, headers=None, body=None):
        bare = path.split("?")[0]
        answer = self.client.send(method, path, {"Cookie": self.cookie_header(bare), **(headers or {})}, body)
        self.keep(answer, bare)
        return answer

    def go(self, path):
        """Goes to `path` as a person does; returns the last answer and where it was."""
        for _ in range(15):
            answer = self.send("GET", path, NAVIGATION)
            if answer.status not in (301, 302, 303, 307, 308):
                return answer, path
            path = self.reduced(urllib.parse.urljoin(self.origin + path, answer.header("location")))
        raise AssertionError(f"too many redirects, the last to {path}")

    def reduced(self, url):
        assert url.startswith(self.origin), f"sent away to {url}"
        return url[len(self.origin):].split("#")[0] or "/"

    def submit(self, path, page, changed=None, headers=None):
        """Sends the form of `page`, which was at `path`, with some fields changed; does not follow."""
        found = Fields(page)
        fields = [(name, value) for name, value in found.fields if name not in (changed or {})]
        fields += [(name, value) for name, value in (changed or {}).items() if value is not None]
        form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin,
                "Referer": self.origin + path, **NAVIGATION, **(headers or {})}
        action = found.forms[-1].get("action") if found.forms else ""
        target = self.reduced(urllib.parse.urljoin(self.origin + path, action or path))
        return self.send("POST", target, form, urllib.parse.urlencode(fields))

    def sign_in(self, name, password=PASSWORD):
        page, place = self.go("/hub/login")
        page.is_(200)
        answer = self.submit(place, page.text(), {"username": name, "password": password})
        assert answer.status in (302, 303), f"sign-in of {name}: {answer}"
        return answer

    def api(self, method, path, body=None, **headers):
        """A call as the script of a page makes it: cookies, the XSRF header, same origin."""
        script = {"X-XSRFToken": self.cookie("_xsrf", path), "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin",
                  "Origin": self.origin, "Content-Type": "application/json" if body is not None else None,
                  "Referer": self.origin + "/hub/home"}
        return self.send(method, path, {**script, **headers}, body)

    def open_server(self, path, limit_s=START_LIMIT_S):
        """Opens a page of a server and waits, as the start page does, until it is there."""
        prefix = "/".join(path.split("/")[:3]) + "/"

        def is_there():
            answer, place = self.go(path)
            if place.startswith(prefix) and answer.status == 200:
                return answer
            if answer.status == 424 or place.startswith("/hub/spawn?") or re.match(r"/hub/spawn(/|$)", place):
                # JupyterHub waits for the button; ours has started it by the visit.
                self.go("/hub/spawn?" + urllib.parse.urlencode({"next": path}))
            return None

        return until(f"{path} is there", is_there, limit_s)


# ---- kernels ---------------------------------------------------------------------------------------------


def run_in_kernel(browser, prefix, code, limit_s=START_LIMIT_S, kernel=None):
    """Runs `code` in `kernel`, or a new one, of the server at `prefix`, over a WebSocket; returns what it printed."""
    import asyncio
    import tornado.httpclient
    import tornado.websocket

    if kernel is None:
        answer = browser.api("POST", f"{prefix}api/kernels", {"name": "python3"})
        kernel = answer.is_(201).json()["id"]
    path = f"{prefix}api/kernels/{kernel}/channels"
    header = {"msg_id": secrets.token_hex(8), "username": "", "session": "s", "date": "2026-11-22T00:00:00Z",
              "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "user_expressions": {}, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell", "buffers": []}

    async def talk():
        url = browser.origin.replace("http", "ws", 1) + path
        request = tornado.httpclient.HTTPRequest(
            url, headers={"Cookie": browser.cookie_header(path), "Origin": browser.origin},
            ssl_options=unverified() if url.startswith("wss") else None)
        socket_ = await tornado.websocket.websocket_connect(request)
        await socket_.write_message(json.dumps(message))
        try:
            while True:
                text = await socket_.read_message()
                assert text is not None, "the WebSocket closed before anything was printed"
                heard = json.loads(text)
                if heard["msg_type"] == "stream":
                    return heard["content"]["text"]
                assert heard["msg_type"] != "error", heard["content"]
        finally:
            socket_.close()

    return asyncio.run(asyncio.wait_for(talk(), limit_s))


# ---- stories ---------------------------------------------------------------------------------------------


def check(condition, sentence):
    assert condition, sentence


def tell(*steps):
    """Runs the steps of a story in order and says how each went; the first failure ends the program."""
    for step in steps:
        begun = time.monotonic()
        name = step.__name__.replace("_", " ").strip()
        try:
            step()
        except BaseException:  # noqa: B902 - also Ctrl-C shall show where it was
            print(f"  FAILED  {name} ({time.monotonic() - begun:.1f} s)", flush=True)
            traceback.print_exc()
            for program in Program.running:
                print(f"---- the end of {program.log_path} ----\n{program.log(80)}", file=sys.stderr)
            sys.exit(1)
        print(f"  ok  {name} ({time.monotonic() - begun:.1f} s)", flush=True)


def in_parallel(*works):
    """Runs each in a thread of its own and returns their results; the first error is raised."""
    results, errors = [None] * len(works), []

    def run(index, work):
        try:
            results[index] = work()
        except BaseException as error:  # noqa: B902 - handed to the caller
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index, work)) for index, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
