"""The catalogue: every folder beside this file that holds a challenge.toml is a challenge.

Reading is strict. A key that is unknown, missing, or of the wrong kind is an error that names the
file and the key, so that a slip is found by the challenge's author and not by a candidate.
"""

import importlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, get_origin, get_type_hints

from graders.checks import CHECKS
from graders.spec import (
    ROLES,
    SKILLS,
    AnnouncementSpec,
    AppSpec,
    Challenge,
    CheckUse,
    ChoreographySpec,
    EffectTable,
    EffectTopic,
    OutboxSpec,
    ProjectionSpec,
    SagaSpec,
    SagaStep,
    Scenario,
    ServiceSpec,
    StateTable,
    Submission,
    TopicSpec,
)
from sandbox.box import Limits
from sandbox.runtimes import LANGUAGES

FOLDER = Path(__file__).parent
LEVELS = ("entry", "middle", "senior")
NEEDS = ("redelivery",)
# What TOML gives for a field of these types; for any other type, the type itself.
IN_TOML: Mapping[Any, Any] = {tuple: list, Mapping: dict, float: (int, float)}
FOLLOW_UP = re.compile(r"^### ([A-Z]{2,3}-\d+)\b.*\n((?:(?!#).*\n?)*)", re.MULTILINE)

T = TypeVar("T")


class CatalogueError(Exception):
    """A challenge's folder is not as it must be. The message names the file and the key."""


@dataclass(frozen=True)
class Description:
    """The keys of challenge.toml. `checks` holds weight and skill by check id; `limits` are those
    of the box, where they differ from its defaults."""

    title: str
    summary: str
    level: str
    minutes: int
    languages: tuple[str, ...]
    topics: tuple[Any, ...]
    checks: Mapping[str, Any]
    scenarios: tuple[Any, ...]
    effects: tuple[Any, ...] = ()
    states: tuple[Any, ...] = ()
    services: tuple[Any, ...] = ()
    apps: tuple[Any, ...] = ()
    saga: Mapping[str, Any] = field(default_factory=dict)
    choreography: Mapping[str, Any] = field(default_factory=dict)
    outbox: Mapping[str, Any] = field(default_factory=dict)
    projection: Mapping[str, Any] = field(default_factory=dict)
    timer_s: float = 0.0
    port: int = 0
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ScenarioEntry:
    """The keys of one [[scenarios]] entry; `name` is the function's name in scenarios.py."""

    name: str
    title: str
    visible: bool = False
    needs: tuple[str, ...] = ()


def names() -> list[str]:
    """The names of all challenges, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/challenge.toml"))


def load(name: str) -> Challenge:
    """The challenge of that name.

    Raises KeyError with the known names when there is none, CatalogueError when the folder is not
    as it must be.
    """
    if name not in names():
        raise KeyError(f"no challenge {name!r}; there are: {', '.join(names())}")
    return load_folder(FOLDER / name, importlib.import_module(f"challenges.{name}.scenarios"))


def load_folder(folder: Path, module: ModuleType) -> Challenge:
    """The challenge that a folder describes; `module` is its scenarios.py."""
    file = folder / "challenge.toml"
    told = build(Description, read_toml(file), str(file))
    rubric = read(folder / "rubric.md")
    return Challenge(
        name=folder.name,
        title=told.title,
        summary=told.summary,
        level=known(told.level, LEVELS, f"{file}: level"),
        minutes=told.minutes,
        languages=tuple(known(x, LANGUAGES, f"{file}: languages") for x in told.languages),
        topics=tuple(topic(entry, file) for entry in told.topics),
        schema_sql=read(folder / "schema.sql"),
        effects=tuple(effect(entry, file) for entry in told.effects),
        states=build_each(StateTable, told.states, f"{file}: states"),
        checks=tuple(check_use(id, use, told.checks, file) for id, use in told.checks.items()),
        scenarios=tuple(scenario(entry, module, file) for entry in told.scenarios),
        expected=member(module, "expected"),
        fold=member(module, "fold"),
        sentinel=member(module, "sentinel"),
        **({"sentinels": module.sentinels} if hasattr(module, "sentinels") else {}),
        **({"identify": module.identify} if hasattr(module, "identify") else {}),
        services=build_each(ServiceSpec, told.services, f"{file}: services"),
        declared=build_each(AppSpec, told.apps, f"{file}: apps"),
        **({"serve": member(module, "serve")} if told.services else {}),
        saga=saga(told.saga, f"{file}: saga") if told.saga else None,
        choreography=choreography(told.choreography, f"{file}: choreography"),
        outbox=build(OutboxSpec, told.outbox, f"{file}: outbox") if told.outbox else None,
        **projection(told.projection, module, f"{file}: projection"),
        **({"tally": module.tally} if hasattr(module, "tally") else {}),
        timer_s=told.timer_s,
        port=told.port,
        limits=build(Limits, told.limits, f"{file}: limits") if told.limits else None,
        statement=read(folder / "statement.md"),
        rubric=rubric,
        questions=questions(rubric),
        starter={language: starter(folder / "starter" / language) for language in told.languages},
    )


def topic(entry: Any, file: Path) -> TopicSpec:
    found = build(TopicSpec, entry, f"{file}: topics")
    known(found.role, ROLES, f"{file}: topics.{found.name}.role")
    return found


def effect(entry: Any, file: Path) -> EffectTable | EffectTopic:
    if isinstance(entry, dict) and "topic" in entry:
        return build(EffectTopic, entry, f"{file}: effects")
    return build(EffectTable, entry, f"{file}: effects")


def saga(table: Mapping[str, Any], where: str) -> SagaSpec:
    steps = build_each(SagaStep, table.get("steps", ()), f"{where}.steps")
    return build(SagaSpec, {**table, "steps": list(steps)}, where)


def choreography(table: Mapping[str, Any], where: str) -> ChoreographySpec | None:
    if not table:
        return None
    told = build_each(AnnouncementSpec, table.get("announcements", ()), f"{where}.announcements")
    return build(ChoreographySpec, {**table, "announcements": list(told)}, where)


def projection(table: Mapping[str, Any], module: ModuleType, where: str) -> dict[str, Any]:
    if not table:
        return {}
    spec = build(ProjectionSpec, table, where)
    return {"projection": spec, "project": member(module, "project")}


def check_use(id: str, use: Mapping[str, Any], counted: Iterable[str], file: Path) -> CheckUse:
    known(id, CHECKS, f"{file}: checks")
    other = CHECKS[id].leaves_to
    if other and other not in counted:
        why = f"{id} leaves some of what it finds to {other}, so that must count too"
        raise CatalogueError(f"{file}: checks: {other!r} is missing; {why}")
    found = build(CheckUse, {"id": id, **use}, f"{file}: checks.{id}")
    known(found.skill, SKILLS, f"{file}: checks.{id}.skill")
    return found


def scenario(entry: Any, module: ModuleType, file: Path) -> Scenario:
    """A scenario with the function that plays it, which must say what mistake it exposes."""
    where = f"{file}: scenarios"
    told = build(ScenarioEntry, entry, where)
    run = member(module, told.name)
    if not run.__doc__:
        raise CatalogueError(f"{module.__name__}.{told.name} has no docstring: which mistake?")
    needs = frozenset(known(need, NEEDS, f"{where}.{told.name}.needs") for need in told.needs)
    return Scenario(told.name, told.title, run, told.visible, needs)


def starter(folder: Path) -> Mapping[str, str]:
    if not folder.is_dir():
        raise CatalogueError(f"{folder}: no such folder; every language needs a starter")
    return Submission.read(folder).files


def questions(rubric: str) -> Mapping[str, Sequence[str]]:
    """The follow-up questions of a rubric: the list below each heading that begins with a check id,
    `### EFF-2 duplicate effect`."""
    return {
        id: [" ".join(item.split()) for item in re.split(r"^- ", body, flags=re.MULTILINE)[1:]]
        for id, body in FOLLOW_UP.findall(rubric)
    }


def build_each(kind: type[T], tables: Iterable[Any], where: str) -> tuple[T, ...]:
    return tuple(build(kind, table, where) for table in tables)


def build(kind: type[T], table: Any, where: str) -> T:
    """A dataclass from a TOML table: its fields' types and defaults say what the table may hold.

    Raises CatalogueError that begins with `where` and names the key.
    """
    if not isinstance(table, dict):
        raise CatalogueError(f"{where}: expected a table, found {table!r}")
    types = get_type_hints(kind)
    if unknown := table.keys() - types.keys():
        raise CatalogueError(f"{where}: unknown key {min(unknown)!r}; known: {', '.join(types)}")
    if missing := required(kind) - table.keys():
        raise CatalogueError(f"{where}: {min(missing)!r} is missing")
    for key, value in table.items():
        if not fits(value, types[key]):
            raise CatalogueError(f"{where}: {key!r} is of the wrong kind: {value!r}")
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in table.items()})


def required(kind: Any) -> set[str]:
    return {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}


def fits(value: Any, hint: Any) -> bool:
    """Whether a TOML value may fill a field of this type."""
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    origin = get_origin(hint) or hint
    return isinstance(value, IN_TOML.get(origin, origin))


def known(value: str, allowed: Iterable[str], where: str) -> str:
    if value not in allowed:
        raise CatalogueError(f"{where}: {value!r} is not one of {', '.join(sorted(allowed))}")
    return value


def member(module: ModuleType, name: str) -> Any:
    if not hasattr(module, name):
        raise CatalogueError(f"{module.__name__} has no function {name!r}")
    return getattr(module, name)


def read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read(file))
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"{file}: {error}") from error


def read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise CatalogueError(f"{file}: {error.strerror}") from error
