"""HTTP/2: the cases of `http2_cases.py` against Slipway before the trap.

Held: each case ends as its rule says; whatever reaches the trap is strict grammar (I3), nothing is smuggled; the program lives (I5).
"""

import asyncio
import time

import http2_cases
import malformed
import requests_part
import subjects
from http2_client import PING, PREFACE, Connection, frame, headers
from rig import Folder, plain_environment

AT_ONCE = 24


def verdict(case, heard, is_alive):
    """None, or what is wrong."""
    is_refused = heard.resets.get(1) is not None or heard.statuses.get(1, 0) in (400, 405, 413, 414, 421, 431, 501)
    is_ended = heard.is_closed or heard.goaway not in (None, 0)
    right = {
        "connection": is_ended,
        "stream": is_ended or is_refused,
        "answer": heard.statuses.get(1) == 200 and is_alive,
        "stream or answer": is_ended or is_refused or (1 in heard.statuses and is_alive),
        "ignored": is_alive,
        "refused": is_ended or any(code == 7 for code in heard.resets.values()),
        "any": True,
    }[case.expected]
    return None if right else f"{case.name}: wanted {case.expected}, heard {heard}, {'alive' if is_alive else 'not alive'}"


async def one(subject, case, number):
    connection = await Connection.open(subject, preface=PREFACE if case.preface is None else case.preface, first=case.first)
    try:
        connection.send(case.data)
        heard = await connection.listen(lambda heard: 1 in heard.ended or heard.resets.get(1) is not None or heard.goaway is not None)
        is_alive = False
        if not heard.is_closed and heard.goaway in (None, 0):
            # The connection lives if it answers another request, on a stream far above those of the case.
            nonce = malformed.nonce_of(number, b"g")
            connection.send(headers(4001, http2_cases.request(subject.site, nonce)) + frame(PING, 0, 0, b"livelive"))
            await connection.listen(lambda heard: 4001 in heard.ended or heard.goaway is not None, quiet_s=1)
            is_alive = heard.statuses.get(4001) == 200 and heard.bodies.get(4001) == nonce
        return verdict(case, heard, is_alive)
    finally:
        connection.close()


async def attack(subject, cases, findings):
    queue = iter(enumerate(cases))

    async def worker():
        for number, case in queue:
            try:
                wrong = await asyncio.wait_for(one(subject, case, number), 20)
            except (TimeoutError, OSError) as error:
                wrong = f"{case.name}: {error or type(error).__name__}"
            if wrong:
                findings.append({"kind": "case", "wrong": wrong})
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def run(_options):
    """Slipway alone."""
    folder = Folder("rig-http2")
    trap = requests_part.Trap(folder, "", ())
    subject = subjects.SlipwaySubject(folder, trap.port)
    trap.program.end()
    trap.program.environment = plain_environment(MARK=subject.mark, SECRETS=",".join(subject.secrets))
    trap.program.start()
    trap.program.wait_for("the trap again", lambda: subjects.listens(trap.port))
    subject.slipway.program.wait_for("the route", lambda: subject.browser.send("GET", "/user/admin/n000000_").status == 200)
    subject.site = subject.site.through_tls()
    cases, findings, began = http2_cases.cases(subject.site, malformed.nonce_of), [], time.monotonic()
    asyncio.run(attack(subject, cases, findings))
    seconds = time.monotonic() - began
    wrong = subject.alive()
    if wrong:
        findings.append({"kind": "crash", "wrong": wrong})
    subject.end()
    trapped = trap.end()
    findings += [found for found in trapped if found["kind"] != "end"]
    print(f"  slipway: {len(cases)} cases in {seconds:.0f} s, {trapped[-1].get('requests')} reached the upstream: {len(findings)} found")
    return [{"name": "slipway", "cases": len(cases), "seconds": seconds, "findings": findings}], findings
