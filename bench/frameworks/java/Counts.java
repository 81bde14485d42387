import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.CheckpointListener;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.consumer.OffsetResetStrategy;

/**
 * A Flink job for the tests in bench/frameworks: counts the words of the topic words and writes each new count, "word count", into the topic
 * counts. It makes a checkpoint five times a second, goes on from the newest one below FOLDER where there is one, and where told to fails once, behind
 * a checkpoint and before the next, which Flink mends by itself. Says "failed" then, and "restored CHECKPOINT" where it begins with one.
 * Started as: Counts HOST:PORT FOLDER fail|go
 */
public final class Counts {
    private static final int CHECKPOINT_MS = 200;

    public static void main(String[] args) throws Exception {
        Path folder = Path.of(args[1]);
        Configuration c = new Configuration();
        c.setString("execution.checkpointing.dir", folder.toUri().toString());
        c.setString("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION"); // a kill must not depend on it
        c.setString("execution.checkpointing.num-retained", "3");
        c.setString("restart-strategy.type", "fixed-delay");
        c.setString("restart-strategy.fixed-delay.attempts", "3");
        c.setString("restart-strategy.fixed-delay.delay", "100 ms");
        c.setString("taskmanager.memory.network.fraction", "0.1");
        c.setString("taskmanager.memory.network.max", "32mb");
        c.setString("taskmanager.memory.managed.size", "16mb");
        Optional<Path> newest = newest(folder);
        newest.ifPresent(path -> {
            c.setString("execution.state-recovery.path", path.toUri().toString());
            say("restored " + path.getFileName());
        });

        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(2, c);
        env.enableCheckpointing(CHECKPOINT_MS);
        KafkaSource<String> words = KafkaSource.<String>builder()
                .setBootstrapServers(args[0])
                .setTopics("words")
                .setGroupId("flink")
                .setStartingOffsets(OffsetsInitializer.committedOffsets(OffsetResetStrategy.EARLIEST))
                .setValueOnlyDeserializer(new SimpleStringSchema())
                .setProperty("partition.discovery.interval.ms", "500")
                .build();
        KafkaSink<String> counts = KafkaSink.<String>builder()
                .setBootstrapServers(args[0])
                .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
                .setRecordSerializer(KafkaRecordSerializationSchema.builder()
                        .setTopic("counts")
                        .setKeySerializationSchema((String pair) -> pair.substring(0, pair.indexOf(' ')).getBytes(StandardCharsets.UTF_8))
                        .setValueSerializationSchema(new SimpleStringSchema())
                        .build())
                .build();
        env.fromSource(words, WatermarkStrategy.noWatermarks(), "words").uid("words")
                .keyBy(word -> word)
                .map(new Count(args[2].equals("fail"))).uid("count")
                .sinkTo(counts).uid("counts");
        env.execute("counts");
    }

    /** The newest whole checkpoint: one without its metadata was cut short. */
    private static Optional<Path> newest(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return Optional.empty();
        }
        try (var paths = Files.walk(folder, 3)) {
            return paths.filter(p -> p.getFileName().toString().equals("_metadata")).map(Path::getParent)
                    .max(Comparator.comparingLong(p -> p.resolve("_metadata").toFile().lastModified()));
        }
    }

    private static synchronized void say(String text) {
        System.out.println(text);
        System.out.flush();
    }

    /** Counts words, and may fail once in the life of this process. */
    private static final class Count extends RichMapFunction<String, String> implements CheckpointListener {
        private static final long serialVersionUID = 1;
        private static final AtomicBoolean HAS_FAILED = new AtomicBoolean();
        private final boolean fails;
        private transient ValueState<Long> count;
        private transient boolean counted;
        private transient boolean kept; // a checkpoint holds something that was counted

        Count(boolean fails) {
            this.fails = fails;
        }

        @Override
        public void open(OpenContext context) {
            count = getRuntimeContext().getState(new ValueStateDescriptor<>("count", Long.class));
        }

        @Override
        public String map(String word) throws Exception {
            if (fails && kept && HAS_FAILED.compareAndSet(false, true)) {
                say("failed");
                throw new IllegalStateException("on purpose");
            }
            long n = count.value() == null ? 1 : count.value() + 1;
            count.update(n);
            counted = true;
            return word + " " + n;
        }

        @Override
        public void notifyCheckpointComplete(long id) {
            kept = kept || counted;
        }
    }

    private Counts() {}
}
