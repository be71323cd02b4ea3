import java.net.URI;

/** What the environment says, where it is not taken as it is. */
final class Settings {
    private Settings() {}

    /** DATABASE_URL in the form that JDBC wants. */
    static String jdbcUrl() {
        URI url = URI.create(System.getenv("DATABASE_URL"));
        String[] login = url.getUserInfo().split(":", 2);
        return "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath()
            + "?user=" + login[0] + "&password=" + login[1];
    }
}
