"""Moving in: a real JupyterHub makes its database the real way — sign-ups on its page, approvals, keys, groups, named
servers —, `slipway import jupyterhub` takes it, and people go on with Slipway: the old password, the old token, and with
DockerSpawner the same kernel in the same container.

Usage:  takeover.py GENERATION [docker]

  4.1, 5.4-native   with NativeAuthenticator 1.3
  6.1               with the dummy authenticator, since NativeAuthenticator's sign-in does not work there: no passwords
  docker            with DockerSpawner and a notebook that is open (5.4-native; wants slipway-lab:5.4)
"""

import atexit
import contextlib
import hashlib
import secrets
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import rig

GENERATION = sys.argv[1] if len(sys.argv) > 1 else "5.4-native"
DOCKER = sys.argv[2:] == ["docker"]
NATIVE = GENERATION != "6.1"
folder = rig.Folder("takeover")
port, proxy_port = rig.free_port(), rig.free_port()
origin = f"http://127.0.0.1:{port}"
database = folder / "jupyterhub.sqlite"
mark = "swtake" + secrets.token_hex(4)
OLD_PASSWORDS = {"admin": "the administrators own", "alice": "alices old password", "faye": "fayes old password",
                 "carla": "carlas old password"}
OPTIONS = {"size": "small", "packages": ["numpy", "größer"]}
PREFIX = "/user/alice/"


def docker(*arguments):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=rig.ANSWER_LIMIT_S, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def remove_what_is_ours():
    for line in docker("ps", "--all", "--quiet", "--filter", f"name={mark}").split():
        docker("rm", "--force", "--volumes", line)
    for name in docker("volume", "ls", "--quiet", "--filter", f"name={mark}").split():
        docker("volume", "rm", name)
    docker("network", "rm", mark)


# The hub is reached from containers at the gateway of their network, before the move and after.
HUB_HOST = "127.0.0.1"
if DOCKER:
    docker("network", "create", mark)
    atexit.register(remove_what_is_ours)
    HUB_HOST = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", mark)
hub_port = rig.free_port()
SERVICE_TOKEN = secrets.token_hex(16)

AUTHENTICATOR = """
c.JupyterHub.authenticator_class = "native"
c.NativeAuthenticator.allow_2fa = True
""" if NATIVE else f"""
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {rig.PASSWORD!r}
"""
SPAWNER = f"""
c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = "slipway-lab:5.4"
c.DockerSpawner.network_name = "{mark}"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.prefix = "{mark}"
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.volumes = {{"{mark}ours-{{username}}_work": "/home/jovyan/work"}}
""" if DOCKER else f"""
from jupyterhub.spawner import SimpleLocalProcessSpawner

class Tiny(SimpleLocalProcessSpawner):
    home_dir = "{folder.path}"

    def make_preexec_fn(self, name):
        return None

    def user_env(self, env):
        return dict(env, TINY_FOLDER="{folder.path}")

c.JupyterHub.spawner_class = Tiny
c.Spawner.cmd = [{rig.python_of(GENERATION)!r}, "{rig.HERE / 'tiny_server.py'}"]
"""
CONFIG = f"""
import os, sys
c.JupyterHub.bind_url = "{origin}"
c.JupyterHub.hub_ip = "{HUB_HOST}"
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///{database}"
c.JupyterHub.cookie_secret_file = "{folder / 'cookie_secret'}"
c.JupyterHub.pid_file = "{folder / 'pid'}"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.allow_named_servers = True
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{folder / 'proxy.pid'}"
c.ConfigurableHTTPProxy.command = [{rig.BINARY!r}, "chp"]
c.Authenticator.admin_users = {{"admin"}}
if {GENERATION != '4.1'}:
    c.Authenticator.allow_all = True
c.JupyterHub.load_roles = [{{"name": "readers", "scopes": ["read:users"], "groups": ["physics"]}}]
c.JupyterHub.load_groups = {{"physics": {['alice'] if GENERATION == '4.1' else {'users': ['alice'], 'properties': {'room': 7}}!r}}}
c.JupyterHub.services = [{{"name": "script", "api_token": "{SERVICE_TOKEN}"}}]
{AUTHENTICATOR}
{SPAWNER}
"""

# What a configuration says is none of the import's: it stands in ours as well.
SETTINGS = {"roles": [{"name": "readers", "scopes": ["read:users"], "groups": ["physics"]}],
            "services": [{"name": "script", "api_token": SERVICE_TOKEN}]}

hub = None
slipway = None
browsers = {}
token = None
container = None
kernel = None


# ---- at JupyterHub ---------------------------------------------------------------------------------------


def is_up():
    try:
        return rig.Client(origin, limit_s=5).get("/hub/health").status == 200
    except OSError:
        return False


def sign_in_at_the_hub(name):
    browsers[name] = rig.Browser(origin)
    browsers[name].sign_in(name, OLD_PASSWORDS[name] if NATIVE else rig.PASSWORD)
    browsers[name].go("/hub/home")


def a_real_jupyterhub_starts():
    global hub
    hub = rig.Hub(GENERATION, folder, CONFIG)
    hub.program.wait_for("JupyterHub answers", is_up)


def people_sign_up_on_its_page_and_the_administrator_lets_them_in():
    if NATIVE:
        for name, password in OLD_PASSWORDS.items():
            browser = rig.Browser(origin)
            page, place = browser.go("/hub/signup")
            more = {"2fa": "2fa" if name == "faye" else None}
            answer = browser.submit(place, page.is_(200).text(), {
                "username": name, "signup_password": password, "signup_password_confirmation": password, **more})
            answer.is_(200)
    sign_in_at_the_hub("admin")
    if NATIVE:
        for name in ("alice", "faye"):
            answer, _ = browsers["admin"].go(f"/hub/authorize/{name}")
            answer.is_(200)
    sign_in_at_the_hub("alice")


def keys_groups_and_a_named_server_with_options_are_made_through_its_api():
    global token
    admin, alice = browsers["admin"], browsers["alice"]
    made = alice.api("POST", "/hub/api/users/alice/tokens", {"note": "my script"}).is_(200, 201).json()
    token = made["token"]
    rig.check(rig.Client(origin).get("/hub/api/user", Authorization=f"token {token}").is_(200).json()["name"] == "alice",
              "the token works at the hub")
    admin.api("POST", "/hub/api/groups/chemistry", {}).is_(201)
    admin.api("POST", "/hub/api/groups/chemistry/users", {"users": ["alice"]}).is_(200)
    admin.api("PUT", "/hub/api/groups/chemistry/properties", {"bench": 3}).is_(200)
    if DOCKER:
        # One container is enough; the other stories have named servers.
        return
    alice.api("POST", "/hub/api/users/alice/servers/thesis", OPTIONS).is_(201, 202)
    rig.until("the named server is ready", lambda: server_at_the_hub("thesis").get("ready"))
    alice.api("DELETE", "/hub/api/users/alice/servers/thesis").is_(202, 204)
    rig.until("the named server has stopped", lambda: not server_at_the_hub("thesis").get("ready"))


def server_at_the_hub(name):
    servers = browsers["admin"].api("GET", "/hub/api/users/alice").is_(200).json()["servers"]
    return servers.get(name, {})


def a_notebook_is_open_there():
    global container, kernel
    alice = browsers["alice"]
    alice.open_server(f"{PREFIX}lab")
    kernel = alice.api("POST", f"{PREFIX}api/kernels", {"name": "python3"}).is_(201).json()["id"]
    said = rig.run_in_kernel(alice, PREFIX, "x = 42; open('/home/jovyan/work/notes', 'w').write('hers'); print('kept')", kernel=kernel)
    rig.check(said.strip() == "kept", said)
    container = docker("ps", "--quiet", "--no-trunc", "--filter", f"name={mark}")
    rig.check(len(container.split()) == 1, f"one container runs: {container}")


def the_hub_stops_and_leaves_what_runs():
    hub.program.end()
    if DOCKER:
        rig.check(docker("ps", "--quiet", "--no-trunc", "--filter", f"name={mark}") == container, "it still runs")


# ---- the move --------------------------------------------------------------------------------------------


def import_of(path, *more):
    done = slipway.try_command("import", "jupyterhub", "--db", str(path), *more)
    rig.check("panicked" not in done.stderr, done.stderr)
    return done


def fingerprint():
    """Of everything that Slipway keeps."""
    kept = sorted(path for path in (folder / "data").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def people():
    """Who is there with us, by name, as the command lists them."""
    lines = slipway.command("user", "list").splitlines()[1:]
    return {line.split()[0]: line for line in lines}


def a_dry_run_says_what_would_come_and_changes_nothing():
    global slipway
    settings = {"spawner.backend": "docker", "spawner.docker.image": "slipway-lab:5.4", "spawner.docker.network": mark,
                "spawner.docker.name_prefix": f"{mark}ours", "spawner.docker.pull_policy": "never",
                "spawner.docker.volumes": {"work": "/home/jovyan/work"}} if DOCKER else {"spawner.named_servers_per_user": -1}
    slipway = rig.Slipway(folder, [rig.python_of(GENERATION), str(rig.HERE / "tiny_server.py")], settings | SETTINGS,
                          hub=(HUB_HOST, hub_port))
    # Everybody who moves in has a password already, the administrator among them.
    slipway.environment.pop("SLIPWAY_ADMIN_PASSWORD")
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    said = import_of(database, "--dry-run")
    rig.check(said.returncode == 0 and "users_info" in said.stdout, said.stdout + said.stderr)
    rig.check("alice" not in people(), f"a dry run made people: {people()}")
    rig.check(hashlib.sha256(database.read_bytes()).hexdigest() == before, "the hub's database is as it was")


def everything_comes_in_at_once():
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    said = import_of(database)
    rig.check(said.returncode == 0, said.stdout + said.stderr)
    rig.check(hashlib.sha256(database.read_bytes()).hexdigest() == before, "the hub's database is as it was")
    listed = people()
    expected = set(OLD_PASSWORDS) if NATIVE else {"admin", "alice"}
    rig.check(set(listed) == expected, f"{set(listed)} instead of {expected}")
    rig.check("administrator" in listed["admin"] and " user " in listed["alice"], f"{listed}")
    if NATIVE:
        rig.check(" wait " in listed["carla"], "whom nobody has let in there waits here")


def once_more_changes_nothing():
    listed, tokens = people(), slipway.command("token", "list", "alice")
    said = import_of(database)
    rig.check(said.returncode == 0, said.stdout + said.stderr)
    rig.check(people() == listed, f"{people()}")
    rig.check(slipway.command("token", "list", "alice") == tokens, "tokens are as they were")


def what_is_no_such_database_is_refused_with_a_sentence_and_nothing_changes():
    def made(name, content):
        path = folder / name
        path.write_bytes(content)
        return path

    whole = database.read_bytes()
    newer = folder / "newer.sqlite"
    shutil.copy(database, newer)
    with contextlib.closing(sqlite3.connect(newer)) as opened, opened:
        opened.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    other = folder / "other.sqlite"
    with contextlib.closing(sqlite3.connect(other)) as opened, opened:
        opened.execute("CREATE TABLE recipes (title TEXT)")
    locked = folder / "locked.sqlite"
    shutil.copy(database, locked)
    # As a hub that writes just now.
    writer = sqlite3.connect(locked, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    listed, before = people(), fingerprint()
    for what, path, words in (
        ("a text", made("notes.sqlite", b"Dear diary, today " * 500), "no SQLite database"),
        ("nothing", made("empty.sqlite", b""), "is empty"),
        ("half of it", made("half.sqlite", whole[:len(whole) // 2]), "damaged"),
        ("its beginning", made("beginning.sqlite", whole[:3000]), "damaged"),
        ("a dump of Postgres", made("dump.sql", b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n"),
         "Postgres"),
        ("another program's", other, "not JupyterHub's"),
        ("of a later JupyterHub", newer, "ffffffffffff"),
        ("one that is being written", locked, "stop JupyterHub first"),
        ("none", folder / "nowhere.sqlite", "no such file"),
        ("a folder", folder.path, "no SQLite database"),
    ):
        for more in ((), ("--dry-run",)):
            said = import_of(path, *more)
            rig.check(said.returncode != 0, f"{what} was taken: {said.stdout}")
            lines = said.stderr.strip().splitlines()
            rig.check(len(lines) == 1 and lines[0].startswith("slipway: "), f"{what}: one sentence: {said.stderr}")
            rig.check(words.lower() in lines[0].lower(), f"{what}: {words!r} is not said: {lines[0]}")
    writer.close()
    rig.check(fingerprint() == before, "no byte of what we keep was written")
    rig.check(people() == listed, f"{people()}")


# ---- with us ---------------------------------------------------------------------------------------------


def slipway_serves_in_its_place():
    slipway.start()


def try_to_sign_in(name, password):
    browser = rig.Browser(slipway.origin)
    page, place = browser.go("/hub/login")
    return browser, browser.submit(place, page.is_(200).text(), {"username": name, "password": password})


def the_old_password_lets_in_and_another_does_not():
    for name, password in (("alice", OLD_PASSWORDS["alice"][:-1]), ("alice", ""), ("nobody", OLD_PASSWORDS["alice"])):
        _, refused = try_to_sign_in(name, password)
        rig.check(refused.status == 403 and "Invalid username or password" in refused.text(), f"{name}: {refused}")
    for name in ("alice", "admin"):
        browsers[name], answer = try_to_sign_in(name, OLD_PASSWORDS[name])
        answer.is_(302, 303)
        # Hashed anew by the first, so this is another code.
        _, again = try_to_sign_in(name, OLD_PASSWORDS[name])
        again.is_(302, 303)


def whom_nobody_let_in_there_waits_here():
    _, refused = try_to_sign_in("carla", OLD_PASSWORDS["carla"])
    rig.check(refused.status == 403 and "has not been authorized" in refused.text(), refused)


def who_has_a_second_factor_is_told_so_until_it_is_cleared():
    _, wrong = try_to_sign_in("faye", "fayes new password")
    rig.check("Invalid username or password" in wrong.text() and "factor" not in wrong.text(), wrong)
    _, refused = try_to_sign_in("faye", OLD_PASSWORDS["faye"])
    rig.check(refused.status == 403 and "second factor" in refused.text(), refused)
    slipway.command("user", "clear-second-factor", "faye")
    _, answer = try_to_sign_in("faye", OLD_PASSWORDS["faye"])
    answer.is_(302, 303)


def the_old_token_works_and_shows_groups_and_the_named_server():
    program = slipway.client(Authorization=f"token {token}")
    me = program.get("/hub/api/user").is_(200).json()
    rig.check(me["name"] == "alice" and set(me["groups"]) == {"physics", "chemistry"}, f"{me}")
    rig.check(slipway.client(Authorization=f"token {token[:-1]}x").get("/hub/api/user").status == 403, "a wrong one does not")
    # The group's role came along: she reads others.
    program.get("/hub/api/users/admin").is_(200)
    alice = program.get("/hub/api/users/alice?include_stopped_servers").is_(200).json()
    if DOCKER:
        return
    rig.check("thesis" in alice["servers"], f"{alice['servers']}")
    rig.check(alice["servers"]["thesis"]["user_options"] == OPTIONS, f"{alice['servers']['thesis']}")


def the_named_server_starts_with_the_options_it_had():
    program = slipway.client(Authorization=f"token {token}")

    def thesis():
        return program.get("/hub/api/users/alice?include_stopped_servers").is_(200).json()["servers"]["thesis"]

    program.send("POST", "/hub/api/users/alice/servers/thesis").is_(201, 202)
    rig.until("it is ready", lambda: thesis()["ready"])
    rig.check(thesis()["user_options"] == OPTIONS, f"{thesis()}")


def the_same_kernel_goes_on_in_the_same_container():
    alice = browsers["alice"]
    alice.open_server(f"{PREFIX}lab")
    kernels = alice.api("GET", f"{PREFIX}api/kernels").is_(200).json()
    rig.check([found["id"] for found in kernels] == [kernel], f"{kernels}")
    said = rig.run_in_kernel(alice, PREFIX, "print(x)", kernel=kernel)
    rig.check(said.strip() == "42", said)
    running = docker("ps", "--quiet", "--no-trunc", "--filter", f"name={mark}")
    rig.check(running == container, f"{running} instead of {container}")


def a_restart_of_slipway_leaves_it_alone():
    slipway.program.end()
    slipway.start()
    said = rig.run_in_kernel(browsers["alice"], PREFIX, "print(x)", kernel=kernel)
    rig.check(said.strip() == "42", said)


def a_stop_through_our_api_removes_that_container_and_the_next_start_makes_ours():
    program = slipway.client(Authorization=f"token {token}")
    program.send("DELETE", "/hub/api/users/alice/server").is_(202, 204)
    rig.until("the container is gone", lambda: not docker("ps", "--all", "--quiet", "--filter", f"id={container}"))
    browsers["alice"].open_server(f"{PREFIX}lab")
    running = docker("ps", "--quiet", "--no-trunc", "--filter", f"name={mark}ours")
    rig.check(running and running != container, running)
    said = rig.run_in_kernel(browsers["alice"], PREFIX, "print(open('/home/jovyan/work/notes').read())")
    rig.check(said.strip() == "hers", said)


def passwords_are_hashed_anew_and_the_move_is_over():
    slipway.program.end()
    store = b"".join(path.read_bytes() for path in (folder / "data").rglob("*") if path.is_file())
    rig.check(b"fayes old password" not in store, "no password is stored")
    said = import_of(database)
    rig.check(said.returncode == 0, said.stderr)
    slipway.start()
    try_to_sign_in("alice", OLD_PASSWORDS["alice"])[1].is_(302, 303)
    _, answer = try_to_sign_in("faye", OLD_PASSWORDS["faye"])
    rig.check(answer.status in (302, 303), "a second run does not bring the second factor back")


print(f"moving in from JupyterHub {GENERATION}{' with DockerSpawner' if DOCKER else ''}")
rig.tell(
    a_real_jupyterhub_starts,
    people_sign_up_on_its_page_and_the_administrator_lets_them_in,
    keys_groups_and_a_named_server_with_options_are_made_through_its_api,
    *([a_notebook_is_open_there] if DOCKER else []),
    the_hub_stops_and_leaves_what_runs,
    a_dry_run_says_what_would_come_and_changes_nothing,
    everything_comes_in_at_once,
    once_more_changes_nothing,
    *([what_is_no_such_database_is_refused_with_a_sentence_and_nothing_changes] if not DOCKER else []),
    slipway_serves_in_its_place,
    *([the_old_password_lets_in_and_another_does_not, whom_nobody_let_in_there_waits_here,
       who_has_a_second_factor_is_told_so_until_it_is_cleared] if NATIVE else []),
    the_old_token_works_and_shows_groups_and_the_named_server,
    *([the_named_server_starts_with_the_options_it_had] if not DOCKER else []),
    *([the_same_kernel_goes_on_in_the_same_container, a_restart_of_slipway_leaves_it_alone,
       a_stop_through_our_api_removes_that_container_and_the_next_start_makes_ours] if DOCKER else []),
    *([passwords_are_hashed_anew_and_the_move_is_over] if NATIVE and not DOCKER else []),
)
