package io.github.ppmlops.spark;

/** Why this process gets no keys: one line for the log, and the exit code that stands for its kind. */
final class Refusal extends Exception {
    static final int INTEGRITY = 76;
    static final int DENIED = 77;
    static final int TRANSIENT = 75;
    static final int CONFIGURATION = 78;

    private static final long serialVersionUID = 1L;
    private static final int MAX_CHARS = 2000;

    private final int code;

    Refusal(int code, String text) {
        super(prefix(code) + ": " + oneLine(text), null);
        this.code = code == DENIED || code == INTEGRITY || code == TRANSIENT ? code : CONFIGURATION;
    }

    /** Exit code of the process (as in ppml_ops.errors); a code that is none of ours becomes a configuration error. */
    int code() {
        return code;
    }

    /** The word that launchers look for in a log. */
    static String prefix(int code) {
        switch (code) {
            case DENIED: return "PPML-DENIED";
            case INTEGRITY: return "PPML-INTEGRITY";
            case TRANSIENT: return "PPML-TRANSIENT";
            default: return "PPML-CONFIG";
        }
    }

    /** Text of others made fit for one log line: control characters blanked, cut at 2000 characters. */
    static String oneLine(String text) {
        String clean = text.replaceAll("\\p{Cntrl}+", " ").trim();
        return clean.length() <= MAX_CHARS ? clean : clean.substring(0, MAX_CHARS) + "…";
    }
}
