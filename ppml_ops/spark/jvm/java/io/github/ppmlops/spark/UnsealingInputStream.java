package io.github.ppmlops.spark;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import org.apache.hadoop.fs.FSInputStream;

/** Plaintext of one sealed file, seekable; each segment is authenticated before a byte of it comes out. */
final class UnsealingInputStream extends FSInputStream {
    private final String dataSet;
    private final String path;
    private final CiphertextChannel ciphertext;
    private final SeekableByteChannel plaintext;
    private final byte[] single = new byte[1];

    UnsealingInputStream(SealedCipher cipher, CiphertextChannel ciphertext, String dataSet, String path)
            throws IOException {
        this.dataSet = dataSet;
        this.path = path;
        this.ciphertext = ciphertext;
        try {
            this.plaintext = cipher.decrypting(ciphertext);
        } catch (IOException error) {
            throw explained(error);
        }
    }

    @Override
    public synchronized int read(byte[] target, int offset, int length) throws IOException {
        if (length == 0) {
            return 0;
        }
        ByteBuffer buffer = ByteBuffer.wrap(target, offset, length);
        try {
            int count = 0;
            while (count == 0) {
                count = plaintext.read(buffer);
            }
            return count;
        } catch (IOException error) {
            throw explained(error);
        }
    }

    @Override
    public synchronized int read() throws IOException {
        return read(single, 0, 1) < 0 ? -1 : single[0] & 0xff;
    }

    /** Tink's errors mean forged bytes; errors of the store stay what they are. */
    private IOException explained(IOException error) {
        if (ciphertext.failure() != null) {
            return ciphertext.failure();
        }
        return new SealedIntegrityException(dataSet, path + ": not authentic (changed, cut, or sealed under another"
            + " key or for another data set)", error);
    }

    @Override
    public synchronized void seek(long position) throws IOException {
        if (position < 0 || position > plaintext.size()) {
            throw new EOFException("seek to " + position + " of " + plaintext.size());
        }
        plaintext.position(position);
    }

    @Override
    public synchronized long getPos() throws IOException {
        return plaintext.position();
    }

    @Override
    public boolean seekToNewSource(long position) {
        return false;
    }

    @Override
    public synchronized int available() throws IOException {
        return (int) Math.min(Integer.MAX_VALUE, plaintext.size() - plaintext.position());
    }

    @Override
    public synchronized void close() throws IOException {
        plaintext.close();
    }
}
