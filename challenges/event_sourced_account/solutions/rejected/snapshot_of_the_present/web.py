"""HTTP/1.1 with connections that stay open."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy.exc import DBAPIError

from events import change, tell


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        _, _, account, *rest = url.path.split("/")
        events = self.server.store.as_of(account, dict(parse_qsl(url.query)))
        body = {"account": account, "version": len(events)}
        if rest:
            body["events"] = [tell(event) for event in events]
        else:
            body["balance"] = sum(map(change, events))
        self.answer(*(200, body) if events else (404, {"error": "no such account then"}))

    def do_POST(self):
        command = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self.answer(*self.server.store.withdraw(self.path.split("/")[2], command))
        except DBAPIError as error:
            self.answer(503, {"error": str(error.orig)})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


def serve(store):
    server = ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler)
    server.store = store
    server.serve_forever()
