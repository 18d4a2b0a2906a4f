package io.github.ppmlops.spark;

/** What executors say to the driver over Spark's plugin RPC: plain strings, no secret. */
final class Messages {
    static final String HEAD = "ppml-head ";
    static final String REFUSED = "ppml-refused ";
    static final String ACKNOWLEDGED = "ok";

    private Messages() {
    }

    /** Ask for the current version of a written data set; the answer is {@link DataSet#head()}. */
    static String head(String dataSet) {
        return HEAD + dataSet;
    }

    /** An executor got no keys. */
    static String refused(int code, String executor, String line) {
        return REFUSED + code + " executor " + executor + ": " + line;
    }
}
