"""What is an order, and what is not."""

import json


class Poison(Exception):
    """A value that is no order; the message says why."""


def parse(value):
    """The order in a record's value. Raises Poison."""
    try:
        order = json.loads(value.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Poison(f"no JSON: {type(error).__name__}") from error
    if not isinstance(order, dict):
        raise Poison("no JSON object")
    for name in ("id", "customer", "item"):
        if not isinstance(order.get(name), str) or not order[name]:
            raise Poison(f"{name} is missing or no text")
    quantity = order.get("quantity")
    if not isinstance(quantity, int) or isinstance(quantity, bool) or not 1 <= quantity <= 1000:
        raise Poison("quantity is missing or out of range")
    return order
