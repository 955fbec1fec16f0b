"""--profile: where Slipway's CPU goes under 1 KiB requests, by perf; writes profile.md.

Sampled by the processor's clock, because virtual machines have no hardware counters. A sample counts for the innermost
function alone (self time); its group is that of the innermost frame that a group knows, so that a memcpy within the
kernel's TCP is TCP.
"""

import collections, datetime, os, re, signal, subprocess, time

from edge.lines import h2load, run, wrk

MOST = 25

# The first that matches a frame wins. Kernel frames first: what they have in common with libraries is their names only.
KERNEL_GROUPS = [
    ("kernel TCP", r"tcp|inet|^ip_|^__ip_|ip_output|ip_rcv|ip_finish|sock_|^sk_|skb|net_rx|netif|dev_queue|dev_hard|loopback|nf_|napi|process_backlog"
                   r"|conntrack|bbr|__sys_(send|recv)|sys_(send|recv)|csum|ipv4|fib_|^dst_|qdisc"),
    ("epoll, scheduling, timers", r"epoll|^ep_|schedule|futex|wake|hrtimer|tick_|idle|timerfd|switch|ttwu|eventfd|poll|nanosleep|rcu|sched_|task_"),
    ("kernel, other", r""),
]
USER_GROUPS = [
    ("TLS crypto", r"aws_lc|aes|gcm|ghash|sha(1|256|512)|chacha|poly1305|rustls|ecp_|x25519|p256|OPENSSL|EVP_|CRYPTO_|hmac|HMAC"),
    ("allocator", r"malloc|^free|_int_free|realloc|calloc|cfree|tcache|mimalloc|^mi_|sdallocx|mallocx|jemalloc|__rust_(de|re)?alloc|unlink_chunk"),
    ("HTTP codec (h1, HPACK, frames)", r"httparse|\bh2::|hpack|hyper|\bhttp::|slipway::(net|proxy)::.*(codec|head|parse|h1|h2)"),
    ("our proxy", r"slipway"),
    ("runtime (tokio)", r"tokio|mio::|futures|parking_lot|std::(sys|time|thread)"),
    ("copying memory", r"mem(cpy|move|set|cmp)|__memmove|__memset"),
    ("other", r""),
]


def measure(program, options, say):
    """[(title, samples of each self symbol, of each group)]: one of HTTP/1.1, one of HTTP/2."""
    seconds = 4 if options.quick else 12
    wrk(program, "1k", 64, 2)
    h2load(program, "1k", ["-n20000", "-c8", "-m16"])
    works = [("1 KiB, HTTP/1.1, 64 connections", lambda: wrk(program, "1k", 64, seconds)),
             ("1 KiB, HTTP/2, 8 × 16 streams", lambda: h2load(program, "1k", [f"-n{seconds * 20_000}", "-c8", "-m16"]))]
    found = []
    for number, (title, work) in enumerate(works):
        data = options.run / f"perf-{number}.data"
        before = program.cpu_s()
        # 1,999 a second: not in step with anything that happens every millisecond.
        perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-g", "-p", str(program.process.pid), "-o", str(data)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        count = work()
        perf.send_signal(signal.SIGINT)
        said = perf.communicate()[1]
        if not data.exists():
            raise SystemExit(f"edge.py: perf wrote nothing: {said[-400:]}")
        each_us = (program.cpu_s() - before) * 1e6 / count
        symbols, groups = counted(run(["perf", "script", "-i", str(data), "-F", "comm,ip,sym,dso"]))
        say(f"{title}: {sum(groups.values())} samples, {each_us:.1f} µs of CPU per request")
        found.append((title, each_us, symbols, groups))
    return found


def counted(script):
    """Samples by their innermost function, and by group."""
    symbols, groups = collections.Counter(), collections.Counter()
    for sample in script.split("\n\n"):
        frames = [frame for row in sample.splitlines()[1:] if (frame := frame_of(row))]
        if frames:
            symbols[frames[0]] += 1
            groups[group_of(frames)] += 1
    return symbols, groups


def frame_of(row):
    found = re.match(r"\s+[0-9a-f]+ (.*) \((.*)\)$", row)
    if not found:
        return None
    symbol, dso = found.groups()
    symbol = re.sub(r"::h[0-9a-f]{16}$", "", symbol)
    symbol = re.sub(r"\[[0-9a-f]{16}\]", "", symbol)  # v0 names
    return symbol, "kernel" if dso.startswith(("[kernel", "[guest", "[k")) or dso.endswith(".ko") else os.path.basename(dso)


def group_of(frames):
    is_kernel = frames[0][1] == "kernel"
    groups = KERNEL_GROUPS if is_kernel else USER_GROUPS
    within = [symbol for symbol, dso in frames if (dso == "kernel") == is_kernel]
    # The innermost frame speaks first, a frame around it only where that one says nothing.
    for symbol in within:
        for name, pattern in groups[:-1]:
            if re.search(pattern, symbol):
                return name
    return groups[-1][0]


def write(options, found, build):
    text = ["# Where the time goes", "",
            f"{datetime.date.today()} · {os.cpu_count()} cores, Linux {os.uname().release} · {build} · `benches/edge.sh --profile`: "
            "`perf record -e cpu-clock -F 1999 -g` over Slipway with 10,000 routes, a session checked on every request.", ""]
    names = [name for name, _ in KERNEL_GROUPS + USER_GROUPS]
    text += ["| share of the samples | " + " | ".join(title for title, *_ in found) + " |", "| --- |" + " --- |" * len(found)]
    text += [f"| {name} | " + " | ".join(percent(groups[name], groups) for *_, groups in found) + " |" for name in names]
    text += ["| CPU µs per request, perf included | " + " | ".join(f"{each_us:.1f}" for _, each_us, *_ in found) + " |", ""]
    for title, _, symbols, groups in found:
        text += [f"## {title}: the {MOST} functions with the most self time", "", "| % | function | where |", "| --- | --- | --- |"]
        text += [f"| {percent(count, groups)} | `{shortened(symbol)}` | {dso} |" for (symbol, dso), count in symbols.most_common(MOST)]
        text += [""]
    (options.out / "profile.md").write_text("\n".join(text))


def percent(count, groups):
    return f"{100 * count / max(sum(groups.values()), 1):.1f}"


def shortened(symbol):
    return symbol.replace("|", "\\|") if len(symbol) <= 110 else symbol[:107].replace("|", "\\|") + "…"
