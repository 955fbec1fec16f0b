"""The rig: attacks and faults against the real program, and the figures of each run.

Usage: run.py [quick|full|NAME…] [--subjects slipway,nginx] [--seed N]. Exit status 1 if anything was found against Slipway.
"""

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# One a line, in the order in which they run: NAME is `run` of `NAME_part.py`, taken up when it is wanted.
PARTS = [
    "requests",
    "upstreams",
    "http2",
    "floods",
    "websocket",
    "autobahn",
    "load",
    "limits",
    "kills",
    "disks",
    "engine",
    "reuse",
    "model",
    "soak",
    "advisories",
]
# Wants what no other test does (an older Debian and its Python): part of `full`, and there by its name.
FOR_RELEASES = {"autobahn"}
# What is shown of a part's findings; all of them, whole, and its figures go to the file that RIG_FINDINGS names.
SHOWN = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wanted", nargs="*", default=["quick"], help="quick, full, or names of parts: " + ", ".join(PARTS))
    parser.add_argument("--subjects", type=lambda text: text.split(","), help="slipway, nginx, haproxy, traefik, chp")
    parser.add_argument("--only", help="a pattern: the cells or attacks whose name it finds")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.is_quick = "full" not in options.wanted
    unknown = set(options.wanted) - {"quick", "full", *PARTS}
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}: quick, full, {', '.join(PARTS)}")
    every = [name for name in PARTS if name not in FOR_RELEASES or not options.is_quick]
    names = [name for name in PARTS if name in options.wanted] or every
    status, keep, kept = 0, os.environ.get("RIG_FINDINGS"), {}
    for name in names:
        began = time.monotonic()
        print(f"{name}:", flush=True)
        figures, failed = importlib.import_module(f"{name}_part").run(options)
        if keep:
            kept[name] = {"figures": figures, "findings": failed}
            Path(keep).write_text(json.dumps(kept, indent=1))
        for found in failed[:SHOWN]:
            print("   ", json.dumps(found)[:600])
        if failed:
            status = 1
            print(f"  {len(failed)} findings against Slipway")
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
