package io.github.ppmlops.spark;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.spark.internal.io.FileNameSpec;
import org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol;
import scala.Option;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Spark's commit protocol, and a manifest at the end of it. Writes to other file systems pass through unchanged.
 *
 * <p>Shape and traps: tasks report what they wrote (measured before their own commit, which may move it); the driver
 * publishes after Hadoop's job commit and deletes what an overwrite replaces only then.
 */
public class SealedCommitProtocol extends SQLHadoopMapReduceCommitProtocol {
    private static final long serialVersionUID = 1L;

    private final String output;
    private final boolean dynamicOverwrite;
    /** In tasks: temporary file → final file; each attempt deserializes its own copy of this object. */
    private transient Map<String, Path> files;
    /** On the driver: paths that an overwrite replaces, and what tasks have reported. */
    private transient List<String> replaced;
    private transient List<ManifestPart> reported;

    /** Spark finds this constructor by its three arguments; without the third, dynamic overwrite is refused. */
    public SealedCommitProtocol(String jobId, String path, boolean dynamicPartitionOverwrite) {
        super(jobId, path, dynamicPartitionOverwrite);
        this.output = path;
        this.dynamicOverwrite = dynamicPartitionOverwrite;
    }

    private boolean isSealed() {
        return output != null && output.startsWith(Names.SCHEME + ":");
    }

    private SealedFileSystem fileSystem(JobContext context) throws IOException {
        return (SealedFileSystem) new Path(output).getFileSystem(context.getConfiguration());
    }

    @Override
    public void setupJob(JobContext job) {
        if (isSealed()) {
            try {
                SealedFileSystem system = fileSystem(job);
                system.dataSet().requireWritable();
                Spread.checkJob(system.dataSet(), job.getConfiguration(), dynamicOverwrite);
                if (system.inside(new Path(output)).isEmpty()) {
                    throw new IOException("PPML-CONFIG: write to a folder in the data set, like " + system.getUri()
                        + "/result, not to its root");
                }
            } catch (IOException error) {
                throw Sneaky.raise(error);
            }
            reported = new ArrayList<>();
        }
        super.setupJob(job);
    }

    @Override
    public void setupTask(TaskAttemptContext task) {
        files = new HashMap<>();
        super.setupTask(task);
    }

    /** In a store all nodes have one folder: two attempts of a task must not have one name, their commits may meet. */
    @Override
    public String getFilename(TaskAttemptContext task, FileNameSpec spec) {
        try {
            if (!isSealed() || !fileSystem(task).bases().isStore()) {
                return super.getFilename(task, spec);
            }
        } catch (IOException error) {
            throw Sneaky.raise(error);
        }
        String attempt = "-a" + task.getTaskAttemptID().getId();
        return super.getFilename(task, new FileNameSpec(spec.prefix(), attempt + spec.suffix()));
    }

    @Override
    public String newTaskTempFile(TaskAttemptContext task, Option<String> folder, FileNameSpec spec) {
        String temporary = super.newTaskTempFile(task, folder, spec);
        Path target = folder.isDefined() ? new Path(output, folder.get()) : new Path(output);
        files.put(temporary, new Path(target, new Path(temporary).getName()));
        announce(task, temporary);
        return temporary;
    }

    @Override
    public String newTaskTempFileAbsPath(TaskAttemptContext task, String folder, FileNameSpec spec) {
        Path target = new Path(folder, getFilename(task, spec));  // the temporary name has a prefix of its own
        if (isSealed() && !sameDataSet(target)) {
            throw Sneaky.raise(new IOException("PPML-CONFIG: a partition has its own location outside the data set"
                + " that the table is written to; that would not be sealed under its key"));
        }
        if (isSealed()) {
            try {
                Spread.refuseOwnLocation(fileSystem(task).dataSet());
            } catch (IOException error) {
                throw Sneaky.raise(error);
            }
        }
        String temporary = super.newTaskTempFileAbsPath(task, folder, spec);
        files.put(temporary, target);
        announce(task, temporary);
        return temporary;
    }

    private void announce(TaskAttemptContext task, String temporary) {
        if (!isSealed()) {
            return;
        }
        try {
            SealedFileSystem system = fileSystem(task);
            system.dataSet().announce(system.inside(new Path(temporary)));
        } catch (IOException error) {
            throw Sneaky.raise(error);
        }
    }

    private boolean sameDataSet(Path target) {
        Path root = new Path(output);
        return Names.SCHEME.equals(target.toUri().getScheme())
            && root.toUri().getAuthority().equals(target.toUri().getAuthority());
    }

    @Override
    public TaskCommitMessage commitTask(TaskAttemptContext task) {
        if (!isSealed()) {
            return super.commitTask(task);
        }
        try {
            SealedFileSystem system = fileSystem(task);
            List<ManifestPart> parts = new ArrayList<>();
            for (Map.Entry<String, Path> file : files.entrySet()) {
                ManifestPart part = system.measure(new Path(file.getKey()), system.inside(file.getValue()));
                if (part != null) {
                    parts.add(part);
                }
            }
            return new TaskCommitMessage(new TaskReport(committed(task, system, parts), parts));
        } catch (IOException error) {
            throw Sneaky.raise(error);
        }
    }

    private Object committed(TaskAttemptContext task, SealedFileSystem system, List<ManifestPart> parts)
            throws IOException {
        // An attempt that may not commit throws here. What lies at the final paths is then not its own: another
        // attempt on this node has the same names.
        Object message = super.commitTask(task).obj();
        if (system.dataSet().binding().spread()) {
            try {
                Spread.checkCommitted(system, parts);
            } catch (IOException error) {
                JobCommit.removeParts(system, parts);  // nobody else can remove them from this node
                throw error;
            }
        }
        return message;
    }

    @Override
    public void onTaskCommit(TaskCommitMessage message) {
        if (message.obj() instanceof TaskReport) {
            TaskReport report = (TaskReport) message.obj();
            reported.addAll(report.parts());
            super.onTaskCommit(new TaskCommitMessage(report.inner()));
        } else {
            super.onTaskCommit(message);
        }
    }

    /** Spark calls this before an overwriting job starts; a job that fails must not have cost the old version. */
    @Override
    public boolean deleteWithJob(FileSystem system, Path path, boolean recursive) {
        if (!(system instanceof SealedFileSystem) || !isSealed() || !sameDataSet(system.makeQualified(path))) {
            return super.deleteWithJob(system, path, recursive);
        }
        try {
            if (replaced == null) {
                replaced = new ArrayList<>();
            }
            replaced.add(((SealedFileSystem) system).inside(path));
            return true;
        } catch (IOException error) {
            throw Sneaky.raise(error);
        }
    }

    @Override
    public void commitJob(JobContext job, Seq<TaskCommitMessage> messages) {
        if (!isSealed()) {
            super.commitJob(job, messages);
            return;
        }
        List<TaskCommitMessage> inner = new ArrayList<>();
        List<ManifestPart> parts = new ArrayList<>();
        for (TaskCommitMessage message : CollectionConverters.asJava(messages)) {
            if (message.obj() instanceof TaskReport) {  // Spark also sends empty messages of its own
                TaskReport report = (TaskReport) message.obj();
                inner.add(new TaskCommitMessage(report.inner()));
                parts.addAll(report.parts());
            } else {
                inner.add(message);
            }
        }
        Seq<TaskCommitMessage> unwrapped = CollectionConverters.asScala(inner).toSeq();
        reported = null;  // from here on JobCommit takes parts back; after it published, nobody may
        List<String> old = replaced == null ? List.of() : replaced;
        try {
            new JobCommit(fileSystem(job), parts, old).run(() -> super.commitJob(job, unwrapped));
        } catch (IOException error) {
            throw Sneaky.raise(error);
        }
    }

    @Override
    public void abortJob(JobContext job) {
        super.abortJob(job);
        if (isSealed() && reported != null) {
            try {
                JobCommit.removeParts(fileSystem(job), reported);
            } catch (IOException error) {
                throw Sneaky.raise(error);
            }
        }
    }
}
