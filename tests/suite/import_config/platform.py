# Configuration file for JupyterHub of the platform, first generation.
import os
import subprocess

import docker
from nativeauthenticator import NativeAuthenticator

c = get_config()


def detect_nvidia(image="nvidia/cuda:12.9.1-base-ubuntu24.04"):
    """Runs nvidia-smi in a container."""
    client = docker.DockerClient("unix://var/run/docker.sock")
    try:
        client.containers.run(image, command="nvidia-smi", runtime="nvidia", remove=True)
        return 1
    except Exception:
        return 0


# standard variables imported from env
ENABLE_JUPYTERHUB_SSL = int(os.environ.get("ENABLE_JUPYTERHUB_SSL", 1))
ENABLE_GPU_SUPPORT = int(os.environ.get("ENABLE_GPU_SUPPORT", 2))
ENABLE_SERVICE_MLFLOW = int(os.environ.get("ENABLE_SERVICE_MLFLOW", 1))
TF_CPP_MIN_LOG_LEVEL = int(os.environ.get("TF_CPP_MIN_LOG_LEVEL", 3))
JUPYTERHUB_BASE_URL = os.environ.get("JUPYTERHUB_BASE_URL")
JUPYTERHUB_ADMIN = os.environ.get("JUPYTERHUB_ADMIN")
NVIDIA_AUTODETECT_IMAGE = os.environ.get("NVIDIA_AUTODETECT_IMAGE", "nvidia/cuda:12.9.1-base-ubuntu24.04")

NVIDIA_DETECTED = 0
if ENABLE_GPU_SUPPORT == 2:
    NVIDIA_DETECTED = detect_nvidia(NVIDIA_AUTODETECT_IMAGE)
    ENABLE_GPU_SUPPORT = 1 if NVIDIA_DETECTED else 0

# ensure that we are using SSL, it should be enabled by default
if ENABLE_JUPYTERHUB_SSL == 1:
    c.JupyterHub.ssl_cert = "/mnt/certs/server.crt"
    c.JupyterHub.ssl_key = "/mnt/certs/server.key"

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.environment = {
    "TF_CPP_MIN_LOG_LEVEL": TF_CPP_MIN_LOG_LEVEL,
    "TENSORBOARD_LOGDIR": "/tmp/tensorboard",
    "MLFLOW_TRACKING_URI": "http://localhost:5000",
    "MLFLOW_WORKERS": 1,
    "ENABLE_SERVICE_MLFLOW": ENABLE_SERVICE_MLFLOW,
    "ENABLE_GPU_SUPPORT": ENABLE_GPU_SUPPORT,
    "NVIDIA_DETECTED": NVIDIA_DETECTED,
}

# configure access to GPU if possible
if ENABLE_GPU_SUPPORT == 1:
    c.DockerSpawner.extra_host_config = {
        "device_requests": [
            {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}
        ]
    }

# spawn containers from this image
c.DockerSpawner.image = os.environ["DOCKER_NOTEBOOK_IMAGE"]

# networking congfiguration
NETWORK_NAME = os.environ["DOCKER_NETWORK_NAME"]
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.network_name = NETWORK_NAME

# prevent auto-spawn for admin users
c.JupyterHub.default_url = JUPYTERHUB_BASE_URL + "/hub/home"

notebook_dir = os.environ.get("DOCKER_NOTEBOOK_DIR") or "/home/lab/workspace"
c.DockerSpawner.notebook_dir = notebook_dir
c.DockerSpawner.name_template = "jupyterlab-{username}"
c.DockerSpawner.volumes = {
    "jupyterlab-{username}_home": "/home",
    "jupyterlab-{username}_workspace": notebook_dir,
    "jupyterlab-{username}_cache": "/home/lab/.cache",
    "jupyterhub_shared": "/mnt/shared",
}
c.DockerSpawner.args = ["--ServerApp.allow_origin='*'", "--ServerApp.disable_check_xsrf=True"]
c.DockerSpawner.remove = True
c.DockerSpawner.debug = False

# user containers access hub by container name on the docker network
c.JupyterHub.hub_ip = "jupyterhub"
c.JupyterHub.hub_port = 8080
c.JupyterHub.hub_connect_url = f"http://jupyterhub:8080{JUPYTERHUB_BASE_URL}/hub"
c.JupyterHub.base_url = JUPYTERHUB_BASE_URL + "/"

# persist hub data on volume mounted inside container
c.JupyterHub.cookie_secret_file = "/data/jupyterhub_cookie_secret"
c.JupyterHub.db_url = "sqlite:////data/jupyterhub.sqlite"

c.JupyterHub.authenticator_class = "native"
c.JupyterHub.template_paths = [f"{os.path.dirname(NativeAuthenticator.__file__)}/templates/"]
c.NativeAuthenticator.open_signup = False
c.NativeAuthenticator.enable_signup = True
c.Authenticator.allow_all = True
c.Authenticator.admin_users = [JUPYTERHUB_ADMIN]
c.JupyterHub.admin_access = True
