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
class ChangeConsumer {
    private final Updates updates;
    private final ObjectMapper json = new ObjectMapper();
    private final KafkaConsumer<byte[], byte[]> consumer;

    ChangeConsumer(Updates updates) {
        this.updates = updates;
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
            consumer.subscribe(List.of(Settings.CHANGES_TOPIC));
            while (true) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    updates.handle(json.readValue(record.value(), Change.class));
                }
            }
        } catch (WakeupException stopped) {
            // SIGTERM
        }
    }
}
