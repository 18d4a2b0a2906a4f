package io.github.ppmlops.spark;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Runs the key agent as a child and takes the key ring from its standard output.
 *
 * <p>Which agent runs is decided by the environment of this JVM, never by Spark's conf: on executors that conf
 * comes from the driver, which has not been verified yet.
 */
final class AgentProcess {
    static final String PYTHON_VARIABLE = "PPML_OPS_AGENT_PYTHON";
    static final String CONFIG_VARIABLE = "PPML_OPS_AGENT_CONFIG";

    private static final String DEFAULT_PYTHON = "/opt/ppml/bin/python3";
    private static final String BYTECODE_VARIABLE = "PYTHONPYCACHEPREFIX";
    /** Nothing can lie below a device: no bytecode is found or kept. */
    private static final String NO_BYTECODE = "/dev/null/pycache";
    private static final String DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";
    private static final int MAX_BYTES = 1 << 20;
    private static final int LIMIT_SECONDS = 120;

    private volatile String firstErrorLine;
    private volatile boolean timedOut;

    private AgentProcess() {
    }

    /** The bytes of the key ring (at most 1 MiB), or why there are none. */
    static byte[] fetch(Map<String, String> environment) throws Refusal {
        return new AgentProcess().run(environment);
    }

    private byte[] run(Map<String, String> environment) throws Refusal {
        Process process = start(environment);
        Thread errors = daemon("ppml-agent-stderr", () -> forwardErrors(process.getErrorStream()));
        Thread watchdog = daemon("ppml-agent-watchdog", () -> killWhenLate(process));
        try (InputStream output = process.getInputStream()) {
            process.getOutputStream().close();
            byte[] ring = output.readNBytes(MAX_BYTES + 1);
            if (ring.length > MAX_BYTES) {
                throw new Refusal(Refusal.CONFIGURATION, "the agent wrote more than " + MAX_BYTES + " bytes");
            }
            int code = process.waitFor();
            errors.join(TimeUnit.SECONDS.toMillis(5));
            if (timedOut) {
                throw new Refusal(Refusal.TRANSIENT, "the agent did not end within " + LIMIT_SECONDS + " s");
            }
            if (code != 0) {
                String line = firstErrorLine;
                throw new Refusal(code, line != null ? line : "the agent ended with code " + code);
            }
            return ring;
        } catch (IOException error) {
            throw new Refusal(Refusal.TRANSIENT, "reading from the agent failed: " + error.getMessage());
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new Refusal(Refusal.TRANSIENT, "interrupted while waiting for the agent");
        } finally {
            watchdog.interrupt();
            kill(process);
        }
    }

    private static Process start(Map<String, String> environment) throws Refusal {
        String config = environment.get(CONFIG_VARIABLE);
        if (config == null || config.isEmpty()) {
            throw new Refusal(Refusal.CONFIGURATION, CONFIG_VARIABLE + " is not set in the environment of the JVM");
        }
        String python = environment.getOrDefault(PYTHON_VARIABLE, DEFAULT_PYTHON);
        if (!new File(python).isAbsolute()) {
            throw new Refusal(Refusal.CONFIGURATION, PYTHON_VARIABLE + " must be an absolute path: " + python);
        }
        // -I: neither PYTHONPATH nor the working folder, which user code can write, may add modules; it hides the
        // variable below too. -X: bytecode beside the measured sources would run instead of them, unmeasured.
        String bytecode = "pycache_prefix=" + environment.getOrDefault(BYTECODE_VARIABLE, NO_BYTECODE);
        ProcessBuilder builder =
                new ProcessBuilder(python, "-I", "-X", bytecode, "-m", "ppml_ops.spark.agent", config);
        Map<String, String> child = builder.environment();
        child.clear();
        child.put("PATH", environment.getOrDefault("PATH", DEFAULT_PATH));
        child.put("LANG", "C.UTF-8");
        child.put(CONFIG_VARIABLE, config);
        try {
            return builder.start();
        } catch (IOException error) {
            throw new Refusal(Refusal.CONFIGURATION, "the agent can't be started: " + error.getMessage());
        }
    }

    private void forwardErrors(InputStream stream) {
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(stream, StandardCharsets.UTF_8))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                String clean = Refusal.oneLine(line);
                if (firstErrorLine == null && !clean.isEmpty()) {
                    firstErrorLine = clean;
                }
                System.err.println("ppml-agent: " + clean);
            }
        } catch (IOException error) {
            System.err.println("ppml-agent: its log ended early: " + error.getMessage());
        }
    }

    private void killWhenLate(Process process) {
        try {
            if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
                timedOut = true;
                kill(process);
            }
        } catch (InterruptedException done) {
            Thread.currentThread().interrupt();
        }
    }

    private static void kill(Process process) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    private static Thread daemon(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }
}
