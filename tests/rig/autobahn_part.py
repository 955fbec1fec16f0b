"""The Autobahn suite itself: each of its cases ends through Slipway as it does direct.

Held: the verdict, how the connection was closed and with which code are the same direct, through TLS and through `slipway chp` in the
clear, for every case of every section, compression and the large messages among them. The server is the suite's own; both run in a root
file system of their own (`autobahn-root.sh`), since they want a Python 2.7. The suite sends no headers of ours, so the way through TLS
is a public router; `websocket` has the same sections with a session, and looks at the bytes.
"""

import collections
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import subjects
from rig import Folder, Program, free_port, plain_environment, until

ROOT = Path(os.environ.get("SLIPWAY_CACHE", subjects.HERE.parent.parent / ".cache")).resolve() / "rig/autobahn"
# All sections, three times: some 25 minutes on two cores.
LIMIT_S = 5400
# What the suite has at least; fewer means that it did not run.
CASES_LEAST = 243
LOOKED_AT = ("behavior", "behaviorClose", "remoteCloseCode")


def wstest(name, folder, *arguments):
    """The suite's own program, in its root."""
    environment = plain_environment(PYTHONWARNINGS="ignore")
    return Program(name, ["chroot", str(ROOT), "/usr/local/bin/wstest", *arguments], folder, environment)


def routes(upstream):
    # The suite's server refuses a Host with any port but its own.
    return f"""
http:
  routers: {{ echo: {{ rule: "PathPrefix(`/echo`)", service: echo }} }}
  services: {{ echo: {{ loadBalancer: {{ passHostHeader: false, servers: [ {{ url: "http://127.0.0.1:{upstream}" }} ] }} }} }}
"""


def differences(verdicts, doors):
    """What ended otherwise than direct."""
    for case, direct in verdicts["direct"].items():
        for door in doors:
            through = verdicts.get(door, {}).get(case, {})
            wrong = {key: [through.get(key), direct[key]] for key in LOOKED_AT if through.get(key) != direct[key]}
            if wrong:
                yield {"kind": "verdict", "case": case, "door": door, "wrong": f"through Slipway and direct: {wrong}"}


def run(options):
    """Slipway alone."""
    subprocess.run([str(subjects.HERE / "autobahn-root.sh"), str(ROOT)], check=True)
    folder, port = Folder("rig-autobahn"), free_port()
    echo = wstest("echo", folder, "--mode", "testeeserver", "--wsuri", f"ws://127.0.0.1:{port}", "--webport", "0")
    echo.wait_for("the echo listens", lambda: subjects.listens(port))
    # Servers are not what is tried here; the one of its administrator only has to be there.
    servers = subjects.quick_upstream(folder)
    subject = subjects.SlipwaySubject(folder, servers.port, **{"routers.file": str(folder.write("routes.yml", routes(port)))})
    chp_port = free_port()
    _, *arguments = subjects.chp("configurable-http-proxy", folder, chp_port, port)
    chp = Program("chp", [os.environ["SLIPWAY_BINARY"], "chp", "--change-origin", *arguments], folder, plain_environment())
    chp.wait_for("chp listens", lambda: subjects.listens(chp_port))
    urls = {"direct": f"ws://127.0.0.1:{port}", "chp": f"ws://127.0.0.1:{chp_port}/echo", "TLS": f"wss://127.0.0.1:{subject.tls_port}/echo"}
    reports = ROOT / "tmp/reports"
    shutil.rmtree(reports, ignore_errors=True)
    spec = {"outdir": "/tmp/reports", "servers": [{"agent": door, "url": url} for door, url in urls.items()], "cases": [options.only or "*"], "exclude-cases": [], "exclude-agent-cases": {}}
    (ROOT / "tmp/spec.json").write_text(json.dumps(spec))
    began = time.monotonic()
    client = wstest("wstest", folder, "--mode", "fuzzingclient", "--spec", "/tmp/spec.json")
    until("the suite has ended", lambda: client.process.poll() is not None, LIMIT_S)
    index = reports / "index.json"
    if client.process.poll() != 0 or not index.exists():
        raise AssertionError(f"the suite did not run:\n{client.log()}")
    verdicts, seconds = json.loads(index.read_text()), time.monotonic() - began
    findings = list(differences(verdicts, [door for door in urls if door != "direct"]))
    count = len(verdicts["direct"])
    if count < CASES_LEAST and not options.only:
        findings.append({"kind": "rig", "wrong": f"{count} cases alone"})
    if subject.figure("slipway_websockets_open") != 0:
        findings.append({"kind": "left open", "wrong": f"{subject.figure('slipway_websockets_open'):.0f} WebSockets"})
    if wrong := subject.alive():
        findings.append({"kind": "crash", "wrong": wrong})
    kinds = {door: dict(collections.Counter(case["behavior"] for case in cases.values())) for door, cases in verdicts.items()}
    print(f"  slipway: {count} cases, each direct, through chp and through TLS, in {seconds:.0f} s: {len(findings)} found; {kinds}", flush=True)
    for program in (subject, chp, echo, servers):
        program.end()
    # The suite's own pages of a difference say what it expected.
    if not findings:
        shutil.rmtree(reports)
    return [{"name": "slipway", "cases": count, "seconds": seconds, "verdicts": kinds, "findings": findings}], findings
