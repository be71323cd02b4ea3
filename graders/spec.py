"""What a challenge is made of, as the graders see it.

A challenge is data (`challenge.toml`, `schema.sql`, texts) and a few pure functions: which effect
an event must have, what the final state must be, what a sentinel looks like. Nothing here runs.
"""

import json
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sandbox.gateway import HttpRequest, HttpResponse
from sandbox.gateway.outside import idempotency_key, read_json
from sandbox.runtimes import get_runtime, language_of

if TYPE_CHECKING:
    from graders.facts import Effect, Sent
    from graders.lab import Lab
    from sandbox.box import Limits

SKILLS = (
    "Kafka internals",
    "Event modelling",
    "Distributed patterns",
    "Production operations",
    "Judgment",
)

MAX_FILES = 60
MAX_FILE_BYTES = 256_000
MAX_TOTAL_BYTES = 1_000_000
FIRST_SERVICE_PORT = 8081
FIRST_LEADER_PORT = 9093

Row = Mapping[str, Any]
# A record's headers in their order; a name may come more than once, and a value may be null.
Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Raw:
    """The bytes of a record's value, when they are not JSON; None is a tombstone."""

    value: bytes | None


@dataclass(frozen=True)
class Event:
    """One event to send. `id` is its identity for the checks; `key` the record's, None when it has
    none; `value` is what it says, sent as JSON unless `raw` gives other bytes. `expect` says which
    effects this one must have, when that is not what the challenge's `expected` makes of its
    value."""

    id: str
    key: str | None
    value: Row
    raw: Raw | None = None
    headers: Headers = ()
    expect: Mapping[str, Row] | None = None

    @property
    def payload(self) -> bytes | None:
        """The record's value as it is sent."""
        return self.raw.value if self.raw else json.dumps(self.value).encode()


@dataclass(frozen=True)
class TopicSpec:
    """A topic of the challenge; every scenario gets a fresh one under a name of its own.

    `name` is what scenarios say and what names the program's variable: "payments" gives
    PAYMENTS_TOPIC (see `variable_of`). `role` says who writes and who reads: the grader sends
    events to an "input" and answers to a "reply" topic, and the program reads both; the program
    writes to an "output" topic, and to an "internal" one that it reads itself. The grader reads
    what the program writes. `led_apart`: to the program it seems to be led by a broker of its own.
    Then it can be made to come late (`Lab.lag`), and a client that loses its connection to that
    broker still has another. Without, librdkafka forgets all brokers, the group's coordinator with
    them, and a send_offsets_to_transaction waits for ever (confluentinc/librdkafka#5511).
    """

    name: str
    partitions: int = 3
    role: str = "input"
    led_apart: bool = False

    @property
    def is_read(self) -> bool:
        """Whether the program reads it."""
        return self.role != "output"

    @property
    def is_written(self) -> bool:
        """Whether the program writes to it."""
        return self.role in ("output", "internal")


def variable_of(topic: str) -> str:
    """The program's variable for a topic: "order-outcomes" gives ORDER_OUTCOMES_TOPIC."""
    return f"{topic.upper().replace('-', '_')}_TOPIC"


ROLES = ("input", "reply", "output", "internal")


@dataclass(frozen=True)
class AppSpec:
    """One of the services that the program itself is started as, told by its variable SERVICE; each
    has a consumer group of its own.

    `reads` are the topics it subscribes to, out of those that the program reads. `effects` are the
    tables and topics where an event that it reads has its effect before the event's offset is
    committed; an effect that waits for further events is not among them.
    """

    name: str
    reads: tuple[str, ...]
    effects: tuple[str, ...]


@dataclass(frozen=True)
class EffectTable:
    """A table in which each row that the program inserts is one effect on the outside world.

    `id` is the column with the event's id; `content` the columns that carry the event's values.
    Other columns (serial numbers, times) are the program's own business.
    """

    table: str
    id: str
    content: tuple[str, ...]


@dataclass(frozen=True)
class EffectTopic:
    """A topic in which each record that the program writes is one effect.

    `id` is the field of the record's JSON value with the event's id, or "" when the challenge's
    `identify` finds the event; `content` the fields that carry the event's values. `repeats`:
    delivery is at least once, so an event's record may come more than once. `dead_letters`: it is a
    dead-letter topic, which family DLQ judges.
    """

    topic: str
    id: str = ""
    content: tuple[str, ...] = ()
    repeats: bool = False
    dead_letters: bool = False


@dataclass(frozen=True)
class ServiceSpec:
    """An outside HTTP service that the program calls and the grader plays: "shipping" gives
    SHIPPING_URL.

    `id` is the field of a request's JSON body with the event's id, or "" when that is its
    Idempotency-Key header. `attempts` is how often the program may call for one record, 0 for any
    number; `pauses` the least seconds between a failed attempt and the next, of which the last goes
    on; `patience` the least seconds that the program waits for an answer; `transient` the statuses
    after which another attempt is due.
    """

    name: str
    id: str = ""
    attempts: int = 0
    pauses: tuple[float, ...] = ()
    patience: float = 0.0
    transient: tuple[int, ...] = (429, 503)

    def identify(self, request: HttpRequest) -> str | None:
        """The id of the event that a request is about; None when it names none."""
        found = request.field(self.id) if self.id else idempotency_key(request)
        return found if isinstance(found, str) else None


# How a service answers an instance's request.
Answer = Callable[[str, HttpRequest], Awaitable[HttpResponse]]


@dataclass(frozen=True)
class OutputRecord:
    """A record that the program wrote, as a read_committed reader got it. `topic` is the name that
    the challenge uses."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def header(self, name: str) -> bytes | None:
        """The last header of a name, as Kafka's lastHeader; None when there is none."""
        return dict(self.headers).get(name)

    @cached_property
    def json(self) -> Any:
        """The value as JSON; None when it is none, or none that a history can hold."""
        try:
            return read_json(self.value or b"")
        except ValueError:
            return None

    def field(self, name: str) -> Any:
        """A field of the value; None when the value is no JSON object or has no such field."""
        return self.json.get(name) if isinstance(self.json, dict) else None


@dataclass(frozen=True)
class StateTable:
    """A table whose final rows must equal the fold of all events.

    `absent` holds the values that a missing row stands for, so that a row of zeros equals no row.
    """

    table: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    absent: Row = field(default_factory=dict)


@dataclass(frozen=True)
class SagaStep:
    """A step of a saga: the action that a command asks for, and the one that undoes it ("" for
    none). `moves` are the fields of the saga's event that the command carries: whose, and, where
    there is a second, how much of what is conserved. The `pivot` is the last step that may be
    refused; it cannot be undone."""

    action: str
    undo: str = ""
    moves: tuple[str, ...] = ()
    pivot: bool = False


@dataclass(frozen=True)
class SagaSpec:
    """What each event of an input topic begins, when it is a saga: its steps in their order, the
    output topic that tells how each ended ("completed" or "cancelled"), and the seconds after which
    a reply is overdue."""

    outcomes: str
    overdue_s: float
    steps: tuple[SagaStep, ...]


@dataclass(frozen=True)
class AnnouncementSpec:
    """A type of event by which a service of the program tells the others what it did.

    Of the types of a `step` exactly one is announced about each subject. `causes` are the types of
    events in answer to which it may be announced, in the order in which they usually happen;
    `needs` are those that must all have happened; one of `unless`, when it was dealt with before,
    forbids it. `row` is the table with the local change that it tells of, whose id is the subject;
    "" when there is none.
    """

    type: str
    step: str
    causes: tuple[str, ...]
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    row: str = ""

    def is_due(self, told: Set[str]) -> bool:
        """Whether events of these types call for it."""
        return not told.isdisjoint(self.causes) and told >= set(self.needs)


@dataclass(frozen=True)
class ChoreographySpec:
    """The contract of services that only listen to one another: `subject` is the field of an
    event's value that says what it is about, `begins` the type of event that begins a subject."""

    subject: str = ""
    begins: str = ""
    announcements: tuple[AnnouncementSpec, ...] = ()

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "ChoreographySpec":
        """The contract that a history tells of; an empty one when it tells of none."""
        if not told:
            return cls()
        specs = tuple(AnnouncementSpec(**each) for each in told["announcements"])
        return cls(told["subject"], told["begins"], specs)

    @cached_property
    def types(self) -> frozenset[str]:
        """All types that the contract knows."""
        return frozenset(
            type
            for spec in self.announcements
            for type in (spec.type, *spec.causes, *spec.needs, *spec.unless)
        )


@dataclass(frozen=True)
class OutboxSpec:
    """A table of which each committed row must become one event in a topic, whoever wrote it.

    `aggregate` and `version` name the columns that say what a row is about and its place in the
    order of that, `content` the others that the event must carry; its fields have the columns'
    names, its key is the aggregate. `id` is the column that is numbered by a sequence, `event_id`
    the field with the event's identity, `mark` the boolean column that says of a row that it is
    published.
    """

    table: str
    topic: str
    id: str
    aggregate: str
    version: str
    content: tuple[str, ...]
    event_id: str
    mark: str


@dataclass(frozen=True)
class ProjectionSpec:
    """A view that the program makes of its topics and that it is asked for over HTTP (family PRJ):
    `queries` is the path below which its rows are ("/customers/"), `rebuild` the path to which a
    POST asks for a rebuild."""

    queries: str
    rebuild: str


@dataclass(frozen=True)
class CheckUse:
    """That a challenge counts a check: its weight in the score and the skill it speaks for."""

    id: str
    weight: int
    skill: str


@dataclass(frozen=True)
class Scenario:
    """One story of what happens to the program.

    `run` drives it; its docstring says which mistake it exposes. `visible` scenarios are the ones
    that Run plays. `needs` names what must have happened for the scenario to say anything:
    "redelivery" (some record owed again to the program after its effect) is the one known need.
    """

    name: str
    title: str
    run: Callable[["Lab"], Awaitable[None]]
    visible: bool = False
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Challenge:
    """Everything about one challenge.

    `expected(value)` gives, for an event's value, the row that each effect table must get once:
    `{"ledger": {"account": "A-1", "amount": 120}}`; a table left out must get none.
    `fold(values)` gives the rows each state table must end with when every value counts once.
    `tally(effects)` gives them instead, from the effects seen, where the outcome of a race decides
    which effects an event has. `identify(record, sent)` finds the id of the event that a record of
    an EffectTopic is about, among the events sent, where no field of its value says so; None when
    there is none.
    `sentinel(rng)` makes an ordinary event; the graders send some at the end to see that everything
    before them was dealt with. `sentinels` does so by topic, where the topics' events differ.
    `project(id, events)` gives the row of a view that these events, as (topic, value) in the order
    of each partition, add up to; None for no row. `serve(lab)` gives the answers of the
    services by name, anew for each scenario; they must take any request. `timer_s` is the
    longest time for which the statement lets a program wait and do nothing. `port` is where the
    program serves HTTP, told by its variable PORT; 0 when it does not. `limits` None means the
    box's own defaults.
    `questions` are the rubric's follow-up questions by check id; `starter` the first files by
    language.
    """

    name: str
    title: str
    summary: str
    level: str
    minutes: int
    languages: tuple[str, ...]
    topics: tuple[TopicSpec, ...]
    schema_sql: str
    effects: tuple[EffectTable | EffectTopic, ...]
    states: tuple[StateTable, ...]
    checks: tuple[CheckUse, ...]
    scenarios: tuple[Scenario, ...]
    expected: Callable[[Row], Mapping[str, Row]]
    fold: Callable[[Sequence[Row]], Mapping[str, Sequence[Row]]]
    sentinel: Callable[[random.Random], Event]
    identify: Callable[[OutputRecord, Sequence["Sent"]], str | None] = lambda record, sent: None
    sentinels: Mapping[str, Callable[[random.Random], Event]] = field(default_factory=dict)
    projection: ProjectionSpec | None = None
    project: Callable[[str, Sequence[tuple[str, Row]]], Row | None] = lambda id, events: None
    services: tuple[ServiceSpec, ...] = ()
    serve: Callable[["Lab"], Mapping[str, Answer]] = lambda lab: {}
    declared: tuple[AppSpec, ...] = ()
    saga: SagaSpec | None = None
    choreography: ChoreographySpec | None = None
    outbox: OutboxSpec | None = None
    tally: Callable[[Sequence["Effect"]], Mapping[str, Sequence[Row]]] | None = None
    timer_s: float = 0.0
    port: int = 0
    limits: "Limits | None" = None
    statement: str = ""
    rubric: str = ""
    questions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    starter: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def apps(self) -> tuple[AppSpec, ...]:
        """What the program is started as: the apps that the challenge has `declared`, else one
        without a name, which reads all and has all effects."""
        reads = tuple(topic.name for topic in self.topics if topic.is_read)
        effects = (e.table if isinstance(e, EffectTable) else e.topic for e in self.effects)
        return self.declared or (AppSpec("", reads, tuple(effects)),)

    @property
    def effect_tables(self) -> list[EffectTable]:
        """The effects that are rows of the program's database."""
        return [effect for effect in self.effects if isinstance(effect, EffectTable)]

    @property
    def effect_topics(self) -> list[EffectTopic]:
        """The effects that are records written by the program."""
        return [effect for effect in self.effects if isinstance(effect, EffectTopic)]

    @property
    def service_ports(self) -> dict[int, ServiceSpec]:
        """The services by the port at which the program finds them."""
        return dict(enumerate(self.services, FIRST_SERVICE_PORT))

    @property
    def leader_ports(self) -> dict[str, int]:
        """The ports at which the program finds the leaders of the topics that are led apart."""
        apart = (topic.name for topic in self.topics if topic.led_apart)
        return {name: port for port, name in enumerate(apart, FIRST_LEADER_PORT)}

    def scenario(self, name: str) -> Scenario:
        """The scenario of that name; KeyError with the known names when there is none."""
        for scenario in self.scenarios:
            if scenario.name == name:
                return scenario
        known = ", ".join(s.name for s in self.scenarios)
        raise KeyError(f"{self.name} has no scenario {name!r}; it has: {known}")


@dataclass(frozen=True)
class Submission:
    """A program to be judged: its files as text by relative path, and its language."""

    files: Mapping[str, str]
    language: str = "python"

    @classmethod
    def read(cls, path: Path, language: str = "") -> "Submission":
        """Read a folder, or a single file as that folder's entry point. Its language is the one
        whose entry point is there, if none is named. OSError when something cannot be read,
        UnicodeDecodeError naming the file when one is no UTF-8 text."""
        if path.is_file():
            language = language or language_of([f"main{path.suffix}"])
            return cls({get_runtime(language).entry_point: read_text(path)}, language)
        found = sorted(p for p in path.rglob("*") if p.is_file() and not is_hidden(p, path))
        files = {str(p.relative_to(path)): read_text(p) for p in found}
        return cls(files, language or language_of(files))

    @property
    def has_transactions(self) -> bool:
        """Whether the program may use Kafka transactions: every library's setting says so."""
        return any(re.search("transactional[._]?id", text, re.I) for text in self.files.values())

    def problems(self) -> list[str]:
        """What makes these files unfit to be written to disk, in words; empty when nothing does."""
        problems = [p for name in self.files for p in path_problems(name)]
        if len(self.files) > MAX_FILES:
            problems.append(f"{len(self.files)} files; at most {MAX_FILES} are accepted")
        sizes = {name: len(text.encode()) for name, text in self.files.items()}
        problems += [
            f"{name}: {size} bytes; at most {MAX_FILE_BYTES} are accepted"
            for name, size in sizes.items()
            if size > MAX_FILE_BYTES
        ]
        if sum(sizes.values()) > MAX_TOTAL_BYTES:
            problems.append(f"the files hold more than {MAX_TOTAL_BYTES} bytes together")
        return problems

    def write_to(self, folder: Path) -> None:
        """Write the files below `folder`, readable for the box's user."""
        for name, text in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")


def read_text(path: Path) -> str:
    """A file's text; UnicodeDecodeError with its name when it is no UTF-8."""
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        error.reason += f", in {path}"
        raise


def path_problems(name: str) -> list[str]:
    """Why a file name is not accepted; empty when it is."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        return [f"{name!r}: paths must be relative and stay inside the project"]
    if len(name) > 200:
        return [f"{name[:40]}...: the path is longer than 200 characters"]
    return []


def is_hidden(path: Path, root: Path) -> bool:
    """Whether a path below `root` lies in a hidden or cache folder, or is a hidden file."""
    parts = path.relative_to(root).parts
    return any(part.startswith(".") or part == "__pycache__" for part in parts)
