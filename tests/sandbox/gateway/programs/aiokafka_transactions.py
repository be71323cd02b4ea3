"""Copy records to OUT with aiokafka, each with its offset in one transaction."""

import asyncio
import os
import signal

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    group = os.environ["GROUP_ID"]
    consumer = AIOKafkaConsumer(
        *os.environ["TOPIC"].split(","),
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=200,
    )
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=group)
    await consumer.start()
    await producer.start()
    while not stopping.is_set():
        for partition, messages in (await consumer.getmany(timeout_ms=50)).items():
            for message in messages:
                print("record", message.partition, message.offset)
                async with producer.transaction():
                    await producer.send_and_wait(os.environ["OUT"], message.value)
                    offsets = {partition: message.offset + 1}
                    await producer.send_offsets_to_transaction(offsets, group)
                print("committed", message.partition, message.offset + 1)
    await producer.stop()
    await consumer.stop()
    print("closed")


asyncio.run(main())
