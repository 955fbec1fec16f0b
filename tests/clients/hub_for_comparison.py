"""Configuration of the real JupyterHub that `compare.py` runs: quick, without a proxy, with the tiny server.

Read by JupyterHub as its configuration file; `compare.py` hands the particulars over in COMPARE (JSON). What is
set here has its counterpart in the settings that `compare.py` gives to Slipway.
"""

import json
import os
import sys
from datetime import datetime, timezone

from jupyterhub.proxy import Proxy
from jupyterhub.spawner import SimpleLocalProcessSpawner

given = json.loads(os.environ["COMPARE"])
c = get_config()  # noqa: F821 - JupyterHub provides it


class NoProxy(Proxy):
    """Remembers routes and carries nothing: the test speaks to the hub itself."""

    should_start = False
    routes = {}

    async def add_route(self, routespec, target, data):
        seen = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        data = {**data, "jupyterhub": True, "last_activity": seen}
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return dict(self.routes)


class TinySpawner(SimpleLocalProcessSpawner):
    """A process in the folder of the test."""

    def make_preexec_fn(self, name):
        return None

    def user_env(self, env):
        env["HOME"] = given["folder"]
        return env


c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = f"http://127.0.0.1:{given['public_port']}"
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = given["port"]
c.JupyterHub.db_url = f"sqlite:///{given['folder']}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{given['folder']}/cookie_secret"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = given["named_limit"]
c.JupyterHub.active_server_limit = given["active_limit"]
c.JupyterHub.services = given["services"]
c.JupyterHub.load_roles = given["roles"]
# Slipway has this group from its first start on, before all others.
c.JupyterHub.load_groups = {"docker-privileged": {"users": []}} | given["groups"]
c.JupyterHub.custom_scopes = {"custom:grant-root": {"description": "allow root-like grants"}}
c.JupyterHub.spawner_class = TinySpawner
c.JupyterHub.last_activity_interval = 3600
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": given["slow_s"], "slow_stop_timeout": given["slow_s"]}
c.Spawner.cmd = [sys.executable, given["tiny_server"]]
c.Spawner.environment = {"TINY_FOLDER": given["folder"]}
# A start that fails is noticed by this alone.
c.Spawner.http_timeout = 5
c.Spawner.start_timeout = 60
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = given["password"]
c.Authenticator.allow_all = True
c.Authenticator.admin_users = {"admin"}
