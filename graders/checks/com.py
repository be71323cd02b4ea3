"""COM: offset commits.

**Model.** A commit of offset `o` for a partition says: everything below `o` is dealt with. Kafka
starts there after a restart or a rebalance. Commits are seen at the gateway when the broker's
answer passes; effects carry the database's own commit time on the same machine's clock.
Transactional commits (TxnOffsetCommit) count only when their transaction ends, so they are left out
of every check here; what they lose or double shows as EFF-1 or EFF-2. Many styles are legal: one
commit per record or per batch, synchronous, asynchronous or by a timer, late, repeated, or beside a
position that the program keeps in its own database. Where an event has rows and records, its rows
are what counts: a record may be published later from the database. Of a program that is started as
several apps, each group is judged by itself, and only by the effects that its commits promise (see
`AppSpec`).

**COM-1 commit-ahead.** An accepted commit passed a record that had been fetched and whose effect
was not durable at that moment (none by the database's clock, with 20 ms to spare). FAIL when that
is beyond doubt and contract: the grader was holding this very effect at that moment, so it cannot
have been durable, whatever the clocks say; or had refused it before, so the program knew, and it
came later; or the window did its harm: the instance ended or was frozen after the commit, and the
effect never came (EFF-1). When the effect came later and the grader had done nothing about it, it
is a WARN. A commit beyond the end that the log ever had, control records included, is
always a FAIL. When it never came though nothing broke after the commit, the program swallowed the
event; that is EFF-1 alone.

**COM-2 off-by-one.** After all instances stopped cleanly, each partition that has records is
committed exactly at its last record, although that record has its effect, and after the start of
the aftershock exactly that record is fetched again. At least two partitions must show it, so a
commit that was merely late or one that goes by count is not accused.

**COM-3 non-contiguous.** As COM-1, but a later record of the partition below the commit did have
its effect: the program committed the highest finished offset, not the end of the finished prefix.
Reported instead of COM-1, with the same verdicts.

**COM-4 stale-commit.** An accepted commit by an instance for a partition that was not its own,
while another instance owned it. As long as the assignment by which it lost the partition is its
last, or the one that gave it away, a commit of what was still in work is left alone, but not the
third of one offset, below what the owner has committed meanwhile: it finishes nothing any more.
Also any accepted commit, transactional or not, of an instance that joined the group at no time: it
assigned itself its partitions, as nobody does who shares them. A commit just before joining or just
after leaving is left alone, and so is one that was right when it was first tried: clients repeat
what was rejected. A rejected commit of an instance that was left behind is normal and proves only
that Kafka fenced it; 50 of them in a row without joining again are a WARN.

**COM-5 regression.** A commit lower than an earlier one by the same instance, without an
assignment, a restart, a rewind (that lower offset fetched again) or a fault on its commits in
between. FAIL when the position ends there; WARN when later commits went past it again, since
redelivery then has no lasting effect.

**One worked history** (COM-3):

    #31 fetched  payments-1@5..9 -> app
    #33 fault    insert of pay-0005 held
    #40 effect   ledger row 4 pay-0009 (app)
    #41 commit   payments-1 at 10 by app, accepted
    #43 process  app killed while pay-0005 is still held
    #60 settled  quiet, no row for pay-0005

The commit at #41 covers offset 5, whose effect was held by the grader and never came.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise, takewhile

from graders.checks.finding import FactRef, Finding, Place, lane_name
from graders.checks.run import Lane, Run, each_group, refusal_before
from graders.facts import Assigned, Commit, Effect, Fault, Joined, Left, Process, Sent
from graders.verdicts import Verdict

CLOCK_MARGIN_S = 0.02
REJECTED_IN_A_ROW = 50
SAME_AGAIN = 3
FENCED = frozenset(
    {
        "FENCED_INSTANCE_ID",
        "FENCED_MEMBER_EPOCH",
        "ILLEGAL_GENERATION",
        "STALE_MEMBER_EPOCH",
        "UNKNOWN_MEMBER_ID",
    }
)


@each_group
def commit_ahead(run: Run) -> Iterator[Finding]:
    """COM-1."""
    yield from beyond_the_end(run)
    for commit, place, overtaken_by in passed_unfinished(run):
        if overtaken_by is None:
            yield from ahead(run, "COM-1", commit, place, None)


def beyond_the_end(run: Run) -> Iterator[Finding]:
    """Commits of offsets that the log never reached, the first of each lane."""
    for lane, commits in run.commits.items() if run.log_is_known else ():
        end = run.end_of(lane)
        wrong = [c for c in commits if c.api == "OffsetCommit" and c.offset > end]
        if wrong:
            yield beyond(run, wrong[0], end)


def beyond(run: Run, commit: Commit, end: int) -> Finding:
    """COM-1 about an offset that does not exist."""
    lane = lane_name((commit.topic, commit.partition))
    return Finding(
        "COM-1",
        Verdict.FAIL,
        claim=f"{commit.instance} committed {lane} at {commit.offset}, where there is no record.",
        first=FactRef(commit.n, f"{commit.instance} committed {lane} at {commit.offset}."),
        second=FactRef(len(run.history), f"Even at the end of the run {lane} ended at {end}."),
        both="A commit says that everything before it is dealt with; this had not been sent yet.",
        why="A position beyond the end is out of range: where the consumer goes on is then up to "
        "auto.offset.reset, and records may be skipped or all of them read again.",
        rows=(commit.n,),
        places=(Place(commit.topic, commit.partition, commit.offset),),
    )


@each_group
def non_contiguous(run: Run) -> Iterator[Finding]:
    """COM-3."""
    for commit, place, overtaken_by in passed_unfinished(run):
        if overtaken_by is not None:
            yield from ahead(run, "COM-3", commit, place, overtaken_by)


def passed_unfinished(run: Run) -> Iterator[tuple[Commit, Place, Effect | None]]:
    """Commits that passed a fetched record without its effect, that record, and the effect of a
    later record that was finished by then (None when there was none). Each record once."""
    done = finish_times(run)
    for lane, commits in run.commits.items():
        below = 0
        for commit in commits:
            if commit.api != "OffsetCommit" or commit.offset <= below:
                continue
            covered = [r for r in run.records.get(lane, ()) if below <= r.offset < commit.offset]
            below = commit.offset
            for record in covered:
                place = Place(*lane, record.offset)
                if not is_done(done, record.id, commit) and run.fetch_of(place, before=commit.n):
                    later = [r.id for r in covered if r.offset > record.offset]
                    yield commit, place, finished_by(run, done, later, commit)


def finish_times(run: Run) -> dict[str, float | None]:
    """By event, when the last of its expected effects became durable; None when one is missing.
    Events without expected effects are done from the start."""
    times: dict[str, float | None] = {}
    for id, sent in run.first_sent.items():
        first = [run.effects.get((table, id), [None])[0] for table in binding(run, sent)]
        known = [effect.committed_t for effect in first if effect]
        times[id] = max(known, default=0.0) if len(known) == len(first) else None
    return times


def binding(run: Run, sent: Sent) -> list[str]:
    """Where an event must have its effect before its record may be committed: its tables; its
    topics only when it has no table, for what is durable in the database may be published later."""
    places = [place for place in sent.expect if run.promises(place)]
    return [place for place in places if place not in run.written_topics] or places


def is_done(done: dict[str, float | None], id: str | None, commit: Commit) -> bool:
    """Whether an event needs nothing more at the time of a commit."""
    if id is None or id not in done:
        return True
    time = done[id]
    return time is not None and time <= commit.t + CLOCK_MARGIN_S


def finished_by(
    run: Run, done: dict[str, float | None], later: list[str | None], commit: Commit
) -> Effect | None:
    """An effect among the later records that was durable before the commit. Events with several
    records prove nothing: their effect may be an earlier record's."""
    for id in later:
        if id is not None and is_done(done, id, commit) and len(run.places[id]) == 1:
            rows = run.effect_rows(id)
            if rows and rows[0].committed_t <= commit.t:
                return rows[0]
    return None


def ahead(
    run: Run, check: str, commit: Commit, place: Place, overtaken_by: Effect | None
) -> Iterator[Finding]:
    """COM-1 or COM-3 about one record."""
    id = next(id for id, places in run.places.items() if place in places)
    rows = late_rows(run, id, commit)
    fault = next((f for f in held_at(run, commit.n) if id in f.row.values()), None)
    if rows and fault is None:
        fault = refusal_before(run, id, commit.n)
    crash = broken_after(run, commit)
    lost = not rows and run.quiet and crash is not None
    if not (fault or lost or rows):
        return
    yield Finding(
        check,
        Verdict.FAIL if fault or lost else Verdict.WARN,
        claim=f"{commit.instance} committed past {id} ({place}) before its effect was durable"
        + ("." if not rows else ", though it was not lost."),
        brief=f"{commit.instance} committed past an event before its effect was durable.",
        first=FactRef(
            commit.n,
            f"{commit.instance} committed {lane_name(place.lane)} at {commit.offset}, "
            f"which covers {place.offset}.",
        ),
        second=not_durable(run, id, commit, fault, rows),
        both="A commit says that everything before it is dealt with.",
        why=why_ahead(overtaken_by),
        rows=tuple(x.n for x in (fault, overtaken_by, commit, *rows[:1], crash) if x),
        places=(place,),
        ids=(id,),
    )


def not_durable(
    run: Run, id: str, commit: Commit, fault: Fault | None, rows: Sequence[Effect]
) -> FactRef:
    """The fact that the effect of an event was not there at a commit; `rows` came after it."""
    if fault and fault.holds:
        return FactRef(fault.n, f"The write of {id} was being held by the grader at that moment.")
    if rows:
        late = rows[0].committed_t - commit.t
        refused = "was refused by the grader once, and " if fault else ""
        return FactRef(rows[0].n, f"The effect of {id} {refused}came {late:.2f} s later.")
    assert run.settled is not None  # the run is quiet
    return FactRef(run.settled.n, f"{id} had no effect then, and at rest it still had none.")


def late_rows(run: Run, id: str, commit: Commit) -> list[Effect]:
    """The effects of an event that became durable only after a commit."""
    return [row for row in run.effect_rows(id) if row.committed_t > commit.t]


def broken_after(run: Run, commit: Commit) -> Process | None:
    """How the committing instance ended or was stopped after a commit; None when it was not. The
    clean stop of the aftershock does not count."""
    until = run.aftershock or len(run.history)
    after = (p for p in run.breaks if commit.n < p.n < until)
    return next((p for p in after if p.instance == commit.instance), None)


def why_ahead(overtaken_by: Effect | None) -> str:
    """What a crash between commit and effect does."""
    if overtaken_by:
        return (
            f"{overtaken_by.id}, further on in the partition, was finished first. Records that are "
            "worked on side by side finish in any order, so only the end of the finished prefix "
            "may be committed."
        )
    return (
        "A crash between the commit and the effect loses the event: Kafka will not deliver it "
        "again. Commit after the effect; automatic commits go by what was fetched, not by what "
        "was done."
    )


def held_at(run: Run, n: int) -> list[Fault]:
    """Faults of the sink that were holding something at that moment."""
    holding: dict[str, Fault] = {}
    for fault in run.history.of(Fault):
        if fault.n > n:
            break
        if fault.what == "applied" and fault.holds:
            holding[fault.fault] = fault
        elif fault.is_over:
            holding.pop(fault.fault, None)
    return list(holding.values())


@each_group
def off_by_one(run: Run) -> Iterator[Finding]:
    """COM-2."""
    settled, start = run.settled, run.aftershock
    if settled is None or start is None or settled.n < start or not stopped_cleanly(run, start):
        return
    lanes = {(s.topic, s.partition) for s in run.sent if s.n < start}
    found = [short for lane in sorted(lanes) if (short := short_by_one(run, lane, start))]
    if len(found) >= 2 and len(found) == len(lanes):
        yield one_too_low(run, *found[0])


def stopped_cleanly(run: Run, start: int) -> bool:
    """Whether every instance that got SIGTERM in the aftershock ended by it, not by SIGKILL."""
    after = [p for p in run.history.of(Process) if p.n > start]
    ends = [p.what for p in takewhile(lambda p: p.what != "started", after)]
    return ends.count("terminated") == ends.count("stopped") > 0


def short_by_one(run: Run, lane: Lane, start: int) -> tuple[Commit, Effect, int] | None:
    """The last commit of a lane, the effect of the record at it, and the fetch that got that record
    again; None unless the position before the aftershock fell short by exactly that record."""
    before = [s for s in run.sent if (s.topic, s.partition) == lane and s.n < start]
    last = max(before, key=lambda s: s.offset or 0)
    rows = run.effect_rows(last.id)
    commits = [c for c in run.commits.get(lane, ()) if c.n < start and c.api == "OffsetCommit"]
    again = [f for f in run.fetches.get(lane, ()) if f.n > start]
    if not commits or not again or not rows or rows[0].n > start:
        return None
    positions = {commits[-1].offset, max(c.offset for c in commits), again[0].first}
    return (commits[-1], rows[0], again[0].n) if positions == {last.offset} else None


def one_too_low(run: Run, commit: Commit, effect: Effect, again: int) -> Finding:
    """COM-2 about one partition."""
    lane = lane_name((commit.topic, commit.partition))
    return Finding(
        "COM-2",
        Verdict.FAIL,
        claim=f"The committed offset is one too low: {lane} stays at {commit.offset}, the offset "
        "of the last record that was dealt with.",
        first=FactRef(effect.n, f"{effect.id} at {lane}@{commit.offset} had its effect."),
        second=FactRef(
            commit.n,
            f"The last commit was {commit.offset}; after a clean restart that record came "
            f"again (#{again}).",
        ),
        both="The committed offset is the next one to read: the last one dealt with plus one.",
        why="Every restart and every rebalance delivers the last record of each partition again, "
        "and lag never reaches zero.",
        rows=(effect.n, commit.n, again),
        places=(Place(commit.topic, commit.partition, commit.offset),),
        ids=(effect.id,),
    )


@each_group
def stale_commit(run: Run) -> Iterator[Finding]:
    """COM-4."""
    yield from by_strangers(run)
    for lane, commits in run.commits.items():
        for commit in commits:
            owner = foreign_owner(run, lane, commit)
            if owner and foreign_owner(run, lane, first_try(run, commit)):
                yield stale(commit, owner)
                break
    yield from rejected_in_a_row(run)


def first_try(run: Run, commit: Commit) -> Commit:
    """The first of the commits of which this is the last, when the ones before it were the same and
    were rejected: clients try again by themselves, with the generation that they learn meanwhile
    (`@platformatic/kafka` does)."""
    lane = (commit.topic, commit.partition)
    for before in reversed(run.history.of(Commit)):
        is_mine = (before.instance, before.group) == (commit.instance, commit.group)
        if before.n < commit.n and is_mine and (before.topic, before.partition) == lane:
            if before.outcome == "accepted" or before.offset != commit.offset:
                break
            commit = before
    return commit


def by_strangers(run: Run) -> Iterator[Finding]:
    """The first accepted commit of each instance that was never a member of the group."""
    seen = set(run.instances)
    for commit in run.history.of(Commit):
        if commit.outcome == "accepted" and run.is_of_group(commit) and commit.instance not in seen:
            seen.add(commit.instance)
            yield by_stranger(run, commit)


def by_stranger(run: Run, commit: Commit) -> Finding:
    """COM-4 about an instance that assigned itself its partitions."""
    lane = lane_name((commit.topic, commit.partition))
    return Finding(
        "COM-4",
        Verdict.FAIL,
        claim=f"{commit.instance} committed {lane} for the group without being a member of it.",
        first=FactRef(
            commit.n, f"{commit.instance} committed {lane} at {commit.offset}, and it was accepted."
        ),
        second=FactRef(
            len(run.history), f"Until the end {commit.instance} never joined the group."
        ),
        both="Only the owner of a partition may move its position, and the group says who that is.",
        why="A program that assigns itself its partitions shares them with nobody: two instances "
        "read and commit the same records, and none takes over when one dies. Subscribe instead.",
        rows=(commit.n,),
        places=(Place(commit.topic, commit.partition, commit.offset),),
    )


def foreign_owner(run: Run, lane: Lane, commit: Commit) -> Assigned | None:
    """Since when another instance owned the lane when this one, which did not own it and had not
    just lost it, committed it; None when the commit was fine. An instance may hold several members
    of the group."""
    told = told_before(run, commit)
    own = [rows for rows in told.values() if rows[0].instance == commit.instance]
    if not own or any(includes(rows[-1], lane) for rows in own):
        return None
    others = (rows for rows in told.values() if rows[0].instance != commit.instance)
    theirs = (r for r in others if includes(r[-1], lane) and is_current(run, r[-1], commit))
    for owner in (owned_since(rows, lane) for rows in theirs):
        if not has_just_lost(own, lane, owner) or insists(run, owner, commit):
            return owner
    return None


def told_before(run: Run, commit: Commit) -> dict[str, list[Assigned]]:
    """By member, the assignments before a commit. The consumer protocol tells some twice."""
    told: dict[str, list[Assigned]] = {}
    for assigned in run.history.of(Assigned):
        if assigned.n < commit.n and assigned.group == commit.group:
            row = told.setdefault(assigned.member, [])
            if not row or not is_repeat(row[-1], assigned):
                row.append(assigned)
    return told


def owned_since(rows: Sequence[Assigned], lane: Lane) -> Assigned:
    """The first of a member's latest assignments that all hold the lane."""
    return list(takewhile(lambda assigned: includes(assigned, lane), reversed(rows)))[-1]


def has_just_lost(own: Sequence[Sequence[Assigned]], lane: Lane, owner: Assigned) -> bool:
    """Whether an instance had the lane at the assignment before its last, or had it once, and the
    rebalance that gave it to its owner was the last that it took part in. (A cooperative one is
    two: in the first it is only taken away. Who was frozen has missed some.)"""
    took_part_since = any(rows[-1].generation > owner.generation for rows in own)
    earlier = (rows[-2:] if took_part_since else rows for rows in own)
    return any(includes(assigned, lane) for rows in earlier for assigned in rows)


def insists(run: Run, owner: Assigned, commit: Commit) -> bool:
    """Whether a commit is at least the third of its offset since the owner has committed
    further."""
    since = [c for c in run.commits[commit.topic, commit.partition] if owner.n < c.n <= commit.n]
    further = [c.n for c in since if c.instance == owner.instance and c.offset > commit.offset]
    mine = [c for c in since if (c.instance, c.offset) == (commit.instance, commit.offset)]
    same = [c for c in mine if further and c.n > further[0]]
    return len(same) >= SAME_AGAIN


def is_repeat(before: Assigned, assigned: Assigned) -> bool:
    """Whether a member was told the same twice, as the consumer protocol does."""
    return (before.generation, before.partitions) == (assigned.generation, assigned.partitions)


def includes(assigned: Assigned, lane: Lane) -> bool:
    """Whether an assignment holds a lane."""
    return list(lane) in [list(partition) for partition in assigned.partitions]


def is_current(run: Run, assigned: Assigned, commit: Commit) -> bool:
    """Whether an assignment still held at the commit: its member had neither left nor ended."""
    between = list(run.history)[assigned.n : commit.n]
    return not any(
        (isinstance(fact, Left) and fact.member == assigned.member)
        or (
            isinstance(fact, Process)
            and fact.instance == assigned.instance
            and fact.what in ("exited", "killed", "terminated")
        )
        for fact in between
    )


def stale(commit: Commit, owner: Assigned) -> Finding:
    """COM-4 about an accepted commit."""
    lane = lane_name((commit.topic, commit.partition))
    return Finding(
        "COM-4",
        Verdict.FAIL,
        claim=f"{commit.instance} committed {lane}, which belonged to {owner.instance}.",
        first=FactRef(owner.n, f"{owner.instance} was assigned {lane}."),
        second=FactRef(
            commit.n, f"{commit.instance} committed {lane} at {commit.offset}, and it was accepted."
        ),
        both="Only the owner of a partition may move its position.",
        why="A commit by someone else moves the position behind the owner's back: records are "
        "skipped or delivered again at the next rebalance.",
        rows=(owner.n, commit.n),
        places=(Place(commit.topic, commit.partition, commit.offset),),
    )


def rejected_in_a_row(run: Run) -> Iterator[Finding]:
    """COM-4 about an instance that goes on committing though it is fenced."""
    row: dict[str, list[Commit]] = {}
    for fact in run.history:
        if isinstance(fact, Commit | Joined) and not run.is_of_group(fact):
            continue
        if isinstance(fact, Joined) or (isinstance(fact, Commit) and fact.outcome == "accepted"):
            row.pop(fact.instance, None)
        elif isinstance(fact, Commit) and fact.error in FENCED:
            row.setdefault(fact.instance, []).append(fact)
            if len(row[fact.instance]) == REJECTED_IN_A_ROW:
                yield ignores_rejection(row[fact.instance])


def ignores_rejection(commits: list[Commit]) -> Finding:
    """The WARN of COM-4."""
    first, last = commits[0], commits[-1]
    return Finding(
        "COM-4",
        Verdict.WARN,
        claim=f"{first.instance} went on committing although the group had fenced it.",
        first=FactRef(first.n, f"A commit of {first.instance} was rejected: {first.error}."),
        second=FactRef(last.n, f"{len(commits)} rejections later it had still not joined again."),
        both="A rejected commit says that the partition has another owner.",
        why="An instance that was fenced should stop its work at once and join the group again.",
        rows=(first.n, last.n),
    )


@each_group
def regression(run: Run) -> Iterator[Finding]:
    """COM-5."""
    for lane, commits in run.commits.items():
        plain = [c for c in commits if c.api == "OffsetCommit"]
        for before, after in pairwise(plain):
            if after.offset < before.offset and not may_rewind(run, lane, before, after):
                sticks = all(c.offset < before.offset for c in plain if c.n > before.n)
                yield went_back(before, after, Verdict.FAIL if sticks else Verdict.WARN)
                break


def may_rewind(run: Run, lane: Lane, before: Commit, after: Commit) -> bool:
    """Whether a lower commit has a legal cause."""
    if before.instance != after.instance or commits_were_faulted(run):
        return True
    between = list(run.history)[before.n : after.n]
    moved = any(
        isinstance(fact, Assigned | Process | Joined | Left) and fact.instance == after.instance
        for fact in between
    )
    return moved or went_back_to_read(run, lane, after)


def went_back_to_read(run: Run, lane: Lane, commit: Commit) -> bool:
    """Whether, before a commit, records at or below it were fetched a second time."""
    reached = -1
    for fetch in run.fetches.get(lane, ()):
        if fetch.n > commit.n:
            break
        if fetch.first <= min(reached, commit.offset):
            return True
        reached = max(reached, fetch.last)
    return False


def commits_were_faulted(run: Run) -> bool:
    """Whether the grader touched commits, which may then arrive in another order."""
    return any("OffsetCommit" in f.target for f in run.history.of(Fault))


def went_back(before: Commit, after: Commit, verdict: Verdict) -> Finding:
    """COM-5 about one partition."""
    lane = lane_name((after.topic, after.partition))
    return Finding(
        "COM-5",
        verdict,
        claim=f"{after.instance} moved the position of {lane} back from {before.offset} to "
        f"{after.offset}.",
        first=FactRef(before.n, f"{before.instance} committed {lane} at {before.offset}."),
        second=FactRef(
            after.n,
            f"It then committed {lane} at {after.offset}, and had not gone back to read there.",
        ),
        both="Nothing was read again in between, so the position can only grow.",
        why="A lower commit delivers finished records again after a restart. It usually comes from "
        "commits that overtake one another: retried asynchronous ones, or one per worker.",
        rows=(before.n, after.n),
        places=(Place(after.topic, after.partition, after.offset),),
    )
