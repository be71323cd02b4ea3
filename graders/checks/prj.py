"""PRJ: a view of topics, asked for over HTTP.

**Model.** A program keeps a *view*: rows that the records of its topics add up to. It is asked for
rows, and each *answer* says of itself how far it goes: its *positions* (`as_of`) name an offset for
each partition, before which all records are in the answer and from which none is. So every answer
can be judged by itself, also in the middle of a fault: the grader adds up the visible records
before the answer's own positions (`Projected`). What an answer *includes* are these records;
between two positions with no visible record in between there is no difference. A question has a
beginning and an end in the history, and one answer comes *after* another when it was asked for when
the other was complete. A *rebuild* is asked for by POST and gets the number of its view, the
*generation*, which each answer carries. It is under way from when it was asked for until an answer
of its generation, or a later one, was seen. What a program puts off (a status of 500 or more, no
answer at all) says nothing here: what it owes in the end is LIV-2. All of this speaks only when the
log is known: read to its end, with everything in it that was acknowledged.

**PRJ-1 exact.** An answer is not what the records before its positions add up to; or has not the
form agreed (then nobody can say what it means); or includes a record that had not been handed to
the program by then. Of each row only the first wrong answer counts. Other fields of an answer are
not compared, nor is the order between partitions, which nobody promised: the row is computed from
each partition's order alone.

**PRJ-2 rebuilt.** A rebuild did not make the view that it should: the first wrong answer of a row
is one of a rebuilt view, and the row's answer before it was right and older than that view, or
there was none; or the view's first answer includes a record that was not handed to the program
since the rebuild was asked for (it was not made from the topics); or the rebuild was refused, or
promised a number that is not new. When a program takes up a rebuild again after a crash, and says
so by the same number, what it read since that number was first promised counts.

**PRJ-3 silent-rebuild.** An event got a row in an effect table, its record was committed, then a
rebuild was asked for, and the event got a second row. The commit is the guard: without it the
record would have been due again anyway, which is EFF-2's business. EFF-2 speaks of these too.

**PRJ-4 never-back.** An answer came after another and does not include a record that the other did,
or has a lower generation, with no rebuild under way.

**PRJ-5 one-moment.** The same with a rebuild under way, or with the first answer that ends it; and
a row's first wrong answer when it is of an older view while a rebuild is under way: the old view
did not stay what it was.

**PRJ-6 fresh.** The run was quiet, which means that the group had committed past everything that
was sent, and an answer that was asked for later does not include it all. Only the last such rest
before the question counts.

**PRJ-7 read-your-writes.** A question named a record that must be included (`after`), it was
answered with 200 or 404, and by its positions the answer does not include it.

**One worked history** (PRJ-5):

    #90  asked   GET /customers/cus-1: total 500, as of orders-0 8
    #92  asked   POST /rebuild: 202, generation 2
    #95  fault   a Fetch of orders-0 from offset 0 held
    #99  asked   GET /customers/cus-1: 404, as of orders-0 0, generation 1

The answer at #90 included orders-0@7; the one at #99, asked later, does not. The rebuild emptied
the view that it should have left alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from graders.checks.eff import show
from graders.checks.finding import FactRef, Finding, Place, lane_name
from graders.checks.run import Run, differs
from graders.conditions import ENDS
from graders.facts import Asked, Commit, Effect, Process, Projected, Record, Settled
from graders.projection import (
    Answer,
    Rebuild,
    Unusable,
    answers_of,
    is_query,
    is_rebuild,
    read_answer,
    read_rebuild,
    token_of,
)
from graders.spec import Row
from graders.verdicts import Verdict

SNAPSHOT = (
    "A view is right only together with the positions it stands for. Write both in one "
    "transaction, take no record that lies before the position, and read both in one snapshot."
)
ANEW = (
    "A rebuild begins with nothing, neither rows nor positions: what was there before, or was left "
    "by a rebuild that died, must not be counted again. And the view changes with all that it "
    "claims: no record falls between the old one and the new."
)


@dataclass(frozen=True)
class Wrong:
    """A row's first wrong answer, the row that its records add up to, and the answer before it."""

    answer: Answer
    right: Projected
    before: Answer | None


class Views:
    """What the program answered in a run, in order."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.answers = list(answers_of(run.history)) if run.log_is_known else []

    @cached_property
    def rebuilds(self) -> list[Rebuild]:
        """The rebuilds that the program agreed to."""
        found = []
        for asked in self.run.history.of(Asked):
            if is_rebuild(asked, self.run.history.began):
                try:
                    found.append(read_rebuild(asked))
                except Unusable:
                    continue
        return found

    def end_of(self, rebuild: Rebuild) -> Answer | None:
        """The first answer that shows that a rebuild is over; None when there is none."""
        later = (a for a in self.answers if a.asked.n > rebuild.asked.since)
        return next((a for a in later if a.generation >= rebuild.generation), None)

    def under_way(self, answer: Answer) -> Rebuild | None:
        """The last rebuild that was under way when a question was asked or answered, or that its
        answer ends; None when there was none."""
        for rebuild in reversed(self.rebuilds):
            end = self.end_of(rebuild)
            if rebuild.asked.since < answer.asked.n and (
                end is None or answer.asked.since < end.asked.n
            ):
                return rebuild
        return None

    def first_made(self, generation: int) -> Rebuild | None:
        """The rebuild that first promised this generation; None when none did."""
        return next((r for r in self.rebuilds if r.generation == generation), None)

    @cached_property
    def wrong(self) -> list[Wrong]:
        """The first wrong answer of each row."""
        right = {p.asked: p for p in self.run.history.of(Projected)}
        found: dict[str, Wrong] = {}
        last: dict[str, Answer] = {}
        for answer in self.answers:
            told = right.get(answer.asked.n)
            if told and answer.id not in found and is_wrong(answer, told):
                found[answer.id] = Wrong(answer, told, last.get(answer.id))
            last[answer.id] = answer
        return list(found.values())

    def lacks(self, later: Answer, positions: Mapping[tuple[str, int], int]) -> Record | None:
        """The first record before these positions that an answer does not include."""
        for lane, position in positions.items():
            if later.positions.get(lane, 0) < position:
                for record in self.run.records.get(lane, ()):
                    if later.positions.get(lane, 0) <= record.offset < position:
                        return record
        return None

    @cached_property
    def steps_back(self) -> list[tuple[Answer, Answer, Record | None]]:
        """Answers that go back behind an earlier one, with that one and the record that they do not
        include (None when only the generation is lower)."""
        found = []
        for number, later in enumerate(self.answers):
            for earlier in self.answers[:number]:
                if earlier.asked.n <= later.asked.since:
                    record = self.lacks(later, earlier.positions)
                    if record or later.generation < earlier.generation:
                        found.append((earlier, later, record))
                        break
        return found


def is_wrong(answer: Answer, told: Projected) -> bool:
    """Whether an answer holds another row than its records add up to."""
    if answer.row is None or told.row is None:
        return answer.row is not told.row
    return bool(differs(answer.row, told.row))


def exact(run: Run) -> Iterator[Finding]:
    """PRJ-1."""
    views = Views(run)
    yield from malformed(run)
    yield from unread(views)
    for wrong in views.wrong:
        if blamed_on(views, wrong) == "PRJ-1":
            yield not_exact(run, "PRJ-1", wrong, SNAPSHOT)


def malformed(run: Run) -> Iterator[Finding]:
    """The first answer of which nobody can say what it means."""
    for asked in run.history.of(Asked):
        if is_query(asked, run.history.began) and asked.is_answered:
            try:
                read_answer(asked, run.history.began)
            except Unusable as why:
                yield not_as_agreed(run, asked, str(why))
                return


def not_as_agreed(run: Run, asked: Asked, why: str) -> Finding:
    """PRJ-1 about the form of an answer."""
    return Finding(
        "PRJ-1",
        Verdict.FAIL,
        claim=f"The answer to {asked.method} {asked.path} {why}.",
        brief="An answer does not have the form that was agreed.",
        first=FactRef(asked.n, f"{asked.instance} answers {says(asked)}."),
        second=FactRef(
            run.history.began.n,
            "A row is answered with status 200, no row with 404, each with as_of and generation.",
        ),
        both="Whoever asks must be able to tell what the answer says, and up to where it goes.",
        why="An answer from a view is always somewhat old. It is useful when it says how old.",
        rows=(asked.n,),
    )


def unread(views: Views) -> Iterator[Finding]:
    """The first answer that includes what the program had not read."""
    for answer in views.answers:
        for lane, position in answer.positions.items():
            for record in views.run.records.get(lane, ()):
                place = Place(*lane, record.offset)
                if record.offset < position and not views.run.fetch_of(place, answer.asked.n):
                    yield not_read(views.run, answer, place)
                    return


def not_read(run: Run, answer: Answer, place: Place) -> Finding:
    """PRJ-1 about an answer with a record that nobody had read."""
    fetch = run.fetch_of(place)
    return Finding(
        "PRJ-1",
        Verdict.FAIL,
        claim=f"An answer claims to include {place}, which had not been read.",
        brief="An answer claims to include a record that had not been read.",
        first=FactRef(answer.asked.n, f"{answer.asked.instance} answers {says(answer.asked)}."),
        second=FactRef(
            fetch.n if fetch else len(run.history),
            f"{place} was handed to the program only now."
            if fetch
            else f"Even at the end {place} had not been handed to the program.",
        ),
        both="The records before the positions are in the answer, so they have been read.",
        why="A position says what was taken up. Where the end of a partition, or the group's "
        "offset, stands in for it, what is not taken up yet is passed over.",
        rows=tuple(sorted({answer.asked.n, *([fetch.n] if fetch else [])})),
        places=(place,),
    )


def blamed_on(views: Views, wrong: Wrong) -> str:
    """The check that a row's first wrong answer belongs to."""
    made = views.first_made(wrong.answer.generation)
    if made and (wrong.before is None or wrong.before.generation < wrong.answer.generation):
        return "PRJ-2"
    rebuild = views.under_way(wrong.answer)
    if rebuild and wrong.answer.generation < rebuild.generation:
        return "PRJ-5"
    return "PRJ-1"


def not_exact(run: Run, check: str, wrong: Wrong, why: str) -> Finding:
    """A wrong row, by the check that it belongs to."""
    answer, told = wrong.answer, wrong.right
    about = [s for s in run.sent if answer.id in (s.key, s.value.get("customer"))]
    before = wrong.before
    says_row, right_row = shown_apart(answer.row, told.row)
    return Finding(
        check,
        Verdict.FAIL,
        claim=f"{answer.id} is answered with {says_row}; the records before the answer's positions "
        f"add up to {right_row}.",
        brief="An answer is not what the records that it claims to include add up to.",
        first=FactRef(answer.asked.n, f"{answer.asked.instance} answers {says(answer.asked)}."),
        second=FactRef(told.n, f"The records before these positions: {show_row(told.row)}."),
        both="Each record before the positions counts once, and no other does.",
        why=why,
        rows=tuple(x for x in (before.asked.n if before else 0, answer.asked.n, told.n) if x),
        places=tuple(p for s in about[-3:] for p in run.places.get(s.id, ())[:1]),
        ids=(answer.id, *(s.id for s in about[-1:])),
    )


def shown_apart(row: Row | None, right: Row | None) -> tuple[str, str]:
    """A row and the right one for people: when there are both, only what differs."""
    if row is None or right is None:
        return show_row(row), show_row(right)
    names = differs(row, right)
    return show({name: row.get(name) for name in names}), show({n: right[n] for n in names})


def show_row(row: Row | None) -> str:
    """A row for people."""
    return "no row" if row is None else show(dict(row))


def says(asked: Asked) -> str:
    """An answer as it came."""
    text = json.dumps(asked.answer, ensure_ascii=False)
    return f"{asked.status} {text if len(text) <= 300 else text[:299] + '…'}"


def rebuilt(run: Run) -> Iterator[Finding]:
    """PRJ-2."""
    views = Views(run)
    yield from not_agreed(views)
    yield from not_from_topics(views)
    for wrong in views.wrong:
        if blamed_on(views, wrong) == "PRJ-2":
            yield not_exact(run, "PRJ-2", wrong, ANEW)


def not_agreed(views: Views) -> Iterator[Finding]:
    """The first rebuild that was refused, or whose number is not new."""
    for asked in views.run.history.of(Asked):
        if not is_rebuild(asked, views.run.history.began) or not asked.is_answered:
            continue
        try:
            promised = read_rebuild(asked).generation
        except Unusable as why:
            yield refused(views.run, asked, f"The answer to POST {asked.path} {why}.")
            return
        known = [a for a in views.answers if a.asked.n <= asked.since]
        if known and promised <= max(a.generation for a in known):
            yield refused(
                views.run, asked, f"A rebuild got the number {promised}, which was taken."
            )
            return


def refused(run: Run, asked: Asked, claim: str) -> Finding:
    """PRJ-2 about a rebuild that was not agreed to."""
    return Finding(
        "PRJ-2",
        Verdict.FAIL,
        claim=claim,
        first=FactRef(asked.n, f"{asked.instance} answers {says(asked)}."),
        second=FactRef(run.history.began.n, "A rebuild is answered with 202 and a new generation."),
        both="Without a number of its own nobody can tell when the new view answers.",
        why="A view that cannot be made anew keeps every mistake that ever got into it.",
        rows=(asked.n,),
    )


def not_from_topics(views: Views) -> Iterator[Finding]:
    """The first rebuilt view that was not made from all records."""
    for rebuild in views.rebuilds:
        first = views.first_made(rebuild.generation)
        end = views.end_of(rebuild)
        if first is not rebuild or end is None:
            continue
        for lane, position in end.positions.items():
            for record in views.run.records.get(lane, ()):
                place = Place(*lane, record.offset)
                span = (rebuild.asked.since, end.asked.n)
                if record.offset < position and not was_read(views.run, place, *span):
                    yield not_read_again(views.run, rebuild, end, place)
                    return


def was_read(run: Run, place: Place, since: int, before: int) -> bool:
    """Whether a record was handed to the program between two facts."""
    return any(
        since < fetch.n < before and fetch.first <= place.offset <= fetch.last
        for fetch in run.fetches.get(place.lane, ())
    )


def not_read_again(run: Run, rebuild: Rebuild, end: Answer, place: Place) -> Finding:
    """PRJ-2 about a view that was made from something else."""
    return Finding(
        "PRJ-2",
        Verdict.FAIL,
        claim=f"View {rebuild.generation} was made without reading {place} again.",
        brief="A new view was made without reading all records again.",
        first=FactRef(rebuild.asked.n, f"View {rebuild.generation} is asked for."),
        second=FactRef(
            end.asked.n,
            f"View {end.generation} answers, and {place} was not handed to the program in between.",
        ),
        both="A view from offset zero is made from every record, the first included.",
        why="A copy of the old view has the old view's mistakes. Only the topics know better.",
        rows=(rebuild.asked.n, end.asked.n),
        places=(place,),
    )


def silent_rebuild(run: Run) -> Iterator[Finding]:
    """PRJ-3."""
    rebuilds = Views(run).rebuilds
    for (_, id), rows in run.effects.items():
        commit = run.commit_past(run.places[id][0]) if id in run.places else None
        if commit is None:
            continue
        for rebuild in rebuilds:
            again = [row for row in rows if row.n > rebuild.asked.since]
            if max(rows[0].n, commit.n) <= rebuild.asked.since and again:
                yield repeated(run, rebuild, commit, rows[0], again[0])
                break


def repeated(run: Run, rebuild: Rebuild, commit: Commit, one: Effect, two: Effect) -> Finding:
    """PRJ-3 about one event."""
    return Finding(
        "PRJ-3",
        Verdict.FAIL,
        claim=f"A rebuild made the effect of {one.id} in {one.table} again.",
        brief="A rebuild had effects outside of the view.",
        first=FactRef(one.n, f"{one.id} has its row, {one.spot}."),
        second=FactRef(two.n, f"{two.spot} is another row for {two.id}."),
        both="A rebuild reads the past for the view alone.",
        why="To read an event again is not the event happening again. What a projection tells the "
        "world belongs apart from what it keeps, so that a replay leaves the world alone.",
        rows=(one.n, commit.n, rebuild.asked.n, two.n),
        places=tuple(run.places[one.id]),
        ids=(one.id,),
    )


def never_back(run: Run) -> Iterator[Finding]:
    """PRJ-4."""
    views = Views(run)
    for earlier, later, record in views.steps_back:
        if not views.under_way(later):
            yield went_back("PRJ-4", earlier, later, record, why_back(run, earlier, later))
            return


def why_back(run: Run, earlier: Answer, later: Answer) -> str:
    """What may have made an answer older than one before it."""
    one, two = earlier.asked, later.asked
    ends = (p for p in run.history.of(Process) if p.what in ENDS and one.n < p.n < two.n)
    if any(end.instance in (one.instance, two.instance) for end in ends):
        return (
            "What was answered once was true. A view in memory is gone at a restart, and what is "
            "not durable yet may be; answer from what is committed."
        )
    if one.instance != two.instance:
        return (
            f"{one.instance} answered first, then {two.instance}. What an instance keeps for "
            "itself is behind as soon as another one does the work: answer from what they share."
        )
    return (
        "Nothing ended in between: the positions themselves went back, or were not read together "
        "with the row. A record that comes again must not set them back; write row and positions "
        "in one transaction, and read both in one snapshot."
    )


def one_moment(run: Run) -> Iterator[Finding]:
    """PRJ-5."""
    views = Views(run)
    why = (
        "Make the new view beside the old one, let it come as far as the old one is, and change "
        "over in one transaction. A poll without records is not the end of a topic."
    )
    for earlier, later, record in views.steps_back:
        if views.under_way(later):
            yield went_back("PRJ-5", earlier, later, record, why)
            break
    for wrong in views.wrong:
        if blamed_on(views, wrong) == "PRJ-5":
            yield not_exact(run, "PRJ-5", wrong, why)


def went_back(
    check: str, earlier: Answer, later: Answer, record: Record | None, why: str
) -> Finding:
    """An answer behind an earlier one, by the check that it belongs to."""
    lane = (record.topic, record.partition) if record else None
    what = f"{lane_name(lane)}@{record.offset}" if record and lane else "the earlier generation"
    return Finding(
        check,
        Verdict.FAIL,
        claim=f"An answer included {what}, a later one does not.",
        brief="A later answer includes less than an earlier one.",
        first=FactRef(earlier.asked.n, f"{earlier.asked.path} is answered {says(earlier.asked)}."),
        second=FactRef(
            later.asked.n, f"Asked later, {later.asked.path} is answered {says(later.asked)}."
        ),
        both="One reader asks after the other; the second must not see an older world.",
        why=why,
        rows=(earlier.asked.n, later.asked.n),
        places=(Place(record.topic, record.partition, record.offset),) if record else (),
    )


def fresh(run: Run) -> Iterator[Finding]:
    """PRJ-6."""
    views = Views(run)
    for answer in views.answers:
        rests = [s for s in run.history.of(Settled) if s.quiet and s.n <= answer.asked.since]
        for sent in run.sent if rests else ():
            place = Place(sent.topic, sent.partition, sent.offset or 0)
            is_due = sent.n < rests[-1].n and place in run.places.get(sent.id, ())
            if is_due and answer.positions.get(place.lane, 0) <= place.offset:
                yield stale(answer, rests[-1], place, sent.id)
                return


def stale(answer: Answer, rest: Settled, place: Place, id: str) -> Finding:
    """PRJ-6 about one answer."""
    return Finding(
        "PRJ-6",
        Verdict.FAIL,
        claim=f"An answer does not include {place}, which had been dealt with long before.",
        brief="An answer does not include what had been dealt with long before.",
        first=FactRef(rest.n, "The group had committed past everything, and nothing moved."),
        second=FactRef(
            answer.asked.n,
            f"Asked after that, {answer.asked.path} is answered {says(answer.asked)}.",
        ),
        both="A committed offset says that the view has everything before it.",
        why="Between the view and who asks, anything that keeps answers (a cache, a snapshot, "
        "a replica) makes them older than they need to be.",
        rows=(rest.n, answer.asked.n),
        places=(place,),
        ids=(id,),
    )


def read_your_writes(run: Run) -> Iterator[Finding]:
    """PRJ-7."""
    for answer in Views(run).answers:
        token = token_of(answer.asked, run.history.began)
        if token and answer.positions.get(token[0], 0) <= token[1]:
            yield not_included(run, answer, Place(*token[0], token[1]))
            return


def not_included(run: Run, answer: Answer, place: Place) -> Finding:
    """PRJ-7 about one answer."""
    sent = next(s for s in run.sent if place in run.places.get(s.id, ()))
    return Finding(
        "PRJ-7",
        Verdict.FAIL,
        claim=f"An answer was to include {place}, and does not.",
        brief="An answer does not include the record that it was asked to include.",
        first=FactRef(sent.n, f"{sent.id} was written at {place}."),
        second=FactRef(answer.asked.n, f"The answer is {says(answer.asked)}."),
        both="An answer of 200 or 404 to a question with a token includes its record.",
        why="Who has just written and reads an older view believes that the write is lost, and "
        "writes again. Wait for the record's partition to come so far, or say 503.",
        rows=(sent.n, answer.asked.n),
        places=(place,),
        ids=(sent.id,),
    )
