import java.net.URI;

/** What the environment says. */
final class Settings {
    static final String KAFKA_BOOTSTRAP_SERVERS = System.getenv("KAFKA_BOOTSTRAP_SERVERS");
    static final String CHANGES_TOPIC = System.getenv("CHANGES_TOPIC");
    static final String UPDATES_TOPIC = System.getenv("UPDATES_TOPIC");
    static final String GROUP_ID = System.getenv("GROUP_ID");
    static final String INSTANCE_ID = System.getenv("INSTANCE_ID");

    private Settings() {}

    /** DATABASE_URL in the form that JDBC wants. */
    static String jdbcUrl() {
        URI url = URI.create(System.getenv("DATABASE_URL"));
        String[] login = url.getUserInfo().split(":", 2);
        return "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath()
            + "?user=" + login[0] + "&password=" + login[1];
    }
}
