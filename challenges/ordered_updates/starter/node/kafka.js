// The connection to Kafka.

const { Kafka, logLevel } = require("kafkajs");

const kafka = new Kafka({
  brokers: [process.env.KAFKA_BOOTSTRAP_SERVERS],
  clientId: process.env.INSTANCE_ID,
  logLevel: logLevel.WARN,
});

module.exports = { kafka };
