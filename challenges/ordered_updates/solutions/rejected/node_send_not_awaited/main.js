// Each item's changes one after the other; what is published is not waited for.

const { Kafka, logLevel } = require("kafkajs");
const pg = require("pg");
const { Chains } = require("./chains");
const { createTable, Updates } = require("./updates");

const { CHANGES_TOPIC, GROUP_ID, INSTANCE_ID, KAFKA_BOOTSTRAP_SERVERS } = process.env;

const kafka = new Kafka({
  brokers: [KAFKA_BOOTSTRAP_SERVERS],
  clientId: INSTANCE_ID,
  logLevel: logLevel.WARN,
  retry: { retries: 20, maxRetryTime: 1000 },
});

/** Commit what is done, one request at a time. */
function committer(consumer, chains) {
  let last = Promise.resolve();
  const commit = async () => {
    const offsets = chains.finished().map(({ partition, offset }) => ({
      topic: CHANGES_TOPIC,
      partition,
      offset: String(BigInt(offset) + 1n),
    }));
    if (!offsets.length) return;
    try {
      await consumer.commitOffsets(offsets);
    } catch (error) {
      console.log(`not committed: ${error.message}`);
    }
  };
  return () => (last = last.then(commit));
}

async function main() {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 16 });
  pool.on("error", fail);
  await createTable(pool);
  const producer = kafka.producer();
  await producer.connect();
  const updates = new Updates(pool, producer);
  const chains = new Chains((change) => updates.handle(change), fail);
  const consumer = kafka.consumer({
    groupId: GROUP_ID,
    maxWaitTimeInMs: 300,
    heartbeatInterval: 1000,
  });
  const commit = committer(consumer, chains);
  chains.onDone = commit;
  consumer.on("consumer.crash", ({ payload }) => fail(payload.error));
  // Who has to join anew owns nothing any more: what is not begun comes again, here or elsewhere.
  consumer.on("consumer.rebalancing", () => chains.drop());
  await consumer.connect();
  await consumer.subscribe({ topics: [CHANGES_TOPIC], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, heartbeat }) => {
      for (const { offset, value } of batch.messages) {
        chains.add({ partition: batch.partition, offset, change: JSON.parse(value) });
      }
      await heartbeat();
    },
  });
  process.on("SIGTERM", async () => {
    await chains.end(3000);
    await commit();
    await consumer.disconnect();
    process.exit(0);
  });
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

main().catch(fail);
