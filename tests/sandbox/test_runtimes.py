import subprocess
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from graders.spec import Submission
from sandbox.box import Box
from sandbox.building import BuildRefused, build
from sandbox.process import spawn
from sandbox.runtimes import (
    LANGUAGES,
    available,
    get_runtime,
    golang,
    java,
    language_of,
    problems,
)
from sandbox.runtimes.python import INSIDE
from sandbox.setup import prepare

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
        ({"main.py": "1\n"}, "no main.js, with which the program begins"),
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


def jdk(home: Path, version: str) -> Path:
    """Something that looks like a JDK."""
    for tool in ("java", "javac", "jlink"):
        path = home / "bin" / tool
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        path.chmod(0o755)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def test_the_newest_jdk_that_is_new_enough_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(java.shutil, "which", lambda tool: None)
    homes = [jdk(tmp_path / v, v) for v in ("11.0.2", "17.0.15", "9.0.4", "25")]
    broken = jdk(tmp_path / "99", "99")
    (broken / "bin" / "jlink").unlink()
    monkeypatch.setattr(java, "_homes", lambda: iter([*homes, broken, tmp_path / "none"]))
    assert java.find_jdk() == tmp_path / "25"
    monkeypatch.setattr(java, "_homes", lambda: iter(homes[:1]))
    assert java.find_jdk() is None
    assert "no JDK 17 or newer here. On Debian" in get_runtime("java").missing()
    assert available(["java", "python"]) == ["python"]


def go_root(root: Path, version: str) -> Path:
    """Something that looks like a Go."""
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "go").write_text("")
    (root / "bin" / "go").chmod(0o755)
    (root / "VERSION").write_text(f"go{version}\ntime 2026-01-01T00:00:00Z\n")
    return root


def test_the_newest_go_that_is_new_enough_is_taken(tmp_path, monkeypatch):
    roots = [go_root(tmp_path / v, v) for v in ("1.19.8", "1.26.8", "1.26.10", "1.9")]
    monkeypatch.setattr(golang, "_roots", lambda: iter([*roots, tmp_path / "none"]))
    assert golang.find_go() == tmp_path / "1.26.10"
    monkeypatch.setattr(golang, "_roots", lambda: iter(roots[:1]))
    assert golang.find_go() is None
    assert "no Go 1.26 or newer here" in get_runtime("go").missing()


@pytest.mark.parametrize("path", ["go.mod", "go.sum", "lib/go.mod", "go.work", "vendor/x/y.go"])
def test_a_go_module_of_ones_own_is_refused(path: str):
    (found,) = problems("go", {"main.go": "package main", path: "x"})
    assert found.startswith(f"{path}: leave it out. The module is named `program`")


JAVA = """
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.kafka.clients.producer.KafkaProducer;
public class Main {
    public static void main(String[] args) throws Exception {
        System.out.println(new ObjectMapper().readTree("[1]") + greeting.Words.HELLO);
        System.out.println(KafkaProducer.class + " " + org.postgresql.Driver.class);
    }
}
"""
GO = """
package main

import (
	"fmt"
	"program/greeting"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	_, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"))
	fmt.Println(greeting.Hello, err, pgxpool.NewWithConfig != nil)
}
"""
WORDS = 'package greeting; public class Words { public static final String HELLO = " hello"; }'
BUILT = {
    "java": (
        {"Main.java": JAVA, "greeting/Words.java": WORDS},
        [
            "[1] hello",
            "class org.apache.kafka.clients.producer.KafkaProducer class org.postgresql.Driver",
        ],
    ),
    "go": (
        {"main.go": GO, "greeting/words.go": 'package greeting\n\nconst Hello = "hello"\n'},
        ["hello <nil> true"],
    ),
}


async def run_built(language: str, files: dict[str, str], folder: Path) -> list[str]:
    """What a program prints that is built and started as candidates' programs are."""
    runtime, printed = get_runtime(language), list[str]()
    if missing := runtime.missing():
        pytest.xfail(missing)  # also in CI: it has what Debian and the registries have
    await prepare(print)
    source = folder / "source"
    Submission(files, language).write_to(source)
    box = await Box.start(
        language,
        command=runtime.command(Path("/app")),
        source=await build(runtime, source, folder / "built", lambda *line: None),
        mounts=runtime.mounts,
        env=runtime.env,
        on_output=lambda stream, line: printed.append(line),
    )
    assert (await box.wait()).code == 0, printed
    return printed


@pytest.mark.services
@pytest.mark.parametrize("language", BUILT)
async def test_a_program_with_packages_finds_the_promised_libraries(language: str, tmp_path):
    files, printed = BUILT[language]
    assert await run_built(language, files, tmp_path) == printed


@pytest.mark.services
@pytest.mark.parametrize(
    ("language", "files", "said"),
    [
        ("java", {"Main.java": 'class Main { int x = ""; }'}, "Main.java:1: error: incompatible"),
        ("java", {"Main.java": "", "a b/X.java": "class"}, "a b/X.java:1: error: "),
        ("go", {"main.go": "package main\n\nfunc main() { x }\n"}, "./main.go:3:15: undefined: x"),
        ("go", {"main.go": 'package main\n\nimport "net/nothing"\n'}, "main.go:3:8: package net"),
    ],
)
async def test_what_cannot_be_compiled_is_told_as_the_compiler_says(
    language, files, said, tmp_path
):
    with pytest.raises(BuildRefused) as refusal:
        await run_built(language, files, tmp_path)
    assert any(line.startswith(said) for line in refusal.value.said), refusal.value.said
