// An orchestrator with a transactional outbox. One loop takes records, another what is overdue.

import { Kafka, logLevel } from "kafkajs";
import { openSagas } from "./sagas.js";

const { ORDERS_TOPIC, REPLIES_TOPIC, GROUP_ID, INSTANCE_ID, KAFKA_BOOTSTRAP_SERVERS } = process.env;

const kafka = new Kafka({
  brokers: [KAFKA_BOOTSTRAP_SERVERS],
  clientId: INSTANCE_ID,
  logLevel: logLevel.WARN,
});

async function take(sagas, consumer) {
  await consumer.connect();
  await consumer.subscribe({ topics: [ORDERS_TOPIC, REPLIES_TOPIC], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      const value = JSON.parse(message.value);
      await (topic === ORDERS_TOPIC ? sagas.begin(value) : sagas.reply(value));
      const offset = String(BigInt(message.offset) + 1n);
      await consumer.commitOffsets([{ topic, partition, offset }]);
    },
  });
}

async function publish(sagas, producer, stopping) {
  while (!stopping.aborted) {
    await sagas.overdue();
    const isMore = await sagas.publish((messages) => send(producer, messages));
    if (!isMore) await new Promise((done) => setTimeout(done, 50));
  }
}

async function send(producer, messages) {
  // One request for each message, so that they are written in this order.
  for (const { topic, order_id: key, value } of messages) {
    await producer.send({ topic, acks: -1, messages: [{ key, value: JSON.stringify(value) }] });
  }
}

async function main() {
  const stop = new AbortController();
  const consumer = kafka.consumer({ groupId: GROUP_ID, maxWaitTimeInMs: 300 });
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  consumer.on("consumer.crash", ({ payload }) => fail(payload.error));
  await producer.connect();
  const [taking, publishing] = await Promise.all([openSagas(fail), openSagas(fail)]);
  await take(taking, consumer);
  process.on("SIGTERM", () => stop.abort());
  await publish(publishing, producer, stop.signal);
  await consumer.disconnect();
  process.exit(0);
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

main().catch(fail);
