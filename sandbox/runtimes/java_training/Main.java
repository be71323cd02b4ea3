import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Loads what most programs load. Nobody answers it: a class is loaded before it is connected. */
public class Main {
    record Payment(String id, long amount) {}

    public static void main(String[] args) throws Exception {
        ObjectMapper json = new ObjectMapper();
        JsonNode tree = json.readTree("{\"id\": \"x\", \"amount\": 1, \"tags\": [1.5, null, true]}");
        json.writeValueAsString(Map.of("id", tree.get("id").asText(), "tags", tree.get("tags")));
        json.treeToValue(json.readTree("{\"id\": \"x\", \"amount\": 1}"), Payment.class);

        Properties settings = new Properties();
        settings.put("bootstrap.servers", "127.0.0.1:1");
        settings.put("group.id", "training");
        settings.put("enable.auto.commit", "false");
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("training"));
            consumer.poll(Duration.ofMillis(200));
        }
        settings.remove("group.id");
        settings.remove("enable.auto.commit");
        settings.put("max.block.ms", "200");
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            producer.send(new ProducerRecord<>("training", "key", "value"));
        }
        try {
            DriverManager.getConnection("jdbc:postgresql://127.0.0.1:1/training", "user", "word");
        } catch (SQLException nobodyAnswers) {
            System.out.println(nobodyAnswers.getMessage());
        }
    }
}
