"""The cases of HTTP/2: RFC 9113's rules one by one, and what must not be smuggled through a downgrade to HTTP/1.1.

A case is (name, bytes to send after the preface, what must come back). `stream`: the stream is reset or refused with 400, or the
connection ends; `connection`: a GOAWAY with an error, or the end of the connection; `answer`: this status on stream 1 and an open
connection; `ignored`: the connection lives on and answers a request.
"""

import itertools
import struct

from http2_client import (
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITISED, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, headers, integer, literal, reset, settings, window,
)


class Case:
    def __init__(self, name, data, expected, preface=None, first=None):
        self.name, self.data, self.expected, self.preface, self.first = name, data, expected, preface, first


def request(site, nonce, method=b"GET", **changed):
    """The fields of a good request; `changed` by name without the colon (authority, path, scheme), None leaves one out."""
    fields = {b":method": method, b":scheme": b"https", b":authority": site.host, b":path": site.target(nonce)}
    for name, value in changed.items():
        fields[b":" + name.encode()] = value
    fields = [(name, value) for name, value in fields.items() if value is not None]
    cookie = site.headers.partition(b"Cookie: ")[2].partition(b"\r\n")[0]
    return [*fields, (b"cookie", cookie)]


def framing(site, nonce):
    """Sections 3 to 6: the preface, frames, streams, each type of frame."""
    good = request(site, nonce)
    get, post = headers(1, good), headers(1, request(site, nonce, b"POST"), END_HEADERS)
    yield Case("3.4 no preface", b"", "connection", preface=b"GET / HTTP/1.1\r\n\r\n")
    yield Case("3.4 a wrong preface", b"", "connection", preface=b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    # The library h2 does not insist on SETTINGS first, and drops pseudo fields of trailers; nothing of ours depends on either.
    yield Case("3.4 no SETTINGS first", get, "any", first=b"")
    yield Case("3.4 PING in place of SETTINGS", b"", "any", first=frame(PING, 0, 0, bytes(8)))
    yield Case("3.4 an ACK in place of SETTINGS", b"", "connection", first=frame(SETTINGS, ACK, 0))
    yield Case("4.1 an unknown frame", frame(0x16, 0, 0, b"x"), "ignored")
    yield Case("4.1 an unknown frame on a stream", get + frame(0x16, 0xff, 1, b"x"), "ignored")
    yield Case("4.1 undefined flags of PING", frame(PING, 0x16, 0, bytes(8)), "ignored")
    yield Case("4.1 the reserved bit", frame(PING, 0, 0x80000000, bytes(8)), "ignored")
    yield Case("4.2 DATA of 2^14 octets", post + frame(DATA, END_STREAM, 1, bytes(1 << 14)), "answer")
    yield Case("4.2 DATA of 2^14 + 1 octets", post + frame(DATA, END_STREAM, 1, bytes((1 << 14) + 1)), "stream")
    yield Case("4.2 HEADERS of 2^14 + 1 octets", frame(HEADERS, END_STREAM | END_HEADERS, 1, block(good) + literal(b"x-a", bytes([97]) * (1 << 14))), "connection")
    yield Case("4.2 a frame of 2^24 - 1 octets", frame(DATA, 0, 1, b"", length=(1 << 24) - 1), "connection")
    for name, wrong in {"an index of 0": b"\x80", "an index beyond the tables": b"\xff\xff\xff\x0f", "a number that overflows": b"\xff" + b"\xff" * 12, "a name that ends early": b"\x00\x7f\x10ab", "a value that ends early": b"\x00\x01a\x05b",
                        "a table update behind a field": block(good) + b"\x20", "a table update beyond the limit": b"\x3f\xff\xff\x7f" + block(good), "Huffman with EOS": b"\x00\x84\xff\xff\xff\xff\x01a", "Huffman padded by 8 bits": b"\x00\x82\x1f\xff\x01a",
                        "Huffman padded by zeroes": b"\x00\x81\x18\x01a", "nothing": b""}.items():
        yield Case(f"4.3 a header block: {name}", frame(HEADERS, END_STREAM | END_HEADERS, 1, wrong), "connection" if name != "nothing" else "stream")
    yield Case("4.3 PING within a header block", frame(HEADERS, END_STREAM, 1, block(good)) + frame(PING, 0, 0, bytes(8)), "connection")
    yield Case("4.3 another stream's HEADERS within a header block", frame(HEADERS, END_STREAM, 1, block(good)) + headers(3, good), "connection")
    yield Case("4.3 CONTINUATION of another stream", frame(HEADERS, END_STREAM, 1, block(good)) + frame(CONTINUATION, END_HEADERS, 3, block([(b"a", b"b")])), "connection")
    idle = {"DATA": frame(DATA, END_STREAM, 1, b"x"), "RST_STREAM": reset(1), "WINDOW_UPDATE": window(1, 100), "CONTINUATION": frame(CONTINUATION, END_HEADERS, 1, block(good))}
    for name, data in idle.items():
        yield Case(f"5.1 {name} on an idle stream", data, "connection")
    for name, data in {"DATA": frame(DATA, END_STREAM, 1, b"x"), "HEADERS": get, "CONTINUATION": frame(CONTINUATION, END_HEADERS, 1, block(good))}.items():
        yield Case(f"5.1 {name} on a half-closed stream", get + data, "stream")
        yield Case(f"5.1 {name} behind RST_STREAM", post + reset(1) + data, "stream" if name != "CONTINUATION" else "connection")
    yield Case("5.1 WINDOW_UPDATE on a half-closed stream", get + window(1, 100), "answer")
    yield Case("5.1 PRIORITY on an idle stream", frame(PRIORITY, 0, 5, struct.pack(">IB", 0, 10)), "ignored")
    yield Case("5.1.1 an even stream", headers(2, good), "connection")
    yield Case("5.1.1 a stream below the last", headers(5, good) + headers(3, good), "connection")
    yield Case("5.1.1 stream 0", frame(HEADERS, END_STREAM | END_HEADERS, 0, block(good)), "connection")
    yield Case("5.1.2 more streams than allowed", b"".join(headers(1 + 2 * number, request(site, nonce, b"POST"), END_HEADERS) for number in range(600)), "refused")
    yield Case("5.3.1 a stream that depends on itself, HEADERS", frame(HEADERS, END_STREAM | END_HEADERS | PRIORITISED, 1, struct.pack(">IB", 1, 10) + block(good)), "any")
    yield Case("5.3.1 a stream that depends on itself, PRIORITY", frame(PRIORITY, 0, 1, struct.pack(">IB", 1, 10)) + get, "any")
    yield Case("6.1 DATA on stream 0", frame(DATA, END_STREAM, 0, b"x"), "connection")
    for pad in (5, 6, 255):
        yield Case(f"6.1 DATA with {pad} of 5 octets as padding", post + frame(DATA, END_STREAM | PADDED, 1, bytes([pad]) + bytes(4)), "connection")
    yield Case("6.1 DATA, padded and empty", post + frame(DATA, END_STREAM | PADDED, 1, bytes([4]) + bytes(4)), "answer")
    yield Case("6.1 DATA that says it is padded and has nothing", post + frame(DATA, END_STREAM | PADDED, 1, b""), "connection")
    yield Case("6.2 HEADERS padded too far", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\xff" + block(good)[:20]), "connection")
    yield Case("6.2 HEADERS padded", frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x03" + block(good) + bytes(3)), "answer")
    yield Case("6.2 HEADERS too short for its priority", frame(HEADERS, END_STREAM | END_HEADERS | PRIORITISED, 1, b"\x00"), "connection")
    yield Case("6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, bytes(5)), "connection")
    for length in (4, 6):
        yield Case(f"6.3 PRIORITY of {length} octets", frame(PRIORITY, 0, 1, bytes(length)), "stream")
    yield Case("6.4 RST_STREAM on stream 0", reset(0), "connection")
    for length in (3, 5):
        yield Case(f"6.4 RST_STREAM of {length} octets", post + frame(RST_STREAM, 0, 1, bytes(length)), "connection")
    yield Case("6.5 SETTINGS with an ACK and a payload", frame(SETTINGS, ACK, 0, bytes(6)), "connection")
    yield Case("6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, b""), "connection")
    yield Case("6.5 SETTINGS of 5 octets", frame(SETTINGS, 0, 0, bytes(5)), "connection")
    for key, value, expected in ((2, 2, "connection"), (4, 1 << 31, "connection"), (4, (1 << 32) - 1, "connection"), (5, 16383, "connection"), (5, 1 << 24, "connection"), (0x99, 1, "ignored"), (1, 0, "ignored"), (3, 0, "ignored"), (6, 0, "ignored"),
                                 (8, 2, "any"), (2, 1, "any"), (5, (1 << 24) - 1, "ignored"), (4, (1 << 31) - 1, "ignored")):
        yield Case(f"6.5.2 setting {key} = {value}", settings((key, value)), expected)
    yield Case("6.5.2 the same setting 200 times", settings(*[(3, number) for number in range(200)]), "ignored")
    yield Case("6.6 PUSH_PROMISE from a client", get + frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + block(good)), "connection")
    yield Case("6.7 PING on a stream", frame(PING, 0, 1, bytes(8)), "connection")
    for length in (0, 7, 9):
        yield Case(f"6.7 PING of {length} octets", frame(PING, 0, 0, bytes(length)), "connection")
    yield Case("6.7 PING with an ACK that nobody asked for", frame(PING, ACK, 0, bytes(8)), "ignored")
    yield Case("6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), "connection")
    yield Case("6.8 GOAWAY of 7 octets", frame(GOAWAY, 0, 0, bytes(7)), "connection")
    yield Case("6.9 WINDOW_UPDATE of 0 on the connection", window(0, 0), "connection")
    yield Case("6.9 WINDOW_UPDATE of 0 on a stream", post + window(1, 0), "stream")
    for length in (3, 5):
        yield Case(f"6.9 WINDOW_UPDATE of {length} octets", frame(WINDOW_UPDATE, 0, 0, bytes(length)), "connection")
    yield Case("6.9.1 the connection's window beyond 2^31 - 1", window(0, (1 << 31) - 1) * 2, "connection")
    yield Case("6.9.1 a stream's window beyond 2^31 - 1", post + window(1, (1 << 31) - 1) * 2, "stream")
    yield Case("6.9.2 a window that settings lift beyond 2^31 - 1", post + window(1, (1 << 31) - 1 - 65535) + settings((4, 65536 + 65535)), "connection")
    yield Case("6.10 CONTINUATION behind the header block's end", get + frame(CONTINUATION, END_HEADERS, 1, block([(b"a", b"b")])), "connection")
    yield Case("6.10 CONTINUATION on stream 0", frame(HEADERS, END_STREAM, 1, block(good)) + frame(CONTINUATION, END_HEADERS, 0, b""), "connection")
    yield Case("6.10 a header block in pieces", frame(HEADERS, END_STREAM, 1, block(good)[:7]) + frame(CONTINUATION, 0, 1, block(good)[7:20]) + frame(CONTINUATION, END_HEADERS, 1, block(good)[20:]), "answer")
    yield Case("6.10 CONTINUATION, empty, 100 times", frame(HEADERS, END_STREAM, 1, block(good)) + frame(CONTINUATION, 0, 1, b"") * 100 + frame(CONTINUATION, END_HEADERS, 1, b""), "any")
    for code in (0, 5, 0xff, 0xffffffff):
        yield Case(f"7 RST_STREAM with the error {code}", post + reset(1, code), "ignored")


def fields(site, nonce):
    """Section 8: the fields of a request."""
    good = request(site, nonce)
    for name in (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"):
        yield Case(f"8.2.2 {name.decode()}", headers(1, [*good, (name, b"close" if name != b"transfer-encoding" else b"chunked")]), "stream")
    yield Case("8.2.2 te: gzip", headers(1, [*good, (b"te", b"gzip")]), "stream")
    yield Case("8.2.2 te: trailers", headers(1, [*good, (b"te", b"trailers")]), "answer")
    for name in (b"X-Upper", b"x-uppeR", b":unknown", b":status", b"", b" x", b"x ", b"x:", b"x y"):
        yield Case(f"8.2.1 the name {name!r}", headers(1, [*good, (name, b"b")]), "stream")
    for pseudo in (b":method", b":scheme", b":path", b":authority"):
        value = dict(good)[pseudo]
        yield Case(f"8.3.1 {pseudo.decode()} twice", headers(1, [(pseudo, value), *good]), "stream")
        yield Case(f"8.3.1 {pseudo.decode()} behind other fields", headers(1, [field for field in good if field[0] != pseudo] + [(pseudo, value)]), "stream")
        if pseudo != b":authority":
            yield Case(f"8.3.1 no {pseudo.decode()}", headers(1, [field for field in good if field[0] != pseudo]), "stream")
        yield Case(f"8.3.1 {pseudo.decode()} in a trailer", headers(1, request(site, nonce, b"POST"), END_HEADERS) + frame(DATA, 0, 1, b"x") + headers(1, [(pseudo, value)]), "any")
    for path in (b"", b"x", b"*", b"//", b"http://evil/x", b"/ x", b"?x", b"#", site.target(nonce) + b" HTTP/1.1\r\nX: y", site.target(nonce) + b"#x", site.prefix + b"../" + nonce, site.prefix + b"%2e%2e/" + nonce, site.prefix[:-1] + b"\\" + nonce,
                 site.prefix[:-1] + b"%2f" + nonce, site.target(nonce) + b"\t", site.target(nonce) + b"\x00"):
        yield Case(f"8.3.1 :path {path[:40]!r}", headers(1, request(site, nonce, path=path)), "stream or answer")
    for authority in (b"", b"evil", b"evil:443", site.host + b",evil", site.host + b" evil", b"a@" + site.host, site.host + b"\r\nX: y", site.host + b"/", site.host + b"\x00", site.host + b":1", b"[::1", b"*", b"\xff" + site.host, site.host + b"#", site.host + b"?"):
        yield Case(f"8.3.1 :authority {authority[:40]!r}", headers(1, request(site, nonce, authority=authority)), "stream or answer")
        yield Case(f"8.3.1 host {authority[:40]!r} beside :authority", headers(1, [*good, (b"host", authority)]), "stream or answer")
    for method in (b"", b"GE T", b"GET\r\n", b"get", b"CONNECT", b"TRACE", b"GET /x HTTP/1.1\r\nX: y", b"(", b"\x00", b"A" * 9000):
        yield Case(f"8.3.1 :method {method[:30]!r}", headers(1, request(site, nonce, method)), "stream or answer")
    for scheme in (b"", b"http", b"ftp", b"HTTPS", b"https:", b"ht tps", b"https\r\n", b"\x00"):
        yield Case(f"8.3.1 :scheme {scheme!r}", headers(1, request(site, nonce, scheme=scheme)), "stream or answer")
    for length, body in ((b"0", b"x"), (b"1", b""), (b"1", b"xx"), (b"5", b"hello!"), (b"5, 5", b"hello"), (b"+5", b"hello"), (b"five", b"hello"), (b"-1", b""), (b"", b"hello"), (b"18446744073709551616", b"x"), (b"5\x00", b"hello"), (b" 5", b"hello")):
        data = headers(1, [*request(site, nonce, b"POST"), (b"content-length", length)], END_HEADERS) + frame(DATA, END_STREAM, 1, body)
        yield Case(f"8.1.1 content-length {length!r} and {len(body)} octets", data, "stream")
    # 1*DIGIT allows it; what is sent on is canonical, says the trap.
    yield Case("8.1.1 content-length 05", headers(1, [*request(site, nonce, b"POST"), (b"content-length", b"05")], END_HEADERS) + frame(DATA, END_STREAM, 1, b"hello"), "stream or answer")
    yield Case("8.1.1 content-length twice, alike", headers(1, [*request(site, nonce, b"POST"), (b"content-length", b"5"), (b"content-length", b"5")], END_HEADERS) + frame(DATA, END_STREAM, 1, b"hello"), "stream or answer")
    yield Case("8.1.1 content-length twice, different", headers(1, [*request(site, nonce, b"POST"), (b"content-length", b"5"), (b"content-length", b"6")], END_HEADERS) + frame(DATA, END_STREAM, 1, b"hello"), "stream")
    yield Case("8.1 HEADERS in the middle without the end", headers(1, request(site, nonce, b"POST"), END_HEADERS) + headers(1, [(b"a", b"b")], END_HEADERS), "stream")
    for name in (b"content-length", b"transfer-encoding", b"host", b"cookie", b"authorization", b"x-a"):
        data = headers(1, request(site, nonce, b"POST"), END_HEADERS) + frame(DATA, 0, 1, b"hello") + headers(1, [(name, b"5")])
        yield Case(f"8.1 the trailer {name.decode()}", data, "stream or answer")
    for protocol in (b"websocket", b"WebSocket", b"", b"x", b"websocket\r\n", b"h2c"):
        more = [(b":method", b"CONNECT"), (b":protocol", protocol), (b":scheme", b"https"), (b":path", site.target(nonce)), (b":authority", site.host), good[-1], (b"sec-websocket-version", b"13"), (b"origin", b"https://" + site.host)]
        yield Case(f"RFC 8441 :protocol {protocol!r}", headers(1, more, END_HEADERS), "any")
        yield Case(f"RFC 8441 :protocol {protocol!r} with GET", headers(1, [(b":protocol", protocol), *good]), "stream")
    smuggle = b"\r\n\r\nGET " + site.target(nonce[:-1] + b"s_") + b" HTTP/1.1\r\nHost: x\r\nX-Hidden: 1\r\n\r\n"
    for place in (b":path", b":method", b":authority", b":scheme", b"x-a", b"cookie", b"host", b"user-agent", b"content-type", b"referer"):
        changed = [(name, value + smuggle) if name == place else (name, value) for name, value in good]
        if place not in dict(good):
            changed.append((place, b"a" + smuggle))
        yield Case(f"a request hidden in {place.decode()}", headers(1, changed), "stream")


def octets(site, nonce):
    """Every octet in a name, in a value and in the pseudo fields."""
    good = request(site, nonce)
    for octet in range(256):
        raw = bytes([octet])
        legal_name = raw.isalnum() and not raw.isupper() or raw in (b"!", b"#", b"$", b"%", b"&", b"'", b"*", b"+", b"-", b".", b"^", b"_", b"`", b"|", b"~")
        yield Case(f"octet 0x{octet:02x} in a name", headers(1, [*good, (b"x-" + raw + b"a", b"b")]), "stream or answer" if legal_name else "stream")
        legal_value = octet == 9 or 32 <= octet and octet != 127
        yield Case(f"octet 0x{octet:02x} in a value", headers(1, [*good, (b"x-a", b"b" + raw + b"c")]), "answer" if legal_value and octet < 127 else "stream or answer" if legal_value else "stream")
        for pseudo, made in ((b":path", site.target(nonce) + b"/a" + raw + b"b"), (b":authority", site.host + raw), (b":method", b"G" + raw + b"T")):
            changed = [(name, made) if name == pseudo else (name, value) for name, value in good]
            yield Case(f"octet 0x{octet:02x} in {pseudo.decode()}", headers(1, changed), "stream or answer" if 32 < octet != 127 else "stream")


def cases(site, nonce):
    """All cases for one nonce each: `nonce(number)` gives it."""
    made = []
    for family in (framing, fields, octets):
        count = sum(1 for _ in family(site, b"n000000_"))
        start = len(made)
        for number in range(count):
            # Generators are cheap: each case is made with its own nonce, so that what reaches the trap can be told apart.
            made.append(next(itertools.islice(family(site, nonce(start + number)), number, None)))
    return made


__all__ = ["Case", "cases", "request", "integer"]
