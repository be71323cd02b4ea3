"""One Kafka connection of a program: requests one way, responses the other, faults in between."""

import asyncio
import contextlib
from collections import deque

from sandbox.gateway.exchange import CutOff, Exchange, Intake
from sandbox.gateway.faults import Fate
from sandbox.gateway.frames import PREFIX, Frame, FrameTooLarge
from sandbox.gateway.peer import Peer
from sandbox.gateway.wire import Malformed


class KafkaConnection:
    """Carries one connection until either side ends it, a fault cuts it, or `end` is called.

    Kafka answers the requests of a connection in their order, and clients rely on it. So `_pending`
    is the order in which responses leave, and our own replies wait in it for their turn.
    """

    def __init__(self, intake: Intake, instance: str, program: Peer, broker: Peer) -> None:
        self._intake = intake
        self._instance = instance
        self._program = program
        self._broker = broker
        self._pending: deque[Exchange] = deque()
        self._slots = asyncio.Semaphore(intake.limits.requests_in_flight)
        self._silent = False  # the program hears nothing more, and no more of it is heard
        self._answer_seen = asyncio.Event()
        self._requests: asyncio.Task[str] | None = None

    async def run(self) -> str:
        """Carry the connection to its end; return how it ended."""
        requests = self._requests = asyncio.create_task(self._carry_requests())
        responses = asyncio.create_task(self._carry_responses())
        try:
            await asyncio.wait((requests, responses), return_when=asyncio.FIRST_COMPLETED)
            if requests.done() and not responses.done():
                await self._settle(responses)
            ends = [task.result() for task in (requests, responses) if _has_ended(task)]
            return ends[0] if ends else "by the gateway"
        finally:
            requests.cancel()
            responses.cancel()
            self._program.close()
            self._broker.close()
            self._lose_pending()

    def end(self) -> None:
        """Close the connection towards the program; `run` returns when the rest is settled."""
        if self._requests is not None:
            self._requests.cancel()

    async def _carry_requests(self) -> str:
        """Returns why no more requests come."""
        try:
            while True:
                frame = await self._program.read()
                await self._intake.pace.turn(self._instance)
                if not self._silent:
                    await self._carry_request(frame)
        except ConnectionError:
            return "from the program's side"
        except FrameTooLarge as error:
            self._intake.refused(self._instance, "frame", str(error))
            return str(error)
        except Malformed as error:
            self._intake.refused(self._instance, "malformed request", str(error))
            return str(error)
        except CutOff as error:
            return str(error)

    async def _carry_request(self, frame: Frame) -> None:
        exchange = self._intake.open(self._instance, memoryview(frame)[PREFIX:])
        await self._apply_faults(exchange, False, len(frame))
        if self._silent:  # which may have come about while a fault held the request
            return
        await self._slots.acquire()
        if exchange.reply is not None:
            self._pending.append(exchange)
            self._send_replies()
            await self._program.drain()
            return
        self._forward(exchange, frame)
        try:
            await self._broker.drain()
        except ConnectionError as error:
            raise CutOff("by the broker") from error

    async def _apply_faults(self, exchange: Exchange, on_response: bool, size: int) -> None:
        """Let the faults act that chose this message. Raises CutOff."""
        for fault in exchange.faults:
            if exchange.is_late(fault) is not on_response:
                continue
            fate = await fault.act(self._instance, exchange.what, size)
            if fate is Fate.CUT:
                raise CutOff("cut by the grader")
            if fate is Fate.LOSE:
                self._silent = True
            if fate is Fate.ANSWER:
                self._intake.answer(exchange, fault.action.error)
                return

    def _forward(self, exchange: Exchange, frame: Frame) -> None:
        if exchange.observer is not None:
            exchange.note = exchange.observer.forwarded(self._instance, exchange.body)
        exchange.body = {}  # with the records in it: what is still needed stands in the note
        self._broker.write(exchange.instead or frame)
        if exchange.expects_response:
            self._pending.append(exchange)
            return
        self._slots.release()
        if exchange.observer is not None:
            exchange.observer.lost(self._instance, exchange.note)

    async def _carry_responses(self) -> str:
        """Returns why no more responses come."""
        try:
            while True:
                frame = await self._broker.read()
                await self._carry_response(frame)
        except ConnectionError:
            return "by the broker"
        except CutOff as error:
            return str(error)
        finally:
            self._answer_seen.set()

    async def _carry_response(self, frame: Frame) -> None:
        exchange = self._next_pending(frame)
        body = None
        if exchange.observer is not None:
            codec, observer = self._intake.codec, exchange.observer
            body = codec.decode_response(exchange.api, exchange.version, memoryview(frame)[PREFIX:])
            await observer.answered(self._instance, exchange.note, body)
            exchange.answered, exchange.body = True, body
            self._answer_seen.set()
            if observer.rewrites(exchange.note, body):
                frame = codec.encode_response(
                    exchange.api, exchange.version, exchange.correlation_id, body
                )
        await self._apply_faults(exchange, True, len(frame))
        if not self._silent:
            if exchange.observer is not None and body is not None:
                exchange.observer.delivered(self._instance, exchange.note, body)
            self._program.write(exchange.reply or frame)
        self._done()
        self._send_replies()
        await self._drain_program()

    def _next_pending(self, frame: Frame) -> Exchange:
        correlation_id = int.from_bytes(frame[PREFIX : PREFIX + 4], signed=True)
        if not self._pending or self._pending[0].correlation_id != correlation_id:
            raise RuntimeError(f"the broker answered request {correlation_id} out of turn")
        return self._pending[0]

    def _send_replies(self) -> None:
        """Send our own replies whose turn it is."""
        while self._pending and (reply := self._pending[0].reply) is not None:
            if not self._silent:
                self._program.write(reply)
            self._done()

    def _done(self) -> None:
        self._pending.popleft()
        self._slots.release()

    async def _drain_program(self) -> None:
        """Wait until the program takes what we sent; a dead one needs nothing more."""
        try:
            await self._program.drain()
        except ConnectionError:
            self._silent = True

    async def _settle(self, responses: asyncio.Task[str]) -> None:
        """The program is gone: see for a while what the broker did with its last requests."""
        self._silent = True
        self._program.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._intake.limits.settle_seconds):
                while any(each.unsettled for each in self._pending) and not responses.done():
                    self._answer_seen.clear()
                    await self._answer_seen.wait()

    def _lose_pending(self) -> None:
        """Tell observers which answers will never come."""
        for exchange in self._pending:
            if exchange.observer is not None and not exchange.answered and exchange.reply is None:
                exchange.observer.lost(self._instance, exchange.note)


def _has_ended(task: asyncio.Task[str]) -> bool:
    return task.done() and not task.cancelled()
