"""One LISTEN connection a process, which wakes the streams of a run.

A stream has a flag, not a queue: woken, it reads what is new in the table. So nothing can pile up
behind a slow browser, and nothing is lost when the connection breaks: after a reconnect every
stream is woken and looks for itself.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from webapp.runs.events import CHANNEL

STREAMS_PER_RUN = 16
RECONNECT_S = 0.5
LOOK_UP_S = 1.0  # how long the listener may overlook that the process ends

logger = logging.getLogger(__name__)


class TooManyStreams(Exception):
    """This run is watched by as many streams as one process allows."""


class Hub:
    """Started with the first subscription, hence after the server's fork."""

    def __init__(self, database_url: str) -> None:
        self.closed = False
        self._database_url = database_url
        self._streams: dict[str, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()
        self._listening = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def subscribe(self, run_id: str) -> Iterator[threading.Event]:
        """An event that is set whenever the run may have news. Raises TooManyStreams."""
        flag = threading.Event()
        with self._lock:
            if len(self._streams[run_id]) >= STREAMS_PER_RUN:
                raise TooManyStreams
            self._streams[run_id].add(flag)
            self._start()
        try:
            self._listening.wait(timeout=5)
            yield flag
        finally:
            with self._lock:
                self._streams[run_id].discard(flag)
                if not self._streams[run_id]:
                    del self._streams[run_id]

    def close(self) -> None:
        """End all streams, so that the server can stop at once. Safe in a signal handler."""
        self.closed = True
        self._wake_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, name="live", daemon=True)
            self._thread.start()

    def _listen(self) -> None:
        while not self.closed:
            try:
                with psycopg.connect(self._database_url, autocommit=True) as connection:
                    self._relay(connection)
            except psycopg.Error as error:
                logger.warning("Live updates lost the database (%s); connecting again", error)
                self._listening.clear()
                threading.Event().wait(RECONNECT_S)

    def _relay(self, connection: psycopg.Connection) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        self._listening.set()
        self._wake_all()
        while not self.closed:
            for notification in connection.notifies(timeout=LOOK_UP_S):
                self._wake(notification.payload)

    def _wake(self, run_id: str) -> None:
        with self._lock:
            flags = list(self._streams.get(run_id, ()))
        for flag in flags:
            flag.set()

    def _wake_all(self) -> None:
        for flags in list(self._streams.values()):
            for flag in list(flags):
                flag.set()
