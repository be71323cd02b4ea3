"""What the answers of a program say that is asked for a view of its topics.

An answer about a row has status 200 and the row, or 404 when there is none, and says of itself how
far it goes: `as_of` holds, by partition ("orders-1"), the offset before which all records are
included and from which none is, 0 where it is missing; `generation` counts the rebuilds that made
the view. Nothing here judges.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from graders.facts import Asked, Record, ScenarioBegan, Sent, short_topic
from graders.history import History

Lane = tuple[str, int]

ROW, NO_ROW, BEGUN = 200, 404, 202
OWN_FIELDS = ("as_of", "generation")


class Unusable(Exception):
    """An answer does not have the form that was agreed; says why, in words."""


@dataclass(frozen=True)
class Answer:
    """An answer about row `id` of the view, as far as it goes. `row` None: there is none."""

    asked: Asked
    id: str
    positions: Mapping[Lane, int]
    generation: int
    row: Mapping[str, Any] | None


@dataclass(frozen=True)
class Rebuild:
    """A rebuild that the program agreed to; its view is the `generation`-th."""

    asked: Asked
    generation: int


def is_query(asked: Asked, began: ScenarioBegan) -> bool:
    """Whether a question is for a row of the view."""
    path = began.projection.get("queries")
    return path is not None and asked.method == "GET" and asked.path.startswith(path)


def is_rebuild(asked: Asked, began: ScenarioBegan) -> bool:
    """Whether a question is for a rebuild."""
    return asked.method == "POST" and asked.path == began.projection.get("rebuild")


def answers_of(history: History) -> Iterator[Answer]:
    """The usable answers about rows, in the order in which they came."""
    for asked in history.of(Asked):
        if is_query(asked, history.began) and asked.is_answered:
            try:
                yield read_answer(asked, history.began)
            except Unusable:
                continue


def read_answer(asked: Asked, began: ScenarioBegan) -> Answer:
    """What an answer about a row says; Unusable when it is not of the form agreed."""
    if asked.status not in (ROW, NO_ROW):
        raise Unusable(f"has status {asked.status}")
    if not isinstance(asked.answer, dict):
        raise Unusable("is no JSON object")
    row = {name: value for name, value in asked.answer.items() if name not in OWN_FIELDS}
    return Answer(
        asked,
        unquote(urlsplit(asked.path).path.removeprefix(began.projection["queries"])),
        read_positions(asked.answer.get("as_of"), began),
        read_generation(asked.answer),
        row if asked.status == ROW else None,
    )


def read_positions(told: Any, began: ScenarioBegan) -> dict[Lane, int]:
    """Positions by partition; Unusable when they name anything else."""
    if not isinstance(told, dict):
        raise Unusable("has no object as_of")
    lanes = {
        f"{short_topic(topic)}-{partition}": (topic, partition)
        for topic, partitions in began.topics.items()
        for partition in range(partitions)
    }
    for name, position in told.items():
        if name not in lanes:
            raise Unusable(f"has an as_of of {name[:40]!r}, which is no partition")
        if not is_count(position, least=0):
            raise Unusable(f"has no number as its as_of of {name}")
    return {lanes[name]: position for name, position in told.items()}


def read_generation(told: Any) -> int:
    """The number of a view; Unusable when there is none."""
    generation: Any = told.get("generation") if isinstance(told, dict) else None
    if not is_count(generation, least=1):
        raise Unusable("has no number as its generation")
    return int(generation)


def is_count(value: Any, least: int) -> bool:
    """Whether a JSON value is a whole number of at least so much."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def read_rebuild(asked: Asked) -> Rebuild:
    """The rebuild that an answer agrees to; Unusable when it does not."""
    if asked.status != BEGUN:
        raise Unusable(f"has status {asked.status}")
    return Rebuild(asked, read_generation(asked.answer))


def token_of(asked: Asked, began: ScenarioBegan) -> tuple[Lane, int] | None:
    """The record that a question wants included ("?after=orders-1@41"); None when it names none."""
    told = parse_qs(urlsplit(asked.path).query).get("after")
    if told is None:
        return None
    name, _, offset = told[0].partition("@")
    topic, _, partition = name.rpartition("-")
    return (began.on_broker[topic], int(partition)), int(offset)


def included(history: History, positions: Mapping[Lane, int]) -> list[Sent]:
    """The events of the visible records before these positions, in the order of each partition."""
    sent = {(s.topic, s.partition, s.offset): s for s in history.of(Sent)}
    places = sorted(
        (record.topic, record.partition, record.offset)
        for record in history.of(Record)
        if record.offset < positions.get((record.topic, record.partition), 0)
    )
    return [sent[place] for place in places if place in sent]
