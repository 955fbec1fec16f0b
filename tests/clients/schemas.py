"""The OpenAPI document against the world: schemathesis tries Slipway's API by it as nobody, as a user and as an
administrator; and what a real JupyterHub answered fits its schemas, which are closed and exact.

Usage:  schemas.py --models FILE [--report FILE] [--examples N]

  --models FILE   JupyterHub's answers, as `compare.py --models` has written them; without it that half is left out
  --report FILE   findings as Markdown
  --examples N    how many requests schemathesis makes up for each operation in each phase (default 3)
"""

import argparse
import copy
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import jsonschema

import rig

DOCUMENT = "/hub/api/openapi.json"
# One run of it; the same requests are made each time, so it is as long each time.
SCHEMATHESIS_LIMIT_S = 120
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
# `shutdown` would end what is being tested; streams (progress, live) end when something else does, which may be never; activity
# keeps the test's own servers from nothing. OAuth's pages are not the API's.
LEFT_OUT = r"/shutdown|/progress|/live|/oauth2/"

parser = argparse.ArgumentParser()
parser.add_argument("--models", type=Path)
parser.add_argument("--report", type=Path)
parser.add_argument("--examples", type=int, default=3)
options = parser.parse_args()
folder = rig.Folder("schemas")
(folder / "scratch").mkdir()
(folder / "scratch").chmod(0o777)  # servers, which run as somebody else, write there
slipway = rig.Slipway(folder, ["/usr/bin/python3", str(folder.write("tiny_server.py", (rig.HERE / "tiny_server.py").read_text()))],
                      {"spawner.environment": {"TINY_FOLDER": str(folder / "scratch")}})
document = {}
findings = []


# ---- schemathesis ----------------------------------------------------------------------------------------


def slipway_describes_itself():
    slipway.start()
    for name in ("alice", "bob", "carol"):
        slipway.add_user(name)
    answer = slipway.client().get(DOCUMENT).is_(200)
    document.update(answer.json())
    rig.check(document["openapi"].startswith("3.1"), document["openapi"])
    # JupyterHub's own document has 54 operations on 34 paths.
    if len(document["paths"]) < 34:
        findings.append(("Paths that are missing", f"only {sorted(document['paths'])}"))


def schemathesis(who, token):
    """Runs it as somebody; what it found goes to `findings`."""
    # In the folder of the environments, since a console script knows where its Python is.
    program = rig.VENVS / "schemathesis/bin/schemathesis"
    arguments = [
        str(program), "--no-color", "run", slipway.origin + DOCUMENT, "--url", slipway.origin + server_prefix(), "--tls-verify=false",
        "--generation-deterministic", f"--max-examples={options.examples}",
        "--phases=examples,coverage,fuzzing", f"--checks={CHECKS}", "--continue-on-failure",
        "--warnings=off", "--workers=1", "--request-timeout=20", "--suppress-health-check=all", "--no-shrink",
        f"--exclude-path-regex={LEFT_OUT}",
        # Bearers of nothing: what a stranger sends, or the token.
        *(["--header", f"Authorization: token {token}"] if token else []),
    ]
    begun = time.monotonic()
    done = subprocess.run(arguments, cwd=folder.path, capture_output=True, text=True, timeout=SCHEMATHESIS_LIMIT_S, check=False,
                          env=rig.plain_environment())
    text = done.stdout + done.stderr
    tested = re.search(r"Operations:.*|(\d+) generated|Test cases:[^\n]*(\n +[^\n]*)*", text)
    print(f"    as {who}: {time.monotonic() - begun:.0f} s, status {done.returncode}; {tested.group(0).strip() if tested else text[-300:]}", flush=True)
    if done.returncode != 0:
        findings.append((f"schemathesis as {who}", text))
    slipway.program.must_run()


def server_prefix():
    servers = document.get("servers") or [{"url": "/"}]
    url = servers[0]["url"]
    return url if url.startswith("/") and url != "/" else ""


def nobody_gets_only_what_the_document_says():
    schemathesis("nobody", None)


def a_user_gets_only_what_the_document_says():
    schemathesis("a user", mint("alice"))


def an_administrator_gets_only_what_the_document_says():
    schemathesis("an administrator", mint("admin"))


def mint(name):
    browser = rig.Browser(slipway.origin)
    browser.sign_in("admin")
    browser.go("/hub/home")
    return browser.api("POST", f"/hub/api/users/{name}/tokens", {"note": "schemathesis"}).is_(201).json()["token"]


# ---- JupyterHub's models against our schemas -------------------------------------------------------------

# Who sees less gets fewer fields of these, so most of theirs are optional; of all others each field is owed.
FIELDS_BY_SCOPE = {"user": {"kind", "name"}, "group": {"kind", "name"}, "service": {"kind", "name"}}
# Fields of models that are there only sometimes, so that their absence fits.
SOMETIMES = {
    "token": "only in the answer that makes it", "code": "the same", "accept_url": "the same", "full_accept_url": "the same",
    "user": "a token is a user's or a service's",
}
SOMETIMES_AT = re.compile(r"/tokens|^/share-codes")
# Answers that are a map as a whole: its keys are names.
MAPS_AT_TOP = ("/services", "/proxy")
# Objects whose keys are data, not fields.
MAPS = {"servers", "properties", "user_options", "info", "state", "auth_state", "environment", "user_info", "data", "roles"}


def operation_of(method, path):
    """The path of the document that a real path is, and what it says of `method`."""
    bare = path.split("?")[0] or "/"
    best = None
    for template, item in document["paths"].items():
        own = template if not template.startswith("/hub/api") else template[len("/hub/api"):]
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]*", re.escape(own))
        if re.fullmatch(pattern, bare) and method.lower() in item:
            fixed = len(re.sub(r"\{[^}]*\}", "", own))
            if best is None or fixed > best[0]:
                best = (fixed, template, item[method.lower()])
    return best


def schema_of(operation, status):
    answer = operation.get("responses", {}).get(str(status))
    if answer is None:
        return None
    while "$ref" in answer:
        answer = resolve(answer["$ref"])
    return answer.get("content", {}).get("application/json", {}).get("schema")


def resolve(reference):
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def validator_of(schema):
    return jsonschema.Draft202012Validator({**schema, "components": document.get("components", {})})


def objects_in(value, path=()):
    """All model objects in a body with where they are: maps of names are walked through, data is not."""
    if isinstance(value, dict):
        is_map = bool(path) and path[-1] in MAPS
        if not is_map and value:
            yield path
        for name, inner in value.items():
            if name in MAPS and name != "servers":
                continue
            yield from objects_in(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:2]):
            yield from objects_in(inner, (*path, index))


def at(body, path):
    for part in path:
        body = body[part]
    return body


def jupyterhubs_answers_fit_our_schemas():
    if not options.models:
        return
    answers = json.loads(options.models.read_text())
    fitting, unknown, misfits = 0, set(), {}
    for answer in answers:
        if not (answer["type"] or "").startswith("application/json") or not answer["body"]:
            continue
        found = operation_of(answer["method"], answer["path"])
        if found is None and answer["status"] in (404, 405):
            continue  # nobody's operation, and both say so
        if found is None:
            unknown.add(f"{answer['method']} {answer['path'].split('?')[0]}: no such operation")
            continue
        schema = schema_of(found[2], answer["status"])
        if schema is None:
            unknown.add(f"{answer['method']} {found[1]}: no schema for {answer['status']}")
            continue
        body = json.loads(answer["body"])
        if found[1].removeprefix("/hub/api") in OURS_ONLY and answer["status"] == 200:
            body.update(OURS_ONLY[found[1].removeprefix("/hub/api")])
        filled = NULL_THERE.get(found[1].removeprefix("/hub/api"), {}) if answer["status"] == 200 else {}
        if isinstance(body, dict):
            body.update({name: value for name, value in filled.items() if name in body and body[name] is None})
        errors = list(validator_of(schema).iter_errors(body))
        if errors:
            worst = jsonschema.exceptions.best_match(errors)
            misfits.setdefault(f"{answer['method']} {found[1]} {answer['status']}: {worst.message[:200]} at {worst.json_path}", answer["call"])
        else:
            fitting += 1
    print(f"    {fitting} answers of JupyterHub fit; {len(misfits)} kinds do not; {len(unknown)} are not described", flush=True)
    if misfits:
        findings.append(("JupyterHub's answers that do not fit our schemas", "\n".join(f"{what}   ({call})" for what, call in misfits.items())))
    allowed = {what for what in unknown if NOT_DESCRIBED.search(what)}
    if unknown - allowed:
        findings.append(("JupyterHub's answers that our document does not describe", "\n".join(sorted(unknown - allowed))))


# What JupyterHub answers there and we do not describe, on purpose: some of its statuses are its own faults (500).
NOT_DESCRIBED = re.compile(r"/oauth2/|no schema for (405|500)|^HEAD ")
# Fields that only we have, which our schemas want: so that programs can tell who answers.
OURS_ONLY = {"/info": {"slipway": "0.0.0"}}
# As `accepted.py` says: of a service, JupyterHub tells in `GET /services` what it leaves null here.
NULL_THERE = {"/user": {"display": True, "info": {}, "url": ""}}


def a_missing_or_extra_field_does_not_fit():
    if not options.models:
        return
    tried, slack = 0, {}
    for answer in json.loads(options.models.read_text()):
        if answer["status"] not in (200, 201) or not (answer["type"] or "").startswith("application/json") or not answer["body"]:
            continue
        found = operation_of(answer["method"], answer["path"])
        schema = found and schema_of(found[2], answer["status"])
        if not schema:
            continue
        body, validator = json.loads(answer["body"]), validator_of(schema)
        if not validator.is_valid(body):
            continue
        for path in objects_in(body):
            model = at(body, path)
            kind = model.get("kind")
            owed = FIELDS_BY_SCOPE.get(kind, set(model) - {"state"})
            if "is" in model or (path and path[-1] in ("items",) and "kind" not in model):
                continue
            if path == () and answer["path"].split("?")[0] in MAPS_AT_TOP:
                continue
            if SOMETIMES_AT.search(answer["path"]):
                owed = owed - set(SOMETIMES)
            for change in ["an extra field", *sorted(owed & set(model))]:
                changed = copy.deepcopy(body)
                target = at(changed, path)
                if change == "an extra field":
                    target["not_a_field"] = 1
                else:
                    del target[change]
                tried += 1
                if validator.is_valid(changed):
                    where = ".".join("[]" if isinstance(part, int) else part for part in path)
                    slack.setdefault(f"{answer['method']} {found[1]} {answer['status']}: valid {'with' if change == 'an extra field' else 'without'} {change} at {where or 'its top'}", answer["call"])
    print(f"    {tried} changed bodies, {len(slack)} kinds of which still fit", flush=True)
    if slack:
        findings.append(("Schemas that are too wide", "\n".join(f"{what}   ({call})" for what, call in slack.items())))


def nothing_was_found():
    if options.report:
        lines = [f"# OpenAPI: findings ({time.strftime('%H:%M')} UTC)", ""]
        for title, text in findings:
            lines += [f"## {title}", "", "```", text.strip()[:60_000], "```", ""]
        options.report.write_text("\n".join(lines) or "nothing\n")
    for title, text in findings:
        print(f"---- {title} ----\n{text.strip()[:20_000]}", file=sys.stderr)
    rig.check(not findings, f"{len(findings)} findings: {', '.join(title for title, _ in findings)}")


print("the OpenAPI document")
rig.tell(
    slipway_describes_itself,
    jupyterhubs_answers_fit_our_schemas,
    a_missing_or_extra_field_does_not_fit,
    nobody_gets_only_what_the_document_says,
    a_user_gets_only_what_the_document_says,
    an_administrator_gets_only_what_the_document_says,
    nothing_was_found,
)
