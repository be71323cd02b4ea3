"""Rough figures where the answers allow them: partitions, and what the transport costs a month.

Partitions: max(T / P, T / C) rounded up, T the rate to carry, P and C what one partition takes
from a producer and gives to a consumer. Cost: list prices, dated in the model; people are not in
them and usually cost more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from decision_guide.answers import Answers
from decision_guide.model import Model
from decision_guide.result import Estimate

_SECONDS_A_MONTH = 365.25 / 12 * 86_400


@dataclass(frozen=True)
class Traffic:
    """Messages a second from `low` to `high` (infinity: no upper bound), each of `kib`."""

    low: float
    high: float
    kib: float

    def mib(self, rate: float) -> float:
        return rate * self.kib / 1024


def partitions(rate: float, producer: float, consumer: float) -> int:
    """The least number of partitions for `rate`, all three in the same unit a second."""
    return max(1, math.ceil(rate / producer), math.ceil(rate / consumer))


def estimate(model: Model, answers: Answers) -> tuple[Estimate, ...]:
    """Partitions, a log's and a queue's monthly price; empty when the rate is not known."""
    traffic = _traffic(model, answers)
    if traffic is None:
        return ()
    return (
        _partitions(model, answers, traffic),
        _log_cost(model, traffic),
        _queue_cost(model, answers, traffic),
    )


def _traffic(model: Model, answers: Answers) -> Traffic | None:
    given = answers.given.get("throughput")
    if given is None or given.level is None:
        return None
    low, high = model.questions[model.question("throughput")].span(given.level)
    if given.number is not None:
        low = high = given.number
    return Traffic(low, high, _message_kib(model, answers))


def _message_kib(model: Model, answers: Answers) -> float:
    if "message_kib" in answers.measures:
        return answers.measures["message_kib"]
    payload = answers.given.get("payload")
    if payload is None or not payload.level:
        return model.estimates["message_kib"]["value"]
    return model.questions[model.question("payload")].span(payload.level)[0]


def _range(low: float, high: float, of: Callable[[float], float]) -> tuple[float, float | None]:
    return of(low), None if math.isinf(high) else of(high)


def _partitions(model: Model, answers: Answers, traffic: Traffic) -> Estimate:
    figures = model.estimates
    producer = answers.measures.get("producer_mib_s", figures["producer_mib_s"]["value"])
    consumer = answers.measures.get("consumer_mib_s", figures["consumer_mib_s"]["value"])
    low, high = _range(
        traffic.low, traffic.high, lambda rate: partitions(traffic.mib(rate), producer, consumer)
    )
    basis = (
        f"{traffic.kib:g} KiB a message; one partition takes {producer:g} MiB/s from a producer "
        f"and gives {consumer:g} MiB/s to a consumer. Plan for "
        f"{figures['partition_headroom']['value']:g} to 3 times as many, and for at least as many "
        "as there are consumers in a group."
    )
    source = tuple(figures["producer_mib_s"]["source"])
    return Estimate("partitions of a log", low, high, basis, source, "H")


def _log_cost(model: Model, traffic: Traffic) -> Estimate:
    table = model.estimates["log_monthly_usd"]
    rows = table["rows"]

    def price(rate: float) -> float | None:
        fitting = [r["usd"] for r in rows if r["average_in_mib_s"] >= traffic.mib(rate)]
        return fitting[0] if fitting else None

    low = price(traffic.low)
    high = None if math.isinf(traffic.high) else price(traffic.high)
    basis = (
        "managed Kafka, three brokers in three zones, three replicas, seven days kept; "
        + _prices(model)
    )
    floor = rows[-1]["usd"] if low is None else low
    what = "managed log, USD a month"
    return Estimate(what, floor, high, basis, tuple(table["source"]), table["confidence"])


def _queue_cost(model: Model, answers: Answers, traffic: Traffic) -> Estimate:
    figures = model.estimates["queue"]
    chunks = math.ceil(traffic.kib / figures["chunk_kib"])
    consumers = _consumers(model, answers)

    def price(rate: float, batch: float) -> float:
        requests = rate * _SECONDS_A_MONTH * figures["requests_per_message"] * consumers / batch
        return requests * chunks * figures["usd_per_million_requests"] / 1e6

    low, high = _range(traffic.low, traffic.high, lambda rate: price(rate, 1))
    low = price(traffic.low, figures["messages_per_batch"])
    basis = (
        f"{consumers} queue(s), {figures['requests_per_message']:g} requests a message, from "
        f"batches of {figures['messages_per_batch']:g} to none; " + _prices(model)
    )
    what = "managed queue, USD a month"
    return Estimate(what, low, high, basis, tuple(figures["source"]), figures["confidence"])


def _prices(model: Model) -> str:
    region, read_on = model.estimates["region"], model.estimates["read_on"]
    return f"list prices {region}, {read_on}; people not included"


def _consumers(model: Model, answers: Answers) -> int:
    given = answers.given.get("consumers")
    if given is None or given.level is None:
        return 1
    start = model.questions[model.question("consumers")].span(given.level)[0]
    return max(1, int(given.number if given.number is not None else start))
