"""From the grader's events, one by one, to rows in batches.

A program may print without end. So what one stream prints between two batches becomes one event,
and after MAX_OUTPUT characters of a run its output is no longer shown live.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

BATCH_S = 0.05
MAX_OUTPUT = 1_000_000
CUT = "(The output of this run is longer than what is shown here.)"

logger = logging.getLogger(__name__)

Batch = list[tuple[str, dict[str, Any]]]


class EventWriter:
    """Takes the grader's events and hands them to `store`, at most every BATCH_S seconds."""

    def __init__(self, store: Callable[[Batch], Awaitable[object]]) -> None:
        self._store = store
        self._pending: Batch = []
        self._open_outputs: dict[tuple[str, ...], dict[str, Any]] = {}
        self._output_left = MAX_OUTPUT
        self._news = asyncio.Event()
        self._storing = asyncio.Lock()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event; to be called from the event loop."""
        payload = dict(event)
        match payload.pop("type"):
            case "report":
                return  # the verdict is told when it is recorded
            case "output":
                self._add_output(payload)
            case kind:
                self._open_outputs.clear()  # later output belongs after this event
                self._pending.append((kind, payload))
        self._news.set()

    async def run(self) -> None:
        """Store what comes in, until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(BATCH_S)
            await self.flush()

    async def flush(self) -> None:
        """Store what is pending, after what is just being stored.

        What cannot be stored is not shown; it must not cost the verdict.
        """
        async with self._storing:
            batch, self._pending = self._pending, []
            self._open_outputs.clear()
            self._news.clear()
            try:
                if batch:
                    await self._store(batch)
            except Exception:
                logger.exception("%d live events could not be stored", len(batch))

    def _add_output(self, payload: dict[str, Any]) -> None:
        if self._output_left < 0:
            return
        self._output_left -= len(payload["text"]) + 1
        if self._output_left < 0:
            payload["text"] = CUT
        stream = (payload["scenario"], payload["instance"], payload["stream"])
        if output := self._open_outputs.get(stream):
            output["text"] += "\n" + payload["text"]
        else:
            self._open_outputs[stream] = payload
            self._pending.append(("output", payload))
