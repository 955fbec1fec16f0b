"""The long sequence of API calls that `compare.py` makes at a real JupyterHub and at Slipway alike.

One function a chapter, in this order; each gets a `side` whose `do` makes a call and records the answer. What is
not recorded (`side.quietly`, `side.wait_…`) only brings both into the same state. Nothing here judges.
"""

import json
import threading
import urllib.parse

PAGES = {"Accept": "application/jupyterhub-pagination+json"}
NOT_JSON = "{not json"
FAR_AHEAD = "2099-01-01T00:00:00Z"
LONG_AGO = "2020-01-01T00:00:00.000000Z"


def versions(side):
    side.do("GET", "/", by="nobody")
    side.do("GET", "", by="nobody")
    side.do("GET", "/info", by="admin")
    side.do("GET", "/info", by="nobody")
    side.do("OPTIONS", "/users", by="nobody")
    side.do("HEAD", "/users", by="admin")
    side.do("GET", "/no-such-thing", by="admin")
    side.do("GET", "/no-such-thing", by="nobody")
    side.do("PUT", "/users", by="admin", body={})
    side.do("DELETE", "/info", by="admin")
    side.do("GET", "/health", by="nobody")


def who_am_i(side):
    side.do("GET", "/user", by="admin")
    side.do("GET", "/user", by="script")
    side.do("GET", "/user", by="reader")
    side.do("GET", "/user", by="nobody")
    side.do("GET", "/user", by="a stranger")
    side.do("GET", "/user", by="nobody", headers={"Authorization": f"Bearer {side.token_of('admin')}"}, note="bearer")
    side.do("GET", "/user", by="nobody", headers={"Authorization": f"TOKEN {side.token_of('admin')}"}, note="capitals")
    side.do("GET", "/user", by="nobody", headers={"Authorization": f"token {side.token_of('admin')} more"}, note="words after it")
    side.do("GET", "/user", by="nobody", headers={"Authorization": f"Basic {side.token_of('admin')}"}, note="basic")
    side.do("GET", "/user", by="the admin's browser")


def make_users(side):
    side.do("GET", "/users", by="admin", note="at first")
    side.do("POST", "/users", by="admin", body={"usernames": ["alice", "bob", "carol"]})
    side.do("POST", "/users", by="admin", body={"usernames": ["bob", "dave"]}, note="one exists")
    side.do("POST", "/users", by="admin", body={"usernames": ["alice", "bob"]}, note="all exist")
    side.do("POST", "/users", by="admin", body={"usernames": ["EVE"]}, note="capitals")
    side.do("POST", "/users", by="admin", body={"usernames": ["root2"], "admin": True}, note="an administrator")
    side.do("POST", "/users", by="admin", body={"usernames": []}, note="none")
    side.do("POST", "/users", by="admin", body={}, note="no key")
    side.do("POST", "/users", by="admin", body={"usernames": "alice"}, note="not a list")
    for letter in "alice":  # JupyterHub takes the text for a list of letters.
        side.quietly("DELETE", f"/users/{letter}", by="admin")
    side.do("POST", "/users", by="admin", body={"usernames": [1]}, note="not a name")
    side.do("POST", "/users", by="admin", body={"usernames": ["a/b"]}, note="a slash")
    side.do("POST", "/users", by="admin", body={"usernames": ["fine", ""]}, note="an empty name")
    side.do("GET", "/users/fine", by="admin", note="not partly applied")
    side.do("POST", "/users", by="admin", body={"usernames": [".."]}, note="dots")
    side.do("POST", "/users", by="admin", body={"usernames": ["x"], "admin": "yes"}, note="admin is text")
    side.do("POST", "/users", by="admin", body=NOT_JSON)
    side.do("POST", "/users", by="admin", body=[], note="a list")
    side.do("POST", "/users", by="admin", body="", note="empty")
    side.do("POST", "/users", by="nobody", body={"usernames": ["mallory"]})
    side.do("POST", "/users", by="reader", body={"usernames": ["mallory"]})
    side.do("POST", "/users/frank", by="admin")
    side.do("POST", "/users/frank", by="admin", note="again")
    side.do("POST", "/users/gina", by="admin", body={"admin": True})
    side.do("POST", "/users/user%40example.org", by="admin")
    side.do("GET", "/users/user%40example.org", by="admin")
    side.do("GET", "/users/user@example.org", by="admin")
    side.do("POST", "/users/heidi", by="admin", body={"admin": "yes"}, note="admin is text")
    side.do("POST", "/users/heidi2", by="admin", body=NOT_JSON)
    side.do("POST", "/users/heidi3", by="reader")
    side.do("GET", "/users/alice", by="admin")
    side.do("GET", "/users/nobody-here", by="admin")
    side.do("GET", "/users/nobody-here", by="nobody")
    side.do("GET", "/users/alice", by="nobody")
    side.do("GET", "/users/ALICE", by="admin", note="capitals in the path")


def list_users(side):
    side.do("GET", "/users", by="admin")
    side.do("GET", "/users", by="reader")
    side.do("GET", "/users", by="nobody")
    side.do("GET", "/users", by="a stranger")
    for query in (
        "limit=2", "limit=2&offset=2", "offset=3", "limit=0", "limit=-3", "limit=100000", "limit=x", "offset=x",
        "offset=-1", "limit=2&offset=1000", "limit=", "limit=1.5",
        "state=active", "state=ready", "state=inactive", "state=nonsense", "state=",
        "name_filter=a", "name_filter=zz", "name_filter=A", "name_filter=%25", "name_filter=_",
        "sort=name", "sort=-name", "sort=id", "sort=-id", "sort=last_activity", "sort=-last_activity", "sort=nonsense",
        "sort=-name&limit=3&offset=1", "include_stopped_servers", "include_stopped_servers=1", "include_stopped_servers=0",
        "unknown=1",
    ):
        side.do("GET", f"/users?{query}", by="admin")
    for query in ("", "?limit=3", "?limit=3&offset=3", "?limit=3&offset=3&sort=-name&name_filter=a", "?offset=1000",
                  "?state=inactive&limit=1", "?limit=x"):
        side.do("GET", f"/users{query}", by="admin", headers=PAGES, note="pages")
    side.do("GET", "/users?limit=1", by="admin", note="another item too",
            headers={"Accept": "text/html, application/jupyterhub-pagination+json;q=0.5, */*"})
    side.do("GET", "/users?limit=1", by="admin", note="in a list",
            headers={"Accept": "application/json, application/jupyterhub-pagination+json"})
    side.do("GET", "/users?limit=2", by="reader", headers=PAGES, note="pages")


def change_users(side):
    side.do("PATCH", "/users/dave", by="admin", body={"name": "david"})
    side.do("GET", "/users/dave", by="admin", note="renamed")
    side.do("GET", "/users/david", by="admin")
    side.do("PATCH", "/users/david", by="admin", body={"admin": True})
    side.do("PATCH", "/users/david", by="admin", body={"admin": False}, note="no longer")
    side.do("PATCH", "/users/david", by="admin", body={"name": "alice"}, note="taken")
    side.do("PATCH", "/users/david", by="admin", body={"name": "a/b"}, note="a slash")
    side.do("PATCH", "/users/david", by="admin", body={"name": ""}, note="an empty name")
    side.do("PATCH", "/users/david", by="admin", body={"name": 7}, note="a number")
    side.do("PATCH", "/users/david", by="admin", body={"admin": "yes"}, note="admin is text")
    side.do("PATCH", "/users/david", by="admin", body={"nonsense": 1}, note="an unknown key")
    side.do("PATCH", "/users/david", by="admin", body={"name": "dora", "nonsense": 1}, note="one good key, one unknown")
    side.do("GET", "/users/dora", by="admin", note="not partly applied")
    side.do("PATCH", "/users/david", by="admin", body={"auth_state": None}, note="no auth_state")
    side.do("PATCH", "/users/david", by="admin", body={"auth_state": "text"}, note="auth_state is text")
    side.do("PATCH", "/users/david", by="admin", body={}, note="nothing")
    side.do("PATCH", "/users/david", by="admin", body=[], note="a list")
    side.do("PATCH", "/users/david", by="admin", body=NOT_JSON)
    side.do("PATCH", "/users/david", by="reader", body={"admin": True})
    side.do("PATCH", "/users/david", by="nobody", body={"admin": True})
    side.do("PATCH", "/users/nobody-here", by="admin", body={"admin": True})
    side.do("DELETE", "/users/david", by="reader")
    side.do("DELETE", "/users/david", by="admin")
    side.do("DELETE", "/users/david", by="admin", note="again")
    side.do("DELETE", "/users/david", by="nobody")
    side.do("DELETE", "/users/admin", by="admin", note="oneself")


def mint_tokens(side):
    made = side.do("POST", "/users/alice/tokens", by="admin", body={"note": "all that alice may"})
    side.keep("alice", made)
    side.do("GET", "/user", by="alice")
    made = side.do("POST", "/users/alice/tokens", by="alice", body={"note": "by herself", "expires_in": 3600})
    side.keep("alice for an hour", made)
    made = side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["read:users!user=alice"], "note": "reads"})
    side.keep("alice reads", made)
    made = side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["self"]}, note="self")
    side.keep("alice self", made)
    made = side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["read:users!user", "access:servers!user"]}, note="owner-relative")
    side.keep("alice owner-relative", made)
    made = side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["access:servers!server=alice/", "read:servers!server=alice/lab"]}, note="of one server")
    side.keep("alice one server", made)
    made = side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": []}, note="no scopes")
    side.keep("alice nothing", made)
    made = side.do("POST", "/users/alice/tokens", by="alice", body={"roles": ["user"]}, note="by role")
    side.keep("alice by role", made)
    side.do("POST", "/users/alice/tokens", by="alice", body={"roles": ["admin"]}, note="a role beyond hers")
    side.do("POST", "/users/alice/tokens", by="alice", body={"roles": ["nonsense"]}, note="an unknown role")
    side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["admin:users"]}, note="beyond hers")
    side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["read:users"]}, note="hers, unfiltered")
    side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["nonsense"]}, note="an unknown scope")
    side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["read:users!nonsense=x"]}, note="an unknown filter")
    side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": ["custom:nonsense"]}, note="an unknown custom scope")
    side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": "self"}, note="scopes is text")
    side.do("POST", "/users/alice/tokens", by="alice", body={"scopes": [1]}, note="a scope is a number")
    for wrong in (0, -1, "60", 1.5, None):
        side.do("POST", "/users/alice/tokens", by="alice", body={"expires_in": wrong}, note=f"expires_in {json.dumps(wrong)}")
    # JupyterHub makes a token of these: it goes again, or all later lists would differ.
    for body, note in (({"expires_in": True}, "expires_in true"), ({"note": 5}, "note is a number"), ([], "a list")):
        made = side.do("POST", "/users/alice/tokens", by="alice", body=body, note=note)
        if made.status == 201:
            side.quietly("DELETE", f"/users/alice/tokens/{made.json()['id']}", by="alice")
    side.do("POST", "/users/alice/tokens", by="alice", body="", note="empty")
    side.do("POST", "/users/alice/tokens", by="alice", body=NOT_JSON)
    side.do("POST", "/users/bob/tokens", by="alice", body={}, note="for somebody else")
    side.do("POST", "/users/bob/tokens", by="alice reads", body={})
    side.do("POST", "/users/alice/tokens", by="alice reads", body={}, note="without the right")
    side.do("POST", "/users/alice/tokens", by="nobody", body={})
    side.do("POST", "/users/alice/tokens", by="nobody", body={"auth": {"username": "alice", "password": "wrong"}}, note="a wrong password")
    side.do("POST", "/users/nobody-here/tokens", by="admin", body={})
    side.do("POST", "/users/alice/tokens", by="script", body={}, note="by a service")
    for who in ("alice", "alice for an hour", "alice reads", "alice self", "alice owner-relative", "alice one server",
                "alice nothing", "alice by role"):
        side.do("GET", "/user", by=who)
        side.do("GET", "/users/alice", by=who)
        side.do("GET", "/users/bob", by=who)
        side.do("GET", "/users", by=who)
        side.do("GET", "/users/alice/tokens", by=who, note="the list", only_status=True)
        side.do("GET", "/groups", by=who)
    side.do("GET", "/users/alice/tokens", by="alice")
    side.do("GET", "/users/alice/tokens", by="admin")
    side.do("GET", "/users/bob/tokens", by="alice")
    side.do("GET", "/users/nobody-here/tokens", by="admin")
    side.do("GET", "/users/alice/tokens", by="nobody")
    found = side.id_of("alice by role")
    side.do("GET", f"/users/alice/tokens/{found}", by="alice", as_path="/users/alice/tokens/{id}")
    side.do("GET", f"/users/bob/tokens/{found}", by="admin", as_path="/users/bob/tokens/{of alice}")
    side.do("GET", "/users/alice/tokens/a999999", by="alice")
    side.do("GET", "/users/alice/tokens/nonsense", by="alice")
    side.do("DELETE", f"/users/bob/tokens/{found}", by="admin", as_path="/users/bob/tokens/{of alice}")
    side.do("DELETE", f"/users/alice/tokens/{found}", by="alice reads", as_path="/users/alice/tokens/{id}")
    side.do("DELETE", f"/users/alice/tokens/{found}", by="alice", as_path="/users/alice/tokens/{id}")
    side.do("DELETE", f"/users/alice/tokens/{found}", by="alice", as_path="/users/alice/tokens/{id}", note="again")
    side.do("GET", "/user", by="alice by role", note="revoked")
    side.do("DELETE", "/users/alice/tokens/a999999", by="alice")
    side.do("DELETE", "/users/alice/tokens/nonsense", by="alice")
    # Scopes that only an administrator has, minted for work.
    for name, scopes in {
        "lists": ["list:users"], "reads all": ["read:users"], "reads names": ["read:users:name"],
        "activity": ["read:users:activity"], "servers": ["servers"], "reads servers": ["read:servers"],
        "one user": ["read:users!user=bob", "list:users!user=bob"], "group readers": ["read:groups!group=crew", "list:groups"],
        "starts": ["start:servers!user=bob"], "stops": ["delete:servers!user=bob"], "tokens of bob": ["tokens!user=bob"],
        "group crew": ["list:users!group=crew", "read:users!group=crew"], "groups": ["groups!group=crew"],
        "server state": ["admin:server_state", "read:servers"], "reads roles": ["read:roles"], "auth state": ["admin:auth_state"],
        "services": ["list:services", "read:services"], "metrics": ["read:metrics"], "proxy": ["proxy"], "shuts down": ["shutdown"],
        "admin users": ["admin:users"], "users": ["users"], "inherits": ["inherit"],
    }.items():
        side.keep(name, side.do("POST", "/users/admin/tokens", by="admin", body={"scopes": scopes, "note": name}, note=name))
    for who in ("lists", "reads all", "reads names", "activity", "servers", "reads servers", "one user", "group crew",
                "server state", "reads roles", "auth state", "admin users", "users", "metrics", "inherits"):
        side.do("GET", "/user", by=who)
        side.do("GET", "/users", by=who)
        side.do("GET", "/users/alice", by=who)
        side.do("GET", "/users/bob", by=who)
        side.do("GET", "/users/nobody-here", by=who)


def groups(side):
    side.do("GET", "/groups", by="admin", note="from the configuration")
    side.do("POST", "/groups", by="admin", body={"groups": ["crew", "deck"], "users": ["alice", "bob"]})
    side.do("POST", "/groups", by="admin", body={"groups": ["crew", "new-one"]}, note="one exists")
    side.do("GET", "/groups/new-one", by="admin", note="not partly applied")
    side.do("POST", "/groups", by="admin", body={"groups": []}, note="none")
    side.do("POST", "/groups", by="admin", body={}, note="no key")
    side.do("POST", "/groups", by="admin", body=NOT_JSON)
    side.do("POST", "/groups", by="admin", body={"groups": "crew"}, note="not a list")
    for letter in "crew":  # JupyterHub takes the text for a list of letters.
        side.quietly("DELETE", f"/groups/{letter}", by="admin")
    side.do("POST", "/groups/hold", by="admin")
    side.do("POST", "/groups/hold", by="admin", note="again")
    side.do("POST", "/groups/bridge", by="admin", body={"users": ["carol"]})
    side.do("POST", "/groups/bridge2", by="admin", body={"users": ["nobody-here"]}, note="an unknown user")
    side.do("GET", "/groups/bridge2", by="admin", note="not partly applied")
    side.do("POST", "/groups/bridge3", by="admin", body={"users": "carol"}, note="not a list")
    side.do("POST", "/groups/bridge4", by="reader")
    side.do("POST", "/groups/bridge5", by="nobody")
    side.do("GET", "/groups", by="admin")
    side.do("GET", "/groups?limit=1", by="admin")
    side.do("GET", "/groups?limit=1&offset=1", by="admin", headers=PAGES, note="pages")
    side.do("GET", "/groups?limit=x", by="admin")
    side.do("GET", "/groups", by="reader")
    side.do("GET", "/groups", by="nobody")
    side.do("GET", "/groups/crew", by="admin")
    side.do("GET", "/groups/crew", by="alice")
    side.do("GET", "/groups/nonsense", by="admin")
    side.do("GET", "/groups/nonsense", by="alice")
    side.do("GET", "/groups/crew", by="nobody")
    for who in ("group readers", "group crew", "groups", "reads roles"):
        side.do("GET", "/groups", by=who)
        side.do("GET", "/groups/crew", by=who)
        side.do("GET", "/groups/deck", by=who)
        side.do("GET", "/users", by=who)
        side.do("GET", "/users/alice", by=who)
        side.do("GET", "/users/carol", by=who)
    side.do("POST", "/groups/crew/users", by="admin", body={"users": ["carol"]})
    side.do("POST", "/groups/crew/users", by="admin", body={"users": ["carol"]}, note="already in it")
    side.do("POST", "/groups/crew/users", by="admin", body={"users": ["nobody-here"]}, note="an unknown user")
    side.do("POST", "/groups/crew/users", by="admin", body={}, note="no key")
    side.do("POST", "/groups/crew/users", by="admin", body={"users": "carol"}, note="not a list")
    side.do("POST", "/groups/crew/users", by="admin", body=NOT_JSON)
    side.do("POST", "/groups/nonsense/users", by="admin", body={"users": ["carol"]})
    side.do("POST", "/groups/crew/users", by="groups", body={"users": ["frank"]}, note="filtered to it")
    side.do("POST", "/groups/deck/users", by="groups", body={"users": ["frank"]}, note="filtered to another")
    side.do("POST", "/groups/crew/users", by="alice", body={"users": ["frank"]})
    side.do("DELETE", "/groups/crew/users", by="admin", body={"users": ["carol"]})
    side.do("DELETE", "/groups/crew/users", by="admin", body={"users": ["carol"]}, note="not in it")
    side.do("DELETE", "/groups/crew/users", by="admin", body={}, note="no key")
    side.do("DELETE", "/groups/crew/users", by="admin", note="no body")
    side.do("PUT", "/groups/crew/properties", by="admin", body={"cpu": 2, "nested": {"a": [1, None, "x"]}})
    side.do("PUT", "/groups/crew/properties", by="admin", body={"only": "this"}, note="replaces")
    side.do("PUT", "/groups/crew/properties", by="admin", body=[], note="a list")
    side.do("PUT", "/groups/crew/properties", by="admin", body="\"text\"", note="text")
    side.do("PUT", "/groups/crew/properties", by="admin", body=NOT_JSON)
    side.do("PUT", "/groups/crew/properties", by="alice", body={})
    side.do("PUT", "/groups/nonsense/properties", by="admin", body={})
    side.do("GET", "/groups/crew", by="admin", note="afterwards")
    side.do("GET", "/users/alice", by="admin", note="in groups")
    side.do("GET", "/users", by="admin", note="in groups")
    side.do("DELETE", "/groups/hold", by="alice")
    side.do("DELETE", "/groups/hold", by="admin")
    side.do("DELETE", "/groups/hold", by="admin", note="again")


def servers(side):
    """Starting and stopping, the default server."""
    side.do("GET", "/users/alice/server", by="alice", note="before its first start")
    side.do("GET", "/users/alice/server/progress", by="alice", note="not starting")
    side.do("DELETE", "/users/alice/server", by="alice", note="not running")
    side.do("POST", "/users/alice/server", by="nobody")
    side.do("POST", "/users/alice/server", by="alice reads")
    side.do("POST", "/users/alice/server", by="one user")
    side.do("POST", "/users/nobody-here/server", by="admin")
    side.do("POST", "/users/alice/server", by="alice", body=NOT_JSON)
    side.do("POST", "/users/alice/server", by="alice", body=[1], note="a list")
    side.do("POST", "/users/alice/server", by="alice", body={"colour": "blue"}, note="with options", only_status=(201, 202))
    side.wait_until_ready("alice")
    side.do("POST", "/users/alice/server", by="alice", note="already running")
    side.do("GET", "/users/alice", by="alice", note="running")
    side.do("GET", "/users/alice", by="admin", note="running")
    side.do("GET", "/users/alice/server", by="alice", note="running")
    side.do("GET", "/users/alice/server/progress", by="alice", note="already ready")
    side.do("GET", "/users/alice/server/progress", by="nobody")
    side.do("GET", "/users/alice/server/progress", by="alice reads")
    for who in ("reads servers", "server state", "lists", "one user", "servers"):
        side.do("GET", "/users", by=who, note="one runs")
        side.do("GET", "/users/alice", by=who, note="one runs")
        side.do("GET", "/users/alice/server", by=who, note="one runs")
    for state in ("active", "ready", "inactive"):
        side.do("GET", f"/users?state={state}", by="admin", note="one runs")
        side.do("GET", f"/users?state={state}&limit=1", by="admin", headers=PAGES, note="one runs")
        side.do("GET", f"/users?state={state}", by="lists", note="one runs")
    side.do("GET", "/users?include_stopped_servers", by="admin", note="one runs")
    side.do("GET", "/users/bob?include_stopped_servers", by="admin", note="one runs")
    own_token(side)
    oauth(side)
    side.do("POST", "/users/bob/server", by="starts", only_status=(201, 202))
    side.wait_until_ready("bob")
    side.do("POST", "/users/carol/server", by="starts")
    side.do("DELETE", "/users/bob/server", by="starts")
    side.do("DELETE", "/users/bob/server", by="stops", body={"remove": True}, note="remove a default server")
    side.do("DELETE", "/users/bob/server", by="stops", body=NOT_JSON)
    side.do("DELETE", "/users/bob/server", by="stops", only_status=(204, 202))
    side.wait_until_stopped("bob")
    side.do("DELETE", "/users/bob/server", by="stops", note="stopped already")
    side.do("GET", "/users/bob", by="admin", note="stopped")
    side.do("GET", "/users/bob/server", by="admin", note="stopped")
    side.do("DELETE", "/users/alice/server", by="alice", only_status=(204, 202))
    side.wait_until_stopped("alice")
    side.do("GET", "/users/alice", by="alice", note="stopped")
    side.do("GET", "/users/alice/server", by="alice", note="stopped")
    side.do("GET", "/users/alice?include_stopped_servers", by="alice", note="stopped")
    side.do("GET", "/users?state=inactive", by="admin", note="stopped")
    side.do("POST", "/users/alice/server", by="alice", note="options of the previous start", only_status=(201, 202))
    side.wait_until_ready("alice")
    side.do("GET", "/users/alice/server", by="alice", note="options of the previous start")
    side.do("DELETE", "/users/alice/server", by="alice", only_status=(204, 202), note="once more")
    side.wait_until_stopped("alice")
    side.do("POST", "/users/alice/server", by="alice", body={"user_options": {"colour": "red"}, "display_name": "My server"},
            note="the newer form", only_status=(201, 202))
    side.wait_until_ready("alice")
    side.do("GET", "/users/alice/server", by="alice", note="the newer form")
    side.do("DELETE", "/users/alice/server", by="alice", only_status=(204, 202), note="a third time")
    side.wait_until_stopped("alice")
    side.do("POST", "/users/alice/admin-access", by="admin")


def slow_and_broken(side):
    side.quietly("POST", "/users/slow-one", by="admin")
    side.quietly("POST", "/users/broken-one", by="admin")
    side.do("POST", "/users/slow-one/server", by="admin", only_status=True)
    side.do("GET", "/users/slow-one", by="admin", note="starting")
    side.do("GET", "/users/slow-one/server", by="admin", note="starting")
    side.do("POST", "/users/slow-one/server", by="admin", note="already starting")
    side.do("GET", "/users?state=active", by="admin", note="one starts")
    side.do("GET", "/users?state=ready", by="admin", note="one starts")
    side.do("GET", "/users?state=inactive", by="admin", note="one starts")
    # Only once the stream has begun, or it may be ready before.
    threading.Timer(1, side.let_go, ["slow-one"]).start()
    side.do("GET", "/users/slow-one/server/progress", by="admin", note="to its end")
    side.wait_until_ready("slow-one")
    side.do("DELETE", "/users/slow-one/server", by="admin", only_status=(204, 202))
    side.wait_until_stopped("slow-one")
    side.hold("slow-one")
    side.do("POST", "/users/slow-one/server", by="admin", only_status=True, note="to be cancelled")
    side.do("DELETE", "/users/slow-one/server", by="admin", only_status=(204, 202), note="cancelled")
    side.wait_until_stopped("slow-one")
    side.do("GET", "/users/slow-one", by="admin", note="cancelled")
    side.do("POST", "/users/broken-one/server", by="admin", only_status=True)
    side.wait_until_stopped("broken-one")
    side.do("GET", "/users/broken-one", by="admin", note="failed")
    side.do("GET", "/users/broken-one/server", by="admin", note="failed")
    side.do("GET", "/users/broken-one/server/progress", by="admin", note="failed")
    side.do("DELETE", "/users/broken-one", by="admin")
    side.do("DELETE", "/users/slow-one", by="admin")


def own_token(side):
    """What alice's running server may do with the token that it was given."""
    given = side.environment_of("alice")
    side.tokens["alice's server"] = given["JUPYTERHUB_API_TOKEN"]
    side.do("GET", "/user", by="alice's server")
    side.do("GET", "/users", by="alice's server")
    side.do("GET", "/users/alice", by="alice's server")
    side.do("GET", "/users/bob", by="alice's server")
    at = "2026-01-02T03:04:05.000006Z"
    side.do("POST", "/users/alice/activity", by="alice's server", body={"servers": {"": {"last_activity": at}}, "last_activity": at})
    side.do("POST", "/users/bob/activity", by="alice's server", body={"last_activity": at})
    for who in ("alice", "admin", "alice reads", "nobody"):
        side.do("POST", "/users/alice/activity", by=who, body={"last_activity": at})
    for note, body in {
        "nothing": {}, "empty": "", "not JSON": NOT_JSON, "a list": [], "not a time": {"last_activity": "yesterday"},
        "a number": {"last_activity": 5}, "far ahead": {"last_activity": FAR_AHEAD}, "servers is a list": {"servers": []},
        "an unknown server": {"servers": {"nonsense": {"last_activity": at}}}, "no time": {"servers": {"": {}}},
        "not an object": {"servers": {"": at}}, "long ago": {"last_activity": LONG_AGO}, "without a zone": {"last_activity": "2026-01-02T03:04:05"},
        "with an offset": {"last_activity": "2026-01-02T03:04:05+02:00"}, "an unknown key": {"nonsense": 1}, "a number for a body": "5",
    }.items():
        side.do("POST", "/users/alice/activity", by="alice's server", body=body, note=note)
    side.do("POST", "/users/nobody-here/activity", by="admin", body={"last_activity": at})


def oauth(side):
    """Alice's browser at her server's client, and the token that comes of it."""
    given = side.environment_of("alice")
    client, secret, callback = (given[name] for name in ("JUPYTERHUB_CLIENT_ID", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_OAUTH_CALLBACK_URL"))

    def authorize(by, note, follow=False, **changed):
        query = {"client_id": client, "redirect_uri": callback, "response_type": "code", "state": "some-state", **changed}
        query = {name: value for name, value in query.items() if value is not None}
        return side.do("GET", f"/oauth2/authorize?{urllib.parse.urlencode(query)}", by=by, note=note,
                       as_path="/oauth2/authorize", headers={"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}, page=True)

    authorize("a browser", "not signed in")
    answer = authorize("alice's browser", "signed in")
    authorize("alice's browser", "an unknown client", client_id="nonsense")
    authorize("alice's browser", "no client", client_id=None)
    authorize("alice's browser", "another redirect", redirect_uri="/elsewhere")
    authorize("alice's browser", "no redirect", redirect_uri=None)
    authorize("alice's browser", "another response type", response_type="token")
    authorize("alice's browser", "an unknown scope", scope="nonsense")
    authorize("alice's browser", "a scope that the client may not ask", scope="admin:users")
    authorize("alice's browser", "an unknown challenge method", code_challenge="x" * 43, code_challenge_method="S512")
    authorize("bob's browser", "no access")

    def exchange(note, drop=(), by="nobody", **changed):
        form = {"client_id": client, "client_secret": secret, "grant_type": "authorization_code", "code": "nonsense",
                "redirect_uri": callback, **changed}
        form = {name: value for name, value in form.items() if name not in drop}
        return side.do("POST", "/oauth2/token", by=by, note=note, body=urllib.parse.urlencode(form),
                       headers={"Content-Type": "application/x-www-form-urlencoded"})

    exchange("an unknown code")
    exchange("a wrong secret", client_secret="nonsense")
    exchange("an unknown client", client_id="nonsense")
    exchange("no client", drop=("client_id", "client_secret"))
    exchange("no code", drop=("code",))
    exchange("no grant type", drop=("grant_type",))
    exchange("an unknown grant type", grant_type="nonsense")
    exchange("a refresh token", grant_type="refresh_token", refresh_token="x")
    exchange("a password", grant_type="password", username="alice", password="x")
    side.do("GET", "/oauth2/token", by="nobody")
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.header("location") or "").query).get("code", ["none"])[0]
    made = exchange("the code", code=code)
    exchange("the code again", code=code)
    if made.status == 200:
        side.tokens["alice at her server"] = made.json()["access_token"]
    side.do("GET", "/user", by="alice at her server")
    side.do("GET", "/users/alice", by="alice at her server")
    side.do("GET", "/users", by="alice at her server")
    side.do("POST", "/users/alice/server", by="alice at her server")
    # PKCE, as 6.x offers it.
    challenge = {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}
    answer = authorize("alice's browser", "with a challenge", **challenge)
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.header("location") or "").query).get("code", ["none"])[0]
    exchange("with the verifier", code=code, code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    answer = authorize("alice's browser", "with a challenge again", **challenge)
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.header("location") or "").query).get("code", ["none"])[0]
    exchange("without a verifier", code=code)


def named_servers(side):
    side.do("GET", "/users/alice/servers/lab", by="alice", note="unknown")
    side.do("DELETE", "/users/alice/servers/lab", by="alice", note="unknown")
    side.do("PUT", "/users/alice/servers/lab", by="alice", body={"display_name": "A lab", "user_options": {"gpu": 1}})
    side.do("PUT", "/users/alice/servers/lab", by="alice", body={}, note="again")
    side.do("GET", "/users/alice/servers/lab", by="alice", note="made")
    side.do("GET", "/users/alice", by="alice", note="one made")
    side.do("GET", "/users/alice?include_stopped_servers", by="alice", note="one made")
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body={"display_name": "A better lab"})
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body={"user_options": {"gpu": 2}}, note="options")
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body={}, note="nothing")
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body={"nonsense": 1}, note="an unknown key")
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body=NOT_JSON)
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body={"display_name": 5}, note="a number")
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body={"display_name": ""}, note="an empty display name")
    side.do("PATCH", "/users/alice/servers/nonsense", by="alice", body={"display_name": "x"})
    side.do("PATCH", "/users/alice/servers/lab", by="alice", body={"name": "laboratory"}, note="another name")
    side.do("GET", "/users/alice/servers/laboratory", by="alice")
    side.do("GET", "/users/alice/servers/lab", by="alice", note="renamed")
    side.do("POST", "/users/alice/servers/laboratory", by="alice", only_status=(201, 202))
    side.wait_until_ready("alice", "laboratory")
    side.do("POST", "/users/alice/servers/laboratory", by="alice", note="already running")
    side.do("PATCH", "/users/alice/servers/laboratory", by="alice", body={"display_name": "x"}, note="running")
    side.do("PUT", "/users/alice/servers/laboratory", by="alice", body={}, note="running")
    side.do("GET", "/users/alice", by="alice", note="a named one runs")
    side.do("GET", "/users/alice/servers/laboratory", by="alice", note="running")
    side.do("GET", "/users/alice/servers/laboratory/progress", by="alice", note="running")
    side.do("GET", "/users/alice/servers/nonsense/progress", by="alice")
    side.do("GET", "/users?state=ready", by="admin", note="a named one runs")
    side.do("GET", "/users?state=inactive", by="admin", note="a named one runs")
    side.do("GET", "/users/alice", by="alice one server", note="a named one runs")
    for name in ("Lab", "a_b", "1st", "a--b", "-a", "a" * 31, "a%20b", "%C3%A9"):
        side.do("PUT", f"/users/alice/servers/{name}", by="alice", body={}, note="an odd name")
    side.do("PUT", "/users/alice/servers/second", by="alice", body={"user_options": []}, note="options is a list")
    side.do("PUT", "/users/alice/servers/second", by="alice", body={"nonsense": 1}, note="an unknown key")
    side.do("PUT", "/users/alice/servers/third", by="alice", body=NOT_JSON)
    side.do("POST", "/users/alice/servers/fourth", by="alice", body={"user_options": {"a": 1}, "display_name": "Fourth"}, only_status=(201, 202, 400))
    side.do("PUT", "/users/alice/servers/fifth", by="alice", body={}, note="beyond the limit")
    side.do("POST", "/users/alice/servers/fifth", by="alice", note="beyond the limit")
    side.do("PUT", "/users/alice/servers/x", by="nobody", body={})
    side.do("PUT", "/users/alice/servers/x", by="alice reads", body={})
    side.do("GET", "/users/alice?include_stopped_servers", by="admin", note="several")
    side.do("GET", "/users?include_stopped_servers", by="admin", note="several")
    side.do("DELETE", "/users/alice/servers/laboratory", by="alice", only_status=(204, 202))
    side.wait_until_stopped("alice", "laboratory")
    side.do("GET", "/users/alice/servers/laboratory", by="alice", note="stopped")
    side.do("DELETE", "/users/alice/servers/laboratory", by="alice", body={"remove": "yes"}, note="remove is text")
    side.do("DELETE", "/users/alice/servers/laboratory", by="alice", body={"remove": True}, only_status=(204, 202), note="removed")
    side.do("GET", "/users/alice/servers/laboratory", by="alice", note="removed")
    side.do("DELETE", "/users/alice/servers/laboratory", by="alice", body={"remove": True}, note="removed already")
    for name in ("second", "fourth"):
        side.quietly("DELETE", f"/users/alice/servers/{name}", by="alice", body={"remove": True})
    side.wait_until_stopped("alice", "fourth")


def active_limit(side):
    """More servers than may run at once."""
    for name in ("alice", "bob"):
        side.quietly("POST", f"/users/{name}/server", by="admin")
        side.wait_until_ready(name)
    side.do("POST", "/users/carol/server", by="admin", note="one too many")
    for name in ("alice", "bob"):
        side.quietly("DELETE", f"/users/{name}/server", by="admin")
        side.wait_until_stopped(name)


def services(side):
    side.do("GET", "/services", by="admin")
    side.do("GET", "/services", by="alice")
    side.do("GET", "/services", by="services")
    side.do("GET", "/services", by="nobody")
    side.do("GET", "/services", by="reader")
    side.do("GET", "/services/site", by="admin")
    side.do("GET", "/services/script", by="admin")
    side.do("GET", "/services/nonsense", by="admin")
    side.do("GET", "/services/site", by="alice")
    side.do("GET", "/services/reader", by="reader")
    side.do("GET", "/services/site", by="nobody")
    side.do("POST", "/services/made", by="admin", body={"display": False, "info": {"a": 1}})
    side.do("POST", "/services/made", by="admin", body={}, note="again")
    side.do("GET", "/services/made", by="admin")
    side.do("POST", "/services/managed", by="admin", body={"command": ["true"]}, note="with a command")
    side.do("POST", "/services/odd", by="admin", body={"nonsense": 1}, note="an unknown key")
    side.do("POST", "/services/odd", by="admin", body=NOT_JSON)
    side.do("POST", "/services/odd2", by="admin", body={"oauth_client_id": "nonsense", "oauth_redirect_uri": "/x", "api_token": "0123456789abcdef"}, note="a client id of another form")
    side.do("POST", "/services/odd3", by="admin", body={"oauth_client_allowed_scopes": ["nonsense"], "oauth_redirect_uri": "/x", "api_token": "0123456789abcdee"}, note="an unknown scope")
    side.do("POST", "/services/made2", by="alice", body={})
    side.do("POST", "/services/made2", by="nobody", body={})
    side.do("DELETE", "/services/made", by="alice")
    side.do("DELETE", "/services/made", by="admin")
    side.do("DELETE", "/services/made", by="admin", note="again")
    side.do("DELETE", "/services/site", by="admin", note="from the configuration")
    side.do("DELETE", "/services/nonsense", by="admin")
    for name in ("odd", "odd2", "odd3"):
        side.quietly("DELETE", f"/services/{name}", by="admin")


def shares(side):
    side.quietly("POST", "/users/alice/server", by="admin")
    side.wait_until_ready("alice")
    side.keep("alice shares", side.do("POST", "/users/admin/tokens", by="admin", body={"scopes": ["shares", "read:users:name", "read:groups:name"]}, note="shares"))
    for who in ("alice", "admin"):
        side.do("GET", "/shares/alice", by=who, note="none yet")
        side.do("GET", "/shares/alice/", by=who, note="none yet, the default server")
        side.do("POST", "/shares/alice/", by=who, body={"user": "bob"}, note=f"by {who}")
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "bob"})
    side.do("POST", "/shares/alice/", by="alice shares", body={"group": "deck"})
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "bob", "group": "deck"}, note="both")
    side.do("POST", "/shares/alice/", by="alice shares", body={}, note="neither")
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "nobody-here"}, note="an unknown user")
    side.do("POST", "/shares/alice/", by="alice shares", body={"group": "nonsense"}, note="an unknown group")
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "bob", "scopes": ["admin:users"]}, note="another scope")
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "bob", "scopes": ["access:servers!server=bob/"]}, note="another server")
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "bob", "scopes": ["read:servers!server=alice/", "access:servers!server=alice/"]}, note="more scopes")
    side.do("POST", "/shares/alice/", by="alice shares", body=NOT_JSON)
    side.do("POST", "/shares/alice", by="alice shares", body={"user": "bob"}, note="no server")
    side.do("POST", "/shares/alice/nonsense", by="alice shares", body={"user": "bob"}, note="an unknown server")
    side.do("POST", "/shares/nobody-here/", by="alice shares", body={"user": "bob"}, note="an unknown owner")
    side.do("POST", "/shares/alice/", by="nobody", body={"user": "bob"})
    made = side.do("POST", "/users/bob/tokens", by="admin", body={"note": "bob"})
    side.keep("bob", made)
    side.do("POST", "/shares/alice/", by="bob", body={"user": "carol"})
    side.do("GET", "/shares/alice", by="admin")
    side.do("GET", "/shares/alice/", by="admin", note="the default server")
    side.do("GET", "/shares/alice?limit=1", by="admin")
    side.do("GET", "/shares/alice", by="bob")
    side.do("GET", "/shares/nobody-here", by="admin")
    side.do("GET", "/shares/alice/nonsense", by="admin")
    side.do("GET", "/user", by="bob", note="with a share")
    side.do("GET", "/users/alice", by="bob", note="with a share")
    for who in ("bob", "admin"):
        side.do("GET", "/users/bob/shared", by=who)
        side.do("GET", "/users/bob/shared/alice/", by=who)
        side.do("GET", "/users/bob/shared/alice/nonsense", by=who)
        side.do("GET", "/users/alice/shared", by=who)
    side.do("GET", "/groups/deck/shared", by="admin")
    side.do("GET", "/groups/deck/shared/alice/", by="admin")
    side.do("GET", "/groups/nonsense/shared", by="admin")
    side.do("GET", "/groups/deck/shared", by="bob")
    side.do("PATCH", "/shares/alice/", by="alice shares", body={"user": "bob", "scopes": ["read:servers!server=alice/"]}, note="one scope less")
    side.do("PATCH", "/shares/alice/", by="alice shares", body={}, note="neither")
    side.do("PATCH", "/shares/alice/", by="alice shares", body={"user": "carol"}, note="not shared with")
    side.do("PATCH", "/shares/alice/", by="alice shares", body={"user": "bob"}, note="all of it")
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "bob"}, note="once more")
    side.do("DELETE", "/users/bob/shared/alice/", by="bob")
    side.do("DELETE", "/users/bob/shared/alice/", by="bob", note="again")
    side.do("DELETE", "/groups/deck/shared/alice/", by="bob")
    side.do("DELETE", "/groups/deck/shared/alice/", by="admin")
    side.do("POST", "/shares/alice/", by="alice shares", body={"user": "bob"}, note="a third time")
    side.do("DELETE", "/shares/alice/", by="bob")
    side.do("DELETE", "/shares/alice/", by="alice shares")
    side.do("DELETE", "/shares/alice/", by="alice shares", note="again")
    # Codes.
    side.do("GET", "/share-codes/alice", by="alice shares", note="none yet")
    made = side.do("POST", "/share-codes/alice/", by="alice shares", body={"expires_in": 600})
    side.do("POST", "/share-codes/alice/", by="alice shares", note="no body")
    for wrong in (0, 59, 31536001, "600", 1.5):
        side.do("POST", "/share-codes/alice/", by="alice shares", body={"expires_in": wrong}, note=f"expires_in {json.dumps(wrong)}")
    side.do("POST", "/share-codes/alice/", by="alice shares", body={"scopes": ["admin:users"]}, note="another scope")
    side.do("POST", "/share-codes/alice/", by="bob", body={})
    side.do("POST", "/share-codes/alice/", by="nobody", body={})
    side.do("POST", "/share-codes/alice", by="alice shares", body={}, note="no server")
    side.do("GET", "/share-codes/alice", by="alice shares")
    side.do("GET", "/share-codes/alice/", by="alice shares", note="the default server")
    side.do("GET", "/share-codes/alice", by="bob")
    side.do("DELETE", "/share-codes/alice/?id=nonsense", by="alice shares")
    side.do("DELETE", "/share-codes/alice/?id=sc_999", by="alice shares")
    side.do("DELETE", "/share-codes/alice/?code=nonsense", by="alice shares")
    if made.status in (200, 201):
        side.do("DELETE", f"/share-codes/alice/?id={made.json()['id']}", by="alice shares", as_path="/share-codes/alice/?id={id}")
    side.do("DELETE", "/share-codes/alice/", by="bob")
    side.do("DELETE", "/share-codes/alice/", by="alice shares")
    side.do("DELETE", "/share-codes/alice", by="alice shares", note="no server")
    side.quietly("DELETE", "/users/alice/server", by="admin")
    side.wait_until_stopped("alice")


def proxy_and_rest(side):
    side.do("GET", "/proxy", by="nobody")
    side.do("GET", "/proxy", by="alice")
    side.do("GET", "/proxy", by="proxy", only_status=True)
    side.do("GET", "/proxy?limit=1", by="proxy", headers=PAGES, note="pages", only_status=True)
    side.do("POST", "/proxy", by="proxy")
    side.do("POST", "/proxy", by="alice")
    side.do("PATCH", "/proxy", by="proxy", body=[], note="a list")
    side.do("PATCH", "/proxy", by="proxy", body=NOT_JSON)
    side.do("PATCH", "/proxy", by="alice", body={})
    side.do("POST", "/shutdown", by="nobody")
    side.do("POST", "/shutdown", by="alice")
    side.do("POST", "/shutdown", by="shuts down", body={"servers": "yes"}, note="servers is text")
    side.do("POST", "/shutdown", by="shuts down", body=NOT_JSON)
    side.do("GET", f"/authorizations/token/{side.token_of('alice')}", by="admin", as_path="/authorizations/token/{alice}")
    side.do("GET", "/authorizations/token/nonsense", by="admin")
    side.do("GET", f"/authorizations/token/{side.token_of('alice')}", by="nobody", as_path="/authorizations/token/{alice}")
    side.do("POST", "/authorizations/token", by="admin", body={})
    side.do("GET", "/authorizations/cookie/name/value", by="admin")
    side.do("GET", "/metrics", by="nobody", only_status=True)
    side.do("GET", "/metrics", by="metrics", only_status=True)


def cookies(side):
    """What the script of a page may do with the cookies of its person."""
    side.do("GET", "/user", by="alice's browser")
    side.do("GET", "/users/alice", by="alice's browser")
    side.do("GET", "/users/bob", by="alice's browser")
    side.do("GET", "/users", by="alice's browser")
    side.do("GET", "/user", by="alice's browser", headers={"X-XSRFToken": None}, note="no XSRF header")
    side.do("GET", "/user", by="alice's browser", headers={"X-XSRFToken": None, "Sec-Fetch-Mode": None, "Sec-Fetch-Site": None}, note="no Sec-Fetch")
    side.do("POST", "/users/alice/tokens", by="alice's browser", body={"note": "by a page"})
    side.do("POST", "/users/alice/tokens", by="alice's browser", body={}, headers={"X-XSRFToken": None}, note="no XSRF header")
    side.do("POST", "/users/alice/tokens", by="alice's browser", body={}, headers={"X-XSRFToken": "nonsense"}, note="a wrong XSRF header")
    side.do("POST", "/users/alice/tokens", by="alice's browser", body={}, headers={"Content-Type": "text/plain"}, note="text")
    side.do("POST", "/users/alice/tokens", by="alice's browser", body={}, headers={"Content-Type": "application/json; charset=UTF-8"}, note="JSON with a charset")
    side.do("POST", "/users", by="alice's browser", body={"usernames": ["mallory"]})
    side.do("POST", "/users", by="the admin's browser", body={"usernames": ["made-by-a-page"]})
    side.do("DELETE", "/users/made-by-a-page", by="the admin's browser")
    side.do("DELETE", "/users/alice", by="alice's browser")
    side.do("GET", "/user", by="alice's browser", headers={"Authorization": f"token {side.token_of('bob')}"}, note="a token wins")
    side.do("GET", "/user", by="alice's browser", headers={"Authorization": "token nonsense"}, note="an unknown token beside it")


def the_end(side):
    side.do("DELETE", "/users/alice", by="admin", note="at the end")
    side.do("GET", "/user", by="alice", note="deleted")
    side.do("GET", "/users/alice", by="admin", note="deleted")
    side.do("GET", "/groups/crew", by="admin", note="deleted")
    side.do("GET", "/users", by="admin", note="at the end")


def story(side):
    versions(side)
    who_am_i(side)
    make_users(side)
    list_users(side)
    change_users(side)
    side.give_password("alice", "bob")
    mint_tokens(side)
    groups(side)
    servers(side)
    slow_and_broken(side)
    named_servers(side)
    active_limit(side)
    services(side)
    shares(side)
    proxy_and_rest(side)
    cookies(side)
    the_end(side)
