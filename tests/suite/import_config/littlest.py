"""A hub on one machine, in the manner of The Littlest JupyterHub."""
import os

from tljh.configurer import load_config

INSTALL_PREFIX = os.environ.get("TLJH_INSTALL_PREFIX", "/opt/tljh")
USER_ENV_PREFIX = os.path.join(INSTALL_PREFIX, "user")

c = get_config()  # noqa: F821
c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.port = 15001
c.JupyterHub.ip = "127.0.0.1"
c.JupyterHub.bind_url = "http://127.0.0.1:15001/lab"
c.ConfigurableHTTPProxy.should_start = False
c.SystemdSpawner.extra_paths = [os.path.join(USER_ENV_PREFIX, "bin")]
c.SystemdSpawner.default_shell = "/bin/bash"
c.SystemdSpawner.unit_name_template = "jupyter-{USERNAME}"
c.Spawner.mem_limit = "1G"
c.Spawner.cpu_limit = 1.5
c.Spawner.default_url = "/lab"
c.Spawner.http_timeout = 90.5
c.Authenticator.admin_users = {"Admin", "ops"}
c.Authenticator.blocked_users = {"mallory"}
c.JupyterHub.authenticator_class = "firstuseauthenticator.FirstUseAuthenticator"
tljh_config = load_config()
for name, value in tljh_config.items():
    c.JupyterHub.services.append({"name": name})
