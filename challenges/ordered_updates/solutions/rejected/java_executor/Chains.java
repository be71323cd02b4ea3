import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** Work on changes, by whichever worker is free. */
class Chains {
    private static final int WORKERS = 16;

    static final class Work {
        final TopicPartition partition;
        final long offset;
        final Main.Change change;
        boolean done;

        Work(ConsumerRecord<byte[], byte[]> record) throws Exception {
            partition = new TopicPartition(record.topic(), record.partition());
            offset = record.offset();
            change = Main.JSON.readValue(record.value(), Main.Change.class);
        }
    }

    private final ExecutorService workers = Executors.newFixedThreadPool(WORKERS, task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });
    private final Updates updates;
    private final Set<Work> begun = new HashSet<>();
    private final Map<TopicPartition, Deque<Work>> open = new HashMap<>();
    private Throwable failure;

    Chains(Updates updates) {
        this.updates = updates;
    }

    synchronized boolean hasFailed() {
        return failure != null;
    }

    synchronized void add(Work work) {
        open.computeIfAbsent(work.partition, p -> new ArrayDeque<>()).add(work);
        workers.submit(() -> handle(work));
    }

    private void handle(Work work) {
        if (!begins(work)) {
            return;
        }
        try {
            updates.handle(work.change);
            finished(work);
        } catch (Throwable error) {
            error.printStackTrace();
            synchronized (this) {
                failure = error;
                notifyAll();
            }
        }
    }

    private synchronized boolean begins(Work work) {
        return open.getOrDefault(work.partition, new ArrayDeque<>()).contains(work)
            && begun.add(work);
    }

    private synchronized void finished(Work work) {
        work.done = true;
        begun.remove(work);
        notifyAll();
    }

    /** Where each partition may be committed: all before is done. */
    synchronized Map<TopicPartition, OffsetAndMetadata> finished(Set<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition partition : partitions) {
            Deque<Work> works = open.getOrDefault(partition, new ArrayDeque<>());
            while (!works.isEmpty() && works.peek().done) {
                offsets.put(partition, new OffsetAndMetadata(works.remove().offset + 1));
            }
        }
        return offsets;
    }

    /** Drop what is not begun of these partitions, and wait for what is. */
    synchronized void drop(Collection<TopicPartition> partitions, long patienceMs)
            throws InterruptedException {
        Set<TopicPartition> gone = new HashSet<>(partitions);
        for (TopicPartition partition : gone) {
            open.getOrDefault(partition, new ArrayDeque<>())
                .removeIf(work -> !work.done && !begun.contains(work));
        }
        long until = System.nanoTime() + patienceMs * 1_000_000;
        while (failure == null && isAtWork(gone) && System.nanoTime() < until) {
            wait(10);
        }
    }

    private boolean isAtWork(Set<TopicPartition> partitions) {
        return begun.stream().anyMatch(work -> partitions.contains(work.partition));
    }

    synchronized void forget(Collection<TopicPartition> partitions) {
        partitions.forEach(open::remove);
    }
}
