"""A server for the soak: answers everything with its owner's name and carries WebSockets; standard library only, since `nobody` runs it."""

import asyncio
import base64
import hashlib
import os
import re
import urllib.parse

OWNER = os.environ["JUPYTERHUB_USER"].encode()


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            key = re.search(rb"(?im)^sec-websocket-key: *(\S+)", head)
            if key:
                accept = base64.b64encode(hashlib.sha1(key.group(1) + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
                await echo(reader, writer)
                return
            length = re.search(rb"(?im)^content-length: *(\d+)", head)
            if length:
                await reader.readexactly(int(length.group(1)))
            nonce = re.search(rb"n\d{6}_", head.split(b"\r\n")[0])
            body = OWNER + b" " + (nonce.group() if nonce else b"-")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def echo(reader, writer):
    """Short frames only; each comes back with the owner's name before it."""
    while True:
        head = await reader.readexactly(6)
        payload = await reader.readexactly(head[1] & 0x7f)
        if head[0] & 0x0f == 8:
            writer.write(b"\x88\x02\x03\xe8")
            return
        said = OWNER + b" " + bytes(byte ^ head[2 + at % 4] for at, byte in enumerate(payload))
        writer.write(bytes([0x81, len(said)]) + said)
        await writer.drain()


async def main():
    address = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    server = await asyncio.start_server(serve, address.hostname or "127.0.0.1", address.port)
    await server.serve_forever()


asyncio.run(main())
