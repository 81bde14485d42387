import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * A Streams application for the tests in bench/frameworks: counts the words of the topic texts into counts, by way of a repartition topic and a
 * store, and joins orders with payments of the same key within ten seconds of each other. Says when it runs, and ends in order when its input does.
 * Started as: Words HOST:PORT FOLDER
 */
public final class Words {
    private static final Duration WINDOW = Duration.ofSeconds(10);
    /** Nothing of the tests comes too late, whichever topic is read first. */
    private static final Duration GRACE = Duration.ofDays(1);

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, "words");
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        p.put(StreamsConfig.STATE_DIR_CONFIG, args[1]);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        p.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, 500);
        p.put("auto.offset.reset", "earliest");
        p.put("session.timeout.ms", 10000);

        StreamsBuilder builder = new StreamsBuilder();
        builder.stream("texts", Consumed.with(Serdes.String(), Serdes.String()))
                .flatMapValues(text -> Arrays.asList(text.split(" ")))
                .groupBy((key, word) -> word, Grouped.with("by-word", Serdes.String(), Serdes.String()))
                .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts"))
                .toStream()
                .mapValues(String::valueOf)
                .to("counted", Produced.with(Serdes.String(), Serdes.String()));
        KStream<String, String> orders = builder.stream("orders", Consumed.with(Serdes.String(), Serdes.String()));
        KStream<String, String> payments = builder.stream("payments", Consumed.with(Serdes.String(), Serdes.String()));
        orders.join(payments, (order, payment) -> order + "+" + payment, JoinWindows.ofTimeDifferenceAndGrace(WINDOW, GRACE),
                        StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()).withName("paid").withStoreName("paid"))
                .to("joined", Produced.with(Serdes.String(), Serdes.String()));

        KafkaStreams streams = new KafkaStreams(builder.build(), p);
        streams.setStateListener((now, before) -> {
            System.out.println(now);
            System.out.flush();
        });
        streams.start();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        while (in.readLine() != null) {}
        // A member of the classic protocol that does not leave keeps its tasks for as long as its session.
        streams.close(new KafkaStreams.CloseOptions().leaveGroup(true).timeout(Duration.ofSeconds(30)));
        Runtime.getRuntime().halt(0);
    }

    private Words() {}
}
