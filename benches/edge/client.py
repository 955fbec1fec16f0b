"""A small HTTPS and WebSocket client: signs in as a browser does, opens idle connections, asks the REST API.

What loads a proxy is wrk, h2load, oha and curl; this is for what they cannot do.
"""

import asyncio, os, re, socket, ssl, sys, threading, urllib.parse

PASSWORD = "a long enough password for a benchmark"


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


CONTEXT = context()


def connect(port, session=None, made=CONTEXT):
    plain = socket.create_connection(("127.0.0.1", port), 10)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made.wrap_socket(plain, server_hostname="localhost", session=session)


def read_head(tls):
    data = b""
    while b"\r\n\r\n" not in data:
        more = tls.recv(65536)
        if not more:
            break
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), body


def read_answer(tls):
    head, body = read_head(tls)
    length = re.search(r"(?im)^content-length:\s*(\d+)", head)
    while length and len(body) < int(length.group(1)):
        more = tls.recv(65536)
        if not more:
            break
        body += more
    return int(head.split(" ", 2)[1]) if head else 0, head, body


def request_of(program, path, method="GET", more="", body=b""):
    lines = f"{method} {path} HTTP/1.1\r\nHost: localhost:{program.port}\r\n{more}"
    if program.cookie and "Authorization:" not in more:
        lines += f"Cookie: {program.cookie}\r\n"
    if body:
        lines += f"Content-Length: {len(body)}\r\n"
    return lines.encode() + b"\r\n" + body


def ask(program, method, path, navigating=False, more="", body=b""):
    """One request over a connection of its own: status, head and body of the answer."""
    if navigating:
        more += "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\nAccept: text/html\r\n"
    with connect(program.port) as tls:
        tls.sendall(request_of(program, path, method, more + "Connection: close\r\n", body))
        return read_answer(tls)


class Door:
    """Stands for a program of which only the port is known."""

    def __init__(self, port):
        self.port, self.cookie = port, ""


def cookies_of(head):
    return dict(re.findall(r"(?im)^set-cookie:\s*([^=;\s]+)=([^;\r\n]*)", head))


def sign_in(port, name):
    """Signs in through the page, as a browser does, and returns the cookies."""
    door = Door(port)
    status, head, page = ask(door, "GET", "/hub/login", navigating=True)
    jar = cookies_of(head)
    fields = [tag for tag in page.decode().split("<input") if 'name="_xsrf"' in tag]
    if status != 200 or not fields:
        raise SystemExit(f"edge.py: /hub/login answers {status}")
    token = re.search(r'value="([^"]*)"', fields[0]).group(1)
    form = urllib.parse.urlencode({"username": name, "password": PASSWORD, "_xsrf": token}).encode()
    more = f"Content-Type: application/x-www-form-urlencoded\r\nOrigin: https://localhost:{port}\r\n"
    door.cookie = "; ".join(f"{key}={value}" for key, value in jar.items())
    status, head, page = ask(door, "POST", "/hub/login", True, more, form)
    if status != 302:
        raise SystemExit(f"edge.py: sign-in of {name} is answered with {status}: {page[:300]!r}")
    jar.update(cookies_of(head))
    # The session alone: what every request of a browser carries besides is the same for everybody.
    return "; ".join(f"{key}={value}" for key, value in jar.items() if key.startswith("__Host-Http-slipway"))


# ---- WebSockets ----------------------------------------------------------------------------------------------

FRAME = b"\x81\x94" + bytes(4) + b"x" * 20  # masked with zeroes
ECHO = b"\x81\x14" + b"x" * 20


def websocket(program, path):
    tls = connect(program.port)
    more = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://localhost:{program.port}\r\n")
    tls.sendall(request_of(program, path, more=more))
    head, rest = read_head(tls)
    if " 101 " not in head.split("\r\n")[0] + " " or rest:
        raise RuntimeError(f"{program.name}: no WebSocket: {head[:200]}")
    return tls


def read_echo(tls):
    got = 0
    while got < len(ECHO):
        more = tls.recv(4096)
        if not more:
            raise RuntimeError("a WebSocket closed")
        got += len(more)


# ---- programs of their own -----------------------------------------------------------------------------------

async def echo_server(path):
    """A WebSocket echo for short frames: answers what it was sent, unmasked."""
    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                         b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
            while True:
                head = await reader.readexactly(2)
                body = await reader.readexactly(4 + (head[1] & 127))
                writer.write(bytes((head[0], head[1] & 127)) + body[4:])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_unix_server(serve, path, backlog=4096)
    os.chmod(path, 0o777)
    await server.serve_forever()


def sign_in_all(port, names):
    """All at once; ends the process, with an error if one could not."""
    failed = []

    def one(name):
        try:
            sign_in(port, name)
        except (SystemExit, OSError) as error:
            failed.append(error)
    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.exit(f"{len(failed)} of {len(names)}: {failed[0]}" if failed else 0)
