package io.github.ppmlops.spark;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.security.AccessControlException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What Spark gets to see of a data set: exactly what the manifest names, whole; strangers are hidden.
 *
 * <p>Spark plans every format through these calls, so a missing, cut or replaced part stops a query before its first
 * task, even where Spark would skip an empty or corrupt file.
 */
final class StrictView {
    private static final Logger LOG = LoggerFactory.getLogger(StrictView.class);
    private static final int MAX_NAMED = 10;

    private final DataSet dataSet;
    private final Bases bases;

    StrictView(DataSet dataSet, Bases bases) {
        this.dataSet = dataSet;
        this.bases = bases;
    }

    FileStatus status(String path) throws IOException {
        if (dataSet.binding().spread() && !Names.isExempt(path) && !dataSet.isBlind()) {
            Manifest manifest = dataSet.manifest(bases);
            ManifestPart part = manifest.part(path);
            if (part != null && !bases.node(0).equals(part.node())) {
                return new FileStatus(SealedCipher.plainLength(part.length()), false, 1, 0, 0, qualified(path));
            }
            if (manifest.children(path) != null) {
                return folder(path, 0);
            }
        }
        return path.isEmpty() ? folder(path, 0) : status(path, visible(path));
    }

    /** The copy of {@code path} that is used, after its check. */
    private Bases.Found visible(String path) throws IOException {
        boolean exempt = Names.isExempt(path);
        Manifest manifest = exempt && dataSet.binding().writable() ? Manifest.NONE : dataSet.manifest(bases);
        List<Bases.Found> found = bases.find(path);
        ManifestPart part = manifest.part(path);
        if (part == null && manifest.children(path) == null) {
            return unnamed(path, exempt, found);
        }
        String problem = problem(path, part, found);
        if (problem != null) {
            throw new SealedIntegrityException(dataSet.name(), problem);
        }
        return found.get(0);
    }

    /** Something that no manifest names may be seen only where it is written, by the process that writes it. */
    private Bases.Found unnamed(String path, boolean exempt, List<Bases.Found> found)
            throws FileNotFoundException {
        if (!found.isEmpty() && dataSet.binding().writable()
                && (exempt || found.get(0).status().isDirectory() || dataSet.isUnpublished(path)
                    || dataSet.isBlind())) { // of a lost attempt: the next one must see what it replaces
            return found.get(0);
        }
        if (!found.isEmpty() && !exempt && !Names.isHidden(Names.name(path))) {
            warn(Collections.singletonList(path));
        }
        throw new FileNotFoundException("no " + path + " in data set '" + dataSet.name() + "'");
    }

    FileStatus[] list(String path) throws IOException {
        refuseReadBack(path, isNamed(path));
        if (!path.isEmpty()) {
            FileStatus self = status(path);
            if (self.isFile()) {
                return new FileStatus[] {self};
            }
        }
        Map<String, List<Bases.Found>> there = bases.list(path);
        Map<String, List<Bases.Found>> raw = there == null ? Collections.emptyMap() : there;
        boolean inside = Names.isExempt(path) && dataSet.binding().writable();
        Map<String, ManifestPart> named = inside ? null : dataSet.manifest(bases).children(path);
        List<FileStatus> seen = new ArrayList<>();
        Set<String> rest = new HashSet<>(raw.keySet());
        if (named != null) {
            addNamed(path, named, raw, seen);
            rest.removeAll(named.keySet());
        }
        List<String> strangers = new ArrayList<>();
        for (String name : rest) {
            String child = Names.child(path, name);
            Bases.Found first = raw.get(name).get(0);
            boolean exempt = Names.isExempt(child);
            if (dataSet.binding().writable() && isShown(name, child, exempt, first.status())) {
                seen.add(status(child, first));
            } else if (!exempt && !Names.isHidden(name)) {
                strangers.add(child);
            }
        }
        warn(strangers);
        return seen.toArray(new FileStatus[0]);
    }

    /** Is it a published part, or a folder that holds some. */
    private boolean isNamed(String path) throws IOException {
        Manifest manifest = dataSet.binding().spread() ? dataSet.manifest(bases) : Manifest.NONE;
        Map<String, ManifestPart> children = manifest.children(path);
        return manifest.part(path) != null || children != null && !children.isEmpty();
    }

    /** Of a spread data set no process has all parts: some of its rows must not pass for all of them. */
    private void refuseReadBack(String path, boolean published) throws AccessControlException {
        if (dataSet.binding().spread() && !Names.isExempt(path) && (published || dataSet.isBlind())) {
            throw Spread.unreadable(dataSet, path);
        }
    }

    /** A glob over the root must find neither manifests nor our logs. */
    private boolean isShown(String name, String path, boolean exempt, FileStatus status) {
        if (exempt) {
            return !Names.isUnder(path, Names.MANIFEST_FOLDER);
        }
        return status.isDirectory() && !Names.isHidden(name) || dataSet.isUnpublished(path);
    }

    private void addNamed(String folder, Map<String, ManifestPart> named, Map<String, List<Bases.Found>> raw,
            List<FileStatus> seen) throws SealedIntegrityException {
        List<String> problems = new ArrayList<>();
        for (Map.Entry<String, ManifestPart> entry : named.entrySet()) {
            String child = Names.child(folder, entry.getKey());
            List<Bases.Found> found = raw.getOrDefault(entry.getKey(), Collections.emptyList());
            String problem = problem(child, entry.getValue(), found);
            if (problem != null) {
                problems.add(problem);
            } else {
                seen.add(status(child, found.get(0)));
            }
        }
        if (!problems.isEmpty()) {
            throw new SealedIntegrityException(dataSet.name(), problems.size() + " problems: " + some(problems));
        }
    }

    /** Null, or what is wrong with a part (a folder when {@code part} is null) on the bases that have it. */
    private static String problem(String path, ManifestPart part, List<Bases.Found> found) {
        if (found.isEmpty()) {
            return "missing " + path;
        }
        for (Bases.Found copy : found) {
            if (copy.status().isDirectory() != (part == null)) {
                return path + " is " + (part == null ? "no folder" : "a folder");
            }
            if (part != null && copy.status().getLen() != part.length()) {
                return path + " has " + copy.status().getLen() + " bytes instead of " + part.length();
            }
        }
        return null;
    }

    /** Ciphertext of a file that may be read, its header checked against the manifest. */
    CiphertextChannel open(String path) throws IOException {
        boolean exempt = Names.isExempt(path);
        boolean writable = dataSet.binding().writable();
        ManifestPart part = exempt && writable ? null : dataSet.manifest(bases).part(path);
        if (part == null && exempt && (!writable || Names.isUnder(path, Names.MANIFEST_FOLDER))) {
            throw new AccessControlException("PPML-DENIED: data set '" + dataSet.name() + "': " + path
                + " is named by no manifest and can't be opened");
        }
        refuseReadBack(path, part != null);
        Bases.Found found = path.isEmpty() ? null : visible(path);
        if (found == null || found.status().isDirectory()) {
            throw new FileNotFoundException(path + " is a folder");
        }
        long length = part == null ? found.status().getLen() : part.length();
        if (!SealedCipher.isPossibleLength(length)) {
            throw new SealedIntegrityException(dataSet.name(), path + " has " + length + " bytes: cut");
        }
        FSDataInputStream input = bases.open(path, found);
        try {
            byte[] header = input.readNBytes(SealedCipher.HEADER_BYTES);
            if (part != null && !HexFormat.of().formatHex(header).equals(part.header())) {
                throw new SealedIntegrityException(dataSet.name(), path + " was replaced by another file");
            }
            return new CiphertextChannel(input, length, header);
        } catch (IOException error) {
            input.close();
            throw error;
        }
    }

    private void warn(List<String> strangers) {
        if (!strangers.isEmpty()) {
            LOG.warn("data set '{}': {} files or folders that no manifest names are hidden: {}", dataSet.name(),
                strangers.size(), Refusal.oneLine(some(strangers)));
        }
    }

    private static String some(List<String> items) {
        List<String> sorted = new ArrayList<>(items);
        Collections.sort(sorted);
        return String.join("; ", sorted.subList(0, Math.min(MAX_NAMED, sorted.size())))
            + (sorted.size() > MAX_NAMED ? "; …" : "");
    }

    private FileStatus status(String path, Bases.Found found) {
        FileStatus raw = found.status();
        if (raw.isDirectory()) {
            return folder(path, raw.getModificationTime());
        }
        return new FileStatus(SealedCipher.plainLength(raw.getLen()), false, 1, raw.getBlockSize(),
            raw.getModificationTime(), qualified(path));
    }

    private FileStatus folder(String path, long modified) {
        return new FileStatus(0, true, 0, 0, modified, qualified(path));
    }

    private Path qualified(String path) {
        return new Path(Names.SCHEME, dataSet.name(), "/" + path);
    }
}
