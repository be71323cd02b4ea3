import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.sql.Connection;
import java.sql.DriverManager;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Takes orders. It connects and asks the stock; what is missing is the saga. */
public class Main {
    private final ObjectMapper json = new ObjectMapper();
    private final Connection database = DriverManager.getConnection(Settings.jdbcUrl());
    private final KafkaConsumer<String, String> consumer;
    private final KafkaProducer<String, String> producer;

    Main() throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        settings.put("group.id", System.getenv("GROUP_ID"));
        settings.put("enable.auto.commit", "false");
        settings.put("auto.offset.reset", "earliest");
        consumer = new KafkaConsumer<>(
            settings, new StringDeserializer(), new StringDeserializer());
    }

    void run() throws Exception {
        String orders = System.getenv("ORDERS_TOPIC");
        consumer.subscribe(List.of(orders, System.getenv("REPLIES_TOPIC")));
        while (true) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                JsonNode value = json.readTree(record.value());
                if (record.topic().equals(orders)) {
                    onOrder(value);
                } else {
                    onReply(value);
                }
            }
            consumer.commitSync();
        }
    }

    private void onOrder(JsonNode order) throws Exception {
        System.out.println("order " + order);
        JsonNode command = json.createObjectNode()
            .put("id", order.get("id").asText() + ":reserve")
            .put("order", order.get("id").asText())
            .put("action", "reserve")
            .put("sku", order.get("sku").asText())
            .put("quantity", order.get("quantity").asInt());
        send("STOCK_COMMANDS_TOPIC", command);
    }

    private void onReply(JsonNode reply) {
        System.out.println("reply " + reply);
    }

    private void send(String variable, JsonNode value) throws Exception {
        String topic = System.getenv(variable);
        producer.send(new ProducerRecord<>(topic, value.get("order").asText(), value.toString()))
            .get();
    }

    public static void main(String[] args) throws Exception {
        Main service = new Main();
        Thread main = Thread.currentThread();
        // SIGTERM runs the hooks of the JVM, which then waits for them, and for nothing else.
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            service.consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        try {
            service.run();
        } catch (WakeupException stopped) {
            service.consumer.close();
        }
    }
}
