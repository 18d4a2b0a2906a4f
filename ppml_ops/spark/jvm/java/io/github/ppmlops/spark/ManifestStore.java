package io.github.ppmlops.spark;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Manifest files in the node folders: pinned reads, create-only publication. */
final class ManifestStore {
    private static final Logger LOG = LoggerFactory.getLogger(ManifestStore.class);

    private ManifestStore() {
    }

    /** The manifest whose version and digest are known from a trusted place (ticket or driver). */
    static Manifest load(Binding binding, Bases bases, int version, String digest) throws IOException {
        String file = fileOf(version);
        byte[] bytes = read(bases, file);
        if (bytes == null) {
            throw new SealedIntegrityException(binding.dataSet(), file + " is missing");
        }
        if (bytes.length > ManifestCodec.MAX_BYTES) {
            throw new SealedIntegrityException(binding.dataSet(),
                file + " has more than " + ManifestCodec.MAX_BYTES + " bytes");
        }
        String got = HexFormat.of().formatHex(SealedCipher.sha256(bytes));
        if (!got.equals(digest)) {
            throw new SealedIntegrityException(binding.dataSet(), file + " is not the expected one: SHA-256 " + got
                + ", wanted " + digest + " (rolled back, or changed)");
        }
        Manifest manifest;
        try {
            manifest = ManifestCodec.decode(bytes, binding, binding.trustDomain());
        } catch (IOException error) {
            throw new SealedIntegrityException(binding.dataSet(), file + ": " + error.getMessage(), error);
        }
        if (manifest.version() != version) {
            throw new SealedIntegrityException(binding.dataSet(), file + " says version " + manifest.version());
        }
        return manifest;
    }

    /**
     * Publish in base 0: whole when it appears, one winner among all writers.
     *
     * <p>Hadoop's local create(path, overwrite=false) is not atomic; link(2) is. An object store is asked to write only
     * if nothing is there, which it decides when the object is complete.
     *
     * @throws FileAlreadyExistsException another writer has published this version
     * @throws UnknownOutcomeException the store did not say whether it is published
     */
    static void publish(Binding binding, Bases bases, int version, byte[] bytes) throws IOException {
        String file = fileOf(version);
        if (!bases.isStore()) {
            createOnly(Path.of(binding.bases().get(0).uri()).resolve(file), bytes);
            return;
        }
        try {
            bases.createOnly(file, bytes);
        } catch (IOException error) {
            byte[] there;
            try {
                there = read(bases, file);
            } catch (IOException unknown) {
                error.addSuppressed(unknown);
                throw new UnknownOutcomeException(binding.dataSet(), error);
            }
            if (there == null) {
                throw error;
            }
            if (Arrays.equals(there, bytes)) {
                return;  // it is there although its answer was lost
            }
            FileAlreadyExistsException lost = new FileAlreadyExistsException(file);
            lost.initCause(error);
            throw lost;
        }
    }

    /** What lies there, one byte more than a manifest may have at most; null for nothing. */
    private static byte[] read(Bases bases, String file) throws IOException {
        List<Bases.Found> found = bases.find(file);
        if (found.isEmpty()) {
            return null;
        }
        try (InputStream input = bases.open(file, found.get(0))) {
            return input.readNBytes(ManifestCodec.MAX_BYTES + 1);
        }
    }

    static void createOnly(Path target, byte[] bytes) throws IOException {
        Files.createDirectories(target.getParent());
        Path hidden = target.resolveSibling("." + target.getFileName() + "." + UUID.randomUUID());
        try {
            try (FileChannel channel =
                    FileChannel.open(hidden, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
                ByteBuffer rest = ByteBuffer.wrap(bytes);
                while (rest.hasRemaining()) {
                    channel.write(rest);
                }
                channel.force(true);
            }
            Files.createLink(target, hidden);
        } catch (IOException error) {
            Files.deleteIfExists(hidden);
            throw error;
        }
        settle(target, hidden);
    }

    /** The version exists from the link on: nothing that fails here may be taken for a failed publication. */
    private static void settle(Path target, Path hidden) {
        try (FileChannel folder = FileChannel.open(target.getParent(), StandardOpenOption.READ)) {
            Files.deleteIfExists(hidden);
            folder.force(true);
        } catch (IOException error) {
            LOG.warn("{} is published; tidying up after it failed: {}", target, error.toString());
        }
    }

    private static String fileOf(int version) {
        return Names.MANIFEST_FOLDER + "/" + version + ".json";
    }
}
