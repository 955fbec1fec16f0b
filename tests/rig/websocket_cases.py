"""Conformance cases for WebSockets, in the sections of the Autobahn suite: what a client says, and what a strict server does about it.

A case is bytes, cut into pieces, and an expectation that does not depend on the proxy: the messages that come back, the pongs, and the
code of the close frame.
"""

import dataclasses
import itertools
import struct
import zlib

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = bytes.fromhex("37fa213d")
NO_CLOSE = None


def masked(payload):
    size = len(payload)
    if size == 0:
        return b""
    key = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def frame(opcode, payload=b"", fin=True, bits=0, is_masked=True, length=None):
    """One frame of a client; `length` writes a length other than the shortest: 2 or 8 bytes of it."""
    size = len(payload)
    first = bytes([(0x80 if fin else 0) | bits << 4 | opcode])
    flag = 0x80 if is_masked else 0
    if length == 2 or (length is None and 126 <= size < 1 << 16):
        head = bytes([flag | 126]) + struct.pack(">H", size)
    elif length == 8 or size >= 1 << 16:
        head = bytes([flag | 127]) + struct.pack(">Q", size)
    else:
        head = bytes([flag | size])
    return first + head + (MASK + masked(payload) if is_masked else payload)


def close(code=1000, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


@dataclasses.dataclass
class Case:
    """`pieces` are written one after the other; `echoes`, `pongs` and `code` are what must come back."""
    name: str
    pieces: list
    echoes: list
    pongs: list
    code: int | None
    wants_deflate: bool = False


def case(name, data, echoes=(), pongs=(), code=1000, piece=0, wants_deflate=False, says_goodbye=True):
    """`data` and, if nothing is wrong with it, a close frame; cut every `piece` bytes."""
    whole = data + (close() if code == 1000 and says_goodbye else b"")
    pieces = [whole[at:at + piece] for at in range(0, len(whole), piece)] if piece else [whole]
    return Case(name, pieces, list(echoes), list(pongs), code, wants_deflate)


def framing():
    """Section 1: every way to write a length, whole and cut into pieces."""
    sizes = (0, 1, 2, 124, 125, 126, 127, 128, 255, 256, 4095, 4096, 65534, 65535, 65536, 65537, 131072)
    for (kind, letter), size in itertools.product(((TEXT, b"*"), (BINARY, b"\xfe")), sizes):
        yield case(f"1 framing: {size} bytes of kind {kind}", frame(kind, letter * size), [letter * size])
        if 0 < size <= 131072:
            piece = max(1, size // 61)
            yield case(f"1 framing: {size} bytes of kind {kind} in pieces of {piece}", frame(kind, letter * size), [letter * size], piece=piece)
    for size, length in ((0, 2), (125, 2), (1, 8), (126, 8), (65535, 8)):
        yield case(f"1 framing: {size} bytes with a length of {length} bytes", frame(TEXT, b"l" * size, length=length), [b"l" * size])
    yield case("1 framing: without a mask", frame(TEXT, b"bare", is_masked=False), code=1002)
    yield case("1 framing: a length of 2^63", b"\x82\xff\x80" + bytes(7) + MASK, code=1009)
    yield case("1 framing: a frame that is cut by the end", b"\x82\xfe\xff\xff" + MASK + b"cut", code=NO_CLOSE)


def pings():
    """Section 2."""
    for size in (0, 1, 2, 124, 125):
        yield case(f"2 ping of {size} bytes", frame(PING, b"p" * size), pongs=[b"p" * size])
        yield case(f"2 ping of {size} bytes, byte by byte", frame(PING, b"p" * size), pongs=[b"p" * size], piece=1)
        yield case(f"2 pong of {size} bytes that nobody asked for", frame(PONG, b"p" * size))
        yield case(f"2 pong, then a ping of {size} bytes", frame(PONG, b"x") + frame(PING, b"p" * size), pongs=[b"p" * size])
    for size in (126, 127, 65536):
        yield case(f"2 ping of {size} bytes", frame(PING, b"p" * size), code=1002)
        yield case(f"2 pong of {size} bytes", frame(PONG, b"p" * size), code=1002)
    yield case("2 ping of octets that are no UTF-8", frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), pongs=[b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"])
    many = [b"%d" % number for number in range(50)]
    yield case("2 fifty pings", b"".join(frame(PING, text) for text in many), pongs=many)
    yield case("2 fifty pings, byte by byte", b"".join(frame(PING, text) for text in many), pongs=many, piece=1)


def reserved_bits():
    """Section 3: bits that no extension has asked for."""
    for bits, (kind, payload) in itertools.product(range(1, 8), ((TEXT, b"reserved"), (TEXT, b""), (BINARY, b"\x00"), (PING, b"p"), (PONG, b""), (CLOSE, b"\x03\xe8"))):
        yield case(f"3 reserved bits {bits:03b} on kind {kind} of {len(payload)} bytes", frame(TEXT, b"before") + frame(kind, payload, bits=bits) + frame(TEXT, b"after"), [b"before"], code=1002)


def opcodes():
    """Section 4: kinds that there are not."""
    for kind, (payload, piece) in itertools.product((3, 4, 5, 6, 7, 11, 12, 13, 14, 15), ((b"", 0), (b"unknown", 0), (b"unknown", 1))):
        yield case(f"4 kind {kind} of {len(payload)} bytes in pieces of {piece}", frame(TEXT, b"before") + frame(kind, payload) + frame(PING), [b"before"], code=1002, piece=piece)


def fragmentation():
    """Section 5."""
    for kind, piece in itertools.product((TEXT, BINARY), (0, 1)):
        whole = f"kind {kind}, pieces of {piece}"
        two = frame(kind, b"frag", fin=False), frame(0, b"ment")
        yield case(f"5 two frames, {whole}", b"".join(two), [b"fragment"], piece=piece)
        yield case(f"5 a ping between two frames, {whole}", two[0] + frame(PING, b"ping") + two[1], [b"fragment"], [b"ping"], piece=piece)
        yield case(f"5 a pong between two frames, {whole}", two[0] + frame(PONG, b"pong") + two[1], [b"fragment"], piece=piece)
        yield case(f"5 five frames and pings, {whole}", frame(kind, b"1", fin=False) + b"".join(frame(0, b"%d" % number, fin=False) + frame(PING, b"%d" % number) for number in (2, 3, 4)) + frame(0, b"5"), [b"12345"], [b"2", b"3", b"4"], piece=piece)
        yield case(f"5 empty frames, {whole}", frame(kind, b"", fin=False) + frame(0, b"", fin=False) * 3 + frame(0, b"end"), [b"end"], piece=piece)
        yield case(f"5 nothing but empty frames, {whole}", frame(kind, b"", fin=False) + frame(0, b""), [b""], piece=piece)
        yield case(f"5 a message within a message, {whole}", two[0] + frame(kind, b"other"), code=1002, piece=piece)
        # RFC 6455 does not say; the library refuses it.
        yield case(f"5 a close frame within a message, {whole}", two[0] + close(), code=1002, piece=piece)
    for fin, piece in itertools.product((True, False), (0, 1)):
        yield case(f"5 a continuation of nothing, end {fin}, pieces of {piece}", frame(0, b"of what", fin=fin) + frame(TEXT, b"after"), code=1002, piece=piece)
        yield case(f"5 a continuation behind a whole message, end {fin}, pieces of {piece}", frame(TEXT, b"whole") + frame(0, b"of what", fin=fin), [b"whole"], code=1002, piece=piece)
    for kind in (PING, PONG, CLOSE):
        yield case(f"5 a control frame in parts, kind {kind}", frame(kind, b"", fin=False) + frame(0, b""), code=1002)


GOOD_TEXTS = ("κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\x00", "\x7f", "\x80", "߿", "ࠀ", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd", "\ufdd0", "\ufffe", "\U0001fffe", "\U0010fffe", "𐀀" * 5, "\u200f", "\ufeff", "\U000e0001", "日本語", "😀" * 10)
BAD_TEXTS = {
    "a continuation alone": b"\x80", "the last continuation alone": b"\xbf", "two continuations": b"\x80\xbf", "six continuations": b"\x80\xbf\x80\xbf\x80\xbf", "two lead bytes": b"\xc0\x20\xc1\x20",
    "lead bytes of three": b"\xe0\x20\xe1\x20", "lead bytes of four": b"\xf0\x20\xf1\x20", "lead bytes of five": b"\xf8\x20", "lead bytes of six": b"\xfc\x20", "two bytes cut": b"\xc3", "three bytes cut": b"\xe0\xa0",
    "four bytes cut": b"\xf0\x90\x80", "five bytes": b"\xf8\x88\x80\x80\x80", "six bytes": b"\xfc\x84\x80\x80\x80\x80", "FE": b"\xfe", "FF": b"\xff", "FE FE FF FF": b"\xfe\xfe\xff\xff", "overlong / in two": b"\xc0\xaf", "overlong / in three": b"\xe0\x80\xaf",
    "overlong / in four": b"\xf0\x80\x80\xaf", "overlong in two": b"\xc1\xbf", "overlong in three": b"\xe0\x9f\xbf", "overlong in four": b"\xf0\x8f\xbf\xbf", "overlong NUL": b"\xc0\x80", "overlong NUL in three": b"\xe0\x80\x80", "surrogate D800": b"\xed\xa0\x80",
    "surrogate DB7F": b"\xed\xad\xbf", "surrogate DC00": b"\xed\xb0\x80", "surrogate DFFF": b"\xed\xbf\xbf", "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80", "beyond 10FFFF": b"\xf4\x90\x80\x80", "F5": b"\xf5\x80\x80\x80", "2^31": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "after good text": "κόσμε".encode() + b"\xed\xa0\x80edited", "in the middle": "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"edited",
}


def utf8():
    """Section 6: text in frames that cut its characters anywhere."""
    for text in GOOD_TEXTS:
        data = text.encode()
        yield case(f"6 good text {data[:12].hex()}", frame(TEXT, data), [data])
        every = [data[at:at + 1] for at in range(len(data))]
        yield case(f"6 good text {data[:12].hex()}, a frame a byte", frame(TEXT, every[0], fin=len(every) == 1) + b"".join(frame(0, byte, fin=number == len(every) - 1) for number, byte in enumerate(every) if number), [data])
    for name, data in BAD_TEXTS.items():
        yield case(f"6 bad text: {name}", frame(TEXT, data), code=1007)
        every = [data[at:at + 1] for at in range(len(data))]
        yield case(f"6 bad text: {name}, a frame a byte", frame(TEXT, b"ok ", fin=False) + b"".join(frame(0, byte, fin=False) for byte in every) + frame(0, b""), code=1007)
        yield case(f"6 bad text: {name}, as octets", frame(BINARY, data), [data])


def closes():
    """Section 7."""
    good = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    bad = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    for code in good:
        yield case(f"7 close with {code}", close(code), code=code, says_goodbye=False)
        yield case(f"7 close with {code} and a reason", close(code, b"because"), code=code, says_goodbye=False)
    for code in bad:
        yield case(f"7 close with {code}", close(code), code=1002)
        yield case(f"7 close with {code} and a reason", close(code, b"because"), code=1002)
    yield case("7 close without a code", frame(CLOSE), code=1005)
    yield case("7 close of one byte", frame(CLOSE, b"\x03"), code=1002)
    for size in (1, 122, 123):
        yield case(f"7 close with a reason of {size} bytes", close(1000, b"r" * size), code=1000, says_goodbye=False)
    yield case("7 close with a reason of 124 bytes", close(1000, b"r" * 124), code=1002)
    yield case("7 close with a reason that is no UTF-8", close(1000, b"\xed\xa0\x80"), code=1007)
    for what, data in (("text", frame(TEXT, b"late")), ("a ping", frame(PING, b"late")), ("another close", close(1001)), ("octets that are no frame", b"\xff" * 100)):
        yield case(f"7 {what} behind the close", frame(TEXT, b"first") + close() + data, [b"first"], says_goodbye=False)
        yield case(f"7 {what} behind the close, byte by byte", frame(TEXT, b"first") + close() + data, [b"first"], says_goodbye=False, piece=1)
    yield case("7 text of 256 KiB, then close", frame(TEXT, b"B" * (1 << 18)), [b"B" * (1 << 18)])


def limits(is_quick):
    """Section 9: large messages, messages of many frames, many messages."""
    largest = 20 if is_quick else 24
    for kind, power in itertools.product((TEXT, BINARY), (16, 18, 20, 22, 23, 24)):
        if power > largest:
            continue
        data = b"*" * (1 << power)
        yield case(f"9 {1 << power} bytes of kind {kind}", frame(kind, data), [data])
        for size in (64, 256, 1024, 4096, 65536):
            if (1 << power) // size > 4096:
                continue
            count = (1 << power) // size
            frames = frame(kind, b"*" * size, fin=count == 1) + b"".join(frame(0, b"*" * size, fin=number == count - 1) for number in range(1, count))
            yield case(f"9 {1 << power} bytes of kind {kind} in frames of {size}", frames, [data])
        for piece in (64, 1500, 16384):
            if (1 << power) // piece <= 4096:
                yield case(f"9 {1 << power} bytes of kind {kind} in pieces of {piece}", frame(kind, data), [data], piece=piece)
    for kind, size in itertools.product((TEXT, BINARY), (0, 16, 64, 256, 1024, 4096)):
        count = 200 if is_quick else 1000
        yield case(f"9 {count} messages of {size} bytes of kind {kind}", frame(kind, b"m" * size) * count, [b"m" * size] * count)


def cut_anywhere():
    """Section 10: one message of frames of which none is of a round size."""
    for size in (1, 7, 125, 126, 127, 1300, 65535, 65536):
        data = b"a" * 65536
        parts = [data[at:at + size] for at in range(0, min(len(data), size * 50), size)]
        yield case(f"10 frames of {size} bytes", b"".join(frame(TEXT if number == 0 else 0, part, fin=number == len(parts) - 1) for number, part in enumerate(parts)), [b"".join(parts)])


def deflate():
    """Sections 12 and 13: messages that the two sides compress, which a proxy passes as they are."""
    def packed(data):
        packer = zlib.compressobj(wbits=-15)
        return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    for size in (1, 16, 125, 126, 1000, 65536, 131072):
        data = (b"compress me %d " % size * (size // 8 + 1))[:size]
        yield case(f"12 {size} bytes compressed", frame(TEXT, packed(data), bits=4), [data], wants_deflate=True)
        yield case(f"12 {size} bytes compressed, in pieces", frame(TEXT, packed(data), bits=4), [data], wants_deflate=True, piece=13)
    yield case("12 compressed rubbish", frame(TEXT, b"\xff\xff\xff\xff", bits=4), code=1002, wants_deflate=True)


def cases(is_quick):
    return list(itertools.chain(framing(), pings(), reserved_bits(), opcodes(), fragmentation(), utf8(), closes(), limits(is_quick), cut_anywhere(), deflate()))
