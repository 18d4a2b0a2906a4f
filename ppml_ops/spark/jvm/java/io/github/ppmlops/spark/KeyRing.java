package io.github.ppmlops.spark;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeSet;
import org.apache.hadoop.security.AccessControlException;

/**
 * The data keys of this process, filled once by the plugin from the agent's output.
 *
 * <p>Static, so it exists once per class loader: the jar must lie on extraClassPath, where plugin, file system and
 * commit protocol share one loader. Package-private, and nothing in it is ever serialized.
 */
final class KeyRing {
    /** Where executors learn which version of a written data set is current. */
    interface Heads {
        /** "version digest" of what the driver has published, or "" before the first commit. */
        String head(String dataSet) throws IOException;
    }

    private static volatile Map<String, DataSet> dataSets;
    private static volatile Heads heads;

    private KeyRing() {
    }

    static boolean isFilled() {
        return dataSets != null;
    }

    /**
     * Run the agent and keep its keys. A process gets its keys once: a second SparkContext in the same JVM finds
     * them here, and no binding can be turned round after its first use.
     */
    static synchronized void fill(Map<String, String> environment) throws Refusal {
        if (isFilled()) {
            return;
        }
        CipherWarmUp.start(); // the agent takes a second or so, in which this JVM has nothing to do
        byte[] ring = AgentProcess.fetch(environment);
        try {
            Map<String, DataSet> filled = new LinkedHashMap<>();
            for (Binding binding : KeyRingParser.parse(ring).values()) {
                filled.put(binding.dataSet(), new DataSet(binding));
            }
            dataSets = filled;
        } catch (IOException error) {
            throw new Refusal(Refusal.CONFIGURATION, "the agent's key ring: " + error.getMessage());
        } finally {
            java.util.Arrays.fill(ring, (byte) 0);
        }
    }

    /** On executors: ask the driver for the current version of written data sets. */
    static void follow(Heads driver) {
        heads = driver;
    }

    /** Null on the driver, which knows by itself. */
    static Heads heads() {
        return heads;
    }

    static DataSet dataSet(String name) throws IOException {
        Map<String, DataSet> known = dataSets;
        DataSet found = known == null ? null : known.get(name);
        if (found == null) {
            throw new AccessControlException("PPML-CONFIG: no key for data set '" + Refusal.oneLine(name)
                + "' in this process (loader " + KeyRing.class.getClassLoader() + "; known: "
                + (known == null ? "no key ring" : new TreeSet<>(known.keySet())) + ")");
        }
        return found;
    }
}
