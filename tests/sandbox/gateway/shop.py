"""An outside service, a gateway in front of it, and doors to it: what its tests play on."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from sandbox.gateway import Gateway, HttpRequest, HttpResponse, HttpService, Limits, Policy

PATIENCE = 30.0  # seconds until a test gives up waiting; nothing is measured by it
NOBODY = ("127.0.0.1", 1)
PORT = 8081


class Shop:
    """A payment service at PORT, that charges an order once and then says so again.

    open: clear it to let the service wait before it charges.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self.facts: list[dict[str, Any]] = []
        self.charged: list[str] = []
        self.asked: list[HttpRequest] = []
        self.open = asyncio.Event()
        self.open.set()
        self._news = asyncio.Event()
        self.gateway = Gateway(
            broker=NOBODY,
            database=None,
            record=self._record,
            policy=Policy(),
            services={PORT: HttpService("payment", self._answer, lambda r: r.field("order"))},
            limits=limits,
        )

    async def door(self, instance: str = "app") -> int:
        """Attach an instance; return the port at which it finds the service."""
        door = socket.create_server(("127.0.0.1", 0))
        await self.gateway.attach(instance, {PORT: door})
        return door.getsockname()[1]

    async def _answer(self, instance: str, request: HttpRequest) -> HttpResponse:
        self.asked.append(request)
        self._news.set()
        await self.open.wait()
        order = request.field("order")
        if order is None:
            return HttpResponse(204)
        if order not in self.charged:
            self.charged.append(order)
        if not isinstance(order, str):
            raise TypeError("a service must take anything; this one does not, for a test")
        return HttpResponse(201, {"charged": order}, {"X-By": instance})

    def of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        wanted = {"kind": kind, **fields}.items()
        return [fact for fact in self.facts if wanted <= fact.items()]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Return the condition's value once that is true; asked at each fact."""
        async with asyncio.timeout(PATIENCE):
            while not (value := condition()):
                self._news.clear()
                await self._news.wait()
            return value

    async def fact(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Return the first fact like this, once it is there."""
        return (await self.until(lambda: self.of(kind, **fields)))[0]

    def _record(self, kind: str, fields: dict[str, Any]) -> None:
        self.facts.append({"kind": kind, **fields})
        self._news.set()
