"""The registry of checks. Each module's docstring is the specification of its family."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from graders.checks import cho, com, dlq, eff, es, grd, har, liv, obx, order, prj, reb, sag, shu
from graders.checks.finding import FactRef, Finding, Place
from graders.checks.run import Run
from graders.history import History

__all__ = ["CHECKS", "Check", "FactRef", "Finding", "Place", "Run", "check"]


@dataclass(frozen=True)
class Check:
    """One check: its public id and name, what a PASS says, and the pure function that finds what
    speaks against it. `leaves_to`: the check that speaks in its place where it knows more; whoever
    counts the one must count the other, or what that would find is nobody's."""

    id: str
    name: str
    claim: str
    find: Callable[[Run], Iterable[Finding]]
    leaves_to: str = ""


CHECKS: dict[str, Check] = {
    c.id: c
    for c in (
        Check("HAR-1", "input-intact", "Everything sent was in the log.", har.input_intact),
        Check("HAR-2", "exercised", "The situation arose.", har.exercised),
        Check("HAR-4", "machine-sane", "The grading machine kept time.", har.machine_sane),
        Check(
            "EFF-1",
            "lost-effect",
            "Every event had its effect.",
            eff.lost_effect,
            leaves_to="EFF-4",
        ),
        Check("EFF-2", "duplicate-effect", "No event was applied twice.", eff.duplicate_effect),
        Check("EFF-3", "phantom-effect", "Every effect was an event's.", eff.phantom_effect),
        Check(
            "EFF-4", "over-dedup", "Events that look alike each had their effect.", eff.over_dedup
        ),
        Check("EFF-5", "divergence", "An event's effect was always the same.", eff.divergence),
        Check(
            "EFF-6", "convergence", "The final state was what events add up to.", eff.convergence
        ),
        Check("EFF-7", "told-too-early", "What was told was durable.", eff.told_too_early),
        Check(
            "COM-1",
            "commit-ahead",
            "Offsets were committed after effects.",
            com.commit_ahead,
            leaves_to="COM-3",
        ),
        Check("COM-2", "off-by-one", "The next offset was committed.", com.off_by_one),
        Check("COM-3", "non-contiguous", "Commits passed no open record.", com.non_contiguous),
        Check("COM-4", "stale-commit", "Only owners committed.", com.stale_commit),
        Check("COM-5", "regression", "Positions only grew.", com.regression),
        Check(
            "ORD-1",
            "inversion",
            "Each key's effects kept their order.",
            order.inversion,
            leaves_to="ORD-3",
        ),
        Check("ORD-2", "key-split", "Each key's records share a partition.", order.key_split),
        Check("ORD-3", "overtaking", "Nothing overtook what failed or waited.", order.overtaking),
        Check("ORD-4", "cross-key-independence", "Other keys went on.", order.independence),
        Check("REB-1", "not-owner-effect", "Only owners had effects.", reb.not_owner_effect),
        Check(
            "REB-3",
            "duplicates-after-handover",
            "What was finished was committed before it was handed over.",
            reb.repeated_after_handover,
        ),
        Check("DLQ-1", "routing", "Poison, and only poison, was a dead letter.", dlq.routing),
        Check("DLQ-2", "fidelity", "Dead letters were the records as they were.", dlq.fidelity),
        Check("DLQ-3", "partition", "Nothing had two outcomes.", dlq.both_outcomes),
        Check("DLQ-4", "budget", "Attempts and pauses were as agreed.", dlq.budget),
        Check(
            "DLQ-5", "safe-hand-over", "No dead letter was lost on the way.", dlq.lost_on_the_way
        ),
        Check("DLQ-6", "head-of-line", "Nobody waited for others' retries.", dlq.head_of_line),
        Check("SAG-1", "one-outcome", "Each saga had one outcome, at its end.", sag.one_outcome),
        Check("SAG-2", "completeness", "All of a saga was done, or all undone.", sag.completeness),
        Check("SAG-3", "phantom-undo", "Only what was begun was undone.", sag.phantom_undo),
        Check("SAG-4", "reverse-order", "Steps were undone in reverse order.", sag.reverse_order),
        Check("SAG-5", "forward-order", "Each step waited for its turn.", sag.forward_order),
        Check("SAG-6", "late-success", "What was done late was undone too.", sag.late_success),
        Check("SAG-7", "command-identity", "Each command kept its id.", sag.command_identity),
        Check("SAG-8", "pivot", "Nobody turned back at the pivot.", sag.pivot),
        Check("SAG-9", "crash-matrix", "Sagas went on after a crash.", sag.crash_matrix),
        Check("SAG-10", "duplicate-start", "Each order began one saga.", sag.duplicate_start),
        Check("SAG-11", "isolation", "Sagas kept apart.", sag.isolation),
        Check("SAG-12", "timely", "Each saga ended in time.", sag.timely),
        Check("CHO-1", "chain", "Each event named its cause and its order.", cho.chain),
        Check("CHO-2", "no-loop", "No event led to another of its kind.", cho.loops),
        Check("CHO-3", "once", "Each step was announced once.", cho.once),
        Check("CHO-4", "no-ghost", "What was announced was true.", cho.ghost),
        Check("CHO-5", "cross-topic-delay", "Nothing that came early was lost.", cho.cross_topic),
        Check("CHO-6", "every-end", "Everything came to its end.", cho.every_end),
        Check("ES-1", "replay", "All that was told is what the log says.", es.replay),
        Check("ES-2", "snapshots", "Snapshots changed nothing.", es.snapshots),
        Check("ES-3", "versions", "Each version was there once.", es.versions),
        Check("ES-4", "decisions", "What was decided followed from the state.", es.decisions),
        Check("ES-5", "old-events", "Old events were understood.", es.old_events),
        Check("ES-6", "commands", "Each command was one event or none.", es.commands),
        Check("ES-7", "outside", "What was new was published, and nothing else.", es.outside),
        Check("ES-8", "append-only", "The log was only appended to.", es.append_only),
        Check(
            "OBX-1",
            "lost-event",
            "Every committed row had its event.",
            obx.lost_event,
            leaves_to="OBX-5",
        ),
        Check("OBX-2", "ghost-event", "Every event was a committed row's.", obx.ghost_event),
        Check("OBX-3", "version-order", "Each aggregate's versions kept their order.", obx.order),
        Check("OBX-4", "stable-identity", "Repeats were the same, and few.", obx.stable_identity),
        Check("OBX-5", "late-commit", "What was committed late was published.", obx.late_commit),
        Check("OBX-6", "drain", "At rest all was published and marked.", obx.drain),
        Check("SHU-1", "in-time", "It ended in time when told to stop.", shu.in_time),
        Check("SHU-2", "nothing-new", "A stop began nothing new.", shu.nothing_new),
        Check("SHU-3", "committed", "What was done was committed at a stop.", shu.committed),
        Check("SHU-4", "flushed", "What was written was settled at a stop.", shu.flushed),
        Check("SHU-5", "left", "Who stopped left the group.", shu.left_group),
        Check("SHU-6", "at-any-time", "It could be stopped at any time.", shu.at_any_time),
        Check("PRJ-1", "exact", "The view was what its records add up to.", prj.exact),
        Check("PRJ-2", "rebuilt", "A rebuilt view was what all records add up to.", prj.rebuilt),
        Check("PRJ-3", "silent-rebuild", "A rebuild had no effect outside.", prj.silent_rebuild),
        Check("PRJ-4", "never-back", "No answer went back behind another.", prj.never_back),
        Check("PRJ-5", "one-moment", "The old view answered until the new.", prj.one_moment),
        Check("PRJ-6", "fresh", "What was committed was in the answers.", prj.fresh),
        Check("PRJ-7", "read-your-writes", "Who wrote could read it.", prj.read_your_writes),
        Check("LIV-1", "progress", "The program came back to work.", liv.progress),
        Check("LIV-2", "answers", "The program answered over HTTP.", liv.answers),
        Check("GRD-1", "forbidden-request", "Nothing forbidden was asked.", grd.forbidden_request),
        Check("GRD-2", "re-reading", "Records were read about once.", grd.rereading),
        Check("GRD-3", "busy-loop", "Without work there was no load.", grd.busy_loop),
        Check("GRD-4", "unearned-effect", "Effects followed their records.", grd.unearned_effect),
    )
}
HARNESS = ("HAR-1", "HAR-2", "HAR-4")


def check(history: History, ids: Iterable[str]) -> list[Finding]:
    """What the checks with these ids find in a history, in their order. Pure: the same history
    always gives the same findings."""
    run = Run(history)
    return [finding for id in ids for finding in CHECKS[id].find(run)]
