// The state machine. A saga's state is the action that it waits for, or how it ended.

import { createHash } from "node:crypto";

export const FIRST = "reserve";
export const ENDS = ["completed", "cancelled"];

const NEXT = {
  "reserve done": "charge",
  "charge done": "ship",
  "ship done": "deduct",
  "deduct done": "completed",
  "reserve refused": "cancelled",
  "charge refused": "release",
  "ship refused": "release",
  "refund done": "release",
  "release done": "cancelled",
  // Nobody knows whether it was done: undo it, which settles it either way.
  "reserve overdue": "release",
  "charge overdue": "refund",
};
const CARRIES = {
  reserve: ["sku", "quantity"],
  charge: ["customer", "amount"],
  ship: ["customer"],
  deduct: ["sku", "quantity"],
};
const UNDOES = { release: "reserve", refund: "charge" };
const TOPICS = {
  reserve: process.env.STOCK_COMMANDS_TOPIC,
  release: process.env.STOCK_COMMANDS_TOPIC,
  deduct: process.env.STOCK_COMMANDS_TOPIC,
  charge: process.env.PAYMENT_COMMANDS_TOPIC,
  refund: process.env.PAYMENT_COMMANDS_TOPIC,
  ship: process.env.SHIPPING_COMMANDS_TOPIC,
};

/** The next state; the same one when the action must be asked for again. */
export const after = (state, status) => NEXT[`${state} ${status}`] ?? state;

export const topicOf = (action) => TOPICS[action];

/** The id of an order's command for an action: the same whenever it is asked for. */
export const idOf = (order, action) =>
  createHash("sha256").update(`${order}/${action}`).digest("hex").slice(0, 32);

export function command(order, action) {
  const value = { id: idOf(order.id, action), order: order.id, action };
  if (action in UNDOES) return { ...value, undoes: idOf(order.id, UNDOES[action]) };
  for (const name of CARRIES[action]) value[name] = order[name];
  return value;
}
