package io.github.ppmlops.spark;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URI;
import java.util.List;

/** What the key ring says about one data set: key, mode, where its bytes lie, which version. Immutable. */
final class Binding {
    /** A node folder. */
    static final class Base {
        private final String node;
        private final URI uri;

        Base(String node, URI uri) {
            this.node = node;
            this.uri = uri;
        }

        String node() {
            return node;
        }

        URI uri() {
            return uri;
        }
    }

    private final String dataSet;
    private final String trustDomain;
    private final SealedCipher cipher;
    private final List<Base> bases;
    private final int version;
    private final String digest;
    private final ObjectNode template;
    private final boolean spread;

    private Binding(String dataSet, String trustDomain, SealedCipher cipher, List<Base> bases, int version,
            String digest, ObjectNode template, boolean spread) {
        this.dataSet = dataSet;
        this.trustDomain = trustDomain;
        this.cipher = cipher;
        this.bases = List.copyOf(bases);
        this.version = version;
        this.digest = digest;
        this.template = template;
        this.spread = spread;
    }

    /** To be read: exactly the manifest {@code version} whose file has this SHA-256. */
    static Binding reading(String dataSet, String trustDomain, SealedCipher cipher, List<Base> bases, int version,
            String digest) {
        return new Binding(dataSet, trustDomain, cipher, bases, version, digest, null, false);
    }

    /**
     * To be written: the first commit publishes {@code version}, filled in from {@code template}.
     *
     * @param spread each process writes to the folder of its own node and sees no other one
     */
    static Binding writing(String dataSet, String trustDomain, SealedCipher cipher, List<Base> bases, int version,
            ObjectNode template, boolean spread) {
        return new Binding(dataSet, trustDomain, cipher, bases, version, null, template, spread);
    }

    String dataSet() {
        return dataSet;
    }

    String trustDomain() {
        return trustDomain;
    }

    SealedCipher cipher() {
        return cipher;
    }

    List<Base> bases() {
        return bases;
    }

    boolean writable() {
        return template != null;
    }

    /** Does every node have a folder of its own that other nodes' processes can't see. */
    boolean spread() {
        return spread;
    }

    int version() {
        return version;
    }

    /** Expected digest of the manifest of a data set that is read. */
    String digest() {
        return digest;
    }

    /** Manifest without version, parts and mac, of a data set that is written. */
    ObjectNode template() {
        return template;
    }

    /** "previous" of the first version written here; null when there was none. */
    String previous() {
        return template.get("previous").textValue();
    }
}
