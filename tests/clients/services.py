"""Services written with JupyterHub's own library, managed by Slipway: people sign in through the hub, tokens are known,
who lacks the scope is refused, one that dies comes back.

Usage:  services.py GENERATION [slipway|jupyterhub]     (6.1 or 5.4; the second tells what runs as the hub)

With `jupyterhub` the same story runs against the real one, which says whether the story is right.
"""

import contextlib
import json
import os
import signal
import sys
import urllib.parse

import rig

GENERATION = sys.argv[1] if len(sys.argv) > 1 else "6.1"
WHO = sys.argv[2] if len(sys.argv) > 2 else "slipway"
PREFIX = "/services/whoami/"
folder = rig.Folder("services")
service_port = rig.free_port()
script = folder.write("whoami_service.py", (rig.HERE / "whoami_service.py").read_text())
python = rig.python_of(GENERATION)
SERVICE = {"name": "whoami", "url": f"http://127.0.0.1:{service_port}", "command": [python, str(script)]}
# Its callback goes through the same person's browser, and it has no page of consent.
QUIET = {"name": "quiet", "url": f"http://127.0.0.1:{rig.free_port()}", "command": [python, str(script)], "oauth_no_confirm": True}
ROLES = [{"name": "visits", "description": "may visit both services", "users": ["alice"],
          "scopes": ["access:services!service=whoami", "access:services!service=quiet", "self"]}]


class Slipway:
    def __init__(self):
        self.slipway = rig.Slipway(folder, ["/bin/false"], {"services": [SERVICE, QUIET], "roles": ROLES})
        self.origin = self.slipway.origin

    def start(self):
        self.slipway.start()
        for name in ("alice", "bob"):
            self.slipway.add_user(name)

    def end(self):
        self.slipway.end()


HUB = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.pid_file = "{folder}/pid"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"admin"}}
c.JupyterHub.services = {services!r}
c.JupyterHub.load_roles = {roles!r}
"""


class Real:
    def __init__(self):
        self.port = rig.free_port()
        self.origin = f"http://127.0.0.1:{self.port}"

    def start(self):
        text = HUB.format(port=self.port, hub_port=rig.free_port(), api_port=rig.free_port(), folder=folder.path,
                          password=rig.PASSWORD, services=[SERVICE, QUIET], roles=ROLES)
        hub = rig.Hub(GENERATION, folder, text)
        client = rig.Client(self.origin)
        hub.program.wait_for("JupyterHub answers", lambda: rig.listens(self.port) and client.get("/hub/health").status == 200)

    def end(self):
        rig.end_all()


hub = Slipway() if WHO == "slipway" else Real()
browsers = {}


def browser_of(name):
    if name not in browsers:
        browsers[name] = rig.Browser(hub.origin)
        browsers[name].sign_in(name)
        browsers[name].go("/hub/home")
    return browsers[name]


def process_of(name="whoami"):
    answer = rig.Client(hub.origin).get(f"/services/{name}/open")
    return answer.json()["pid"] if answer.status == 200 else None


def the_hub_starts_and_does_not_wait_for_its_services():
    hub.start()


def a_managed_service_is_started_and_answers_below_its_prefix():
    rig.until("the service answers", process_of)
    answer = rig.Client(hub.origin).get(PREFIX + "open")
    given = answer.is_(200).json()["environment"]
    expected = {
        "JUPYTERHUB_SERVICE_NAME": "whoami", "JUPYTERHUB_CLIENT_ID": "service-whoami", "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_OAUTH_CALLBACK_URL": PREFIX + "oauth_callback", "JUPYTERHUB_BASE_URL": "/",
    }
    for name, value in expected.items():
        rig.check(given.get(name) == value, f"{name} is {given.get(name)!r} instead of {value!r}")
    scopes = json.loads(given["JUPYTERHUB_OAUTH_ACCESS_SCOPES"])
    rig.check(sorted(scopes) == ["access:services", "access:services!service=whoami"], f"access scopes {scopes}")


def nobody_is_sent_to_the_sign_in_page():
    page, place = rig.Browser(hub.origin).go(PREFIX)
    page.is_(200)
    rig.check(place.startswith("/hub/login"), f"landed at {place}")


def alice_signs_in_through_the_page_of_consent():
    browser = browser_of("alice")
    page, place = browser.go(PREFIX)
    page.is_(200)
    rig.check(place.startswith("/hub/api/oauth2/authorize"), f"landed at {place}: {page.text()[:500]}")
    # Without the token of the form nothing is granted.
    browser.submit(place, page.text(), {"_xsrf": "nonsense"}).is_(403)
    answer = browser.submit(place, page.text())
    answer.is_(302, 303)
    page, place = browser.go(browser.reduced(urllib.parse.urljoin(hub.origin, answer.header("location"))))
    rig.check(place == PREFIX, f"landed at {place}: {page}")
    seen = page.is_(200).json()
    rig.check(seen["user"]["name"] == "alice", f"it sees {seen['user']}")
    rig.check("access:services!service=whoami" in seen["user"]["scopes"], f"it sees {seen['user']['scopes']}")


def alice_is_not_asked_a_second_time():
    browser = browser_of("alice")
    for name, path in [key for key in browser.cookies if key[1].startswith(PREFIX)]:
        del browser.cookies[(name, path)]
    page, place = browser.go(PREFIX)
    rig.check(place == PREFIX and page.is_(200).json()["user"]["name"] == "alice", f"landed at {place}: {page}")


def a_service_without_confirmation_signs_her_in_at_once():
    rig.until("the other service answers", lambda: process_of("quiet"))
    page, place = browser_of("alice").go("/services/quiet/")
    rig.check(place == "/services/quiet/" and page.is_(200).json()["user"]["name"] == "alice", f"landed at {place}: {page}")


def bob_lacks_the_scope_and_is_refused():
    page, place = browser_of("bob").go(PREFIX)
    page.is_(403)
    rig.check(place.startswith("/hub/api/oauth2/authorize"), f"refused at {place}")


def the_hubs_own_cookie_never_reaches_the_service():
    seen = browser_of("alice").go(PREFIX)[0].is_(200).json()
    ours = {name for (name, path) in browser_of("alice").cookies if not path.startswith(PREFIX)} & set(seen["cookies"])
    # JupyterHub hands its plain session id on, on purpose; a session cookie must never be.
    ours -= {"jupyterhub-session-id", "_xsrf"}
    rig.check(WHO != "slipway" or not ours, f"it got {ours}")


def a_token_is_known_and_one_without_the_scope_is_not():
    client = rig.Client(hub.origin)
    browser = browser_of("alice")
    made = browser.api("POST", "/hub/api/users/alice/tokens", {"note": "for the service"}).is_(201).json()["token"]
    seen = client.get(PREFIX + "token", Authorization=f"token {made}").is_(200).json()
    rig.check(seen["user"]["name"] == "alice", f"it sees {seen['user']}")
    if WHO == "slipway":
        handed = seen["headers"].get("Authorization", "")
        rig.check(made not in handed, "alice's own token was handed to the service")
    narrow = browser.api("POST", "/hub/api/users/alice/tokens", {"scopes": ["read:users:name!user=alice"]}).is_(201).json()["token"]
    client.get(PREFIX + "token", Authorization=f"token {narrow}").is_(403)
    client.get(PREFIX + "token", Authorization="token nonsense").is_(403)
    client.get(PREFIX + "token").is_(403)


def signing_out_signs_out_of_the_service():
    browser = browser_of("alice")
    page, place = browser.go("/hub/logout")
    if page.status == 200 and rig.Fields(page.text()).forms and not place.startswith("/hub/login"):
        browser.submit(place, page.text())
    page, place = browser.go(PREFIX)
    rig.check(place.startswith("/hub/login"), f"still in at {place}: {page}")


def a_service_that_dies_comes_back():
    before = rig.until("the service answers", process_of)
    os.kill(before, signal.SIGKILL)
    after = rig.until("it is back", lambda: process_of() not in (None, before) and process_of(), 30)
    rig.check(after != before, "the same process")


def services_end_with_the_hub():
    process = process_of()
    hub.end()

    def is_gone():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, 0)
            return False
        return True

    rig.until("the service has ended", is_gone, 15)


print(f"services with the library of JupyterHub {GENERATION}, at {WHO}")
rig.tell(
    the_hub_starts_and_does_not_wait_for_its_services,
    a_managed_service_is_started_and_answers_below_its_prefix,
    nobody_is_sent_to_the_sign_in_page,
    alice_signs_in_through_the_page_of_consent,
    alice_is_not_asked_a_second_time,
    a_service_without_confirmation_signs_her_in_at_once,
    the_hubs_own_cookie_never_reaches_the_service,
    bob_lacks_the_scope_and_is_refused,
    a_token_is_known_and_one_without_the_scope_is_not,
    signing_out_signs_out_of_the_service,
    a_service_that_dies_comes_back,
    services_end_with_the_hub,
)
