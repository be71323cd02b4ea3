"""What each service decides: from what it knew of an order to what it knows then, and what it tells."""

import os
import uuid


class Stock:
    READS = ("ORDERS_TOPIC", "SHIPMENTS_TOPIC")
    TYPES = ("OrderPlaced", "OrderFailed")
    TOPIC = os.environ["STOCK_EVENTS_TOPIC"]

    def decide(self, cursor, event, state, facts):
        if event["type"] == "OrderPlaced":
            if state == "new":
                return self.reserve(cursor, event)
        elif state == "reserved":
            return self.release(cursor, facts)
        return state, facts, None

    def reserve(self, cursor, event):
        cursor.execute(
            "select available from stock where product = %(product)s for update", event
        )
        (available,) = cursor.fetchone()
        if available < event["quantity"]:
            return "rejected", {}, {"type": "StockRejected", "reason": "sold out"}
        cursor.execute(
            "update stock set available = %s where product = %s",
            (available - event["quantity"], event["product"]),
        )
        goods = {name: event[name] for name in ("order_id", "product", "quantity")}
        cursor.execute(
            "insert into reservations (order_id, product, quantity)"
            " values (%(order_id)s, %(product)s, %(quantity)s)",
            goods,
        )
        return "reserved", goods, {"type": "StockReserved"}

    def release(self, cursor, goods):
        cursor.execute(
            "update stock set available = available + %(quantity)s where product = %(product)s",
            goods,
        )
        cursor.execute(
            "insert into releases (order_id, product, quantity)"
            " values (%(order_id)s, %(product)s, %(quantity)s)",
            goods,
        )
        return "released", goods, {"type": "StockReleased"}


class Shipping:
    READS = ("ORDERS_TOPIC", "PAYMENTS_TOPIC", "STOCK_EVENTS_TOPIC")
    GOOD = ("OrderPlaced", "StockReserved", "PaymentCaptured")
    BAD = ("StockRejected", "PaymentDeclined", "OrderCancelled")
    TYPES = (*GOOD, *BAD)
    TOPIC = os.environ["SHIPMENTS_TOPIC"]

    def decide(self, cursor, event, state, facts):
        if state == "failed" and event["type"] == "StockReserved":
            return state, facts, facts["failure"]
        if state != "new":
            return state, facts, None
        if event["type"] in self.BAD:
            failure = {
                "type": "OrderFailed",
                "event_id": str(uuid.uuid4()),
                "causation_id": event["event_id"],
            }
            return "failed", {**facts, "failure": failure}, failure
        facts = {**facts, event["type"]: event}
        if not all(type in facts for type in self.GOOD):
            return "new", facts, None
        cursor.execute(
            "insert into deliveries (order_id, product, quantity, address)"
            " values (%(order_id)s, %(product)s, %(quantity)s, %(address)s)",
            facts["OrderPlaced"],
        )
        told = {"type": "OrderShipped"}
        if event["type"] == "OrderPlaced":
            told["causation_id"] = facts["PaymentCaptured"]["event_id"]
        return "shipped", facts, told


SERVICES = {"stock": Stock(), "shipping": Shipping()}
