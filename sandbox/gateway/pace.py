"""How fast the requests of a program are taken."""

import asyncio
from collections import defaultdict


class Pace:
    """Lets each instance have so many requests a second, a second's worth of them at once; further
    ones wait for their turn, in the program's sockets behind it.

    That is the generic cell rate algorithm (ITU-T I.371): all that is kept is when the next request
    would be due at an even pace.
    """

    def __init__(self, per_second: int) -> None:
        self._between = 1 / per_second
        self._due: defaultdict[str, float] = defaultdict(float)  # on the loop's clock

    async def turn(self, instance: str) -> None:
        """Return once the instance may have one request more."""
        now = asyncio.get_running_loop().time()
        due = self._due[instance] = max(self._due[instance], now - 1.0) + self._between
        if due > now:
            await asyncio.sleep(due - now)
