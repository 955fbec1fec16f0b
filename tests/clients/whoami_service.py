"""A service as people write them with JupyterHub's library: HubOAuthenticated for people, HubAuthenticated for tokens.

Below its prefix: `/` signs a person in through the hub and shows who it is; `/token` takes a token in the header and
never redirects; `/open` asks nobody.
"""

import json
import os
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubAuthenticated, HubOAuthCallbackHandler, HubOAuthenticated
from jupyterhub.utils import url_path_join
from tornado.ioloop import IOLoop
from tornado.web import Application, RequestHandler, authenticated

PREFIX = os.environ["JUPYTERHUB_SERVICE_PREFIX"]


class Who:
    @authenticated
    def get(self):
        user = self.get_current_user()
        self.set_header("Content-Type", "application/json")
        seen = {name: value for name, value in self.request.headers.items() if name.lower() not in ("cookie",)}
        cookies = sorted(self.request.cookies)
        self.write(json.dumps({"user": user, "headers": seen, "cookies": cookies}))


class WithOAuth(Who, HubOAuthenticated, RequestHandler):
    pass


class WithToken(Who, HubAuthenticated, RequestHandler):
    def get_login_url(self):
        # A program is told so instead of being sent to a page.
        return None

    def prepare(self):
        if self.get_current_user() is None:
            self.set_status(403)
            self.finish("no token that we know")


class Open(RequestHandler):
    def get(self):
        self.write({"environment": {name: value for name, value in os.environ.items() if name.startswith("JUPYTERHUB_") and "TOKEN" not in name},
                    "headers": dict(self.request.headers), "pid": os.getpid()})


def main():
    application = Application(
        [
            (PREFIX, WithOAuth),
            (url_path_join(PREFIX, "oauth_callback"), HubOAuthCallbackHandler),
            (url_path_join(PREFIX, "token"), WithToken),
            (url_path_join(PREFIX, "open"), Open),
        ],
        cookie_secret=os.urandom(32),
    )
    address = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    application.listen(address.port, address.hostname)
    IOLoop.current().start()


main()
