// Applies and publishes changes. It connects and reads; the work itself is missing.

const pg = require("pg");
const { readChanges } = require("./consumer");
const { Updates } = require("./updates");

async function main() {
  console.log(`${process.env.INSTANCE_ID} starts, group ${process.env.GROUP_ID}`);
  const database = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await database.connect();
  const updates = new Updates(database);
  await updates.connect();
  const stop = await readChanges((change) => updates.handle(change));
  process.on("SIGTERM", async () => {
    await stop();
    await updates.disconnect();
    await database.end();
    console.log("stopped");
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
