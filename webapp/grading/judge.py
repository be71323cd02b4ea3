"""Judging one run: claim it, hold the lease, grade, record. Survives an absent database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from sqlalchemy.exc import OperationalError

from webapp.db import Sessions
from webapp.grading import leases
from webapp.grading.leases import Lease
from webapp.grading.writer import EventWriter

LONGEST_S = 1800.0  # a grading that takes longer hangs; the lease is not extended for ever
DATABASE_PATIENCE_S = 60.0
RETRY_S = 0.5
SWEEP_EVERY_S = 1.0

# Grades what a lease is for and returns the report of design's JSON form. Its second argument
# takes the live events, its third names the history (a folder below all histories).
Grader = Callable[[Lease, Callable[[dict[str, Any]], None], str], Awaitable[dict[str, Any]]]

logger = logging.getLogger(__name__)


class Judge:
    """The work of one worker process; `name` tells it from others in the log."""

    def __init__(self, sessions: Sessions, grader: Grader, name: str) -> None:
        self._sessions = sessions
        self._grader = grader
        self._name = name
        # Threads of our own: a lease must not wait for what the grader does in the common ones.
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="database")

    async def judge(self, run_id: str) -> None:
        """Judge a run, unless somebody else does or it needs none any more.

        Cancelling this hands the run back to the queue.
        """
        lease = await self.in_database(leases.claim, run_id, self._name)
        if lease is None:
            return
        events = EventWriter(partial(self.in_database, leases.add_events, lease))
        history = f"{lease.run_id}/{lease.grading_version}-{lease.token}"
        grading = asyncio.create_task(self._grader(lease, events, history))
        helpers = [
            asyncio.create_task(self._hold(lease, grading)),
            asyncio.create_task(events.run()),
        ]
        try:
            report = await asyncio.wait_for(grading, LONGEST_S)
        except asyncio.CancelledError:
            await self._let_go(lease)
        except Exception as error:
            logger.exception("Run %s could not be judged (try %d)", run_id, lease.tries)
            await events.flush()
            await self.in_database(leases.fail, lease, repr(error))
        else:
            await events.flush()
            if not await self.in_database(leases.record, lease, report, history):
                logger.warning("Run %s is no longer ours; its verdict is dropped", run_id)
        finally:
            for helper in helpers:
                helper.cancel()

    async def sweep(self) -> None:
        """Look for runs that nobody works on, every second, until cancelled."""
        while True:
            try:
                if found := await self._in_thread(leases.sweep):
                    logger.warning("Queued again: %s", ", ".join(found))
            except OperationalError:
                # While the database was away no lease was extended: give the holders time first.
                await asyncio.sleep(leases.LEASE.total_seconds())
            await asyncio.sleep(SWEEP_EVERY_S)

    async def in_database(self, action: Callable, *arguments: Any) -> Any:
        """Carry out a transaction, again while the database is not there."""
        give_up = asyncio.get_running_loop().time() + DATABASE_PATIENCE_S
        while True:
            try:
                return await self._in_thread(action, *arguments)
            except OperationalError:
                if asyncio.get_running_loop().time() > give_up:
                    raise
                await asyncio.sleep(RETRY_S)

    async def _hold(self, lease: Lease, grading: asyncio.Task) -> None:
        """Extend the lease while it is ours, and stop grading when it is not."""
        ours = True
        while ours:
            await asyncio.sleep(leases.EXTEND_EVERY_S)
            ours = await self.in_database(leases.extend, lease)
        grading.cancel()

    async def _let_go(self, lease: Lease) -> None:
        """After a cancellation: hand the run back if it is this worker that is to stop."""
        await self.in_database(leases.release, lease)
        task = asyncio.current_task()
        if task and task.cancelling():
            raise asyncio.CancelledError

    async def _in_thread(self, action: Callable, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._transaction, action, *arguments)

    def _transaction(self, action: Callable, *arguments: Any) -> Any:
        with self._sessions.begin() as db:
            return action(db, *arguments)
