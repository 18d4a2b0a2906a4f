package io.github.ppmlops.spark;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.util.Progressable;
import org.apache.spark.TaskContext;

/**
 * The union of the node folders of one data set, ciphertext only. Paths are relative to the data set.
 *
 * <p>The same path on several bases is one file; tasks write to the base that their partition falls on.
 */
final class Bases {
    /** A file or folder on one base. */
    static final class Found {
        private final int base;
        private final FileStatus status;

        Found(int base, FileStatus status) {
            this.base = base;
            this.status = status;
        }

        int base() {
            return base;
        }

        FileStatus status() {
            return status;
        }
    }

    private final List<Binding.Base> bases;
    private final List<FileSystem> systems = new ArrayList<>();

    Bases(List<Binding.Base> bases, Configuration conf) throws IOException {
        this.bases = bases;
        for (Binding.Base base : bases) {
            systems.add(system(base.uri(), conf));
        }
    }

    /** Raw local files: authenticated encryption makes Hadoop's .crc files pointless. */
    private static FileSystem system(URI uri, Configuration conf) throws IOException {
        if (!uri.getScheme().equals("file")) {
            return FileSystem.get(uri, conf);
        }
        RawLocalFileSystem local = new RawLocalFileSystem();
        local.initialize(URI.create("file:///"), conf);
        return local;
    }

    /** Whether it lies in an object store and not in folders of nodes. */
    boolean isStore() {
        return !bases.get(0).uri().getScheme().equals("file");
    }

    String node(int base) {
        return bases.get(base).node();
    }

    /** Where this thread writes: partition number modulo bases in a task, the first one outside. */
    private int writer() {
        TaskContext task = TaskContext.get();
        return task == null ? 0 : task.partitionId() % bases.size();
    }

    private Path raw(int base, String path) {
        URI root = bases.get(base).uri();
        String folder = root.getPath().endsWith("/") ? root.getPath() : root.getPath() + "/";
        return new Path(root.getScheme(), root.getAuthority(), path.isEmpty() ? root.getPath() : folder + path);
    }

    /** On every base that has it, in the order of the bases. */
    List<Found> find(String path) throws IOException {
        List<Found> found = new ArrayList<>();
        for (int base = 0; base < bases.size(); base++) {
            try {
                found.add(new Found(base, systems.get(base).getFileStatus(raw(base, path))));
            } catch (FileNotFoundException absent) {
                continue;
            }
        }
        return found;
    }

    /** Names in a folder; one raw listing per base. Null when no base has the folder. */
    Map<String, List<Found>> list(String folder) throws IOException {
        Map<String, List<Found>> names = null;
        for (int base = 0; base < bases.size(); base++) {
            FileStatus[] statuses;
            try {
                statuses = systems.get(base).listStatus(raw(base, folder));
            } catch (FileNotFoundException absent) {
                continue;
            }
            names = names == null ? new TreeMap<>() : names;
            for (FileStatus status : statuses) {
                names.computeIfAbsent(status.getPath().getName(), any -> new ArrayList<>(1))
                    .add(new Found(base, status));
            }
        }
        return names;
    }

    FSDataInputStream open(String path, Found found) throws IOException {
        return systems.get(found.base()).open(raw(found.base(), path));
    }

    FSDataOutputStream create(String path, boolean overwrite, int buffer, Progressable progress)
            throws IOException {
        List<Found> there = find(path);
        if (!there.isEmpty() && (!overwrite || there.get(0).status().isDirectory())) {
            throw new FileAlreadyExistsException(path + " exists already");
        }
        int base = writer();
        for (Found old : there) {
            systems.get(old.base()).delete(raw(old.base(), path), false);
        }
        FileSystem system = systems.get(base);
        Path target = raw(base, path);
        // The overload without permissions: the other one forks a chmod per file.
        return system.create(target, true, buffer, system.getDefaultReplication(target),
            system.getDefaultBlockSize(target), progress);
    }

    /**
     * One object in the first base, only if nothing lies there, decided by the store when the object is complete.
     *
     * @throws IOException as the store says that something lies there, and when it can't do that
     */
    void createOnly(String path, byte[] bytes) throws IOException {
        FSDataOutputStreamBuilder<?, ?> create = systems.get(0).createFile(raw(0, path));
        create.recursive().overwrite(true);
        create.must(Options.CreateFileOptionKeys.FS_OPTION_CREATE_CONDITIONAL_OVERWRITE, true);
        FSDataOutputStream output = create.build();
        try {
            output.write(bytes);
        } catch (IOException error) {
            output.abort();  // closing it would publish what was written so far
            throw error;
        }
        output.close();
    }

    boolean mkdirs(String path) throws IOException {
        List<Found> there = find(path);
        if (!there.isEmpty()) {
            if (!there.get(0).status().isDirectory()) {
                throw new FileAlreadyExistsException(path + " is a file");
            }
            return true;
        }
        int base = writer();
        return systems.get(base).mkdirs(raw(base, path));
    }

    boolean delete(String path, boolean recursive) throws IOException {
        boolean deleted = false;
        for (Found found : find(path)) {
            deleted |= systems.get(found.base()).delete(raw(found.base(), path), recursive);
        }
        return deleted;
    }

    /** Delete a folder wherever it holds nothing. */
    void deleteIfEmpty(String folder) throws IOException {
        for (Found found : find(folder)) {
            FileSystem system = systems.get(found.base());
            Path path = raw(found.base(), folder);
            if (found.status().isDirectory() && system.listStatus(path).length == 0) {
                system.delete(path, false);
            }
        }
    }

    /**
     * Move on each base that has the source; what exists at the target is never replaced.
     *
     * @param merge a folder moved onto a folder melts into it (else that is refused)
     */
    boolean rename(String source, String target, boolean merge) throws IOException {
        List<Found> there = find(source);
        boolean moved = !there.isEmpty();
        for (Found found : there) {
            int base = found.base();
            moved &= move(systems.get(base), raw(base, source), raw(base, target), merge);
        }
        return moved;
    }

    private static boolean move(FileSystem system, Path source, Path target, boolean merge) throws IOException {
        if (!system.exists(target)) {
            return system.mkdirs(target.getParent()) && system.rename(source, target);
        }
        if (!merge || system.getFileStatus(source).isFile() || system.getFileStatus(target).isFile()) {
            return false;
        }
        boolean moved = true;
        for (FileStatus child : system.listStatus(source)) {
            moved &= move(system, child.getPath(), new Path(target, child.getPath().getName()), true);
        }
        return moved && system.delete(source, true);
    }
}
