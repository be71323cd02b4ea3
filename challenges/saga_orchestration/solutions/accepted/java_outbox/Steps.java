import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/** The state machine. A saga's state is the action that it waits for, or how it ended. */
final class Steps {
    static final String FIRST = "reserve";
    static final Set<String> ENDS = Set.of("completed", "cancelled");

    private static final Map<String, String> NEXT = Map.ofEntries(
        Map.entry("reserve done", "charge"),
        Map.entry("charge done", "ship"),
        Map.entry("ship done", "deduct"),
        Map.entry("deduct done", "completed"),
        Map.entry("reserve refused", "cancelled"),
        Map.entry("charge refused", "release"),
        Map.entry("ship refused", "refund"),
        Map.entry("refund done", "release"),
        Map.entry("release done", "cancelled"),
        // Nobody knows whether it was done: undo it, which settles it either way.
        Map.entry("reserve overdue", "release"),
        Map.entry("charge overdue", "refund"));
    private static final Map<String, List<String>> CARRIES = Map.of(
        "reserve", List.of("sku", "quantity"),
        "charge", List.of("customer", "amount"),
        "ship", List.of("customer"),
        "deduct", List.of("sku", "quantity"));
    private static final Map<String, String> UNDOES = Map.of(
        "release", "reserve", "refund", "charge");
    private static final Map<String, String> TOPIC = Map.of(
        "reserve", "STOCK_COMMANDS_TOPIC",
        "release", "STOCK_COMMANDS_TOPIC",
        "deduct", "STOCK_COMMANDS_TOPIC",
        "charge", "PAYMENT_COMMANDS_TOPIC",
        "refund", "PAYMENT_COMMANDS_TOPIC",
        "ship", "SHIPPING_COMMANDS_TOPIC");

    private Steps() {}

    /** The next state; the same one when the action must be asked for again. */
    static String after(String state, String status) {
        return NEXT.getOrDefault(state + " " + status, state);
    }

    static String topicOf(String action) {
        return System.getenv(TOPIC.get(action));
    }

    /** The id of an order's command for an action: the same whenever it is asked for. */
    static String idOf(String order, String action) {
        return UUID.nameUUIDFromBytes((order + "/" + action).getBytes(StandardCharsets.UTF_8))
            .toString();
    }

    static ObjectNode command(JsonNode order, String action) {
        String id = order.get("id").asText();
        ObjectNode command = Main.JSON.createObjectNode()
            .put("id", idOf(id, action)).put("order", id).put("action", action);
        if (UNDOES.containsKey(action)) {
            return command.put("undoes", idOf(id, UNDOES.get(action)));
        }
        CARRIES.get(action).forEach(name -> command.set(name, order.get(name)));
        return command;
    }
}
