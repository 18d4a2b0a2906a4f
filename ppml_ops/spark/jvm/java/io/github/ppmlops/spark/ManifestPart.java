package io.github.ppmlops.spark;

import java.io.Serializable;

/** One sealed file as a manifest names it; travels from tasks to the driver, so plain and serializable. */
final class ManifestPart implements Serializable {
    private static final long serialVersionUID = 1L;

    private final String path;
    private final long length;
    private final String header;
    private final String node;

    /**
     * @param path inside the data set
     * @param length bytes of ciphertext
     * @param header first 40 bytes, 80 hex digits
     * @param node node name of the base it lies on, or null
     */
    ManifestPart(String path, long length, String header, String node) {
        this.path = path;
        this.length = length;
        this.header = header;
        this.node = node;
    }

    String path() {
        return path;
    }

    long length() {
        return length;
    }

    String header() {
        return header;
    }

    String node() {
        return node;
    }
}
