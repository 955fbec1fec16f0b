# As an editor on Windows leaves it.
import os
c = get_config()
if os.name == "nt":
	c.JupyterHub.port = 80
c.JupyterHub.base_url = (
	"/win"
)
c.Spawner.environment = {
	"GREETING": """two
lines""",
	"FOLDER": r"C:\data",
}
c.DockerSpawner.image = \
	"lab:1"