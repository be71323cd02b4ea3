// One database transaction per payment; the ids of those that were booked are kept in a set.

const { Kafka, logLevel } = require("kafkajs");
const pg = require("pg");

const COLLISIONS = ["40001", "40P01"];

const booked = new Set();

async function book(db, payment) {
  if (booked.has(payment.id)) return;
  await db.query("begin");
  try {
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
    await db.query("commit");
    booked.add(payment.id);
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

async function main() {
  const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
  db.on("error", fail);
  await db.connect();
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
