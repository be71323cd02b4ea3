"""What the grader is writing to topics just now.

An event is noted when the broker has answered where it lies. By then a program may have read it and
done something about it, on a machine where the grader was not scheduled in between. The gateway
therefore hands records on when the sendings that could have brought them are noted.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator


class Sendings:
    """The sendings that are under way, by topic (its name on the broker)."""

    def __init__(self) -> None:
        self._under_way: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @contextlib.contextmanager
    def under_way(self, topic: str) -> Iterator[None]:
        """Around writing to a topic, and noting what was written."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way[topic].add(over)
        try:
            yield
        finally:
            self._under_way[topic].remove(over)
            over.set_result(None)

    async def noted(self, topic: str) -> None:
        """Return when all sendings to a topic are noted that are under way now; later ones are
        not waited for."""
        if waited_for := set(self._under_way[topic]):
            await asyncio.wait(waited_for)
