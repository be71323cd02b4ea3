"""Calls of programs to outside services: counted, recorded, subject to faults."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.gateway.exchange import CutOff
from sandbox.gateway.faults import Action, Builder, Fate, Fault, Faults, Record
from sandbox.gateway.http_stream import BadRequest, HttpStream
from sandbox.gateway.outside import HttpRequest, HttpResponse, HttpService

SERVED, FAILED, LOST, ABANDONED = "served", "failed", "lost", "abandoned"
_PATH_CHARS = 80  # of a path, in what is said about a fault


@dataclass(frozen=True)
class CallMatch:
    """A match of calls to an outside service."""

    service: str
    instance: str | None
    path: str | None
    where: Callable[[HttpRequest], bool] | None

    @property
    def targets(self) -> tuple[str, ...]:
        return (_target(self.service),)

    def accepts(self, instance: str, request: HttpRequest) -> bool:
        return (
            self.instance in (None, instance)
            and self.path in (None, request.path)
            and (self.where is None or self.where(request))
        )

    def __str__(self) -> str:
        return f"call to {self.service}" + (f" {self.path}" if self.path else "")


class CallFaultBuilder(Builder):
    """The builder of a fault on calls. A `drop_request` is a service that takes a call and never
    answers; a `cut` resets the connection; a held response that is released is a late success."""

    def error(self, status: int, body: Any = None, retry_after: int | None = None) -> Fault:
        """Answer in the service's place, which never sees the request.

        retry_after: seconds, of a Retry-After header. Raises ValueError for a status that is no
        error.
        """
        if not 400 <= status <= 599:
            raise ValueError(f"{status} is no error of HTTP; errors are 400 to 599")
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        response = HttpResponse(status, body, headers)
        return self._arm(Action(f"error {status}", Fate.ANSWER, error=response))


@dataclass(frozen=True)
class Call:
    """A request that has come: the `number`-th to its service with its `id`.

    name: "c1", "c2"... as in the history. faults: those that chose it.
    """

    name: str
    service: str
    instance: str
    request: HttpRequest
    id: str | None
    number: int
    faults: list[Fault] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.service} {self.request.method} {self.request.path[:_PATH_CHARS]}"


class Desk:
    """Where calls to all services of a gateway are counted and recorded."""

    def __init__(self, faults: Faults, record: Record) -> None:
        self._faults = faults
        self._record = record
        self._names = itertools.count(1)
        self._tries: Counter[tuple[str, str | None]] = Counter()

    def open(self, service: HttpService, instance: str, request: HttpRequest, heard: bool) -> Call:
        """Count a request, and let faults choose it if anybody waits for an answer."""
        found = service.identify(request)
        id = found if isinstance(found, str) else None
        self._tries[service.name, id] += 1
        number = self._tries[service.name, id]
        armed = self._faults.armed(_target(service.name)) if heard else []
        faults = [f for f in armed if f.chooses(instance, request)]
        name = f"c{next(self._names)}"
        return Call(name, service.name, instance, request, id, number, faults)

    def called(self, call: Call, outcome: str, status: int | None) -> None:
        """Record what became of a call."""
        fields = {
            "instance": call.instance,
            "service": call.service,
            "call": call.name,
            "method": call.request.method,
            "path": call.request.path,
            "body": call.request.body,
            "id": call.id,
            "number": call.number,
            "outcome": outcome,
            "status": status,
        }
        self._record("call", fields)

    def answered(self, call: Call, status: int) -> None:
        """Record that the program is about to hear the answer."""
        fields = {"service": call.service, "call": call.name, "status": status}
        self._record("answered", {"instance": call.instance, **fields})

    def unanswered(self, call: Call, waited_s: float) -> None:
        """Record that nobody will answer, and how long ago the request had come."""
        fields = {"service": call.service, "call": call.name, "waited_s": round(waited_s, 3)}
        self._record("unanswered", {"instance": call.instance, **fields})

    def refused(self, service: str, instance: str, why: str) -> None:
        """Record that what came was no request."""
        self._record("refused", {"instance": instance, "api": service, "why": why})


class HttpConnection:
    """Carries one connection to an outside service: one request after the other.

    A request outlives its connection, as in a network: what is held for a program that has hung up
    still reaches the service when it is released. `end` loses what is held.
    """

    def __init__(
        self,
        desk: Desk,
        service: HttpService,
        instance: str,
        program: HttpStream,
        settle_seconds: float,
    ) -> None:
        """settle_seconds: how long a service may take to answer a program that is gone."""
        self._desk = desk
        self._service = service
        self._instance = instance
        self._program = program
        self._settle_seconds = settle_seconds
        self._work: asyncio.Task[str] | None = None
        self._answering: asyncio.Task[HttpResponse] | None = None

    async def run(self) -> str:
        """Carry the connection to its end; return how it ended."""
        self._work = asyncio.create_task(self._serve())
        try:
            await asyncio.wait((self._work,))
            await self._settle()
            return "by the gateway" if self._work.cancelled() else self._work.result()
        finally:
            self._work.cancel()

    def end(self) -> None:
        """Close the connection; `run` returns when the service has done what it was asked."""
        self._program.transport.close()
        if self._work is not None:
            self._work.cancel()

    async def _settle(self) -> None:
        if self._answering is not None:
            await asyncio.wait_for(self._answering, self._settle_seconds)

    async def _serve(self) -> str:
        """Returns why no more requests come."""
        try:
            while (request := await self._program.next_request()) is not None:
                await self._take(request)
                if not self._program.may_go_on:
                    break
            return "by the program"
        except BadRequest as error:
            self._desk.refused(self._service.name, self._instance, str(error))
            await self._program.refuse(error.status)
            return str(error)
        except CutOff as error:
            self._program.reset()
            return str(error)

    async def _take(self, request: HttpRequest) -> None:
        """Carry a request to the service; not one that the program had given up before we came to
        read it, which tells of our delay and not of a slow service."""
        heard = not await self._program.is_given_up()
        call = self._desk.open(self._service, self._instance, request, heard)
        if heard:
            await self._carry(call)
        else:
            self._desk.called(call, ABANDONED, None)

    async def _carry(self, call: Call) -> None:
        try:
            response = await self._before(call)
            await self._apply_faults(call, on_response=True)
            if self._program.listens:
                self._desk.answered(call, response.status)
            await self._program.respond(response)
        except _Silence:
            if self._program.listens:
                self._desk.unanswered(call, self._program.waited_s)
            await self._program.discard()
        except ConnectionError:  # it hung up while we wrote
            return

    async def _before(self, call: Call) -> HttpResponse:
        """Return the service's response, or that of a fault in its place."""
        try:
            instead = await self._apply_faults(call, on_response=False)
        except (CutOff, _Silence, asyncio.CancelledError):
            self._desk.called(call, LOST, None)
            raise
        if instead is not None:
            self._desk.called(call, FAILED, instead.status)
            return instead
        self._answering = asyncio.create_task(self._answer(call))
        return await asyncio.shield(self._answering)

    async def _answer(self, call: Call) -> HttpResponse:
        response = await self._service.answer(call.instance, call.request)
        self._desk.called(call, SERVED, response.status)
        return response

    async def _apply_faults(self, call: Call, on_response: bool) -> HttpResponse | None:
        """Let the faults act that chose this call; return the response of one that answers."""
        for fault in call.faults:
            if fault.action.on_response is not on_response:
                continue
            fate = await fault.act(call.instance, str(call))
            if fate is Fate.CUT:
                raise CutOff("cut by the grader")
            if fate is Fate.LOSE:
                raise _Silence
            if fate is Fate.ANSWER:
                return fault.action.error
        return None


class _Silence(Exception):
    """The program hears nothing more on its connection."""


def _target(service: str) -> str:
    return f"call to {service}"
