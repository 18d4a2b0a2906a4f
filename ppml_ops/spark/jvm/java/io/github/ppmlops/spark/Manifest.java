package io.github.ppmlops.spark;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The verified parts of one data-set version, as a tree that answers look-ups by path. Immutable. */
final class Manifest {
    /** Nothing published yet. */
    static final Manifest NONE = new Manifest(0, "", Collections.emptyList());

    private final int version;
    private final String digest;
    private final TreeMap<String, ManifestPart> parts = new TreeMap<>();
    /** Folder → names in it → the part, or null for a folder. */
    private final Map<String, Map<String, ManifestPart>> folders = new HashMap<>();

    /**
     * @param digest SHA-256 of the published file, 64 hex digits
     * @throws IllegalArgumentException a path that is both a file and a folder, or that stands twice
     */
    Manifest(int version, String digest, Collection<ManifestPart> parts) {
        this.version = version;
        this.digest = digest;
        folders.put("", new HashMap<>());
        for (ManifestPart part : parts) {
            add(part);
        }
    }

    private void add(ManifestPart part) {
        String path = part.path();
        if (parts.put(path, part) != null || folders.containsKey(path)) {
            throw new IllegalArgumentException("a path stands twice");
        }
        String name = path;
        ManifestPart entry = part;
        while (true) {
            String folder = Names.parent(name);
            Map<String, ManifestPart> children = folders.get(folder);
            boolean known = children != null;
            if (!known) {
                if (parts.containsKey(folder)) {
                    throw new IllegalArgumentException("a path is both a file and a folder");
                }
                children = new HashMap<>();
                folders.put(folder, children);
            }
            children.put(Names.name(name), entry);
            if (known) {
                return;
            }
            name = folder;
            entry = null;
        }
    }

    int version() {
        return version;
    }

    String digest() {
        return digest;
    }

    Collection<ManifestPart> parts() {
        return Collections.unmodifiableCollection(parts.values());
    }

    /** The part at {@code path}, or null. */
    ManifestPart part(String path) {
        return parts.get(path);
    }

    /** Names in a folder (a null value is a folder), or null when no part lies in it; the root always exists. */
    Map<String, ManifestPart> children(String folder) {
        return folders.get(folder);
    }

    /** Parts at or under {@code path}. */
    List<ManifestPart> under(String path) {
        List<ManifestPart> found = new ArrayList<>();
        for (ManifestPart part : parts.tailMap(path).values()) {
            if (!part.path().startsWith(path)) {
                break;
            }
            if (Names.isUnder(part.path(), path)) {
                found.add(part);
            }
        }
        return found;
    }

    /** The same version without the parts at or under {@code path}: this process itself deleted them. */
    Manifest without(String path) {
        List<ManifestPart> rest = new ArrayList<>(parts.values());
        rest.removeAll(new HashSet<>(under(path)));
        return new Manifest(version, digest, rest);
    }
}
