// Applies a change to the database, and publishes it.

const { kafka } = require("./kafka");

class Updates {
  constructor(database) {
    this.database = database;
    this.producer = kafka.producer();
  }

  connect() {
    return this.producer.connect();
  }

  disconnect() {
    return this.producer.disconnect();
  }

  /** Apply a change, then publish it. */
  async handle(change) {
    // TODO (yours): write the row and the record. See the statement for what may happen.
    console.log(`received ${change.id}: ${change.item} version ${change.version}`);
  }
}

module.exports = { Updates };
