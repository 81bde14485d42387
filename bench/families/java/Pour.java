import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Semaphore;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** A producer that is left running. */
final class Pour {
    /** How long a record may wait: a disk may stay full for a while. */
    private static final String PATIENCE_MS = "600000";
    private static final int UNDER_WAY = 8;
    private static final int STEP = 8;
    private static final int PACE_MS = 40;

    private final String address;
    private final List<long[]> acked = new ArrayList<>(); // number and offset
    private Exception failure;
    private volatile boolean stop;
    private Thread sender;

    Pour(String address) {
        this.address = address;
    }

    /** Runs a command, or returns null if it is none of ours. */
    ObjectNode run(JsonNode c) throws Exception {
        return switch (c.get("op").asText()) {
            case "pour" -> begin(c.get("topic").asText(), c.get("partition").asInt(), c.get("count").asInt(), c.get("at").asLong());
            case "poured" -> tell(c.get("dry").asBoolean());
            default -> null;
        };
    }

    private ObjectNode begin(String topic, int partition, int size, long first) {
        Properties p = new Properties();
        p.put("bootstrap.servers", address);
        p.put("acks", "all");
        p.put("delivery.timeout.ms", PATIENCE_MS);
        p.put("max.block.ms", PATIENCE_MS);
        p.put("request.timeout.ms", "10000");
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
        sender = new Thread(() -> {
            Semaphore room = new Semaphore(UNDER_WAY);
            for (long number = first; !stop; number += STEP) {
                long id = number;
                room.acquireUninterruptibly();
                producer.send(new ProducerRecord<>(topic, partition, null, value(id, size)), (where, e) -> {
                    note(id, where == null ? -1 : where.offset(), e);
                    room.release();
                });
                try {
                    Thread.sleep(PACE_MS);
                } catch (InterruptedException e) {
                    return;
                }
            }
            producer.close();
        });
        sender.start();
        return Agent.JSON.createObjectNode();
    }

    private synchronized void note(long id, long offset, Exception e) {
        if (e != null) {
            failure = e;
        } else {
            acked.add(new long[] {id, offset});
        }
    }

    private ObjectNode tell(boolean end) throws Exception {
        if (end) {
            stop = true;
            sender.join();
        }
        synchronized (this) {
            if (failure != null) {
                throw failure;
            }
            ObjectNode out = Agent.JSON.createObjectNode();
            ArrayNode numbers = out.putArray("numbers");
            ArrayNode offsets = out.putArray("offsets");
            for (long[] a : acked) {
                numbers.add(a[0]);
                offsets.add(a[1]);
            }
            acked.clear();
            return out;
        }
    }

    private static byte[] value(long id, int size) {
        byte[] b = new byte[size];
        ByteBuffer.wrap(b).order(ByteOrder.LITTLE_ENDIAN).putLong(id).putInt(size);
        for (int i = 12; i < size; i++) {
            b[i] = (byte) ((id >>> (i % 7 * 8)) ^ (i * 131));
        }
        return b;
    }
}
