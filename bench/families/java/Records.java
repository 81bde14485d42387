import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Producing, reading and finding offsets. */
final class Records {
    private static final long WAIT_MS = 30_000;
    private final String address;

    Records(String address) {
        this.address = address;
    }

    /** Runs a command, or returns null if it is none of ours. */
    ObjectNode run(JsonNode c) throws Exception {
        return switch (c.get("op").asText()) {
            case "hello" -> Agent.JSON.createObjectNode().put("client", "java kafka-clients " + AppInfoParser.getVersion());
            case "produce" -> produce(c);
            case "consume" -> consume(c);
            case "take" -> take(c);
            case "offsets" -> offsets(c);
            default -> null;
        };
    }

    private ObjectNode produce(JsonNode c) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("acks", c.get("acks").asText());
        p.put("enable.idempotence", String.valueOf(c.get("idempotent").asBoolean()));
        p.put("compression.type", c.get("codec").asText());
        p.put("linger.ms", "5");
        p.put("delivery.timeout.ms", String.valueOf(WAIT_MS));
        p.put("request.timeout.ms", "10000");
        p.put("max.block.ms", "10000");
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
                var lines = Files.newBufferedReader(Path.of(c.get("file").asText()))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                JsonNode r = Agent.JSON.readTree(line);
                RecordHeaders headers = new RecordHeaders();
                for (JsonNode h : r.get("h")) {
                    headers.add(h.get("k").asText(), bytes(h.get("v")));
                }
                sent.add(producer.send(new ProducerRecord<>(
                        c.get("topic").asText(), r.get("p").asInt(), r.get("t").asLong(), bytes(r.get("k")), bytes(r.get("v")), headers)));
            }
            producer.flush();
        }
        ObjectNode out = Agent.JSON.createObjectNode();
        ArrayNode offsets = out.putArray("offsets");
        for (Future<RecordMetadata> f : sent) {
            offsets.add(f.get().offset());
        }
        return out;
    }

    private static byte[] bytes(JsonNode n) throws IOException {
        return n == null || n.isNull() ? null : n.binaryValue();
    }

    private KafkaConsumer<byte[], byte[]> reader() {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("auto.offset.reset", "none");
        p.put("fetch.max.wait.ms", "100");
        p.put("default.api.timeout.ms", String.valueOf(WAIT_MS));
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static TopicPartition place(JsonNode c) {
        return new TopicPartition(c.get("topic").asText(), c.get("partition").asInt());
    }

    /** Joins a group, takes some records, commits each, and leaves. */
    private ObjectNode take(JsonNode c) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("group.id", c.get("group").asText());
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        p.put("session.timeout.ms", "6000");
        p.put("heartbeat.interval.ms", "200");
        p.put("max.poll.records", "1");
        p.put("fetch.max.wait.ms", "100");
        int count = c.get("count").asInt();
        ObjectNode out = Agent.JSON.createObjectNode();
        ArrayNode taken = out.putArray("taken");
        try (KafkaConsumer<byte[], byte[]> member = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            member.subscribe(List.of(c.get("topic").asText()));
            for (long limit = System.currentTimeMillis() + WAIT_MS; taken.size() < count; ) {
                if (System.currentTimeMillis() > limit) {
                    throw new IllegalStateException(taken.size() + " of " + count + " records after " + WAIT_MS + " ms");
                }
                for (ConsumerRecord<byte[], byte[]> r : member.poll(Duration.ofMillis(100))) {
                    member.commitSync(Map.of(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1)));
                    taken.addArray().add(r.partition()).add(r.offset());
                }
            }
        }
        return out;
    }

    private ObjectNode consume(JsonNode c) throws Exception {
        TopicPartition place = place(c);
        int left = c.get("count").asInt();
        try (KafkaConsumer<byte[], byte[]> reader = reader();
                Writer out = Files.newBufferedWriter(Path.of(c.get("file").asText()))) {
            reader.assign(List.of(place));
            switch (c.get("start").asText()) {
                case "earliest" -> reader.seekToBeginning(List.of(place));
                case "latest" -> reader.seekToEnd(List.of(place));
                case "offset" -> reader.seek(place, c.get("at").asLong());
                default -> reader.seek(place, reader.offsetsForTimes(Map.of(place, c.get("at").asLong())).get(place).offset());
            }
            for (long limit = System.currentTimeMillis() + WAIT_MS; left > 0; ) {
                if (System.currentTimeMillis() > limit) {
                    throw new IllegalStateException(left + " records missing after " + WAIT_MS + " ms");
                }
                for (ConsumerRecord<byte[], byte[]> r : reader.poll(Duration.ofMillis(500))) {
                    if (left-- > 0) {
                        write(out, r);
                    }
                }
            }
        }
        return Agent.JSON.createObjectNode();
    }

    private static void write(Writer out, ConsumerRecord<byte[], byte[]> r) throws IOException {
        ObjectNode line = Agent.JSON.createObjectNode();
        line.put("p", r.partition()).put("o", r.offset()).put("t", r.timestamp()).put("k", r.key()).put("v", r.value());
        ArrayNode headers = line.putArray("h");
        for (Header h : r.headers()) {
            headers.addObject().put("k", h.key()).put("v", h.value());
        }
        out.write(Agent.JSON.writeValueAsString(line));
        out.write('\n');
    }

    private ObjectNode offsets(JsonNode c) {
        TopicPartition place = place(c);
        ObjectNode out = Agent.JSON.createObjectNode();
        try (KafkaConsumer<byte[], byte[]> reader = reader()) {
            out.put("earliest", reader.beginningOffsets(List.of(place)).get(place));
            out.put("latest", reader.endOffsets(List.of(place)).get(place));
            ArrayNode at = out.putArray("at");
            for (JsonNode t : c.get("times")) {
                OffsetAndTimestamp found = reader.offsetsForTimes(Map.of(place, t.asLong())).get(place);
                at.add(found == null ? -1 : found.offset());
            }
        }
        return out;
    }
}
