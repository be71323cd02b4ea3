"""What passing requests and responses mean, as facts of the history.

An observer belongs to one API. It sees a request as it goes to the broker and returns a note; with
that note it sees the broker's answer (`answered`), and again when the answer is about to be handed
to the program (`delivered`), which an answer to a dead program never is. When the connection ends
before the answer, it sees the note alone (`lost`).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.gateway.codec import Body

Noted = Callable[[str], Awaitable[None]]


async def noted_at_once(topic: str) -> None:
    """What others write is noted before they write it, or nowhere."""


class Observer:
    """Sees nothing; the ground of all others."""

    def understood(self, instance: str, body: Body) -> set[str | None]:
        """Return the topics that a request is about though it does not name them."""
        return set()

    def forwarded(self, instance: str, body: Body) -> Any:
        """See a request on its way to the broker; return what to remember of it."""

    async def answered(self, instance: str, note: Any, body: Body) -> None:
        """See the broker's answer. May change `body`: see `rewrites`."""

    def delivered(self, instance: str, note: Any, body: Body) -> None:
        """See an answer on its way to the program."""

    def lost(self, instance: str, note: Any) -> None:
        """See that no answer will come."""

    def matters(self, note: Any) -> bool:
        """Whether the answer is worth waiting for when the program is gone."""
        return False

    def rewrites(self, note: Any, body: Body) -> bool:
        """Take from the answer what the program may not see; return whether that changed it."""
        return False
