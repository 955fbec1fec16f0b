"""The hostile upstream: `…/h000123/n000123_` is answered with variant 123 of `hostile.py`, anything else as it should be.

Usage: hostile_upstream.py PORT.
"""

import asyncio
import re
import sys

import hostile

VARIANTS = hostile.variants()
ASKED = re.compile(rb"^([A-Z]+) \S*?(?:/h([0-9]{6}))?/(n[0-9]{6}[sg]?_)")


async def serve(reader, writer):
    buffer = b""
    try:
        while data := await reader.read(65536):
            buffer += data
            while b"\r\n\r\n" in buffer:
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                asked = ASKED.match(head)
                method, number, nonce = asked.groups() if asked else (b"GET", None, b"none")
                if number is None:
                    body = b"" if method == b"HEAD" else nonce
                    writer.write(b"HTTP/1.1 200 OK\r\nX-Trap-Nonce: %s\r\nContent-Length: %d\r\n\r\n%s" % (nonce, len(nonce), body))
                    continue
                answer, then = VARIANTS[int(number)].make(nonce, method.decode())
                writer.write(answer)
                await writer.drain()
                if then == "close":
                    return
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
