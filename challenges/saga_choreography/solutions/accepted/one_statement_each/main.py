"""Stock or shipping. Events are collected as facts; one SQL statement then derives, for all orders at
once, which step is due, and makes the change and the announcement together. Primary keys refuse what
was done. What is due does not depend on the order in which the facts came."""

import json
import logging
import os
import signal

import psycopg2
from confluent_kafka import Consumer, KafkaException, Producer

log = logging.getLogger("main")
SERVICE = os.environ["SERVICE"]
READS = {
    "stock": ("ORDERS_TOPIC", "SHIPMENTS_TOPIC"),
    "shipping": ("ORDERS_TOPIC", "PAYMENTS_TOPIC", "STOCK_EVENTS_TOPIC"),
}[SERVICE]
TOPIC = os.environ["STOCK_EVENTS_TOPIC" if SERVICE == "stock" else "SHIPMENTS_TOPIC"]
AGAIN = (
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.DeadlockDetected,
    psycopg2.errors.UniqueViolation,
)

SCHEMA = f"""
    create table if not exists {SERVICE}_fact (
        seq bigserial, order_id text, type text, event jsonb not null, primary key (order_id, type)
    );
    create table if not exists {SERVICE}_step (
        seq bigserial, order_id text, step text, type text not null, cause jsonb not null,
        sent boolean not null default false, primary key (order_id, step)
    );
"""

REMEMBER = f"""
    insert into {SERVICE}_fact (order_id, type, event)
    select e ->> 'order_id', e ->> 'type', e from jsonb_array_elements(%s::jsonb) e
    on conflict do nothing
"""

RESERVE = """
    with order_placed as (
        select f.order_id, f.event, f.event ->> 'product' as product,
               (f.event ->> 'quantity')::bigint as quantity
        from stock_fact f
        where f.type = 'OrderPlaced'
          and not exists (select from stock_step s where s.order_id = f.order_id)
        order by f.seq limit 1
    ), taken as (
        update stock set available = available - o.quantity from order_placed o
        where stock.product = o.product and stock.available >= o.quantity
          and not exists (
              select from stock_fact f where f.order_id = o.order_id and f.type = 'OrderFailed')
        returning o.order_id
    ), reserved as (
        insert into reservations (order_id, product, quantity)
        select o.order_id, o.product, o.quantity from order_placed o join taken using (order_id)
    )
    insert into stock_step (order_id, step, type, cause)
    select o.order_id, 'reservation',
           case when t.order_id is null then 'StockRejected' else 'StockReserved' end, o.event
    from order_placed o left join taken t using (order_id)
"""

RELEASE = """
    with due as (
        select r.order_id, r.product, r.quantity, f.event
        from stock_fact f join reservations r using (order_id)
        where f.type = 'OrderFailed' and not exists (
            select from stock_step s where s.order_id = f.order_id and s.step = 'release')
        order by f.seq limit 1
    ), put_back as (
        update stock set available = available + due.quantity from due
        where stock.product = due.product
    ), released as (
        insert into releases (order_id, product, quantity)
        select order_id, product, quantity from due
    )
    insert into stock_step (order_id, step, type, cause)
    select order_id, 'release', 'StockReleased', event from due
"""

FAIL = """
    insert into shipping_step (order_id, step, type, cause)
    select distinct on (f.order_id) f.order_id, 'decision', 'OrderFailed', f.event
    from shipping_fact f
    where f.type in ('StockRejected', 'PaymentDeclined', 'OrderCancelled')
      and not exists (select from shipping_step s where s.order_id = f.order_id)
    order by f.order_id, f.seq
"""

SHIP = """
    with due as (
        select f.order_id, f.event, case when r.seq > p.seq then r.event else p.event end as cause
        from shipping_fact f
        join shipping_fact r on r.order_id = f.order_id and r.type = 'StockReserved'
        join shipping_fact p on p.order_id = f.order_id and p.type = 'PaymentCaptured'
        where f.type = 'OrderPlaced'
          and not exists (select from shipping_step s where s.order_id = f.order_id)
    ), delivered as (
        insert into deliveries (order_id, product, quantity, address)
        select order_id, event ->> 'product', (event ->> 'quantity')::bigint, event ->> 'address'
        from due
    )
    insert into shipping_step (order_id, step, type, cause)
    select order_id, 'decision', 'OrderShipped', cause from due
"""

RULES = {"stock": (RESERVE, RELEASE), "shipping": (FAIL, SHIP)}[SERVICE]
KNOWN = {
    "stock": {"OrderPlaced", "OrderFailed"},
    "shipping": {
        "OrderPlaced", "StockReserved", "PaymentCaptured",
        "StockRejected", "PaymentDeclined", "OrderCancelled",
    },
}[SERVICE]  # fmt: skip


def prepare(db):
    with db, db.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(2)")
        cursor.execute(SCHEMA)


def digest(db, events):
    """Remember the events, and do whatever is due then."""
    while True:
        try:
            with db, db.cursor() as cursor:
                # One instance at a time: the rules look at all orders.
                cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", (SERVICE,))
                cursor.execute(REMEMBER, (json.dumps(events),))
                for rule in RULES:
                    while True:
                        cursor.execute(rule)
                        if cursor.rowcount < 1:
                            break
            return
        except AGAIN as error:
            log.warning("again, after: %s", error)


def publish(db, producer):
    """Announce what is not known to be announced; the id of an announcement is that of its step."""
    with db, db.cursor() as cursor:
        cursor.execute(
            f"select order_id, step, type, cause from {SERVICE}_step where not sent order by seq"
        )
        rows = cursor.fetchall()
    for order_id, step, type, cause in rows:
        event = {
            "event_id": f"{SERVICE}/{step}/{order_id}",
            "type": type,
            "order_id": order_id,
            "correlation_id": cause["correlation_id"],
            "causation_id": cause["event_id"],
        }
        producer.produce(TOPIC, json.dumps(event), order_id)
    if producer.flush(20):
        raise SystemExit("the broker does not answer")
    with db, db.cursor() as cursor:
        cursor.execute(
            f"update {SERVICE}_step set sent = true where order_id || step = any(%s)",
            ([order_id + step for order_id, step, _, _ in rows],),
        )


def main():
    logging.basicConfig(level=logging.WARNING)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    db = psycopg2.connect(os.environ["DATABASE_URL"])
    prepare(db)
    servers = {"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]}
    producer = Producer(servers | {"enable.idempotence": True})
    consumer = Consumer(
        servers
        | {
            "group.id": os.environ["GROUP_ID"],
            "client.id": os.environ["INSTANCE_ID"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([os.environ[name] for name in READS])
    publish(db, producer)
    while not stopping:
        messages = [m for m in consumer.consume(100, 0.2) if not m.error()]
        events = [json.loads(message.value()) for message in messages]
        digest(db, [event for event in events if event.get("type") in KNOWN])
        publish(db, producer)
        if messages:
            try:
                consumer.commit(asynchronous=False)
            except KafkaException as error:
                log.warning("not committed, they will come again: %s", error)
    consumer.close()


main()
