# A department's hub: DockerSpawner, volumes of the usual name, its own certificate.
import os
from dockerspawner import DockerSpawner

c = get_config()

class DeptSpawner(DockerSpawner):
    """Puts the course into the environment."""

    def start(self):
        self.environment["COURSE"] = self.user.name
        return super().start()

c.JupyterHub.spawner_class = DeptSpawner
c.JupyterHub.bind_url = "https://:443"
c.JupyterHub.ssl_key = "/srv/jupyterhub/tls/lab.key"
c.JupyterHub.ssl_cert = "/srv/jupyterhub/tls/lab.crt"
c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "172.17.0.1"
c.JupyterHub.cookie_secret = bytes.fromhex("a0b1c2d3e4f5a0b1c2d3e4f5a0b1c2d3")
c.JupyterHub.db_url = "postgresql://hub:hunter2@db:5432/hub"
c.JupyterHub.cookie_max_age_days = 0.5
c.JupyterHub.allow_named_servers = True
c.JupyterHub.named_server_limit_per_user = 3
c.JupyterHub.concurrent_spawn_limit = 25
c.JupyterHub.active_server_limit = 80
c.JupyterHub.log_level = "DEBUG"

c.DeptSpawner.image = "dept/lab:2024"
c.DockerSpawner.allowed_images = {"Python": "dept/lab:2024", "R and Stan": "dept/r:2024"}
c.DockerSpawner.pull_policy = "ifnotpresent"
c.DockerSpawner.remove = False
c.DockerSpawner.mem_limit = 4 * 1024 ** 3
c.DockerSpawner.cpu_limit = 2
c.DockerSpawner.start_timeout = 300
c.DockerSpawner.prefix = "dept"
c.DockerSpawner.volumes = {
    "jupyterhub-user-{username}": "/home/jovyan/work",
    "/srv/homes/{username}": "/home/jovyan/host",
    "/srv/datasets": {"bind": "/data", "mode": "ro"},
    "course_material": {"bind": "/course", "mode": "ro"},
}
c.DockerSpawner.extra_host_config = {
    "runtime": "nvidia",
    "shm_size": "1g",
    "cpu_period": 100_000,
    "cpu_quota": 250_000,
    "pids_limit": 512,
    "privileged": False,
}
c.DockerSpawner.extra_create_kwargs = {"user": "root"}
c.DockerSpawner.environment = {"TZ": "Europe/Berlin", "GRANT_SUDO": "no"}
c.DockerSpawner.environment.update(
    AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI/K7MDENG",
    DATABASE_URL="postgres://lab:hunter2@db/lab",
)
c.DockerSpawner.environment["MINIO_PASSWORD"] = "hunter2"
c.DockerSpawner.cmd = "start-singleuser.sh"
c.Authenticator.admin_users = {"carol"}
c.Authenticator.allowed_users = {"alice", "bob"}
c.JupyterHub.authenticator_class = "pam"
