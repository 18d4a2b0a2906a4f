package io.github.ppmlops.spark;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.TreeSet;

/**
 * JSON read strictly and written canonically (RFC 8785), for documents whose numbers are integers below 2^53.
 *
 * <p>RFC 8785 orders names by UTF-16 code units, which is {@link String#compareTo}.
 */
final class CanonicalJson {
    private static final long MAX_INTEGER = (1L << 53) - 1;
    private static final ObjectReader READER = JsonMapper.builder()
        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .disable(StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION)
        .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
        .build()
        .readerFor(JsonNode.class);

    private CanonicalJson() {
    }

    /**
     * One JSON document, UTF-8, no duplicate names, nothing after it.
     *
     * @throws IOException its message names no content: a key ring is parsed with this too
     */
    static JsonNode parse(byte[] bytes) throws IOException {
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            JsonNode node = READER.readValue(text);
            if (node == null || node.isMissingNode()) {
                throw new IOException("no JSON document");
            }
            return node;
        } catch (CharacterCodingException error) {
            throw new IOException("not UTF-8");
        } catch (JsonProcessingException error) {
            long at = error.getLocation() == null ? -1 : error.getLocation().getCharOffset();
            throw new IOException("not valid JSON, at character " + at);
        }
    }

    /** The one encoding of {@code node}. */
    static byte[] encode(JsonNode node) throws IOException {
        StringBuilder out = new StringBuilder();
        write(node, out);
        ByteBuffer bytes = StandardCharsets.UTF_8.newEncoder().encode(java.nio.CharBuffer.wrap(out));
        byte[] result = new byte[bytes.remaining()];
        bytes.get(result);
        return result;
    }

    private static void write(JsonNode node, StringBuilder out) throws IOException {
        if (node.isObject()) {
            TreeSet<String> names = new TreeSet<>();
            node.fieldNames().forEachRemaining(names::add);
            char separator = '{';
            for (String name : names) {
                out.append(separator);
                writeString(name, out);
                out.append(':');
                write(node.get(name), out);
                separator = ',';
            }
            out.append(names.isEmpty() ? "{}" : "}");
        } else if (node.isArray()) {
            char separator = '[';
            for (JsonNode item : node) {
                out.append(separator);
                write(item, out);
                separator = ',';
            }
            out.append(node.isEmpty() ? "[]" : "]");
        } else if (node.isTextual()) {
            writeString(node.textValue(), out);
        } else if (node.isIntegralNumber() && node.canConvertToLong()
                && Math.abs(node.longValue()) <= MAX_INTEGER) {
            out.append(node.longValue());
        } else if (node.isBoolean() || node.isNull()) {
            out.append(node.asText());
        } else {
            throw new IOException("a number that is no integer below 2^53");
        }
    }

    private static void writeString(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"': out.append("\\\""); break;
                case '\\': out.append("\\\\"); break;
                case '\b': out.append("\\b"); break;
                case '\f': out.append("\\f"); break;
                case '\n': out.append("\\n"); break;
                case '\r': out.append("\\r"); break;
                case '\t': out.append("\\t"); break;
                default:
                    if (c < 0x20) {
                        out.append(String.format("\\u%04x", (int) c));
                    } else {
                        out.append(c);
                    }
            }
        }
        out.append('"');
    }
}
