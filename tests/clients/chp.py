"""A real JupyterHub with `slipway chp` in the place of configurable-http-proxy: sign-in, a real server, a cell over a
WebSocket, routes checked and restored, the proxy killed, and servers culled by the activity that the proxy has seen.

Usage:  chp.py GENERATION [slipway|node] [started|external]

  started   JupyterHub starts the proxy: c.ConfigurableHTTPProxy.command      (the default)
  external  it runs already: should_start = False, api_url
  node      the story with configurable-http-proxy itself, which says whether the story is right
"""

import os
import secrets
import signal
import sys
from pathlib import Path

import rig

GENERATION = sys.argv[1] if len(sys.argv) > 1 else "6.1"
WHO = sys.argv[2] if len(sys.argv) > 2 else "slipway"
HOW = sys.argv[3] if len(sys.argv) > 3 else "started"
folder = rig.Folder("chp")
port, api_port, hub_port = rig.free_port(), rig.free_port(), rig.free_port()
origin = f"http://127.0.0.1:{port}"
auth_token = secrets.token_hex(32)
PROXY = [rig.BINARY, "chp"] if WHO == "slipway" else [str(rig.VENVS / "chp/node_modules/.bin/configurable-http-proxy")]
API_TOKEN = secrets.token_hex(16)

CONFIG = f"""
import os
c.JupyterHub.bind_url = "{origin}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///{folder.path}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder.path}/cookie_secret"
c.JupyterHub.pid_file = "{folder.path}/pid"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.auth_token = "{auth_token}"
c.ConfigurableHTTPProxy.pid_file = "{folder.path}/proxy.pid"
c.ConfigurableHTTPProxy.command = {PROXY!r}
c.ConfigurableHTTPProxy.should_start = {HOW == 'started'}
c.ConfigurableHTTPProxy.check_running_interval = 1
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {rig.PASSWORD!r}
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"admin"}}
c.JupyterHub.services = [{{"name": "script", "api_token": "{API_TOKEN}", "admin": True}}]
# What the proxy has seen is fetched each 2 s instead of each 5 minutes, and kept to the second.
c.JupyterHub.last_activity_interval = 2
c.JupyterHub.activity_resolution = 0
from jupyterhub.spawner import SimpleLocalProcessSpawner

class Here(SimpleLocalProcessSpawner):
    def make_preexec_fn(self, name):
        return None

    def user_env(self, env):
        home = f"{folder.path}/home-{{self.user.name}}"
        os.makedirs(home, exist_ok=True)
        env.update(HOME=home, JUPYTERHUB_ACTIVITY_INTERVAL="3600")
        return env

    def _expand_user_vars(self, text):
        return text

    @property
    def home_dir(self):
        return "{folder.path}"

c.JupyterHub.spawner_class = Here
c.Spawner.cmd = [{str(Path(rig.python_of(GENERATION)).parent / 'jupyterhub-singleuser')!r}]
c.Spawner.args = ["--allow-root"]
c.Spawner.notebook_dir = "{folder.path}"
"""

external = None
browser = rig.Browser(origin)
hub = rig.Client(origin, {"Authorization": f"token {API_TOKEN}"})
proxy = rig.Client(f"http://127.0.0.1:{api_port}", {"Authorization": f"token {auth_token}"})
PREFIX = "/user/alice/"


def start_external_proxy():
    global external
    arguments = [*PROXY, "--ip", "127.0.0.1", "--port", str(port), "--api-ip", "127.0.0.1", "--api-port", str(api_port),
                 "--error-target", f"http://127.0.0.1:{hub_port}/hub/error", "--default-target", f"http://127.0.0.1:{hub_port}"]
    if external is None:
        external = rig.Program("proxy", arguments, folder, rig.plain_environment(CONFIGPROXY_AUTH_TOKEN=auth_token))
    else:
        external.start()
    external.wait_for("the proxy listens", lambda: rig.listens(port) and rig.listens(api_port))


def proxys_process():
    if external:
        return external.pid
    path = folder / "proxy.pid"
    return int(path.read_text().strip()) if path.exists() and path.read_text().strip() else None


def routes():
    answer = proxy.get("/api/routes")
    return answer.is_(200).json()


def is_up(path="/hub/health"):
    try:
        return rig.Client(origin, limit_s=5).get(path).status == 200
    except OSError:
        return False


def jupyterhub_starts_and_is_reached_through_the_proxy():
    if HOW == "external":
        start_external_proxy()
    jupyterhub = rig.Hub(GENERATION, folder, CONFIG)
    jupyterhub.program.wait_for("JupyterHub is reached through the proxy", is_up)
    health = rig.Client(origin).get("/_chp_healthz").is_(200)
    rig.check(health.json() == {"status": "OK"}, health.text())
    rig.check(set(routes()) == {"/"}, f"routes at first: {routes()}")
    # A proxy that was there first leads to the hub before the hub has said so.
    rig.until("JupyterHub's own route", lambda: routes()["/"].get("hub") is True)


def the_proxys_api_wants_its_token():
    for headers in ({}, {"Authorization": "token nonsense"}, {"Authorization": f"Bearer {auth_token}"}):
        answer = rig.Client(proxy.origin, headers).get("/api/routes")
        rig.check((answer.status, answer.body) == (403, b""), f"{headers}: {answer}")


def alice_signs_in_and_starts_a_real_server():
    browser.sign_in("alice")
    page = browser.open_server(PREFIX + "lab")
    rig.check("jupyter-config-data" in page.text() or "JupyterLab" in page.text(), page.text()[:500])
    route = routes()["/user/alice"]
    rig.check((route["jupyterhub"], route["user"], route["server_name"]) == (True, "alice", ""), f"{route}")


def a_cell_runs_over_a_websocket():
    printed = rig.run_in_kernel(browser, PREFIX, "print(6 * 7)")
    rig.check(printed == "42\n", printed)


def a_stopped_servers_address_shows_the_hubs_page():
    answer = rig.Browser(origin).go("/user/bob/lab")[0]
    rig.check(answer.status == 200 and "Sign in" in answer.text(), f"{answer}")


def a_dead_target_shows_the_hubs_page_of_that_error():
    made = proxy.send("POST", "/api/routes/dead", body={"target": f"http://127.0.0.1:{rig.free_port()}"}).is_(201)
    rig.check(made.body == b"", f"{made}")
    answer = rig.Client(origin).get("/dead/x").is_(503)
    rig.check("<html" in answer.text().lower() and "503" in answer.text(), answer.text()[:300])
    proxy.send("DELETE", "/api/routes/dead").is_(204)
    proxy.send("DELETE", "/api/routes/dead").is_(404)


def jupyterhub_restores_a_route_that_was_lost():
    proxy.send("DELETE", "/api/routes/user/alice").is_(204)
    rig.until("the route is back", lambda: "/user/alice" in routes(), 20)
    browser.send("GET", PREFIX + "api/status").is_(200)


def jupyterhub_drops_a_route_that_is_stale():
    stale = {"target": "http://127.0.0.1:9", "jupyterhub": True, "user": "nobody", "server_name": ""}
    proxy.send("POST", "/api/routes/user/nobody", body=stale).is_(201)
    rig.until("the stale route is gone", lambda: "/user/nobody" not in routes(), 20)
    # One that is not JupyterHub's stays.
    proxy.send("POST", "/api/routes/elsewhere", body={"target": "http://127.0.0.1:9"}).is_(201)
    hub.send("POST", "/hub/api/proxy").is_(200)
    rig.check("/elsewhere" in routes(), f"{routes()}")
    listed = hub.get("/hub/api/proxy").is_(200).json()
    rig.check({"/", "/user/alice/"} <= set(listed), f"{listed}")


def a_killed_proxy_comes_back_with_its_routes():
    before = rig.until("the proxy's process is known", proxys_process)
    os.kill(before, signal.SIGKILL)
    if external:
        external.process.wait()
        rig.check(not is_up(), "it still answers")
        start_external_proxy()
    rig.until("the hub is reached again", is_up, 60)
    if not external:
        rig.until("another process is the proxy", lambda: proxys_process() != before, 20)
    rig.until("alice's route is back", lambda: "/user/alice" in routes(), 60)
    # As signed in as before, and the kernel's socket works again.
    printed = rig.run_in_kernel(browser, PREFIX, "print('again')")
    rig.check(printed == "again\n", printed)


def activity_seen_by_the_proxy_reaches_the_hub():
    def last_activity():
        return hub.get("/hub/api/users/alice").is_(200).json()["servers"][""]["last_activity"]

    # Its own posts come once an hour here, so what moves it is what the proxy has seen.
    before = last_activity()
    browser.send("GET", PREFIX + "api/status").is_(200)
    rig.until("the hub knows of it", lambda: last_activity() > before, 20)
    # Failures and redirects are nobody's work.
    seen = routes()["/user/alice"]["last_activity"]
    rig.Client(origin).get(PREFIX + "api/contents").is_(403)
    rig.Client(origin).get(PREFIX).is_(301, 302)
    rig.check(routes()["/user/alice"]["last_activity"] == seen, "a refused request counted as activity")
    inactive = proxy.get("/api/routes?inactive_since=2001-01-01T00:00:00Z").is_(200).json()
    rig.check(inactive == {}, f"{inactive}")
    proxy.get("/api/routes?inactive_since=nonsense").is_(400)


def an_idle_server_is_culled_and_a_busy_one_is_not():
    rig.Browser(origin).sign_in("bob")
    hub.send("POST", "/hub/api/users/bob/server").is_(201, 202)
    rig.until("bob's server runs", lambda: (hub.get("/hub/api/users/bob").json()["servers"].get("") or {}).get("ready"))
    token = hub.send("POST", "/hub/api/users/admin/tokens", body={"note": "culler"})
    if token.status != 201:  # admin has not signed in yet, so is not there yet.
        rig.Browser(origin).sign_in("admin")
        token = hub.send("POST", "/hub/api/users/admin/tokens", body={"note": "culler"})
    culler = rig.Program(
        "culler", [rig.python_of(GENERATION), "-m", "jupyterhub_idle_culler", "--timeout=12", "--cull-every=2", f"--url={origin}/hub/api"],
        folder, rig.plain_environment(JUPYTERHUB_API_TOKEN=token.is_(201).json()["token"]))

    def bob_is_gone():
        browser.send("GET", PREFIX + "api/status").is_(200)  # alice works on
        culler.must_run()
        return not hub.get("/hub/api/users/bob").json()["servers"]

    rig.until("bob's server has been culled", bob_is_gone, 60)
    rig.check(hub.get("/hub/api/users/alice").json()["servers"], "alice's server was culled while she worked")
    culler.end()


def stopping_a_server_takes_its_route():
    hub.send("DELETE", "/hub/api/users/alice/server").is_(204, 202)
    rig.until("the route is gone", lambda: "/user/alice" not in routes(), 30)


def the_proxy_ends_as_its_callers_expect():
    if HOW != "external":
        return
    status = external.end(signal.SIGTERM)
    rig.check(status == 2, f"exit status {status}")


print(f"JupyterHub {GENERATION} with {' '.join(PROXY)}, {HOW}")
rig.tell(
    jupyterhub_starts_and_is_reached_through_the_proxy,
    the_proxys_api_wants_its_token,
    alice_signs_in_and_starts_a_real_server,
    a_cell_runs_over_a_websocket,
    a_stopped_servers_address_shows_the_hubs_page,
    a_dead_target_shows_the_hubs_page_of_that_error,
    jupyterhub_restores_a_route_that_was_lost,
    jupyterhub_drops_a_route_that_is_stale,
    a_killed_proxy_comes_back_with_its_routes,
    activity_seen_by_the_proxy_reaches_the_hub,
    an_idle_server_is_culled_and_a_busy_one_is_not,
    stopping_a_server_takes_its_route,
    the_proxy_ends_as_its_callers_expect,
)
