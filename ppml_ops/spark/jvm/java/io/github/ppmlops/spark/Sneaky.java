package io.github.ppmlops.spark;

/** Scala declares no checked exceptions, so overriding its methods in Java needs a way to throw them unwrapped. */
final class Sneaky {
    private Sneaky() {
    }

    /** Throws {@code error} itself; "returns" so that callers can write {@code throw}. */
    static RuntimeException raise(Throwable error) {
        return Sneaky.<RuntimeException>unchecked(error);
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException unchecked(Throwable error) throws T {
        throw (T) error;
    }
}
