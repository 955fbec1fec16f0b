# Everything that only running the file would tell.
import os
import pwd, json
from secrets import token_hex as fresh

c = get_config()
load_subconfig("common.py")

def my_hook(spawner):
    spawner.environment["SHARD"] = spawner.user.name[0]
    c.Spawner.mem_limit = "never"  # not a setting of the file: it stands in a function

async def later(spawner, auth_state): pass

c.Spawner.pre_spawn_hook = my_hook
c.Spawner.auth_state_hook = later
c.Spawner.post_stop_hook = lambda spawner: print("bye", spawner)
c.Spawner.mem_limit = lambda spawner: "2G" if spawner.user.admin else "1G"
c.Spawner.options_form = """
<select name="size">
  <option>large</option>
</select>
"""
c.Spawner.environment = {
    "NB_USER": lambda spawner: spawner.user.name,
    "HOME_OF_HUB": pwd.getpwuid(os.getuid()).pw_dir,
    "STATIC": "yes",
}
if os.path.exists("/etc/gpu"):
    c.Spawner.cpu_limit = 8
    c.JupyterHub.concurrent_spawn_limit = 7
    extra = {"A": "1"}
else:
    extra = {}
c.Spawner.args = [f"--x={i}" for i in range(3)]
c.Spawner.cmd = extra
try:
    with open("/srv/users.json") as users:
        c.Authenticator.allowed_users = set(json.load(users))
except FileNotFoundError:
    pass
c.Authenticator.admin_users = {"root" + fresh()} | {"ada"}
c.JupyterHub.template_vars = {"announcement": "Hi\u202eoh\x1b[31m"}
c.JupyterHub.no_such_setting = 3
c.JupyterHub.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors *"}}
c.JupyterHub.extra_handlers = [(r"/x", object)]
c.JupyterHub.base_url = None
