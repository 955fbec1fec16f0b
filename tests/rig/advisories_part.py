"""RustSec: every package of Cargo.lock against a stored copy of the advisories, if one lies at ADVISORY_DB (../shared/advisory-db).

Held: none of them tells of a weakness in what is locked (C26), beyond `ACCEPTED`. Packages that nobody maintains are told and no finding.
"""

import datetime
import os
import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
DATABASE = Path(os.environ.get("ADVISORY_DB", str(REPOSITORY.parent / "shared/advisory-db")))
# Advisories that are known and borne for a while: id → (until which day, why).
ACCEPTED = {}
SYSTEM = "linux"


def parsed(version):
    """A version as something that sorts: numbers, and whether it is a release."""
    numbers, _, rest = version.partition("+")[0].partition("-")
    parts = [int(part) for part in numbers.split(".")] + [0, 0]
    return (*parts[:3], rest == "", [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in rest.split(".")])


def bump(version):
    """The first version that `^version` leaves out."""
    numbers = [int(part) for part in version.partition("-")[0].split(".")]
    for at, number in enumerate(numbers):
        if number or at == len(numbers) - 1:
            return ".".join(map(str, [*numbers[:at], number + 1]))
    return version


def fits(version, requirement):
    """True if `version` meets one requirement of Cargo's, as in ">= 1.2, < 2"."""
    for part in requirement.split(","):
        operator, wanted = re.fullmatch(r"\s*(>=|<=|>|<|=|\^|~)?\s*([0-9][^\s]*)\s*", part).groups()
        this, that = parsed(version), parsed(wanted)
        if operator == "~":
            numbers = wanted.partition("-")[0].split(".")[:2]
            is_met = this >= that and this < parsed(bump_last(numbers))
        elif operator in (None, "^"):
            is_met = that <= this < parsed(bump(wanted))
        else:
            is_met = {">=": this >= that, "<=": this <= that, ">": this > that, "<": this < that, "=": this == that}[operator]
        if not is_met:
            return False
    return True


def bump_last(numbers):
    return ".".join([*numbers[:-1], str(int(numbers[-1]) + 1)])


def advisories_of(package):
    for path in sorted((DATABASE / "crates" / package).glob("*.md")):
        yield tomllib.loads(path.read_text(encoding="utf-8").split("```toml", 1)[1].split("```", 1)[0])


def check(lock):
    """(how many advisories were read, findings, notes) for the packages of a lock file."""
    count, findings, notes = 0, [], []
    for package in lock["package"]:
        for told in advisories_of(package["name"]):
            count += 1
            advisory, versions, affected = told["advisory"], told.get("versions", {}), told.get("affected", {})
            if advisory.get("withdrawn") or SYSTEM not in affected.get("os", [SYSTEM]):
                continue
            if any(fits(package["version"], requirement) for requirement in [*versions.get("patched", []), *versions.get("unaffected", [])]):
                continue
            text = f"{advisory['id']}: {package['name']} {package['version']}"
            if advisory.get("informational") in ("unmaintained", "notice"):
                notes.append(f"{text} ({advisory['informational']})")
                continue
            until, why = ACCEPTED.get(advisory["id"], ("0000-00-00", ""))
            if datetime.date.today().isoformat() <= until:
                notes.append(f"{text}: borne until {until}, {why}")
            else:
                findings.append({"kind": "advisory", "wrong": text, "patched": versions.get("patched", [])})
    return count, findings, notes


def run(_options):
    if not (DATABASE / "crates").is_dir():
        print(f"  SKIPPED: no RustSec advisories at {DATABASE} (clone github.com/rustsec/advisory-db there, or set ADVISORY_DB)")
        return [], []
    # A reader that finds nothing anywhere would find nothing here either.
    old = {"package": [{"name": "hyper", "version": "0.9.3"}, {"name": "tokio", "version": "1.8.0"}]}
    _, known, _ = check(old)
    findings = [] if {"RUSTSEC-2021-0072"} <= {found["wrong"].split(":")[0] for found in known} else [{"kind": "rig", "wrong": "the reader does not find what is known to be weak"}]
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text(encoding="utf-8"))
    count, found, notes = check(lock)
    print(f"  {len(lock['package'])} packages, {count} advisories of theirs: {len(found)} open" + "".join(f"\n    {note}" for note in notes))
    return [{"packages": len(lock["package"]), "advisories": count, "notes": notes, "findings": found}], findings + found
