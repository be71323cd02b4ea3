"""One instance of the program: its box, what can be done to it, and the orchestrator's part.

An instance that exits by itself is started again 0.3 s later, at most five times, as an
orchestrator would do it. However an instance ends, the world treats it as a crash treats it: its
connections break, its open transactions roll back, its group members count as expired.
"""

import asyncio
import contextlib
import signal
from collections import deque
from typing import TYPE_CHECKING, Any

from graders.asking import BadAnswer, Question, ask
from graders.facts import Connection
from graders.trouble import PlatformFault
from sandbox.box import Box, Exit

if TYPE_CHECKING:
    from graders.lab import Lab

MOST_RESTARTS = 5
RESTART_AFTER_S = 0.3
CONNECT_S = 10.0
# Whoever used a CPU, or was ready and waited for one, for so much of its time is still at work, and
# was kept from it by others: a JVM on a machine with many times as much to do as it can. Not for
# ever, though.
AT_WORK = 0.2
MOST_START_S = 2 * CONNECT_S  # as long as with the doubled patience of a repeat
PRINTED_TOO_MUCH = "it printed more than it may"
FILLED_DATABASE = "it wrote more into its database than it may"
FREEZE_ATTEMPTS = 40
FREEZE_AGAIN_S = 0.01
LAST_LINES = 5
GRACE_S = 5.0  # as the statements say
LINE_CHARS = 300


def may_take(waited: float, wanted: float, patience: float) -> bool:
    """Whether a program may take so long, in seconds of the fair clock, to connect, when it has
    used or waited for a CPU for so many seconds since its start. `patience` multiplies the usual
    limit."""
    is_at_work = waited <= MOST_START_S and wanted >= AT_WORK * waited
    return waited <= CONNECT_S * patience or is_at_work


class Instance:
    """One running instance of the program, by its name (INSTANCE_ID); `app` is what it runs as."""

    def __init__(self, lab: "Lab", name: str, app: str = "") -> None:
        self.name = name
        self.app = app
        self.frozen = False
        self.abandoned = False
        self.cpu_seconds = 0.0
        self._lab = lab
        self._box: Box | None = None
        # The length of the history then, the fair clock, and the CPU time used before.
        self._launched = (0, 0.0, 0.0)
        self._ending: str | None = None  # how we want it to end; None while it is to live
        self._life: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)

    @property
    def alive(self) -> bool:
        """Whether its program is there, or about to be started again."""
        return self._life is not None and not self._life.done()

    @property
    def cpu_now(self) -> float:
        """Seconds of CPU that its processes have used until now."""
        return self.cpu_seconds + (self._box.cpu_seconds if self._box else 0.0)

    @property
    def _starved_now(self) -> float:
        """Seconds that the processes it has now were ready and waited for a CPU."""
        return self._box.starved_seconds if self._box else 0.0

    @property
    def is_starting(self) -> bool:
        """Whether its program has not opened a connection to the broker yet, and may take its time
        for it: 10 s, as the statement says, or more while it is short of CPU."""
        history = self._lab.history
        number, began, used = self._launched
        waited = history.clock.now() - began
        return (
            self.alive
            and not any(
                c.service == "kafka" and c.instance == self.name and c.n > number
                for c in history.of(Connection)
            )
            and may_take(waited, self.cpu_now - used + self._starved_now, self._lab.patience)
        )

    def _must_end(self) -> bool:
        return self._ending is not None

    async def start(self) -> None:
        """Start its program; nothing is done when it is there already."""
        if self.alive:
            return
        self._ending = None
        self._wake.clear()
        await self._launch("started")
        self._life = self._lab.tasks.create_task(self._live(), name=f"life of {self.name}")

    async def kill(self) -> None:
        """SIGKILL. Its sessions end as a crash ends them: transactions of the database roll back,
        Kafka's are aborted, and the group counts it as expired at once (see `evict`)."""
        if self._life is None:
            return
        if self._box is not None or self._ending is None:
            self._ending = "killed"
        self._wake.set()
        if self._box is not None:
            await self._box.kill()
        await self._life
        self._life = None

    async def terminate(self, grace: float = GRACE_S) -> None:
        """SIGTERM, then SIGKILL after `grace` seconds; returns when it has ended. Not restarted."""
        self.tell_to_stop()
        await self.ended_within(grace)

    def tell_to_stop(self) -> None:
        """SIGTERM, and go on with the story; `ended_within` sees to the end. Not restarted. It may
        be told again; nothing happens when there is no program."""
        if not self.alive:
            return
        self._ending = "stopped"
        self._wake.set()
        self._note("terminated")
        if self._box is not None:
            self._box.signal(signal.SIGTERM)

    async def ended_within(self, grace: float = GRACE_S) -> None:
        """Return when a program that was told to stop has ended; SIGKILL when it is overdue, after
        `grace` seconds of the fair clock."""
        await self._lab.history.wait_for(lambda _: self._box is None, grace * self._lab.patience)
        if self._box is not None:
            self._note("overdue")
        await self.kill()

    async def freeze(self) -> None:
        """Stop every process of it where it is. It stays a member of the group until `evict`.

        Between two database transactions if it can be: frozen inside one it would only make the
        others wait for its locks. An instance whose statement is being held is frozen right there.
        """
        assert self._box is not None
        for _ in range(FREEZE_ATTEMPTS):
            await self._box.freeze()
            if not await self._inside_transaction():
                break
            await self._box.thaw()
            await asyncio.sleep(FREEZE_AGAIN_S)
        else:
            await self._box.freeze()
        self.frozen = True
        self._note("frozen")

    async def _inside_transaction(self) -> bool:
        """Whether it has an open transaction that no fault of ours is holding."""
        held = {pid for fault in self._lab.sink.faults for pid in fault.pids}
        mine = [s for s in await self._lab.sink.sessions() if s.instance == self.name]
        return any(s.in_transaction for s in mine) and not any(s.pid in held for s in mine)

    async def thaw(self) -> None:
        """Let a frozen instance go on."""
        assert self._box is not None
        self.frozen = False
        self._note("thawed")
        await self._box.thaw()

    async def evict(self) -> None:
        """Make the group forget its members now, as after an expired session."""
        await self._lab.gateway.evict(self.name)

    async def ask(self, question: Question, within: float) -> tuple[int, Any]:
        """What its program answers over HTTP: see `asking.ask`. BadAnswer also when none runs."""
        if self._box is None:
            raise BadAnswer("it is not running")
        return await ask(self._box, self._lab.challenge.port, question, within)

    async def _launch(self, what: str) -> None:
        """Start the program in a fresh box and serve its doors."""
        lab = self._lab
        box = await Box.start(
            self.name,
            command=lab.program.command,
            source=lab.program.source,
            env=lab.environment(self.name, self.app),
            door_ports=lab.program.door_ports,
            limits=lab.program.limits,
            mounts=lab.program.mounts,
            on_output=self._output,
        )
        self._box = box
        self._launched = (len(lab.history), lab.history.clock.now(), self.cpu_now)
        self._note(what)
        await lab.gateway.attach(self.name, box.doors, frozenset({lab.groups[self.app]}))
        if self._must_end():  # we were told while it was being started
            await box.kill()

    async def _live(self) -> None:
        """See the program to its end, and start it again as often as it ends by itself, within
        reason."""
        for left in range(MOST_RESTARTS, -1, -1):
            exit = await self._see_end()
            if self._must_end():
                return
            hopeless = self._hopeless(exit)
            if hopeless or not left:
                why = hopeless or f"it ended {MOST_RESTARTS + 1} times, {ending(exit)}"
                self.abandoned = True
                self._note("abandoned", reason=why, output=list(self._last_lines))
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), RESTART_AFTER_S)
            if self._must_end():
                return
            await self._launch("restarted")

    def _hopeless(self, exit: Exit) -> str:
        """Why starting it again would not help; empty when it may."""
        if self._lab.database.full.is_set():
            return FILLED_DATABASE
        return PRINTED_TOO_MUCH if exit.reason == "output" else ""

    async def _see_end(self) -> Exit:
        """Wait until the program has ended and nothing is left of it."""
        assert self._box is not None
        exit = await self._box.wait()
        if exit.reason == "lost":
            raise PlatformFault(f"the box of {self.name} was ended from outside")
        if self._ending is None:
            self._note("exited", exit, output=list(self._last_lines))
        else:
            self._note(self._ending, exit)
        await self._bury()
        return exit

    async def _bury(self) -> None:
        """End what the dead program left open, as the crash of a machine does in time."""
        assert self._box is not None
        self.cpu_seconds += self._box.cpu_seconds
        self._box = None
        sink, gateway = self._lab.sink, self._lab.gateway
        sessions = [s.pid for s in await sink.sessions() if s.instance == self.name]
        await gateway.detach(self.name)
        await sink.end_sessions(sessions)
        await gateway.abort_transactions(self.name)
        await gateway.evict(self.name)

    def _output(self, stream: str, line: str) -> None:
        self._last_lines.append(line[:LINE_CHARS])
        self._lab.output(self.name, stream, line)

    def _note(self, what: str, exit: Exit | None = None, **fields: Any) -> None:
        """Record what happened to the process."""
        if exit:
            fields |= {"code": exit.code, "signal": exit.signal, "reason": exit.reason}
        self._lab.history.append("process", instance=self.name, what=what, **fields)


def ending(exit: Exit) -> str:
    """How a program ended, in words."""
    if exit.reason in ("memory", "pids"):
        return f"last by using more {exit.reason} than it may"
    if exit.signal is not None:
        return f"last by signal {exit.signal}"
    return f"last with exit code {exit.code}"
