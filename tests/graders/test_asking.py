"""Questions over HTTP: what comes back of any answer, and LIV-2 about none."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from graders.asking import BadAnswer, Question, ask
from graders.facts import Asked
from graders.grade import APP, grade
from graders.history import History
from graders.lab import Lab
from graders.spec import CheckUse, Submission
from graders.verdicts import Verdict
from sandbox.box import Box
from sandbox.pool import Pool
from sandbox.runtimes import get_runtime
from tests.graders.challenge import challenge
from tests.graders.histories import Tale, findings, steady, verdicts

PORT = 8080

# Answers each path in another way; "/echo" tells what it was asked.
SERVER = """
import json, socketserver, time
from http.server import BaseHTTPRequestHandler

ODD = {
    "/deep": b"[" * 100_000,
    "/nul": b'"\\\\u0000"',
    "/text": b"yes",
    "/long": b" " * (2 << 20),
}

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/silence":
            time.sleep(60)
        if self.path == "/noise":
            return self.wfile.write(b"not http\\r\\n\\r\\n")
        if self.path == "/break":
            return self.connection.close()
        if self.path == "/drip":
            while True:
                self.wfile.write(b"HTTP/1.1 200 OK\\r\\nX: y")
                time.sleep(0.1)
        told = json.dumps([self.path, json.loads(body or b"null")]).encode()
        content = ODD.get(self.path, told)
        self.send_response(503 if self.path == "/busy" else 200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

print("listening")
Server(("127.0.0.1", 8080), Handler).serve_forever()
"""


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def server(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "main.py").write_text(SERVER)
    python = get_runtime("python")
    up = asyncio.Event()
    box = await Box.start(
        "server",
        command=python.command(APP),
        source=folder,
        mounts=python.mounts,
        env=python.env,
        on_output=lambda stream, line: up.set(),
    )
    await up.wait()
    async with asyncio.timeout(10):  # it says so just before it does
        while True:
            try:
                (await box.connect(PORT)).close()
                break
            except ConnectionRefusedError:
                continue
    yield box
    await box.kill()


@pytest.mark.services
@pytest.mark.asyncio(loop_scope="session")
async def test_question_and_answer_come_as_they_are(server: Box) -> None:
    question = Question("POST", "/echo?at=1", {"amount": 12, "who": "Zoë"})
    assert await ask(server, PORT, question, 5) == (200, ["/echo?at=1", question.body])
    assert await ask(server, PORT, Question("GET", "/echo"), 5) == (200, ["/echo", None])
    assert (await ask(server, PORT, Question("GET", "/busy"), 5))[0] == 503


@pytest.mark.services
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/deep", "nested too deeply"),
        ("/nul", "the character 0"),
        ("/text", "not JSON"),
        ("/long", "longer than"),
        ("/noise", "not HTTP"),
        ("/break", "not HTTP|connection broke"),
        ("/silence", "in time"),
        ("/drip", "in time|not HTTP"),
    ],
)
async def test_an_unusable_answer_is_told_of(server: Box, path: str, why: str) -> None:
    with pytest.raises(BadAnswer, match=why):
        await ask(server, PORT, Question("GET", path), 1.0)


@pytest.mark.services
@pytest.mark.asyncio(loop_scope="session")
async def test_a_port_where_nothing_listens_is_told_of(server: Box) -> None:
    with pytest.raises(BadAnswer, match="nothing listens at port 8099"):
        await ask(server, 8099, Question("GET", "/"), 1.0)


async def asks_twice(lab: Lab) -> None:
    """A question at once and one until it is answered. Exposes programs that do not listen."""
    app = await lab.start("app")
    await lab.ask(app, "GET", "/early")
    asked = await lab.insist(app, "GET", "/echo", within=2.0)
    assert asked.answer == ["/echo", None]


@pytest.mark.services
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("program", "verdict"), [(SERVER, Verdict.PASS), ("import time; time.sleep(99)", Verdict.FAIL)]
)
async def test_a_program_is_asked_until_it_answers(
    program: str, verdict: Verdict, pool: Pool, tmp_path: Path
) -> None:
    asked = replace(
        challenge(asks_twice),
        port=PORT,
        states=(),
        fold=lambda values: {},
        checks=(CheckUse("LIV-2", 1, "Kafka internals"),),
    )
    report = await grade(
        asked,
        Submission({"main.py": program}),
        seed=1,
        pool=pool,
        history_dir=tmp_path,
    )
    assert {c["id"]: c["verdict"] for c in report.data["checks"]} == {"LIV-2": verdict}
    last = History.load(tmp_path / "asks_twice.1.jsonl").last(Asked)
    assert last is not None
    assert last.owed == (verdict == Verdict.FAIL)


def asked(tale: Tale, status: int | None, *, owed: bool, error: str | None = None) -> None:
    tale.append(
        "asked",
        instance="app",
        method="GET",
        path="/balance",
        since=len(tale),
        asked_t=tale.now(),
        status=status,
        error=error,
        owed=owed,
    )


@pytest.mark.parametrize(
    ("status", "owed", "found"),
    [
        (200, True, {}),
        (404, True, {}),
        (503, False, {}),
        (None, False, {}),
        (503, True, {"LIV-2": Verdict.FAIL}),
        (None, True, {"LIV-2": Verdict.FAIL}),
    ],
)
def test_an_owed_answer_must_come(status: int | None, owed: bool, found: dict) -> None:
    tale = steady()
    asked(tale, None, owed=False, error="nothing listens at port 8080")
    asked(tale, status, owed=owed, error=None if status else "the connection broke")
    assert verdicts(tale.end()) == found


def test_what_is_held_while_an_answer_is_owed_is_said() -> None:
    tale = steady()
    tale.fault("applied", target="Fetch")
    asked(tale, 503, owed=True)
    (finding,) = findings(tale.end(), "LIV-2")
    assert "held meanwhile (Fetch) is no reason" in finding.both


def test_what_was_let_go_before_is_not_said_to_be_held() -> None:
    tale = steady()
    tale.fault("applied", target="Fetch")
    tale.fault("released", target="Fetch")
    asked(tale, 503, owed=True)
    (finding,) = findings(tale.end(), "LIV-2")
    assert "nothing of the grader was in the program's way" in finding.both


def test_a_stalled_grader_does_not_accuse_of_silence() -> None:
    tale = steady()
    tale.append("stall", drift_s=0.8)
    asked(tale, None, owed=True, error="there was no whole answer in time")
    assert verdicts(tale.end()) == {"LIV-2": Verdict.INCONCLUSIVE}
