import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** An orchestrator with a transactional outbox, in one loop; see Sagas and Steps. */
public class Main {
    static final ObjectMapper JSON = new ObjectMapper();

    private final Sagas sagas = new Sagas();
    private final KafkaConsumer<byte[], byte[]> consumer = consumer();
    private final KafkaProducer<String, String> producer = producer();
    private volatile boolean running = true;

    void run() throws Exception {
        String orders = System.getenv("ORDERS_TOPIC");
        consumer.subscribe(List.of(orders, System.getenv("REPLIES_TOPIC")));
        while (running) {
            var records = consumer.poll(Duration.ofMillis(100));
            for (ConsumerRecord<byte[], byte[]> record : records) {
                JsonNode value = JSON.readTree(record.value());
                if (record.topic().equals(orders)) {
                    sagas.begin(value);
                } else {
                    sagas.reply(value);
                }
            }
            if (!records.isEmpty()) {
                consumer.commitSync();
            }
            sagas.overdue();
            sagas.publish(this::send);
        }
        consumer.close(CloseOptions.timeout(Duration.ofSeconds(1)));
        producer.close(Duration.ofSeconds(1));
    }

    private void send(List<Sagas.Message> messages) throws Exception {
        List<Future<?>> answers = new ArrayList<>();
        for (Sagas.Message message : messages) {
            answers.add(producer.send(
                new ProducerRecord<>(message.topic(), message.order(), message.value())));
        }
        for (Future<?> answer : answers) {
            answer.get();
        }
    }

    private static KafkaConsumer<byte[], byte[]> consumer() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        settings.put("client.id", System.getenv("INSTANCE_ID"));
        settings.put("group.id", System.getenv("GROUP_ID"));
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(
            settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static KafkaProducer<String, String> producer() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    public static void main(String[] args) throws Exception {
        Main service = new Main();
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            service.running = false;
            try {
                main.join();
            } catch (InterruptedException error) {
                Thread.currentThread().interrupt();
            }
        }));
        service.run();
    }
}
