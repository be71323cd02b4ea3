"""The state machine. A saga's state is the action that it waits for, or how it ended."""

FIRST = "reserve"
ENDS = ("completed", "cancelled")

NEXT = {
    ("reserve", "done"): "charge",
    ("charge", "done"): "ship",
    ("ship", "done"): "deduct",
    ("deduct", "done"): "completed",
    ("reserve", "refused"): "cancelled",
    ("charge", "refused"): "release",
    ("ship", "refused"): "refund",
    ("refund", "done"): "release",
    ("release", "done"): "cancelled",
    # Nobody knows whether it was done: undo it, which settles it either way.
    ("reserve", "overdue"): "release",
    ("charge", "overdue"): "refund",
}

CARRIES = {
    "reserve": ("sku", "quantity"),
    "charge": ("customer", "amount"),
    "ship": ("customer",),
    "deduct": ("sku", "quantity"),
}
UNDOES = {"release": "reserve", "refund": "charge"}
SERVICE = {
    "reserve": "STOCK", "release": "STOCK", "deduct": "STOCK",
    "charge": "PAYMENT", "refund": "PAYMENT",
    "ship": "SHIPPING",
}


def after(state, status):
    """The next state; the same one when the action must be asked for again."""
    return NEXT.get((state, status), state)


def command(order, action, ids):
    """The command for an action; `ids` holds the ids of the order's commands by action."""
    value = {"id": ids[action], "order": order["id"], "action": action}
    if action in UNDOES:
        return {**value, "undoes": ids[UNDOES[action]]}
    return {**value, **{name: order[name] for name in CARRIES[action]}}
