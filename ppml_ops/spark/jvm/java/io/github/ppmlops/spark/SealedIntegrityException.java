package io.github.ppmlops.spark;

import org.apache.hadoop.security.AccessControlException;

/**
 * Stored bytes are not what manifest, key ring or authentication tag say.
 *
 * <p>Extends {@link AccessControlException} because that is the one class of I/O error which Spark never skips:
 * with {@code spark.sql.files.ignoreCorruptFiles} a plain IOException silently drops rows.
 */
public class SealedIntegrityException extends AccessControlException {
    private static final long serialVersionUID = 1L;

    SealedIntegrityException(String dataSet, String text) {
        this(dataSet, text, null);
    }

    SealedIntegrityException(String dataSet, String text, Throwable cause) {
        super("PPML-INTEGRITY: data set '" + dataSet + "': " + Refusal.oneLine(text));
        if (cause != null) {
            initCause(cause);
        }
        // Executors log to another place than the driver, and user code may swallow the exception.
        System.err.println(getMessage());
    }
}
