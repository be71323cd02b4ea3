"""The worker process: warm brokers and PostgreSQL servers, and a queue to take runs from."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import procrastinate

from challenges import catalogue
from graders.grade import grade
from graders.spec import Submission
from sandbox.pool import Pool
from webapp import migrate
from webapp.db import make_engine, make_sessions
from webapp.grading.judge import Judge
from webapp.grading.leases import Lease
from webapp.grading.queue import QUEUE, TASK
from webapp.grading.whereabouts import own_name
from webapp.retention import erase_old, erase_orphans
from webapp.runs.models import Kind

STALLED_S = 30.0
TIDY_EVERY_S = 600.0

logger = logging.getLogger(__name__)


class RealGrader:
    """Grades on what a pool lends; keeps the histories."""

    def __init__(self, pool: Pool, histories: Path) -> None:
        self._pool = pool
        self._histories = histories
        histories.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def __call__(
        self, lease: Lease, on_event: Callable[[dict[str, Any]], None], history: str
    ) -> dict[str, Any]:
        challenge = catalogue.load(lease.challenge)
        visible = [scenario.name for scenario in challenge.scenarios if scenario.visible]
        report = await grade(
            challenge,
            Submission(lease.files, lease.language),
            seed=lease.seed,
            scenarios=visible if lease.kind is Kind.RUN else None,
            pool=self._pool,
            on_event=on_event,
            history_dir=self._histories / history,
        )
        timing = {**report.data["timing"], "queue_s": lease.queued_s}
        return {**report.data, "timing": timing}


async def work(database_url: str, histories: Path, concurrency: int = 1) -> None:
    """Judge runs until SIGTERM or SIGINT; then hand back what is not finished and return.

    Raises SandboxError when brokers or databases cannot be had.
    """
    pool = Pool(size=concurrency)
    await pool.start()
    engine = make_engine(database_url)
    await asyncio.to_thread(migrate.upgrade, engine)
    grader = RealGrader(pool, histories)
    judge = Judge(make_sessions(engine), grader, own_name())
    try:
        await run_until_stopped(judge, database_url, histories, concurrency)
    finally:
        await pool.close()
        engine.dispose()


async def run_until_stopped(
    judge: Judge, database_url: str, histories: Path, concurrency: int
) -> None:
    """Take jobs, sweep and tidy up, until a signal comes or one of the three breaks."""
    app = queue_app(judge, database_url)
    async with app.open_async():
        tasks = [
            asyncio.create_task(take_jobs(app, concurrency)),
            asyncio.create_task(judge.sweep()),
            asyncio.create_task(tidy(app, judge, histories)),
        ]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, tasks[0].cancel)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for failure in ended:
        if isinstance(failure, Exception):
            raise failure


def queue_app(judge: Judge, database_url: str) -> procrastinate.App:
    """Procrastinate with the one task there is."""
    connector = procrastinate.PsycopgConnector(conninfo=database_url, min_size=1, max_size=4)
    app = procrastinate.App(connector=connector)
    app.task(name=TASK, queue=QUEUE)(judge.judge)
    return app


async def take_jobs(app: procrastinate.App, concurrency: int) -> None:
    """Run jobs until cancelled; those that run then are cancelled at once."""
    await app.run_worker_async(
        queues=[QUEUE],
        concurrency=concurrency,
        delete_jobs="always",
        install_signal_handlers=False,
        shutdown_graceful_timeout=0,
    )


async def tidy(app: procrastinate.App, judge: Judge, histories: Path) -> None:
    """Remove what nobody needs: the jobs of dead workers, and what was kept long enough."""
    while True:
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S):
            await app.job_manager.finish_job(
                job, status=procrastinate.jobs.Status.FAILED, delete_job=True
            )
        await judge.in_database(erase_old)
        await judge.in_database(erase_orphans, histories)
        await asyncio.sleep(TIDY_EVERY_S)
