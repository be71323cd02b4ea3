"""What each service decides: from what it knew of an order to what it knows then, and what it tells."""

import os


class Stock:
    READS = ("ORDERS_TOPIC", "SHIPMENTS_TOPIC")
    TYPES = ("OrderPlaced", "OrderFailed")
    TOPIC = os.environ["STOCK_EVENTS_TOPIC"]

    def decide(self, cursor, event, state, facts):
        if event["type"] == "OrderPlaced":
            if state == "failed":
                return "rejected", facts, {"type": "StockRejected", "reason": "the order failed"}
            if state == "new":
                return self.reserve(cursor, event)
        elif state == "new":
            return "failed", facts, None
        elif state == "reserved":
            return self.release(cursor, facts)
        return state, facts, None

    def reserve(self, cursor, event):
        cursor.execute(
            "select available from stock where product = %(product)s for update skip locked", event
        )
        row = cursor.fetchone()
        if row is None or row[0] < event["quantity"]:
            return "rejected", {}, {"type": "StockRejected", "reason": "sold out"}
        cursor.execute(
            "update stock set available = %s where product = %s",
            (row[0] - event["quantity"], event["product"]),
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
        if state != "new":
            return state, facts, None
        if event["type"] in self.BAD:
            return "failed", facts, {"type": "OrderFailed", "reason": event["type"]}
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
