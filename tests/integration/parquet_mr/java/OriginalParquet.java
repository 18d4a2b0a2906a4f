import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.crypto.keytools.KeyToolkit;
import org.apache.parquet.crypto.keytools.KmsClient;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroup;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;

/**
 * Encrypted Parquet by parquet-mr with the Hadoop properties that BigDL PPML sets.
 * The key list comes on standard input; arguments: `read FILE` prints rows, `write FILE ALGORITHM ROWS` writes some.
 */
public final class OriginalParquet {
    /** What parquet-mr's InMemoryKMS of the test jar does: wrap by AES-GCM with the key's name as AAD. */
    public static final class Kms implements KmsClient {
        private final Map<String, byte[]> masters = new HashMap<>();

        @Override
        public void initialize(Configuration conf, String id, String url, String token) {
            for (String entry : conf.getTrimmedStrings("parquet.encryption.key.list")) {
                String[] parts = entry.split(":", 2);
                masters.put(parts[0].trim(), Base64.getDecoder().decode(parts[1].trim()));
            }
        }

        @Override
        public String wrapKey(byte[] key, String name) {
            return KeyToolkit.encryptKeyLocally(key, masters.get(name), name.getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public byte[] unwrapKey(String wrapped, String name) {
            return KeyToolkit.decryptKeyLocally(wrapped, masters.get(name), name.getBytes(StandardCharsets.UTF_8));
        }
    }

    public static void main(String[] arguments) throws Exception {
        Configuration conf = new Configuration();
        conf.set("parquet.crypto.factory.class",
                "org.apache.parquet.crypto.keytools.PropertiesDrivenCryptoFactory");
        conf.set("parquet.encryption.kms.client.class", Kms.class.getName());
        conf.set("parquet.encryption.key.list",
                new String(System.in.readAllBytes(), StandardCharsets.UTF_8).trim());
        Path file = new Path(arguments[1]);
        if (arguments[0].equals("read")) {
            read(conf, file);
        } else {
            write(conf, file, arguments[2], Integer.parseInt(arguments[3]));
        }
    }

    private static void read(Configuration conf, Path file) throws Exception {
        try (ParquetReader<Group> reader =
                ParquetReader.builder(new GroupReadSupport(), file).withConf(conf).build()) {
            for (Group row = reader.read(); row != null; row = reader.read()) {
                StringBuilder line = new StringBuilder();
                for (int column = 0; column < row.getType().getFieldCount(); column++) {
                    line.append(column == 0 ? "" : "\t");
                    line.append(row.getFieldRepetitionCount(column) == 0 ? "\\N" : row.getValueToString(column, 0));
                }
                System.out.println(line);
            }
        }
    }

    private static void write(Configuration conf, Path file, String algorithm, int rows) throws Exception {
        conf.set("parquet.encryption.column.keys", "key1: name,age");
        conf.set("parquet.encryption.footer.key", "footerKey");
        conf.set("parquet.encryption.algorithm", algorithm);
        MessageType schema = MessageTypeParser.parseMessageType(
                "message spark_schema { optional binary name (STRING); optional int32 age; }");
        try (ParquetWriter<Group> writer = ExampleParquetWriter.builder(file)
                .withType(schema).withConf(conf).withCompressionCodec(CompressionCodecName.SNAPPY).build()) {
            for (int row = 0; row < rows; row++) {
                Group group = new SimpleGroup(schema);
                group.add("name", "näme " + row);
                if (row % 3 > 0) {
                    group.add("age", row);
                }
                writer.write(group);
            }
        }
    }
}
