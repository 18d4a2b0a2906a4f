package io.github.ppmlops.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Key ring JSON from the agent, to bindings. Messages never hold values of the document. */
final class KeyRingParser {
    private static final Set<String> PUBLISHABLE = Set.of("file", "s3a");
    private static final Set<String> RING_FIELDS = Set.of("ppml", "trust_domain", "generation", "datasets");
    private static final Set<String> READ_FIELDS = Set.of("dataset", "mode", "key", "bases", "manifest");
    private static final Set<String> WRITE_FIELDS =
        Set.of("dataset", "mode", "key", "bases", "manifest", "version", "spread");

    private KeyRingParser() {
    }

    /** Data set id → binding, in the order of the document. */
    static Map<String, Binding> parse(byte[] bytes) throws IOException {
        JsonNode ring = CanonicalJson.parse(bytes);
        Fields.exactly(ring, RING_FIELDS, "key ring");
        Fields.equal(ring, "ppml", "keyring/1");
        String trustDomain = hex64(ring, "trust_domain");
        Map<String, Binding> bindings = new LinkedHashMap<>();
        if (!ring.get("datasets").isArray()) {
            throw new IOException("'datasets' is no list");
        }
        for (JsonNode entry : ring.get("datasets")) {
            Binding binding = binding(entry, trustDomain);
            if (bindings.put(binding.dataSet(), binding) != null) {
                throw new IOException("data set '" + binding.dataSet() + "' stands twice");
            }
        }
        return bindings;
    }

    private static Binding binding(JsonNode entry, String trustDomain) throws IOException {
        String mode = Fields.text(entry, "mode");
        boolean writes = mode.equals("write");
        if (!writes && !mode.equals("read")) {
            throw new IOException("'mode' is neither read nor write");
        }
        Fields.exactly(entry, writes ? WRITE_FIELDS : READ_FIELDS, "datasets");
        String dataSet = Fields.text(entry, "dataset");
        if (!Names.isDataSet(dataSet)) {
            throw new IOException("'dataset' is no data set id");
        }
        SealedCipher cipher = new SealedCipher(key(entry), dataSet);
        List<Binding.Base> bases = bases(entry.get("bases"), writes);
        JsonNode manifest = entry.get("manifest");
        if (!writes) {
            Fields.exactly(manifest, Set.of("version", "digest"), "manifest");
            int version = Fields.positiveInt(manifest, "version");
            return Binding.reading(dataSet, trustDomain, cipher, bases, version, hex64(manifest, "digest"));
        }
        Fields.exactly(manifest, ManifestCodec.TEMPLATE_FIELDS, "manifest");
        ManifestCodec.checkHead(manifest, dataSet, trustDomain);
        int version = Fields.positiveInt(entry, "version");
        boolean spread = Fields.bool(entry, "spread");
        if (spread && bases.size() != 1) {
            throw new IOException("'bases' of a spread data set names other folders than this node's own");
        }
        return Binding.writing(dataSet, trustDomain, cipher, bases, version, (ObjectNode) manifest, spread);
    }

    private static byte[] key(JsonNode entry) throws IOException {
        try {
            byte[] key = Base64.getDecoder().decode(Fields.text(entry, "key"));
            if (key.length == 32) {
                return key;
            }
        } catch (IllegalArgumentException error) {
            // The message would quote the text; what is said below is enough.
        }
        throw new IOException("'key' is not 32 bytes in base64");
    }

    private static List<Binding.Base> bases(JsonNode list, boolean writes) throws IOException {
        List<Binding.Base> bases = new ArrayList<>();
        Set<String> nodes = new HashSet<>();
        for (JsonNode entry : list) {
            Fields.exactly(entry, Set.of("node", "uri"), "bases");
            String node = Fields.text(entry, "node");
            if (!Names.isNode(node) || !nodes.add(node)) {
                throw new IOException("'node' is no node name, or stands twice");
            }
            bases.add(new Binding.Base(node, uri(Fields.text(entry, "uri"))));
        }
        if (bases.isEmpty()) {
            throw new IOException("'bases' names no node folder");
        }
        // A manifest must be published create-only; that was shown of link(2) and of S3A, see ManifestStore.
        if (writes && !PUBLISHABLE.contains(bases.get(0).uri().getScheme())) {
            throw new IOException("the first base of a written data set must be a file: or s3a: folder");
        }
        return bases;
    }

    private static URI uri(String text) throws IOException {
        try {
            URI uri = URI.create(text);
            if (uri.getScheme() != null && uri.getPath() != null && uri.getPath().startsWith("/")
                    && !uri.getScheme().equals(Names.SCHEME)) {
                return uri;
            }
        } catch (IllegalArgumentException error) {
            // One message for all wrong addresses.
        }
        throw new IOException("'uri' is no absolute address of a folder");
    }

    private static String hex64(JsonNode node, String name) throws IOException {
        String text = Fields.text(node, name);
        if (!text.matches("[0-9a-f]{64}")) {
            throw new IOException("'" + name + "' is not 64 hex digits");
        }
        return text;
    }
}
