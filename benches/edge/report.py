"""Writes results.md: what was measured where, the costs, and the ratios of a peer to Slipway within one round."""

import datetime, os, pathlib, re, statistics, subprocess

from edge.chart import NAMES, chart
from edge.lines import BESIDE, FIGURES, NOT_RESUMED, shown, spread
from edge.programs import PEERS, VARIANTS


def ratios(results, key, peer):
    """Peer / Slipway of the same round, where both have a figure."""
    ours, theirs = results[key].get("slipway", {}), results[key].get(peer, {})
    return [theirs[number] / ours[number] for number in ours if number in theirs and ours[number] > 0]


def write(options, results, routes, route_table_us, took_s):
    peers = [peer for peer in PEERS if peer in options.peers]
    text = [*head(options, took_s), *costs(results, peers), *side_by_side(results, peers), *variants(results),
            *about_routes(routes, route_table_us), *beside(), "![Ratios](results.svg)", ""]
    (options.out / "results.md").write_text("\n".join(text))
    rows = [(figure.title, [(peer, ratios(results, figure.key, peer)) for peer in peers])
            for figure in FIGURES if figure.key in results]
    (options.out / "results.svg").write_text(chart(rows, peers, datetime.date.today()))


HEADLINE = re.compile(r"(?<=by benches/edge\.sh -->\n).*?(?=<!-- end -->)", re.S)


def put_into_readme(readme, options, results):
    """The sentence under the picture, so that it never tells of another run than the picture."""
    peers = [peer for peer in PEERS if peer in options.peers]
    said = [text for text in (multiples(results, "h1", peers), multiples(results, "h2", peers)) if text]
    if len(said) == 2:
        run = "a quick run" if options.quick else f"{options.rounds} rounds"
        sentence = (f"For the same 1 KiB request, as multiples of the CPU that Slipway takes: {said[0]}; over HTTP/2 {said[1]} "
                    f"(median of {run}, {datetime.date.today()}).\n")
        readme.write_text(HEADLINE.sub(lambda _: sentence, readme.read_text()))


def multiples(results, key, peers):
    found = [(NAMES[peer], ratios(results, key, peer)) for peer in peers if key in results]
    return ", ".join(f"{name} {shown(statistics.median(values))}" for name, values in found if values)


def head(options, took_s):
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    note = options.note or ("A quick run: few, short rounds. Ratios are indications." if options.quick else "")
    return ["# The edge beside its peers", "", *([f"**{note}**", ""] if note else []),
            f"{datetime.date.today()} · {os.cpu_count()} cores, {cpu.group(1) if cpu else '?'}, Linux {os.uname().release} · "
            f"load at the start {options.load[0]:.1f}, at the end {os.getloadavg()[0]:.1f} · {options.rounds} rounds · "
            f"took {took_s:.0f} s", "", " · ".join(versions(options)), "",
            "Written by `benches/edge.sh`; how and why is in [README.md](README.md). Slipway checks a session on every request, has "
            "10,000 routes and is read by Prometheus meanwhile; its peers proxy everything to one place. CPU is that of the "
            "program's whole process tree.", ""]


def costs(results, peers):
    names = ["slipway", *peers]
    yield from ("## Cost", "", "| work | unit | " + " | ".join(names) + " |", "| --- | --- |" + " --- |" * len(names))
    for figure in FIGURES:
        if figure.key in results:
            cells = [spread(list(results[figure.key][name].values())) if results[figure.key].get(name) else "–" for name in names]
            yield f"| {figure.title} | {figure.unit} | " + " | ".join(cells) + " |"
    yield ""


def side_by_side(results, peers):
    yield from ("## Peer / Slipway in the same round, median (min..max)", "",
                "Above 1: Slipway costs less. A goal that was not met is marked ✗.", "",
                "| work | rounds | " + " | ".join(peers) + " |", "| --- | --- |" + " --- |" * len(peers))
    for figure in FIGURES:
        if figure.key not in results or not any(ratios(results, figure.key, peer) for peer in peers):
            continue
        cells = []
        for peer in peers:
            found = ratios(results, figure.key, peer)
            goal = figure.goals.get(peer)
            mark = "" if goal is None or not found else f", goal {goal}" + (" ✓" if statistics.median(found) >= goal else " ✗")
            cells.append(spread(found) + mark if found else "–")
        yield f"| {figure.title} | {len(results[figure.key].get('slipway', {}))} | " + " | ".join(cells) + " |"
    yield ""


def variants(results):
    names = [name for name in results.get("h1", {}) if name in VARIANTS]
    if not names:
        return
    yield from ("## Slipway otherwise (1 KiB, HTTP/1.1)", "", "| setting | CPU µs per request | × the default, same round |",
                "| --- | --- | --- |")
    base = results["h1"].get("slipway", {})
    for name in names:
        found = results["h1"][name]
        pairs = [found[number] / base[number] for number in found if number in base]
        yield f"| {VARIANTS[name]} | {spread(list(found.values()))} | {spread(pairs) if pairs else '–'} |"
    yield ""


def about_routes(routes, route_table_us):
    if not routes:
        return
    yield from ("## Routes", "", "| routes | CPU µs per request (1 KiB, HTTP/1.1) | MiB (PSS) | s from start to ready |",
                "| --- | --- | --- | --- |")
    for one in routes:
        yield f"| {one.count:,} | {spread(one.cpu_us)} | {one.pss_mib:.1f} | {one.ready_s:.1f} |"
    yield from ("", "One more server, started over the REST API (commit, probe and route), and beside 2,000 requests/s up to 50 a second, one after the other:", "",
                "| routes | ms until it answers | ms of CPU | the readers' p99, ms: before → meanwhile | µs in the route table alone, unoptimised build (goal ≤ 50) |",
                "| --- | --- | --- | --- | --- |")
    for one in routes:
        table = f"{route_table_us[one.count]:.1f}" if one.count in route_table_us else "–"
        if one.added:
            yield (f"| {one.count:,} | {spread(one.added.ms)} | {one.added.cpu_ms:.2f} | "
                   f"{one.added.quiet_p99_ms:.1f} → {one.added.p99_ms:.1f} | {table} |")
    yield ""


def beside():
    if BESIDE or NOT_RESUMED:
        yield from ("## Beside it", "")
        yield from (f"- {title}: {'; '.join(texts)}" for title, texts in BESIDE.items())
        yield from (f"- not all handshakes were resumed by {name}: {text}" for name, text in NOT_RESUMED.items())
        yield ""


def versions(options):
    def first(command, pattern):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return "?"
        found = re.search(pattern, done.stdout + done.stderr)
        return found.group(1) if found else "?"
    traefik = str(options.cache / "venv/bin/traefik")
    chp = str(options.cache / "node_modules/.bin/configurable-http-proxy")
    wanted = [("Slipway", ["git", "rev-parse", "--short", "HEAD"], r"(\w+)"), ("nginx", ["nginx", "-v"], r"nginx/(\S+)"),
              ("haproxy", ["haproxy", "-v"], r"version (\S+)"), ("Traefik", [traefik, "version"], r"Version:\s*(\S+)"),
              ("configurable-http-proxy", [chp, "--version"], r"(\d\S*)"), ("node", ["node", "--version"], r"v(\S+)"),
              ("OpenSSL", ["openssl", "version"], r"OpenSSL (\S+)"), ("wrk", ["wrk", "-v"], r"wrk (?:debian/)?(\S+)"),
              ("h2load", ["h2load", "--version"], r"nghttp2/(\S+)"),
              ("oha", [str(options.cache / "bin/oha"), "--version"], r"oha (\S+)")]
    return [f"{name} {first(command, pattern)}" for name, command, pattern in wanted]
