import java.nio.ByteBuffer;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** AES-GCM over 1 MiB segments in a fresh JVM: MB/s of each further 40 segments, after N small calls. */
public final class CipherStart {
    private static final SecretKeySpec KEY = new SecretKeySpec(new byte[32], "AES");
    private static final int SEGMENT = 1 << 20;
    private static final int AT_A_TIME = 40;
    private static int nonce;

    public static void main(String[] arguments) throws Exception {
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        long start = System.nanoTime();
        for (int call = 0; call < Integer.parseInt(arguments[0]); call++) {
            both(cipher, ByteBuffer.allocate(1024), ByteBuffer.allocate(1024 + 16));
        }
        System.out.printf("%.3f", (System.nanoTime() - start) / 1e9);
        ByteBuffer plain = ByteBuffer.allocate(SEGMENT);
        ByteBuffer sealed = ByteBuffer.allocate(SEGMENT + 16);
        for (int round = 0; round < 6; round++) {
            start = System.nanoTime();
            for (int segment = 0; segment < AT_A_TIME; segment++) {
                both(cipher, plain, sealed);
            }
            System.out.printf(" %.0f", 2 * AT_A_TIME * SEGMENT / 1e6 / ((System.nanoTime() - start) / 1e9));
        }
    }

    private static void both(Cipher cipher, ByteBuffer plain, ByteBuffer sealed) throws Exception {
        GCMParameterSpec spec = new GCMParameterSpec(128, ByteBuffer.allocate(12).putInt(nonce++).array());
        plain.clear();
        sealed.clear();
        cipher.init(Cipher.ENCRYPT_MODE, KEY, spec);
        cipher.doFinal(plain, sealed);
        plain.clear();
        sealed.clear();
        cipher.init(Cipher.DECRYPT_MODE, KEY, spec);
        cipher.doFinal(sealed, plain);
    }
}
