import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sixteen workers, each item's changes one after the other; see Chains and Updates. */
public class Main {
    static final ObjectMapper JSON = new ObjectMapper();

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Change(String id, String item, long version, long stock) {}

    static Connection connect() {
        URI url = URI.create(System.getenv("DATABASE_URL"));
        String[] login = url.getUserInfo().split(":", 2);
        String place = "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath();
        try {
            Connection database = DriverManager.getConnection(place, login[0], login[1]);
            database.setAutoCommit(false);
            return database;
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    static void createTable() throws SQLException {
        try (Connection database = connect(); Statement statement = database.createStatement()) {
            statement.execute("select pg_advisory_xact_lock(7)");
            statement.execute("create table if not exists versions"
                + " (item text, version bigint, primary key (item, version))");
            database.commit();
        }
    }

    static KafkaProducer<byte[], byte[]> producer() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        settings.put("linger.ms", "0");
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        settings.put("client.id", System.getenv("INSTANCE_ID"));
        settings.put("group.id", System.getenv("GROUP_ID"));
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(
            settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    public static void main(String[] args) throws Exception {
        createTable();
        Service service = new Service(consumer(), new Updates(producer()));
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            service.stop();
            try {
                ended.await();
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }));
        boolean wasStopped;
        try {
            wasStopped = service.run();
        } finally {
            ended.countDown(); // before exit, which waits for the hook
        }
        System.exit(wasStopped ? 0 : 1);
    }
}
