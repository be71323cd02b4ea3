import java.sql.Connection;

/** The books: a ledger and the balances of all accounts, in PostgreSQL. */
class Books {
    private final Connection database;

    Books(Connection database) {
        this.database = database;
    }

    /** Books a payment, unless it is booked already. */
    void book(Payment payment) {
        // TODO (yours): write the ledger row and the balance. See the statement for what may happen.
        System.out.println("received " + payment);
    }
}
