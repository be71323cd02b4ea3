// The books: a ledger and the balances of all accounts, in PostgreSQL.

class Books {
  constructor(database) {
    this.database = database;
  }

  /** Book a payment, unless it is booked already. */
  async book(payment) {
    // TODO (yours): write the ledger row and the balance. See the statement for what may happen.
    console.log(`received ${payment.id}: ${payment.amount} on ${payment.account}`);
  }
}

module.exports = { Books };
