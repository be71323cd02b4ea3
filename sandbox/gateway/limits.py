"""Bounds on what one instance of a program may cost the gateway."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Whatever crosses one of these ends the connection and is recorded as refused.

    connections: open at one time, to Kafka and to the database each.
    produce_bytes, request_bytes: of one Produce request, of one request of any other kind.
    response_bytes: of one response; above the broker's own fetch.max.bytes.
    requests_in_flight: on one connection; further ones wait in the program's socket.
    facts: recorded about one instance in all, so that a storm of requests cannot fill the history.
    settle_seconds: how long the outcome of a dead program's last requests is waited for.
    """

    connections: int = 50
    produce_bytes: int = 4 * MIB
    request_bytes: int = MIB // 4
    response_bytes: int = 64 * MIB
    requests_in_flight: int = 100
    facts: int = 100_000
    settle_seconds: float = 5.0
