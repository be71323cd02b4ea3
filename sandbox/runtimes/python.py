"""Python for candidates: our own interpreter's version, with the packages of python.lock.

The interpreter is copied: ours may sit in a home folder that the unprivileged box cannot enter, and
a system one would bring whatever else is installed on this machine.
"""

import asyncio
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from sandbox import assets
from sandbox.home import home
from sandbox.runtimes.making import run_tool

INSIDE = "/opt/python"
LOCK_FILE = Path(__file__).with_name("python.lock")
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
UNNEEDED = ("test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip")
CHECK_TIMEOUT = 10.0

# Runs in a child: the parser may crash, or take long, on a source made for that.
CHECKER = """\
import ast, json, sys
problems = []
for path, text in sorted(json.load(sys.stdin).items()):
    try:
        ast.parse(text, path)
    except SyntaxError as error:
        problems.append(f"{path}, line {error.lineno}: {error.msg}")
    except (ValueError, RecursionError, MemoryError) as error:
        problems.append(f"{path}: {error or 'nested too deeply'}")
json.dump(problems, sys.stdout)
"""


class PythonRuntime:
    language = "python"
    title = "Python"
    entry_point = "main.py"

    def folder(self) -> Path:
        made_from = (LOCK_FILE.read_bytes(), sys.version, sys.base_prefix, platform.machine())
        return home().cache / f"python-{assets.digest(*made_from)}"

    @property
    def mounts(self) -> Mapping[str, Path]:
        return {INSIDE: self.folder()}

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "PATH": f"{INSIDE}/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH": f"{INSIDE}/lib",
            "PYTHONPATH": f"{INSIDE}/packages",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def missing(self) -> str:
        return ""

    def build_command(self, source: Path) -> None:
        return None

    def command(self, source: Path) -> list[str]:
        return [f"{INSIDE}/bin/python", "-u", str(source / self.entry_point)]

    def check(self, files: Mapping[str, str]) -> list[str]:
        return _parse({path: text for path, text in files.items() if path.endswith(".py")})

    async def make(self, target: Path) -> None:
        await asyncio.to_thread(_copy_interpreter, target)
        await asyncio.to_thread(_install_packages, target / "packages")
        await asyncio.to_thread(_compile, target)


RUNTIME = PythonRuntime()


def _parse(sources: Mapping[str, str]) -> list[str]:
    try:
        parsed = subprocess.run(
            [sys.executable, "-I", "-S", "-c", CHECKER],
            input=json.dumps(sources),
            capture_output=True,
            text=True,
            timeout=CHECK_TIMEOUT,
            env={},
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return ["The source is too large or nested too deeply for Python's parser."]
    return json.loads(parsed.stdout)


def _copy_interpreter(target: Path) -> None:
    (target / "bin").mkdir()
    # Behind a virtual environment's link stands the real interpreter.
    shutil.copy2(Path(sys.executable).resolve(), target / "bin" / "python")
    unneeded = shutil.ignore_patterns(
        *UNNEEDED, "site-packages", "dist-packages", "config-*", "__pycache__"
    )
    library = target / "lib"
    shutil.copytree(sysconfig.get_path("stdlib"), library / VERSION, ignore=unneeded)
    shared = Path(sysconfig.get_config_var("LIBDIR")) / sysconfig.get_config_var("INSTSONAME")
    if shared.exists():
        shutil.copy2(shared, library / shared.name)


def _install_packages(target: Path) -> None:
    """Install the locked wheels; no package's own code runs while it is installed."""
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
    ]
    rules = ["--require-hashes", "--only-binary=:all:", "--no-compile", "--root-user-action=ignore"]
    run_tool(
        [*pip, *rules, "--target", target, "-r", LOCK_FILE],
        "Cannot install the Python packages for candidates' programs",
    )
    shutil.rmtree(target / "bin", ignore_errors=True)  # their commands name this machine's Python


def _compile(target: Path) -> None:
    """Compile all modules now: a box cannot write, and would compile them at each start."""
    python: list[str | Path] = [target / "bin" / "python", "-m", "compileall", "-q", "-j", "2"]
    options: list[str | Path] = [
        "--invalidation-mode",
        "unchecked-hash",
        "-s",
        target,
        "-p",
        INSIDE,
    ]
    run_tool(
        [*python, *options, target / "lib", target / "packages"],
        "Cannot compile the Python library for candidates' programs",
        {"LD_LIBRARY_PATH": str(target / "lib")},
    )
