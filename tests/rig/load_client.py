"""A small HTTP/1.1 client for loads: one connection, from an address of one's choice, and somebody who visits a page all the while."""

import asyncio
import multiprocessing
import os
import re
import ssl
import statistics
import time
import urllib.parse

# One answer, while everything else wants the processors too.
ANSWER_LIMIT_S = 60
# A visitor's pause between two pages.
PACE_S = 0.02
# Forked, with the subject as it is.
FORK = multiprocessing.get_context("fork")
FORM = re.compile(rb'name="_xsrf"[^>]*value="([^"]*)"|value="([^"]*)"[^>]*name="_xsrf"')


def context():
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    return found


class Wire:
    """One connection with TLS; requests one after the other."""

    def __init__(self, host, reader, writer):
        self.host, self.reader, self.writer, self.cookies = host, reader, writer, {}

    @classmethod
    async def open(cls, port, source=None, tls=None, limit_s=ANSWER_LIMIT_S):
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls or context(), limit=1 << 20, local_addr=(source, 0) if source else None)
        return cls(f"127.0.0.1:{port}".encode(), reader, writer)

    def close(self):
        self.writer.transport.abort()

    async def ask(self, method, path, headers=b"", body=b"", limit_s=ANSWER_LIMIT_S):
        """(status, headers as bytes, body); keeps cookies. OSError or TimeoutError if there is no whole answer."""
        cookies = b"; ".join(name + b"=" + value for name, value in self.cookies.items())
        lines = [method + b" " + path + b" HTTP/1.1", b"Host: " + self.host]
        if cookies:
            lines.append(b"Cookie: " + cookies)
        if body or method == b"POST":
            lines.append(b"Content-Length: %d" % len(body))
        self.writer.write(b"\r\n".join(lines) + b"\r\n" + headers + b"\r\n" + body)
        async with asyncio.timeout(limit_s):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?im)^content-length: *(\d+)", head)
                if length:
                    answer = await self.reader.readexactly(int(length.group(1)))
                elif re.search(rb"(?im)^transfer-encoding: *chunked", head):
                    answer = b""
                    while size := int(await self.reader.readuntil(b"\r\n"), 16):
                        answer += (await self.reader.readexactly(size + 2))[:-2]
                    await self.reader.readuntil(b"\r\n")
                else:
                    answer = b""
            except asyncio.IncompleteReadError as cut:
                raise ConnectionError(f"cut after {cut.partial[:80]!r}") from None
        for name, value in re.findall(rb"(?im)^set-cookie: *([^=;\s]+)=([^;\r]*)", head):
            self.cookies[name] = value
        return int(head[9:12]), head, answer

    async def form(self):
        """Fetches the form of the sign-in, and returns its XSRF token."""
        _, _, page = await self.ask(b"GET", b"/hub/login", b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nAccept: text/html\r\n")
        found = FORM.search(page)
        return (found.group(1) or found.group(2)) if found else b""

    async def sign_in(self, token, name, password, limit_s=ANSWER_LIMIT_S):
        """Sends the form: (status, head)."""
        body = urllib.parse.urlencode({"_xsrf": token, "username": name, "password": password}).encode()
        status, head, _ = await self.ask(b"POST", b"/hub/login", b"Content-Type: application/x-www-form-urlencoded\r\nOrigin: https://" + self.host + b"\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\n", body, limit_s)
        return status, head


class Visitor:
    """Somebody who is signed in and visits a page of their server all the while, in a process of its own: on one connection, or on a
    fresh one each time. `end()` gives the latencies in ms and what went wrong."""

    def __init__(self, subject, is_fresh=False, first=None):
        self.is_over, (self.pipe, theirs) = FORK.Event(), FORK.Pipe()
        self.process = FORK.Process(target=self.visit_alone, args=(theirs, subject, is_fresh, first), daemon=True)
        self.process.start()

    def visit_alone(self, pipe, subject, is_fresh, first):
        if first:
            first(os.getpid())
        latencies, failures = [], []
        asyncio.run(self.visit(subject, is_fresh, latencies, failures))
        pipe.send((latencies, failures))

    async def visit(self, subject, is_fresh, latencies, failures):
        site, tls, wire = subject.site.through_tls(), context(), None
        while not self.is_over.is_set():
            began = time.monotonic()
            try:
                wire = wire or await Wire.open(subject.tls_port, tls=tls)
                status, _, _ = await wire.ask(b"GET", site.prefix + b"n000001_", site.headers)
                if status != 200:
                    failures.append(f"status {status}")
            except (OSError, TimeoutError) as error:
                failures.append(str(error) or type(error).__name__)
                wire = None
            latencies.append((time.monotonic() - began) * 1000)
            if is_fresh and wire:
                wire.close()
                wire = None
            await asyncio.sleep(PACE_S)

    def end(self):
        self.is_over.set()
        found = self.pipe.recv() if self.pipe.poll(ANSWER_LIMIT_S * 2) else ([], ["the visitor never ended"])
        self.process.join(ANSWER_LIMIT_S)
        return found


def p99(values):
    return round(statistics.quantiles(values, n=100)[98], 1) if len(values) > 2 else float("nan")
