"""The kinds of facts a history is made of.

A fact is one thing that was seen, never a judgement. All carry `n`, their place in the history
(1, 2, 3...), and `t`, seconds since the scenario began on the grader's monotonic clock. Facts about
the program's dealings with Kafka come from the gateway; facts about effects from the database
itself. The order of `n` is causal where it matters: `Fetched` is recorded before the program gets
the records, `Commit` when the broker's answer is known, `Effect` after its transaction committed.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

JsonObject = dict[str, Any]


def short_topic(name: str) -> str:
    """A topic's name without what makes it unique on the broker: "payments.3f2a" -> "payments"."""
    return name.split(".", 1)[0]


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What every fact has."""

    n: int
    t: float


@dataclass(frozen=True, kw_only=True)
class ScenarioBegan(Fact):
    """The first fact: what is being played. `topics` maps a topic's name on the broker to its
    number of partitions, for topics the program reads, `outputs` for those it writes; `needs` is
    the scenario's; `group` the program's. In the tables and topics of `repeats` one event may have
    its effect several times; `dead_letters` are dead-letter topics. `services` holds what is asked
    of calls to each outside service, see `ServiceSpec`: attempts, pauses, patience, transient.
    `groups` tells of a program that is started as several apps what the group of each `reads`, and
    which tables and topics hold the `effects` that its commits promise, see `AppSpec`. `saga` is
    the challenge's `SagaSpec`, `choreography` its `ChoreographySpec`, `outbox` its `OutboxSpec`,
    `projection` its `ProjectionSpec`."""

    challenge: str
    scenario: str
    seed: int
    driver: str
    group: str
    topics: Mapping[str, int]
    outputs: Mapping[str, int] = field(default_factory=dict)
    repeats: list[str] = field(default_factory=list)
    dead_letters: list[str] = field(default_factory=list)
    services: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    saga: Mapping[str, Any] | None = None
    choreography: Mapping[str, Any] = field(default_factory=dict)
    outbox: Mapping[str, Any] = field(default_factory=dict)
    projection: Mapping[str, str] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_broker(self) -> dict[str, str]:
        """The name on the broker of each topic, by its name in the challenge."""
        return {short_topic(topic): topic for topic in (*self.topics, *self.outputs)}

    @property
    def readers(self) -> dict[str, list[str]]:
        """The topics that each consumer group reads, by their names on the broker."""
        if not self.groups:
            return {self.group: list(self.topics)}
        return {group: list(app["reads"]) for group, app in self.groups.items()}


@dataclass(frozen=True, kw_only=True)
class Story(Fact):
    """What the grader does, in words for people."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Phase(Fact):
    """A part of the run begins: "scenario", "settle", "aftershock", "drain". Before the last, the
    program has ended, and `ends` says as [topic, partition, offset] where each partition that it
    reads ended, control records included."""

    name: str
    ends: list[list[Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Sent(Fact):
    """The grader sent an event. `outcome` ok: it is in the log at `offset`; fail: it is not; info:
    it may be. `key` None: the record has none. `expect` maps each table or topic in which this
    event must have an effect to its content there. `raw`: the record's value is not `value` as JSON
    but `payload` (see `as_text`; None is a tombstone). `headers` are [name, value] pairs in their
    order; a null value counts as an empty one, because not every client can write it."""

    topic: str
    partition: int
    offset: int | None
    key: str | None
    id: str
    value: Mapping[str, Any]
    expect: Mapping[str, Mapping[str, Any]]
    outcome: str = "ok"
    role: str = "event"
    raw: bool = False
    payload: str | None = None
    headers: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Record(Fact):
    """A record of an input topic as a read_committed reader found it after the run; `id` None when
    its value is no event."""

    topic: str
    partition: int
    offset: int
    key: str | None
    id: str | None


@dataclass(frozen=True, kw_only=True)
class Process(Fact):
    """Something happened to an instance's process. `what` is started, exited (by itself), killed,
    frozen, thawed, terminated (SIGTERM was sent), overdue (its grace was over, and it was not),
    stopped (it ended after SIGTERM), restarted, or abandoned (not restarted again); `output` holds
    its last lines when it exited by itself."""

    instance: str
    what: str
    code: int | None = None
    signal: int | None = None
    reason: str | None = None
    output: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Connection(Fact):
    """An instance's connection to "kafka" or "database" was opened, closed or refused; of a
    closed one `detail` says how it ended."""

    instance: str
    service: str
    what: str
    detail: str | None = None

    @property
    def ended_by_database(self) -> bool:
        """Whether the database closed it: the program's session was ended there."""
        return (self.service, self.what, self.detail) == ("database", "closed", "by the database")


@dataclass(frozen=True, kw_only=True)
class Joined(Fact):
    """The broker took an instance into the group."""

    instance: str
    group: str
    member: str
    generation: int
    protocol: str


@dataclass(frozen=True, kw_only=True)
class Assigned(Fact):
    """An instance was told which partitions are its own from now on: all of them, as
    [topic, partition] pairs."""

    instance: str
    group: str
    member: str
    generation: int
    partitions: list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class Left(Fact):
    """A member left the group, `by` the program or the grader (as if its session had expired)."""

    instance: str
    group: str
    member: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Fetched(Fact):
    """Records at offsets `first` to `last` were handed to the program."""

    instance: str
    topic: str
    partition: int
    first: int
    last: int

    def hands_out(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the record at this offset of a partition is among them."""
        return (self.topic, self.partition) == (topic, partition) and (
            self.first <= offset <= self.last
        )


@dataclass(frozen=True, kw_only=True)
class Commit(Fact):
    """The program committed an offset: `outcome` accepted, rejected or unknown (no answer seen).
    `api` TxnOffsetCommit takes effect only when its transaction ends; `producer_id` and `epoch`
    say which one that is (see `Ended`)."""

    instance: str
    group: str
    topic: str
    partition: int
    offset: int
    outcome: str
    error: str | None = None
    api: str = "OffsetCommit"
    producer_id: int | None = None
    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Produced(Fact):
    """The program wrote `count` records to a topic. An idempotent producer names itself by
    `producer_id` and `epoch`, and the first record by `sequence`: the same three again are the
    same records, which the broker keeps once. `transactional`: they become visible when their
    transaction is committed (see `Ended`), and never when it is aborted."""

    instance: str
    topic: str
    partition: int
    base_offset: int | None
    count: int
    outcome: str
    transactional: bool = False
    producer_id: int | None = None
    epoch: int | None = None
    sequence: int | None = None


@dataclass(frozen=True, kw_only=True)
class Producer(Fact):
    """A producer asked for its identity; with a `transactional_id` that fences all earlier
    producers of that id and aborts what they left open. `producer_id` and `epoch` are the new ones;
    -1 when `outcome` is rejected or unknown. A client that ends transactions in the newer way
    (Kafka 4) gets a new epoch with each `Ended`, without this."""

    instance: str
    transactional_id: str | None
    producer_id: int
    epoch: int
    outcome: str
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Enlisted(Fact):
    """A producer took partitions into its transaction, as [topic, partition] pairs. Clients of
    Kafka 4 do so by writing, without this."""

    instance: str
    transactional_id: str
    producer_id: int
    epoch: int
    partitions: list[list[Any]]
    outcome: str
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ended(Fact):
    """A producer ended its transaction: `committed`, or aborted. Accepted: the broker has decided
    so for good, and what was written shows within moments. Unknown: no answer was seen, and
    either may be true. `by` the program or the grader (when it is dead, as if its time-out had
    come)."""

    instance: str
    transactional_id: str
    producer_id: int
    epoch: int
    committed: bool
    outcome: str
    error: str | None = None
    by: str = "program"


@dataclass(frozen=True, kw_only=True)
class Refused(Fact):
    """The gateway refused a request that the challenge does not grant."""

    instance: str
    api: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Call(Fact):
    """The program called an outside service; `call` is the call's name in this run. `outcome` is
    served (the service dealt with it and decided on `status`), failed (a fault answered `status`
    in its place; the service never saw it), lost (it never reached the service, and nobody
    answered), or abandoned (the same, for the program had hung up before the grader read it). It
    is the `number`-th call to the service with its `id`, counted over all instances
    from 1 as they came; `id` None when the program gave none."""

    instance: str
    service: str
    call: str
    method: str
    path: str
    body: Any
    id: str | None
    number: int
    outcome: str
    status: int | None


@dataclass(frozen=True, kw_only=True)
class Answered(Fact):
    """The answer to a call was handed to the program. A call without this was never answered: its
    answer was lost, or the program had hung up by then."""

    instance: str
    service: str
    call: str
    status: int


@dataclass(frozen=True, kw_only=True)
class Unanswered(Fact):
    """From now on nobody answers a call; its connection stays open until the program gives up. Its
    request had come `waited_s` before, by the kernel's clock."""

    instance: str
    service: str
    call: str
    waited_s: float


@dataclass(frozen=True, kw_only=True)
class Asked(Fact):
    """The grader asked an instance over HTTP, in a connection of its own. The question was sent at
    `asked_t`, after fact `since`; this fact stands where its answer was complete, or was given up.
    `body` is the question's JSON and `answer` the answer's, None when there is none. `status` None:
    there was no answer that anybody could use, and `error` says why. `owed`: it was asked again and
    again, for as long as a program may take for an answer, and this is the last time."""

    instance: str
    method: str
    path: str
    since: int
    asked_t: float
    body: Any = None
    status: int | None = None
    answer: Any = None
    error: str | None = None
    owed: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether a client need not ask again."""
        return self.status is not None and self.status < 500


@dataclass(frozen=True, kw_only=True)
class Fault(Fact):
    """A fault was armed, matched, applied, released, dropped or cancelled. `fault` is its number in
    this run; `action` says what it does ("hold", "error NOT_COORDINATOR"), `target` to what. `row`
    holds the values that a database row must have for a fault of the sink."""

    fault: str
    what: str
    action: str
    target: str
    instance: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether its action keeps something back, rather than fails it."""
        return self.action.startswith("hold")

    @property
    def is_over(self) -> bool:
        """Whether this ends it."""
        return self.what in ("released", "dropped", "cancelled")


@dataclass(frozen=True, kw_only=True)
class Effect(Fact):
    """A row that the program inserted into an effect table, seen after its transaction committed;
    a record that it wrote to an effect topic, seen by a read_committed reader; or what an outside
    service did because the program called it.

    `n` follows the order of commits, in a topic that of each partition. `committed_t` is the
    database's own time of the commit on the history's clock (seconds; same machine, same clock as
    `t`), or the time at which the broker acknowledged the record or the service did it. `instance`
    is known by the connection that wrote, not by what the program says. `ours`: the grader wrote
    it, in the part of somebody else who uses the table. Of a service, `table` is its name and `row`
    a number. Of a record, `table` is its topic's name
    in the challenge, `row` its offset, and `partition`, `key`, `headers` and `payload` (its value,
    see `as_text`; None is a tombstone) are what the log holds.
    """

    table: str
    row: int
    id: str
    content: Mapping[str, Any]
    instance: str | None
    txid: str
    committed_t: float
    ours: bool = False
    partition: int | None = None
    key: str | None = None
    headers: list[list[str]] = field(default_factory=list)
    payload: str | None = None

    @property
    def spot(self) -> str:
        """Where it is: "ledger row 88" or "updates-1@41"."""
        if self.partition is None:
            return f"{self.table} row {self.row}"
        return f"{self.table}-{self.partition}@{self.row}"


@dataclass(frozen=True, kw_only=True)
class Marked(Fact):
    """A row of an outbox was marked as published, seen after the transaction committed that did so.
    The other fields are as in the row's `Effect`."""

    table: str
    id: str
    content: Mapping[str, Any]
    instance: str | None
    committed_t: float


@dataclass(frozen=True, kw_only=True)
class Output(Fact):
    """A record that the program wrote to a topic whose records are no effects by themselves, such
    as a command: `topic` is its name in the challenge, `value` its JSON, None when it is none."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: Any
    instance: str | None
    headers: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Performed(Fact):
    """A participant that the grader plays did something: `action` in its own words ("charge",
    "refund"), for the command `id` of the unit of work `subject` (a saga, an order). `outcome`
    done, refused (definitely not done), unavailable (not done this time), repeated (decided before,
    answered again) or ignored (an undo of what was not done; it is barred from now on); `content`
    holds what moved."""

    participant: str
    action: str
    id: str
    subject: str
    outcome: str
    content: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class State(Fact):
    """The final rows of a state table, and the rows that the visible events should have left."""

    table: str
    key: list[str]
    rows: list[JsonObject]
    expected: list[JsonObject]
    absent: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Projected(Fact):
    """What the answer `asked` (a fact's number) about a view must hold: the row that the visible
    records before its own positions add up to, None when they add up to no row."""

    asked: int
    row: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Settled(Fact):
    """The end of a wait for quiet. Quiet: every record lies before the group's position, and
    nothing has moved for a while. `unmet` says in words what was still missing; `missing` counts
    effects that were not there (a quiet run has lost them); `behind` holds [topic, partition,
    records at or after the group's position] where there are any; `moving` is whether the wait
    ended while things still moved."""

    quiet: bool
    waited_s: float
    unmet: list[str] = field(default_factory=list)
    missing: int = 0
    behind: list[list[Any]] = field(default_factory=list)
    moving: bool = False


@dataclass(frozen=True, kw_only=True)
class Waited(Fact):
    """The grader gave the program time to deal with the events `ids` while its fault `beside` was
    holding another: `waited_s` seconds of the fair clock. `missing` are those that still lacked an
    effect at the end."""

    beside: str
    ids: list[str]
    missing: list[str]
    waited_s: float


@dataclass(frozen=True, kw_only=True)
class Idle(Fact):
    """For `waited_s` seconds of the fair clock there was nothing to do, and an instance used
    `cpu_s` seconds of CPU in that time."""

    instance: str
    cpu_s: float
    waited_s: float


@dataclass(frozen=True, kw_only=True)
class Stall(Fact):
    """The grader itself was not scheduled for `drift_s` seconds, or the wall clock stepped."""

    drift_s: float


@dataclass(frozen=True, kw_only=True)
class Aborted(Fact):
    """The scenario ended early. `reason` is not_exercised (what was awaited never came), harness (a
    fault of ours), or wall-clock."""

    reason: str
    detail: str


BASE64 = "base64:"


def as_text(data: bytes | None) -> str | None:
    """Bytes as a history holds them: as text when they are UTF-8, else "base64:" and the rest."""
    if data is None:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return BASE64 + base64.b64encode(data).decode()
    return text if not text.startswith(BASE64) else BASE64 + base64.b64encode(data).decode()


def header_texts(headers: Iterable[tuple[str, bytes | None]]) -> list[list[str]]:
    """Headers as a history holds them."""
    return [[name, as_text(value) or ""] for name, value in headers]


KINDS: dict[str, type[Fact]] = {
    "scenario": ScenarioBegan,
    "story": Story,
    "phase": Phase,
    "sent": Sent,
    "record": Record,
    "process": Process,
    "connection": Connection,
    "joined": Joined,
    "assigned": Assigned,
    "left": Left,
    "fetched": Fetched,
    "commit": Commit,
    "produced": Produced,
    "producer": Producer,
    "enlisted": Enlisted,
    "ended": Ended,
    "refused": Refused,
    "call": Call,
    "answered": Answered,
    "unanswered": Unanswered,
    "asked": Asked,
    "fault": Fault,
    "effect": Effect,
    "marked": Marked,
    "output": Output,
    "performed": Performed,
    "state": State,
    "projected": Projected,
    "settled": Settled,
    "waited": Waited,
    "idle": Idle,
    "stall": Stall,
    "aborted": Aborted,
}
NAMES = {cls: kind for kind, cls in KINDS.items()}


def to_json(fact: Fact) -> JsonObject:
    """A fact as one JSON object: n, t, kind, then its fields."""
    fields = asdict(fact)
    return {"n": fields.pop("n"), "t": fields.pop("t"), "kind": NAMES[type(fact)], **fields}


def from_json(data: Mapping[str, Any]) -> Fact:
    """The fact that `to_json` wrote. KeyError for an unknown kind, TypeError for unknown fields."""
    fields = dict(data)
    return KINDS[fields.pop("kind")](**fields)
