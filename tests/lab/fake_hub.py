"""The least hub that jupyterhub-singleuser starts against (hub contract 1.2): for tests/lab/check.sh alone."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, reply = 200, {"version": "6.1.1"}
        if self.path == "/hub/api/user":
            # 403, not 401, is how a hub says "nobody".
            known = self.headers.get("Authorization") == "token visitor"
            status = 200 if known else 403
            reply = {"name": "alice", "kind": "user", "admin": False, "groups": [], "session_id": None,
                     "scopes": ["access:servers!server=alice/"]}
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, format, *args):
        print(format % args)


server = ThreadingHTTPServer((sys.argv[1], 0), Hub)
print(server.server_address[1], file=sys.stderr, flush=True)
server.serve_forever()
