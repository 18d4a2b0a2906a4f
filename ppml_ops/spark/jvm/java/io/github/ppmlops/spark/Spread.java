package io.github.ppmlops.spark;

import java.io.IOException;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.AccessControlException;

/**
 * What holds for data sets whose nodes have disks of their own: a task's files stay on its node, the driver knows
 * them by the task's report only, and nobody can read them before they were gathered. All that would need more is
 * refused here, with a class of exception that Spark never skips.
 */
final class Spread {
    private static final String ALGORITHM = "mapreduce.fileoutputcommitter.algorithm.version";

    private Spread() {
    }

    /** On the driver, before any task: the job's commit must not move files, because it could not reach them. */
    static void checkJob(DataSet dataSet, Configuration conf, boolean dynamicOverwrite) throws IOException {
        if (!dataSet.binding().spread()) {
            return;
        }
        if (dynamicOverwrite) {
            throw refused(dataSet, "partitions can't be overwritten dynamically",
                "overwrite all of a folder, or write to a new one");
        }
        if (!"2".equals(conf.get(ALGORITHM))) {
            throw refused(dataSet, "Hadoop's commit algorithm must be 2, not " + conf.get(ALGORITHM),
                "leave " + ALGORITHM + " as the profile has it");
        }
    }

    /** Files outside the written folder wait in a staging folder until the driver moves them. */
    static void refuseOwnLocation(DataSet dataSet) throws IOException {
        if (dataSet.binding().spread()) {
            throw refused(dataSet, "a partition with a location of its own can't be written",
                "write it with a job of its own");
        }
    }

    /** RDD writers and others that don't go through our commit protocol leave files that no manifest would name. */
    static void checkWriter(DataSet dataSet, String file, boolean inTask) throws IOException {
        if (!dataSet.binding().spread() || dataSet.isAnnounced(file) || (!inTask && Names.isExempt(file))) {
            return;
        }
        throw refused(dataSet, "only DataFrame writers can write to it, because nobody else says which node has "
            + "which part", "turn the RDD into a DataFrame, or write it with DataFrame writers");
    }

    /** What a task committed must lie on its own node, now: nobody else can look there. */
    static void checkCommitted(SealedFileSystem system, List<ManifestPart> parts) throws IOException {
        for (ManifestPart part : parts) {
            List<Bases.Found> found = system.bases().find(part.path());
            if (found.size() != 1 || found.get(0).status().isDirectory()
                    || found.get(0).status().getLen() != part.length()) {
                throw new SealedIntegrityException(system.dataSet().name(),
                    part.path() + " is not where its task committed it");
            }
        }
    }

    static AccessControlException unreadable(DataSet dataSet, String path) {
        return refused(dataSet, "what this job writes can't be read in the same job ("
            + (path.isEmpty() ? "/" : path) + ")", "read it in another job, or keep the rows in a DataFrame");
    }

    private static AccessControlException refused(DataSet dataSet, String what, String next) {
        return new AccessControlException("PPML-CONFIG: data set '" + dataSet.name() + "' lies on the disks of "
            + "several nodes: " + what + "; " + next);
    }
}
