import java.sql.Connection;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Applies a change to the database, and publishes it. */
class Updates implements AutoCloseable {
    private final Connection database;
    private final KafkaProducer<byte[], byte[]> producer;

    Updates(Connection database) {
        this.database = database;
        producer = new KafkaProducer<>(
            Map.of("bootstrap.servers", Settings.KAFKA_BOOTSTRAP_SERVERS),
            new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Applies a change, then publishes it. */
    void handle(Change change) {
        // TODO (yours): write the row and the record. See the statement for what may happen.
        System.out.println("received " + change);
    }

    @Override
    public void close() {
        producer.close();
    }
}
