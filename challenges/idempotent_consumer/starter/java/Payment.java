import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** A payment as it is announced; the amount is in cents. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Payment(String id, String account, long amount) {}
