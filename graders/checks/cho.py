"""CHO: services that are tied together by events alone.

**Model.** A *subject* (an order) begins with an event of the grader's; the program's services and
those that the grader plays answer it and one another with *announcements*. The contract
(`ChoreographySpec`) says for each type of announcement in answer to what it is written, what must
have happened before, which row it tells of, and to which *step* it belongs: of a step's types one
is announced about each subject. Only types of the contract count; others may come as they like, and
a record may come again with the same event id. Announcements are read by a read_committed reader,
so those of aborted transactions are never seen.

**CHO-1 chain.** An announcement has no event id, names as its cause no event of its subject, or one
of a type that the contract does not allow as its cause, or has another correlation id than the
event that began its subject, or another key than its subject. Or it needs two events, and names
the one past which its service had committed 2 s before it was handed the other, as the last of all.
So chains are complete, and without a circle because the contract's are. Silent about a subject that
CHO-2 speaks about.

**CHO-2 no loop.** An announcement has one of its own type about the same subject among its causes;
or there are more than 10 event ids, or 60 records, about one subject, where the contract knows a
handful. Records that are written again after each of a few crashes stay far below.

**CHO-3 once.** Two announcements of one step about one subject have different event ids, or one
event id stands for two of them. Counts at once, quiet or not. The same record again is free, and a
restart is no excuse: the id of an announcement must follow from its cause, or be remembered with
the change. Silent where CHO-2 speaks.

**CHO-4 no ghost.** Something was announced that was not true: it was seen before the grader let go
of the row that it tells of, which was committed only after that by the database's clock; or there
never was such a row; or the row holds other values than the event that began the subject; or an
event that must come first had not yet been handed to the service that announced it. The last is
asked of the row as well, announced or not: goods that were sent off unpaid are gone. Facts about
what was handed out come before the program gets it, and rows and records are seen after they are
written, so late sight accuses nobody. A need that a service of the program has yet to announce
accuses no row: the change may be there already. Or the step was decided otherwise: 2 s or more
before the service was handed an event that this announcement answers or needs, it had committed
past one that forbids it, or that calls for another type of the step and needs nothing more. So it
is with a cancellation before a reservation, and with the failure of an order before the order. Who
collects events and decides a moment later has decided by then.

**CHO-5 cross-topic delay.** At rest a step is owed, and an event that calls for it was committed by
the service before it was handed one that usually comes earlier: it met the consequence first, and
forgot it. What usually comes earlier is the event that begins the subject,
and the causes in the contract's order. Reported instead of CHO-6.

**CHO-6 every branch ends.** At rest a step is owed to a subject: its events call for it, or its row
is there, and nothing of it was announced. A reservation of a failed order without a release is such
a step. When the program was not at rest, the step may still come: INCONCLUSIVE (stuck), and LIV-1
says what is stuck. Which of several types it should have been is asked where it can be known: the
needs of a type (CHO-4), and the effects that an event must have (EFF-1).

**One worked history** (CHO-6):

    #12 sent     orders-0@3 ord-7 (OrderPlaced)
    #20 effect   reservations row 4 ord-7 (stock)
    #22 output   stock_events-0@3 StockReserved of ord-7
    #31 sent     payments-0@1 evt-9 (PaymentDeclined, ord-7)
    #38 output   shipments-0@1 OrderFailed of ord-7
    #60 settled  quiet; nothing says StockReleased

The failure at #38 calls for a release, and everything is at rest without one: the goods are lost.
"""

from collections.abc import Iterable, Iterator

from graders.checks.finding import FactRef, Finding, Place
from graders.checks.run import Run, differs, ends_of_holds
from graders.choreography import EVENT_ID, TYPE, Announcement, Choreography, Owed
from graders.facts import Commit, Effect, Fetched, Sent
from graders.spec import AnnouncementSpec
from graders.verdicts import Verdict

MOST_IDS = 10
MOST_RECORDS = 60
DECIDED_S = 2.0  # after its commit an event has decided what it decides


def chain(run: Run) -> Iterator[Finding]:
    """CHO-1."""
    told = run.choreography
    looping = {finding.ids[0] for finding in loops(run)}
    seen: set[tuple[str, str]] = set()
    for spec, announcement in told.written if run.drained else ():
        key = (announcement.subject, spec.step)
        if announcement.subject in looping or key in seen:
            continue
        wrong = next(broken_links(told, spec, announcement), None)
        if wrong := wrong or named_too_early(run, spec, announcement):
            seen.add(key)
            what, other = wrong
            shown = relative(other) if other else answered(told, announcement)
            yield broken(announcement, what, shown or relative(announcement))


def relative(announcement: Announcement) -> FactRef:
    """An event of the order that shows what is wrong."""
    return FactRef(
        announcement.n,
        f"{announcement.type} of the same order is {announcement.id!r}, correlation id "
        f"{announcement.correlation!r}.",
    )


def answered(told: Choreography, announcement: Announcement) -> FactRef | None:
    """The event of the grader's, of whatever type, that an announcement names as its cause; None
    when there is none."""
    found = (s for s in told.history.of(Sent) if s.value.get(EVENT_ID) == announcement.cause)
    if announcement.cause is None or (sent := next(found, None)) is None:
        return None
    return FactRef(sent.n, f"What it answers is {sent.value.get(TYPE)} {announcement.cause!r}.")


def broken_links(
    told: Choreography, spec: AnnouncementSpec, announcement: Announcement
) -> Iterator[tuple[str, Announcement | None]]:
    """What is wrong with an announcement's place in its chain, and the event that shows it."""
    about = told.by_subject.get(announcement.subject)
    if about is None:
        yield f"names no subject that was ever begun ({announcement.subject})", None
        return
    first = next(a for a in about if a.is_ours)
    if not isinstance(announcement.id, str) or not announcement.id:
        yield f"has no event id ({announcement.id!r})", None
    if announcement.key != announcement.subject:
        yield f"has the key {announcement.key!r}, not its order's id", first
    if announcement.correlation != first.correlation:
        told_instead = f"the correlation id {announcement.correlation!r}, not {first.correlation!r}"
        yield f"has {told_instead}", first
    cause = next((a for a in about if a.id == announcement.cause and a.id), None)
    if cause is None:
        yield f"names {announcement.cause!r} as its cause, no event of this order", first
    elif cause.type not in spec.causes:
        what = "itself" if cause.id == announcement.id else f"{cause.type} {cause.id}"
        yield f"names {what} as its cause, not {' or '.join(spec.causes)}", cause


def named_too_early(
    run: Run, spec: AnnouncementSpec, announcement: Announcement
) -> tuple[str, Announcement] | None:
    """That an announcement names as its cause what its service had dealt with long before the other
    event that it needs, and that event; None when the named one came last, or may have."""
    about = run.choreography.by_subject[announcement.subject]
    cause = next(a for a in about if a.id == announcement.cause)
    others = set(spec.causes) & set(spec.needs) - {cause.type}
    view = reader_of(run, about, spec) if cause.type in spec.needs and others else None
    commit = view.commit_past(place_of(cause)) if view else None
    if view is None or commit is None:
        return None
    begun = [fetch.n for _, fetch in first_handed(view, about, [run.choreography.spec.begins])]
    for last, fetch in first_handed(view, about, others):
        if fetch.t >= commit.t + DECIDED_S and begun and begun[0] < fetch.n:
            return f"names {cause.type} {cause.id} as its cause, but {last.type} came last", last
    return None


def broken(announcement: Announcement, what: str, shown: FactRef) -> Finding:
    """CHO-1 about one announcement."""
    return Finding(
        "CHO-1",
        Verdict.FAIL,
        claim=f"{announcement.type} of {announcement.subject} {what}.",
        first=FactRef(
            announcement.n,
            f"{who(announcement)} wrote {announcement.type} with event id {announcement.id!r}, "
            f"causation id {announcement.cause!r}, correlation id {announcement.correlation!r}.",
        ),
        second=shown,
        both="An event names the event that it answers, and carries its order's correlation id on.",
        why="Without an unbroken chain nobody can tell afterwards why something happened, and no "
        "tool can follow one order through the services.",
        rows=tuple(sorted({shown.n, announcement.n})),
        places=(place_of(announcement),),
        ids=(announcement.subject,),
    )


def loops(run: Run) -> Iterator[Finding]:
    """CHO-2."""
    told = run.choreography
    for subject, about in told.by_subject.items():
        written = [a for a in about if not a.is_ours]
        if pair := circle(about):
            yield loop(subject, *pair, len(written))
        elif is_flood(written):
            yield flood(subject, written)


def circle(about: list[Announcement]) -> tuple[Announcement, Announcement] | None:
    """An announcement and a later one of the same type that it led to; None when there is none."""
    by_id = {a.id: a for a in about if isinstance(a.id, str)}
    for announcement in about:
        seen = {announcement.id}
        cause = by_id.get(announcement.cause)
        while cause is not None and cause.id not in seen:
            if cause.type == announcement.type and not announcement.is_ours:
                return cause, announcement
            seen.add(cause.id)
            cause = by_id.get(cause.cause)
    return None


def is_flood(written: list[Announcement]) -> bool:
    """Whether far too much was announced about one subject."""
    return len({str(a.id) for a in written}) > MOST_IDS or len(written) > MOST_RECORDS


def flood(subject: str, written: list[Announcement]) -> Finding:
    """CHO-2 about one subject whose announcements are too many, and no circle."""
    one, two = written[0], written[-1]
    ids = len({str(a.id) for a in written})
    return Finding(
        "CHO-2",
        Verdict.FAIL,
        claim=f"The events of {subject} are a flood: {len(written)} records with {ids} event ids "
        "were written about it.",
        first=FactRef(one.n, f"{who(one)} wrote {one.type} {one.id!r}, the first of them."),
        second=FactRef(two.n, f"{who(two)} wrote {two.type} {two.id!r}, the last of them."),
        both=f"An order has a handful of events; more than {MOST_IDS} event ids, or {MOST_RECORDS} "
        "records, say the same again and again.",
        why="A service that makes a new event of each delivery, or of each attempt, multiplies "
        "whatever comes after it. The same answer must have the same event id, and be given when "
        "its cause comes, not all the time.",
        rows=(one.n, two.n),
        places=(place_of(one), place_of(two)),
        ids=(subject,),
    )


def loop(subject: str, one: Announcement, two: Announcement, records: int) -> Finding:
    """CHO-2 about one subject."""
    return Finding(
        "CHO-2",
        Verdict.FAIL,
        claim=f"The events of {subject} run in a circle: {records} records were written about it.",
        first=FactRef(one.n, f"{who(one)} wrote {one.type} {one.id!r}."),
        second=FactRef(two.n, f"{who(two)} wrote {two.type} {two.id!r} as a late answer to it."),
        both="An event must not lead to another of its kind: then nothing ever ends.",
        why="A service that answers to the consequence of its own event, or to its own event, "
        "keeps the circle going until somebody stops it. What was decided once is decided.",
        rows=(one.n, two.n),
        places=(place_of(one), place_of(two)),
        ids=(subject,),
    )


def once(run: Run) -> Iterator[Finding]:
    """CHO-3."""
    looping = {finding.ids[0] for finding in loops(run)}
    first: dict[tuple[str, str], Announcement] = {}
    by_id: dict[str, Announcement] = {}
    for announcement in run.choreography.all:
        by_id.setdefault(str(announcement.id), announcement)
    accused: set[str] = set()
    for spec, announcement in run.choreography.written:
        if announcement.subject in looping or announcement.subject in accused:
            continue
        step = first.setdefault((announcement.subject, spec.step), announcement)
        namesake = by_id[str(announcement.id)] if announcement.id is not None else announcement
        is_same = (namesake.type, namesake.subject) == (announcement.type, announcement.subject)
        if step.id != announcement.id or not is_same:
            accused.add(announcement.subject)
            yield twice(step if step.id != announcement.id else namesake, announcement)


def twice(one: Announcement, two: Announcement) -> Finding:
    """CHO-3 about one subject, or about one event id."""
    if one.id == two.id:
        claim = f"One event id, {one.id}, stands for {one.type} and for {two.type}."
        both = "An event id is the identity of one event."
    else:
        both_types = one.type if one.type == two.type else f"{one.type} and {two.type}"
        claim = f"{two.subject} was answered twice: {both_types}, with two event ids."
        both = "Each step is announced once about an order; a repeat must have the same event id."
    return Finding(
        "CHO-3",
        Verdict.FAIL,
        claim=claim,
        first=FactRef(one.n, f"{who(one)} wrote {one.type} {one.id!r} about {one.subject}."),
        second=FactRef(two.n, f"{who(two)} wrote {two.type} {two.id!r} about {two.subject}."),
        both=both,
        why="Kafka delivers at least once. A service that makes a new event id for each delivery "
        "multiplies whatever comes after it: its readers cannot know that it is the same event.",
        rows=(one.n, two.n),
        places=(place_of(one), place_of(two)),
        ids=(two.subject,),
    )


def ghost(run: Run) -> Iterator[Finding]:
    """CHO-4."""
    told = run.choreography
    accused: set[tuple[str, str]] = set()
    for spec, announcement in told.written if run.drained else ():
        key = (announcement.subject, announcement.type)
        if announcement.subject not in told.by_subject or key in accused:
            continue
        unknown = unknown_need(run, spec, spec.needs, announcement.subject, announcement.n)
        if untrue := untrue_row(run, spec, announcement) or unknown:
            accused.add(key)
            yield haunted(announcement, *untrue)
        elif decided := decided_otherwise(run, spec, announcement):
            accused.add(key)
            yield overruled(announcement, *decided)
    for spec, row in first_rows(told) if run.drained else ():
        needs = needs_of_row(told, spec, row.id)
        unknown = unknown_need(run, spec, needs, row.id, row.n)
        if unknown and (row.id, spec.type) not in accused:
            yield hasty(row, *unknown)


def first_rows(told: Choreography) -> Iterator[tuple[AnnouncementSpec, Effect]]:
    """The first row about each subject in each table of the contract, with the announcement's
    contract that tells of it."""
    for spec in told.spec.announcements:
        for subject in told.by_subject:
            yield from ((spec, row) for row in told.rows.get((spec.row, subject), ())[:1])


def needs_of_row(told: Choreography, spec: AnnouncementSpec, subject: str) -> list[str]:
    """The events that must have come before a row, without those that the program has yet to
    announce."""
    ours = {each.type for each in told.spec.announcements}
    come = {announcement.type for announcement in told.by_subject[subject]}
    return [need for need in spec.needs if need in come or need not in ours]


def untrue_row(
    run: Run, spec: AnnouncementSpec, announcement: Announcement
) -> tuple[str, FactRef] | None:
    """How an announcement contradicts the row that it tells of; None when it does not."""
    if not spec.row:
        return None
    rows = run.choreography.rows.get((spec.row, announcement.subject), [])
    if not rows:
        end = FactRef(
            len(run.history), f"Until the end {spec.row} held no row for {announcement.subject}."
        )
        return f"though no such row of {spec.row} was ever committed", end
    for let_go in ends_of_holds(run, spec.row, announcement.subject):
        # Another instance may have committed the row while the first was held.
        if announcement.n < let_go.n and rows[0].committed_t > let_go.t:
            held = FactRef(let_go.n, f"Until now the row of {spec.row} was held back.")
            return f"before its row of {spec.row} was committed", held
    return other_values(run, announcement, rows[0])


def other_values(run: Run, announcement: Announcement, row: Effect) -> tuple[str, FactRef] | None:
    """How a row differs from the event that began its subject; None when it does not."""
    about = run.choreography.by_subject[announcement.subject]
    begun = next(a for a in about if a.is_ours and a.type == run.choreography.spec.begins)
    told = {name: begun.value[name] for name in row.content if name in begun.value}
    wrong = differs(row.content, told)
    if not wrong:
        return None
    values = ", ".join(f"{name} {row.content[name]!r}, not {told[name]!r}" for name in wrong)
    return f"with a row of other values ({values})", FactRef(row.n, f"{row.spot} was written.")


def unknown_need(
    run: Run, spec: AnnouncementSpec, needs: Iterable[str], subject: str, n: int
) -> tuple[str, FactRef] | None:
    """Which event that must come first had not come to the service before fact number `n`; None
    when all had, or nobody can tell."""
    about = run.choreography.by_subject[subject]
    view = reader_of(run, about, spec)
    for need in needs:
        known = [a for a in about if a.type == need]
        if not known:
            end = FactRef(len(run.history), f"Until the end there was no {need} of this order.")
            return f"without {need}", end
        read = [a for a in known if view is not None and view.reads(a.topic)]
        handed = [view.fetch_of(place_of(a), before=n) for a in read] if view else []
        if read and not any(handed):
            came = FactRef(read[0].n, f"{need} came at this moment.")
            return f"before {need} was known to the service", came
    return None


def decided_otherwise(
    run: Run, spec: AnnouncementSpec, announcement: Announcement
) -> tuple[Announcement, Commit, Announcement, Fetched] | None:
    """Which event had decided the step of an announcement otherwise, the service's commit past it,
    what was still needed, and when that came; None when nothing had."""
    about = run.choreography.by_subject[announcement.subject]
    view = reader_of(run, about, spec)
    if view is None:
        return None
    others = deciding(run.choreography, spec)
    for cause in (a for a in about if a.type in others and view.reads(a.topic)):
        commit = view.commit_past(place_of(cause))
        if commit is None:
            continue
        for need, fetch in first_handed(view, about, spec.needs or spec.causes):
            if fetch.t >= commit.t + DECIDED_S:
                return cause, commit, need, fetch
    return None


def deciding(told: Choreography, spec: AnnouncementSpec) -> set[str]:
    """The types of events of which one alone, dealt with before, forbids an announcement."""
    others = [o for o in told.spec.announcements if o.step == spec.step and o.type != spec.type]
    causes = {cause for other in others if not other.needs for cause in other.causes}
    return {*spec.unless, *causes} - {*spec.causes, *spec.needs}


def first_handed(
    view: Run, about: list[Announcement], needs: Iterable[str]
) -> Iterator[tuple[Announcement, Fetched]]:
    """Of each type of event that is needed the record that came to the service first."""
    for need in needs:
        records = [a for a in about if a.type == need and view.reads(a.topic)]
        handed = [(fetch, a) for a in records if (fetch := view.fetch_of(place_of(a)))]
        if handed:
            fetch, first = min(handed, key=lambda pair: pair[0].n)
            yield first, fetch


def overruled(
    announcement: Announcement,
    cause: Announcement,
    commit: Commit,
    need: Announcement,
    fetch: Fetched,
) -> Finding:
    """CHO-4 about one announcement that came in spite of a decision."""
    return Finding(
        "CHO-4",
        Verdict.FAIL,
        claim=f"{announcement.type} of {announcement.subject} was announced though "
        f"{cause.type} had decided it otherwise before.",
        first=FactRef(
            commit.n,
            f"{commit.instance} committed past {cause.type} {cause.id!r}, "
            f"{fetch.t - commit.t:.1f} s before it was handed {need.type}.",
        ),
        second=FactRef(
            announcement.n,
            f"{who(announcement)} wrote {announcement.type} {announcement.id!r}.",
        ),
        both="What is dealt with first decides, and what comes later changes nothing.",
        why="Between topics there is no order: what ends a step may come before the events that "
        "the step answers. It must be remembered, and heeded in each state until then.",
        rows=tuple(sorted({cause.n, commit.n, fetch.n, announcement.n})),
        places=(place_of(cause), place_of(announcement)),
        ids=(announcement.subject,),
    )


def haunted(announcement: Announcement, what: str, other: FactRef) -> Finding:
    """CHO-4 about one announcement."""
    return Finding(
        "CHO-4",
        Verdict.FAIL,
        claim=f"{announcement.type} of {announcement.subject} was announced {what}.",
        first=FactRef(
            announcement.n,
            f"{who(announcement)} wrote {announcement.type} {announcement.id!r}.",
        ),
        second=other,
        both="An event says what has happened; it can be written only when it has.",
        why="The others act on an event at once, and it cannot be taken back. When the change then "
        "fails, they act on something that never was. Commit first, and announce it then.",
        rows=tuple(sorted({announcement.n, other.n})),
        places=(place_of(announcement),),
        ids=(announcement.subject,),
    )


def hasty(row: Effect, what: str, other: FactRef) -> Finding:
    """CHO-4 about one row."""
    return Finding(
        "CHO-4",
        Verdict.FAIL,
        claim=f"{row.table} got its row for {row.id} {what}.",
        first=FactRef(row.n, f"{row.instance or 'The program'} committed {row.spot}."),
        second=other,
        both="A change may be made only when all that it needs has happened.",
        why="What is missing may never come, or its contrary may, such as a declined payment. What "
        "was done by then cannot be taken back.",
        rows=tuple(sorted({row.n, other.n})),
        ids=(row.id,),
    )


def cross_topic(run: Run) -> Iterator[Finding]:
    """CHO-5."""
    for owed in owed_at_rest(run):
        if met := consequence_first(run, owed):
            yield forgotten(run, owed, *met)


def every_end(run: Run) -> Iterator[Finding]:
    """CHO-6."""
    for owed in owed_at_rest(run):
        if not consequence_first(run, owed):
            yield leaked(run, owed)
    if run.choreography.owed and not run.quiet:
        some = ", ".join(map(str, run.choreography.owed[:3]))
        yield Finding(
            "CHO-6",
            Verdict.INCONCLUSIVE,
            claim=f"Not announced: {some}; but the program had not dealt with everything.",
            why="What is still under way is not lost. See LIV-1 for what was waited for.",
            ids=tuple(owed.subject for owed in run.choreography.owed),
            reason="stuck",
        )


def owed_at_rest(run: Run) -> list[Owed]:
    """The steps that will never be announced; none as long as they may still be."""
    return run.choreography.owed if run.quiet else []


def consequence_first(run: Run, owed: Owed) -> tuple[Commit, Fetched, str, str] | None:
    """How a service met a later event before an earlier one: its commit past the later, the fetch
    of the earlier after that, and both types; None when it did not."""
    told = run.choreography
    about = told.by_subject[owed.subject]
    for spec in (spec for spec in told.spec.announcements if spec.type in owed.types):
        view = reader_of(run, about, spec)
        if view is None:
            continue
        usual = [told.spec.begins, *spec.causes]
        known = [a for a in about if a.type in usual and view.reads(a.topic)]
        for late in known:
            for early in known:
                if usual.index(early.type) > usual.index(late.type):
                    commit = view.commit_past(place_of(early))
                    fetch = view.fetch_of(place_of(late))
                    if commit and fetch and commit.n < fetch.n:
                        return commit, fetch, early.type, late.type
    return None


def reader_of(run: Run, about: list[Announcement], spec: AnnouncementSpec) -> Run | None:
    """The run as the service sees it that answers with this announcement: its group reads the
    topics of all causes that came."""
    topics = {a.topic for a in about if a.type in spec.causes}
    return next((v for v in run.by_group if topics and all(map(v.reads, topics))), None)


def forgotten(
    run: Run, owed: Owed, commit: Commit, fetch: Fetched, early: str, late: str
) -> Finding:
    """CHO-5 about one subject."""
    assert run.settled is not None  # the run is quiet
    return Finding(
        "CHO-5",
        Verdict.FAIL,
        claim=f"{early} of {owed.subject} came before its {late}, and was forgotten: "
        f"{' or '.join(owed.types)} was never announced.",
        first=FactRef(
            commit.n,
            f"{commit.instance} committed past {early} before it was handed {late} (#{fetch.n}).",
        ),
        second=FactRef(
            run.settled.n,
            f"Everything was at rest, and nothing said {' or '.join(owed.types)} of "
            f"{owed.subject}.",
        ),
        both="An event that is committed is dealt with, in whatever order the topics come.",
        why="Kafka keeps the order within a partition, and none between topics. What comes early "
        "must be remembered until the rest is there; it will not come again.",
        rows=(commit.n, fetch.n, run.settled.n),
        places=(Place(commit.topic, commit.partition, commit.offset - 1),),
        ids=(owed.subject,),
    )


def leaked(run: Run, owed: Owed) -> Finding:
    """CHO-6 about one subject."""
    told = run.choreography
    about = told.by_subject[owed.subject]
    causes = {c for s in told.spec.announcements if s.type in owed.types for c in s.causes}
    calls = [a for a in about if a.type in causes]
    assert run.settled is not None  # the run is quiet
    if owed.row is not None:
        first = FactRef(owed.row.n, f"{owed.row.spot} for {owed.subject} was committed.")
        claim = f"{owed.row.table} has a row for {owed.subject} that was never announced"
    else:
        cause = calls[-1]
        first = FactRef(
            cause.n, f"{cause.type} of {owed.subject} was written at {place_of(cause)}."
        )
        claim = f"{owed.subject} never reached its end after {cause.type}"
    return Finding(
        "CHO-6",
        Verdict.FAIL,
        claim=f"{claim}: {' or '.join(owed.types)} is missing.",
        first=first,
        second=FactRef(
            run.settled.n,
            f"Everything was at rest, and nothing said {' or '.join(owed.types)} of "
            f"{owed.subject}.",
        ),
        both="Every order must come to its end, by the good branch or by the other.",
        why=why_missing(run, owed, calls),
        rows=tuple(sorted({first.n, *(a.n for a in calls[-2:]), run.settled.n})),
        places=tuple(place_of(a) for a in calls[-1:]),
        ids=(owed.subject,),
    )


def why_missing(run: Run, owed: Owed, calls: list[Announcement]) -> str:
    """What usually stops a chain there."""
    if owed.row is not None:
        return (
            "A change and its announcement are two writes, and a crash comes between them. Write "
            "what is to be announced in the same transaction, and publish it from there."
        )
    if calls and not any(run.fetch_of(place_of(call)) for call in calls):
        return "The event that calls for it was never even fetched."
    return (
        "Nobody directs a choreography: what no service answers to, stays as it is. Goods stay "
        "reserved, and nobody is told."
    )


def who(announcement: Announcement) -> str:
    """Who wrote an announcement."""
    return "The grader" if announcement.is_ours else announcement.instance or "The program"


def place_of(announcement: Announcement) -> Place:
    """Where an announcement lies."""
    return Place(announcement.topic, announcement.partition, announcement.offset)
