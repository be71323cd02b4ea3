import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/** Reads changes, has them worked on, and commits what is done. */
class Service implements ConsumerRebalanceListener {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Chains chains;
    private volatile boolean running = true;
    private long patienceMs = 30_000;

    Service(KafkaConsumer<byte[], byte[]> consumer, Updates updates) {
        this.consumer = consumer;
        this.chains = new Chains(updates);
    }

    void stop() {
        running = false;
    }

    /** Returns whether it was stopped, and not by a failure. */
    boolean run() throws Exception {
        consumer.subscribe(List.of(System.getenv("CHANGES_TOPIC")), this);
        while (running && !chains.hasFailed()) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
                chains.add(new Chains.Work(record));
            }
            commit();
        }
        patienceMs = 3_000;
        onPartitionsRevoked(consumer.assignment());
        consumer.close(CloseOptions.timeout(Duration.ofMillis(500)));
        return !running;
    }

    private void commit() {
        Map<TopicPartition, OffsetAndMetadata> offsets = chains.finished(consumer.assignment());
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets, Duration.ofSeconds(10));
        } catch (KafkaException error) {
            System.out.println("not committed: " + error.getMessage());
        }
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        try {
            chains.drop(partitions, patienceMs);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
        commit();
        chains.forget(partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        try {
            chains.drop(partitions, 0);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
        chains.forget(partitions);
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}
}
