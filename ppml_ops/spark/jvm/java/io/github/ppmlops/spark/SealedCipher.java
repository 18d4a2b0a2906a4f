package io.github.ppmlops.spark;

import com.google.crypto.tink.subtle.AesGcmHkdfStreaming;
import com.google.crypto.tink.subtle.Hkdf;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Tink's {@code AES256_GCM_HKDF_1MB} under one data key, the data set id as associated data, and the manifest MAC.
 */
final class SealedCipher {
    /** Length byte, 32-byte salt, 7-byte nonce prefix. The random salt makes the header name its file. */
    static final int HEADER_BYTES = 40;

    private static final int TAG_BYTES = 16;
    private static final int SEGMENT_BYTES = 1 << 20;
    private static final int KEY_BYTES = 32;

    private final AesGcmHkdfStreaming streaming;
    private final byte[] associatedData;
    private final byte[] manifestKey;

    SealedCipher(byte[] dataKey, String dataSet) {
        if (dataKey.length != KEY_BYTES) {
            throw new IllegalArgumentException("a data key has " + KEY_BYTES + " bytes");
        }
        try {
            streaming = new AesGcmHkdfStreaming(dataKey, "HmacSha256", KEY_BYTES, SEGMENT_BYTES, 0);
            byte[] info = "manifest/v1".getBytes(StandardCharsets.UTF_8);
            manifestKey = Hkdf.computeHkdf("HmacSha256", dataKey, new byte[0], info, KEY_BYTES);
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException("this Java lacks AES-GCM or HMAC-SHA256", error);
        }
        associatedData = dataSet.getBytes(StandardCharsets.UTF_8);
    }

    /** Plaintext bytes of a sealed file of {@code length} bytes; 0 for what is too short to be one. */
    static long plainLength(long length) {
        long segments = (length + SEGMENT_BYTES - 1) / SEGMENT_BYTES;
        return Math.max(0, length - HEADER_BYTES - TAG_BYTES * segments);
    }

    /** Can a whole sealed file have this length (Spark skips files that list as empty, so cuts must be found). */
    static boolean isPossibleLength(long length) {
        return length >= HEADER_BYTES + TAG_BYTES;
    }

    OutputStream encrypting(OutputStream raw) throws IOException {
        try {
            return streaming.newEncryptingStream(raw, associatedData);
        } catch (GeneralSecurityException error) {
            throw new IOException("sealing can't start", error);
        }
    }

    SeekableByteChannel decrypting(SeekableByteChannel raw) throws IOException {
        try {
            return streaming.newSeekableDecryptingChannel(raw, associatedData);
        } catch (GeneralSecurityException error) {
            throw new IOException("unsealing can't start", error);
        }
    }

    /** HMAC-SHA256 of a manifest without its "mac" field. */
    byte[] manifestMac(byte[] canonical) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(manifestKey, "HmacSHA256"));
            return mac.doFinal(canonical);
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException("this Java lacks HMAC-SHA256", error);
        }
    }

    static byte[] sha256(byte[] bytes) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(bytes);
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException("this Java lacks SHA-256", error);
        }
    }
}
