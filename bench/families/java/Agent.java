import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.Errors;

/**
 * Runs the Java client for the tests in bench/families: a command a line on standard input, an answer a line on standard output. doc.go
 * describes the commands. Started as: Agent HOST:PORT
 */
public final class Agent {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        LinkedBlockingQueue<String> lines = new LinkedBlockingQueue<>();
        Thread pump = new Thread(() -> pump(lines));
        pump.setDaemon(true);
        pump.start();
        Records records = new Records(args[0]);
        Topics topics = new Topics(args[0]);
        Pour pour = new Pour(args[0]);
        Groups groups = new Groups(args[0]);
        while (true) {
            JsonNode command = JSON.readTree(lines.take());
            ObjectNode answer = JSON.createObjectNode();
            try {
                ObjectNode ok = records.run(command);
                if (ok == null) {
                    ok = pour.run(command);
                }
                if (ok == null) {
                    ok = groups.run(command);
                }
                answer.set("ok", ok != null ? ok : topics.run(command));
            } catch (Exception e) {
                answer.set("error", explain(e));
            }
            System.out.println(JSON.writeValueAsString(answer));
            System.out.flush();
        }
    }

    /** Reads commands and ends the process when there are no more, whatever the client is waiting for. */
    private static void pump(LinkedBlockingQueue<String> lines) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                lines.add(line);
            }
        } catch (Exception e) {
            e.printStackTrace();
        }
        Runtime.getRuntime().halt(0);
    }

    private static ObjectNode explain(Throwable e) {
        while ((e instanceof ExecutionException || e instanceof CompletionException) && e.getCause() != null) {
            e = e.getCause();
        }
        Errors error = Errors.forException(e);
        ObjectNode out = JSON.createObjectNode();
        if (e instanceof UnsupportedVersionException) {
            out.put("kind", "unsupported").put("code", 0);
        } else if (e instanceof Topics.Absent) {
            out.put("kind", "absent").put("code", 0);
        } else if (e instanceof OffsetOutOfRangeException) {
            // The consumer's own exception of that name is none of the protocol's.
            out.put("kind", "broker").put("code", Errors.OFFSET_OUT_OF_RANGE.code());
        } else if (error.code() > 0) {
            out.put("kind", "broker").put("code", error.code());
        } else {
            out.put("kind", "client").put("code", 0);
        }
        return out.put("text", e.getClass().getSimpleName() + ": " + e.getMessage());
    }

    private Agent() {}
}
