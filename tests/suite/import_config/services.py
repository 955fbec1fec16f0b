# Services, roles and groups, and the idle culler.
import sys

c = get_config()
IDLE_HOURS = 2

c.JupyterHub.services = [
    {
        "name": "cull-idle",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler",
                    f"--timeout={IDLE_HOURS * 3600 + 30}", "--max-age", "90000", "--cull-every=300", "--cull-users"],
    },
    {
        "name": "announcement",
        "url": "http://127.0.0.1:8888",
        "command": [sys.executable, "-m", "announcement", "--port=8888"],
        "environment": {"THEME": "blue", "ADMIN_TOKEN": "hunter2hunter2"},
        "oauth_no_confirm": True,
    },
]
c.JupyterHub.services.append({
    "name": "grader",
    "url": "http://grader:9000",
    "api_token": "hunter2-hunter2-hunter2",
    "oauth_client_id": "service-grader",
    "oauth_redirect_uri": "https://grader.example.org/oauth_callback",
    "info": {"owner": "Dr. Ä", "level": 3},
})
c.JupyterHub.services += [{"name": "backup", "command": ["backup", "--token=hunter2hunter2"]}]
c.JupyterHub.load_roles = [
    {
        "name": "cull-idle-role",
        "description": "What the culler needs",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["cull-idle"],
    },
    {
        "name": "teacher",
        "scopes": ["access:servers!group=physics", "access:services!service=grader"],
        "users": ["Ada"],
        "groups": ["staff"],
    },
    {"name": "broken", "scopes": ["no:such:scope"], "users": ["ada"]},
    {"name": "lost", "scopes": ["list:users"], "services": ["nobody-knows"]},
]
c.JupyterHub.load_groups = {
    "physics": ["alice", "Bob"],
    "staff": {"users": {"ada"}, "properties": {"room": "4.01", "floors": [1, 2]}},
}
c.JupyterHub.api_tokens = {"hunter2-hunter2": "ada"}
c.ConfigurableHTTPProxy.auth_token = "hunter2"
c.JupyterHub.extra_user_scopes = ["access:services!service=grader"]
c.JupyterHub.custom_scopes = {"custom:grader:read": {"description": "Reads grades"}}
c.JupyterHub.trusted_downstream_ips = ["10.0.0.0/8"]
c.JupyterHub.authenticate_prometheus = False
