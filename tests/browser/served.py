"""A served platform, and the few things that every browser test does on it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

ROOT = Path(__file__).parents[2]
SOLUTIONS = ROOT / "challenges" / "idempotent_consumer" / "solutions"
START_S = 280.0  # the first start on a machine downloads and builds
JUDGED_MS = 400_000  # usually 10 s, or 40 s for a Submit
UNTIL_WE_DIE = ("setpriv", "--pdeathsig", "TERM")
# The shell has no window to draw, which halves the CPU that a page takes.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
# Debian's Chromium calls home at every start unless told not to.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Platform:
    """One `offsetzero serve`: where it is and how to get in."""

    process: subprocess.Popen
    address: str
    email: str
    password: str
    said: list[str]

    def web_processes(self) -> list[int]:
        """The process ids of the web server: what gunicorn runs, as its master and its workers."""
        ours = descendants(self.process.pid, children_by_parent())
        found = [pid for pid in ours if b"gunicorn" in cmdline(pid)]
        assert found, f"no web process below {self.process.pid}"
        return found

    def kill_web(self) -> None:
        """SIGKILL to every web process at once."""
        for pid in self.web_processes():
            os.kill(pid, signal.SIGKILL)


@contextmanager
def served(state: Path) -> Iterator[Platform]:
    """Start the platform on a free port with a state folder of its own; stop it afterwards."""
    port = free_port()
    process = subprocess.Popen(
        [*UNTIL_WE_DIE, Path(sys.executable).with_name("offsetzero"), "serve", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "OFFSETZERO_STATE": str(state)},
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    try:
        wait_until_ready(process, said)
        yield Platform(process, *entrance("".join(said)), said)
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(process: subprocess.Popen, said: list[str]) -> None:
    """Read what it says until it is ready, and go on reading in the background."""
    ready = threading.Event()

    def listen() -> None:
        for line in process.stderr:
            said.append(line)
            if "Stop with Ctrl-C" in line:
                ready.set()
        ready.set()

    threading.Thread(target=listen, daemon=True).start()
    assert ready.wait(START_S) and process.poll() is None, "did not start:\n" + "".join(said)


def entrance(text: str) -> tuple[str, str, str]:
    """Address, e-mail and password, from what `serve` prints at its first start."""
    address = re.search(r"ready: (\S+)", text)
    login = re.search(r"Interviewer\s+\S+/login\s+(\S+)\s+password: (\S+)", text)
    assert address and login, text
    return address[1], login[1], login[2]


@dataclass
class Watched:
    """A page and everything that went wrong on it."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on("request", self._request)

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, request) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "blob:", "data:")):
            self.problems.append(f"request to {request.url}")

    def forgive(self, *patterns: str) -> None:
        """Drop the problems that this test brings about on purpose."""
        wanted = re.compile("|".join(patterns))
        self.problems = [text for text in self.problems if not wanted.search(text)]


def log_in(page: Page, platform: Platform) -> None:
    page.goto(f"{platform.address}/login")
    page.get_by_label("E-mail").fill(platform.email)
    page.get_by_label("Password").fill(platform.password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Interviews", level=1)).to_be_visible()


def invite(page: Page, platform: Platform, name: str = "Åsa Grünwald", minutes: str = "") -> str:
    """Create an invite as the logged-in interviewer; returns its link."""
    page.goto(f"{platform.address}/interviews/invites/new")
    page.get_by_label("Challenge").select_option("idempotent_consumer")
    page.get_by_label("Candidate's name").fill(name)
    page.get_by_label("Candidate's e-mail").fill("candidate@example.org")
    page.get_by_label("Time limit").fill(minutes)
    page.get_by_role("button", name="Create the link").click()
    return page.get_by_label("Invitation link").input_value()


def accept(page: Page, link: str, language: str = "Python") -> None:
    """Open an invite as the candidate and begin, in a language."""
    page.goto(link)
    page.get_by_label("Language").select_option(label=language)
    page.get_by_label("I have read how my data is used.").check()
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".cm-content")).to_be_visible()


def candidate(context: BrowserContext, link: str) -> Page:
    page = context.new_page()
    accept(page, link)
    return page


def write_program(page: Page, text: str, file: str = "main.py") -> None:
    """Replace a file by this text, through the editor."""
    page.get_by_role("button", name=file).click()
    page.locator(".cm-content").click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    expect(page.locator("#saved")).to_have_text(re.compile(r"^Saved \d\d:\d\d:\d\d$"))


def editor_text(page: Page) -> str:
    return "\n".join(page.locator(".cm-line").all_inner_texts())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def children_by_parent() -> dict[int, list[int]]:
    """Every process of the machine, by its parent."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has just ended
        found.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    return found


def descendants(pid: int, everyone: dict[int, list[int]]) -> list[int]:
    below = everyone.get(pid, [])
    return below + [deeper for child in below for deeper in descendants(child, everyone)]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
