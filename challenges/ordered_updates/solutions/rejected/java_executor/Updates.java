import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Applies a change to the database, if it is not applied, and publishes it. */
class Updates {
    private static final Set<String> COLLISIONS = Set.of("40001", "40P01");

    private final ThreadLocal<Connection> database = ThreadLocal.withInitial(Main::connect);
    private final KafkaProducer<byte[], byte[]> producer;

    Updates(KafkaProducer<byte[], byte[]> producer) {
        this.producer = producer;
    }

    void handle(Main.Change change) throws Exception {
        apply(change);
        publish(change);
    }

    private void apply(Main.Change change) throws SQLException {
        while (true) {
            try {
                applyOnce(database.get(), change);
                return;
            } catch (SQLException error) {
                database.get().rollback();
                if (!COLLISIONS.contains(error.getSQLState())) {
                    throw error;
                }
                System.out.println(change.id() + " again: " + error.getMessage());
            }
        }
    }

    private void applyOnce(Connection db, Main.Change change) throws SQLException {
        // Nobody else may look at this item until the end of the transaction.
        try (var lock = statement(db, "select pg_advisory_xact_lock(hashtextextended(?, 0))",
                change.item())) {
            lock.execute();
        }
        if (change.version() > lastVersion(db, change.item())) {
            execute(db, "insert into versions values (?, ?)", change.item(), change.version());
            execute(db, "insert into applied (change_id, item, version, stock) values (?, ?, ?, ?)",
                change.id(), change.item(), change.version(), change.stock());
        }
        db.commit();
    }

    private static long lastVersion(Connection db, String item) throws SQLException {
        try (var select = statement(db, "select max(version) from versions where item = ?", item);
                ResultSet found = select.executeQuery()) {
            found.next();
            return found.getLong(1);
        }
    }

    private static void execute(Connection db, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = statement(db, sql, values)) {
            statement.executeUpdate();
        }
    }

    private static PreparedStatement statement(Connection db, String sql, Object... values)
            throws SQLException {
        PreparedStatement statement = db.prepareStatement(sql);
        for (int i = 0; i < values.length; i++) {
            statement.setObject(i + 1, values[i]);
        }
        return statement;
    }

    private void publish(Main.Change change) throws Exception {
        byte[] value = Main.JSON.writeValueAsBytes(change);
        var record = new ProducerRecord<>(
            System.getenv("UPDATES_TOPIC"), change.item().getBytes("UTF-8"), value);
        while (true) {
            try {
                producer.send(record).get();
                return;
            } catch (ExecutionException error) {
                System.out.println(change.id() + " is sent again: " + error.getMessage());
            }
        }
    }
}
