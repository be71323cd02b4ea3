"""When is a run over? The predicate of quiet, and how long to wait for it.

*Accounted for*: every event sent has its effects, no step of a choreography, no event of an outbox
and none of a log is owed, each group's position lies past every record that it reads, all
partitions are owned by living instances, and whoever was evicted has joined again. When that stays
so for 0.6 s the run is quiet; the good case costs no more. Otherwise the wait goes on while there
is progress (new effects, positions, records handed out, calls to outside services, up to ten about
one thing, instances that are starting or take their place in the group for the first time since),
at most 60 s, and ends when there was none for 7 s: longer than the usual commit timer of 5 s. An
effect that is missing although the position lies past everything can only come late by a retry
inside the program, so 3.5 s must do for it, and for state that is written apart from the effects.
Where the statement allows pauses (`timer_s`), one and a half of them are waited in addition. All
times are multiplied by the run's patience.

Positions are read from the gateway's facts, and confirmed by asking the broker before they are
believed: a transactional commit counts only when its transaction ends. What the owner of a
partition has committed counts also when another instance, which had just lost the partition, sets
the group's offset back: the owner goes on from where it is, and commits no more until there is
something new. Clients that commit what was in work when they rejoined do so (franz-go does); whose
fault it is when it is one, COM-4 says.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graders.accounts import unannounced
from graders.checks.finding import lane_name
from graders.checks.outbox import Outbox
from graders.choreography import Choreography
from graders.conditions import Share, all_shares, shares
from graders.facts import (
    Assigned,
    Call,
    Commit,
    Effect,
    Ended,
    Fetched,
    Joined,
    Left,
    Marked,
    Output,
    Performed,
    Process,
    Producer,
    Sent,
)
from graders.history import History

if TYPE_CHECKING:
    from graders.lab import Lab

STABLE_S = 0.6  # by programs that write down behind an effect that they have dealt with it
STUCK_S = 7.0
LOST_S = 3.5  # with the doubled patience of a repeat as long as the 7 s of the statements
MOST_S = 60.0
RETURN_S = 5.0
BEGIN_S = 1.0
LOOK_S = 0.25
ASK_AFTER_S = 1.0
BREATH_S = 0.03
MOST_CALLS = 10
# A program that has written more than this, for itself and for each event sent, is in a loop.
LOOP, LOOP_EACH = 200, 20
TIMERS = 1.5  # how many of the statement's longest pauses may pass before silence means anything
Step = Joined | Assigned | Producer
BEGINS = ("started", "restarted")
ENDS = ("exited", "killed", "stopped", "abandoned")


@dataclass(frozen=True)
class Position:
    """How far a run has come. Two equal positions mean that nothing happened in between."""

    missing: tuple[str, ...]
    owed: tuple[str, ...]
    behind: tuple[tuple[str, str, int, int], ...]
    effects: int
    reached: tuple[int, ...]
    calls: int
    deeds: int
    ends: int
    took_up: frozenset[tuple[str, type[Step]]]

    @property
    def is_complete(self) -> bool:
        """Whether everything sent is accounted for."""
        return not self.missing and not self.owed and not self.behind


class Course:
    """Follows one run's history: what has been sent, done and committed so far."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._seen = 0  # commits; there may be thousands that repeat what is committed
        self._committed: dict[Share, int] = {}
        self._lowered: set[Share] = set()
        self._changes = 0

    def position(self, committed: dict[Share, int]) -> Position:
        """The position now, with the groups' offsets as given."""
        sent = self.history.of(Sent)
        done = {(effect.table, effect.id) for effect in self.history.of(Effect)}
        wanted = dict.fromkeys((table, s.id) for s in sent for table in s.expect)
        ends = self.ends()
        passed = {share: max(committed.get(share, 0), self._kept(share)) for share in ends}
        behind = [
            (*share, sum(offset >= passed[share] for offset in offsets))
            for share, offsets in sorted(ends.items())
        ]
        fetched: dict[tuple[str, int], int] = {}
        for fetch in self.history.of(Fetched):
            lane = (fetch.topic, fetch.partition)
            fetched[lane] = max(fetched.get(lane, -1), fetch.last)
        return Position(
            missing=tuple(id for table, id in wanted if (table, id) not in done),
            owed=(
                *map(str, Choreography(self.history).owed),
                *Outbox(self.history).owed,
                *unannounced(self.history),
            ),
            behind=tuple(each for each in behind if each[-1]),
            effects=len(done),
            reached=(*sorted(fetched.values()), *(passed[each] for each in sorted(ends))),
            calls=sum(call.number <= MOST_CALLS for call in self.history.of(Call)),
            deeds=len({deed.id for deed in self.history.of(Performed)}),
            ends=sum(p.what in ENDS for p in self.history.of(Process)),
            took_up=self.took_up(),
        )

    def took_up(self) -> frozenset[tuple[str, type[Step]]]:
        """The steps to work that the instances have taken since each was last started, however
        often. On a starved machine each step takes long."""
        begins = [p for p in self.history.of(Process) if p.what in BEGINS]
        started = {begin.instance: begin.n for begin in begins}
        steps: list[Step] = [
            *self.history.of(Joined),
            *(a for a in self.history.of(Assigned) if a.partitions),
            *self.history.of(Producer),
        ]
        return frozenset(
            (step.instance, type(step)) for step in steps if step.n > started.get(step.instance, 0)
        )

    def ends(self) -> dict[Share, list[int]]:
        """The offsets that each group must pass: of what was sent, and of what the program wrote to
        topics that it reads itself."""
        began = self.history.began
        on_broker = began.on_broker
        places = [
            (s.topic, s.partition, s.offset or 0)
            for s in self.history.of(Sent)
            if s.outcome == "ok"
        ]
        places += [
            (on_broker[e.table], e.partition, e.row)
            for e in self.history.of(Effect)
            if e.partition is not None and e.table in on_broker
        ]
        places += [
            (on_broker[o.topic], o.partition, o.offset)
            for o in self.history.of(Output)
            if o.topic in on_broker
        ]
        found: dict[Share, list[int]] = {}
        for group, topics in began.readers.items():
            for topic, partition, offset in places:
                if topic in topics:
                    found.setdefault((group, topic, partition), []).append(offset)
        return found

    def committed(self) -> dict[Share, int]:
        """The groups' offsets as the gateway saw them accepted, open transactions included."""
        self._follow()
        return dict(self._committed)

    def commits(self) -> int:
        """A number that grows whenever the groups' offsets may have changed."""
        return self._follow() + self.history.count(Ended)

    def _follow(self) -> int:
        """Take up the latest commits; how many there were that did not repeat what is committed."""
        for commit in self.history.of(Commit, self._seen):
            self._seen += 1
            share = (commit.group, commit.topic, commit.partition)
            accepted = commit.outcome == "accepted"
            self._changes += not accepted or self._committed.get(share) != commit.offset
            if accepted:
                if commit.offset < self._committed.get(share, 0):
                    self._lowered.add(share)
                self._committed[share] = commit.offset
        return self._changes

    def _kept(self, share: Share) -> int:
        """What the owner of a partition has committed last since it has it, when the group's offset
        was ever set back; 0 when it was not, or the owner has committed nothing."""
        owner = shares(self.history).get(share) if share in self._lowered else None
        if owner is None:
            return 0
        since = self._had_since(owner, share)
        mine = [
            commit.offset
            for commit in self.history.of(Commit)
            if (commit.group, commit.topic, commit.partition) == share
            and (commit.instance, commit.outcome) == (owner, "accepted")
            and commit.api == "OffsetCommit"  # a transaction may be aborted
            and commit.n > since
        ]
        return mine[-1] if mine else 0

    def _had_since(self, owner: str, share: Share) -> int:
        """Number of the last fact before which an instance had not the partition that it has now:
        a beginning or end of its process, or an assignment without it."""
        group, *lane = share
        lives = [p for p in self.history.of(Process) if p.instance == owner]
        told = [a for a in self.history.of(Assigned) if (a.instance, a.group) == (owner, group)]
        breaks = [p.n for p in lives if is_fresh_start(p)]
        breaks += [a.n for a in told if lane not in a.partitions]
        return max(breaks, default=0)

    def runs_away(self) -> bool:
        """Whether the program writes far more than anybody asked for, as in a loop of events."""
        return self.history.count(Output) > LOOP + LOOP_EACH * self.history.count(Sent)

    def unrest(self) -> int:
        """A number that grows whenever something happens that a quiet run does not do."""
        kinds = (Effect, Marked, Output, Call, Process, Joined, Assigned, Fetched, Left)
        return sum(map(self.history.count, kinds)) + self._follow()


def all_have_returned(lab: "Lab") -> bool:
    """Whether all partitions are owned by living instances, and every living instance that was
    once a member and was evicted is a member again. True also of a program without a group."""
    if not lab.history.of(Joined):
        return True
    evicted: set[str] = set()
    for fact in lab.history:
        if isinstance(fact, Left) and fact.by == "grader":
            evicted.add(fact.instance)
        elif isinstance(fact, Joined | Process) and is_fresh_start(fact):
            evicted.discard(fact.instance)
    living = {name for name, instance in lab.instances.items() if instance.alive}
    owned = shares(lab.history)
    is_shared = all_shares(lab.history) <= owned.keys()
    return not evicted & living and is_shared and set(owned.values()) <= living


def is_fresh_start(fact: Joined | Process) -> bool:
    """Whether an instance has joined, or its process has ended or begun: it is no zombie then."""
    return isinstance(fact, Joined) or fact.what in (*ENDS, *BEGINS)


async def until_at_work(lab: "Lab") -> None:
    """Give instances that are starting, or were evicted, a few seconds to take their place, so that
    the sentinels find everybody at work: a consumer that begins at the end of its partitions has
    begun, and a zombie has done what it may still do before it gets new records."""

    def at_work(_: History) -> bool:
        begun = bool(lab.history.of(Joined)) or bool(lab.history.of(Fetched))
        return lab.is_gone() or (begun and all_have_returned(lab))

    await lab.history.wait_for(at_work, RETURN_S)
    # Who was just given its partitions has yet to ask where they begin or end.
    await lab.history.wait_for(lambda h: bool(h.of(Fetched)) or lab.is_gone(), BEGIN_S)


async def settle(lab: "Lab", *, waited_already: bool = False) -> None:
    """Wait for quiet, and record how the wait ended. Never raises for the program's sake. When the
    program was waited for in vain just before, a short wait must do."""
    lab.history.append("phase", name="settle")
    watch = Watch(lab, LOST_S if waited_already else STUCK_S)
    while not await watch.is_over():
        await asyncio.sleep(BREATH_S)  # a look costs more than a fact; many facts share one
        await lab.history.wait_for(watch.has_news, watch.next_look())
    watch.record()


class Watch:
    """One wait for quiet."""

    def __init__(self, lab: "Lab", stuck_s: float) -> None:
        self.lab = lab
        self.stuck_s = stuck_s
        self.course = Course(lab.history)
        self.clock = lab.history.clock
        self.began = self.moved = self.rested = self.clock.now()
        self.began_at = time.monotonic()
        self.seen = len(lab.history)
        self.unrest = -1
        self.answer: dict[Share, int] | None = None
        self.answer_at = 0
        self.position = self.course.position({})
        self.resting = False
        self.quiet = False
        self.moving = False

    def has_news(self, history: History) -> bool:
        """Whether the history has grown since the last look."""
        return len(history) > self.seen

    def next_look(self) -> float:
        """How long to wait for news: until the run has rested long enough, or as usual."""
        left = STABLE_S - (self.clock.now() - self.rested)
        return LOOK_S if self.resting else min(LOOK_S, max(left, 0.0))

    async def is_over(self) -> bool:
        """Look once; whether the wait is over, and `quiet` and `moving` are decided."""
        self.seen = len(self.lab.history)
        now = self.clock.now()
        await self._look(now)
        patience = self.lab.patience
        self.resting = now - self.rested >= STABLE_S
        if self.position.is_complete and self.resting and not self.lab.promises:
            waited = now - self.began
            self.quiet = all_have_returned(self.lab) or waited > RETURN_S * patience
            if self.quiet and (now - self.rested >= LOST_S * patience or await self.lab.adds_up()):
                return True
        lost = not self.position.is_complete and not self.position.behind
        idle_s = (LOST_S if lost else self.stuck_s) + TIMERS * self.lab.challenge.timer_s
        if now - self.moved >= idle_s * patience and not await self._overlooked():
            self.quiet = not self.position.behind
            return True
        self.moving = now - self.began >= MOST_S * patience or self.course.runs_away()
        return self.moving or self.lab.is_gone()

    async def _look(self, now: float) -> None:
        """Bring position, last progress and last unrest up to date."""
        unrest = self.course.unrest()
        if unrest != self.unrest:
            self.unrest, self.rested = unrest, now
        position = self.course.position(self._committed())
        # The broker's word counts: a transaction may be open, or an answer may have been lost.
        if not position.behind or now - self.moved > ASK_AFTER_S:
            await self._ask()
            position = self.course.position(self._committed())
        # A participant that has something left to do is no standstill of the program's, nor is an
        # instance that is still starting.
        if position != self.position or self.lab.promises or self.lab.is_starting():
            self.position, self.moved = position, now

    async def _overlooked(self) -> bool:
        """Ask database and broker themselves once more before anybody is accused of a missing
        effect; whether that shows progress. Other news is none: it may never end."""
        moved = self.moved
        await self.lab.sink.record_rest()
        await self.lab.tail.catch_up()
        await self._look(self.clock.now())
        return self.moved > moved

    def _committed(self) -> dict[Share, int]:
        """The groups' offsets: as the broker said, if no commit and no end of a transaction was
        seen since; else as seen."""
        if self.answer is not None and self.answer_at == self.course.commits():
            return self.answer
        return self.course.committed()

    async def _ask(self) -> None:
        """Ask the broker for the groups' offsets."""
        self.answer_at = self.course.commits()
        answer: dict[Share, int] = {}
        for group, topics in self.lab.history.began.readers.items():
            lanes = [(t, p) for t in topics for p in range(self.lab.history.began.topics[t])]
            found = await self.lab.kafka.committed(group, lanes)
            answer |= {(group, *lane): o for lane, o in found.items() if o is not None}
        self.answer = answer

    def record(self) -> None:
        """Write down how the wait ended."""
        position = self.position
        self.lab.history.append(
            "settled",
            quiet=self.quiet,
            waited_s=round(time.monotonic() - self.began_at, 3),
            unmet=unmet(position, self.lab),
            missing=len(position.missing) + len(position.owed),
            behind=[list(each) for _, *each in position.behind],
            moving=self.moving,
        )


def unmet(position: Position, lab: "Lab") -> list[str]:
    """What is missing, in words."""
    words = []
    total = len({s.id for s in lab.history.of(Sent)})
    if missing := list(dict.fromkeys(position.missing)):
        some = ", ".join(missing[:3])
        more = ", ..." if len(missing) > 3 else ""
        words.append(f"{len(missing)} of {total} events have no effect ({some}{more})")
    if position.owed:
        words.append(f"not announced: {', '.join(position.owed[:3])}")
    for group, topic, partition, count in position.behind:
        whose = f" by {group}" if len(lab.groups) > 1 else ""
        words.append(f"{lane_name((topic, partition))}: {count} record(s) not committed{whose}")
    if lab.is_gone():
        words.append("the program was given up")
    return words
