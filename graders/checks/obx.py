"""OBX: an outbox, from which what was changed is announced.

**Model.** The contract (`OutboxSpec`) names a table and a topic. Each committed *row* of the table,
written by the program or by the grader in somebody else's part, must be told by an *event* in the
topic: a record with the row's aggregate, version and content. The versions of an aggregate are
committed in their order, because each writer takes the aggregate's own row first. A row is *marked*
when its column says that it was published. Rows and marks are seen by triggers, in the order of
their commits; events by a read_committed reader, in the order of their partition. Between
partitions, and between table and topic, the order of facts is used only where something was seen,
hence had happened, before the program could do the next thing.

**OBX-1 lost event.** A row was committed, the run was quiet after that, and no event tells of it,
to the end. Like EFF-1 it speaks only about rows from before a time when the run was quiet (all
commands committed, nothing moved for the time that the statement allows for publishing, broker and
database asked once more); about others it says INCONCLUSIVE (stuck). Rows of which OBX-5 speaks are
left to it.

**OBX-2 ghost event.** A record of the topic tells of no committed row: there is no such version, or
the row of this version says something else, or the record names no aggregate and version at all.
Speaks only when the topics were drained and every row of the log was read, so a row that is seen
late accuses nobody; a row that was committed at last makes an early event true, and is not held
against it. Aborted records are never seen.

**OBX-3 order.** In one partition the first event of a later version of an aggregate lies before the
first one of an earlier version; or the events of an aggregate lie in several partitions, or have
another key than the aggregate. Only first events count: who publishes at least once repeats, and a
reader who knows what he has had skips repeats. An earlier version that never comes is OBX-1's.
Ghosts are left out.

**OBX-4 stable identity.** Two events of one row have different event ids or other fields, or an
event has none, or one event id stands for two rows. Also repeats that nothing explains: more than
15 events of one row, where a program that is restarted as often as it may be, twice at a time,
stays below; and, after a clean restart at rest, more than half of the rows (three at least) that
were marked when it was stopped. A straggler on the wire is one row, not half of them. Which
instance publishes, and how often a crash makes it repeat, is free.

**OBX-5 late commit.** As OBX-1, and a row with a higher id had its event in the topic before this
row was committed: the program had been further on already. Both are facts in the order in which
they were seen, and a row's sequence number is drawn before its commit. Also counted for rows whose
event never came because they were marked along with the others.

**OBX-6 drain.** At rest, a row committed before had no event, and got it only after a restart or
another change; or it had its event and was not marked. May wrongly accuse a slow relay:
so the grader waits one and a half times what the statement allows without any sign of progress, and
like LIV-1 it counts only when two of three attempts end so, the repeats with doubled patience. A
row that never got its event is OBX-1's or OBX-5's.

**One worked history** (OBX-5):

    #31 effect   outbox row 7 off-2 (id 12, bkg-b version 1)
    #34 output   events-1@3 bkg-b version 1
    #36 effect   outbox row 6 off-1 (id 11, bkg-a version 1)
    #60 settled  quiet; no event tells of version 1 of bkg-a

The row with id 11 became visible at #36, when the event of id 12 was in the topic already (#34). A
relay that asks for ids above the last one never sees it.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence

from graders.checks.finding import MOST_SHOWN, FactRef, Finding, lane_name, shorten
from graders.checks.outbox import Change, Outbox, change_of, content_of, named
from graders.checks.run import Run, differs
from graders.facts import Connection, Effect, Output, Process, Settled
from graders.verdicts import Verdict

MOST_EVENTS = 15  # of one row
FEW_REPEATS = 3

WHY_LOST = (
    "The change and its event are two writes in two systems, and a crash or an error comes between "
    "them. What is to be published must be found again in the database until the broker has "
    "acknowledged it, and marked only then."
)
WHY_LATE = (
    "A sequence numbers rows when they are written, not when they are committed. Rows appear "
    "behind higher ids, so no id, no time and no position says that everything before it was seen. "
    "Ask for what is not published, and mark exactly the rows that were."
)
WHY_GHOST = (
    "A record cannot be taken back. What is published before the commit has never happened when "
    "the transaction is rolled back, or somebody else's change comes first."
)
WHY_INVERTED = (
    "Neither ids nor times order the versions of an aggregate; the version does. Its order is lost "
    "where two relays take different rows, where a failed row steps aside for the next, or where "
    "rows are sent in the order in which their transactions began."
)
WHY_SPLIT = (
    "Kafka orders the records of one partition, and the key decides the partition. Without the "
    "aggregate as key, its versions go to several, and each reader sees an order of its own."
)
WHY_IDENTITY = (
    "At least once means that readers must recognise repeats, and they can do so by the event's id "
    "only. It must come from the row, not from the moment at which it is published."
)
WHY_REPEATED = (
    "A repeat is the price of a crash, not of a normal start. What was acknowledged must be noted "
    "where a restart finds it, or each start publishes the whole past again."
)
WHY_DEAF = (
    "A notification that nobody hears is gone, and a thread that dies of a broken connection is "
    "missed by nobody. Whoever connects again looks first for what is not published, and lets the "
    "program end when it cannot go on."
)
WHY_UNDRAINED = (
    "An outbox is empty when all is quiet; then its length is what operations can watch. A relay "
    "that dies without anybody noticing, or forgets to note what it did, makes that number "
    "meaningless."
)


def lost_event(run: Run) -> Iterator[Finding]:
    """OBX-1."""
    outbox = Outbox(run.history)
    for row in silent(outbox):
        if overtaker(outbox, row) is None:
            yield lost(run, outbox, row, "OBX-1")


def late_commit(run: Run) -> Iterator[Finding]:
    """OBX-5."""
    outbox = Outbox(run.history)
    for row in silent(outbox):
        if overtaker(outbox, row) is not None:
            yield lost(run, outbox, row, "OBX-5")


def silent(outbox: Outbox) -> list[Effect]:
    """The rows of which no event tells, in the order of their commits."""
    return [row for change, row in outbox.rows.items() if not outbox.events.get(change)]


def overtaker(outbox: Outbox, row: Effect) -> Output | None:
    """The event of a row with a higher id that was in the topic before this one's commit; None when
    there is none."""
    id = outbox.spec.id
    for change, events in outbox.events.items():
        if outbox.rows[change].content[id] > row.content[id] and events[0].n < row.n:
            return events[0]
    return None


def lost(run: Run, outbox: Outbox, row: Effect, check: str) -> Finding:
    """OBX-1 or OBX-5 about one row."""
    change = change_of(outbox.spec, row.content)
    if run.rest is None or row.n > run.rest.n:
        return unsure(check, row, change)
    ahead, mark = overtaker(outbox, row), outbox.marked.get(change)
    noted = f" It was marked as published at #{mark.n}." if mark else ""
    return Finding(
        check,
        Verdict.FAIL,
        claim=f"{named(change).capitalize()} was never published: its row was committed "
        + ("behind a higher id." if ahead else "and has no event."),
        brief="A committed change was never published.",
        first=FactRef(row.n, f"{committed(outbox, row)}."),
        second=FactRef(run.rest.n, f"At rest, no event told of {named(change)}.{noted}"),
        both="Each committed row has its event, whoever wrote it and whenever it was committed.",
        why=WHY_LATE if ahead else WHY_LOST,
        rows=tuple(sorted(x.n for x in (row, ahead, mark, run.rest) if x)),
        ids=(change[0], row.id),
    )


def unsure(check: str, row: Effect, change: Change) -> Finding:
    """A row that may still be published."""
    return Finding(
        check,
        Verdict.INCONCLUSIVE,
        claim=f"No event of {named(change)} was seen, but the program was not at rest.",
        why="A row that still waits is not lost. See LIV-1 for what was waited for.",
        rows=(row.n,),
        ids=(change[0], row.id),
        reason="stuck",
    )


def ghost_event(run: Run) -> Iterator[Finding]:
    """OBX-2."""
    outbox = Outbox(run.history)
    accused: set[Change | None] = set()
    for output in outbox.strays if run.drained else ():
        if (change := outbox.claim_of(output)) not in accused:
            accused.add(change)
            yield haunted(run, outbox, output, change)


def haunted(run: Run, outbox: Outbox, output: Output, change: Change | None) -> Finding:
    """OBX-2 about one record."""
    row = outbox.rows.get(change) if change else None
    if row is not None:
        fact = FactRef(row.n, f"{committed(outbox, row)}.")
    else:
        what = named(change) if change else "this"
        fact = FactRef(len(run.history), f"Until the end no committed row told of {what}.")
    return Finding(
        "OBX-2",
        Verdict.FAIL,
        claim=f"{spot(output)} tells of what never happened: {said(output)}.",
        brief="An event tells of a change that was never committed.",
        first=FactRef(output.n, f"{who(output)} wrote {spot(output)}: {said(output)}."),
        second=fact,
        both="Nothing has an event that is not a committed row.",
        why=WHY_GHOST,
        rows=tuple(sorted({output.n, fact.n})),
        ids=(change[0],) if change else (),
    )


def order(run: Run) -> Iterator[Finding]:
    """OBX-3."""
    outbox = Outbox(run.history)
    by_aggregate: dict[str, list[Change]] = defaultdict(list)
    for change in outbox.events:
        by_aggregate[change[0]].append(change)
    for aggregate, changes in by_aggregate.items():
        events = [event for change in changes for event in outbox.events[change]]
        firsts = {change: outbox.events[change][0] for change in changes}
        yield from split(aggregate, events) or inverted(firsts)


def split(aggregate: str, events: Sequence[Output]) -> list[Finding]:
    """OBX-3 about an aggregate without one partition, or without its key; at most one finding."""
    one = events[0]
    other = next((e for e in events if e.partition != one.partition), None)
    stranger = next((e for e in events if e.key != aggregate), None)
    if other:
        return [torn(aggregate, one, other)]
    return [wrong_key(aggregate, stranger)] if stranger else []


def torn(aggregate: str, one: Output, other: Output) -> Finding:
    """OBX-3 about events in two partitions."""
    return Finding(
        "OBX-3",
        Verdict.FAIL,
        claim=f"The events of {aggregate} lie in several partitions.",
        brief="The events of one aggregate lie in several partitions.",
        first=FactRef(one.n, f"{spot(one)} has the key {one.key!r}: {said(one)}."),
        second=FactRef(other.n, f"{spot(other)} has the key {other.key!r}: {said(other)}."),
        both=f"Both are about {aggregate}, and only records of one partition have an order.",
        why=WHY_SPLIT,
        rows=(one.n, other.n),
        ids=(aggregate,),
    )


def wrong_key(aggregate: str, event: Output) -> Finding:
    """OBX-3 about an event with another key."""
    return Finding(
        "OBX-3",
        Verdict.FAIL,
        claim=f"An event of {aggregate} has the key {event.key!r}.",
        brief="An event has another key than its aggregate.",
        first=FactRef(event.n, f"{spot(event)} has the key {event.key!r}."),
        second=FactRef(event.n, f"It says {said(event)}."),
        both="What keeps its order together must have one key, the same for all who read it.",
        why=WHY_SPLIT,
        rows=(event.n,),
        ids=(aggregate,),
    )


def inverted(firsts: dict[Change, Output]) -> Iterator[Finding]:
    """OBX-3 about the first versions of an aggregate whose first events lie the wrong way round."""
    latest: tuple[Change, Output] | None = None
    for change, event in sorted(firsts.items(), key=lambda item: item[1].offset):
        if latest and change[1] < latest[0][1]:
            yield swapped(change, event, *latest)
            return
        latest = change, event


def swapped(early: Change, event: Output, late: Change, before: Output) -> Finding:
    """OBX-3 about two versions."""
    return Finding(
        "OBX-3",
        Verdict.FAIL,
        claim=f"Version {late[1]} of {late[0]} was published before version {early[1]}.",
        brief="A later version was published before an earlier one.",
        first=FactRef(before.n, f"{who(before)} wrote {spot(before)}: version {late[1]}."),
        second=FactRef(event.n, f"{who(event)} wrote {spot(event)} behind it: version {early[1]}."),
        both="Both were there for the first time; the versions of an aggregate keep their order.",
        why=WHY_INVERTED,
        rows=(before.n, event.n),
        ids=(early[0],),
    )


def stable_identity(run: Run) -> Iterator[Finding]:
    """OBX-4."""
    outbox = Outbox(run.history)
    by_id: dict[str, tuple[Change, Output]] = {}
    for change, events in outbox.events.items():
        yield from nameless(outbox, events[0]) or changed(outbox, change, events)
        yield from flood(outbox, change, events)
        id = str(events[0].value.get(outbox.spec.event_id))
        other, first = by_id.setdefault(id, (change, events[0]))
        if other != change:
            yield shared(id, other, first, change, events[0])
    yield from repeated(run, outbox)


def nameless(outbox: Outbox, event: Output) -> list[Finding]:
    """OBX-4 about an event without an id; empty when it has one."""
    name = outbox.spec.event_id
    id = event.value.get(name)
    if isinstance(id, str) and id:
        return []
    return [
        Finding(
            "OBX-4",
            Verdict.FAIL,
            claim=f"{spot(event)} has no {name}.",
            brief="An event has no identity.",
            first=FactRef(event.n, f"{who(event)} wrote {spot(event)}: {said(event)}."),
            second=FactRef(event.n, f"Its {name} is {id!r}, not a text."),
            both="Each event names itself, so that readers recognise it when it comes again.",
            why=WHY_IDENTITY,
            rows=(event.n,),
            ids=(str(event.value[outbox.spec.aggregate]),),
        )
    ]


def changed(outbox: Outbox, change: Change, events: Sequence[Output]) -> Iterator[Finding]:
    """OBX-4 about a row whose event was not the same when it came again, the first time."""
    one = events[0]
    for two in events[1:]:
        if differs(two.value, one.value) or two.value.keys() != one.value.keys():
            yield Finding(
                "OBX-4",
                Verdict.FAIL,
                claim=f"{named(change).capitalize()} was published twice, as two different events.",
                brief="One change was published twice, as two different events.",
                first=FactRef(one.n, f"{who(one)} wrote {spot(one)}: {said(one)}."),
                second=FactRef(two.n, f"{who(two)} wrote {spot(two)}: {said(two)}."),
                both="A row's event is the same record, whenever it is published and by whom.",
                why=WHY_IDENTITY,
                rows=(one.n, two.n),
                ids=(change[0], outbox.rows[change].id),
            )
            return


def shared(id: str, one: Change, first: Output, two: Change, second: Output) -> Finding:
    """OBX-4 about an event id of two rows."""
    return Finding(
        "OBX-4",
        Verdict.FAIL,
        claim=f"One event id, {id}, stands for {named(one)} and for {named(two)}.",
        brief="One event id stands for two changes.",
        first=FactRef(first.n, f"{who(first)} wrote {spot(first)}: {said(first)}."),
        second=FactRef(second.n, f"{who(second)} wrote {spot(second)}: {said(second)}."),
        both="Who has had this id skips the second one, though it is another change.",
        why=WHY_IDENTITY,
        rows=tuple(sorted((first.n, second.n))),
        ids=(two[0], one[0]),
    )


def flood(outbox: Outbox, change: Change, events: Sequence[Output]) -> Iterator[Finding]:
    """OBX-4 about a row that was published without end."""
    if len(events) > MOST_EVENTS:
        one, last = events[0], events[-1]
        yield Finding(
            "OBX-4",
            Verdict.FAIL,
            claim=f"{named(change).capitalize()} was published {len(events)} times.",
            brief="One change was published without end.",
            first=FactRef(one.n, f"{who(one)} wrote {spot(one)}."),
            second=FactRef(last.n, f"{who(last)} wrote {spot(last)}, the {len(events)}th time."),
            both="A repeat is due to an interruption, and there were not so many.",
            why=WHY_REPEATED,
            rows=(one.n, last.n),
            ids=(change[0], outbox.rows[change].id),
        )


def repeated(run: Run, outbox: Outbox) -> Iterator[Finding]:
    """OBX-4 about a restart at rest after which what was marked is published again."""
    started, before = clean_restart(run)
    if started is None or before is None:
        return
    marked = [c for c, mark in outbox.marked.items() if mark.n < before.n]
    again = [(c, e) for c in marked for e in outbox.events.get(c, ())[1:] if e.n > started.n]
    changes = {change for change, _ in again}
    if len(changes) >= FEW_REPEATS and 2 * len(changes) > len(marked):
        yield started_over(outbox, again[0], len(changes), len(marked))


def clean_restart(run: Run) -> tuple[Process | None, Settled | None]:
    """The first start of the aftershock, and the rest before it; None for what there was not."""
    if run.aftershock is None:
        return None, None
    phase = run.aftershock
    starts = [p for p in run.history.of(Process) if p.what == "started" and p.n > phase]
    rests = [s for s in run.history.of(Settled) if s.quiet and s.n < phase]
    return next(iter(starts), None), next(iter(reversed(rests)), None)


def started_over(
    outbox: Outbox, again: tuple[Change, Output], repeats: int, marked: int
) -> Finding:
    """OBX-4 about a program that publishes its past at each start."""
    change, event = again
    mark = outbox.marked[change]
    return Finding(
        "OBX-4",
        Verdict.FAIL,
        claim=f"After a clean restart {repeats} of {marked} marked rows were published again.",
        brief="After a clean restart what was marked was published again.",
        first=FactRef(mark.n, f"The row of {named(change)} was marked as published."),
        second=FactRef(event.n, f"{who(event)} wrote {spot(event)} after the restart."),
        both="Nothing had interrupted it: all was published, marked and at rest.",
        why=WHY_REPEATED,
        rows=(mark.n, event.n),
        ids=(change[0], outbox.rows[change].id),
    )


def drain(run: Run) -> Iterator[Finding]:
    """OBX-6."""
    outbox = Outbox(run.history)
    late = [(row, rest) for row in outbox.rows.values() if (rest := rest_before(run, outbox, row))]
    if late:
        yield came_late(run, outbox, *late[0], len(late))
    unmarked = [(row, s) for row in outbox.rows.values() if (s := rest_unmarked(run, outbox, row))]
    if unmarked:
        yield not_marked(outbox, *unmarked[0], len(unmarked))


def rest_unmarked(run: Run, outbox: Outbox, row: Effect) -> Settled | None:
    """The rest at which a row had its event and was not marked yet; None when there was none."""
    change = change_of(outbox.spec, row.content)
    events, mark = outbox.events.get(change), outbox.marked.get(change)
    if not events:
        return None
    return rest_between(run, max(row.n, events[0].n), mark.n if mark else len(run.history) + 1)


def rest_between(run: Run, after: int, before: int) -> Settled | None:
    """The first rest behind one fact and ahead of another; None when there was none."""
    rests = (s for s in run.history.of(Settled) if s.quiet)
    return next((s for s in rests if after < s.n < before), None)


def rest_before(run: Run, outbox: Outbox, row: Effect) -> Settled | None:
    """The rest at which a row was there and its event, which came later, was not; None when there
    was none."""
    events = outbox.events.get(change_of(outbox.spec, row.content))
    return rest_between(run, row.n, events[0].n) if events else None


def broken_before(run: Run, row: Effect) -> Connection | None:
    """The last connection that the database ended before a row was committed; None when it ended
    none."""
    ended = (c for c in run.history.of(Connection) if c.n < row.n and c.ended_by_database)
    return max(ended, key=lambda c: c.n, default=None)


def came_late(run: Run, outbox: Outbox, row: Effect, rest: Settled, number: int) -> Finding:
    """OBX-6 about rows that were published only after a rest."""
    change = change_of(outbox.spec, row.content)
    event, ahead = outbox.events[change][0], overtaker(outbox, row)
    broken = broken_before(run, row)
    note = f" The database had ended a connection of {broken.instance}." if broken else ""
    return Finding(
        "OBX-6",
        Verdict.FAIL,
        claim=f"At rest the outbox was not drained: {number} row(s), {named(change)} first.",
        brief="At rest the outbox was not drained.",
        first=FactRef(row.n, f"{committed(outbox, row)}."),
        second=FactRef(
            rest.n, f"Nothing moved any more, and it had no event; that came only at #{event.n}."
        ),
        both=f"Nothing of the grader was in the program's way any more.{note}",
        why=WHY_LATE if ahead else WHY_DEAF if broken else WHY_UNDRAINED,
        rows=tuple(sorted(x.n for x in (broken, row, ahead, rest, event) if x)),
        ids=(change[0], row.id),
    )


def not_marked(outbox: Outbox, row: Effect, rest: Settled, number: int) -> Finding:
    """OBX-6 about rows that were published and not marked."""
    change = change_of(outbox.spec, row.content)
    event, mark = outbox.events[change][0], outbox.marked.get(change)
    later = f" It was marked only at #{mark.n}." if mark else ""
    return Finding(
        "OBX-6",
        Verdict.FAIL,
        claim=f"At rest {number} published row(s) were not marked, {named(change)} first.",
        brief="Published rows were not marked.",
        first=FactRef(event.n, f"{who(event)} wrote {spot(event)}: {said(event)}."),
        second=FactRef(rest.n, f"At rest, its row still said that it is not published.{later}"),
        both="A row is marked when its event is with the broker.",
        why=WHY_UNDRAINED,
        rows=tuple(sorted((row.n, event.n, rest.n))),
        ids=(change[0], row.id),
    )


def committed(outbox: Outbox, row: Effect) -> str:
    """A row and who wrote it, as a sentence without its end."""
    spec = outbox.spec
    writer = "The grader" if row.ours else row.instance or "The program"
    says = ", ".join(f"{name} {value}" for name, value in content_of(spec, row).items())
    change = named(change_of(spec, row.content))
    return f"{writer} committed {change} with {says} ({spec.id} {row.content[spec.id]})"


def spot(output: Output) -> str:
    """Where a record is: "events-1@41"."""
    return f"{lane_name((output.topic, output.partition))}@{output.offset}"


def said(output: Output) -> str:
    """A record's value for people."""
    return shorten(json.dumps(output.value, ensure_ascii=False), MOST_SHOWN)


def who(output: Output) -> str:
    """Who wrote a record."""
    return output.instance or "The program"
