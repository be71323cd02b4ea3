"""ES: accounts that are kept as events.

**Model.** The *log* is a table; its rows are *events*, each with a version of its account. What an
account is at a version is the fold of its events from the first to that one, and nothing else
(`graders.accounts`). Events are seen when their transaction is committed, in the order of commits.
A *command* (a deposit on the topic, a withdrawal over HTTP) becomes one event or none. An answer
over HTTP stands between the fact before the question (`since`) and its own: it must know every
event that was recorded by `since`, since such facts come after their commits, and may know any that
is ever in the log, since an event may be told of late. Events that are in the log before the
program was first started are *given*. Of an account whose versions are not 1, 2, 3... (ES-3), or
that has events which are none (ES-4), nothing is said that needs its fold.

**ES-1 replay.** An answer tells another state or history than the fold of the log: of no version
that the account may have had then, or other values than those of the version that it names; as of
a moment, of another version than the latest of that moment. So an answer that leaves out an event
which was there before the question is found too. Answers with a status of 500 or more, and none at
all, say nothing. Of wrong answers those are reported elsewhere that are about an account with
events of format 1 (ES-5), or one of which there was a snapshot when it was asked (ES-2).

**ES-2 snapshots.** A snapshot was durable when the event of its version was not: no such event was
committed before it or in its transaction. Or it holds another balance than the fold of the log. Or
the account was told wrongly (ES-1) when there was a snapshot of it. Or the run was quiet, and there
is no snapshot at a version at which one is due and whose event the program appended before an
earlier time of quiet and with no crash after it (or less than 0.2 s before it).

**ES-3 versions.** An account's versions are not 1, 2, 3..., each once; or a withdrawal that
expected a version was accepted at another. Counts at once.

**ES-4 decisions.** An event was not legal when it was appended: the balance after it is below zero;
no command says it, or another account or amount; or it is no event of format 2. Or a refusal that
nothing explains: 409 although no version was expected, or it was the account's during all the time
between question and answer; 422 although it was none of that time's versions that was expected, or
the balance was enough at each that it may have been; or another status below 500 that the contract
does not know. The end of that time is taken late: all
events count whose commit, by the database's clock, came before the answer or at most 50 ms after
it. A command that was accepted before is left to ES-6.

**ES-5 old events.** An answer about an account with events of format 1 is wrong as in ES-1.

**ES-6 commands.** A withdrawal has two events; or was answered with 201 and has none; or with 201
and another version than that of its event; or was refused though its event was recorded before the
question; or has an event though each time it was asked it was refused. One that was once answered
with 500 or more, or not at all, may have been accepted then. Deposits with two events are EFF-2.

**ES-7 outside.** A record in the topic tells of no event in the log, or otherwise than the log; or
it was seen before the grader let go of the append of its event, which was committed only after that
by the database's clock; or it tells of a given event; or of one whose record was there when the run
was quiet before. Or the run is quiet at its end, and the event of a withdrawal, in the log when the
run was quiet before, was never published (a deposit's is EFF-1). Repeats in between are free, for
delivery is at least once.

**ES-8 append-only.** A row of the log is not at the end what it was when it was inserted, or is
gone.

**One worked history** (ES-4, of a program that decides on what it read before it waited):

    #31 effect  events row 1 dep-1 (acc-7, version 1, deposited 10000)
    #40 asked   first: POST /accounts/acc-7/withdrawals wd-1 8000, 201 version 2
    #41 effect  events row 2 wd-1 (acc-7, version 2, withdrawn 8000)
    #44 effect  events row 3 wd-2 (acc-7, version 3, withdrawn 8000)

The fold is 10000, 2000, -6000: at version 2 the second withdrawal was not legal.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

from graders.accounts import LOG, OUTSIDE, SNAPSHOT_EVERY, SNAPSHOTS, Account, Accounts, Entry
from graders.checks.eff import Values, show, state_differences
from graders.checks.finding import FactRef, Finding
from graders.checks.run import Run, differs, ends_of_holds, same
from graders.facts import Asked, Effect, Fact, Settled, State
from graders.verdicts import Verdict

COMMAND = "withdrawals"
ACCEPTED, CONFLICT, TOO_LITTLE, UNKNOWN = 201, 409, 422, 404
CLOCK_MARGIN_S = 0.05
ON_THE_WAY_S = 0.2
PATH = re.compile(r"/accounts/([\w-]+)(?:/(history|withdrawals))?(?:\?|$)")
FOLD = (
    "An account is what its events say, read from the first one on. Whatever else holds its state "
    "(a cache, a snapshot, a table) is a copy, and may be behind, ahead, or of another moment."
)


class Question:
    """What the grader asked about an account, and was told; `kind` is COMMAND, "history", or
    empty when it asked for the state."""

    def __init__(self, asked: Asked, kind: str, account: Account) -> None:
        self.asked = asked
        self.kind = kind
        self.account = account
        self.query = {n: v[-1] for n, v in parse_qs(urlsplit(asked.path).query).items()}

    @property
    def id(self) -> str:
        """The id of a command."""
        return str(self.asked.body["id"])

    @property
    def expected(self) -> int | None:
        """The version that a command expects; None for any."""
        return self.asked.body.get("expected_version")

    def told(self, name: str) -> Any:
        """A field of the answer; None when there is none."""
        return self.asked.answer.get(name) if isinstance(self.asked.answer, dict) else None

    @cached_property
    def lengths(self) -> range:
        """How many events the account may have had for the one who answered."""
        known = self.account.version_by(self.asked.since)
        return range(known, len(self.account.entries) + 1)

    @cached_property
    def lengths_in_time(self) -> range:
        """How many events it had between question and answer, by the times of their commits."""
        latest = self.asked.t + CLOCK_MARGIN_S
        known = sum(e.effect.committed_t <= latest for e in self.account.entries)
        return range(self.lengths.start, max(self.lengths.start, known) + 1)

    @cached_property
    def versions(self) -> set[int]:
        """The versions that an answer may tell of; 0 for none (404)."""
        if version := self.query.get("version"):
            return {int(version) if int(version) <= length else 0 for length in self.lengths}
        if at := self.query.get("at"):
            time = datetime.fromisoformat(at)
            return {self.account.version_at(time, length) for length in self.lengths}
        return set(self.lengths)

    @property
    def nearest(self) -> int:
        """The version that an answer tells of, if it may; else the one next to it that it may."""
        told = self.told("version")
        if self.kind == COMMAND or (type(told) is int and told in self.versions):
            return int(told)
        is_ahead = type(told) is int and told > max(self.versions)
        return max(self.versions) if is_ahead else min(self.versions)

    def wrong(self) -> str:
        """What an answer tells wrongly about the account, in words; empty when nothing."""
        if self.kind == COMMAND:
            return self._wrong_balance(int(self.told("version")))
        if self.asked.status == UNKNOWN:
            return "" if 0 in self.versions else "knows no such account"
        version = self.told("version")
        if self.asked.status != 200 or type(version) is not int or version not in self.versions:
            right = " or ".join(map(str, sorted(self.versions)[:3]))
            return f"tells of version {show(version)} instead of {right}"
        if not version:
            return "tells of an account that has no event, instead of 404"
        return self._wrong_events(version) if self.kind else self._wrong_balance(version)

    def _wrong_balance(self, version: int) -> str:
        got, right = self.told("balance"), self.account.balances[version]
        if same(got, right):
            return ""
        return f"tells a balance of {show(got)} at version {version} instead of {right}"

    def _wrong_events(self, version: int) -> str:
        got = self.told("events")
        if not isinstance(got, list) or len(got) != version:
            return f"tells not the {version} events until version {version}"
        for event, right in zip(got, self.account.history(version), strict=True):
            if not isinstance(event, dict) or differs(event, right):
                return f"tells an event as {show(event)} instead of {show(dict(right))}"
        return ""


class Book:
    """A run's accounts, what was asked about them, and what was told of them elsewhere."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.accounts = Accounts(run.history)

    @cached_property
    def questions(self) -> list[Question]:
        """All that was asked and answered, in the order of the answers."""
        return [
            Question(asked, found.group(2) or "", self.accounts.of(found.group(1)))
            for asked in self.run.history.of(Asked)
            if asked.is_answered and (found := PATH.match(asked.path))
        ]

    @cached_property
    def commands(self) -> list[Question]:
        """The withdrawals that were answered."""
        return [q for q in self.questions if q.kind == COMMAND]

    @cached_property
    def undecided(self) -> set[str]:
        """The withdrawals that were asked at least once without an answer that decides."""
        decided = {q.asked.n for q in self.commands}
        asked = [a for a in self.run.history.of(Asked) if a.method == "POST"]
        return {a.body["id"] for a in asked if a.n not in decided}

    @cached_property
    def appended(self) -> list[Entry]:
        """The events that the program appended, in the order of their commits."""
        return [entry for entry in self.accounts.entries if not entry.is_given]

    def effects_in(self, place: str) -> list[Effect]:
        """What was written to a table or topic, in order."""
        return [effect for effect in self.run.history.of(Effect) if effect.table == place]

    def was_at_rest(self, fact: Fact) -> bool:
        """Whether the run is quiet at its end, and was so before that, after this fact."""
        earlier = [s for s in self.run.history.of(Settled) if s.quiet][:-1]
        return self.run.quiet and any(fact.n < settled.n for settled in earlier)

    def event_of(self, question: Question) -> Entry | None:
        """The event of a command; None when it has none, or several."""
        entries = self.accounts.by_command.get(question.id, ())
        return entries[0] if len(entries) == 1 else None


def accuse(
    check: str, claim: str, first: FactRef, second: FactRef, both: str, why: str, *ids: str
) -> Finding:
    """A FAIL, told by two facts."""
    rows = tuple(sorted({first.n, second.n}))
    return Finding(
        check, Verdict.FAIL, claim, why, first=first, second=second, both=both, rows=rows, ids=ids
    )


def appended(entry: Entry) -> FactRef:
    """An event as a sentence."""
    by = "It was there before" if entry.is_given else f"{entry.effect.instance} appended it"
    what = f"{entry.type} {entry.amount}" if entry.type else show(dict(entry.effect.content))
    return FactRef(
        entry.effect.n,
        f"Version {entry.version} of {entry.account} is {what} ({entry.effect.id}). {by}.",
    )


def answered(question: Question) -> FactRef:
    """An answer as a sentence."""
    asked = question.asked
    what = f"{asked.method} {asked.path}" + (f" {show(asked.body)}" if asked.body else "")
    return FactRef(asked.n, f"{asked.instance}, asked {what}, answered {asked.status}.")


def replay(run: Run) -> Iterator[Finding]:
    """ES-1."""
    yield from untrue(run, "ES-1")


def old_events(run: Run) -> Iterator[Finding]:
    """ES-5."""
    yield from untrue(run, "ES-5")


def untrue(run: Run, check: str) -> Iterator[Finding]:
    """Answers that tell what the log does not say, as far as this check speaks of them."""
    book = Book(run)
    for question in book.questions:
        may_be_wrong = question.account.is_sound and speaks_of(book, question)
        if may_be_wrong and blamed(book, question) == check and (wrong := question.wrong()):
            yield wrongly_told(check, question, wrong)


def speaks_of(book: Book, question: Question) -> bool:
    """Whether an answer tells of a state: any but that to a command which was refused, or whose
    answer names no version of its own (ES-6)."""
    if question.kind != COMMAND:
        return True
    event = book.event_of(question)
    told = question.told("version")
    return question.asked.status == ACCEPTED and event is not None and same(told, event.version)


def blamed(book: Book, question: Question) -> str:
    """The check that speaks of a wrong answer."""
    if any(entry.is_old for entry in question.account.entries):
        return "ES-5"
    snapshots = (s for s in book.effects_in(SNAPSHOTS) if s.n < question.asked.n)
    return "ES-2" if any(s.id == question.account.name for s in snapshots) else "ES-1"


WHY_UNTRUE = {
    "ES-1": FOLD,
    "ES-2": f"{FOLD} A snapshot holds the fold until its version: what comes after it has to be "
    "added, once, and it says nothing of the time before.",
    "ES-5": "Events are never written anew, so old forms must be understood for ever, on every way "
    "that leads from the log to an answer or a decision; in one place, exactly once, without "
    "binary fractions.",
}


def wrongly_told(check: str, question: Question, wrong: str) -> Finding:
    """One answer that the log contradicts."""
    account = question.account
    return accuse(
        check,
        f"{question.asked.instance}, asked {question.asked.path}, {wrong}.",
        folded(question),
        answered(question),
        "An answer must be what the log says that was there before the question.",
        WHY_UNTRUE[check],
        account.name,
    )


def folded(question: Question) -> FactRef:
    """What the log says of the version that an answer tells of, or of the nearest one that it had
    to tell of, as a sentence."""
    account, version = question.account, question.nearest
    if not version:
        return FactRef(question.asked.since, "The log held no event of that moment.")
    last = account.entries[version - 1]
    at = last.recorded_at.time()
    moment = at.isoformat("milliseconds" if at.microsecond else "seconds")
    when = f", the last recorded at {moment}," if "at" in question.query else ""
    told = f"Events 1 to {version}{when} make a balance of {account.balances[version]}."
    if last.effect.n <= question.asked.since:
        told += " They were committed before the question."
    return FactRef(last.effect.n, told)


def snapshots(run: Run) -> Iterator[Finding]:
    """ES-2."""
    book = Book(run)
    yield from untrue(run, "ES-2")
    for snapshot in book.effects_in(SNAPSHOTS):
        yield from bad_snapshot(book.accounts.of(snapshot.id), snapshot)
    yield from missing_snapshots(book)


def bad_snapshot(account: Account, snapshot: Effect) -> Iterator[Finding]:
    """A snapshot that came before its event, or does not hold the fold."""
    version, balance = snapshot.content["version"], snapshot.content["balance"]
    taken = FactRef(
        snapshot.n, f"{snapshot.instance} took a snapshot at version {version}: {balance}."
    )
    events = [entry for entry in account.entries if entry.version == version]
    if not any(is_durable(entry.effect, snapshot) for entry in events):
        last = appended(events[0]) if events else taken
        yield accuse(
            "ES-2",
            f"A snapshot of {account.name} at version {version} was durable before that event was.",
            taken,
            last,
            "A snapshot cannot tell of an event that is not in the log.",
            "A crash between the two leaves a snapshot of something that never happened; the next "
            "event takes that version, and the state is wrong for good.",
            account.name,
        )
    elif account.is_sound and not same(balance, account.balances[version]):
        yield accuse(
            "ES-2",
            f"A snapshot of {account.name} holds {balance} at version {version} instead of "
            f"{account.balances[version]}.",
            appended(account.entries[version - 1]),
            taken,
            "A snapshot is the fold of the log until its version.",
            FOLD,
            account.name,
        )


def is_durable(event: Effect, snapshot: Effect) -> bool:
    """Whether an event was in the log when a snapshot was taken."""
    return event.n < snapshot.n or event.txid == snapshot.txid


def broke_after(run: Run, event: Effect) -> bool:
    """Whether an instance ended or stood still after an event, or so shortly before that the event
    may have been on its way."""
    return any(broken.t > event.committed_t - ON_THE_WAY_S for broken in run.breaks)


def missing_snapshots(book: Book) -> Iterator[Finding]:
    """Events that called for a snapshot, which never came."""
    taken = {(s.id, s.content["version"]) for s in book.effects_in(SNAPSHOTS)}
    for entry in book.appended:
        is_due = entry.version % SNAPSHOT_EVERY == 0 and book.was_at_rest(entry.effect)
        is_missing = is_due and (entry.account, entry.version) not in taken
        if is_missing and not broke_after(book.run, entry.effect):
            assert book.run.settled is not None
            yield accuse(
                "ES-2",
                f"There is no snapshot of {entry.account} at version {entry.version}.",
                appended(entry),
                FactRef(book.run.settled.n, "All was at rest, and there was no such snapshot."),
                f"At every version that is a multiple of {SNAPSHOT_EVERY} a snapshot is due.",
                "Without snapshots every question reads the whole log, which only grows.",
                entry.account,
            )


def versions(run: Run) -> Iterator[Finding]:
    """ES-3."""
    book = Book(run)
    for account in book.accounts.by_name.values():
        if not account.is_dense:
            yield not_dense(account)
    for command in book.commands:
        event = book.event_of(command)
        if event is None or command.asked.status != ACCEPTED:
            continue
        if command.expected not in (None, event.version - 1):
            yield accuse(
                "ES-3",
                f"{command.id} expected version {command.expected} of {event.account}, and was "
                f"accepted at version {event.version - 1}.",
                answered(command),
                appended(event),
                "Who names a version decided on what he saw of it, and on nothing newer.",
                "The version must be compared by the append itself: a comparison before it is "
                "worth nothing once somebody else appends in between.",
                command.id,
            )


def not_dense(account: Account) -> Finding:
    """ES-3 about the first version that is not the next."""
    number, entry = next(
        (number, entry)
        for number, entry in enumerate(account.entries, 1)
        if entry.version != number
    )
    before = account.entries[number - 2] if number > 1 else entry
    what = (
        f"version {entry.version} twice"
        if entry.version == before.version and before is not entry
        else f"version {entry.version} where {number} was to come"
    )
    return accuse(
        "ES-3",
        f"{account.name} has {what}.",
        appended(before),
        appended(entry),
        "Each event of an account has the version after the one before it.",
        "Two that decide on the same state must not both append: what refuses the second must be "
        "part of the append (a unique version, a locked row, a serializable transaction).",
        before.effect.id,
        entry.effect.id,
    )


def decisions(run: Run) -> Iterator[Finding]:
    """ES-4."""
    book = Book(run)
    told = {(s.id, "deposited", s.value.get("account"), s.value.get("amount")) for s in run.sent}
    asked = [a for a in run.history.of(Asked) if a.method == "POST" and a.body]
    told |= {(a.body["id"], "withdrawn", a.path.split("/")[2], a.body["amount"]) for a in asked}
    for entry in book.appended:
        if entry.is_old or (entry.effect.id, entry.type, entry.account, entry.amount) not in told:
            yield unexplained(entry, run)
    for account in book.accounts.by_name.values():
        if account.is_sound and min(account.balances) < 0:
            yield overdrawn(account)
    for command in book.commands:
        if command.account.is_sound:
            yield from unfounded(book, command)


def unexplained(entry: Entry, run: Run) -> Finding:
    """ES-4 about an event that no command says."""
    return accuse(
        "ES-4",
        f"Version {entry.version} of {entry.account} is no event that a command says "
        f"({entry.effect.id}).",
        FactRef(run.history.began.n, "A deposit or a withdrawal says id, account and amount."),
        appended(entry),
        "An event tells what was decided about one command, in format 2.",
        "The log is all there is. What gets into it in another form, or for no reason, can never "
        "be taken out of it again.",
        entry.effect.id,
    )


def overdrawn(account: Account) -> Finding:
    """ES-4 about the first event that leads below zero."""
    version = next(v for v, balance in enumerate(account.balances) if balance < 0)
    entry = account.entries[version - 1]
    before = appended(account.entries[version - 2]) if version > 1 else appended(entry)
    return accuse(
        "ES-4",
        f"{account.name} is overdrawn: {entry.effect.id} leaves {account.balances[version]}.",
        FactRef(before.n, f"{before.text} The balance is {account.balances[version - 1]}."),
        appended(entry),
        "An event must be legal in the state that the events before it make.",
        "A decision is worth as much as the state it was made on. When another event came first, "
        "the decision has to be made again, not only the append.",
        entry.effect.id,
    )


def unfounded(book: Book, command: Question) -> Iterator[Finding]:
    """ES-4 about a refusal, unless its command was accepted before (ES-6)."""
    if any(e.effect.n <= command.asked.since for e in book.accounts.by_command.get(command.id, ())):
        return
    lengths, account = command.lengths_in_time, command.account
    if command.asked.status not in (ACCEPTED, CONFLICT, TOO_LITTLE):
        yield refused(command, "which is no answer to a withdrawal")
    elif command.asked.status == CONFLICT and command.expected is None:
        yield refused(command, "though it expected no version")
    elif command.asked.status == CONFLICT and set(lengths) == {command.expected}:
        yield refused(command, f"though the account was at version {command.expected}")
    elif command.asked.status == TOO_LITTLE:
        fitting = [account.balances[n] for n in lengths if command.expected in (None, n)]
        if not fitting:
            yield refused(command, f"though the account was not at version {command.expected}")
        elif min(fitting) >= command.asked.body["amount"]:
            yield refused(command, f"though the balance was {min(fitting)}")


def refused(command: Question, although: str) -> Finding:
    """ES-4 about one refusal."""
    known = [e for e in command.account.entries if e.effect.n <= command.asked.since]
    return accuse(
        "ES-4",
        f"{command.id} was answered with {command.asked.status}, {although}.",
        appended(known[-1]) if known else FactRef(command.asked.since, "It had no event."),
        answered(command),
        "A refusal must follow from a state that the account had between question and answer.",
        "Whoever is refused acts on it. When two meet, only one who named a version may be told of "
        "the conflict; for the other the program decides again.",
        command.id,
    )


def commands(run: Run) -> Iterator[Finding]:
    """ES-6."""
    book = Book(run)
    seen: set[str] = set()
    for command in book.commands:
        if command.id not in seen and (pair := broken_promise(book, command)):
            seen.add(command.id)
            claim, second = pair
            yield accuse(
                "ES-6",
                f"{command.id} {claim}.",
                answered(command),
                second,
                "A command is one event or none, and the answer says which.",
                "A client that hears nothing asks again, so the id must be remembered with the "
                "event, for as long as the event, and be looked at before anything else is.",
                command.id,
            )


def broken_promise(book: Book, command: Question) -> tuple[str, FactRef] | None:
    """What is wrong with the events of a command or an answer to it, and the fact that shows it."""
    entries = book.accounts.by_command.get(command.id, ())
    if len(entries) > 1:
        return f"has {len(entries)} events", appended(entries[1])
    if command.asked.status == ACCEPTED:
        return broken_acceptance(book, command)
    if entries and entries[0].effect.n <= command.asked.since:
        return f"was refused with {command.asked.status} after its event", appended(entries[0])
    answers = [q.asked.status for q in book.commands if q.id == command.id]
    if entries and ACCEPTED not in answers and command.id not in book.undecided:
        return "was refused, and has an event", appended(entries[0])
    return None


def broken_acceptance(book: Book, command: Question) -> tuple[str, FactRef] | None:
    """What is wrong with a command that was answered as accepted."""
    event = book.event_of(command)
    if event is None:
        end = FactRef(len(book.run.history), "At the end the log held no event of it.")
        return ("was accepted, and has no event", end) if book.run.drained else None
    if not same(command.told("version"), event.version):
        told = show(command.told("version"))
        return f"was accepted with version {told} instead of {event.version}", appended(event)
    return None


def outside(run: Run) -> Iterator[Finding]:
    """ES-7."""
    book = Book(run)
    seen: set[str] = set()
    for record in book.effects_in(OUTSIDE) if run.drained else ():
        if record.id not in seen and (pair := false_record(book, record)):
            seen.add(record.id)
            claim, second = pair
            yield accuse(
                "ES-7",
                f"{record.spot} tells of {record.id or 'nothing'}{claim}.",
                FactRef(record.n, f"{record.instance or 'The program'} wrote {record.spot}."),
                second,
                "What is published is what is new in the log, and nothing else.",
                "Reading the log rebuilds state, as often as one likes; telling others is a deed "
                "of its own, done once the event is durable. What is mixed up with the replay "
                "is done again with each, and what is done too early may never become true.",
                record.id,
            )
    yield from unpublished(book)


def false_record(book: Book, record: Effect) -> tuple[str, FactRef] | None:
    """What is wrong with a record, as the end of a sentence, and the fact that shows it."""
    entries = book.accounts.by_command.get(record.id, ())
    if not entries:
        end = FactRef(len(book.run.history), f"The log never held an event of {record.id}.")
        return ", which is not in the log", end
    if entries[0].is_given:
        return ", which was published before the program's time", appended(entries[0])
    if not any(tells(record, entry) for entry in entries):
        return " otherwise than the log", appended(entries[0])
    for gate in ends_of_holds(book.run, LOG, record.id):
        if record.n < gate.n and entries[0].effect.committed_t > gate.t:
            return " before it was in the log", FactRef(gate.n, "Until now its append was held.")
    return told_before(book, record)


def tells(record: Effect, entry: Entry) -> bool:
    """Whether a record tells of an event as it is."""
    right = {
        "account": entry.account,
        "version": entry.version,
        "type": entry.type,
        "amount": entry.amount,
    }
    return record.key == entry.account and not differs(record.content, right)


def told_before(book: Book, record: Effect) -> tuple[str, FactRef] | None:
    """That an event was published again after the run had been quiet; None when it was not."""
    for rest in book.run.history.of(Settled):
        was_told = any(r.id == record.id and r.n < rest.n for r in book.effects_in(OUTSIDE))
        if rest.quiet and was_told and rest.n < record.n and rest.t < record.committed_t:
            return " again", FactRef(rest.n, "It had been published, and all was at rest.")
    return None


def unpublished(book: Book) -> Iterator[Finding]:
    """ES-7 about withdrawals that nobody was told of."""
    told = {record.id for record in book.effects_in(OUTSIDE)}
    for entry in book.appended:
        is_due = entry.type == "withdrawn" and book.was_at_rest(entry.effect)
        if is_due and entry.effect.id not in told:
            assert book.run.settled is not None
            yield accuse(
                "ES-7",
                f"{entry.effect.id} was never published.",
                appended(entry),
                FactRef(book.run.settled.n, "All was at rest, and no record told of it."),
                "Each event that the program appends is published, at least once.",
                "Two systems cannot be written to at once. What is still to be published must be "
                "remembered with the event: in a table of the same transaction, or by how far in "
                "the log one has come.",
                entry.effect.id,
            )


def append_only(run: Run) -> Iterator[Finding]:
    """ES-8."""
    effects = {str(e.content["entry"]): e for e in Book(run).effects_in(LOG)}
    for state in run.history.of(State):
        for (entry, *_), got, right in state_differences(state) if state.table == LOG else ():
            if effect := effects.get(entry):
                yield rewritten(effect, state, got, right)


def rewritten(effect: Effect, state: State, got: Values, right: Values) -> Finding:
    """ES-8 about one event."""
    wrong = {name: got.get(name) for name in differs(got, right)}
    what = f"is now {show(wrong)}" if got else "is gone"
    return accuse(
        "ES-8",
        f"{effect.spot} ({effect.id}) {what}.",
        FactRef(effect.n, f"It was appended as {show({n: right[n] for n in wrong})}."),
        FactRef(state.n, f"At the end it {what}."),
        "An event is a fact of the past; it cannot become another one.",
        "Whoever has read the log before knows another past from now on, and nobody can tell what "
        "was decided on what. A further event makes good a mistake; an old form is only read.",
        effect.id,
    )
