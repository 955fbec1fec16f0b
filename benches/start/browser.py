"""A browser small enough not to be measured: one kept connection, cookies with paths, redirects, no certificates."""

import http.client
import json
import re
import ssl
import time
import urllib.parse

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document",
              "Accept": "text/html,*/*;q=0.8"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}
# A whole JupyterLab on a busy machine.
READY_LIMIT_S = 90


def unchecked_tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Browser:
    def __init__(self, port):
        self.port, self.cookies = port, {}
        self.connection = None

    def request(self, method, path, headers, body=None):
        host = f"127.0.0.1:{self.port}"
        cookies = "; ".join(f"{name}={value}" for (name, at), value in self.cookies.items() if path.startswith(at))
        headers = {**headers, "Host": host, "Referer": f"https://{host}/hub/home", **({"Cookie": cookies} if cookies else {})}
        for is_last in (False, True):
            if self.connection is None:
                self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=unchecked_tls(), timeout=60)
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                answer = Answer(response.status, response.headers, response.read())
                break
            except (http.client.RemoteDisconnected, ConnectionError):
                # A kept connection may have been closed meanwhile.
                self.connection = None
                if is_last:
                    raise
        self.keep_cookies(answer.headers.get_all("Set-Cookie") or [])
        return answer

    def keep_cookies(self, lines):
        for line in lines:
            pair, *attributes = [part.strip() for part in line.split(";")]
            name, value = pair.split("=", 1)
            attributes = dict((part.split("=", 1) + [""])[:2] for part in attributes)
            lower = {key.lower(): text for key, text in attributes.items()}
            key = (name, lower.get("path") or "/")
            is_gone = not value.strip('"') or lower.get("max-age", "1").startswith(("-", "0"))
            if is_gone:
                self.cookies.pop(key, None)
            else:
                self.cookies[key] = value

    def go(self, path):
        for _ in range(15):
            answer = self.request("GET", path, NAVIGATION)
            if answer.status not in (301, 302, 303, 307):
                return answer, path
            target = urllib.parse.urlsplit(urllib.parse.urljoin(path, answer.headers["Location"]))
            path = target.path + ("?" + target.query if target.query else "")
        raise RuntimeError(f"too many redirects, the last to {path}")

    def xsrf(self):
        return next(value for (name, path), value in self.cookies.items() if name == "_xsrf" and path in ("/", "/hub/"))

    def sign_in(self, name, password):
        """Returns how long the sign-in request itself took, in seconds."""
        page = self.request("GET", "/hub/login", NAVIGATION)
        field = re.search(rb'name="_xsrf"[^>]*value="([^"]*)"', page.body)
        fields = {"username": name, "password": password, "_xsrf": field.group(1).decode()}
        headers = {**NAVIGATION, "Content-Type": "application/x-www-form-urlencoded"}
        begin = time.monotonic()
        answer = self.request("POST", "/hub/login", headers, urllib.parse.urlencode(fields))
        took = time.monotonic() - begin
        if answer.status not in (302, 303):
            raise RuntimeError(f"{name} cannot sign in: {answer.status} {answer.body[:300]!r}")
        return took

    def api(self, method, path, body=None):
        headers = {**SCRIPT, "X-XSRFToken": self.xsrf(), "Content-Type": "application/json"}
        return self.request(method, "/hub/api" + path, headers, json.dumps(body) if body else None)

    def start(self, name, path="api"):
        """Starts the server; returns when it was asked and when a container's own 200 came through the proxy."""
        begin = time.monotonic()
        answer = self.api("POST", f"/users/{name}/server")
        if answer.status not in (201, 202):
            raise RuntimeError(f"{name} cannot start: {answer.status} {answer.body[:300]!r}")
        while not self.is_served(name, path):
            if time.monotonic() - begin > READY_LIMIT_S:
                raise RuntimeError(f"the server of {name} never answered")
            time.sleep(0.002 if path == "api" else 0.02)
        return begin, time.monotonic()

    def is_served(self, name, path="api"):
        if path == "api":
            answer = self.request("GET", f"/user/{name}/api", SCRIPT)
            return answer.status == 200 and b"ok\n" == answer.body
        answer, place = self.go(f"/user/{name}/{path}")
        return answer.status == 200 and place.startswith("/user/") and b"jupyter-config-data" in answer.body

    def stop(self, name):
        """Stops the server and returns when it may be started again."""
        self.api("DELETE", f"/users/{name}/server")
        until = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < until:
            user = json.loads(self.api("GET", f"/users/{name}").body)
            if not user["pending"] and not user["server"]:
                return
            time.sleep(0.02)
        raise RuntimeError(f"the server of {name} never stopped")
