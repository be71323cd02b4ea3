"""SHU: what SIGTERM costs.

**Model.** A *stop* is one life of an instance that was sent SIGTERM (`terminated`). It ended by
itself after that (`stopped`), or it was still there when its grace was over (`overdue`) and got
SIGKILL. What a program does between the two is seen from outside only: what it fetches, writes and
commits, whether its members leave the group, how its process ends. A program cannot be seen to
notice a signal, and it may notice late: in the middle of a call it finishes that call first. So
nothing here rests on the moment of the signal, but on the order of things that follow one another
by necessity. A stop that ended by SIGKILL is judged by SHU-1 or SHU-6 alone, or by none when the
scenario was over before the grace was.

Stops differ by what the instance was in the middle of: *starting* (it has not been told its
partitions yet), in a *rebalance* (the grader is holding its JoinGroup, SyncGroup or heartbeat), or
*told twice*. SHU-6 speaks of these, SHU-1 of all others.

**SHU-1 in time.** The instance was overdue, or ended by itself with another exit code than 0 or
143. A program that the signal itself has ended is no worse than 143: where that cost something, the
others say so. May wrongly accuse a slow machine: hence the grace is counted on a clock that runs
slower while the machine is short of CPU, a run in which the grader itself was not scheduled says
nothing, and a scenario must end so twice, the second time with twice the grace.

**SHU-2 nothing new.** After SIGTERM the instance took new records: three times in a row it was
handed a record only after its effect of the one before, and had an effect of that, too. Whoever
finishes what it had in hand, a whole batch or a queue, fetched it before; a call that was waiting
for records at the moment of the signal may bring one more. Or: all its members had left the group,
and then a row that it wrote was committed: the grader was holding it when the last one left, or the
database's clock says so, with 20 ms to spare. Records may still be under way then, so they do not
count.

**SHU-3 committed.** The instance stopped by itself. It had finished records of a partition (all
their effects durable in this life, by itself) that no commit had passed, from the committed
position on without a gap, and another life was handed them again. A record behind one that was
taken back could not be committed and does not count. Commits whose outcome nobody saw count as
done, and a transactional one when its transaction was not seen to abort.

**SHU-4 flushed.** The instance stopped by itself and what it had written to Kafka was not settled:
the row of an event is there, its offset is passed, and its record never came, though the run was at
rest; of that partition nothing later had come either, so it is the end that is missing. Or its
transaction was open: records or offsets in it had been accepted, and it was neither committed nor
aborted; read_committed readers of these partitions wait until it times out.

**SHU-5 left.** The instance stopped by itself, and one of its members was still in the group with
partitions: the grader had to end its session after the process had gone. Says nothing of members
that the broker no longer knew, whoever told it; of those that owned nothing (a client may forget to
leave then, and it costs nobody anything); nor of a stop in a rebalance, or of members that joined
anew after the signal: what a client sends then waits behind the join, and may come too late.

**SHU-6 at any time.** As SHU-1, of an instance that was starting, in a rebalance, or told twice;
while it starts its exit code does not matter. Also an instance that was told twice and stopped as
in SHU-5, ended by the signal while the grader was holding something of it: the second signal cut
the stop short. Same guards as SHU-1.

**One worked history** (SHU-3):

    #20 fetched    orders-1@0..9 -> app
    #31 effect     invoices row 4 of ord-4 (app), announced at #33
    #35 process    app told to stop (SIGTERM)
    #36 left       app leaves the group
    #38 process    app stopped with code 0
    #44 fetched    orders-1@0..9 -> next

Until #38 nothing was committed for orders-1, and at #44 ord-4 came again.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

from graders.checks.com import CLOCK_MARGIN_S, held_at
from graders.checks.eff import wrote
from graders.checks.finding import FactRef, Finding, Place, lane_name
from graders.checks.run import Lane, Run
from graders.conditions import ENDS, STARTS
from graders.facts import (
    Assigned,
    Commit,
    Effect,
    Ended,
    Enlisted,
    Fetched,
    Joined,
    Left,
    Process,
    Produced,
    Producer,
    Record,
    Stall,
)
from graders.verdicts import Verdict

GOOD_CODES = (0, 143)
SIGTERM = 15
IN_A_ROW = 3  # a second record may come by a call that waited for it at the moment of the signal
TWICE = "twice"
WHY_ENDLESS = (
    "Waiting without a limit, for a database, a queue to drain, a broker or a thread, turns a stop "
    "into a crash."
)
WHY_DEAF = (
    "It had not been given its partitions yet. What comes before the loop (a connection, a topic's "
    "metadata, init_transactions(), the first poll) may block for minutes, and a handler that only "
    "sets a flag is not looked at until then: give each of these calls a limit and look between."
)
REBALANCING = ("JoinGroup", "SyncGroup", "ConsumerGroupHeartbeat")


@dataclass(frozen=True)
class Stop:
    """One life of an instance that was told to stop: from fact number `began`, before `until`, the
    instance's next start (or the history's end). `signals` are the SIGTERMs; `end` is None when the
    history ends first."""

    run: Run
    instance: str
    began: int
    until: int
    signals: tuple[Process, ...]
    overdue: Process | None
    end: Process | None

    @property
    def told(self) -> Process:
        """The first SIGTERM."""
        return self.signals[0]

    @property
    def is_clean(self) -> bool:
        """Whether the program ended by itself."""
        return self.end is not None and self.end.what == "stopped"

    @cached_property
    def is_starting(self) -> bool:
        """Whether it had not been told its partitions when it was told to stop."""
        told = self.run.history.of(Assigned)
        own = (a for a in told if a.instance == self.instance)
        return not any(self.began < a.n < self.told.n for a in own)

    @cached_property
    def circumstance(self) -> str:
        """What makes it a stop that SHU-6 speaks of, as it completes a sentence; else ""."""
        if self.is_starting:
            return "while it was starting"
        if any(f.target.startswith(REBALANCING) for f in held_at(self.run, self.told.n)):
            return "in the middle of a rebalance"
        return TWICE if len(self.signals) > 1 else ""

    @property
    def is_cut_short(self) -> bool:
        """Whether the second signal ended it while the grader was holding something of it."""
        killed = len(self.signals) > 1 and self.end is not None and self.end.signal == SIGTERM
        return killed and self.end is not None and bool(held_at(self.run, self.end.n))

    @cached_property
    def members(self) -> set[str]:
        """The members of the group that it was in this life."""
        joined = self.run.history.of(Joined)
        own = (j for j in joined if j.instance == self.instance)
        return {j.member for j in own if self.began < j.n < self.until}

    def left(self, by: str) -> list[Left]:
        """Which of its members left, after it was told to stop, `by` whom."""
        left = self.run.history.of(Left)
        own = (one for one in left if one.member in self.members and one.by == by)
        return [one for one in own if self.told.n < one.n < self.until]


def stops(run: Run) -> Iterator[Stop]:
    """The stops of a run."""
    lives: dict[str, list[list[Process]]] = defaultdict(list)
    for process in run.history.of(Process):
        if process.what in STARTS:
            lives[process.instance].append([])
        if lives[process.instance]:
            lives[process.instance][-1].append(process)
    for instance, each in lives.items():
        if not each:
            continue
        ends = [life[0].n for life in each[1:]] + [len(run.history) + 1]
        for life, until in zip(each, ends, strict=True):
            yield from stop_of(run, instance, life, until)


def stop_of(run: Run, instance: str, life: list[Process], until: int) -> Iterator[Stop]:
    """The stop that a life ended by, if it was told to stop."""
    end = next((p for p in life if p.what in ENDS), None)
    living = list(takewhile(lambda p: p is not end, life))
    if signals := tuple(p for p in living if p.what == "terminated"):
        overdue = next((p for p in living if p.what == "overdue"), None)
        yield Stop(run, instance, life[0].n, until, signals, overdue, end)


def in_time(run: Run) -> Iterator[Finding]:
    """SHU-1."""
    for stop in stops(run):
        if not stop.circumstance:
            yield from ended_well(stop, "SHU-1")


def at_any_time(run: Run) -> Iterator[Finding]:
    """SHU-6."""
    for stop in stops(run):
        if stop.circumstance:
            yield from ended_well(stop, "SHU-6")
        if stop.is_cut_short:
            yield from (cut_short(stop, left) for left in remained(stop))


def ended_well(stop: Stop, check: str) -> Iterator[Finding]:
    """What speaks against the time and the way of an end."""
    if stop.overdue and stop.end and stop.end.reason == "killed":
        yield unsure(stop, check) if stop.run.history.of(Stall) else too_late(stop, check)
    elif stop.is_clean and not stop.is_starting and not is_good(stop.end):
        yield badly(stop, check)


def is_good(end: Process | None) -> bool:
    """Whether an exit code says that all went well."""
    return end is not None and (end.code in GOOD_CODES or end.signal == SIGTERM)


def told(stop: Stop) -> FactRef:
    """That it was told to stop."""
    return FactRef(stop.told.n, f"{stop.instance} got SIGTERM{spaced(stop.circumstance)}.")


def spaced(text: str) -> str:
    return f" {text}" if text else ""


def too_late(stop: Stop, check: str) -> Finding:
    """SHU-1 or SHU-6 about an instance that was overdue."""
    assert stop.overdue
    seconds = stop.overdue.t - stop.told.t
    return Finding(
        check,
        Verdict.FAIL,
        claim=f"{stop.instance} did not end in time when it was told to stop"
        f"{spaced(stop.circumstance)}.",
        first=told(stop),
        second=FactRef(stop.overdue.n, f"{seconds:.1f} s later it was still there."),
        both="What has not ended when its grace is over is killed in the middle of its work.",
        why="An orchestrator gives a grace and then sends SIGKILL. "
        + (WHY_DEAF if stop.is_starting else WHY_ENDLESS),
        rows=(*(p.n for p in stop.signals), stop.overdue.n),
    )


def unsure(stop: Stop, check: str) -> Finding:
    """SHU-1 or SHU-6 when waiting says nothing."""
    return replace(
        too_late(stop, check),
        verdict=Verdict.INCONCLUSIVE,
        why="The grading machine itself was stalled during this run.",
        reason="noisy",
    )


def badly(stop: Stop, check: str) -> Finding:
    """SHU-1 or SHU-6 about how a program ended."""
    assert stop.end
    how = f"exit code {stop.end.code}" if stop.end.signal is None else f"signal {stop.end.signal}"
    return Finding(
        check,
        Verdict.FAIL,
        claim=f"{stop.instance} ended by {how} when it was told to stop"
        f"{spaced(stop.circumstance)}.",
        first=told(stop),
        second=FactRef(stop.end.n, f"It ended by {how}."),
        both="A stop that was asked for is no failure: it ends with code 0, or 143.",
        why="Who looks after the service takes any other code for a crash: people are alarmed, the "
        "deployment counts as failed, or the instance is started again.",
        rows=(stop.told.n, stop.end.n),
    )


def cut_short(stop: Stop, left: Left) -> Finding:
    """SHU-6 about an instance that the second signal ended in the middle of its work."""
    assert stop.end
    again = stop.signals[1]
    return Finding(
        "SHU-6",
        Verdict.FAIL,
        claim=f"The second SIGTERM cut the stop of {stop.instance} short.",
        first=FactRef(again.n, f"{stop.instance}, which was about to stop, got SIGTERM again."),
        second=FactRef(
            stop.end.n,
            f"The signal ended it where it was; it was still a member of the group (#{left.n}).",
        ),
        both="The first signal began a stop that ends with leaving the group; the second one "
        "changes nothing.",
        why="A supervisor, a shell and an orchestrator may each send the signal. A handler that "
        "sets a flag can run any number of times; one that puts the default back, or raises, "
        "leaves the work where it is.",
        rows=(stop.told.n, again.n, stop.end.n, left.n),
    )


def nothing_new(run: Run) -> Iterator[Finding]:
    """SHU-2."""
    for stop in stops(run):
        chain = taken_in_a_row(stop)
        if len(chain) >= IN_A_ROW:
            yield took_new(stop, chain)
        for left, effect in written_after_leaving(stop):
            yield wrote_late(stop, left, effect)
            break


def taken_in_a_row(stop: Stop) -> list[tuple[Fetched, Effect]]:
    """The longest row of records that were handed out after the stop began, each after the effect
    of the one before."""
    pairs = [(fetch, effect) for effect in own_effects(stop) if (fetch := fetch_for(stop, effect))]
    chain: list[tuple[Fetched, Effect]] = []
    reached = stop.told.n
    for fetch, effect in pairs:  # by the end of each: so the row becomes as long as it can be
        if fetch.n > reached:
            chain.append((fetch, effect))
            reached = effect.n
    return chain


def own_effects(stop: Stop) -> list[Effect]:
    """What the instance had effects of after the stop began: the first of each event, in order."""
    found: dict[str, Effect] = {}
    for effect in stop.run.history.of(Effect):
        if effect.instance == stop.instance and stop.told.n < effect.n < stop.until:
            found.setdefault(effect.id, effect)
    return list(found.values())


def fetch_for(stop: Stop, effect: Effect) -> Fetched | None:
    """The first fetch of this life by which the instance got the record behind an effect; None when
    there is none."""
    for place in stop.run.places.get(effect.id, ()):
        for fetch in stop.run.fetches.get(place.lane, ()):
            own = fetch.instance == stop.instance and stop.began < fetch.n < effect.n
            if own and fetch.first <= place.offset <= fetch.last:
                return fetch
    return None


def took_new(stop: Stop, chain: list[tuple[Fetched, Effect]]) -> Finding:
    """SHU-2 about records that were taken after the signal."""
    fetch, effect = chain[IN_A_ROW - 1]
    ids = tuple(effect.id for _, effect in chain[:IN_A_ROW])
    return Finding(
        "SHU-2",
        Verdict.FAIL,
        claim=f"{stop.instance} went on taking new records after SIGTERM.",
        first=told(stop),
        second=FactRef(
            effect.n,
            f"{wrote(effect)[:-1]}, whose record it was handed (#{fetch.n}) only when it was done "
            f"with {ids[IN_A_ROW - 2]}, and that one after {ids[0]}.",
        ),
        both="Whoever stops may finish what it has, and begins nothing new.",
        why="A stop that goes on while there is work ends when the grace is over, by SIGKILL, in "
        "the middle of something. Leave the rest where it is: it is not lost in the topic.",
        rows=(stop.told.n, *(n for pair in chain[:IN_A_ROW] for n in (pair[0].n, pair[1].n))),
        places=tuple(stop.run.places.get(effect.id, ())),
        ids=ids,
    )


def written_after_leaving(stop: Stop) -> Iterator[tuple[Left, Effect]]:
    """The rows that the instance wrote when all its members had left the group."""
    left = stop.left("program")
    if not left or {one.member for one in left} != stop.members:
        return
    for effect in stop.run.history.of(Effect):
        own = effect.instance == stop.instance and effect.partition is None
        if own and left[-1].n < effect.n < stop.until and is_later(stop.run, effect, left[-1]):
            yield left[-1], effect


def is_later(run: Run, effect: Effect, left: Left) -> bool:
    """Whether a row was committed after a member had left: the grader held it then, or the clocks
    say so."""
    held = any(effect.id in fault.row.values() for fault in held_at(run, left.n))
    return held or effect.committed_t > left.t + CLOCK_MARGIN_S


def wrote_late(stop: Stop, left: Left, effect: Effect) -> Finding:
    """SHU-2 about a row that came after the leave."""
    return Finding(
        "SHU-2",
        Verdict.FAIL,
        claim=f"{stop.instance} wrote a row for {effect.id} after it had left the group.",
        brief=f"{stop.instance} wrote a row after it had left the group.",
        first=FactRef(left.n, f"{stop.instance} left the group: its partitions are free."),
        second=FactRef(effect.n, f"After that {wrote(effect)}"),
        both="Who leaves the group gives its records to others, who do them from the start.",
        why="Closing the consumer does not stop a worker, nor a statement that waits in the "
        "database. Finish or take back what is in hand first, then commit, then leave.",
        rows=(stop.told.n, left.n, effect.n),
        places=tuple(stop.run.places.get(effect.id, ())),
        ids=(effect.id,),
    )


def committed(run: Run) -> Iterator[Finding]:
    """SHU-3."""
    for stop in stops(run):
        if stop.is_clean:
            for lane in sorted(run.records):
                yield from repeated(stop, lane)


def repeated(stop: Stop, lane: Lane) -> Iterator[Finding]:
    """SHU-3 about one partition: its first finished record, when the next owner began with it or
    before it."""
    again = next((f for f in stop.run.fetches.get(lane, ()) if is_next(stop, f)), None)
    for record in finished_beyond(stop, lane, again) if again else ():
        if again and again.first <= record.offset <= again.last:
            yield came_again(stop, record, again)
            return


def is_next(stop: Stop, fetch: Fetched) -> bool:
    """Whether a fetch is another life's, after the stop began."""
    assert stop.end
    return fetch.n > (stop.end if fetch.instance == stop.instance else stop.told).n


def position(run: Run, lane: Lane, n: int) -> int:
    """The offset that the group may have committed for a partition by fact number `n`."""
    offsets = (
        commit.offset
        for commit in run.history.of(Commit)
        if commit.n <= n
        and (commit.topic, commit.partition) == lane
        and commit.outcome != "rejected"
        and not is_aborted(run, commit, n)
    )
    return max(offsets, default=0)


def is_aborted(run: Run, commit: Commit, n: int) -> bool:
    """Whether a transactional commit came to nothing by fact number `n`: its transaction was
    aborted, or never ended."""
    if commit.api != "TxnOffsetCommit":
        return False
    ends = (e for e in run.history.of(Ended) if e.producer_id == commit.producer_id)
    end = next((e for e in ends if commit.n < e.n <= n), None)
    return end is None or not end.committed


def finished_beyond(stop: Stop, lane: Lane, again: Fetched) -> list[Record]:
    """The records of a partition that the instance had finished in this life when the next owner
    was handed records, from the committed position on without a gap."""
    passed = position(stop.run, lane, again.n)
    beyond = (record for record in stop.run.records[lane] if record.offset >= passed)
    return list(takewhile(lambda record: is_finished(stop, record, again.t), beyond))


def is_finished(stop: Stop, record: Record, t: float) -> bool:
    """Whether at second `t` all effects of a record were durable, by the instance's own doing in
    this life. An event with several records shows nothing."""
    effects = firsts(stop.run, record)
    return bool(effects) and all(effect and is_own(stop, effect, t) for effect in effects)


def firsts(run: Run, record: Record) -> list[Effect | None]:
    """The first of each effect that a record's event must have; none when it has other records."""
    sent = run.first_sent.get(record.id or "")
    if sent is None or len(run.places[sent.id]) > 1:
        return []
    return [run.effects.get((place, sent.id), [None])[0] for place in sent.expect]


def is_own(stop: Stop, effect: Effect, t: float) -> bool:
    """Whether an effect is of this life, and was durable at second `t`."""
    return effect.instance == stop.instance and stop.began < effect.n and effect.committed_t <= t


def came_again(stop: Stop, record: Record, fetch: Fetched) -> Finding:
    """SHU-3 about one record."""
    assert stop.end and record.id
    place = Place(record.topic, record.partition, record.offset)
    effects = [effect for effect in firsts(stop.run, record) if effect]
    last = max(effects, key=lambda effect: effect.committed_t)
    return Finding(
        "SHU-3",
        Verdict.FAIL,
        claim=f"{stop.instance} stopped without a commit of what it had done: {record.id} ({place})"
        " came again.",
        brief=f"{stop.instance} stopped without a commit of what it had done.",
        first=FactRef(last.n, f"{wrote(last)} All of {record.id} was done then."),
        second=FactRef(
            fetch.n,
            f"{stop.instance} had stopped by itself (#{stop.end.n}), no commit had passed "
            f"{place}, and {fetch.instance} was handed it again.",
        ),
        both="A stop has time to commit: what is done is passed before the partition is left.",
        why="After a stop the next owner begins at the committed offset. Without a last commit "
        "every deployment repeats what was done since the one before; a timer does not come any "
        "more.",
        rows=(last.n, stop.told.n, stop.end.n, fetch.n),
        places=(place,),
        ids=(record.id,),
    )


def flushed(run: Run) -> Iterator[Finding]:
    """SHU-4."""
    for stop in stops(run):
        if stop.is_clean:
            yield from (unsent(stop, *each) for each in missing_at_the_end(stop))
            yield from (left_open(stop, fact) for fact in open_transactions(stop))


def missing_at_the_end(stop: Stop) -> Iterator[tuple[str, Effect]]:
    """The topics' effects that never came of events whose row is of this life, with that row; only
    where nothing later of the same partition came."""
    assert stop.end
    run = stop.run
    for topic, id in run.missing:
        own = [row for row in run.effect_rows(id) if is_own(stop, row, stop.end.t)]
        rows = [row for row in own if row.partition is None]
        resting = run.rest is not None and run.rest.n > stop.told.n
        if topic in run.written_topics and rows and resting and is_last(stop, topic, id):
            yield topic, rows[0]


def is_last(stop: Stop, topic: str, id: str) -> bool:
    """Whether no later record of the event's partition has an effect in the topic by this life."""
    assert stop.end
    place = stop.run.places[id][0]
    later = [r.id for r in stop.run.records[place.lane] if r.offset > place.offset and r.id]
    told = [e for each in later for e in stop.run.effects.get((topic, each), ())]
    return not any(is_own(stop, effect, stop.end.t) for effect in told)


def unsent(stop: Stop, topic: str, row: Effect) -> Finding:
    """SHU-4 about a record that never came."""
    assert stop.end and stop.run.rest
    return Finding(
        "SHU-4",
        Verdict.FAIL,
        claim=f"{stop.instance} ended before Kafka had its record about {row.id}: it is lost.",
        brief=f"{stop.instance} ended before Kafka had all its records.",
        first=FactRef(row.n, f"{wrote(row)} Its offset was passed, so nobody does it again."),
        second=FactRef(
            stop.run.rest.n,
            f"{stop.instance} had stopped by itself (#{stop.end.n}); at rest {topic} held no "
            f"record about {row.id}.",
        ),
        both="What a commit passes must have reached Kafka: a producer's buffer ends with the "
        "process.",
        why="Sending a record only puts it into the producer's buffer. A stop waits until all are "
        "acknowledged (flush), and commits only what is.",
        rows=(row.n, stop.told.n, stop.end.n, stop.run.rest.n),
        places=tuple(stop.run.places.get(row.id, ())),
        ids=(row.id,),
    )


OfTransaction = Produced | Enlisted | Commit


def open_transactions(stop: Stop) -> list[OfTransaction]:
    """The last thing that was accepted in each transaction that was open when the instance
    ended."""
    found: dict[int, OfTransaction] = {}
    # What was under way when it ended is recorded a moment later.
    for fact in list(stop.run.history)[stop.began : stop.until - 1]:
        if isinstance(fact, Ended) and fact.by == "grader":
            continue
        if isinstance(fact, Ended | Producer) and fact.instance == stop.instance:
            found.pop(fact.producer_id, None)
        elif isinstance(fact, OfTransaction) and fact.instance == stop.instance and is_part(fact):
            found[fact.producer_id or 0] = fact
    return list(found.values())


def is_part(fact: OfTransaction) -> bool:
    """Whether a fact is an accepted part of a transaction."""
    match fact:
        case Produced(transactional=inside):
            return inside and fact.outcome == "accepted"
        case Commit(api=api):
            return api == "TxnOffsetCommit" and fact.outcome == "accepted"
    return fact.outcome == "accepted"


def left_open(stop: Stop, fact: OfTransaction) -> Finding:
    """SHU-4 about a transaction."""
    assert stop.end
    return Finding(
        "SHU-4",
        Verdict.FAIL,
        claim=f"{stop.instance} ended in the middle of a Kafka transaction.",
        first=FactRef(fact.n, f"What {stop.instance} wrote was accepted in its transaction."),
        second=FactRef(
            stop.end.n, "It stopped by itself, and had neither committed nor aborted it."
        ),
        both="A stop ends the transaction, one way or the other.",
        why="read_committed readers wait at an open transaction, and so does a consumer that asks "
        "for the offsets in it, until transaction.timeout.ms is over: a minute by default.",
        rows=(fact.n, stop.told.n, stop.end.n),
    )


def left_group(run: Run) -> Iterator[Finding]:
    """SHU-5."""
    for stop in stops(run):
        if not stop.is_cut_short:
            yield from (stayed(stop, left) for left in remained(stop))


def remained(stop: Stop) -> list[Left]:
    """The eviction of a member that had stayed in the group when the program ended by itself,
    though it owned partitions and no rebalance was under way."""
    quiet = stop.is_clean and stop.circumstance in ("", TWICE)
    return [left for left in stop.left("grader") if quiet and owned(stop, left)][:1]


def owned(stop: Stop, left: Left) -> list[list[Any]]:
    """The partitions of a member from before it was told to stop; none when it had to join anew
    since."""
    joined = [j.n for j in stop.run.history.of(Joined) if j.member == left.member]
    told = [a for a in stop.run.history.of(Assigned) if a.member == left.member]
    anew = any(stop.told.n < n < left.n for n in (*joined, *(a.n for a in told)))
    return told[-1].partitions if told and not anew else []


def stayed(stop: Stop, left: Left) -> Finding:
    """SHU-5 about one member."""
    assert stop.end
    lanes = ", ".join(lane_name((topic, partition)) for topic, partition in owned(stop, left))
    return Finding(
        "SHU-5",
        Verdict.FAIL,
        claim=f"{stop.instance} ended without leaving the group.",
        first=FactRef(stop.end.n, f"{stop.instance} stopped by itself."),
        second=FactRef(
            left.n,
            f"It was still a member, with {lanes}: the grader had to end its session, which takes "
            "the session timeout otherwise.",
        ),
        both="Who stops leaves the group, so that others have its partitions at once.",
        why="The broker cannot tell a process that has gone from one that is slow: it waits for "
        "the session timeout, 45 s by default, and nobody reads these partitions meanwhile. "
        "Close the consumer, and do not end the process by force right after: librdkafka sends the "
        "farewell in the background. A static member must be removed from the group besides.",
        rows=(stop.told.n, stop.end.n, left.n),
    )
