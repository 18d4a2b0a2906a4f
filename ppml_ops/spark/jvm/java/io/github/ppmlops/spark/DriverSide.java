package io.github.ppmlops.spark;

import java.io.IOException;
import java.util.Collections;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;

/** Gets the driver's keys, answers executors, and ends the application when a process is refused its keys. */
final class DriverSide implements DriverPlugin {
    private static final String READY = "PPML-PLUGIN ready";

    /** Runs in SparkContext's constructor, before any task and before any executor is asked for. */
    @Override
    public Map<String, String> init(SparkContext context, PluginContext plugin) {
        try {
            KeyRing.fill(System.getenv());
            // Up to this line the text of a refusal is ours; see ppml_ops.spark.logfilter.
            System.err.println(READY);
        } catch (Refusal refusal) {
            end(refusal.code(), refusal.getMessage());
        }
        // Whatever is returned here ends up in Spark's conf and in the event log.
        return Collections.emptyMap();
    }

    @Override
    public Object receive(Object message) throws IOException {
        String text = String.valueOf(message);
        if (text.startsWith(Messages.HEAD)) {
            return KeyRing.dataSet(text.substring(Messages.HEAD.length())).head();
        }
        if (text.startsWith(Messages.REFUSED)) {
            refused(text.substring(Messages.REFUSED.length()));
        }
        return Messages.ACKNOWLEDGED;
    }

    /** Transient failures are left to Spark, which replaces executors; all others end the application at once. */
    private static void refused(String codeAndLine) {
        int space = codeAndLine.indexOf(' ');
        int code = Integer.parseInt(codeAndLine.substring(0, space));
        String line = Refusal.prefix(code) + ": " + Refusal.oneLine(codeAndLine.substring(space + 1));
        if (code == Refusal.TRANSIENT) {
            System.err.println(line);
            return;
        }
        // In a thread of its own, so that the executor gets its answer; with Spark's executors gone meanwhile,
        // no commit is possible any more.
        new Thread(() -> end(code, line), "ppml-end").start();
    }

    /** halt, not exit: shutdown hooks would let a job that must not go on finish its commit. */
    private static void end(int code, String line) {
        System.err.println(line);
        System.err.flush();
        Runtime.getRuntime().halt(code);
    }
}
