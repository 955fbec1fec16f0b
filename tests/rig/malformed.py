"""The generator of malformed HTTP/1.1 requests: distinct cells of (grammar rule × position), each made once.

`cells(site)` gives them in a fixed order. A cell says which rule it breaks, where, and how its bytes are made for a nonce. Some of them
are legal after all (an octet that the rule allows, say): the rig asks for no refusal, but that what is sent on is canonical, and that
answers pair with requests.
"""

import dataclasses
import itertools
import re

EOL = b"\r\n"


@dataclasses.dataclass(frozen=True)
class Site:
    """Where requests go, and what every one of them carries."""
    host: bytes
    prefix: bytes
    headers: bytes = b""

    def target(self, nonce):
        return self.prefix + nonce

    def through_tls(self):
        """The same without what only a trusted proxy may say."""
        lines = [line for line in self.headers.split(EOL) if line and not line.startswith(b"X-Forwarded-Proto")]
        return Site(self.host, self.prefix, b"".join(line + EOL for line in lines))

    def good(self, nonce):
        """A request that nobody may refuse."""
        return b"".join((b"GET ", self.target(nonce), b" HTTP/1.1\r\nHost: ", self.host, EOL, self.headers, EOL))


@dataclasses.dataclass(frozen=True)
class Cell:
    """One malformed request. `make(site, nonce)` gives its bytes; `hidden_nonce` is that of a request hidden in it."""
    rule: str
    position: str
    make: object


def request(site, nonce, method=b"GET", target=None, version=b"HTTP/1.1", host=None, more=b"", body=b"", first=None, end=EOL):
    """A request of which parts are wrong; what is not given is right."""
    target = site.target(nonce) if target is None else target
    first = b"".join((method, b" ", target, b" ", version)) if first is None else first
    host = b"Host: " + site.host + EOL if host is None else host
    return b"".join((first, EOL, host, site.headers, more, end, body))


def nonce_of(number, kind=b""):
    """Ends in `_`, so that an octet put behind it makes no other of it."""
    return b"n%06d%s_" % (number, kind)


def hidden_nonce(nonce):
    return nonce[:-1] + b"s_"


def hidden(site, nonce):
    """A whole request that lies in a body: whoever reads the frame wrongly finds it."""
    return b"".join((b"GET ", site.target(hidden_nonce(nonce)), b" HTTP/1.1\r\nHost: ", site.host, b"\r\nX-Hidden: 1\r\n\r\n"))


def chunked_body(site, nonce):
    return b"0\r\n\r\n" + hidden(site, nonce)


LENGTHS = [
    b"5", b"05", b"+5", b"-5", b"5 ", b"\t5", b"  5", b"5,5", b"5, 5", b"5,6", b"5;5", b"0x5", b"5.0", b"5e0", b"", b" ", b"5;", b"'5'", b'"5"', b"0", b"00",
    b"-0", b"+0", b"5 5", b"5\r\n 5", b"5\r\n\t", b"5\n", b"5\r", b"5\x00", b"\x005", b"5\x0b", b"5\x0c", b"5\x7f", b"5\xa0", b"\xd9\xa5", b"NaN", b"5_0", b"1e1",
    b"4294967295", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"18446744073709551615", b"18446744073709551616",
    b"18446744073709551621", b"99999999999999999999999", b"0" * 400 + b"5", b"5" * 400, b"five", b"5B", b"0b101", b"0o5", b",5", b"5,", b"5,,5",
]
CODINGS = [
    b"chunked", b"Chunked", b"CHUNKED", b" chunked", b"chunked ", b"\tchunked", b"chunked\t", b"chunked,", b",chunked", b", chunked", b"chunked ,", b"chunked, chunked",
    b"chunked,chunked", b"identity", b"identity, chunked", b"chunked, identity", b"gzip, chunked", b"chunked, gzip", b"deflate", b"gzip", b"compress", b"x-chunked",
    b"xchunked", b"chunkedx", b"chunke", b"chunk", b"chunked;q=1", b"chunked;q=0", b"chunked; foo=bar", b"chunked;", b"chunked foo", b'"chunked"', b"'chunked'", b"chunked\x00",
    b"\x00chunked", b"\x0bchunked", b"chunked\x0b", b"chunked\x0c", b"ch\x00unked", b"chu nked", b"\xa0chunked", b"chunked\xa0", b"chunked\x85", b"\xef\xbb\xbfchunked",
    b"", b" ", b",", b"trailers", b"chunked\r\n ", b"\r\n chunked", b"\r\n\tchunked", b"chunked\r", b"chunked\n", b"chunked\r\n identity", b"\x7fchunked",
    b"chun\xe1\xb8\xb3ed", b"chunKed, CHUNKED", b"cow", b"chunked, cow", b"cow, chunked", b"chunked;chunked", b"chunked\\", b"chunked=",
]
# How a name of a framing header may be spelt so that one reader knows it and another does not. `%s` is the name.
SPELLINGS = [
    b"%s: ", b"%s:", b"%s:\t", b"%s :", b"%s\t:", b" %s: ", b"\t%s: ", b"%s\x00: ", b"\x00%s: ", b"%s\x0b: ", b"%s\xa0: ", b"X: y\n%s: ", b"X: y\r%s: ", b"X:\r\n %s: ",
    b"X: y\r\n %s: ", b"%s\r\n : ", b"%s\r\n: ", b"%s;: ", b"\"%s\": ", b"%s%%: ", b"(%s): ", b"%s\x7f: ", b":%s: ", b"%s=", b"%s", b"%s;", b"\xef\xbb\xbf%s: ", b"X-%s: ", b"%s-X: ",
]


def spelt(name, pattern):
    return pattern.replace(b"%s", name).replace(b"%%", b"%")


def names_of(name):
    """A header's name in ways that some programs take for it."""
    title = name.title()
    return [name, title, name.upper(), name.replace(b"-", b"_"), title.replace(b"-", b"_"), name.swapcase(), name.replace(b"-", b"\xe2\x80\x90"), name.replace(b"-", b"--")]


def framing():
    """Content-Length, Transfer-Encoding, and both."""
    for length, coding, is_length_first in itertools.product(LENGTHS, CODINGS, (True, False)):
        def make(site, nonce, length=length, coding=coding, is_length_first=is_length_first):
            lines = [b"Content-Length: " + length + EOL, b"Transfer-Encoding: " + coding + EOL]
            more = b"".join(lines if is_length_first else reversed(lines))
            return request(site, nonce, b"POST", more=more, body=chunked_body(site, nonce))
        yield Cell("length beside coding", f"{length!r} {coding!r} {'length' if is_length_first else 'coding'} first", make)
    for name, values, body in ((b"Content-Length", LENGTHS, b"hello"), (b"Transfer-Encoding", CODINGS, b"5\r\nhello\r\n0\r\n\r\n")):
        for value, pattern in itertools.product(values[:24], SPELLINGS):
            def make(site, nonce, name=name, value=value, pattern=pattern, body=body):
                return request(site, nonce, b"POST", more=spelt(name, pattern) + value + EOL, body=body + hidden(site, nonce))
            yield Cell(f"spelling of {name.decode()}", f"{pattern!r} {value!r}", make)
        for spelling, value in itertools.product(names_of(name.lower()), values):
            def make(site, nonce, spelling=spelling, value=value, body=body):
                return request(site, nonce, b"POST", more=spelling + b": " + value + EOL, body=body + hidden(site, nonce))
            yield Cell(f"name of {name.decode()}", f"{spelling!r} {value!r}", make)
        for first, second in itertools.product(values[::2], values[1::2]):
            def make(site, nonce, name=name, first=first, second=second, body=body):
                more = b"".join((name, b": ", first, EOL, b"X-Between: 1\r\n", name, b": ", second, EOL))
                return request(site, nonce, b"POST", more=more, body=body + hidden(site, nonce))
            yield Cell(f"{name.decode()} twice", f"{first!r} {second!r}", make)
    for method, length, version in itertools.product((b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT", b"PATCH", b"TRACE", b"CONNECT"), LENGTHS[:12], (b"HTTP/1.1", b"HTTP/1.0")):
        def make(site, nonce, method=method, length=length, version=version):
            return request(site, nonce, method, version=version, more=b"Content-Length: " + length + EOL, body=b"hello" + hidden(site, nonce))
        yield Cell("length by method", f"{method!r} {length!r} {version!r}", make)
    for method, coding, version in itertools.product((b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"POST"), CODINGS[::3], (b"HTTP/1.0", b"HTTP/1.1")):
        def make(site, nonce, method=method, coding=coding, version=version):
            return request(site, nonce, method, version=version, more=b"Transfer-Encoding: " + coding + EOL, body=chunked_body(site, nonce))
        yield Cell("coding by method", f"{method!r} {coding!r} {version!r}", make)


# Every place of a request in which any octet may be put. `@` is replaced by the octet; the rest is right.
PLACES = {
    "before the method": b"@GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "in the method": b"GE@T {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "behind the method": b"GET@ {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "between method and target": b"GET@{target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "before the target": b"GET @{target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "in the prefix": b"GET {prefix}@/{nonce} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "in the path": b"GET {target}/a@b HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "at the path's end": b"GET {target}@ HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "in the query": b"GET {target}?a=@b HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "between target and version": b"GET {target}@HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "before the version": b"GET {target} @HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "in the version's name": b"GET {target} HT@TP/1.1\r\nHost: {host}\r\n{headers}\r\n",
    "in place of the slash": b"GET {target} HTTP@1.1\r\nHost: {host}\r\n{headers}\r\n",
    "in place of the first digit": b"GET {target} HTTP/@.1\r\nHost: {host}\r\n{headers}\r\n",
    "in place of the dot": b"GET {target} HTTP/1@1\r\nHost: {host}\r\n{headers}\r\n",
    "in place of the last digit": b"GET {target} HTTP/1.@\r\nHost: {host}\r\n{headers}\r\n",
    "behind the version": b"GET {target} HTTP/1.1@\r\nHost: {host}\r\n{headers}\r\n",
    "in place of the first line's CR": b"GET {target} HTTP/1.1@\nHost: {host}\r\n{headers}\r\n",
    "in place of the first line's LF": b"GET {target} HTTP/1.1\r@Host: {host}\r\n{headers}\r\n",
    "before a name": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}@X-A: b\r\n\r\n",
    "in a name": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-@A: b\r\n\r\n",
    "behind a name": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-A@: b\r\n\r\n",
    "in place of the colon": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-A@ b\r\n\r\n",
    "before a value": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-A:@b\r\n\r\n",
    "in a value": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-A: a@b\r\n\r\n",
    "behind a value": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-A: b@\r\n\r\n",
    "in place of a line's CR": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-A: b@\nX-B: c\r\n\r\n",
    "in place of a line's LF": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}X-A: b\r@X-B: c\r\n\r\n",
    "in place of the last CR": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}@\n",
    "in place of the last LF": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}\r@",
    "before Host's value": b"GET {target} HTTP/1.1\r\nHost: @{host}\r\n{headers}\r\n",
    "in Host": b"GET {target} HTTP/1.1\r\nHost: a@{host}\r\n{headers}\r\n",
    "behind Host": b"GET {target} HTTP/1.1\r\nHost: {host}@\r\n{headers}\r\n",
    "in a cookie": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Cookie: a=@b\r\n\r\n",
    "in a token": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Authorization: token a@b\r\n\r\n",
    "in Connection": b"GET {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: keep-@alive\r\n\r\n",
    "in a length": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: 5@\r\n\r\nhello",
    "before a length": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length:@5\r\n\r\nhello",
    "in a coding": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chun@ked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "behind a coding": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked@\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "before a chunk's size": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n@5\r\nhello\r\n0\r\n\r\n",
    "behind a chunk's size": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5@\r\nhello\r\n0\r\n\r\n",
    "in place of a size line's CR": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5@\nhello\r\n0\r\n\r\n",
    "in place of a size line's LF": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r@hello\r\n0\r\n\r\n",
    "in a chunk's extension": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5;a@b=c\r\nhello\r\n0\r\n\r\n",
    "behind a chunk": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r\nhello@\r\n0\r\n\r\n",
    "in place of a chunk's CR": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r\nhello@\n0\r\n\r\n",
    "in place of a chunk's LF": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r@0\r\n\r\n",
    "behind the last size": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0@\r\n\r\n",
    "in a trailer's name": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX@A: b\r\n\r\n",
    "in a trailer's value": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nXA: b@c\r\n\r\n",
    "in place of the body's last CR": b"POST {target} HTTP/1.1\r\nHost: {host}\r\n{headers}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n@\n",
}


def octets():
    """Every octet in every place."""
    for (place, pattern), octet in itertools.product(PLACES.items(), range(256)):
        def make(site, nonce, pattern=pattern, octet=octet):
            filled = pattern.replace(b"@", b"\x00@\x00")
            for key, value in ((b"{target}", site.target(nonce)), (b"{prefix}", site.prefix[:-1]), (b"{nonce}", nonce), (b"{host}", site.host), (b"{headers}", site.headers + b"X-Nonce: " + nonce + EOL)):
                filled = filled.replace(key, value)
            return filled.replace(b"\x00@\x00", bytes([octet]))
        yield Cell("octet " + place, f"0x{octet:02x}", make)


SIZES = [
    b"5", b"05", b"005", b"0" * 15 + b"5", b"0" * 16 + b"5", b"0" * 4096 + b"5", b"+5", b"-5", b" 5", b"5 ", b"\t5", b"5\t", b"0x5", b"0X5", b"5h", b"5.", b"5,5", b"5 5", b"", b" ", b"g", b"-1", b"-0",
    b"FFFFFFFF", b"FFFFFFFFFFFFFFFF", b"10000000000000005", b"FFFFFFFFFFFFFFFFF", b"8000000000000000", b"5\x00", b"\x005", b"5\x0b", b"5_", b"'5'", b"\xef\xbc\x95", b"5;", b"5;;", b"5;a", b"5;a=b", b"5;a=\"b\"",
    b"5;a=\"b", b"5;a=\"\r\nb\"", b"5 ;a", b"5; a", b"5\t;a", b"5;a\x00", b"5;" + b"a" * 4096, b"5;" + b"a" * 70000, b"5" + b" " * 4096, b"5\n", b"5\r", b"\n5", b"\r\n5", b"5:", b"5=", b"5#", b"5//",
]
ENDS = [b"\r\n", b"\n", b"\r", b"", b"\r\r\n", b"\n\n", b"\r\n\r\n", b"\x00\r\n", b" \r\n", b"\t\r\n", b"\x0b\r\n", b"xx"]
LASTS = [b"0\r\n\r\n", b"0\r\n", b"0\n\n", b"00\r\n\r\n", b"0\r\n\n", b"0\n\r\n", b"-0\r\n\r\n", b"0;\r\n\r\n", b"0 \r\n\r\n", b"\r\n\r\n", b"0\r\n\r", b"0\r\r\n\r\n", b"0x0\r\n\r\n", b"000000000000000000\r\n\r\n"]


def chunks():
    """Chunks: sizes, extensions, ends, trailers."""
    for size, end in itertools.product(SIZES, ENDS):
        def make(site, nonce, size=size, end=end):
            return request(site, nonce, b"POST", more=b"Transfer-Encoding: chunked\r\n", body=size + end + b"hello\r\n0\r\n\r\n" + hidden(site, nonce))
        yield Cell("chunk size", f"{size[:24]!r}×{len(size)} {end!r}", make)
    for end, last in itertools.product(ENDS, LASTS):
        def make(site, nonce, end=end, last=last):
            return request(site, nonce, b"POST", more=b"Transfer-Encoding: chunked\r\n", body=b"5\r\nhello" + end + last + hidden(site, nonce))
        yield Cell("chunk end", f"{end!r} {last!r}", make)
    names = [b"Content-Length", b"Transfer-Encoding", b"Host", b"Cookie", b"Authorization", b"Connection", b"Upgrade", b"TE", b"Trailer", b"X-Forwarded-For", b"X-Real-IP", b"Set-Cookie",
             b"Content-Type", b"Expect", b"X-A", b"", b" ", b"X A", b"X-A\x00", b":path", b"Range", b"Max-Forwards"]
    values = [b"5", b"chunked", b"evil", b"", b"a\x00b", b"a\rb", b"a\nb", b"a\r\n b", b"a" * 20000]
    for name, value in itertools.product(names, values):
        def make(site, nonce, name=name, value=value):
            body = b"5\r\nhello\r\n0\r\n" + name + b": " + value + b"\r\n\r\n"
            return request(site, nonce, b"POST", more=b"Transfer-Encoding: chunked\r\n", body=body + hidden(site, nonce))
        yield Cell("trailer", f"{name!r} {value[:12]!r}×{len(value)}", make)


METHODS = [
    b"", b" ", b"get", b"Get", b"GET\x00", b"G\x00T", b"GET\t", b"GET:", b"GET/", b"(GET)", b"\"GET\"", b"GET,POST", b"GET;", b"G@T", b"\xc7ET", b"A" * 33, b"A" * 300, b"A" * 9000, b"CONNECT", b"TRACE", b"TRACK", b"PRI", b"*",
    b"GET {x}", b"GET\r\nX:", b"HTTP/1.1", b"QUERY", b"M-SEARCH", b"BREW", b"GET=1", b"[GET]", b"<GET>", b"\x16\x03\x01", b"SSH-2.0-x", b"PROXY", b"GET\x0b", b"-GET", b"!", b"G!", b"0", b"PROPFIND",
]
VERSIONS = [
    b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/2", b"HTTP/3", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/1.10", b"HTTP/11.1", b"HTTP/1,1", b"HTTP/-1.1", b"HTTP/+1.1",
    b"http/1.1", b"Http/1.1", b"HTTPS/1.1", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/1 .1", b"HTTP/1.1 ", b" HTTP/1.1", b"HTTP/1.1\t", b"HTTP/1.1 x", b"HTTP/1.1\x00", b"HTTP/A.B", b"HTTP", b"", b"ICAP/1.0", b"RTSP/1.0", b"SIP/2.0", b"HTTP/9999.9999",
    b"HTTP/1.1HTTP/1.1", b"HTTP/1.1 HTTP/1.1", b"HTTP\\1.1", b"HTTP//1.1", b"HTTP/1..1", b"HTTP/0x1.1", b"\xef\xbb\xbfHTTP/1.1", b"HTTP/\xd9\xa1.1",
]
GAPS = [b" ", b"", b"  ", b"\t", b" \t", b"\x0b", b"\x0c", b"\xa0", b"\r", b"\r\n", b"\n", b"\x00", b" \x00", b"%20", b"+", b"   " * 100]


def targets(site_prefix=b"{prefix}"):
    """Targets that routing and a server could read differently."""
    odd = [
        b"/{nonce}", b"//{nonce}", b"/./{nonce}", b"/../{nonce}", b"/x/../{nonce}", b"/x/..;/{nonce}", b"/..;/{nonce}", b"/.;/{nonce}", b"/%2e%2e/{nonce}", b"/%2E%2e/{nonce}", b"/%2e/{nonce}", b"/.%2e/{nonce}", b"/%252e%252e/{nonce}",
        b"/..%2f{nonce}", b"/%2f{nonce}", b"/%2F..%2F{nonce}", b"/%5c{nonce}", b"/\\{nonce}", b"/..\\{nonce}", b"/%00{nonce}", b"/%0a{nonce}", b"/%0d%0a{nonce}", b"/%20{nonce}", b"/%{nonce}", b"/%2{nonce}", b"/%zz{nonce}", b"/%u002e{nonce}",
        b"/%c0%ae%c0%ae/{nonce}", b"/%c0%af{nonce}", b"/%e0%80%af{nonce}", b"/%ff{nonce}", b"/\xff{nonce}", b"/\xc3\xa9{nonce}", b"/%f8%80%80%80%af{nonce}", b"/{nonce}#x", b"/{nonce}?#", b"/{nonce}??", b"/{nonce}?a=b?c", b"/{nonce};a=b", b"/{nonce}/", b"/{nonce}//x",
        b"/{nonce}/%2e%2e/x", b"/{nonce}/..", b"/{nonce}/.", b"/{nonce}?%00", b"/{nonce}?\x00", b"/{nonce}?a b", b"/{nonce} x", b"/{nonce}\tx", b"/{nonce}\r\nX: y", b"/{nonce}\nX: y", b"/{nonce}|", b"/{nonce}^", b"/{nonce}`", b"/{nonce}{", b"/{nonce}<>", b"/{nonce}\"",
        b"/" + b"a" * 8000 + b"{nonce}", b"/" + b"a" * 70000 + b"{nonce}", b"/" + b"a/" * 3000 + b"{nonce}", b"/" + b"%41" * 3000 + b"{nonce}",
    ]
    return odd


def request_lines():
    """The first line: its parts, the gaps between them, targets in all four forms."""
    for method, version in itertools.product(METHODS, VERSIONS[::3]):
        def make(site, nonce, method=method, version=version):
            return request(site, nonce, method, version=version, more=b"X-Nonce: " + nonce + EOL)
        yield Cell("method", f"{method[:16]!r}×{len(method)} {version!r}", make)
    for version, method in itertools.product(VERSIONS, (b"GET", b"POST", b"HEAD")):
        def make(site, nonce, version=version, method=method):
            return request(site, nonce, method, version=version, more=b"X-Nonce: " + nonce + EOL)
        yield Cell("version", f"{version!r} {method!r}", make)
    for first, second in itertools.product(GAPS, GAPS):
        def make(site, nonce, first=first, second=second):
            line = b"".join((b"GET", first, site.target(nonce), second, b"HTTP/1.1"))
            return request(site, nonce, first=line, more=b"X-Nonce: " + nonce + EOL)
        yield Cell("gap", f"{first[:8]!r} {second[:8]!r}", make)
    for target, method in itertools.product(targets(), (b"GET", b"POST", b"OPTIONS", b"CONNECT")):
        def make(site, nonce, target=target, method=method):
            filled = site.prefix[:-1] + target.replace(b"{nonce}", nonce)
            return request(site, nonce, method, target=filled, more=b"X-Nonce: " + nonce + EOL)
        yield Cell("target", f"{target[:24]!r}×{len(target)} {method!r}", make)
    forms = [
        b"http://{host}{target}", b"https://{host}{target}", b"HTTP://{host}{target}", b"http://evil{target}", b"http://{host}@evil{target}", b"http://evil@{host}{target}", b"http:{target}", b"http:/{target}", b"http:///{target}", b"//{host}{target}",
        b"ftp://{host}{target}", b"javascript:{target}", b"{host}", b"{host}:443", b"*", b"*{target}", b"**", b"", b"?{nonce}", b"#{nonce}", b"{nonce}", b".{target}", b"~{target}", b"http://{host}", b"http://{host}?{nonce}", b"http://[::1{target}", b"http://{host}:x{target}",
        b"http://{host}:99999{target}", b"http://{host}\x00{target}", b"http://{host}:{target}", b"http:// {host}{target}", b"file://{target}", b"ws://{host}{target}", b"http://{host}\\{target}", b"http://evil#@{host}{target}", b"http://evil\t{target}",
    ]
    hosts = [None, b"", b"Host: \r\n", b"Host: evil\r\n", b"Host: {host}\r\nHost: {host}\r\n", b"Host: {host}\r\nHost: evil\r\n"]
    for form, host, method in itertools.product(forms, hosts, (b"GET", b"OPTIONS", b"CONNECT")):
        def make(site, nonce, form=form, host=host, method=method):
            fill = lambda text: text.replace(b"{host}", site.host).replace(b"{target}", site.target(nonce)).replace(b"{nonce}", nonce)
            return request(site, nonce, method, target=fill(form), host=None if host is None else fill(host), more=b"X-Nonce: " + nonce + EOL)
        yield Cell("form of the target", f"{form!r} {host!r} {method!r}", make)


def hosts():
    """Host in every form, alone and twice, over 1.1 and 1.0."""
    values = [
        b"{host}", b"", b" ", b"{host} ", b"\t{host}", b"{host},{host}", b"{host}, evil", b"{host} evil", b"{host};evil", b"{host}/", b"{host}/x", b"{host}?x", b"{host}#x", b"http://{host}", b"@{host}", b"a@{host}", b"a:b@{host}", b"{host}:", b"{host}:0", b"{host}:00080", b"{host}:65536", b"{host}:-1",
        b"{host}:+80", b"{host}:8x", b"{host}:8:8", b"{host}.", b"{host}..", b".{host}", b"[::1]", b"[::1", b"::1", b"[::1]x", b"[::ffff:127.0.0.1]", b"[fe80::1%25lo]", b"[fe80::1%lo]", b"[v1.x]", b"127.0.0.1", b"0177.0.0.1", b"2130706433", b"0x7f.1", b"127.1", b"LOCALHOST", b"local\x00host", b"local host",
        b"localhost\r\n evil", b"localhost\x0b", b"loc%61lhost", b"%6cocalhost", b"xn--a", b"\xc3\xa9vil", b"*", b"*.{host}", b"-", b"_", b"a" * 63, b"a" * 300, b"a." * 200, b"'{host}'", b"\"{host}\"", b"<{host}>", b"{host}\\", b"{host}|evil", b"${host}", b"{host}`", b"localhost:80, localhost:81", b"evil",
    ]
    for value, version in itertools.product(values, (b"HTTP/1.1", b"HTTP/1.0")):
        def make(site, nonce, value=value, version=version):
            return request(site, nonce, version=version, host=b"Host: " + value.replace(b"{host}", site.host) + EOL, more=b"X-Nonce: " + nonce + EOL)
        yield Cell("Host", f"{value[:24]!r}×{len(value)} {version!r}", make)
    for pattern, count in itertools.product(SPELLINGS, (0, 1, 2)):
        def make(site, nonce, pattern=pattern, count=count):
            right = b"Host: " + site.host + EOL
            return request(site, nonce, host=right * count + spelt(b"Host", pattern) + b"evil" + EOL, more=b"X-Nonce: " + nonce + EOL)
        yield Cell("spelling of Host", f"{pattern!r} beside {count}", make)


def upgrades():
    """WebSocket upgrades that are not quite, with early bytes behind them."""
    upgrade = [b"websocket", b"WebSocket", b"websocket, h2c", b"h2c", b"h2c, websocket", b"TLS/1.0", b"", b"websocket\x00", b"web socket", b"websocket/13"]
    connection = [b"Upgrade", b"upgrade, keep-alive", b"keep-alive", b"close, upgrade", b"upgrade\x00", b"", b"Upgrade, HTTP2-Settings", b"Upgrade, Sec-WebSocket-Key", b"Upgrade, Host"]
    version = [b"13", b"8", b"", b"13, 8", b"0"]
    key = [b"dGhlIHNhbXBsZSBub25jZQ==", b"short", b"", b"dGhlIHNhbXBsZSBub25jZQ==, x"]
    for one, two, three, four in itertools.product(upgrade, connection, version, key):
        def make(site, nonce, one=one, two=two, three=three, four=four):
            more = b"".join((b"Upgrade: ", one, EOL, b"Connection: ", two, EOL, b"Sec-WebSocket-Version: ", three, EOL, b"Sec-WebSocket-Key: ", four, EOL, b"Origin: https://", site.host, EOL))
            return request(site, nonce, more=more, body=hidden(site, nonce))
        yield Cell("upgrade", f"{one!r} {two!r} {three!r} {four!r}", make)
    for method, length in itertools.product((b"GET", b"POST", b"HEAD", b"OPTIONS"), (b"", b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n")):
        def make(site, nonce, method=method, length=length):
            more = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + length
            return request(site, nonce, method, more=more, body=b"hello" + hidden(site, nonce))
        yield Cell("upgrade with a body", f"{method!r} {length!r}", make)


def folding_and_sizes():
    """Folded lines, bare CR and LF, and sizes at the limits."""
    folds = [b"\r\n ", b"\r\n\t", b"\n ", b"\n\t", b"\r ", b"\r\t", b"\r\n\r\n ", b"\r\n \r\n ", b"\r\n \t ", b"\r\n\x0b", b"\r\n\x00", b"\r\n\xa0"]
    names = [b"X-A", b"Host", b"Cookie", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Authorization", b"Upgrade", b"X-Forwarded-For", b"Expect"]
    for fold, name, place in itertools.product(folds, names, ("before", "in", "behind")):
        def make(site, nonce, fold=fold, name=name, place=place):
            value = {"before": fold + b"value", "in": b"va" + fold + b"lue", "behind": b"value" + fold}[place]
            return request(site, nonce, more=name + b": " + value + EOL)
        yield Cell("folding", f"{fold!r} {place} the value of {name.decode()}", make)
    for end, count in itertools.product(ENDS, (1, 2, 3)):
        def make(site, nonce, end=end, count=count):
            return request(site, nonce, end=end * count)
        yield Cell("the head's end", f"{end!r} × {count}", make)
        def before(site, nonce, end=end, count=count):
            return end * count + request(site, nonce)
        yield Cell("before the request", f"{end!r} × {count}", before)
    for length in (0, 1, 100, 1000, 4095, 4096, 8191, 8192, 16383, 16384, 16385, 32767, 32768, 32769, 65535, 65536, 131072, 1 << 20):
        for place in ("name", "value", "target", "query", "cookie", "line"):
            def make(site, nonce, length=length, place=place):
                fill = b"a" * length
                if place in ("target", "query"):
                    return request(site, nonce, target=site.target(nonce) + (b"/" if place == "target" else b"?") + fill)
                more = {"name": b"X" + fill + b": b", "value": b"X-A: " + fill, "cookie": b"Cookie: a=" + fill, "line": fill}[place]
                return request(site, nonce, more=more + EOL)
            yield Cell("size", f"{place} of {length}", make)
    for count in (1, 10, 63, 64, 65, 99, 100, 101, 127, 128, 129, 255, 256, 257, 1000, 5000, 20000):
        for line in (b"X-%d: y\r\n", b"X: y\r\n", b"Cookie: a%d=b\r\n", b"X%d:\r\n"):
            def make(site, nonce, count=count, line=line):
                return request(site, nonce, more=b"".join(line.replace(b"%d", b"%d" % number) for number in range(count)))
            yield Cell("number of headers", f"{line!r} × {count}", make)


def names_and_options():
    """Headers that belong to the connection or to us, in odd spellings, and named by Connection."""
    names = [
        b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"expect", b"proxy-authorization", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-prefix",
        b"x-real-ip", b"forwarded", b"remote-user", b"x-forwarded-user", b"x-remote-user", b"x-http-method-override", b"x-original-url", b"x-rewrite-url", b"content-length", b"transfer-encoding", b"host", b"cookie", b"authorization",
        b"http2-settings", b"via", b"max-forwards", b"range", b"early-data", b"x-forwarded-server", b"x-slipway-user", b"content-encoding", b"sec-websocket-key", b"alt-used", b"x-request-id", b"traceparent", b"proxy", b"date",
    ]
    for name, pattern in itertools.product(names, SPELLINGS[:12]):
        def make(site, nonce, name=name, pattern=pattern):
            return request(site, nonce, more=spelt(name, pattern) + b"evil" + EOL)
        yield Cell("spelling of a header", f"{name.decode()} {pattern!r}", make)
    for name, spelling in itertools.product(names, range(8)):
        def make(site, nonce, name=name, spelling=spelling):
            named = names_of(name)[spelling]
            return request(site, nonce, more=b"Connection: close, " + named + EOL + named + b": evil\r\n")
        yield Cell("named by Connection", f"{name.decode()} {spelling}", make)
    expects = [b"100-continue", b"100-Continue", b"100-continue, x", b"200-ok", b"", b"100-continue\x00", b" 100-continue "]
    for expect, length, body in itertools.product(expects, (b"5", b"0", b"50"), (b"hello", b"")):
        def make(site, nonce, expect=expect, length=length, body=body):
            return request(site, nonce, b"POST", more=b"Expect: " + expect + b"\r\nContent-Length: " + length + EOL, body=body)
        yield Cell("Expect", f"{expect!r} {length!r} {body!r}", make)


FAMILIES = (framing, octets, chunks, request_lines, hosts, upgrades, folding_and_sizes, names_and_options)


def cells():
    """All of them, in a fixed order."""
    return [cell for family in FAMILIES for cell in family()]


def check(all_cells, site):
    """The generator's own promise: no two cells have the same bytes, but for the nonce and how a family got there."""
    made, doubles = {}, []
    for cell in all_cells:
        data = cell.make(site, nonce_of(0))
        if data in made:
            doubles.append((cell, made[data]))
        made.setdefault(data, cell)
    return list(made.values()), doubles


if __name__ == "__main__":
    everything = cells()
    distinct, doubles = check(everything, Site(b"localhost:8443", b"/user/admin/", b"Cookie: s=1\r\n"))
    by_rule = {}
    for cell in distinct:
        by_rule[re.sub(r"^octet .*", "octet in a place", cell.rule)] = by_rule.get(re.sub(r"^octet .*", "octet in a place", cell.rule), 0) + 1
    print(f"{len(distinct)} distinct cells, {len(doubles)} made twice")
    for rule, count in by_rule.items():
        print(f"{count:6} {rule}")
