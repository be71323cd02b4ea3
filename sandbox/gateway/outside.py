"""The outside services of a challenge: what a program asks of them, and what they answer.

A service is played by the grader: its `answer` is called for every request that reaches it. What
programs send may be anything, so `answer`, `identify` and a fault's `where` must take any request:
`HttpRequest.field` helps.
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn


@dataclass(frozen=True)
class HttpRequest:
    """A request. `path` is unquoted and without the query, `query` as it was sent; the names of
    `headers` are in lower case; `body` is JSON, None when there was none."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def field(self, name: str) -> Any:
        """A field of the body; None when that is no JSON object or has no such field."""
        return self.body.get(name) if isinstance(self.body, dict) else None


@dataclass(frozen=True)
class HttpResponse:
    """A response; `body` is sent as JSON, None as no body at all."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def idempotency_key(request: HttpRequest) -> str | None:
    """What most services know a request by: its Idempotency-Key header."""
    return request.headers.get("idempotency-key")


@dataclass(frozen=True)
class HttpService:
    """An outside service.

    answer: gets the instance that asks and its request. What it does counts as done when it
        returns, whatever becomes of the response; it is never interrupted.
    identify: the id by which several requests are recognised as tries of one and the same call;
        None for a request that has none.
    """

    name: str
    answer: Callable[[str, HttpRequest], Awaitable[HttpResponse]]
    identify: Callable[[HttpRequest], str | None] = idempotency_key


def read_json(data: bytes) -> Any:
    """Return the JSON value of a body, None of an empty one.

    Raises ValueError for what is no JSON, and for JSON that no history can hold: numbers out of
    range, text that is no Unicode or holds the character 0, nesting without end.
    """
    if not data:
        return None
    if b"\\u0000" in data:
        raise ValueError("the character 0 in a text")
    try:
        value = json.loads(data, parse_constant=_no_number, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()  # lone surrogates fail here
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is out of range")
    return number
