"""The strict server that WebSocket cases are judged by: `websockets` (PyPI), which has no say in the proxy, over plain sockets.

Usage: websocket_echo.py PORT. Each frame is taken whole before the next, so that its answers do not depend on how TCP cut the bytes.
Text messages that begin with `!` make it misbehave: see `FAULTS`.
"""

import asyncio
import codecs
import socket
import struct
import sys

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.protocol import CLOSED
from websockets.server import ServerProtocol

# From its own end of a connection to the reset of what the client leaves open.
LINGER_S = 3
# How long a stalled connection takes nothing: it would never see its end otherwise.
STALL_S = 1
# The largest message, in bytes.
LARGEST = 1 << 26


class Reader:
    """Cuts what arrived into pieces for the library: the head of the HTTP request, then one frame at a time."""

    def __init__(self):
        self.buffer, self.has_head = bytearray(), False

    def take(self):
        """The next whole piece, or None."""
        if not self.has_head:
            end = self.buffer.find(b"\r\n\r\n") + 4
            if end < 4:
                return None
            self.has_head = True
            return self.cut(end)
        if len(self.buffer) < 2:
            return None
        length, size = self.buffer[1] & 0x7f, 2
        if length >= 126:
            more = 2 if length == 126 else 8
            if len(self.buffer) < size + more:
                return None
            length, size = int.from_bytes(self.buffer[size:size + more], "big"), size + more
        size += 4 if self.buffer[1] & 0x80 else 0
        # The library refuses what is too long by its head.
        length = 0 if length > LARGEST else length
        return self.cut(size + length) if len(self.buffer) >= size + length else None

    def cut(self, size):
        piece = bytes(self.buffer[:size])
        del self.buffer[:size]
        return piece


class Echo(asyncio.Protocol):
    """One connection: every message comes back as one frame; text must be UTF-8."""

    def connection_made(self, transport):
        self.transport, self.reader = transport, Reader()
        self.protocol = ServerProtocol(extensions=[ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)], max_size=LARGEST)
        self.is_text, self.parts, self.has_ended = False, [], False
        self.decoder = codecs.getincrementaldecoder("utf-8")()

    def data_received(self, data):
        if self.has_ended:
            return
        self.reader.buffer += data
        while (piece := self.reader.take()) is not None:
            self.protocol.receive_data(piece)
            for event in self.protocol.events_received():
                self.hear(event)
            self.send()
            if self.has_ended or self.protocol.state is CLOSED:
                return

    def eof_received(self):
        if not self.has_ended:
            self.protocol.receive_eof()
            self.send()
        self.transport.close()

    def hear(self, event):
        if isinstance(event, Request) and "Upgrade" not in event.headers:
            # Who starts the server looks whether it answers.
            self.transport.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            self.end_without_a_word()
            return
        if isinstance(event, Request):
            self.protocol.send_response(self.protocol.accept(event))
            return
        if event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if event.opcode is not Opcode.CONT:
            self.is_text, self.parts = event.opcode is Opcode.TEXT, []
            self.decoder.reset()
        if self.is_text:
            try:
                self.decoder.decode(event.data, final=event.fin)
            except UnicodeDecodeError:
                self.protocol.fail(1007, "not UTF-8")
                return
        self.parts.append(event.data)
        if event.fin:
            whole = b"".join(self.parts)
            fault = FAULTS.get(whole) if self.is_text else None
            if fault:
                fault(self)
            else:
                (self.protocol.send_text if self.is_text else self.protocol.send_binary)(whole)

    def send(self):
        for data in self.protocol.data_to_send():
            if data:
                self.transport.write(data)
            elif not self.has_ended:
                self.has_ended = True
                self.transport.write_eof()
                # Not closed at once: what the client still sends would turn the close into a reset.
                asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)

    def reset(self):
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.has_ended = True
        self.transport.abort()

    def cut_short(self):
        self.transport.write(b"\x82\x7e\xff\xff" + b"c" * 100)
        self.has_ended = True
        self.transport.close()

    def end_without_a_word(self):
        self.has_ended = True
        self.transport.close()

    def stall(self):
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(STALL_S, self.transport.resume_reading)

    def close_and_reset(self):
        self.transport.write(b"\x88\x02\x03\xe8")
        self.reset()

    def ping(self):
        self.transport.write(b"\x89\x00" * 5000)


FAULTS = {b"!reset": Echo.reset, b"!cut": Echo.cut_short, b"!end": Echo.end_without_a_word, b"!stall": Echo.stall, b"!close": Echo.close_and_reset, b"!ping": Echo.ping}


async def main():
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


asyncio.run(main())
