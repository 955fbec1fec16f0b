"""The strict grammar of HTTP/1.1 that every byte towards an upstream is held to.

Stricter than RFC 9112 allows a server to be: a proxy that writes its own heads has no excuse for what servers must merely bear.
`Reader.feed` takes bytes as they come and gives requests; the first byte outside the grammar raises `Violation`.
"""

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
METHOD = re.compile(TOKEN)
FIELD_NAME = re.compile(TOKEN)
# obs-text (0x80 to 0xff) is opaque but legal in a value; every control byte but the tab is not.
FIELD_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")
PCHAR = rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
# The path is RFC 3986's, and what browsers leave unencoded beside it. In a query browsers leave every visible character as it is, `\\` and
# a lone `%` too (WHATWG URL, query percent-encode set); servers take it, and no parser finds another end of the request in it.
TARGET = re.compile(rb"/(?:" + PCHAR + rb"|[/\[\]{}|^`])*(?:\?[\x21\x22\x24-\x7e]*)?")
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]+)(?::[0-9]{1,5})?")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,18}")
CHUNK_SIZE = re.compile(rb"0|[1-9A-Fa-f][0-9A-Fa-f]{0,15}")
# RFC 9110, 6.5.1: what says how a message is framed, routed, or who sends it, has no place behind its body.
FORBIDDEN_TRAILERS = {
    b"transfer-encoding", b"content-length", b"host", b"authorization", b"cookie", b"set-cookie", b"connection", b"upgrade", b"te",
    b"trailer", b"content-encoding", b"content-type", b"content-range", b"expect", b"max-forwards", b"proxy-authorization",
}
HEAD_LIMIT_BYTES = 1 << 20


class Violation(Exception):
    """A byte that a proxy must not send on; the text says which rule it breaks."""


class Request:
    """What the trap has understood of one request."""

    def __init__(self, method, target, fields):
        self.method, self.target, self.fields, self.body = method, target, fields, b""

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]

    @property
    def is_upgrade(self):
        return any(b"upgrade" in value.lower() for value in self.values(b"connection")) and bool(self.values(b"upgrade"))


class Reader:
    """One connection's bytes as strict requests. `feed` returns those that are complete."""

    def __init__(self):
        self.buffer, self.request, self.rest, self.state = b"", None, 0, "head"

    def feed(self, data):
        self.buffer += data
        complete = []
        while True:
            done = getattr(self, "read_" + self.state)()
            if done is None:
                return complete
            if done is not True:
                complete.append(done)

    # Each of these takes a step: None: more bytes are needed; True: go on; a request: it is complete.
    def read_head(self):
        if self.buffer and not METHOD.match(self.buffer[:1]):
            raise Violation(f"a request begins with {self.buffer[:16]!r}")
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > HEAD_LIMIT_BYTES:
                raise Violation("a head without end")
            check_line_ends(self.buffer)
            return None
        head, self.buffer = self.buffer[:end + 2], self.buffer[end + 4:]
        self.request, framing = parse_head(head)
        if framing is None:
            return self.finish()
        self.state, self.rest = ("size", 0) if framing == "chunked" else ("body", framing)
        return True

    def read_body(self):
        if len(self.buffer) < self.rest:
            return None
        self.request.body, self.buffer = self.buffer[:self.rest], self.buffer[self.rest:]
        return self.finish()

    def read_size(self):
        line = self.line("a chunk's size")
        if line is None:
            return None
        if not CHUNK_SIZE.fullmatch(line):
            raise Violation(f"a chunk's size line {line[:40]!r}")
        self.rest = int(line, 16)
        self.state = "data" if self.rest else "trailers"
        return True

    def read_data(self):
        if len(self.buffer) < self.rest + 2:
            return None
        if self.buffer[self.rest:self.rest + 2] != b"\r\n":
            raise Violation("a chunk that does not end where it says")
        self.request.body += self.buffer[:self.rest]
        self.buffer, self.state = self.buffer[self.rest + 2:], "size"
        return True

    def read_trailers(self):
        line = self.line("a trailer")
        if line is None:
            return None
        if not line:
            return self.finish()
        name, _ = parse_field(line)
        if name.lower() in FORBIDDEN_TRAILERS:
            raise Violation(f"the trailer {name.decode()}")
        return True

    def line(self, what):
        end = self.buffer.find(b"\r\n")
        if end < 0:
            if len(self.buffer) > 16384:
                raise Violation(f"{what} without end")
            check_line_ends(self.buffer)
            return None
        line, self.buffer = self.buffer[:end], self.buffer[end + 2:]
        check_line_ends(line)
        return line

    def finish(self):
        request, self.request, self.state = self.request, None, "head"
        return request


class Response:
    """What a client has understood of one answer."""

    def __init__(self, status, fields):
        self.status, self.fields, self.body = status, fields, b""

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")


def read_response(data, method, is_end):
    """One answer off the beginning of `data`: (answer, bytes it took), or None while there is not enough. Answers below 200 are skipped
    over. `is_end`: nothing more will come; a body that was promised and did not is `None` in the answer then."""
    at = 0
    while True:
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            check_line_ends(data[at:])
            if is_end and len(data) > at:
                raise Violation(f"an answer that ends in its head: {data[at:at + 60]!r}")
            return None
        first, *lines = data[at:end].split(b"\r\n")
        found = STATUS_LINE.fullmatch(first)
        if not found:
            raise Violation(f"the status line {first[:60]!r}")
        check_line_ends(data[at:end])
        response = Response(int(found.group(1)), [parse_field(line) for line in lines])
        at = end + 4
        if response.status == 101 or response.status >= 200:
            break
    return read_body(response, data, at, method, is_end)


def read_body(response, data, at, method, is_end):
    lengths, codings = response.values(b"content-length"), response.values(b"transfer-encoding")
    if lengths and codings or len(lengths) > 1 or len(codings) > 1:
        raise Violation(f"an answer framed twice: {lengths} {codings}")
    if lengths and not LENGTH.fullmatch(lengths[0]) or codings and codings[0].lower() != b"chunked":
        raise Violation(f"an answer's framing: {lengths} {codings}")
    if method == "HEAD" or response.status in (101, 204, 304):
        return response, at
    if lengths:
        size = int(lengths[0])
        if len(data) - at >= size:
            response.body = data[at:at + size]
            return response, at + size
        return (cut(response), len(data)) if is_end else None
    if not codings:
        if not is_end:
            return None
        response.body = data[at:]
        return response, len(data)
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return (cut(response), len(data)) if is_end else None
        if not CHUNK_SIZE.fullmatch(data[at:end]):
            raise Violation(f"an answer's chunk size {data[at:end][:40]!r}")
        size, at = int(data[at:end], 16), end + 2
        if size == 0:
            end = data.find(b"\r\n", at)
            if end == at:
                return response, at + 2
            if end < 0:
                return (cut(response), len(data)) if is_end else None
            raise Violation(f"an answer's trailer {data[at:end][:40]!r}")
        if len(data) < at + size + 2:
            return (cut(response), len(data)) if is_end else None
        response.body += data[at:at + size]
        at += size + 2


def cut(response):
    response.body = None
    return response


def check_line_ends(data):
    if re.search(rb"(?<!\r)\n|\r(?!\n|\Z)", data):
        raise Violation("a bare CR or LF in a head")


def parse_field(line):
    name, colon, value = line.partition(b":")
    if not colon or not FIELD_NAME.fullmatch(name):
        raise Violation(f"a header line {line[:60]!r}")
    value = value.strip(b" \t")
    if not FIELD_VALUE.fullmatch(value):
        raise Violation(f"the value {value[:60]!r} of {name.decode()}")
    return name, value


def parse_head(head):
    check_line_ends(head)
    first, *lines = head[:-2].split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or not METHOD.fullmatch(parts[0]):
        raise Violation(f"the request line {first[:80]!r}")
    method, target, version = parts
    if version != b"HTTP/1.1":
        raise Violation(f"the version {version[:20]!r}")
    if not TARGET.fullmatch(target) and target != b"*":
        raise Violation(f"the target {target[:80]!r}")
    request = Request(method, target, [parse_field(line) for line in lines])
    hosts = request.values(b"host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise Violation(f"Host {hosts!r}")
    lengths, codings = request.values(b"content-length"), request.values(b"transfer-encoding")
    if lengths and codings:
        raise Violation("Content-Length beside Transfer-Encoding")
    if len(lengths) > 1 or len(codings) > 1:
        raise Violation("a framing header twice")
    if codings:
        if codings[0].lower() != b"chunked":
            raise Violation(f"Transfer-Encoding {codings[0]!r}")
        return request, "chunked"
    if not lengths:
        return request, None
    if not LENGTH.fullmatch(lengths[0]):
        raise Violation(f"Content-Length {lengths[0]!r}")
    return request, int(lengths[0]) or None
