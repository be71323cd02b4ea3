"""ORD: the order of what belongs together.

**Model.** The records of a key lie in one partition, and the order in which its events come there
first is the key's order; copies sent later change nothing. Records without a key, and keys whose
records lie in several partitions, have no order and are left out, and across keys there is none;
nor is there any in a dead-letter topic. A *place* is a table, or one partition of a topic that the
program writes: in a table rows are ordered by commit, within one transaction as they were inserted;
in a partition by offset. Only the first effect of an event in a place counts, because whoever
delivers at least once repeats, and a reader who knows what he has had skips repeats.

**ORD-1 inversion.** Of two events of a key, the later one's first effect in a place comes before
the earlier one's. Both are there, in an order that the database or the log itself has, so no clock
is compared. Counts at once. Inversions of which ORD-3 speaks are left to it.

**ORD-2 key split.** Records that a program wrote about one key lie in several partitions of one
topic, or carry another key than the events they are about (none, the event's id). Kafka keeps order
within a partition only. Which partitioner is used is free. Tombstones and records that are about no
known event are not looked at.

**ORD-3 overtaking.** The grader was holding the effect of an event, or had refused it, and an
effect of a later event of the key came first, whether the earlier one came at last or never. It
speaks only of effects that a fault of ours names, so it is beyond doubt that the program had met
the earlier one. An event that was never met and never came is EFF-1's.

**ORD-4 cross-key independence.** While the grader held the effect of one event, the program had
time for the records of other keys in the same partition, and of more than half of these keys
something was still missing at the end of that time. Half is the measure because a fixed number of
workers, each with its share of the keys, is a fair design: the keys that share a worker with the
held one wait. May wrongly accuse a slow program or a busy machine: so the time runs on the grader's
fair clock, a run in which the grader itself was not scheduled says nothing, and like LIV-1 it
counts only when two of three attempts end so, the repeats with doubled patience.

**One worked history** (ORD-3):

    #20 sent     changes-1@4 chg-n (item-7, version 2)
    #21 sent     changes-1@5 chg-m (item-7, version 3)
    #40 fault    fail 40001: write to applied with change_id chg-n
    #44 effect   applied row 9 chg-m (app)
    #61 effect   applied row 14 chg-n (app)

At #44 version 3 of item-7 was applied, and version 2 had been refused and was applied only at #61.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from graders.checks.eff import wrote
from graders.checks.finding import FactRef, Finding, lane_name
from graders.checks.run import Lane, Run
from graders.facts import Effect, Fault, Stall, Waited
from graders.verdicts import Verdict

WHY_INVERTED = (
    "Kafka keeps the order within a partition. It is lost where two records of a key are worked on "
    "at once, where a failed one steps aside for the next, or where a producer without idempotence "
    "sends a batch again while later ones are under way."
)
WHY_SPLIT = (
    "Kafka orders the records of one partition, and the key decides the partition. Without the "
    "item as key, changes of one item go to several partitions, and each consumer sees them in an "
    "order of its own."
)
WHY_OVERTAKEN = (
    "A change that fails or waits must keep the later ones of its key waiting, wherever it is "
    "tried again: a retry beside the main path lets them overtake."
)
WHY_BLOCKED = (
    "A partition holds many keys, and only records of one key need to wait for each other. A "
    "single worker for a partition, or a batch that is finished only as a whole, makes all of them "
    "wait for the slowest."
)


def inversion(run: Run) -> Iterator[Finding]:
    """ORD-1."""
    for early, late in inverted(run):
        if not hindered(run, early.id, late.n):
            yield swapped(run, early, late)


def inverted(run: Run) -> Iterator[tuple[Effect, Effect]]:
    """Pairs of first effects in one place that came in the wrong order, one of each key and place:
    the earlier event's, the later event's."""
    ranks = order_of_keys(run)
    for firsts in by_place(run):
        latest: dict[str, Effect] = {}
        reported: set[str] = set()
        for effect in firsts:
            key, rank = ranks.get(effect.id, ("", 0))
            before = latest.get(key)
            if not key or key in reported:
                continue
            if before and ranks[before.id][1] > rank:
                reported.add(key)
                yield effect, before
            else:
                latest[key] = effect


def order_of_keys(run: Run) -> dict[str, tuple[str, int]]:
    """By event, its key and its offset in the key's one partition; keys without order left out."""
    lanes: dict[str, set[Lane]] = defaultdict(set)
    offsets: dict[str, tuple[str, int]] = {}
    for id, sent in run.first_sent.items():
        places = run.places.get(id)
        if places and sent.key is not None:
            lanes[sent.key] |= {place.lane for place in places}
            offsets[id] = sent.key, min(place.offset for place in places)
    return {id: found for id, found in offsets.items() if len(lanes[found[0]]) == 1}


def by_place(run: Run) -> Iterator[list[Effect]]:
    """The first effects of events in each place, in the place's order."""
    firsts: dict[tuple[str, int | None], dict[str, Effect]] = defaultdict(dict)
    for effect in run.history.of(Effect):
        if effect.table not in run.dead_letters:
            firsts[effect.table, effect.partition].setdefault(effect.id, effect)
    for found in firsts.values():
        yield list(found.values())


def hindered(run: Run, id: str, before: int) -> Fault | None:
    """The fault that held or refused an event's effect before a fact; None when none did."""
    applied = [f for f in run.history.of(Fault) if f.what == "applied" and f.n < before]
    return next((f for f in applied if id in f.row.values()), None)


def swapped(run: Run, early: Effect, late: Effect) -> Finding:
    """ORD-1 about two events of a key."""
    key = run.first_sent[early.id].key
    return Finding(
        "ORD-1",
        Verdict.FAIL,
        claim=f"{late.id} came before {early.id} in {place_name(late)}, though it is the later "
        f"change of {key}.",
        first=FactRef(late.n, wrote(late)),
        second=FactRef(early.n, f"Only after it: {wrote(early)}"),
        both=given_order(run, early.id, late.id),
        why=WHY_INVERTED,
        rows=(run.first_sent[early.id].n, run.first_sent[late.id].n, late.n, early.n),
        places=(run.places[early.id][0], run.places[late.id][0]),
        ids=(early.id, late.id),
    )


def place_name(effect: Effect) -> str:
    """Where an effect is, without its number: "applied" or "updates-1"."""
    return effect.table if effect.partition is None else f"{effect.table}-{effect.partition}"


def given_order(run: Run, early: str, late: str) -> str:
    """The order that the log gives, as a sentence."""
    one, two = run.places[early][0], run.places[late][0]
    return (
        f"{early} lies at {one} and {late} behind it at @{two.offset}: the changes of a key must "
        "keep that order."
    )


def key_split(run: Run) -> Iterator[Finding]:
    """ORD-2."""
    written: dict[tuple[str, str], list[Effect]] = defaultdict(list)
    for effect in run.history.of(Effect):
        sent = run.first_sent.get(effect.id)
        if effect.partition is not None and sent and sent.key is not None:
            written[effect.table, sent.key].append(effect)
    for (_, key), effects in written.items():
        yield from split(key, effects)


def split(key: str, effects: Sequence[Effect]) -> Iterator[Finding]:
    """ORD-2 about one key's records in one topic."""
    one = effects[0]
    told = [e for e in effects if e.payload is not None]
    other = next((e for e in effects if e.partition != one.partition), None)
    stranger = next((e for e in told if e.key != key), None)
    if other:
        yield torn(key, one, other)
    elif stranger:
        yield wrong_key(key, stranger)


def torn(key: str, one: Effect, other: Effect) -> Finding:
    """ORD-2 about a key in two partitions."""
    return Finding(
        "ORD-2",
        Verdict.FAIL,
        claim=f"The records of {key} in {one.table} lie in several partitions.",
        first=FactRef(one.n, f"{wrote(one)} Its key: {key_name(one)}."),
        second=FactRef(other.n, f"{wrote(other)} Its key: {key_name(other)}."),
        both=f"Both are about {key}, and only records of one partition have an order.",
        why=WHY_SPLIT,
        rows=(one.n, other.n),
        ids=(one.id, other.id),
    )


def wrong_key(key: str, effect: Effect) -> Finding:
    """ORD-2 about a record with another key."""
    return Finding(
        "ORD-2",
        Verdict.FAIL,
        claim=f"A record about {key} in {effect.table} has the key {key_name(effect)}.",
        first=FactRef(effect.n, f"{wrote(effect)} Its key: {key_name(effect)}."),
        second=FactRef(effect.n, f"{effect.id} is a change of {key}."),
        both="What keeps its order together must have one key, the same for all who read it.",
        why=WHY_SPLIT,
        rows=(effect.n,),
        ids=(effect.id,),
    )


def key_name(effect: Effect) -> str:
    """A record's key for people."""
    return "none" if effect.key is None else effect.key


def overtaking(run: Run) -> Iterator[Finding]:
    """ORD-3: the first effect of a later event before that of one which the grader held or
    refused, for each of these."""
    ranks = order_of_keys(run)
    for id, fault in faulted(run).items():
        if id in ranks and (late := overtaker(run, ranks, id, fault)):
            yield overtaken(run, id, fault, late)


def overtaker(run: Run, ranks: dict[str, tuple[str, int]], id: str, fault: Fault) -> Effect | None:
    """The first effect of a later event of the key, in a place where this one was due, that came
    after a fault struck this one and before its own effect; None when there is none."""
    key, rank = ranks[id]
    for effect in run.history.of(Effect):
        other = ranks.get(effect.id, ("", 0))
        if effect.n < fault.n or other[0] != key or other[1] <= rank:
            continue
        own = next(iter(run.effects.get((effect.table, id), ())), None)
        comparable = own is None or own.partition == effect.partition
        due = effect.table in run.first_sent[id].expect
        if due and comparable and (own is None or own.n > effect.n):
            return effect
    return None


def faulted(run: Run) -> dict[str, Fault]:
    """By event, the first fault that held or refused its effect."""
    found: dict[str, Fault] = {}
    for fault in run.history.of(Fault):
        if fault.what == "applied":
            for value in fault.row.values():
                if isinstance(value, str) and value in run.first_sent:
                    found.setdefault(value, fault)
    return found


def overtaken(run: Run, id: str, fault: Fault, late: Effect) -> Finding:
    """ORD-3 about an event that was passed."""
    done = next((e for e in run.effect_rows(id) if e.table == late.table), None)
    fate = f"it came only at #{done.n}" if done else "it never came"
    doing = "being held" if fault.action.startswith("hold") else "refused"
    return Finding(
        "ORD-3",
        Verdict.FAIL,
        claim=f"{late.id} overtook {id}, the change of {run.first_sent[id].key} before it.",
        first=FactRef(fault.n, f"{id} was {doing}; in {place_name(late)} {fate}."),
        second=FactRef(late.n, wrote(late)),
        both=given_order(run, id, late.id),
        why=WHY_OVERTAKEN,
        rows=tuple(x.n for x in (run.first_sent[id], fault, late, done) if x),
        places=(run.places[id][0], run.places[late.id][0]),
        ids=(id, late.id),
    )


def independence(run: Run) -> Iterator[Finding]:
    """ORD-4."""
    for waited in run.history.of(Waited):
        waiting = keys_of(run, waited.missing)
        others = keys_of(run, waited.ids)
        if 2 * len(waiting) <= len(others):
            continue
        yield unsure(waited) if run.history.of(Stall) else blocked(run, waited, waiting, others)


def keys_of(run: Run, ids: Sequence[str]) -> list[str]:
    """The keys of events, each once."""
    keys = dict.fromkeys(run.first_sent[id].key for id in ids)
    return [key for key in keys if key is not None]


def unsure(waited: Waited) -> Finding:
    """ORD-4 when waiting says nothing."""
    return Finding(
        "ORD-4",
        Verdict.INCONCLUSIVE,
        claim="Other keys did not go on, but the grading machine itself was stalled.",
        why="What came late may have been late because of us.",
        rows=(waited.n,),
        reason="noisy",
    )


def blocked(run: Run, waited: Waited, waiting: list[str], others: list[str]) -> Finding:
    """ORD-4 about one wait."""
    fault = next(f for f in run.history.of(Fault) if f.fault == waited.beside)
    victim = next((id for id in fault.row.values() if id in run.places), None)
    where = lane_name(run.places[waited.ids[0]][0].lane)
    held = next(f for f in run.history.of(Fault) if (f.fault, f.what) == (fault.fault, "applied"))
    return Finding(
        "ORD-4",
        Verdict.FAIL,
        claim=f"While one item waited, {len(waiting)} of {len(others)} other items of {where} "
        "waited with it.",
        first=FactRef(held.n, f"The grader began to hold one write: {fault.target}."),
        second=FactRef(
            waited.n,
            f"{waited.waited_s:.1f} s later (the machine's pauses not counted) "
            f"{len(waited.missing)} changes of other items were not dealt with, "
            f"{', '.join(waited.missing[:3])} among them.",
        ),
        both="Only the changes of the same item have to wait for it.",
        why=WHY_BLOCKED,
        rows=(held.n, *first_after(run, waited), waited.n),
        places=tuple(run.places[id][0] for id in (victim, waited.missing[0]) if id),
        ids=tuple(id for id in (victim, waited.missing[0]) if id),
    )


def first_after(run: Run, waited: Waited) -> list[int]:
    """The first effect after the wait among those that were missing: it was free to come then."""
    missing = set(waited.missing)
    after = [e.n for e in run.history.of(Effect) if e.n > waited.n and e.id in missing]
    return after[:1]
