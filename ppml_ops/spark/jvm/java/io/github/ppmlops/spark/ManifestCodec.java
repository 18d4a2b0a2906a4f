package io.github.ppmlops.spark;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;

/** Manifest v1 between bytes and {@link Manifest}: canonical JSON, exact fields, HMAC under the data key. */
final class ManifestCodec {
    static final String FORMAT = "manifest/1";
    /** Limits of the format; Python's side has the same. */
    static final int MAX_BYTES = 32 << 20;
    static final int MAX_PARTS = 100_000;
    static final int MAX_WRAPS = 64;
    /** Fields that the key ring of a written data set carries; version, parts and mac are added here. */
    static final Set<String> TEMPLATE_FIELDS = Set.of("ppml", "dataset", "format", "data_key_id", "schema",
        "partition", "wraps", "previous", "producer", "trust_domain");

    private static final Set<String> FIELDS = Set.of("ppml", "dataset", "version", "format", "data_key_id",
        "schema", "partition", "wraps", "parts", "previous", "producer", "trust_domain", "mac");
    private static final Set<String> PART_FIELDS = Set.of("path", "length", "header");
    private static final Set<String> PLACED_PART_FIELDS = Set.of("path", "length", "header", "node");
    private static final Set<String> WRAP_FIELDS = Set.of("key", "algorithm", "wrapped");
    private static final HexFormat HEX = HexFormat.of();

    private ManifestCodec() {
    }

    /**
     * Parse and verify.
     *
     * @throws IOException what is wrong with it, in words for a log
     */
    static Manifest decode(byte[] bytes, Binding binding, String trustDomain) throws IOException {
        JsonNode document = CanonicalJson.parse(bytes);
        if (!document.isObject() || !FORMAT.equals(document.path("ppml").asText())) {
            throw new IOException("no manifest of a version that this program knows (" + FORMAT + ")");
        }
        Fields.exactly(document, FIELDS, "manifest");
        if (!Arrays.equals(CanonicalJson.encode(document), bytes)) {
            throw new IOException("not in canonical form");
        }
        byte[] mac = hex(document.get("mac"), 32, "mac");
        if (!MessageDigest.isEqual(mac, binding.cipher().manifestMac(withoutMac(document)))) {
            throw new IOException("not authentic: written under another data key, or changed");
        }
        checkHead(document, binding.dataSet(), trustDomain);
        int version = Fields.positiveInt(document, "version");
        try {
            return new Manifest(version, HEX.formatHex(SealedCipher.sha256(bytes)), parts(document.get("parts")));
        } catch (IllegalArgumentException error) {
            throw new IOException(error.getMessage());
        }
    }

    /** Canonical bytes of the next version, from the ring's template. */
    static byte[] encode(Binding binding, int version, String previous, Collection<ManifestPart> parts)
            throws IOException {
        ObjectNode document = binding.template().deepCopy();
        document.put("version", version);
        document.put("previous", previous);
        List<ManifestPart> sorted = new ArrayList<>(parts);
        sorted.sort(Comparator.comparing(ManifestPart::path));
        ArrayNode list = document.putArray("parts");
        for (ManifestPart part : sorted) {
            ObjectNode entry = list.addObject();
            entry.put("path", part.path()).put("length", part.length()).put("header", part.header());
            entry.put("node", part.node());
        }
        document.put("mac", HEX.formatHex(binding.cipher().manifestMac(CanonicalJson.encode(document))));
        byte[] bytes = CanonicalJson.encode(document);
        if (sorted.size() > MAX_PARTS || bytes.length > MAX_BYTES) {
            throw new IOException("data set '" + binding.dataSet() + "': " + sorted.size() + " parts are more than a"
                + " manifest holds (" + MAX_PARTS + "); coalesce before writing");
        }
        return bytes;
    }

    /** What a template and a manifest have in common: known format, right data set, right trust domain. */
    static void checkHead(JsonNode document, String dataSet, String trustDomain) throws IOException {
        Fields.equal(document, "ppml", FORMAT);
        Fields.equal(document, "format", "sealed");
        Fields.equal(document, "dataset", dataSet);
        Fields.equal(document, "trust_domain", trustDomain);
        hex(document.get("data_key_id"), 16, "data_key_id");
        if (!document.get("previous").isNull()) {
            hex(document.get("previous"), 32, "previous");
        }
        if (!document.get("wraps").isArray() || !document.get("partition").isObject()
                || !document.get("producer").isObject()
                || !(document.get("schema").isNull() || document.get("schema").isObject())) {
            throw new IOException("a field of a wrong type");
        }
        int wraps = document.get("wraps").size();
        if (wraps < 1 || wraps > MAX_WRAPS) {
            throw new IOException("'wraps' has " + wraps + " entries");
        }
        for (JsonNode wrap : document.get("wraps")) {
            Fields.exactly(wrap, WRAP_FIELDS, "wraps");
        }
    }

    private static byte[] withoutMac(JsonNode document) throws IOException {
        ObjectNode copy = document.deepCopy();
        copy.remove("mac");
        return CanonicalJson.encode(copy);
    }

    private static List<ManifestPart> parts(JsonNode list) throws IOException {
        if (!list.isArray() || list.size() > MAX_PARTS) {
            throw new IOException("'parts' is no list of at most " + MAX_PARTS);
        }
        List<ManifestPart> parts = new ArrayList<>(list.size());
        String last = "";
        for (JsonNode entry : list) {
            boolean placed = entry.has("node");
            Fields.exactly(entry, placed ? PLACED_PART_FIELDS : PART_FIELDS, "parts");
            String path = Fields.text(entry, "path");
            if (!Names.isPart(path) || path.compareTo(last) <= 0) {
                throw new IOException("part paths must be plain, sorted and unique");
            }
            last = path;
            JsonNode length = entry.get("length");
            if (!length.isIntegralNumber() || !SealedCipher.isPossibleLength(length.longValue())) {
                throw new IOException("a part without a possible length");
            }
            byte[] header = hex(entry.get("header"), SealedCipher.HEADER_BYTES, "header");
            String node = placed ? Fields.text(entry, "node") : null;
            parts.add(new ManifestPart(path, length.longValue(), HEX.formatHex(header), node));
        }
        return parts;
    }

    private static byte[] hex(JsonNode value, int bytes, String name) throws IOException {
        String text = value == null ? null : value.textValue();
        if (text == null || text.length() != 2 * bytes || !text.matches("[0-9a-f]+")) {
            throw new IOException("'" + name + "' is not " + 2 * bytes + " hex digits");
        }
        return HEX.parseHex(text);
    }
}
