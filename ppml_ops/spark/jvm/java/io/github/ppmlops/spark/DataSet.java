package io.github.ppmlops.spark;

import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.security.AccessControlException;

/**
 * One bound data set in this process: its current manifest, and files written here that none names yet.
 *
 * <p>A data set that is read stays on the pinned version. One that is written starts empty; its head moves with
 * each commit of this application, so whatever else lies in the folder are strangers.
 */
final class DataSet {
    private final Binding binding;
    private final Object commitLock = new Object();
    private final Set<String> unpublished = ConcurrentHashMap.newKeySet();
    private final Set<String> announced = ConcurrentHashMap.newKeySet();
    private final ThreadLocal<List<String>> deferredDeletes = new ThreadLocal<>();
    private volatile Manifest current = Manifest.NONE;

    DataSet(Binding binding) {
        this.binding = binding;
    }

    Binding binding() {
        return binding;
    }

    String name() {
        return binding.dataSet();
    }

    /** Commits of one process go one after the other. */
    Object commitLock() {
        return commitLock;
    }

    void requireWritable() throws AccessControlException {
        if (!binding.writable()) {
            throw new AccessControlException("PPML-DENIED: data set '" + name() + "' is bound read-only");
        }
    }

    /** On an executor of a spread data set: the manifest lies on the driver's node, parts on all of them. */
    boolean isBlind() {
        return binding.spread() && KeyRing.heads() != null;
    }

    /** Our commit protocol has given this name to a task; see {@link Spread#checkWriter}. */
    void announce(String file) {
        announced.add(file);
    }

    boolean isAnnounced(String file) {
        return announced.contains(file);
    }

    /** The manifest that paths are checked against now. */
    Manifest manifest(Bases bases) throws IOException {
        if (!binding.writable()) {
            return pinned(bases);
        }
        if (isBlind()) {
            return Manifest.NONE;
        }
        KeyRing.Heads driver = KeyRing.heads();
        return driver == null ? current : follow(bases, driver.head(name()));
    }

    private Manifest pinned(Bases bases) throws IOException {
        Manifest loaded = current;
        if (loaded == Manifest.NONE) {
            loaded = ManifestStore.load(binding, bases, binding.version(), binding.digest());
            current = loaded;
        }
        return loaded;
    }

    private Manifest follow(Bases bases, String head) throws IOException {
        if (head.isEmpty()) {
            return Manifest.NONE;
        }
        String[] versionAndDigest = head.split(" ");
        Manifest loaded = current;
        if (!loaded.digest().equals(versionAndDigest[1])) {
            int version = Integer.parseInt(versionAndDigest[0]);
            loaded = ManifestStore.load(binding, bases, version, versionAndDigest[1]);
            current = loaded;
        }
        return loaded;
    }

    /** What the driver tells executors; see {@link KeyRing.Heads}. */
    String head() {
        Manifest published = current;
        return published.version() == 0 ? "" : published.version() + " " + published.digest();
    }

    /** On the driver, under the commit lock: {@code next} was published. */
    void advance(Manifest next) {
        current = next;
        for (ManifestPart part : next.parts()) {
            unpublished.remove(part.path());
        }
    }

    /** On the driver: this application deleted published parts on purpose (DROP TABLE); the next version lacks them. */
    void forget(String path) {
        synchronized (commitLock) {
            current = current.without(path);
        }
    }

    /**
     * Run Hadoop's job commit so that it deletes no published part: readers keep the old version until the new one is
     * published. Deletions are noted in {@code replaced}, and folders moved onto folders melt into them.
     */
    void withDeferredDeletes(List<String> replaced, Runnable commit) {
        deferredDeletes.set(replaced);
        try {
            commit.run();
        } finally {
            deferredDeletes.remove();
        }
    }

    /** Where this thread notes deletions during a job commit; else null. */
    List<String> deferredDeletes() {
        return deferredDeletes.get();
    }

    boolean isUnpublished(String path) {
        return unpublished.contains(path);
    }

    void created(String path) {
        if (!Names.isExempt(path)) {
            unpublished.add(path);
        }
    }

    void deleted(String path) {
        announced.removeIf(file -> Names.isUnder(file, path));
        unpublished.removeIf(file -> Names.isUnder(file, path));
    }

    void renamed(String source, String target) {
        announced.removeIf(file -> Names.isUnder(file, source));
        Collection<String> moved = unpublished.stream().filter(file -> Names.isUnder(file, source)).toList();
        for (String file : moved) {
            unpublished.remove(file);
            created(target + file.substring(source.length()));
        }
    }
}
