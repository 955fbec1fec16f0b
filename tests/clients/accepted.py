"""Differences between JupyterHub and Slipway that are meant, each with its reason.

A rule names calls and a place by shell patterns (`*`, `?`, `[…]`); `compare.py` fails when a rule fits nothing, so
what is mended leaves this list.
"""

import dataclasses
from collections.abc import Callable

# What the contract quotes, and what programs may compare: these stay JupyterHub's words.
QUOTED = (
    "Missing or invalid credentials.", "Action is not authorized with current scopes", "No access to resources or resources not found",
    "Invalid JSON in body of request", "Cannot delete yourself!", "Named servers are not enabled.", "is already running", "not starting",
    "'_xsrf' argument missing from POST", "XSRF cookie does not match POST argument", "Shutting down Hub",
)


@dataclasses.dataclass(frozen=True)
class Accepted:
    calls: str
    place: str
    reason: str
    # Narrows it further: gets theirs, ours, and the status of JupyterHub's answer (or, at "status", its text).
    fits: Callable = lambda theirs, ours, more: True


def both_say_why(theirs, ours, status):
    """Two sentences about the same fault, neither quoted by the contract."""
    return status in (400, 409, 429) and bool(theirs) and bool(ours) and not any(quoted in str(theirs) for quoted in QUOTED)


def ours_begins(*statuses):
    return lambda theirs, ours, more: str(ours).split()[0] in [str(status) for status in statuses]


def is_stricter(theirs, ours, more):
    return theirs in (200, 201, 204, 500) and str(ours).startswith("400 ")


DIFFERENCES = [
    # -- headers --
    Accepted("*", "header cache-control", "what the API says of people is kept by no cache; JupyterHub leaves it open",
             lambda theirs, ours, more: theirs is None and "no-store" in str(ours)),
    Accepted("GET /oauth2/authorize *", "header content-security-policy", "a page of ours, with the policy of all our pages, which is stricter"),
    Accepted("GET /oauth2/authorize *", "header access-control-allow-headers", "a page, not an API call: no other origin may ask for it"),
    Accepted("GET /oauth2/authorize *", "header content-type", "pages name their character set; a redirect has no body"),
    # -- the platform's own health answer (decisions.md) --
    Accepted("GET /health by nobody", "*", "200 with the JSON that the platform's checks read (decisions.md); JupyterHub's is empty"),
    # -- who we are --
    Accepted("GET /info by admin", "body.*", "there is no Python and no spawner class to name"),
    Accepted("*", "body.scopes", "administrators read the audit log by a scope of our own",
             lambda theirs, ours, more: sorted([*theirs, "read:audit"]) == sorted(ours)),
    # -- sentences --
    Accepted("*", "body.message", "the fault is named in our own words; the contract quotes none of these", both_say_why),
    # -- stricter than JupyterHub: what it takes by mistake is 400 here --
    Accepted("POST /users by admin (not a list)", "status", "JupyterHub makes a user of each letter", is_stricter),
    Accepted("POST /users by admin (not a name)", "status", "JupyterHub answers 500", is_stricter),
    Accepted("POST /groups by admin (not a list)", "status", "JupyterHub makes a group of each letter", is_stricter),
    Accepted("POST /users/alice/tokens by alice (expires_in true)", "status", "true is a second in Python", is_stricter),
    Accepted("POST /users/alice/tokens by alice (note is a number)", "status", "a note is text", is_stricter),
    Accepted("POST /users/alice/tokens by alice (a list)", "status", "the body is an object", is_stricter),
    Accepted("GET /oauth2/authorize by alice's browser (no redirect)", "status",
             "the contract: a missing redirect_uri is an error page, and nobody is sent anywhere", lambda theirs, ours, more: theirs == 302),
    # -- looser by nobody's need --
    Accepted("GET /users?name_filter=[%_]* by admin", "body", "JupyterHub hands % and _ to SQL's LIKE, where they match everything"),
    Accepted("GET /user by alice's browser (no XSRF header)", "body.message", "the sentence names POST for every method, as the contract quotes it"),
    Accepted("GET /user by alice's browser (an unknown token beside it)", "status",
             "an unknown token is nobody, as the contract says; JupyterHub goes on to the cookie", ours_begins(403)),
    # -- what JupyterHub tells of the same thing in two ways; we in one --
    Accepted("GET /user by script", "body.url", "`GET /services` says it; here JupyterHub leaves it null", lambda theirs, ours, more: theirs is None),
    Accepted("GET /user by script", "body.info", "as above", lambda theirs, ours, more: theirs is None),
    Accepted("GET /user by script", "body.display", "as above", lambda theirs, ours, more: theirs is None),
    # -- servers --
    Accepted("*", "body*.state.*", "the state of a running server belongs to each spawner"),
    Accepted("GET /users?include_stopped_servers*", "body*.servers..state",
             "JupyterHub has the server of whoever visited its pages in memory, and tells what it would write",
             lambda theirs, ours, more: theirs == {} and ours is None),
    Accepted("GET /users?include_stopped_servers*", "body*.servers..user_options", "the same",
             lambda theirs, ours, more: theirs == {} and ours is None),
    Accepted("PATCH /users/alice/servers/lab *", "header content-type", "the contract: application/json; Tornado adds a charset here alone"),
    Accepted("GET /users/alice/server/progress by alice (not starting)", "status",
             "the default server of everybody exists, so the contract's 400; JupyterHub says 404 until it has it in memory"),
    Accepted("GET /users/*/server/progress *", "body[[]*[]].start", "which start the event is of: our start page tells two of them apart"),
    Accepted("GET /users/*/server/progress *", "body[[]*[]].phase", "where the start is, for our start page"),
    Accepted("GET /users/*/server/progress *", "body[[]*[]].progress", "each spawner's own"),
    Accepted("GET /users/*/server/progress *", "body[[]*[]].message", "each spawner's own",
             lambda theirs, ours, more: not str(theirs).startswith("Server")),
    Accepted("GET /users/broken-one/server/progress *", "body[[]*[]].*", "what a person needs to mend a start that fails",
             lambda theirs, ours, more: theirs == "absent"),
    Accepted("PATCH /users/alice/servers/lab by alice (an unknown key)", "status", "JupyterHub answers 500", is_stricter),
    Accepted("POST /users/carol/server by admin (one too many)", "header retry-after", "the contract: every 429 says when to come back",
             lambda theirs, ours, more: theirs is None),
    # -- services --
    Accepted("POST /services/odd3 by admin (an unknown scope)", "status", "JupyterHub answers 500", is_stricter),
    Accepted("*", "body*.failure", "why the last start failed: JupyterHub has no such field"),
]
