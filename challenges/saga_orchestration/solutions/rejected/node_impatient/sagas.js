// Sagas and outbox: every change of a saga writes its message in the same transaction.

import pg from "pg";
import { after, command, ENDS, FIRST, idOf, topicOf } from "./steps.js";

const OVERDUE_S = 0.5;
const AGAIN_S = 0.4;
const TABLES = `
  create table if not exists sagas (
    order_id text primary key,
    body     jsonb not null,
    state    text not null,
    due      timestamptz
  );
  create table if not exists outbox (
    number   bigserial primary key,
    topic    text not null,
    order_id text not null,
    value    jsonb not null
  );`;

export async function openSagas(fail) {
  const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
  db.on("error", fail);
  await db.connect();
  const sagas = new Sagas(db);
  await sagas.transaction(async () => {
    await db.query("select pg_advisory_xact_lock(1)");
    await db.query(TABLES);
  });
  return sagas;
}

class Sagas {
  constructor(db) {
    this.db = db;
  }

  async transaction(work) {
    await this.db.query("begin");
    try {
      const found = await work();
      await this.db.query("commit");
      return found;
    } catch (error) {
      await this.db.query("rollback");
      throw error;
    }
  }

  begin(order) {
    return this.transaction(async () => {
      const added = await this.db.query(
        "insert into sagas values ($1, $2, $3, null) on conflict do nothing",
        [order.id, order, FIRST],
      );
      if (added.rowCount) await this.enter(order, FIRST);
    });
  }

  reply({ order: id, command: asked, status }) {
    return this.transaction(async () => {
      const { rows } = await this.db.query(
        "select body, state from sagas where order_id = $1 for update",
        [id],
      );
      if (!rows.length || idOf(id, rows[0].state) !== asked) return;
      if (status === "unavailable") await this.wait(id, AGAIN_S);
      else await this.enter(rows[0].body, after(rows[0].state, status));
    });
  }

  /** Take up the sagas whose reply is overdue, or was "unavailable". */
  overdue() {
    return this.transaction(async () => {
      const { rows } = await this.db.query(
        "select body, state from sagas where due < now() order by due limit 50" +
          " for update skip locked",
      );
      for (const { body, state } of rows) await this.enter(body, after(state, "overdue"));
    });
  }

  async enter(order, state) {
    const isOver = ENDS.includes(state);
    await this.db.query("update sagas set state = $1 where order_id = $2", [state, order.id]);
    await this.wait(order.id, isOver ? null : OVERDUE_S);
    await this.db.query("insert into outbox (topic, order_id, value) values ($1, $2, $3)", [
      isOver ? process.env.ORDER_OUTCOMES_TOPIC : topicOf(state),
      order.id,
      isOver ? { order: order.id, outcome: state } : command(order, state),
    ]);
  }

  wait(id, seconds) {
    return this.db.query(
      "update sagas set due = now() + make_interval(secs => $1) where order_id = $2",
      [seconds, id],
    );
  }

  /** Hand what waits in the outbox to `send`, and forget it once that has succeeded. */
  publish(send) {
    return this.transaction(async () => {
      const { rows } = await this.db.query(
        "select number, topic, order_id, value from outbox order by number limit 100" +
          " for update skip locked",
      );
      if (!rows.length) return false;
      await send(rows);
      const numbers = rows.map((row) => row.number);
      await this.db.query("delete from outbox where number = any($1)", [numbers]);
      return true;
    });
  }
}
