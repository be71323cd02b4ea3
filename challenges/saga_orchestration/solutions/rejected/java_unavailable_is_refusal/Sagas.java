import com.fasterxml.jackson.databind.JsonNode;
import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;

/** Sagas and outbox: every change of a saga writes its message in the same transaction. */
class Sagas {
    record Message(long number, String topic, String order, String value) {}

    record Saga(JsonNode order, String state) {}

    interface Sender {
        void send(List<Message> messages) throws Exception;
    }

    private static final double OVERDUE_S = 2.2;
    private static final String TABLES = """
        create table if not exists sagas (
            order_id text primary key,
            body     text not null,
            state    text not null,
            due      timestamptz
        );
        create table if not exists outbox (
            number   bigserial primary key,
            topic    text not null,
            order_id text not null,
            value    text not null
        );
        """;

    private final Connection database;

    Sagas() {
        try {
            database = connect();
            try (Statement statement = database.createStatement()) {
                statement.execute("select pg_advisory_xact_lock(1)");
                statement.execute(TABLES);
            }
            database.commit();
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
    }

    private static Connection connect() throws SQLException {
        URI url = URI.create(System.getenv("DATABASE_URL"));
        String[] login = url.getUserInfo().split(":", 2);
        String place = "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath();
        Connection database = DriverManager.getConnection(place, login[0], login[1]);
        database.setAutoCommit(false);
        return database;
    }

    void begin(JsonNode order) throws SQLException {
        int isNew = update(
            "insert into sagas values (?, ?, ?, null) on conflict do nothing",
            order.get("id").asText(), order.toString(), Steps.FIRST);
        if (isNew == 1) {
            enter(order, Steps.FIRST);
        }
        database.commit();
    }

    void reply(JsonNode reply) throws Exception {
        String id = reply.get("order").asText();
        for (Saga saga : sagas(
                "select body, state from sagas where order_id = ? for update", id)) {
            if (Steps.idOf(id, saga.state()).equals(reply.get("command").asText())) {
                answered(saga, reply.get("status").asText());
            }
        }
        database.commit();
    }

    private void answered(Saga saga, String status) throws SQLException {
        boolean isDone = status.equals("done");
        enter(saga.order(), Steps.after(saga.state(), isDone ? "done" : "refused"));
    }

    /** Takes up the sagas whose reply is overdue, or was "unavailable". */
    void overdue() throws Exception {
        for (Saga saga : sagas("select body, state from sagas where due < now()"
                + " order by due limit 50 for update skip locked")) {
            enter(saga.order(), Steps.after(saga.state(), "overdue"));
        }
        database.commit();
    }

    private void enter(JsonNode order, String state) throws SQLException {
        String id = order.get("id").asText();
        boolean isOver = Steps.ENDS.contains(state);
        if (isOver) {
            var outcome = Main.JSON.createObjectNode().put("order", id).put("outcome", state);
            write(System.getenv("ORDER_OUTCOMES_TOPIC"), id, outcome);
        } else {
            write(Steps.topicOf(state), id, Steps.command(order, state));
        }
        update("update sagas set state = ?, due = now() + make_interval(secs => ?)"
            + " where order_id = ?", state, isOver ? null : OVERDUE_S, id);
    }

    private void write(String topic, String order, JsonNode value) throws SQLException {
        update("insert into outbox (topic, order_id, value) values (?, ?, ?)",
            topic, order, value.toString());
    }

    /** Hands what waits in the outbox to `sender`, and forgets it once that has succeeded. */
    void publish(Sender sender) throws Exception {
        List<Message> messages = new ArrayList<>();
        try (PreparedStatement select = statement("select number, topic, order_id, value from outbox"
                + " order by number limit 100 for update skip locked");
                ResultSet row = select.executeQuery()) {
            while (row.next()) {
                messages.add(new Message(
                    row.getLong(1), row.getString(2), row.getString(3), row.getString(4)));
            }
        }
        if (!messages.isEmpty()) {
            sender.send(messages);
            for (Message message : messages) {
                update("delete from outbox where number = ?", message.number());
            }
        }
        database.commit();
    }

    private List<Saga> sagas(String sql, Object... values) throws Exception {
        List<Saga> found = new ArrayList<>();
        try (PreparedStatement select = statement(sql, values);
                ResultSet row = select.executeQuery()) {
            while (row.next()) {
                found.add(new Saga(Main.JSON.readTree(row.getString(1)), row.getString(2)));
            }
        }
        return found;
    }

    private int update(String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = statement(sql, values)) {
            return statement.executeUpdate();
        }
    }

    private PreparedStatement statement(String sql, Object... values) throws SQLException {
        PreparedStatement statement = database.prepareStatement(sql);
        for (int i = 0; i < values.length; i++) {
            if (values[i] == null) {
                statement.setNull(i + 1, java.sql.Types.DOUBLE);
            } else {
                statement.setObject(i + 1, values[i]);
            }
        }
        return statement;
    }
}
