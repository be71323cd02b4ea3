// Applies a change to the database, if it is not applied, and publishes it.

const COLLISIONS = ["40001", "40P01"];

async function transaction(pool, work) {
  const db = await pool.connect();
  try {
    await db.query("begin");
    const found = await work(db);
    await db.query("commit");
    db.release();
    return found;
  } catch (error) {
    await db.query("rollback").then(
      () => db.release(),
      () => db.release(true),
    );
    throw error;
  }
}

function createTable(pool) {
  return transaction(pool, async (db) => {
    await db.query("select pg_advisory_xact_lock(7)");
    await db.query(
      "create table if not exists versions" +
        " (item text, version bigint, primary key (item, version))",
    );
  });
}

class Updates {
  constructor(pool, producer) {
    this.pool = pool;
    this.producer = producer;
  }

  async handle(change) {
    await this.apply(change);
    this.producer
      .send({
        topic: process.env.UPDATES_TOPIC,
        acks: -1,
        messages: [{ key: change.item, value: JSON.stringify(change) }],
      })
      .catch((error) => console.log(`${change.id} is not published: ${error.message}`));
  }

  async apply(change) {
    for (;;) {
      try {
        return await transaction(this.pool, (db) => applyOnce(db, change));
      } catch (error) {
        if (!COLLISIONS.includes(error.code)) throw error;
        console.log(`${change.id} again: ${error.message}`);
      }
    }
  }
}

async function applyOnce(db, { id, item, version, stock }) {
  // Nobody else may look at this item until the end of the transaction.
  await db.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [item]);
  const { rows } = await db.query(
    "select coalesce(max(version), 0)::int as last from versions where item = $1",
    [item],
  );
  if (version <= rows[0].last) return;
  await db.query("insert into versions values ($1, $2)", [item, version]);
  await db.query(
    "insert into applied (change_id, item, version, stock) values ($1, $2, $3, $4)",
    [id, item, version, stock],
  );
}

module.exports = { createTable, Updates };
