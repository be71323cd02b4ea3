"""The shipping service. `shipping_orders` holds what is known of each order, in whatever order it
came, and how the order ended."""

import os

from outbox import announce

TOPICS = ("ORDERS_TOPIC", "PAYMENTS_TOPIC", "STOCK_EVENTS_TOPIC")
TABLES = (
    """create table if not exists shipping_orders (
        order_id text primary key, product text, quantity bigint, address text,
        reserved text, paid text, outcome text
    )""",
)
TOPIC = os.environ["SHIPMENTS_TOPIC"]


def learn(db, order_id, **facts):
    db.execute(
        "insert into shipping_orders (order_id) values (%s) on conflict do nothing", (order_id,)
    )
    for name, value in facts.items():
        db.execute(
            f"update shipping_orders set {name} = %s where order_id = %s", (value, order_id)
        )


def ship_if_ready(db, event, cause):
    order_id = event["order_id"]
    ready = db.execute(
        "update shipping_orders set outcome = 'shipped' where order_id = %s and outcome is null"
        " and product is not null and reserved is not null and paid is not null"
        " returning paid, product, quantity, address",
        (order_id,),
    ).fetchone()
    if ready is None:
        return
    paid, *goods = ready
    db.execute(
        "insert into deliveries (order_id, product, quantity, address) values (%s, %s, %s, %s)",
        (order_id, *goods),
    )
    why = {**event, "event_id": paid}
    announce(db, "shipping", TOPIC, "OrderShipped", order_id, why)


def on_placed(db, event):
    goods = {name: event[name] for name in ("product", "quantity", "address")}
    learn(db, event["order_id"], **goods)
    ship_if_ready(db, event, None)


def on_reserved(db, event):
    learn(db, event["order_id"], reserved=event["event_id"])
    ship_if_ready(db, event, event["event_id"])


def on_captured(db, event):
    learn(db, event["order_id"], paid=event["event_id"])
    ship_if_ready(db, event, event["event_id"])


def on_bad_news(db, event):
    order_id = event["order_id"]
    learn(db, order_id)
    failed = db.execute(
        "update shipping_orders set outcome = 'failed' where order_id = %s and outcome is null",
        (order_id,),
    ).rowcount
    if failed:
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
