"""What a check found: a claim about the program and the facts that carry it."""

from dataclasses import dataclass

from graders.facts import short_topic
from graders.verdicts import Verdict

MOST_SHOWN = 200  # characters of a record's value


@dataclass(frozen=True)
class FactRef:
    """A fact of the history, by its number, and what it means here in one sentence."""

    n: int
    text: str


@dataclass(frozen=True)
class Place:
    """A record: a topic's name on the broker, a partition, an offset."""

    topic: str
    partition: int
    offset: int

    @property
    def lane(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition

    def __str__(self) -> str:
        return f"{lane_name(self.lane)}@{self.offset}"


def lane_name(lane: tuple[str, int]) -> str:
    """A partition as people write it: "payments-1"."""
    return f"{short_topic(lane[0])}-{lane[1]}"


@dataclass(frozen=True)
class Finding:
    """One thing that speaks against a PASS.

    `claim` is the accusation in one sentence, and `brief` the same without the names of events, for
    people who read nothing else (empty: the claim names none). `first` and `second` are two facts
    that cannot both be true of a correct program, and `both` says why not. `why` explains it in
    Kafka's terms.
    `rows` are the facts a timeline must show, `places` the records it is about, `ids` the events.
    `reason` says for INCONCLUSIVE and HARNESS_ERROR which kind it is (stuck, not_exercised,
    noisy, slow, harness), and for LIV-1 "late" when what was missing came in the end. Facts may be
    missing where a verdict is not an accusation.
    """

    check: str
    verdict: Verdict
    claim: str
    why: str
    brief: str = ""
    first: FactRef | None = None
    second: FactRef | None = None
    both: str = ""
    rows: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()
    ids: tuple[str, ...] = ()
    reason: str = ""


def shorten(text: str, most: int = 120) -> str:
    """A text that fits into a row."""
    return text if len(text) <= most else text[: most - 1] + "…"
