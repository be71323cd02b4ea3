"""The HTTP side, one connection to the database for each request."""

import json
import os
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from store import connect, read, withdraw


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.handle_with(self.look)

    def do_POST(self):
        self.handle_with(self.withdraw)

    def handle_with(self, method):
        try:
            db = connect()
            try:
                status, body = method(db, urlsplit(self.path))
            finally:
                db.close()
        except Exception:
            traceback.print_exc()
            status, body = 503, {}
        self.send_response(status)
        content = json.dumps(body).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def look(self, db, url):
        parts = url.path.split("/")
        account = read(db, parts[2]).as_of(dict(parse_qsl(url.query)))
        if not account.version:
            return 404, {}
        body = {"account": account.name, "version": account.version, "balance": account.balance}
        if len(parts) > 3:
            body["events"] = account.history()
        return 200, body

    def withdraw(self, db, url):
        command = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return withdraw(db, url.path.split("/")[2], command)

    def log_message(self, *args):
        pass


def serve_forever():
    ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
