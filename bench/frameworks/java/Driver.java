import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of Kafka's tools, one after the other, in one virtual machine: a command a line on standard input, {"main", "args",
 * "input"}, and an answer a line on standard output, {"exit", "out", "err"}. A main that does not end in max_ms ends this process.
 */
public final class Driver {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** What Exit.exit throws here. A tool may catch it and go on; what it says from then on is not recorded. */
    private static final class Ended extends Error {}

    private static volatile Run running;

    private static final class Run {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final List<Runnable> hooks = new CopyOnWriteArrayList<>();
        Integer exit;

        synchronized void end(int code) {
            if (exit == null) {
                exit = code;
            }
        }

        /** Writes to one of the two until the tool has ended. */
        OutputStream until(ByteArrayOutputStream to) {
            return new OutputStream() {
                @Override
                public void write(int b) {
                    synchronized (Run.this) {
                        if (exit == null) {
                            to.write(b);
                        }
                    }
                }

                @Override
                public void write(byte[] b, int from, int length) {
                    synchronized (Run.this) {
                        if (exit == null) {
                            to.write(b, from, length);
                        }
                    }
                }
            };
        }
    }

    public static void main(String[] ignored) throws Exception {
        PrintStream answers = System.out;
        InputStream commands = System.in;
        Exit.Procedure end = (code, message) -> {
            if (message != null) {
                System.err.println(message);
            }
            running.end(code);
            throw new Ended();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        Exit.setShutdownHookAdder((name, hook) -> running.hooks.add(hook)); // this process does not end with a tool
        BufferedReader in = new BufferedReader(new InputStreamReader(commands, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode c = JSON.readTree(line);
            Run run = new Run();
            running = run;
            System.setIn(new ByteArrayInputStream(c.get("input").asText().getBytes(StandardCharsets.UTF_8)));
            System.setOut(new PrintStream(run.until(run.out), true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(run.until(run.err), true, StandardCharsets.UTF_8));
            CompletableFuture<Void> over = new CompletableFuture<>();
            Thread main = new Thread(() -> {
                call(c);
                run.hooks.forEach(Runnable::run);
                over.complete(null);
            });
            main.start();
            over.get(c.get("max_ms").asLong(), TimeUnit.MILLISECONDS);
            var answer = JSON.createObjectNode();
            synchronized (run) {
                run.end(0);
                answer.put("exit", run.exit);
            }
            answer.put("out", run.out.toString(StandardCharsets.UTF_8)).put("err", run.err.toString(StandardCharsets.UTF_8));
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void call(JsonNode c) {
        List<String> args = new ArrayList<>();
        c.get("args").forEach(a -> args.add(a.asText()));
        try {
            Class.forName(c.get("main").asText()).getMethod("main", String[].class).invoke(null, (Object) args.toArray(String[]::new));
        } catch (java.lang.reflect.InvocationTargetException e) {
            if (!(e.getCause() instanceof Ended)) {
                e.getCause().printStackTrace();
                running.end(1);
            }
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            running.end(127);
        }
    }

    private Driver() {}
}
