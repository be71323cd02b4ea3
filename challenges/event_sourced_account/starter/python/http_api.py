"""HTTP: reads requests, asks the accounts, writes JSON."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import settings
from accounts import Accounts

log = logging.getLogger("http")


class Handler(BaseHTTPRequestHandler):
    """One request; each has a thread of its own."""

    def do_GET(self):
        url = urlsplit(self.path)
        _, _, account, *rest = url.path.split("/")
        query = dict(parse_qsl(url.query))
        self.answer(lambda accounts: accounts.history(account, query)
                    if rest == ["history"] else accounts.state(account, query))

    def do_POST(self):
        command = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        account = self.path.split("/")[2]
        self.answer(lambda accounts: accounts.withdraw(account, command))

    def answer(self, ask):
        try:
            accounts = Accounts()
            with accounts.database:
                status, body = ask(accounts)
        except Exception:
            log.exception("%s", self.path)
            status, body = 500, {"error": "please ask again"}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        pass


def serve():
    """Answer in threads of their own until the program ends."""
    server = ThreadingHTTPServer(("127.0.0.1", settings.PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
