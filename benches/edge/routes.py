"""1, 10,000 and 100,000 routes: CPU per request, memory, the time to be ready, and what adding one route costs.

A route is added as an administrator's program adds it: a server of `spawner.backend = "static"` is started over the
REST API. That is a signed request, a commit, a probe of the server and the route; the route table's own part of it is
measured by benches/route_table.rs.
"""

import statistics, threading, time

from edge.client import ask
from edge.lines import FAILED, line_1k_h1, paced, shown, spread
from edge.programs import Api, Slipway

COUNTS = (1, 10_000, 100_000)


class Routes:
    """What was measured at one number of routes."""

    def __init__(self, program):
        self.program, self.count, self.ready_s = program, program.routes, program.ready_s
        self.cpu_us, self.pss_mib, self.added = [], 0, None


def measure(options, say):
    found = []
    try:
        for count in COUNTS:
            try:
                found.append(Routes(Slipway(f"routes-{count}", options.run, options, routes=count)))
            except (OSError, SystemExit) as error:
                say(f"{count:,} routes: {error}")
                FAILED.append(f"{count:,} routes")
                continue
            say(f"{count:,} routes ready after {found[-1].ready_s:.1f} s")
        for number in range(1 if options.quick else options.rounds):
            for one in (found if number % 2 == 0 else found[::-1]):
                one.cpu_us.append(line_1k_h1(one.program, options))
        for one in found:
            one.pss_mib = one.program.pss_kib() / 1024
            try:
                one.added = add_some(one.program, options)
            except (RuntimeError, OSError) as error:
                say(f"{one.count:,} routes, adding one: {error}")
                FAILED.append(f"adding to {one.count:,} routes")
            say(f"{one.count:,} routes: {spread(one.cpu_us)} µs, {one.pss_mib:.1f} MiB; one added: {one.added}")
    finally:
        for one in found:
            one.program.end()
    return found


class Added:
    """What starting one more server costs, alone and beside readers."""

    def __init__(self, ms, cpu_ms, quiet_p99_ms, p99_ms):
        self.ms, self.cpu_ms, self.quiet_p99_ms, self.p99_ms = ms, cpu_ms, quiet_p99_ms, p99_ms

    def __str__(self):
        return f"{spread(self.ms)} ms, {shown(self.cpu_ms)} ms of CPU; readers' p99 {self.quiet_p99_ms:.1f} → {self.p99_ms:.1f} ms"


def add_some(program, options):
    api = Api(program)
    try:
        count = 30 if options.quick else 200
        names = [f"added{number:04}" for number in range(count)]
        api.post("/users", {"usernames": names})
        cpu_before = program.cpu_s()
        ms = [started_ms(api, name) for name in names]
        cpu_ms = (program.cpu_s() - cpu_before) * 1000 / count
        answer = ask(program, "GET", f"/user/{names[-1]}/1k")[0]
        if answer != 200:
            raise RuntimeError(f"the server of {names[-1]} was started and answers {answer}")
        quiet = paced(program, options, options.seconds + 1)
        beside_readers = adding_meanwhile(api, lambda: paced(program, options, options.seconds + 1))
    finally:
        api.close()
    return Added(ms, cpu_ms, quiet["p99"], beside_readers["p99"])


def started_ms(api, name):
    began = time.monotonic()
    api.post(f"/users/{name}/server")
    return (time.monotonic() - began) * 1000


ADDED_PER_S = 50  # far more than people come; readers must not feel it


def adding_meanwhile(api, work):
    """Starts a server up to 50 times a second while `work` runs: the next one when the one before is answered."""
    names = [f"more{number:04}" for number in range(10 * ADDED_PER_S)]
    api.post("/users", {"usernames": names})
    is_over, failed = threading.Event(), []

    def add():
        try:
            for name in names:
                started_ms(api, name)
                if is_over.wait(1 / ADDED_PER_S):
                    return
        except (RuntimeError, OSError) as error:
            failed.append(error)
    adder = threading.Thread(target=add)
    adder.start()
    try:
        result = work()
    finally:
        is_over.set()
        adder.join()
    if failed:
        raise failed[0]
    return result


def micro(text):
    """{routes: µs} for one route added, from what benches/route_table.rs printed."""
    rows = [row.split() for row in text.splitlines() if "one route added" in row]
    return {int(row[0]): float(row[-1]) / 1000 for row in rows}
