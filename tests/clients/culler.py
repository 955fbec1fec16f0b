"""jupyterhub-idle-culler 2.0 against Slipway, as a managed service with the roles that its README gives: it stops a real
server that nobody uses and leaves one in which somebody works.

Usage:  culler.py [slipway|jupyterhub]
"""

import sys
from pathlib import Path

import rig

WHO = sys.argv[1] if len(sys.argv) > 1 else "slipway"
GENERATION = "6.1"
python = rig.python_of(GENERATION)
singleuser = str(Path(python).parent / "jupyterhub-singleuser")
folder = rig.Folder("culler")
PEOPLE = ("idle", "busy")
# https://github.com/jupyterhub/jupyterhub-idle-culler, "As a hub managed service", in Slipway's words; the timeout is
# an hour there and 15 s here, since a server whose person works is looked at each second.
SERVICE = {"name": "jupyterhub-idle-culler-service",
           "command": [python, "-m", "jupyterhub_idle_culler", "--timeout=15", "--cull-every=2"]}
ROLES = [{"name": "jupyterhub-idle-culler-role", "description": "culls idle servers",
          "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
          "services": ["jupyterhub-idle-culler-service"]}]
HUB = """
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "{folder}/cookie_secret"
c.JupyterHub.pid_file = "{folder}/pid"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.pid_file = "{folder}/proxy.pid"
c.JupyterHub.last_activity_interval = 2
c.JupyterHub.activity_resolution = 0
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {{"admin"}}
c.JupyterHub.services = {services!r}
c.JupyterHub.load_roles = {roles!r}
c.JupyterHub.spawner_class = "simple"
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {{"JUPYTERHUB_ACTIVITY_INTERVAL": "3600"}}
"""


class Slipway:
    def __init__(self):
        self.slipway = rig.Slipway(
            folder, [singleuser],
            # Its own posts come once an hour, so that only what passes through Slipway counts.
            {"services": [SERVICE], "roles": ROLES, "spawner.environment": {"JUPYTERHUB_ACTIVITY_INTERVAL": "3600"}},
            path=f"{Path(python).parent}:/usr/local/bin:/usr/bin:/bin")
        self.origin = self.slipway.origin

    def start(self):
        self.slipway.start()
        for name in PEOPLE:
            self.slipway.add_user(name)


class Real:
    def __init__(self):
        self.port = rig.free_port()
        self.origin = f"http://127.0.0.1:{self.port}"

    def start(self):
        text = HUB.format(port=self.port, hub_port=rig.free_port(), api_port=rig.free_port(), folder=folder.path,
                          password=rig.PASSWORD, services=[SERVICE], roles=ROLES)
        program = rig.Hub(GENERATION, folder, text).program
        client = rig.Client(self.origin)
        program.wait_for("JupyterHub answers", lambda: rig.listens(self.port) and client.get("/hub/health").status == 200)


hub = Slipway() if WHO == "slipway" else Real()
browsers = {}
admin = rig.Browser(hub.origin)


def server_of(name):
    user = admin.api("GET", f"/hub/api/users/{name}").is_(200).json()
    return user["servers"].get("")


def work(name):
    """What a person at work makes: an answered request to their server."""
    answer = browsers[name].send("GET", f"/user/{name}/api/status")
    rig.check(answer.status == 200, f"{name}'s server: {answer}")


def the_hub_starts_with_the_culler_as_its_service():
    hub.start()
    admin.sign_in("admin")
    admin.go("/hub/home")


def two_people_start_real_servers():
    for name in PEOPLE:
        browsers[name] = rig.Browser(hub.origin)
        browsers[name].sign_in(name)
        browsers[name].open_server(f"/user/{name}/lab")
        rig.check(server_of(name)["ready"], f"{name}: {server_of(name)}")


def the_idle_one_is_stopped_and_the_busy_one_is_left():
    def idle_is_gone():
        work("busy")
        return server_of("idle") is None

    rig.until("the idle server has been stopped", idle_is_gone, 90)
    work("busy")
    rig.check(server_of("busy")["ready"], f"{server_of('busy')}")


def a_culled_server_starts_again_when_it_is_opened():
    browsers["idle"].open_server("/user/idle/lab").is_(200)


def the_busy_one_is_stopped_too_once_nobody_works_there():
    def is_gone():
        work("idle")
        return server_of("busy") is None

    rig.until("the other server has been stopped", is_gone, 90)


print(f"jupyterhub-idle-culler 2.0 at {WHO}")
rig.tell(
    the_hub_starts_with_the_culler_as_its_service,
    two_people_start_real_servers,
    the_idle_one_is_stopped_and_the_busy_one_is_left,
    a_culled_server_starts_again_when_it_is_opened,
    the_busy_one_is_stopped_too_once_nobody_works_there,
)
