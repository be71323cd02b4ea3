import com.fasterxml.jackson.annotation.JsonIgnoreProperties;

/** A change of an item's stock. */
@JsonIgnoreProperties(ignoreUnknown = true)
record Change(String id, String item, long version, long stock) {}
