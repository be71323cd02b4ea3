// Copy records to OUT with kafkajs; commit after every record.
const { Kafka, logLevel } = require("kafkajs");

const kafka = new Kafka({
  brokers: [process.env.KAFKA_BOOTSTRAP_SERVERS],
  logLevel: logLevel.NOTHING,
});
const consumer = kafka.consumer({ groupId: process.env.GROUP_ID, heartbeatInterval: 200 });
const producer = kafka.producer();
let stopping = false;
process.on("SIGTERM", () => (stopping = true));

async function copy({ topic, partition, message }) {
  console.log("record", partition, message.offset);
  await producer.send({ topic: process.env.OUT, messages: [{ value: message.value }] });
  const offset = String(Number(message.offset) + 1);
  await consumer.commitOffsets([{ topic, partition, offset }]);
  console.log("committed", partition, offset);
}

async function main() {
  await producer.connect();
  await consumer.connect();
  await consumer.subscribe({ topics: process.env.TOPIC.split(","), fromBeginning: true });
  await consumer.run({ autoCommit: false, eachMessage: copy });
  while (!stopping) await new Promise((resolve) => setTimeout(resolve, 20));
  await consumer.disconnect();
  await producer.disconnect();
  console.log("closed");
}

main();
