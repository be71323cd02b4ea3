import java.sql.Connection;
import java.sql.DriverManager;

/** Applies and publishes changes. It connects and reads; the work itself is missing. */
public class Main {
    public static void main(String[] args) throws Exception {
        System.out.println(Settings.INSTANCE_ID + " starts, group " + Settings.GROUP_ID);
        try (Connection database = DriverManager.getConnection(Settings.jdbcUrl());
                Updates updates = new Updates(database)) {
            ChangeConsumer consumer = new ChangeConsumer(updates);
            Thread main = Thread.currentThread();
            // SIGTERM runs the hooks of the JVM, which then waits for them, and for nothing else.
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.stop();
                try {
                    main.join();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }));
            consumer.run();
        }
        System.out.println("stopped");
    }
}
