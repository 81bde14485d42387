import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;

/** Topics and their configuration. */
final class Topics {
    private final Admin admin;

    Topics(String address) {
        admin = Admin.create(Map.of("bootstrap.servers", address, "default.api.timeout.ms", "30000", "request.timeout.ms", "10000"));
    }

    ObjectNode run(JsonNode c) throws Exception {
        ObjectNode out = Agent.JSON.createObjectNode();
        String topic = c.path("topic").asText();
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        switch (c.get("op").asText()) {
            case "create" -> {
                NewTopic made = new NewTopic(topic, Optional.of(c.get("partitions").asInt()), Optional.of((short) 1)).configs(configs(c));
                admin.createTopics(List.of(made), new CreateTopicsOptions().validateOnly(c.get("dry").asBoolean())).all().get();
            }
            case "delete" -> admin.deleteTopics(List.of(topic)).all().get();
            case "list" -> admin.listTopics().names().get().forEach(out.putArray("topics")::add);
            case "describe" -> describe(topic, out.putArray("partitions"));
            case "grow" -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(c.get("partitions").asInt()))).all().get();
            case "get_configs" -> {
                ObjectNode found = out.putObject("configs");
                admin.describeConfigs(List.of(resource)).all().get().get(resource).entries().forEach(e -> found.put(e.name(), e.value()));
            }
            case "set_configs" -> setConfigs(resource, c);
            case "trim" -> {
                TopicPartition place = new TopicPartition(topic, c.get("partition").asInt());
                var done = admin.deleteRecords(Map.of(place, RecordsToDelete.beforeOffset(c.get("at").asLong())));
                out.put("earliest", done.lowWatermarks().get(place).get().lowWatermark());
            }
            default -> throw new IllegalArgumentException("no such command");
        }
        return out;
    }

    private static Map<String, String> configs(JsonNode c) {
        Map<String, String> out = new HashMap<>();
        c.path("configs").properties().forEach(e -> out.put(e.getKey(), e.getValue().isNull() ? null : e.getValue().asText()));
        return out;
    }

    private void describe(String topic, ArrayNode out) throws Exception {
        for (TopicPartitionInfo p : admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions()) {
            ObjectNode one = out.addObject().put("id", p.partition()).put("leader", p.leader().id());
            p.replicas().stream().map(Node::id).forEach(one.putArray("replicas")::add);
        }
    }

    private void setConfigs(ConfigResource resource, JsonNode c) throws Exception {
        if (c.get("how").asText().equals("replace")) {
            throw new Absent("the Java client has no way to replace configurations since 4.0");
        }
        Collection<AlterConfigOp> ops = new ArrayList<>();
        configs(c).forEach((name, value) -> ops.add(new AlterConfigOp(
                new ConfigEntry(name, value), value == null ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET)));
        admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
    }

    /** What the client has no way to do. */
    static final class Absent extends RuntimeException {
        private static final long serialVersionUID = 1;

        Absent(String text) {
            super(text);
        }
    }
}
