// All changes of a batch at once; they are committed when all are done.

const { Kafka, logLevel } = require("kafkajs");
const pg = require("pg");
const { createTable, Updates } = require("./updates");

const { CHANGES_TOPIC, GROUP_ID, INSTANCE_ID, KAFKA_BOOTSTRAP_SERVERS } = process.env;

const kafka = new Kafka({
  brokers: [KAFKA_BOOTSTRAP_SERVERS],
  clientId: INSTANCE_ID,
  logLevel: logLevel.WARN,
  retry: { retries: 20, maxRetryTime: 1000 },
});

async function main() {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 });
  pool.on("error", fail);
  await createTable(pool);
  const producer = kafka.producer();
  await producer.connect();
  const updates = new Updates(pool, producer);
  const consumer = kafka.consumer({ groupId: GROUP_ID, maxWaitTimeInMs: 300 });
  consumer.on("consumer.crash", ({ payload }) => fail(payload.error));
  await consumer.connect();
  await consumer.subscribe({ topics: [CHANGES_TOPIC], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch: { topic, partition, messages }, heartbeat }) => {
      await Promise.all(messages.map(({ value }) => updates.handle(JSON.parse(value))));
      const offset = String(BigInt(messages.at(-1).offset) + 1n);
      await consumer.commitOffsets([{ topic, partition, offset }]);
      await heartbeat();
    },
  });
  process.on("SIGTERM", () => consumer.disconnect().then(() => process.exit(0), fail));
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

main().catch(fail);
