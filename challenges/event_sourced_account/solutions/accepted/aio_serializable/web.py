"""As much of HTTP/1.1 as is needed: one request for each connection."""

import json
import traceback
from urllib.parse import parse_qsl, urlsplit

from accounts import fold


async def respond(accounts, reader, writer):
    try:
        method, path, body = await read_request(reader)
        try:
            status, answer = await decide(accounts, method, urlsplit(path), body)
        except Exception:
            traceback.print_exc()
            status, answer = 500, {}
        content = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
    finally:
        writer.close()


async def read_request(reader):
    line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    method, path, _ = line.split()
    fields = dict(header.lower().split(": ", 1) for header in headers if header)
    body = await reader.readexactly(int(fields.get("content-length", 0)))
    return method, path, json.loads(body) if body else None


async def decide(accounts, method, url, body):
    _, _, name, *rest = url.path.split("/")
    if method == "POST":
        return await accounts.withdraw(name, body)
    log = await accounts.look(name, dict(parse_qsl(url.query)))
    if not log:
        return 404, {}
    if rest:
        return 200, {"account": name, "version": len(log), "events": [tell(e) for e in log]}
    return 200, {"account": name, "version": len(log), "balance": fold(log)}


def tell(entry):
    type = "deposited" if entry["change"] > 0 else "withdrawn"
    return {"version": entry["version"], "type": type, "amount": abs(entry["change"])}
