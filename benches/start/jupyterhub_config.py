"""The old stack as it is measured: JupyterHub with DockerSpawner, configurable-http-proxy with TLS in front."""

import os

c = get_config()  # noqa: F821
c.Application.log_level = "WARN"
folder = os.environ["FIGURES_FOLDER"]
c.JupyterHub.bind_url = f"https://127.0.0.1:{os.environ['FIGURES_PORT']}/"
c.JupyterHub.ssl_key = f"{folder}/key.pem"
c.JupyterHub.ssl_cert = f"{folder}/cert.pem"
c.JupyterHub.hub_bind_url = f"http://{os.environ['FIGURES_GATEWAY']}:{os.environ['FIGURES_HUB_PORT']}"
c.JupyterHub.db_url = f"sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{folder}/cookie_secret"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{os.environ['FIGURES_PROXY_PORT']}"
c.ConfigurableHTTPProxy.command = [os.environ["FIGURES_CHP"]]
c.ConfigurableHTTPProxy.pid_file = f"{folder}/proxy.pid"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "docker"
c.Authenticator.allow_all = True

c.DockerSpawner.prefix = os.environ["FIGURES_PREFIX"]
c.DockerSpawner.network_name = os.environ["FIGURES_NETWORK"]
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.pull_policy = "ifnotpresent"
c.DockerSpawner.cmd = ["jupyterhub-singleuser"]
c.DockerSpawner.volumes = {
    f"{os.environ['FIGURES_PREFIX']}-{{username}}_{name}": path
    for name, path in {"home": "/home/jovyan", "workspace": "/home/jovyan/work", "cache": "/home/jovyan/.cache"}.items()
}


def choose_image(spawner):
    spawner.image = "slipway-lab:6.1" if spawner.user.name.startswith("lab") else "slipway-instant:test"


c.Spawner.pre_spawn_hook = choose_image
