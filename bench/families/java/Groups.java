import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Members of groups, and what an administrator does with groups. */
final class Groups {
    private final String address;
    private final Admin admin;
    private Member member;

    Groups(String address) {
        this.address = address;
        admin = Admin.create(Map.of("bootstrap.servers", address, "default.api.timeout.ms", "30000", "request.timeout.ms", "10000"));
    }

    /** Runs a command, or returns null if it is none of ours. */
    ObjectNode run(JsonNode c) throws Exception {
        ObjectNode out = Agent.JSON.createObjectNode();
        String group = c.path("group").asText();
        TopicPartition place = new TopicPartition(c.path("topic").asText(), c.path("partition").asInt());
        switch (c.get("op").asText()) {
            case "join" -> (member = new Member(c)).start();
            case "pause" -> member.ask(m -> m.pause(m.assignment()));
            case "resume" -> member.ask(m -> m.resume(m.assignment()));
            case "leave" -> member.leave();
            case "lag" -> lag(c, out.putArray("lag"));
            case "groups" -> {
                ArrayNode list = out.putArray("groups");
                admin.listGroups().all().get().forEach(g -> list.add(g.groupId()));
            }
            case "describe_group" -> {
                var found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                out.put("state", found.groupState().toString()).put("members", found.members().size());
            }
            case "set_offset" -> admin.alterConsumerGroupOffsets(group, Map.of(place, new OffsetAndMetadata(c.get("at").asLong()))).all().get();
            case "delete_offset" -> admin.deleteConsumerGroupOffsets(group, Set.of(place)).all().get();
            case "delete_group" -> admin.deleteConsumerGroups(List.of(group)).all().get();
            default -> {
                return null;
            }
        }
        return out;
    }

    private void lag(JsonNode c, ArrayNode out) throws Exception {
        var committed = admin.listConsumerGroupOffsets(c.get("group").asText()).partitionsToOffsetAndMetadata().get();
        for (int p = 0; p < c.get("partitions").asInt(); p++) {
            TopicPartition place = new TopicPartition(c.get("topic").asText(), p);
            OffsetAndMetadata at = committed.get(place);
            out.add(at == null ? -1 : admin.listOffsets(Map.of(place, OffsetSpec.latest())).partitionResult(place).get().offset() - at.offset());
        }
    }

    /** What is done with a consumer, by the thread that it belongs to. */
    private interface Work {
        void with(KafkaConsumer<byte[], byte[]> consumer);
    }

    /** A member that works until it is ended: it notes each record before it commits it. */
    private final class Member extends Thread {
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final FileOutputStream notes;
        private final ConcurrentLinkedQueue<Work> asked = new ConcurrentLinkedQueue<>();
        private volatile boolean over;

        Member(JsonNode c) throws IOException {
            notes = new FileOutputStream(c.get("file").asText(), true);
            Properties p = new Properties();
            p.put("bootstrap.servers", address);
            p.put("group.id", c.get("group").asText());
            p.put("auto.offset.reset", "earliest");
            p.put("enable.auto.commit", "false");
            p.put("session.timeout.ms", c.get("at").asText());
            p.put("heartbeat.interval.ms", String.valueOf(c.get("at").asLong() / 10));
            p.put("fetch.max.wait.ms", "100");
            p.put("metadata.max.age.ms", "500");
            consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            if (c.get("how").asText().equals("pattern")) {
                consumer.subscribe(Pattern.compile(c.get("topic").asText()));
            } else {
                consumer.subscribe(List.of(c.get("topic").asText()));
            }
        }

        @Override
        public void run() {
            try (consumer) {
                while (!over) {
                    try {
                        for (Work w = asked.poll(); w != null; w = asked.poll()) {
                            w.with(consumer);
                        }
                        take(consumer.poll(Duration.ofMillis(200)));
                    } catch (CommitFailedException | RebalanceInProgressException e) {
                        // What was not committed is read again by whoever has it now.
                    }
                }
            } catch (Exception e) {
                e.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        }

        private void take(ConsumerRecords<byte[], byte[]> records) throws IOException {
            StringBuilder text = new StringBuilder();
            for (ConsumerRecord<byte[], byte[]> r : records) {
                text.append(r.topic()).append(' ').append(r.partition()).append(' ').append(r.offset()).append('\n');
            }
            notes.write(text.toString().getBytes(StandardCharsets.UTF_8));
            if (!records.isEmpty()) {
                consumer.commitSync();
            }
        }

        void ask(Work w) throws Exception {
            CompletableFuture<Void> done = new CompletableFuture<>();
            asked.add(m -> {
                w.with(m);
                done.complete(null);
            });
            done.get();
        }

        void leave() throws InterruptedException {
            over = true;
            join();
        }
    }
}
