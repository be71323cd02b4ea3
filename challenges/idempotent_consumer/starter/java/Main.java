import java.sql.Connection;
import java.sql.DriverManager;

/** Books payments. It connects and reads; what is missing is the booking itself. */
public class Main {
    public static void main(String[] args) throws Exception {
        System.out.println(Settings.INSTANCE_ID + " starts, group " + Settings.GROUP_ID);
        try (Connection database = DriverManager.getConnection(Settings.jdbcUrl())) {
            PaymentConsumer consumer = new PaymentConsumer(new Books(database));
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
