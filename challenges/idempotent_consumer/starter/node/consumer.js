// Reads the topic, one record at a time.

const { Kafka, logLevel } = require("kafkajs");

const kafka = new Kafka({
  brokers: [process.env.KAFKA_BOOTSTRAP_SERVERS],
  clientId: process.env.INSTANCE_ID,
  logLevel: logLevel.WARN,
});

/** Hand each payment to `take`; the function that comes back stops reading. */
async function readPayments(take) {
  const consumer = kafka.consumer({ groupId: process.env.GROUP_ID });
  await consumer.connect();
  await consumer.subscribe({ topics: [process.env.PAYMENTS_TOPIC] });
  await consumer.run({ eachMessage: ({ message }) => take(JSON.parse(message.value)) });
  return () => consumer.disconnect();
}

module.exports = { readPayments };
