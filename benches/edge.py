#!/usr/bin/env python3
"""The driver behind benches/edge.sh: starts everybody, measures in rounds, writes results.md and results.svg.

The figure of nearly every line is what one unit of work costs the proxy's whole process tree (utime and stime of
/proc/PID/stat). Load, proxy and upstream share the machine, so only ratios within one round count: rounds are
interleaved and every second one is reversed. Its parts are in the folder edge. Standard library only.
"""

import argparse, asyncio, os, pathlib, resource, shutil, signal, statistics, sys, time

from edge import client, hot_spots, report, routes
from edge.lines import FAILED, LINES, beside, run, shown, warm_up
from edge.programs import PEERS, SHM, VARIANTS, Slipway, start_peer, start_upstream, without_conf

HERE = pathlib.Path(__file__).resolve().parent
# Rounds that begin later are left out. Every line has been measured by then: see measure().
FULL_LIMIT_S, QUICK_LIMIT_S = 1320, 195


def say(text):
    print(text, flush=True)


class Clock:
    """How long each part took."""

    def __init__(self):
        self.began, self.seconds = time.monotonic(), {}

    def add(self, what, since):
        self.seconds[what] = self.seconds.get(what, 0) + time.monotonic() - since

    def say(self):
        parts = sorted(self.seconds.items(), key=lambda item: -item[1])
        say("seconds of each line: " + ", ".join(f"{what} {seconds:.0f}" for what, seconds in parts))


def measure(options, programs, clock):
    """The first round, then all that is measured once, then the other rounds: a machine that is too slow loses rounds,
    never a line."""
    results, found_routes = {}, []
    wanted = [line for line in LINES if not options.only or line.key in options.only]
    for number in range(options.rounds):
        if time.monotonic() - clock.began > options.limit_s:
            say(f"out of time: {number} of {options.rounds} rounds")
            options.rounds = number
            break
        for line in wanted:
            if not line.once and (not options.quick or number < line.quick_rounds):
                measure_line(line, number, options, programs, results, clock)
        if number == 0:
            for line in wanted:
                if line.once:
                    measure_line(line, 0, options, programs, results, clock)
            if not options.only or "routes" in options.only:
                began = time.monotonic()
                found_routes = routes.measure(options, say)
                clock.add("routes", began)
    return results, found_routes


def measure_line(line, number, options, programs, results, clock):
    order = [program for program in programs if line.variants or program.name not in VARIANTS]
    if number % 2:
        order.reverse()
    began = time.monotonic()
    for program in order:
        try:
            with program.watched():
                value = line.work(program, options)
        except (RuntimeError, OSError) as error:
            say(f"round {number + 1} {line.key} {program.name}: {str(error).strip()[:300]}")
            FAILED.append(f"{line.key} {program.name}")
            continue
        values = value if isinstance(value, dict) else {line.key: value} if value is not None else {}
        for key, value in values.items():
            results.setdefault(key, {}).setdefault(program.name, {})[number] = value
            say(f"round {number + 1} {key:9} {program.name:12} {shown(value)}")
    clock.add(line.key, began)


def prepare():
    """A folder in memory, and a certificate for everybody."""
    folder = SHM / "run"
    shutil.rmtree(SHM, ignore_errors=True)
    folder.mkdir(parents=True)
    # Open to the account of nginx's workers, who must pass through to the sockets.
    os.chmod(SHM, 0o755)
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")], without_conf())
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return folder


def side_by_side(options, clock):
    programs, helpers = [], []
    try:
        began = time.monotonic()
        helpers += start_upstream(options.run)
        programs.append(Slipway("slipway", options.run, options))
        say(f"slipway with 10,000 routes is ready after {programs[0].ready_s:.1f} s")
        if not options.only or "h1" in options.only:
            programs.append(Slipway("slipway-log", options.run, options, access="json"))
            programs.append(Slipway("slipway-unix", options.run, options, upstream=f"unix:{options.run}/up.sock"))
        for name in options.peers:
            programs.append(start_peer(name, options.run, options.cache))
        clock.add("start", began)
        began = time.monotonic()
        for program in programs:
            warm_up(program, options)
        clock.add("warm-up", began)
        results, found_routes = measure(options, programs, clock)
        about_scrapes(programs[0])
    finally:
        for program in programs + helpers:
            program.end()
    table = routes.micro(options.micro.read_text()) if options.micro else {}
    report.write(options, results, found_routes, table, time.monotonic() - clock.began)
    if options.out == HERE and not options.only and options.peers == PEERS:
        report.put_into_readme(HERE.parent / "README.md", options, results)


def about_scrapes(slipway):
    if slipway.scrape_failure:
        FAILED.append(f"reading the metrics: {slipway.scrape_failure}")
    if slipway.scrapes_s:
        beside("metrics, read meanwhile", f"{len(slipway.scrapes_s)} times, {statistics.median(slipway.scrapes_s) * 1000:.1f} ms each")


def profile(options):
    programs = []
    try:
        programs += start_upstream(options.run)
        programs.append(Slipway("slipway", options.run, options))
        found = hot_spots.measure(programs[-1], options, say)
    finally:
        for program in programs:
            program.end()
    hot_spots.write(options, found, report.versions(options)[0])


def options_of(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="two short rounds, under 4 minutes")
    parser.add_argument("--profile", action="store_true", help="only: where the time goes, by perf; writes profile.md")
    parser.add_argument("--only", type=lambda text: text.split(","), help="lines: " + ", ".join(line.key for line in LINES) + ", routes")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=PEERS)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--note", help="a sentence at the head of results.md")
    parser.add_argument("--micro", type=pathlib.Path, help="what `cargo bench --bench route_table` has printed")
    parser.add_argument("--slipway", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args(arguments)
    unknown = set(options.only or []) - {line.key for line in LINES} - {"routes"} | set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"nothing is called {', '.join(sorted(unknown))}")
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds, options.warm_s = (1, 1) if options.quick else (3, 1)
    options.limit_s = QUICK_LIMIT_S if options.quick else FULL_LIMIT_S
    options.load = os.getloadavg()
    options.cache = options.cache.resolve()
    options.slipway, options.seed = (str(pathlib.Path(path).resolve()) for path in (options.slipway, options.seed))
    return options


def main():
    if sys.argv[1:2] == ["--echo"]:
        return asyncio.run(client.echo_server(sys.argv[2]))
    if sys.argv[1:2] == ["--sign-in"]:
        return client.sign_in_all(int(sys.argv[2]), sys.argv[3:])
    options, clock = options_of(sys.argv[1:]), Clock()
    # 2,000 connections of ours, and as many in each of those that we start.
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard_limit, 65535) if hard_limit > 0 else 65535, hard_limit))
    options.run = prepare()
    # Asked to end, it still ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.profile:
        profile(options)
    else:
        side_by_side(options, clock)
        clock.say()
    if not FAILED:
        shutil.rmtree(SHM, ignore_errors=True)
    what = options.out / ("profile.md" if options.profile else "results.md")
    say(f"{what} after {time.monotonic() - clock.began:.0f} s" + (f"; FAILED: {', '.join(FAILED)}" if FAILED else ""))
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
