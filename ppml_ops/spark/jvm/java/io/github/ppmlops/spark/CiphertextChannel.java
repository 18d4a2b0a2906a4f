package io.github.ppmlops.spark;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.SeekableByteChannel;
import org.apache.hadoop.fs.FSDataInputStream;

/**
 * Hadoop's stream as the channel that Tink reads from. Length and header are those that were checked: a file that
 * changes between check and use can't slip in another key or another end.
 */
final class CiphertextChannel implements SeekableByteChannel {
    private final FSDataInputStream input;
    private final long size;
    private final byte[] header;
    private long position;
    private boolean open = true;
    private IOException failure;

    CiphertextChannel(FSDataInputStream input, long size, byte[] header) {
        this.input = input;
        this.size = size;
        this.header = header;
    }

    /** The store's own error, if that is why a read failed; null when the bytes came but were not authentic. */
    IOException failure() {
        return failure;
    }

    @Override
    public int read(ByteBuffer target) throws IOException {
        long left = size - position;
        if (left <= 0) {
            return -1;
        }
        int count;
        if (position < header.length) {
            count = (int) Math.min(target.remaining(), header.length - position);
            target.put(header, (int) position, count);
        } else {
            count = (int) Math.min(target.remaining(), left);
            fill(target, count);
        }
        position += count;
        return count;
    }

    private void fill(ByteBuffer target, int count) throws IOException {
        try {
            input.seek(position);
            if (target.hasArray()) {
                input.readFully(target.array(), target.arrayOffset() + target.position(), count);
                target.position(target.position() + count);
            } else {
                byte[] bytes = new byte[count];
                input.readFully(bytes);
                target.put(bytes);
            }
        } catch (java.io.EOFException shrunk) {
            throw new IOException("the file is shorter than it was when it was opened", shrunk);
        } catch (IOException error) {
            failure = error;
            throw error;
        }
    }

    @Override
    public long position() {
        return position;
    }

    @Override
    public SeekableByteChannel position(long newPosition) {
        position = newPosition;
        return this;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public boolean isOpen() {
        return open;
    }

    @Override
    public void close() throws IOException {
        open = false;
        input.close();
    }

    @Override
    public int write(ByteBuffer source) {
        throw new NonWritableChannelException();
    }

    @Override
    public SeekableByteChannel truncate(long newSize) {
        throw new NonWritableChannelException();
    }
}
