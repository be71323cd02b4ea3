"""The shipping service. `shipping_orders` holds what is known of each order, in whatever order it
came, and how the order ended."""

import os

from psycopg.types.json import Jsonb

from outbox import announce

TOPICS = ("ORDERS_TOPIC", "PAYMENTS_TOPIC", "STOCK_EVENTS_TOPIC")
TABLES = (
    """create table if not exists shipping_facts (
        order_id text, name text, value jsonb, primary key (order_id, name)
    )""",
    "create table if not exists shipping_outcomes (order_id text primary key, outcome text)",
)
TOPIC = os.environ["SHIPMENTS_TOPIC"]


def learn(db, order_id, **facts):
    for name, value in facts.items():
        db.execute(
            "insert into shipping_facts values (%s, %s, %s) on conflict do nothing",
            (order_id, name, Jsonb(value)),
        )


def ends(db, order_id, outcome):
    """Whether the order ends now, and so."""
    return db.execute(
        "insert into shipping_outcomes values (%s, %s) on conflict do nothing", (order_id, outcome)
    ).rowcount


def ship_if_ready(db, event, cause):
    order_id = event["order_id"]
    facts = dict(
        db.execute("select name, value from shipping_facts where order_id = %s", (order_id,))
    )
    if not {"goods", "reserved", "paid"} <= facts.keys() or not ends(db, order_id, "shipped"):
        return
    db.execute(
        "insert into deliveries (order_id, product, quantity, address) values (%s, %s, %s, %s)",
        (order_id, *facts["goods"]),
    )
    why = {**event, "event_id": cause or facts["paid"]}
    announce(db, "shipping", TOPIC, "OrderShipped", order_id, why)


def on_placed(db, event):
    goods = [event[name] for name in ("product", "quantity", "address")]
    learn(db, event["order_id"], goods=goods)
    ship_if_ready(db, event, None)


def on_reserved(db, event):
    learn(db, event["order_id"], reserved=event["event_id"])
    ship_if_ready(db, event, event["event_id"])


def on_captured(db, event):
    learn(db, event["order_id"], paid=event["event_id"])
    ship_if_ready(db, event, event["event_id"])


def on_bad_news(db, event):
    order_id = event["order_id"]
    if ends(db, order_id, "failed"):
        announce(
            db, "shipping", TOPIC, "OrderFailed", order_id, event, reason=event["type"]
        )


HANDLERS = {
    "OrderPlaced": on_placed,
    "StockReserved": on_reserved,
    "PaymentCaptured": on_captured,
    "StockRejected": on_bad_news,
    "PaymentDeclined": on_bad_news,
    "OrderCancelled": on_bad_news,
}
