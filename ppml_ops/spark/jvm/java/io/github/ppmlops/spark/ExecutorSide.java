package io.github.ppmlops.spark;

import java.io.IOException;
import java.util.Map;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;

/** Gets an executor's keys before it registers; a refusal is told to the driver and ends this executor. */
final class ExecutorSide implements ExecutorPlugin {
    private static final String DRIVER = "driver";

    @Override
    public void init(PluginContext context, Map<String, String> fromDriver) {
        // In local mode the driver's side has filled the ring of this very JVM.
        if (context.executorID().equals(DRIVER) && KeyRing.isFilled()) {
            return;
        }
        try {
            KeyRing.fill(System.getenv());
        } catch (Refusal refusal) {
            System.err.println(refusal.getMessage());
            tell(context, refusal);
            throw new IllegalStateException(refusal.getMessage());
        }
        KeyRing.follow(dataSet -> {
            try {
                return (String) context.ask(Messages.head(dataSet));
            } catch (Exception error) {
                throw new IOException("the driver did not say which version of '" + dataSet + "' is current", error);
            }
        });
    }

    private static void tell(PluginContext context, Refusal refusal) {
        try {
            String line = refusal.getMessage().substring(refusal.getMessage().indexOf(' ') + 1);
            context.ask(Messages.refused(refusal.code(), context.executorID(), line));
        } catch (Exception gone) {
            System.err.println("the driver could not be told: " + gone.getMessage());
        }
    }
}
