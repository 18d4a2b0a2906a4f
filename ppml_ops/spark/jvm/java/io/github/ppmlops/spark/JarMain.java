package io.github.ppmlops.spark;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import org.apache.spark.SparkContext;

/**
 * What spark-submit runs for a job that is a jar: {@code JarMain application.json CLASS [arguments …]}.
 *
 * <p>As runner.py for scripts: the context comes first, so that keys, the plugin and a refusal come before any
 * line of user code. Exit codes: 0, 70 the program failed, 76 a sealed file failed its check.
 */
public final class JarMain {
    private static final int FAILED = 70;
    private static final int INTEGRITY = 76;

    private JarMain() {
    }

    public static void main(String[] arguments) throws IOException {
        Path record = Path.of(arguments[0]);
        SparkContext context = SparkContext.getOrCreate();
        String id = context.applicationId();
        write(record, id, context.version(), "null");
        System.out.println("PPML-RUNNER started application=" + id + " spark=" + context.version());
        System.out.flush();
        int code = run(arguments[1], Arrays.copyOfRange(arguments, 2, arguments.length));
        context.stop();
        write(record, id, context.version(), Integer.toString(code));
        if (code != 0) {
            System.exit(code);
        }
    }

    private static int run(String name, String[] arguments) {
        try {
            Class<?> program = Class.forName(name, true, Thread.currentThread().getContextClassLoader());
            Method main = program.getMethod("main", String[].class);
            main.invoke(null, (Object) arguments);
            return 0;
        } catch (InvocationTargetException error) {
            return failed(error.getCause());
        } catch (ReflectiveOperationException | LinkageError | NullPointerException error) {
            return failed(error); // no such class, no static main
        }
    }

    private static int failed(Throwable error) {
        error.printStackTrace();
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            if (cause instanceof SealedIntegrityException) {
                System.err.println("PPML-INTEGRITY: a sealed file failed its check");
                return INTEGRITY;
            }
        }
        return FAILED;
    }

    /** As {@code write_application} of runner.py: readers see the old or the new content, never a part. */
    private static void write(Path record, String id, String version, String code) throws IOException {
        String text = "{\"application_id\": \"" + id + "\", \"spark_version\": \"" + version + "\", \"exit\": " + code + "}";
        Path hidden = Files.createTempFile(record.getParent(), ".application-", "");
        Files.write(hidden, text.getBytes(StandardCharsets.UTF_8));
        Files.move(hidden, record, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }
}
