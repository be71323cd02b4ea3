"""DLQ: retries of calls to outside services, and dead-letter topics.

**Model.** A record of an input topic is *poison* when the challenge expects it in a dead-letter
topic: its value is no event, a service refuses it for good, or all attempts that the contract
allows fail. A *dead letter* is a record in that topic, seen by a read_committed reader. Dead
letters may repeat, since whoever loses an answer writes again. Calls are counted at the service
itself; a *series* is the calls about one event by one instance as long as its process lives and its
partitions stay as they are, so that a restart or a rebalance begins a new one. After a rebalance
the rest of the old series may go on beside the new one in the same process, and nobody can tell
their calls apart: from then on each call of that life is a series by itself.

**DLQ-1 routing.** A record is in the dead-letter topic that does not belong there (an event that
could have its effect, a tombstone): counts at once. Or poison was fetched, the run was quiet after
it was sent, and there is neither a dead letter nor any effect of it, although in between no write
to the dead-letter topic was disturbed and no process ended: it was dropped. Poison that had its
effect all the same is EFF-3's.

**DLQ-2 fidelity.** A dead letter differs from its record: the key, the value byte for byte, a
header that is missing or changed or out of order, an origin that is not the record's, no error
text, or a number of attempts that is less than the calls of the writer's last series or more than
all so far. Also a dead letter that is no record's. Further headers are free.

**DLQ-3 partition.** An event has both its effect and a dead letter. Counts at once.

**DLQ-4 budget.** Of calls to a service with a budget: a series has more calls than allowed; it goes
on after a refusal for good that the program had heard; an attempt follows the failure of the one
before sooner than the least pause (from the moment the answer was handed over, or, when none was,
from the call; 20 ms to spare, and the next call is timed when the service has dealt with it, so
every delay of ours makes the pause longer; a call that the grader read only when the program had
given it up says nothing about pauses, and may be older than a dead letter that was seen before it);
two calls were left without an answer, and each was followed by the next attempt sooner than an
answer must be waited for (from the moment the kernel got the request; 0.1 s to spare, besides the
pause that was due as well; two, because a box that stands still may send late what it timed early);
or an event is a dead letter although nothing was refused and fewer calls than allowed were made in
all. Upper bounds are never judged.

**DLQ-5 lost on the way.** Poison is in neither place, its offset was committed past, the run was
quiet after it was sent, and in between writes to the dead-letter topic were disturbed or a process
ended. What was never dealt with because the program is stuck is LIV-1's: DLQ-1 and DLQ-5 speak only
about records from before a time when the run was quiet.

**DLQ-6 head-of-line blocking.** Three or more records of one key were tried again and again in one
partition, and of the records behind them that had been handed to the same instance before, of at
least four other keys, not one was worked on until the last attempt of the last of the three was
over. Order alone is compared, no time: by the pauses that the contract demands there were seconds
in between, and one single call about any other key in them is enough for silence. So a pool of
workers whose keys collide, batches and slow machines are not accused.

**One worked history** (DLQ-5):

    #31 fetched  orders-1@0..7 -> app
    #40 fault    hold: Produce of app applied
    #44 commit   orders-1 at 8 by app, accepted
    #46 process  app killed
    #70 settled  quiet; no dead letter of bad-3 (orders-1@3)

The commit at #44 gave bad-3 out of Kafka's hands while its dead letter was not written yet.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from graders.checks.eff import was_at_rest
from graders.checks.finding import FactRef, Finding, Place, lane_name
from graders.checks.run import Lane, Run
from graders.facts import (
    Answered,
    Assigned,
    Call,
    Effect,
    Fault,
    Left,
    Process,
    Sent,
    Unanswered,
    as_text,
)
from graders.verdicts import Verdict

TOPIC, PARTITION, OFFSET = "dlq.topic", "dlq.partition", "dlq.offset"
ERROR, ATTEMPTS = "dlq.error", "dlq.attempts"
PREFIX = "dlq."
STARTS = ("started", "restarted")
MARGIN_S = 0.02
TO_SPARE_S = 0.1
IMPATIENT_CALLS = 2
SUCCESS = range(200, 300)
BLOCKING_RECORDS = 3
BLOCKED_KEYS = 4

Origin = tuple[str, int, int]


def origin_of(headers: Iterable[tuple[str, bytes | None]]) -> Origin | None:
    """Topic, partition and offset that a dead letter names; None when it names none."""
    found = {name: (value or b"").decode("utf-8", "replace") for name, value in headers}
    return origin_in(found)


def origin_in(found: dict[str, str]) -> Origin | None:
    """The origin among headers as text."""
    partition, offset = number(found.get(PARTITION)), number(found.get(OFFSET))
    if TOPIC not in found or partition is None or offset is None:
        return None
    return found[TOPIC], partition, offset


def number(text: str | None) -> int | None:
    """A number in decimal digits; None when it is none."""
    return int(text) if text and text.isascii() and text.isdigit() else None


def headers_of(letter: Effect) -> dict[str, str]:
    """The headers of a dead letter by name, the last of each."""
    return dict(letter.headers)


def letters(run: Run) -> Iterator[Effect]:
    """All dead letters, in order."""
    for (table, _), effects in run.effects.items():
        if table in run.dead_letters:
            yield from effects


def belongs(run: Run, sent: Sent) -> bool:
    """Whether an event's place is a dead-letter topic."""
    return any(table in run.dead_letters for table in sent.expect)


def dealt_with(run: Run, id: str) -> list[Effect]:
    """An event's effects outside dead-letter topics."""
    return [e for e in run.effect_rows(id) if e.table not in run.dead_letters]


def routing(run: Run) -> Iterator[Finding]:
    """DLQ-1."""
    seen: set[str] = set()
    for letter in letters(run):
        sent = run.first_sent.get(letter.id)
        if sent and letter.id not in seen and not belongs(run, sent):
            seen.add(letter.id)
            if not dealt_with(run, letter.id):
                yield misrouted(run, letter, sent)
    for id, place in unwritten(run):
        if not disturbed(run, place):
            yield dropped(run, id, place)


def misrouted(run: Run, letter: Effect, sent: Sent) -> Finding:
    """DLQ-1 about a dead letter that should be none."""
    place = place_of(sent)
    what = "a tombstone, which asks for nothing"
    if sent.expect:
        what = f"an event that has its effect in {' and '.join(sent.expect)}"
    return Finding(
        "DLQ-1",
        Verdict.FAIL,
        claim=f"{sent.id} ({place}) is in the dead-letter topic and does not belong there.",
        first=FactRef(sent.n, f"{sent.id} was sent: {what}."),
        second=FactRef(letter.n, f"{writer(letter)} wrote it to {letter.spot}{quoted(letter)}."),
        both="Only what can never be dealt with is a dead letter.",
        why=why_misrouted(run, sent.id),
        rows=(sent.n, *(call.n for call in calls_about(run, sent.id)[:3]), letter.n),
        places=(place,),
        ids=(sent.id,),
    )


def why_misrouted(run: Run, id: str) -> str:
    """What made a good record a dead letter."""
    calls = calls_about(run, id)
    if not calls:
        return (
            "It was given up without an attempt. A dead letter costs a person's time: judge each "
            "record by itself, whatever stands next to it in the batch."
        )
    return (
        f"The service was asked {len(calls)} time(s), and nothing says that it never will. A "
        "transient failure deserves another attempt, after a pause."
    )


def unwritten(run: Run) -> Iterator[tuple[str, Place]]:
    """Poison that was fetched and is neither a dead letter nor has any effect, though the run was
    quiet after it was sent."""
    for table, id in run.missing:
        if table in run.dead_letters and was_at_rest(run, id) and not run.effect_rows(id):
            place = run.places[id][0]
            if run.fetch_of(place):
                yield id, place


def disturbed(run: Run, place: Place) -> Fault | Process | None:
    """What kept the program from writing dead letters, or ended it, after it had been handed a
    record and before the run was quiet; None when nothing did."""
    fetch = run.fetch_of(place)
    assert fetch is not None
    assert run.rest is not None
    for n in range(fetch.n + 1, run.rest.n):
        match run.history.at(n):
            case Fault(what="applied", target=target) as fault if "Produce" in target:
                return fault
            case Process(what="killed" | "exited") as process:
                return process
    return None


def dropped(run: Run, id: str, place: Place) -> Finding:
    """DLQ-1 about poison that is nowhere."""
    assert run.rest is not None
    fetch = run.fetch_of(place)
    assert fetch is not None
    return Finding(
        "DLQ-1",
        Verdict.FAIL,
        claim=f"{id} ({place}) is poison, and it is not in the dead-letter topic.",
        first=FactRef(fetch.n, f"{fetch.instance} was handed {place}."),
        second=FactRef(run.rest.n, f"Everything was at rest, and no dead letter was of {place}."),
        both="A record that cannot be dealt with is kept in the dead-letter topic.",
        why="A record that is only logged and passed over is lost: nobody can repair or replay it.",
        rows=(run.first_sent[id].n, fetch.n, run.rest.n),
        places=(place,),
        ids=(id,),
    )


def lost_on_the_way(run: Run) -> Iterator[Finding]:
    """DLQ-5."""
    for id, place in unwritten(run):
        cause, commit = disturbed(run, place), run.commit_past(place)
        if cause and commit and run.rest:
            yield Finding(
                "DLQ-5",
                Verdict.FAIL,
                claim=f"{id} ({place}) was lost on its way to the dead-letter topic.",
                first=FactRef(
                    commit.n,
                    f"{commit.instance} committed {lane_name(place.lane)} at "
                    f"{commit.offset}, past {id}.",
                ),
                second=FactRef(
                    run.rest.n, f"Everything was at rest, and no dead letter was of {place}."
                ),
                both="A commit gives a record out of Kafka's hands: by then it must be in other "
                "safe ones.",
                why="Writing a dead letter is an effect like any other: it can fail, and it is "
                "done only when the broker has acknowledged it. Wait for that, look at the error, "
                "and commit then.",
                rows=tuple(sorted({run.first_sent[id].n, cause.n, commit.n, run.rest.n})),
                places=(place,),
                ids=(id,),
            )


def both_outcomes(run: Run) -> Iterator[Finding]:
    """DLQ-3."""
    for id in run.first_sent:
        dead, done = run.dead_lettered(id), dealt_with(run, id)
        if dead and done:
            first, second = sorted((dead[0], done[0]), key=lambda e: e.n)
            place = place_of(run.first_sent[id])
            yield Finding(
                "DLQ-3",
                Verdict.FAIL,
                claim=f"{id} ({place}) was dealt with, and it is a dead letter too.",
                first=FactRef(first.n, f"{writer(first)}: {first.spot} for {id}."),
                second=FactRef(second.n, f"{writer(second)}: {second.spot} for {id}."),
                both="Each event has exactly one outcome.",
                why="Whoever repairs the dead letter will do a second time what was done already. "
                "An answer that did not come is no refusal: ask again, under the same key.",
                rows=(first.n, *(call.n for call in calls_about(run, id)[:3]), second.n),
                places=(place,),
                ids=(id,),
            )


def fidelity(run: Run) -> Iterator[Finding]:
    """DLQ-2, one finding for each kind of flaw."""
    reported: set[str] = set()
    for letter in letters(run):
        sent = run.first_sent.get(letter.id)
        flaws = flaws_of(run, letter, sent) if sent else [nobodys(letter)]
        for flaw in flaws:
            if flaw.kind not in reported:
                reported.add(flaw.kind)
                yield unfaithful(letter, sent, flaw)


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a dead letter: the kind, what the record says, what the letter says."""

    kind: str
    asked: str
    found: str


def nobodys(letter: Effect) -> Flaw:
    origin = origin_in(headers_of(letter))
    named = f"it names {origin} as its origin" if origin else "it names no origin"
    return Flaw("its record", "No record was sent with this value.", named)


def flaws_of(run: Run, letter: Effect, sent: Sent) -> Iterator[Flaw]:
    """Everything that is wrong with a dead letter."""
    if letter.key != key_of(sent):
        asked, found = brief(key_of(sent)), brief(letter.key)
        yield Flaw("the key", f"The key is {asked}.", f"it is {found}")
    if letter.payload != value_of(sent):
        asked, found = brief(value_of(sent)), brief(letter.payload)
        yield Flaw("the value", f"The value is {asked}.", f"it is {found}")
    yield from header_flaws(letter, sent)
    yield from origin_flaws(letter, sent)
    yield from attempts_flaws(run, letter)


def key_of(sent: Sent) -> str | None:
    """A record's key as a history holds it."""
    return None if sent.key is None else as_text(sent.key.encode())


def value_of(sent: Sent) -> str | None:
    """A record's value as a history holds it."""
    return sent.payload if sent.raw else json.dumps(sent.value)


def header_flaws(letter: Effect, sent: Sent) -> Iterator[Flaw]:
    """Headers of the record that the letter lacks, or has in another order."""
    # Looking for a header uses up the iterator to behind it, so the order counts too.
    kept = iter([header for header in letter.headers if not header[0].startswith(PREFIX)])
    for header in sent.headers:
        if header not in kept:
            names = [name for name, _ in letter.headers]
            yield Flaw(
                "a header",
                f"It has the headers {[name for name, _ in sent.headers]}, and {header[0]} is "
                f"{brief(header[1])}.",
                f"it has {names}, where this one is missing, changed or in another place",
            )
            return


def origin_flaws(letter: Effect, sent: Sent) -> Iterator[Flaw]:
    """Origin and error text."""
    headers = headers_of(letter)
    if origin_in(headers) != (sent.topic, sent.partition, sent.offset):
        named = ", ".join(f"{name} {headers.get(name)!r}" for name in (TOPIC, PARTITION, OFFSET))
        yield Flaw("the origin", f"It lies at {place_of(sent)} of {sent.topic}.", f"it has {named}")
    if not headers.get(ERROR, "").strip():
        yield Flaw("the error", "It could not be dealt with.", f"there is no {ERROR} that says why")


def attempts_flaws(run: Run, letter: Effect) -> Iterator[Flaw]:
    """The number of attempts: at least those of the writer's last series, at most all so far."""
    told = number(headers_of(letter).get(ATTEMPTS))
    calls = calls_about(run, letter.id)
    most = len(possibly_before(calls, letter))
    before = [call for call in calls if call.n < letter.n]
    mine = [one for one in series(run, before) if one[0].instance == letter.instance]
    least = len(mine[-1]) if mine else 0
    if told is None or not least <= told <= most:
        counted = f"{least} to {most}" if least < most else f"{least}"
        found = "missing or no number" if told is None else str(told)
        yield Flaw(
            "the number of attempts",
            f"The service was asked {counted} time(s) for it.",
            f"{ATTEMPTS} is {found}",
        )


def unfaithful(letter: Effect, sent: Sent | None, flaw: Flaw) -> Finding:
    """DLQ-2 about one dead letter."""
    return Finding(
        "DLQ-2",
        Verdict.FAIL,
        claim=f"A dead letter ({letter.spot}) does not keep {flaw.kind} of its record"
        + (f" ({sent.id})." if sent else "."),
        first=FactRef(sent.n if sent else 1, flaw.asked),
        second=FactRef(letter.n, f"In {letter.spot} {flaw.found}."),
        both="A dead letter is the record as it was, and where it was.",
        why="Whoever repairs or replays a dead letter has nothing else: the bytes that nobody "
        "understood, the headers that others rely on, the place where it can be looked up.",
        rows=tuple(sorted({sent.n if sent else 1, letter.n})),
        places=(place_of(sent),) if sent else (),
        ids=(letter.id,),
    )


def possibly_before(calls: Iterable[Call], letter: Effect) -> list[Call]:
    """The calls that were made before a dead letter, as far as we know."""
    return [call for call in calls if call.n < letter.n or call.outcome == "abandoned"]


def calls_about(run: Run, id: str) -> list[Call]:
    """The calls about an event, in order."""
    return [call for call in run.history.of(Call) if call.id == id]


def series(run: Run, calls: Sequence[Call]) -> list[list[Call]]:
    """Calls about one event, by instance and life: see the module's docstring."""
    found: dict[str, list[list[Call]]] = defaultdict(list)
    mixed: set[str] = set()  # instances in which two series may go on side by side
    for call in calls:
        mine = found[call.instance]
        news = renewals(run, call.instance, mine[-1][-1].n, call.n) if mine else []
        if any(isinstance(fact, Process) and fact.what in STARTS for fact in news):
            mixed.discard(call.instance)
        elif news:
            mixed.add(call.instance)
        if mine and not news and call.instance not in mixed:
            mine[-1].append(call)
        else:
            mine.append([call])
    return [one for each in found.values() for one in each]


def renewals(run: Run, instance: str, after: int, before: int) -> list[Assigned | Left | Process]:
    """What happened to an instance's process and partitions between two facts."""
    facts: list[Assigned | Left | Process] = [*run.history.of(Assigned), *run.history.of(Left)]
    facts += run.history.of(Process)
    return [fact for fact in facts if after < fact.n < before and fact.instance == instance]


def budget(run: Run) -> Iterator[Finding]:
    """DLQ-4, one finding for each kind of mistake."""
    reported: set[str] = set()
    for id in run.first_sent:
        calls = calls_about(run, id)
        for kind, finding in overdrawn(run, id, calls) if calls else ():
            if kind not in reported:
                reported.add(kind)
                yield finding
    yield from impatient(run)


def overdrawn(run: Run, id: str, calls: list[Call]) -> Iterator[tuple[str, Finding]]:
    """What is wrong with the calls about one event, each with its kind."""
    asked = run.history.began.services.get(calls[0].service, {})
    most = asked.get("attempts", 0)
    if not most:
        return
    for one in series(run, calls):
        if len(one) > most:
            yield "too many", too_many(run, id, one, most)
        for earlier, later in pairwise(one):
            if heard_refusal(run, earlier):
                yield "refused", asked_again(run, id, earlier, later)
            elif soon := too_soon(run, id, one, earlier, later):
                yield "too soon", soon
    yield from too_few(run, id, calls, most)


def is_failure(run: Run, call: Call) -> bool:
    """Whether a call failed in a way that deserves another attempt, as the program saw it."""
    answer = answer_to(run, call)
    return answer is None or answer.status in run.history.began.services[call.service]["transient"]


def heard_refusal(run: Run, call: Call) -> bool:
    """Whether the program was told that this will never be done."""
    answer = answer_to(run, call)
    return answer is not None and answer.status not in SUCCESS and not is_failure(run, call)


def answer_to(run: Run, call: Call) -> Answered | None:
    """The answer to a call as it was handed over; None when none was."""
    return next((a for a in run.history.of(Answered) if a.call == call.call), None)


def too_many(run: Run, id: str, calls: list[Call], most: int) -> Finding:
    """DLQ-4: more attempts than allowed."""
    return spent(
        run,
        id,
        f"{calls[0].instance} asked {calls[0].service} {len(calls)} times for {id}; "
        f"{most} attempts are allowed.",
        FactRef(calls[most - 1].n, f"This was attempt {most}, the last one allowed."),
        FactRef(calls[most].n, "It asked once more, without a restart or a rebalance in between."),
        "A budget of attempts has an end.",
        "Whoever asks for ever never gets to the next record, and keeps a service down that is in "
        "trouble. When the budget is spent the record is a dead letter.",
    )


def asked_again(run: Run, id: str, refusal: Call, later: Call) -> Finding:
    """DLQ-4: another attempt after a refusal for good."""
    return spent(
        run,
        id,
        f"{later.instance} asked {later.service} for {id} again after it was refused for good.",
        FactRef(refusal.n, f"The answer was {refusal.status}: never."),
        FactRef(later.n, f"{later.instance} asked again."),
        "A refusal for good is no transient failure.",
        "What will never work costs three more attempts and their pauses each time. Tell apart "
        "what may pass from what will not.",
    )


def too_soon(run: Run, id: str, calls: list[Call], earlier: Call, later: Call) -> Finding | None:
    """DLQ-4: an attempt that followed too soon on a failed one; None when it did not."""
    pauses = run.history.began.services[earlier.service]["pauses"]
    if not pauses or not is_failure(run, earlier) or earlier.outcome == "abandoned":
        return None
    place = calls.index(earlier)
    least = pauses[min(place, len(pauses) - 1)]
    failed = answer_to(run, earlier) or earlier
    if later.t - failed.t >= least - MARGIN_S:
        return None
    return spent(
        run,
        id,
        f"Attempt {place + 2} for {id} came {later.t - failed.t:.3f} s after the failure of the "
        f"one before; at least {least} s are demanded.",
        FactRef(failed.n, f"Attempt {place + 1} had failed at {failed.t:.3f} s."),
        FactRef(later.n, f"Attempt {place + 2} was made at {later.t:.3f} s."),
        "Between two attempts lies a pause, and each is longer than the one before.",
        "A service that is overloaded needs air. Attempts without growing pauses spend the whole "
        "budget in a moment, and thousands of clients that do so keep it down.",
    )


def impatient(run: Run) -> Iterator[Finding]:
    """DLQ-4: answers that were not waited for, when there are two."""
    short = [one for id in run.first_sent for one in unheard(run, calls_about(run, id))]
    if len(short) >= IMPATIENT_CALLS:
        call, silence, later = short[0]
        waited = waited_s(silence, later)
        yield spent(
            run,
            str(call.id),
            f"{call.instance} waited at most {waited:.3f} s for an answer of {call.service}, "
            f"{len(short)} times; at least {patience(run, call)} s are demanded.",
            FactRef(silence.n, f"Call {call.number} for {call.id} was left without an answer."),
            FactRef(later.n, f"{waited:.3f} s after it had come, the next one was made."),
            "Whoever asks again has given the answer up.",
            "A service that takes a moment longer has often done what it is then asked for again. "
            "Under load every impatient caller adds to that load.",
        )


def unheard(run: Run, calls: Sequence[Call]) -> Iterator[tuple[Call, Unanswered, Call]]:
    """The calls without an answer after which the next came too soon: call, silence, next."""
    silences = {silence.call: silence for silence in run.history.of(Unanswered)}
    for one in series(run, calls):
        for call, later in pairwise(one):
            silence = silences.get(call.call)
            if silence and waited_s(silence, later) < patience(run, call) - TO_SPARE_S:
                yield call, silence, later


def waited_s(silence: Unanswered, later: Call) -> float:
    """The most that the program can have waited for an answer before it made the next call."""
    return later.t - silence.t + silence.waited_s


def patience(run: Run, call: Call) -> float:
    """The seconds for which an answer must be waited for."""
    return float(run.history.began.services[call.service].get("patience", 0.0))


def too_few(run: Run, id: str, calls: list[Call], most: int) -> Iterator[tuple[str, Finding]]:
    """DLQ-4: a dead letter before the budget was spent."""
    dead = run.dead_lettered(id)
    before = possibly_before(calls, dead[0]) if dead else []
    if not before or len(before) >= most or not belongs(run, run.first_sent[id]):
        return
    if all(is_failure(run, call) for call in before):
        yield (
            "too few",
            spent(
                run,
                id,
                f"{id} was given up after {len(before)} of {most} attempts.",
                FactRef(before[-1].n, f"This was attempt {len(before)}."),
                FactRef(dead[0].n, f"Then it was a dead letter ({dead[0].spot})."),
                "What fails for a moment gets all its attempts.",
                "A dead letter costs a person's time; one more attempt costs nothing.",
            ),
        )


def spent(
    run: Run, id: str, claim: str, first: FactRef, second: FactRef, both: str, why: str
) -> Finding:
    """DLQ-4 about the calls for one event."""
    return Finding(
        "DLQ-4",
        Verdict.FAIL,
        claim=claim,
        first=first,
        second=second,
        both=both,
        why=why,
        rows=(first.n, second.n),
        places=(place_of(run.first_sent[id]),),
        ids=(id,),
    )


@dataclass(frozen=True)
class Retried:
    """A record that was tried more than once by one instance."""

    sent: Sent
    calls: Sequence[Call]


def head_of_line(run: Run) -> Iterator[Finding]:
    """DLQ-6."""
    retried: dict[tuple[Lane, str, str], list[Retried]] = defaultdict(list)
    for sent in sorted(run.first_sent.values(), key=lambda s: s.offset or 0):
        for calls in series(run, calls_about(run, sent.id)):
            if len(calls) > 1 and sent.key is not None:
                lane = (sent.topic, sent.partition)
                retried[lane, sent.key, calls[0].instance].append(Retried(sent, calls))
    for (lane, key, instance), troubled in retried.items():
        if len(troubled) >= BLOCKING_RECORDS:
            yield from blocked(run, lane, key, instance, troubled)


def blocked(
    run: Run, lane: Lane, key: str, instance: str, troubled: list[Retried]
) -> Iterator[Finding]:
    """DLQ-6 about one key in one lane."""
    begin, end = troubled[0].calls[1].n, troubled[BLOCKING_RECORDS - 1].calls[-1].n
    behind = [
        sent
        for sent in run.first_sent.values()
        if (sent.topic, sent.partition) == lane
        and sent.key != key
        and (sent.offset or 0) > (troubled[0].sent.offset or 0)
        and handed_out(run, instance, sent, begin)
    ]
    waited = [sent for sent in behind if (first := first_work(run, sent.id)) and first > end]
    if len(waited) == len(behind) and len({s.key for s in waited}) >= BLOCKED_KEYS:
        yield blocking(run, instance, troubled[:BLOCKING_RECORDS], waited, begin)


def handed_out(run: Run, instance: str, sent: Sent, before: int) -> bool:
    """Whether a record was handed to an instance before a fact."""
    place = place_of(sent)
    return any(
        fetch.instance == instance
        and fetch.n < before
        and fetch.first <= place.offset <= fetch.last
        for fetch in run.fetches.get(place.lane, ())
    )


def first_work(run: Run, id: str) -> int | None:
    """The first sign that an event was worked on: a call or an effect; None when there is none."""
    signs = [*(call.n for call in calls_about(run, id)), *(e.n for e in run.effect_rows(id))]
    return min(signs, default=None)


def blocking(
    run: Run, instance: str, troubled: list[Retried], waited: list[Sent], begin: int
) -> Finding:
    """DLQ-6: the last attempt for the third troubled record, and the first for any other."""
    first = min(waited, key=lambda sent: first_work(run, sent.id) or 0)
    work = first_work(run, first.id)
    last = troubled[-1].calls[-1]
    assert work is not None
    return Finding(
        "DLQ-6",
        Verdict.FAIL,
        claim=f"Records of other keys waited while {instance} tried those of "
        f"{troubled[0].sent.key} again and again.",
        first=FactRef(
            last.n,
            f"{instance} made its last attempt for {troubled[-1].sent.id}, the third record of "
            f"{troubled[0].sent.key} that kept failing.",
        ),
        second=FactRef(
            work,
            f"Only then was anything done for {len(waited)} records of other keys behind it, "
            f"the first being {first.id}; all had been handed out before fact #{begin}.",
        ),
        both="A record that waits for its next attempt holds up its own key, not the partition.",
        why="A pause in the thread that takes the records, or a worker for a whole partition, lets "
        "one customer's trouble stop everybody. Let the record wait beside the way, remember what "
        "is open, and commit only up to the first open record.",
        rows=(troubled[0].calls[0].n, last.n, work),
        places=(place_of(troubled[0].sent), place_of(first)),
        ids=(troubled[-1].sent.id, first.id),
    )


def place_of(sent: Sent) -> Place:
    """Where a record lies."""
    return Place(sent.topic, sent.partition, sent.offset or 0)


def writer(letter: Effect) -> str:
    """Who wrote a dead letter."""
    return letter.instance or "The program"


def quoted(letter: Effect) -> str:
    """The error text of a dead letter, as a subordinate clause; empty when there is none."""
    error = headers_of(letter).get(ERROR)
    return f', saying "{brief(error)}"' if error else ""


def brief(text: str | None, most: int = 60) -> str:
    """A value that fits into a sentence."""
    if text is None:
        return "null"
    if not text:
        return "empty"
    return text if len(text) <= most else text[: most - 1] + "…"
