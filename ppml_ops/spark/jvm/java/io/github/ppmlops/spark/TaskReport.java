package io.github.ppmlops.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;

/** What a task tells the driver: Spark's own message, untouched, and the parts it wrote. */
final class TaskReport implements Serializable {
    private static final long serialVersionUID = 1L;

    private final Object inner;
    private final ArrayList<ManifestPart> parts;

    TaskReport(Object inner, Collection<ManifestPart> parts) {
        this.inner = inner;
        this.parts = new ArrayList<>(parts);
    }

    Object inner() {
        return inner;
    }

    List<ManifestPart> parts() {
        return parts;
    }
}
