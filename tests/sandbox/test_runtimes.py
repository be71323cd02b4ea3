import subprocess
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from sandbox.box import Box
from sandbox.process import spawn
from sandbox.runtimes import LANGUAGES, get_runtime, language_of, problems
from sandbox.runtimes.python import INSIDE

PACKAGES = "confluent_kafka, aiokafka, kafka, psycopg, psycopg2, asyncpg, sqlalchemy, httpx"

GOOD = {"main.py": "print('hello')\n", "README.md": "not (Python\n"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_is_started_by_its_entry_point(language: str):
    runtime = get_runtime(language)
    assert runtime.language == language
    assert problems(language, {runtime.entry_point: "1\n"}) == []
    assert language_of(["lib/x", runtime.entry_point]) == language


def test_an_unknown_language_is_an_error_that_names_the_known():
    with pytest.raises(ValueError, match=r"cobol.*python"):
        get_runtime("cobol")


def test_a_sound_program_has_no_problem():
    assert problems("python", GOOD) == []


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "empty"),
        ({"main.py": " \n", "other.py": ""}, "empty"),
        ({"app.py": "1\n"}, "no main.py"),
        ({"main.py": "", "app.py": "1\n"}, "main.py is empty"),
        ({"src/main.py": "1\n"}, "no main.py"),
        ({"main.py": "1\n", "lib/db.py": "def f(:\n"}, "lib/db.py, line 1: invalid syntax"),
        ({"main.py": "\n\nif True:\nprint()\n"}, "main.py, line 4: expected an indented block"),
        ({"main.py": "print('\0')\n"}, "null bytes"),
        ({"main.py": "x = '\ud800'\n"}, "surrogates"),
        ({"main.py": "(" * 1000 + ")" * 1000}, "too many nested parentheses"),
        ({"main.py": "-" * 100_000 + "1"}, "main.py"),
        ({"main.py": "x" + ".a" * 100_000}, "main.py"),
    ],
)
def test_a_broken_program_is_told_what_is_wrong(files: dict[str, str], problem: str):
    (found,) = problems("python", files)
    assert problem in found


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "empty"),
        ({"main.py": "1\n"}, "no main.js: the program is started as `node main.js`"),
        ({"main.js": "const a = (;\n"}, "main.js, line 1: Unexpected token ';'"),
        ({"main.js": "import x from 'y';\n\nlet a = ;\n"}, "main.js, line 3: Unexpected token"),
        ({"main.js": "1", "lib/b.mjs": "x = = 2"}, "lib/b.mjs, line 1: Unexpected token '='"),
        ({"main.js": "(" * 100_000}, "main.js: Maximum call stack size exceeded"),
    ],
)
def test_a_broken_node_program_is_told_what_is_wrong(files: dict[str, str], problem: str):
    (found,) = problems("node", files)
    assert problem in found


@pytest.mark.parametrize(
    "text",
    [
        "const { Kafka } = require('kafkajs');\nreturn;",
        "import { Kafka } from 'kafkajs';\nawait Kafka;\nexport const x = 1;",
        "const x = '\ud800';",
    ],
)
def test_both_kinds_of_node_programs_are_sound(text: str):
    assert problems("node", {"main.js": text}) == []


def test_checking_runs_nothing_of_a_node_program(tmp_path):
    trace = tmp_path / "ran"
    assert problems("node", {"main.js": f"require('fs').writeFileSync({str(trace)!r}, '')"}) == []
    assert not trace.exists()


def test_each_broken_file_is_named():
    found = problems("python", {"main.py": "(", "b.py": ")", "c.py": "1"})
    assert [problem.split(",")[0] for problem in found] == ["b.py", "main.py"]


def test_checking_runs_nothing_of_the_program(tmp_path):
    trace = tmp_path / "ran"
    files = {"main.py": f"open({str(trace)!r}, 'w')\n", "ast.py": "raise SystemExit\n"}
    assert problems("python", files) == []
    assert not trace.exists()


async def run_python(code: str) -> str:
    """Run the candidates' Python outside a box, as the unprivileged user when we are root."""
    runtime = get_runtime("python")
    folder = str(runtime.folder())
    env = {name: value.replace(INSIDE, folder) for name, value in runtime.env.items()}
    child = await spawn([f"{folder}/bin/python", "-c", code], env=env, output=subprocess.PIPE)
    output, errors = await child.communicate()
    assert child.returncode == 0, errors.decode()
    return output.decode().strip()


@pytest.mark.services
async def test_the_promised_packages_are_there():
    assert await run_python(f"import {PACKAGES}, ssl, sqlite3, ctypes; print('all')") == "all"


@pytest.mark.services
async def test_nothing_of_this_machine_is_importable():
    found = await run_python("import sys; print([p for p in sys.path if p])")
    folder = str(get_runtime("python").folder())
    assert all(path.startswith(folder) for path in eval(found))


@pytest.mark.services
def test_every_module_is_compiled_already():
    sources = list(get_runtime("python").folder().rglob("*.py"))
    assert len(sources) > 1000
    assert not [path for path in sources if not Path(cache_from_source(path)).exists()]


@pytest.mark.services
@pytest.mark.parametrize(
    "program",
    [
        "require('kafkajs'); require('@platformatic/kafka'); require('pg'); console.log('all')",
        "import 'kafkajs'; import '@platformatic/kafka'; import 'pg'; console.log('all');",
    ],
)
async def test_the_promised_node_packages_are_there(program: str, tmp_path):
    box_output: list[str] = []
    (tmp_path / "main.js").write_text(program)
    runtime = get_runtime("node")
    box = await Box.start(
        "node",
        command=runtime.command(Path("/app")),
        source=tmp_path,
        mounts=runtime.mounts,
        env=runtime.env,
        on_output=lambda stream, line: box_output.append(line),
    )
    assert (await box.wait()).code == 0, box_output
    assert box_output == ["all"]
