"""The generator of hostile answers: what a server in somebody's container may send in place of an answer.

`variants()` gives them in a fixed order. A variant is a rule, what is wrong, and a function of (nonce, method) that gives the bytes and
what the server does then: `keep` the connection open as if all were well, `close` it, or `hang`.
"""

import dataclasses
import itertools

from malformed import CODINGS, ENDS, LASTS, LENGTHS, SIZES, SPELLINGS, spelt


@dataclasses.dataclass(frozen=True)
class Variant:
    rule: str
    what: str
    make: object


def answer(nonce, status=b"200 OK", version=b"HTTP/1.1", more=b"", length=None, body=None, end=b"\r\n"):
    body = nonce if body is None else body
    length = b"Content-Length: %d\r\n" % len(body) if length is None else length
    return b"".join((version, b" ", status, b"\r\nX-Trap-Nonce: ", nonce, b"\r\n", length, more, end, body))


def stranger(nonce):
    """An answer that nobody asked for: whoever gets it got somebody else's."""
    return answer(b"n999999s_", more=b"X-Stranger: 1\r\n")


PLACES = {
    "before the version": b"@HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in the version": b"HTTP/@1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in place of the first digit": b"HTTP/@.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in place of the last digit": b"HTTP/1.@ 200 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "before the status": b"HTTP/1.1@200 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in the status": b"HTTP/1.1 2@0 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in place of the status' first digit": b"HTTP/1.1 @00 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "behind the status": b"HTTP/1.1 200@OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in the reason": b"HTTP/1.1 200 O@K\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in place of the first CR": b"HTTP/1.1 200 OK@\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "before a name": b"HTTP/1.1 200 OK\r\n@X-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n\r\nok",
    "in a name": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nX-@A: b\r\nContent-Length: 2\r\n\r\nok",
    "behind a name": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nX-A@: b\r\nContent-Length: 2\r\n\r\nok",
    "in a value": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nX-A: b@c\r\nContent-Length: 2\r\n\r\nok",
    "in a cookie": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nSet-Cookie: a=b@c; Path=/\r\nContent-Length: 2\r\n\r\nok",
    "in Location": b"HTTP/1.1 302 Found\r\nX-Trap-Nonce: {nonce}\r\nLocation: /a@b\r\nContent-Length: 2\r\n\r\nok",
    "in a length": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2@\r\n\r\nok",
    "before a chunk": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nTransfer-Encoding: chunked\r\n\r\n@2\r\nok\r\n0\r\n\r\n",
    "behind a chunk": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok@\r\n0\r\n\r\n",
    "in the head's end": b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: {nonce}\r\nContent-Length: 2\r\n@\nok",
}


def octets():
    for (place, pattern), octet in itertools.product(PLACES.items(), range(256)):
        def make(nonce, _method, pattern=pattern, octet=octet):
            return pattern.replace(b"@", b"\x00").replace(b"{nonce}", nonce).replace(b"\x00", bytes([octet])), "close"
        yield Variant("octet " + place, f"0x{octet:02x}", make)


def framing():
    for length, coding in itertools.product(LENGTHS[::2], CODINGS[::3]):
        def make(nonce, _method, length=length, coding=coding):
            lines = b"Content-Length: " + length + b"\r\nTransfer-Encoding: " + coding + b"\r\n"
            return answer(nonce, length=lines, body=b"0\r\n\r\n") + stranger(nonce), "keep"
        yield Variant("length beside coding", f"{length[:20]!r} {coding!r}", make)
    for name, values, body in ((b"Content-Length", LENGTHS, b"hello"), (b"Transfer-Encoding", CODINGS, b"5\r\nhello\r\n0\r\n\r\n")):
        for value, then in itertools.product(values, ("keep", "close")):
            def make(nonce, _method, name=name, value=value, body=body, then=then):
                return answer(nonce, length=name + b": " + value + b"\r\n", body=body) + stranger(nonce), then
            yield Variant(name.decode(), f"{value[:20]!r}×{len(value)}, then {then}", make)
        for pattern in SPELLINGS:
            def make(nonce, _method, name=name, pattern=pattern, body=body):
                right = b"5" if name == b"Content-Length" else b"chunked"
                return answer(nonce, length=spelt(name, pattern) + right + b"\r\n", body=body) + stranger(nonce), "close"
            yield Variant(f"spelling of {name.decode()}", repr(pattern), make)
        for first, second in itertools.product(values[::5], values[1::5]):
            def make(nonce, _method, name=name, first=first, second=second, body=body):
                lines = name + b": " + first + b"\r\n" + name + b": " + second + b"\r\n"
                return answer(nonce, length=lines, body=body) + stranger(nonce), "close"
            yield Variant(f"{name.decode()} twice", f"{first[:20]!r} {second[:20]!r}", make)
    for size, end in itertools.product(SIZES, ENDS[::2]):
        def make(nonce, _method, size=size, end=end):
            return answer(nonce, length=b"Transfer-Encoding: chunked\r\n", body=size + end + b"hello\r\n0\r\n\r\n") + stranger(nonce), "close"
        yield Variant("chunk size", f"{size[:20]!r}×{len(size)} {end!r}", make)
    for end, last in itertools.product(ENDS, LASTS):
        def make(nonce, _method, end=end, last=last):
            return answer(nonce, length=b"Transfer-Encoding: chunked\r\n", body=b"5\r\nhello" + end + last) + stranger(nonce), "close"
        yield Variant("chunk end", f"{end!r} {last!r}", make)


def endings():
    """An answer that stops at each of its bytes, and answers that go on where they should end."""
    whole = answer(b"{nonce}", body=b"body")
    for stop, then in itertools.product(range(len(whole)), ("close",)):
        def make(nonce, _method, stop=stop, then=then):
            return answer(nonce, body=b"body")[:stop], then
        yield Variant("ends early", f"after {stop} bytes", make)
    statuses = [b"200 OK", b"204 No Content", b"304 Not Modified", b"205 Reset Content", b"206 Partial Content", b"301 Moved", b"404 No", b"500 No", b"599 X", b"100 Continue", b"101 Switching", b"102 P", b"103 Early", b"199 X", b"000 X", b"099 X",
                b"600 X", b"999 X", b"1000 X", b"20 X", b"2000 X", b"-20 X", b"+20 X", b"2x0 X", b" 200 OK", b"200", b"200 ", b"", b"200\tOK"]
    lengths = [b"", b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 500\r\n"]
    for status, length, then in itertools.product(statuses, lengths, ("keep", "close")):
        def make(nonce, _method, status=status, length=length, then=then):
            body = b"5\r\nhello\r\n0\r\n\r\n" if b"chunked" in length else b"hello"
            return answer(nonce, status=status, length=length, body=body) + stranger(nonce), then
        yield Variant("body where none may be, or more than there may be", f"{status!r} {length!r}, then {then}", make)
    for version in (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/1", b"http/1.1", b"ICY", b"", b"HTTP/1.1 HTTP/1.1", b"SSH-2.0"):
        def make(nonce, _method, version=version):
            return answer(nonce, version=version) + stranger(nonce), "close"
        yield Variant("version", repr(version), make)


def floods():
    """Sizes and numbers at the limits, and what never ends."""
    for count, then in itertools.product((1, 2, 5, 10, 100, 10_000), ("keep", "close")):
        for status in (b"100 Continue", b"102 Processing", b"103 Early Hints"):
            def make(nonce, _method, count=count, status=status, then=then):
                return b"".join((b"HTTP/1.1 ", status, b"\r\nLink: </a>\r\n\r\n")) * count + answer(nonce), then
            yield Variant("answers below 200", f"{count} × {status!r}, then {then}", make)
    for length in (1, 4096, 8191, 8192, 16384, 32768, 65536, 131_072, 1 << 20, 4 << 20):
        for place in ("value", "name", "reason", "cookie", "trailer", "one chunk", "extension"):
            def make(nonce, _method, length=length, place=place):
                fill = b"a" * length
                if place == "reason":
                    return answer(nonce, status=b"200 " + fill), "keep"
                if place in ("trailer", "one chunk", "extension"):
                    body = {"trailer": b"2\r\nok\r\n0\r\nX-A: " + fill + b"\r\n\r\n", "one chunk": b"%x\r\n" % length + fill + b"\r\n0\r\n\r\n", "extension": b"2;" + fill + b"\r\nok\r\n0\r\n\r\n"}[place]
                    return answer(nonce, length=b"Transfer-Encoding: chunked\r\n", body=body), "keep"
                return answer(nonce, more={"value": b"X-A: " + fill, "name": b"X" + fill + b": b", "cookie": b"Set-Cookie: a=" + fill}[place] + b"\r\n"), "keep"
            yield Variant("size", f"{place} of {length}", make)
    for count in (1, 63, 64, 65, 100, 101, 128, 129, 256, 257, 1000, 20_000):
        for line in (b"X-%d: y\r\n", b"Set-Cookie: a%d=b\r\n", b"X: y\r\n"):
            def make(nonce, _method, count=count, line=line):
                return answer(nonce, more=b"".join(line.replace(b"%d", b"%d" % number) for number in range(count))), "keep"
            yield Variant("number of headers", f"{line!r} × {count}", make)
    for count in (1, 100, 20_000):
        def make(nonce, _method, count=count):
            trailers = b"".join(b"X-%d: y\r\n" % number for number in range(count))
            return answer(nonce, length=b"Transfer-Encoding: chunked\r\n", body=b"2\r\nok\r\n0\r\n" + trailers + b"\r\n"), "keep"
        yield Variant("number of trailers", str(count), make)
    for noise in (b"", b"\x00" * 4096, b"\xff" * 70_000, b"\r\n" * 5000, b"<html>", b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1", b"H" * 200_000):
        for then in ("close", "keep"):
            def make(_nonce, _method, noise=noise, then=then):
                return noise, then if noise else "close"
            yield Variant("no answer at all", f"{noise[:12]!r}×{len(noise)}, then {then}", make)


def headers_that_reach_further():
    """What a server may not say for the whole origin, and may not set."""
    names = [b"Set-Cookie", b"Service-Worker-Allowed", b"Clear-Site-Data", b"Alt-Svc", b"Strict-Transport-Security", b"Public-Key-Pins", b"Report-To", b"Reporting-Endpoints", b"NEL", b"Connection", b"Keep-Alive", b"Upgrade", b"Trailer", b"TE",
             b"Proxy-Authenticate", b"X-Accel-Redirect", b"X-Sendfile", b"X-Slipway-User", b"Access-Control-Allow-Origin", b"Content-Length"]
    values = [b"*", b"a=b", b"\"*\"", b"close, x-trap-nonce", b"h3=\":443\"", b"max-age=99999999; includeSubDomains", b"__Host-Http-slipway-00000000=x; Path=/; Secure", b"a=b; Domain=localhost", b"a=b; Path=/", b"__Secure-a=b; Secure"]
    for name, value, pattern in itertools.product(names, values, SPELLINGS[:6]):
        def make(nonce, _method, name=name, value=value, pattern=pattern):
            return answer(nonce, more=spelt(name, pattern) + value + b"\r\n"), "keep"
        yield Variant("header that reaches further", f"{name.decode()} {value!r} {pattern!r}", make)


FAMILIES = (octets, framing, endings, floods, headers_that_reach_further)


def variants():
    """All of them, in a fixed order, none twice."""
    made, distinct = set(), []
    for variant in (variant for family in FAMILIES for variant in family()):
        data, then = variant.make(b"n000000_", "GET")
        key = (hash(data), len(data), then)
        if key not in made:
            made.add(key)
            distinct.append(variant)
    return distinct


if __name__ == "__main__":
    print(f"{len(variants())} distinct hostile answers")
