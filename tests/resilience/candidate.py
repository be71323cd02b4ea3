"""A candidate without a browser: what a browser would send, over HTTP."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

SOLUTIONS = Path(__file__).parents[2] / "challenges/idempotent_consumer/solutions"
PATIENCE_S = 240.0


@dataclass(frozen=True)
class Event:
    """A live event, and when it came (seconds of time.monotonic)."""

    at: float
    kind: str
    data: dict


@dataclass
class Candidate:
    """Someone who has accepted the invite of a served platform."""

    address: str
    invite: str
    attempt: str = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.address, timeout=30)
        token = self.find(r'name="csrf_token"[^>]*value="([^"]+)', self.invite)
        form = {"csrf_token": token, "name": "Ada Lovelace", "accept": "y"}
        accepted = self.http.post(self.invite, data=form)
        assert accepted.status_code == 302, accepted.text
        self.attempt = accepted.headers["Location"]
        self.http.headers["X-CSRFToken"] = self.find(r'"csrf": ?"([^"]+)', self.attempt)
        self.revision = 1

    def find(self, pattern: str, path: str) -> str:
        """What a page holds at the first group of a pattern."""
        page = self.http.get(path)
        found = re.search(pattern, page.text)
        assert found, f"{path} ({page.status_code}) has no {pattern}:\n{page.text[:2000]}"
        return found[1]

    def save(self, files: dict[str, str]) -> None:
        body = {"files": files, "base": self.revision}
        self.revision = self.http.put(f"{self.attempt}/files", json=body).json()["revision"]

    def save_solution(self, name: str) -> None:
        """Save a known solution, as in "accepted/transaction_per_event"."""
        texts = {path.name: path.read_text() for path in (SOLUTIONS / name).glob("*.py")}
        self.save(texts)

    def start(self, kind: str = "run") -> dict:
        """Ask for a run; returns the answer."""
        body = {"kind": kind, "revision": self.revision}
        answer = self.http.post(f"{self.attempt}/runs", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def watch(self, events_url: str) -> Iterator[Event]:
        """The run's events to its end, like an EventSource: connecting again when cut off."""
        last, give_up = "0", time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            try:
                headers = {"Last-Event-ID": last}
                with self.http.stream("GET", events_url, headers=headers) as answer:
                    if answer.status_code == 204:
                        return
                    answer.raise_for_status()
                    for seq, event in parse(answer.iter_lines()):
                        last = seq or last
                        yield event
                        if event.kind == "end":
                            return
            except (httpx.TransportError, httpx.HTTPStatusError):
                time.sleep(0.2)  # what a browser does, only sooner
        raise AssertionError(f"{events_url} did not end within {PATIENCE_S:.0f} s")

    def verdict(self, report_url: str) -> str:
        return self.http.get(f"{report_url}.json").json()["verdict"]


def parse(lines: Iterator[str]) -> Iterator[tuple[str | None, Event]]:
    """(id, event) of each event in a stream of server-sent events."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif line == "" and "event" in fields:
            yield (
                fields.get("id"),
                Event(time.monotonic(), fields["event"], json.loads(fields["data"])),
            )
            fields = {}
