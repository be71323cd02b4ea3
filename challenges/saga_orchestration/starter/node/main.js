// Takes orders. It connects and asks the stock; what is missing is the saga.

const { Kafka, logLevel } = require("kafkajs");
const pg = require("pg");

const { ORDERS_TOPIC, REPLIES_TOPIC, GROUP_ID, KAFKA_BOOTSTRAP_SERVERS } = process.env;
const kafka = new Kafka({ brokers: [KAFKA_BOOTSTRAP_SERVERS], logLevel: logLevel.WARN });

class Orchestrator {
  constructor(database, producer) {
    this.database = database;
    this.producer = producer;
  }

  async onOrder(order) {
    console.log("order", order);
    await this.send("STOCK_COMMANDS_TOPIC", {
      id: `${order.id}:reserve`,
      order: order.id,
      action: "reserve",
      sku: order.sku,
      quantity: order.quantity,
    });
  }

  async onReply(reply) {
    console.log("reply", reply);
  }

  async send(variable, value) {
    const message = { key: value.order, value: JSON.stringify(value) };
    await this.producer.send({ topic: process.env[variable], messages: [message] });
  }
}

async function main() {
  const database = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await database.connect();
  const producer = kafka.producer();
  await producer.connect();
  const orchestrator = new Orchestrator(database, producer);
  const consumer = kafka.consumer({ groupId: GROUP_ID });
  await consumer.connect();
  await consumer.subscribe({ topics: [ORDERS_TOPIC, REPLIES_TOPIC], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      const value = JSON.parse(message.value);
      await (topic === ORDERS_TOPIC ? orchestrator.onOrder(value) : orchestrator.onReply(value));
      const offset = String(BigInt(message.offset) + 1n);
      await consumer.commitOffsets([{ topic, partition, offset }]);
    },
  });
  process.on("SIGTERM", () => consumer.disconnect().then(() => process.exit(0)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
