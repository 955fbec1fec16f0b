"""Runs the parts, interleaved where two things are compared, and prints each figure as median (least..most)."""

import argparse
import asyncio
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from browser import NAVIGATION, Browser, unchecked_tls
from stacks import (NETWORKS, PASSWORD, PREFIX, Bare, JupyterHub, Slipway, Tap, clean, cpu_s, docker, free_port,
                    make_network, status_kib, wait_for_port)
import stacks

PARTS = ["starts", "lab", "memory", "adoption", "herd", "proxy"]


class Report:
    def __init__(self):
        self.rows, self.values = [], {}

    def add(self, name, values, unit, scale=1.0, digits=0):
        values = [value * scale for value in values]
        self.values[name] = values
        text = f"{statistics.median(values):.{digits}f} {unit}"
        if len(values) > 1:
            text += f" ({min(values):.{digits}f}..{max(values):.{digits}f}, n={len(values)})"
        self.say(f"{name:<58} {text}")

    def say(self, line):
        self.rows.append(line)
        print(line, flush=True)


def load():
    return "%.1f %.1f %.1f" % os.getloadavg()


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.report = options, folder, Report()
        gateways = {stack: make_network(stack) for stack in NETWORKS}
        self.gateway = gateways["jupyterhub"]
        self.running = []

    def keep(self, thing):
        self.running.append(thing)
        return thing

    def slipway(self, name, **more):
        return self.keep(Slipway(self.options.binary, self.folder / name, **more))

    # --- starts of the image that is ready at once ---

    def starts(self):
        rounds = 6 if self.options.quick else 12
        taps = {name: self.keep(Tap(self.folder, name)) for name in ("slipway", "jupyterhub", "bare")}
        slipway = self.slipway("slipway", prefix=PREFIX, socket_path=taps["slipway"].socket).serve()
        hub = self.keep(JupyterHub(self.options.cache, self.folder / "hub", self.gateway, PREFIX + "hub", taps["jupyterhub"].socket))
        bare = Bare(taps["bare"])
        slipway.add_user("ann")
        people = {"slipway": slipway.signed_in("ann"), "jupyterhub": hub.signed_in("ann")}
        whole = {name: [] for name in taps}
        own = {name: [] for name in taps}
        lines, gaps, cpu = {}, [], {}
        programs = {"slipway": slipway.pids(), "jupyterhub": hub.pids()}
        for turn in range(rounds + 1):
            if turn == 1:
                cpu = {name: sum(map(cpu_s, pids)) for name, pids in programs.items()}
            order = list(taps) if turn % 2 else list(reversed(taps))
            for name in order:
                begin, end = bare.start("ann") if name == "bare" else people[name].start("ann")
                time.sleep(0.05)
                # The first makes the volumes and warms everything.
                if turn:
                    whole[name].append(end - begin)
                    own[name].append(end - begin - taps[name].engine_s(begin, end))
                    if name == "slipway":
                        gaps.append(gaps_of(begin, end, taps[name].calls(begin, end)))
                    lines[name] = [(b - begin, e - begin, m, p) for b, e, m, p in taps[name].calls(begin, end)] + [(end - begin,) * 2 + ("ready", "")]
                if name != "bare":
                    people[name].stop("ann")
        for name in taps:
            self.report.add(f"start to ready, {name}, whole", whole[name], "ms", 1000)
            self.report.add(f"start to ready, {name}, without create and start", own[name], "ms", 1000, 1)
        for part, took in zip(("before create", "create to start", "after start"), zip(*gaps)):
            self.report.add(f"  of it {part}, slipway", took, "ms", 1000, 1)
        for name, before in cpu.items():
            spent = (sum(map(cpu_s, programs[name])) - before) / rounds
            self.report.add(f"CPU for a start and a stop, {name}, mean", [spent], "ms", 1000)
        self.report.add("start to ready, slipway, whole, less bare of its round",
                        [a - b for a, b in zip(whole["slipway"], whole["bare"])], "ms", 1000)
        self.report.add("start to ready, jupyterhub, whole, less bare of its round",
                        [a - b for a, b in zip(whole["jupyterhub"], whole["bare"])], "ms", 1000)
        for name in taps:
            self.report.say(f"  engine calls of the last start, {name} (the clock is in the socket):")
            for begin, end, method, path in lines[name]:
                path = re.sub(r"[0-9a-f]{64}", "<id>", path).split("?")[0]
                self.report.say(f"    {begin * 1000:7.1f}..{end * 1000:7.1f} ms  {method} {path}")
        slipway.stop()
        hub.stop()

    # --- the whole start of a JupyterLab ---

    def lab(self):
        rounds = 1 if self.options.quick else 4
        slipway = self.slipway("slipwaylab", prefix=PREFIX + "lab", settings={"SLIPWAY_SPAWNER_DOCKER_IMAGE": "slipway-lab:6.1"}).serve()
        hub = self.keep(JupyterHub(self.options.cache, self.folder / "hublab", self.gateway, PREFIX + "hub"))
        slipway.add_user("labann")
        people = {"slipway": slipway.signed_in("labann"), "jupyterhub": hub.signed_in("labann")}
        took = {name: [] for name in people}
        for turn in range(rounds + 1):
            for name, person in list(people.items())[:: 1 if turn % 2 else -1]:
                begin, end = person.start("labann", "lab")
                # The first makes the volumes: for Slipway it also hands them over to the image's user.
                took[name] += [end - begin] if turn else []
                person.stop("labann")
        for name in people:
            self.report.add(f"JupyterLab from request to /lab 200, {name}", took[name], "s", digits=2)
        slipway.stop()
        hub.stop()

    # --- memory ---

    def memory(self):
        slipway = self.slipway("slipwaymemory", prefix=PREFIX).serve()
        hub = self.keep(JupyterHub(self.options.cache, self.folder / "hubmemory", self.gateway, PREFIX + "hub"))
        time.sleep(2)
        self.memory_line("idle at start", slipway, hub)
        names = [f"user{number}" for number in range(10)]
        for name in names:
            slipway.add_user(name)
        time.sleep(1)
        self.report.add("memory, slipway, after ten users were added", [slipway.memory_kib()], "MiB", 1 / 1024, 1)
        took = []
        for name in names:
            browser = slipway.browser()
            took.append(browser.sign_in(name, PASSWORD))
        self.report.add("sign-in, slipway (the POST alone)", took, "ms", 1000)
        people = [slipway.signed_in(name) for name in names]
        old = [hub.signed_in(name) for name in names]
        time.sleep(1)
        self.memory_line("after ten users signed in", slipway, hub)
        for browsers in people, old:
            for name, browser in zip(names, browsers):
                browser.start(name)
        time.sleep(1)
        self.memory_line("with ten servers", slipway, hub)
        asyncio.run(self.sign_in_at_once(slipway, names))
        time.sleep(1)
        self.memory_line("after 50 sign-ins at once", slipway, hub)
        self.report.add("memory, slipway, highest ever (VmHWM)", [status_kib(slipway.process.pid, "VmHWM")], "MiB", 1 / 1024, 1)
        slipway.stop()
        hub.stop()
        for prefix in (PREFIX, PREFIX + "hub"):
            stacks.remove_containers(prefix)

    async def sign_in_at_once(self, slipway, names):
        one = lambda name: asyncio.to_thread(lambda: slipway.signed_in(name))
        await asyncio.gather(*(one(name) for name in names * 5))

    def memory_line(self, when, slipway, hub):
        anonymous = status_kib(slipway.process.pid, "RssAnon") / 1024
        self.report.add(f"memory, slipway, {when}", [slipway.memory_kib()], f"MiB, of it anonymous {anonymous:.1f}", 1 / 1024, 1)
        parts = hub.memory_kib()
        self.report.add(f"memory, jupyterhub + proxy, {when}", [sum(parts)],
                        f"MiB ({parts[0] / 1024:.0f} + {parts[1] / 1024:.0f})", 1 / 1024)

    # --- adoption ---

    def adoption(self):
        count, rounds = (20, 2) if self.options.quick else (100, 5)
        slipway = self.slipway("slipwayadopt", prefix=PREFIX + "adopt", settings={"SLIPWAY_SPAWNER_DOCKER_VOLUMES": "{}"}).serve()
        names = [f"user{number}" for number in range(count)]
        people = []
        begin = time.monotonic()
        for name in names:
            slipway.add_user(name)
            people.append(slipway.signed_in(name))
        asyncio.run(self.start_all(names, people))
        self.report.say(f"  {count} users added, signed in and their servers started in {time.monotonic() - begin:.0f} s")
        first, all_ready = [], []
        for _ in range(rounds):
            begin, reached = kill_and_sweep(slipway, names, people)
            first.append(min(reached.values()) - begin)
            all_ready.append(max(reached.values()) - begin)
        self.report.add("kill -9 to the first request proxied again", first, "ms", 1000)
        self.report.add(f"kill -9 to all {count} servers proxied again", all_ready, "ms", 1000)
        self.report.add(f"memory, slipway, with {count} adopted servers", [slipway.memory_kib()], "MiB", 1 / 1024, 1)
        slipway.stop()
        stacks.remove_containers(PREFIX + "adopt")

    async def start_all(self, names, people):
        turns = asyncio.Semaphore(10)

        async def one(name, person):
            async with turns:
                await asyncio.to_thread(person.start, name)

        await asyncio.gather(*(one(name, person) for name, person in zip(names, people)))

    # --- a herd ---

    def herd(self):
        slipway = self.slipway("slipwayherd", prefix=PREFIX).serve()
        slipway.add_user("herd")
        person = slipway.signed_in("herd")
        since = time.time()
        statuses, took = asyncio.run(stampede(slipway.port, person, 1000))
        while not person.is_served("herd"):
            time.sleep(0.01)
        time.sleep(0.5)
        events = docker("events", "--since", f"{since:.3f}", "--until", f"{time.time():.3f}", "--filter", "event=create",
                        "--filter", "type=container", "--format", "{{.Actor.Attributes.name}}").split()
        made = [name for name in events if name.startswith(PREFIX + "-")]
        self.report.say(f"herd: 1,000 requests at once, answered in {took:.2f} s with {statuses}: {len(made)} create")
        slipway.stop()
        stacks.remove_containers(PREFIX)

    # --- CPU for each proxied request ---

    def proxy(self):
        rounds, seconds = (1, 2) if self.options.quick else (5, 3)
        slipway = self.slipway("slipwayproxy", prefix=PREFIX, settings={
            "SLIPWAY_SPAWNER_BACKEND": "process",
            "SLIPWAY_SPAWNER_PROCESS_COMMAND": json.dumps([str(self.folder / "upstream.sh")]),
            "SLIPWAY_SPAWNER_PROCESS_RUN_AS": "nobody",
        })
        shutil.copy(stacks.HERE / "upstream.sh", self.folder)
        slipway.serve().add_user("ann")
        person = slipway.signed_in("ann")
        answer = person.api("POST", "/users/ann/server")
        if answer.status != 201:
            raise RuntimeError(f"the upstream does not start: {answer.status} {answer.body!r}")
        upstream = self.address_of_upstream(slipway)
        nginx = self.nginx(upstream)
        cookies = "; ".join(f"{name}={value}" for (name, path), value in person.cookies.items() if path == "/")
        targets = {
            "slipway": (slipway.port, slipway.process.pid),
            "nginx": (nginx.port, int(subprocess.check_output(["pgrep", "-P", str(nginx.process.pid)]).split()[0])),
        }
        cost, rate = {name: [] for name in targets}, {name: [] for name in targets}
        for turn in range(rounds):
            for name, (port, pid) in list(targets.items())[:: 1 if turn % 2 else -1]:
                before = cpu_s(pid)
                requests, per_s = wrk(f"https://127.0.0.1:{port}/user/ann/x", cookies, seconds)
                cost[name].append((cpu_s(pid) - before) / requests)
                rate[name].append(per_s)
        for name in targets:
            self.report.add(f"CPU for a proxied 1 KiB answer over TLS, {name}", cost[name], "µs", 1e6, 1)
            self.report.add(f"requests a second (wrk -t1 -c64), {name}", rate[name], "1/s")
        self.report.add("CPU, slipway to nginx", [a / b for a, b in zip(cost["slipway"], cost["nginx"])], "times", digits=2)
        person.stop("ann")
        slipway.stop()

    def address_of_upstream(self, slipway):
        found = list((slipway.folder / "data").rglob("nginx.conf"))
        return re.search(r"listen ([0-9.:]+);", found[0].read_text(encoding="ascii")).group(1)

    def nginx(self, upstream):
        port, folder = free_port(), self.folder / "nginx"
        folder.mkdir()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "2", "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
                       check=True, capture_output=True)
        (folder / "nginx.conf").write_text(f"""
            daemon off; worker_processes 1; pid {folder}/pid; error_log stderr;
            events {{ worker_connections 4096; }}
            http {{
              access_log off; keepalive_requests 1000000000;
              client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
              uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
              upstream server {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
              server {{
                listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
                location / {{
                  proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
                  proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Real-IP $remote_addr;
                }}
              }}
            }}""", encoding="ascii")
        nginx = type("Nginx", (), {})()
        nginx.port = port
        nginx.process = subprocess.Popen(["nginx", "-p", folder, "-c", folder / "nginx.conf"], stderr=open(folder / "log", "ab"))
        nginx.stop = lambda: (nginx.process.terminate(), nginx.process.wait())
        wait_for_port(port, nginx.process)
        return self.keep(nginx)


def gaps_of(begin, end, calls):
    """What lies before the engine's create, between it and the start, and after that."""
    created = next((b, e) for b, e, m, p in calls if m == "POST" and "/containers/create" in p)
    started = next((b, e) for b, e, m, p in calls if m == "POST" and p.split("?")[0].endswith("/start"))
    return created[0] - begin, started[0] - created[1], end - started[1]


def kill_and_sweep(slipway, names, people):
    """Kills Slipway, starts it again and asks for every server on one connection until each has answered."""
    begin = time.monotonic()
    slipway.kill()
    slipway.run()
    wait_for_port(slipway.port, slipway.process)
    sweeper = Browser(slipway.port)
    left, reached = dict(zip(names, people)), {}
    while left:
        for name, person in list(left.items()):
            sweeper.cookies = person.cookies
            if sweeper.is_served(name):
                reached[name] = time.monotonic()
                del left[name]
        if time.monotonic() - begin > 60:
            raise RuntimeError(f"{len(left)} servers were not adopted within a minute")
    return begin, reached


async def stampede(port, person, count):
    """Opens `count` connections, then asks for the stopped server on all of them at once, and follows one redirect."""
    cookies = "; ".join(f"{name}={value}" for (name, path), value in person.cookies.items() if "/user/herd/lab".startswith(path))
    head = "".join(f"{name}: {value}\r\n" for name, value in NAVIGATION.items())
    tls, statuses = unchecked_tls(), {}

    async def ask(path, reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookies}\r\n{head}\r\n".encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", answer)
        if length:
            await reader.readexactly(int(length.group(1)))
        status = int(answer.split(" ")[1])
        statuses[status] = statuses.get(status, 0) + 1
        location = re.search(r"(?i)location: (\S+)", answer)
        return location and location.group(1)

    async def one(reader, writer):
        path = await ask("/user/herd/lab", reader, writer)
        if path:
            await ask(path, reader, writer)

    opening = asyncio.Semaphore(100)

    async def connect():
        async with opening:
            return await asyncio.open_connection("127.0.0.1", port, ssl=tls)

    connections = await asyncio.gather(*(connect() for _ in range(count)))
    begin = time.monotonic()
    await asyncio.gather(*(one(*connection) for connection in connections))
    took = time.monotonic() - begin
    for _, writer in connections:
        writer.transport.abort()
    return statuses, took


def wrk(url, cookies, seconds):
    text = subprocess.run(["wrk", "-t1", "-c64", f"-d{seconds}s", "-H", f"Cookie: {cookies}", url], capture_output=True,
                          text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        raise RuntimeError(f"{url}: {text}")
    return int(re.search(r"(\d+) requests in", text).group(1)), float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("parts", nargs="*", metavar="PART")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    begin = time.monotonic()
    clean()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="slipway-figures-"))
    # The proxy's upstream runs as nobody and must get there.
    folder.chmod(0o755)
    bench = Bench(options, folder)
    report = bench.report
    version = subprocess.check_output([options.binary, "--version"], text=True).strip()
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")).group(1)
    report.say(f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores of {cpu}, Linux {platform.release()}, "
               f"Docker {docker('version', '--format', '{{.Server.Version}}')}, {version}")
    report.add("size of the program", [options.binary.stat().st_size], "MiB", 1 / 1024 / 1024, 1)
    failed = True
    try:
        for part in options.parts or PARTS:
            report.say(f"== {part} (load average {load()})")
            getattr(bench, part)()
        failed = False
    finally:
        for thing in reversed(bench.running):
            thing.stop()
        if failed:
            print(f"figures: failed; logs are in {folder}", flush=True)
        else:
            shutil.rmtree(folder)
        clean()
    report.say(f"== done in {time.monotonic() - begin:.0f} s (load average {load()})")
    (options.cache / "figures.json").write_text(json.dumps(report.values, indent=1), encoding="utf-8")
    (options.cache / "figures.txt").write_text("\n".join(report.rows) + "\n", encoding="utf-8")


main()
