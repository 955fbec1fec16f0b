"""The lines of work: each does one kind of work through a program and returns what one unit of it cost.

A line that is measured once does not change from round to round (system calls) or is slow (memory of fresh programs).
"""

import concurrent.futures, json, re, signal, statistics, subprocess, sys, time

from edge.client import FRAME, connect, context, read_answer, read_echo, request_of, websocket
from edge.programs import DRIVER, PORTS, SHM, Slipway, check_tls, start_peer, without_conf

BESIDE = {}  # what is said below the tables: {title: [one text for each time]}
FAILED = []  # what makes the whole run fail


def run(command, environment=None):
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stdout[-400:]}{done.stderr[-400:]}")
    return done.stdout


def per_unit_us(program, work):
    """CPU of the program's tree over `work`, which returns how many units it did."""
    before = program.cpu_s()
    count = work()
    return (program.cpu_s() - before) * 1e6 / count


# ---- requests ------------------------------------------------------------------------------------------------

def wrk(program, path, connections, seconds):
    text = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *program.headers(), program.url(path)])
    if "Non-2xx" in text or "Socket errors" in text and "timeout 0" not in text:
        raise RuntimeError(text)
    return int(re.search(r"(\d+) requests in", text).group(1))


def h2load(program, path, arguments):
    text = run(["h2load", "-t1", "--tls13-ciphers=TLS_AES_256_GCM_SHA384", *arguments, *program.headers(), program.url(path)])
    found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    if not found or any(int(bad) for bad in found.groups()[1:]) or int(found.group(1)) == 0:
        raise RuntimeError(text[-600:])
    return int(found.group(1))


def speaks_h2(program):
    return program.name != "chp"


def warm_up(program, options):
    """Before the first figure of a program: Node and the Go runtime cost several times more in their first seconds."""
    check_tls(program, options.run)
    wrk(program, "1k", 64, 1 if options.quick else 3)
    if not options.quick:
        wrk(program, "big/100k", 32, 1)


def line_1k_h1(program, options):
    wrk(program, "1k", 64, options.warm_s)
    return per_unit_us(program, lambda: wrk(program, "1k", 64, options.seconds))


def line_1k_h2(program, options):
    if not speaks_h2(program):
        return None
    count = 20_000 if options.quick else 60_000
    h2load(program, "1k", ["-n5000", "-c8", "-m16"])
    return per_unit_us(program, lambda: h2load(program, "1k", [f"-n{count}", "-c8", "-m16"]))


def line_100k(program, options):
    wrk(program, "big/100k", 32, options.warm_s)
    return per_unit_us(program, lambda: wrk(program, "big/100k", 32, options.seconds))


# ---- connections ---------------------------------------------------------------------------------------------

AT_ONCE = 16
NOT_RESUMED = {}


def handshakes(program, count, resume):
    """New connections with one request each, 16 at once; returns how many there were."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        resumed = sum(threads.map(lambda _: handshakes_in_turn(program, count // AT_ONCE, resume), range(AT_ONCE)))
    count -= count % AT_ONCE
    if resume and resumed < count * 0.9 and program.name not in NOT_RESUMED:
        NOT_RESUMED[program.name] = f"{resumed} of {count}"
    return count


def handshakes_in_turn(program, count, resume):
    made, session, resumed = context(), None, 0
    for _ in range(count):
        with connect(program.port, session if resume else None, made) as tls:
            tls.sendall(request_of(program, f"/user/{program.user}/1k", more="Connection: close\r\n"))
            if read_answer(tls)[0] != 200:
                raise RuntimeError(f"{program.name}: no 200 after a handshake")
            resumed += tls.session_reused
            session = tls.session
    return resumed


def handshakes_us(program, options, resume):
    handshakes(program, 5 * AT_ONCE, resume)
    return per_unit_us(program, lambda: handshakes(program, 480 if options.quick else 1600, resume))


def line_handshake(program, options):
    return handshakes_us(program, options, False)


def line_resumed(program, options):
    return handshakes_us(program, options, True)


# ---- bodies --------------------------------------------------------------------------------------------------

def transfer(program, files, upload):
    urls = []
    for _ in range(files):
        urls += ["-T", str(SHM / "up/100m"), program.url(f"put/{program.name}")] if upload else \
                ["-o", "/dev/null", program.url("big/100m")]
    run(["curl", "-skf", "--http1.1", *(["-H", "Expect:"] if upload else []), *program.headers(), *urls])
    if upload:
        (SHM / f"up/put-{program.name}").unlink()
    return files * 100 * 1024 * 1024 / 2**30


def line_download(program, options):
    return per_unit_us(program, lambda: transfer(program, 3 if options.quick else 6, False)) / 1e6


def line_upload(program, options):
    return per_unit_us(program, lambda: transfer(program, 3 if options.quick else 6, True)) / 1e6


# ---- latency -------------------------------------------------------------------------------------------------

RATE = 2000


def paced(program, options, seconds):
    """2,000 requests/s over 32 connections. A request that is sent late counts from when it was due."""
    cpu_before = program.cpu_s()
    text = run([str(options.cache / "bin/oha"), "--no-tui", "--output-format", "json", "--insecure", "-q", str(RATE), "-c", "32",
                "-z", f"{seconds}s", "--latency-correction", *program.headers(), program.url("1k")])
    found = json.loads(text)
    answers = found["statusCodeDistribution"]
    # What is under way at the end is given up.
    errors = sum(count for why, count in found["errorDistribution"].items() if "deadline" not in why)
    if errors or set(answers) != {"200"}:
        raise RuntimeError(f"oha: {answers}, {found['errorDistribution']}")
    percentiles = found["latencyPercentiles"]
    return {"p50": percentiles["p50"] * 1e6, "p99": percentiles["p99"] * 1e3,
            "rate-cpu": (program.cpu_s() - cpu_before) * 1e6 / answers["200"]}


def line_rate(program, options):
    return paced(program, options, options.seconds + 1)


def line_sign_in(program, options):
    """p99 while 50 people sign in, as a multiple of the quiet p99 just before. Slipway alone knows people."""
    if not isinstance(program, Slipway):
        return None
    if not program.people:
        program.people = [f"person{number}" for number in range(50)]
        for name in program.people:
            program.add_user(name)
    quiet = paced(program, options, 3)["p99"]
    began = time.monotonic()
    # People bring their own computers: here they get what the others leave.
    signing = subprocess.Popen(["nice", "-n", "19", sys.executable, str(DRIVER), "--sign-in", str(program.port), *program.people])
    busy = paced(program, options, 3)["p99"]
    if signing.wait() != 0:
        raise RuntimeError("the sign-ins failed")
    beside("p99 of proxied requests in ms, quiet → while 50 people sign in (and s until all are in, or 3)",
           f"{quiet:.1f} → {busy:.1f} ({time.monotonic() - began:.1f} s)")
    return busy / quiet


def line_websocket(program, options):
    sockets = [websocket(program, f"/user/{program.user}/ws") for _ in range(64)]

    def work():
        until, count = time.monotonic() + options.seconds, 0
        while time.monotonic() < until:
            # All 64 are on their way at once.
            for tls in sockets:
                tls.sendall(FRAME)
            for tls in sockets:
                read_echo(tls)
            count += len(sockets)
        return count

    result = per_unit_us(program, work)
    for tls in sockets:
        tls.close()
    return result


# ---- memory --------------------------------------------------------------------------------------------------

def growth_kib(measured, options, open_one):
    """Growth of PSS per connection, in a fresh program: one that has been busy has free memory to hand out."""
    count = 500 if options.quick else 2000
    if isinstance(measured, Slipway):
        program = Slipway(f"slipway-fresh-{Slipway.count}", options.run, options, routes=10)
        users = ["u00000", "u00001", "u00002"]  # one server takes 1,024 connections by default
    else:
        program = start_peer(measured.name, options.run, options.cache, PORTS[measured.name] + 1000)
        users = [program.user]
    try:
        # What is made once, whatever the number of connections, is there before.
        for tls in [open_one(program, users[0]) for _ in range(32)]:
            tls.close()
        time.sleep(0.5)
        before = program.pss_kib()
        sockets = [open_one(program, users[number % len(users)]) for number in range(count)]
        time.sleep(1.5)  # buffers are given back after the last byte
        grown = program.pss_kib() - before
        for tls in sockets:
            tls.close()
    finally:
        program.end()
    return grown / count


def line_idle(program, options):
    def open_one(fresh, user):
        tls = connect(fresh.port)
        tls.sendall(request_of(fresh, f"/user/{user}/1k"))
        if read_answer(tls)[0] != 200:
            raise RuntimeError(f"{fresh.name}: no 200")
        return tls
    return growth_kib(program, options, open_one)


def line_idle_websocket(program, options):
    def open_one(fresh, user):
        tls = websocket(fresh, f"/user/{user}/ws")
        tls.sendall(FRAME)
        read_echo(tls)
        return tls
    return growth_kib(program, options, open_one)


# ---- system calls --------------------------------------------------------------------------------------------

SOCKET_CALLS_LIMIT = 4.2  # tests/suite/system_calls.rs keeps it too, without load
SOCKET_CALLS = {"read", "readv", "write", "writev", "recvfrom", "recvmsg", "sendto", "sendmsg", "sendfile", "splice"}


def line_syscalls(program, options):
    """Socket calls per request at 64 connections. Two runs differ by their requests alone: the difference holds no
    handshake and no first connection to the upstream."""
    if options.quick and program.name not in ("slipway", "nginx"):
        return None
    wrk(program, "1k", 64, 1)
    short, few = traced(program, options, 1)
    long, many = traced(program, options, 3 if options.quick else 5)
    each = {name: (count - short.get(name, 0)) / (many - few) for name, count in long.items()}
    most = sorted(each.items(), key=lambda item: -item[1])[:6]
    beside(f"system calls per request, {program.name}", ", ".join(f"{name} {count:.2f}" for name, count in most))
    figure = sum(count for name, count in each.items() if name in SOCKET_CALLS)
    if isinstance(program, Slipway) and figure > SOCKET_CALLS_LIMIT:
        FAILED.append(f"{figure:.2f} socket calls per request, more than {SOCKET_CALLS_LIMIT}")
    return figure


def traced(program, options, seconds):
    """All system calls of the program by name while wrk runs, and wrk's requests."""
    out = options.run / f"{program.name}.strace"
    pids = [argument for pid in program.tree() for argument in ("-p", str(pid))]
    strace = subprocess.Popen(["strace", "-c", "-f", "-qq", "-o", str(out), *pids], stderr=subprocess.DEVNULL)
    time.sleep(0.7)
    requests = wrk(program, "1k", 64, seconds)
    strace.send_signal(signal.SIGINT)
    strace.wait()
    calls = {}
    for row in out.read_text().splitlines():
        fields = row.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] = int(fields[3])
    return calls, requests


def beside(title, text):
    BESIDE.setdefault(title, []).append(text)


# ---- all of them ---------------------------------------------------------------------------------------------

class Figure:
    """One row of the table: what a line gives, and what it should be at least, as peer / Slipway."""

    def __init__(self, key, title, unit, goals=None):
        self.key, self.title, self.unit, self.goals = key, title, unit, goals or {}


class Line:
    """Work, and the figures it gives: `work` returns one, or several by their keys, or None where it cannot be done."""

    def __init__(self, key, work, *figures, once=False, variants=False, quick_rounds=2):
        self.key, self.work, self.figures = key, work, figures
        self.once, self.variants, self.quick_rounds = once, variants, quick_rounds


# In the order of the report, what matters most first.
LINES = [
    Line("h1", line_1k_h1, Figure("h1", "1 KiB, HTTP/1.1, 64 connections", "CPU µs per request",
                            {"nginx": 1.25, "haproxy": 1.4, "traefik": 4, "chp": 12}), variants=True),
    Line("h2", line_1k_h2, Figure("h2", "1 KiB, HTTP/2, 8 × 16 streams", "CPU µs per request",
                            {"nginx": 1.25, "haproxy": 1.0, "traefik": 5})),
    Line("100k", line_100k, Figure("100k", "100 KiB, HTTP/1.1, 32 connections", "CPU µs per request", {"nginx": 1.4}), quick_rounds=1),
    Line("down", line_download, Figure("down", "100 MiB download, one connection", "CPU s per GiB", {"nginx": 1.4}), quick_rounds=1),
    Line("up", line_upload, Figure("up", "100 MiB upload, one connection", "CPU s per GiB",
                             {"nginx": 1.7, "haproxy": 1.4, "traefik": 1.3}), quick_rounds=1),
    Line("handshake", line_handshake, Figure("handshake", "full handshake and one request, 16 at once", "CPU µs per connection",
                                {"nginx": 1.8, "traefik": 1.7})),
    Line("resumed", line_resumed, Figure("resumed", "resumed handshake and one request, 16 at once", "CPU µs per connection"), quick_rounds=1),
    Line("rate", line_rate,
         Figure("p50", "2,000 requests/s, 32 connections: p50", "µs", dict.fromkeys(PORTS, 1)),
         Figure("p99", "2,000 requests/s, 32 connections: p99", "ms"),
         Figure("rate-cpu", "2,000 requests/s, 32 connections: CPU", "CPU µs per request"), quick_rounds=1),
    Line("ws", line_websocket, Figure("ws", "WebSocket echo, 64 connections", "CPU µs per round trip"), quick_rounds=1),
    Line("sign-in", line_sign_in, Figure("sign-in", "p99 while 50 people sign in (goal ≤ 2)", "× the quiet p99"), quick_rounds=1),
    Line("syscalls", line_syscalls, Figure("syscalls", "socket calls, 64 connections (goal ≤ 4.2)", "calls per request"), once=True),
    Line("idle", line_idle, Figure("idle", "idle keep-alive connection (goal ≤ 20)", "KiB each (PSS)"), once=True),
    Line("idle-ws", line_idle_websocket, Figure("idle-ws", "idle WebSocket after one echo (goal ≤ 20)", "KiB each (PSS)"), once=True),
]
FIGURES = [figure for line in LINES for figure in line.figures]


# ---- figures as text -----------------------------------------------------------------------------------------

def shown(value):
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def spread(values):
    if len(values) == 1:
        return shown(values[0])
    return f"{shown(statistics.median(values))} ({shown(min(values))}..{shown(max(values))})"
