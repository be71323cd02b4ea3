"""The picture of a timeline: an inline SVG with a lane for each instance and one for the grader.

Each column is one row of the timeline, evenly spaced, so that what happened within a millisecond
can be told apart; the seconds stand below. An instance's line is solid while its process runs,
dotted while it is frozen, absent while there is none. Faults go through all lanes. Shapes differ,
not only colours; colours come from classes, so the picture follows the page's light or dark
theme.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from graders.facts import Process
from graders.history import History

LEFT, COLUMN, LANE, TOP, BOTTOM = 92, 54, 46, 30, 26

STATE_AFTER = {
    "started": "runs",
    "restarted": "runs",
    "thawed": "runs",
    "terminated": "runs",
    "overdue": "runs",
    "frozen": "frozen",
}

# Each shape is drawn around (0, 0), in a box of 16.
SHAPES = {
    "sent": '<path class="line" d="M-6 0H6M1 -5L6 0L1 5"/>',
    "fetched": '<rect class="open" x="-6" y="-6" width="12" height="12" rx="2"/>',
    "effect": '<circle class="solid effect" r="7"/>',
    "asked": '<path class="open" d="M-7 -6H7V4H0L-4 8V4H-7Z"/>',
    "commit": '<path class="solid commit" d="M0 -8L8 0L0 8L-8 0Z"/>',
    "owns": '<path class="open" d="M0 -7L7 6H-7Z"/>',
    "left": '<path class="line fault" d="M-6 0H6"/>',
    "fault": '<path class="solid fault" d="M2 -9L-6 2H-1L-3 9L6 -3H1Z"/>',
    "refused": '<path class="line fault" d="M-6 -6L6 6M-6 6L6 -6"/>',
    "started": '<path class="solid life" d="M-5 -7L7 0L-5 7Z"/>',
    "restarted": '<path class="solid life" d="M-5 -7L7 0L-5 7Z"/>',
    "thawed": '<path class="solid life" d="M-5 -7L7 0L-5 7Z"/>',
    "killed": '<path class="line fault" d="M-7 -7L7 7M-7 7L7 -7"/>',
    "exited": '<path class="line fault" d="M-7 -7L7 7M-7 7L7 -7"/>',
    "abandoned": '<path class="line fault" d="M-7 -7L7 7M-7 7L7 -7"/>',
    "stopped": '<rect class="solid life" x="-5" y="-5" width="10" height="10"/>',
    "terminated": '<rect class="open" x="-5" y="-5" width="10" height="10"/>',
    "overdue": '<path class="line fault" d="M-6 -7H6L-6 7H6Z"/>',
    "frozen": '<path class="line fault" d="M-4 -7V7M4 -7V7"/>',
    "note": '<circle class="open" r="4"/>',
}

BADGE = '<g class="badge"><circle cx="13" cy="-13" r="8"/><text x="13" y="-9.5">{}</text></g>'

WORDS = {
    "sent": "sent",
    "fetched": "fetched",
    "effect": "effect",
    "asked": "asked",
    "commit": "commit",
    "owns": "assigned",
    "left": "expired",
    "fault": "fault",
    "refused": "refused",
    "terminated": "SIGTERM",
    "overdue": "overdue",
    "note": "",
}


Life = tuple[int, str, str]  # (fact number, instance, what)


@dataclass(frozen=True)
class Mark:
    """Something to draw: fact number, second, lane, shape, what a pointer reads, fact 1 or 2."""

    n: int
    t: float
    lane: str
    shape: str
    title: str
    badge: int | None = None


def draw(marks: Sequence[Mark], lives: Iterable[Life]) -> str:
    """The picture as an SVG element; an empty text when there is nothing to draw.

    `lives` says what happened to each instance's process: (fact number, instance, what).
    """
    if not marks:
        return ""
    lanes = list(dict.fromkeys(["grader", *sorted({m.lane for m in marks} - {"grader"})]))
    width, height = LEFT + COLUMN * len(marks) + 10, TOP + LANE * len(lanes) + BOTTOM
    parts = [
        *(lane_label(lane, y(lanes, lane)) for lane in lanes),
        *life_lines(marks, lanes, list(lives)),
        *(fault_line(column, height) for column, m in enumerate(marks) if m.shape == "fault"),
        *(mark_parts(column, mark, y(lanes, mark.lane)) for column, mark in enumerate(marks)),
        *(second(column, mark, height) for column, mark in enumerate(marks)),
    ]
    label = quoteattr(f"Timeline with lanes {', '.join(lanes)}: the rows of the table above.")
    return (
        f'<svg class="picture" width="{width}" height="{height}" role="img" aria-label={label}>'
        f"{''.join(parts)}</svg>"
    )


def x(column: int) -> int:
    """The middle of a column."""
    return LEFT + COLUMN * column + COLUMN // 2


def y(lanes: Sequence[str], lane: str) -> int:
    """The middle of a lane."""
    return TOP + LANE * lanes.index(lane) + LANE // 2


def lane_label(lane: str, at: int) -> str:
    """A lane's name."""
    return f'<text class="lane" x="4" y="{at + 4}">{escape(lane[:12])}</text>'


def life_lines(marks: Sequence[Mark], lanes: Sequence[str], lives: Sequence[Life]) -> list[str]:
    """For each instance and column the line of the state that its process was in after it."""
    parts = []
    for lane in lanes:
        story = [(n, what) for n, instance, what in lives if instance == lane]
        for column, mark in enumerate(marks[:-1]):
            state = state_at(story, mark.n)
            if state:
                at = y(lanes, lane)
                parts.append(f'<path class="life {state}" d="M{x(column)} {at}H{x(column + 1)}"/>')
    return parts


def lives(history: History) -> list[Life]:
    """What happened to each instance's process, in order."""
    return [(p.n, p.instance, p.what) for p in history.of(Process)]


def state_at(story: Sequence[tuple[int, str]], n: int) -> str | None:
    """Whether a process "runs" or is "frozen" just after fact `n`; None when there is none."""
    past = [what for when, what in story if when <= n]
    return STATE_AFTER.get(past[-1]) if past else None


def fault_line(column: int, height: int) -> str:
    """A fault's line through all lanes."""
    return f'<path class="through" d="M{x(column)} {TOP - 6}V{height - BOTTOM}"/>'


def mark_parts(column: int, mark: Mark, at: int) -> str:
    """A mark with its words, its fact number above, and its badge."""
    word = WORDS.get(mark.shape, mark.shape)
    shape = SHAPES.get(mark.shape, SHAPES["note"])
    badge = BADGE.format(mark.badge) if mark.badge else ""
    return (
        f'<text class="number" x="{x(column)}" y="12">#{mark.n}</text>'
        f'<g transform="translate({x(column)} {at})"><title>{escape(mark.title)}</title>'
        f'{shape}<text class="word" y="20">{word}</text>{badge}</g>'
    )


def second(column: int, mark: Mark, height: int) -> str:
    """When it happened."""
    return f'<text class="second" x="{x(column)}" y="{height - 8}">{mark.t:.2f} s</text>'
