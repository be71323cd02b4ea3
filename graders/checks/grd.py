"""GRD: guards against results that were not earned, and against forbidden requests.

**Model.** The gateway is the program's only way to Kafka and the database. It records every batch
of records before it hands it on, and refuses what the challenge does not grant: topics and
configurations cannot be changed, records not deleted, other groups not touched.

**GRD-1 forbidden-request.** The program asked for something that would change the evidence or the
ground it stands on: deleting topics, records or groups, changing configurations, joining another
group or committing for it, writing to an input topic. A client library joins only the group that it
is told to. Requests that a library or a careful start-up may send by itself (creating a topic,
looking at another group) were refused too, and are a WARN: the refusal harmed nobody. Asking for
the coordinator of a group that is never joined is not even refused: some clients do so at once.
Bytes that are no request that a broker could read are none of this: it would close the connection,
as the gateway does. (`@platformatic/kafka` sends some when its session has expired.)

**GRD-2 re-reading.** The program was handed more than 20 times as many records as its topics hold,
which were 200 or more. Whoever reads a topic from its start for each event is far beyond that;
restarts, rebalances, retries that seek back, and clients that drop what they had fetched when they
pause are far below.

**GRD-3 busy loop.** When everything was settled and nothing was sent, an instance used more than
half of a processor, for 1.5 s or longer. Measured for the whole box. A busy machine gives a busy
loop less CPU, so load can only hide one.

**GRD-4 unearned-effect.** An effect of an event is durable before any record of that event was
handed to any instance. The order is causal: fetches are recorded before the records are handed on,
effects after their commit. Speaks only about events that are in the log (others are EFF-3) and only
after the topics were drained, because the place of each record is read there.

**One worked history** (GRD-4):

    #12 sent     payments-0@0 pay-0001
    #15 effect   ledger row 1 pay-0001 (app)
    #22 fetched  payments-0@0..9 -> app

At #15 no record of pay-0001 had left the broker: the row cannot come from the topic.
"""

from collections.abc import Iterator

from graders.checks.finding import FactRef, Finding, lane_name
from graders.checks.run import Run
from graders.facts import Effect, Fetched, Idle, Refused, Settled
from graders.verdicts import Verdict

FEW_RECORDS = 200
MOST_READS = 20
LONG_IDLE_S = 1.5
MOST_CPU = 0.5

UNREADABLE = "malformed request"
DESTRUCTIVE = frozenset(
    {
        "AddOffsetsToTxn",
        "AlterConfigs",
        "AlterPartitionReassignments",
        "AlterReplicaLogDirs",
        "AlterUserScramCredentials",
        "ConsumerGroupHeartbeat",
        "CreateAcls",
        "CreatePartitions",
        "DeleteAcls",
        "DeleteGroups",
        "DeleteRecords",
        "DeleteTopics",
        "ElectLeaders",
        "IncrementalAlterConfigs",
        "JoinGroup",
        "OffsetCommit",
        "OffsetDelete",
        "Produce",
        "TxnOffsetCommit",
        "WriteTxnMarkers",
    }
)


def forbidden_request(run: Run) -> Iterator[Finding]:
    """GRD-1."""
    seen: set[tuple[str, str]] = set()
    for refused in run.history.of(Refused):
        if refused.api != UNREADABLE and (refused.api, refused.why) not in seen:
            seen.add((refused.api, refused.why))
            yield forbidden(run, refused)


def forbidden(run: Run, refused: Refused) -> Finding:
    """GRD-1 about one kind of request."""
    bad = refused.api in DESTRUCTIVE
    why = (
        "A consumer owns its place in its group, that group's offsets, and nothing else of the "
        "cluster."
        if bad
        else "The request was refused and changed nothing. A topic that the program writes is not "
        "one that it may read, unless the statement says so."
    )
    return Finding(
        "GRD-1",
        Verdict.FAIL if bad else Verdict.WARN,
        claim=f"{refused.instance} asked the broker for something it may not have: "
        f"{refused.api} ({refused.why}).",
        first=FactRef(refused.n, f"{refused.instance} sent {refused.api}: {refused.why}."),
        second=FactRef(run.history.began.n, "The challenge does not grant this request."),
        both="The statement says which topics a program reads and which it writes, and its "
        "environment names them and its group; this is not among it.",
        why=why,
        rows=(refused.n,),
    )


def rereading(run: Run) -> Iterator[Finding]:
    """GRD-2."""
    held = sum(len(records) for records in run.records.values())
    handed = 0
    for fetch in run.history.of(Fetched):
        handed += fetch.last - fetch.first + 1
        if held >= FEW_RECORDS and handed > MOST_READS * held:
            yield read_again(run, fetch, held)
            return


def read_again(run: Run, fetch: Fetched, held: int) -> Finding:
    """GRD-2 at the fetch that was too many."""
    handed = sum(f.last - f.first + 1 for f in run.history.of(Fetched))
    return Finding(
        "GRD-2",
        Verdict.FAIL,
        claim=f"The program read each record about {handed // held} times.",
        first=FactRef(len(run.history), f"Its topics held {held} records in all."),
        second=FactRef(
            fetch.n, f"Here it had been handed {MOST_READS * held}, in the end {handed}."
        ),
        both="A record is read once, and again only when something broke.",
        why="Reading a topic from its start for each event costs more with every event. What is "
        "needed of the past belongs in a table or in memory.",
        rows=(fetch.n,),
    )


def busy_loop(run: Run) -> Iterator[Finding]:
    """GRD-3."""
    for idle in run.history.of(Idle):
        if idle.waited_s >= LONG_IDLE_S and idle.cpu_s > MOST_CPU * idle.waited_s:
            yield spinning(run, idle)


def spinning(run: Run, idle: Idle) -> Finding:
    """GRD-3 about one instance."""
    settled = run.history.last(Settled)
    quiet = settled.n if settled else idle.n
    return Finding(
        "GRD-3",
        Verdict.FAIL,
        claim=f"{idle.instance} kept a processor busy without any work.",
        first=FactRef(quiet, "Everything was dealt with, and nothing more was sent."),
        second=FactRef(
            idle.n, f"{idle.instance} used {idle.cpu_s:.1f} s of CPU in {idle.waited_s:.1f} s."
        ),
        both="Who waits for records lets the client wait; that costs next to nothing.",
        why="A poll without a timeout in a loop takes the processor away from its neighbours, and "
        "from the program's own workers.",
        rows=(idle.n,),
    )


def unearned_effect(run: Run) -> Iterator[Finding]:
    """GRD-4."""
    if not run.log_is_known:
        return
    for effects in run.effects.values():
        first = effects[0]
        places = run.places.get(first.id, [])
        if places and not any(run.fetch_of(place, before=first.n) for place in places):
            yield unearned(run, first)


def unearned(run: Run, effect: Effect) -> Finding:
    """GRD-4 about one event."""
    places = run.places[effect.id]
    fetch = next(filter(None, (run.fetch_of(place) for place in places)), None)
    second = (
        FactRef(
            fetch.n,
            f"{lane_name((fetch.topic, fetch.partition))}@{fetch.first} to {fetch.last} were "
            f"handed to {fetch.instance} only then.",
        )
        if fetch
        else FactRef(len(run.history), f"Until the end no instance was handed {places[0]}.")
    )
    return Finding(
        "GRD-4",
        Verdict.FAIL,
        claim=f"The effect of {effect.id} was there before its record was read.",
        brief="An effect was there before its record was read.",
        first=FactRef(effect.n, f"{effect.spot} for {effect.id} was committed."),
        second=second,
        both="An effect cannot come before its cause.",
        why="Only records that were fetched through the consumer can have effects.",
        rows=tuple(sorted({effect.n, second.n})),
        places=tuple(places),
        ids=(effect.id,),
    )
