package io.github.ppmlops.spark;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.Set;
import java.util.TreeSet;

/** Checks of JSON objects; messages name fields, never values, because a key ring holds keys. */
final class Fields {
    private Fields() {
    }

    /** {@code node} is an object with just these fields. */
    static void exactly(JsonNode node, Set<String> names, String what) throws IOException {
        if (!node.isObject()) {
            throw new IOException("'" + what + "' is no object");
        }
        TreeSet<String> missing = new TreeSet<>(names);
        int unknown = 0;
        for (var fields = node.fieldNames(); fields.hasNext();) {
            if (!missing.remove(fields.next())) {
                unknown++;
            }
        }
        if (unknown > 0 || !missing.isEmpty()) {
            throw new IOException("'" + what + "' lacks " + missing + " and has " + unknown + " unknown fields");
        }
    }

    static String text(JsonNode node, String name) throws IOException {
        JsonNode value = node.get(name);
        if (value == null || !value.isTextual()) {
            throw new IOException("'" + name + "' is no string");
        }
        return value.textValue();
    }

    static int positiveInt(JsonNode node, String name) throws IOException {
        JsonNode value = node.get(name);
        if (value == null || !value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 1) {
            throw new IOException("'" + name + "' is no positive integer");
        }
        return value.intValue();
    }

    static boolean bool(JsonNode node, String name) throws IOException {
        JsonNode value = node.get(name);
        if (value == null || !value.isBoolean()) {
            throw new IOException("'" + name + "' is neither true nor false");
        }
        return value.booleanValue();
    }

    static void equal(JsonNode node, String name, String wanted) throws IOException {
        if (!text(node, name).equals(wanted)) {
            throw new IOException("'" + name + "' is not the expected '" + wanted + "'");
        }
    }
}
