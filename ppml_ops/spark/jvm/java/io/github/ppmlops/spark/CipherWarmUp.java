package io.github.ppmlops.spark;

import java.nio.ByteBuffer;
import java.security.GeneralSecurityException;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Lets HotSpot compile AES-GCM while the JVM waits for its agent.
 *
 * <p>The fast code of AES-GCM comes with compilation, and compilation comes with many calls. Sealed files make few
 * calls of 1 MiB each, so the first hundreds of megabytes of a fresh JVM would run at about 75 MB/s instead of 4,500
 * (JDK 17; docs/benchmarks.md). Some thousand small calls, 0.2 s of one core, make the difference.
 */
final class CipherWarmUp {
    private static final int CALLS = 6_000;
    private static final int BYTES = 1024;
    private static final long LIMIT_NANOS = 2_000_000_000L;

    private CipherWarmUp() {
    }

    /** Runs in the background and ends by itself; a failure costs speed only. */
    static void start() {
        Thread thread = new Thread(CipherWarmUp::run, "ppml-cipher-warm-up");
        thread.setDaemon(true);
        thread.start();
    }

    /** With a key of zeros over zeros: nothing here is or becomes a secret. */
    private static void run() {
        long end = System.nanoTime() + LIMIT_NANOS;
        SecretKeySpec key = new SecretKeySpec(new byte[32], "AES");
        ByteBuffer plain = ByteBuffer.allocate(BYTES);
        ByteBuffer sealed = ByteBuffer.allocate(BYTES + 16);
        try {
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
            for (int call = 0; call < CALLS && System.nanoTime() < end; call++) {
                GCMParameterSpec nonce = new GCMParameterSpec(128, ByteBuffer.allocate(12).putInt(call).array());
                crypt(cipher, Cipher.ENCRYPT_MODE, key, nonce, plain, sealed);
                crypt(cipher, Cipher.DECRYPT_MODE, key, nonce, sealed, plain);
            }
        } catch (GeneralSecurityException lacking) {
            System.err.println("ppml: no warm-up of AES-GCM: " + lacking.getMessage());
        }
    }

    private static void crypt(Cipher cipher, int mode, SecretKeySpec key, GCMParameterSpec nonce, ByteBuffer from,
            ByteBuffer to) throws GeneralSecurityException {
        from.clear();
        to.clear();
        cipher.init(mode, key, nonce);
        cipher.doFinal(from, to);
    }
}
