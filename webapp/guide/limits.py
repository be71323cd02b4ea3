"""How often one address may ask the guide to reckon.

Nobody needs an account here, and a result costs a tenth of a second of CPU, so nobody may take the
machine from all others. Counted in the memory of this process: a restart forgives everybody.
"""

import ipaddress
import math
import time
from collections import OrderedDict

from flask import Flask, current_app, render_template, request
from flask.blueprints import BlueprintSetupState

from webapp.errors import KNOWN, json_error, wants_json

BURST, PER_SECOND = 300, 6
"""A room of thirty people behind one address who each answer a question every five seconds."""
COST = {"guide_results": 2}
"""What a request to a blueprint counts; 1 where nothing is said."""
MOST_ADDRESSES = 10_000


class Buckets:
    """A bucket for each address, which holds BURST and fills up by PER_SECOND."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, cost: float, now: float) -> float:
        """Take `cost` out of a bucket at the time `now` (seconds): 0, or else, and then nothing is
        taken, how many seconds it takes until that much is there."""
        left, then = self._left.pop(address, (BURST, now))
        left = min(BURST, left + (now - then) * PER_SECOND)
        missing = max(0.0, cost - left)
        self._left[address] = (left if missing else left - cost, now)
        if len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        return missing / PER_SECOND


def init(state: BlueprintSetupState) -> None:
    """Give the application its buckets, once for all blueprints."""
    state.app.extensions.setdefault("guide_buckets", Buckets())


def buckets(app: Flask) -> Buckets:
    """The application's buckets."""
    return app.extensions["guide_buckets"]


def refuse_haste():
    """Before a request: the answer 429 when its address has asked for too much."""
    cost = COST.get(request.blueprint or "", 1)
    wait = math.ceil(
        buckets(current_app).wait(network(request.remote_addr), cost, time.monotonic())
    )
    return busy(wait) if wait else None


def network(address: str | None) -> str:
    """The address, or of IPv6 the network of 64 bits, which one household has to itself."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return ""
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def busy(wait: int):
    """Say how long to wait. The page sends again what was sent, so that nothing is lost."""
    name, title, _ = KNOWN[429]
    message = f"Too much was asked from your network. Wait {wait} s and try again."
    headers = {"Retry-After": str(wait)}
    if wants_json():
        answer, code = json_error(429, name, message, "Your answers are kept.", retry_after=wait)
        return answer, code, headers
    return render_template("guide/again.html", title=title, message=message), 429, headers
