// Books payments. It connects and reads; what is missing is the booking itself.

const pg = require("pg");
const { Books } = require("./books");
const { readPayments } = require("./consumer");

async function main() {
  console.log(`${process.env.INSTANCE_ID} starts, group ${process.env.GROUP_ID}`);
  const database = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await database.connect();
  const books = new Books(database);
  const stop = await readPayments((payment) => books.book(payment));
  process.on("SIGTERM", async () => {
    await stop();
    await database.end();
    console.log("stopped");
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
