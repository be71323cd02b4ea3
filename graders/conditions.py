"""What a scenario can wait for: `await lab.until(effect_of(sent[0]), within=5)`.

A condition is a sentence and a question to the history; it is asked again at every new fact.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graders.facts import Asked, Assigned, Call, Commit, Effect, Joined, Left, Process, Sent
from graders.history import History


@dataclass(frozen=True)
class Condition:
    """`text` completes "waited for ...". `a & b` holds when both do, `a | b` when either does."""

    text: str
    holds: Callable[[History], bool]

    def __and__(self, other: "Condition") -> "Condition":
        return Condition(
            f"{self.text} and {other.text}", lambda h: self.holds(h) and other.holds(h)
        )

    def __or__(self, other: "Condition") -> "Condition":
        return Condition(f"{self.text} or {other.text}", lambda h: self.holds(h) or other.holds(h))


class Named(Protocol):
    """An instance, as far as conditions care."""

    @property
    def name(self) -> str: ...


class FaultState(Protocol):
    """A fault of the gateway or of the sink, as far as conditions care."""

    id: str
    applied: int

    @property
    def held(self) -> bool: ...


def answered(path: str, body: Any = None, by: Named | None = None, after: int = 0) -> Condition:
    """A question was answered (with that body, by that instance, when one is named), besides the
    first `after` that were asked in the run."""
    return Condition(
        f"an answer to {path}",
        lambda h: any(
            a.is_answered
            and (a.path, a.body) == (path, body)
            and (by is None or a.instance == by.name)
            for a in h.of(Asked, after)
        ),
    )


def every(conditions: Sequence[Condition]) -> Condition:
    """All of these."""
    return Condition(
        " and ".join(condition.text for condition in conditions),
        lambda h: all(condition.holds(h) for condition in conditions),
    )


def effect_of(sent: Sent, by: Named | None = None, place: str | None = None) -> Condition:
    """An effect of this event is durable (written by that instance, in that table or topic, when
    one is named)."""
    writer = f" by {by.name}" if by else ""
    return Condition(
        f"the effect of {sent.id}{within(place)}{writer}",
        lambda h: any(
            e.id == sent.id and place in (None, e.table) and (by is None or e.instance == by.name)
            for e in h.of(Effect)
        ),
    )


def effects_of(
    sent: Sequence[Sent], at_least: int | None = None, place: str | None = None
) -> Condition:
    """Effects of all these events are durable, or of `at_least` so many of them (in that table or
    topic, when one is named)."""
    ids = {s.id for s in sent}
    wanted = len(ids) if at_least is None else at_least
    return Condition(
        f"the effects of {wanted} of {len(ids)} events{within(place)}",
        lambda h: len(ids & {e.id for e in h.of(Effect) if place in (None, e.table)}) >= wanted,
    )


def undone(history: History, sent: Sequence[Sent]) -> list[str]:
    """The ids of those events that lack an effect which they must have."""
    done = {(effect.table, effect.id) for effect in history.of(Effect)}
    return [s.id for s in sent if any((place, s.id) not in done for place in s.expect)]


def fewer_undone(sent: Sequence[Sent], count: int) -> Condition:
    """Fewer than `count` of those events lack an effect."""
    return Condition("", lambda history: len(undone(history, sent)) < count)


def is_half_done(sent: Sequence[Sent], left: Collection[str]) -> bool:
    """Whether nothing is `left` to do of half of the keys of those events, or of more."""
    waiting = {s.key for s in sent if s.id in left}
    return 2 * len(waiting) <= len({s.key for s in sent})


def within(place: str | None) -> str:
    """A table or topic, as it completes a sentence."""
    return f" in {place}" if place else ""


def called_about(sent: Sent, times: int = 1) -> Condition:
    """Outside services have dealt with so many calls about this event, or have lost them."""
    return Condition(
        f"{times} call(s) about {sent.id}",
        lambda h: sum(call.id == sent.id for call in h.of(Call)) >= times,
    )


def committed_past(sent: Sent, by: Named | None = None) -> Condition:
    """An accepted commit passed this record: a restart would not see it again."""
    return Condition(
        f"a commit past {sent.id} ({sent.topic}-{sent.partition}@{sent.offset})",
        lambda h: any(
            passes(c, sent) and (by is None or c.instance == by.name) for c in h.of(Commit)
        ),
    )


def committed_past_all(sent: Sequence[Sent]) -> Condition:
    """Accepted commits passed all these records."""
    return every([committed_past(one) for one in sent])


def passes(commit: Commit, sent: Sent) -> bool:
    """Whether a commit was accepted and lies beyond a record."""
    return (
        commit.outcome == "accepted"
        and (commit.topic, commit.partition) == (sent.topic, sent.partition)
        and sent.offset is not None
        and commit.offset > sent.offset
    )


STARTS = ("started", "restarted")
ENDS = ("exited", "killed", "stopped")


# A partition of a topic as one group reads it: (group, topic, partition).
Share = tuple[str, str, int]


def shares(history: History) -> dict[Share, str]:
    """Which instance owns each partition in each group, by the last assignments that members were
    told of."""
    owned: dict[Share, Assigned] = {}
    for fact in history:
        if isinstance(fact, Assigned):
            owned = {share: a for share, a in owned.items() if a.member != fact.member}
            owned |= {(fact.group, topic, partition): fact for topic, partition in fact.partitions}
        elif isinstance(fact, Left):
            owned = {share: a for share, a in owned.items() if a.member != fact.member}
        elif isinstance(fact, Process) and fact.what in ENDS:
            owned = {share: a for share, a in owned.items() if a.instance != fact.instance}
    return {share: assigned.instance for share, assigned in owned.items()}


def owners(history: History) -> dict[tuple[str, int], str]:
    """Which instance owns each partition, where all instances are of one group."""
    return {(topic, partition): owner for (_, topic, partition), owner in shares(history).items()}


def all_shares(history: History) -> set[Share]:
    """Every partition in every group that reads it."""
    began = history.began
    return {
        (group, topic, partition)
        for group, topics in began.readers.items()
        for topic in topics
        for partition in range(began.topics[topic])
    }


def owns(instance: Named, partitions: int = 1) -> Condition:
    """The instance was assigned at least so many partitions."""
    return Condition(
        f"{instance.name} to own {partitions} partition(s)",
        lambda h: sum(owner == instance.name for owner in shares(h).values()) >= partitions,
    )


def group_stable(members: int) -> Condition:
    """All partitions are owned in each group, by exactly so many instances together."""

    def holds(history: History) -> bool:
        owned = shares(history)
        return len(set(owned.values())) == members and all_shares(history) <= owned.keys()

    return Condition(f"{members} member(s) to own all partitions", holds)


def group_complete(members: int) -> Condition:
    """All partitions are owned in each group, so many instances have joined, and every member was
    told its share since. A share may be empty: with several consumers each, another's may have them
    all."""

    def holds(history: History) -> bool:
        told = shares_told(history)
        instances = {instance for instance, _ in told.values()}
        is_told = all(share for _, share in told.values())
        return (
            is_told and len(instances) == members and all_shares(history) <= shares(history).keys()
        )

    return Condition(f"{members} instance(s) to have joined, and all to be owned", holds)


def shares_told(history: History) -> dict[str, tuple[str, bool]]:
    """Of each member of a group its instance, and whether it was told its share since it joined, or
    joined again."""
    told: dict[str, tuple[str, bool]] = {}
    for fact in history:
        if isinstance(fact, Joined | Assigned):
            told[fact.member] = fact.instance, isinstance(fact, Assigned)
        elif isinstance(fact, Left):
            told.pop(fact.member, None)
        elif isinstance(fact, Process) and fact.what in ENDS:
            told = {m: one for m, one in told.items() if one[0] != fact.instance}
    return told


def ended(instance: Named) -> Condition:
    """The instance's program has ended since it was last started."""
    return Condition(
        f"{instance.name} to end", lambda h: any(p.what in ENDS for p in life_of(instance, h))
    )


def ended_often(times: int) -> Condition:
    """An instance ended by itself so many times in the run."""

    def holds(history: History) -> bool:
        ends = Counter(p.instance for p in history.of(Process) if p.what == "exited")
        return max(ends.values(), default=0) >= times

    return Condition(f"an instance to end {times} times", holds)


def has_left(instance: Named) -> Condition:
    """The instance has left its group by itself since it was last started."""

    def holds(history: History) -> bool:
        began = life_of(instance, history)[0].n
        left = [left for left in history.of(Left) if left.n > began and left.by == "program"]
        return any(each.instance == instance.name for each in left)

    return Condition(f"{instance.name} to leave its group", holds)


def life_of(instance: Named, history: History) -> list[Process]:
    """What happened to the instance's process since it was last started, the start included."""
    found = [p for p in history.of(Process) if p.instance == instance.name]
    starts = [number for number, p in enumerate(found) if p.what in STARTS]
    return found[starts[-1] :]


def held(fault: FaultState) -> Condition:
    """Something is being held by this fault right now."""
    return Condition(f"{fault.id} to hold", lambda h: fault.held)


class SinkFaultState(FaultState, Protocol):
    """A fault of the sink, as far as conditions care."""

    waited_for: bool


def waited_for(fault: SinkFaultState) -> Condition:
    """Another session of the program waits in the database for what this fault holds."""
    return Condition(f"a session to wait for {fault.id}", lambda h: fault.waited_for)


def applied(fault: FaultState, times: int = 1) -> Condition:
    """This fault was applied."""
    return Condition(f"{fault.id} to be applied", lambda h: fault.applied >= times)
