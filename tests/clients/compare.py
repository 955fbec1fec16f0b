"""The differential test: a real JupyterHub 6.1.1 and Slipway are asked the same long sequence of API calls, and every
difference of status, header or body is printed. It fails on a difference that `accepted.py` does not list with a
reason, and on one listed there that no longer occurs.

Usage:  compare.py [--report FILE] [--models FILE] [--hub-only | --slipway-only]

  --report FILE   all differences as Markdown, by who would mend them
  --models FILE   the bodies that JupyterHub answered, for `schemas.py`

The calls are in `calls.py`. Ids, times, tokens and ports differ by nature and are compared by their form alone.
"""

import argparse
import fnmatch
import http.server
import json
import re
import sys
import threading
import time
from pathlib import Path

import accepted
import calls
import rig

API = "/hub/api"
SCRIPT_TOKEN = "5c1e9a70d7f84f6fb1e3c9d1a8e2b754"
READER_TOKEN = "90ab3f1c2d4e4b6fa1c3e5d7f9b1a3c5"
# So that the pending answers do not cost ten seconds each at JupyterHub; Slipway has its own.
SLOW_S = 1
NAMED_LIMIT = 3
ACTIVE_LIMIT = 2
COMPARED_HEADERS = (
    "content-type", "x-jupyterhub-version", "access-control-allow-headers", "access-control-allow-origin",
    "content-security-policy", "retry-after", "location", "cache-control", "pragma", "www-authenticate",
)
SERVICES = [
    {"name": "script", "api_token": SCRIPT_TOKEN, "admin": True},
    {"name": "reader", "api_token": READER_TOKEN},
    {"name": "site", "url": None, "api_token": "1f0e2d3c4b5a69788796a5b4c3d2e1f0", "display": False,
     "info": {"text": "about it"}, "oauth_no_confirm": True},
]
ROLES = [{"name": "reads-users", "description": "reads users", "scopes": ["list:users", "read:users"], "services": ["reader"]}]
GROUPS = {"given": {"users": ["admin"], "properties": {"from": "configuration"}}}


class Answers(http.server.BaseHTTPRequestHandler):
    """The service `site`: JupyterHub waits at its start until it answers."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def start_site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    next(service for service in SERVICES if service["name"] == "site")["url"] = f"http://127.0.0.1:{server.server_port}"


class Side:
    """One of the two, and what it has answered so far."""

    def __init__(self, name, origin, folder):
        self.name, self.origin, self.folder = name, origin, folder
        self.client = rig.Client(origin)
        self.tokens = {"script": SCRIPT_TOKEN, "reader": READER_TOKEN, "a stranger": "0123456789abcdef0123456789abcdef"}
        self.ids, self.browsers, self.answers, self.labels, self.times, self.paths = {}, {}, [], {}, [], {}

    # -- calls --

    def do(self, method, path, by, body=None, headers=None, note=None, as_path=None, only_status=False, page=False):
        """Makes a call and records its answer. `only_status` compares nothing else; a tuple of statuses counts as one."""
        label = f"{method} {as_path or path} by {by}" + (f" ({note})" if note else "")
        self.labels[label] = self.labels.get(label, 0) + 1
        if self.labels[label] > 1:
            label += f" #{self.labels[label]}"
        begun = time.monotonic()
        answer = self.ask(method, path, by, body, headers or {})
        self.times.append((time.monotonic() - begun, label))
        self.answers.append((label, answer, only_status, page))
        self.paths[label] = (method, path)
        return answer

    def quietly(self, method, path, by, body=None):
        return self.ask(method, path, by, body, {})

    def ask(self, method, path, by, body, headers):
        if by.endswith("browser"):
            browser = self.browser(by)
            if headers.get("Sec-Fetch-Mode") == "navigate":
                return browser.send(method, API + path, headers, body)
            return browser.api(method, API + path, body, **headers)
        token = self.tokens.get(by)
        if token is None and by != "nobody":
            if by == "admin":  # A Slipway that cannot mint tokens yet still answers its administrator's browser.
                return self.ask(method, path, "the admin's browser", body, headers)
            token = f"no-token-{by.replace(' ', '-')}"
        credentials = {"Authorization": f"token {token}"} if by != "nobody" else {}
        return self.client.send(method, API + path, {**credentials, **headers}, body)

    def browser(self, by):
        if by not in self.browsers:
            browser = self.browsers[by] = rig.Browser(self.origin)
            name = {"the admin's browser": "admin", "alice's browser": "alice", "bob's browser": "bob"}.get(by)
            if name:
                browser.sign_in(name)
                browser.go("/hub/home")
        return self.browsers[by]

    def keep(self, name, answer):
        """Keeps the token of an answer under `name`."""
        if answer.status == 201:
            self.tokens[name] = answer.json()["token"]
            self.ids[name] = answer.json()["id"]

    def token_of(self, name):
        return self.tokens.get(name, "none")

    def id_of(self, name):
        return self.ids.get(name, "a0")

    # -- what only brings both into the same state --

    def server_of(self, user, name):
        answer = self.quietly("GET", f"/users/{user}?include_stopped_servers", by="admin")
        return answer.json().get("servers", {}).get(name) if answer.status == 200 else None

    def wait(self, what, condition):
        try:
            rig.until(f"{self.name}: {what}", condition, 15)
        except rig.TooLate as late:
            print(f"  {late}", flush=True)

    def wait_until_ready(self, user, name=""):
        self.wait(f"{user}/{name} is ready", lambda: (self.server_of(user, name) or {}).get("ready"))

    def wait_until_stopped(self, user, name=""):
        def has_stopped():
            server = self.server_of(user, name)
            return server is None or not (server["ready"] or server["pending"])
        self.wait(f"{user}/{name} has stopped", has_stopped)

    def let_go(self, user):
        (self.folder / f"go-{user}").touch()

    def hold(self, user):
        (self.folder / f"go-{user}").unlink(missing_ok=True)

    def environment_of(self, user, name=""):
        path = self.folder / f"environment-{user}-{name}.json"
        if not path.exists():
            return dict.fromkeys(("JUPYTERHUB_CLIENT_ID", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_OAUTH_CALLBACK_URL"), "none")
        return json.loads(path.read_text())

    def give_password(self, *users):
        """Whoever is made through the API signs in with the tests' password."""

    def mint_first_token(self):
        self.keep("admin", self.ask("POST", "/users/admin/tokens", "the admin's browser", {"note": "for the tests"}, {}))


class SlipwaySide(Side):
    def __init__(self, slipway, folder):
        super().__init__("Slipway", slipway.origin, folder)
        self.slipway = slipway

    def give_password(self, *users):
        for user in users:
            self.slipway.add_user(user)


def shared_folder(folder, name):
    path = folder / name
    path.mkdir()
    path.chmod(0o777)
    return path


def start_hub(folder):
    port, scratch = rig.free_port(), shared_folder(folder, "hub")
    given = {
        "port": port, "public_port": rig.free_port(), "folder": str(scratch), "password": rig.PASSWORD, "slow_s": SLOW_S,
        "named_limit": NAMED_LIMIT, "active_limit": ACTIVE_LIMIT, "services": SERVICES, "roles": ROLES, "groups": GROUPS,
        "tiny_server": str(rig.HERE / "tiny_server.py"),
    }
    hub = rig.Hub("6.1", folder, (rig.HERE / "hub_for_comparison.py").read_text(), COMPARE=json.dumps(given))
    client = rig.Client(f"http://127.0.0.1:{port}")
    hub.program.wait_for("JupyterHub answers", lambda: rig.listens(port) and client.get("/hub/health").status == 200)
    return Side("JupyterHub", client.origin, scratch)


def start_slipway(folder):
    scratch = shared_folder(folder, "slipway")
    own = rig.Folder("compare-slipway")
    tiny = own.write("tiny_server.py", (rig.HERE / "tiny_server.py").read_text())
    wanted = {
        "spawner.environment": {"TINY_FOLDER": str(scratch)},
        "spawner.named_servers_per_user": NAMED_LIMIT, "spawner.active_servers": ACTIVE_LIMIT,
        "services": SERVICES, "roles": ROLES,
        "groups": [{"name": name, **group} for name, group in GROUPS.items()],
        "custom_scopes": [{"name": "custom:grant-root", "description": "allow root-like grants"}],
    }
    slipway = rig.Slipway(own, ["/usr/bin/python3", str(tiny)], wanted).start()
    return SlipwaySide(slipway, scratch)


# ---- comparison ------------------------------------------------------------------------------------------

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
KEYS_WITH_SECRETS = {"token", "access_token", "code"}


def normalised(value, origin, key=None):
    """A value with what differs by nature replaced by its form."""
    if isinstance(value, dict):
        return {normalised_text(name, origin): normalised(inner, origin, name) for name, inner in value.items()}
    if isinstance(value, list):
        if key == "api_tokens":  # JupyterHub lists them as its database happens to; ours are in the order of their making.
            value = sorted(value, key=lambda token: int(token["id"][1:]))
        items = [normalised(inner, origin, key) for inner in value]
        # JupyterHub's order is that of a set, except where it says who somebody is; that call has its own check.
        return sorted(items) if key == "scopes" and all(isinstance(item, str) for item in items) else items
    if not isinstance(value, str):
        return "<number>" if key == "pid" and value else value
    if TIME.match(value):
        return "<time>"
    if key == "scope":
        return " ".join(sorted(value.split()))
    if key in KEYS_WITH_SECRETS and value:
        return "<secret>"
    if key in ("id", "token_id") and re.match(r"^a\d+$", value):
        return "<a number>"
    if key == "id" and re.match(r"^sc_\d+$", value):
        return "<sc number>"
    if key == "session_id" and re.match(r"^[0-9a-f]{32}$", value):
        return "<32 hex>"
    return normalised_text(value, origin)


def normalised_text(text, origin):
    text = text.replace(origin, "<origin>")
    text = re.sub(r"127\.0\.0\.1:\d{2,5}", "<address>", text)
    text = re.sub(r"\bcode=[^&\"]+", "code=<code>", text)
    text = re.sub(r"\b_xsrf=[^&\"]+", "_xsrf=<xsrf>", text)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.0-9:+Z-]*", "<time in text>", text)


def body_of(answer, origin):
    kind = (answer.header("content-type") or "").split(";")[0]
    if kind == "application/json" and answer.body:
        try:
            return normalised(answer.json(), origin)
        except ValueError:
            return f"not JSON: {answer.text()[:200]}"
    if kind == "text/event-stream":
        lines = [line[5:] for line in answer.text().splitlines() if line.startswith("data:")]
        return [normalised(json.loads(line), origin) for line in lines]
    return normalised_text(answer.text(), origin)


def differences(theirs, ours, place="body"):
    """All places where two normalised values differ: (place, theirs, ours)."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for name in sorted(set(theirs) | set(ours)):
            there = f"{place}.{name}"
            if name not in ours:
                yield there, theirs[name], "absent"
            elif name not in theirs:
                yield there, "absent", ours[name]
            else:
                yield from differences(theirs[name], ours[name], there)
    elif isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours) or not any(isinstance(item, (dict, list)) for item in theirs + ours):
            if theirs != ours:
                yield place, theirs, ours
            return
        for index, (one, other) in enumerate(zip(theirs, ours)):
            yield from differences(one, other, f"{place}[{index}]")
    elif theirs != ours or type(theirs) is not type(ours):
        yield place, theirs, ours


def compare(hub, slipway):
    found = []
    answered = {label: answer for label, answer, *_ in slipway.answers}
    for label, theirs, only_status, page in hub.answers:
        ours = answered.get(label)
        if ours is None:  # It builds on an answer that Slipway did not give.
            found.append((label, "status", theirs.status, "was not asked", ""))
            continue
        if isinstance(only_status, tuple) and theirs.status in only_status and ours.status in only_status:
            continue
        if theirs.status != ours.status:
            # With another status everything else differs too, and says nothing more.
            found.append((label, "status", theirs.status, f"{ours.status} {ours.text()[:160]}", theirs.text()[:160]))
            continue
        if only_status:
            continue
        for name in COMPARED_HEADERS:
            values = [answer.header(name) for answer in (theirs, ours)]
            values = [value and normalised_text(value, side.origin) for value, side in zip(values, (hub, slipway))]
            if values[0] != values[1]:
                found.append((label, f"header {name}", values[0], values[1], theirs.status))
        if page:
            continue
        if "GET /user by" in label and ours.status == 200 and ours.json()["scopes"] != sorted(ours.json()["scopes"]):
            found.append((label, "body.scopes", "sorted", "not sorted", 200))
        for place, one, other in differences(body_of(theirs, hub.origin), body_of(ours, slipway.origin)):
            found.append((label, place, one, other, theirs.status))
    return found


def sort_out(found):
    """Which differences nobody has accepted, and which accepted ones did not occur."""
    used, left = set(), []
    for difference in found:
        label, place, *_ = difference
        for index, rule in enumerate(accepted.DIFFERENCES):
            if fnmatch.fnmatchcase(label, rule.calls) and fnmatch.fnmatchcase(place, rule.place) and rule.fits(*difference[2:]):
                used.add(index)
                break
        else:
            left.append(difference)
    return left, [rule for index, rule in enumerate(accepted.DIFFERENCES) if index not in used]


# ---- reports ---------------------------------------------------------------------------------------------

OWNERS = (
    ("apiservers", r"/(server|servers)\b|/services|/shares|/share-codes|/shared|/proxy|/shutdown|/metrics|/info|/authorizations|by .*\(.*a share"),
    ("rbac", r"scopes|roles"),
    ("apiusers", r""),
)


def owner_of(label, place):
    for owner, pattern in OWNERS:
        if re.search(pattern, label) or re.search(pattern, place):
            return owner
    return "apiusers"


def shown(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 260 else text[:260] + "…"


def report(left, unused, hub, slipway):
    lines = [f"# Differences to JupyterHub 6.1.1 ({time.strftime('%H:%M')} UTC)", "",
             f"{len(hub.answers)} calls; {len(left)} differences that nobody has accepted"
             f" in {len({label for label, *_ in left})} calls. Left: JupyterHub, right: Slipway.", ""]
    if len(hub.answers) != len(slipway.answers):
        lines += [f"Slipway answered {len(slipway.answers)} of them.", ""]
    # The same difference in many calls has one cause: told once, with the calls that show it.
    grouped = {}
    for label, place, theirs, ours, more in left:
        what = (re.sub(r"\[\d+\]", "[]", place), shown(theirs), shown(ours), more if place == "status" else "")
        grouped.setdefault(owner_of(label, place), {}).setdefault(what, []).append(label)
    for owner, by_what in sorted(grouped.items()):
        lines += [f"## {owner}: {len(by_what)} kinds", ""]
        for (place, theirs, ours, more), labels in sorted(by_what.items(), key=lambda item: -len(item[1])):
            calls_shown = list(dict.fromkeys(labels))
            lines.append(f"- {place}: `{theirs}`{' ' + repr(more) if more else ''} ≠ `{ours}`")
            lines += [f"  - {label}" for label in calls_shown[:6]]
            if len(calls_shown) > 6:
                lines.append(f"  - … {len(calls_shown)} calls in all")
        lines.append("")
    if unused:
        lines += ["## Accepted, but no longer there: delete from accepted.py", ""]
        lines += [f"- {rule.calls} · {rule.place}: {rule.reason}" for rule in unused]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--hub-only", action="store_true")
    options = parser.parse_args()
    begun = time.monotonic()
    folder = rig.Folder("compare")
    start_site()
    if options.hub_only:
        sides = [start_hub(folder)]
    else:
        sides = rig.in_parallel(lambda: start_hub(folder), lambda: start_slipway(folder))

    def tell(side):
        side.mint_first_token()
        calls.story(side)
        return side

    rig.in_parallel(*(lambda side=side: tell(side) for side in sides))
    hub = sides[0]
    if options.models:
        models = [{"call": label, "method": hub.paths[label][0], "path": hub.paths[label][1], "status": answer.status,
                   "type": answer.header("content-type"), "body": answer.text()}
                  for label, answer, *_ in hub.answers]
        options.models.write_text(json.dumps(models, indent=1))
    if options.hub_only:
        for label, answer, *_ in hub.answers:
            is_page = (answer.header("content-type") or "").startswith("text/html")
            print(f"{answer.status} {label}: {'(a page)' if is_page else answer.text().strip()}")
        print("The slowest:", *(f"{took:.1f} s {label}" for took, label in sorted(hub.times)[-15:]), sep="\n  ")
        return 0
    found = compare(*sides)
    left, unused = sort_out(found)
    text = report(left, unused, *sides)
    if options.report:
        options.report.write_text(text)
    if left or unused:
        print(text)
    print(f"  {len(hub.answers)} calls at both in {time.monotonic() - begun:.0f} s: {len(found)} differences,"
          f" {len(left)} not accepted, {len(unused)} accepted ones that are gone", flush=True)
    return 1 if left or unused else 0


if __name__ == "__main__":
    sys.exit(main())
