"""HTTP: reads requests, asks the accounts, writes JSON."""

import json
import os
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from accounts import history, state, withdraw


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        _, _, account, *rest = url.path.split("/")
        query = dict(parse_qsl(url.query))
        self.answer(lambda: (history if rest else state)(account, query))

    def do_POST(self):
        command = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(lambda: withdraw(self.path.split("/")[2], command))

    def answer(self, ask):
        try:
            status, body = ask()
        except Exception:
            traceback.print_exc()
            status, body = 500, {"error": "please ask again"}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        pass


def serve_forever():
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
