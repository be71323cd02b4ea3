"""Bounds on what one instance of a program may cost the gateway."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Limits:
    """Whatever crosses one of these ends the connection and is recorded as refused; requests that
    are in flight or come too fast just wait.

    kafka_connections, database_connections, http_connections: open at one time, the last to each
        outside service. Programs are promised 20 to the database; some drivers open each twice,
        for they ask for TLS first.
    produce_bytes, request_bytes: of one Produce request, of one request of any other kind.
    unpacked_bytes: of the records of one partition in a Produce request, uncompressed.
    response_bytes: of one response; above the broker's own fetch.max.bytes.
    http_header_bytes, http_body_bytes: of one request to an outside service; about so many.
    requests_in_flight: on one connection; further ones wait in the program's socket.
    requests_per_second: to the broker, over all connections; a second's worth may come at once. A
        busy program has a few hundred, and one costs the gateway a tenth of a millisecond.
    history_bytes: recorded about one instance in all, so that no storm fills the history.
    settle_seconds: how long the outcome of a dead program's last requests is waited for.
    """

    kafka_connections: int = 50
    database_connections: int = 40
    http_connections: int = 50
    produce_bytes: int = 4 * MIB
    request_bytes: int = 32 * KIB
    unpacked_bytes: int = 16 * MIB
    response_bytes: int = 16 * MIB
    http_header_bytes: int = 16 * KIB
    http_body_bytes: int = 64 * KIB
    requests_in_flight: int = 100
    requests_per_second: int = 2_000
    history_bytes: int = 20 * MIB
    settle_seconds: float = 5.0
