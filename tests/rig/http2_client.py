"""HTTP/2 by hand: frames that are exactly what a case says, legal or not, and a reading of what comes back.

Header blocks are written as literals without index, so that any octet can stand in a name or value; answers are decoded with `hpack`.
"""

import asyncio
import ssl
import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
         "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]


def frame(kind, flags, stream, payload=b"", length=None):
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def integer(value, prefix_bits, first=0):
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def literal(name, value):
    return b"\x00" + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def headers(stream, fields, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, block(fields))


def window(stream, by):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by))


def reset(stream, code=8):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


class Heard:
    """All that came back."""

    def __init__(self):
        self.statuses, self.fields, self.bodies, self.resets, self.goaway, self.is_closed, self.pongs, self.ended = {}, {}, {}, {}, None, False, [], set()

    def __repr__(self):
        goaway = self.goaway and CODES[self.goaway] if self.goaway is not None and self.goaway < len(CODES) else self.goaway
        return f"statuses {self.statuses}, resets { {stream: CODES[code] for stream, code in self.resets.items()} }, goaway {goaway}, {'closed' if self.is_closed else 'open'}"


class Connection:
    """One connection. `send` says bytes as they are; `listen` reads until `enough(heard)` or silence."""

    def __init__(self, reader, writer):
        self.reader, self.writer, self.buffer, self.heard, self.decoder = reader, writer, b"", Heard(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 20
        self.fragment = b""

    @classmethod
    async def open(cls, subject, source=None, preface=PREFACE, first=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection("127.0.0.1", subject.tls_port, ssl=context, limit=1 << 20, local_addr=(source, 0) if source else None)
        connection = cls(reader, writer)
        connection.send(preface + (settings() if first is None else first))
        return connection

    def send(self, data):
        self.writer.write(data)

    def close(self):
        self.writer.transport.abort()

    async def listen(self, enough=lambda heard: False, quiet_s=0.25, limit_s=10):
        loop = asyncio.get_running_loop()
        end = loop.time() + limit_s
        while not enough(self.heard) and not self.heard.is_closed and loop.time() < end:
            try:
                got = await asyncio.wait_for(self.reader.read(1 << 16), quiet_s)
            except TimeoutError:
                break
            except (ConnectionError, ssl.SSLError):
                got = b""
            if not got:
                self.heard.is_closed = True
                break
            self.buffer += got
            self.take()
        return self.heard

    def take(self):
        heard = self.heard
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3])
            if len(self.buffer) < 9 + length:
                return
            kind, flags, stream = self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9]) & 0x7fffffff
            payload, self.buffer = self.buffer[9:9 + length], self.buffer[9 + length:]
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            elif kind == PING:
                if flags & ACK:
                    heard.pongs.append(payload)
                else:
                    self.send(frame(PING, ACK, 0, payload))
            elif kind == GOAWAY:
                heard.goaway = int.from_bytes(payload[4:8])
            elif kind == RST_STREAM:
                heard.resets[stream] = int.from_bytes(payload)
            elif kind in (HEADERS, CONTINUATION):
                self.fragment += payload
                if flags & END_HEADERS:
                    fields = self.decoder.decode(self.fragment, raw=True)
                    self.fragment = b""
                    status = dict(fields).get(b":status")
                    if status and int(status) >= 200:
                        heard.statuses[stream], heard.fields[stream] = int(status), fields
            elif kind == DATA:
                heard.bodies[stream] = heard.bodies.get(stream, b"") + payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                heard.ended.add(stream)
