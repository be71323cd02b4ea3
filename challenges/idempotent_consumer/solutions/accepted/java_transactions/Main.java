import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * One database transaction for the records of a poll, with a marker for each payment; the offsets
 * are committed when it has succeeded. In the group by the newer protocol (KIP-848).
 */
public class Main {
    private static final Set<String> COLLISIONS = Set.of("40001", "40P01");
    private static final Set<String> MADE_BY_ANOTHER = Set.of("23505", "42P07");

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Payment(String id, String account, long amount) {}

    private final ObjectMapper json = new ObjectMapper();
    private final Connection database;

    Main(Connection database) throws SQLException {
        this.database = database;
        try (Statement statement = database.createStatement()) {
            statement.execute(
                "create table if not exists processed_events (event_id text primary key)");
        } catch (SQLException error) {
            if (!MADE_BY_ANOTHER.contains(error.getSQLState())) {
                throw error;
            }
        }
        database.setAutoCommit(false);
    }

    void book(List<Payment> payments) throws SQLException {
        while (true) {
            try {
                for (Payment payment : payments) {
                    if (isNew(payment)) {
                        enter(payment);
                    }
                }
                database.commit();
                return;
            } catch (SQLException error) {
                database.rollback();
                if (!COLLISIONS.contains(error.getSQLState())) {
                    throw error;
                }
                System.out.println("again, after " + error.getMessage());
            }
        }
    }

    private boolean isNew(Payment payment) throws SQLException {
        return update(
            "insert into processed_events (event_id) values (?) on conflict do nothing",
            payment.id()) == 1;
    }

    private void enter(Payment payment) throws SQLException {
        update("insert into ledger (event_id, account, amount) values (?, ?, ?)",
            payment.id(), payment.account(), payment.amount());
        update("insert into balances (account, balance) values (?, ?)"
            + " on conflict (account) do update set balance = balances.balance + excluded.balance",
            payment.account(), payment.amount());
    }

    private int update(String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = database.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) {
                statement.setObject(i + 1, values[i]);
            }
            return statement.executeUpdate();
        }
    }

    void run(KafkaConsumer<byte[], byte[]> consumer) throws Exception {
        consumer.subscribe(List.of(System.getenv("PAYMENTS_TOPIC")));
        while (true) {
            var records = consumer.poll(Duration.ofSeconds(1));
            for (TopicPartition partition : records.partitions()) {
                var part = records.records(partition);
                var payments = new java.util.ArrayList<Payment>();
                for (ConsumerRecord<byte[], byte[]> record : part) {
                    payments.add(json.readValue(record.value(), Payment.class));
                }
                book(payments);
                long next = part.get(part.size() - 1).offset() + 1;
                consumer.commitSync(Map.of(partition, new OffsetAndMetadata(next)));
            }
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        settings.put("client.id", System.getenv("INSTANCE_ID"));
        settings.put("group.id", System.getenv("GROUP_ID"));
        settings.put("group.protocol", "consumer");
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        settings.put("max.poll.records", "50");
        return new KafkaConsumer<>(
            settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static Connection connect() throws SQLException {
        URI url = URI.create(System.getenv("DATABASE_URL"));
        String[] login = url.getUserInfo().split(":", 2);
        String place = "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath();
        return DriverManager.getConnection(place, login[0], login[1]);
    }

    public static void main(String[] args) throws Exception {
        Thread main = Thread.currentThread();
        try (Connection database = connect(); KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup();
                try {
                    main.join();
                } catch (InterruptedException error) {
                    Thread.currentThread().interrupt();
                }
            }));
            new Main(database).run(consumer);
        } catch (WakeupException stopped) {
            System.out.println("stopped");
        }
    }
}
