"""The trap: an upstream that holds every byte it is sent to the strict grammar, and answers with the nonce of the request.

Usage: trap.py PORT REPORT. Writes one JSON line a finding to REPORT: `{"kind": "violation" | "smuggled" | "leak", …}`, and on SIGTERM one
with what it counted. A request without the mark that the proxy before it puts on every request (a header whose name is MARK,
given by environment) was not written by that proxy: it was smuggled.
"""

import asyncio
import json
import os
import re
import signal
import sys

from grammar import Reader, Violation

NONCE = re.compile(rb"n[0-9]{6}[sg]?_")
SECRETS = [secret.encode() for secret in os.environ.get("SECRETS", "").split(",") if secret]
MARK = os.environ.get("MARK", "").lower().encode()


class Trap:
    def __init__(self, report):
        self.report, self.counts = report, {"connections": 0, "requests": 0, "violations": 0, "smuggled": 0, "leaks": 0}

    def tell(self, kind, **facts):
        self.counts[{"violation": "violations", "smuggled": "smuggled", "leak": "leaks"}[kind]] += 1
        print(json.dumps({"kind": kind, **facts}), file=self.report, flush=True)

    async def serve(self, reader, writer):
        self.counts["connections"] += 1
        strict, seen = Reader(), b""
        try:
            while data := await reader.read(65536):
                seen = (seen + data)[-4096:]
                try:
                    requests = strict.feed(data)
                except Violation as violation:
                    found = NONCE.findall(seen)
                    self.tell("violation", rule=str(violation), nonce=found[-1].decode() if found else None, bytes=repr(seen[-300:]))
                    return
                for request in requests:
                    self.counts["requests"] += 1
                    writer.write(self.answer(request, seen))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def answer(self, request, seen):
        found = NONCE.search(request.target) or NONCE.search(b",".join(request.values(b"x-nonce")))
        nonce = found.group() if found else b"none"
        if MARK and not request.values(MARK):
            self.tell("smuggled", nonce=nonce.decode(), bytes=repr(seen[-300:]))
        # In a body it is the client's own doing: a body that it made so long that the next request lies in it.
        head = request.target + b"\n".join(value for _, value in request.fields)
        if any(secret in head for secret in SECRETS):
            self.tell("leak", nonce=nonce.decode(), bytes=repr(head[-300:]))
        body = b"" if request.method == b"HEAD" else nonce
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Trap-Nonce: %s\r\n\r\n%s" % (len(nonce), nonce, body)


async def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    with open(path, "w", encoding="utf-8") as report:
        trap = Trap(report)
        server = await asyncio.start_server(trap.serve, "127.0.0.1", port, backlog=1024)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        print("ready", flush=True)
        await ended.wait()
        server.close()
        print(json.dumps({"kind": "end", **trap.counts}), file=report, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
