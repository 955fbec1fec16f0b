"""A Docker socket that passes every byte on and writes down when each engine call began and was answered.

Usage: engine_tap.py SOCKET LOG. A line of LOG: begin and end on the system-wide monotonic clock (seconds), method,
path. A call ends with the first byte of its answer; create, start and inspect are answered when they are done.
"""

import asyncio
import sys
import time

ENGINE = "/var/run/docker.sock"
METHODS = (b"GET ", b"POST ", b"DELETE ", b"HEAD ", b"PUT ")


class Engine(asyncio.Protocol):
    def __init__(self, client):
        self.client = client

    def connection_made(self, transport):
        self.client.engine = transport
        transport.write(bytes(self.client.early))

    def data_received(self, data):
        if self.client.call:
            begin, line = self.client.call
            self.client.call = None
            method, path = line.split(" ")[:2]
            print(f"{begin:.6f} {time.monotonic():.6f} {method} {path}", file=self.client.log, flush=True)
        self.client.transport.write(data)

    def connection_lost(self, _error):
        self.client.transport.close()


class Client(asyncio.Protocol):
    def __init__(self, log):
        self.log, self.engine, self.early, self.call = log, None, bytearray(), None

    def connection_made(self, transport):
        self.transport = transport
        loop = asyncio.get_running_loop()
        loop.create_task(loop.create_unix_connection(lambda: Engine(self), ENGINE))

    def data_received(self, data):
        if self.call is None and data.startswith(METHODS):
            self.call = (time.monotonic(), data.split(b"\r\n", 1)[0].decode("ascii", "replace"))
        if self.engine:
            self.engine.write(data)
        else:
            self.early += data

    def connection_lost(self, _error):
        if self.engine:
            self.engine.close()


async def main(socket, log_path):
    with open(log_path, "a", encoding="ascii") as log:
        server = await asyncio.get_running_loop().create_unix_server(lambda: Client(log), socket)
        await server.serve_forever()


asyncio.run(main(*sys.argv[1:3]))
