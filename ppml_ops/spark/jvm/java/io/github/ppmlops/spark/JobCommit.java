package io.github.ppmlops.spark;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The driver's end of a write: Hadoop's commit, check of the final files, publication, then deletion of what was
 * replaced. A failure before the publication leaves the former version as it was and removes this write's parts.
 */
final class JobCommit {
    private static final Logger LOG = LoggerFactory.getLogger(JobCommit.class);

    private final SealedFileSystem fileSystem;
    private final DataSet dataSet;
    private final Bases bases;
    private final List<ManifestPart> written;
    private final List<String> replaced;

    /** @param replaced files or folders that an overwrite puts out of use */
    JobCommit(SealedFileSystem fileSystem, List<ManifestPart> written, List<String> replaced) {
        this.fileSystem = fileSystem;
        this.dataSet = fileSystem.dataSet();
        this.bases = fileSystem.bases();
        this.written = written;
        this.replaced = new ArrayList<>(replaced);
    }

    void run(Runnable hadoopCommit) throws IOException {
        synchronized (dataSet.commitLock()) {
            Manifest before = dataSet.manifest(bases);
            Manifest next;
            try {
                dataSet.withDeferredDeletes(replaced, hadoopCommit);
                next = publish(before, nextParts(before));
            } catch (FileAlreadyExistsException lost) {
                removeParts(fileSystem, written);
                throw new IOException("data set '" + dataSet.name() + "': another writer has published version "
                    + nextVersion(before) + "; this write was undone. Start it again as a new run", lost);
            } catch (UnknownOutcomeException error) {
                throw error;
            } catch (Throwable error) {
                removeParts(fileSystem, written);
                throw error;
            }
            dataSet.advance(next);
            LOG.info("data set '{}': published version {} with {} parts", dataSet.name(), next.version(),
                next.parts().size());
            deleteReplaced(before, next);
        }
    }

    private int nextVersion(Manifest before) {
        return before.version() == 0 ? dataSet.binding().version() : before.version() + 1;
    }

    private Collection<ManifestPart> nextParts(Manifest before) throws IOException {
        TreeMap<String, ManifestPart> parts = new TreeMap<>();
        for (ManifestPart part : before.parts()) {
            parts.put(part.path(), part);
        }
        for (String path : replaced) {
            for (ManifestPart part : before.under(path)) {
                parts.remove(part.path());
            }
        }
        for (ManifestPart part : written) {
            if (!Names.isPart(part.path())) {
                throw new IOException("data set '" + dataSet.name() + "': a partition value makes a path with"
                    + " characters outside printable ASCII, or quotes; encode that column before partitionBy");
            }
            parts.put(part.path(), part);
        }
        checkOnce();
        checkFinalFiles();
        return parts.values();
    }

    private void checkOnce() throws SealedIntegrityException {
        Set<String> paths = new HashSet<>();
        for (ManifestPart part : written) {
            if (!paths.add(part.path())) {
                throw new SealedIntegrityException(dataSet.name(), "two tasks report " + part.path());
            }
        }
    }

    /**
     * A node folder that driver and executors don't share would publish a lie. Of spread data sets the tasks of other
     * nodes have looked at theirs themselves, and who gathers compares them with the manifest.
     */
    private void checkFinalFiles() throws IOException {
        Map<String, Map<String, List<Bases.Found>>> folders = new HashMap<>();
        List<String> problems = new ArrayList<>();
        for (ManifestPart part : written) {
            if (dataSet.binding().spread() && !bases.node(0).equals(part.node())) {
                continue;
            }
            List<Bases.Found> found = bases.isStore() ? bases.find(part.path()) : listed(part.path(), folders);
            if (found == null || found.size() != 1 || found.get(0).status().getLen() != part.length()
                    || !bases.node(found.get(0).base()).equals(part.node())) {
                problems.add(part.path());
            }
        }
        if (!problems.isEmpty()) {
            Collections.sort(problems);
            throw new SealedIntegrityException(dataSet.name(), "after the commit " + problems.size() + " of "
                + written.size() + " parts are not where they were written (do driver and executors share the node"
                + " folders?): " + String.join("; ", problems.subList(0, Math.min(10, problems.size()))));
        }
    }

    /** One listing per folder, kept in {@code folders}; not in a store, where listings may be old. */
    private List<Bases.Found> listed(String path, Map<String, Map<String, List<Bases.Found>>> folders)
            throws IOException {
        String folder = Names.parent(path);
        if (!folders.containsKey(folder)) {
            folders.put(folder, bases.list(folder));
        }
        Map<String, List<Bases.Found>> names = folders.get(folder);
        return names == null ? null : names.get(Names.name(path));
    }

    private Manifest publish(Manifest before, Collection<ManifestPart> parts) throws IOException {
        Binding binding = dataSet.binding();
        int version = nextVersion(before);
        String previous = before.version() == 0 ? binding.previous() : before.digest();
        byte[] bytes = ManifestCodec.encode(binding, version, previous, parts);
        Manifest next = new Manifest(version, HexFormat.of().formatHex(SealedCipher.sha256(bytes)), parts);
        ManifestStore.publish(binding, bases, version, bytes);
        return next;
    }

    /** The new version stands; what can't be deleted now stays behind as hidden strangers. */
    private void deleteReplaced(Manifest before, Manifest next) {
        for (String path : replaced) {
            for (ManifestPart part : before.under(path)) {
                if (next.part(part.path()) == null) {
                    deleteFile(dataSet, bases, part.path());
                }
            }
        }
    }

    /** Take back the parts of a write that failed: nothing names them. */
    static void removeParts(SealedFileSystem fileSystem, List<ManifestPart> parts) {
        for (ManifestPart part : parts) {
            deleteFile(fileSystem.dataSet(), fileSystem.bases(), part.path());
        }
    }

    private static void deleteFile(DataSet dataSet, Bases bases, String file) {
        try {
            bases.delete(file, false);
            for (String folder = Names.parent(file); !folder.isEmpty(); folder = Names.parent(folder)) {
                bases.deleteIfEmpty(folder);
            }
        } catch (IOException error) {
            LOG.warn("data set '{}': {} could not be deleted: {}", dataSet.name(), file, error.toString());
        }
    }
}
