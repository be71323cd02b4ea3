import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads the topic, one record at a time. */
class PaymentConsumer {
    private final Books books;
    private final ObjectMapper json = new ObjectMapper();
    private final KafkaConsumer<byte[], byte[]> consumer;

    PaymentConsumer(Books books) {
        this.books = books;
        Properties settings = new Properties();
        settings.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Settings.KAFKA_BOOTSTRAP_SERVERS);
        settings.put(ConsumerConfig.CLIENT_ID_CONFIG, Settings.INSTANCE_ID);
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, Settings.GROUP_ID);
        consumer = new KafkaConsumer<>(
            settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    void stop() {
        consumer.wakeup();
    }

    void run() throws IOException {
        try (consumer) {
            consumer.subscribe(List.of(Settings.PAYMENTS_TOPIC));
            while (true) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    books.book(json.readValue(record.value(), Payment.class));
                }
            }
        } catch (WakeupException stopped) {
            // SIGTERM
        }
    }
}
