// One database transaction per payment; its offset is committed when that has succeeded.

const { Kafka, logLevel } = require("kafkajs");
const pg = require("pg");

const COLLISIONS = ["40001", "40P01"];

async function book(db, payment) {
  await db.query("begin");
  try {
    const seen = await db.query(
      "insert into processed_events (event_id) values ($1) on conflict do nothing",
      [payment.id],
    );
    if (seen.rowCount) {
      await db.query("insert into ledger (event_id, account, amount) values ($1, $2, $3)", [
        payment.id,
        payment.account,
        payment.amount,
      ]);
      await db.query(
        "insert into balances (account, balance) values ($1, $2)" +
          " on conflict (account) do update set balance = balances.balance + excluded.balance",
        [payment.account, payment.amount],
      );
    }
    await db.query("commit");
  } catch (error) {
    await db.query("rollback");
    throw error;
  }
}

async function bookWithRetries(db, payment) {
  for (;;) {
    try {
      return await book(db, payment);
    } catch (error) {
      if (!COLLISIONS.includes(error.code)) throw error;
      console.log(`${payment.id}: trying again after ${error.message}`);
    }
  }
}

async function createTable(db) {
  try {
    await db.query("create table if not exists processed_events (event_id text primary key)");
  } catch (error) {
    if (!["23505", "42P07"].includes(error.code)) throw error; // another instance was faster
  }
}

async function main() {
  const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
  db.on("error", fail);
  await db.connect();
  await createTable(db);
  const kafka = new Kafka({
    brokers: [process.env.KAFKA_BOOTSTRAP_SERVERS],
    clientId: process.env.INSTANCE_ID,
    logLevel: logLevel.WARN,
  });
  const consumer = kafka.consumer({ groupId: process.env.GROUP_ID, maxWaitTimeInMs: 500 });
  consumer.on("consumer.crash", ({ payload }) => fail(payload.error));
  await consumer.connect();
  await consumer.subscribe({ topics: [process.env.PAYMENTS_TOPIC], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      await bookWithRetries(db, JSON.parse(message.value));
      const offset = String(BigInt(message.offset) + 1n);
      await consumer.commitOffsets([{ topic, partition, offset }]);
    },
  });
  process.on("SIGTERM", () => consumer.disconnect().then(() => process.exit(0), fail));
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

main().catch(fail);
