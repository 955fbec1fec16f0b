# NativeAuthenticator to the full, and constants in all their forms.
import os
from os import environ as env, getenv

c = get_config()
PREFIX = env.get("HUB_PREFIX", "/courses")
ADMINS = (getenv("HUB_ADMINS") or "ada,Grace").split(",")
LAB = {"name": "lab", "tag": "5"}
registry = "registry.example.org"
IMAGE = "{registry}/{0}".format("%s:%s" % (LAB["name"], LAB["tag"]), registry=registry)
BASE_ENV = dict(TZ="UTC", LANG="C.UTF-8")

c.JupyterHub.authenticator_class = "nativeauthenticator.NativeAuthenticator"
c.NativeAuthenticator = {"minimum_password_length": 10, "check_common_password": True}
c.NativeAuthenticator.allowed_failed_logins = 3
c.NativeAuthenticator.seconds_before_next_try = 1200
c.NativeAuthenticator.enable_signup = False
c.NativeAuthenticator.open_signup = True
c.NativeAuthenticator.ask_email_on_signup = True
c.NativeAuthenticator.allow_2fa = True
c.NativeAuthenticator.tos = "I agree"
c.NativeAuthenticator.recaptcha_secret = "hunter2"
c.Authenticator.admin_users = set(ADMINS)
c.JupyterHub.base_url = PREFIX.rstrip("/")
c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = IMAGE
c.DockerSpawner.allowed_images = [IMAGE, "quay.io/jupyter/r-notebook:latest"]
c.DockerSpawner.environment = {**BASE_ENV, "COLOUR": "blue" if len(LAB) == 2 else "red"}
BASE_ENV["TZ"] = "Europe/Paris"
c.DockerSpawner.volumes = {"lab-{username}_home": "/home/jovyan", "lab-{username}_scratch": "/scratch"}
c.DockerSpawner.name_template = "{prefix}-{username}--{servername}"
c.DockerSpawner.prefix = "lab"
c.DockerSpawner.network_name = getenv("NETWORK", "lab") + "_net"
c.JupyterHub.token_expires_in_max_seconds = 7 * 24 * 60 * 60
c.JupyterHub.allow_named_servers = False
