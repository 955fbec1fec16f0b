# A hub on somebody's own machine, written by `jupyterhub --generate-config`.
from traitlets.config import get_config

c: "Config" = get_config()  #noqa

#  Default: 'http://:8000'
# c.JupyterHub.bind_url = 'http://:8000'
c.JupyterHub.ip = '192.0.2.7'
c.JupyterHub.port = 9000
c.JupyterHub.hub_port = 9081
c.JupyterHub.spawner_class = 'simple'
c.JupyterHub.redirect_to_server = False
c.JupyterHub.authenticator_class = 'dummy'
c.DummyAuthenticator.password = "hunter2"
c.Spawner.cmd = ['jupyter-labhub']
c.Spawner.args = ['--debug'] + ["--collaborative"]
c.Spawner.notebook_dir = '~/notebooks/{username}'
c.SimpleLocalProcessSpawner.home_dir_template = '/tmp/{username}'
c.LocalProcessSpawner.term_timeout = 20
c.DockerSpawner.image = 'not/used'
c.Application.log_level = 30
c.Authenticator.any_allow_config = True
c.JupyterHub.cookie_max_age_days = 30
c.JupyterHub.cleanup_servers = True
c.JupyterHub.public_url = 'https://lab.example.org/hub/'
