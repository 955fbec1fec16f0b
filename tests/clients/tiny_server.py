"""The smallest thing that counts as a server: answers everything with 200 where the hub tells it to listen.

Some names behave otherwise, so that a test can see a start that is slow or fails:
  slow…   listens only once the file `go-<name>` exists in TINY_FOLDER
  broken… says why on standard error and ends with status 7

What the hub has given it is in `environment-<user>-<server>.json` there, since a server's token is worth a test too.
"""

import http.server
import json
import os
import sys
import time
import urllib.parse

user = os.environ.get("JUPYTERHUB_USER", "")
folder = os.environ.get("TINY_FOLDER", "/tmp")
record = os.path.join(folder, f"environment-{user}-{os.environ.get('JUPYTERHUB_SERVER_NAME', '')}.json")
with open(record + ".new", "w") as file:
    json.dump(dict(os.environ), file)
os.replace(record + ".new", record)
if user.startswith("broken"):
    print("tiny: this one never works", file=sys.stderr)
    sys.exit(7)
if user.startswith("slow"):
    sign = os.path.join(folder, f"go-{user}")
    while not os.path.exists(sign):
        time.sleep(0.02)

address = urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"version": "tiny", "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((address.hostname or "127.0.0.1", address.port), Answers).serve_forever()
