import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import java.nio.ByteBuffer;
import java.nio.file.*;
import java.util.*;

/** Needs kafka-clients 4.3.1 and its codecs on the class path. Writes one batch for each codec with Kafka's own classes (write), or reads batches with them (read). */
public class KafkaBatches {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("write")) write(Path.of(args[1])); else read(Path.of(args[1]));
    }
    static void write(Path dir) throws Exception {
        Map<String, Compression> codecs = new LinkedHashMap<>();
        codecs.put("none", Compression.NONE);
        codecs.put("gzip", Compression.gzip().build());
        codecs.put("snappy", Compression.snappy().build());
        codecs.put("lz4", Compression.lz4().build());
        codecs.put("zstd", Compression.zstd().build());
        codecs.put("zstd22", Compression.zstd().level(22).build());
        codecs.put("lz4-17", Compression.lz4().level(17).build());
        for (var c : codecs.entrySet()) {
            int n = c.getKey().equals("none") ? 20 : 500;
            SimpleRecord[] records = new SimpleRecord[n];
            for (int i = 0; i < n; i++) {
                byte[] key = i % 7 == 3 ? null : ("key-" + i).getBytes();
                byte[] value = i % 11 == 5 ? null : ("value " + i + " " + "abcdefghij".repeat(i % 13)).getBytes();
                Header[] h = i % 5 == 0 ? new Header[]{new RecordHeader("h" + i, "x".getBytes()), new RecordHeader("null", null)} : new Header[0];
                records[i] = new SimpleRecord(1700000000000L + i, key, value, h);
            }
            MemoryRecords m = MemoryRecords.withIdempotentRecords(0L, c.getValue(), 4711L, (short) 3, 17, 5, records);
            ByteBuffer b = m.buffer();
            byte[] out = new byte[b.remaining()];
            b.get(out);
            Files.write(dir.resolve("kafka-" + c.getKey() + ".batch"), out);
        }
    }
    static void read(Path dir) throws Exception {
        try (var files = Files.list(dir)) {
            for (Path p : (Iterable<Path>) files.sorted()::iterator) {
                MemoryRecords m = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(p)));
                for (RecordBatch batch : m.batches()) {
                    batch.ensureValid();
                    long n = 0; long sum = 0;
                    for (Record r : batch) { n++; sum += r.valueSize() + r.keySize() * 3L + r.headers().length * 7L + r.offset() + r.timestamp(); }
                    System.out.println(p.getFileName() + " " + batch.compressionType() + " " + n + " " + sum);
                }
            }
        }
    }
}
