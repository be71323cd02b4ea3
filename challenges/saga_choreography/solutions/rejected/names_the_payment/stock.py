"""The stock service. `stock_orders` says what has become of each order, also before it came."""

import os

from outbox import announce

TOPICS = ("ORDERS_TOPIC", "SHIPMENTS_TOPIC")
TABLES = (
    "create table if not exists stock_orders (order_id text primary key, state text not null)",
)
TOPIC = os.environ["STOCK_EVENTS_TOPIC"]


def state_of(db, order_id):
    row = db.execute("select state from stock_orders where order_id = %s", (order_id,)).fetchone()
    return row and row[0]


def remember(db, order_id, state):
    db.execute(
        "insert into stock_orders values (%s, %s)"
        " on conflict (order_id) do update set state = excluded.state",
        (order_id, state),
    )


def on_placed(db, event):
    order_id, state = event["order_id"], state_of(db, event["order_id"])
    if state not in (None, "failed"):
        return
    taken = state is None and db.execute(
        "update stock set available = available - %(quantity)s"
        " where product = %(product)s and available >= %(quantity)s",
        event,
    ).rowcount
    if taken:
        db.execute(
            "insert into reservations (order_id, product, quantity)"
            " values (%(order_id)s, %(product)s, %(quantity)s)",
            event,
        )
    remember(db, order_id, "reserved" if taken else "rejected")
    type = "StockReserved" if taken else "StockRejected"
    announce(db, "stock", TOPIC, type, order_id, event)


def on_failed(db, event):
    order_id, state = event["order_id"], state_of(db, event["order_id"])
    if state is None:
        remember(db, order_id, "failed")
    if state != "reserved":
        return
    remember(db, order_id, "released")
    product, quantity = db.execute(
        "insert into releases (order_id, product, quantity)"
        " select order_id, product, quantity from reservations where order_id = %s"
        " returning product, quantity",
        (order_id,),
    ).fetchone()
    db.execute(
        "update stock set available = available + %s where product = %s", (quantity, product)
    )
    announce(db, "stock", TOPIC, "StockReleased", order_id, event, quantity=quantity)


HANDLERS = {"OrderPlaced": on_placed, "OrderFailed": on_failed}
