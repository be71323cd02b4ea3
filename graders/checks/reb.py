"""REB: partitions that change hands.

**Model.** In a rebalance that an instance takes part in, it learns from its client that it must
give a partition up, and the group waits for it: the classic protocol (eager or cooperative) until
it has joined again, the consumer protocol (KIP-848) until its heartbeat says so. Only then does
another instance own the partition. So when a member was told an assignment without the partition,
and the same member stayed in the group, a *clean handover* took place, whatever the protocol. A
member that was frozen, evicted, killed, or left by itself (a client leaves when it has not been
polled for too long) learns nothing in time, and no check here speaks of it: what a zombie does
shows as EFF-2 or ORD-1. An instance is known by its connections, an assignment by the broker's
answer, recorded before the program gets it.

**REB-1 not-owner effect.** After a clean handover and after the new owner's first effect of a key
of that partition, the old owner has an effect of the same key, without having been given the
partition back. Only rows are looked at: they have one order, that of their commits, while records
may be published by whoever finds them waiting in the database. A transaction of the old owner that
was under way is not accused: as long as it is open, the new owner cannot have passed it, or that is
ORD-1. Counts at once.

**REB-3 duplicates after a clean handover.** The new owner was handed a record that the old owner
had finished: it and everything before it in the partition had all their effects 2 s before the old
owner was told, and no commit had passed it when the new owner was told. Only what the old owner
itself did since it had the partition shows that it had finished a record; a copy of an event that
was sent before shows nothing. A record behind one of which that is not known may not be committed
and is not counted. May wrongly accuse a program that commits on a short timer on a busy machine:
hence the 2 s, and a run in which the grader itself was not scheduled says nothing.

REB-4 (kept partitions are neither read again nor skipped) and REB-7 (all partitions are owned) are
not checked here: clients that pause or retry read again by right, and what was skipped or lies in
an unowned partition is EFF-1's or LIV-1's.

**One worked history** (REB-1):

    #50 assigned changes-0 to 3 -> first
    #61 fetched  changes-2@0..9 -> first
    #80 assigned changes-0 and 1 -> first
    #81 assigned changes-2 and 3 -> second
    #90 effect   applied row 31 chg-5 (item-7, second)
    #93 effect   applied row 32 chg-6 (item-7, first)

At #93 first applied a change of item-7, which it had given up at #80 and second had taken up at
#90.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from graders.checks.eff import wrote
from graders.checks.finding import FactRef, Finding, Place, lane_name
from graders.checks.run import Lane, Run
from graders.facts import Assigned, Effect, Fetched, Left, Process, Record, Stall
from graders.verdicts import Verdict

FINISHED_S = 2.0
ENDS = ("exited", "killed", "frozen")


@dataclass(frozen=True)
class Handover:
    """A partition that a living member gave up and another instance was given.

    The old owner had it since fact number `since`; `told` is its assignment without it, `taken`
    the new owner's with it, `until` the number of the fact at which the old owner got it back,
    ended or was evicted (or the history's length)."""

    lane: Lane
    since: int
    told: Assigned
    taken: Assigned
    until: int


def handovers(run: Run) -> Iterator[Handover]:
    """The clean handovers of a run."""
    owned: dict[str, dict[Lane, int]] = defaultdict(dict)
    for told in run.history.of(Assigned):
        before, now = owned[told.member], lanes_of(told)
        owned[told.member] = {lane: before.get(lane, told.n) for lane in now}
        for lane in sorted(before.keys() - now):
            until = end_of_absence(run, told, lane)
            taken = next(takers(run, told, lane, until), None)
            if taken and stayed(run, told, taken):
                yield Handover(lane, before[lane], told, taken, until)


def lanes_of(assigned: Assigned) -> set[Lane]:
    """The partitions of an assignment."""
    return {(str(topic), int(partition)) for topic, partition in assigned.partitions}


def takers(run: Run, told: Assigned, lane: Lane, until: int) -> Iterator[Assigned]:
    """Assignments by which another instance got the partition, in the same rebalance or later."""
    for taken in run.history.of(Assigned):
        later = taken.generation >= told.generation and taken.n < until
        if later and taken.instance != told.instance and lane in lanes_of(taken):
            yield taken


def end_of_absence(run: Run, told: Assigned, lane: Lane) -> int:
    """The number of the first fact by which the old owner owns the partition again or can know
    nothing any more."""
    for fact in list(run.history)[told.n :]:
        again = isinstance(fact, Assigned) and lane in lanes_of(fact)
        ended = isinstance(fact, Process) and fact.what in ENDS
        if (again or ended or isinstance(fact, Left)) and fact.instance == told.instance:  # type: ignore[attr-defined]
            return fact.n
    return len(run.history) + 1


def stayed(run: Run, told: Assigned, taken: Assigned) -> bool:
    """Whether the old owner's member was in the group all the time until the new owner was told."""
    return not any(left.member == told.member and left.n < taken.n for left in run.history.of(Left))


def not_owner_effect(run: Run) -> Iterator[Finding]:
    """REB-1."""
    for handover in handovers(run):
        new = handover.taken.instance
        first: dict[str | None, Effect] = {}
        for effect in rows_of(run, handover.lane):
            key = run.first_sent[effect.id].key
            after = max(handover.told.n, handover.taken.n) < effect.n < handover.until
            if after and effect.instance == new:
                first.setdefault(key, effect)
            elif after and effect.instance == handover.told.instance and key in first:
                yield late_effect(run, handover, first[key], effect)
                break


def rows_of(run: Run, lane: Lane) -> Iterator[Effect]:
    """The rows about events with a key whose records all lie in a partition, in order."""
    for effect in run.history.of(Effect):
        lanes = {place.lane for place in run.places.get(effect.id, ())}
        has_key = lanes == {lane} and run.first_sent[effect.id].key is not None
        if effect.partition is None and has_key:
            yield effect


def late_effect(run: Run, handover: Handover, owner: Effect, late: Effect) -> Finding:
    """REB-1 about one effect."""
    told, lane = handover.told, lane_name(handover.lane)
    key = run.first_sent[late.id].key
    return Finding(
        "REB-1",
        Verdict.FAIL,
        claim=f"{told.instance} went on with {key} in {lane} after it had given the partition up.",
        first=FactRef(
            owner.n,
            f"{wrote(owner)} It owned {lane} since #{handover.taken.n}; {told.instance} "
            f"had given it up at #{told.n}.",
        ),
        second=FactRef(late.n, f"After that {wrote(late)}"),
        both=f"Both are changes of {key}, and only the owner of its partition may apply them.",
        why="What waits in queues when a partition is revoked belongs to the next owner, who reads "
        "it again. An instance that goes on with it runs a race: drop the queues, and wait for "
        "what is under way before the partition is given up.",
        rows=(told.n, handover.taken.n, owner.n, late.n),
        places=(run.places[late.id][0],),
        ids=(late.id, owner.id),
    )


def repeated_after_handover(run: Run) -> Iterator[Finding]:
    """REB-3."""
    if run.history.of(Stall):
        return
    by_lane: dict[Lane, list[Handover]] = defaultdict(list)
    for handover in handovers(run):
        by_lane[handover.lane].append(handover)
    for found in by_lane.values():
        for handover in found:
            finished = finished_before(run, handover)
            if again := handed_again(run, handover, finished):
                yield again
                break


def finished_before(run: Run, handover: Handover) -> dict[int, Record]:
    """The records of the partition's finished beginning that no commit had passed, by offset."""
    told = [c for c in run.commits.get(handover.lane, ()) if c.n < handover.taken.n]
    passed = max((c.offset for c in told), default=0)
    found: dict[int, Record] = {}
    for record in run.records.get(handover.lane, []):
        if record.offset < passed:
            continue
        if finished_at(run, record, handover) > handover.told.t - FINISHED_S:
            break
        found[record.offset] = record
    return found


def finished_at(run: Run, record: Record, handover: Handover) -> float:
    """When the old owner finished a record: the time of the last effect that its event must have;
    infinity when one is missing or not the old owner's work, or when effects cannot tell, as those
    of an event that was sent before or needs none."""
    sent = run.first_sent.get(record.id or "")
    first = min((place.offset for place in run.places[record.id]), default=-1) if record.id else -1
    if sent is None or not sent.expect or first != record.offset:
        return math.inf
    effects = [run.effects.get((place, sent.id), [None])[0] for place in sent.expect]
    return max(e.committed_t if e and is_own(e, handover) else math.inf for e in effects)


def is_own(effect: Effect, handover: Handover) -> bool:
    """Whether the old owner wrote an effect while it owned the partition."""
    return handover.since < effect.n and effect.instance in (None, handover.told.instance)


def handed_again(run: Run, handover: Handover, finished: dict[int, Record]) -> Finding | None:
    """REB-3 about the first finished record that the new owner was handed."""
    for fetch in run.fetches.get(handover.lane, ()):
        own = fetch.instance == handover.taken.instance and fetch.n > handover.taken.n
        for offset, record in finished.items() if own and fetch.n < handover.until else ():
            if fetch.first <= offset <= fetch.last:
                return duplicate(run, handover, record, fetch)
    return None


def duplicate(run: Run, handover: Handover, record: Record, fetch: Fetched) -> Finding:
    """REB-3 about one record."""
    place = Place(*handover.lane, record.offset)
    told = handover.told
    assert record.id is not None
    last = max(
        (run.effects[at, record.id][0] for at in run.first_sent[record.id].expect),
        key=lambda effect: effect.committed_t,
    )
    return Finding(
        "REB-3",
        Verdict.FAIL,
        claim=f"{told.instance} gave {lane_name(place.lane)} up without a commit of what it had "
        "finished.",
        first=FactRef(
            last.n,
            f"{record.id} ({place}) was finished {told.t - last.committed_t:.1f} s before "
            f"{told.instance} gave the partition up at #{told.n}.",
        ),
        second=FactRef(
            fetch.n, f"No commit had passed it, and {fetch.instance} was handed it again."
        ),
        both="Who gives a partition up in a rebalance is asked before, and has time to commit.",
        why="Without a commit on revocation each rebalance repeats everything since the last one, "
        "on every partition that moves.",
        rows=(last.n, told.n, handover.taken.n, fetch.n),
        places=(place,),
        ids=(record.id,),
    )
