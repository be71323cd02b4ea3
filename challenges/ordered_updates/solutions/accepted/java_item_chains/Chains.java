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

/** Work on changes: those of an item one after the other, those of different items side by side. */
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
    // The first work of each chain is in a worker's hands.
    private final Map<String, Deque<Work>> chains = new HashMap<>();
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
        Deque<Work> chain = chains.computeIfAbsent(work.change.item(), item -> new ArrayDeque<>());
        chain.add(work);
        if (chain.size() == 1) {
            workers.submit(() -> handle(work));
        }
    }

    private void handle(Work work) {
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

    private synchronized void finished(Work work) {
        work.done = true;
        Deque<Work> chain = chains.get(work.change.item());
        chain.remove();
        if (chain.isEmpty()) {
            chains.remove(work.change.item());
        } else {
            Work next = chain.peek();
            workers.submit(() -> handle(next));
        }
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
        for (Deque<Work> chain : chains.values()) {
            Work first = chain.peek();
            chain.removeIf(work -> work != first && gone.contains(work.partition));
        }
        long until = System.nanoTime() + patienceMs * 1_000_000;
        while (failure == null && isAtWork(gone) && System.nanoTime() < until) {
            wait(10);
        }
    }

    private boolean isAtWork(Set<TopicPartition> partitions) {
        return chains.values().stream().anyMatch(c -> partitions.contains(c.peek().partition));
    }

    synchronized void forget(Collection<TopicPartition> partitions) {
        partitions.forEach(open::remove);
    }
}
