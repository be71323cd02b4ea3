"""A program's connections to its database: bytes both ways, and who opened which."""

import asyncio

CHUNK = 64 * 1024


class DatabaseConnection:
    """Carries one connection until either side ends it or it is cut."""

    def __init__(
        self,
        program: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        database: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._from_program, self._to_program = program
        self._from_database, self._to_database = database

    @property
    def client_port(self) -> int:
        """The port the database sees this connection come from."""
        return self._to_database.get_extra_info("sockname")[1]

    async def run(self) -> str:
        """Carry the connection to its end; return how it ended."""
        up = asyncio.create_task(_carry(self._from_program, self._to_database))
        down = asyncio.create_task(_carry(self._from_database, self._to_program))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            return "by the program" if up.done() else "by the database"
        finally:
            up.cancel()
            down.cancel()
            self._to_program.close()
            self._to_database.close()

    def cut(self) -> None:
        """Break the connection on both sides at once, whatever is under way."""
        self._to_program.transport.abort()
        self._to_database.transport.abort()

    end = cut


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    except ConnectionError:
        return
