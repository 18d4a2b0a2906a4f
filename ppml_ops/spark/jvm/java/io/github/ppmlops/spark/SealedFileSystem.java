package io.github.ppmlops.spark;

import java.io.IOException;
import java.net.URI;
import java.util.HexFormat;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.security.AccessControlException;
import org.apache.hadoop.util.Progressable;
import org.apache.spark.TaskContext;

/**
 * {@code sealed://<data set>/<path>}: sealed files in one or more node folders, checked against the manifest.
 *
 * <p>Where bytes lie, the key, the mode and the expected version come from the key ring, never from Hadoop's conf.
 */
public class SealedFileSystem extends FileSystem {
    private URI uri;
    private DataSet dataSet;
    private Bases bases;
    private StrictView view;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        super.initialize(name, conf);
        String authority = name.getAuthority();  // getHost() is null for some names that are not ours to accept
        if (!Names.isDataSet(authority)) {
            throw new IOException("PPML-CONFIG: '" + name + "' names no data set; wanted sealed://<data set>/<path>"
                + " with lower-case letters, digits and inner hyphens, 40 at most");
        }
        uri = URI.create(Names.SCHEME + "://" + authority);
        dataSet = KeyRing.dataSet(authority);
        bases = new Bases(dataSet.binding().bases(), conf);
        view = new StrictView(dataSet, bases);
    }

    DataSet dataSet() {
        return dataSet;
    }

    Bases bases() {
        return bases;
    }

    @Override
    public String getScheme() {
        return Names.SCHEME;
    }

    @Override
    public URI getUri() {
        return uri;
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        return view.status(inside(path));
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        return view.list(inside(path));
    }

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        String name = inside(path);
        CiphertextChannel ciphertext = view.open(name);
        try {
            return new FSDataInputStream(
                new UnsealingInputStream(dataSet.binding().cipher(), ciphertext, dataSet.name(), name));
        } catch (IOException error) {
            ciphertext.close();
            throw error;
        }
    }

    @Override
    public FSDataOutputStream create(Path path, FsPermission permission, boolean overwrite, int bufferSize,
            short replication, long blockSize, Progressable progress) throws IOException {
        String name = changeable(path);
        refuseIfPublished(name, "replaced");
        Spread.checkWriter(dataSet, name, TaskContext.get() != null);
        FSDataOutputStream raw = bases.create(name, overwrite, bufferSize, progress);
        dataSet.created(name);
        // No statistics: the file system below counts these bytes already.
        return new FSDataOutputStream(dataSet.binding().cipher().encrypting(raw), null);
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        dataSet.requireWritable();
        String name = inside(path);
        return name.isEmpty() || bases.mkdirs(changeable(path));
    }

    @Override
    public boolean rename(Path source, Path target) throws IOException {
        String from = changeable(source);
        String to = changeable(target);
        refuseIfPublished(from, "renamed");
        boolean merge = dataSet.deferredDeletes() != null;
        if (!merge && bases.find(to).stream().anyMatch(found -> found.status().isDirectory())) {
            to = Names.child(to, Names.name(from));
        }
        if (Names.isUnder(to, from) || !bases.rename(from, to, merge)) {
            return false;
        }
        dataSet.renamed(from, to);
        return true;
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        String name = changeable(path);
        if (isPublished(name)) {
            List<String> deferred = dataSet.deferredDeletes();
            if (deferred != null) {
                deferred.add(name);
                return true;
            }
            dataSet.forget(name);
        }
        boolean deleted = bases.delete(name, recursive);
        dataSet.deleted(name);
        return deleted;
    }

    /**
     * The raw file at {@code written} as a part that will be called {@code name}.
     *
     * @return null when it was named but never opened
     */
    ManifestPart measure(Path written, String name) throws IOException {
        String path = inside(written);
        List<Bases.Found> found = bases.find(path);
        if (found.isEmpty()) {
            return null;
        }
        long length = found.get(0).status().getLen();
        if (!SealedCipher.isPossibleLength(length)) {
            throw new IOException(path + " was not closed: it has " + length + " bytes");
        }
        try (FSDataInputStream input = bases.open(path, found.get(0))) {
            byte[] header = input.readNBytes(SealedCipher.HEADER_BYTES);
            String node = bases.node(found.get(0).base());
            return new ManifestPart(name, length, HexFormat.of().formatHex(header), node);
        }
    }

    /** Path inside this data set. */
    String inside(Path path) throws IOException {
        checkPath(path);
        return Names.inside(makeQualified(path));
    }

    /** The same for a path that is to be changed: needs a writable binding, spares root and manifests. */
    private String changeable(Path path) throws IOException {
        dataSet.requireWritable();
        String name = inside(path);
        if (name.isEmpty() || Names.isUnder(name, Names.MANIFEST_FOLDER)) {
            throw new AccessControlException("PPML-DENIED: data set '" + dataSet.name()
                + "': its root and its manifests can't be changed");
        }
        return name;
    }

    /** Only the driver publishes, so only there the answer can be yes; executors need not ask it. */
    private boolean isPublished(String name) throws IOException {
        return KeyRing.heads() == null && !Names.isExempt(name) && !dataSet.manifest(bases).under(name).isEmpty();
    }

    private void refuseIfPublished(String name, String what) throws IOException {
        if (isPublished(name)) {
            throw new AccessControlException("PPML-DENIED: data set '" + dataSet.name() + "': " + name
                + " is published and can't be " + what);
        }
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress) {
        throw new UnsupportedOperationException("sealed files can't be appended to");
    }

    @Override
    public Path getWorkingDirectory() {
        return new Path(uri.getScheme(), uri.getAuthority(), "/");
    }

    @Override
    public void setWorkingDirectory(Path path) {
        throw new UnsupportedOperationException("paths of sealed: are absolute");
    }
}
