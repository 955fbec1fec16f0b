# A hub on Kubernetes: it cannot be moved as it is, and is told so.
import os

c = get_config()
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.hub_connect_ip = os.environ["HUB_SERVICE_HOST"]
c.KubeSpawner.namespace = os.environ.get("POD_NAMESPACE", "default")
c.KubeSpawner.image = "jupyter/base-notebook:latest"
c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_capacity = "10Gi"
c.Spawner.profile_list = [
    {
        "display_name": "Small: 1 GB",
        "slug": "small",
        "default": True,
        "kubespawner_override": {"mem_limit": "1G", "cpu_limit": 0.5},
    },
    {
        "display_name": "GPU",
        "description": "With CUDA",
        "kubespawner_override": {
            "image": "jupyter/pytorch-notebook:cuda12",
            "mem_limit": "16G",
            "environment": {"CUDA_MODULE_LOADING": "LAZY"},
            "extra_resource_limits": {"nvidia.com/gpu": "1"},
        },
    },
]
c.JupyterHub.authenticator_class = "oauthenticator.GitHubOAuthenticator"
c.GitHubOAuthenticator.client_id = "Iv1.abc"
c.GitHubOAuthenticator.client_secret = "hunter2"
c.GitHubOAuthenticator.allowed_organizations = {"physics"}
c.CryptKeeper.keys = ["hunter2hunter2"]
