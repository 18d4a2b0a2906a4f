package io.github.ppmlops.spark;

import java.io.IOException;

/** A manifest may have been published or not; what it names must stay. */
final class UnknownOutcomeException extends IOException {
    private static final long serialVersionUID = 1L;

    UnknownOutcomeException(String dataSet, IOException cause) {
        super("data set '" + dataSet + "': the store did not answer whether the manifest is published", cause);
    }
}
