package io.github.ppmlops.spark;

import java.io.IOException;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.Path;

/** Names inside a data set: which are allowed, and which belong to committers rather than to the data. */
final class Names {
    static final String SCHEME = "sealed";
    static final String MANIFEST_FOLDER = "_manifest";

    private static final Pattern DATA_SET = Pattern.compile("[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?");
    private static final Pattern NODE = Pattern.compile("[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?");

    private static final int MAX_PATH = 1024;

    private Names() {
    }

    static boolean isDataSet(String name) {
        return name != null && DATA_SET.matcher(name).matches();
    }

    static boolean isNode(String name) {
        return name != null && NODE.matcher(name).matches();
    }

    /** Path inside the data set, without leading slash; "" is the root. Never leaves the data set. */
    static String inside(Path path) throws IOException {
        String text = path.toUri().getPath();
        String relative = text.startsWith("/") ? text.substring(1) : text;
        for (String component : relative.split("/", -1)) {
            if (component.equals("..") || component.equals(".")) {
                throw new IOException("'.' and '..' can't be used in a " + SCHEME + ": path");
            }
        }
        return relative;
    }

    /**
     * May {@code path} stand in a manifest: relative, no empty and no hidden component, printable ASCII, no quote.
     * A partition whose column begins with '_' is not hidden, as in Spark.
     */
    static boolean isPart(String path) {
        if (path.length() > MAX_PATH) {
            return false;
        }
        for (int i = 0; i < path.length(); i++) {
            char c = path.charAt(i);
            if (c < 0x20 || c > 0x7e || c == '"' || c == '\'' || c == '\\') {
                return false;
            }
        }
        for (String component : path.split("/", -1)) {
            if (component.isEmpty() || component.startsWith(".")
                    || (component.startsWith("_") && component.indexOf('=') < 0)) {
                return false;
            }
        }
        return true;
    }

    /** Files of committers and of the file system itself: no manifest names them. Whole components count. */
    static boolean isExempt(String path) {
        for (String component : path.split("/")) {
            if (component.startsWith(".") || component.equals("_temporary") || component.equals(MANIFEST_FOLDER)
                    || component.equals("_SUCCESS") || component.equals("_spark_metadata")) {
                return true;
            }
        }
        return false;
    }

    /** Does Spark leave this out of every listing by itself. */
    static boolean isHidden(String name) {
        return name.startsWith("_") || name.startsWith(".");
    }

    /** Is {@code path} the folder or file {@code ancestor} or inside it ("" holds everything). */
    static boolean isUnder(String path, String ancestor) {
        return ancestor.isEmpty() || path.equals(ancestor) || path.startsWith(ancestor + "/");
    }

    static String parent(String path) {
        int slash = path.lastIndexOf('/');
        return slash < 0 ? "" : path.substring(0, slash);
    }

    static String name(String path) {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    static String child(String folder, String name) {
        return folder.isEmpty() ? name : folder + "/" + name;
    }
}
