"""EFF: the effects on the outside world.

**Model.** An *event* is what the producer means, known by its id. A *record* is one entry of a
partition; one event may have several records (the producer sent it again), and one record may be
handed to the program many times (Kafka redelivers whatever lies after the last commit). An *effect*
is a row in an effect table, seen after its transaction committed. Only records that read_committed
readers can see count, and they are read from the log itself after the run, never taken from what
the grader believes it sent. The run is *quiet* when the group's position lies past every record,
the group is stable, every armed fault is over, and nothing has moved for a while.

**EFF-1 lost-effect.** An event is in the log, the run was quiet after it was sent, and its effect
never came. May wrongly accuse a program that is merely late or stuck: so it speaks only about
events from before a time when the run was quiet, even if it got stuck later; about others it says
INCONCLUSIVE (stuck), and LIV-1 says what is stuck. Events for which no effect is expected are
left out, and those that are, or should be, in a dead-letter topic: family DLQ judges these.

**EFF-2 duplicate-effect.** One event has two rows in one effect table, or two records in an effect
topic that promises to hold one. Two records with the same id
are one event. Counts at once, quiet or not: what happened cannot be taken back. Rolled back rows
are never seen, so retries after an aborted transaction are free.

**EFF-3 phantom-effect.** An effect that no visible record explains: an unknown or aborted event, a
table in which this event has no effect, or values that differ from the event's. Columns that are
not part of the contract (serial numbers, times) are not compared, and dead-letter topics are left
to family DLQ. Speaks only when the log is known: the topics were read to their end and held all
that was acknowledged.

**EFF-4 over-dedup.** An event was read, its effect is missing, and another event that looks the
same except for its id, and was not read later, has one: the program took equal content for equal
identity. Also when a run without any crash left each key with exactly one effect although keys had
more events: the key was taken for the identity. Such losses are reported here and not as EFF-1.
Same guards as EFF-1; and what the database refused was not taken for anything.

**EFF-5 divergence.** Two effects of one event carry different values.

**EFF-6 convergence.** The run is quiet and a final row differs from the fold of all events, each
counted once. Rows are compared by key, so order across keys does not matter; a missing row equals
one with the values that the challenge gives for absence.

**EFF-7 told-too-early.** A record tells of an event whose row in a table the grader had not let go
by then, or refused, and the row came later or never: what is published must be durable. A row that
came before the record, by the database's clock and with 50 ms to spare, clears it; when exactly it
was refused does not matter then. It speaks only of rows that a fault of ours names.

**One worked history** (EFF-2):

    #205 fetched  payments-1@41 -> app
    #212 effect   ledger row 88 pay-0007 (app)
    #213 fault    OffsetCommit(42) held, then app killed
    #230 assigned payments-1 -> app (started again), committed position 41
    #236 fetched  payments-1@41 -> app
    #241 effect   ledger row 93 pay-0007 (app)

Row 88 and row 93 cannot both come from a program that applies each event at most once.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from graders.checks.finding import MOST_SHOWN, FactRef, Finding, shorten
from graders.checks.run import Run, differs, refusal_of
from graders.choreography import Announcement
from graders.facts import Assigned, Effect, Fault, Process, Sent, State
from graders.verdicts import Verdict

WHY_LOST = (
    "Kafka never again delivers what lies before the committed offset. Commit a record's offset "
    "only after its effect is durable, and not at all when the effect failed."
)
WHY_SKIPPED = (
    "The consumer began behind this record. A group without a committed offset begins where "
    'auto.offset.reset says: with "latest", or after a seek, what was sent before is never read.'
)
CLOCK_MARGIN_S = 0.05
SUMMANDS = 4  # rows that a reader can add up in his head

WHY_UNFINISHED = (
    "What is published cannot be taken back. When the transaction rolls back, or the process dies, "
    "others have acted on something that never was. Publish after the commit."
)
ONCE = "At most one effect per event is allowed; both cannot be true of an idempotent program."


def lost_effect(run: Run) -> Iterator[Finding]:
    """EFF-1."""
    mistaken = {id for id, _ in over_deduplicated(run)}
    missing = [
        (table, id)
        for table, id in run.missing
        if id not in mistaken and table not in run.dead_letters and not run.dead_lettered(id)
    ]
    waiting = [id for _, id in missing if not was_at_rest(run, id)]
    yield from (lost(run, table, id) for table, id in missing if id not in waiting)
    if waiting:
        yield stuck("EFF-1", waiting)


def was_at_rest(run: Run, id: str) -> bool:
    """Whether the run was quiet at some time after an event was sent; it may get stuck later."""
    return run.rest is not None and run.first_sent[id].n < run.rest.n


def stuck(check: str, ids: list[str]) -> Finding:
    """The finding that stands for a loss nobody can be sure of yet."""
    some = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    return Finding(
        check,
        Verdict.INCONCLUSIVE,
        claim=f"No effect of {some} was seen, but the program had not dealt with everything.",
        why="An event that is still waiting is not lost. See LIV-1 for what was waited for.",
        ids=tuple(ids),
        reason="stuck",
    )


def lost(run: Run, table: str, id: str) -> Finding:
    """EFF-1 about one event."""
    place = run.places[id][0]
    promising = next((view for view in run.by_group if view.promises(table)), run)
    commit = promising.commit_past(place)
    fetch = promising.fetch_of(place)
    assert run.rest is not None
    if commit:
        first = FactRef(
            commit.n,
            f"{commit.instance} committed offset {commit.offset}, past {id} at {place}.",
        )
    else:
        sent = run.first_sent[id]
        first = FactRef(sent.n, f"{id} was acknowledged by the broker at {place}.")
    denied = run.choreography.denied(table, id)
    handed = "" if fetch else " It was never even fetched."
    return Finding(
        "EFF-1",
        Verdict.FAIL,
        claim=f"Event {id} ({place}) was lost: it has no row in {table}.",
        brief=f"An event was lost: it has no effect in {table}.",
        first=first,
        second=FactRef(
            run.rest.n,
            f"Everything was committed and at rest, and {table} held no row for {id}.{handed}",
        ),
        both="A commit says that everything before it has its effect; here it does not.",
        why=why_lost(denied) if fetch else WHY_SKIPPED,
        rows=tuple(sorted(x.n for x in (run.first_sent[id], fetch, denied, commit, run.rest) if x)),
        places=(place,),
        ids=(id,),
    )


def why_lost(denied: Announcement | None) -> str:
    """What may have lost an event's effect: the program said no, or never had it done."""
    if not denied:
        return WHY_LOST
    return (
        f"The program announced {denied.type} instead (#{denied.n}), and nothing in the events "
        "asks for that. An error, a lock that is taken or a row that cannot be read says nothing "
        "about the answer: try again, and decide on what is committed."
    )


def duplicate_effect(run: Run) -> Iterator[Finding]:
    """EFF-2."""
    for (table, id), effects in run.effects.items():
        if len(effects) > 1 and id in run.first_sent and table not in run.history.began.repeats:
            yield duplicate(run, table, id, effects)


def duplicate(run: Run, table: str, id: str, effects: list[Effect]) -> Finding:
    """EFF-2 about one event."""
    one, two = effects[:2]
    places = run.places.get(id, [])
    where = " and ".join(map(str, places[:2])) or "not in the log"
    times = {2: "twice"}.get(len(effects), f"{len(effects)} times")
    moved = moved_between(run, one, two)
    return Finding(
        "EFF-2",
        Verdict.FAIL,
        claim=f"Event {id} ({where}) was applied {times}.",
        brief=f"One event was applied {times}.",
        first=FactRef(one.n, wrote(one)),
        second=FactRef(two.n, wrote(two)),
        both=ONCE,
        why=why_twice(run, one, two, moved),
        rows=(one.n, *([moved.n] if moved else []), two.n),
        places=tuple(places),
        ids=(id,),
    )


def wrote(effect: Effect) -> str:
    """An effect as a sentence."""
    return f"{effect.instance or 'The program'} wrote {effect.spot} for {effect.id}."


def why_twice(run: Run, one: Effect, two: Effect, moved: Assigned | None) -> str:
    """What brought the event a second time, in Kafka's terms; `moved`: see `moved_between`."""
    between = {p.what for p in run.history.of(Process) if one.n < p.n < two.n}
    if one.txid and one.txid == two.txid:  # a record has none
        return "Both rows were written in the same database transaction."
    if "thawed" in between and one.instance != two.instance:
        return (
            "A paused instance does not know that its partitions have a new owner; when it goes on "
            "it finishes what it had fetched. Only a check in the same transaction as the effect, "
            "made by the database, can stop it."
        )
    if between & {"killed", "exited"}:
        return (
            "After a restart Kafka redelivers everything after the last commit. What was already "
            "applied must be remembered where the effect is, in the same transaction."
        )
    if "terminated" in between:
        return (
            "The next start goes on from the last commit. What was begun when SIGTERM came must be "
            "finished and committed before the end, or taken back; or what was applied is "
            "remembered where the effect is, in the same transaction."
        )
    if len(run.places.get(one.id, ())) > 1:
        return (
            "A producer that gets no answer sends again, so one event can lie at two offsets, even "
            "in two partitions. The event's id is its identity, the offset is not."
        )
    if moved:
        return (
            f"{moved.instance} was given the partition at #{moved.n}, where the last commit had "
            f"left it, and got the record again. What {one.instance} had applied must be "
            "remembered where the effect is, in the same transaction."
        )
    return (
        "Kafka delivers at least once: after an error a record comes again. What was already "
        "applied must be remembered where the effect is, in the same transaction."
    )


def moved_between(run: Run, one: Effect, two: Effect) -> Assigned | None:
    """The rebalance that gave the instance of the second effect the event's partition after the
    first effect of another one; None when there was none."""
    lanes = {place.lane for place in run.places.get(one.id, ())}
    moves = (
        told
        for told in run.history.of(Assigned)
        if told.instance == two.instance != one.instance
        and one.n < told.n < two.n
        and any((topic, partition) in lanes for topic, partition in told.partitions)
    )
    return next(moves, None)


def phantom_effect(run: Run) -> Iterator[Finding]:
    """EFF-3."""
    if run.log_is_known:
        for (table, _), effects in run.effects.items():
            for effect in effects if table not in run.dead_letters else ():
                yield from phantom(run, effect)


def phantom(run: Run, effect: Effect) -> Iterator[Finding]:
    """EFF-3 about one effect."""
    sent = run.first_sent.get(effect.id)
    if sent is None or effect.id not in run.places:
        known = "is not visible in the log: it was never committed" if sent else "was never sent"
        yield unexplained(run, effect, sent, f"an event that {known}")
    elif effect.table not in sent.expect:
        where = " or ".join(table for table in sent.expect if table in run.dead_letters)
        due = f" but belongs in {where}" if where else ""
        what = f"{effect.id}, which has no effect in {effect.table}{due}"
        yield unexplained(run, effect, sent, what)
    elif wrong := differs(effect.content, sent.expect[effect.table]):
        expected = sent.expect[effect.table]
        values = "; ".join(
            f"{name} {show(effect.content.get(name))} instead of {show(expected[name])}"
            for name in wrong
        )
        yield unexplained(run, effect, sent, f"{effect.id} with other values ({values})")


def unexplained(run: Run, effect: Effect, sent: Sent | None, what: str) -> Finding:
    """EFF-3: the effect, and what the log says instead."""
    log = (
        FactRef(sent.n, f"{sent.id} was sent as {value_of(sent)}.")
        if sent
        else FactRef(len(run.history), f"No record in the topics carries the id {effect.id!r}.")
    )
    return Finding(
        "EFF-3",
        Verdict.FAIL,
        claim=f"{effect.spot} stands for {what}.",
        brief=f"An effect in {effect.table} is not what any event says.",
        first=FactRef(effect.n, f"{wrote(effect)[:-1]}: {show(effect.content)}."),
        second=log,
        both="Every effect must be explained by a record of the topic, value by value.",
        why="Effects are facts about the outside world. One that no event stands behind cannot be "
        "replayed, audited or compensated.",
        rows=tuple(sorted({log.n, effect.n})),
        places=tuple(run.places.get(effect.id, ())),
        ids=(effect.id,),
    )


def value_of(sent: Sent) -> str:
    """A record's value in words, of bytes the first."""
    if not sent.raw:
        return show(sent.value)
    return "a tombstone" if sent.payload is None else shorten(repr(sent.payload), MOST_SHOWN)


def over_dedup(run: Run) -> Iterator[Finding]:
    """EFF-4."""
    for id, twin in over_deduplicated(run):
        yield swallowed(run, id, twin) if was_at_rest(run, id) else stuck("EFF-4", [id])


def over_deduplicated(run: Run) -> list[tuple[str, Effect]]:
    """Events without effect that the program took for another, each with that other's effect."""
    by_look: dict[str, Effect] = {}
    by_key: dict[str | None, Effect] = {}
    for effects in run.effects.values():
        for effect in effects:
            if sent := run.first_sent.get(effect.id):
                by_look.setdefault(look(sent), effect)
                by_key.setdefault(sent.key, effect)
    seen = by_key if one_effect_per_key(run) else {}
    found = []
    for id in dict.fromkeys(id for table, id in run.missing if table not in run.dead_letters):
        was_read = any(run.fetch_of(place) for place in run.places[id])
        was_refused = refusal_of(run, id) is not None
        if run.effect_rows(id) or was_refused or not was_read:
            continue  # it was not taken for anything: it has another effect, or it was to have one
        sent = run.first_sent[id]
        twin = by_look.get(look(sent)) or seen.get(sent.key)
        if twin and read_at(run, twin.id) <= read_at(run, id):
            found.append((id, twin))
    return found


def read_at(run: Run, id: str) -> int:
    """Number of the fact by which the program was first handed an event."""
    fetches = [fetch.n for place in run.places[id] if (fetch := run.fetch_of(place))]
    return min(fetches, default=len(run.history))


def look(sent: Sent) -> str:
    """What an event looks like without its id."""
    rest = {name: value for name, value in sent.value.items() if value != sent.id}
    return json.dumps([sent.key, rest], sort_keys=True)


def one_effect_per_key(run: Run) -> bool:
    """Whether nothing broke and each key has one effect though several keys had more events."""
    if run.breaks:
        return False
    applied = {id for _, id in run.effects}
    sent = Counter(s.key for s in run.first_sent.values())
    effective = Counter(s.key for id, s in run.first_sent.items() if id in applied)
    repeated = [key for key, count in sent.items() if count > 1]
    return len(repeated) > 1 and all(effective[key] == 1 for key in sent)


def swallowed(run: Run, id: str, twin: Effect) -> Finding:
    """EFF-4 about one event."""
    place = run.places[id][0]
    sent, other = run.first_sent[id], run.first_sent[twin.id]
    alike = "with equal content" if look(sent) == look(other) else f"with the same key {sent.key}"
    assert run.rest is not None
    return Finding(
        "EFF-4",
        Verdict.FAIL,
        claim=f"Event {id} ({place}) was swallowed: it was taken for {twin.id}.",
        brief=f"Two different events {alike} were taken for one.",
        first=FactRef(sent.n, f"{id} and {twin.id} are two events {alike}."),
        second=FactRef(
            run.rest.n, f"Everything was at rest, and only {twin.id} had an effect (#{twin.n})."
        ),
        both="Two events with two ids must have two effects, however alike they look.",
        why="A customer may well pay the same amount twice. Only the event's id tells a repeat "
        "from a second event; a hash of the content, or the key, does not.",
        rows=(other.n, sent.n, twin.n, run.rest.n),
        places=(place,),
        ids=(id, twin.id),
    )


def divergence(run: Run) -> Iterator[Finding]:
    """EFF-5."""
    for (_, id), effects in run.effects.items():
        for other in effects[1:]:
            if differs(other.content, effects[0].content):
                yield diverged(run, id, effects[0], other)
                break


def diverged(run: Run, id: str, one: Effect, two: Effect) -> Finding:
    """EFF-5 about one event."""
    return Finding(
        "EFF-5",
        Verdict.FAIL,
        claim=f"Two effects of {id} carry different values.",
        brief="Two effects of one event carry different values.",
        first=FactRef(one.n, f"{wrote(one)[:-1]}: {show(one.content)}."),
        second=FactRef(two.n, f"{wrote(two)[:-1]}: {show(two.content)}."),
        both="The same event must have the same effect, whenever and wherever it is applied.",
        why="A redelivered record is the same record. An effect that depends on when it is "
        "applied, or by whom, cannot be repeated safely.",
        rows=(one.n, two.n),
        places=tuple(run.places.get(id, ())),
        ids=(id,),
    )


def convergence(run: Run) -> Iterator[Finding]:
    """EFF-6."""
    wrong = [
        (state, key, got, expected)
        for state in run.history.of(State)
        for key, got, expected in state_differences(state)
    ]
    if wrong and not run.quiet:
        yield Finding(
            "EFF-6",
            Verdict.INCONCLUSIVE,
            claim="The final state was not what the events add up to, but the program had not "
            "dealt with everything.",
            why="State is compared once everything is at rest. See LIV-1.",
            reason="stuck",
        )
    elif wrong:
        yield from (not_converged(run, *each) for each in wrong)


Key = tuple[str, ...]
Values = dict[str, object]


def state_differences(state: State) -> Iterable[tuple[Key, Values, Values]]:
    """Keys whose values are not as expected: (key, values there, values expected)."""
    got, expected = keyed(state, state.rows), keyed(state, state.expected)
    absent = dict(state.absent)
    for key in sorted(got.keys() | expected.keys()):
        have, want = got.get(key, absent), expected.get(key, absent)
        if have.keys() != want.keys() or differs(have, want):
            yield key, have, want


def keyed(state: State, rows: list[dict[str, object]]) -> dict[Key, Values]:
    """The rows' values by their key."""
    return {
        tuple(str(row[name]) for name in state.key): {
            name: value for name, value in row.items() if name not in state.key
        }
        for row in rows
    }


def not_converged(run: Run, state: State, key: Key, got: Values, expected: Values) -> Finding:
    """EFF-6 about one row."""
    name = ", ".join(key)
    events = [s for s in run.first_sent.values() if s.key in key and s.id in run.places]
    effects = [] if events else effects_on(run, state, key)
    of: Sequence[Sent | Effect] = events or effects
    last = max((fact.n for fact in of), default=state.n)
    return Finding(
        "EFF-6",
        Verdict.FAIL,
        claim=f"{state.table} of {name} is {show(got)}; the events add up to {show(expected)}.",
        first=FactRef(last, f"{summands(name, events, effects)} make {show(expected)}."),
        second=FactRef(state.n, f"At rest, {state.table} of {name} held {show(got)}."),
        both="Each event counts exactly once, so the state has only one right value.",
        why=why_wrong(run, [e.id for e in events]),
        rows=tuple(sorted({*(e.n for e in effects[-SUMMANDS:]), last, state.n})),
        ids=tuple(fact.id for fact in of),
    )


def effects_on(run: Run, state: State, key: Key) -> list[Effect]:
    """The effects whose content names a row of a state by its key, in order."""
    mine = dict(zip(state.key, key, strict=True)).items()
    return [
        effect
        for effect in run.history.of(Effect)
        if all(str(effect.content.get(name)) == value for name, value in mine)
    ]


def summands(name: str, events: Sequence[Sent], effects: Sequence[Effect]) -> str:
    """What a row's right value follows from, as the subject of a sentence."""
    if events:
        return f"The log holds {len(events)} events of {name}, which"
    if not effects:
        return "All events together"
    last = "; ".join(f"{e.spot} for {e.id}: {show(e.content)}" for e in effects[-SUMMANDS:])
    which = f", the last of them {last}," if len(effects) > SUMMANDS else f" ({last})"
    return f"What there was and {len(effects)} row(s) that name {name}{which}"


def why_wrong(run: Run, ids: list[str]) -> str:
    """What made a sum wrong: effects that are not one each, or else something beside them."""
    counts = {id: len(run.effect_rows(id)) for id in ids}
    odd = [f"{id} has {count or 'no'} effects" for id, count in counts.items() if count != 1]
    if odd:
        return f"{'; '.join(odd[:3])}: the state follows from that."
    each = "Every event of it has one effect, and still the sum is wrong. " if ids else ""
    return (
        f"{each}State that is written apart from the effects drifts from them at the first crash, "
        "repeat or concurrent write: write both in one transaction, and let the database add."
    )


def show(value: object) -> str:
    """A value for people: JSON without quotes where they only disturb."""
    if isinstance(value, dict) and len(value) == 1:
        return show(next(iter(value.values())))
    if isinstance(value, dict):
        return ", ".join(f"{name} {show(each)}" for name, each in value.items()) or "nothing"
    return "nothing" if value is None else str(value)


def told_too_early(run: Run) -> Iterator[Finding]:
    """EFF-7: records about an event whose row the grader was holding, or refused, the first of each
    event."""
    seen: set[str] = set()
    for effect in run.history.of(Effect):
        if effect.partition is None or effect.id in seen or effect.id not in run.first_sent:
            continue
        if gate := unfinished_by(run, effect):
            seen.add(effect.id)
            yield unfinished(effect, gate)


def unfinished_by(run: Run, record: Effect) -> Fault | None:
    """The fault by which the row of a record's event was not there; None when it was, or may have
    been."""
    rows = [row for row in run.effect_rows(record.id) if row.partition is None]
    if gate := hold_beyond(run, record):
        return None if any(is_before(row, record) for row in rows) else gate
    if any(is_before(row, record, CLOCK_MARGIN_S) for row in rows):
        return None
    return refusal_of(run, record.id)


def is_before(row: Effect, record: Effect, margin_s: float = 0.0) -> bool:
    """Whether a row was there before a record was seen, by their facts or by the database's clock:
    another instance may have written it while the grader held the first attempt."""
    return row.n < record.n or row.committed_t <= record.t + margin_s


def hold_beyond(run: Run, effect: Effect) -> Fault | None:
    """A hold on the row of a record's event that was not over when the record was there."""
    held: dict[str, Fault] = {}
    over: set[str] = set()
    for fault in run.history.of(Fault):
        own = effect.id in fault.row.values() and fault.holds
        if own and fault.what == "applied" and fault.fault not in over:
            held.setdefault(fault.fault, fault)
        elif own and fault.is_over and fault.n < effect.n:
            over.add(fault.fault)
            held.pop(fault.fault, None)
    return next(iter(held.values()), None)


def unfinished(effect: Effect, gate: Fault) -> Finding:
    """EFF-7 about a record that was ahead of its row."""
    return Finding(
        "EFF-7",
        Verdict.FAIL,
        claim=f"{effect.id} was published before it was durable.",
        first=FactRef(effect.n, wrote(effect)),
        second=FactRef(gate.n, f"{not_done(gate)}: {gate.target}."),
        both="A record tells others that something has happened; it had not, and might never.",
        why=WHY_UNFINISHED,
        rows=tuple(sorted((gate.n, effect.n))),
        ids=(effect.id,),
    )


def not_done(gate: Fault) -> str:
    """Why a row was not there yet."""
    if gate.action.startswith("hold"):
        return "The grader held this until later"
    return "The database refused this, and it was done only later, or never"
