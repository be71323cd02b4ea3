"""The shipping service: one call is one attempt."""

import os

import httpx


class Refused(Exception):
    """The service will never ship this."""


class Failed(Exception):
    """Not shipped, perhaps later."""


client = httpx.Client(base_url=os.environ["SHIPPING_URL"], timeout=2.0)


def ship(order):
    """Ask once. Raises Refused or Failed."""
    body = {"order": order["id"], "customer": order["customer"],
            "item": order["item"], "quantity": order["quantity"]}
    try:
        answer = client.post("/shipments", json=body, headers={"Idempotency-Key": order["id"]})
    except httpx.TransportError as error:
        raise Failed(f"{type(error).__name__}: {error}") from error
    if answer.status_code in (200, 201):
        return
    if answer.status_code in (429, 503):
        raise Failed(f"shipping answered {answer.status_code}")
    raise Refused(f"shipping answered {answer.status_code}: {answer.text}")
