"""SAG: sagas that an orchestrator drives.

**Model.** Each event of an input topic (an *order*) begins one saga: steps in a fixed order, each a
command to a participant that the grader plays. Steps before the *pivot* can be undone, the pivot
cannot, and the steps after it are never refused. A *do* is a step's effect at its participant, an
*undo* takes it back; both are facts of the participants' own books (`Performed`), so what counts is
what happened there and not how many commands were sent. An undo that comes before its do bars it:
the do can then never happen. The outcome, `completed` or `cancelled`, is a record of the program.
The order of facts is causal: a command is seen before it is worked on, and a reply is sent after
that; so whatever a program knows from replies lies before what it does next. Any design is legal:
asking again or cancelling when a reply is overdue, commands repeated at will under their id, state
in tables, in topics, or in transactions.

**SAG-1 one-outcome.** Two outcomes of an order differ; or an outcome is neither of the two; or it
came before the last step was done or undone, which then happened after all; or the same outcome
was told again after the run had been at rest, or by another instance within a second of the first.
Otherwise the program may not have heard that the first was written; and if anything interrupted it
before (an instance killed, frozen, stopped; a fault on the wire; partitions changing hands) it may
never hear: no program can write to Kafka and note it at once. Both are excused.

**SAG-2 completeness.** A completed order lacks a step, or a step of it was undone; a cancelled one
still has a do that was known in time and never undone; a do or an undo happened more often than
once. Or the order was cancelled without cause: no step refused, none of the steps before the pivot
unavailable, and less than the stated time since its last command can have been sent, which is when
the reply to the step before, or the order, was handed to the program. And over all orders:
what was taken of each account and article, less what was given back, is not what the completed
orders add up to. This conservation uses the books' sums alone; it speaks when no single order
explains the difference (here or as SAG-6).

**SAG-3 phantom-undo.** An undo names a command that the program never sent, or one of another step.
Excused after an interruption: the command may have been about to be sent.

**SAG-4 reverse-order.** A step was undone before a later one was, or before a later one was barred
by its undo. Judged by what the participants did, not by when the undos were sent.

**SAG-5 forward-order.** A step was commanded before the step before it was done: no reply can have
told so. Or a step forward that was first commanded after the order's first undo was done.
Repetitions of older commands are left alone: a revived instance may send them, and they are barred.

**SAG-6 late-success.** A cancelled order has a do that happened, or was told to the program, only
after it turned back, and that was never undone: silence was taken for failure.

**SAG-7 command-identity.** One action of an order was commanded under two ids, or one id stands for
two different commands, or a command cannot be read. Also where no harm was done.

**SAG-8 pivot.** An order was turned back after its pivot was commanded and before that was refused;
or it was called cancelled although the pivot was done.

**SAG-9 crash-matrix.** A saga that was under way when an instance was killed, frozen or ended never
came to its outcome, although everything was committed and at rest. All other checks hold in the
crash scenarios as anywhere. A lack of progress: it counts when it repeats. Of an order for which
nothing was ever sent, the commit past it is the first fact.

**SAG-10 duplicate-start.** An order that was sent several times has two commands for one action, or
its outcome twice, without an interruption in between. Then SAG-7 and SAG-1 say nothing of it.

**SAG-11 isolation.** A command has another key than its order, carries values that are not its
order's, undoes another order's command, or is about no order at all.

**SAG-12 timely.** As SAG-9, of sagas during which nothing was interrupted. It counts when it
repeats. A run that was not at rest is LIV-1's.

**One worked history** (SAG-6):

    #20 output    payment-commands-1@0: charge ord-7 (command c2)
    #41 output    stock-commands-1@1: release ord-7, 2 s later
    #44 effect    order-outcomes-1@0: ord-7 (cancelled)
    #45 performed payment charge ord-7 (cus-3, 4990)

At #44 the order is cancelled, at #45 its customer has paid, and nothing gives the money back.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

from graders.checks.finding import FactRef, Finding, Place
from graders.checks.run import Run, differs
from graders.checks.saga import CANCELLED, COMPLETED, Saga, Sagas, sagas_of, told
from graders.facts import Effect, Fact, Output, Performed, Process, Settled, Stall
from graders.spec import SagaStep
from graders.verdicts import Verdict

CLOCK_MARGIN_S = 0.05
RACE_S = 1.0

Find = Callable[[Sagas, Saga], Iterator[Finding]]


def each_saga(find: Find) -> Callable[[Run], Iterator[Finding]]:
    """A check that looks at one saga after another."""

    def check(run: Run) -> Iterator[Finding]:
        sagas = sagas_of(run)
        for saga in sagas:
            yield from find(sagas, saga)

    return check


def accuse(
    check: str, saga: Saga | None, claim: str, first: FactRef, second: FactRef, both: str, why: str
) -> Finding:
    """A FAIL about one saga; about none when a command belongs to no order."""
    start = [saga.sent[0].n] if saga else []
    return Finding(
        check,
        Verdict.FAIL,
        claim=claim,
        brief=without_name(claim, saga.id) if saga else claim,
        first=first,
        second=second,
        both=both,
        why=why,
        rows=tuple(sorted({*start, first.n, second.n})),
        ids=(saga.id,) if saga else (),
    )


def without_name(claim: str, saga: str) -> str:
    """A claim that names no order."""
    brief = claim.replace(saga, "an order")
    return brief[0].upper() + brief[1:]


def sent_command(command: Output) -> FactRef:
    """A command as a fact."""
    who = command.instance or "The program"
    action, id = told(command, "action"), told(command, "id")
    return FactRef(command.n, f"{who} sent {action} (command {id}) to {command.topic}.")


def was_done(deed: Performed) -> FactRef:
    """What a participant did as a fact."""
    if deed.outcome == "ignored":
        text = f"{deed.participant} dealt with {deed.action} for {deed.subject}, command {deed.id}."
        return FactRef(deed.n, text)
    moved = ", ".join(str(value) for value in deed.content.values())
    return FactRef(
        deed.n,
        f"{deed.participant} did {deed.action} for {deed.subject} ({moved}), command {deed.id}.",
    )


def was_told(outcome: Effect) -> FactRef:
    """An outcome as a fact."""
    who = outcome.instance or "The program"
    word = outcome.content.get("outcome")
    return FactRef(outcome.n, f"{who} told that {outcome.id} is {word} ({outcome.spot}).")


def turned(turn: Output | Effect) -> FactRef:
    """How the program turned back, as a fact."""
    return sent_command(turn) if isinstance(turn, Output) else was_told(turn)


# SAG-1 ------------------------------------------------------------------------------------------

ONE_END = "An order has one outcome, and it is the last thing that happens to it."
WHY_REPEATED = (
    "Whoever reads the outcomes acts on each of them. What was written must be noted in the "
    "saga's state, and a reply or an order that comes again must find that note."
)
WHY_EARLY = (
    "To have asked for something is not to have it. The order ends when the last reply says that "
    "the last step is done, or undone; until then anything may still happen to it."
)


@each_saga
def one_outcome(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-1."""
    for outcome in saga.outcomes:
        if outcome.content.get("outcome") not in (COMPLETED, CANCELLED):
            yield no_outcome(saga, outcome)
            return
    for one, two in pairwise(saga.outcomes):
        if one.content != two.content:
            yield changed(saga, one, two)
            return
    yield from told_early(saga)
    if (twice := told_twice(sagas, saga)) and len(saga.sent) == 1:
        yield repeated("SAG-1", saga, *twice)


def no_outcome(saga: Saga, outcome: Effect) -> Finding:
    """SAG-1 about an outcome that is none."""
    return accuse(
        "SAG-1",
        saga,
        f"The outcome of {saga.id} is neither completed nor cancelled.",
        was_told(outcome),
        FactRef(saga.sent[0].n, "An order ends completed or cancelled."),
        ONE_END,
        "Whoever reads the outcomes knows these two words.",
    )


def changed(saga: Saga, one: Effect, two: Effect) -> Finding:
    """SAG-1 about two outcomes that differ."""
    return accuse(
        "SAG-1",
        saga,
        f"{saga.id} ended twice, and differently.",
        was_told(one),
        was_told(two),
        ONE_END,
        "An end state is final. Whatever comes later (a reply, a repeat, a second instance) must "
        "find it in the saga's state and change nothing.",
    )


def told_early(saga: Saga) -> Iterator[Finding]:
    """SAG-1 about an outcome before the last step, which came after all."""
    if not saga.outcomes:
        return
    outcome = saga.outcomes[0]
    late = [deed for deed in last_deeds(saga, outcome) if deed.n > outcome.n]
    if late:
        word = outcome.content.get("outcome")
        yield accuse(
            "SAG-1",
            saga,
            f"{saga.id} was called {word} before its {late[0].action} was done.",
            was_told(outcome),
            was_done(late[0]),
            ONE_END,
            WHY_EARLY,
        )


def last_deeds(saga: Saga, outcome: Effect) -> Iterator[Performed]:
    """What had to happen before an outcome: the first do of each step, or the undo of each do that
    there was by then."""
    for step in saga.steps:
        if outcome.content.get("outcome") == COMPLETED:
            yield from saga.done(step.action)[:1]
        elif any(deed.n < outcome.n for deed in saga.done(step.action)):
            yield from saga.done(step.undo)[:1]


def told_twice(sagas: Sagas, saga: Saga) -> tuple[Effect, Effect] | None:
    """The same outcome twice, when nothing excuses it."""
    for one, two in pairwise(saga.outcomes):
        noted = noted_by(sagas, one, two)
        if noted and one.content == two.content and not sagas.was_broken(saga, noted.n):
            return one, two
    return None


def noted_by(sagas: Sagas, one: Effect, two: Effect) -> Fact | None:
    """The fact by which the first of two outcomes must have been noted, if nothing interrupted the
    program: the rest between them, or the second when two instances raced; None when it need not
    have been."""
    rest = sagas.rest_after(one.n)
    if rest and rest.n <= two.n:
        return rest
    return two if is_race(one, two) else None


def is_race(one: Effect, two: Effect) -> bool:
    """Whether two instances wrote the same at about the same time; a lease would be longer."""
    apart = one.instance and two.instance and one.instance != two.instance
    return bool(apart) and abs(two.committed_t - one.committed_t) < RACE_S


def repeated(check: str, saga: Saga, one: Effect, two: Effect) -> Finding:
    """SAG-1 or SAG-10 about an outcome that was told twice."""
    return accuse(
        check,
        saga,
        f"The outcome of {saga.id} was told twice.",
        was_told(one),
        was_told(two),
        "Nothing interrupted the program before it could note that the outcome was told.",
        WHY_REPEATED,
    )


# SAG-2 and SAG-6 --------------------------------------------------------------------------------

WHY_NOT_UNDONE = (
    "There is no rollback across services: every step that was done must be undone by a command of "
    "its own, and asked for until the service says that it is done."
)
WHY_LATE = (
    "A timeout says nothing about what happened: the command may be waiting, in work, or done and "
    "only its reply late. Undo a step whose outcome is unknown like one that was done; the undo "
    "settles it either way."
)
WHY_NO_CAUSE = (
    "A reply that belongs to another command, or a patience that is shorter than agreed, is no "
    "reason to cancel what a customer ordered."
)


def completeness(run: Run) -> Iterator[Finding]:
    """SAG-2."""
    sagas = sagas_of(run)
    found = [f for saga in sagas for f in unfinished_business(sagas, saga)]
    yield from found
    if not found and not any(late_success(run)):
        yield from conservation(sagas)


def unfinished_business(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-2 about one saga."""
    yield from done_twice(saga)
    for outcome in saga.outcomes[:1]:
        if outcome.content.get("outcome") == COMPLETED:
            yield from incomplete(saga, outcome)
        elif outcome.content.get("outcome") == CANCELLED:
            yield from (not_undone("SAG-2", saga, outcome, d) for d in left_over(saga, late=False))
    yield from without_cause(sagas, saga)


def done_twice(saga: Saga) -> Iterator[Finding]:
    """SAG-2 about a do or an undo that happened more than once."""
    for step in saga.steps:
        for action in filter(None, (step.action, step.undo)):
            deeds = saga.done(action)
            if len(deeds) > 1:
                yield accuse(
                    "SAG-2",
                    saga,
                    f"{action} of {saga.id} happened {len(deeds)} times.",
                    was_done(deeds[0]),
                    was_done(deeds[1]),
                    "Each step is done at most once, and undone at most once.",
                    "A service knows a repeat by the command's id alone. The id must be saved with "
                    "the saga before the command is sent, and be used for every attempt.",
                )


def incomplete(saga: Saga, outcome: Effect) -> Iterator[Finding]:
    """SAG-2 about a completed order that is not."""
    for step in saga.steps:
        if not saga.done(step.action):
            yield accuse(
                "SAG-2",
                saga,
                f"{saga.id} was called completed, but its {step.action} was never done.",
                was_told(outcome),
                last_word(saga, step.action),
                "A completed order has every step done.",
                "Only the reply to a command of one's own says that a step is done.",
            )
        elif step.undo and saga.done(step.undo):
            yield accuse(
                "SAG-2",
                saga,
                f"{saga.id} was called completed, but its {step.action} was undone.",
                was_told(outcome),
                was_done(saga.done(step.undo)[0]),
                "A completed order has no step undone.",
                WHY_NOT_UNDONE,
            )


def last_word(saga: Saga, action: str) -> FactRef:
    """What there is of a step that was never done: its refusal, its command, or nothing."""
    refused = saga.done(action, "refused")
    if refused:
        return FactRef(refused[0].n, f"{refused[0].participant} refused {action}.")
    if asked := saga.asked(action):
        return sent_command(asked[0])
    return FactRef(saga.sent[0].n, f"Until the end no {action} was commanded for {saga.id}.")


def left_over(saga: Saga, *, late: bool) -> Iterator[Performed]:
    """The dos of a cancelled order that are still in force, known too `late` or in time. The pivot
    and what follows it are SAG-8's."""
    turn = saga.turn
    for step in saga.steps[: saga.pivot]:
        for deed in saga.in_force(step):
            reply = saga.replied(deed.id)
            known = reply is not None and turn is not None and reply.n < turn.n
            if known != late:
                yield deed


def not_undone(check: str, saga: Saga, outcome: Effect, deed: Performed) -> Finding:
    """SAG-2 or SAG-6 about a do that nobody took back."""
    when = "after it was given up, " if check == "SAG-6" else ""
    return accuse(
        check,
        saga,
        f"{saga.id} is cancelled, but its {deed.action} was done {when}and never undone.",
        was_told(outcome),
        was_done(deed),
        "A cancelled order leaves nothing behind: what was done for it is undone.",
        WHY_LATE if check == "SAG-6" else WHY_NOT_UNDONE,
    )


def without_cause(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-2 about an order that was turned back though nothing was wrong. Once the pivot was
    commanded, that is SAG-8's."""
    turn = saga.turn
    if turn is None or any(is_cause(saga, deed) for deed in saga.deeds if deed.n < turn.n):
        return
    reached = [
        i for i, s in enumerate(saga.steps) if any(c.n < turn.n for c in saga.asked(s.action))
    ]
    if not reached:
        # What it sent before may be on its way still, behind what another instance sent later.
        early = is_early(sagas, sagas.taken_up(saga), turn)
        if early and not sagas.was_broken(saga, turn.n):
            first = FactRef(saga.sent[0].n, "No service had been asked for anything.")
            yield no_cause(saga, first, turn)
    elif reached[-1] < saga.pivot:
        yield from impatient(sagas, saga, turn, last=reached[-1])


def impatient(sagas: Sagas, saga: Saga, turn: Output | Effect, last: int) -> Iterator[Finding]:
    """SAG-2 about an order whose last command cannot have been overdue."""
    before = told_to_go_on(sagas, saga, last)
    if before and is_early(sagas, before, turn):
        text = (
            f"{saga.steps[last].action} cannot have been commanded before this, and "
            f"{turn.t - before.t:.2f} s later the order was turned back: a reply is overdue "
            f"after {sagas.spec.overdue_s:g} s."
        )
        yield no_cause(saga, FactRef(before.n, text), turn)


def told_to_go_on(sagas: Sagas, saga: Saga, step: int) -> Fact | None:
    """The fact before which a step cannot have been commanded: the first reply that the step before
    is done was handed to the program, or it was done, or the order was handed out; None when there
    is no such fact."""
    if not step:
        return sagas.taken_up(saga)
    done = next(iter(saga.done(saga.steps[step - 1].action)), None)
    reply = saga.replied(done.id) if done else None
    place = Place(reply.topic, reply.partition, reply.offset or 0) if reply else None
    return (sagas.run.fetch_of(place) if place else None) or done


def is_early(sagas: Sagas, since: Fact, turn: Output | Effect) -> bool:
    """Whether no reply to what was sent since a fact can have been overdue at the turn."""
    return turn.t - since.t < sagas.spec.overdue_s - CLOCK_MARGIN_S


def is_cause(saga: Saga, deed: Performed) -> bool:
    """Whether what a participant did gives a reason to cancel."""
    before_pivot = {step.action for step in saga.steps[: saga.pivot]}
    return deed.outcome == "refused" or (
        deed.outcome == "unavailable" and deed.action in before_pivot
    )


def no_cause(saga: Saga, first: FactRef, turn: Output | Effect) -> Finding:
    """SAG-2 about an order that was cancelled without cause."""
    return accuse(
        "SAG-2",
        saga,
        f"{saga.id} was cancelled without cause: nothing was refused, and no reply was overdue.",
        first,
        turned(turn),
        "An order is cancelled when a step is refused, or when a reply is overdue.",
        WHY_NO_CAUSE,
    )


def conservation(sagas: Sagas) -> Iterator[Finding]:
    """SAG-2 about the sums over all orders, once every order has its outcome."""
    if not all(saga.outcomes for saga in sagas):
        return
    for step in sagas.spec.steps:
        if len(step.moves) == 2:
            yield from unbalanced(sagas, step)


def unbalanced(sagas: Sagas, step: SagaStep) -> Iterator[Finding]:
    """SAG-2 about an account or an article."""
    whose, much = step.moves
    moved: Counter[str] = Counter()
    owed: Counter[str] = Counter()
    last: dict[str, Performed] = {}
    for deed in sagas.run.history.of(Performed):
        sign = {step.action: 1, step.undo: -1}.get(deed.action, 0)
        if sign and deed.outcome == "done":
            moved[str(deed.content[whose])] += sign * deed.content[much]
            last[str(deed.content[whose])] = deed
    for saga in sagas:
        if saga.outcomes[0].content.get("outcome") == COMPLETED:
            owed[str(saga.sent[0].value[whose])] += saga.sent[0].value[much]
    for name in sorted(moved.keys() | owed.keys()):
        if moved[name] != owed[name] and name in last:
            yield out_of_balance(sagas, step, name, moved[name], owed[name], last[name])


def out_of_balance(
    sagas: Sagas, step: SagaStep, name: str, moved: int, owed: int, last: Performed
) -> Finding:
    """SAG-2 about one sum."""
    much = step.moves[1]
    return accuse(
        "SAG-2",
        sagas.by_id.get(last.subject),
        f"The books of {last.participant} are out: {name} has {much} {moved}, "
        f"its completed orders add up to {owed}.",
        FactRef(last.n, f"After this, what was moved for {name} came to {moved}."),
        FactRef(1, f"The completed orders of {name} add up to {owed}."),
        "What is taken, less what is given back, is what completed orders cost.",
        WHY_NOT_UNDONE,
    )


@each_saga
def late_success(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-6."""
    for outcome in saga.outcomes[:1]:
        if outcome.content.get("outcome") == CANCELLED:
            yield from (not_undone("SAG-6", saga, outcome, d) for d in left_over(saga, late=True))


# SAG-3 and SAG-4 --------------------------------------------------------------------------------


@each_saga
def phantom_undo(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-3."""
    for step in saga.steps[: saga.pivot]:
        known = {told(command, "id") for command in saga.asked(step.action)}
        for undo in saga.asked(step.undo):
            undone = told(undo, "undoes")
            elsewhere = undone in sagas.owners
            if undone is None or undone in known:
                continue
            if sagas.owners.get(undone, saga) is not saga:
                continue  # SAG-11
            if elsewhere or not sagas.was_broken(saga, undo.n):
                yield phantom(saga, step, undo)
            break


def phantom(saga: Saga, step: SagaStep, undo: Output) -> Finding:
    """SAG-3 about one undo."""
    asked = saga.asked(step.action)
    second = (
        sent_command(asked[0])
        if asked
        else FactRef(saga.sent[0].n, f"Until the end no {step.action} of {saga.id} was commanded.")
    )
    return accuse(
        "SAG-3",
        saga,
        f"{step.undo} of {saga.id} undoes a {step.action} that was never commanded.",
        FactRef(undo.n, f"{sent_command(undo).text[:-1]}; it undoes {told(undo, 'undoes')}."),
        second,
        "Only what was begun can be undone.",
        "A saga must know how far it came. Undoing everything to be safe pays money back that was "
        "never taken, at the first service that believes it.",
    )


@each_saga
def reverse_order(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-4."""
    undone = [(step, settled[0]) for step in saga.steps if (settled := saga.settled(step.undo))]
    for (early, one), (late, two) in pairwise(undone):
        if one.n < two.n:
            yield accuse(
                "SAG-4",
                saga,
                f"{early.action} of {saga.id} was undone before its later {late.action}.",
                was_done(one),
                was_done(two),
                "Steps are undone in reverse order, each when the one after it is undone.",
                "A later step may rest on an earlier one, and only the reply to its undo says that "
                "it is not in force any more. Until then what it rests on must not go: here others "
                "could buy the goods that this customer may still pay for.",
            )


# SAG-5 ------------------------------------------------------------------------------------------

WHY_FORWARD = (
    "Each step rests on the ones before it. Only the reply to the command in hand, known by that "
    "command's id, moves a saga on, and only while it has not turned back."
)


@each_saga
def forward_order(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-5."""
    found = next(iter([*ahead_of_time(saga), *after_turning_back(saga)]), None)
    if found:
        yield found


def ahead_of_time(saga: Saga) -> Iterator[Finding]:
    """SAG-5 about a step whose predecessor was not done."""
    for before, step in pairwise(saga.steps):
        asked, done = saga.asked(step.action), saga.done(before.action)
        if asked and not (done and done[0].n < asked[0].n):
            yield accuse(
                "SAG-5",
                saga,
                f"{step.action} of {saga.id} was commanded before its {before.action} was done.",
                sent_command(asked[0]),
                was_done(done[0]) if done else last_word(saga, before.action),
                "A step is commanded when the step before it is done, and not earlier.",
                WHY_FORWARD,
            )


def after_turning_back(saga: Saga) -> Iterator[Finding]:
    """SAG-5 about a step that was begun after the first undo, and done."""
    for step in saga.steps:
        for deed in saga.done(step.action):
            asked = [c for c in saga.asked(step.action) if told(c, "id") == deed.id]
            if saga.undos and asked and asked[0].n > saga.undos[0].n:
                yield accuse(
                    "SAG-5",
                    saga,
                    f"{step.action} of {saga.id} was begun after the order had turned back.",
                    sent_command(saga.undos[0]),
                    was_done(deed),
                    "Once an undo has been sent, no step forward is begun.",
                    WHY_FORWARD,
                )


# SAG-7 and SAG-10 -------------------------------------------------------------------------------


def command_identity(run: Run) -> Iterator[Finding]:
    """SAG-7."""
    sagas = sagas_of(run)
    for saga in sagas:
        if (pair := two_ids(saga)) and not is_second_start(sagas, saga, *pair):
            yield two_commands("SAG-7", saga, *pair)
    yield from ambiguous(sagas)
    yield from unreadable(sagas)


def two_ids(saga: Saga) -> tuple[Output, Output] | None:
    """Two commands for one action under two ids."""
    for action in actions(saga.steps):
        asked = saga.asked(action)
        other = next((c for c in asked if told(c, "id") != told(asked[0], "id")), None)
        if other:
            return asked[0], other
    return None


def actions(steps: Iterable[SagaStep]) -> list[str]:
    """All actions, forward and back."""
    return [action for step in steps for action in (step.action, step.undo) if action]


def is_second_start(sagas: Sagas, saga: Saga, one: Output, two: Output) -> bool:
    """Whether the second command is that of a second saga for an order that was sent again."""
    again = [sent for sent in saga.sent[1:] if sent.n < two.n]
    return bool(again) and not sagas.was_broken(saga, two.n)


def two_commands(check: str, saga: Saga, one: Output, two: Output) -> Finding:
    """SAG-7 or SAG-10 about one action under two ids."""
    action = told(one, "action")
    return accuse(
        check,
        saga,
        f"{action} of {saga.id} was commanded under two ids.",
        sent_command(one),
        sent_command(two),
        "Each action of an order has one command with one id; both cannot be it.",
        "To the service another id is another command, and it carries it out. The id belongs to "
        "the saga's state: chosen once, saved before the command is sent, or made from the order's "
        "id and the action.",
    )


def ambiguous(sagas: Sagas) -> Iterator[Finding]:
    """SAG-7 about an id that stands for two commands."""
    first: dict[str, Output] = {}
    for saga in sagas:
        for command in saga.commands:
            other = first.setdefault(told(command, "id") or "", command)
            if told(command, "id") and meaning(sagas, other) != meaning(sagas, command):
                yield accuse(
                    "SAG-7",
                    saga,
                    f"The id of a command of {saga.id} stands for two different commands.",
                    sent_command(other),
                    sent_command(command),
                    "The same id means the same command.",
                    "The service takes the second for a repeat of the first, does nothing, and "
                    "replies done.",
                )
                return


def meaning(sagas: Sagas, command: Output) -> dict[str, Any]:
    """What a command says, as far as it is agreed on."""
    agreed = {"order", "action", "undoes", *(name for s in sagas.spec.steps for name in s.moves)}
    return {name: value for name, value in command.value.items() if name in agreed}


def unreadable(sagas: Sagas) -> Iterator[Finding]:
    """SAG-7 about the first command that no service can read."""
    for command in sagas.run.history.of(Output):
        if missing := lacks(sagas, command):
            yield accuse(
                "SAG-7",
                sagas.by_id.get(told(command, "order") or ""),
                f"A command in {command.topic} cannot be read: {missing}.",
                FactRef(
                    command.n, f"{command.topic}-{command.partition}@{command.offset} was written."
                ),
                FactRef(1, "A command names its id, its order, its action and what that needs."),
                "No service can carry it out.",
                "A command is a contract between two teams; its form is part of the task.",
            )
            return


def lacks(sagas: Sagas, command: Output) -> str:
    """What a command lacks; "" when nothing."""
    if not isinstance(command.value, dict):
        return "it is no JSON object"
    steps = {step.action: list(step.moves) for step in sagas.spec.steps}
    undos = {step.undo: ["undoes"] for step in sagas.spec.steps if step.undo}
    needed = (steps | undos).get(told(command, "action") or "")
    if needed is None:
        return "its action is none of those agreed on"
    missing = [name for name in ("id", "order") if not told(command, name)]
    missing += [name for name in needed if name not in command.value]
    if missing:
        return f"it has no {missing[0]}"
    wrong = [name for name in needed if is_of_another_kind(sagas, command, name)]
    return f"its {wrong[0]} is {command.value[wrong[0]]!r}" if wrong else ""


def is_of_another_kind(sagas: Sagas, command: Output, name: str) -> bool:
    """Whether a field holds a text where its order has a number, or the like."""
    saga = sagas.by_id.get(told(command, "order") or "")
    if saga is None or name not in saga.sent[0].value:
        return not isinstance(command.value[name], str | int)
    return type(command.value[name]) is not type(saga.sent[0].value[name])


@each_saga
def duplicate_start(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-10."""
    if (pair := two_ids(saga)) and is_second_start(sagas, saga, *pair):
        yield two_commands("SAG-10", saga, *pair)
    elif (twice := told_twice(sagas, saga)) and len(saga.sent) > 1:
        yield repeated("SAG-10", saga, *twice)


# SAG-8 ------------------------------------------------------------------------------------------


@each_saga
def pivot(sagas: Sagas, saga: Saga) -> Iterator[Finding]:
    """SAG-8. A pivot that was commanded only after the order had turned back is SAG-5's."""
    step = saga.steps[saga.pivot]
    asked, refused, turn = saga.asked(step.action), saga.done(step.action, "refused"), saga.turn
    if asked and turn and asked[0].n < turn.n and not (refused and refused[0].n < turn.n):
        yield turned_back(saga, step, asked[0], turn)


def turned_back(saga: Saga, step: SagaStep, asked: Output, turn: Output | Effect) -> Finding:
    """SAG-8 about one order."""
    done = [deed for deed in saga.done(step.action) if deed.n < turn.n]
    how = "done" if done else "under way and not refused"
    return accuse(
        "SAG-8",
        saga,
        f"{saga.id} was turned back although its {step.action} was {how}.",
        was_done(done[0]) if done else sent_command(asked),
        turned(turn),
        f"Once {step.action} was commanded, only its refusal allows to turn back.",
        "The pivot cannot be undone, so an unknown outcome must be taken for done: ask until it "
        "is known. Whoever undoes the rest meanwhile gives the goods away.",
    )


# SAG-11 -----------------------------------------------------------------------------------------


def isolation(run: Run) -> Iterator[Finding]:
    """SAG-11."""
    sagas = sagas_of(run)
    for stray in sagas.strays:
        if told(stray, "order"):
            yield about_nothing(stray)
            break
    for saga in sagas:
        found = next((f for c in saga.commands for f in mixed_up(sagas, saga, c)), None)
        if found:
            yield found


def about_nothing(command: Output) -> Finding:
    """SAG-11 about a command for no order."""
    order = told(command, "order") or ""
    return accuse(
        "SAG-11",
        None,
        f"A command is about {order}, which nobody ordered.",
        sent_command(command),
        FactRef(1, f"No order {order} was sent before."),
        "A command is about an order.",
        "Replies come for other people's orders too. What is not one's own is left alone.",
    )


def mixed_up(sagas: Sagas, saga: Saga, command: Output) -> Iterator[Finding]:
    """SAG-11 about one command."""
    steps = {step.action: step for step in saga.steps}
    step, order = steps.get(told(command, "action") or ""), saga.sent[0]
    wanted = {name: order.value[name] for name in step.moves} if step else {}
    wrong = [] if lacks(sagas, command) else differs(command.value, wanted)
    other = sagas.owners.get(told(command, "undoes") or "", saga)
    if command.key != saga.id:
        said = f"its key is {command.key!r}"
        yield foreign(saga, command, said, FactRef(order.n, f"{saga.id} was sent under this key."))
    elif wrong:
        name = wrong[0]
        said = f"{name} {command.value[name]} instead of {wanted[name]}"
        yield foreign(
            saga, command, said, FactRef(order.n, f"{saga.id} was sent as {order.value}.")
        )
    elif other is not saga:
        undone = next(c for c in other.commands if told(c, "id") == told(command, "undoes"))
        yield foreign(saga, command, f"it undoes a command of {other.id}", sent_command(undone))


def foreign(saga: Saga, command: Output, said: str, truth: FactRef) -> Finding:
    """SAG-11 about a command with another order's values."""
    return accuse(
        "SAG-11",
        saga,
        f"{told(command, 'action')} of {saga.id} mixes up orders: {said}.",
        sent_command(command),
        truth,
        "A command carries the values of its own order.",
        "Many sagas are under way at once. Each needs a state of its own, found by the command "
        "that a reply names.",
    )


# SAG-9 and SAG-12 -------------------------------------------------------------------------------


def crash_matrix(run: Run) -> Iterator[Finding]:
    """SAG-9."""
    yield from stranded(run, "SAG-9", broken=True)


def timely(run: Run) -> Iterator[Finding]:
    """SAG-12."""
    yield from stranded(run, "SAG-12", broken=False)


def stranded(run: Run, check: str, *, broken: bool) -> Iterator[Finding]:
    """The sagas that had no outcome when all was at rest, of those that were interrupted or not:
    one finding, about the first."""
    sagas = sagas_of(run)
    found = [
        (saga, rest, ends)
        for saga in sagas
        for rest in [waited_in_vain(sagas, saga)]
        if rest
        for ends in [ends_during(sagas, saga, rest)]
        if bool(ends) == broken
    ]
    if found:
        yield not_finished(run, check, *found[0], more=len(found) - 1)


def waited_in_vain(sagas: Sagas, saga: Saga) -> Settled | None:
    """The end of a wait after which a saga should have had its outcome and had not."""
    if saga.id not in sagas.run.places:
        return None
    rest = sagas.rest_after(saga.sent[0].n)
    told_by_then = rest and any(outcome.n < rest.n for outcome in saga.outcomes)
    return None if told_by_then else rest


def ends_during(sagas: Sagas, saga: Saga, rest: Settled) -> list[Process]:
    """How instances ended or stood still between a saga's start and a fact."""
    began = sagas.taken_up(saga).n
    what = ("killed", "exited", "frozen")
    return [p for p in sagas.run.history.of(Process) if began < p.n < rest.n and p.what in what]


def not_finished(
    run: Run, check: str, saga: Saga, rest: Settled, ends: list[Process], more: int
) -> Finding:
    """SAG-9 or SAG-12 about one saga."""
    last = max((*saga.commands, *saga.deeds, *saga.replies, saga.sent[0]), key=lambda f: f.n)
    noisy = bool(run.history.of(Stall))
    others = f" ({more} more like it.)" if more else ""
    let_go = ends and not saga.commands and let_go_before(run, saga, ends[0])
    if let_go:
        first = let_go
    elif ends:
        what = f"{ends[0].instance} was {ends[0].what} while the order was under way."
        first = FactRef(ends[0].n, what)
    else:
        first = FactRef(last.n, "This is the last that was heard of it.")
    return Finding(
        check,
        Verdict.INCONCLUSIVE if noisy else Verdict.FAIL,
        claim=f"{saga.id} was begun and never ended.{others}",
        brief="An order was begun and never ended.",
        first=first,
        second=FactRef(rest.n, f"After {rest.waited_s:.1f} s of waiting it had no outcome."),
        both="Every order ends, completed or cancelled, whatever happens on the way.",
        why=WHY_LET_GO if let_go else WHY_STRANDED if ends else WHY_WAITING,
        rows=tuple(sorted({saga.sent[0].n, first.n, last.n, rest.n, *(e.n for e in ends[:1])})),
        ids=(saga.id,),
        reason="noisy" if noisy else "",
    )


def let_go_before(run: Run, saga: Saga, end: Process) -> FactRef | None:
    """The commit past an order, before an instance ended; None when there was none."""
    commits = [run.commit_past(place) for place in run.places.get(saga.id, ())]
    past = [commit for commit in commits if commit and commit.n < end.n]
    if not past or len(past) < len(commits):
        return None
    text = "The group committed an offset past it and was not handed it again."
    return FactRef(past[-1].n, text)


WHY_LET_GO = (
    "A committed offset says that a record is dealt with. A crash between the commit and the saved "
    "state loses the order: save first, commit then, and not by a timer."
)
WHY_STRANDED = (
    "Saving the state and sending the command are two things, and a crash can come between them. "
    "After a start the program must take up every saga that has not ended and send its command "
    "again: it costs nothing, since the id is the same."
)
WHY_WAITING = (
    "A reply may be lost, or its service be down. Whoever only waits for replies waits for ever: "
    "each saga that is under way needs a time at which its command is sent again."
)
