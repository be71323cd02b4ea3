"""Answers over HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import settings


def serve(view):
    """Answer questions in the background."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            if url.path.startswith("/customers/"):
                after = parse_qs(url.query).get("after", [None])[0]
                self.reply(*view.answer(url.path.removeprefix("/customers/"), after))
            else:
                self.reply(503, {})  # TODO (yours): GET /generations/2

        def do_POST(self):
            self.reply(202, {"generation": view.rebuild()})

        def reply(self, status, answer):
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", settings.PORT), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
